//! The five-fold protocol run through: every method on every fold, and the table of means.

use std::fmt;
use std::path::Path;

use burn::tensor::Device;
use sensorium_vision::pairs::folds;
use serde::Serialize;

use super::emoji::Style;
use super::features::{Features, Matrix, Standard};
use super::fit::Lesson;
use super::pairs::Pairs;
use super::protocol::{Answers, Embedded, Fold, NearestAnswers, Protocol, RawFeatures, Scales, TagScores};
use super::space::{Origin, Space};

use super::words::{Semantics, TextMap};
use crate::Result;

/// A training part is dealt into this many parts, one of which chooses settings.
const INNER_PARTS: usize = 5;

/// A way to fit a space to a lesson.
pub struct Method<'a> {
    /// Its name in the table.
    pub name: &'a str,
    /// Fits it.
    pub fit: &'a mut dyn FnMut(Lesson, Origin) -> Result<Space>,
}

/// The bundled set with the features of both styles.
pub struct Subject {
    /// The questions.
    pub protocol: Protocol,
    /// Google's drawings with their names.
    pub google: Pairs,
    /// Twitter's.
    pub twitter: Pairs,
    /// What a picture's features are.
    pub features: Features,
    /// The features of Google's drawings.
    pub google_features: Matrix,
    /// The features of Twitter's.
    pub twitter_features: Matrix,
}

/// What the folds of one method say.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// The method.
    pub name: String,
    /// Its answers, fold by fold.
    pub folds: Vec<Answers>,
}

/// What all folds of all methods say.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The methods that fit a space.
    pub methods: Vec<Measured>,
    /// Raw features alone, fold by fold.
    pub nearest: Vec<NearestAnswers>,
    /// Tags ranked by how frequent they are, fold by fold.
    pub tag_prior: Vec<TagScores>,
    /// Held-out base emoji, fold by fold.
    pub held_out: Vec<usize>,
}

impl Subject {
    /// Reads or makes the features of both styles, kept under `cache`. `progress` hears how many drawings are done.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub fn open(cache: &Path, device: &Device, progress: &mut dyn FnMut(usize)) -> Result<Self> {
        let protocol = Protocol::new();
        let features = Features::drawings();
        let [google, twitter] = [Style::Google, Style::Twitter].map(|style| protocol.set().pairs(style));
        let google_features = features.of_pairs(&google, cache, device, progress)?;
        let done = google.items.len();
        let twitter_features = features.of_pairs(&twitter, cache, device, &mut |more| progress(done + more))?;
        Ok(Self { protocol, google, twitter, features, google_features, twitter_features })
    }

    /// How many drawings [`open`](Self::open) reads.
    pub fn drawings() -> usize {
        2 * super::emoji::Emoji::bundled().items.len()
    }

    /// The folds.
    pub fn folds(&self, count: usize, seed: u64) -> Vec<Fold> {
        let groups: Vec<&str> = self.google.items.iter().map(|pair| pair.group.as_str()).collect();
        let fold_of = folds(&groups, count, seed);
        let part = |held_out: usize| {
            let (test, train) = (0..groups.len()).partition(|i| fold_of[*i] == held_out);
            Fold { train, test }
        };
        (0..count).map(part).collect()
    }

    /// The lesson of a fold.
    pub fn lesson<'a>(&'a self, fold: &'a Fold) -> Lesson<'a> {
        Lesson { pairs: &self.google, features: &self.google_features, train: &fold.train }
    }

    /// Where a space learned from the set comes from.
    pub fn origin(&self, lesson: Lesson, seed: u64) -> Origin {
        Origin { data: "emoji".to_string(), seed, features: self.features.clone(), tags: lesson.tags() }
    }

    /// Puts every question of a fold to a space that learned from it, with these lengths of the text offsets.
    ///
    /// # Errors
    /// If an embedding is not finite.
    pub fn ask(&self, fold: &Fold, space: &Space, raw: &RawFeatures, scales: Scales) -> Result<Answers> {
        let google = space.embed_features(&self.google_features);
        let twitter = space.embed_features_as(&self.twitter_features, &Standard::of(&self.twitter_features));
        let texts = |texts: &[&str]| space.embed_texts(texts);
        let embedded = Embedded { google: &google, twitter: &twitter, texts: &texts };
        self.protocol.ask(fold, &embedded, raw, scales)
    }

    /// The training concepts of a fold dealt again: most to learn from, a part to choose settings on.
    pub fn inner(&self, fold: &Fold, seed: u64) -> Fold {
        let groups: Vec<&str> = fold.train.iter().map(|i| self.google.items[*i].group.as_str()).collect();
        let part_of = folds(&groups, INNER_PARTS, seed);
        let items = |held_out: bool| {
            let of = fold.train.iter().zip(&part_of).filter(move |(_, part)| (**part == 0) == held_out);
            of.map(|(item, _)| *item).collect()
        };
        Fold { train: items(false), test: items(true) }
    }

    /// The lengths of the text offsets that serve a space best on the concepts that `inner` holds out.
    ///
    /// # Errors
    /// If an embedding is not finite.
    pub fn choose_scales(&self, inner: &Fold, space: &Space) -> Result<Scales> {
        let google = space.embed_features(&self.google_features);
        let texts = |texts: &[&str]| space.embed_texts(texts);
        self.protocol.best_scales(&inner.test, &Embedded { google: &google, twitter: &google, texts: &texts })
    }

    /// What raw features answer on a fold.
    ///
    /// # Errors
    /// If no training name has a GloVe vector.
    pub fn ask_nearest(&self, fold: &Fold, raw: &RawFeatures) -> Result<NearestAnswers> {
        let map: TextMap = self.lesson(fold).text_map(Semantics::Kernel, false)?;
        self.protocol.ask_nearest(fold, raw, &|texts| map.forward(texts))
    }

    /// What raw features say of a fold. Google's are standardised by its training drawings, Twitter's by their own.
    pub fn raw_features(&self, fold: &Fold) -> RawFeatures {
        let google = Standard::of(&self.google_features.select(&fold.train)).apply(&self.google_features);
        let twitter = Standard::of(&self.twitter_features).apply(&self.twitter_features);
        self.protocol.raw_features(fold, google.normalised(), &twitter.normalised())
    }

    /// Runs every method on every fold. `progress` hears of each method's fold as it ends.
    ///
    /// # Errors
    /// If a method cannot be fitted.
    pub fn run(
        &self,
        folds: &[Fold],
        seed: u64,
        methods: &mut [Method],
        progress: &mut dyn FnMut(&str, usize),
    ) -> Result<Table> {
        let mut table = Table {
            methods: methods.iter().map(|m| Measured { name: m.name.to_string(), folds: Vec::new() }).collect(),
            nearest: Vec::new(),
            tag_prior: Vec::new(),
            held_out: Vec::new(),
        };
        for (number, fold) in folds.iter().enumerate() {
            let lesson = self.lesson(fold);
            let inner = self.inner(fold, seed);
            let raw = self.raw_features(fold);
            for (method, measured) in methods.iter_mut().zip(&mut table.methods) {
                let rehearsal = (method.fit)(self.lesson(&inner), self.origin(lesson, seed))?;
                let scales = self.choose_scales(&inner, &rehearsal)?;
                let space = (method.fit)(lesson, self.origin(lesson, seed))?;
                measured.folds.push(self.ask(fold, &space, &raw, scales)?);
                progress(method.name, number);
            }
            table.nearest.push(self.ask_nearest(fold, &raw)?);
            table.tag_prior.push(self.protocol.tag_prior(fold)?);
            let base = |i: &&usize| self.protocol.set().items[**i].base;
            table.held_out.push(fold.test.iter().filter(base).count());
        }
        Ok(table)
    }
}

/// A mean over folds with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The standard deviation between folds over the root of their number; none for one fold.
    pub standard_error: Option<f64>,
}

/// `22.5 ± 1.5`, or `22.5` for one fold.
impl fmt::Display for Mean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.mean)?;
        self.standard_error.map_or(Ok(()), |error| write!(f, " ± {error:.1}"))
    }
}

impl Mean {
    /// Of one number a fold.
    ///
    /// # Panics
    /// If there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        assert!(!values.is_empty(), "a mean of at least one fold");
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let standard_error = (values.len() > 1).then(|| (spread / (n - 1.0) / n).sqrt());
        Self { mean, standard_error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_its_standard_error() {
        assert_eq!(Mean::of([2.0, 4.0]), Mean { mean: 3.0, standard_error: Some(1.0) });
        assert_eq!(Mean::of([5.0]), Mean { mean: 5.0, standard_error: None });
        assert_eq!([Mean::of([2.0, 4.0]).to_string(), Mean::of([5.0]).to_string()], ["3.0 ± 1.0", "5.0"]);
    }
}
