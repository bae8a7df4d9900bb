//! `cargo xtask test`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::cargo::{BACKENDS, Steps, cargo, has_subcommand};

/// Environment variables that name a file or a folder for the tests. A test runs in the folder of its crate, so a
/// relative path is made absolute here.
const PATHS: [&str; 4] = ["SENSORIUM_GOLDEN_DIR", "EFFNET_LITE0_PTH", "SENSORIUM_SPEECH_DIR", "SENSORIUM_METEOR_DIR"];

/// Runs all tests, or with `filters` only the tests whose names contain one of them.
pub(crate) fn run(filters: &[String]) -> Result<()> {
    let mut steps = Steps::of("test");
    add_steps(&mut steps, filters)?;
    steps.close()
}

/// The steps of this task, for `check` as well.
pub(crate) fn add_steps(steps: &mut Steps, filters: &[String]) -> Result<()> {
    if !has_subcommand("nextest") {
        bail!("the tests need cargo-nextest (a process for each test): cargo install cargo-nextest --locked");
    }
    let paths = paths()?;
    let mut tests = cargo(["nextest", "run", "--workspace", "--no-fail-fast"]);
    steps.command("tests", tests.args(BACKENDS).args(filters).envs(paths).env("PROPTEST_RNG_SEED", seed()));
    if filters.is_empty() {
        steps.command("documentation examples", cargo(["test", "--doc", "--workspace"]).args(BACKENDS));
    }
    Ok(())
}

/// The seed of the property tests: the same cases in every run, unless the caller asks for others. A plain
/// `cargo nextest run` draws new ones each time.
fn seed() -> String {
    std::env::var("PROPTEST_RNG_SEED").unwrap_or_else(|_| "0".into())
}

/// The variables of [`PATHS`] that are set, absolute.
fn paths() -> Result<Vec<(&'static str, PathBuf)>> {
    let set = PATHS.iter().filter_map(|name| Some((*name, PathBuf::from(std::env::var_os(name)?))));
    set.map(|(name, path)| {
        let absolute = path.canonicalize().with_context(|| format!("{name}={}", path.display()))?;
        Ok((name, absolute))
    })
    .collect()
}
