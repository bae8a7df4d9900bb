//! `cargo xtask`: the automation of the workspace, the same on every machine and in continuous integration.

mod bench;
mod cargo;
mod check;
mod dist;
mod test;
mod tidy;
mod tree;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Automation of the Sensorium workspace")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all tests on every CPU backend and on wgpu, then the documentation examples
    Test {
        /// Run only the tests whose names contain one of these, and no documentation examples
        filters: Vec<String>,
    },
    /// Run everything that a change must pass: format, clippy, tidy, docs, licences, tests
    Check {
        /// Leave the tests out, where they have been run already
        #[arg(long)]
        no_tests: bool,
    },
    /// Check what the compiler cannot: dependency arrows, file names, notices of data, links and commands of the book
    Tidy,
    /// Run the criterion benchmarks
    Bench {
        /// Run only the benchmarks whose names match
        filter: Option<String>,
    },
    /// Package every crate without publishing: version, changelog, order, sizes
    Dist,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test { filters } => test::run(&filters),
        Task::Check { no_tests } => check::run(!no_tests),
        Task::Tidy => tidy::run(),
        Task::Bench { filter } => bench::run(filter.as_deref()),
        Task::Dist => dist::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
