//! Sounds told apart by a network that learned it from recordings: words, instruments, birds.
//!
//! - [`recordings`]: a folder of recordings with a folder for each class, split so that no speaker is on two sides.
//! - [`network`]: a convolutional network over mel bands, and SoundNet with a new last layer.
//! - [`mod@fit`] trains.
//! - [`Classifier`]: what comes out: it is saved, loaded, measured and asked.

mod classifier;
pub mod fit;
mod input;
pub mod network;
pub mod recordings;

pub use classifier::{Classifier, Evaluation, Guess};
pub use input::InputConfig;
