//! The principal components of an encoder's maps.

use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Par};
use sensorium_core::Error as CoreError;

use crate::Result;

/// Below such a share of the mean square, a variance is that of rounding.
const SAME: f64 = 1e-9;

/// A layer from `channels` of a map to as many `components`, with weights yet to come.
pub(crate) fn layer(channels: usize, components: usize, device: &Device) -> Linear {
    LinearConfig::new(channels, components).init(device)
}

/// The layer that turns maps `[pictures, positions, channels]` to their first `count` principal components over all
/// positions of all pictures: the mean is taken off, and the components are scaled alike, so that their variance is 1 on
/// average.
///
/// # Errors
/// If there are not that many channels, or the maps are all the same, or a map cannot be made.
pub(crate) fn find(maps: impl Iterator<Item = Result<Tensor<3>>>, count: usize, device: &Device) -> Result<Linear> {
    let Moments { rows, sums, products } = Moments::of(maps)?;
    if rows == 0 {
        return Err(CoreError::Train { reason: "no picture is left to find components of".to_string() }.into());
    }
    let channels = sums.len();
    if count > channels {
        let rule = format!("must be at most {channels}, the channels of the layers");
        return Err(CoreError::config("components", count, rule).into());
    }
    let mean: Vec<f64> = sums.iter().map(|sum| sum / rows as f64).collect();
    let covariance =
        Mat::from_fn(channels, channels, |i, j| products[i * channels + j] / rows as f64 - mean[i] * mean[j]);
    let (variances, directions) = eigen(&covariance);
    // In nondecreasing order: the last are the first components.
    let kept: Vec<usize> = (0..channels).rev().take(count).collect();
    let variance = kept.iter().map(|place| variances[*place]).sum::<f64>() / count as f64;
    let power = (0..channels).map(|c| products[c * channels + c]).sum::<f64>() / (rows * channels) as f64;
    if variance.is_nan() || variance <= SAME * power {
        let reason = "the maps of all pictures are the same: they have no components".to_string();
        return Err(CoreError::Train { reason }.into());
    }
    let scale = variance.sqrt().recip();
    let mut weight = Vec::with_capacity(channels * count);
    let mut bias = vec![0.0; count];
    for channel in 0..channels {
        for (component, place) in kept.iter().enumerate() {
            let share = scale * directions[(channel, *place)];
            weight.push(share as f32);
            bias[component] -= share * mean[channel];
        }
    }
    let bias: Vec<f32> = bias.into_iter().map(|shift| shift as f32).collect();
    Ok(Linear {
        weight: Param::from_data(TensorData::new(weight, [channels, count]), device),
        bias: Some(Param::from_data(TensorData::new(bias, [count]), device)),
    })
}

/// What the positions of maps sum to.
struct Moments {
    /// Positions of all pictures.
    rows: usize,
    /// Of each channel.
    sums: Vec<f64>,
    /// Of each two channels' products, `[channels, channels]`.
    products: Vec<f64>,
}

impl Moments {
    fn of(maps: impl Iterator<Item = Result<Tensor<3>>>) -> Result<Self> {
        let mut all = Self { rows: 0, sums: vec![], products: vec![] };
        for map in maps {
            let positions: Tensor<2> = map?.flatten(0, 1);
            all.rows += positions.dims()[0];
            add(&mut all.sums, positions.clone().sum_dim(0).into_data());
            add(&mut all.products, positions.clone().transpose().matmul(positions).into_data());
        }
        Ok(all)
    }
}

fn add(sums: &mut Vec<f64>, numbers: TensorData) {
    sums.resize(numbers.num_elements(), 0.0);
    sums.iter_mut().zip(numbers.iter::<f64>()).for_each(|(sum, number)| *sum += number);
}

/// Eigenvalues of a symmetric matrix in nondecreasing order, and the eigenvectors as columns. On one thread: the same on
/// every machine.
fn eigen(matrix: &Mat<f64>) -> (Vec<f64>, Mat<f64>) {
    let size = matrix.nrows();
    let (mut values, mut vectors) = (Diag::<f64>::zeros(size), Mat::<f64>::zeros(size, size));
    let scratch = self_adjoint_evd_scratch::<f64>(size, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    self_adjoint_evd(
        matrix.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .expect("a covariance of finite numbers has eigenvalues");
    (values.column_vector().iter().copied().collect(), vectors)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use sensorium_core::device;

    use super::*;

    #[test]
    fn components_have_no_mean_do_not_go_together_and_fall_in_variance() {
        let device = device::parse("flex").unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        // Three causes of different strength, seen in five channels, beside a little noise.
        let mixed: Vec<[f32; 5]> = (0..3).map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))).collect();
        let mut row = || -> [f32; 5] {
            let causes = [4.0, 2.0, 1.0].map(|strength: f32| strength * rng.random_range(-1.0..1.0));
            let noise: [f32; 5] = std::array::from_fn(|_| rng.random_range(-0.01..0.01));
            std::array::from_fn(|c| 3.0 + noise[c] + causes.iter().zip(&mixed).map(|(x, m)| x * m[c]).sum::<f32>())
        };
        let maps: Vec<Tensor<3>> = (0..10)
            .map(|_| {
                let numbers: Vec<f32> = (0..20).flat_map(|_| row()).collect();
                Tensor::from_data(TensorData::new(numbers, [5, 4, 5]), &device)
            })
            .collect();
        let found = find(maps.iter().cloned().map(Ok), 3, &device).unwrap();
        let seen = Tensor::cat(maps.clone(), 0);
        let turned: Tensor<2> = found.forward(seen.clone()).flatten(0, 1);
        let rows = turned.dims()[0] as f32;
        let mean: Vec<f32> = turned.clone().mean_dim(0).into_data().iter().collect();
        assert!(mean.iter().all(|mean| mean.abs() < 1e-4), "{mean:?}");
        let covariance: Vec<f32> =
            (turned.clone().transpose().matmul(turned.clone()) / rows).into_data().iter().collect();
        let variances = [covariance[0], covariance[4], covariance[8]];
        assert!(variances[0] > variances[1] && variances[1] > variances[2], "{variances:?}");
        assert!((variances.iter().sum::<f32>() - 3.0).abs() < 1e-3, "1 on average: {variances:?}");
        let beside = [covariance[1], covariance[2], covariance[5]];
        assert!(beside.iter().all(|c| c.abs() < 1e-3), "they do not go together: {beside:?}");

        // All that was there is kept but for the noise: back and forth.
        let weight = found.weight.val();
        let scale: f32 = weight.clone().slice_dim(1, 0..1).square().sum().into_scalar();
        let back = turned.matmul(weight.transpose()) / scale;
        let flat: Tensor<2> = seen.flatten(0, 1);
        let centred = flat.clone() - flat.mean_dim(0);
        let lost: f32 = (back - centred.clone()).abs().max().into_scalar();
        assert!(lost < 0.05, "{lost}");
    }

    #[test]
    fn what_has_no_components_is_refused() {
        let device = device::parse("flex").unwrap();
        let fault = |map: Tensor<3>, count| find([Ok(map)].into_iter(), count, &device).unwrap_err().to_string();
        let same = Tensor::<3>::ones([4, 2, 3], &device);
        assert!(fault(same.clone(), 2).contains("are the same"));
        assert_eq!(fault(same, 4), "components = 4: must be at most 3, the channels of the layers");
    }
}
