//! The one error type of this crate.

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with input from a user or a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Files, formats and settings, as everywhere in Sensorium.
    #[error(transparent)]
    Core(#[from] sensorium_core::Error),
}
