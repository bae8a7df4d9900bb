//! What training minimises.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use crate::attend::numbers;

/// The mean cross-entropy of `logits` `[words, vocab]` against `targets` `[words]`, in nats.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    word_log_probs(logits, targets).mean().neg()
}

/// The logarithm of the probability of each of `targets` `[words]` by `logits` `[words, vocab]`.
pub(crate) fn word_log_probs(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(logits, 1).gather(1, targets.unsqueeze_dim(1)).squeeze_dim(1)
}

/// How far a caption's attention is from looking at every position once: the mean over pictures and positions of
/// `(1 − Σ_t α)²` (Xu et al. 2015, §4.2.1, as the tutorial takes it), of `[batch, steps, positions]` weights.
pub fn doubly_stochastic(attention: Tensor<3>) -> Tensor<1> {
    (attention.sum_dim(1) - 1.0).square().mean()
}

/// The entropy of the weights counts so much in [`hard_attention`].
const ENTROPY: f64 = 0.002;

/// What teaches hard attention where to look (Xu et al. 2015, §4.1, eq. 13): the logarithms of the weights of the
/// positions that were drawn `[batch, steps]`, each times how much better than expected its caption was foretold, and
/// the entropy of the weights `[batch, steps, positions]`, a word. `told` has the mean log-probability of a word of each
/// caption, in the order of the rows; what was to be expected is the mean of the other captions of the batch, where the
/// paper has a moving average.
///
/// # Panics
/// If `told` has not as many elements as `drawn` has rows.
pub fn hard_attention(drawn: Tensor<2>, attention: Tensor<3>, told: &[f32]) -> Tensor<1> {
    let [batch, steps] = drawn.dims();
    assert_eq!(told.len(), batch, "{} captions for {batch} rows", told.len());
    let sum: f32 = told.iter().sum();
    let others = (batch - 1).max(1) as f32;
    let better: Vec<f32> = told.iter().map(|one| if batch > 1 { one - (sum - one) / others } else { 0.0 }).collect();
    let better = Tensor::<2>::from_data(TensorData::new(better, [batch, 1]), &drawn.device());
    let entropy = (attention.clone() * attention.clamp_min(1e-30).log()).sum().neg();
    ((drawn * better).sum() + entropy * ENTROPY).neg() / (batch * steps) as f64
}

/// The mean of `values` `[words]` over the words of each of `captions` captions; `caption_of` has each word's.
pub(crate) fn caption_means(values: Tensor<1>, caption_of: &[usize], captions: usize) -> Vec<f32> {
    let (mut sums, mut counts) = (vec![0.0; captions], vec![0.0f32; captions]);
    for (value, caption) in numbers(values).into_iter().zip(caption_of) {
        sums[*caption] += value;
        counts[*caption] += 1.0;
    }
    sums.iter().zip(counts).map(|(sum, count)| sum / count.max(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use sensorium_core::device;

    use super::*;

    #[test]
    fn a_position_that_helped_is_made_likelier() {
        let device = device::parse("flex").unwrap().autodiff();
        let scores = Tensor::<2>::from_data([[0.0, 0.0], [0.0, 0.0]], &device).require_grad();
        let weights = burn::tensor::activation::softmax(scores.clone(), 1);
        // The first caption looked at position 0 and was told well, the second at position 1 and was told badly.
        let drawn = weights.clone().log().gather(1, Tensor::from_data([[0], [1]], &device));
        let loss = hard_attention(drawn, weights.unsqueeze_dim(1), &[-1.0, -3.0]);
        let gradient = numbers(scores.grad(&loss.backward()).unwrap());
        // Descent moves against the gradient: towards 0 in the first row, away from 1 in the second.
        assert!(gradient[0] < -0.1 && gradient[1] > 0.1 && gradient[2] < -0.1 && gradient[3] > 0.1, "{gradient:?}");
    }

    #[test]
    fn one_caption_alone_teaches_nothing_but_entropy() {
        let device = device::parse("flex").unwrap();
        let even = Tensor::<3>::full([1, 1, 4], 0.25, &device);
        let loss = hard_attention(Tensor::full([1, 1], 0.25f32.ln(), &device), even, &[-2.0]).into_scalar::<f32>();
        assert!((loss + 0.002 * 4f32.ln()).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn means_are_each_captions_own() {
        let device = device::parse("flex").unwrap();
        let values = Tensor::<1>::from_data([1.0, 5.0, 2.0], &device);
        assert_eq!(caption_means(values, &[1, 0, 1], 3), [5.0, 1.5, 0.0]);
    }
}
