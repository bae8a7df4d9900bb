//! Hinge ranking losses over a matrix of similarities.

use burn::tensor::activation::relu;
use burn::tensor::{Bool, Tensor};

use super::{left_out, off_diagonal};

/// Sum of hinges (Kiros et al. 2014, section 2.3; VSE0 in Faghri et al. 2018): every negative that comes within
/// `margin` of the pair costs the difference, in both directions. A sum over the batch, not a mean.
///
/// # Shapes
/// - `scores`, `false_negatives`: `[pairs, pairs]`
/// - result: `[1]`
///
/// # Panics
/// If a matrix is not square or the two differ in size.
pub fn vse0(scores: Tensor<2>, margin: f64, false_negatives: Option<Tensor<2, Bool>>) -> Tensor<1> {
    let costs = Costs::new(scores, margin, false_negatives);
    costs.of_columns.sum() + costs.of_rows.sum()
}

/// Hinge of the hardest negative (VSE++, Faghri et al. 2018, equation 6): as [`vse0`], but of each row and of each
/// column the one worst negative counts. A sum over the batch, not a mean.
///
/// # Shapes
/// - `scores`, `false_negatives`: `[pairs, pairs]`
/// - result: `[1]`
///
/// # Panics
/// If a matrix is not square or the two differ in size.
pub fn vsepp(scores: Tensor<2>, margin: f64, false_negatives: Option<Tensor<2, Bool>>) -> Tensor<1> {
    let costs = Costs::new(scores, margin, false_negatives);
    costs.of_columns.max_dim(1).sum() + costs.of_rows.max_dim(0).sum()
}

/// What each negative costs, 0 for what is none; both `[pairs, pairs]`.
struct Costs {
    /// Of column `j` as an answer to row `i`.
    of_columns: Tensor<2>,
    /// Of row `i` as an answer to column `j`.
    of_rows: Tensor<2>,
}

impl Costs {
    fn new(scores: Tensor<2>, margin: f64, false_negatives: Option<Tensor<2, Bool>>) -> Self {
        let [pairs, _] = scores.dims();
        let left_out = left_out(&scores, false_negatives);
        let diagonal = off_diagonal(&scores).bool_not();
        let ignored = left_out.map_or(diagonal.clone(), |marked| marked.bool_or(diagonal));
        let pair = (scores.clone() * Tensor::eye(pairs, &scores.device())).sum_dim(1); // [pairs, 1]
        let cost = |pair: Tensor<2>| relu(scores.clone() - pair + margin).mask_fill(ignored.clone(), 0.0);
        Self { of_columns: cost(pair.clone()), of_rows: cost(pair.transpose()) }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use proptest::prelude::*;

    use super::*;
    use crate::nn::sample::values;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Against the definition, entry by entry.
        #[test]
        fn both_losses_follow_their_definition(
            entries in prop::collection::vec((-1.0f32..1.0, any::<bool>()), 16),
            margin in 0.0f64..1.0,
        ) {
            let device = crate::device::parse("flex").unwrap();
            let score = |i: usize, j: usize| f64::from(entries[i * 4 + j].0);
            let is_negative = |i: usize, j: usize| i != j && !entries[i * 4 + j].1;
            let (mut all, mut hardest) = (0.0, 0.0);
            for pair in 0..4 {
                for by_row in [true, false] {
                    let at = |other: usize| if by_row { (pair, other) } else { (other, pair) };
                    let costs = (0..4).map(at).filter(|&(i, j)| is_negative(i, j));
                    let costs: Vec<f64> =
                        costs.map(|(i, j)| (margin + score(i, j) - score(pair, pair)).max(0.0)).collect();
                    all += costs.iter().sum::<f64>();
                    hardest += costs.iter().copied().fold(0.0, f64::max);
                }
            }
            let (scores, marks): (Vec<f32>, Vec<bool>) = entries.iter().copied().unzip();
            let scores = Tensor::from_data(TensorData::new(scores, [4, 4]), &device);
            let marks = Tensor::from_data(TensorData::new(marks, [4, 4]), &device);
            let got = f64::from(values(&vse0(scores.clone(), margin, Some(marks.clone())))[0]);
            prop_assert!((got - all).abs() < 1e-5, "vse0 {got}, not {all}");
            let got = f64::from(values(&vsepp(scores, margin, Some(marks)))[0]);
            prop_assert!((got - hardest).abs() < 1e-5, "vsepp {got}, not {hardest}");
        }
    }
}
