//! Golden fixtures of text encoders, computed by PyTorch in f64.

use burn::nn::LinearConfig;
use burn::tensor::{Device, Tensor};
use sensorium_core::loss::l2_normalize;
use sensorium_core::nn::recurrent::from_torch_name;
use sensorium_core::testing::golden::{Fixture, assert_close, owned_by};
use sensorium_core::weights::{Allow, TensorMap, load_into};
use sensorium_text::batch::WordBatch;
use sensorium_text::encoder::{GruEncoderConfig, WordVectorsConfig};

#[test]
fn golden_text() {
    for fixture in owned_by("sensorium-text", env!("CARGO_MANIFEST_DIR")) {
        match fixture.family {
            "vse_encoders" => check_vse_encoders(&fixture),
            other => panic!("{}: no test handles the family {other}", fixture.name),
        }
    }
}

/// VSE++: words through a GRU and image features through a linear layer, both normalised.
fn check_vse_encoders(fixture: &Fixture) {
    let device = sensorium_core::device::parse("flex").expect("flex is built in");
    let weights = weights(fixture);

    let words = WordVectorsConfig::new(fixture.size("vocab"), fixture.size("word_dim"));
    let encoder = GruEncoderConfig::new(words, fixture.size("embed")).init(&device);
    let mut text_weights = weights.clone();
    text_weights.retain(|name| !name.starts_with("fc."));
    let text_weights = text_weights.rename(|name| Some(from_torch_name(name))).expect("distinct names");
    let encoder = load_into(encoder, &text_weights, Allow::NOTHING).expect("text weights that fit");
    let last = encoder.forward(&texts(fixture, &device));
    check(fixture, &last, "out.gru_last");
    let text = l2_normalize(last, 1e-12);
    check(fixture, &text, "out.text");

    let fc = LinearConfig::new(fixture.size("img_dim"), fixture.size("embed")).init(&device);
    let fc = load_into(fc, &weights.strip_prefix("fc."), Allow::NOTHING).expect("image weights that fit");
    let image = l2_normalize(fc.forward(Tensor::<2>::from_data(fixture.tensor("img_feats"), &device)), 1e-12);
    check(fixture, &image, "out.image");
    check(fixture, &image.matmul(text.transpose()), "out.scores");
}

fn weights(fixture: &Fixture) -> TensorMap {
    let mut weights = TensorMap::new(&fixture.name);
    for name in fixture.names().iter().filter(|name| name.starts_with("weight.")) {
        weights.insert(name, fixture.tensor(name));
    }
    weights.strip_prefix("weight.")
}

fn texts(fixture: &Fixture, device: &Device) -> WordBatch {
    let ids = fixture.ints("ids");
    let width = fixture.shape("ids")[1];
    let lists: Vec<Vec<u32>> = ids
        .chunks_exact(width)
        .zip(fixture.ints("lengths"))
        .map(|(row, length)| row[..length as usize].iter().map(|&id| id as u32).collect())
        .collect();
    WordBatch::from_ids(&lists, device)
}

fn check(fixture: &Fixture, got: &Tensor<2>, name: &str) {
    assert_eq!(got.dims().to_vec(), fixture.shape(name), "{}: shape of {name}", fixture.name);
    let got: Vec<f32> = got.to_data().iter::<f32>().collect();
    assert_close(&got, &fixture.f32s(name), fixture.tolerance(""), &format!("{}: {name}", fixture.name));
}
