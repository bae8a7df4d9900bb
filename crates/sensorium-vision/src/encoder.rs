//! Image encoders of three families, run and asked for maps in one way.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use sensorium_vision::EncoderConfig;
//!
//! let device = Device::flex();
//! let config = EncoderConfig::named("resnet18")?;
//! let network = config.init(&device).fold();
//! let maps = network.features(Tensor::zeros([1, 3, 64, 64], &device), &["layer3", "pooled"])?;
//! assert_eq!(maps[0].dims(), [1, 256, 4, 4]);
//! assert_eq!(maps[1].dims(), [1, 512, 1, 1]);
//! # Ok::<(), sensorium_vision::Error>(())
//! ```

use burn::module::Module;
use burn::tensor::{Device, Tensor, assert_shape};
use sensorium_core::weights::{TensorMap, tensors_of};
use sensorium_core::{Error, device};
use serde::{Deserialize, Serialize};

use crate::efficientnet::{EfficientNet, EfficientNetConfig};
use crate::fine_tuning::{FineTuning, FrozenNorms};
use crate::folded::FoldedEncoder;
use crate::layers::{self, Kept};
use crate::resnet::{ResNet, ResNetConfig};
use crate::transforms::Preprocess;
use crate::vgg::{Vgg, VggConfig};
use crate::{Result, resnet};

/// Which network, in which sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderConfig {
    /// A ResNet.
    ResNet(ResNetConfig),
    /// A VGG.
    Vgg(VggConfig),
    /// An EfficientNet or EfficientNet-Lite.
    EfficientNet(EfficientNetConfig),
}

impl EncoderConfig {
    /// What [`named`](Self::named) knows.
    pub const NAMES: [&str; 19] = [
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "vgg11",
        "vgg13",
        "vgg16",
        "vgg19",
        "vgg11_bn",
        "vgg13_bn",
        "vgg16_bn",
        "vgg19_bn",
        "efficientnet_b0",
        "efficientnet_lite0",
        "efficientnet_lite1",
        "efficientnet_lite2",
        "efficientnet_lite3",
        "efficientnet_lite4",
    ];

    /// The network called `name` by torchvision and timm, on the 1,000 classes of ImageNet.
    ///
    /// # Errors
    /// If there is none; the message lists the names.
    pub fn named(name: &str) -> Result<Self> {
        let vgg = |name: &str| match name {
            "vgg11" => Some(VggConfig::vgg11()),
            "vgg13" => Some(VggConfig::vgg13()),
            "vgg16" => Some(VggConfig::vgg16()),
            "vgg19" => Some(VggConfig::vgg19()),
            _ => None,
        };
        let config = match name {
            "resnet18" => Some(Self::ResNet(ResNetConfig::resnet18())),
            "resnet34" => Some(Self::ResNet(ResNetConfig::resnet34())),
            "resnet50" => Some(Self::ResNet(ResNetConfig::resnet50())),
            "resnet101" => Some(Self::ResNet(ResNetConfig::resnet101())),
            "resnet152" => Some(Self::ResNet(ResNetConfig::resnet152())),
            "efficientnet_b0" => Some(Self::EfficientNet(EfficientNetConfig::b0())),
            "efficientnet_lite0" => Some(Self::EfficientNet(EfficientNetConfig::lite0())),
            "efficientnet_lite1" => Some(Self::EfficientNet(EfficientNetConfig::lite1())),
            "efficientnet_lite2" => Some(Self::EfficientNet(EfficientNetConfig::lite2())),
            "efficientnet_lite3" => Some(Self::EfficientNet(EfficientNetConfig::lite3())),
            "efficientnet_lite4" => Some(Self::EfficientNet(EfficientNetConfig::lite4())),
            _ => match name.strip_suffix("_bn") {
                Some(plain) => vgg(plain).map(|config| Self::Vgg(config.with_batch_norm())),
                None => vgg(name).map(Self::Vgg),
            },
        };
        config.ok_or_else(|| {
            let rule = format!("must be one of {}", Self::NAMES.join(", "));
            Error::config("encoder", name, rule).into()
        })
    }

    /// A network with random weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) finds a fault.
    pub fn init(&self, device: &Device) -> Encoder {
        match self {
            Self::ResNet(config) => config.init(device),
            Self::Vgg(config) => config.init(device),
            Self::EfficientNet(config) => config.init(device),
        }
    }

    /// What a picture goes through before this network.
    pub fn preprocess(&self) -> Preprocess {
        match self {
            Self::ResNet(config) => config.preprocess(),
            Self::Vgg(config) => config.preprocess(),
            Self::EfficientNet(config) => config.preprocess(),
        }
    }

    /// Checks the sizes, as read from a file.
    ///
    /// # Errors
    /// If one cannot be.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::ResNet(config) => config.validate(),
            Self::Vgg(config) => config.validate(),
            Self::EfficientNet(config) => config.validate(),
        }
    }
}

/// An image encoder: a picture to class logits, or to any map on the way.
#[derive(Module, Debug)]
pub enum Encoder {
    /// A ResNet.
    ResNet(ResNet),
    /// A VGG.
    Vgg(Vgg),
    /// An EfficientNet or EfficientNet-Lite.
    EfficientNet(EfficientNet),
}

impl Encoder {
    /// The names of the maps that can be asked for, in the order they are reached.
    pub fn layers(&self) -> Vec<String> {
        match self {
            Self::ResNet(network) => network.layers(),
            Self::Vgg(network) => network.layers(),
            Self::EfficientNet(network) => network.layers(),
        }
    }

    /// Puts a weight file's tensors into the network. The names are those of torchvision, timm or, for EfficientNets,
    /// efficientnet-pytorch, with or without the `module.` of torch's `DataParallel` before each.
    ///
    /// # Errors
    /// If a tensor is missing, left over, or of another shape; the message names the file and the tensors.
    pub fn load(self, tensors: TensorMap) -> Result<Self> {
        let wrapped = !tensors.is_empty() && tensors.names().all(|name| name.starts_with("module."));
        let tensors = if wrapped { tensors.strip_prefix("module.") } else { tensors };
        Ok(match self {
            Self::ResNet(network) => Self::ResNet(network.load(&tensors)?),
            Self::Vgg(network) => Self::Vgg(network.load(tensors)?),
            Self::EfficientNet(network) => Self::EfficientNet(network.load(&tensors)?),
        })
    }

    /// The network's tensors as [`load`](Self::load) takes them: in torchvision's names, and an EfficientNet-Lite's in
    /// efficientnet-pytorch's.
    pub fn tensors(&self) -> TensorMap {
        let (tensors, file_name): (_, Box<dyn Fn(&str) -> String>) = match self {
            Self::ResNet(network) => (tensors_of(network), Box::new(resnet::file_name)),
            Self::Vgg(network) => (tensors_of(network), Box::new(network.file_names())),
            Self::EfficientNet(network) => {
                let names = network.file_names(network.library());
                (tensors_of(network), Box::new(move |name| names.in_file(name)))
            }
        };
        tensors.rename(|name| Some(file_name(name))).expect("no two tensors share a name")
    }

    /// The class logits.
    ///
    /// # Shapes
    /// - input: `[batch, 3, height, width]`
    /// - output: `[batch, classes]`
    ///
    /// # Panics
    /// If the input does not have 3 channels, or is too small for the network's strides.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        self.maps(input, &["logits"]).remove(0).flatten(1, 3)
    }

    /// The maps of the layers called `layers` (see [`layers`](Self::layers)), in that order; the network stops after
    /// the last of them.
    ///
    /// # Shapes
    /// - input: `[batch, 3, height, width]`
    /// - output: each `[batch, channels, height, width]`; `pooled` and `logits` are 1 × 1
    ///
    /// # Errors
    /// If the network has no layer of a name.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn features(&self, input: Tensor<4>, layers: &[&str]) -> Result<Vec<Tensor<4>>> {
        layers::check(layers, &self.layers())?;
        Ok(self.maps(input, layers))
    }

    pub(crate) fn maps(&self, input: Tensor<4>, layers: &[&str]) -> Vec<Tensor<4>> {
        let mut kept = Kept::new(layers);
        self.run(input, &mut kept);
        kept.into_maps()
    }

    /// Runs the network for as long as `kept` waits for a map.
    pub(crate) fn run(&self, input: Tensor<4>, kept: &mut Kept<Tensor<4>>) {
        assert_shape!(input, [_, 3, _, _]);
        let _ = match self {
            Self::ResNet(network) => network.run(input, kept),
            Self::Vgg(network) => network.run(input, kept),
            Self::EfficientNet(network) => network.run(input, kept),
        };
    }

    /// The same function of the input with every batch norm merged into the convolution before it, for inference.
    pub fn fold(&self) -> FoldedEncoder {
        match self {
            Self::ResNet(network) => {
                let merged = network.merged();
                let program = merged.runs_on_cpu().then(|| merged.program());
                FoldedEncoder::new(Self::ResNet(merged), program)
            }
            Self::Vgg(network) => {
                let merged = network.merged();
                let program = merged.runs_on_cpu().then(|| merged.program());
                FoldedEncoder::new(Self::Vgg(merged), program)
            }
            Self::EfficientNet(network) => {
                let merged = network.merged();
                let program = if merged.runs_on_cpu() { merged.program() } else { None };
                FoldedEncoder::new(Self::EfficientNet(merged), program)
            }
        }
    }

    /// The network of which only the layers from `from` on are trained; with `None`, nothing is. On a device without
    /// autodiff this is remembered for when [`train`](Module::train) moves the network to one.
    ///
    /// A name stands for the whole part that ends in it: `layer2` of a ResNet begins behind `layer1`.
    ///
    /// # Errors
    /// If the network has no layer called `from`.
    pub fn fine_tune(self, from: Option<&str>, frozen_norms: FrozenNorms) -> Result<Self> {
        let layers = self.layers();
        let from = match from {
            Some(from) => {
                layers::check(&[from], &layers)?;
                layers.iter().position(|layer| layer == from).expect("checked")
            }
            None => layers.len(),
        };
        let tuning = FineTuning { layers: &layers, from, frozen_norms };
        Ok(match self {
            Self::ResNet(network) => Self::ResNet(network.fine_tune(&tuning)),
            Self::Vgg(network) => Self::Vgg(network.fine_tune(&tuning)),
            Self::EfficientNet(network) => Self::EfficientNet(network.fine_tune(&tuning)),
        })
    }
}

/// Whether this crate's kernels run where the network is.
trait RunsOnCpu: Module {
    fn runs_on_cpu(&self) -> bool {
        self.devices().iter().all(device::on_cpu)
    }
}

impl<M: Module> RunsOnCpu for M {}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use proptest::prelude::*;
    use sensorium_core::device;
    use sensorium_core::testing::check_model;
    use sensorium_core::testing::golden::assert_close;

    use super::*;
    use crate::grad_cam;

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

    /// The network with norms that do something.
    fn with_statistics(network: Encoder) -> Encoder {
        let tensors = network.tensors();
        let mut changed = TensorMap::new("made up");
        for (name, tensor) in tensors.iter() {
            let places = (0..tensor.num_elements()).map(|i| i as f32);
            let numbers: Vec<f32> = match name.rsplit('.').next() {
                Some("running_mean") => places.map(|i| i.sin() * 0.2).collect(),
                Some("running_var") => places.map(|i| 0.3 + (i * 0.9).cos().abs()).collect(),
                Some("bias") => places.map(|i| (i * 1.7).sin() * 0.5).collect(),
                _ => tensor.iter::<f32>().collect(),
            };
            changed.insert(name, TensorData::new(numbers, tensor.shape().to_vec()));
        }
        network.load(changed).unwrap()
    }

    /// torchvision 0.26 and timm 1.0 count these; a norm's key for its batches is not among our tensors.
    #[test]
    fn networks_have_the_published_parameters_and_keys() {
        for (name, parameters, keys) in [
            ("resnet18", 11_689_512, 122),
            ("resnet34", 21_797_672, 218),
            ("resnet50", 25_557_032, 320),
            ("resnet101", 44_549_160, 626),
            ("resnet152", 60_192_808, 932),
            ("vgg11", 132_863_336, 22),
            ("vgg13", 133_047_848, 26),
            ("vgg16", 138_357_544, 32),
            ("vgg19", 143_667_240, 38),
            ("vgg11_bn", 132_868_840, 62),
            ("vgg13_bn", 133_053_736, 76),
            ("vgg16_bn", 138_365_992, 97),
            ("vgg19_bn", 143_678_248, 118),
            ("efficientnet_b0", 5_288_548, 360),
            ("efficientnet_lite0", 4_652_008, 296),
            ("efficientnet_lite1", 5_416_680, 386),
            ("efficientnet_lite2", 6_092_072, 386),
            ("efficientnet_lite3", 8_197_096, 440),
            ("efficientnet_lite4", 13_006_568, 548),
        ] {
            let tensors = EncoderConfig::named(name).unwrap().init(&flex()).tensors();
            let count = |(name, tensor): (&str, &TensorData)| {
                if name.contains("running_") { 0 } else { tensor.num_elements() }
            };
            assert_eq!(tensors.iter().map(count).sum::<usize>(), parameters, "parameters of {name}");
            let norms = tensors.names().filter(|name| name.ends_with("running_mean")).count();
            assert_eq!(tensors.len() + norms, keys, "keys of {name}");
        }
        let fault = EncoderConfig::named("resnet19").unwrap_err().to_string();
        assert!(fault.starts_with("encoder = resnet19: must be one of resnet18, resnet34"), "{fault}");
    }

    #[test]
    fn tiny_networks_keep_the_contract() {
        let forward = |network: &Encoder, device: &Device| network.forward(waves([3, 3, 37, 34], device));
        check_model("ResNet", |device| ResNetConfig::tiny().init(device), forward, [3, 5], 2e-3);
        check_model("VGG", |device| VggConfig::tiny().init(device), forward, [3, 5], 2e-3);
    }

    #[test]
    fn tensors_are_what_load_takes_and_differences_are_named_as_in_the_file() {
        let device = flex();
        for (config, weight) in [
            (EncoderConfig::ResNet(ResNetConfig::tiny()), "layer2.0.downsample.0.weight"),
            (EncoderConfig::Vgg(VggConfig::tiny()), "features.5.running_var"),
            (EncoderConfig::EfficientNet(EfficientNetConfig::tiny()), "_blocks.1._depthwise_conv.weight"),
        ] {
            let network = with_statistics(config.init(&device));
            let mut wrapped = TensorMap::new("wrapped.pth");
            for (name, tensor) in network.tensors().iter() {
                wrapped.insert(format!("module.{name}"), tensor.clone());
            }
            let same = config.init(&device).load(wrapped).unwrap();
            let run = |network: &Encoder| numbers(network.forward(waves([1, 3, 40, 40], &device)));
            assert_eq!(run(&same), run(&network));

            let mut lacking = network.tensors();
            lacking.retain(|name| name != weight);
            lacking.insert("extra.weight", TensorData::from([1.0f32]));
            let fault = config.init(&device).load(lacking).unwrap_err().to_string();
            assert!(fault.contains(&format!("1 missing: {weight}")), "{fault}");
            assert!(fault.contains("1 not in the module: extra.weight"), "{fault}");
        }
    }

    #[test]
    fn fine_tuning_trains_from_a_layer_on() {
        let device = flex().autodiff();
        let network = ResNetConfig::tiny().init(&device);
        let layers = |network: &Encoder| -> Vec<String> {
            let before = network.tensors();
            let loss = network.forward(waves([2, 3, 40, 40], &device)).powi_scalar(2).sum();
            let step = burn::optim::GradientsParams::from_grads(loss.backward(), network);
            let after = burn::optim::SgdConfig::new().init().step(0.1, network.clone(), step).tensors();
            let changed = before.iter().filter(|(name, tensor)| after.get(name) != Some(tensor));
            let mut layers: Vec<String> =
                changed.map(|(name, _)| name.split('.').next().unwrap().to_string()).collect();
            layers.dedup();
            layers
        };
        let from = network.clone().fine_tune(Some("layer3"), FrozenNorms::Inference).unwrap();
        assert_eq!(layers(&from), ["layer3", "layer4", "fc"]);
        let frozen = from.fine_tune(None, FrozenNorms::Inference).unwrap();
        let mean_after_running = |network: &Encoder| {
            network.forward(waves([2, 3, 40, 40], &device)).into_data();
            network.tensors().get("layer1.0.bn1.running_mean").cloned()
        };
        let mean = frozen.tensors().get("layer1.0.bn1.running_mean").cloned();
        assert_eq!(mean_after_running(&frozen), mean);
        let drifting = frozen.fine_tune(None, FrozenNorms::Training).unwrap();
        assert_ne!(mean_after_running(&drifting), mean);
        let drifting = drifting.fine_tune(Some("layer4"), FrozenNorms::Training).unwrap();
        let changed = layers(&drifting);
        assert!(
            changed.iter().any(|name| name == "layer4") && !changed.iter().any(|name| name == "conv1"),
            "{changed:?}"
        );
        assert!(drifting.fine_tune(Some("layer5"), FrozenNorms::Training).is_err());
        let headless = ResNetConfig { classes: 0, ..ResNetConfig::tiny() }.init(&device);
        assert!(headless.fine_tune(Some("layer4"), FrozenNorms::Inference).is_ok());
    }

    /// Against the derivative by differences of the logit along the map.
    #[test]
    fn grad_cam_weighs_channels_by_their_mean_gradient() {
        let device = flex();
        device.seed(1);
        let network = with_statistics(VggConfig { stages: vec![vec![4], vec![3]], ..VggConfig::tiny() }.init(&device));
        let picture = waves([1, 3, 28, 28], &device);
        // What follows `pool2` is three linear layers: the grid is its own.
        let map = network.features(picture.clone(), &["pool2"]).unwrap().remove(0);
        let tensors = network.tensors();
        let logits = |map: Tensor<4>| {
            let layer = |input: Vec<f32>, name: &str| -> Vec<f64> {
                let [weights, bias] = ["weight", "bias"].map(|part| tensors.f32s(&format!("{name}.{part}")).unwrap());
                let sum = |(row, bias): (&[f32], &f32)| {
                    row.iter().zip(&input).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() + f64::from(*bias)
                };
                weights.chunks_exact(input.len()).zip(&bias).map(sum).collect()
            };
            let relu = |numbers: Vec<f64>| numbers.into_iter().map(|number| number.max(0.0) as f32).collect();
            layer(relu(layer(relu(layer(numbers(map), "classifier.0")), "classifier.3")), "classifier.6")
        };
        let mut hottest = 0.0;
        for class in 0..5 {
            let mut want = vec![0.0; 49];
            for channel in 0..3 {
                let mut step = vec![0.0f32; 3 * 49];
                step[channel * 49..][..49].fill(1e-3);
                let step = Tensor::from_data(TensorData::new(step, [1, 3, 7, 7]), &device);
                let [up, down] = [map.clone() + step.clone(), map.clone() - step].map(|map| logits(map)[class]);
                let slope = (up - down) / 2e-3 / 49.0;
                let of_channel = numbers(map.clone().slice_dim(1, channel..channel + 1));
                want.iter_mut().zip(of_channel).for_each(|(sum, number)| *sum += slope * f64::from(number));
            }
            let want: Vec<f32> = want.into_iter().map(|sum| sum.max(0.0) as f32).collect();
            hottest = want.iter().copied().fold(hottest, f32::max);
            let heat = numbers(grad_cam::heat(&network, picture.clone(), &[class], "pool2").unwrap());
            assert_close(&heat, &want, (2e-5, 2e-2), "heat");
        }
        assert!(hottest > 1e-3, "{hottest}");
        let fault = grad_cam::heat(&network, waves([1, 3, 28, 28], &device), &[5], "pool2").unwrap_err();
        assert_eq!(fault.to_string(), "class = 5: the network has the classes 0 to 4");
    }

    fn assert_own_kernels_equal_the_backend(network: Encoder, shape: [usize; 4]) {
        let network = with_statistics(network);
        let folded = network.fold();
        let layers: Vec<&str> = folded.layers().iter().map(String::as_str).collect();
        let want = network.features(waves(shape, &flex()), &layers).unwrap();
        let got = folded.features(waves(shape, &flex()), &layers).unwrap();
        for ((layer, want), got) in layers.iter().zip(want).zip(got) {
            assert_eq!(got.dims(), want.dims(), "{layer}");
            let want = numbers(want);
            let largest = f64::from(want.iter().fold(1.0_f32, |m, v| m.max(v.abs())));
            assert_close(&numbers(got), &want, (1e-4 * largest, 1e-4), layer);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_resnet_on_own_kernels_equals_the_backend(
            size in (1usize..90, 1usize..90), batch in 1usize..3, width in 1usize..30, basic in any::<bool>(),
            blocks in proptest::array::uniform4(1usize..3),
        ) {
            let block = if basic { resnet::Block::Basic } else { resnet::Block::Bottleneck };
            let network = ResNetConfig { block, blocks, width, classes: 7 }.init(&flex());
            assert_own_kernels_equal_the_backend(network, [batch, 3, size.0, size.1]);
        }

        #[test]
        fn a_vgg_on_own_kernels_equals_the_backend(
            size in (8usize..60, 8usize..60), batch in 1usize..3, batch_norm in any::<bool>(), hidden in 1usize..60,
            stages in proptest::collection::vec(proptest::collection::vec(1usize..60, 1..3), 1..4),
        ) {
            let network = VggConfig { stages, batch_norm, hidden, classes: 7, dropout: 0.5 }.init(&flex());
            assert_own_kernels_equal_the_backend(network, [batch, 3, size.0, size.1]);
        }
    }
}
