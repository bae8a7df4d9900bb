//! Pairs of words that belong together, such as *New York*, joined to one.
//!
//! Mikolov et al. 2013, "Distributed Representations of Words and Phrases", §4, as the authors' word2phrase counts.

use hashbrown::HashMap;
use sensorium_core::Error;

use super::counter::WordCounter;
use crate::Result;

/// What stands between the words of a phrase.
const JOINT: &str = "_";

/// Which pairs of neighbours are joined: those that occur together far more often than their counts would have it. The
/// score of *a b* is `(n(ab) − min_count) / (n(a) n(b)) · n`, with n the words of the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Phrases {
    /// Words rarer than this belong to no phrase; it is also taken off each pair's count. Above 0.
    pub min_count: u64,
    /// The score above which a pair is joined; above 0. The higher, the fewer.
    pub threshold: f64,
    /// The most different pairs held while counting, at about 20 bytes each; with more, the rarest so far are forgotten.
    pub max_pairs: usize,
}

impl Default for Phrases {
    /// As word2phrase: at least 5, above 100.
    fn default() -> Self {
        Self { min_count: 5, threshold: 100.0, max_pairs: 10_000_000 }
    }
}

/// A pair that is joined.
#[derive(Debug, Clone, PartialEq)]
pub struct Phrase {
    /// The words with `_` between them.
    pub joined: String,
    /// How often the pair occurs.
    pub count: u64,
    /// Its score.
    pub score: f64,
}

impl Phrases {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<()> {
        if self.min_count == 0 {
            return Err(Error::config("min_count", 0, "must be at least 1").into());
        }
        if !(self.threshold > 0.0 && self.threshold.is_finite()) {
            return Err(Error::config("threshold", self.threshold, "must be above 0").into());
        }
        if self.max_pairs == 0 {
            return Err(Error::config("max_pairs", 0, "must be at least 1").into());
        }
        Ok(())
    }

    /// The pairs to join among `tokens`, numbers of `counter`, sentences apart by `end`.
    pub(super) fn find(&self, tokens: impl Iterator<Item = u32>, counter: &WordCounter, end: u32) -> Found {
        let counts = counter.counts();
        let frequent = |number: u32| number != end && counts[number as usize] >= self.min_count;
        let mut pairs: HashMap<(u32, u32), u64> = HashMap::new();
        let (mut before, mut words, mut dropped_up_to) = (end, 0u64, 0);
        for token in tokens {
            words += u64::from(token != end);
            if frequent(before) && frequent(token) {
                *pairs.entry((before, token)).or_insert(0) += 1;
                if pairs.len() > self.max_pairs {
                    dropped_up_to += 1;
                    pairs.retain(|_, count| *count > dropped_up_to);
                }
            }
            before = token;
        }
        let score = |(a, b): (u32, u32), count: u64| {
            let both = counts[a as usize] as f64 * counts[b as usize] as f64;
            (count as f64 - self.min_count as f64) / both * words as f64
        };
        let names: HashMap<u32, &str> = counter.words().collect();
        let phrase = |((a, b), count): ((u32, u32), u64)| {
            let score = score((a, b), count);
            (score > self.threshold)
                .then(|| ((a, b), Phrase { joined: [names[&a], names[&b]].join(JOINT), count, score }))
        };
        let mut pairs: Vec<((u32, u32), Phrase)> = pairs.into_iter().filter_map(phrase).collect();
        // The order of a hash map is another each time.
        pairs.sort_unstable_by_key(|(pair, _)| *pair);
        Found { pairs }
    }
}

/// The pairs to join.
pub(super) struct Found {
    pairs: Vec<((u32, u32), Phrase)>,
}

impl Found {
    /// A number of `counter` for each phrase.
    pub(super) fn numbers(&self, counter: &mut WordCounter) -> HashMap<(u32, u32), u32> {
        let number = |(pair, phrase): &((u32, u32), Phrase)| {
            (*pair, counter.number(&phrase.joined).unwrap_or_else(|| counter.add(&phrase.joined)))
        };
        self.pairs.iter().map(number).collect()
    }

    /// The phrases, the highest score first.
    pub(super) fn into_list(self) -> Vec<Phrase> {
        let mut phrases: Vec<Phrase> = self.pairs.into_iter().map(|(_, phrase)| phrase).collect();
        phrases.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.joined.cmp(&b.joined)));
        phrases
    }
}

/// `tokens` with each pair replaced by its phrase, from the left: a word is part of one phrase at most.
pub(super) fn join(tokens: impl Iterator<Item = u32>, phrases: &HashMap<(u32, u32), u32>) -> impl Iterator<Item = u32> {
    let mut tokens = tokens.peekable();
    std::iter::from_fn(move || {
        let token = tokens.next()?;
        let phrase = tokens.peek().and_then(|next| phrases.get(&(token, *next)));
        if phrase.is_some() {
            tokens.next();
        }
        Some(phrase.copied().unwrap_or(token))
    })
}
