//! From a decoder to sentences: beam search, greedy choice, sampling.
//!
//! A search sees a decoder as [`NextWords`]: rows of words that grow by one at a time. All pictures of a batch advance
//! together, and each gets the sentence that it would get alone.

mod beam;
mod sampling;

pub use beam::{BeamSearch, Found, LengthPenalty};
pub use sampling::Sampling;
pub(crate) use sampling::drawn;

/// A decoder as a search sees it.
pub trait NextWords {
    /// What the decoder knows after the words so far, for a number of rows.
    type State;

    /// The number of words.
    fn vocab(&self) -> usize;

    /// What may follow when each of `rows` goes on from a row of `state` with a word.
    fn next(&self, state: &Self::State, rows: &[Row]) -> (Self::State, Followers);
}

/// A row of words that grows by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The row of the state that it goes on from.
    pub from: usize,
    /// The word it adds.
    pub word: u32,
}

/// What may follow a number of rows.
#[derive(Debug, Clone)]
pub struct Followers {
    /// The logarithm of each word's probability, `[rows, vocab]`.
    pub log_probs: Vec<f32>,
    /// Where the decoder looked, `[rows, positions]`; at least 0, sum 1. `None` where it has no attention.
    pub attention: Option<Vec<f32>>,
}

/// What a sentence may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The word that every sentence begins with.
    pub start: u32,
    /// The word that ends one.
    pub end: u32,
    /// Steps after which a sentence that has not ended is left as it is. The tutorial takes 51.
    pub max_steps: usize,
    /// The least number of words before the end.
    pub min_words: usize,
    /// Words that never occur, such as `<unk>`.
    pub suppressed: Vec<u32>,
}

impl Limits {
    /// The tutorial's: 51 steps, any word.
    pub fn tutorial(start: u32, end: u32) -> Self {
        Self { start, end, max_steps: 51, min_words: 0, suppressed: vec![] }
    }

    /// Takes away from the log-probabilities of one row what may not follow `words` words.
    fn apply(&self, words: usize, log_probs: &mut [f32]) {
        for word in &self.suppressed {
            log_probs[*word as usize] = f32::NEG_INFINITY;
        }
        if words < self.min_words {
            log_probs[self.end as usize] = f32::NEG_INFINITY;
        }
    }
}

/// A sentence that a search has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence {
    /// Its words, without the start; the end is the last one if the sentence was ended.
    pub words: Vec<u32>,
    /// The sum of the words' log-probabilities.
    pub score: f32,
    /// For each word where the decoder looked, `[positions]`; empty if it has no attention.
    pub attention: Vec<Vec<f32>>,
}

impl Sentence {
    /// Whether the decoder ended it.
    pub fn is_complete(&self, end: u32) -> bool {
        self.words.last() == Some(&end)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A decoder that knows a picture's number and the last word: a table of log-probabilities.
    pub(crate) struct Table {
        pictures: usize,
        vocab: usize,
        log_probs: Vec<f32>,
    }

    impl Table {
        pub(crate) fn random(pictures: usize, vocab: usize, seed: u64) -> Self {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut log_probs: Vec<f32> =
                (0..pictures * vocab * vocab).map(|_| rng.random_range(-3.0f32..1.0)).collect();
            for row in log_probs.chunks_exact_mut(vocab) {
                let sum: f32 = row.iter().map(|logit| logit.exp()).sum();
                row.iter_mut().for_each(|logit| *logit -= sum.ln());
            }
            Self { pictures, vocab, log_probs }
        }

        pub(crate) fn start(&self) -> Vec<usize> {
            (0..self.pictures).collect()
        }

        pub(crate) fn row(&self, picture: usize, word: u32) -> &[f32] {
            &self.log_probs[(picture * self.vocab + word as usize) * self.vocab..][..self.vocab]
        }
    }

    impl NextWords for Table {
        /// Each row's picture.
        type State = Vec<usize>;

        fn vocab(&self) -> usize {
            self.vocab
        }

        fn next(&self, state: &Vec<usize>, rows: &[Row]) -> (Vec<usize>, Followers) {
            let pictures: Vec<usize> = rows.iter().map(|row| state[row.from]).collect();
            let of = |(picture, row): (&usize, &Row)| self.row(*picture, row.word).to_vec();
            let log_probs = pictures.iter().zip(rows).flat_map(of).collect();
            let attention = Some(rows.iter().map(|row| row.word as f32).collect());
            (pictures, Followers { log_probs, attention })
        }
    }
}
