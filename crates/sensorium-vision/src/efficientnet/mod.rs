//! EfficientNet (Tan and Le 2019, arXiv:1905.11946): inverted residual blocks, and EfficientNet-Lite, its thinning for
//! devices by the TensorFlow `lite` release: relu6 and no squeeze-and-excitation.
//!
//! Layers: `stem`, every block as `block0`, `features` (the last map), `pooled`, `logits`. Weight files in the names of
//! efficientnet-pytorch (`_conv_stem`, `_blocks.0._bn1`), timm (`conv_stem`, `blocks.0.0.conv_dw`) or torchvision
//! (`features.0.0`). Stochastic depth, a training-time regulariser, is left out.
//!
//! ```
//! use burn::tensor::Device;
//! use image::RgbImage;
//! use sensorium_vision::Encoder;
//! use sensorium_vision::efficientnet::EfficientNetConfig;
//!
//! let device = Device::flex();
//! let network = Encoder::lite0_imagenet(&device)?.fold();
//! let input = EfficientNetConfig::lite0().preprocess().batch(&[RgbImage::new(300, 200)], &device);
//! let maps = network.features(input, &["block4", "logits"])?;
//! assert_eq!(maps[0].dims(), [1, 40, 28, 28]);
//! assert_eq!(maps[1].dims(), [1, 1000, 1, 1]);
//! # Ok::<(), sensorium_vision::Error>(())
//! ```

mod imagenet;
mod names;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, activation, module};
pub use imagenet::{Class, labels, top_classes};
pub(crate) use names::{Library, Names};
use sensorium_core::Error;
use sensorium_core::weights::{Allow, TensorMap, load_named};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::batch_norm::{merge, normed, torch_norm};
use crate::cpu::{self, After, Convolution, Depthwise, Program, Stem, Step};
use crate::encoder::Encoder;
use crate::fine_tuning::FineTuning;
use crate::layers::Kept;
use crate::transforms::{Normalise, Preprocess};

/// A run of blocks of one shape; only the first one strides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Blocks in the run.
    pub repeat: usize,
    /// The side of the depthwise kernel: 3, 5 or 7.
    pub kernel: usize,
    /// The first block's stride.
    pub stride: usize,
    /// Hidden channels for each input channel; with 1 a block has no expanding convolution.
    pub expand: usize,
    /// Channels in.
    pub channels_in: usize,
    /// Channels out.
    pub channels_out: usize,
}

impl Stage {
    /// A stage from the columns of the usual table; `channels` are those in and out.
    pub fn new(repeat: usize, kernel: usize, stride: usize, expand: usize, channels: [usize; 2]) -> Self {
        let [channels_in, channels_out] = channels;
        Self { repeat, kernel, stride, expand, channels_in, channels_out }
    }
}

/// What a network of the first release and one of the Lite release do differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// SiLU, and squeeze-and-excitation in each block.
    Standard,
    /// relu6, no squeeze-and-excitation.
    Lite,
}

/// How convolutions reach beyond the edges of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edges {
    /// TensorFlow's SAME: the odd pixel of padding below and right. Norms have TensorFlow's epsilon, 1e-3.
    TensorFlow,
    /// The same padding on all sides. Norms have torch's epsilon, 1e-5.
    Torch,
}

/// The sizes of an EfficientNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EfficientNetConfig {
    /// Activation and squeeze-and-excitation.
    pub kind: Kind,
    /// Padding and the norms' epsilon: those of the framework that the weights were trained in.
    pub edges: Edges,
    /// Channels after the first convolution.
    pub stem: usize,
    /// The runs of blocks; channels in follow from the run before.
    pub stages: Vec<Stage>,
    /// Channels of the last map.
    pub head: usize,
    /// Classes.
    pub classes: usize,
    /// The side of the square input the weights are trained for, in pixels. Any size can be run.
    pub resolution: u32,
    /// The share of the pooled numbers set to 0 in training.
    pub dropout: f64,
}

impl EfficientNetConfig {
    /// EfficientNet-B0 on ImageNet: 224 × 224, 1,000 classes, 5,288,548 parameters.
    pub fn b0() -> Self {
        Self { kind: Kind::Standard, edges: Edges::Torch, ..Self::lite0() }
    }

    /// EfficientNet-Lite0 on ImageNet: 224 × 224, 1,000 classes, 4,652,008 parameters.
    pub fn lite0() -> Self {
        Self {
            kind: Kind::Lite,
            edges: Edges::TensorFlow,
            stem: 32,
            stages: vec![
                Stage::new(1, 3, 1, 1, [32, 16]),
                Stage::new(2, 3, 2, 6, [16, 24]),
                Stage::new(2, 5, 2, 6, [24, 40]),
                Stage::new(3, 3, 2, 6, [40, 80]),
                Stage::new(3, 5, 1, 6, [80, 112]),
                Stage::new(4, 5, 2, 6, [112, 192]),
                Stage::new(1, 3, 1, 6, [192, 320]),
            ],
            head: 1280,
            classes: 1000,
            resolution: 224,
            dropout: 0.2,
        }
    }

    /// EfficientNet-Lite1 on ImageNet: 240 × 240, 5,416,680 parameters.
    pub fn lite1() -> Self {
        Self::lite(1.0, 1.1, 240, 0.2)
    }

    /// EfficientNet-Lite2 on ImageNet: 260 × 260, 6,092,072 parameters.
    pub fn lite2() -> Self {
        Self::lite(1.1, 1.2, 260, 0.3)
    }

    /// EfficientNet-Lite3 on ImageNet: 280 × 280, 8,197,096 parameters.
    pub fn lite3() -> Self {
        Self::lite(1.2, 1.4, 280, 0.3)
    }

    /// EfficientNet-Lite4 on ImageNet: 300 × 300, 13,006,568 parameters.
    pub fn lite4() -> Self {
        Self::lite(1.4, 1.8, 300, 0.3)
    }

    /// [`lite0`](Self::lite0) made `width` times as wide and `depth` times as deep. The Lite release keeps the first
    /// convolution, the last map, and the length of the first and the last stage.
    fn lite(width: f64, depth: f64, resolution: u32, dropout: f64) -> Self {
        let base = Self::lite0();
        let mut channels = base.stem;
        let last = base.stages.len() - 1;
        let stages = base.stages.iter().enumerate().map(|(index, stage)| {
            let repeat = match index {
                first_or_last if first_or_last == 0 || first_or_last == last => stage.repeat,
                _ => (stage.repeat as f64 * depth).ceil() as usize,
            };
            let channels_out = rounded(stage.channels_out as f64 * width);
            let scaled = Stage { repeat, channels_in: channels, channels_out, ..*stage };
            channels = channels_out;
            scaled
        });
        Self { stages: stages.collect(), resolution, dropout, ..base }
    }

    /// A network that runs in a moment, for tests: 32 × 32, 5 classes, no dropout.
    pub fn tiny() -> Self {
        Self {
            stem: 8,
            stages: vec![
                Stage::new(1, 3, 1, 1, [8, 8]),
                Stage::new(2, 3, 2, 6, [8, 12]),
                Stage::new(1, 5, 2, 6, [12, 20]),
            ],
            head: 24,
            classes: 5,
            resolution: 32,
            dropout: 0.0,
            ..Self::lite0()
        }
    }

    /// What a picture goes through before this network.
    pub fn preprocess(&self) -> Preprocess {
        let lite = Preprocess::efficientnet_lite(self.resolution);
        match self.kind {
            Kind::Lite => lite,
            Kind::Standard => Preprocess { normalise: Normalise::IMAGENET, ..lite },
        }
    }

    /// Checks the sizes, as read from a file.
    ///
    /// # Errors
    /// If one is 0, a kernel is not 3, 5 or 7, or a stage does not take what the one before gives.
    pub fn validate(&self) -> Result<()> {
        let fail = |field: String, value: String, rule: &str| Err(Error::config(field, value, rule).into());
        for (field, value) in [("stem", self.stem), ("head", self.head), ("classes", self.classes)] {
            if value == 0 {
                return fail(field.to_string(), value.to_string(), "must be at least 1");
            }
        }
        if self.stages.is_empty() {
            return fail("stages".to_string(), "[]".to_string(), "needs at least one stage");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fail("dropout".to_string(), self.dropout.to_string(), "must be at least 0 and below 1");
        }
        let mut channels = self.stem;
        for (index, stage) in self.stages.iter().enumerate() {
            let Stage { repeat, kernel, stride, expand, channels_in, channels_out } = *stage;
            if [repeat, stride, expand, channels_in, channels_out].contains(&0) {
                return fail(format!("stages.{index}"), format!("{stage:?}"), "no number may be 0");
            }
            if !matches!(kernel, 3 | 5 | 7) {
                return fail(format!("stages.{index}.kernel"), kernel.to_string(), "must be 3, 5 or 7");
            }
            if channels_in != channels {
                let rule = format!("must be {channels}, what comes before");
                return fail(format!("stages.{index}.channels_in"), channels_in.to_string(), &rule);
            }
            channels = channels_out;
        }
        Ok(())
    }

    /// A network with random weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) finds a fault.
    pub fn init(&self, device: &Device) -> Encoder {
        self.validate().unwrap_or_else(|fault| panic!("EfficientNetConfig: {fault}"));
        let make = Maker { kind: self.kind, edges: self.edges, device };
        let blocks = self.stages.iter().flat_map(|stage| {
            (0..stage.repeat).map(|index| match index {
                0 => InvertedResidual::init(stage, stage.channels_in, stage.stride, &make),
                _ => InvertedResidual::init(stage, stage.channels_out, 1, &make),
            })
        });
        let last = self.stages[self.stages.len() - 1].channels_out;
        Encoder::EfficientNet(EfficientNet {
            conv_stem: make.convolution(3, self.stem, 3, 2, 1),
            bn0: make.norm(self.stem),
            blocks: blocks.collect(),
            conv_head: make.convolution(last, self.head, 1, 1, 1),
            bn1: make.norm(self.head),
            dropout: DropoutConfig::new(self.dropout).init(),
            fc: LinearConfig::new(self.head, self.classes).init(device),
            activation: self.kind,
            edges: self.edges,
            repeats: self.stages.iter().map(|stage| stage.repeat).collect(),
        })
    }
}

/// To the nearest multiple of 8, but never down by more than a tenth.
fn rounded(channels: f64) -> usize {
    let nearest = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (nearest as f64) < 0.9 * channels { nearest + 8 } else { nearest }
}

/// An EfficientNet; see [`Encoder`].
#[derive(Module, Debug)]
pub struct EfficientNet {
    conv_stem: Conv2d,
    bn0: Option<BatchNorm>,
    blocks: Vec<InvertedResidual>,
    conv_head: Conv2d,
    bn1: Option<BatchNorm>,
    dropout: Dropout,
    fc: Linear,
    #[module(skip)]
    activation: Kind,
    #[module(skip)]
    edges: Edges,
    /// Blocks in each stage.
    #[module(skip)]
    repeats: Vec<usize>,
}

impl EfficientNet {
    pub(crate) fn layers(&self) -> Vec<String> {
        let blocks = (0..self.blocks.len()).map(|index| format!("block{index}"));
        let ends = ["features", "pooled", "logits"].map(String::from);
        std::iter::once("stem".to_string()).chain(blocks).chain(ends).collect()
    }

    /// Runs the network for as long as `kept` waits for a map.
    pub(crate) fn run(&self, input: Tensor<4>, kept: &mut Kept<Tensor<4>>) -> ControlFlow<()> {
        let x = self.activation.apply(normed(&self.conv_stem, &self.bn0, input));
        let mut x = kept.pass("stem", x)?; // [batch, stem, h/2, w/2]
        for (index, block) in self.blocks.iter().enumerate() {
            x = kept.pass(&format!("block{index}"), block.forward(x))?;
        }
        let x = self.activation.apply(normed(&self.conv_head, &self.bn1, x));
        let x = kept.pass("features", x)?; // [batch, head, h/32, w/32]
        let x = kept.pass("pooled", module::adaptive_avg_pool2d(x, [1, 1]))?; // [batch, head, 1, 1]
        let logits = self.fc.forward(self.dropout.forward(x).flatten::<2>(1, 3)); // [batch, classes]
        kept.see("logits", || logits.clone().unsqueeze_dims(&[2, 3]))
    }

    /// The network with every batch norm merged into the convolution before it.
    pub(crate) fn merged(&self) -> Self {
        let (conv_stem, bn0) = merge(&self.conv_stem, &self.bn0);
        let (conv_head, bn1) = merge(&self.conv_head, &self.bn1);
        let blocks = self.blocks.iter().map(InvertedResidual::merged).collect();
        Self { conv_stem, bn0, blocks, conv_head, bn1, ..self.clone() }
    }

    /// The steps of a [`merged`](Self::merged) network; there are kernels for the Lite kind alone.
    pub(crate) fn program(&self) -> Option<Program> {
        if self.activation != Kind::Lite {
            return None;
        }
        let layer = |name: &str, from| Step::Layer { name: name.to_string(), from };
        let stem = Stem::new(&self.conv_stem, self.edges.padding(&self.conv_stem));
        let mut steps = vec![Step::Stem { stem, after: After::Relu6, to: 0 }, layer("stem", 0)];
        for (index, block) in self.blocks.iter().enumerate() {
            steps.push(Step::InvertedResidual(cpu::InvertedResidual {
                expand: block.expand_conv.as_ref().map(|conv| Convolution::new(conv, self.edges.padding(conv))),
                depthwise: Depthwise::new(&block.depthwise_conv, self.edges.padding(&block.depthwise_conv)),
                project: Convolution::new(&block.project_conv, self.edges.padding(&block.project_conv)),
                residual: block.residual,
            }));
            steps.push(layer(&format!("block{index}"), 0));
        }
        let head = Convolution::new(&self.conv_head, self.edges.padding(&self.conv_head));
        let classes = Convolution::linear(&self.fc, [1, 1]);
        steps.extend([
            Step::Convolve { convolution: head, from: 0, after: After::Relu6, to: 1 },
            layer("features", 1),
            Step::AdaptiveAvgPool { size: [1, 1], from: 1, to: 0 },
            layer("pooled", 0),
            Step::Convolve { convolution: classes, from: 0, after: After::Plain, to: 1 },
            layer("logits", 1),
        ]);
        Some(Program::new(steps))
    }

    /// Puts a weight file's tensors into the network.
    pub(crate) fn load(self, tensors: &TensorMap) -> Result<Self> {
        let names = self.file_names(Library::of(tensors));
        Ok(load_named(self, tensors, |name| names.in_file(name), Allow::NOTHING)?)
    }

    /// The library's name for each of the network's.
    pub(crate) fn file_names(&self, library: Library) -> Names {
        let expands = self.blocks.iter().map(|block| block.expand_conv.is_some()).collect();
        Names::new(library, &self.repeats, expands)
    }

    /// The library whose names the network's tensors are saved in.
    pub(crate) fn library(&self) -> Library {
        match self.activation {
            Kind::Standard => Library::Torchvision,
            Kind::Lite => Library::EfficientNetPytorch,
        }
    }

    /// Trains or freezes each part.
    pub(crate) fn fine_tune(self, tuning: &FineTuning) -> Self {
        let blocks = self.blocks.into_iter().enumerate();
        Self {
            conv_stem: tuning.apply("stem", self.conv_stem),
            bn0: tuning.apply("stem", self.bn0),
            blocks: blocks.map(|(index, block)| tuning.apply(&format!("block{index}"), block)).collect(),
            conv_head: tuning.apply("features", self.conv_head),
            bn1: tuning.apply("features", self.bn1),
            fc: tuning.apply("logits", self.fc),
            ..self
        }
    }
}

impl Kind {
    /// The activation.
    fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Standard => activation::silu(x),
            Self::Lite => activation::relu6(x),
        }
    }
}

impl Edges {
    fn padding(self, conv: &Conv2d) -> cpu::Padding {
        match self {
            Self::TensorFlow => cpu::Padding::Same,
            Self::Torch => cpu::Padding::Pixels(conv.kernel_size[0] / 2),
        }
    }
}

/// Makes the layers that networks of both kinds are made of.
struct Maker<'a> {
    kind: Kind,
    edges: Edges,
    device: &'a Device,
}

impl Maker<'_> {
    /// A convolution without bias.
    fn convolution(&self, from: usize, to: usize, kernel: usize, stride: usize, groups: usize) -> Conv2d {
        let side = kernel / 2;
        let padding = match self.edges {
            Edges::TensorFlow => PaddingConfig2d::Same,
            Edges::Torch => PaddingConfig2d::Explicit(side, side, side, side),
        };
        Conv2dConfig::new([from, to], [kernel, kernel])
            .with_stride([stride, stride])
            .with_groups(groups)
            .with_padding(padding)
            .with_bias(false)
            .init(self.device)
    }

    fn norm(&self, channels: usize) -> Option<BatchNorm> {
        match self.edges {
            // .99 of the old value.
            Edges::TensorFlow => {
                let config = BatchNormConfig::new(channels).with_epsilon(1e-3).with_momentum(0.01);
                Some(config.init(self.device))
            }
            Edges::Torch => torch_norm(channels, self.device),
        }
    }
}

/// Expand by a 1 × 1 convolution, filter each channel on its own, weigh the channels, project back; the input is added
/// where it fits.
#[derive(Module, Debug)]
struct InvertedResidual {
    expand_conv: Option<Conv2d>,
    bn0: Option<BatchNorm>,
    depthwise_conv: Conv2d,
    bn1: Option<BatchNorm>,
    squeeze: Option<SqueezeExcitation>,
    project_conv: Conv2d,
    bn2: Option<BatchNorm>,
    #[module(skip)]
    activation: Kind,
    #[module(skip)]
    residual: bool,
}

impl InvertedResidual {
    fn init(stage: &Stage, channels_in: usize, stride: usize, make: &Maker) -> Self {
        let hidden = channels_in * stage.expand;
        let expands = stage.expand != 1;
        let squeezed = (channels_in / 4).max(1);
        Self {
            expand_conv: expands.then(|| make.convolution(channels_in, hidden, 1, 1, 1)),
            bn0: if expands { make.norm(hidden) } else { None },
            depthwise_conv: make.convolution(hidden, hidden, stage.kernel, stride, hidden),
            bn1: make.norm(hidden),
            squeeze: (make.kind == Kind::Standard).then(|| SqueezeExcitation::init(hidden, squeezed, make.device)),
            project_conv: make.convolution(hidden, stage.channels_out, 1, 1, 1),
            bn2: make.norm(stage.channels_out),
            activation: make.kind,
            residual: stride == 1 && channels_in == stage.channels_out,
        }
    }

    /// # Shapes
    /// - input: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, ⌈height / stride⌉, ⌈width / stride⌉]`
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = input.clone();
        if let Some(expand_conv) = &self.expand_conv {
            x = self.activation.apply(normed(expand_conv, &self.bn0, x)); // [batch, hidden, h, w]
        }
        x = self.activation.apply(normed(&self.depthwise_conv, &self.bn1, x)); // [batch, hidden, h/s, w/s]
        if let Some(squeeze) = &self.squeeze {
            x = squeeze.forward(x);
        }
        x = normed(&self.project_conv, &self.bn2, x); // [batch, channels_out, h/s, w/s]
        if self.residual { input + x } else { x }
    }

    fn merged(&self) -> Self {
        let (depthwise_conv, bn1) = merge(&self.depthwise_conv, &self.bn1);
        let (project_conv, bn2) = merge(&self.project_conv, &self.bn2);
        let expand_conv = self.expand_conv.as_ref().map(|conv| merge(conv, &self.bn0).0);
        Self { expand_conv, bn0: None, depthwise_conv, bn1, project_conv, bn2, ..self.clone() }
    }
}

/// Each channel times a number between 0 and 1 that the means of all channels decide (Hu et al. 2017, arXiv:1709.01507).
#[derive(Module, Debug)]
struct SqueezeExcitation {
    reduce: Conv2d,
    expand: Conv2d,
}

impl SqueezeExcitation {
    fn init(channels: usize, squeezed: usize, device: &Device) -> Self {
        let convolution = |from, to| Conv2dConfig::new([from, to], [1, 1]).init(device);
        Self { reduce: convolution(channels, squeezed), expand: convolution(squeezed, channels) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let means = module::adaptive_avg_pool2d(x.clone(), [1, 1]); // [batch, channels, 1, 1]
        let squeezed = activation::silu(self.reduce.forward(means));
        x * activation::sigmoid(self.expand.forward(squeezed))
    }
}
