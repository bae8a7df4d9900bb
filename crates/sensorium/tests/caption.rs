//! `sensorium caption`: a checkpoint that others trained becomes a run that tells.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn core_fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sensorium-core/tests/golden/captioning").join(name)
}

fn photo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/samples/photos/chelsea.jpg")
}

fn call(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Command::cargo_bin("sensorium").unwrap().current_dir(folder).args(args).arg("--quiet").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A folder with the word map of the small checkpoint, which is imported into `run`.
fn imported() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let about = std::fs::read_to_string(core_fixture("checkpoint_expected.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    std::fs::write(folder.path().join("WORDMAP.json"), about["word_map"].to_string()).unwrap();
    std::fs::copy(photo(), folder.path().join("cat.jpg")).unwrap();
    let checkpoint = core_fixture("checkpoint_legacy.pth.tar");
    let checkpoint = checkpoint.to_str().unwrap();
    let (code, said, fault) =
        call(folder.path(), &["caption", "import", checkpoint, "--wordmap", "WORDMAP.json", "--out", "run"]);
    assert_eq!(code, Some(0), "{fault}");
    assert_eq!(
        said,
        "run: 24 words, attention over 4 x 4 positions, state of 18\nepoch 7, BLEU-4 0.2345 by its own account\n"
    );
    folder
}

#[test]
fn an_imported_checkpoint_tells_and_shows_where_it_looked() {
    let folder = imported();
    let run = |args: &[&str]| {
        let (code, said, fault) = call(folder.path(), &[&["caption", "run", "run", "cat.jpg"], args].concat());
        assert_eq!(code, Some(0), "{args:?}: {fault}");
        said
    };
    let told: serde_json::Value = serde_json::from_str(&run(&["--json", "--heatmap", "seen"])).unwrap();
    let caption = told[0]["caption"].as_str().unwrap();
    assert!(!caption.is_empty() && told[0]["file"] == "cat.jpg", "{told}");
    assert!(run(&[]).starts_with(&format!("cat.jpg\n  {caption}  (")));

    let about = std::fs::read(folder.path().join("seen/cat.json")).unwrap();
    let about: serde_json::Value = serde_json::from_slice(&about).unwrap();
    let words = about["words"].as_array().unwrap();
    assert_eq!(about["shape"], serde_json::json!([words.len(), 4, 4]));
    let numbers = sensorium::core::weights::read(folder.path().join("seen/cat.npy")).unwrap().f32s("array").unwrap();
    for weights in numbers.chunks_exact(16) {
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{weights:?}");
    }
    assert_eq!(numbers.len(), 16 * words.len());
    assert!(std::fs::read(folder.path().join("seen/cat.png")).unwrap().starts_with(b"\x89PNG"));
    let twice = ["caption", "run", "run", "cat.jpg", "cat.jpg", "--heatmap", "twice"];
    let (code, _, fault) = call(folder.path(), &twice);
    assert!(code == Some(1) && fault.contains("cat.jpg: two pictures have this name"), "{fault}");

    run(&["--report", "pages/told.html"]);
    let page = std::fs::read_to_string(folder.path().join("pages/told.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("cat.jpg</h2>"), "{}", page.len());
    let written = |caption: &str| caption.replace('<', "&lt;").replace('>', "&gt;");
    assert!(page.contains(&format!("<p dir=\"auto\">{}</p>", written(caption))), "its sentence");
    // One map a word and the picture itself; all sentences of the beam.
    assert!(page.matches("data:image/png").count() > words.len(), "a map for each word");
    let beam = told[0]["beam"].as_array().unwrap();
    assert!(!beam.is_empty());
    for ended in beam {
        assert!(page.contains(&written(ended["caption"].as_str().unwrap())), "{ended}");
        assert!(page.contains(&format!("{:.3}", ended["score"].as_f64().unwrap().abs())), "{ended}");
    }

    let long = run(&["--min-words", "9", "--no-unk", "--json"]);
    let long: serde_json::Value = serde_json::from_str(&long).unwrap();
    assert!(long[0]["caption"].as_str().unwrap().split(' ').count() >= 9, "{long}");
    let drawn = |seed| run(&["--sample", "--temperature", "2", "--top-k", "20", "--seed", seed]);
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    run(&["--beam", "6", "--groups", "3", "--length-penalty", "0.7"]);
}

/// Plain pictures of four colours, each with a sentence that names it.
fn colours(folder: &Path) {
    let colours = [("red", [220, 20, 20]), ("green", [20, 200, 30]), ("blue", [30, 40, 220]), ("white", [250; 3])];
    let mut lines = String::new();
    for index in 0..16u8 {
        let (name, colour) = colours[usize::from(index) % 4];
        let picture = sensorium::vision::io::RgbImage::from_fn(48, 48, |x, y| {
            colour.map(|level: u8| level.saturating_sub((x / 8 + y / 16) as u8 + index)).into()
        });
        sensorium::vision::io::write(folder.join(format!("{index}.png")), &picture).unwrap();
        let split = if index < 12 { "train" } else { ["val", "test"][usize::from(index) % 2] };
        let line =
            serde_json::json!({"image": format!("{index}.png"), "caption": format!("it is {name}"), "split": split});
        lines += &format!("{line}\n");
    }
    std::fs::write(folder.join("pairs.jsonl"), lines).unwrap();
}

#[test]
fn a_captioner_is_trained_and_tells() {
    let folder = tempfile::tempdir().unwrap();
    colours(folder.path());
    let train = |epochs: &str, out: &str, more: &[&str]| {
        let args = [
            "caption",
            "train",
            "--data",
            ".",
            "--out",
            out,
            "--image-size",
            "32",
            "--grid",
            "2",
            "--hidden",
            "32",
            "--layer",
            "block4",
            "--rarer-than",
            "0",
            "--batch",
            "6",
            "--lr",
            "0.01",
            "--epochs",
            epochs,
        ];
        call(folder.path(), &[&args, more].concat())
    };
    let (code, said, fault) = train("12", "run", &[]);
    assert_eq!(code, Some(0), "{fault}");
    assert!(said.starts_with("learned from 12 pictures, 10 words; the captioner is in run\n"), "{said}");
    let (code, told, fault) = call(folder.path(), &["caption", "eval", "run", "--data", ".", "--beam", "1,2"]);
    assert_eq!(code, Some(0), "{fault}");
    let [pictures, header, one, two, stages] = told.lines().collect::<Vec<_>>().try_into().unwrap();
    assert!(pictures == "2 pictures" && header.starts_with("beam  BLEU-1"), "{told}");
    assert!(one.starts_with("   1  ") && two.starts_with("   2  "), "{told}");
    assert!(stages.starts_with("METEOR matches by exact, stem; --meteor"), "{told}");
    let (code, told, fault) = call(folder.path(), &["caption", "run", "run", "0.png", "--beam", "2"]);
    assert_eq!(code, Some(0), "{fault}");
    assert!(told.starts_with("0.png\n  it is "), "{told}");
    for (again, words) in [
        (train("12", "run", &[]), "holds a finished run"),
        (train("0", "new", &[]), "epochs = 0"),
        (train("1", "new", &["--encoder", "vgg16"]), "--weights"),
        (train("1", "new", &["--encoder", "vgg99"]), "encoder = vgg99"),
        (train("1", "new", &["--layer", "block99"]), "block99"),
    ] {
        assert_eq!(again.0, Some(1), "{words}");
        assert!(again.2.contains(words), "{}", again.2);
    }
    let (code, said, fault) = train("13", "run", &["--resume"]);
    assert!(code == Some(0) && said.starts_with("learned from 12 pictures"), "{said}{fault}");
    let epochs = std::fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    assert!(epochs.contains("\"epoch\":13") && !epochs.contains("\"epoch\":14"), "{epochs}");
    let (code, _, fault) = train("2", "told", &["--decoder", "show-and-tell", "--layer", "block2"]);
    assert_eq!(code, Some(0), "{fault}");
    let (code, _, fault) = call(folder.path(), &["caption", "run", "told", "0.png", "--heatmap", "seen"]);
    assert_eq!(code, Some(1));
    assert!(fault.contains("told has no attention"), "{fault}");
    let (code, _, fault) = call(folder.path(), &["caption", "run", "told", "0.png", "1.png", "--report", "told.html"]);
    assert_eq!(code, Some(0), "{fault}");
    let page = std::fs::read_to_string(folder.path().join("told.html")).unwrap();
    assert_eq!(page.matches("<img ").count(), 2, "without attention, the pictures alone");
}

#[test]
fn a_cosine_needs_no_validation_part() {
    let folder = tempfile::tempdir().unwrap();
    colours(folder.path());
    let path = folder.path().join("pairs.jsonl");
    let pairs = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, pairs.replace("\"val\"", "\"test\"")).unwrap();
    let train = |out: &str, more: &[&str]| {
        let args = ["caption", "train", "--data", ".", "--out", out, "--image-size", "32", "--grid", "2"];
        let sizes = ["--hidden", "32", "--layer", "block4", "--rarer-than", "0", "--lr", "0.01", "--epochs", "3"];
        call(folder.path(), &[&args, sizes.as_slice(), more].concat())
    };
    let (code, _, fault) = train("run", &[]);
    assert!(code == Some(1) && fault.contains("no picture is left to measure on"), "{fault}");
    let (code, said, fault) = train("run", &["--cosine"]);
    assert_eq!(code, Some(0), "{fault}");
    assert_eq!(said, "learned from 12 pictures, 10 words; the captioner is in run\n");
    let (code, said, fault) = train("other", &["--cosine", "--seed", "1", "--json"]);
    assert_eq!(code, Some(0), "{fault}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(said["epoch"] == 3 && said["bleu4"].is_null(), "{said}");
    let (code, _, fault) = train("third", &["--cosine", "--patience", "3"]);
    assert!(code == Some(2) && fault.contains("--patience"), "{fault}");
    let (code, told, fault) = call(folder.path(), &["caption", "eval", "run", "--data", ".", "--json", "--baseline"]);
    assert_eq!(code, Some(0), "{fault}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["pictures"], 4);
    let (code, said, fault) = call(folder.path(), &["caption", "eval", "run", "--data", ".", "--split", "val"]);
    assert!(code == Some(1) && said.is_empty() && fault.contains("no pair is left for Val"), "{said}{fault}");

    // The baseline looks at all channels of the encoder, whatever the decoder sees of them.
    let (code, _, fault) = train("few", &["--cosine", "--components", "3"]);
    assert_eq!(code, Some(0), "{fault}");
    let (code, few, fault) = call(folder.path(), &["caption", "eval", "few", "--data", ".", "--json", "--baseline"]);
    assert_eq!(code, Some(0), "{fault}");
    let few: serde_json::Value = serde_json::from_str(&few).unwrap();
    assert_eq!(few["baseline"], told["baseline"]);
}

/// The values of pycocoevalcap 1.2.
#[test]
fn captions_are_scored_as_by_coco() {
    let folder = tempfile::tempdir().unwrap();
    let refs = serde_json::json!({
        "1": ["A man rides a brown horse.", "a man on a horse in a field", "the man is riding a horse"],
        "2": ["two dogs play in the snow", "a pair of dogs running through snow"],
        "3": ["a red bus parked on the street", "a bus on a city street next to a car", "red double decker bus"],
    });
    let hyps = serde_json::json!({
        "1": "a man is riding a horse", "2": "Two dogs running in the snow!", "3": "a bus on the street",
    });
    std::fs::write(folder.path().join("refs.json"), refs.to_string()).unwrap();
    std::fs::write(folder.path().join("hyps.json"), hyps.to_string()).unwrap();
    let args = ["caption", "score", "--refs", "refs.json", "--hyps", "hyps.json", "--json"];
    let (code, said, fault) = call(folder.path(), &args);
    assert_eq!(code, Some(0), "{fault}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let want = [0.99999999994118, 0.96362411159667, 0.79712169116621, 0.59652475714072];
    for (got, want) in said["bleu"].as_array().unwrap().iter().zip(want) {
        assert!((got.as_f64().unwrap() - want).abs() < 1e-9, "{said}");
    }
    assert!((said["rouge_l"].as_f64().unwrap() - 0.825228411435308).abs() < 1e-9, "{said}");
    assert!((said["cider"].as_f64().unwrap() - 3.00305081176385).abs() < 1e-9, "{said}");
    // By METEOR's jar with the stages exact and stem and the same function words.
    assert!((said["meteor"].as_f64().unwrap() - 0.3809337058059688).abs() < 1e-9, "{said}");
    assert_eq!(said["meteor_stages"], serde_json::json!(["exact", "stem"]));
    let (code, _, fault) = call(folder.path(), &[&args[..6], &["--meteor", "none"]].concat());
    assert!(code == Some(1) && fault.contains("english.words") && fault.lines().count() == 1, "{fault}");
    let (_, table, _) = call(folder.path(), &args[..6]);
    assert!(table.starts_with("3 pictures\nBLEU-1"), "{table}");
    std::fs::write(folder.path().join("few.json"), r#"{"1": "a man"}"#).unwrap();
    let (code, _, fault) = call(folder.path(), &["caption", "score", "--refs", "refs.json", "--hyps", "few.json"]);
    assert!(code == Some(1) && fault.contains("few.json") && fault.lines().count() == 1, "{fault}");
}

#[test]
fn what_cannot_be_done_is_said_in_a_line() {
    let folder = imported();
    std::fs::write(folder.path().join("few.json"), r#"{"<pad>":0,"<unk>":1,"<start>":2,"<end>":3}"#).unwrap();
    std::fs::write(folder.path().join("odd.json"), r#"{"<pad>":0,"cat":7}"#).unwrap();
    std::fs::write(folder.path().join("damaged.tar"), b"\x80\x02garbage").unwrap();
    let checkpoint = core_fixture("checkpoint_legacy.pth.tar");
    let checkpoint = checkpoint.to_str().unwrap();
    for (args, words) in [
        (vec!["import", checkpoint, "--wordmap", "WORDMAP.json", "--out", "run"], vec!["run: holds a captioner"]),
        (vec!["import", checkpoint, "--wordmap", "few.json", "--out", "new"], vec!["word map = 4: must be 24"]),
        (vec!["import", checkpoint, "--wordmap", "odd.json", "--out", "new"], vec!["odd.json", "'cat' is 7"]),
        (vec!["import", checkpoint, "--wordmap", "none.json", "--out", "new"], vec!["none.json"]),
        (vec!["import", "damaged.tar", "--wordmap", "WORDMAP.json", "--out", "new"], vec!["damaged.tar"]),
        (vec!["import", "cat.jpg", "--wordmap", "WORDMAP.json", "--out", "new"], vec!["cat.jpg"]),
        (vec!["run", "nowhere", "cat.jpg"], vec!["nowhere"]),
        (vec!["run", "run", "none.jpg"], vec!["none.jpg"]),
        (vec!["run", "run", "cat.jpg", "--beam", "0"], vec!["beam = 0"]),
        (vec!["run", "run", "cat.jpg", "--beam", "5", "--groups", "2"], vec!["groups = 2"]),
        (vec!["run", "run", "cat.jpg", "--sample", "--temperature", "0"], vec!["temperature = 0"]),
        (vec!["run", "run", "cat.jpg", "--top-p", "2"], vec!["top_p = 2"]),
    ] {
        let (code, _, fault) = call(folder.path(), &[&["caption"], args.as_slice()].concat());
        assert_eq!(code, Some(1), "{args:?}: {fault}");
        assert!(fault.starts_with("error: ") && fault.trim_end().lines().count() == 1, "{args:?}: {fault}");
        for word in words {
            assert!(fault.contains(word), "{args:?} must say '{word}': {fault}");
        }
    }
    assert!(!folder.path().join("new").exists(), "nothing half-written");
}
