//! Reading a finished index.

use std::fs::File;
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt;
use memmap2::Mmap;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sensorium_core::Error;

use super::format::{self, Dtype, HEADER_BYTES, IDS, IndexInfo, MANIFEST, Manifest, VECTORS};
use crate::Result;

/// A finished index: its vectors memory-mapped, its ids in memory.
///
/// Opening reads `ids.jsonl` and a few bytes of `vectors.bin`; the vectors come from the disk as a search touches them.
/// As long as it is open, no [`IndexWriter`](super::IndexWriter) can change the folder.
#[derive(Debug)]
pub struct Index {
    folder: PathBuf,
    manifest: Manifest,
    ids: Vec<String>,
    mapped: Mmap,
    /// Holds the lock.
    _vectors: File,
}

impl Index {
    /// Opens the index in `folder`.
    ///
    /// # Errors
    /// The folder holds no index, or one whose indexing was not finished; a file of it is damaged, or the three do not
    /// fit each other; a writer is at work on it.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        if !folder.join(MANIFEST).exists() {
            let reason = format!("it has no {MANIFEST}; make an index with `sensorium joint index`");
            return Err(Error::format(folder, "index", reason).into());
        }
        let path = folder.join(VECTORS);
        let vectors = File::open(&path).map_err(Error::io(&path, "read"))?;
        format::lock(&vectors, &path, File::try_lock_shared)?;
        let manifest = Manifest::read(folder)?;
        let Some(count) = manifest.count else {
            let reason = "the indexing has not come to its end; run `sensorium joint index` again to finish it";
            return Err(Error::format(folder, "finished index", reason).into());
        };
        let rows = check_size(&path, &vectors, &manifest.info, count)?;
        let mapped = format::map(&vectors, &path)?;
        manifest.info.check_header(&path, &mapped[..HEADER_BYTES])?;
        let ids = open_ids(&folder.join(IDS), rows)?;
        Ok(Self { folder: folder.to_path_buf(), manifest, ids, mapped, _vectors: vectors })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Length of a vector.
    pub fn dim(&self) -> usize {
        self.manifest.info.dim
    }

    /// What the rows have in common: the model and the encoder that made them, and how they are stored.
    pub fn info(&self) -> &IndexInfo {
        &self.manifest.info
    }

    /// The ids, in the order of the rows.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The first row that has this id. Looks through all of them.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|there| there == id)
    }

    /// A row's vector, `[dim]`.
    ///
    /// # Panics
    /// When `row` is not less than [`len`](Self::len).
    pub fn vector(&self, row: usize) -> Vec<f32> {
        let mut decoded = Vec::new();
        self.row(row, &mut decoded).to_vec()
    }

    /// The vectors of `count` distinct rows drawn at random, or of all where there are fewer: `[count, dim]`. The same
    /// seed draws the same rows.
    pub fn sample(&self, count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows = rand::seq::index::sample(&mut rng, self.len(), count.min(self.len()));
        rows.into_iter().flat_map(|row| self.vector(row)).collect()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// All rows where they lie in the mapped file, `[len, dim]`.
    pub(super) fn rows(&self) -> Rows<'_> {
        let bytes = &self.mapped[HEADER_BYTES..];
        // A mapping begins on a page and the header is 64 bytes, so that numbers are aligned.
        match self.manifest.info.dtype {
            Dtype::F32 => Rows::F32(bytemuck::cast_slice(bytes)),
            Dtype::F16 => Rows::F16(bytemuck::cast_slice(bytes)),
        }
    }

    /// One row as f32: in the mapped file itself, or by way of `decoded`.
    pub(super) fn row<'a>(&'a self, row: usize, decoded: &'a mut Vec<f32>) -> &'a [f32] {
        let numbers = row * self.dim()..(row + 1) * self.dim();
        match self.rows() {
            Rows::F32(rows) => &rows[numbers],
            Rows::F16(rows) => {
                decoded.resize(self.dim(), 0.0);
                rows[numbers].convert_to_f32_slice(decoded);
                decoded
            }
        }
    }
}

/// The vectors of an index as they are stored.
pub(super) enum Rows<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

fn check_size(path: &Path, vectors: &File, info: &IndexInfo, count: u64) -> Result<usize> {
    let bytes = vectors.metadata().map_err(Error::io(path, "read"))?.len();
    let wanted = count.checked_mul(info.row_bytes() as u64).and_then(|b| b.checked_add(HEADER_BYTES as u64));
    match usize::try_from(count) {
        Ok(rows) if wanted == Some(bytes) => Ok(rows),
        _ => {
            let reason = format!(
                "it has {bytes} bytes, which is not the {HEADER_BYTES} and {count} rows of {} that {MANIFEST} says; \
                 run `sensorium joint index` again to repair it",
                info.row_bytes()
            );
            Err(Error::format(path, "vector file", reason).into())
        }
    }
}

fn open_ids(path: &Path, rows: usize) -> Result<Vec<String>> {
    let read = format::read_ids(path, rows)?;
    let bytes = std::fs::metadata(path).map_err(Error::io(path, "read"))?.len();
    if read.ids.len() == rows && read.bytes == bytes {
        return Ok(read.ids);
    }
    let reason = format!(
        "it does not have the {rows} lines that {MANIFEST} says; run `sensorium joint index` again to repair it"
    );
    Err(Error::format(path, "list of ids", reason).into())
}
