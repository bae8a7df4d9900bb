//! How much is read in a round.
//!
//! All of a round is computed from the tables as they stood before it. A row that many pairs change at once then goes too
//! far: where the sum of the rates of its pairs is large, it overshoots, further each round. So a round is as long as
//! its most changed row allows.

use super::settings::{Model, Objective, Settings, Updates};
use super::vocabulary::Vocabulary;

/// The most that the rates of the pairs which change a row in a round may sum to, as is expected of a round.
const MOST_HEAT: f64 = 8.0;
/// The most readers and, of each, tokens in a round; fewer than the least are not worth their while.
const MOST_READERS: usize = 64;
const MOST_TOKENS: usize = 64;
const LEAST_TOKENS: usize = 16;
/// Words to a reader: text of few words meets the same ones everywhere.
const WORDS_A_READER: usize = 2000;
/// The inner nodes above a word, about: a tree over a million words has no more on the mean.
const PATH: f64 = 14.0;

pub(super) struct Pace {
    pub(super) readers: usize,
    /// Of each reader, in a round.
    pub(super) tokens: usize,
}

impl Pace {
    pub(super) fn of(vocabulary: &Vocabulary, settings: &Settings) -> Self {
        if settings.updates == Updates::Classic {
            return Self { readers: 1, tokens: 10_000 };
        }
        let words = vocabulary.len();
        let readers = (words / WORDS_A_READER).clamp(1, MOST_READERS);
        let tokens = (words / LEAST_TOKENS).clamp(LEAST_TOKENS, MOST_TOKENS);
        let all = ((MOST_HEAT / heat(vocabulary, settings)) as usize).clamp(LEAST_TOKENS, readers * tokens);
        let readers = readers.min(all / LEAST_TOKENS);
        Self { readers, tokens: all / readers }
    }
}

/// The sum of the rates by which a token of the text changes the row that it changes most, as is expected.
fn heat(vocabulary: &Vocabulary, settings: &Settings) -> f64 {
    let total = vocabulary.total() as f64;
    let keep = vocabulary.keep_probabilities(settings.sample);
    let shares = || keep.iter().zip(vocabulary.counts()).map(|(keep, count)| keep * *count as f64 / total);
    let (kept, commonest) = (shares().sum::<f64>(), shares().fold(0.0, f64::max));
    // A window has that many words on the mean.
    let around = settings.window as f64 + 1.0;
    let (inputs, share) = match settings.model {
        Model::SkipGram => (around, 1.0),
        Model::Cbow { corrected: true } => (1.0, 1.0 / around),
        Model::Cbow { corrected: false } => (1.0, 1.0),
    };
    let (outputs, output) = match settings.objective {
        Objective::NegativeSampling(count) => {
            let count = count as f64;
            let negatives = vocabulary.negative_probabilities();
            let drawn = negatives.iter().map(|p| kept * count * p);
            (1.0 + count, shares().zip(drawn).map(|(told, drawn)| told + drawn).fold(0.0, f64::max))
        }
        // Every word changes the root.
        Objective::HierarchicalSoftmax => (PATH, kept),
    };
    let input = commonest * around * outputs * share;
    f64::from(settings.learning_rate()) * input.max(output * inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words by Zipf's law: the first makes up a twelfth of the text.
    fn vocabulary(words: u64) -> Vocabulary {
        Vocabulary::new((1..=words).map(|rank| (rank.to_string(), 100_000_000 / rank)), 1).unwrap()
    }

    fn read(words: u64, settings: Settings) -> usize {
        let Pace { readers, tokens } = Pace::of(&vocabulary(words), &settings);
        assert!(readers >= 1 && tokens >= LEAST_TOKENS, "{readers} {tokens}");
        readers * tokens
    }

    #[test]
    fn a_round_is_shorter_where_rows_are_changed_more() {
        let usual = read(50_000, Settings::default());
        assert!(usual > 900, "{usual}");
        assert!(read(2_000_000, Settings::default()) > usual);
        for hot in [
            Settings { sample: 0.0, ..Settings::default() },
            Settings { objective: Objective::HierarchicalSoftmax, ..Settings::default() },
            Settings { learning_rate: Some(0.5), ..Settings::default() },
        ] {
            assert!(read(50_000, hot.clone()) < usual / 4, "{hot:?}");
        }
        assert_eq!(read(100, Settings::default()), LEAST_TOKENS);
        assert_eq!(read(2, Settings { sample: 0.0, learning_rate: Some(1.0), ..Settings::default() }), LEAST_TOKENS);
    }
}
