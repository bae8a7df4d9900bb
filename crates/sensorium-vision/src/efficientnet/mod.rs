//! EfficientNet-Lite (Tan and Le 2019, arXiv:1905.11946, as thinned for devices by the TensorFlow `lite` release):
//! inverted residual blocks with relu6 and without squeeze-and-excitation.
//!
//! Weights keep the names of the efficientnet-pytorch family (`_conv_stem`, `_blocks.0._bn1`, ...); padding is
//! TensorFlow's SAME, the odd pixel below and right. Stochastic depth, a training-time regulariser, is left out.
//!
//! ```
//! use burn::tensor::Device;
//! use image::RgbImage;
//! use sensorium_vision::efficientnet::{EfficientNetLite, EfficientNetLiteConfig};
//!
//! let device = Device::flex();
//! let network = EfficientNetLite::lite0_imagenet(&device)?.fold();
//! let input = EfficientNetLiteConfig::lite0().preprocess().batch(&[RgbImage::new(300, 200)], &device);
//! let maps = network.features(input, &["block4", "logits"])?;
//! assert_eq!(maps[0].dims(), [1, 40, 28, 28]);
//! assert_eq!(maps[1].dims(), [1, 1000, 1, 1]);
//! # Ok::<(), sensorium_vision::Error>(())
//! ```

mod cpu;
mod folded;
mod imagenet;
mod layer;

use std::ops::ControlFlow;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, activation, assert_shape, module};
pub use folded::FoldedEfficientNetLite;
pub use imagenet::{Class, labels, top_classes};
use layer::Kept;
pub use layer::Layer;
use sensorium_core::Error;
use sensorium_core::weights::{Allow, TensorMap, load_into};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::transforms::Preprocess;

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

/// The sizes of an [`EfficientNetLite`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EfficientNetLiteConfig {
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

impl EfficientNetLiteConfig {
    /// EfficientNet-Lite0 on ImageNet: 224 × 224, 1,000 classes, 4,652,008 parameters.
    pub fn lite0() -> Self {
        Self {
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
        }
    }

    /// What a picture goes through before this network.
    pub fn preprocess(&self) -> Preprocess {
        Preprocess::efficientnet_lite(self.resolution)
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
    pub fn init(&self, device: &Device) -> EfficientNetLite {
        self.validate().unwrap_or_else(|fault| panic!("EfficientNetLiteConfig: {fault}"));
        let blocks = self.stages.iter().flat_map(|stage| {
            (0..stage.repeat).map(|index| match index {
                0 => InvertedResidual::init(stage, stage.channels_in, stage.stride, device),
                _ => InvertedResidual::init(stage, stage.channels_out, 1, device),
            })
        });
        let last = self.stages[self.stages.len() - 1].channels_out;
        EfficientNetLite {
            conv_stem: convolution(3, self.stem, 3, 2, 1, device),
            bn0: norm(self.stem, device),
            blocks: blocks.collect(),
            conv_head: convolution(last, self.head, 1, 1, 1, device),
            bn1: norm(self.head, device),
            dropout: DropoutConfig::new(self.dropout).init(),
            fc: LinearConfig::new(self.head, self.classes).init(device),
        }
    }
}

/// EfficientNet-Lite: a picture to class logits, or to any map on the way.
#[derive(Module, Debug)]
pub struct EfficientNetLite {
    conv_stem: Conv2d,
    bn0: Option<BatchNorm>,
    blocks: Vec<InvertedResidual>,
    conv_head: Conv2d,
    bn1: Option<BatchNorm>,
    dropout: Dropout,
    fc: Linear,
}

impl EfficientNetLite {
    /// Puts tensors in the names of the efficientnet-pytorch family into the network.
    ///
    /// # Errors
    /// If a tensor is missing, left over, or of another shape; the message names the file and the tensors.
    pub fn load(self, tensors: TensorMap) -> Result<Self> {
        Ok(load_into(self, &tensors.rename(plain_name)?, Allow::NOTHING)?)
    }

    /// The class logits.
    ///
    /// # Shapes
    /// - input: `[batch, 3, height, width]`
    /// - output: `[batch, classes]`
    ///
    /// # Panics
    /// If the input does not have 3 channels.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let [logits] = self.maps(input, &[Layer::Logits]).try_into().expect("one map for one layer");
        logits.flatten(1, 3)
    }

    /// The maps of the layers called `layers` (see [`Layer`]), in that order.
    ///
    /// # Shapes
    /// - input: `[batch, 3, height, width]`
    /// - output: each `[batch, channels, height, width]`; `pooled` and `logits` are 1 × 1
    ///
    /// # Errors
    /// If the network has no layer of a name.
    ///
    /// # Panics
    /// If the input does not have 3 channels.
    pub fn features(&self, input: Tensor<4>, layers: &[&str]) -> Result<Vec<Tensor<4>>> {
        Ok(self.maps(input, &Layer::parse_all(layers, self.blocks.len())?))
    }

    fn maps(&self, input: Tensor<4>, layers: &[Layer]) -> Vec<Tensor<4>> {
        let mut kept = Kept::new(layers);
        let _ = self.run(input, &mut kept);
        kept.into_maps()
    }

    /// Runs the network for as long as `kept` waits for a map.
    fn run(&self, input: Tensor<4>, kept: &mut Kept<Tensor<4>>) -> ControlFlow<()> {
        assert_shape!(input, [_, 3, _, _]);
        let mut x = activation::relu6(normed(&self.conv_stem, &self.bn0, input)); // [batch, stem, h/2, w/2]
        kept.see(Layer::Stem, || x.clone())?;
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            kept.see(Layer::Block(index), || x.clone())?;
        }
        let x = activation::relu6(normed(&self.conv_head, &self.bn1, x)); // [batch, head, h/32, w/32]
        kept.see(Layer::Features, || x.clone())?;
        let x = module::adaptive_avg_pool2d(x, [1, 1]); // [batch, head, 1, 1]
        kept.see(Layer::Pooled, || x.clone())?;
        let logits = self.fc.forward(self.dropout.forward(x).flatten::<2>(1, 3)); // [batch, classes]
        kept.see(Layer::Logits, || logits.clone().unsqueeze_dims(&[2, 3]))
    }

    /// The same function of the input with every batch norm merged into the convolution before it, for inference.
    pub fn fold(&self) -> FoldedEfficientNetLite {
        let (conv_stem, bn0) = fold(&self.conv_stem, &self.bn0);
        let (conv_head, bn1) = fold(&self.conv_head, &self.bn1);
        FoldedEfficientNetLite::new(Self {
            conv_stem,
            bn0,
            blocks: self.blocks.iter().map(InvertedResidual::fold).collect(),
            conv_head,
            bn1,
            dropout: self.dropout.clone(),
            fc: self.fc.clone(),
        })
    }
}

/// `_blocks.0._bn1.weight` to `blocks.0.bn1.weight`. torch's count of training batches has no use here.
fn plain_name(name: &str) -> Option<String> {
    let segments: Vec<_> = name.split('.').map(|segment| segment.strip_prefix('_').unwrap_or(segment)).collect();
    (segments.last() != Some(&"num_batches_tracked")).then(|| segments.join("."))
}

/// Expand by a 1 × 1 convolution, filter each channel on its own, project back; the input is added where it fits.
#[derive(Module, Debug)]
struct InvertedResidual {
    expand_conv: Option<Conv2d>,
    bn0: Option<BatchNorm>,
    depthwise_conv: Conv2d,
    bn1: Option<BatchNorm>,
    project_conv: Conv2d,
    bn2: Option<BatchNorm>,
    #[module(skip)]
    residual: bool,
}

impl InvertedResidual {
    fn init(stage: &Stage, channels_in: usize, stride: usize, device: &Device) -> Self {
        let hidden = channels_in * stage.expand;
        let expands = stage.expand != 1;
        Self {
            expand_conv: expands.then(|| convolution(channels_in, hidden, 1, 1, 1, device)),
            bn0: if expands { norm(hidden, device) } else { None },
            depthwise_conv: convolution(hidden, hidden, stage.kernel, stride, hidden, device),
            bn1: norm(hidden, device),
            project_conv: convolution(hidden, stage.channels_out, 1, 1, 1, device),
            bn2: norm(stage.channels_out, device),
            residual: stride == 1 && channels_in == stage.channels_out,
        }
    }

    /// # Shapes
    /// - input: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, ⌈height / stride⌉, ⌈width / stride⌉]`
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = input.clone();
        if let Some(expand_conv) = &self.expand_conv {
            x = activation::relu6(normed(expand_conv, &self.bn0, x)); // [batch, hidden, h, w]
        }
        x = activation::relu6(normed(&self.depthwise_conv, &self.bn1, x)); // [batch, hidden, h/s, w/s]
        x = normed(&self.project_conv, &self.bn2, x); // [batch, channels_out, h/s, w/s]
        if self.residual { input + x } else { x }
    }

    fn fold(&self) -> Self {
        let (depthwise_conv, bn1) = fold(&self.depthwise_conv, &self.bn1);
        let (project_conv, bn2) = fold(&self.project_conv, &self.bn2);
        Self {
            expand_conv: self.expand_conv.as_ref().map(|conv| fold(conv, &self.bn0).0),
            bn0: None,
            depthwise_conv,
            bn1,
            project_conv,
            bn2,
            residual: self.residual,
        }
    }
}

/// A convolution without bias, padded as TensorFlow's SAME.
fn convolution(from: usize, to: usize, kernel: usize, stride: usize, groups: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_groups(groups)
        .with_padding(PaddingConfig2d::Same)
        .with_bias(false)
        .init(device)
}

/// TensorFlow's epsilon and momentum (.99 of the old value).
fn norm(channels: usize, device: &Device) -> Option<BatchNorm> {
    Some(BatchNormConfig::new(channels).with_epsilon(1e-3).with_momentum(0.01).init(device))
}

/// A convolution and the batch norm after it, which [`fold`] has taken away.
fn normed(conv: &Conv2d, norm: &Option<BatchNorm>, input: Tensor<4>) -> Tensor<4> {
    let x = conv.forward(input);
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

/// `γ (w·x − μ) / √(σ² + ε) + β` as one convolution with a bias, in the place of the two.
fn fold(conv: &Conv2d, norm: &Option<BatchNorm>) -> (Conv2d, Option<BatchNorm>) {
    let mut conv = conv.clone();
    if let Some(norm) = norm {
        let deviation = (norm.running_var.value() + norm.epsilon).sqrt();
        let scale = norm.gamma.val() / deviation; // [channels_out]
        let bias = norm.beta.val() - norm.running_mean.value() * scale.clone();
        let channels = scale.dims()[0];
        conv.weight = Param::from_tensor(conv.weight.val() * scale.reshape([channels, 1, 1, 1]));
        conv.bias = Some(Param::from_tensor(bias));
    }
    (conv, None)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use proptest::prelude::*;
    use sensorium_core::device;
    use sensorium_core::testing::check_model;
    use sensorium_core::testing::golden::assert_close;
    use sensorium_core::weights::tensors_of;

    use super::*;

    fn flex() -> Device {
        device::parse("flex").unwrap()
    }

    fn waves(shape: [usize; 4], device: &Device) -> Tensor<4> {
        let count: usize = shape.iter().product();
        let numbers: Vec<f32> = (0..count).map(|i| ((i * i % 1009) as f32 * 0.7).sin() * 1.5).collect();
        Tensor::from_data(TensorData::new(numbers, shape), device)
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec_as().unwrap()
    }

    /// A network whose norms do something.
    fn with_statistics(config: &EfficientNetLiteConfig, device: &Device) -> EfficientNetLite {
        device.seed(3);
        let network = config.init(device);
        let mut tensors = TensorMap::new("made up");
        for (name, tensor) in tensors_of(&network).iter() {
            let shape = tensor.shape().to_vec();
            let places = (0..tensor.num_elements()).map(|i| i as f32);
            let numbers: Vec<f32> = match name.rsplit('.').next() {
                Some("running_mean") => places.map(|i| i.sin() * 0.2).collect(),
                Some("running_var") => places.map(|i| 0.3 + (i * 0.9).cos().abs()).collect(),
                Some("bias") => places.map(|i| (i * 1.7).sin() * 0.5).collect(),
                _ => tensor.iter::<f32>().collect(),
            };
            tensors.insert(name, TensorData::new(numbers, shape));
        }
        network.load(tensors).unwrap()
    }

    #[test]
    fn lite0_has_the_published_parameters_and_keys() {
        let network = EfficientNetLiteConfig::lite0().init(&flex());
        let tensors = tensors_of(&network);
        let of_statistics = |name: &str| name.contains("running_");
        let parameters: usize = tensors
            .iter()
            .filter(|(name, _)| !of_statistics(name))
            .map(|(_, tensor)| tensor.shape().iter().product::<usize>())
            .sum();
        assert_eq!(parameters, 4_652_008);
        // torch also keeps a count of training batches for each norm.
        let norms = tensors.names().filter(|name| name.ends_with("running_mean")).count();
        assert_eq!(tensors.len() + norms, 296);
        assert!(tensors.get("blocks.15.project_conv.weight").is_some());
    }

    #[test]
    fn a_tiny_network_keeps_the_contract() {
        let config = EfficientNetLiteConfig::tiny();
        let forward = |network: &EfficientNetLite, device: &Device| network.forward(waves([3, 3, 37, 34], device));
        check_model("EfficientNet-Lite", |device| config.init(device), forward, [3, 5], 2e-3);
    }

    #[test]
    fn folding_keeps_the_function_on_every_backend() {
        for (backend, device) in device::built() {
            let network = with_statistics(&EfficientNetLiteConfig::tiny(), &device);
            let folded = network.fold();
            let want = numbers(network.forward(waves([2, 3, 33, 40], &device)));
            let got = numbers(folded.forward(waves([2, 3, 33, 40], &device)));
            assert_close(&got, &want, (1e-4, 1e-4), &format!("folded on {backend}"));
        }
    }

    #[test]
    fn layers_are_given_in_the_order_asked_and_unknown_ones_refused() {
        let device = flex();
        let network = EfficientNetLiteConfig::tiny().init(&device);
        let layers = ["logits", "block1", "stem", "block1"];
        for maps in [
            network.features(waves([1, 3, 32, 32], &device), &layers).unwrap(),
            network.fold().features(waves([1, 3, 32, 32], &device), &layers).unwrap(),
        ] {
            let shapes: Vec<_> = maps.iter().map(|map| map.dims()).collect();
            assert_eq!(shapes, [[1, 5, 1, 1], [1, 12, 8, 8], [1, 8, 16, 16], [1, 12, 8, 8]]);
        }
        let error = network.features(waves([1, 3, 32, 32], &device), &["block4"]).unwrap_err().to_string();
        assert_eq!(error, "layer 'block4': the network has stem, block0 to block3, features, pooled, logits");
    }

    #[test]
    fn settings_that_cannot_be_are_refused() {
        let lite0 = EfficientNetLiteConfig::lite0;
        let fault = |config: EfficientNetLiteConfig| config.validate().unwrap_err().to_string();
        assert!(fault(EfficientNetLiteConfig { head: 0, ..lite0() }).starts_with("head = 0"));
        assert!(fault(EfficientNetLiteConfig { dropout: 1.0, ..lite0() }).starts_with("dropout = 1"));
        let mut config = lite0();
        config.stages[2].channels_in = 25;
        assert_eq!(fault(config), "stages.2.channels_in = 25: must be 24, what comes before");
        let mut config = lite0();
        config.stages[1].kernel = 4;
        assert_eq!(fault(config), "stages.1.kernel = 4: must be 3, 5 or 7");
        assert!(lite0().validate().is_ok() && EfficientNetLiteConfig::tiny().validate().is_ok());
    }

    #[test]
    fn weights_of_another_size_are_refused() {
        let device = flex();
        let other = EfficientNetLiteConfig { head: 25, ..EfficientNetLiteConfig::tiny() };
        let tensors = tensors_of(&other.init(&device));
        let error = EfficientNetLiteConfig::tiny().init(&device).load(tensors).unwrap_err().to_string();
        assert!(error.contains("conv_head.weight"), "{error}");
    }

    /// A height or a width; half of them smaller than a filter or little larger.
    fn side() -> impl Strategy<Value = usize> {
        prop_oneof![1usize..10, 1usize..70]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Every shape of block and picture, on the crate's own kernels.
        #[test]
        fn own_kernels_equal_the_backend(
            size in (side(), side()), batch in 1usize..4, stem in 1usize..60, stages in proptest::collection::vec(
                (1usize..3, 0usize..3, 1usize..4, 1usize..4, 1usize..60), 1..4),
        ) {
            let mut channels = stem;
            let stages = stages.into_iter().map(|(repeat, kernel, stride, expand, out)| {
                let stage = Stage::new(repeat, 3 + 2 * kernel, stride, expand, [channels, out]);
                channels = out;
                stage
            });
            let config = EfficientNetLiteConfig { stem, stages: stages.collect(), ..EfficientNetLiteConfig::tiny() };
            let network = with_statistics(&config, &flex());
            let blocks = network.blocks.len();
            let last = format!("block{}", blocks - 1);
            let layers = ["stem", "block0", &last, "features", "pooled", "logits"];
            let want = network.features(waves([batch, 3, size.0, size.1], &flex()), &layers).unwrap();
            let got = network.fold().features(waves([batch, 3, size.0, size.1], &flex()), &layers).unwrap();
            for ((layer, want), got) in layers.iter().zip(want).zip(got) {
                prop_assert_eq!(got.dims(), want.dims());
                let want = numbers(want);
                let largest = f64::from(want.iter().fold(1.0_f32, |m, v| m.max(v.abs())));
                assert_close(&numbers(got), &want, (1e-4 * largest, 1e-4), layer);
            }
        }
    }
}
