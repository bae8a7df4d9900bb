//! The one error type of this crate, and the shape every message follows.

use std::path::{Path, PathBuf};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with input from a user or a file.
///
/// Each message names the file or field, the rule that was broken, the value found, and what to do about it.
/// A caller's wrong tensor shape is a bug in the program and panics instead, as each `# Panics` says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a read or a write.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `read`, `write`, `create`, `list`.
        action: &'static str,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// A file's bytes break the rules of its format.
    #[error("{path}: not a valid {format}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that was expected, in words.
        format: &'static str,
        /// The rule broken and the value found.
        reason: String,
    },
    /// A setting is outside its range.
    #[error("{field} = {value}: {rule}")]
    Config {
        /// The name of the setting.
        field: String,
        /// Its value.
        value: String,
        /// The rule it breaks and what to write instead.
        rule: String,
    },
    /// A device name that is unknown, not built in, or not present.
    #[error("device '{name}': {reason}")]
    Device {
        /// The name as given.
        name: String,
        /// Why it cannot be used and what can.
        reason: String,
    },
    /// Tensors in a file and parameters of a model do not fit each other.
    #[error("{path}: weights do not fit the model: {reason}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// The keys at fault, with shapes.
        reason: String,
    },
    /// Training stopped because a number left the finite range, or a run folder is unusable.
    #[error("training: {reason}")]
    Train {
        /// What happened, where, and what to change.
        reason: String,
    },
}

impl Error {
    /// For `map_err` on an [`std::io::Error`] met while doing `action` (a verb) to `path`.
    pub fn io(path: impl AsRef<Path>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// A file that breaks its `format`'s rules.
    pub fn format(path: impl AsRef<Path>, format: &'static str, reason: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), format, reason: reason.into() }
    }

    /// A setting outside its range.
    pub fn config(field: impl Into<String>, value: impl std::fmt::Display, rule: impl Into<String>) -> Self {
        Self::Config { field: field.into(), value: value.to_string(), rule: rule.into() }
    }
}
