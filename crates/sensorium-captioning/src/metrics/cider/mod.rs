//! CIDEr: agreement with the consensus of the references, rare runs of words counting more (Vedantam et al., 2015).

mod ids;

use super::ngram::words;
use super::{Example, Score};
use hashbrown::HashMap;
pub use ids::{CiderIdReferences, CiderIds};
use rayon::prelude::*;

/// Which of the two definitions.
///
/// Both weigh every run of `n` = 1 to 4 words by `count * ln(images / images whose references have it)`, making a
/// vector `h_n` of the hypothesis and `r_n` of a reference, and give 10 times the mean over references and `n`. They
/// differ in the similarity of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CiderVariant {
    /// The cosine `h_n . r_n / (|h_n| |r_n|)`.
    Cider,
    /// `min(h_n, r_n) . r_n / (|h_n| |r_n|) * exp(-(difference in length)^2 / 72)`: repeating a word does not pay, nor
    /// does a wrong length. What the COCO evaluation code calls CIDEr.
    #[default]
    CiderD,
}

/// CIDEr-D, the metric that the COCO evaluation code calls CIDEr, in 0..=10; the images' references say how rare a run
/// of words is. A set of one image scores 0, since nothing in it is rare.
pub fn cider_d(examples: &[Example]) -> Score {
    score_all(examples, CiderVariant::CiderD)
}

/// CIDEr without clipping and without a penalty for a wrong length, in 0..=10; otherwise as [`cider_d`].
pub fn cider(examples: &[Example]) -> Score {
    score_all(examples, CiderVariant::Cider)
}

fn score_all(examples: &[Example], variant: CiderVariant) -> Score {
    let cider = Cider::new(examples.iter().map(|example| example.references.as_slice()));
    let image = |example: &Example| cider.score(&example.hypothesis, &example.references, variant);
    Score::mean(examples.par_iter().map(image).collect())
}

/// How rare every run of words is in a set of references, kept to judge many captions, as a reward in self-critical
/// training does. [`CiderIds`] is the same for captions that are numbers already.
#[derive(Debug, Clone)]
pub struct Cider {
    vocabulary: HashMap<String, u32>,
    ids: CiderIds,
}

/// One image's references made ready by [`Cider::references`], to judge many captions of that image.
#[derive(Debug, Clone)]
pub struct CiderReferences {
    /// Words which [`Cider`] does not know.
    others: HashMap<String, u32>,
    ids: CiderIdReferences,
}

impl Cider {
    /// Counts in how many images' references every run of words occurs. `references` holds, for every image, its
    /// captions, words separated by white space.
    pub fn from_references(references: &[Vec<String>]) -> Self {
        Self::new(references.iter().map(Vec::as_slice))
    }

    fn new<'a>(references: impl Iterator<Item = &'a [String]>) -> Self {
        let mut vocabulary = HashMap::new();
        let ids: Vec<Vec<Vec<u32>>> =
            references.map(|image| image.iter().map(|caption| learn(caption, &mut vocabulary, 0)).collect()).collect();
        Self { ids: CiderIds::from_references(&ids), vocabulary }
    }

    /// Makes one image's references ready. They need not be among those that were counted.
    pub fn references(&self, references: &[String]) -> CiderReferences {
        let mut others = HashMap::new();
        let ids: Vec<Vec<u32>> = references.iter().map(|caption| self.learn_others(caption, &mut others)).collect();
        CiderReferences { ids: self.ids.references(&ids), others }
    }

    /// The score of a caption of an image with these references, in 0..=10; 0 without references.
    pub fn score(&self, hypothesis: &str, references: &[String], variant: CiderVariant) -> f64 {
        self.score_prepared(hypothesis, &self.references(references), variant)
    }

    /// The same with references made ready by [`Cider::references`].
    pub fn score_prepared(&self, hypothesis: &str, references: &CiderReferences, variant: CiderVariant) -> f64 {
        let mut others = HashMap::new();
        let base = (self.vocabulary.len() + references.others.len()) as u32;
        let ids: Vec<u32> = words(hypothesis)
            .into_iter()
            .map(|word| match self.vocabulary.get(word).or_else(|| references.others.get(word)) {
                Some(&id) => id,
                None => number(word, &mut others, base),
            })
            .collect();
        self.ids.score(&ids, &references.ids, variant)
    }

    /// The ids of a caption's words, unknown words being added to `others`.
    fn learn_others(&self, caption: &str, others: &mut HashMap<String, u32>) -> Vec<u32> {
        let base = self.vocabulary.len() as u32;
        let id = |word| self.vocabulary.get(word).copied().unwrap_or_else(|| number(word, others, base));
        words(caption).into_iter().map(id).collect()
    }
}

/// The ids of a caption's words, each new word getting the next number from `base` on.
fn learn(caption: &str, vocabulary: &mut HashMap<String, u32>, base: u32) -> Vec<u32> {
    words(caption).into_iter().map(|word| number(word, vocabulary, base)).collect()
}

/// A word's number, a new word getting the next one from `base` on.
fn number(word: &str, vocabulary: &mut HashMap<String, u32>, base: u32) -> u32 {
    let next = base + vocabulary.len() as u32;
    *vocabulary.entry_ref(word).or_insert(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(captions: &[&str]) -> Vec<String> {
        captions.iter().map(|caption| caption.to_string()).collect()
    }

    fn small() -> Cider {
        Cider::from_references(&[strings(&["a b c d e", "a c"]), strings(&["x y z a"]), strings(&["p q"])])
    }

    #[test]
    fn a_copy_of_the_only_reference_scores_ten() {
        let cider = Cider::from_references(&[strings(&["a b c d e"]), strings(&["v w x y z"])]);
        for variant in [CiderVariant::Cider, CiderVariant::CiderD] {
            assert!((cider.score("a b c d e", &strings(&["a b c d e"]), variant) - 10.0).abs() < 1e-12);
        }
    }

    #[test]
    fn repeating_pays_only_without_clipping() {
        let references = strings(&["a b c d e"]);
        let (once, twice) = ("b c", "b c b c b c b c");
        let cider = small();
        let ratio = |variant| cider.score(twice, &references, variant) / cider.score(once, &references, variant);
        assert!(ratio(CiderVariant::CiderD) < ratio(CiderVariant::Cider));
    }

    #[test]
    fn unknown_words_agree_with_themselves_only() {
        let cider = small();
        let score = |hypothesis, reference| cider.score(hypothesis, &strings(&[reference]), CiderVariant::CiderD);
        assert!((score("new words are here", "new words are here") - 10.0).abs() < 1e-12);
        assert_eq!(score("other things", "new words"), 0.0);
        assert_eq!(score("", "new words"), 0.0);
        assert_eq!(cider.score("a", &[], CiderVariant::Cider), 0.0);
    }

    #[test]
    fn one_image_scores_zero() {
        let example = Example { id: String::new(), references: strings(&["a b"]), hypothesis: "a b".into() };
        assert_eq!(cider_d(std::slice::from_ref(&example)).corpus, 0.0);
        assert!(cider(&[]).per_image.is_empty());
        assert_eq!(cider(&[example]).corpus, 0.0);
    }
}
