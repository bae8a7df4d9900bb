//! CIDEr of captions whose words are numbers.

use super::CiderVariant;
use crate::metrics::ngram::{ORDERS, runs};
use hashbrown::{HashMap, HashSet};

/// The standard deviation, in words, of CIDEr-D's penalty for a wrong length.
const SIGMA: f64 = 6.0;

/// A run of one to four tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Run {
    order: u8,
    tokens: [u32; ORDERS],
}

impl Run {
    fn new(tokens: &[u32]) -> Self {
        let mut run = Self { order: tokens.len() as u8, tokens: [0; ORDERS] };
        run.tokens[..tokens.len()].copy_from_slice(tokens);
        run
    }
}

/// How rare every run of tokens is in a set of references; tokens are numbers such as a captioner's vocabulary gives.
#[derive(Debug, Clone)]
pub struct CiderIds {
    /// Of every known run: `ln(images / images whose references have it)`.
    rarity: HashMap<Run, f64>,
    /// The same of a run in no image's references: `ln(images)`.
    unseen: f64,
}

/// One image's references made ready by [`CiderIds::references`].
#[derive(Debug, Clone)]
pub struct CiderIdReferences(Vec<Reference>);

#[derive(Debug, Clone)]
struct Reference {
    weights: HashMap<Run, f64>,
    norms: [f64; ORDERS],
    /// The number of pairs of neighbouring tokens.
    pairs: usize,
}

impl CiderIds {
    /// Counts in how many images' references every run of tokens occurs. `references` holds, for every image, its
    /// captions.
    pub fn from_references(references: &[Vec<Vec<u32>>]) -> Self {
        let mut images: HashMap<Run, usize> = HashMap::new();
        for captions in references {
            let runs: HashSet<Run> = captions.iter().flat_map(|caption| runs(caption)).map(Run::new).collect();
            for run in runs {
                *images.entry(run).or_default() += 1;
            }
        }
        let unseen = (references.len().max(1) as f64).ln();
        Self { rarity: images.into_iter().map(|(run, images)| (run, unseen - (images as f64).ln())).collect(), unseen }
    }

    /// Makes one image's references ready. They need not be among those that were counted.
    pub fn references(&self, references: &[Vec<u32>]) -> CiderIdReferences {
        CiderIdReferences(references.iter().map(|caption| self.weigh(caption)).collect())
    }

    /// The score of a caption of an image with these references, in 0..=10; 0 without references.
    pub fn score(&self, hypothesis: &[u32], references: &CiderIdReferences, variant: CiderVariant) -> f64 {
        let hypothesis = self.weigh(hypothesis);
        let sum: f64 = references.0.iter().map(|reference| hypothesis.similarity(reference, variant)).sum();
        10.0 * sum / (ORDERS * references.0.len().max(1)) as f64
    }

    fn weigh(&self, caption: &[u32]) -> Reference {
        let mut weights: HashMap<Run, f64> = HashMap::with_capacity(ORDERS * caption.len());
        for run in runs(caption).map(Run::new) {
            *weights.entry(run).or_default() += 1.0;
        }
        let mut norms = [0.0; ORDERS];
        for (run, weight) in &mut weights {
            *weight *= self.rarity.get(run).unwrap_or(&self.unseen);
            norms[usize::from(run.order) - 1] += *weight * *weight;
        }
        Reference { weights, norms: norms.map(f64::sqrt), pairs: caption.len().saturating_sub(1) }
    }
}

impl Reference {
    /// The sum over n of the similarity of a hypothesis (`self`) and a reference.
    fn similarity(&self, reference: &Self, variant: CiderVariant) -> f64 {
        let mut products = [0.0; ORDERS];
        for (run, &weight) in &self.weights {
            if let Some(&other) = reference.weights.get(run) {
                let weight = if variant == CiderVariant::CiderD { weight.min(other) } else { weight };
                products[usize::from(run.order) - 1] += weight * other;
            }
        }
        let norms = self.norms.iter().zip(&reference.norms).map(|(a, b)| a * b);
        let cosines = products.iter().zip(norms).map(|(product, norm)| if norm == 0.0 { 0.0 } else { product / norm });
        let penalty = match variant {
            CiderVariant::Cider => 1.0,
            CiderVariant::CiderD => {
                let difference = self.pairs.abs_diff(reference.pairs) as f64;
                (-difference * difference / (2.0 * SIGMA * SIGMA)).exp()
            }
        };
        cosines.sum::<f64>() * penalty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_different_length_are_different() {
        assert_ne!(Run::new(&[1]), Run::new(&[1, 0]));
    }

    #[test]
    fn scores_stay_between_zero_and_ten() {
        let captions: Vec<Vec<u32>> = (0..20_u32).map(|i| (0..i % 7).map(|j| (i * j + j) % 5).collect()).collect();
        let images: Vec<Vec<Vec<u32>>> = captions.chunks(3).map(<[Vec<u32>]>::to_vec).collect();
        let cider = CiderIds::from_references(&images);
        for image in &images {
            let references = cider.references(image);
            for hypothesis in &captions {
                let [plain, d] = [CiderVariant::Cider, CiderVariant::CiderD]
                    .map(|variant| cider.score(hypothesis, &references, variant));
                assert!((0.0..=10.0 + 1e-12).contains(&plain) && (0.0..=plain + 1e-12).contains(&d));
            }
        }
    }
}
