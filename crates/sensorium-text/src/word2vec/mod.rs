//! word2vec: vectors of words from the company they keep.
//!
//! Mikolov et al. 2013, "Efficient Estimation of Word Representations in Vector Space" and "Distributed Representations
//! of Words and Phrases and their Compositionality". A [`CorpusBuilder`] reads a text into a [`Corpus`] on disk; a
//! [`Trainer`] learns from it. [`classic`] has word2vec.c's updates, one pair after the other.

mod checkpoint;
pub mod classic;
mod corpus;
mod counter;
mod engine;
pub mod huffman;
mod kernel;
mod lane;
mod pace;
mod phrases;
mod random;
mod reader;
mod settings;
mod source;
mod subwords;
mod table;
mod tensors;
mod trainer;
mod vocabulary;

pub use corpus::{Corpus, CorpusBuilder};
pub use phrases::{Phrase, Phrases};
pub use settings::{Model, Objective, Settings, Subwords, Updates};
pub use source::sentences;
pub use trainer::{Progress, Trainer};
pub use vocabulary::Vocabulary;
