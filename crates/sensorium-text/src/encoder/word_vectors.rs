//! Words to vectors: learned ones, projected pretrained ones, or their sum.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::module::embedding;
use burn::tensor::{Device, Distribution, Tensor, assert_shape};
use sensorium_core::Error;

use crate::Result;
use crate::batch::WordBatch;
use crate::vocab::SPECIAL;

/// Where the vector of a word comes from.
///
/// A free vector is learned for each word of the vocabulary. With `features`, a linear map of the word's dense features
/// (GloVe, say) is added: it also reaches words that were never seen in training.
#[derive(Config, Debug)]
pub struct WordVectorsConfig {
    /// Words in the vocabulary, the special ones included.
    pub vocab: usize,
    /// Numbers in a word's vector.
    pub dim: usize,
    /// Whether each word of the vocabulary has a vector of its own.
    #[config(default = true)]
    pub free: bool,
    /// Dense features of a word in [`WordBatch::features`]; `None` to use none.
    #[config(default = "None")]
    pub features: Option<usize>,
}

impl WordVectorsConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If a size is too small, or words have neither free vectors nor features.
    pub fn validate(&self) -> Result<()> {
        if self.vocab < SPECIAL.len() {
            return Err(Error::config("vocab", self.vocab, "must be at least 2, for the two special words").into());
        }
        for (field, size) in [("dim", self.dim), ("features", self.features.unwrap_or(1))] {
            if size == 0 {
                return Err(Error::config(field, size, "must be at least 1").into());
            }
        }
        if !self.free && self.features.is_none() {
            return Err(Error::config("free", self.free, "must be true where words have no features").into());
        }
        Ok(())
    }

    /// Fresh vectors: free ones drawn from ±0.1 as in VSE++, but zero for the special words, so that a word outside
    /// the vocabulary says nothing until training says otherwise.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the settings.
    pub fn init(&self, device: &Device) -> WordVectors {
        self.validate().unwrap_or_else(|e| panic!("{e}"));
        let weight = self.free.then(|| {
            let special = Tensor::zeros([SPECIAL.len(), self.dim], device);
            let words =
                Tensor::random([self.vocab - SPECIAL.len(), self.dim], Distribution::Uniform(-0.1, 0.1), device);
            Param::from_tensor(Tensor::cat(vec![special, words], 0))
        });
        // Without a bias: padding and unknown words have zero features and must stay zero.
        let project = self.features.map(|features| LinearConfig::new(features, self.dim).with_bias(false).init(device));
        WordVectors { weight, project }
    }
}

/// The vectors of words. See [`WordVectorsConfig`].
#[derive(Module, Debug)]
pub struct WordVectors {
    /// Free vectors `[vocab, dim]`; in an encoder its path is `embed.weight`, as torch's `nn.Embedding` calls it.
    pub weight: Option<Param<Tensor<2>>>,
    /// From a word's features to its vector.
    pub project: Option<Linear>,
}

impl WordVectors {
    /// The vector of every word of a batch.
    ///
    /// # Shapes
    /// - result: `[batch, words, dim]`
    ///
    /// # Panics
    /// If a word's number is outside the vocabulary (on some GPU backends it is another word's vector instead), or the
    /// batch lacks the features that the configuration names.
    pub fn forward(&self, batch: &WordBatch) -> Tensor<3> {
        let free = self.weight.as_ref().map(|weight| embedding(weight.val(), batch.ids.clone()));
        let projected = self.project.as_ref().map(|project| {
            let features = batch.features.clone().expect("a batch with features, as the configuration names them");
            let [count, width] = batch.ids.dims();
            assert_shape!(features, [count, width, _]);
            project.forward(features)
        });
        match (free, projected) {
            (Some(free), Some(projected)) => free + projected,
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => unreachable!("the configuration names at least one source"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::{PAD, UNK};

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = |config: WordVectorsConfig| config.validate().unwrap_err().to_string();
        assert!(refused(WordVectorsConfig::new(1, 4)).contains("vocab = 1"));
        assert!(refused(WordVectorsConfig::new(5, 0)).contains("dim = 0"));
        assert!(refused(WordVectorsConfig::new(5, 4).with_features(Some(0))).contains("features = 0"));
        assert!(refused(WordVectorsConfig::new(5, 4).with_free(false)).contains("free = false"));
    }

    #[test]
    fn special_words_start_at_zero() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let vectors = WordVectorsConfig::new(5, 3).init(&device);
        let out = vectors.forward(&WordBatch::from_ids(&[[PAD, UNK, 2]], &device));
        let out: Vec<f32> = out.to_data().iter::<f32>().collect();
        assert_eq!(out[..6], [0.0; 6]);
        assert!(out[6..].iter().all(|v| *v != 0.0 && v.abs() <= 0.1));
    }

    #[test]
    #[should_panic(expected = "a batch with features")]
    fn missing_features_panic() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let vectors = WordVectorsConfig::new(5, 3).with_features(Some(2)).init(&device);
        vectors.forward(&WordBatch::from_ids(&[[2]], &device));
    }
}
