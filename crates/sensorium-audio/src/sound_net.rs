//! SoundNet (Aytar, Vondrick and Torralba 2016, "SoundNet: Learning Sound Representations from Unlabeled Video"): from the
//! waveform to what objects and scenes it comes from, learned from what an image network sees in the same video.
//!
//! Waveforms are at 22,050 Hz and within ±256. The sizes are those of the authors' `main_train.lua` (eight layers) and
//! `main_train_small.lua` (five).

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::pool::{MaxPool1d, MaxPool1dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig1d};
use burn::tensor::{Device, Tensor, TensorData, activation, assert_shape};
use sensorium_core::weights::{Allow, TensorMap, load_into};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Samples a second.
pub const SAMPLE_RATE: u32 = 22_050;
/// What samples within ±1 are multiplied by.
pub const SCALE: f32 = 256.0;

/// A convolution over time, and the pooling after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Channels out.
    pub channels: usize,
    /// Samples of the kernel.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
    /// The largest of so many outputs is kept; 0 for all.
    pub pool: usize,
}

impl Layer {
    /// A layer with the columns of the usual table.
    pub const fn new(channels: usize, kernel: usize, stride: usize, padding: usize, pool: usize) -> Self {
        Self { channels, kernel, stride, padding, pool }
    }
}

/// The sizes of a [`SoundNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundNetConfig {
    /// Convolution, batch norm, ReLU and pooling, again and again.
    pub layers: Vec<Layer>,
    /// Kernel, stride and padding of the two outputs; `channels` and `pool` count for nothing.
    pub head: Layer,
    /// Classes of the first output: ImageNet's objects.
    pub objects: usize,
    /// Classes of the second: Places' scenes.
    pub scenes: usize,
}

impl SoundNetConfig {
    /// The network of eight layers: 14,352,713 parameters.
    pub fn eight_layers() -> Self {
        let layers = vec![
            Layer::new(16, 64, 2, 32, 8),
            Layer::new(32, 32, 2, 16, 8),
            Layer::new(64, 16, 2, 8, 0),
            Layer::new(128, 8, 2, 4, 0),
            Layer::new(256, 4, 2, 2, 4),
            Layer::new(512, 4, 2, 2, 0),
            Layer::new(1024, 4, 2, 2, 0),
        ];
        Self { layers, head: Layer::new(0, 8, 2, 0, 0), objects: 1000, scenes: 401 }
    }

    /// The network of five layers.
    pub fn five_layers() -> Self {
        let layers = vec![
            Layer::new(32, 64, 2, 32, 8),
            Layer::new(64, 32, 2, 16, 8),
            Layer::new(128, 16, 2, 8, 8),
            Layer::new(256, 8, 2, 4, 0),
        ];
        Self { layers, head: Layer::new(0, 16, 12, 4, 0), objects: 1000, scenes: 401 }
    }

    /// A network that runs in a moment, for tests.
    pub fn tiny() -> Self {
        let layers = vec![Layer::new(4, 8, 2, 4, 2), Layer::new(6, 4, 2, 2, 0)];
        Self { layers, head: Layer::new(0, 4, 2, 0, 0), objects: 5, scenes: 3 }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// If there is no layer, or a size other than padding and pooling is 0.
    pub fn validate(&self) -> Result<()> {
        if self.layers.is_empty() {
            return Err(Error::config("layers", "[]", "needs at least one"));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            if [layer.channels, layer.kernel, layer.stride].contains(&0) {
                return Err(Error::config(format!("layers.{index}"), format!("{layer:?}"), "has a size of 0"));
            }
        }
        if [self.head.kernel, self.head.stride, self.objects, self.scenes].contains(&0) {
            return Err(Error::config("head", format!("{:?}", self.head), "has a size of 0, or no classes"));
        }
        Ok(())
    }

    /// A network with random weights, as torch draws them.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) finds a fault.
    pub fn init(&self, device: &Device) -> SoundNet {
        self.validate().unwrap_or_else(|fault| panic!("SoundNetConfig: {fault}"));
        let conv = |channels: usize, out: usize, layer: &Layer| {
            let padding = PaddingConfig1d::Explicit(layer.padding, layer.padding);
            Conv1dConfig::new(channels, out, layer.kernel).with_stride(layer.stride).with_padding(padding).init(device)
        };
        let (mut blocks, mut channels) = (Vec::new(), 1);
        for layer in &self.layers {
            blocks.push(Block {
                conv: conv(channels, layer.channels, layer),
                bn: BatchNormConfig::new(layer.channels).init(device),
                pool: (layer.pool > 0).then(|| MaxPool1dConfig::new(layer.pool).with_stride(layer.pool).init()),
            });
            channels = layer.channels;
        }
        let head = |classes| conv(channels, classes, &self.head);
        SoundNet { blocks, objects: head(self.objects), scenes: head(self.scenes) }
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct SoundNet {
    blocks: Vec<Block>,
    objects: Conv1d,
    scenes: Conv1d,
}

/// Convolution, batch norm, ReLU and pooling.
#[derive(Module, Debug)]
pub(crate) struct Block {
    conv: Conv1d,
    bn: BatchNorm,
    pool: Option<MaxPool1d>,
}

/// What [`SoundNet::forward`] gives: logits over classes at a few moments of the recording.
#[derive(Debug, Clone)]
pub struct SoundNetOutput {
    /// `[batch, objects, time]`
    pub objects: Tensor<3>,
    /// `[batch, scenes, time]`
    pub scenes: Tensor<3>,
}

impl SoundNet {
    /// Puts tensors in the names of SoundNet's ports into the network.
    ///
    /// - To PyTorch (`.pth`): `conv1` ..., `bn1` or `batchnorm1` ..., and for the outputs `conv8_objs` and `conv8_scns` (of
    ///   the small network `conv5_objs`, `conv5_scns`). Kernels may have a second side of 1, as where the network was
    ///   written with two-dimensional convolutions.
    /// - To TensorFlow (`.npy`, as `sound8.npy`): `weights` `[kernel, 1, in, out]` and `biases` of each layer, with its
    ///   batch norm's `gamma`, `beta`, `mean` and `var` beside them; the outputs are `conv8` and `conv8_2` (`conv5` and
    ///   `conv5_2`).
    ///
    /// # Errors
    /// If a tensor is missing, left over, or of another shape; the message names the file and the tensors.
    pub fn load(self, tensors: TensorMap) -> Result<Self> {
        let layers = self.blocks.len();
        let of_tensorflow = tensors.get("conv1.weights").is_some();
        let named = tensors
            .rename(|name| Some(if of_tensorflow { name_of_tensorflow(name, layers) } else { name_of_torch(name) }))?;
        let mut flat = TensorMap::new(named.source());
        for (name, tensor) in named.iter() {
            flat.insert(name, if of_tensorflow { turned_kernel(tensor) } else { flat_kernel(tensor) });
        }
        Ok(load_into(self, &flat, Allow::NOTHING)?)
    }

    /// The logits of objects and scenes.
    ///
    /// # Shapes
    /// - waves: `[batch, 1, samples]`, at 22,050 Hz and within ±256
    /// - output: see [`SoundNetOutput`]; the network of eight layers needs some 5 s of sound
    ///
    /// # Panics
    /// If there is not one channel, or the recording is too short for the layers.
    pub fn forward(&self, waves: Tensor<3>) -> SoundNetOutput {
        let top = self.features(waves).pop().expect("at least one layer");
        SoundNetOutput { objects: self.objects.forward(top.clone()), scenes: self.scenes.forward(top) }
    }

    /// The layers, without the outputs.
    #[cfg(feature = "classify")]
    pub(crate) fn into_blocks(self) -> Vec<Block> {
        self.blocks
    }

    /// What each layer gives, the first one first.
    ///
    /// # Shapes
    /// - waves: `[batch, 1, samples]`, at 22,050 Hz and within ±256
    /// - output: each `[batch, channels, time]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn features(&self, waves: Tensor<3>) -> Vec<Tensor<3>> {
        features(&self.blocks, waves)
    }
}

impl Block {
    /// Channels that it gives.
    #[cfg(feature = "classify")]
    pub(crate) fn channels(&self) -> usize {
        self.conv.weight.dims()[0]
    }
}

/// What each of the layers gives, the first one first.
pub(crate) fn features(blocks: &[Block], waves: Tensor<3>) -> Vec<Tensor<3>> {
    assert_shape!(waves, [_, 1, _]);
    let mut features: Vec<Tensor<3>> = Vec::with_capacity(blocks.len());
    for block in blocks {
        let below = features.last().cloned().unwrap_or_else(|| waves.clone());
        let x = activation::relu(block.bn.forward(block.conv.forward(below)));
        features.push(block.pool.as_ref().map_or(x.clone(), |pool| pool.forward(x)));
    }
    features
}

/// `batchnorm3.weight` to `blocks.2.bn.weight`, `conv8_objs.bias` to `objects.bias`.
fn name_of_torch(name: &str) -> String {
    let (layer, rest) = name.split_once('.').unwrap_or((name, ""));
    let numbered = |prefix: &str| layer.strip_prefix(prefix)?.parse::<usize>().ok()?.checked_sub(1);
    if layer.ends_with("_objs") {
        return format!("objects.{rest}");
    }
    if layer.ends_with("_scns") {
        return format!("scenes.{rest}");
    }
    match (numbered("conv"), numbered("batchnorm").or_else(|| numbered("bn"))) {
        (Some(index), _) => format!("blocks.{index}.conv.{rest}"),
        (_, Some(index)) => format!("blocks.{index}.bn.{rest}"),
        _ => name.to_string(),
    }
}

/// `conv3.gamma` to `blocks.2.bn.weight`, and of a network of seven layers, `conv8.biases` to `objects.bias`.
fn name_of_tensorflow(name: &str, layers: usize) -> String {
    let known = || {
        let (layer, part) = name.strip_prefix("conv")?.split_once('.')?;
        let (module, part) = match part {
            "weights" => ("conv", "weight"),
            "biases" => ("conv", "bias"),
            "gamma" => ("bn", "weight"),
            "beta" => ("bn", "bias"),
            "mean" => ("bn", "running_mean"),
            "var" => ("bn", "running_var"),
            _ => return None,
        };
        let (number, second) = layer.split_once('_').map_or((layer, false), |(number, two)| (number, two == "2"));
        match number.parse::<usize>().ok()?.checked_sub(1)? {
            index if index < layers => Some(format!("blocks.{index}.{module}.{part}")),
            index if index == layers => Some(format!("{}.{part}", if second { "scenes" } else { "objects" })),
            _ => None,
        }
    };
    known().unwrap_or_else(|| name.to_string())
}

/// A kernel `[out, in, kernel, 1]` or `[out, in, 1, kernel]` without its side of 1.
fn flat_kernel(tensor: &TensorData) -> TensorData {
    match tensor.shape().as_slice() {
        [out, channels, kernel, 1] | [out, channels, 1, kernel] => {
            TensorData::new(tensor.iter::<f32>().collect::<Vec<_>>(), [*out, *channels, *kernel])
        }
        _ => tensor.clone(),
    }
}

/// A kernel `[kernel, 1, in, out]` or `[1, kernel, in, out]` as `[out, in, kernel]`.
fn turned_kernel(tensor: &TensorData) -> TensorData {
    let (kernel, channels, out) = match tensor.shape().as_slice() {
        [kernel, 1, channels, out] | [1, kernel, channels, out] => (*kernel, *channels, *out),
        _ => return tensor.clone(),
    };
    let numbers: Vec<f32> = tensor.iter::<f32>().collect();
    let at = |o: usize, c: usize, k: usize| numbers[(k * channels + c) * out + o];
    let turned = (0..out).flat_map(|o| (0..channels).flat_map(move |c| (0..kernel).map(move |k| (o, c, k))));
    TensorData::new(turned.map(|(o, c, k)| at(o, c, k)).collect::<Vec<_>>(), [out, channels, kernel])
}

/// The loss by which SoundNet learns from a network that sees the same video: the Kullback-Leibler divergence of what this
/// one says from what the teacher says, summed over classes, its mean over recordings and moments (section 3.2 of the
/// paper).
///
/// # Shapes
/// - logits: `[batch, classes, time]`
/// - teacher: `[batch, classes, time]`, probabilities
///
/// # Panics
/// If the shapes differ.
pub fn distillation_loss(logits: Tensor<3>, teacher: Tensor<3>) -> Tensor<1> {
    let [batch, classes, time] = logits.dims();
    assert_shape!(teacher, [batch, classes, time]);
    let said = activation::log_softmax(logits, 1);
    let known = teacher.clone().clamp_min(1e-12).log();
    (teacher * (known - said)).sum() / (batch * time) as f64
}

/// Recordings at 22,050 Hz, within ±1, as a batch for the network.
///
/// # Shapes
/// - output: `[batch, 1, samples]`; shorter recordings are filled up with zeros
///
/// # Panics
/// If there is no recording.
pub fn batch(recordings: &[&[f32]], device: &Device) -> Tensor<3> {
    let longest = recordings.iter().map(|samples| samples.len()).max().expect("at least one recording");
    let mut numbers = vec![0.0; recordings.len() * longest];
    for (row, samples) in numbers.chunks_exact_mut(longest.max(1)).zip(recordings) {
        for (number, sample) in row.iter_mut().zip(*samples) {
            *number = sample * SCALE;
        }
    }
    Tensor::from_data(TensorData::new(numbers, [recordings.len(), 1, longest]), device)
}

#[cfg(test)]
mod tests {
    use burn::optim::{AdamConfig, GradientsParams};
    use sensorium_core::testing::check_model;
    use sensorium_core::weights::tensors_of;

    use super::*;

    fn waves(device: &Device) -> Tensor<3> {
        let recordings: Vec<Vec<f32>> =
            (0..3).map(|r| (0..160).map(|i| (i as f32 * 0.11 * (r + 1) as f32).sin() / 256.0).collect()).collect();
        let recordings: Vec<&[f32]> = recordings.iter().map(Vec::as_slice).collect();
        batch(&recordings, device)
    }

    #[test]
    fn parameters_are_counted() {
        // Without the running statistics of the batch norms.
        let network = SoundNetConfig::eight_layers().init(&Device::flex());
        let tensors = tensors_of(&network);
        let trained = tensors.iter().filter(|(name, _)| !name.contains("running_"));
        assert_eq!(trained.map(|(_, tensor)| tensor.num_elements()).sum::<usize>(), 14_352_713);
    }

    #[test]
    fn it_keeps_the_contract() {
        let both = |model: &SoundNet, device: &Device| {
            let output = model.forward(waves(device));
            Tensor::cat(vec![output.objects, output.scenes], 1)
        };
        // In training, a batch norm takes the bias before it out again; what is left of its gradient is rounding.
        let init = |device: &Device| {
            let mut model = SoundNetConfig::tiny().init(device);
            for block in &mut model.blocks {
                block.conv.bias = block.conv.bias.take().map(|bias| bias.set_require_grad(false));
            }
            model
        };
        check_model("SoundNet", init, both, [3, 8, 9], 1e-3);
    }

    #[test]
    fn a_student_learns_what_its_teacher_says() {
        let device = Device::flex();
        device.seed(3);
        let learning = device.clone().autodiff();
        let mut model = SoundNetConfig::tiny().init(&learning);
        let mut optimizer = AdamConfig::new().init();
        let teacher = |classes: usize| {
            let one_hot: Vec<f32> =
                (0..3 * classes * 9).map(|i| f32::from(u8::from((i / 9) % classes == i / 9 / classes))).collect();
            Tensor::<3>::from_data(TensorData::new(one_hot, [3, classes, 9]), &learning)
        };
        let loss_of = |model: &SoundNet| {
            let SoundNetOutput { objects, scenes } = model.forward(waves(&learning));
            distillation_loss(objects, teacher(5)) + distillation_loss(scenes, teacher(3))
        };
        let first: f32 = loss_of(&model).into_scalar();
        for _ in 0..150 {
            let gradients = GradientsParams::from_grads(loss_of(&model).backward(), &model);
            model = optimizer.step(0.02, model, gradients);
        }
        let last: f32 = loss_of(&model).into_scalar();
        assert!(last < 0.05 * first, "from {first} to {last}");
    }

    #[test]
    fn names_of_other_ports_are_known() {
        assert_eq!(name_of_torch("batchnorm3.running_var"), "blocks.2.bn.running_var");
        assert_eq!(name_of_torch("conv1.weight"), "blocks.0.conv.weight");
        assert_eq!(name_of_torch("conv5_scns.bias"), "scenes.bias");
        assert_eq!(name_of_torch("other.weight"), "other.weight");
        assert_eq!(name_of_tensorflow("conv3.var", 7), "blocks.2.bn.running_var");
        assert_eq!(name_of_tensorflow("conv8.weights", 7), "objects.weight");
        assert_eq!(name_of_tensorflow("conv8_2.biases", 7), "scenes.bias");
        assert_eq!(name_of_tensorflow("conv9.biases", 7), "conv9.biases");
        assert_eq!(name_of_tensorflow("conv2.other", 7), "conv2.other");
    }

    /// The tensors of one network, in the layouts of both ports, give networks that say the same.
    #[test]
    fn weights_of_other_ports_are_put_in_their_places() {
        let device = Device::flex();
        device.seed(5);
        let network = SoundNetConfig::tiny().init(&device);
        let (mut torch, mut tensorflow) = (TensorMap::new("sound.pth"), TensorMap::new("sound.npy"));
        for (name, tensor) in tensors_of(&network).iter() {
            let numbers: Vec<f32> = tensor.iter::<f32>().collect();
            let parts: Vec<&str> = name.split('.').collect();
            let (layer, part) = match parts.as_slice() {
                ["blocks", index, module, part] => (index.parse::<usize>().unwrap() + 1, (*module, *part)),
                ["objects", part] => (3, ("objs", *part)),
                ["scenes", part] => (3, ("scns", *part)),
                _ => panic!("{name}"),
            };
            let (module, part) = part;
            let of_torch = match module {
                "conv" => format!("conv{layer}.{part}"),
                "bn" => format!("batchnorm{layer}.{part}"),
                head => format!("conv{layer}_{head}.{part}"),
            };
            let of_tensorflow = match (module, part) {
                ("bn", "weight") => format!("conv{layer}.gamma"),
                ("bn", "bias") => format!("conv{layer}.beta"),
                ("bn", "running_mean") => format!("conv{layer}.mean"),
                ("bn", _) => format!("conv{layer}.var"),
                ("scns", part) => format!("conv{layer}_2.{}", if part == "weight" { "weights" } else { "biases" }),
                (_, part) => format!("conv{layer}.{}", if part == "weight" { "weights" } else { "biases" }),
            };
            let shape: Vec<usize> = tensor.shape().to_vec();
            if let [out, channels, kernel] = *shape.as_slice() {
                torch.insert(of_torch, TensorData::new(numbers.clone(), [out, channels, kernel, 1]));
                let mut turned = vec![0.0; numbers.len()];
                for (at, x) in numbers.iter().enumerate() {
                    let (o, c, k) = (at / kernel / channels, at / kernel % channels, at % kernel);
                    turned[(k * channels + c) * out + o] = *x;
                }
                tensorflow.insert(of_tensorflow, TensorData::new(turned, [kernel, 1, channels, out]));
            } else {
                torch.insert(of_torch, tensor.clone());
                tensorflow.insert(of_tensorflow, tensor.clone());
            }
        }
        let said = |network: &SoundNet| network.forward(waves(&device)).scenes.into_data();
        for tensors in [torch, tensorflow] {
            let loaded = SoundNetConfig::tiny().init(&device).load(tensors).unwrap();
            assert_eq!(said(&loaded), said(&network));
        }
    }
}
