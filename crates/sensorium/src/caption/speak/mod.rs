//! `sensorium caption speak`: spoken words for pictures.

mod eval;
mod pairs;
mod run;
mod train;

use clap::Subcommand;

use crate::Global;

/// What to do with speakers.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Measure a run's unit error rate beside its baselines.
    Eval(eval::Eval),
    /// Make a folder of pictures with sounds from recordings of words and the bundled emoji.
    Pairs(pairs::Pairs),
    /// Say what pictures show.
    Run(run::Run),
    /// Learn to speak from pictures with sounds.
    Train(train::Train),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Eval(eval) => eval.run(global),
            Self::Pairs(pairs) => pairs.run(global),
            Self::Run(run) => run.run(global),
            Self::Train(train) => train.run(global),
        }
    }
}
