//! Writing an index row by row, with nothing lost to a kill but the last chunk.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt;
use sensorium_core::Error;

use super::format::{self, Dtype, GRAPH, HEADER_BYTES, IDS, IndexInfo, MANIFEST, Manifest, VECTORS};
use crate::Result;

/// Rows kept in memory before they go out: what a kill can cost, and all the memory a writer takes.
const CHUNK_ROWS: usize = 256;

/// Appends unit vectors with ids to an index on disk, holding one chunk of 256 rows in memory.
///
/// A writer that is dropped before [`finish`](Self::finish) leaves an unfinished index, which
/// [`create_or_resume`](Self::create_or_resume) takes up again; its last rows, at most a chunk, are then missing.
#[derive(Debug)]
pub struct IndexWriter {
    folder: PathBuf,
    manifest: Manifest,
    vectors: Tail,
    ids: Tail,
    /// Rows on disk.
    written: u64,
    /// Rows that wait in the tails.
    pending: usize,
}

impl IndexWriter {
    /// Opens `folder` for appending: a new index, an unfinished one, or a finished one that is to grow. A torn tail left
    /// by a kill is cut back to the last whole row. Also gives the ids that are there already, for the caller to skip.
    ///
    /// # Errors
    /// The folder holds an index of another model, encoder, `dim` or `dtype`, or one that is damaged elsewhere than at
    /// its tail; another program is using it; it cannot be written; `info.dim` is out of range.
    pub fn create_or_resume(folder: impl AsRef<Path>, info: &IndexInfo) -> Result<(Self, HashSet<String>)> {
        let folder = folder.as_ref();
        info.validate()?;
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        if !folder.join(MANIFEST).exists() {
            refuse_foreign_files(folder)?;
            Manifest::new(info).write(folder)?;
        }
        let mut vectors = Tail::open(folder.join(VECTORS))?;
        format::lock(&vectors.file, &vectors.path, File::try_lock)?;
        let manifest = Manifest::read(folder)?;
        refuse_other_model(folder, &manifest.info, info)?;
        if vectors.end < HEADER_BYTES as u64 {
            vectors.cut(0)?;
            vectors.pending.extend(info.header());
            vectors.write_pending()?;
        }
        let mut header = [0; HEADER_BYTES];
        (&vectors.file).rewind().and_then(|()| (&vectors.file).read_exact(&mut header)).map_err(vectors.io("read"))?;
        info.check_header(&vectors.path, &header)?;

        let ids = Tail::open(folder.join(IDS))?;
        let row_bytes = info.row_bytes() as u64;
        let whole_vectors = (vectors.end - HEADER_BYTES as u64) / row_bytes;
        let whole = format::read_ids(&ids.path, usize::try_from(whole_vectors).unwrap_or(usize::MAX))?;
        let written = whole.ids.len() as u64;
        let vectors_end = HEADER_BYTES as u64 + written * row_bytes;
        let mut writer = Self { folder: folder.to_path_buf(), manifest, vectors, ids, written, pending: 0 };
        let torn = writer.vectors.end != vectors_end || writer.ids.end != whole.bytes;
        if torn || writer.manifest.count != Some(written) {
            writer.mark_unfinished()?;
            writer.vectors.cut(vectors_end)?;
            writer.ids.cut(whole.bytes)?;
        }
        Ok((writer, whole.ids.into_iter().collect()))
    }

    /// Adds a row. Ids should be distinct: a reader finds the first of equal ones.
    ///
    /// # Errors
    /// A number is not finite or the vector's length is not 1 within 0.01; the files cannot be written. The row is then
    /// not added, and the rows before it stand.
    ///
    /// # Panics
    /// When `vector` is not `[dim]`.
    pub fn append(&mut self, id: &str, vector: &[f32]) -> Result<()> {
        let IndexInfo { dim, dtype, .. } = self.manifest.info;
        assert_eq!(vector.len(), dim, "a row of this index has {dim} numbers");
        if !is_unit(vector) {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            let rule =
                format!("the embedding of '{id}' must be finite and of length 1; normalise it, or skip the picture");
            return Err(Error::config("length", length, rule).into());
        }
        if self.pending == CHUNK_ROWS {
            self.write_pending()?;
        }
        match dtype {
            Dtype::F32 => self.vectors.pending.extend_from_slice(bytemuck::cast_slice(vector)),
            Dtype::F16 => {
                let mut rounded = vec![f16::ZERO; vector.len()];
                rounded.convert_from_f32_slice(vector);
                self.vectors.pending.extend_from_slice(bytemuck::cast_slice(&rounded));
            }
        }
        format::push_id_line(&mut self.ids.pending, id);
        self.pending += 1;
        Ok(())
    }

    /// Writes what is left and marks the index as finished, so that it can be searched. Gives the number of rows.
    ///
    /// # Errors
    /// The files cannot be written; the index is then unfinished and can be resumed.
    pub fn finish(mut self) -> Result<u64> {
        self.write_pending()?;
        if self.manifest.count.is_none() {
            self.vectors.sync()?;
            self.ids.sync()?;
            self.manifest.count = Some(self.written);
            self.manifest.write(&self.folder)?;
        }
        Ok(self.written)
    }

    /// The order matters: a line of ids on the disk says that its vector is there too.
    fn write_pending(&mut self) -> Result<()> {
        if self.pending == 0 {
            return Ok(());
        }
        self.mark_unfinished()?;
        self.vectors.write_pending()?;
        self.vectors.sync()?;
        self.ids.write_pending()?;
        self.written += std::mem::take(&mut self.pending) as u64;
        Ok(())
    }

    /// What was made from the finished index goes first.
    fn mark_unfinished(&mut self) -> Result<()> {
        if self.manifest.count.take().is_none() {
            return Ok(());
        }
        remove_if_there(&self.folder.join(GRAPH))?;
        self.manifest.write(&self.folder)
    }
}

/// The end of a growing file, and what waits to be written there.
#[derive(Debug)]
struct Tail {
    file: File,
    path: PathBuf,
    end: u64,
    pending: Vec<u8>,
}

impl Tail {
    fn open(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(Error::io(&path, "write"))?;
        let end = file.metadata().map_err(Error::io(&path, "read"))?.len();
        Ok(Self { file, path, end, pending: Vec::new() })
    }

    fn io(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        Error::io(&self.path, action)
    }

    fn cut(&mut self, end: u64) -> Result<()> {
        self.file.set_len(end).map_err(self.io("write"))?;
        self.end = end;
        Ok(())
    }

    /// Writes at the known end, so that a write that failed half-way is repeated in the same place. A failure keeps what
    /// is pending.
    fn write_pending(&mut self) -> Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.end)).and_then(|_| file.write_all(&self.pending)).map_err(self.io("write"))?;
        self.end += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(self.file.sync_data().map_err(self.io("write"))?)
    }
}

/// Whether `vector` is finite and of length 1 within 0.01, far wider than rounding to f16.
pub(super) fn is_unit(vector: &[f32]) -> bool {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    (length - 1.0).abs() < 0.01
}

fn refuse_foreign_files(folder: &Path) -> Result<()> {
    for name in [VECTORS, IDS, GRAPH] {
        let path = folder.join(name);
        if path.exists() {
            let reason = format!("it lies there without {MANIFEST}; delete it or choose another folder");
            return Err(Error::format(path, "part of an index", reason).into());
        }
    }
    Ok(())
}

fn refuse_other_model(folder: &Path, there: &IndexInfo, asked: &IndexInfo) -> Result<()> {
    let refuse = |field: &str, there: &dyn std::fmt::Debug, asked: &dyn std::fmt::Debug| {
        let rule = format!(
            "the index in {} was made with {there:?}; choose another folder, or delete this one to index again",
            folder.display()
        );
        Err(Error::config(field, format!("{asked:?}"), rule).into())
    };
    if there.model != asked.model {
        return refuse("model", &there.model, &asked.model);
    }
    if there.encoder != asked.encoder {
        return refuse("encoder", &there.encoder, &asked.encoder);
    }
    if there.dim != asked.dim {
        return refuse("dim", &there.dim, &asked.dim);
    }
    if there.dtype != asked.dtype {
        return refuse("dtype", &there.dtype, &asked.dtype);
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, "write")(e).into()),
        _ => Ok(()),
    }
}
