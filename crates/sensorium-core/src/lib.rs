//! The floor of Sensorium: what every modality crate shares.
//!
//! - [`device`]: choose a backend by name; models take a `&Device` and run on any of them.
//! - [`nn`]: layers that burn lacks, in torch's weight layout.
//! - [`loss`]: metric-learning losses.
//! - [`metrics`]: retrieval and tagging measures.
//! - [`weights`]: read safetensors and torch files, put them into modules, keep checkpoints.
//! - [`files`]: whole-file writes.
//! - [`simd`]: what vector kernels share.
#![cfg_attr(feature = "train", doc = "- [`train`]: training with checkpoints and exact resume.")]
#![cfg_attr(feature = "draw", doc = "- [`draw`]: charts, maps, contact sheets, heat maps, the HTML report.")]

pub mod device;
#[cfg(feature = "draw")]
pub mod draw;
mod error;
pub mod files;
pub mod loss;
pub mod metrics;
pub mod nn;
pub mod simd;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "train")]
pub mod train;
pub mod weights;

pub use error::{Error, Result};
