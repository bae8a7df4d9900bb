//! Attention pooling: a set of vectors becomes one, each weighted by how well it fits.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, assert_shape};

use crate::{Error, Result};

/// Additive attention (Bahdanau, Cho and Bengio 2015, section 3.1) over a set:
/// `weights = softmax(v · tanh(W x + U q))`, `pooled = Σ weights · x`, with or without a query `q`.
///
/// ```
/// use burn::tensor::Tensor;
/// use sensorium_core::nn::attention::AttentionPoolingConfig;
///
/// let device = sensorium_core::device::parse("flex")?;
/// let pooling = AttentionPoolingConfig::new(3, 8).init(&device);
/// let result = pooling.forward(Tensor::ones([2, 5, 3], &device), None, None);
/// assert_eq!(result.pooled.dims(), [2, 3]);
/// assert_eq!(result.weights.dims(), [2, 5]);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
#[derive(Config, Debug)]
pub struct AttentionPoolingConfig {
    /// Features of each element of the set.
    pub features: usize,
    /// Features of the space in which elements and query meet.
    pub attention: usize,
    /// Features of the query; `None` for a pooling that takes none.
    #[config(default = "None")]
    pub query: Option<usize>,
}

impl AttentionPoolingConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] if a size is 0.
    pub fn validate(&self) -> Result<()> {
        let sizes = [("features", self.features), ("attention", self.attention), ("query", self.query.unwrap_or(1))];
        match sizes.iter().find(|(_, size)| *size == 0) {
            Some((field, size)) => Err(Error::config(*field, size, "must be at least 1")),
            None => Ok(()),
        }
    }

    /// The pooling with fresh weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the sizes.
    pub fn init(&self, device: &Device) -> AttentionPooling {
        self.validate().unwrap_or_else(|e| panic!("{e}"));
        let query = self.query.map(|query| LinearConfig::new(query, self.attention).with_bias(false).init(device));
        AttentionPooling {
            features: LinearConfig::new(self.features, self.attention).init(device),
            query,
            // A bias would add the same to every score, which softmax takes away again.
            score: LinearConfig::new(self.attention, 1).with_bias(false).init(device),
        }
    }
}

/// Pools a set by learned weights. See [`AttentionPoolingConfig`].
#[derive(Module, Debug)]
pub struct AttentionPooling {
    features: Linear,
    query: Option<Linear>,
    score: Linear,
}

/// What [`AttentionPooling::forward`] returns.
#[derive(Debug, Clone)]
pub struct Pooled {
    /// The weighted sum `[batch, features]`.
    pub pooled: Tensor<2>,
    /// The weights `[batch, positions]`: at least 0, sum 1.
    pub weights: Tensor<2>,
}

impl AttentionPooling {
    /// Pools each set of the batch.
    ///
    /// A position where `padding` is true gets weight 0. A set of nothing but padding is pooled to zeros.
    ///
    /// # Shapes
    /// - `set`: `[batch, positions, features]`
    /// - `query`: `[batch, query]`, given just when the configuration names its size
    /// - `padding`: `[batch, positions]`
    /// - result: see [`Pooled`]
    ///
    /// # Panics
    /// If a shape is another, or a query is missing or not expected.
    pub fn forward(&self, set: Tensor<3>, query: Option<Tensor<2>>, padding: Option<Tensor<2, Bool>>) -> Pooled {
        let [batch, positions, features] = set.dims();
        let mut meeting = self.features.forward(set.clone()); // [batch, positions, attention]
        match (&self.query, query) {
            (Some(project), Some(query)) => {
                assert_shape!(query, [batch, _]);
                meeting = meeting + project.forward(query).unsqueeze_dim(1);
            }
            (None, None) => {}
            (Some(_), None) => panic!("this pooling needs a query"),
            (None, Some(_)) => panic!("this pooling takes no query"),
        }
        let scores = self.score.forward(meeting.tanh()).reshape([batch, positions]);
        let weights = match padding {
            Some(padding) => {
                assert_shape!(padding, [batch, positions]);
                // Low enough to leave nothing after softmax, and finite, so that a set of padding gives no NaN.
                softmax(scores.mask_fill(padding.clone(), -1e9), 1).mask_fill(padding, 0.0)
            }
            None => softmax(scores, 1),
        };
        let pooled = weights.clone().unsqueeze_dim::<3>(1).matmul(set).reshape([batch, features]);
        Pooled { pooled, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::sample::{numbers, values};
    use crate::testing::{assert_close, check_model};

    #[test]
    fn padding_has_no_weight_and_no_influence() {
        let device = crate::device::parse("flex").unwrap();
        let pooling = AttentionPoolingConfig::new(3, 4).init(&device);
        let set = numbers([1, 5, 3], &device);
        let padding = Tensor::from_data([[false, false, false, true, true]], &device);
        let masked = pooling.forward(set.clone(), None, Some(padding));
        let short = pooling.forward(set.slice_dim(1, ..3), None, None);
        assert_close(&values(&masked.pooled), &values(&short.pooled), (1e-6, 1e-5), "pooled");
        assert_eq!(values(&masked.weights)[3..], [0.0, 0.0]);
        let total: f32 = values(&masked.weights).iter().sum();
        assert!((total - 1.0).abs() < 1e-5, "the weights sum to {total}");
    }

    #[test]
    fn a_set_of_padding_is_pooled_to_zeros() {
        let device = crate::device::parse("flex").unwrap();
        let pooling = AttentionPoolingConfig::new(3, 4).init(&device);
        let padding = Tensor::from_data([[true, true]], &device);
        let result = pooling.forward(numbers([1, 2, 3], &device), None, Some(padding));
        assert_eq!(values(&result.pooled), [0.0; 3]);
    }

    #[test]
    fn a_query_moves_the_weights() {
        let device = crate::device::parse("flex").unwrap();
        let pooling = AttentionPoolingConfig::new(3, 4).with_query(Some(2)).init(&device);
        let weights = |scale: f32| {
            let query = Tensor::full([1, 2], scale, &device);
            values(&pooling.forward(numbers([1, 5, 3], &device), Some(query), None).weights)
        };
        assert_ne!(weights(-3.0), weights(3.0));
    }

    #[test]
    #[should_panic(expected = "needs a query")]
    fn a_missing_query_panics() {
        let device = crate::device::parse("flex").unwrap();
        let pooling = AttentionPoolingConfig::new(3, 4).with_query(Some(2)).init(&device);
        pooling.forward(numbers([1, 5, 3], &device), None, None);
    }

    #[test]
    fn every_backend_agrees_on_attention_pooling() {
        let init = |device: &Device| AttentionPoolingConfig::new(3, 4).with_query(Some(2)).init(device);
        let forward = |pooling: &AttentionPooling, device: &Device| {
            let padding = Tensor::from_data([[false, false, true], [false, false, false]], device);
            pooling.forward(numbers([2, 3, 3], device), Some(numbers([2, 2], device)), Some(padding)).pooled
        };
        check_model("attention pooling", init, forward, [2, 3], 1e-4);
    }
}
