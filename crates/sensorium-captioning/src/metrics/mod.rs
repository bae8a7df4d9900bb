//! How well generated captions agree with people's: BLEU, ROUGE-L, CIDEr and METEOR, with the numbers of the COCO
//! caption evaluation code (`pycocoevalcap` 1.2).
//!
//! Every metric takes [`Example`]s whose captions are words separated by spaces.
//!
//! ```
//! use sensorium_captioning::metrics::{Example, bleu};
//!
//! let example = Example {
//!     id: "1".to_string(),
//!     references: vec!["a man rides a brown horse".to_string(), "the man is riding a horse".to_string()],
//!     hypothesis: "a man is riding a horse".to_string(),
//! };
//! let [bleu_1, ..] = bleu(&[example]);
//! assert!((bleu_1.corpus - 1.0).abs() < 1e-8);
//! ```

mod bleu;
mod cider;
mod error;
mod example;
mod json;
mod meteor;
mod ngram;
mod ptb;
mod read;
mod rouge;

pub use bleu::bleu;
pub use cider::{Cider, CiderIdReferences, CiderIds, CiderReferences, CiderVariant, cider, cider_d};
pub use error::Error;
pub use example::{Example, Score};
pub use meteor::Meteor;
pub use ptb::{coco_tokens_all, tokenize, tokenize_all, tokenized};
pub use read::{read_examples, read_hypotheses, read_references};
pub use rouge::rouge_l;
