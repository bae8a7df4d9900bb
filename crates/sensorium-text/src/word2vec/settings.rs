//! What is trained, and how long.

use sensorium_core::Error;
use serde::{Deserialize, Serialize};

use crate::Result;

/// What foretells what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// Each word of a window foretells the word in its middle (word2vec.c's direction).
    SkipGram,
    /// The mean of a window's words foretells the word in its middle.
    Cbow {
        /// Divides the gradient by the number of words in the mean, as it should be (İrsoy, Benton and Stratos 2021);
        /// word2vec.c and gensim do not.
        corrected: bool,
    },
}

/// How a word is foretold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Apart from this many words drawn at random, anew for each window.
    NegativeSampling(usize),
    /// Branch by branch down a Huffman tree.
    HierarchicalSoftmax,
}

/// When the tables change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Updates {
    /// After rounds of some thousand words: on all threads, and the same vectors on any number of them. The words of a
    /// window share their negatives.
    Rounds,
    /// After each pair, which has negatives of its own, as word2vec.c does with one thread: slow, to compare with.
    Classic,
}

/// Pieces of words, as in fastText: a word's vector is the mean of its own row and of those of its n-grams of characters,
/// which are hashed to buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subwords {
    /// Characters in the shortest n-gram.
    pub min_n: u32,
    /// Characters in the longest n-gram.
    pub max_n: u32,
    /// Rows that n-grams share.
    pub buckets: u32,
}

impl Default for Subwords {
    /// As fastText: 3 to 6 characters, 2 million buckets.
    fn default() -> Self {
        Self { min_n: 3, max_n: 6, buckets: 2_000_000 }
    }
}

/// Settings of the trainer. The defaults are word2vec.c's, but for `sample`: fastText's 1e-4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What foretells what.
    pub model: Model,
    /// How.
    pub objective: Objective,
    /// When the tables change.
    pub updates: Updates,
    /// Whether words are made of pieces.
    pub subwords: Option<Subwords>,
    /// Numbers of a vector.
    pub dim: usize,
    /// The most words on each side; the number is drawn uniformly from 1 on for every window.
    pub window: usize,
    /// Words more frequent than this share of the text are thinned out; 0 keeps all.
    pub sample: f64,
    /// Passes over the text.
    pub epochs: usize,
    /// The learning rate at the start; it falls to a ten-thousandth of itself. Where absent 0.025 for skip-gram, 0.1 for
    /// corrected CBOW, whose steps are shorter, and 0.05 for word2vec.c's.
    pub learning_rate: Option<f32>,
    /// W begins between plus and minus this over the root of `dim`, so that the first vectors are as long in any dimension;
    /// W′ begins at 0. Others begin shorter, word2vec.c with 0.5 and gensim and fastText with 1 over `dim` itself, and
    /// learn less from texts of some million words (`docs/benchmarks.md`).
    pub init: f32,
    /// The seed of the start and of all draws.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: Model::SkipGram,
            objective: Objective::NegativeSampling(5),
            updates: Updates::Rounds,
            subwords: None,
            dim: 100,
            window: 5,
            sample: 1e-4,
            epochs: 5,
            learning_rate: None,
            init: 0.4,
            seed: 1,
        }
    }
}

impl Settings {
    /// The learning rate at the start.
    pub fn learning_rate(&self) -> f32 {
        self.learning_rate.unwrap_or(match self.model {
            Model::SkipGram => 0.025,
            Model::Cbow { corrected: true } => 0.1,
            Model::Cbow { corrected: false } => 0.05,
        })
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<()> {
        let negatives = match self.objective {
            Objective::NegativeSampling(negatives) => negatives,
            Objective::HierarchicalSoftmax => 1,
        };
        for (field, value, most) in [
            ("dim", self.dim, 4096),
            ("window", self.window, 1000),
            ("epochs", self.epochs, 1_000_000),
            ("negative", negatives, 1000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(Error::config(field, value, format!("must be 1 to {most}")).into());
            }
        }
        if let Some(Subwords { min_n, max_n, buckets }) = self.subwords {
            if !(1..=max_n).contains(&min_n) || max_n > 100 {
                let value = format!("{min_n} to {max_n}");
                return Err(Error::config("n-grams", value, "must rise from at least 1 to at most 100").into());
            }
            if !(1..=1 << 30).contains(&buckets) {
                return Err(Error::config("buckets", buckets, format!("must be 1 to {}", 1 << 30)).into());
            }
            if self.updates == Updates::Classic {
                return Err(Error::config("updates", "classic", "has no subwords; leave one of the two out").into());
            }
        }
        if !(0.0..=1.0).contains(&self.sample) {
            return Err(Error::config("sample", self.sample, "must be 0 to 1").into());
        }
        let rate = self.learning_rate();
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(Error::config("learning_rate", rate, "must be above 0 and at most 1").into());
        }
        if !(self.init > 0.0 && self.init <= 100.0) {
            return Err(Error::config("init", self.init, "must be above 0 and at most 100").into());
        }
        Ok(())
    }
}
