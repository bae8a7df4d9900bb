//! What training minimises.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// The mean cross-entropy of `logits` `[words, vocab]` against `targets` `[words]`, in nats.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(logits, 1).gather(1, targets.unsqueeze_dim(1)).mean().neg()
}

/// How far a caption's attention is from looking at every position once: the mean over pictures and positions of
/// `(1 − Σ_t α)²` (Xu et al. 2015, §4.2.1, as the tutorial takes it), of `[batch, steps, positions]` weights.
pub fn doubly_stochastic(attention: Tensor<3>) -> Tensor<1> {
    (attention.sum_dim(1) - 1.0).square().mean()
}
