//! Show and Tell (Vinyals et al. 2015): the picture is the first thing that an LSTM reads.
//!
//! Names and shapes are those of the widespread PyTorch implementations: `encoder.{linear,bn}` and
//! `decoder.{embed,lstm,linear}`, torch's `LSTM` names in between.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use sensorium_core::Error as CoreError;
use sensorium_core::nn::recurrent::{Lstm, LstmState, RecurrentConfig};
use sensorium_core::weights::{Allow, TensorMap, load_named, tensors_of};

use crate::Result;
use crate::attend::{ints, numbers};
use crate::decode::{Followers, NextWords, Row};
use crate::loss::cross_entropy;
use crate::practice::Practice;

/// Sizes of a [`ShowAndTell`].
///
/// ```
/// use burn::tensor::Tensor;
/// use sensorium_captioning::show_and_tell::{Reading, ShowAndTellConfig};
///
/// let device = sensorium_core::device::parse("flex")?;
/// let model = ShowAndTellConfig::new(20, 8).with_hidden(16).init(&device);
/// let features = Tensor::ones([2, 8], &device);
/// let captions = [vec![17, 3, 18], vec![17, 4, 5, 18]];
/// let loss = model.loss(features, &captions, Reading::FromStart);
/// assert!(loss.into_scalar::<f32>() > 0.0);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct ShowAndTellConfig {
    /// Words, the special ones among them.
    pub vocab: usize,
    /// Numbers in a picture's features.
    pub features: usize,
    /// Features of a word's vector, and of the picture's.
    #[config(default = 512)]
    pub embedding: usize,
    /// Features of the LSTM's state.
    #[config(default = 512)]
    pub hidden: usize,
    /// Layers of the LSTM.
    #[config(default = 1)]
    pub layers: usize,
}

impl ShowAndTellConfig {
    /// Checks the ranges, as read from a file.
    ///
    /// # Errors
    /// If a size is 0.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("vocab", self.vocab),
            ("features", self.features),
            ("embedding", self.embedding),
            ("hidden", self.hidden),
            ("layers", self.layers),
        ];
        match sizes.into_iter().find(|(_, size)| *size == 0) {
            Some((field, size)) => Err(CoreError::config(field, size, "must be at least 1").into()),
            None => Ok(()),
        }
    }

    /// A model with fresh weights, as torch draws them.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the sizes.
    pub fn init(&self, device: &Device) -> ShowAndTell {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        ShowAndTell {
            encoder: ImageEmbedding {
                linear: LinearConfig::new(self.features, self.embedding).init(device),
                bn: BatchNormConfig::new(self.embedding).with_epsilon(1e-5).with_momentum(0.01).init(device),
            },
            decoder: Teller {
                embed: EmbeddingConfig::new(self.vocab, self.embedding).init(device),
                lstm: RecurrentConfig::new(self.embedding, self.hidden).with_layers(self.layers).init_lstm(device),
                linear: LinearConfig::new(self.hidden, self.vocab).init(device),
            },
        }
    }
}

/// Which words are to be foretold from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The paper's: what the LSTM says after the picture is ignored, then each word foretells the next.
    FromStart,
    /// A widespread tutorial's: the picture foretells `<start>`, and so on.
    FromPicture,
}

/// Foretells a caption's words from a picture's features. See [`ShowAndTellConfig`].
#[derive(Module, Debug)]
pub struct ShowAndTell {
    encoder: ImageEmbedding,
    decoder: Teller,
}

#[derive(Module, Debug)]
struct ImageEmbedding {
    linear: Linear,
    bn: BatchNorm,
}

#[derive(Module, Debug)]
struct Teller {
    embed: Embedding,
    lstm: Lstm,
    linear: Linear,
}

impl ShowAndTell {
    /// Puts a weight file's tensors into the model, which are in torch's names.
    ///
    /// # Errors
    /// If a tensor is missing, left over, or of another shape; the message names them.
    pub fn load(self, tensors: TensorMap) -> Result<Self> {
        Ok(load_named(self, &tensors, to_torch_name, Allow::NOTHING)?)
    }

    /// The model's tensors as [`load`](Self::load) takes them.
    pub fn tensors(&self) -> TensorMap {
        tensors_of(self).rename(|name| Some(to_torch_name(name))).expect("no two tensors share a name")
    }

    /// The model whose batch norm keeps its statistics, gain and offset while it is trained.
    pub fn fix_norm(mut self) -> Self {
        self.encoder.bn = self.encoder.bn.freeze();
        self
    }

    /// A picture as the LSTM reads it: `[batch, features]` to `[batch, embedding]`.
    pub fn embed_picture(&self, features: Tensor<2>) -> Tensor<2> {
        self.encoder.bn.forward(self.encoder.linear.forward(features))
    }

    /// The logits after the picture and after each word of its caption, `[batch, 1 + time, vocab]`; past a caption's
    /// end they mean nothing.
    ///
    /// # Shapes
    /// - `features`: `[batch, features]`
    /// - `captions`: `batch` lists of word numbers, from `<start>` to `<end>`
    ///
    /// # Panics
    /// If there are not as many captions as pictures.
    pub fn forward(&self, features: Tensor<2>, captions: &[Vec<u32>]) -> Tensor<3> {
        self.decoder.linear.forward(self.hidden(features, captions))
    }

    /// The LSTM's states `[batch, 1 + time, hidden]`.
    fn hidden(&self, features: Tensor<2>, captions: &[Vec<u32>]) -> Tensor<3> {
        let [batch, _] = features.dims();
        assert_eq!(captions.len(), batch, "{} captions for {batch} pictures", captions.len());
        let device = features.device();
        let time = captions.iter().map(Vec::len).max().unwrap_or(0);
        let padded = captions.iter().flat_map(|caption| {
            let rest = std::iter::repeat_n(0, time - caption.len());
            caption.iter().map(|word| i64::from(*word)).chain(rest)
        });
        let words = ints(padded, &device).reshape([batch, time]);
        let picture = self.embed_picture(features).unsqueeze_dim(1);
        let input = Tensor::cat(vec![picture, self.decoder.embed.forward(words)], 1);
        let lengths: Vec<usize> = captions.iter().map(|caption| caption.len() + 1).collect();
        self.decoder.lstm.forward(input, Some(&lengths), None).output
    }

    /// The mean cross-entropy over all words that `reading` foretells.
    ///
    /// # Shapes
    /// As [`forward`](Self::forward).
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn loss(&self, features: Tensor<2>, captions: &[Vec<u32>], reading: Reading) -> Tensor<1> {
        let practice = self.practise(features, captions, captions, reading);
        cross_entropy(practice.logits, practice.targets)
    }

    /// All words that `reading` foretells, caption by caption, where `read` is read in place of `captions`.
    pub(crate) fn practise(
        &self,
        features: Tensor<2>,
        read: &[Vec<u32>],
        captions: &[Vec<u32>],
        reading: Reading,
    ) -> Practice {
        let device = features.device();
        let hidden = self.hidden(features, read);
        let [batch, time, width] = hidden.dims();
        let first = match reading {
            Reading::FromStart => 1,
            Reading::FromPicture => 0,
        };
        let (mut places, mut targets, mut caption_of) = (vec![], vec![], vec![]);
        for (row, caption) in captions.iter().enumerate() {
            places.extend((first..caption.len()).map(|place| (row * time + place) as i64));
            targets.extend(caption[first..].iter().map(|word| i64::from(*word)));
            caption_of.extend((first..caption.len()).map(|_| row));
        }
        let hidden = hidden.reshape([batch * time, width]).select(0, ints(places.into_iter(), &device));
        Practice {
            logits: self.decoder.linear.forward(hidden),
            targets: ints(targets.into_iter(), &device),
            caption_of,
            looks: None,
        }
    }

    /// The `steps` likeliest words, one after the other from the picture on, as [`Reading::FromPicture`] foretells
    /// them: for each picture, first of all `<start>`. Nothing ends it early.
    pub fn greedy_from_picture(&self, features: Tensor<2>, steps: usize) -> Vec<Vec<u32>> {
        let mut sentences = vec![vec![]; features.dims()[0]];
        let mut input = self.embed_picture(features);
        let mut state = None;
        for _ in 0..steps {
            let (hidden, next) = self.step(input, state);
            let words = self.decoder.linear.forward(hidden).argmax(1).squeeze_dim::<1>(1);
            let chosen = words.to_data();
            for (sentence, word) in sentences.iter_mut().zip(chosen.iter::<i64>()) {
                sentence.push(word as u32);
            }
            input = self.decoder.embed.forward(words.unsqueeze_dim(0)).squeeze_dim(0);
            state = Some(next);
        }
        sentences
    }

    /// Gets ready to tell about pictures `[pictures, features]`: reads them.
    pub fn start(&self, features: Tensor<2>) -> ShowAndTellState {
        ShowAndTellState(self.step(self.embed_picture(features), None).1)
    }

    /// Reads `[rows, embedding]` and returns the last layer's state `[rows, hidden]` and all layers'.
    fn step(&self, input: Tensor<2>, state: Option<LstmState<3>>) -> (Tensor<2>, LstmState<3>) {
        let read = self.decoder.lstm.forward(input.unsqueeze_dim(1), None, state);
        (read.output.squeeze_dim(1), LstmState { hidden: read.hidden, cell: read.cell })
    }
}

/// torch's name for a parameter called `name` here: the way back from [`from_torch_name`](sensorium_core::nn::recurrent::from_torch_name).
fn to_torch_name(name: &str) -> String {
    match name.split_once(".layers.").and_then(|(lstm, rest)| Some((lstm, rest.split_once(".forward.")?))) {
        Some((lstm, (layer, parameter))) => format!("{lstm}.{parameter}_l{layer}"),
        None => name.to_string(),
    }
}

/// What a [`ShowAndTell`] knows after the words so far: states `[layers, rows, hidden]`.
#[derive(Debug, Clone)]
pub struct ShowAndTellState(LstmState<3>);

impl NextWords for ShowAndTell {
    type State = ShowAndTellState;

    fn vocab(&self) -> usize {
        self.decoder.linear.weight.dims()[1]
    }

    fn next(&self, ShowAndTellState(state): &ShowAndTellState, rows: &[Row]) -> (ShowAndTellState, Followers) {
        let device = state.hidden.device();
        let from = ints(rows.iter().map(|row| row.from as i64), &device);
        let words: Vec<i64> = rows.iter().map(|row| i64::from(row.word)).collect();
        let words: Tensor<2, Int> = Tensor::from_data(TensorData::new(words, [1, rows.len()]), &device);
        let pick = |of_rows: &Tensor<3>| of_rows.clone().select(1, from.clone());
        let state = LstmState { hidden: pick(&state.hidden), cell: pick(&state.cell) };
        let (hidden, state) = self.step(self.decoder.embed.forward(words).squeeze_dim(0), Some(state));
        let log_probs = log_softmax(self.decoder.linear.forward(hidden), 1);
        (ShowAndTellState(state), Followers { log_probs: numbers(log_probs), attention: None })
    }
}

#[cfg(test)]
mod tests {
    use sensorium_core::nn::recurrent::from_torch_name;
    use sensorium_core::testing::check_model;

    use super::*;

    #[test]
    fn names_go_to_torch_and_back() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let model = ShowAndTellConfig::new(9, 4).with_embedding(6).with_hidden(5).with_layers(2).init(&device);
        let here: Vec<String> = tensors_of(&model).names().map(String::from).collect();
        let back: Vec<String> = model.tensors().names().map(from_torch_name).collect();
        assert_eq!(here, back);
        assert!(model.tensors().get("decoder.lstm.weight_hh_l1").is_some());
    }

    #[test]
    fn it_keeps_the_contract() {
        let features = |device: &Device| {
            let numbers: Vec<f32> = (0..8).map(|i| (i as f32 * 0.7).sin()).collect();
            Tensor::from_data(TensorData::new(numbers, [2, 4]), device)
        };
        // A batch norm's gradient needs statistics that are not a symmetric pair's: three pictures.
        let forward = |model: &ShowAndTell, device: &Device| {
            let three = Tensor::cat(vec![features(device), Tensor::full([1, 4], 0.3, device)], 0);
            model.forward(three, &[vec![7, 1, 8], vec![7, 3, 2, 8], vec![7, 8]])
        };
        let init =
            |device: &Device| ShowAndTellConfig::new(9, 4).with_embedding(6).with_hidden(5).with_layers(2).init(device);
        check_model("Show and Tell", init, forward, [3, 5, 9], 2e-3);
    }
}
