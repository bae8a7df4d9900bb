//! Sentences drawn at random.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sensorium_core::Error as CoreError;

use super::{Limits, NextWords, Row, Sentence};
use crate::Result;

/// Draws each word by its probability, after the distribution is sharpened and cut.
///
/// A picture's sentence depends on the seed and on its number in the batch alone. A sentence's score is the sum of the
/// decoder's own log-probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// What logits are divided by: below 1 likely words become likelier; more than 0.
    pub temperature: f32,
    /// Only the so many likeliest words are drawn from (Fan et al. 2018, "Hierarchical Neural Story Generation");
    /// `None` for all.
    pub top_k: Option<usize>,
    /// Only the likeliest words that together have at least this probability are drawn from (Holtzman et al. 2020,
    /// "The Curious Case of Neural Text Degeneration"); 1 for all.
    pub top_p: f32,
    /// What the draws follow from.
    pub seed: u64,
}

impl Sampling {
    /// Draws from the decoder's own distribution.
    pub fn new(seed: u64) -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0, seed }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If the temperature is not positive, `top_k` is 0, or `top_p` is outside (0, 1].
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(CoreError::config("temperature", self.temperature, "must be more than 0").into());
        }
        if self.top_k == Some(0) {
            return Err(CoreError::config("top_k", 0, "must be at least 1").into());
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(CoreError::config("top_p", self.top_p, "must be more than 0 and at most 1").into());
        }
        Ok(())
    }

    /// One sentence for each of `pictures` pictures, whose rows `start` has in order.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the settings.
    pub fn draw<D: NextWords>(&self, decoder: &D, start: D::State, pictures: usize, limits: &Limits) -> Vec<Sentence> {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let mut draws: Vec<Draw> = (0..pictures).map(|picture| Draw::new(self.seed, picture)).collect();
        let mut state = start;
        for _ in 0..limits.max_steps {
            let mut live: Vec<&mut Draw> =
                draws.iter_mut().filter(|draw| !draw.sentence.is_complete(limits.end)).collect();
            if live.is_empty() {
                break;
            }
            let word = |draw: &Draw| draw.sentence.words.last().copied().unwrap_or(limits.start);
            let rows: Vec<Row> = live.iter().map(|draw| Row { from: draw.row, word: word(draw) }).collect();
            let (next, mut followers) = decoder.next(&state, &rows);
            let looked = followers.attention.as_ref().map(|weights| weights.chunks(weights.len() / rows.len()));
            let mut looked = looked.into_iter().flatten();
            let choices = followers.log_probs.chunks_exact_mut(decoder.vocab());
            for (row, (draw, log_probs)) in live.iter_mut().zip(choices).enumerate() {
                draw.row = row;
                limits.apply(draw.sentence.words.len(), log_probs);
                draw.sentence.attention.extend(looked.next().map(<[f32]>::to_vec));
                let word = self.choose(log_probs, &mut draw.rng);
                draw.sentence.score += log_probs[word];
                draw.sentence.words.push(word as u32);
            }
            state = next;
        }
        draws.into_iter().map(|draw| draw.sentence).collect()
    }

    fn choose(&self, log_probs: &[f32], rng: &mut ChaCha8Rng) -> usize {
        let mut words: Vec<usize> = (0..log_probs.len()).collect();
        words.sort_by(|a, b| log_probs[*b].total_cmp(&log_probs[*a]));
        words.truncate(self.top_k.unwrap_or(words.len()));
        let highest = log_probs[words[0]];
        let weight = |word: &usize| ((log_probs[*word] - highest) / self.temperature).exp();
        let mut weights: Vec<f32> = words.iter().map(weight).collect();
        if self.top_p < 1.0 {
            let enough = self.top_p * weights.iter().sum::<f32>();
            let mut sum = 0.0;
            let before_enough = weights.iter().take_while(|weight| {
                sum += **weight;
                sum < enough
            });
            let kept = 1 + before_enough.count();
            weights.truncate(kept);
        }
        words[drawn(weights.into_iter(), rng)]
    }
}

/// A place drawn by its weight; the weights need not sum to 1.
pub(crate) fn drawn(weights: impl Iterator<Item = f32> + Clone, rng: &mut ChaCha8Rng) -> usize {
    let total: f64 = weights.clone().map(f64::from).sum();
    let mut left = rng.random::<f64>() * total;
    let mut last = 0;
    for (place, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
        left -= f64::from(weight);
        if left < 0.0 {
            return place;
        }
        last = place; // what rounding leaves over
    }
    last
}

/// A sentence that is being drawn.
struct Draw {
    row: usize,
    sentence: Sentence,
    rng: ChaCha8Rng,
}

impl Draw {
    fn new(seed: u64, picture: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(picture as u64);
        Self { row: picture, sentence: Sentence { words: vec![], score: 0.0, attention: vec![] }, rng }
    }
}

#[cfg(test)]
mod tests {
    use super::super::BeamSearch;
    use super::super::tests::Table;
    use super::*;

    const LIMITS: Limits = Limits { start: 0, end: 1, max_steps: 12, min_words: 0, suppressed: vec![] };

    #[test]
    fn words_come_as_often_as_they_are_likely() {
        let table = Table::random(1, 5, 3);
        let limits = Limits { max_steps: 1, ..LIMITS };
        let draws = 20_000;
        for (temperature, top_k, top_p) in [(1.0, None, 1.0), (0.5, None, 1.0), (1.0, Some(2), 1.0), (1.0, None, 0.6)] {
            let mut counts = [0.0; 5];
            for seed in 0..draws {
                let sampling = Sampling { temperature, top_k, top_p, seed };
                counts[sampling.draw(&table, table.start(), 1, &limits)[0].words[0] as usize] += 1.0 / draws as f64;
            }
            let mut expected: Vec<f64> =
                table.row(0, 0).iter().map(|p| (f64::from(*p) / f64::from(temperature)).exp()).collect();
            let mut order = [0, 1, 2, 3, 4];
            order.sort_by(|a, b| expected[*b].total_cmp(&expected[*a]));
            let all: f64 = expected.iter().sum();
            let mut sum = 0.0;
            for (place, word) in order.into_iter().enumerate() {
                let cut = top_k.is_some_and(|k| place >= k) || sum >= f64::from(top_p) * all;
                sum += expected[word];
                if cut {
                    expected[word] = 0.0;
                }
            }
            let kept: f64 = expected.iter().sum();
            for (count, expected) in counts.iter().zip(expected) {
                let expected = expected / kept;
                assert!((count - expected).abs() < 0.015, "{counts:?}: {count} for {expected}");
            }
        }
    }

    #[test]
    fn cold_is_greedy_and_a_seed_gives_one_sentence() {
        let table = Table::random(3, 6, 9);
        let cold = Sampling { temperature: 1e-4, ..Sampling::new(5) }.draw(&table, table.start(), 3, &LIMITS);
        let greedy = BeamSearch::new(1).search(&table, table.start(), 3, &LIMITS);
        for (cold, greedy) in cold.iter().zip(&greedy) {
            assert_eq!(cold.words, greedy.best().words);
        }
        let draw = |seed| Sampling::new(seed).draw(&table, table.start(), 3, &LIMITS);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn settings_are_checked() {
        for (sampling, part) in [
            (Sampling { temperature: 0.0, ..Sampling::new(0) }, "temperature = 0"),
            (Sampling { top_k: Some(0), ..Sampling::new(0) }, "top_k = 0"),
            (Sampling { top_p: 1.5, ..Sampling::new(0) }, "top_p = 1.5"),
        ] {
            let fault = sampling.validate().unwrap_err().to_string();
            assert!(fault.starts_with(part), "{fault}");
        }
    }
}
