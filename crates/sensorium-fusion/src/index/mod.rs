//! Any number of embedded pictures on disk: unit vectors with ids, searched exactly or by HNSW.
//!
//! [`IndexWriter`] streams vectors into a folder and can be stopped at any moment, by `kill -9` too, and resumed.
//! [`Index`] memory-maps a finished folder and searches it exactly. [`Hnsw`] keeps a graph beside the vectors for
//! approximate search (Malkov and Yashunin 2016, arXiv:1603.09320) and measures its recall against the exact one.
//!
//! ```
//! use sensorium_fusion::index::{Dtype, Hnsw, HnswParams, Index, IndexInfo, IndexWriter};
//!
//! let dir = tempfile::tempdir().unwrap();
//! let info = IndexInfo { dim: 2, dtype: Dtype::F16, model: "9f3a".into(), encoder: "efficientnet-lite0".into() };
//! let (mut writer, already) = IndexWriter::create_or_resume(dir.path(), &info)?;
//! for (id, vector) in [("east.png", [1.0, 0.0]), ("north.png", [0.0, 1.0]), ("north-east.png", [0.6, 0.8])] {
//!     if !already.contains(id) {
//!         writer.append(id, &vector)?;
//!     }
//! }
//! writer.finish()?;
//!
//! let index = Index::open(dir.path())?;
//! let hits = index.search(&[1.0, 0.0], 2, &[]);
//! assert_eq!(hits[0][0].id, "east.png");
//! assert_eq!(hits[0][1].id, "north-east.png");
//!
//! let hnsw = Hnsw::build(&index, &HnswParams::default(), |_row| ())?;
//! assert_eq!(hnsw.search(&[1.0, 0.0], 1, 64, &[])[0].id, "east.png");
//! # Ok::<(), sensorium_fusion::Error>(())
//! ```
//!
//! # Files
//!
//! An index is a folder of three files, and a fourth once a graph has been built. Every number is little-endian.
//!
//! **`index.json`** is one JSON object, at most 1 MiB. Other keys are allowed and ignored.
//!
//! | key | value |
//! |---|---|
//! | `format` | `"sensorium-index"` |
//! | `version` | 1 |
//! | `dim` | length of a vector, 1 to 65,536 |
//! | `dtype` | `"f32"` or `"f16"` |
//! | `model` | fingerprint of the model that made the vectors |
//! | `encoder` | name of the image encoder under that model |
//! | `created_with` | the program and version that made the folder |
//! | `count` | rows, or `null` while the index is unfinished |
//!
//! **`vectors.bin`** is a header of 64 bytes and then one row after another, each `dim` numbers of `dtype`:
//!
//! | byte | content |
//! |---|---|
//! | 0 | magic, the 8 bytes `SENSVECS` |
//! | 8 | version, u32 = 1 |
//! | 12 | dtype, u32: 1 is f32, 2 is f16 |
//! | 16 | dim, u64 |
//! | 24 | zeros up to byte 64 |
//!
//! **`ids.jsonl`** has one line for each row, `{"id":"a/picture.png"}`, ended by `\n`. JSON escapes keep a newline in an
//! id off the line's end. Other keys of the object are allowed and ignored.
//!
//! **`graph.bin`** is the HNSW graph, as u32 words:
//!
//! | word | content |
//! |---|---|
//! | 0, 1 | magic, the 8 bytes `SENSHNSW` |
//! | 2 | version = 1 |
//! | 3 | number of levels, 0 where the index is empty |
//! | 4 | rows of the index |
//! | 5, 6 | `m` and `ef_construction` it was built with |
//! | 7 | entry row, where a search begins |
//! | 8, 9 | checksum of the `index.json` it was built for, u64 |
//! | 10 | 1 where it was built in parallel, else 0 |
//! | 11 to 15 | zeros |
//! | then, for each level from 0 up | `nodes`, `edges`; `nodes` rows in ascending order; `nodes + 1` offsets into the edges; `edges` rows |
//! | last two | checksum of all words before, u64 |
//!
//! Level 0 holds every row. The checksum is FNV-1a with words in place of bytes, begun from the 64-bit offset basis xor
//! the number of bytes, and ended with one more word: the bytes left over (here none), filled up with zeros. A change
//! within one word always shows. `index.json` enters it as its keys in the order above without white space.
//!
//! # What a kill leaves
//!
//! Rows go out in chunks: first a chunk's vectors, then, once these are on the disk, its ids. A row counts when both its
//! vector and its id's line are whole, so a torn tail is what lies past the last such row in either file, and resuming
//! cuts it off. `index.json` is replaced in one step, and it says `count` only after both files are complete. Growing a
//! finished index takes its `count` and its graph away first.

mod construct;
mod format;
mod graph;
mod hnsw;
mod reader;
mod search;
mod writer;

pub use format::{Dtype, IndexInfo};
pub use hnsw::{Hnsw, HnswParams};
pub use reader::Index;
pub use search::Hit;
pub use writer::IndexWriter;

#[cfg(test)]
mod tests;
