//! `sensorium caption`: sentences for pictures.

mod import;
mod run;

use clap::Subcommand;

use crate::Global;

/// What to do with captions.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Turn a checkpoint of the PyTorch captioning tutorial into a run.
    Import(import::Import),
    /// Tell what pictures show.
    Run(run::Run),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Import(import) => import.run(global),
            Self::Run(run) => run.run(global),
        }
    }
}
