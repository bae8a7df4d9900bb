//! Sensorium in one crate: each modality under its own name, all on one burn device.
//!
//! ```
//! use sensorium::core::device;
//! use sensorium::text::tokenizer::tokenize;
//!
//! let device = device::parse("flex")?;
//! assert_eq!(tokenize("A red heart"), ["a", "red", "heart"]);
//! # drop(device);
//! # Ok::<(), sensorium::core::Error>(())
//! ```
//!
//! The command of the same name is a thin layer over these crates; the book explains both.

pub use sensorium_core as core;
pub use sensorium_fusion as fusion;
pub use sensorium_text as text;
pub use sensorium_vision as vision;
