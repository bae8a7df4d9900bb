//! Tests of the EfficientNets.

use burn::tensor::TensorData;
use proptest::prelude::*;
use sensorium_core::device;
use sensorium_core::testing::check_model;
use sensorium_core::testing::golden::assert_close;

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
fn with_statistics(config: &EfficientNetConfig, device: &Device) -> Encoder {
    device.seed(3);
    let network = config.init(device);
    let mut tensors = TensorMap::new("made up");
    for (name, tensor) in network.tensors().iter() {
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
fn a_tiny_network_keeps_the_contract() {
    let config = EfficientNetConfig::tiny();
    let forward = |network: &Encoder, device: &Device| network.forward(waves([3, 3, 37, 34], device));
    check_model("EfficientNet-Lite", |device| config.init(device), forward, [3, 5], 2e-3);
}

#[test]
fn a_tiny_network_with_squeeze_and_excitation_keeps_the_contract() {
    let config = EfficientNetConfig { kind: Kind::Standard, edges: Edges::Torch, ..EfficientNetConfig::tiny() };
    let forward = |network: &Encoder, device: &Device| network.forward(waves([3, 3, 37, 34], device));
    check_model("EfficientNet", |device| config.init(device), forward, [3, 5], 2e-3);
}

#[test]
fn folding_keeps_the_function_on_every_backend() {
    for (backend, device) in device::built() {
        let network = with_statistics(&EfficientNetConfig::tiny(), &device);
        let folded = network.fold();
        let want = numbers(network.forward(waves([2, 3, 33, 40], &device)));
        let got = numbers(folded.forward(waves([2, 3, 33, 40], &device)));
        assert_close(&got, &want, (1e-4, 1e-4), &format!("folded on {backend}"));
    }
}

#[test]
fn layers_are_given_in_the_order_asked_and_unknown_ones_refused() {
    let device = flex();
    let network = EfficientNetConfig::tiny().init(&device);
    let layers = ["logits", "block1", "stem", "block1"];
    for maps in [
        network.features(waves([1, 3, 32, 32], &device), &layers).unwrap(),
        network.fold().features(waves([1, 3, 32, 32], &device), &layers).unwrap(),
    ] {
        let shapes: Vec<_> = maps.iter().map(|map| map.dims()).collect();
        assert_eq!(shapes, [[1, 5, 1, 1], [1, 12, 8, 8], [1, 8, 16, 16], [1, 12, 8, 8]]);
    }
    let error = network.features(waves([1, 3, 32, 32], &device), &["block4"]).unwrap_err().to_string();
    assert_eq!(error, "layer 'block4': the network has stem, block0, block1, block2, block3, features, pooled, logits");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let lite0 = EfficientNetConfig::lite0;
    let fault = |config: EfficientNetConfig| config.validate().unwrap_err().to_string();
    assert!(fault(EfficientNetConfig { head: 0, ..lite0() }).starts_with("head = 0"));
    assert!(fault(EfficientNetConfig { dropout: 1.0, ..lite0() }).starts_with("dropout = 1"));
    let mut config = lite0();
    config.stages[2].channels_in = 25;
    assert_eq!(fault(config), "stages.2.channels_in = 25: must be 24, what comes before");
    let mut config = lite0();
    config.stages[1].kernel = 4;
    assert_eq!(fault(config), "stages.1.kernel = 4: must be 3, 5 or 7");
    assert!(lite0().validate().is_ok() && EfficientNetConfig::tiny().validate().is_ok());
}

#[test]
fn weights_of_another_size_are_refused() {
    let device = flex();
    let other = EfficientNetConfig { head: 25, ..EfficientNetConfig::tiny() };
    let tensors = other.init(&device).tensors();
    let error = EfficientNetConfig::tiny().init(&device).load(tensors).unwrap_err().to_string();
    assert!(error.contains("_conv_head.weight"), "{error}");
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
        let config = EfficientNetConfig { stem, stages: stages.collect(), ..EfficientNetConfig::tiny() };
        let network = with_statistics(&config, &flex());
        let blocks = network.layers().len() - 4;
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
