//! What the command prints, as a user sees it. After a wanted change: `INSTA_UPDATE=always cargo nextest run`, and look
//! at the difference.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use sensorium_text::vectors::fasttext::{self, Entry, FastText};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/samples")
}

/// Stdout of a call in `folder` that must succeed.
fn output(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::cargo_bin("sensorium").unwrap();
    command.current_dir(folder).env("SENSORIUM_CACHE", folder.join("cache")).args(args).arg("--quiet");
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// Every digit as `0`: the form alone, since the last places differ between processors.
fn form(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

#[test]
fn help() {
    let verbs: [&[&str]; 41] = [
        &[],
        &["audio"],
        &["audio", "info"],
        &["audio", "spectrogram"],
        &["audio", "invert"],
        &["audio", "resample"],
        &["audio", "embed"],
        &["audio", "compare"],
        &["audio", "vad"],
        &["audio", "classify"],
        &["audio", "classify", "train"],
        &["audio", "classify", "eval"],
        &["audio", "classify", "run"],
        &["caption"],
        &["caption", "eval"],
        &["caption", "import"],
        &["caption", "run"],
        &["caption", "scenes"],
        &["caption", "score"],
        &["caption", "train"],
        &["demo"],
        &["devices"],
        &["joint"],
        &["joint", "train"],
        &["joint", "eval"],
        &["joint", "index"],
        &["joint", "search"],
        &["joint", "tag"],
        &["joint", "arithmetic"],
        &["text"],
        &["text", "train"],
        &["text", "phrases"],
        &["text", "neighbors"],
        &["text", "analogy"],
        &["text", "eval"],
        &["text", "map"],
        &["text", "convert"],
        &["text", "info"],
        &["vision", "classify"],
        &["vision", "resize"],
        &["vision", "features"],
    ];
    let pages = verbs.map(|verb| {
        let mut command = Command::cargo_bin("sensorium").unwrap();
        let page = command.args(verb).arg("--help").assert().success().get_output().stdout.clone();
        let call = [&["sensorium"], verb, &["--help"]].concat().join(" ");
        format!("$ {call}\n{}", String::from_utf8(page).unwrap())
    });
    insta::assert_snapshot!(pages.join("\n"));
}

#[test]
fn sounds_and_their_features() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["reader.wav", "reader-again.wav", "cards.wav"] {
        std::fs::copy(samples().join("sound").join(name), folder.path().join(name)).unwrap();
    }
    let said = |args: &[&str]| output(folder.path(), args);
    let lines = [
        said(&["audio", "info", "reader.wav", "cards.wav"]),
        said(&["audio", "mel", "reader.wav", "--preset", "whisper", "--out", "mel.npy"]),
        said(&["audio", "mfcc", "reader.wav", "--out", "mfcc.safetensors"]),
        said(&["audio", "invert", "mel.npy", "--preset", "whisper", "--out", "heard.wav"]),
        said(&["audio", "invert", "mfcc.safetensors", "--iterations", "4", "--out", "hummed.wav"]),
        said(&["audio", "resample", "reader.wav", "--rate", "8000", "--out", "telephone.wav"]),
    ];
    insta::assert_snapshot!(lines.concat());
    insta::assert_snapshot!(form(&said(&["audio", "vad", "reader.wav"])));

    let alike = |a: &str, b: &str| -> f64 {
        let json: serde_json::Value = serde_json::from_str(&said(&["audio", "compare", a, b, "--json"])).unwrap();
        json["similarity"].as_f64().unwrap()
    };
    let (same, other) = (alike("reader.wav", "reader-again.wav"), alike("reader.wav", "cards.wav"));
    assert!(same > 0.75 && other < 0.75, "one reader {same}, two voices {other}");
    // What was made of mel bands alone is still that voice.
    assert!(alike("reader.wav", "heard.wav") > other);
}

#[test]
fn sounds_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let data = samples().join("voices");
    let data = data.to_str().unwrap();
    let said = |args: &[&str]| output(folder.path(), args);
    let train = ["audio", "classify", "train", data, "--out", "run", "--epochs", "8", "--seconds", "0.5", "--json"];
    let trained: serde_json::Value = serde_json::from_str(&said(&train)).unwrap();
    assert_eq!((trained["learned_from"].as_u64(), trained["test"]["recordings"].as_u64()), (Some(10), Some(2)));
    let measured = said(&["audio", "classify", "eval", "run", data, "--out", "taken.svg", "--json"]);
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    assert_eq!(measured["evaluation"], trained["test"], "the classifier that was saved is the one that was measured");
    assert!(std::fs::read_to_string(folder.path().join("taken.svg")).unwrap().contains("was taken for"));
    let line = said(&["audio", "classify", "run", "run", &format!("{data}/cards/part1_cards.wav"), "--top", "2"]);
    let line = line.replace(data, "data");
    insta::assert_snapshot!(form(&line).replace("cards", "C").replace("reader", "C"));
}

#[test]
fn classes_of_a_photo() {
    let photo = samples().join("photos/chelsea.jpg");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(photo, folder.path().join("chelsea.jpg")).unwrap();
    let table = output(folder.path(), &["vision", "classify", "chelsea.jpg", "--top", "3"]);
    insta::assert_snapshot!(form(&table));

    let json = output(folder.path(), &["vision", "classify", "chelsea.jpg", "--top", "2", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let first = &json[0]["top"][0];
    assert_eq!((json[0]["file"].as_str(), first["name"].as_str()), (Some("chelsea.jpg"), Some("Egyptian cat")));
    assert!((0.0..=1.0).contains(&first["probability"].as_f64().unwrap()));
}

#[test]
fn what_speaks_for_a_class() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(samples().join("photos/coffee.jpg"), folder.path().join("coffee.jpg")).unwrap();
    output(folder.path(), &["vision", "classify", "coffee.jpg", "--top", "2", "--heatmap", "heat"]);
    let about = std::fs::read(folder.path().join("heat/coffee.json")).unwrap();
    let about: serde_json::Value = serde_json::from_slice(&about).unwrap();
    assert_eq!((about["layer"].as_str(), &about["top"][0]["name"]), (Some("features"), &"espresso".into()));
    assert_eq!(about["shape"], serde_json::json!([2, 7, 7]));
    let heat = sensorium::core::weights::read(folder.path().join("heat/coffee.npy")).unwrap().f32s("array").unwrap();
    assert!(heat.len() == 2 * 49 && heat.iter().all(|heat| *heat >= 0.0) && heat[..49] != heat[49..]);
    // The cup stands in the upper half of what is seen, saucer and spoon in the lower.
    let sum = |rows: std::ops::Range<usize>| heat[7 * rows.start..7 * rows.end].iter().sum::<f32>();
    assert!(sum(0..4) > sum(4..7), "{heat:?}");
    assert!(std::fs::read(folder.path().join("heat/coffee.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_space_learned_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let data = samples().join("shapes");
    let data = data.to_str().unwrap();
    let learned = output(folder.path(), &["joint", "train", "--data", data, "--out", "run", "--solver", "ridge"]);
    let measured = output(folder.path(), &["joint", "eval", "run", "--data", data, "--split", "test"]);
    insta::assert_snapshot!(form(&format!("{learned}\n{measured}")));
}

#[test]
fn king_minus_man_plus_woman() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = samples().join("text/kingdom.txt");
    let settings = ["--dim", "24", "--epochs", "200", "--sample", "0", "--out", "v.vec", "--json"];
    let train = [&["text", "train", corpus.to_str().unwrap()], settings.as_slice()].concat();
    let json = |args: &[&str]| serde_json::from_str::<serde_json::Value>(&output(folder.path(), args)).unwrap();
    let said = json(&train);
    assert_eq!((said["vocabulary"].as_u64(), said["out"].as_str()), (Some(265), Some("v.vec")));
    assert!(said["loss"].as_f64().unwrap() < 0.6, "{said}");

    let answers = output(folder.path(), &["text", "analogy", "v.vec", "man", "king", "woman", "-k", "1"]);
    assert_eq!(form(&answers), "  0  0.000  queen\n");
    let said = json(&["text", "analogy", "v.vec", "cat", "kitten", "dog", "--mul", "--json"]);
    assert_eq!(said["answers"][0]["word"], "puppy", "{said}");
    let said = json(&["text", "info", "v.vec", "--json"]);
    assert_eq!((said["words"].as_u64(), said["dim"].as_u64()), (Some(265), Some(24)));
}

#[test]
fn phrases_are_joined_in_the_text_and_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let text = "new york has trains\nnew york is far\n".repeat(9) + &"it is a new day\nno news of york\n".repeat(99);
    std::fs::write(folder.path().join("text.txt"), text).unwrap();
    // "new york" occurs 18 times; there are 117 news and 117 yorks.
    let call = ["text", "phrases", "text.txt", "--out", "joined.txt", "--threshold", "0.9", "--json"];
    let said: serde_json::Value = serde_json::from_str(&output(folder.path(), &call)).unwrap();
    let found = said["phrases"].as_array().unwrap().iter().find(|phrase| phrase["phrase"] == "new_york").unwrap();
    assert_eq!(found["count"], 18);
    let score = 13.0 / (117.0 * 117.0) * said["words"].as_f64().unwrap();
    assert!((found["score"].as_f64().unwrap() - score).abs() < 1e-9, "{found} {score}");
    let joined = std::fs::read_to_string(folder.path().join("joined.txt")).unwrap();
    assert_eq!(joined.lines().filter(|line| line.contains("new_york")).count(), 18);
    let train = ["text", "train", "text.txt", "--out", "v.vec", "--phrases=0.9", "--dim", "4", "--sample", "0"];
    output(folder.path(), &train);
    assert!(std::fs::read_to_string(folder.path().join("v.vec")).unwrap().contains("new_york "));
}

#[test]
fn words_of_pieces_are_a_fasttext_model() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = samples().join("text/kingdom.txt");
    let train = ["text", "train", corpus.to_str().unwrap(), "--dim", "16", "--sample", "0", "--epochs", "20"];
    let more = ["--subword", "--buckets", "2000", "--out", "pieces.bin", "--outputs", "outputs.vec"];
    output(folder.path(), &[train.as_slice(), &more].concat());
    let model = FastText::read(folder.path().join("pieces.bin")).unwrap();
    assert_eq!((model.settings().buckets, model.settings().max_n, model.words().len()), (2000, 6, 265));
    let outputs = sensorium_text::vectors::read(folder.path().join("outputs.vec")).unwrap();
    assert_eq!(outputs.row(3), &model.output()[3 * 16..4 * 16]);
    // A word that the text does not have is near the one that it has most n-grams of.
    let answers = output(folder.path(), &["text", "neighbors", "pieces.bin", "ducklings", "-k", "1"]);
    assert_eq!(form(&answers), "  0  0.000  duckling\n");
}

#[test]
fn a_gpu_gives_the_vectors_of_a_processor() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = samples().join("text/kingdom.txt");
    let gpu = if sensorium_core::device::parse("wgpu").is_ok() { "wgpu" } else { "flex" };
    let [processor, gpu] = [("flex", "processor.fifu"), (gpu, "gpu.fifu")].map(|(device, out)| {
        let call = ["text", "train", corpus.to_str().unwrap(), "--device", device, "--out", out, "--epochs", "2"];
        output(folder.path(), &call);
        sensorium_text::vectors::read(folder.path().join(out)).unwrap()
    });
    assert_eq!(processor.words(), gpu.words());
    let apart = processor.values().iter().zip(gpu.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-4, "{apart}");
}

#[test]
fn unknown_words_of_a_fasttext_model() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["cat", "dog"].map(|text| Entry { text: text.to_string(), count: 9 }).to_vec();
    let settings = fasttext::Settings { dim: 2, buckets: 1, ..fasttext::Settings::default() };
    let input = vec![4.0, 0.0, 0.0, 4.0, 1.0, 0.5];
    let model = FastText::new(settings, words, vec![], input, vec![0.0; 4]).unwrap();
    model.write(folder.path().join("model.bin")).unwrap();
    let answers = output(folder.path(), &["text", "neighbors", "model.bin", "cats", "-k", "1"]);
    assert_eq!(form(&answers), "  0  0.000  cat\n");
    let info = output(folder.path(), &["text", "info", "model.bin", "--json"]);
    assert!(info.contains("\"buckets\":1"), "{info}");
}
