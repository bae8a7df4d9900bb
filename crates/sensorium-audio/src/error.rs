//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with sounds, settings and weights from a user or a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Files, formats, settings, devices and weights, as everywhere in Sensorium.
    #[error(transparent)]
    Core(#[from] sensorium_core::Error),
    /// A sound that a transform or a model cannot take.
    #[error("signal: {reason}")]
    Signal {
        /// What is wrong with it, and what would do.
        reason: String,
    },
    /// A kind of sound file that this build does not read.
    #[error("{path}: {format} is read by builds with the feature 'symphonia'; this one reads WAV")]
    NotBuilt {
        /// The file.
        path: PathBuf,
        /// What it is.
        format: &'static str,
    },
}

impl Error {
    pub(crate) fn config(field: impl Into<String>, value: impl std::fmt::Display, rule: impl Into<String>) -> Self {
        sensorium_core::Error::config(field, value, rule).into()
    }

    pub(crate) fn format(path: &Path, format: &'static str, reason: impl Into<String>) -> Self {
        sensorium_core::Error::format(path, format, reason).into()
    }

    pub(crate) fn signal(reason: impl Into<String>) -> Self {
        Self::Signal { reason: reason.into() }
    }
}
