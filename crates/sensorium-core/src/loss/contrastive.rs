//! Losses that classify each pair among all of the batch.

use burn::module::{Initializer, Module, Param};
use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Bool, Device, Tensor};

use super::left_out;

/// One-way InfoNCE (van den Oord et al. 2018, equation 4): the mean cross-entropy of finding each row's own column.
///
/// # Shapes
/// - `logits`, `false_negatives`: `[pairs, pairs]`
/// - result: `[1]`
///
/// # Panics
/// If a matrix is not square or the two differ in size.
pub fn info_nce(logits: Tensor<2>, false_negatives: Option<Tensor<2, Bool>>) -> Tensor<1> {
    let [pairs, _] = logits.dims();
    let pair = Tensor::eye(pairs, &logits.device());
    let logits = match left_out(&logits, false_negatives) {
        // Low enough to leave nothing after softmax; an infinity would become NaN where it is multiplied by 0.
        Some(marked) => logits.mask_fill(marked, -1e9),
        None => logits,
    };
    (log_softmax(logits, 1) * pair).sum().neg() / pairs as f64
}

/// The contrastive loss of CLIP (Radford et al. 2021, figure 3): the mean of [`info_nce`] in both directions.
///
/// # Shapes
/// - `logits`, `false_negatives`: `[pairs, pairs]`
/// - result: `[1]`
///
/// # Panics
/// If a matrix is not square or the two differ in size.
pub fn clip(logits: Tensor<2>, false_negatives: Option<Tensor<2, Bool>>) -> Tensor<1> {
    let by_row = info_nce(logits.clone(), false_negatives.clone());
    let by_column = info_nce(logits.transpose(), false_negatives.map(Tensor::transpose));
    (by_row + by_column) / 2.0
}

/// The sigmoid loss of SigLIP (Zhai et al. 2023, equation 1): each entry is a pair or not, on its own. The sum over the
/// whole matrix divided by the number of pairs.
///
/// # Shapes
/// - `logits`, `false_negatives`: `[pairs, pairs]`; a marked entry is left out of the sum
/// - result: `[1]`
///
/// # Panics
/// If a matrix is not square or the two differ in size.
pub fn siglip(logits: Tensor<2>, false_negatives: Option<Tensor<2, Bool>>) -> Tensor<1> {
    let [pairs, _] = logits.dims();
    let left_out = left_out(&logits, false_negatives);
    let sign = Tensor::eye(pairs, &logits.device()) * 2.0 - 1.0;
    let log_probability = log_sigmoid(logits * sign);
    let counted = match left_out {
        Some(marked) => log_probability.mask_fill(marked, 0.0),
        None => log_probability,
    };
    counted.sum().neg() / pairs as f64
}

/// CLIP's loss with its learned scale.
///
/// The parameter is the logarithm of the scale and starts at ln(1/0.07). The scale in use stays within 1 and 100. The
/// parameter's gradient passes that bound unchanged, so that a parameter outside comes back as soon as the loss asks.
#[derive(Module, Debug)]
pub struct ClipLoss {
    /// Logarithm of the scale, `[1]`.
    pub logit_scale: Param<Tensor<1>>,
}

impl ClipLoss {
    /// The range of the logarithm of the scale: 0 to ln 100.
    pub const LOGIT_SCALE_RANGE: (f64, f64) = (0.0, 2.0 * std::f64::consts::LN_10);

    /// The loss with its scale at 1/0.07.
    pub fn init(device: &Device) -> Self {
        Self { logit_scale: scalar((1.0f64 / 0.07).ln(), device) }
    }

    /// The scale in use, `[1]`, within 1 and 100.
    pub fn scale(&self) -> Tensor<1> {
        let (low, high) = Self::LOGIT_SCALE_RANGE;
        let free = self.logit_scale.val();
        let correction = (free.clone().clamp(low, high) - free.clone()).detach();
        (free + correction).exp()
    }

    /// The loss of a matrix of cosines.
    ///
    /// # Shapes
    /// - `scores`, `false_negatives`: `[pairs, pairs]`
    /// - result: `[1]`
    ///
    /// # Panics
    /// If a matrix is not square or the two differ in size.
    pub fn forward(&self, scores: Tensor<2>, false_negatives: Option<Tensor<2, Bool>>) -> Tensor<1> {
        clip(scores * self.scale().unsqueeze(), false_negatives)
    }
}

/// SigLIP's loss with its learned scale and bias: they start at 10 and -10.
#[derive(Module, Debug)]
pub struct SigLipLoss {
    /// Logarithm of the scale (t′ in the paper), `[1]`.
    pub t_prime: Param<Tensor<1>>,
    /// Added to the scaled cosines, `[1]`.
    pub bias: Param<Tensor<1>>,
}

impl SigLipLoss {
    /// The loss with the paper's starting values.
    pub fn init(device: &Device) -> Self {
        Self { t_prime: scalar(std::f64::consts::LN_10, device), bias: scalar(-10.0, device) }
    }

    /// The loss of a matrix of cosines.
    ///
    /// # Shapes
    /// - `scores`, `false_negatives`: `[pairs, pairs]`
    /// - result: `[1]`
    ///
    /// # Panics
    /// If a matrix is not square or the two differ in size.
    pub fn forward(&self, scores: Tensor<2>, false_negatives: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let logits = scores * self.t_prime.val().exp().unsqueeze() + self.bias.val().unsqueeze();
        siglip(logits, false_negatives)
    }
}

/// A learned number.
fn scalar(value: f64, device: &Device) -> Param<Tensor<1>> {
    Initializer::Constant { value }.init([1], device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::sample::{numbers, values};
    use crate::testing::check_model;

    #[test]
    fn the_scale_stays_in_its_range_and_can_come_back() {
        let device = crate::device::parse("flex").unwrap().autodiff();
        for (logarithm, scale) in [(-3.0, 1.0), (2.0, 2.0f32.exp()), (9.0, 100.0)] {
            let loss = ClipLoss { logit_scale: scalar(logarithm, &device) };
            let got = values(&loss.scale())[0];
            assert!((got / scale - 1.0).abs() < 1e-5, "e^{logarithm} is used as {got}");
            let gradients = loss.forward(numbers([4, 4], &device), None).backward();
            let gradient = values(&loss.logit_scale.val().grad(&gradients).unwrap())[0];
            assert!(gradient != 0.0, "no gradient at {logarithm}");
        }
    }

    #[test]
    fn large_logits_stay_finite() {
        let device = crate::device::parse("flex").unwrap();
        let logits = numbers([4, 4], &device) * 1e4;
        for loss in [clip(logits.clone(), None), siglip(logits, None)] {
            assert!(values(&loss)[0].is_finite());
        }
    }

    #[test]
    fn every_backend_agrees_on_the_learned_losses() {
        let marked = |device: &Device| {
            Tensor::from_data([[false, true, false], [false, false, false], [true, false, false]], device)
        };
        let scores = |device: &Device| numbers([3, 3], device);
        let forward = |loss: &ClipLoss, d: &Device| loss.forward(scores(d), Some(marked(d)));
        check_model("CLIP loss", ClipLoss::init, forward, [1], 1e-4);
        let forward = |loss: &SigLipLoss, d: &Device| loss.forward(scores(d), Some(marked(d)));
        check_model("SigLIP loss", SigLipLoss::init, forward, [1], 1e-4);
    }
}
