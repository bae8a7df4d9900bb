//! `sensorium caption`: sentences for pictures.

mod eval;
mod import;
mod run;
mod scenes;
mod speak;
mod train;

use clap::{Args, Subcommand};
use sensorium_captioning::decode::LengthPenalty;

use crate::Global;

/// How the sentences of a beam are compared.
#[derive(Args)]
pub(crate) struct Comparison {
    /// Compare sentences by their score over ((5 + words) / 6)^ALPHA; 0 compares the sums of log-probabilities.
    #[arg(long, value_name = "ALPHA", default_value_t = 0.0)]
    length_penalty: f32,
}

impl Comparison {
    fn length_penalty(&self) -> LengthPenalty {
        LengthPenalty::Gnmt(self.length_penalty)
    }
}

/// What to do with captions.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Measure a run on pictures that it did not learn from.
    Eval(eval::Eval),
    /// Turn a checkpoint of the PyTorch captioning tutorial into a run.
    Import(import::Import),
    /// Tell what pictures show.
    Run(run::Run),
    /// Make pictures of shapes whose truth is known, with captions.
    Scenes(scenes::Scenes),
    /// Score captions against references, as the COCO caption evaluation does.
    Score(eval::Score),
    /// Speak about pictures, without text: learned from pictures with sounds.
    #[command(subcommand)]
    Speak(speak::Verb),
    /// Learn to tell from pictures with sentences.
    Train(train::Train),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Eval(eval) => eval.run(global),
            Self::Import(import) => import.run(global),
            Self::Run(run) => run.run(global),
            Self::Scenes(scenes) => scenes.run(global),
            Self::Score(score) => score.run(global),
            Self::Speak(verb) => verb.run(global),
            Self::Train(train) => train.run(global),
        }
    }
}
