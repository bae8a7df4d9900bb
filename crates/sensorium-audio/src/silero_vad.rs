//! Where speech is: silero-vad's network for 16 kHz (version 6), chunk by chunk of 32 ms.
//!
//! A chunk goes, with the end of the one before, through a convolution with the sines and cosines of a short Fourier
//! transform, four convolutions and an LSTM cell whose state is carried on.

use burn::module::Module;
use burn::nn::PaddingConfig1d;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::tensor::{Device, Tensor, TensorData, activation, assert_shape};
use sensorium_core::nn::recurrent::{LstmCell, LstmState};
use sensorium_core::weights::{Allow, TensorMap, load_into, parse_safetensors};
use serde::Serialize;

use crate::{Error, Result};

const WEIGHTS: &[u8] = include_bytes!("../assets/silero-vad-16k.safetensors");

/// Samples a second that the network is for.
pub const SAMPLE_RATE: u32 = 16_000;
/// Samples of a chunk.
pub const CHUNK: usize = 512;
/// Samples of the chunk before that a chunk is seen with.
const CONTEXT: usize = 64;
const BINS: usize = 129;
const HIDDEN: usize = 128;
/// Chunks whose convolutions are done at once.
const BATCH: usize = 256;

/// The network.
///
/// ```
/// use burn::tensor::Device;
/// use sensorium_audio::silero_vad::SileroVad;
///
/// let network = SileroVad::pretrained(&Device::flex())?;
/// let silence = network.probabilities(&[0.0; 5000])?;
/// assert_eq!(silence.len(), 10);
/// assert!(silence.iter().all(|p| *p < 0.5));
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct SileroVad {
    stft_conv: Conv1d,
    conv1: Conv1d,
    conv2: Conv1d,
    conv3: Conv1d,
    conv4: Conv1d,
    lstm_cell: LstmCell,
    final_conv: Conv1d,
}

impl SileroVad {
    /// A network with random weights.
    pub fn init(device: &Device) -> Self {
        let conv = |channels: [usize; 2], kernel: usize, stride: usize| {
            Conv1dConfig::new(channels[0], channels[1], kernel).with_stride(stride)
        };
        let padded =
            |channels, stride| conv(channels, 3, stride).with_padding(PaddingConfig1d::Explicit(1, 1)).init(device);
        Self {
            stft_conv: conv([1, 2 * BINS], 256, 128).with_bias(false).init(device),
            conv1: padded([BINS, 128], 1),
            conv2: padded([128, 64], 2),
            conv3: padded([64, 64], 2),
            conv4: padded([64, HIDDEN], 1),
            lstm_cell: LstmCell::init(HIDDEN, HIDDEN, device),
            final_conv: conv([HIDDEN, 1], 1, 1).init(device),
        }
    }

    /// The network with silero-vad's weights, which come with this crate.
    ///
    /// # Errors
    /// If the bundled file is damaged.
    pub fn pretrained(device: &Device) -> Result<Self> {
        Self::init(device).load(&parse_safetensors("silero-vad-16k.safetensors", WEIGHTS)?)
    }

    /// Puts tensors in silero-vad's names into the network.
    ///
    /// # Errors
    /// If a tensor is missing, left over, or of another shape; the message names the file and the tensors.
    pub fn load(self, tensors: &TensorMap) -> Result<Self> {
        Ok(load_into(self, tensors, Allow::NOTHING)?)
    }

    /// The magnitudes that the first convolution gives.
    ///
    /// # Shapes
    /// - chunks: `[chunks, 576]`, each with the 64 samples before it
    /// - output: `[chunks, 129, 4]`
    ///
    /// # Panics
    /// If the chunks have another length.
    pub fn magnitudes(&self, chunks: Tensor<2>) -> Tensor<3> {
        assert_shape!(chunks, [_, 576]);
        let mirrored = chunks.clone().slice_dim(1, CHUNK - 1..CHUNK + CONTEXT - 1).flip([1]);
        let waves = self.stft_conv.forward(Tensor::cat(vec![chunks, mirrored], 1).unsqueeze_dim(1));
        let [re, im] = [waves.clone().slice_dim(1, ..BINS), waves.slice_dim(1, BINS..)];
        (re.square() + im.square()).sqrt()
    }

    /// What the LSTM is given.
    ///
    /// # Shapes
    /// - chunks: `[chunks, 576]`, each with the 64 samples before it
    /// - output: `[chunks, 128]`
    ///
    /// # Panics
    /// If the chunks have another length.
    pub fn features(&self, chunks: Tensor<2>) -> Tensor<2> {
        let convolutions = [&self.conv1, &self.conv2, &self.conv3, &self.conv4];
        let x = convolutions.iter().fold(self.magnitudes(chunks), |x, conv| activation::relu(conv.forward(x)));
        x.squeeze_dim(2)
    }

    /// One step on: the probability of speech in a chunk, and the state after it.
    ///
    /// # Shapes
    /// - features: `[batch, 128]`, of one chunk of each of several recordings
    /// - state: both tensors `[batch, 128]`
    /// - output: `[batch]`
    ///
    /// # Panics
    /// If a shape is another.
    pub fn step(&self, features: Tensor<2>, state: LstmState<2>) -> (Tensor<1>, LstmState<2>) {
        let state = self.lstm_cell.step(features, state);
        let seen = activation::relu(state.hidden.clone()).unsqueeze_dim(2);
        (activation::sigmoid(self.final_conv.forward(seen)).reshape([-1]), state)
    }

    /// The probability of speech in each chunk of 512 samples of a recording at 16 kHz; the last is filled up with zeros.
    ///
    /// # Errors
    /// [`Error::Signal`] if a sample is not finite.
    pub fn probabilities(&self, samples: &[f32]) -> Result<Vec<f32>> {
        crate::frames::check_finite(samples)?;
        let device = self.final_conv.weight.device();
        let count = samples.len().div_ceil(CHUNK);
        let mut padded = vec![0.0; CONTEXT + count * CHUNK];
        padded[CONTEXT..CONTEXT + samples.len()].copy_from_slice(samples);
        let chunks: Vec<&[f32]> = (0..count).map(|i| &padded[i * CHUNK..(i + 1) * CHUNK + CONTEXT]).collect();
        let mut state = LstmState::zeros([1, HIDDEN], &device);
        let mut probabilities = Vec::with_capacity(count);
        for chunks in chunks.chunks(BATCH) {
            let batch = TensorData::new(chunks.concat(), [chunks.len(), CHUNK + CONTEXT]);
            let features = self.features(Tensor::from_data(batch, &device));
            let mut given = Vec::with_capacity(chunks.len());
            for chunk in features.split(1, 0) {
                let (probability, next) = self.step(chunk, state);
                state = next;
                given.push(probability);
            }
            probabilities.extend(Tensor::cat(given, 0).into_data().iter::<f32>());
        }
        Ok(probabilities)
    }
}

/// How probabilities become stretches of speech; the defaults are those of silero-vad's `get_speech_timestamps`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpeechConfig {
    /// Speech begins at this probability, and ends 0.15 below it.
    pub threshold: f32,
    /// Shorter stretches of speech are left out, in seconds.
    pub min_speech: f64,
    /// Shorter silences do not end a stretch, in seconds.
    pub min_silence: f64,
    /// What is added before and after each stretch, in seconds.
    pub pad: f64,
}

impl Default for SpeechConfig {
    fn default() -> Self {
        Self { threshold: 0.5, min_speech: 0.25, min_silence: 0.1, pad: 0.03 }
    }
}

/// A stretch of speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Speech {
    /// Its first sample.
    pub start: usize,
    /// The sample after its last.
    pub end: usize,
}

impl SpeechConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Core`] if the threshold is not a probability or a duration is negative.
    pub fn validate(&self) -> Result<()> {
        if !(self.threshold > 0.0 && self.threshold < 1.0) {
            return Err(Error::config("threshold", self.threshold, "must be between 0 and 1"));
        }
        for (field, value) in [("min_speech", self.min_speech), ("min_silence", self.min_silence), ("pad", self.pad)] {
            if !(0.0..=3600.0).contains(&value) {
                return Err(Error::config(field, value, "must be 0 to 3600 seconds"));
            }
        }
        Ok(())
    }

    /// The stretches of speech in a recording of `samples` samples, from the probabilities of its chunks.
    pub fn stretches(&self, probabilities: &[f32], samples: usize) -> Vec<Speech> {
        let mut found = self.spoken(probabilities, samples);
        let pad = seconds(self.pad);
        for i in 0..found.len() {
            if i == 0 {
                found[0].start = found[0].start.saturating_sub(pad);
            }
            let Some(next) = found.get(i + 1).copied() else {
                found[i].end = (found[i].end + pad).min(samples);
                break;
            };
            // Two that are near share what is between them.
            let between = next.start - found[i].end;
            let half = if between < 2 * pad { between / 2 } else { pad };
            found[i].end += half;
            found[i + 1].start -= half;
        }
        found
    }

    fn spoken(&self, probabilities: &[f32], samples: usize) -> Vec<Speech> {
        let (least, pause) = (seconds(self.min_speech), seconds(self.min_silence));
        let quiet = (self.threshold - 0.15).max(0.01);
        let (mut found, mut start, mut silence) = (Vec::new(), None, None);
        for (chunk, probability) in probabilities.iter().enumerate() {
            let at = chunk * CHUNK;
            if *probability >= self.threshold {
                silence = None;
                start = start.or(Some(at));
            } else if let Some(begin) = start
                && *probability < quiet
            {
                let end = *silence.get_or_insert(at);
                if at - end >= pause {
                    if end - begin > least {
                        found.push(Speech { start: begin, end });
                    }
                    (start, silence) = (None, None);
                }
            }
        }
        if let Some(begin) = start.filter(|begin| samples.saturating_sub(*begin) > least) {
            found.push(Speech { start: begin, end: samples });
        }
        found
    }
}

/// Seconds as samples.
fn seconds(duration: f64) -> usize {
    (duration * f64::from(SAMPLE_RATE)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted() {
        assert_eq!(SileroVad::init(&Device::flex()).num_params(), 309_633);
    }

    #[test]
    fn speech_is_found_by_hand() {
        // Speech in chunks from the first of each pair to before the second.
        let of = |loud: &[[usize; 2]], count: usize| {
            let spoken = |i: usize| loud.iter().any(|[from, to]| (*from..*to).contains(&i));
            let p: Vec<f32> = (0..count).map(|i| if spoken(i) { 0.9 } else { 0.1 }).collect();
            SpeechConfig::default().stretches(&p, count * CHUNK)
        };
        assert!(of(&[], 50).is_empty());
        // 480 samples are added on both sides.
        assert_eq!(of(&[[10, 30]], 50), [Speech { start: 10 * 512 - 480, end: 30 * 512 + 480 }]);
        assert!(of(&[[10, 15]], 50).is_empty(), "160 ms are too short");
        assert_eq!(of(&[[10, 30], [32, 50]], 80).len(), 1, "a pause of 64 ms");
        assert_eq!(of(&[[10, 30], [36, 50]], 80).len(), 2, "a pause of 192 ms");
        assert_eq!(of(&[[0, 50]], 50), [Speech { start: 0, end: 50 * 512 }]);
    }
}
