//! The one error type of this crate.

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a user's pairs and a searchable space.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, a setting, weights or training: see the core error.
    #[error(transparent)]
    Core(#[from] sensorium_core::Error),
    /// Text: a tokenizer, a vocabulary or word vectors.
    #[error(transparent)]
    Text(#[from] sensorium_text::Error),
    /// A picture or an image encoder.
    #[error(transparent)]
    Vision(#[from] sensorium_vision::Error),
    /// A data set of pairs that cannot be used as asked.
    #[error("{data}: {reason}")]
    Pairs {
        /// The folder, file or bundled set.
        data: String,
        /// The rule broken, where, and what to write instead.
        reason: String,
    },
}

impl Error {
    /// A data set that breaks a rule.
    pub(crate) fn pairs(data: impl std::fmt::Display, reason: impl Into<String>) -> Self {
        Self::Pairs { data: data.to_string(), reason: reason.into() }
    }
}
