//! A joint embedding of pictures and words.
//!
//! Two towers, one for each modality, map their input to unit vectors of one space, where the cosine of a picture and
//! a text says how well they fit (Kiros et al. 2014, "Unifying Visual-Semantic Embeddings", §2; Faghri et al. 2018,
//! "VSE++"). From that one space come tagging, search in both directions and arithmetic:
//! `image − "man" + "woman"`.

pub mod arithmetic;
mod directions;
pub mod emoji;
pub mod evaluate;
pub mod features;
pub mod fit;
pub mod folds;
pub mod model;
pub mod pairs;
pub mod protocol;
pub mod ridge;
pub mod sgd;
pub mod space;
pub mod words;
