//! Tagging measures: hit@k, and average precision over images and over tags.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::retrieval::check_scores;
use super::{Gold, Ties, ranks_from_scores, recall_at};
use crate::{Error, Result};

/// Percentage of the images with tags for which a true tag is among the `k` best scored.
///
/// # Shapes
/// - `scores`: `[images, tags]` of `gold`, row-major, larger is better
///
/// # Errors
/// A score that is NaN; no image with a tag.
///
/// # Panics
/// If `scores` has another length.
///
/// ```
/// use sensorium_core::metrics::{Gold, Ties, hit_at_k};
/// let gold = Gold::from_lists(&[vec![0, 2], vec![1]], 3)?;
/// let scores = [0.1, 0.5, 0.9, 0.8, 0.3, 0.1];
/// assert_eq!(hit_at_k(&scores, &gold, 1, Ties::default())?, 50.0);
/// assert_eq!(hit_at_k(&scores, &gold, 2, Ties::default())?, 100.0);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
pub fn hit_at_k(scores: &[f32], gold: &Gold, k: usize, ties: Ties) -> Result<f64> {
    let ranks = ranks_from_scores(scores, gold, ties)?.i2t;
    match ranks.iter().any(Option::is_some) {
        true => Ok(recall_at(&ranks, k)),
        false => Err(no_gold("images")),
    }
}

/// Mean over the images with tags of the average precision of their tag ranking ("example-based" or per-image mAP).
///
/// # Shapes
/// - `scores`: `[images, tags]` of `gold`, row-major, larger is better
///
/// # Errors
/// A score that is NaN; no image with a tag.
///
/// # Panics
/// If `scores` has another length.
pub fn map_over_images(scores: &[f32], gold: &Gold, ties: Ties) -> Result<f64> {
    check(scores, gold)?;
    let width = gold.columns();
    let of_image = |image: usize| precision_of(&scores[image * width..(image + 1) * width], gold.of(image), ties);
    mean((0..gold.rows()).into_par_iter().filter_map(of_image).collect(), "images")
}

/// Mean over the tags with images of the average precision of their image ranking ("macro" or per-tag mAP, the usual
/// one in multi-label classification).
///
/// # Shapes
/// - `scores`: `[images, tags]` of `gold`, row-major, larger is better
///
/// # Errors
/// A score that is NaN; no tag with an image.
///
/// # Panics
/// If `scores` has another length.
pub fn map_over_tags(scores: &[f32], gold: &Gold, ties: Ties) -> Result<f64> {
    check(scores, gold)?;
    let images = gold.inverse();
    let of_tag = |tag: usize| {
        let column: Vec<f32> = scores.iter().skip(tag).step_by(gold.columns()).copied().collect();
        precision_of(&column, images.of(tag), ties)
    };
    mean((0..gold.columns()).into_par_iter().filter_map(of_tag).collect(), "tags")
}

/// Average precision, in percent, of the ranking that `scores` give: the mean over the relevant items of the share of
/// relevant items among those ranked no lower.
///
/// # Errors
/// A score that is NaN; no relevant item; a relevant item beyond the scores.
///
/// ```
/// use sensorium_core::metrics::{Ties, average_precision};
/// // Ranked 2, 0, 1: the relevant items stand first and third.
/// let precision = average_precision(&[0.5, 0.1, 0.9], &[1, 2], Ties::default())?;
/// assert!((precision - 100.0 * (1.0 / 1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
pub fn average_precision(scores: &[f32], relevant: &[u32], ties: Ties) -> Result<f64> {
    let gold = Gold::from_lists(&[relevant.to_vec()], scores.len())?;
    map_over_images(scores, &gold, ties)
}

fn check(scores: &[f32], gold: &Gold) -> Result<()> {
    assert_eq!(scores.len(), gold.rows() * gold.columns(), "scores must be [gold.rows(), gold.columns()]");
    check_scores(scores, gold.columns())
}

fn mean(precisions: Vec<f64>, of: &str) -> Result<f64> {
    match precisions.len() {
        0 => Err(no_gold(of)),
        count => Ok(precisions.iter().sum::<f64>() / count as f64),
    }
}

fn no_gold(queries: &str) -> Error {
    Error::config(queries, 0, format!("the measure needs at least one of the {queries} to have gold"))
}

/// `None` when nothing is relevant. `relevant` is sorted.
fn precision_of(scores: &[f32], relevant: &[u32], ties: Ties) -> Option<f64> {
    if relevant.is_empty() {
        return None;
    }
    let is_relevant = |item: u32| relevant.binary_search(&item).is_ok();
    let among_equals = |a: u32, b: u32| match ties {
        Ties::LowestIndexFirst => a.cmp(&b),
        Ties::Optimistic => is_relevant(b).cmp(&is_relevant(a)),
        Ties::Pessimistic => is_relevant(a).cmp(&is_relevant(b)),
    };
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| {
        let by_score = scores[b as usize].partial_cmp(&scores[a as usize]).unwrap_or(Ordering::Equal);
        by_score.then_with(|| among_equals(a, b))
    });
    let ranks = order.iter().enumerate().filter(|&(_, &item)| is_relevant(item)).map(|(rank, _)| rank);
    let sum: f64 = ranks.enumerate().map(|(before, rank)| (before + 1) as f64 / (rank + 1) as f64).sum();
    Some(100.0 * sum / relevant.len() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The definition, literally: for each relevant item, precision at its rank by pairwise comparison.
    fn naive(scores: &[f32], relevant: &[u32], ties: Ties) -> f64 {
        let before = |a: usize, b: usize| {
            let (ra, rb) = (relevant.contains(&(a as u32)), relevant.contains(&(b as u32)));
            scores[a] > scores[b]
                || scores[a] == scores[b]
                    && match ties {
                        Ties::LowestIndexFirst => a < b,
                        Ties::Optimistic => (ra && !rb) || (ra == rb && a < b),
                        Ties::Pessimistic => (!ra && rb) || (ra == rb && a < b),
                    }
        };
        let at = |item: usize| {
            let standing: Vec<usize> =
                (0..scores.len()).filter(|&other| other == item || before(other, item)).collect();
            let good = standing.iter().filter(|&&other| relevant.contains(&(other as u32))).count();
            good as f64 / standing.len() as f64
        };
        100.0 * relevant.iter().map(|&item| at(item as usize)).sum::<f64>() / relevant.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn precision_equals_the_definition(count in 1_usize..30, seed in 0_u64..500) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let scores: Vec<f32> = (0..count).map(|_| rng.random_range(-2..=2) as f32).collect();
            let relevant: Vec<u32> = (0..count as u32).filter(|_| rng.random_bool(0.4)).collect();
            for ties in [Ties::LowestIndexFirst, Ties::Optimistic, Ties::Pessimistic] {
                match average_precision(&scores, &relevant, ties) {
                    Ok(got) => prop_assert!((got - naive(&scores, &relevant, ties)).abs() < 1e-9),
                    Err(_) => prop_assert!(relevant.is_empty()),
                }
            }
        }
    }

    #[test]
    fn means_skip_what_has_no_gold() {
        let gold = Gold::from_lists(&[vec![0], vec![], vec![0, 2]], 3).unwrap();
        let scores = [0.9, 0.1, 0.2, 0.5, 0.5, 0.5, 0.3, 0.2, 0.1];
        let ties = Ties::default();
        let over_images = map_over_images(&scores, &gold, ties).unwrap();
        assert!((over_images - (100.0 + 100.0 * (1.0 + 2.0 / 3.0) / 2.0) / 2.0).abs() < 1e-9);
        // Tag 0: images ranked 0, 1, 2 with 0 and 2 relevant. Tag 2: ranked 1, 0, 2 with 2 relevant. Tag 1: nobody's.
        let over_tags = map_over_tags(&scores, &gold, ties).unwrap();
        assert!((over_tags - (100.0 * (1.0 + 2.0 / 3.0) / 2.0 + 100.0 / 3.0) / 2.0).abs() < 1e-9);
        assert_eq!(hit_at_k(&scores, &gold, 1, ties).unwrap(), 100.0);
        assert_eq!(hit_at_k(&scores, &gold, 99, ties).unwrap(), 100.0);
        assert_eq!(hit_at_k(&scores, &gold, 0, ties).unwrap(), 0.0);
    }

    #[test]
    fn nothing_relevant_and_nan_are_refused() {
        let none = Gold::from_lists(&[vec![], vec![]], 2).unwrap();
        let ties = Ties::default();
        for result in [hit_at_k(&[0.0; 4], &none, 1, ties), map_over_images(&[0.0; 4], &none, ties)] {
            assert!(result.unwrap_err().to_string().contains("images = 0"));
        }
        assert!(map_over_tags(&[0.0; 4], &none, ties).unwrap_err().to_string().contains("tags = 0"));
        assert!(average_precision(&[f32::NAN], &[0], ties).unwrap_err().to_string().contains("NaN"));
        assert!(average_precision(&[0.0], &[1], ties).is_err());
        assert!(average_precision(&[], &[], ties).is_err());
    }
}
