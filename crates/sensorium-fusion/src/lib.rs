//! Modalities brought into one space.
//!
//! - [`joint`]: a joint embedding of pictures and words: train, evaluate, tag, search both ways, do arithmetic.
//! - [`index`]: any number of embedded pictures on disk, searched exactly or by HNSW.

mod error;
pub mod index;
pub mod joint;

pub use error::{Error, Result};
