//! Golden fixtures: text encoders computed by PyTorch in f64, files of word vectors written by gensim.

use burn::nn::LinearConfig;
use burn::tensor::{Device, Tensor};
use sensorium_core::loss::l2_normalize;
use sensorium_core::nn::recurrent::from_torch_name;
use sensorium_core::testing::golden::{Fixture, assert_close, owned_by};
use sensorium_core::weights::{Allow, TensorMap, load_into};
use sensorium_text::batch::WordBatch;
use sensorium_text::encoder::{GruEncoderConfig, WordVectorsConfig};
use sensorium_text::vectors::{self, FastText, MappedVectors};

#[test]
fn golden_text() {
    for fixture in owned_by("sensorium-text", env!("CARGO_MANIFEST_DIR")) {
        match fixture.family {
            "vse_encoders" => check_vse_encoders(&fixture),
            "vector_files" => check_vector_files(&fixture),
            "fasttext" => check_fasttext(&fixture),
            "word_evaluation" => {}                         // in golden_queries.rs
            "w2v_updates" | "huffman" | "vocab_stats" => {} // in golden_word2vec.rs
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

/// The same vectors in several files, all of which `what` names.
fn check_vector_files(fixture: &Fixture) {
    let files = files_named(fixture, &[".txt", ".bin"]);
    assert!(files.len() > 1, "{}: `what` names the files {files:?}", fixture.name);
    let words = strings(&fixture.meta["config"]["words"]);
    for name in files {
        let what = format!("{}: {name}", fixture.name);
        let read = vectors::read(fixture.path(&name)).unwrap_or_else(|error| panic!("{error}"));
        // One file has six digits a number.
        let expected = fixture.f32s(if name.contains("crlf") { "vectors_rounded_g6" } else { "vectors" });
        assert_eq!([read.len(), read.dim()].to_vec(), fixture.shape("vectors"), "{what}: words and dimension");
        assert_eq!(read.words(), words, "{what}: words");
        if name.ends_with(".bin") {
            assert_eq!(read.values(), expected, "{what}: every number, to the bit");
            let mapped = MappedVectors::open(fixture.path(&name)).expect("a file that can be mapped");
            for word in &words {
                assert_eq!(mapped.get(word).unwrap().as_deref(), read.get(word), "{what}: {word}, mapped");
            }
        } else {
            for (at, (got, want)) in read.values().iter().zip(&expected).enumerate() {
                let one_ulp = want.next_down() <= *got && *got <= want.next_up();
                assert!(one_ulp, "{what}: element {at} is {got} but must be {want}, or the f32 before or after");
            }
        }
        check_written_again(&read);
    }
}

/// What was read comes back from every format that can be written.
fn check_written_again(read: &vectors::WordVectors) {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["txt", "vec", "bin", "glove", "glove.txt", "safetensors", "fifu"] {
        let path = folder.path().join("again").with_extension(extension);
        vectors::write(&path, read).unwrap();
        let again = vectors::read(&path).unwrap();
        assert_eq!(again.words(), read.words(), "{extension}");
        // A .fifu holds unit vectors and norms.
        let rounding = if extension == "fifu" { 3e-7 } else { 0.0 };
        assert_close(again.values(), read.values(), (0.0, rounding), extension);
    }
}

/// A model of gensim's: its words, n-grams, buckets and vectors, also of words that it never saw.
fn check_fasttext(fixture: &Fixture) {
    let [path] = files_named(fixture, &[".bin"]).try_into().expect("one model");
    let path = fixture.path(&path);
    let bytes = std::fs::read(&path).unwrap();
    let model = FastText::read(&path).unwrap_or_else(|error| panic!("{error}"));
    let config = &fixture.meta["config"];
    let first: Vec<i64> =
        bytes[..8].chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()).into()).collect();
    assert_eq!(serde_json::json!(first), config["magic_version"], "{}: magic and version", fixture.name);
    assert_eq!(model.words(), strings(&config["words"]), "{}: words", fixture.name);

    let tolerance = (fixture.meta["tolerance"]["abs"].as_f64().expect("tolerance.abs"), 0.0);
    let close = |got: &[f32], name: &str| {
        assert_close(got, &fixture.f32s(name), tolerance, &format!("{}: {name}", fixture.name));
    };
    for (index, query) in strings(&config["queries"]).iter().enumerate() {
        let expected = &config["ngrams"][query];
        assert_eq!(Some(model.index(query).is_some()), expected["in_vocab"].as_bool(), "{query}");
        let buckets = expected["buckets"].as_array().expect("buckets").iter();
        let buckets = buckets.map(|bucket| bucket.as_u64().expect("a bucket") as usize);
        let mut expected: Vec<(String, usize)> = strings(&expected["ngrams"]).into_iter().zip(buckets).collect();
        let mut got = model.ngrams(query);
        // gensim lists them by length, fastText by place.
        expected.sort();
        got.sort();
        assert_eq!(got, expected, "{}: n-grams of {query}", fixture.name);
        close(&model.vector(query), &format!("vector/{index}"));
    }
    let rows = "ngram_rows_first20";
    close(&model.input()[model.words().len() * model.dim()..][..fixture.f32s(rows).len()], rows);
    close(vectors::read(&path).unwrap().values(), "vocab_vectors_composed");

    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("again.bin");
    model.write(&again).unwrap();
    assert!(std::fs::read(again).unwrap() == bytes, "{}: written again, the model has other bytes", fixture.name);
}

/// The files with one of `extensions` that `what` names.
fn files_named(fixture: &Fixture, extensions: &[&str]) -> Vec<String> {
    let what = fixture.meta["what"].as_str().expect("what");
    let names = what.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    names.filter(|name| extensions.iter().any(|e| name.ends_with(e))).map(String::from).collect()
}

fn strings(list: &serde_json::Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("a text").to_string()).collect()
}
