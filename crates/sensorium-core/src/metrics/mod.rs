//! Retrieval and tagging measures, and exact search, on plain `f32` slices.
//!
//! - [`ranks`] and [`ranks_from_scores`]: where each query's gold item stands, in both directions, in one blocked
//!   parallel pass that never holds the whole score matrix; [`Ranks::retrieval`] sums them up as recalls.
//! - [`folded`]: the mean over folds of the gallery, as COCO's "1k" protocol asks for.
//! - [`hit_at_k`], [`map_over_images`], [`map_over_tags`]: tagging.
//! - [`TopK`]: the best items of a base of any size, block by block.
//!
//! Every rate here is a percentage, 0 to 100, as the field's tables print it. Scores are inner products and larger is
//! better: L2-normalise the embeddings first for cosine similarity.

mod gold;
mod product;
mod retrieval;
mod tagging;
mod top_k;

pub use gold::Gold;
pub use retrieval::{Ranks, Recall, Retrieval, Ties, folded, ranks, ranks_from_scores, recall_at};
pub use tagging::{average_precision, hit_at_k, map_over_images, map_over_tags};
pub use top_k::{Hit, TopK, top_k};
