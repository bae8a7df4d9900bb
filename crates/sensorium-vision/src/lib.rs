//! Pictures: decode them, resize them byte for byte as Pillow does, turn them into a network's input, and take class
//! names or feature maps from real encoders.
//!
//! - [`io`]: files to RGB and back, with limits, orientation and whole-file writes.
//! - [`resize`]: Pillow's filters, exact.
//! - [`transforms`]: crop and normalise; [`transforms::Preprocess`] is what a model wants done to its pictures.
//! - [`pool`]: adaptive average pooling.
//! - [`efficientnet`]: EfficientNet-Lite with its ImageNet weights.

pub mod efficientnet;
mod error;
pub mod io;
pub mod pool;
pub mod resize;
pub mod transforms;

pub use error::{Error, Result};
