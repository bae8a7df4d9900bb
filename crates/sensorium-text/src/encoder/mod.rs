//! A list of words to one vector.
//!
//! Each encoder turns words to vectors by [`WordVectors`] and those into one vector a text, `[batch, dim]`, which is
//! not normalised: `sensorium_core::loss::l2_normalize` does that.
//!
//! - [`BagOfWords`]: their mean or sum. It is linear in the words, so that differences of texts mean something:
//!   image − "man" + "woman".
//! - [`GruEncoder`]: the last state of a GRU, as in VSE++.
//! - [`BiLstmEncoder`]: the final states of a bidirectional LSTM, as im2recipe reads ingredients.

mod bag_of_words;
mod recurrent;
mod word_vectors;

pub use bag_of_words::{BagOfWords, BagOfWordsConfig, Pooling};
pub use recurrent::{BiLstmEncoder, BiLstmEncoderConfig, GruEncoder, GruEncoderConfig};
pub use word_vectors::{WordVectors, WordVectorsConfig};
