//! Running cargo, and keeping account of the steps of a task.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The backends of every test and lint run beside the default `flex`. One set for all steps: another set of features
/// would compile burn again.
pub(crate) const BACKENDS: [&str; 2] = ["--features", "sensorium/ndarray,sensorium/wgpu"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_path_buf()
}

/// The cargo that runs this program, in the root of the repository.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Whether `cargo NAME` is there, asked of `cargo NAME --version`.
pub(crate) fn has_subcommand(name: &str) -> bool {
    cargo([name, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The steps of one task. A failed step does not stop the next, so that one run shows all that is wrong.
pub(crate) struct Steps {
    task: &'static str,
    done: Vec<(&'static str, Duration, Result<()>)>,
}

impl Steps {
    /// The account of `task`, with no step done.
    pub(crate) fn of(task: &'static str) -> Self {
        Self { task, done: Vec::new() }
    }

    /// Runs a step that is a function.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) {
        eprintln!("\n== xtask {}: {name}", self.task);
        let start = Instant::now();
        let outcome = step();
        if let Err(error) = &outcome {
            eprintln!("error: {error:#}");
        }
        self.done.push((name, start.elapsed(), outcome));
    }

    /// Runs a step that is a command.
    pub(crate) fn command(&mut self, name: &'static str, command: &mut Command) {
        self.run(name, || {
            let status = command.status()?;
            if !status.success() {
                bail!("`{}` gave {status}", shown(command));
            }
            Ok(())
        });
    }

    /// Prints a line for each step; fails if one of them failed.
    pub(crate) fn close(self) -> Result<()> {
        eprintln!("\n== xtask {}", self.task);
        for (name, took, outcome) in &self.done {
            let word = if outcome.is_ok() { "ok    " } else { "FAILED" };
            eprintln!("   {word} {:>5.0} s  {name}", took.as_secs_f64());
        }
        let failed: Vec<_> =
            self.done.iter().filter(|(.., outcome)| outcome.is_err()).map(|(name, ..)| *name).collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let arguments = command.get_args().map(|a| a.to_string_lossy());
    std::iter::once("cargo".into()).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_task_after_all_steps_ran() {
        let mut steps = Steps::of("test");
        let mut ran = Vec::new();
        steps.run("first", || bail!("broken"));
        steps.run("second", || {
            ran.push("second");
            Ok(())
        });
        assert_eq!(ran, ["second"]);
        assert_eq!(steps.close().unwrap_err().to_string(), "failed: first");
    }

    #[test]
    fn a_command_that_exits_with_an_error_fails_its_step() {
        let mut steps = Steps::of("test");
        steps.command("no such task", cargo(["no-such-subcommand"]).stderr(std::process::Stdio::null()));
        assert!(steps.close().is_err());
    }
}
