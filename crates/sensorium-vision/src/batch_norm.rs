//! A convolution and the batch norm after it, as two or merged into one.

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, Tensor};

/// A batch norm with torch's momentum, .9 of the old value.
pub(crate) fn torch_norm(channels: usize, device: &Device) -> Option<BatchNorm> {
    Some(BatchNormConfig::new(channels).with_epsilon(1e-5).with_momentum(0.1).init(device))
}

/// The convolution, and the norm where [`merge`] has not taken it away.
pub(crate) fn normed(conv: &Conv2d, norm: &Option<BatchNorm>, input: Tensor<4>) -> Tensor<4> {
    let x = conv.forward(input);
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

/// `γ (w·x + b − μ) / √(σ² + ε) + β` as one convolution with a bias, in the place of the two.
pub(crate) fn merge(conv: &Conv2d, norm: &Option<BatchNorm>) -> (Conv2d, Option<BatchNorm>) {
    let mut conv = conv.clone();
    if let Some(norm) = norm {
        let deviation = (norm.running_var.value() + norm.epsilon).sqrt();
        let scale = norm.gamma.val() / deviation; // [channels_out]
        let shift = match &conv.bias {
            Some(bias) => norm.running_mean.value() - bias.val(),
            None => norm.running_mean.value(),
        };
        let bias = norm.beta.val() - shift * scale.clone();
        let channels = scale.dims()[0];
        conv.weight = Param::from_tensor(conv.weight.val() * scale.reshape([channels, 1, 1, 1]));
        conv.bias = Some(Param::from_tensor(bias));
    }
    (conv, None)
}
