//! How well generated captions agree with people's: BLEU, ROUGE-L and CIDEr, with the numbers of the COCO caption
//! evaluation code (`pycocoevalcap` 1.2).
//!
//! Every metric takes [`Example`]s whose captions are words separated by spaces. The published numbers are those of
//! tokenized captions: [`tokenized`] does what the evaluation code does before it counts.
//!
//! ```ignore
//! let examples = tokenized(&read_examples("references.json".as_ref(), "captions.json".as_ref())?);
//! let [_, _, _, bleu_4] = bleu(&examples);
//! println!("BLEU-4 {:.4}  CIDEr {:.4}", bleu_4.corpus, cider_d(&examples).corpus);
//! ```

mod bleu;
mod cider;
mod error;
mod example;
mod ngram;
mod rouge;

pub use bleu::bleu;
pub use cider::{Cider, CiderIds, CiderReferences, CiderVariant, cider, cider_d};
pub use error::Error;
pub use example::{Example, Score};
pub use rouge::rouge_l;
