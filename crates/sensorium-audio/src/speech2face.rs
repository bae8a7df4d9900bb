//! The voice encoder of Speech2Face (Oh et al. 2019, "Speech2Face: Learning the Face Behind a Voice", table 1): from the
//! complex spectrogram of some seconds of speech to a vector of a face. The module only; it is trained where faces are.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData, activation, assert_shape};
use sensorium_core::weights::{Allow, TensorMap, load_into};
use serde::{Deserialize, Serialize};

use crate::stft::{Stft, StftConfig};
use crate::{Error, Result};

/// Samples a second.
pub const SAMPLE_RATE: u32 = 16_000;
/// The side of every kernel.
const KERNEL: usize = 4;
/// Bins of the spectrogram.
const BINS: usize = 257;

/// A convolution of 4 × 4 without padding, ReLU, batch norm and pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Channels out.
    pub channels: usize,
    /// The stride in time and frequency.
    pub stride: usize,
    /// Whether the larger of two moments is kept.
    pub pool: bool,
}

/// The sizes of a [`Speech2FaceEncoder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speech2FaceEncoderConfig {
    /// The convolutions.
    pub layers: Vec<Layer>,
    /// Features of the first linear layer.
    pub hidden: usize,
    /// Numbers of the face's vector.
    pub embedding: usize,
}

impl Speech2FaceEncoderConfig {
    /// The paper's: 64 to 512 channels, two layers of 4096.
    pub fn paper() -> Self {
        Self { layers: Self::layers([64, 64, 128, 128, 128, 256, 512, 512, 512]), hidden: 4096, embedding: 4096 }
    }

    /// The same form with other widths.
    pub fn layers(channels: [usize; 9]) -> Vec<Layer> {
        let layer = |(index, channels)| Layer { channels, stride: 1 + index / 7, pool: (2..6).contains(&index) };
        channels.into_iter().enumerate().map(layer).collect()
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// If there is no layer, a size is 0, or so many layers leave nothing of the 257 bins.
    pub fn validate(&self) -> Result<()> {
        let sizes = self.layers.iter().flat_map(|layer| [layer.channels, layer.stride]);
        if self.layers.is_empty() || sizes.chain([self.hidden, self.embedding]).any(|size| size == 0) {
            return Err(Error::config("layers", format!("{:?}", self.layers), "needs at least one, and no size of 0"));
        }
        match self.bins() {
            Some(_) => Ok(()),
            None => Err(Error::config("layers", self.layers.len(), "leave no bin: use fewer, or smaller strides")),
        }
    }

    /// Bins that are left after the convolutions.
    fn bins(&self) -> Option<usize> {
        self.layers.iter().try_fold(BINS, |bins, layer| Some(bins.checked_sub(KERNEL)? / layer.stride + 1))
    }

    /// A network with random weights, as torch draws them.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) finds a fault.
    pub fn init(&self, device: &Device) -> Speech2FaceEncoder {
        self.validate().unwrap_or_else(|fault| panic!("Speech2FaceEncoderConfig: {fault}"));
        let (mut convs, mut norms, mut channels) = (Vec::new(), Vec::new(), 2);
        for layer in &self.layers {
            let conv = Conv2dConfig::new([channels, layer.channels], [KERNEL; 2]).with_stride([layer.stride; 2]);
            convs.push(conv.with_padding(PaddingConfig2d::Valid).init(device));
            norms.push(BatchNormConfig::new(layer.channels).init(device));
            channels = layer.channels;
        }
        let bins = self.bins().expect("checked sizes");
        Speech2FaceEncoder {
            convs,
            norms,
            fc6: LinearConfig::new(channels * bins, self.hidden).init(device),
            fc7: LinearConfig::new(self.hidden, self.embedding).init(device),
            pools: self.layers.iter().map(|layer| layer.pool).collect(),
        }
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct Speech2FaceEncoder {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    fc6: Linear,
    fc7: Linear,
    #[module(skip)]
    pools: Vec<bool>,
}

impl Speech2FaceEncoder {
    /// Puts tensors called `conv1`, `bn1`, ..., `fc6` and `fc7` into the network.
    ///
    /// # Errors
    /// If a tensor is missing, left over, or of another shape; the message names the file and the tensors.
    pub fn load(self, tensors: TensorMap) -> Result<Self> {
        let own_name = |name: &str| {
            let (layer, rest) = name.split_once('.').unwrap_or((name, ""));
            let index = |prefix: &str| layer.strip_prefix(prefix)?.parse::<usize>().ok()?.checked_sub(1);
            match (index("conv"), index("bn")) {
                (Some(index), _) => format!("convs.{index}.{rest}"),
                (_, Some(index)) => format!("norms.{index}.{rest}"),
                _ => name.to_string(),
            }
        };
        Ok(load_into(self, &tensors.rename(|name| Some(own_name(name)))?, Allow::NOTHING)?)
    }

    /// The vector of a face.
    ///
    /// # Shapes
    /// - spectrograms: `[batch, 2, frames, 257]`, see [`spectrogram`]
    /// - output: `[batch, embedding]`
    ///
    /// # Panics
    /// If a side is another, or there are too few frames for the layers.
    pub fn forward(&self, spectrograms: Tensor<4>) -> Tensor<2> {
        let top = self.features(spectrograms).pop().expect("at least one layer");
        let pooled = top.mean_dim(2).flatten::<2>(1, 3); // [batch, channels * bins]
        self.fc7.forward(activation::relu(self.fc6.forward(pooled)))
    }

    /// What each convolution gives, the first one first.
    ///
    /// # Shapes
    /// - spectrograms: `[batch, 2, frames, 257]`
    /// - output: each `[batch, channels, time, frequency]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn features(&self, spectrograms: Tensor<4>) -> Vec<Tensor<4>> {
        assert_shape!(spectrograms, [_, 2, _, 257]);
        // The larger of two moments.
        let halves = MaxPool2dConfig::new([2, 1]).with_strides([2, 1]).init();
        let mut features: Vec<Tensor<4>> = Vec::with_capacity(self.convs.len());
        for ((conv, norm), pool) in self.convs.iter().zip(&self.norms).zip(&self.pools) {
            let below = features.last().cloned().unwrap_or_else(|| spectrograms.clone());
            // Batch norm after ReLU, as the paper has it.
            let x = norm.forward(activation::relu(conv.forward(below)));
            features.push(if *pool { halves.forward(x) } else { x });
        }
        features
    }
}

/// The encoder's input: the spectrogram of speech at 16 kHz (frames of 25 ms every 10 ms, transformed at 512), of its real
/// and imaginary parts sgn(x)·|x|^0.3 (section 4.1).
///
/// # Errors
/// [`Error::Signal`] if the recording is shorter than a frame, or a sample is not finite.
///
/// # Shapes
/// - output: `[1, 2, frames, 257]`
pub fn spectrogram(samples: &[f32], device: &Device) -> Result<Tensor<4>> {
    let config = StftConfig { win_length: 400, center: false, ..StftConfig::new(512, 160) };
    let spectrum = Stft::<f32>::new(config)?.forward(samples)?;
    let compressed = |part: &[f32]| -> Vec<f32> {
        let at = |frame: usize, bin: usize| part[bin * spectrum.frames + frame];
        let squeeze = |x: f32| x.signum() * x.abs().powf(0.3);
        (0..spectrum.frames).flat_map(|frame| (0..BINS).map(move |bin| squeeze(at(frame, bin)))).collect()
    };
    let numbers = [compressed(&spectrum.re), compressed(&spectrum.im)].concat();
    Ok(Tensor::from_data(TensorData::new(numbers, [1, 2, spectrum.frames, BINS]), device))
}

#[cfg(test)]
mod tests {
    use sensorium_core::testing::check_model;

    use super::*;

    #[test]
    fn it_keeps_the_contract() {
        let config = Speech2FaceEncoderConfig {
            layers: Speech2FaceEncoderConfig::layers([2; 9])[6..].to_vec(),
            hidden: 5,
            embedding: 4,
        };
        let input = |device: &Device| {
            let noise: Vec<f32> = (0..4000).map(|i| ((i * 7919 + 13) % 101) as f32 / 50.5 - 1.0).collect();
            spectrogram(&noise, device).unwrap()
        };
        check_model("Speech2Face", |d| config.init(d), |m: &Speech2FaceEncoder, d| m.forward(input(d)), [1, 4], 1e-3);
    }

    #[test]
    fn layers_that_leave_nothing_are_refused() {
        let layer = Layer { channels: 1, stride: 4, pool: false };
        let config = Speech2FaceEncoderConfig { layers: vec![layer; 5], hidden: 1, embedding: 1 };
        assert!(config.validate().unwrap_err().to_string().contains("leave no bin"));
    }
}
