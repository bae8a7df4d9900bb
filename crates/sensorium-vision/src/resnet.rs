//! ResNet (He et al. 2015, arXiv:1512.03385) as torchvision has it: a bottleneck's stride sits on its 3 × 3 convolution.
//!
//! Layers: `conv1` (not in a folded network), `stem` (after norm and ReLU), `maxpool`, every block as `layer1.0`, the
//! stages `layer1` to `layer4`, `pooled`, `logits`. Weight files in torchvision's names, which timm shares.

use std::ops::ControlFlow;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, activation, module};
use sensorium_core::Error;
use sensorium_core::weights::{Allow, TensorMap, load_named};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::batch_norm::{merge, normed, torch_norm};
use crate::cpu::{After, Convolution, MaxPool, Padding, Program, Stem, Step};
use crate::encoder::Encoder;
use crate::fine_tuning::FineTuning;
use crate::layers::Kept;
use crate::transforms::Preprocess;

/// The kinds of block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Two 3 × 3 convolutions.
    Basic,
    /// 1 × 1 down, 3 × 3, 1 × 1 up to four times the width.
    Bottleneck,
}

impl Block {
    /// Channels out for each of a stage's width.
    pub fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// The sizes of a ResNet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResNetConfig {
    /// The kind of block.
    pub block: Block,
    /// Blocks in each stage.
    pub blocks: [usize; 4],
    /// The first stage's width; each later one's is twice the one before.
    pub width: usize,
    /// Classes; 0 for a trunk that ends in `pooled`.
    pub classes: usize,
}

impl ResNetConfig {
    /// ResNet-18 on ImageNet: 11,689,512 parameters.
    pub fn resnet18() -> Self {
        Self::imagenet(Block::Basic, [2, 2, 2, 2])
    }

    /// ResNet-34 on ImageNet: 21,797,672 parameters.
    pub fn resnet34() -> Self {
        Self::imagenet(Block::Basic, [3, 4, 6, 3])
    }

    /// ResNet-50 on ImageNet: 25,557,032 parameters.
    pub fn resnet50() -> Self {
        Self::imagenet(Block::Bottleneck, [3, 4, 6, 3])
    }

    /// ResNet-101 on ImageNet: 44,549,160 parameters.
    pub fn resnet101() -> Self {
        Self::imagenet(Block::Bottleneck, [3, 4, 23, 3])
    }

    /// ResNet-152 on ImageNet: 60,192,808 parameters.
    pub fn resnet152() -> Self {
        Self::imagenet(Block::Bottleneck, [3, 8, 36, 3])
    }

    /// A network that runs in a moment, for tests.
    pub fn tiny() -> Self {
        Self { block: Block::Bottleneck, blocks: [1, 2, 1, 1], width: 4, classes: 5 }
    }

    fn imagenet(block: Block, blocks: [usize; 4]) -> Self {
        Self { block, blocks, width: 64, classes: 1000 }
    }

    /// What a picture goes through before this network: torchvision's evaluation transform at 224 × 224.
    pub fn preprocess(&self) -> Preprocess {
        Preprocess::imagenet(224)
    }

    /// Checks the sizes, as read from a file.
    ///
    /// # Errors
    /// If one is 0.
    pub fn validate(&self) -> Result<()> {
        if self.width == 0 {
            return Err(Error::config("width", 0, "must be at least 1").into());
        }
        if self.blocks.contains(&0) {
            let value = format!("{:?}", self.blocks);
            return Err(Error::config("blocks", value, "every stage needs at least one block").into());
        }
        Ok(())
    }

    /// A network with random weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) finds a fault.
    pub fn init(&self, device: &Device) -> Encoder {
        self.validate().unwrap_or_else(|fault| panic!("ResNetConfig: {fault}"));
        let mut channels = self.width;
        let stages = std::array::from_fn(|stage| {
            let width = self.width << stage;
            let blocks = (0..self.blocks[stage]).map(|index| {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let block = Residual::init(self.block, channels, width, stride, device);
                channels = width * self.block.expansion();
                block
            });
            blocks.collect()
        });
        let [layer1, layer2, layer3, layer4] = stages;
        Encoder::ResNet(ResNet {
            conv1: convolution(3, self.width, 7, 2, device),
            bn1: torch_norm(self.width, device),
            maxpool: max_pool(),
            layer1,
            layer2,
            layer3,
            layer4,
            fc: (self.classes > 0).then(|| LinearConfig::new(channels, self.classes).init(device)),
        })
    }
}

/// A ResNet; see [`Encoder`].
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: Option<BatchNorm>,
    maxpool: MaxPool2d,
    layer1: Vec<Residual>,
    layer2: Vec<Residual>,
    layer3: Vec<Residual>,
    layer4: Vec<Residual>,
    fc: Option<Linear>,
}

impl ResNet {
    fn stages(&self) -> [&[Residual]; 4] {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
    }

    pub(crate) fn layers(&self) -> Vec<String> {
        let mut names: Vec<String> = ["stem", "maxpool"].map(String::from).into();
        if self.bn1.is_some() {
            names.insert(0, "conv1".to_string());
        }
        for (stage, blocks) in (1..).zip(self.stages()) {
            names.extend((0..blocks.len()).map(|block| format!("layer{stage}.{block}")));
            names.push(format!("layer{stage}"));
        }
        names.push("pooled".to_string());
        names.extend(self.fc.iter().map(|_| "logits".to_string()));
        names
    }

    /// Runs the network for as long as `kept` waits for a map.
    pub(crate) fn run(&self, input: Tensor<4>, kept: &mut Kept<Tensor<4>>) -> ControlFlow<()> {
        let mut x = self.conv1.forward(input); // [batch, width, h/2, w/2]
        if let Some(norm) = &self.bn1 {
            x = norm.forward(kept.pass("conv1", x)?);
        }
        let x = kept.pass("stem", activation::relu(x))?;
        let mut x = kept.pass("maxpool", self.maxpool.forward(x))?; // [batch, width, h/4, w/4]
        for (stage, blocks) in (1..).zip(self.stages()) {
            for (index, block) in blocks.iter().enumerate() {
                x = kept.pass(&format!("layer{stage}.{index}"), block.forward(x))?;
            }
            x = kept.pass(&format!("layer{stage}"), x)?; // [batch, 2^(stage-1)·width·expansion, h/2^(stage+1), ..]
        }
        let x = kept.pass("pooled", module::adaptive_avg_pool2d(x, [1, 1]))?; // [batch, channels, 1, 1]
        let Some(fc) = &self.fc else { return ControlFlow::Break(()) };
        let logits = fc.forward(x.flatten::<2>(1, 3)); // [batch, classes]
        kept.see("logits", || logits.clone().unsqueeze_dims(&[2, 3]))
    }

    /// The network with every batch norm merged into the convolution before it.
    pub(crate) fn merged(&self) -> Self {
        let (conv1, bn1) = merge(&self.conv1, &self.bn1);
        let merged = |blocks: &[Residual]| blocks.iter().map(Residual::merged).collect();
        let [layer1, layer2, layer3, layer4] = self.stages().map(merged);
        Self { conv1, bn1, maxpool: self.maxpool.clone(), layer1, layer2, layer3, layer4, fc: self.fc.clone() }
    }

    /// The steps of a [`merged`](Self::merged) network.
    pub(crate) fn program(&self) -> Program {
        let stem = Stem::new(&self.conv1, Padding::Pixels(3));
        let mut steps = vec![Step::Stem { stem, after: After::Relu, to: 1 }, layer("stem", 1)];
        steps.push(Step::MaxPool { pool: MaxPool { kernel: 3, stride: 2, padding: 1 }, from: 1, to: 0 });
        steps.push(layer("maxpool", 0));
        let mut current = 0;
        for (stage, blocks) in (1..).zip(self.stages()) {
            for (index, block) in blocks.iter().enumerate() {
                current = block.steps(current, &mut steps);
                steps.push(layer(&format!("layer{stage}.{index}"), current));
            }
            steps.push(layer(&format!("layer{stage}"), current));
        }
        let pooled = (current + 1) % 4;
        steps.push(Step::AdaptiveAvgPool { size: [1, 1], from: current, to: pooled });
        steps.push(layer("pooled", pooled));
        if let Some(fc) = &self.fc {
            let convolution = Convolution::linear(fc, [1, 1]);
            steps.push(Step::Convolve { convolution, from: pooled, after: After::Plain, to: current });
            steps.push(layer("logits", current));
        }
        Program::new(steps)
    }

    /// Puts a weight file's tensors into the network.
    pub(crate) fn load(self, tensors: &TensorMap) -> Result<Self> {
        Ok(load_named(self, tensors, file_name, Allow::NOTHING)?)
    }

    /// Trains or freezes each part.
    pub(crate) fn fine_tune(self, tuning: &FineTuning) -> Self {
        Self {
            conv1: tuning.apply("stem", self.conv1),
            bn1: tuning.apply("stem", self.bn1),
            maxpool: self.maxpool,
            layer1: tuning.apply("layer1", self.layer1),
            layer2: tuning.apply("layer2", self.layer2),
            layer3: tuning.apply("layer3", self.layer3),
            layer4: tuning.apply("layer4", self.layer4),
            fc: self.fc.map(|fc| tuning.apply("logits", fc)),
        }
    }
}

/// torchvision's name for the network's `name`.
pub(crate) fn file_name(name: &str) -> String {
    name.replace("downsample.conv.", "downsample.0.").replace("downsample.norm.", "downsample.1.")
}

fn layer(name: &str, from: usize) -> Step {
    Step::Layer { name: name.to_string(), from }
}

fn max_pool() -> MaxPool2d {
    MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init()
}

/// A convolution without bias, padded so that stride 1 keeps the size.
fn convolution(from: usize, to: usize, kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(false)
        .init(device)
}

/// Two or three convolutions, to which the input is added.
#[derive(Module, Debug)]
struct Residual {
    conv1: Conv2d,
    bn1: Option<BatchNorm>,
    conv2: Conv2d,
    bn2: Option<BatchNorm>,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    downsample: Option<Shortcut>,
}

/// What makes the input fit where the block changes its size.
#[derive(Module, Debug)]
struct Shortcut {
    conv: Conv2d,
    norm: Option<BatchNorm>,
}

impl Residual {
    fn init(block: Block, channels_in: usize, width: usize, stride: usize, device: &Device) -> Self {
        let channels_out = width * block.expansion();
        let ([kernel1, stride1], [kernel2, stride2]) = match block {
            Block::Basic => ([3, stride], [3, 1]),
            Block::Bottleneck => ([1, 1], [3, stride]),
        };
        let three = block == Block::Bottleneck;
        let fits = stride == 1 && channels_in == channels_out;
        Self {
            conv1: convolution(channels_in, width, kernel1, stride1, device),
            bn1: torch_norm(width, device),
            conv2: convolution(width, width, kernel2, stride2, device),
            bn2: torch_norm(width, device),
            conv3: three.then(|| convolution(width, channels_out, 1, 1, device)),
            bn3: if three { torch_norm(channels_out, device) } else { None },
            downsample: (!fits).then(|| Shortcut {
                conv: convolution(channels_in, channels_out, 1, stride, device),
                norm: torch_norm(channels_out, device),
            }),
        }
    }

    /// # Shapes
    /// - input: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, ⌈height / stride⌉, ⌈width / stride⌉]`
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = activation::relu(normed(&self.conv1, &self.bn1, input.clone()));
        x = normed(&self.conv2, &self.bn2, x);
        if let Some(conv3) = &self.conv3 {
            x = normed(conv3, &self.bn3, activation::relu(x));
        }
        let shortcut = match &self.downsample {
            Some(Shortcut { conv, norm }) => normed(conv, norm, input),
            None => input,
        };
        activation::relu(x + shortcut)
    }

    fn merged(&self) -> Self {
        let (conv1, bn1) = merge(&self.conv1, &self.bn1);
        let (conv2, bn2) = merge(&self.conv2, &self.bn2);
        let conv3 = self.conv3.as_ref().map(|conv| merge(conv, &self.bn3).0);
        let downsample =
            self.downsample.as_ref().map(|Shortcut { conv, norm }| Shortcut { conv: merge(conv, norm).0, norm: None });
        Self { conv1, bn1, conv2, bn2, conv3, bn3: None, downsample }
    }

    /// The steps from map `current` on; gives the map they end in.
    fn steps(&self, current: usize, steps: &mut Vec<Step>) -> usize {
        let [a, b, c] = [1, 2, 3].map(|offset| (current + offset) % 4);
        let mut push = |conv: &Conv2d, from, after, to| {
            let convolution = Convolution::new(conv, Padding::Pixels(conv.kernel_size[0] / 2));
            steps.push(Step::Convolve { convolution, from, after, to });
        };
        let shortcut = match &self.downsample {
            Some(Shortcut { conv, .. }) => {
                push(conv, current, After::Plain, c);
                c
            }
            None => current,
        };
        push(&self.conv1, current, After::Relu, a);
        match &self.conv3 {
            Some(conv3) => {
                push(&self.conv2, a, After::Relu, b);
                push(conv3, b, After::PlusRelu(shortcut), a);
                a
            }
            None => {
                push(&self.conv2, a, After::PlusRelu(shortcut), b);
                b
            }
        }
    }
}
