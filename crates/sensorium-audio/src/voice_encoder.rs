//! A voice as a vector: the encoder of Resemblyzer (Wan et al. 2018, "Generalized End-to-End Loss for Speaker
//! Verification"): three LSTM layers over mel bands, a linear layer, ReLU, unit length.
//!
//! Vectors of one voice lie close together, whatever is said. Of Resemblyzer's preparation, the cutting out of silences by
//! WebRTC's detector is left out; [`crate::silero_vad`] finds speech.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData, activation, assert_shape};
use sensorium_core::nn::recurrent::{Lstm, RecurrentConfig, from_torch_name};
use sensorium_core::weights::{Allow, TensorMap, load_into, parse_safetensors};
use serde::{Deserialize, Serialize};

use crate::front_end::{FrontEnd, Preset};
use crate::{Error, Result};

const WEIGHTS: &[u8] = include_bytes!("../assets/resemblyzer-f16.safetensors");

/// Samples a second that the bundled weights are for.
pub const SAMPLE_RATE: u32 = 16_000;
/// Samples from a frame to the next.
const HOP: usize = 160;
/// Frames that are encoded at a time: 1.6 s.
const WINDOW: usize = 160;
/// Frames from the beginning of a window to that of the next: 1.3 windows a second.
const STEP: usize = 77;
/// A last window that is less full of sound is left out.
const LEAST_COVERED: f64 = 0.75;
/// Windows that are encoded at once.
const BATCH: usize = 64;

/// The sizes of a [`VoiceEncoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceEncoderConfig {
    /// Mel bands of a frame.
    pub n_mels: usize,
    /// Features of the LSTM's hidden state.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
    /// Numbers of the resulting vector.
    pub embedding: usize,
}

impl VoiceEncoderConfig {
    /// Resemblyzer's: 40 bands, three layers of 256, a vector of 256; 1,423,616 parameters.
    pub fn resemblyzer() -> Self {
        Self { n_mels: 40, hidden: 256, layers: 3, embedding: 256 }
    }

    /// A network that runs in a moment, for tests.
    pub fn tiny() -> Self {
        Self { n_mels: 5, hidden: 6, layers: 2, embedding: 4 }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// If one is 0.
    pub fn validate(&self) -> Result<()> {
        let Self { n_mels, hidden, layers, embedding } = *self;
        for (field, value) in [("n_mels", n_mels), ("hidden", hidden), ("layers", layers), ("embedding", embedding)] {
            if value == 0 {
                return Err(Error::config(field, value, "must be at least 1"));
            }
        }
        Ok(())
    }

    /// A network with random weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) finds a fault.
    pub fn init(&self, device: &Device) -> VoiceEncoder {
        self.validate().unwrap_or_else(|fault| panic!("VoiceEncoderConfig: {fault}"));
        VoiceEncoder {
            lstm: RecurrentConfig::new(self.n_mels, self.hidden).with_layers(self.layers).init_lstm(device),
            linear: LinearConfig::new(self.hidden, self.embedding).init(device),
        }
    }
}

/// The voice encoder.
///
/// ```
/// use burn::tensor::Device;
/// use sensorium_audio::voice_encoder::{VoiceEncoder, similarity};
///
/// let encoder = VoiceEncoder::resemblyzer(&Device::flex())?;
/// let hum: Vec<f32> = (0..16000).map(|i| (i as f32 * 0.05).sin() / 3.0).collect();
/// let voice = encoder.embed(&hum)?;
/// assert_eq!(voice.len(), 256);
/// assert!((similarity(&voice, &voice) - 1.0).abs() < 1e-5);
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct VoiceEncoder {
    lstm: Lstm,
    linear: Linear,
}

impl VoiceEncoder {
    /// The encoder with Resemblyzer's weights, which come with this crate, rounded to f16.
    ///
    /// # Errors
    /// If the bundled file is damaged.
    pub fn resemblyzer(device: &Device) -> Result<Self> {
        let tensors = parse_safetensors("resemblyzer-f16.safetensors", WEIGHTS)?;
        VoiceEncoderConfig::resemblyzer().init(device).load(tensors)
    }

    /// Puts tensors in Resemblyzer's names into the network. The two numbers of its training loss are left aside.
    ///
    /// # Errors
    /// If a tensor is missing, left over, or of another shape; the message names the file and the tensors.
    pub fn load(self, tensors: TensorMap) -> Result<Self> {
        let of_loss = |name: &str| matches!(name, "similarity_weight" | "similarity_bias");
        let tensors = tensors.rename(|name| (!of_loss(name)).then(|| from_torch_name(name)))?;
        Ok(load_into(self, &tensors, Allow::NOTHING)?)
    }

    /// Vectors of unit length of some stretches of sound.
    ///
    /// # Shapes
    /// - mels: `[batch, frames, n_mels]`, power, no logarithm
    /// - output: `[batch, embedding]`
    ///
    /// # Panics
    /// If the number of bands is another or there is no frame.
    pub fn forward(&self, mels: Tensor<3>) -> Tensor<2> {
        let last = self.lstm.forward(mels, None, None).hidden; // [layers, batch, hidden]
        let top = last.dims()[0] - 1;
        let features = activation::relu(self.linear.forward(last.slice_dim(0, top..).squeeze_dim::<2>(0)));
        assert_shape!(features, [_, _]);
        let norm = features.clone().square().sum_dim(1).sqrt(); // [batch, 1]
        features / norm.clamp_min(1e-12)
    }

    /// The vector of a recording at 16 kHz: the mean over windows of 1.6 s, of unit length (Resemblyzer's
    /// `embed_utterance`, without its preparation; see [`normalize_volume`]).
    ///
    /// # Errors
    /// [`Error::Signal`] if there is no sample or one is not finite.
    pub fn embed(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let windows = self.embed_windows(samples)?;
        let mut mean = vec![0.0; windows[0].len()];
        for window in &windows {
            for (sum, x) in mean.iter_mut().zip(window) {
                *sum += x;
            }
        }
        let norm = mean.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        Ok(mean.iter().map(|x| x / norm).collect())
    }

    /// As [`embed`](Self::embed), except that a recording shorter than a window of 1.6 s is read as it is and not filled up
    /// with silence. The vectors of single words are better so.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_short(&self, samples: &[f32]) -> Result<Vec<f32>> {
        if samples.is_empty() || samples.len() >= WINDOW * HOP {
            return self.embed(samples);
        }
        let mels = FrontEnd::new(Preset::Resemblyzer.config())?.mel(samples)?;
        let frames = TensorData::new(mels.transposed(), [1, mels.frames, mels.rows]);
        Ok(self.forward(Tensor::from_data(frames, &self.linear.weight.device())).into_data().iter::<f32>().collect())
    }

    /// The vector of each window of 1.6 s, in order.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_windows(&self, samples: &[f32]) -> Result<Vec<Vec<f32>>> {
        if samples.is_empty() {
            return Err(Error::signal("no samples"));
        }
        let starts = window_starts(samples.len());
        let mut padded = samples.to_vec();
        padded.resize(samples.len().max((starts[starts.len() - 1] + WINDOW) * HOP), 0.0);
        let mels = FrontEnd::new(Preset::Resemblyzer.config())?.mel(&padded)?;
        let (bands, frames) = (mels.rows, mels.transposed());
        let device = self.linear.weight.device();
        let mut vectors = Vec::new();
        for starts in starts.chunks(BATCH) {
            let numbers: Vec<f32> =
                starts.iter().flat_map(|start| &frames[start * bands..(start + WINDOW) * bands]).copied().collect();
            let batch = TensorData::new(numbers, [starts.len(), WINDOW, bands]);
            let rows = self.forward(Tensor::from_data(batch, &device));
            let width = rows.dims()[1];
            let rows: Vec<f32> = rows.into_data().iter::<f32>().collect();
            vectors.extend(rows.chunks_exact(width).map(<[f32]>::to_vec));
        }
        Ok(vectors)
    }
}

/// The first frame of each window over a recording.
fn window_starts(samples: usize) -> Vec<usize> {
    let frames = (samples + 1).div_ceil(HOP);
    let end = (frames + STEP + 1).saturating_sub(WINDOW).max(1);
    let mut starts: Vec<usize> = (0..end).step_by(STEP).collect();
    let covered = |start: usize| (samples as f64 - (start * HOP) as f64) / (WINDOW * HOP) as f64;
    if starts.len() > 1 && starts.last().is_some_and(|last| covered(*last) < LEAST_COVERED) {
        starts.pop();
    }
    starts
}

/// Raises a recording to −30 dB below full scale (root mean square), as Resemblyzer does before encoding; louder ones, and
/// silence, stay as they are.
pub fn normalize_volume(samples: &[f32]) -> Vec<f32> {
    const TARGET: f64 = -30.0;
    let power = samples.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
    let gain = 10f64.powf((TARGET - 10.0 * power.log10()) / 20.0);
    let gain = if power > 0.0 && gain > 1.0 { gain } else { 1.0 };
    samples.iter().map(|x| (f64::from(*x) * gain) as f32).collect()
}

/// The cosine between two vectors, −1 to 1.
///
/// # Panics
/// If their lengths differ.
pub fn similarity(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "the lengths of two vectors");
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use sensorium_core::testing::check_model;

    use super::*;

    #[test]
    fn it_keeps_the_contract() {
        let mels = |device: &Device| {
            let numbers: Vec<f32> = (0..2 * 7 * 5).map(|i| ((i * 37 + 11) % 23) as f32 / 9.0).collect();
            Tensor::<3>::from_data(TensorData::new(numbers, [2, 7, 5]), device)
        };
        // Bias above zero keeps every ReLU open.
        let init = |device: &Device| {
            let model = VoiceEncoderConfig::tiny().init(device);
            let bias = model.linear.bias.map(|bias| bias.map(|value| value.ones_like()));
            VoiceEncoder { linear: Linear { bias, ..model.linear }, ..model }
        };
        check_model("voice encoder", init, |m: &VoiceEncoder, d| m.forward(mels(d)), [2, 4], 1e-4);
    }

    /// Slices as Resemblyzer 0.1.4 gives them for recordings of these lengths.
    #[test]
    fn windows_are_those_of_resemblyzer() {
        assert_eq!(window_starts(31_364), [0]);
        assert_eq!(window_starts(56_040), [0, 77, 154]);
        assert_eq!(window_starts(47_840), [0, 77, 154]);
        assert_eq!(window_starts(84_800), [0, 77, 154, 231, 308, 385]);
        assert_eq!(window_starts(10), [0]);
    }

    #[test]
    fn quiet_recordings_are_raised() {
        let quiet = vec![0.001f32; 100];
        let raised = normalize_volume(&quiet);
        assert!((raised[0] - 10f32.powf(-1.5)).abs() < 1e-6, "{}", raised[0]);
        assert_eq!(normalize_volume(&[0.5, -0.5]), [0.5, -0.5]);
        assert_eq!(normalize_volume(&[0.0; 3]), [0.0; 3]);
        assert!(normalize_volume(&[]).is_empty());
    }

    #[test]
    fn parameters_are_counted() {
        assert_eq!(VoiceEncoderConfig::resemblyzer().init(&Device::flex()).num_params(), 1_423_616);
    }
}
