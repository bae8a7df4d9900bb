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
//! Each modality is a feature (`audio`, `text`, `vision`, `fusion`, `captioning`), each backend another (`flex`, `ndarray`, `wgpu`, `vulkan`,
//! `metal`, `cuda`). The default brings all modalities with the command of the same name, a thin layer over these
//! crates; `default-features = false` leaves it and its dependencies out. The book explains both.

#[cfg(feature = "audio")]
pub use sensorium_audio as audio;
#[cfg(feature = "captioning")]
pub use sensorium_captioning as captioning;
pub use sensorium_core as core;
#[cfg(feature = "fusion")]
pub use sensorium_fusion as fusion;
#[cfg(feature = "text")]
pub use sensorium_text as text;
#[cfg(feature = "vision")]
pub use sensorium_vision as vision;
