//! The one error type of this crate.

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a picture and a sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, a setting, weights or training: see the core error.
    #[error(transparent)]
    Core(#[from] sensorium_core::Error),
    /// A sound.
    #[error(transparent)]
    Audio(#[from] sensorium_audio::Error),
    /// A picture or an image encoder.
    #[error(transparent)]
    Vision(#[from] sensorium_vision::Error),
}
