//! The files of the repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The repository's files: paths from its root, with `/`. Sources and documents (`.rs`, `.md`) come with their text.
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// All files that git tracks or would track.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let output = Command::new("git").args(listing).current_dir(root).output().context("git ls-files")?;
        if !output.status.success() {
            bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
        }
        let listed = String::from_utf8(output.stdout).context("a file name that is not UTF-8")?;
        let present = listed.split_terminator('\0').filter(|path| root.join(path).is_file());
        let with_text = present.map(|path| {
            let is_text = path.ends_with(".rs") || path.ends_with(".md");
            let text = if is_text {
                std::fs::read_to_string(root.join(path)).context(path.to_string())?
            } else {
                String::new()
            };
            Ok((path.to_string(), text))
        });
        Ok(Self { files: with_text.collect::<Result<_>>()? })
    }

    /// A small tree for the tests of the rules.
    #[cfg(test)]
    pub(crate) fn made(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect() }
    }

    /// The paths of all files, in order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The path and the text of every file whose name ends in `extension`.
    pub(crate) fn texts(&self, extension: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(extension))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of one source or document.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether `path` is a file or a folder with files.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || path.is_empty() || self.files.keys().any(|file| file.starts_with(&folder))
    }
}
