//! A text as the mean or sum of its words' vectors: linear in the words, as the arithmetic of Kiros et al. (2014,
//! section 3.3) needs it.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::word_vectors::{WordVectors, WordVectorsConfig};
use crate::Result;
use crate::batch::WordBatch;

/// How the vectors of the words become one.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean over the words of the text.
    Mean,
    /// Their sum.
    Sum,
}

/// Sizes of a [`BagOfWords`].
///
/// ```
/// use sensorium_text::batch::WordBatch;
/// use sensorium_text::encoder::{BagOfWordsConfig, WordVectorsConfig};
///
/// let device = sensorium_core::device::parse("flex")?;
/// let encoder = BagOfWordsConfig::new(WordVectorsConfig::new(10, 4)).init(&device);
/// let batch = WordBatch::from_ids(&[vec![2, 5, 3], vec![7]], &device);
/// assert_eq!(encoder.forward(&batch).dims(), [2, 4]);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
#[derive(Config, Debug)]
pub struct BagOfWordsConfig {
    /// The vectors of the words; their size is the size of the result.
    pub words: WordVectorsConfig,
    /// How they become one.
    #[config(default = "Pooling::Mean")]
    pub pooling: Pooling,
}

impl BagOfWordsConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// As [`WordVectorsConfig::validate`].
    pub fn validate(&self) -> Result<()> {
        self.words.validate()
    }

    /// The encoder with fresh weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the settings.
    pub fn init(&self, device: &Device) -> BagOfWords {
        BagOfWords { embed: self.words.init(device), pooling: self.pooling }
    }
}

/// The bag-of-words encoder. See [`BagOfWordsConfig`].
#[derive(Module, Debug)]
pub struct BagOfWords {
    embed: WordVectors,
    #[module(skip)]
    pooling: Pooling,
}

impl BagOfWords {
    /// One vector a text; zeros for a text without words.
    ///
    /// # Shapes
    /// - result: `[batch, dim]`
    ///
    /// # Panics
    /// As [`WordVectors::forward`].
    pub fn forward(&self, batch: &WordBatch) -> Tensor<2> {
        let sum = (self.embed.forward(batch) * batch.mask()).sum_dim(1).squeeze_dim::<2>(1);
        match self.pooling {
            Pooling::Sum => sum,
            Pooling::Mean => {
                let count = batch.lengths.len();
                let words: Vec<f32> = batch.lengths.iter().map(|&length| length.max(1) as f32).collect();
                sum / Tensor::from_data(TensorData::new(words, [count, 1]), &batch.ids.device())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sensorium_core::testing::{assert_close, check_model};

    use super::*;

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn a_text_is_the_mean_or_sum_of_its_words() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let sum = BagOfWordsConfig::new(WordVectorsConfig::new(9, 4)).with_pooling(Pooling::Sum).init(&device);
        let mean = BagOfWords { pooling: Pooling::Mean, ..sum.clone() };
        let of = |encoder: &BagOfWords, list: &[u32]| values(encoder.forward(&WordBatch::from_ids(&[list], &device)));
        let (cat, dog) = (of(&sum, &[4]), of(&sum, &[7]));
        let both: Vec<f32> = cat.iter().zip(&dog).map(|(a, b)| a + b).collect();
        let half: Vec<f32> = both.iter().map(|v| v / 2.0).collect();
        assert_close(&of(&sum, &[4, 7]), &both, (1e-6, 0.0), "sum");
        assert_close(&of(&mean, &[7, 4]), &half, (1e-6, 0.0), "mean");
        for encoder in [&sum, &mean] {
            let texts = encoder.forward(&WordBatch::from_ids(&[vec![4, 7], vec![], vec![4]], &device));
            let texts = values(texts);
            assert_eq!(texts[4..8], [0.0; 4], "a text without words");
            assert_close(&texts[8..], &cat, (1e-6, 0.0), "a padded text");
        }
    }

    #[test]
    fn every_backend_agrees_on_a_bag_of_words() {
        let words = || WordVectorsConfig::new(6, 4).with_features(Some(3));
        let init = |device: &Device| BagOfWordsConfig::new(words()).init(device);
        let forward = |encoder: &BagOfWords, device: &Device| {
            let mut batch = WordBatch::from_ids(&[vec![2, 5, 3], vec![1]], device);
            let features: Vec<f32> = (0..18).map(|i| (i % 7) as f32 / 3.0 - 1.0).collect();
            batch.features = Some(Tensor::from_data(TensorData::new(features, [2, 3, 3]), device));
            encoder.forward(&batch)
        };
        check_model("bag of words", init, forward, [2, 4], 1e-4);
    }
}
