//! BLEU: how many of a caption's runs of words occur in the references (Papineni et al., 2002).

use super::ngram::{ORDERS, counts, words};
use super::{Example, Score};
use hashbrown::HashMap;
use rayon::prelude::*;

/// Added to numerators, so that no match is still a number.
const TINY: f64 = 1e-15;
/// Added to denominators, so that nothing is divided by 0.
const SMALL: f64 = 1e-9;

/// BLEU-1 to BLEU-4, each in 0..=1.
///
/// With `c_k` the runs of `k` words of the hypothesis found in a reference (each as often as the reference that has it
/// most often has it) and `g_k` all its runs of `k` words, BLEU-n is
/// `(prod_{k<=n} (c_k + 1e-15) / (g_k + 1e-9))^(1/n)`, times `e^(1 - 1/r)` where the hypothesis' length is `r < 1` of
/// the closest reference's length (the shorter of two equally close). For the set, counts and lengths are summed over
/// the images first.
pub fn bleu(examples: &[Example]) -> [Score; ORDERS] {
    let images: Vec<Tally> = examples.par_iter().map(Tally::of).collect();
    let corpus = images.iter().fold(Tally::default(), Tally::plus).scores();
    let per_image: Vec<[f64; ORDERS]> = images.iter().map(Tally::scores).collect();
    std::array::from_fn(|n| Score { corpus: corpus[n], per_image: per_image.iter().map(|image| image[n]).collect() })
}

/// What BLEU counts in one caption, or in many.
#[derive(Default, Clone, Copy)]
struct Tally {
    /// Runs of 1 to 4 words found in the references.
    correct: [usize; ORDERS],
    /// Runs of 1 to 4 words.
    guessed: [usize; ORDERS],
    length: usize,
    reference_length: usize,
}

impl Tally {
    fn of(example: &Example) -> Self {
        let hypothesis = words(&example.hypothesis);
        let references: Vec<Vec<&str>> = example.references.iter().map(|reference| words(reference)).collect();
        let mut most = HashMap::new();
        for reference in &references {
            for (run, count) in counts(reference) {
                let most = most.entry(run).or_insert(0);
                *most = count.max(*most);
            }
        }
        let length = hypothesis.len();
        let closest = references.iter().map(Vec::len).min_by_key(|&reference| (reference.abs_diff(length), reference));
        let mut tally = Self {
            correct: [0; ORDERS],
            guessed: std::array::from_fn(|k| length.saturating_sub(k)),
            length,
            reference_length: closest.unwrap_or(0),
        };
        for (run, count) in counts(&hypothesis) {
            tally.correct[run.len() - 1] += count.min(most.get(run).copied().unwrap_or(0));
        }
        tally
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            correct: std::array::from_fn(|k| self.correct[k] + other.correct[k]),
            guessed: std::array::from_fn(|k| self.guessed[k] + other.guessed[k]),
            length: self.length + other.length,
            reference_length: self.reference_length + other.reference_length,
        }
    }

    fn scores(&self) -> [f64; ORDERS] {
        let ratio = (self.length as f64 + TINY) / (self.reference_length as f64 + SMALL);
        let brevity = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        std::array::from_fn(|k| {
            product *= (self.correct[k] as f64 + TINY) / (self.guessed[k] as f64 + SMALL);
            product.powf(1.0 / (k + 1) as f64) * brevity
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(references: &[&str], hypothesis: &str) -> Example {
        let references = references.iter().map(|reference| reference.to_string()).collect();
        Example { id: String::new(), references, hypothesis: hypothesis.into() }
    }

    #[test]
    fn a_copy_scores_one_and_a_stranger_zero() {
        for score in bleu(&[example(&["a man rides a horse"], "a man rides a horse")]) {
            assert!((score.corpus - 1.0).abs() < 1e-8);
        }
        for score in bleu(&[example(&["a man rides a horse"], "two dogs")]) {
            assert!(score.corpus < 1e-3);
        }
    }

    #[test]
    fn a_word_counts_no_more_often_than_one_reference_has_it() {
        let [unigrams, ..] = bleu(&[example(&["the cat", "the the dog"], "the the the")]);
        assert!((unigrams.corpus - 2.0 / 3.0).abs() < 1e-8);
    }

    #[test]
    fn of_two_equally_close_lengths_the_shorter_counts() {
        let [unigrams, ..] = bleu(&[example(&["a b c", "a b c d e"], "a b c d")]);
        assert!((unigrams.corpus - 1.0).abs() < 1e-8);
    }

    #[test]
    fn nothing_at_all_scores_zero() {
        assert_eq!(bleu(&[])[3], Score::default());
        assert_eq!(bleu(&[example(&["a"], "")])[0].corpus, 0.0);
        assert!(bleu(&[example(&[], "a")])[0].corpus < 1e-14);
    }
}
