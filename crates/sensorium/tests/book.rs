//! Every command of the README and the book runs as it is written.
//!
//! The lines run page after page in one folder that has the book's samples, so that a line can use what an earlier
//! one wrote; a line that stands on two pages runs once. `cargo xtask tidy` refuses lines that this test would not run.
#![cfg(unix)]

#[path = "../../../xtask/src/tidy/commands.rs"]
mod commands;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root of the repository")
}

/// The pages in reading order: the README, then the chapters that the book's summary lists.
fn pages() -> Vec<PathBuf> {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).expect("docs/SUMMARY.md");
    let chapters = summary.lines().filter_map(|line| line.split_once("](")?.1.strip_suffix(')'));
    let chapters = chapters.map(|chapter| Path::new("docs").join(chapter));
    std::iter::once(PathBuf::from("README.md")).chain(chapters).collect()
}

/// Runs a shell line in `folder`, with the program of this build as `sensorium` and a cache of its own.
fn run(line: &str, folder: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_sensorium"));
    let path = format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").expect("PATH"));
    Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", path)
        .env("SENSORIUM_CACHE", folder.join("cache"))
        .output()
        .expect("a shell")
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a new folder");
    for entry in std::fs::read_dir(from).expect("a folder to copy") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("a copy");
        }
    }
}

#[test]
fn every_command_of_the_book_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    for samples in ["docs/samples", "crates/sensorium-text/assets"] {
        copy_folder(&root().join(samples), &folder.path().join(samples));
    }
    let mut ran = HashSet::new();
    for page in pages() {
        let text = std::fs::read_to_string(root().join(&page)).expect("a page");
        for (number, line) in commands::lines(&text) {
            let Some(commands::Command::Sensorium(line)) = commands::parse(&line) else { continue };
            if !ran.insert(line.clone()) {
                continue;
            }
            let start = Instant::now();
            let output = run(&line, folder.path());
            let place = format!("{}:{number}: {line}", page.display());
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{place}\n{}\n{stderr}", output.status);
            println!("{:>6.1} s  {place}", start.elapsed().as_secs_f64());
        }
    }
    assert!(!ran.is_empty(), "no command found");
    let report = std::fs::read_to_string(folder.path().join("out/demo/report.html")).expect("the demo's report");
    assert!(report.contains("</html>"), "the report is one whole page");
}
