//! Golden fixtures: decoders of PyTorch, read, trained and searched.

use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use sensorium_captioning::Captioner;
use sensorium_captioning::attend::{AttentionDecoder, AttentionDecoderConfig};
use sensorium_captioning::captioner::{Decoder, DecoderConfig};
use sensorium_captioning::decode::{BeamSearch, Found, Limits, NextWords};
use sensorium_captioning::import;
use sensorium_captioning::loss::{cross_entropy, doubly_stochastic};
use sensorium_captioning::show_and_tell::{Reading, ShowAndTell, ShowAndTellConfig};
use sensorium_core::device;
use sensorium_core::testing::formula;
use sensorium_core::testing::golden::{Fixture, assert_close, owned_by};
use sensorium_core::weights::{Allow, TensorMap, load_into, tensors_of};
use serde_json::Value;

fn fixtures(family: &str) -> Vec<Fixture> {
    let mut all = owned_by("sensorium-captioning", env!("CARGO_MANIFEST_DIR"));
    all.retain(|fixture| fixture.family == family);
    assert!(!all.is_empty(), "no fixture of the family {family}");
    all
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

fn scalar(tensor: Tensor<1>) -> [f32; 1] {
    [tensor.into_scalar()]
}

fn weights(fixture: &Fixture) -> TensorMap {
    let mut weights = TensorMap::new(&fixture.name);
    for name in fixture.names() {
        if let Some(parameter) = name.strip_prefix("weight.") {
            weights.insert(parameter, fixture.tensor(&name));
        }
    }
    weights
}

/// The captions of a fixture, each as long as `lens` says.
fn captions(fixture: &Fixture) -> Vec<Vec<u32>> {
    let time = fixture.shape("caps")[1];
    let rows = fixture.ints("caps");
    let lens = fixture.ints("lens");
    rows.chunks(time).zip(lens).map(|(row, len)| row[..len as usize].iter().map(|id| *id as u32).collect()).collect()
}

/// `[batch, height, width, features]` as `[batch, positions, features]`.
fn maps(fixture: &Fixture, device: &Device) -> Tensor<3> {
    let shape = fixture.shape("feats");
    Tensor::<4>::from_data(fixture.tensor("feats"), device).reshape([shape[0], shape[1] * shape[2], shape[3]])
}

fn attention_decoder(fixture: &Fixture, device: &Device) -> AttentionDecoder {
    let tensors = weights(fixture);
    let config = AttentionDecoderConfig::of_tensors(&tensors).unwrap().with_dropout(0.0);
    for (size, key) in [
        (config.vocab, "vocab_size"),
        (config.features, "encoder_dim"),
        (config.attention, "attention_dim"),
        (config.embedding, "embed_dim"),
        (config.hidden, "decoder_dim"),
    ] {
        assert_eq!(size, fixture.size(key), "{}: {key}", fixture.name);
    }
    load_into(config.init(device), &tensors, Allow::NOTHING).unwrap()
}

/// Packed rows `[words, width]` as `[batch, steps, width]`, zero past each length.
fn unpacked(rows: &[f32], lengths: &[usize], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; lengths.len() * lengths[0] * width];
    let mut rows = rows.chunks_exact(width);
    for step in 0..lengths[0] {
        for caption in 0..lengths.iter().filter(|length| **length > step).count() {
            out[(caption * lengths[0] + step) * width..][..width].copy_from_slice(rows.next().unwrap());
        }
    }
    assert!(rows.next().is_none());
    out
}

fn check_reading(fixture: &Fixture, decoder: &AttentionDecoder, maps: Tensor<3>, backend: &str) {
    let read = decoder.forward(maps, &captions(fixture));
    let what = |part: &str| format!("{} on {backend}: {part}", fixture.name);
    let order: Vec<i64> = read.order.iter().map(|place| *place as i64).collect();
    assert_eq!(order, fixture.ints("out.sort_ind"), "{}", what("order"));
    let predictions = unpacked(&numbers(read.logits), &read.lengths, fixture.size("vocab_size"));
    assert_close(
        &predictions,
        &fixture.f32s("out.predictions"),
        fixture.tolerance("predictions"),
        &what("predictions"),
    );
    assert_close(&numbers(read.attention), &fixture.f32s("out.alphas"), fixture.tolerance("alphas"), &what("alphas"));
}

#[test]
fn golden_attention_decoder_reads() {
    for fixture in fixtures("attention_decoder") {
        for (backend, device) in device::built() {
            let decoder = attention_decoder(&fixture, &device);
            check_reading(&fixture, &decoder, maps(&fixture, &device), backend);
        }
    }
}

#[test]
fn golden_attention_decoder_of_full_size() {
    let device = device::parse("flex").unwrap();
    for fixture in fixtures("attention_formula") {
        let config = AttentionDecoderConfig::new(fixture.size("vocab_size"), fixture.size("encoder_dim"))
            .with_attention(fixture.size("attention_dim"))
            .with_embedding(fixture.size("embed_dim"))
            .with_hidden(fixture.size("decoder_dim"))
            .with_dropout(0.0);
        let decoder = config.init(&device);
        let named: Vec<_> =
            tensors_of(&decoder).iter().map(|(name, tensor)| (name.to_string(), tensor.shape().to_vec())).collect();
        let decoder = load_into(decoder, &formula::weights(&fixture, named), Allow::NOTHING).unwrap();
        let shape: Vec<usize> =
            fixture.meta["input"]["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let input = formula::tensor(&fixture, "input", &shape, [0.0, 1.0]);
        let maps = Tensor::<4>::from_data(input, &device).reshape([shape[0], shape[1] * shape[2], shape[3]]);
        check_reading(&fixture, &decoder, maps, "flex");
    }
}

/// The loss, its gradients, and the weights after three steps of Adam with clamped gradients.
#[test]
fn golden_attention_decoder_trains() {
    let device = device::parse("flex").unwrap().autodiff();
    for fixture in fixtures("attention_decoder") {
        let what = |part: &str| format!("{}: {part}", fixture.name);
        let number = |key: &str| fixture.meta["config"][key].as_f64().unwrap();
        let mut decoder = attention_decoder(&fixture, &device);
        let losses = |decoder: &AttentionDecoder| {
            let read = decoder.forward(maps(&fixture, &device), &captions(&fixture));
            let targets: Vec<i64> = read.targets.to_data().iter().collect();
            assert_eq!(targets, fixture.ints("out.packed_targets"), "{}", what("targets"));
            let told = cross_entropy(read.logits, read.targets);
            (told, doubly_stochastic(read.attention) * number("alpha_c"))
        };
        let (told, looked) = losses(&decoder);
        let tolerance = fixture.tolerance("loss");
        assert_close(&scalar(told.clone()), &fixture.f32s("out.ce"), tolerance, &what("cross-entropy"));
        assert_close(&scalar(looked.clone()), &fixture.f32s("out.doubly_stochastic"), tolerance, &what("attention"));
        let gradients = (told + looked).backward();
        check_gradients(&fixture, "grad.", &decoder, &gradients, |_| false);

        let clip = GradientClippingConfig::Value(number("grad_clip") as f32);
        let mut adam = AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(Some(clip)).init();
        for want in fixture.meta["adam_losses"].as_array().unwrap() {
            let (told, looked) = losses(&decoder);
            let loss = told + looked;
            assert_close(
                &scalar(loss.clone()),
                &[want.as_f64().unwrap() as f32],
                (1e-4, 1e-4),
                &what("loss while training"),
            );
            let gradients = GradientsParams::from_grads(loss.backward(), &decoder);
            decoder = adam.step(4e-4, decoder, gradients);
        }
        let trained = tensors_of(&decoder);
        for (name, tensor) in trained.iter() {
            let got: Vec<f32> = tensor.iter().collect();
            // Every score shares this bias, so that its gradient is rounding alone, which Adam makes steps of.
            if name != "attention.full_att.bias" {
                let want = fixture.f32s(&format!("adam3.{name}"));
                assert_close(&got, &want, fixture.tolerance("adam3"), &what(&format!("{name} after three steps")));
            }
        }
    }
}

fn check_gradients<M: Module>(
    fixture: &Fixture,
    prefix: &str,
    module: &M,
    gradients: &Gradients,
    skip: impl Fn(&str) -> bool,
) {
    let mut found = Collected { path: vec![], gradients, found: vec![] };
    module.visit(&mut found);
    let key = prefix.trim_end_matches('.');
    for (path, shape, got) in &found.found {
        let name = torch_name(path);
        if skip(&name) {
            continue;
        }
        let want = fixture.tensor(&format!("{prefix}{name}"));
        let turned = want.shape().to_vec() != *shape || path.ends_with(".weight") && is_linear(&name);
        let want: Vec<f32> = want.iter().collect();
        let want = if turned && shape.len() == 2 { transposed(&want, shape[0]) } else { want };
        assert_close(got, &want, fixture.tolerance(key), &format!("{}: gradient of {name}", fixture.name));
    }
    let wanted = fixture.names().iter().filter(|name| name.starts_with(prefix) && !skip(&name[prefix.len()..])).count();
    assert_eq!(found.found.iter().filter(|(path, ..)| !skip(&torch_name(path))).count(), wanted, "{}", fixture.name);
}

/// burn keeps a linear layer's weight as the transpose of torch's.
fn is_linear(name: &str) -> bool {
    !(name.contains("embed") || name.contains("weight_"))
}

/// `[columns, rows]` as `[rows, columns]`.
fn transposed(values: &[f32], rows: usize) -> Vec<f32> {
    let columns = values.len() / rows;
    (0..values.len()).map(|i| values[(i % columns) * rows + i / columns]).collect()
}

fn torch_name(path: &str) -> String {
    let path = path.replace(".gamma", ".weight").replace(".beta", ".bias");
    match path.split_once(".layers.") {
        Some((before, rest)) => {
            let parts: Vec<&str> = rest.split('.').collect();
            format!("{before}.{}_l{}", parts[2], parts[0])
        }
        None => path,
    }
}

struct Collected<'a> {
    path: Vec<String>,
    gradients: &'a Gradients,
    found: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl ModuleVisitor for Collected<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let Some(gradient) = value.grad(self.gradients) else { return };
        self.found.push((self.path.join("."), value.dims().to_vec(), numbers(gradient)));
    }
}

fn limits(fixture: &Fixture) -> Limits {
    let id = |word: &str| fixture.meta["word_map"][word].as_u64().unwrap() as u32;
    Limits::tutorial(id("<start>"), id("<end>"))
}

fn sequence(value: &Value) -> Vec<u32> {
    value.as_array().unwrap()[1..].iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// The beams of all widths: what each picture gives alone and in a batch.
fn check_beams<D: NextWords>(
    fixture: &Fixture,
    decoder: &D,
    start: impl Fn(Option<usize>) -> D::State,
    pictures: usize,
) {
    let limits = limits(fixture);
    let results = fixture.meta["beam"]["results"].as_array().unwrap();
    assert_eq!(results.len(), pictures);
    for width in [1, 3, 5] {
        let search = BeamSearch::new(width);
        let together = search.search(decoder, start(None), pictures, &limits);
        for (picture, (found, result)) in together.iter().zip(results).enumerate() {
            let want = &result[&format!("k{width}")];
            check_found(fixture, &format!("picture {picture}, width {width}"), found, want);
            let alone = search.search(decoder, start(Some(picture)), 1, &limits);
            check_found(fixture, &format!("picture {picture} alone, width {width}"), &alone[0], want);
            let name = format!("beam.img{picture}.k{width}.best_alphas");
            if fixture.has(&name) {
                let looked = found.best().attention.concat();
                assert_close(&looked, &fixture.f32s(&name), fixture.tolerance("alphas"), &name);
            }
        }
    }
}

fn check_found(fixture: &Fixture, what: &str, found: &Found, want: &Value) {
    let what = format!("{}: {what}", fixture.name);
    let complete = want["complete_in_order"].as_array().unwrap();
    assert_eq!(found.complete.len(), complete.len(), "{what}");
    for (got, want) in found.complete.iter().zip(complete) {
        assert_eq!(got.words, sequence(&want["seq"]), "{what}");
        let score = want["score"].as_f64().unwrap() as f32;
        assert_close(&[got.score], &[score], fixture.tolerance("beam_score"), &what);
        assert_eq!(got.words.len() as u64, want["step"].as_u64().unwrap(), "{what}");
    }
    let best = want["best"].as_u64().unwrap() as usize;
    assert_eq!(found.best(), &found.complete[best], "{what}: best");
    assert!(found.unfinished.is_empty(), "{what}");
}

#[test]
fn golden_attention_decoder_beams() {
    for fixture in fixtures("attention_decoder") {
        for (_, device) in device::built() {
            let decoder = attention_decoder(&fixture, &device);
            let maps = maps(&fixture, &device);
            let pictures = maps.dims()[0];
            let of = |picture: Option<usize>| match picture {
                Some(picture) => maps.clone().slice_dim(0, picture..picture + 1),
                None => maps.clone(),
            };
            check_beams(&fixture, &decoder, |picture| decoder.start(of(picture)), pictures);
            if let Some(decoder) = decoder.on_cpu() {
                check_beams(&fixture, &decoder, |picture| decoder.start(of(picture)), pictures);
            }
        }
    }
}

#[test]
fn golden_a_sentence_that_never_ends() {
    let device = device::parse("flex").unwrap();
    for fixture in fixtures("attention_never_ends") {
        let decoder = attention_decoder(&fixture, &device);
        let search = BeamSearch::new(fixture.size("k"));
        let found = search.search(&decoder, decoder.start(maps(&fixture, &device)), 1, &limits(&fixture)).remove(0);
        assert!(found.complete.is_empty());
        let unfinished = fixture.meta["unfinished_beams_best_first"].as_array().unwrap();
        assert_eq!(found.unfinished.len(), unfinished.len());
        let exact = fixture.meta["tolerance"]["sequences"] == "exact";
        for (got, want) in found.unfinished.iter().zip(unfinished) {
            let words = sequence(&want["seq"]);
            assert_eq!(got.words.len(), words.len());
            assert!(!exact || got.words == words, "{:?}", got.words);
            let score = want["score"].as_f64().unwrap() as f32;
            assert_close(&[got.score], &[score], fixture.tolerance("score"), "score");
        }
        assert_eq!(found.best(), &found.unfinished[0]);
    }
}

fn show_and_tell(fixture: &Fixture, device: &Device) -> ShowAndTell {
    let config = ShowAndTellConfig::new(fixture.size("vocab_size"), fixture.size("feat"))
        .with_embedding(fixture.size("embed"))
        .with_hidden(fixture.size("hidden"))
        .with_layers(fixture.size("layers"));
    config.init(device).load(weights(fixture)).unwrap()
}

fn features(fixture: &Fixture, device: &Device) -> Tensor<2> {
    Tensor::from_data(fixture.tensor("feats"), device)
}

#[test]
fn golden_show_and_tell() {
    for fixture in fixtures("show_and_tell") {
        for (backend, device) in device::built() {
            let what = |part: &str| format!("{} on {backend}: {part}", fixture.name);
            let model = show_and_tell(&fixture, &device);
            let features = features(&fixture, &device);
            let embedded = numbers(model.embed_picture(features.clone()));
            let tolerance = fixture.tolerance("logits_all");
            assert_close(&embedded, &fixture.f32s("out.image_embedding"), tolerance, &what("the embedded picture"));

            let captions = captions(&fixture);
            let [_, time, vocab] = model.forward(features.clone(), &captions).dims();
            let logits = numbers(model.forward(features.clone(), &captions));
            let want = fixture.f32s("out.logits_all");
            for (row, caption) in captions.iter().enumerate() {
                let of_row = row * time * vocab..(row * time + caption.len() + 1) * vocab;
                assert_close(&logits[of_row.clone()], &want[of_row], tolerance, &what("logits"));
            }
            for (reading, loss) in [(Reading::FromStart, "out.loss_a"), (Reading::FromPicture, "out.loss_b")] {
                let got = scalar(model.loss(features.clone(), &captions, reading));
                assert_close(&got, &fixture.f32s(loss), fixture.tolerance("loss"), &what(loss));
            }
            let sampled: Vec<Vec<u32>> =
                serde_json::from_value(fixture.meta["sample_variant_b_20_argmax"].clone()).unwrap();
            assert_eq!(model.greedy_from_picture(features.clone(), 20), sampled, "{}", what("from the picture"));
            let start = |picture: Option<usize>| match picture {
                Some(picture) => model.start(features.clone().slice_dim(0, picture..picture + 1)),
                None => model.start(features.clone()),
            };
            check_beams(&fixture, &model, start, captions.len());
        }
    }
}

/// The fixture's gradients are those with the norm's running statistics; a fixed norm has no gradients of its own.
#[test]
fn golden_show_and_tell_trains() {
    let device = device::parse("flex").unwrap().autodiff();
    for fixture in fixtures("show_and_tell") {
        let model = show_and_tell(&fixture, &device).fix_norm();
        let loss = model.loss(features(&fixture, &device), &captions(&fixture), Reading::FromStart);
        check_gradients(&fixture, "grad_a.", &model, &loss.backward(), |name| name.starts_with("encoder.bn"));
    }
}

/// Whole-module checkpoints and state dicts, zip and legacy: what the encoder sees, what the decoder says, the beams.
#[test]
fn golden_checkpoints_become_captioners() {
    let core = concat!(env!("CARGO_MANIFEST_DIR"), "/../sensorium-core");
    let device = device::parse("flex").unwrap();
    let mut fixtures = owned_by("sensorium-core", core);
    fixtures.retain(|fixture| fixture.family == "checkpoint");
    assert!(!fixtures.is_empty(), "no checkpoint");
    for fixture in fixtures {
        let folder = tempfile::tempdir().unwrap();
        let word_map = folder.path().join("WORDMAP.json");
        std::fs::write(&word_map, fixture.meta["word_map"].to_string()).unwrap();
        let files: Vec<_> = fixture.meta["files"].as_object().unwrap().keys().collect();
        for file in files {
            let imported = import::tutorial(fixture.path(file), &word_map, &device);
            let whole = file.starts_with("checkpoint");
            if !whole && fixture.size("enc_image_size") != 14 {
                // A state dict does not say how many positions there are; the tutorial's 14 are taken.
                let DecoderConfig::Attend { grid, .. } = imported.unwrap().captioner.config().decoder else { panic!() };
                assert_eq!(grid, 14, "{file}");
                continue;
            }
            let imported = imported.unwrap();
            assert_eq!(imported.epoch, fixture.meta["scalars"]["epoch"].as_i64(), "{file}");
            assert_eq!(imported.bleu4, fixture.meta["scalars"]["bleu-4"].as_f64(), "{file}");
            imported.captioner.save(folder.path().join(file)).unwrap();
            check_captioner(&fixture, file, &imported.captioner, &device);
            let saved = Captioner::load(folder.path().join(file), &device).unwrap();
            check_captioner(&fixture, file, &saved, &device);
        }
    }
}

fn check_captioner(fixture: &Fixture, file: &str, captioner: &Captioner, device: &Device) {
    let view = captioner.view(Tensor::from_data(fixture.tensor("input"), device));
    let want = fixture.f32s("out.encoder_out");
    assert_close(&numbers(view.clone()), &want, fixture.tolerance("encoder_out"), &format!("{file}: encoder"));
    let Decoder::Attend(decoder) = captioner.decoder() else { panic!("{file}: no attention") };
    let read = decoder.forward(view.clone(), &captions(fixture));
    let vocab = captioner.words().len();
    let of_longest_first = unpacked(&numbers(read.logits), &read.lengths, vocab);
    let want = fixture.f32s("out.predictions");
    assert_close(&of_longest_first, &want, fixture.tolerance("predictions"), &format!("{file}: predictions"));
    for (picture, result) in fixture.meta["beam"].as_array().unwrap().iter().enumerate() {
        for width in [1, 3] {
            let want = &result[&format!("k{width}")];
            if want["smallest_gap"].as_f64().unwrap() <= 1e-3 {
                continue;
            }
            let of_picture = view.clone().slice_dim(0, picture..picture + 1);
            let found = captioner.searcher().search(of_picture, &BeamSearch::new(width), &captioner.limits());
            let got: Vec<_> = found[0].complete.iter().map(|sentence| sentence.words.clone()).collect();
            let complete = want["complete_in_order"].as_array().unwrap();
            let expected: Vec<_> = complete.iter().map(|sentence| sequence(&sentence["seq"])).collect();
            assert_eq!(got, expected, "{file}: picture {picture}, width {width}");
        }
    }
}

#[test]
fn golden_every_family_is_handled() {
    let handled = [
        "attention_decoder",
        "attention_formula",
        "attention_never_ends",
        "show_and_tell",
        "caption_metrics",
        "ptb_tokenizer",
        "meteor",
    ];
    for fixture in owned_by("sensorium-captioning", env!("CARGO_MANIFEST_DIR")) {
        assert!(handled.contains(&fixture.family), "{}: no test handles {}", fixture.name, fixture.family);
    }
}

#[test]
fn missing_tensors_are_named() {
    let fixture = &fixtures("attention_decoder")[0];
    let device = device::parse("flex").unwrap();
    let mut tensors = weights(fixture);
    let config = AttentionDecoderConfig::of_tensors(&tensors).unwrap();
    tensors.retain(|name| name != "f_beta.bias");
    tensors.insert("extra", TensorData::from([1.0f32]));
    let fault = load_into(config.init(&device), &tensors, Allow::NOTHING).unwrap_err().to_string();
    assert!(fault.contains("f_beta.bias") && fault.contains("extra"), "{fault}");
}
