//! `sensorium caption speak`: spoken words for pictures.

mod eval;
mod pairs;
mod run;
mod train;

use std::path::Path;

use clap::Subcommand;
use sensorium_captioning::speak::pairs::{SpokenPair, audible, read};

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

/// The pictures of a set with the sounds that can be heard; says how many sounds are silent.
fn heard(data: &Path) -> anyhow::Result<Vec<SpokenPair>> {
    let (pairs, silent) = audible(read(data)?)?;
    if let Some(first) = silent.first() {
        tracing::warn!("{} silent sounds are left out; the first is {}", silent.len(), first.display());
    }
    Ok(pairs)
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
