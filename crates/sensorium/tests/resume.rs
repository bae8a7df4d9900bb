//! Kill −9 in mid-training, then `--resume`: the same weights as an unbroken run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sensorium_fusion::joint::space::Space;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/samples/shapes")
}

/// `sensorium joint train` into `out`, with features kept under `folder`.
fn train(folder: &Path, out: &str, resume: bool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensorium"));
    let samples = samples();
    command.current_dir(folder).env("SENSORIUM_CACHE", folder.join("cache")).args(["joint", "train", "--data"]);
    command.arg(&samples).args(["--out", out, "--epochs", "300", "--batch", "16", "--dim", "64", "--seed", "3"]);
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
