//! From a picture to a sentence, written or spoken, and how good a sentence is.
//!
//! - [`Captioner`]: a picture in, a sentence out; [`import`]: those that others trained.
//! - [`attend`]: Show, Attend and Tell; [`show_and_tell`]: Show and Tell.
//! - [`fit`]: training on pictures with sentences.
//! - [`decode`]: beam search, diverse groups, greedy choice, sampling.
//! - [`loss`]: cross-entropy over captions, doubly stochastic attention.
//! - [`heat_map`]: where it looked, word by word.
//! - [`KnownPictures`]: the most similar known picture, whose caption is a baseline.
//! - [`WordMap`]: words and their numbers.
//! - [`scenes`]: made pictures whose truth is known.
//! - [`speak`]: spoken words for pictures, without text.
//! - [`metrics`]: the COCO caption metrics without Java.

pub mod attend;
pub mod captioner;
mod components;
pub mod decode;
mod error;
pub mod fit;
pub mod heat_map;
pub mod import;
pub mod loss;
pub mod metrics;
mod nearest;
mod practice;
pub mod scenes;
pub mod show_and_tell;
pub mod speak;
mod teacher;
mod word_map;

pub use captioner::Captioner;
pub use decode::{BeamSearch, Limits, Sampling};
pub use error::{Error, Result};
pub use nearest::KnownPictures;
pub use word_map::WordMap;
