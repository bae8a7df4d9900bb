//! Pictures: decode them, resize them byte for byte as Pillow does, turn them into a network's input, and take class
//! names or feature maps from real encoders.
//!
//! - [`io`]: files to RGB and back, with limits, orientation and whole-file writes.
//! - [`resize`]: Pillow's filters, exact.
//! - [`transforms`]: crop and normalise; [`transforms::Preprocess`] is what a model wants done to its pictures.
//! - [`pool`]: adaptive average pooling.
//! - [`Encoder`]: [`resnet`], [`vgg`] and [`efficientnet`], with others' weights; [`FoldedEncoder`] for inference.
//! - [`pairs`]: data sets of pictures with words.
//! - [`grad_cam`]: what in a picture speaks for a class.

mod batch_norm;
mod cpu;
pub mod efficientnet;
mod encoder;
mod error;
mod fine_tuning;
mod folded;
pub mod grad_cam;
pub mod io;
mod layers;
pub mod pairs;
pub mod pool;
pub mod resize;
pub mod resnet;
pub mod transforms;
pub mod vgg;

pub use encoder::{Encoder, EncoderConfig};
pub use error::{Error, Result};
pub use fine_tuning::FrozenNorms;
pub use folded::FoldedEncoder;
