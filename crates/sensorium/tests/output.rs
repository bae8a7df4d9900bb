//! What the command prints, as a user sees it. After a wanted change: `INSTA_UPDATE=always cargo nextest run`, and look
//! at the difference.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

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
    let verbs: [&[&str]; 13] = [
        &[],
        &["demo"],
        &["devices"],
        &["joint"],
        &["joint", "train"],
        &["joint", "eval"],
        &["joint", "index"],
        &["joint", "search"],
        &["joint", "tag"],
        &["joint", "arithmetic"],
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
fn a_space_learned_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let data = samples().join("shapes");
    let data = data.to_str().unwrap();
    let learned = output(folder.path(), &["joint", "train", "--data", data, "--out", "run", "--solver", "ridge"]);
    let measured = output(folder.path(), &["joint", "eval", "run", "--data", data, "--split", "test"]);
    insta::assert_snapshot!(form(&format!("{learned}\n{measured}")));
}
