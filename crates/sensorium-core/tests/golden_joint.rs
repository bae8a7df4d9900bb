//! Golden fixtures of recurrent layers and losses, computed by PyTorch in f64.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use sensorium_core::loss;
use sensorium_core::nn::recurrent::{LstmState, RecurrentConfig, from_torch_name};
use sensorium_core::testing::golden::{Fixture, assert_close, owned_by};
use sensorium_core::weights::{Allow, TensorMap, load_into};

#[test]
fn golden_gru() {
    for fixture in fixtures("gru") {
        for (given, tag) in [(false, "zero"), (true, "given")] {
            let (device, input, lengths) = sequences(&fixture);
            let gru = loaded(config(&fixture).init_gru(&device), &fixture);
            let initial = given.then(|| tensor(&fixture, "h0", &device));
            let result = gru.forward(input.clone(), Some(&lengths), initial);
            check_output(&fixture, tag, "output", &result.output);
            check_output(&fixture, tag, "h_n", &result.hidden);
            if !given {
                check_recurrent_gradients(&fixture, &gru, &input, result.output, result.hidden);
            }
        }
    }
}

#[test]
fn golden_lstm() {
    for fixture in fixtures("lstm") {
        for (given, tag) in [(false, "zero"), (true, "given")] {
            let (device, input, lengths) = sequences(&fixture);
            let lstm = loaded(config(&fixture).init_lstm(&device), &fixture);
            let initial = given
                .then(|| LstmState { hidden: tensor(&fixture, "h0", &device), cell: tensor(&fixture, "c0", &device) });
            let result = lstm.forward(input.clone(), Some(&lengths), initial);
            check_output(&fixture, tag, "output", &result.output);
            check_output(&fixture, tag, "h_n", &result.hidden);
            check_output(&fixture, tag, "c_n", &result.cell);
            if !given {
                check_recurrent_gradients(&fixture, &lstm, &input, result.output, result.hidden);
            }
        }
    }
}

#[test]
fn golden_losses() {
    for fixture in fixtures("losses") {
        let names = fixture.meta["losses"].as_object().expect("the losses by name").keys();
        for name in names {
            check_loss(&fixture, name);
        }
    }
}

fn fixtures(family: &str) -> Vec<Fixture> {
    let mut mine = owned_by("sensorium-core", env!("CARGO_MANIFEST_DIR"));
    mine.retain(|fixture| fixture.family == family);
    assert!(!mine.is_empty(), "no fixture of the family {family}");
    mine
}

fn learning() -> Device {
    sensorium_core::device::parse("flex").expect("flex is built in").autodiff()
}

fn tensor<const D: usize>(fixture: &Fixture, name: &str, device: &Device) -> Tensor<D> {
    Tensor::from_data(fixture.tensor(name), device)
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

fn config(fixture: &Fixture) -> RecurrentConfig {
    RecurrentConfig::new(fixture.size("input"), fixture.size("hidden"))
        .with_layers(fixture.size("layers"))
        .with_bidirectional(fixture.meta["config"]["bi"].as_bool().expect("config.bi"))
}

fn sequences(fixture: &Fixture) -> (Device, Tensor<3>, Vec<usize>) {
    let device = learning();
    let input = tensor(fixture, "input", &device).require_grad();
    let lengths = fixture.ints("lengths").into_iter().map(|length| length as usize).collect();
    (device, input, lengths)
}

fn loaded<M: Module>(module: M, fixture: &Fixture) -> M {
    let mut weights = TensorMap::new(&fixture.name);
    for name in fixture.names().iter().filter(|name| name.starts_with("weight.")) {
        weights.insert(name, fixture.tensor(name));
    }
    let weights = weights.strip_prefix("weight.").rename(|name| Some(from_torch_name(name))).expect("distinct names");
    load_into(module, &weights, Allow::NOTHING).expect("weights that fit")
}

fn check_output(fixture: &Fixture, tag: &str, part: &str, got: &Tensor<3>) {
    let name = format!("out.{tag}.{part}");
    assert_eq!(got.dims().to_vec(), fixture.shape(&name), "{}: shape of {name}", fixture.name);
    let what = format!("{}: {name}", fixture.name);
    assert_close(&values(got), &fixture.f32s(&name), fixture.tolerance("output"), &what);
}

/// The gradients of `sum(output * probe) + sum(h_n * probe_h)`.
fn check_recurrent_gradients<M: Module>(
    fixture: &Fixture,
    module: &M,
    input: &Tensor<3>,
    output: Tensor<3>,
    hidden: Tensor<3>,
) {
    let device = learning();
    let loss =
        (output * tensor(fixture, "probe", &device)).sum() + (hidden * tensor(fixture, "probe_h", &device)).sum();
    let tolerance = fixture.tolerance("grad");
    let check = |got: &[f32], name: &str| {
        assert_close(got, &fixture.f32s(name), tolerance, &format!("{}: {name}", fixture.name));
    };
    check(&values(&loss), "grad.loss");
    let gradients = loss.backward();
    check(&values(&input.grad(&gradients).expect("a gradient of the input")), "grad.input");
    let by_path = gradients_by_path(module, &gradients);
    let names: Vec<String> = fixture.names().into_iter().filter(|name| name.starts_with("grad.weight.")).collect();
    assert_eq!(names.len(), by_path.len(), "{}: one gradient a parameter", fixture.name);
    for name in names {
        check(&by_path[&from_torch_name(&name["grad.weight.".len()..])], &name);
    }
}

fn gradients_by_path<M: Module>(module: &M, gradients: &Gradients) -> BTreeMap<String, Vec<f32>> {
    struct Collect<'a> {
        gradients: &'a Gradients,
        path: Vec<String>,
        found: BTreeMap<String, Vec<f32>>,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let path = self.path.join(".");
            let gradient = param.val().grad(self.gradients).unwrap_or_else(|| panic!("no gradient reaches {path}"));
            self.found.insert(path, values(&gradient));
        }
    }
    let mut collect = Collect { gradients, path: Vec::new(), found: BTreeMap::new() };
    module.visit(&mut collect);
    collect.found
}

/// A loss over a matrix that is itself in the fixture, under the name `matrix`.
struct OverMatrix {
    name: &'static str,
    matrix: Tensor<2>,
    loss: Box<dyn Fn(Tensor<2>) -> Tensor<1>>,
}

fn check_loss(fixture: &Fixture, name: &str) {
    let device = learning();
    let images: Tensor<2> = tensor(fixture, "im_raw", &device).require_grad();
    let sentences: Tensor<2> = tensor(fixture, "s_raw", &device).require_grad();
    let learned: BTreeMap<&str, Tensor<1>> = fixture.meta["losses"][name]["params"]
        .as_object()
        .expect("the parameters by name")
        .iter()
        .map(|(key, value)| {
            let value = value.as_f64().expect("a number") as f32;
            (key.as_str(), Tensor::from_data([value], &device).require_grad())
        })
        .collect();

    let loss = match over_matrix(fixture, name, &images, &sentences, &learned) {
        Some(OverMatrix { name: part, matrix, loss }) => {
            check_values(fixture, &matrix, &format!("{name}.{part}"), "loss");
            let leaf = matrix.clone().detach().require_grad();
            let gradients = loss(leaf.clone()).backward();
            check_gradient(fixture, &leaf, &gradients, &format!("{name}.grad.{part}"));
            loss(matrix)
        }
        None => over_pairs(fixture, name, images.clone(), sentences.clone()),
    };
    check_values(fixture, &loss, &format!("{name}.loss"), "loss");
    let gradients = loss.backward();
    check_gradient(fixture, &images, &gradients, &format!("{name}.grad.im_raw"));
    check_gradient(fixture, &sentences, &gradients, &format!("{name}.grad.s_raw"));
    for (key, value) in &learned {
        check_gradient(fixture, value, &gradients, &format!("{name}.grad.{key}"));
    }
}

fn over_matrix(
    fixture: &Fixture,
    name: &str,
    images: &Tensor<2>,
    sentences: &Tensor<2>,
    learned: &BTreeMap<&str, Tensor<1>>,
) -> Option<OverMatrix> {
    let margin = number(fixture, "margin");
    let cosines = || loss::cosine_similarity_matrix(images.clone(), sentences.clone());
    let learned = |key: &str| learned[key].clone().unsqueeze::<2>();
    let over = |name, matrix, loss| Some(OverMatrix { name, matrix, loss });
    match name {
        "vse0" => over("scores", cosines(), Box::new(move |s| loss::vse0(s, margin, None))),
        "vsepp" => over("scores", cosines(), Box::new(move |s| loss::vsepp(s, margin, None))),
        "order_vsepp" => {
            let positive = |x: &Tensor<2>| loss::l2_normalize(x.clone(), 1e-12).abs();
            let scores = loss::order_similarity_matrix(positive(images), positive(sentences));
            over("scores", scores, Box::new(move |s| loss::vsepp(s, margin, None)))
        }
        "clip" => over("logits", cosines() * learned("logit_scale").exp(), Box::new(|l| loss::clip(l, None))),
        "infonce_one_way" => {
            let logits = cosines() / number(fixture, "temperature");
            over("logits", logits, Box::new(|l| loss::info_nce(l, None)))
        }
        "siglip" => {
            let logits = cosines() * learned("t_prime").exp() + learned("bias");
            over("logits", logits, Box::new(|l| loss::siglip(l, None)))
        }
        _ => None,
    }
}

fn over_pairs(fixture: &Fixture, name: &str, images: Tensor<2>, sentences: Tensor<2>) -> Tensor<1> {
    let device = learning();
    let negatives = tensor(fixture, "neg_raw", &device);
    let matching = tensor::<1>(fixture, "cosine_y", &device).greater_scalar(0.0);
    match name {
        "triplet" => loss::triplet_margin(images, sentences, negatives, number(fixture, "triplet_margin")),
        "triplet_cosine" => loss::triplet_cosine(images, sentences, negatives, 0.3),
        "im2recipe_cosine" => {
            let unit = |x| loss::l2_normalize(x, 1e-12);
            loss::cosine_embedding(unit(images), unit(sentences), matching, 0.1)
        }
        "cosine_embedding_sum" => loss::cosine_embedding_sum(images, sentences, matching, 0.1),
        _ => panic!("{}: no loss is called {name}", fixture.name),
    }
}

fn number(fixture: &Fixture, key: &str) -> f64 {
    fixture.meta["config"][key].as_f64().unwrap_or_else(|| panic!("{}: config.{key} is no number", fixture.name))
}

fn check_values<const D: usize>(fixture: &Fixture, got: &Tensor<D>, name: &str, tolerance: &str) {
    let what = format!("{}: {name}", fixture.name);
    assert_close(&values(got), &fixture.f32s(name), fixture.tolerance(tolerance), &what);
}

fn check_gradient<const D: usize>(fixture: &Fixture, leaf: &Tensor<D>, gradients: &Gradients, name: &str) {
    let gradient = leaf.grad(gradients).unwrap_or_else(|| panic!("{}: no {name}", fixture.name));
    check_values(fixture, &gradient, name, "grad");
}
