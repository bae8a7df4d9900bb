//! The one error type of this crate.

use std::path::PathBuf;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with pictures and weights from a user or a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Files, devices, weights.
    #[error(transparent)]
    Core(#[from] sensorium_core::Error),
    /// A picture's header promises more pixels than the limit. Nothing of its size was allocated.
    #[error(
        "{path}: {width} x {height} pixels, and the limit is {limit} in all: shrink the picture or raise the limit"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The largest product of the two that is read.
        limit: u64,
    },
    /// A picture that is damaged, cut off, or of a format that is not read.
    #[error("{path}: cannot decode the picture: {reason}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder found.
        reason: String,
    },
    /// A picture that cannot be written in the format its name asks for.
    #[error("{path}: cannot encode the picture: {reason}")]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        reason: String,
    },
    /// A folder in which no picture was found.
    #[error("{folder}: no picture in it or below it; the endings read are {endings}")]
    NoPictures {
        /// The folder.
        folder: PathBuf,
        /// The file name endings that were looked for.
        endings: String,
    },
    /// A data set of pairs that cannot be used as asked.
    #[error("{data}: {reason}")]
    Pairs {
        /// The folder or file.
        data: String,
        /// The rule broken, where, and what to write instead.
        reason: String,
    },
    /// A layer name that the network does not have.
    #[error("layer '{name}': the network has {known}")]
    Layer {
        /// The name as given.
        name: String,
        /// The names there are.
        known: String,
    },
}

impl Error {
    /// A data set that breaks a rule.
    pub(crate) fn pairs(data: impl std::fmt::Display, reason: impl Into<String>) -> Self {
        Self::Pairs { data: data.to_string(), reason: reason.into() }
    }
}
