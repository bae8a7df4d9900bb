//! How alike two sets of vectors are.

use burn::tensor::{Tensor, assert_shape};

/// Below this length a vector counts as having it: torch's `normalize` uses the same.
const SHORTEST: f64 = 1e-12;

/// Each vector of the last axis divided by its length, or by `eps` where it is shorter (torch's
/// `nn.functional.normalize`). A zero vector stays zero and its gradient is finite.
///
/// # Shapes
/// - `x` and result: `[.., features]`
///
/// ```
/// use burn::tensor::Tensor;
/// use sensorium_core::loss::l2_normalize;
///
/// let device = sensorium_core::device::parse("flex")?;
/// let x = Tensor::<2>::from_data([[3.0, 4.0], [0.0, 0.0]], &device);
/// let unit: Vec<f32> = l2_normalize(x, 1e-12).to_data().iter::<f32>().collect();
/// assert!((unit[0] - 0.6).abs() < 1e-6 && (unit[1] - 0.8).abs() < 1e-6 && unit[2] == 0.0);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
pub fn l2_normalize<const D: usize>(x: Tensor<D>, eps: f64) -> Tensor<D> {
    x.clone() / length(x, eps)
}

/// The length of each vector of the last axis, at least `eps`; the axis stays, with size 1.
///
/// The bound stands under the root, whose slope at 0 is infinite: below it the gradient is 0.
pub(super) fn length<const D: usize>(x: Tensor<D>, eps: f64) -> Tensor<D> {
    x.square().sum_dim(D - 1).clamp_min(eps * eps).sqrt()
}

/// The cosines between all rows of `a` and all rows of `b`.
///
/// # Shapes
/// - `a`: `[rows, features]`
/// - `b`: `[columns, features]`
/// - result: `[rows, columns]`
///
/// # Panics
/// If the numbers of features differ.
pub fn cosine_similarity_matrix(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let [_, features] = a.dims();
    assert_shape!(b, [_, features]);
    l2_normalize(a, SHORTEST).matmul(l2_normalize(b, SHORTEST).transpose())
}

/// How well each row of `general` stands above each row of `specific` in the order embedding of Vendrov et al. (2016,
/// section 2.3): `-‖max(0, specific − general)‖`, 0 where the order holds in every coordinate. Images are `general`
/// and sentences `specific` in VSE++, both without negative coordinates.
///
/// # Shapes
/// - `general`: `[rows, features]`
/// - `specific`: `[columns, features]`
/// - result: `[rows, columns]`; takes memory for `rows · columns · features` numbers
///
/// # Panics
/// If the numbers of features differ.
pub fn order_similarity_matrix(general: Tensor<2>, specific: Tensor<2>) -> Tensor<2> {
    let [rows, features] = general.dims();
    let [columns, _] = specific.dims();
    assert_shape!(specific, [columns, features]);
    let violation = (specific.unsqueeze_dim::<3>(0) - general.unsqueeze_dim::<3>(1)).clamp_min(0.0);
    length(violation, SHORTEST).reshape([rows, columns]).neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::sample::{numbers, values};
    use crate::testing::assert_close;

    #[test]
    fn the_gradient_at_zero_is_finite() {
        for (name, device) in crate::device::built() {
            let learning = device.autodiff();
            let x = Tensor::<2>::zeros([2, 3], &learning).require_grad();
            let scores = cosine_similarity_matrix(x.clone(), numbers([2, 3], &learning))
                + order_similarity_matrix(x.clone(), x.clone())
                + l2_normalize(x.clone(), 1e-6).sum().unsqueeze();
            let gradients = scores.sum().backward();
            let gradient = values(&x.grad(&gradients).unwrap());
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}: {gradient:?}");
        }
    }

    #[test]
    fn order_similarity_is_zero_where_the_order_holds() {
        let device = crate::device::parse("flex").unwrap();
        let general = Tensor::from_data([[1.0, 2.0], [0.0, 0.0]], &device);
        let specific = Tensor::from_data([[0.5, 2.0], [4.0, 6.0]], &device);
        let got = values(&order_similarity_matrix(general, specific));
        assert_close(&got, &[0.0, -5.0, -4.25f32.sqrt(), -52.0f32.sqrt()], (1e-6, 1e-6), "order similarity");
    }
}
