//! The words of a corpus with their counts, and what is drawn by them.

use std::cmp::Reverse;
use std::collections::HashSet;

use sensorium_core::Error;

use crate::Result;

/// The power of a word's count by which negatives are drawn (Mikolov et al. 2013, §2.2).
const NEGATIVE_POWER: f64 = 0.75;

/// Words by falling count; words of equal count in the order in which the corpus has them first.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "Listed", into = "Listed")]
pub struct Vocabulary {
    /// All words, one after the other: a string each would take several times the memory.
    text: String,
    /// Where each word ends in `text`.
    ends: Vec<usize>,
    counts: Vec<u64>,
}

/// A vocabulary as it stands in a file.
#[derive(serde::Serialize, serde::Deserialize)]
struct Listed {
    words: Vec<String>,
    counts: Vec<u64>,
}

impl From<Listed> for Vocabulary {
    fn from(Listed { words, counts }: Listed) -> Self {
        let text = words.concat();
        let ends = words.iter().scan(0, |end, word| {
            *end += word.len();
            Some(*end)
        });
        Self { ends: ends.collect(), text, counts }
    }
}

impl From<Vocabulary> for Listed {
    fn from(vocabulary: Vocabulary) -> Self {
        Self { words: vocabulary.words().map(str::to_string).collect(), counts: vocabulary.counts }
    }
}

impl Vocabulary {
    /// Of words in the order of their first occurrence, with their counts; those rarer than `min_count` are left out.
    ///
    /// # Errors
    /// If fewer than two words are left: there is nothing to tell apart.
    pub fn new(counted: impl IntoIterator<Item = (String, u64)>, min_count: u64) -> Result<Self> {
        let mut kept: Vec<(String, u64)> = counted.into_iter().filter(|(_, count)| *count >= min_count).collect();
        if kept.len() < 2 {
            let rule =
                format!("at least 2 words must occur {min_count} times or more; give more text or a lower minimum");
            return Err(Error::config("corpus", format!("{} words", kept.len()), rule).into());
        }
        kept.sort_by_key(|(_, count)| Reverse(*count));
        let (words, counts) = kept.into_iter().unzip();
        Ok(Listed { words, counts }.into())
    }

    /// What is wrong with a vocabulary that was read from a file.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let distinct: HashSet<&str> = self.words().collect();
        if self.len() != self.counts.len() {
            Some("it has not as many counts as words")
        } else if self.len() < 2 || distinct.len() < self.len() {
            Some("its words are not two or more different ones")
        } else if !self.counts.is_sorted_by(|a, b| a >= b) || self.counts.last() == Some(&0) {
            Some("its counts do not fall to at least 1")
        } else {
            self.counts
                .iter()
                .try_fold(0u64, |sum, count| sum.checked_add(*count))
                .is_none()
                .then_some("its counts are too large")
        }
    }

    /// The number of words.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never: there are at least two.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The words.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut from = 0;
        self.ends.iter().map(move |end| &self.text[std::mem::replace(&mut from, *end)..*end])
    }

    /// How often each occurs.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The sum of the counts.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The probability of each word to be drawn as a negative.
    pub fn negative_probabilities(&self) -> Vec<f64> {
        let powers: Vec<f64> = self.counts.iter().map(|count| (*count as f64).powf(NEGATIVE_POWER)).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }

    /// The probability of each word's occurrence to be kept when frequent words are thinned out: of a word that makes
    /// up the share f of the text, `√(sample / f) + sample / f`, at most 1 (word2vec.c, not the paper's formula).
    /// `sample` 0 keeps all.
    pub fn keep_probabilities(&self, sample: f64) -> Vec<f64> {
        let total = self.total() as f64;
        let keep = |count: &u64| match sample {
            0.0 => 1.0,
            _ => {
                let over = sample * total / *count as f64;
                (over.sqrt() + over).min(1.0)
            }
        };
        self.counts.iter().map(keep).collect()
    }
}

/// Draws from a fixed distribution in constant time (Walker's alias method, in the table of Vose 1991).
#[derive(Debug, Clone)]
pub(super) struct Alias {
    /// For each outcome, below which 32-bit number it stands itself, and which outcome stands above.
    columns: Vec<(u32, u32)>,
}

impl Alias {
    /// Of probabilities that sum to 1.
    pub(super) fn new(probabilities: &[f64]) -> Self {
        const WHOLE: f64 = (1u64 << 32) as f64;
        let count = probabilities.len();
        let mut heights: Vec<f64> = probabilities.iter().map(|p| p * count as f64).collect();
        let mut columns: Vec<(u32, u32)> = (0..count as u32).map(|outcome| (u32::MAX, outcome)).collect();
        let (mut low, mut high): (Vec<usize>, Vec<usize>) = (0..count).partition(|i| heights[*i] < 1.0);
        while let (Some(short), Some(&tall)) = (low.pop(), high.last()) {
            columns[short] = ((heights[short] * WHOLE) as u32, tall as u32);
            heights[tall] -= 1.0 - heights[short];
            if heights[tall] < 1.0 {
                high.pop();
                low.push(tall);
            }
        }
        Self { columns }
    }

    /// The outcome that 64 random bits stand for.
    #[inline(always)]
    pub(super) fn draw(&self, bits: u64) -> u32 {
        let column = ((bits >> 32) * self.columns.len() as u64) >> 32;
        let (below, other) = self.columns[column as usize];
        if (bits as u32) < below { column as u32 } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    fn vocabulary(counts: &[u64]) -> Vocabulary {
        Vocabulary::new(counts.iter().enumerate().map(|(i, count)| (format!("w{i}"), *count)), 1).unwrap()
    }

    #[test]
    fn words_stand_by_falling_count_and_equals_by_first_occurrence() {
        let counted = [("a", 2), ("b", 5), ("c", 1), ("d", 5), ("e", 2)].map(|(w, n)| (w.to_string(), n));
        let vocabulary = Vocabulary::new(counted, 2).unwrap();
        assert_eq!(vocabulary.words().collect::<Vec<_>>(), ["b", "d", "a", "e"]);
        assert_eq!((vocabulary.counts(), vocabulary.total()), ([5, 5, 2, 2].as_slice(), 14));
    }

    #[test]
    fn a_file_lists_words_and_counts() {
        let vocabulary = Vocabulary::new([("é".to_string(), 9), (String::new(), 7), ("b".to_string(), 5)], 2).unwrap();
        let json = serde_json::to_string(&vocabulary).unwrap();
        assert_eq!(json, r#"{"words":["é","","b"],"counts":[9,7,5]}"#);
        assert_eq!(serde_json::from_str::<Vocabulary>(&json).unwrap(), vocabulary);
    }

    #[test]
    fn one_word_is_no_vocabulary() {
        let error = Vocabulary::new([("a".to_string(), 9), ("b".to_string(), 1)], 2).unwrap_err().to_string();
        assert!(error.contains("1 words") && error.contains("2 times"), "{error}");
    }

    #[test]
    fn frequent_words_are_thinned_out() {
        // A word that is 1% of the text with sample 1e-3, and one that is 5% with 1e-4.
        let of = |count: u64, sample: f64| vocabulary(&[10_000 - count, count]).keep_probabilities(sample)[1];
        assert!((of(100, 1e-3) - 0.4162).abs() < 1e-4, "{}", of(100, 1e-3));
        assert!((of(500, 1e-4) - 0.04672).abs() < 1e-5, "{}", of(500, 1e-4));
        assert_eq!(of(500, 0.0), 1.0);
    }

    #[test]
    fn the_alias_table_draws_by_the_probabilities() {
        let wanted = vocabulary(&[900, 90, 9, 1]).negative_probabilities();
        let alias = Alias::new(&wanted);
        let mut random = Random(5);
        let mut drawn = [0u32; 4];
        const DRAWS: u32 = 400_000;
        for _ in 0..DRAWS {
            drawn[alias.draw(random.bits()) as usize] += 1;
        }
        for (drawn, wanted) in drawn.iter().zip(wanted) {
            let share = f64::from(*drawn) / f64::from(DRAWS);
            let error = (wanted * (1.0 - wanted) / f64::from(DRAWS)).sqrt();
            assert!((share - wanted).abs() < 5.0 * error, "{share} {wanted}");
        }
    }
}
