//! The pieces of words: each word is the mean of its own row and of those of its n-grams.

use super::settings::Subwords;
use super::vocabulary::Vocabulary;
use crate::vectors::fasttext::each_ngram;

/// For each word of a vocabulary its rows of W: its own, then those of its n-grams, which follow the words.
pub(super) struct Pieces {
    rows: Vec<u32>,
    /// Where those of each word end.
    ends: Vec<usize>,
}

impl Pieces {
    pub(super) fn new(vocabulary: &Vocabulary, subwords: &Subwords) -> Self {
        let (mut rows, mut ends) = (Vec::new(), Vec::new());
        for (rank, word) in vocabulary.words().enumerate() {
            rows.push(rank as u32);
            let lengths = subwords.min_n as usize..=subwords.max_n as usize;
            each_ngram(word, lengths, subwords.buckets, |_, bucket| rows.push((vocabulary.len() + bucket) as u32));
            ends.push(rows.len());
        }
        Self { rows, ends }
    }

    /// The rows of a word, its own first.
    #[inline(always)]
    pub(super) fn of(&self, word: u32) -> &[u32] {
        let from = if word == 0 { 0 } else { self.ends[word as usize - 1] };
        &self.rows[from..self.ends[word as usize]]
    }
}
