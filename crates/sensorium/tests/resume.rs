//! Kill −9 in mid-training, then `--resume`: the same weights as an unbroken run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sensorium_fusion::joint::space::Space;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/samples")
}

/// `sensorium joint train` into `out`, with features kept under `folder`.
fn train(folder: &Path, out: &str, resume: bool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensorium"));
    command.current_dir(folder).env("SENSORIUM_CACHE", folder.join("cache")).args(["joint", "train", "--data"]);
    command
        .arg(samples().join("shapes"))
        .args(["--out", out, "--epochs", "300", "--batch", "16", "--dim", "64", "--seed", "3"]);
    command.args(["--image-size", "64", "--quiet"]).stdout(Stdio::null());
    if resume {
        command.arg("--resume");
    }
    command
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn a_killed_training_resumes_to_the_weights_of_an_unbroken_one() {
    let dir = tempfile::tempdir().unwrap();
    let whole = train(dir.path(), "whole", false).status().unwrap();
    assert!(whole.success());

    let mut broken = train(dir.path(), "broken", false).spawn().unwrap();
    let metrics = dir.path().join("broken/metrics.jsonl");
    let patience = Instant::now();
    while lines(&metrics) < 40 {
        assert!(patience.elapsed() < Duration::from_secs(120), "training does not get on");
        assert!(broken.try_wait().unwrap().is_none(), "training ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    // On Unix this is SIGKILL: nothing is cleaned up.
    broken.kill().unwrap();
    broken.wait().unwrap();
    assert!(!dir.path().join("broken/space.json").exists(), "it was killed before its end");

    let without = train(dir.path(), "broken", false).output().unwrap();
    assert_eq!(without.status.code(), Some(1), "a run is not overwritten by chance");
    assert!(String::from_utf8_lossy(&without.stderr).contains("resume"));

    let other = train(dir.path(), "broken", true).args(["--lr", "0.5"]).output().unwrap();
    assert_eq!(other.status.code(), Some(1), "a run is not resumed with other settings");
    assert!(String::from_utf8_lossy(&other.stderr).contains("learning_rate"));

    assert!(train(dir.path(), "broken", true).status().unwrap().success());
    let device = sensorium_core::device::parse("flex").unwrap();
    // The fingerprint covers every weight, bit for bit.
    let [whole, broken] =
        ["whole", "broken"].map(|run| Space::load(&dir.path().join(run), &device).unwrap().fingerprint());
    assert_eq!(whole, broken);
}

/// `sensorium text train` of the sample text, or of what comes from standard input.
fn train_words(folder: &Path, corpus: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensorium"));
    command.current_dir(folder).args(["text", "train"]).arg(corpus).args(["--out", out, "--epochs", "300", "--quiet"]);
    command.args(more).stdout(Stdio::null());
    command
}

/// Waits until `file` is there, and kills `running`, which must not have ended.
fn kill_after(file: &Path, mut running: Child) {
    let patience = Instant::now();
    while !file.exists() {
        assert!(patience.elapsed() < Duration::from_secs(120), "it does not get on");
        assert!(running.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn killed_word_vectors_resume_to_the_bytes_of_unbroken_ones() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = samples().join("text/kingdom.txt");
    assert!(train_words(dir.path(), &corpus, "whole.bin", &["--threads", "1"]).status().unwrap().success());

    let broken = train_words(dir.path(), &corpus, "broken.bin", &[]).spawn().unwrap();
    let partial = dir.path().join("broken.bin.partial");
    kill_after(&partial.join("checkpoint.safetensors"), broken);
    assert!(!dir.path().join("broken.bin").exists(), "it was killed before its end");

    for (more, word) in [(&[][..], "--resume"), (&["--resume", "--dim", "50"], "dim was 100 and is 50")] {
        let refused = train_words(dir.path(), &corpus, "broken.bin", more).output().unwrap();
        let message = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{message}");
        assert!(message.contains(word), "{message}");
    }

    let resume = ["--resume", "--threads", "2", "--deterministic"];
    assert!(train_words(dir.path(), &corpus, "broken.bin", &resume).status().unwrap().success());
    let [whole, broken] = ["whole.bin", "broken.bin"].map(|file| std::fs::read(dir.path().join(file)).unwrap());
    assert!(whole == broken, "the bytes differ");
    assert!(!partial.exists(), "nothing is left beside the vectors");
}

#[test]
fn a_text_whose_reading_was_killed_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = samples().join("text/kingdom.txt");
    assert!(train_words(dir.path(), &corpus, "whole.bin", &[]).status().unwrap().success());

    let stdin = Path::new("-");
    let mut broken = train_words(dir.path(), stdin, "broken.bin", &[]).stdin(Stdio::piped()).spawn().unwrap();
    // The pipe stays open: there is more to read.
    let mut pipe = broken.stdin.take().unwrap();
    pipe.write_all(b"the king and the").unwrap();
    kill_after(&dir.path().join("broken.bin.partial/words.u32"), broken);

    let text = std::fs::File::open(&corpus).unwrap();
    let resumed = train_words(dir.path(), stdin, "broken.bin", &["--resume"]).stdin(text).status().unwrap();
    assert!(resumed.success());
    let [whole, broken] = ["whole.bin", "broken.bin"].map(|file| std::fs::read(dir.path().join(file)).unwrap());
    assert!(whole == broken, "the bytes differ");
}
