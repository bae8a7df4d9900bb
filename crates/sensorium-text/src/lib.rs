//! Words, from text to vectors.
//!
//! - [`tokenizer`]: text to words, in any script.
//! - [`vocab`]: words to numbers.
//! - [`glove`]: pretrained vectors of 40,000 English words, in the crate itself.
//! - [`vectors`]: word vectors in memory and in every common file format.
//! - [`word2vec`]: word vectors from a text.
//! - [`batch`]: lists of words of different lengths as one tensor.
//! - [`encoder`]: a list of words to one vector: bag of words, GRU, bidirectional LSTM.
//!
//! ```
//! use sensorium_text::batch::WordBatch;
//! use sensorium_text::encoder::{BagOfWordsConfig, WordVectorsConfig};
//! use sensorium_text::glove::Glove;
//! use sensorium_text::tokenizer::tokenize;
//! use sensorium_text::vocab::Vocab;
//!
//! let texts = ["A red heart", "a cat with heart-shaped eyes"].map(tokenize);
//! let vocab = Vocab::build(&texts, 1);
//! let device = sensorium_core::device::parse("flex")?;
//! let batch = WordBatch::new(&texts, &vocab, Some(Glove::bundled()), &device);
//!
//! let words = WordVectorsConfig::new(vocab.len(), 64).with_features(Some(Glove::DIM));
//! let encoder = BagOfWordsConfig::new(words).init(&device);
//! assert_eq!(encoder.forward(&batch).dims(), [2, 64]);
//! # Ok::<(), sensorium_core::Error>(())
//! ```

pub mod batch;
pub mod encoder;
mod error;
pub mod glove;
pub mod tokenizer;
pub mod vectors;
pub mod vocab;
pub mod word2vec;

pub use error::{Error, Result};
