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
}
