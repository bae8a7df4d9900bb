//! `sensorium caption speak`: from recordings and pictures to a speaker that is heard.

use std::path::Path;

use assert_cmd::Command;
use sensorium::audio::io::{Audio, SampleFormat, read, write_wav};

fn call(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::cargo_bin("sensorium")
        .unwrap()
        .current_dir(folder)
        .args(["caption", "speak"])
        .args(args)
        .arg("--quiet")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Tones one after the other. A word has at least four, since training keeps the epoch of the best BLEU-4.
fn word(folder: &Path, name: &str, pitches: [f32; 5]) {
    let tone = |pitch: f32| (0..2000).map(move |i| (i as f32 * pitch * std::f32::consts::TAU / 16_000.0).sin() / 2.0);
    let samples = pitches.into_iter().flat_map(tone).collect();
    write_wav(folder.join(name), &Audio::from_mono(samples, 16_000).unwrap(), SampleFormat::I16).unwrap();
}

/// Recordings of two words that emoji show, in one voice, and of one that none shows.
fn recordings() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    word(folder.path(), "rocket.wav", [300.0, 900.0, 1500.0, 500.0, 900.0]);
    word(folder.path(), "ball.wav", [1500.0, 500.0, 300.0, 900.0, 300.0]);
    let items = [("rocket", "egypt_camel"), ("ball", "hat"), ("none", "qqq")].map(|(file, word)| {
        let file = if file == "none" { "ball" } else { file };
        serde_json::json!({"voice": "en", "word": word, "file": format!("{file}.wav")})
    });
    let index = serde_json::json!({"items": items});
    std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    folder
}

const SMALL: [&str; 16] = [
    "--units",
    "5",
    "--image-size",
    "32",
    "--grid",
    "2",
    "--hidden",
    "64",
    "--layer",
    "block4",
    "--batch",
    "4",
    "--lr",
    "0.005",
    "--seed",
    "1",
];

#[test]
fn a_speaker_is_trained_and_heard() {
    let folder = recordings();
    let run = |args: &[&str]| call(folder.path(), args);
    let made = ["pairs", "--sounds", "index.json", "--voice", "en", "--out", "set"];
    let (code, said, fault) = run(&made);
    assert_eq!(code, Some(0), "{fault}");
    assert!(said.starts_with("set: ") && said.ends_with(" of 2 words, 2 sounds\n"), "{said}");
    let (code, _, fault) = run(&made);
    assert!(code == Some(1) && fault.contains("holds a set"), "{fault}");

    let train = |out: &str, epochs: &str, more: &[&str]| {
        run(&[&["train", "--data", "set", "--out", out, "--epochs", epochs], &SMALL[..], more].concat())
    };
    let (code, said, fault) = train("run", "150", &["--patience", "150"]);
    assert_eq!(code, Some(0), "{fault}");
    assert!(said.starts_with("learned from ") && said.contains(" units; the speaker of epoch "), "{said}");

    let rocket = "set/images/1F42A-google.png";
    let (code, said, fault) = run(&["run", "run", rocket, "--out", "said", "--heatmap", "seen", "--json"]);
    assert_eq!(code, Some(0), "{fault}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let heard = read(folder.path().join("said/1F42A-google.wav")).unwrap();
    assert_eq!(heard.sample_rate(), 16_000);
    assert!((heard.seconds() - said[0]["seconds"].as_f64().unwrap()).abs() < 1e-9, "{said}");
    assert!((0.2..1.5).contains(&heard.seconds()), "{said}");
    assert!(!said[0]["units"].as_array().unwrap().is_empty(), "{said}");
    assert!(std::fs::read(folder.path().join("seen/1F42A-google.png")).unwrap().starts_with(b"\x89PNG"));
    let (code, _, fault) = run(&["run", "run", rocket, rocket, "--out", "twice"]);
    assert!(code == Some(1) && fault.contains("two pictures have this name"), "{fault}");

    // What it learned by heart it says better than a sound drawn at random.
    let (code, measured, fault) = run(&["eval", "run", "--data", "set", "--split", "train", "--json"]);
    assert_eq!(code, Some(0), "{fault}");
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    let rate = |name: &str| {
        let scores = measured["scores"].as_array().unwrap();
        scores.iter().find(|score| score["name"] == name).unwrap()["unit_error_rate"].as_f64().unwrap()
    };
    assert!(rate("speaker") < rate("random sound"), "{measured}");
    assert!(rate("true units, true durations") < 0.5, "{measured}");
    let (code, table, _) = run(&["eval", "run", "--data", "set", "--beam", "1"]);
    assert!(code == Some(0) && table.contains("unit error rate  recognised"), "{table}");

    for (out, epochs, more) in [("whole", "3", &[][..]), ("parts", "2", &[]), ("parts", "3", &["--resume"])] {
        let (code, _, fault) = train(out, epochs, more);
        assert_eq!(code, Some(0), "{out}: {fault}");
    }
    for file in ["decoder.safetensors", "units.safetensors"] {
        let read = |run: &str| std::fs::read(folder.path().join(run).join(file)).unwrap();
        assert!(read("whole") == read("parts"), "{file} of a resumed run differs");
    }

    for (again, words) in [
        (train("run", "2", &[]), "holds a finished run"),
        (train("new", "0", &[]), "epochs = 0"),
        (train("new1", "1", &["--longest", "1"]), "no caption of 1 to 1 words"),
    ] {
        assert_eq!(again.0, Some(1), "{words}");
        assert!(again.2.contains(words), "{}", again.2);
    }
}

#[test]
fn what_cannot_be_done_is_said_in_a_line() {
    let folder = recordings();
    std::fs::write(folder.path().join("list.json"), "[]").unwrap();
    std::fs::write(folder.path().join("few.json"), r#"{"items": [{"word": "qqq", "file": "ball.wav"}]}"#).unwrap();
    std::fs::create_dir(folder.path().join("bad")).unwrap();
    std::fs::write(folder.path().join("bad/pairs.jsonl"), r#"{"image": "a.png", "caption": "x"}"#).unwrap();
    for (args, words) in [
        (vec!["pairs", "--sounds", "none.json", "--out", "o"], vec!["none.json"]),
        (vec!["pairs", "--sounds", "list.json", "--out", "o"], vec!["list.json", "items"]),
        (vec!["pairs", "--sounds", "few.json", "--out", "o"], vec!["few.json", "no word is the name of an emoji"]),
        (vec!["pairs", "--sounds", "index.json", "--voice", "xx", "--out", "o"], vec!["--voice xx", "en"]),
        (vec!["train", "--data", "nowhere", "--out", "o"], vec!["nowhere"]),
        (vec!["train", "--data", "bad", "--out", "o"], vec!["pairs.jsonl", "line 1", "unknown field `caption`"]),
        (vec!["run", "nowhere", "ball.wav", "--out", "o"], vec!["nowhere", "units.json"]),
        (vec!["eval", "nowhere", "--data", "bad"], vec!["nowhere"]),
    ] {
        let (code, said, fault) = call(folder.path(), &args);
        assert_eq!(code, Some(1), "{args:?}");
        assert!(said.is_empty() && fault.lines().count() == 1, "{args:?}: {fault}");
        assert!(words.iter().all(|word| fault.contains(word)), "{args:?}: {fault}");
    }
}
