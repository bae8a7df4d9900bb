//! VGG (Simonyan and Zisserman 2014, arXiv:1409.1556) as torchvision has it, with batch norms or without.
//!
//! Layers: every convolution after its ReLU as `conv1_1`, every pooling as `pool1` (the last is also called
//! `features`), `avgpool`, 7 × 7 whatever the picture's size, `fc6` and `fc7` after their ReLUs, `logits`.
//! Weight files in torchvision's names (`features.0`, `classifier.0`) or timm's (`pre_logits.fc1`, `head.fc`).

use std::ops::ControlFlow;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData, activation, module};
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

/// The sizes of a VGG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VggConfig {
    /// Channels out of each convolution, stage by stage; a pooling ends each stage.
    pub stages: Vec<Vec<usize>>,
    /// Whether a batch norm follows each convolution.
    pub batch_norm: bool,
    /// Width of the two fully connected layers.
    pub hidden: usize,
    /// Classes.
    pub classes: usize,
    /// The share of each fully connected layer's numbers set to 0 in training.
    pub dropout: f64,
}

/// The side of the grid that the classifier sees.
const GRID: usize = 7;

impl VggConfig {
    /// VGG-11 on ImageNet: 132,863,336 parameters.
    pub fn vgg11() -> Self {
        Self::imagenet([1, 1, 2, 2, 2])
    }

    /// VGG-13 on ImageNet: 133,047,848 parameters.
    pub fn vgg13() -> Self {
        Self::imagenet([2, 2, 2, 2, 2])
    }

    /// VGG-16 on ImageNet: 138,357,544 parameters.
    pub fn vgg16() -> Self {
        Self::imagenet([2, 2, 3, 3, 3])
    }

    /// VGG-19 on ImageNet: 143,667,240 parameters.
    pub fn vgg19() -> Self {
        Self::imagenet([2, 2, 4, 4, 4])
    }

    /// A network that runs in a moment, for tests.
    pub fn tiny() -> Self {
        Self { stages: vec![vec![4], vec![6, 8]], batch_norm: true, hidden: 10, classes: 5, dropout: 0.0 }
    }

    /// The same sizes with a batch norm after each convolution.
    pub fn with_batch_norm(self) -> Self {
        Self { batch_norm: true, ..self }
    }

    fn imagenet(convolutions: [usize; 5]) -> Self {
        let widths = [64, 128, 256, 512, 512];
        let stages = widths.into_iter().zip(convolutions).map(|(width, count)| vec![width; count]).collect();
        Self { stages, batch_norm: false, hidden: 4096, classes: 1000, dropout: 0.5 }
    }

    /// What a picture goes through before this network: torchvision's evaluation transform at 224 × 224.
    pub fn preprocess(&self) -> Preprocess {
        Preprocess::imagenet(224)
    }

    /// Checks the sizes, as read from a file.
    ///
    /// # Errors
    /// If one is 0 or a stage has no convolution.
    pub fn validate(&self) -> Result<()> {
        let zero = [("hidden", self.hidden), ("classes", self.classes)].into_iter().find(|(_, value)| *value == 0);
        if let Some((field, _)) = zero {
            return Err(Error::config(field, "0", "must be at least 1").into());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::config("dropout", self.dropout, "must be at least 0 and below 1").into());
        }
        if self.stages.is_empty() || self.stages.iter().any(|stage| stage.is_empty() || stage.contains(&0)) {
            let rule = "needs at least one stage, each with at least one convolution of at least one channel";
            return Err(Error::config("stages", format!("{:?}", self.stages), rule).into());
        }
        Ok(())
    }

    /// A network with random weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) finds a fault.
    pub fn init(&self, device: &Device) -> Encoder {
        self.validate().unwrap_or_else(|fault| panic!("VggConfig: {fault}"));
        let mut channels = 3;
        let convolutions = self.stages.iter().flatten().map(|width| {
            let conv = Conv2dConfig::new([channels, *width], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device);
            channels = *width;
            Convolved { conv, norm: if self.batch_norm { torch_norm(*width, device) } else { None } }
        });
        let convolutions = convolutions.collect();
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        Encoder::Vgg(Vgg {
            convolutions,
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            fc6: linear(channels * GRID * GRID, self.hidden),
            fc7: linear(self.hidden, self.hidden),
            dropout: DropoutConfig::new(self.dropout).init(),
            classes: linear(self.hidden, self.classes),
            stages: self.stages.iter().map(Vec::len).collect(),
        })
    }
}

/// A VGG; see [`Encoder`].
#[derive(Module, Debug)]
pub struct Vgg {
    convolutions: Vec<Convolved>,
    pool: MaxPool2d,
    fc6: Linear,
    fc7: Linear,
    dropout: Dropout,
    classes: Linear,
    /// Convolutions in each stage.
    #[module(skip)]
    stages: Vec<usize>,
}

/// A convolution and its norm, if any.
#[derive(Module, Debug)]
struct Convolved {
    conv: Conv2d,
    norm: Option<BatchNorm>,
}

impl Vgg {
    /// The convolutions by stage, with the names of their layers.
    fn named(&self) -> Vec<Vec<(String, &Convolved)>> {
        let mut convolutions = self.convolutions.iter();
        let stage = |(stage, count): (usize, &usize)| {
            let names = (1..=*count).map(|index| format!("conv{stage}_{index}"));
            names.zip(convolutions.by_ref().take(*count)).collect()
        };
        (1..).zip(&self.stages).map(stage).collect()
    }

    pub(crate) fn layers(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (index, stage) in (1..).zip(self.named()) {
            names.extend(stage.into_iter().map(|(name, _)| name));
            names.push(format!("pool{index}"));
        }
        names.extend(["features", "avgpool", "fc6", "fc7", "logits"].map(String::from));
        names
    }

    /// Runs the network for as long as `kept` waits for a map.
    pub(crate) fn run(&self, input: Tensor<4>, kept: &mut Kept<Tensor<4>>) -> ControlFlow<()> {
        let mut x = input;
        for (index, stage) in (1..).zip(self.named()) {
            for (name, Convolved { conv, norm }) in stage {
                x = kept.pass(&name, activation::relu(normed(conv, norm, x)))?; // [batch, width, h, w]
            }
            x = kept.pass(&format!("pool{index}"), self.pool.forward(x))?; // [batch, width, h/2, w/2]
        }
        let x = kept.pass("features", x)?; // [batch, channels, h/32, w/32]
        let x = kept.pass("avgpool", module::adaptive_avg_pool2d(x, [GRID, GRID]))?; // [batch, channels, 7, 7]
        let x = activation::relu(self.fc6.forward(x.flatten::<2>(1, 3))); // [batch, hidden]
        let x = kept.pass("fc6", x.unsqueeze_dims(&[2, 3]))?.flatten::<2>(1, 3);
        let x = activation::relu(self.fc7.forward(self.dropout.forward(x))); // [batch, hidden]
        let x = kept.pass("fc7", x.unsqueeze_dims(&[2, 3]))?.flatten::<2>(1, 3);
        let logits = self.classes.forward(self.dropout.forward(x)); // [batch, classes]
        kept.see("logits", || logits.clone().unsqueeze_dims(&[2, 3]))
    }

    /// The network with every batch norm merged into the convolution before it.
    pub(crate) fn merged(&self) -> Self {
        let merged = |Convolved { conv, norm }: &Convolved| Convolved { conv: merge(conv, norm).0, norm: None };
        Self { convolutions: self.convolutions.iter().map(merged).collect(), ..self.clone() }
    }

    /// The steps of a [`merged`](Self::merged) network.
    pub(crate) fn program(&self) -> Program {
        let mut steps = Vec::new();
        let layer = |name: &str, from| Step::Layer { name: name.to_string(), from };
        let (mut current, mut other) = (0, 1);
        for (index, stage) in (1..).zip(self.named()) {
            for (name, Convolved { conv, .. }) in stage {
                let (after, padding) = (After::Relu, Padding::Pixels(1));
                steps.push(match steps.is_empty() {
                    true => Step::Stem { stem: Stem::new(conv, padding), after, to: other },
                    false => {
                        Step::Convolve { convolution: Convolution::new(conv, padding), from: current, after, to: other }
                    }
                });
                (current, other) = (other, current);
                steps.push(layer(&name, current));
            }
            steps.push(Step::MaxPool { pool: MaxPool { kernel: 2, stride: 2, padding: 0 }, from: current, to: other });
            (current, other) = (other, current);
            steps.push(layer(&format!("pool{index}"), current));
        }
        steps.push(layer("features", current));
        steps.push(Step::AdaptiveAvgPool { size: [GRID, GRID], from: current, to: other });
        (current, other) = (other, current);
        steps.push(layer("avgpool", current));
        for (name, linear, size, after) in [
            ("fc6", &self.fc6, [GRID, GRID], After::Relu),
            ("fc7", &self.fc7, [1, 1], After::Relu),
            ("logits", &self.classes, [1, 1], After::Plain),
        ] {
            steps.push(Step::Convolve {
                convolution: Convolution::linear(linear, size),
                from: current,
                after,
                to: other,
            });
            (current, other) = (other, current);
            steps.push(layer(name, current));
        }
        Program::new(steps)
    }

    /// Trains or freezes each part.
    pub(crate) fn fine_tune(self, tuning: &FineTuning) -> Self {
        let names: Vec<String> = self.named().into_iter().flatten().map(|(name, _)| name).collect();
        let parts = names.iter().zip(self.convolutions.clone());
        Self {
            convolutions: parts.map(|(name, part)| tuning.apply(name, part)).collect(),
            fc6: tuning.apply("fc6", self.fc6),
            fc7: tuning.apply("fc7", self.fc7),
            classes: tuning.apply("logits", self.classes),
            ..self
        }
    }

    /// Puts a weight file's tensors into the network.
    pub(crate) fn load(self, tensors: TensorMap) -> Result<Self> {
        let names = self.file_names();
        if tensors.get("pre_logits.fc1.weight").is_none() {
            return Ok(load_named(self, &tensors, names, Allow::NOTHING)?);
        }
        let names_of_timm = |name: &str| {
            let name = names(name);
            let classifier = [("classifier.0", "pre_logits.fc1"), ("classifier.3", "pre_logits.fc2")];
            let classifier = classifier.into_iter().chain([("classifier.6", "head.fc")]);
            classifier.fold(name, |name, (torchvision, timm)| name.replace(torchvision, timm))
        };
        Ok(load_named(self, &flattened(tensors), names_of_timm, Allow::NOTHING)?)
    }

    /// torchvision's name for each of the network's.
    pub(crate) fn file_names(&self) -> impl Fn(&str) -> String + use<> {
        let places = self.places();
        move |name| {
            let linear = [("fc6.", "classifier.0."), ("fc7.", "classifier.3."), ("classes.", "classifier.6.")];
            if let Some((rest, file)) = linear.iter().find_map(|(own, file)| Some((name.strip_prefix(own)?, file))) {
                return format!("{file}{rest}");
            }
            let mut segments = name.split('.').skip(1);
            let place = segments.next().and_then(|index| places.get(index.parse::<usize>().ok()?));
            match (place, segments.next(), segments.next()) {
                (Some(place), Some("conv"), Some(kind)) => format!("features.{place}.{kind}"),
                (Some(place), Some("norm"), Some(kind)) => format!("features.{}.{kind}", place + 1),
                _ => unreachable!("a VGG has no parameter {name}"),
            }
        }
    }

    /// Where each convolution stands in torchvision's `features`: there its norm, if any, and its ReLU follow it, and a
    /// pooling each stage.
    fn places(&self) -> Vec<usize> {
        let (mut place, mut places) = (0, Vec::new());
        for stage in self.named() {
            for (_, Convolved { norm, .. }) in stage {
                places.push(place);
                place += if norm.is_some() { 3 } else { 2 };
            }
            place += 1;
        }
        places
    }
}

/// timm keeps the fully connected layers as convolutions: their weights as matrices.
fn flattened(tensors: TensorMap) -> TensorMap {
    let mut flat = TensorMap::new(tensors.source());
    for (name, tensor) in tensors.iter() {
        let &[outputs, ref window @ ..] = tensor.shape().as_slice() else {
            flat.insert(name, tensor.clone());
            continue;
        };
        let columns: usize = window.iter().product();
        let matrix = name.starts_with("pre_logits.") && !window.is_empty();
        let shape = if matrix { vec![outputs, columns] } else { tensor.shape().to_vec() };
        flat.insert(name, TensorData::from_bytes_vec(tensor.as_bytes().to_vec(), shape, tensor.dtype()));
    }
    flat
}
