//! Networks from sound to classes.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, activation, assert_shape};
use serde::{Deserialize, Serialize};

use super::input::InputConfig;
use crate::sound_net::{self, SoundNet, SoundNetConfig};
use crate::{Error, Result};

/// Which network, and its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkConfig {
    /// A convolutional network over mel bands.
    MelCnn(MelCnnConfig),
    /// SoundNet over the waveform, with a new last layer.
    SoundNet(SoundNetConfig),
}

impl NetworkConfig {
    /// What the network is given.
    pub fn input(&self) -> InputConfig {
        match self {
            Self::MelCnn(_) => InputConfig::Mel,
            Self::SoundNet(_) => InputConfig::Wave,
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// If one is 0.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::MelCnn(config) => config.validate(),
            Self::SoundNet(config) => config.validate(),
        }
    }

    /// A network with random weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) finds a fault, or there is no class.
    pub fn init(&self, classes: usize, device: &Device) -> Network {
        match self {
            Self::MelCnn(config) => Network::MelCnn(config.init(classes, device)),
            Self::SoundNet(config) => Network::SoundNet(Listener::new(config.init(device), classes, device)),
        }
    }
}

/// A network of [`NetworkConfig`].
#[derive(Module, Debug)]
pub enum Network {
    /// See [`MelCnn`].
    MelCnn(MelCnn),
    /// See [`Listener`].
    SoundNet(Listener),
}

impl Network {
    /// Logits of classes.
    ///
    /// # Shapes
    /// - input: `[batch, rows, moments]`, as [`InputConfig`] says
    /// - output: `[batch, classes]`
    ///
    /// # Panics
    /// If the rows are not those of the network's input, or there are too few moments for its layers.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<2> {
        match self {
            Self::MelCnn(network) => network.forward(input),
            Self::SoundNet(network) => network.forward(input),
        }
    }
}

/// The sizes of a [`MelCnn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MelCnnConfig {
    /// Channels of each layer.
    pub channels: Vec<usize>,
    /// The part of the last features that is dropped at random in training.
    pub dropout: f64,
}

impl MelCnnConfig {
    /// Four layers of 16 to 128 channels.
    pub fn new() -> Self {
        Self { channels: vec![16, 32, 64, 128], dropout: 0.3 }
    }

    /// A network that runs in a moment, for tests.
    pub fn tiny() -> Self {
        Self { channels: vec![4, 6], dropout: 0.0 }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// If there is no layer or more than six, a size is 0, or the dropout is not 0 to below 1.
    pub fn validate(&self) -> Result<()> {
        if !(1..=6).contains(&self.channels.len()) || self.channels.contains(&0) {
            let channels = format!("{:?}", self.channels);
            return Err(Error::config("channels", channels, "must be one to six numbers above 0"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::config("dropout", self.dropout, "must be 0 to below 1"));
        }
        Ok(())
    }

    /// A network with random weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) finds a fault, or there is no class.
    pub fn init(&self, classes: usize, device: &Device) -> MelCnn {
        self.validate().unwrap_or_else(|fault| panic!("MelCnnConfig: {fault}"));
        assert!(classes > 0, "at least one class");
        let mut blocks = Vec::new();
        let mut channels = 1;
        for out in &self.channels {
            let conv = Conv2dConfig::new([channels, *out], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
            blocks.push(Block {
                // The batch norm has a bias of its own.
                conv: conv.with_bias(false).init(device),
                bn: BatchNormConfig::new(*out).init(device),
                pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            });
            channels = *out;
        }
        MelCnn {
            blocks,
            dropout: DropoutConfig::new(self.dropout).init(),
            linear: LinearConfig::new(channels, classes).init(device),
        }
    }
}

impl Default for MelCnnConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Convolutions of 3 × 3 over mel bands, each halving bands and moments; the mean over bands, then mean and maximum over
/// time added up (the pooling of PANNs, Kong et al. 2020), and a linear layer.
#[derive(Module, Debug)]
pub struct MelCnn {
    blocks: Vec<Block>,
    dropout: Dropout,
    linear: Linear,
}

#[derive(Module, Debug)]
struct Block {
    conv: Conv2d,
    bn: BatchNorm,
    pool: MaxPool2d,
}

impl MelCnn {
    /// Logits of classes.
    ///
    /// # Shapes
    /// - mel: `[batch, 80, frames]`, −2 to 0; as many frames, at least, as the layers halve
    /// - output: `[batch, classes]`
    ///
    /// # Panics
    /// If there are other bands or too few frames.
    pub fn forward(&self, mel: Tensor<3>) -> Tensor<2> {
        assert_shape!(mel, [_, 80, _]);
        let mut x = (mel + 1.0).unsqueeze_dim::<4>(1);
        for block in &self.blocks {
            x = block.pool.forward(activation::relu(block.bn.forward(block.conv.forward(x))));
        }
        let over_time: Tensor<3> = x.mean_dim(2).squeeze_dim(2); // [batch, channels, time]
        self.linear.forward(self.dropout.forward(mean_and_max(over_time)))
    }
}

/// `[batch, channels]` of features `[batch, channels, time]`.
fn mean_and_max(features: Tensor<3>) -> Tensor<2> {
    (features.clone().mean_dim(2) + features.max_dim(2)).squeeze_dim(2)
}

/// SoundNet up to its last hidden layer, mean and maximum over time, and a linear layer.
#[derive(Module, Debug)]
pub struct Listener {
    encoder: Vec<sound_net::Block>,
    dropout: Dropout,
    linear: Linear,
}

impl Listener {
    /// Puts a new last layer behind a network, such as one with weights from elsewhere.
    ///
    /// # Panics
    /// If there is no class.
    pub fn new(encoder: SoundNet, classes: usize, device: &Device) -> Self {
        assert!(classes > 0, "at least one class");
        let encoder = encoder.into_blocks();
        let width = encoder.last().expect("at least one layer").channels();
        let linear = LinearConfig::new(width, classes).init(device);
        Self { encoder, dropout: DropoutConfig::new(0.3).init(), linear }
    }

    /// Logits of classes.
    ///
    /// # Shapes
    /// - waves: `[batch, 1, samples]`, within ±256
    /// - output: `[batch, classes]`
    ///
    /// # Panics
    /// If there is not one channel, or the recording is too short for the layers.
    pub fn forward(&self, waves: Tensor<3>) -> Tensor<2> {
        let top = sound_net::features(&self.encoder, waves).pop().expect("at least one layer");
        self.linear.forward(self.dropout.forward(mean_and_max(top)))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use sensorium_core::testing::check_model;

    use super::*;

    #[test]
    fn the_mel_network_keeps_the_contract() {
        let mel = |device: &Device| {
            let numbers: Vec<f32> = (0..3 * 80 * 9).map(|i| -2.0 * ((i * 37 + 11) % 23) as f32 / 23.0).collect();
            Tensor::<3>::from_data(TensorData::new(numbers, [3, 80, 9]), device)
        };
        let init = |device: &Device| MelCnnConfig::tiny().init(5, device);
        check_model("mel CNN", init, |m: &MelCnn, d| m.forward(mel(d)), [3, 5], 1e-3);
    }

    #[test]
    fn sizes_are_checked() {
        let fault = |config: MelCnnConfig| config.validate().unwrap_err().to_string();
        assert!(fault(MelCnnConfig { channels: vec![], ..MelCnnConfig::new() }).starts_with("channels = []"));
        assert!(fault(MelCnnConfig { dropout: 1.0, ..MelCnnConfig::new() }).starts_with("dropout = 1"));
    }

    #[test]
    fn soundnet_takes_a_second() {
        let device = Device::flex();
        let network = NetworkConfig::SoundNet(SoundNetConfig::eight_layers()).init(7, &device);
        assert_eq!(network.forward(Tensor::zeros([2, 1, 22_050], &device)).dims(), [2, 7]);
    }
}
