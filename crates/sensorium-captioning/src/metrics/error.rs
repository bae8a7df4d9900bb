//! Why captions or a metric's data could not be read.

use std::path::PathBuf;

/// Why captions or a metric's data could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The field, the rule it broke, the value found and what to do.
        reason: String,
    },
    /// References and hypotheses are not about the same images.
    #[error("{reason}")]
    Mismatch {
        /// Which images, on which side, and what to do.
        reason: String,
    },
}
