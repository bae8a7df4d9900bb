//! Golden fixtures: Pillow's resize, torch's pooling, EfficientNet-Lite with random and with its real weights.

use burn::tensor::{Device, Tensor};
use image::RgbImage;
use sensorium_core::device;
use sensorium_core::testing::formula;
use sensorium_core::testing::golden::{Fixture, assert_close, owned_by};
use sensorium_core::weights::{TensorMap, read};
use sensorium_vision::efficientnet::{EfficientNetConfig, Stage, labels, top_classes};
use sensorium_vision::io::{self, Decoding};
use sensorium_vision::pool::adaptive_avg_pool2d;
use sensorium_vision::resize::{Filter, resize};
use sensorium_vision::resnet::{Block, ResNetConfig};
use sensorium_vision::transforms::{Normalise, Preprocess, Size, centre_crop, shorter_side, to_tensor};
use sensorium_vision::vgg::VggConfig;
use sensorium_vision::{Encoder, EncoderConfig, FoldedEncoder};
use serde_json::Value;

fn flex() -> Device {
    device::parse("flex").unwrap()
}

fn fixtures(family: &str) -> Vec<Fixture> {
    let mut all = owned_by("sensorium-vision", env!("CARGO_MANIFEST_DIR"));
    all.retain(|fixture| fixture.family == family);
    assert!(!all.is_empty(), "no fixture of the family {family}");
    all
}

#[test]
fn golden_every_family_is_handled() {
    for fixture in owned_by("sensorium-vision", env!("CARGO_MANIFEST_DIR")) {
        let handled =
            ["pil_resize", "adaptive_avg_pool", "efficientnet_slim", "efficientnet_real", "torchvision_encoder"];
        assert!(handled.contains(&fixture.family), "{}: no test handles the family {}", fixture.name, fixture.family);
    }
}

#[test]
fn golden_pil_resize() {
    for fixture in fixtures("pil_resize") {
        for case in fixture.meta["cases"].as_array().unwrap() {
            let file = text(case, "image");
            let picture = io::read(fixture.path(file), &Decoding::default()).unwrap();
            let filter: Filter = text(case, "filter").parse().unwrap();
            let resized = resize(&picture, number(case, "width"), number(case, "height"), filter);
            let want = bytes(&fixture, text(case, "tensor"));
            let differing = resized.as_raw().iter().zip(&want).filter(|(a, b)| a != b).count();
            assert_eq!((resized.as_raw().len(), differing), (want.len(), 0), "{}: {case}", fixture.name);
        }
        for name in fixture.names().iter().filter(|name| name.ends_with(".rgb")) {
            let index = name.trim_end_matches("rgb").replace('.', "_");
            let case =
                fixture.meta["cases"].as_array().unwrap().iter().find(|case| text(case, "image").contains(&index));
            let picture = io::read(fixture.path(text(case.unwrap(), "image")), &Decoding::default()).unwrap();
            assert_eq!(picture.as_raw(), &bytes(&fixture, name), "{name}: decoded to RGB");
        }
        for case in fixture.meta["shorter_edge"]["cases"].as_array().unwrap() {
            let got = shorter_side(number(case, "w"), number(case, "h"), number(case, "shorter_to"));
            assert_eq!(got, (number(case, "out_w"), number(case, "out_h")), "{case}");
        }
        for case in fixture.meta["center_crop"]["cases"].as_array().unwrap() {
            let grid = RgbImage::from_fn(number(case, "w"), number(case, "h"), |x, y| {
                image::Rgb([x as u8, y as u8, (x / 256 + 16 * (y / 256)) as u8])
            });
            let side = number(case, "crop");
            let [x, y, high] = centre_crop(&grid, side, side)[(0, 0)].0.map(u32::from);
            assert_eq!(
                (x + 256 * (high % 16), y + 256 * (high / 16)),
                (number(case, "left"), number(case, "top")),
                "{case}"
            );
        }
    }
}

#[test]
fn golden_adaptive_avg_pool() {
    for fixture in fixtures("adaptive_avg_pool") {
        for (backend, device) in device::built() {
            for (index, case) in fixture.meta["cases"].as_array().unwrap().iter().enumerate() {
                let maps = Tensor::<4>::from_data(fixture.tensor(&format!("in.{index}")), &device);
                let output = [0, 1].map(|axis| case["out"][axis].as_u64().unwrap() as usize);
                let pooled = adaptive_avg_pool2d(maps, output);
                let what = format!("{} case {index} on {backend}", fixture.name);
                assert_eq!(pooled.dims().as_slice(), fixture.shape(&format!("out.{index}")), "{what}");
                assert_close(&numbers(pooled), &fixture.f32s(&format!("out.{index}")), fixture.tolerance(""), &what);
            }
        }
    }
}

#[test]
fn golden_efficientnet_slim() {
    for fixture in fixtures("efficientnet_slim") {
        for (backend, device) in device::built() {
            let network = slim_config(&fixture).init(&device).load(stored_weights(&fixture)).unwrap();
            let input = Tensor::from_data(fixture.tensor("input"), &device);
            let names: Vec<String> =
                fixture.names().iter().filter_map(|n| n.strip_prefix("out.").map(String::from)).collect();
            let layers: Vec<&str> = names.iter().map(String::as_str).collect();
            let folded = network.fold();
            for (path, maps) in [
                ("layer by layer", network.features(input.clone(), &layers).unwrap()),
                ("folded", folded.features(input, &layers).unwrap()),
            ] {
                for (layer, map) in layers.iter().zip(maps) {
                    let what = format!("{}: {layer} {path} on {backend}", fixture.name);
                    let want = fixture.f32s(&format!("out.{layer}"));
                    assert_close(&numbers(map), &want, fixture.tolerance(layer), &what);
                }
            }
        }
    }
}

/// ResNets, VGGs and EfficientNets of other libraries: with the fixture's weights, or with weights by its formula.
#[test]
fn golden_torchvision_encoder() {
    let device = flex();
    for fixture in fixtures("torchvision_encoder") {
        let network = encoder_config(&fixture).init(&device);
        let weights = match fixture.meta["formula"].is_string() {
            true => by_formula(&fixture, &network),
            false => stored_weights(&fixture),
        };
        let network = network.load(weights).unwrap();
        let input = match fixture.has("input") {
            true => fixture.tensor("input"),
            false => formula::tensor(&fixture, "input", &sizes(&fixture.meta["config"]["input"]), [-2.0, 2.0]),
        };
        let input = Tensor::from_data(input, &device);
        let outs: Vec<String> =
            fixture.names().iter().filter_map(|n| n.strip_prefix("out.").map(String::from)).collect();
        let mut layers: Vec<&str> = outs.iter().map(String::as_str).collect();
        let unfolded = network.features(input.clone(), &layers).unwrap();
        check_maps(&fixture, &layers, unfolded, "layer by layer");
        // A convolution before its norm is not in a folded network.
        layers.retain(|layer| *layer != "conv1");
        let folded = network.fold().features(input, &layers).unwrap();
        check_maps(&fixture, &layers, folded, "folded");
    }
}

fn check_maps(fixture: &Fixture, layers: &[&str], maps: Vec<Tensor<4>>, path: &str) {
    for (layer, map) in layers.iter().zip(maps) {
        let what = format!("{}: {layer} {path}", fixture.name);
        let (got, want) = (numbers(map), fixture.f32s(&format!("out.{layer}")));
        assert_close(&got, &want, fixture.tolerance(layer), &what);
        let squares = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|n| n * n).sum::<f64>().sqrt();
        let off = squares(&mut got.iter().zip(&want).map(|(g, w)| f64::from(*g) - f64::from(*w)));
        let relative = off / squares(&mut want.iter().map(|w| f64::from(*w)));
        // Where torch in f32 is itself not as near as that, three times its distance.
        let torch = fixture.meta["tolerance"][layer]["torch_f32_relative"].as_f64().unwrap_or(0.0);
        let bound = f64::max(1e-5, 3.0 * torch);
        assert!(relative <= bound, "{what}: the relative error is {relative:.1e}, above {bound:.1e}");
    }
}

fn encoder_config(fixture: &Fixture) -> EncoderConfig {
    let config = &fixture.meta["config"];
    if let Some(name) = config["arch"].as_str() {
        return EncoderConfig::named(name).unwrap();
    }
    let classes = fixture.size("classes");
    if let Some(layers) = config["cfg"].as_array() {
        let stages = layers.split(|layer| layer == "M").filter(|stage| !stage.is_empty());
        let stages = stages.map(|stage| stage.iter().map(|width| width.as_u64().unwrap() as usize).collect()).collect();
        let batch_norm = config["bn"].as_bool().unwrap();
        return EncoderConfig::Vgg(VggConfig {
            stages,
            batch_norm,
            hidden: fixture.size("hidden"),
            classes,
            dropout: 0.5,
        });
    }
    let block = match config["block"].as_str().unwrap() {
        "basic" => Block::Basic,
        _ => Block::Bottleneck,
    };
    let blocks = sizes(&config["layers"]).try_into().unwrap();
    EncoderConfig::ResNet(ResNetConfig { block, blocks, width: fixture.size("width"), classes })
}

fn stored_weights(fixture: &Fixture) -> TensorMap {
    let mut weights = TensorMap::new(&fixture.name);
    for name in fixture.names() {
        if let Some(torch_name) = name.strip_prefix("weight.") {
            weights.insert(torch_name, fixture.tensor(&name));
        }
    }
    weights
}

/// Every tensor of the file, by the rules in the fixture. The names are the network's own in torchvision's manner, or
/// the fixture's `state_dict`.
fn by_formula(fixture: &Fixture, network: &Encoder) -> TensorMap {
    let named: Vec<(String, Vec<usize>)> = match fixture.meta["state_dict"].as_array() {
        Some(rows) => rows.iter().map(|row| (row[0].as_str().unwrap().to_string(), sizes(&row[1]))).collect(),
        None => network.tensors().iter().map(|(name, tensor)| (name.to_string(), tensor.shape().to_vec())).collect(),
    };
    formula::weights(fixture, named)
}

fn sizes(list: &Value) -> Vec<usize> {
    list.as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
}

fn slim_config(fixture: &Fixture) -> EfficientNetConfig {
    let rows = fixture.meta["config"]["blocks"].as_array().unwrap();
    let stages = rows.iter().map(|row| {
        let column = |index: usize| row[index].as_u64().unwrap() as usize;
        Stage::new(column(0), column(1), column(2), column(3), [column(4), column(5)])
    });
    EfficientNetConfig {
        stem: fixture.size("stem"),
        stages: stages.collect(),
        head: fixture.size("head"),
        classes: fixture.size("classes"),
        ..EfficientNetConfig::lite0()
    }
}

/// With `EFFNET_LITE0_PTH` the published f32 weights within the fixture's own tolerance; without, the bundled 16-bit
/// ones within 1e-3 of the largest value, which their rounding stays below (see `assets/LICENSES.md`).
#[test]
fn golden_efficientnet_real() {
    let device = flex();
    let published = std::env::var_os("EFFNET_LITE0_PTH");
    let network = match &published {
        Some(path) => EfficientNetConfig::lite0().init(&device).load(read(path).unwrap()).unwrap(),
        None => Encoder::lite0_imagenet(&device).unwrap(),
    };
    let folded = network.fold();
    for fixture in fixtures("efficientnet_real") {
        let crops = crops(&fixture);
        for (kind, normalise) in [("imagenet", Normalise::IMAGENET), ("tf", Normalise::TENSORFLOW)] {
            let input = to_tensor(&crops, &normalise, &device);
            if fixture.has(&format!("input.{kind}")) {
                let want = fixture.f32s(&format!("input.{kind}"));
                assert_close(&numbers(input.clone()), &want, (1e-6, 1e-6), "the normalised input");
            }
            for name in fixture.names().iter().filter(|name| name.starts_with(&format!("out.{kind}."))) {
                let part = name.trim_start_matches("out.").split_once('.').unwrap().1;
                let want = fixture.f32s(name);
                let largest = want.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                let tolerance = match published {
                    Some(_) => fixture.tolerance(&format!("{kind}.{part}")),
                    None => (1e-3 * f64::from(largest), 0.0),
                };
                let slow = part_of(part, |input, layers| network.features(input, layers).unwrap(), &input);
                assert_close(&slow, &want, tolerance, &format!("{}: {name}", fixture.name));
                let fast = part_of(part, |input, layers| folded.features(input, layers).unwrap(), &input);
                assert_close(&fast, &want, tolerance, &format!("{}: {name} folded", fixture.name));
            }
        }
    }
}

/// The photos as the fixture crops them: PNG exact; JPEG decoders differ by up to 3 levels, so for those the fixture's
/// own pixels go on.
fn crops(fixture: &Fixture) -> Vec<RgbImage> {
    let want = bytes(fixture, "crop_u8");
    let photos = fixture.meta["photos"].as_array().unwrap();
    let preprocess = EfficientNetConfig::lite0().preprocess();
    let crop = |(photo, want): (&Value, &[u8])| {
        let file = photo.as_str().unwrap();
        let got = preprocess.picture(&io::read(fixture.path(file), &Decoding::default()).unwrap());
        let allowed = if file.ends_with(".png") { 0 } else { 3 };
        let worst = got.as_raw().iter().zip(want).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= allowed, "{file}: a pixel of the crop is off by {worst} levels");
        RgbImage::from_raw(got.width(), got.height(), want.to_vec()).unwrap()
    };
    photos.iter().zip(want.chunks_exact(want.len() / photos.len())).map(crop).collect()
}

/// `LAYER`, its spatial mean `LAYER_mean`, or `LAYER_first`: of the first photo alone.
fn part_of(part: &str, features: impl Fn(Tensor<4>, &[&str]) -> Vec<Tensor<4>>, input: &Tensor<4>) -> Vec<f32> {
    let map = |layer: &str, input: Tensor<4>| features(input, &[layer]).remove(0);
    if let Some(layer) = part.strip_suffix("_mean") {
        numbers(map(layer, input.clone()).mean_dims(&[2, 3]))
    } else if let Some(layer) = part.strip_suffix("_first") {
        numbers(map(layer, input.clone().slice_dim(0, 0..1)))
    } else {
        numbers(map(part, input.clone()))
    }
}

/// What PyTorch says of two photos, with the sizes and crops of `photos/expected.json`: rounded to the nearest pixel.
#[test]
fn two_photos_are_recognised() {
    let device = flex();
    let network: FoldedEncoder = Encoder::lite0_imagenet(&device).unwrap().fold();
    let names = labels();
    assert_eq!(names.len(), 1000);
    for (file, size, expected) in [
        ("chelsea.png", (385, 256), [(282, 0.38578), (285, 0.35594), (281, 0.16851), (287, 0.01929), (904, 0.00142)]),
        ("rocket.jpg", (384, 256), [(657, 0.29632), (744, 0.19993), (540, 0.08829), (812, 0.05178), (668, 0.01831)]),
    ] {
        let path = format!("{}/tests/golden/vision/photos/{file}", env!("CARGO_MANIFEST_DIR"));
        let photo = io::read(path, &Decoding::default()).unwrap();
        let lite0 = EfficientNetConfig::lite0().preprocess();
        let exact = Preprocess { size: Size::Exact { width: size.0, height: size.1 }, ..lite0.clone() };
        for (preprocess, tolerance) in [(exact, 4e-3), (lite0, 4e-2)] {
            let input = preprocess.batch(std::slice::from_ref(&photo), &device);
            let top = top_classes(network.forward(input), 5).remove(0);
            for (got, (class, probability)) in top.iter().zip(expected) {
                assert_eq!(got.class, class, "{file}: {} for {}", names[got.class], names[class]);
                assert!((got.probability - probability).abs() < tolerance, "{file}: {got:?} for {probability}");
            }
        }
    }
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

fn number(case: &Value, key: &str) -> u32 {
    case[key].as_u64().unwrap() as u32
}

fn bytes(fixture: &Fixture, name: &str) -> Vec<u8> {
    fixture.tensor(name).try_into_vec::<u8>().unwrap()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().unwrap()
}
