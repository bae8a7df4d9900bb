//! Losses of single pairs and triplets.

use burn::tensor::activation::relu;
use burn::tensor::{Bool, Tensor, assert_shape};

use super::similarity::{l2_normalize, length};

/// Triplet margin loss (torch's `TripletMarginLoss`, p = 2): the mean of
/// `max(0, ‖anchor − positive‖ − ‖anchor − negative‖ + margin)`. Like torch it adds 1e-6 to each coordinate of a
/// difference, so that the gradient of a distance of 0 is finite.
///
/// # Shapes
/// - `anchor`, `positive`, `negative`: `[triplets, features]`
/// - result: `[1]`
///
/// # Panics
/// If the shapes differ.
pub fn triplet_margin(anchor: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>, margin: f64) -> Tensor<1> {
    let near = distance(anchor.clone(), positive);
    let far = distance(anchor, negative);
    relu(near - far + margin).mean()
}

/// Triplet loss on cosines: the mean of `max(0, margin + cos(anchor, negative) − cos(anchor, positive))`.
///
/// # Shapes
/// - `anchor`, `positive`, `negative`: `[triplets, features]`
/// - result: `[1]`
///
/// # Panics
/// If the shapes differ.
pub fn triplet_cosine(anchor: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>, margin: f64) -> Tensor<1> {
    let near = cosine(anchor.clone(), positive);
    let far = cosine(anchor, negative);
    relu(far - near + margin).mean()
}

/// Cosine embedding loss (torch's `CosineEmbeddingLoss`; im2recipe, Salvador et al. 2017, equation 1), the mean over
/// the batch: `1 − cos(a, b)` where the two match, `max(0, cos(a, b) − margin)` where they do not.
///
/// # Shapes
/// - `a`, `b`: `[pairs, features]`
/// - `matching`: `[pairs]` (torch's target 1 is true, -1 is false)
/// - result: `[1]`
///
/// # Panics
/// If the shapes differ.
pub fn cosine_embedding(a: Tensor<2>, b: Tensor<2>, matching: Tensor<1, Bool>, margin: f64) -> Tensor<1> {
    cosine_embedding_each(a, b, matching, margin).mean()
}

/// As [`cosine_embedding`], but the sum over the batch.
///
/// # Shapes
/// - `a`, `b`: `[pairs, features]`
/// - `matching`: `[pairs]`
/// - result: `[1]`
///
/// # Panics
/// If the shapes differ.
pub fn cosine_embedding_sum(a: Tensor<2>, b: Tensor<2>, matching: Tensor<1, Bool>, margin: f64) -> Tensor<1> {
    cosine_embedding_each(a, b, matching, margin).sum()
}

/// `[pairs]`
fn cosine_embedding_each(a: Tensor<2>, b: Tensor<2>, matching: Tensor<1, Bool>, margin: f64) -> Tensor<1> {
    let [pairs, _] = a.dims();
    assert_shape!(matching, [pairs]);
    let cosine = cosine(a, b).squeeze_dim::<1>(1);
    relu(cosine.clone() - margin).mask_where(matching, cosine.neg() + 1.0)
}

/// The cosine of each row of `a` with the same row of `b`, `[rows, 1]`.
fn cosine(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let [rows, features] = a.dims();
    assert_shape!(b, [rows, features]);
    // torch's cosine_similarity bounds lengths from below by this.
    const SHORTEST: f64 = 1e-8;
    (l2_normalize(a, SHORTEST) * l2_normalize(b, SHORTEST)).sum_dim(1)
}

/// The distance of each row of `a` from the same row of `b`, `[rows, 1]`.
fn distance(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let [rows, features] = a.dims();
    assert_shape!(b, [rows, features]);
    length(a - b + 1e-6, 1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::sample::{numbers, values};
    use crate::testing::assert_close;

    #[test]
    fn the_losses_follow_their_definitions_on_every_backend() {
        for (name, device) in crate::device::built() {
            let x = |rows: [[f32; 2]; 2]| Tensor::<2>::from_data(rows, &device);
            let anchor = x([[0.0, 0.0], [1.0, 0.0]]);
            let positive = x([[3.0, 4.0], [1.0, 0.0]]);
            let negative = x([[0.0, 4.5], [0.0, 1.0]]);
            // 5 − 4.5 + 1, and 0 − √2 + 1, which is below 0.
            let got = values(&triplet_margin(anchor.clone(), positive.clone(), negative.clone(), 1.0));
            assert_close(&got, &[0.75], (1e-5, 0.0), name);
            // The cosine of (0, 4.5) and (3, 4) is 0.8; all the others are 0.
            let got = values(&triplet_cosine(negative.clone(), positive.clone(), anchor.clone(), 0.9));
            assert_close(&got, &[(0.9 - 0.8 + 0.9) / 2.0], (1e-6, 0.0), name);
            let matching = Tensor::<1, Bool>::from_data([true, false], &device);
            let pairs = || (positive.clone(), negative.clone(), matching.clone());
            let (a, b, m) = pairs();
            assert_close(&values(&cosine_embedding_sum(a, b, m, 0.1)), &[0.2], (1e-6, 0.0), name);
            let (a, b, m) = pairs();
            assert_close(&values(&cosine_embedding(a, b, m.bool_not(), 0.1)), &[(0.7 + 1.0) / 2.0], (1e-6, 0.0), name);
        }
    }

    #[test]
    fn gradients_are_finite_where_vectors_coincide_or_vanish() {
        let device = crate::device::parse("flex").unwrap().autodiff();
        for start in [Tensor::<2>::zeros([2, 3], &device), numbers([2, 3], &device)] {
            let x = start.require_grad();
            let loss = triplet_margin(x.clone(), x.clone(), numbers([2, 3], &device), 5.0)
                + triplet_cosine(x.clone(), x.clone(), numbers([2, 3], &device), 0.5)
                + cosine_embedding(x.clone(), x.clone(), Tensor::from_data([true, false], &device), 0.1);
            let gradient = values(&x.grad(&loss.backward()).unwrap());
            assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
        }
    }
}
