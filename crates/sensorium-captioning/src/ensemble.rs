//! Several captioners that tell together.

use burn::tensor::Tensor;
use image::RgbImage;
use sensorium_core::Error as CoreError;

use crate::captioner::{DecoderConfig, Searcher, SearcherState};
use crate::decode::{Followers, Found, NextWords, Row, Sentence};
use crate::{BeamSearch, Captioner, Limits, Result, Sampling, WordMap};

/// Captioners that choose each word together, by the mean of their probabilities, each looking with its own encoder:
/// the ensemble of Sutskever et al. (2014, §3.6) and of Show and Tell (Vinyals et al. 2017, §4.3). Captioners of one
/// kind trained with other seeds on the same sentences slip in different places; together they slip less.
///
/// An ensemble of one is that captioner, to the bit.
///
/// ```no_run
/// use sensorium_captioning::{BeamSearch, Captioner, Ensemble};
/// use sensorium_vision::io::{self, Decoding};
///
/// let device = sensorium_core::device::parse("flex")?;
/// let ensemble = Ensemble::new(vec![Captioner::load("run", &device)?, Captioner::load("other", &device)?])?;
/// let picture = io::read("dog.jpg", &Decoding::default())?;
/// let views = ensemble.look(&[picture]);
/// let found = ensemble.search(&views, &BeamSearch::new(5), &ensemble.first().limits());
/// println!("{}", ensemble.first().words().sentence(&found[0].best().words));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Ensemble {
    /// At least one.
    captioners: Vec<Captioner>,
}

impl Ensemble {
    /// An ensemble of these captioners, which know the same words under the same numbers.
    ///
    /// # Errors
    /// If there is none, or the words of two differ.
    pub fn new(captioners: Vec<Captioner>) -> Result<Self> {
        let Some((first, others)) = captioners.split_first() else {
            return Err(CoreError::config("captioners", 0, "must be at least one").into());
        };
        for (other, place) in others.iter().zip(2..) {
            if let Some(rule) = difference(first.words(), other.words()) {
                return Err(CoreError::config(format!("words of captioner {place}"), other.words().len(), rule).into());
            }
        }
        Ok(Self { captioners })
    }

    /// The first captioner, whose words and limits are those of all.
    pub fn first(&self) -> &Captioner {
        &self.captioners[0]
    }

    /// Positions along a side where attention chooses among; `None` where a captioner has no attention, or another grid.
    pub fn grid(&self) -> Option<usize> {
        let grid = |captioner: &Captioner| match &captioner.config().decoder {
            DecoderConfig::Attend { grid, .. } => Some(*grid),
            DecoderConfig::ShowAndTell(_) => None,
        };
        let first = grid(self.first())?;
        self.captioners.iter().all(|captioner| grid(captioner) == Some(first)).then_some(first)
    }

    /// What each captioner's decoder sees of pictures, `[pictures, positions, features]`.
    ///
    /// # Panics
    /// If there is no picture.
    pub fn look(&self, pictures: &[RgbImage]) -> Vec<Tensor<3>> {
        self.captioners.iter().map(|captioner| captioner.look(pictures)).collect()
    }

    /// Searches for a sentence for each picture of `views`, which [`look`](Self::look) makes. The sentence's attention is
    /// the mean of all captioners'; it has none where [`grid`](Self::grid) is none.
    ///
    /// # Panics
    /// If `search` has settings out of range, or there is not one view for each captioner.
    pub fn search(&self, views: &[Tensor<3>], search: &BeamSearch, limits: &Limits) -> Vec<Found> {
        let together = self.together();
        search.search(&together, together.start(views), views[0].dims()[0], limits)
    }

    /// Draws a sentence for each picture of `views`, as [`search`](Self::search) takes them.
    ///
    /// # Panics
    /// As [`search`](Self::search).
    pub fn sample(&self, views: &[Tensor<3>], sampling: &Sampling, limits: &Limits) -> Vec<Sentence> {
        let together = self.together();
        sampling.draw(&together, together.start(views), views[0].dims()[0], limits)
    }

    fn together(&self) -> Together<'_> {
        Together(self.captioners.iter().map(Captioner::searcher).collect())
    }
}

/// How `words` are not `wanted`, as a rule for them.
fn difference(wanted: &WordMap, words: &WordMap) -> Option<String> {
    let both = wanted.len().min(words.len()) as u32;
    let rule = match (0..both).find(|id| wanted.word(*id) != words.word(*id)) {
        Some(id) => format!("number {id} is '{}' there and '{}' here", wanted.word(id), words.word(id)),
        None if wanted.len() == words.len() => return None,
        None => "the others are not the same".to_string(),
    };
    Some(format!("must be the first captioner's {}; {rule}: train both on the same sentences", wanted.len()))
}

/// Decoders that foretell together.
struct Together<'a>(Vec<&'a Searcher>);

impl Together<'_> {
    fn start(&self, views: &[Tensor<3>]) -> Vec<SearcherState> {
        assert_eq!(views.len(), self.0.len(), "one view for each captioner");
        self.0.iter().zip(views).map(|(searcher, view)| searcher.start(view.clone())).collect()
    }
}

impl NextWords for Together<'_> {
    type State = Vec<SearcherState>;

    fn vocab(&self) -> usize {
        self.0[0].vocab()
    }

    fn next(&self, states: &Vec<SearcherState>, rows: &[Row]) -> (Vec<SearcherState>, Followers) {
        let next = self.0.iter().zip(states).map(|(searcher, state)| searcher.next(state, rows));
        let (states, followers): (Vec<_>, Vec<_>) = next.unzip();
        (states, mean(followers))
    }
}

/// What several decoders foretell on average.
fn mean(mut followers: Vec<Followers>) -> Followers {
    if followers.len() == 1 {
        return followers.remove(0);
    }
    let share = (followers.len() as f32).recip();
    let looked: Option<Vec<Vec<f32>>> = followers.iter_mut().map(|followers| followers.attention.take()).collect();
    let attention = looked.filter(|looked| looked.iter().all(|of_one| of_one.len() == looked[0].len()));
    let probabilities = |of_one: Followers| of_one.log_probs.into_iter().map(f32::exp).collect();
    let log_probs = mean_of(followers.into_iter().map(probabilities).collect(), share);
    Followers {
        log_probs: log_probs.into_iter().map(f32::ln).collect(),
        attention: attention.map(|looked| mean_of(looked, share)),
    }
}

fn mean_of(rows: Vec<Vec<f32>>, share: f32) -> Vec<f32> {
    let mut sum = vec![0.0; rows[0].len()];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, number)| *sum += number * share);
    }
    sum
}

#[cfg(test)]
mod tests {
    use sensorium_core::device;

    use super::*;
    use crate::captioner::tests::{captioner, config, decoders};

    fn followers(probabilities: [f32; 3], attention: Option<Vec<f32>>) -> Followers {
        Followers { log_probs: probabilities.map(f32::ln).to_vec(), attention }
    }

    #[test]
    fn probabilities_and_attention_are_averaged() {
        let one = followers([0.5, 0.5, 0.0], Some(vec![1.0, 0.0]));
        let other = followers([0.25, 0.0, 0.75], Some(vec![0.5, 0.5]));
        let both = mean(vec![one.clone(), other]);
        let probabilities: Vec<f32> = both.log_probs.iter().map(|log_prob| log_prob.exp()).collect();
        assert!(probabilities.iter().zip([0.375, 0.25, 0.375]).all(|(got, want)| (got - want).abs() < 1e-6));
        assert_eq!(both.attention, Some(vec![0.75, 0.25]));

        let blind = followers([1.0, 0.0, 0.0], None);
        assert_eq!(mean(vec![one.clone(), blind.clone()]).attention, None);
        let finer = followers([1.0, 0.0, 0.0], Some(vec![0.25; 4]));
        assert_eq!(mean(vec![one.clone(), finer]).attention, None);
        let alone = mean(vec![one.clone()]);
        assert_eq!((alone.log_probs, alone.attention), (one.log_probs, one.attention), "one alone stays as it is");
    }

    #[test]
    fn captioners_of_every_kind_tell_together() {
        let pictures =
            [RgbImage::from_fn(60, 40, |x, y| image::Rgb([4 * x as u8, 5 * y as u8, 90])), RgbImage::new(9, 9)];
        for (backend, device) in device::built() {
            let of = |place: usize, seed| {
                device.seed(seed);
                captioner(config(decoders()[place].clone()), &device).unwrap()
            };
            let tell = |captioners: Vec<Captioner>| {
                let ensemble = Ensemble::new(captioners).unwrap();
                let limits = Limits { max_steps: 8, ..ensemble.first().limits() };
                let views = ensemble.look(&pictures);
                let found = ensemble.search(&views, &BeamSearch::new(3), &limits);
                let drawn = ensemble.sample(&views, &Sampling::new(1), &limits);
                let best: Vec<Sentence> = found.iter().map(|found| found.best().clone()).collect();
                (best, drawn, ensemble.grid())
            };
            let (alone, drawn, grid) = tell(vec![of(0, 1)]);
            let one = of(0, 1);
            let limits = Limits { max_steps: 8, ..one.limits() };
            let found = one.search(&pictures, &BeamSearch::new(3), &limits);
            assert!(found.iter().zip(&alone).all(|(found, alone)| found.best() == alone), "{backend}: one alone");
            assert_eq!(drawn, one.sample(&pictures, &Sampling::new(1), &limits), "{backend}: one alone");
            assert_eq!(grid, Some(3));

            let (twice, _, grid) = tell(vec![of(0, 1), of(0, 1)]);
            for (twice, alone) in twice.iter().zip(&alone) {
                assert_eq!(twice.words, alone.words, "{backend}: one twice");
                assert!((twice.score - alone.score).abs() < 1e-4, "{backend}: one twice");
                assert_eq!(twice.attention.len(), alone.attention.len(), "{backend}: one twice");
            }
            assert_eq!(grid, Some(3));

            let (mixed, _, grid) = tell(vec![of(0, 1), of(1, 2)]);
            assert_ne!(mixed[0].score, alone[0].score, "{backend}: the other tells along");
            assert!(mixed.iter().all(|sentence| sentence.attention.is_empty()), "{backend}");
            assert_eq!(grid, None);
        }
    }

    #[test]
    fn other_words_are_refused() {
        let fault = |captioners| Ensemble::new(captioners).unwrap_err().to_string();
        assert_eq!(fault(vec![]), "captioners = 0: must be at least one");
        let wanted = WordMap::build([["a", "red", "ball"].as_slice()].into_iter(), 0);
        let other = WordMap::build([["a", "blue", "ball"].as_slice()].into_iter(), 0);
        let rule = difference(&wanted, &other).unwrap();
        assert!(rule.contains("number 2 is 'red' there and 'blue' here"), "{rule}");
        let more = WordMap::build([["a", "red", "ball", "rolls"].as_slice()].into_iter(), 0);
        let rule = difference(&wanted, &more).unwrap();
        assert!(rule.contains("must be the first captioner's 7; number 4 is '<unk>' there and 'rolls' here"), "{rule}");
        assert_eq!(difference(&wanted, &wanted), None);
    }
}
