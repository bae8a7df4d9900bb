//! Show, Attend and Tell (Xu et al. 2015), with soft and with hard attention.
//!
//! Cell, gate, names and shapes are those of sgrvinod's PyTorch captioning tutorial, whose decoders load by name: at
//! each step attention looks at the picture's map with the *previous* hidden state, a gate `σ(f_beta(h))` scales what
//! it saw, and an LSTM cell reads the last word's vector beside it. What differs is how it is computed: the map is
//! projected once a picture, not once a step, and in training all words are scored by one matrix product.

mod cpu;
mod few_rows;

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu, sigmoid, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData, assert_shape};
pub use cpu::{CpuDecoder, CpuState};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sensorium_core::nn::recurrent::{LstmCell, LstmState, TurnedCell};
use sensorium_core::{Error as CoreError, weights};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::decode::{Followers, NextWords, Row, drawn};
use crate::teacher::Captions;

/// What an [`AttentionDecoder`] sees of the positions that it weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Focus {
    /// All of them, each as much as its weight: the expected position (§4.2).
    #[default]
    Soft,
    /// One of them (§4.1): while training, for half of the captions one drawn by its weight at each word, for the other
    /// half the expected one; afterwards the likeliest.
    Hard,
}

/// Sizes of an [`AttentionDecoder`].
///
/// ```
/// use burn::tensor::Tensor;
/// use sensorium_captioning::attend::AttentionDecoderConfig;
///
/// let device = sensorium_core::device::parse("flex")?;
/// let decoder = AttentionDecoderConfig::new(20, 8).with_hidden(16).init(&device);
/// let maps = Tensor::ones([2, 9, 8], &device); // two pictures, 3 x 3 positions
/// let read = decoder.forward(maps, &[vec![17, 3, 18], vec![17, 4, 5, 18]]);
/// assert_eq!(read.logits.dims(), [5, 20]); // 2 + 3 words are foretold
/// assert_eq!(read.attention.dims(), [2, 3, 9]);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct AttentionDecoderConfig {
    /// Words, the special ones among them.
    pub vocab: usize,
    /// Channels of the picture's map.
    pub features: usize,
    /// Features of the space in which map and state meet.
    #[config(default = 512)]
    pub attention: usize,
    /// Features of a word's vector.
    #[config(default = 512)]
    pub embedding: usize,
    /// Features of the LSTM's state.
    #[config(default = 512)]
    pub hidden: usize,
    /// The share of the state that is set to zero before words are scored, while training.
    #[config(default = 0.5)]
    pub dropout: f64,
    /// Soft or hard attention.
    #[config(default = "Focus::Soft")]
    pub focus: Focus,
}

impl AttentionDecoderConfig {
    /// Checks the ranges, as read from a file.
    ///
    /// # Errors
    /// If a size is 0 or the dropout is outside [0, 1).
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("vocab", self.vocab),
            ("features", self.features),
            ("attention", self.attention),
            ("embedding", self.embedding),
            ("hidden", self.hidden),
        ];
        if let Some((field, size)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(CoreError::config(field, size, "must be at least 1").into());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(CoreError::config("dropout", self.dropout, "must be at least 0 and less than 1").into());
        }
        Ok(())
    }

    /// The sizes that the tensors of a decoder have, under the tutorial's names.
    ///
    /// # Errors
    /// If a tensor that shows a size is missing or has another number of axes; the message names it.
    pub fn of_tensors(tensors: &weights::TensorMap) -> Result<Self> {
        let axes = |name: &str| -> Result<[usize; 2]> {
            let fail = |reason| CoreError::Weights { path: tensors.source().to_path_buf(), reason };
            let tensor = tensors.get(name).ok_or_else(|| fail(format!("no tensor is called '{name}'")))?;
            let shape = tensor.shape().to_vec();
            let axes = shape.as_slice().try_into();
            Ok(axes.map_err(|_| fail(format!("'{name}' has the shape {shape:?}, but must have 2 axes")))?)
        };
        let [attention, features] = axes("attention.encoder_att.weight")?;
        let [vocab, embedding] = axes("embedding.weight")?;
        let [_, hidden] = axes("fc.weight")?;
        let config = Self { attention, embedding, hidden, ..Self::new(vocab, features) };
        config.validate()?;
        Ok(config)
    }

    /// A decoder with fresh weights: those of the embedding and of the last layer from ±.1, that layer's bias 0, all
    /// else as torch draws it.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the sizes.
    pub fn init(&self, device: &Device) -> AttentionDecoder {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let Self { vocab, features, attention, embedding, hidden, .. } = *self;
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        let narrow = Initializer::Uniform { min: -0.1, max: 0.1 };
        let mut fc = LinearConfig::new(hidden, vocab).with_initializer(narrow.clone()).init(device);
        fc.bias = Some(Param::from_tensor(Tensor::zeros([vocab], device)));
        AttentionDecoder {
            attention: Attention {
                encoder_att: linear(features, attention),
                decoder_att: linear(hidden, attention),
                full_att: linear(attention, 1),
            },
            embedding: EmbeddingConfig::new(vocab, embedding).with_initializer(narrow).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            decode_step: LstmCell::init(embedding + features, hidden, device),
            init_h: linear(features, hidden),
            init_c: linear(features, hidden),
            f_beta: linear(hidden, features),
            fc,
            focus: self.focus,
        }
    }
}

/// Foretells a caption's words from where it looks in a picture. See [`AttentionDecoderConfig`].
#[derive(Module, Debug)]
pub struct AttentionDecoder {
    attention: Attention,
    embedding: Embedding,
    dropout: Dropout,
    decode_step: LstmCell,
    init_h: Linear,
    init_c: Linear,
    f_beta: Linear,
    fc: Linear,
    #[module(skip)]
    focus: Focus,
}

#[derive(Module, Debug)]
struct Attention {
    encoder_att: Linear,
    decoder_att: Linear,
    full_att: Linear,
}

impl Attention {
    /// Weights `[rows, positions]` for states `[rows, hidden]`, from the projected maps of each row's picture, or of
    /// the one that all rows look at, `[rows or 1, positions, attention]`.
    fn weights(&self, projected: Tensor<3>, hidden: Tensor<2>) -> Tensor<2> {
        let [_, positions, _] = projected.dims();
        let [rows, _] = hidden.dims();
        let meeting = relu(projected + self.decoder_att.forward(hidden).unsqueeze_dim(1));
        softmax(self.full_att.forward(meeting).reshape([rows, positions]), 1)
    }
}

/// What [`AttentionDecoder::forward`] returns: all words that were foretold, step by step, and within a step the
/// longest caption first (torch's `pack_padded_sequence`).
#[derive(Debug, Clone)]
pub struct Foretold {
    /// Each word's logits `[words, vocab]`.
    pub logits: Tensor<2>,
    /// The words that the captions have there `[words]`.
    pub targets: Tensor<1, Int>,
    /// How it weighed the positions `[batch, steps, positions]`, the longest caption first; zero past a caption's end.
    pub attention: Tensor<3>,
    /// The logarithms of the weights of the positions that were drawn `[batch, steps]`; zero where none was.
    pub drawn: Tensor<2>,
    /// The captions' places in the batch, the longest first.
    pub order: Vec<usize>,
    /// Steps of each caption in that order: one fewer than it has numbers.
    pub lengths: Vec<usize>,
}

impl AttentionDecoder {
    /// Reads captions word by word and foretells each next word: teacher forcing, on a prefix of the batch that shrinks
    /// as captions end. Hard attention looks at the likeliest positions.
    ///
    /// # Shapes
    /// - `maps`: `[batch, positions, features]`
    /// - `captions`: `batch` lists of word numbers, from `<start>` to `<end>`
    /// - result: see [`Foretold`]
    ///
    /// # Panics
    /// If a shape is another, there is no caption, or one has fewer than 2 numbers.
    pub fn forward(&self, maps: Tensor<3>, captions: &[Vec<u32>]) -> Foretold {
        self.foretell(maps, &Captions::longest_first(captions, captions), None)
    }

    /// As [`forward`](Self::forward) in training: the decoder reads `read`, which has other words than `captions` where
    /// it is to go on from its own, and hard attention draws positions.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), or if `read` and `captions` differ in length.
    pub fn practise(
        &self,
        maps: Tensor<3>,
        read: &[Vec<u32>],
        captions: &[Vec<u32>],
        rng: &mut ChaCha8Rng,
    ) -> Foretold {
        self.foretell(maps, &Captions::longest_first(read, captions), Some(rng))
    }

    fn foretell(&self, maps: Tensor<3>, captions: &Captions, mut rng: Option<&mut ChaCha8Rng>) -> Foretold {
        let [batch, _, _] = maps.dims();
        assert_eq!(captions.order.len(), batch, "{} captions for {batch} maps", captions.order.len());
        let device = maps.device();
        let maps = maps.select(0, captions.places(&device));
        let mut state = self.first_state(maps.clone());
        let mut projected = self.attention.encoder_att.forward(maps.clone());
        let mut maps = maps;
        let (mut hidden, mut looked, mut drawn) = (vec![], vec![], vec![]);
        let cell = self.decode_step.turned();
        let draws: Vec<bool> = match (self.focus, rng.as_mut()) {
            (Focus::Hard, Some(rng)) => (0..batch).map(|_| rng.random()).collect(),
            _ => vec![false; batch],
        };
        for step in 0..captions.steps() {
            let live = captions.live(step);
            if live < maps.dims()[0] {
                let shrink = |state: Tensor<2>| state.slice_dim(0, ..live);
                state = LstmState { hidden: shrink(state.hidden), cell: shrink(state.cell) };
                maps = maps.slice_dim(0, ..live);
                projected = projected.slice_dim(0, ..live);
            }
            let weights = self.attention.weights(projected.clone(), state.hidden.clone());
            let focus = match (self.focus, rng.as_mut()) {
                (Focus::Soft, _) => weights.clone(),
                (Focus::Hard, None) => one_hot(&likeliest(&weights), weights.dims()[1], &device),
                (Focus::Hard, Some(rng)) => {
                    let (focus, log_weight) = draw(weights.clone(), &draws[..live], rng);
                    drawn.push(filled_up(log_weight, batch));
                    focus
                }
            };
            let seen = focus.unsqueeze_dim::<3>(1).matmul(maps.clone()).squeeze_dim(1);
            state = self.read(&cell, captions.words(step, &device), seen, state);
            hidden.push(state.hidden.clone());
            looked.push(filled_up(weights, batch));
        }
        let hidden = self.dropout.forward(Tensor::cat(hidden, 0)); // [words, hidden]
        Foretold {
            logits: self.fc.forward(hidden),
            targets: captions.targets(&device),
            attention: Tensor::stack(looked, 1),
            drawn: match drawn.is_empty() {
                true => Tensor::zeros([batch, captions.steps()], &device),
                false => Tensor::cat(drawn, 1),
            },
            lengths: captions.lengths(),
            order: captions.order.clone(),
        }
    }

    /// Soft or hard attention.
    pub(crate) fn focus(&self) -> Focus {
        self.focus
    }

    /// The decoder that drops nothing in training.
    pub(crate) fn without_dropout(mut self) -> Self {
        self.dropout = DropoutConfig::new(0.0).init();
        self
    }

    /// The state before the first word, from the mean of each map `[batch, positions, features]`.
    fn first_state(&self, maps: Tensor<3>) -> LstmState<2> {
        let mean = maps.mean_dim(1).squeeze_dim::<2>(1);
        LstmState { hidden: self.init_h.forward(mean.clone()), cell: self.init_c.forward(mean) }
    }

    /// The state after `words` `[rows]`, where `seen` `[rows, features]` is what attention saw before them.
    fn read(&self, cell: &TurnedCell<4>, words: Tensor<1, Int>, seen: Tensor<2>, state: LstmState<2>) -> LstmState<2> {
        let gate = sigmoid(self.f_beta.forward(state.hidden.clone()));
        let words = self.embedding.forward(words.unsqueeze_dim(0)).squeeze_dim(0);
        cell.step(Tensor::cat(vec![words, gate * seen], 1), state)
    }

    /// Gets ready to tell about pictures: projects their maps `[pictures, positions, features]` once.
    pub fn start(&self, maps: Tensor<3>) -> AttentionState {
        AttentionState {
            pictures: (0..maps.dims()[0]).collect(),
            lstm: self.first_state(maps.clone()),
            projected: self.attention.encoder_att.forward(maps.clone()),
            maps,
        }
    }
}

/// What an [`AttentionDecoder`] knows after the words so far.
#[derive(Debug, Clone)]
pub struct AttentionState {
    /// `[pictures, positions, features]`
    maps: Tensor<3>,
    /// `[pictures, positions, attention]`
    projected: Tensor<3>,
    /// Each row's picture.
    pictures: Vec<usize>,
    lstm: LstmState<2>,
}

impl NextWords for AttentionDecoder {
    type State = AttentionState;

    fn vocab(&self) -> usize {
        self.fc.weight.dims()[1]
    }

    fn next(&self, state: &AttentionState, rows: &[Row]) -> (AttentionState, Followers) {
        let device = state.maps.device();
        let from = ints(rows.iter().map(|row| row.from as i64), &device);
        let words = ints(rows.iter().map(|row| i64::from(row.word)), &device);
        let pictures: Vec<usize> = rows.iter().map(|row| state.pictures[row.from]).collect();
        let pick = |of_rows: &Tensor<2>| of_rows.clone().select(0, from.clone());
        let lstm = LstmState { hidden: pick(&state.lstm.hidden), cell: pick(&state.lstm.cell) };
        let (mut weights, mut seen) = (vec![], vec![]);
        // The rows of a picture stand together and share its map.
        let mut first = 0;
        for rows in pictures.chunk_by(|a, b| a == b) {
            let map = |maps: &Tensor<3>| maps.clone().slice_dim(0, rows[0]..rows[0] + 1);
            let hidden = lstm.hidden.clone().slice_dim(0, first..first + rows.len());
            let looked = self.attention.weights(map(&state.projected), hidden);
            let map = map(&state.maps).squeeze_dim::<2>(0);
            seen.push(match self.focus {
                Focus::Soft => looked.clone().matmul(map),
                Focus::Hard => map.select(0, ints(likeliest(&looked).into_iter().map(|place| place as i64), &device)),
            });
            weights.push(looked);
            first += rows.len();
        }
        let lstm = self.read(&self.decode_step.turned(), words, Tensor::cat(seen, 0), lstm);
        let log_probs = log_softmax(self.fc.forward(lstm.hidden.clone()), 1);
        let followers = Followers { log_probs: numbers(log_probs), attention: Some(numbers(Tensor::cat(weights, 0))) };
        let state = AttentionState { maps: state.maps.clone(), projected: state.projected.clone(), pictures, lstm };
        (state, followers)
    }
}

/// The position of the largest of each row of `weights` `[rows, positions]`.
fn likeliest(weights: &Tensor<2>) -> Vec<usize> {
    let chosen = weights.clone().argmax(1).into_data();
    chosen.iter::<i64>().map(|place| place as usize).collect()
}

/// Rows that are one at a place each and zero elsewhere, `[places, positions]`.
fn one_hot(places: &[usize], positions: usize, device: &Device) -> Tensor<2> {
    let mut rows = vec![0.0f32; places.len() * positions];
    for (row, place) in rows.chunks_exact_mut(positions).zip(places) {
        row[*place] = 1.0;
    }
    Tensor::from_data(TensorData::new(rows, [places.len(), positions]), device)
}

/// Draws a position by its weight in each row of `weights` `[rows, positions]` that `draws` names, and leaves the others
/// as they are; and the logarithm of each drawn position's weight `[rows, 1]`, zero in the others.
fn draw(weights: Tensor<2>, draws: &[bool], rng: &mut ChaCha8Rng) -> (Tensor<2>, Tensor<2>) {
    let [rows, positions] = weights.dims();
    let device = weights.device();
    let mut chosen = vec![0.0f32; rows * positions];
    for ((row, weights), draws) in
        chosen.chunks_exact_mut(positions).zip(numbers(weights.clone()).chunks_exact(positions)).zip(draws)
    {
        if *draws {
            row[drawn(weights.iter().copied(), rng)] = 1.0;
        }
    }
    let chosen = Tensor::<2>::from_data(TensorData::new(chosen, [rows, positions]), &device);
    let kept = draws.iter().map(|draws| if *draws { 0.0f32 } else { 1.0 }).collect::<Vec<_>>();
    let kept = Tensor::<2>::from_data(TensorData::new(kept, [rows, 1]), &device);
    let of_drawn = (weights.clone() * chosen.clone()).sum_dim(1) + kept.clone();
    (weights * kept + chosen, of_drawn.clamp_min(1e-30).log())
}

/// `[live, positions]` with rows of zeros up to `[batch, positions]`.
fn filled_up(weights: Tensor<2>, batch: usize) -> Tensor<2> {
    let [live, positions] = weights.dims();
    assert_shape!(weights, [live, positions]);
    if live == batch {
        return weights;
    }
    let rest = Tensor::zeros([batch - live, positions], &weights.device());
    Tensor::cat(vec![weights, rest], 0)
}

pub(crate) fn ints(values: impl Iterator<Item = i64>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().expect("floats")
}

#[cfg(test)]
pub(super) mod tests {
    use rand::SeedableRng;
    use sensorium_core::device;
    use sensorium_core::testing::check_model;

    use super::*;
    use crate::decode::{BeamSearch, Limits};
    use crate::loss::doubly_stochastic;

    fn tiny() -> AttentionDecoderConfig {
        AttentionDecoderConfig::new(9, 4).with_attention(5).with_embedding(6).with_hidden(7).with_dropout(0.0)
    }

    pub(super) fn waves<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        let numbers: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * 0.7).sin() * 1.5).collect();
        Tensor::from_data(TensorData::new(numbers, shape), device)
    }

    #[test]
    fn it_keeps_the_contract() {
        let captions = [vec![7, 1, 8], vec![7, 3, 2, 1, 8]];
        // The map's weights sum to 1, so that no gradient reaches the bias that all scores share but by the loss below.
        let forward = |decoder: &AttentionDecoder, device: &Device| {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let read = decoder.practise(waves([2, 4, 4], device), &captions, &captions, &mut rng);
            let weighted = read.attention * waves([2, 4, 4], device);
            read.logits
                + (weighted.sum() + read.drawn.sum()).unsqueeze::<2>()
                + decoder.attention.full_att.bias.clone().unwrap().val().unsqueeze()
        };
        for focus in [Focus::Soft, Focus::Hard] {
            let what = format!("attention decoder, {focus:?}");
            check_model(&what, |device| tiny().with_focus(focus).init(device), forward, [6, 9], 2e-3);
        }
    }

    #[test]
    fn a_caption_is_read_alone_as_in_a_batch() {
        let device = device::parse("flex").unwrap();
        let decoder = tiny().init(&device);
        let maps = waves([2, 4, 4], &device);
        let both = decoder.forward(maps.clone(), &[vec![7, 1, 8], vec![7, 3, 2, 1, 8]]);
        assert_eq!((both.order, both.lengths), (vec![1, 0], vec![4, 2]));
        assert_eq!(both.targets.into_data().iter::<i64>().collect::<Vec<_>>(), [3, 1, 2, 8, 1, 8]);
        let alone = decoder.forward(maps.slice_dim(0, ..1), &[vec![7, 1, 8]]);
        let rows = numbers(both.logits);
        let of_alone = numbers(alone.logits);
        for (place, row) in [(1, 0), (3, 1)] {
            let (got, want) = (&rows[place * 9..][..9], &of_alone[row * 9..][..9]);
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?} {want:?}");
        }
        let past_the_end = numbers(both.attention.slice([1..2, 2..4]));
        assert_eq!(past_the_end, [0.0; 8]);
    }

    #[test]
    fn searching_follows_what_reading_foretells() {
        let device = device::parse("flex").unwrap();
        let decoder = tiny().init(&device);
        let maps = waves([3, 4, 4], &device);
        let limits = Limits { max_steps: 6, ..Limits::tutorial(7, 8) };
        for found in BeamSearch::new(3).search(&decoder, decoder.start(maps.clone()), 3, &limits).iter().enumerate() {
            let (picture, sentence) = (found.0, found.1.best());
            let caption: Vec<u32> = [7].into_iter().chain(sentence.words.iter().copied()).collect();
            let read = decoder.forward(maps.clone().slice_dim(0, picture..picture + 1), &[caption]);
            let log_probs = numbers(log_softmax(read.logits, 1));
            let score: f32 = sentence.words.iter().enumerate().map(|(i, word)| log_probs[i * 9 + *word as usize]).sum();
            assert!((score - sentence.score).abs() < 1e-4, "{score} {}", sentence.score);
            let looked = numbers(read.attention);
            assert!(looked.iter().zip(sentence.attention.concat()).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }

    #[test]
    fn hard_attention_sees_one_position_or_the_expected_one() {
        let device = device::parse("flex").unwrap();
        let weights = Tensor::<2>::from_data([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], &device);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut counts = [0.0f32; 3];
        for _ in 0..4000 {
            let (focus, log_weight) = draw(weights.clone(), &[true, false], &mut rng);
            let (focus, log_weight) = (numbers(focus), numbers(log_weight));
            assert_eq!((&focus[3..], log_weight[1]), (&[0.1, 0.1, 0.8][..], 0.0));
            let place = focus[..3].iter().position(|weight| *weight == 1.0).unwrap();
            assert_eq!(focus[..3].iter().sum::<f32>(), 1.0);
            assert!((log_weight[0] - [0.2f32, 0.5, 0.3][place].ln()).abs() < 1e-6);
            counts[place] += 1.0 / 4000.0;
        }
        assert!(counts.iter().zip([0.2, 0.5, 0.3]).all(|(got, want)| (got - want).abs() < 0.03), "{counts:?}");
    }

    #[test]
    fn hard_attention_searches_as_it_reads() {
        let device = device::parse("flex").unwrap();
        let decoder = tiny().with_focus(Focus::Hard).init(&device);
        let maps = waves([1, 4, 4], &device);
        let found = BeamSearch::new(1).search(&decoder, decoder.start(maps.clone()), 1, &Limits::tutorial(7, 8));
        let sentence = found[0].best();
        let caption: Vec<u32> = [7].into_iter().chain(sentence.words.iter().copied()).collect();
        let log_probs = numbers(log_softmax(decoder.forward(maps, &[caption]).logits, 1));
        let score: f32 = sentence.words.iter().enumerate().map(|(i, word)| log_probs[i * 9 + *word as usize]).sum();
        assert!((score - sentence.score).abs() < 1e-4, "{score} {}", sentence.score);
    }

    #[test]
    fn looking_everywhere_once_costs_nothing() {
        let device = device::parse("flex").unwrap();
        let even = Tensor::<3>::full([2, 4, 4], 0.25, &device);
        assert!(doubly_stochastic(even).into_scalar::<f32>() < 1e-12);
        let once = Tensor::<3>::zeros([2, 4, 4], &device);
        assert_eq!(doubly_stochastic(once).into_scalar::<f32>(), 1.0);
    }

    #[test]
    fn sizes_are_those_of_the_tensors_and_faults_are_named() {
        let device = device::parse("flex").unwrap();
        let mut tensors = weights::tensors_of(&tiny().init(&device));
        let sizes = AttentionDecoderConfig::of_tensors(&tensors).unwrap();
        assert_eq!(sizes, tiny().with_dropout(0.5));
        tensors.insert("fc.weight", TensorData::from([1.0f32]));
        let fault = AttentionDecoderConfig::of_tensors(&tensors).unwrap_err().to_string();
        assert!(fault.contains("'fc.weight' has the shape [1]"), "{fault}");
        tensors.retain(|name| name != "embedding.weight");
        let fault = AttentionDecoderConfig::of_tensors(&tensors).unwrap_err().to_string();
        assert!(fault.contains("'embedding.weight'"), "{fault}");
    }
}
