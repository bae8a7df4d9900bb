//! A text as the final state of a recurrent layer.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sensorium_core::nn::recurrent::{Gru, Lstm, RecurrentConfig};

use super::word_vectors::{WordVectors, WordVectorsConfig};
use crate::Result;
use crate::batch::WordBatch;

/// Sizes of a [`GruEncoder`].
///
/// ```
/// use sensorium_text::batch::WordBatch;
/// use sensorium_text::encoder::{GruEncoderConfig, WordVectorsConfig};
///
/// let device = sensorium_core::device::parse("flex")?;
/// let encoder = GruEncoderConfig::new(WordVectorsConfig::new(10, 4), 6).init(&device);
/// let batch = WordBatch::from_ids(&[vec![2, 5, 3], vec![7]], &device);
/// assert_eq!(encoder.forward(&batch).dims(), [2, 6]);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
#[derive(Config, Debug)]
pub struct GruEncoderConfig {
    /// The vectors of the words.
    pub words: WordVectorsConfig,
    /// Numbers in the vector of a text.
    pub dim: usize,
    /// Layers of the GRU.
    #[config(default = 1)]
    pub layers: usize,
    /// Dropout between the layers.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl GruEncoderConfig {
    /// The text encoder of VSE++ (Faghri et al. 2018, section 4.1): words of 300 numbers, texts of 1,024, one layer.
    pub fn vsepp(vocab: usize) -> Self {
        Self::new(WordVectorsConfig::new(vocab, 300), 1024)
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// As [`WordVectorsConfig::validate`] and [`RecurrentConfig::validate`].
    pub fn validate(&self) -> Result<()> {
        self.words.validate()?;
        Ok(self.recurrent().validate()?)
    }

    /// The encoder with fresh weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the settings.
    pub fn init(&self, device: &Device) -> GruEncoder {
        GruEncoder { embed: self.words.init(device), rnn: self.recurrent().init_gru(device) }
    }

    fn recurrent(&self) -> RecurrentConfig {
        RecurrentConfig::new(self.words.dim, self.dim).with_layers(self.layers).with_dropout(self.dropout)
    }
}

/// The state of a GRU after the last word. See [`GruEncoderConfig`].
///
/// VSE++'s own weights (`embed.weight`, `rnn.weight_ih_l0`, ...) load by
/// [`from_torch_name`](sensorium_core::nn::recurrent::from_torch_name).
#[derive(Module, Debug)]
pub struct GruEncoder {
    embed: WordVectors,
    rnn: Gru,
}

impl GruEncoder {
    /// One vector a text; zeros for a text without words.
    ///
    /// # Shapes
    /// - result: `[batch, dim]`
    ///
    /// # Panics
    /// As [`WordVectors::forward`].
    pub fn forward(&self, batch: &WordBatch) -> Tensor<2> {
        let states = self.rnn.forward(self.embed.forward(batch), Some(&batch.lengths), None).hidden;
        states.select_dim(0, -1)
    }
}

/// Sizes of a [`BiLstmEncoder`].
#[derive(Config, Debug)]
pub struct BiLstmEncoderConfig {
    /// The vectors of the words.
    pub words: WordVectorsConfig,
    /// Numbers in the state of one direction: the vector of a text has twice as many.
    pub hidden: usize,
    /// Layers of the LSTM.
    #[config(default = 1)]
    pub layers: usize,
    /// Dropout between the layers.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl BiLstmEncoderConfig {
    /// The ingredient encoder of im2recipe (Salvador et al. 2017, section 3.1): words of 300 numbers, 300 a direction.
    pub fn im2recipe(vocab: usize) -> Self {
        Self::new(WordVectorsConfig::new(vocab, 300), 300)
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// As [`WordVectorsConfig::validate`] and [`RecurrentConfig::validate`].
    pub fn validate(&self) -> Result<()> {
        self.words.validate()?;
        Ok(self.recurrent().validate()?)
    }

    /// The encoder with fresh weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the settings.
    pub fn init(&self, device: &Device) -> BiLstmEncoder {
        BiLstmEncoder { embed: self.words.init(device), rnn: self.recurrent().init_lstm(device) }
    }

    fn recurrent(&self) -> RecurrentConfig {
        RecurrentConfig::new(self.words.dim, self.hidden)
            .with_layers(self.layers)
            .with_dropout(self.dropout)
            .with_bidirectional(true)
    }
}

/// The states of an LSTM after the last word and, read backwards, after the first, side by side. See
/// [`BiLstmEncoderConfig`].
#[derive(Module, Debug)]
pub struct BiLstmEncoder {
    embed: WordVectors,
    rnn: Lstm,
}

impl BiLstmEncoder {
    /// One vector a text; zeros for a text without words.
    ///
    /// # Shapes
    /// - result: `[batch, 2 * hidden]`
    ///
    /// # Panics
    /// As [`WordVectors::forward`].
    pub fn forward(&self, batch: &WordBatch) -> Tensor<2> {
        let states = self.rnn.forward(self.embed.forward(batch), Some(&batch.lengths), None).hidden;
        let direction = |index: isize| states.clone().select_dim::<2>(0, index);
        Tensor::cat(vec![direction(-2), direction(-1)], 1)
    }
}

#[cfg(test)]
mod tests {
    use sensorium_core::testing::{assert_close, check_model};

    use super::*;

    fn texts(device: &Device) -> WordBatch {
        WordBatch::from_ids(&[vec![2, 5, 3], vec![4], vec![3, 2]], device)
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn a_text_is_encoded_alike_alone_and_in_a_batch() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let words = || WordVectorsConfig::new(6, 3);
        let gru = GruEncoderConfig::new(words(), 4).with_layers(2).init(&device);
        let lstm = BiLstmEncoderConfig::new(words(), 2).with_layers(2).init(&device);
        let alone = WordBatch::from_ids(&[[4u32]], &device);
        let pairs = [
            (gru.forward(&texts(&device)), gru.forward(&alone)),
            (lstm.forward(&texts(&device)), lstm.forward(&alone)),
        ];
        for (together, alone) in pairs {
            assert_close(&values(together)[4..8], &values(alone), (1e-6, 1e-5), "the second text");
        }
    }

    #[test]
    fn a_text_without_words_is_zero() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let gru = GruEncoderConfig::new(WordVectorsConfig::new(6, 3), 4).init(&device);
        let out = values(gru.forward(&WordBatch::from_ids(&[vec![], vec![3]], &device)));
        assert_eq!(out[..4], [0.0; 4]);
        assert!(out[4..].iter().any(|v| *v != 0.0));
    }

    #[test]
    fn presets_are_valid_and_bad_sizes_are_not() {
        GruEncoderConfig::vsepp(100).validate().unwrap();
        BiLstmEncoderConfig::im2recipe(100).validate().unwrap();
        let refused = GruEncoderConfig::vsepp(100).with_layers(0).validate().unwrap_err().to_string();
        assert!(refused.contains("layers = 0"), "{refused}");
        let refused = BiLstmEncoderConfig::im2recipe(0).validate().unwrap_err().to_string();
        assert!(refused.contains("vocab = 0"), "{refused}");
    }

    #[test]
    fn every_backend_agrees_on_a_gru_encoder() {
        let init = |device: &Device| GruEncoderConfig::new(WordVectorsConfig::new(6, 3), 4).init(device);
        check_model("GRU encoder", init, |m: &GruEncoder, d| m.forward(&texts(d)), [3, 4], 1e-4);
    }

    #[test]
    fn every_backend_agrees_on_a_bidirectional_lstm_encoder() {
        let init = |device: &Device| BiLstmEncoderConfig::new(WordVectorsConfig::new(6, 3), 2).init(device);
        check_model("bi-LSTM encoder", init, |m: &BiLstmEncoder, d| m.forward(&texts(d)), [3, 4], 1e-4);
    }
}
