//! A text as a fixed vector: what its words mean by GloVe, and which words they are.
//!
//! `φ(text)` has a block of semantic features and a block of one number for each word of the vocabulary, both sums over
//! the text's words weighted by inverse document frequency, and length 1. Two texts are close where they share words,
//! and less so where their words are near in GloVe's space. A word outside the vocabulary still counts by its GloVe
//! vector.
//!
//! The semantic features of a word are the Nyström features (Williams and Seeger 2001) of a Gaussian kernel on unit
//! GloVe vectors, `k(a, b) = exp(γ (cos(a, b) − 1))`, with the vocabulary's words as landmarks: `L⁻¹ k(word, landmarks)`
//! with `L Lᵀ = k(landmarks, landmarks) + ε I`. They tell near words from far ones more sharply than the cosine does.

use std::collections::{HashMap, HashSet};

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;
use sensorium_core::Error as CoreError;
use sensorium_text::glove::Glove;
use sensorium_text::tokenizer::tokenize;
use sensorium_text::vocab::Vocab;
use serde::{Deserialize, Serialize};

use super::features::Matrix;
use crate::Result;

/// The sharpness γ of the kernel on words.
const GAMMA: f32 = 2.0;
/// Added to the diagonal of the landmarks' kernel matrix, so that near-duplicates among them do no harm.
const JITTER: f32 = 1e-4;
/// The most landmarks: the most frequent words.
const MAX_LANDMARKS: usize = 3000;

/// How words become semantic features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Semantics {
    /// The centred GloVe vector itself: 50 numbers.
    Glove,
    /// Nyström features of a Gaussian kernel on GloVe vectors: one number a landmark.
    Kernel,
}

/// The map from texts to vectors, fitted to the training texts.
pub struct TextMap {
    vocab: Vocab,
    /// Training texts it was fitted to.
    texts: u64,
    semantics: Semantics,
    centre: Vec<f32>,
    /// What makes centred GloVe vectors of length 1 on average.
    unit: f32,
    kernel: Option<WordKernel>,
    /// Semantic features of the vocabulary's words, by number; empty for a word that GloVe lacks.
    known: Vec<Vec<f32>>,
}

impl TextMap {
    /// Fits the map to training texts.
    ///
    /// # Errors
    /// If no word of the texts has a GloVe vector.
    pub fn fit<Text: AsRef<str>>(texts: &[Text], semantics: Semantics) -> Result<Self> {
        let words = texts.iter().map(|text| words_of(text.as_ref()).into_iter().collect::<HashSet<_>>());
        Self::from_vocab(Vocab::build(words, 1), texts.len() as u64, semantics)
    }

    /// The map again, from what [`vocab`](Self::vocab) and [`texts`](Self::texts) gave. In the vocabulary, the count of
    /// a word is the number of training texts that have it.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn from_vocab(vocab: Vocab, texts: u64, semantics: Semantics) -> Result<Self> {
        let vectors: Vec<Vec<f32>> = vocab.words().filter_map(glove_of).map(unit).collect();
        if vectors.is_empty() {
            let rule = "no word of the captions is among GloVe's 40,000 words; the bundled vectors are English";
            return Err(CoreError::config("captions", vocab.len(), rule).into());
        }
        let mean = |k: usize| vectors.iter().map(|v| v[k]).sum::<f32>() / vectors.len() as f32;
        let centre: Vec<f32> = (0..Glove::DIM).map(mean).collect();
        let centred = |v: &Vec<f32>| v.iter().zip(&centre).map(|(v, c)| v - c).collect::<Vec<f32>>();
        let spread = vectors.iter().map(|v| dot(&centred(v), &centred(v))).sum::<f32>() / vectors.len() as f32;
        let landmarks = || vectors.iter().take(MAX_LANDMARKS).map(|v| unit(centred(v))).collect::<Vec<_>>();
        let kernel = match semantics {
            Semantics::Glove => None,
            Semantics::Kernel => Some(WordKernel::new(&landmarks())),
        };
        let mut map = Self { vocab, texts, semantics, centre, unit: 1.0 / spread.sqrt(), kernel, known: Vec::new() };
        let all: Vec<&str> = map.vocab.words().collect();
        map.known = map.semantic_features(&all);
        Ok(map)
    }

    /// The words of the training texts.
    pub fn vocab(&self) -> &Vocab {
        &self.vocab
    }

    /// How many training texts there were.
    pub fn texts(&self) -> u64 {
        self.texts
    }

    /// How words become semantic features.
    pub fn semantics(&self) -> Semantics {
        self.semantics
    }

    /// Numbers in `φ`.
    pub fn width(&self) -> usize {
        self.semantic_width() + self.vocab.len()
    }

    fn semantic_width(&self) -> usize {
        self.kernel.as_ref().map_or(Glove::DIM, |kernel| kernel.landmarks.rows())
    }

    /// `φ` of each text, `[texts, width]`: rows of length 1, but zero for a text without a known word.
    pub fn forward<Text: AsRef<str>>(&self, texts: &[Text]) -> Matrix {
        let words: Vec<Vec<String>> = texts.iter().map(|text| words_of(text.as_ref())).collect();
        let strangers: HashSet<&str> =
            words.iter().flatten().map(String::as_str).filter(|w| self.number(w).is_none()).collect();
        let mut strangers: Vec<&str> = strangers.into_iter().collect();
        strangers.sort_unstable();
        let features: HashMap<&str, Vec<f32>> =
            strangers.iter().copied().zip(self.semantic_features(&strangers)).collect();
        let values = words.par_iter().flat_map_iter(|words| self.sum(words, &features)).collect();
        Matrix { values, width: self.width() }
    }

    fn number(&self, word: &str) -> Option<usize> {
        self.vocab.get(word).map(|id| id as usize)
    }

    fn sum(&self, words: &[String], strangers: &HashMap<&str, Vec<f32>>) -> Vec<f32> {
        let semantic = self.semantic_width();
        let mut row = vec![0.0; self.width()];
        for word in words {
            let number = self.number(word);
            let weight = self.rarity(number);
            let features = number.map_or_else(|| &strangers[word.as_str()], |number| &self.known[number]);
            for (sum, feature) in row.iter_mut().zip(features) {
                *sum += weight * feature;
            }
            if let Some(number) = number {
                row[semantic + number] += weight;
            }
        }
        let length = dot(&row, &row).sqrt().max(1e-9);
        row.iter_mut().for_each(|v| *v /= length);
        row
    }

    /// Inverse document frequency: `ln((n + 1) / (texts with the word + ½))`, or `ln(n + 1)` for a word never seen.
    fn rarity(&self, number: Option<usize>) -> f32 {
        let texts = (self.texts + 1) as f32;
        let seen = number.and_then(|number| self.vocab.count(number as u32));
        seen.map_or(texts.ln(), |seen| (texts / (seen as f32 + 0.5)).ln())
    }

    /// The semantic features of each word, empty where GloVe has no vector for it.
    fn semantic_features(&self, words: &[&str]) -> Vec<Vec<f32>> {
        let centred = |word: &&str| -> Option<Vec<f32>> {
            let vector = unit(glove_of(word)?);
            Some(vector.iter().zip(&self.centre).map(|(v, c)| (v - c) * self.unit).collect())
        };
        let vectors: Vec<Option<Vec<f32>>> = words.iter().map(centred).collect();
        let Some(kernel) = &self.kernel else {
            return vectors.into_iter().map(Option::unwrap_or_default).collect();
        };
        let present: Vec<Vec<f32>> = vectors.iter().flatten().map(unit).collect();
        let mut features = kernel.features(&present).into_iter();
        let mut next = |vector: Option<Vec<f32>>| vector.and_then(|_| features.next()).unwrap_or_default();
        vectors.into_iter().map(&mut next).collect()
    }
}

/// The kernel on words, with its landmarks.
struct WordKernel {
    landmarks: Matrix,
    /// Lower triangular.
    factor: Mat<f32>,
}

impl WordKernel {
    fn new(landmarks: &[Vec<f32>]) -> Self {
        let landmarks = Matrix { values: landmarks.concat(), width: Glove::DIM };
        let mut gram = kernel_matrix(&landmarks, &landmarks);
        for i in 0..gram.nrows() {
            gram[(i, i)] += JITTER;
        }
        let factor = gram.llt(Side::Lower).expect("a kernel matrix with jitter is positive definite").L().to_owned();
        Self { landmarks, factor }
    }

    fn features(&self, vectors: &[Vec<f32>]) -> Vec<Vec<f32>> {
        if vectors.is_empty() {
            return Vec::new();
        }
        let vectors = Matrix { values: vectors.concat(), width: Glove::DIM };
        let mut solved = kernel_matrix(&self.landmarks, &vectors);
        solve_lower_triangular_in_place(self.factor.as_ref(), solved.as_mut(), Par::rayon(0));
        solved.col_iter().map(|column| column.iter().copied().collect()).collect()
    }
}

/// `exp(γ (a bᵀ − 1))` for rows of length 1.
fn kernel_matrix(a: &Matrix, b: &Matrix) -> Mat<f32> {
    gaussian(a, b, GAMMA)
}

/// `exp(gamma (a bᵀ − 1))` for the rows of `a` and `b`, which have length 1: a Gaussian kernel on the sphere.
pub(super) fn gaussian(a: &Matrix, b: &Matrix, gamma: f32) -> Mat<f32> {
    let mut scores = Mat::<f32>::zeros(a.rows(), b.rows());
    product(a, b, scores.as_mut());
    for column in scores.col_iter_mut() {
        column.iter_mut().for_each(|cosine| *cosine = (gamma * (*cosine - 1.0)).exp());
    }
    scores
}

/// `a bᵀ`.
pub(super) fn product(a: &Matrix, b: &Matrix, out: MatMut<'_, f32>) {
    let a = MatRef::from_row_major_slice(&a.values, a.rows(), a.width);
    let b = MatRef::from_row_major_slice(&b.values, b.rows(), b.width);
    matmul(out, Accum::Replace, a, b.transpose(), 1.0, Par::rayon(0));
}

/// The tokenizer's words without possessives and apostrophes: `man's` is `man`.
pub(super) fn words_of(text: &str) -> Vec<String> {
    let plain = |word: String| word.strip_suffix("'s").map_or(word.replace('\'', ""), str::to_string);
    tokenize(text).into_iter().map(plain).filter(|word| !word.is_empty()).collect()
}

/// English endings, and what may stand in their place.
const ENDINGS: [(&str, &str); 7] =
    [("s", ""), ("es", ""), ("ies", "y"), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e")];

/// The GloVe vector of a word or, where it has none, of its stem.
fn glove_of(word: &str) -> Option<&'static [f32]> {
    let glove = Glove::bundled();
    let stem = |(ending, instead): &(&str, &str)| {
        let stem = word.strip_suffix(ending).filter(|_| word.len() > 4)?;
        glove.vector(&format!("{stem}{instead}"))
    };
    glove.vector(word).or_else(|| ENDINGS.iter().find_map(stem))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(vector: impl AsRef<[f32]>) -> Vec<f32> {
    let vector = vector.as_ref();
    let length = dot(vector, vector).sqrt().max(1e-9);
    vector.iter().map(|v| v / length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(semantics: Semantics) -> TextMap {
        TextMap::fit(&["a red cat", "a black dog", "two dogs running", "the red apple"], semantics).unwrap()
    }

    #[test]
    fn rows_have_length_one_and_unknown_texts_none() {
        for semantics in [Semantics::Glove, Semantics::Kernel] {
            let rows = map(semantics).forward(&["a red cat", "kitten", "zzqx", ""]);
            for row in 0..2 {
                assert!((dot(rows.row(row), rows.row(row)) - 1.0).abs() < 1e-5);
            }
            for row in 2..4 {
                assert!(rows.row(row).iter().all(|v| *v == 0.0));
            }
        }
    }

    #[test]
    fn near_words_are_near_and_shared_words_nearer() {
        for semantics in [Semantics::Glove, Semantics::Kernel] {
            let rows = map(semantics).forward(&["cat", "kitten", "bank", "red cat"]);
            let score = |a, b| dot(rows.row(a), rows.row(b));
            assert!(score(0, 1) > score(0, 2) + 0.05, "{semantics:?}: {} {}", score(0, 1), score(0, 2));
            assert!(score(0, 3) > score(0, 1));
        }
    }

    #[test]
    fn a_map_from_its_vocabulary_is_the_same() {
        let fitted = map(Semantics::Kernel);
        let again = TextMap::from_vocab(fitted.vocab().clone(), fitted.texts(), fitted.semantics()).unwrap();
        assert_eq!(fitted.forward(&["red kitten"]), again.forward(&["red kitten"]));
    }

    #[test]
    fn endings_fall_back_to_the_stem() {
        assert_eq!(words_of("woman’s man's don't"), ["woman", "man", "dont"]);
        assert!(glove_of("cartwheeling").is_some() || glove_of("cartwheel").is_none());
        assert!(glove_of("zzqx").is_none());
    }

    #[test]
    fn texts_without_any_english_word_are_refused() {
        let error = TextMap::fit(&["zzqx qqzx"], Semantics::Kernel).err().unwrap().to_string();
        assert!(error.contains("no word"), "{error}");
    }
}
