//! `cargo xtask check`.

use anyhow::{Result, bail};

use crate::cargo::{BACKENDS, Steps, cargo, has_subcommand};
use crate::{dist, test, tidy};

/// Runs everything that a change must pass; `with_tests` includes the tests.
pub(crate) fn run(with_tests: bool) -> Result<()> {
    let mut steps = Steps::of("check");
    steps.command("format", &mut cargo(["fmt", "--all", "--check"]));
    steps.run("tidy", tidy::run);
    steps.run("packages", dist::run);
    steps.run("licences and sources", licences);
    let mut clippy = cargo(["clippy", "--workspace", "--all-targets"]);
    steps.command("clippy", clippy.args(BACKENDS).args(["--", "-D", "warnings"]));
    // With the examples, cargo chooses the features that clippy's `--all-targets` chose, and shares what it compiled.
    let mut docs = cargo(["doc", "--workspace", "--no-deps", "--lib", "--examples"]);
    steps.command("documentation", docs.args(BACKENDS).env("RUSTDOCFLAGS", "-D warnings"));
    if with_tests {
        test::add_steps(&mut steps, &[])?;
    }
    steps.close()
}

/// The licences, duplicate bans and sources of all dependencies, by the rules in `deny.toml`. Advisories are left
/// out: they change without a change here, and their database is a download.
fn licences() -> Result<()> {
    if !has_subcommand("deny") {
        bail!("the licence check needs cargo-deny: cargo install cargo-deny --locked");
    }
    let status = cargo(["deny", "check", "licenses", "bans", "sources"]).status()?;
    if !status.success() {
        bail!("deny.toml says what is allowed");
    }
    Ok(())
}
