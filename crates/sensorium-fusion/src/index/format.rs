//! The files of an index: names, header, `index.json`, the lines of `ids.jsonl`, locks, mapping and checksum.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use memmap2::Mmap;
use sensorium_core::Error;
use sensorium_core::files::write_atomic;
use serde::{Deserialize, Serialize};

use crate::Result;

pub(super) const MANIFEST: &str = "index.json";
pub(super) const VECTORS: &str = "vectors.bin";
pub(super) const IDS: &str = "ids.jsonl";
pub(super) const GRAPH: &str = "graph.bin";

pub(super) const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"SENSVECS";
const VERSION: u32 = 1;
const MAX_DIM: usize = 65_536;
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

const _: () = assert!(cfg!(target_endian = "little"), "rows are mapped as they lie in the file: little-endian");

/// How a vector's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 4 bytes a number, as computed.
    F32,
    /// 2 bytes a number: half the disk and the reading time; a unit vector's scores move by less than 0.001.
    F16,
}

impl Dtype {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    fn code(self) -> u32 {
        match self {
            Self::F32 => 1,
            Self::F16 => 2,
        }
    }
}

/// What every row of an index has in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexInfo {
    /// Length of a vector, 1 to 65,536.
    pub dim: usize,
    /// How the numbers are stored.
    pub dtype: Dtype,
    /// Fingerprint of the model that made the vectors: rows of two models are never mixed.
    pub model: String,
    /// Name of the image encoder under that model.
    pub encoder: String,
}

impl IndexInfo {
    pub(super) fn row_bytes(&self) -> usize {
        self.dim * self.dtype.bytes()
    }

    pub(super) fn validate(&self) -> Result<()> {
        if (1..=MAX_DIM).contains(&self.dim) {
            return Ok(());
        }
        Err(Error::config("dim", self.dim, format!("an index holds vectors of 1 to {MAX_DIM} numbers")).into())
    }

    pub(super) fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&self.dtype.code().to_le_bytes());
        header[16..24].copy_from_slice(&(self.dim as u64).to_le_bytes());
        header
    }

    /// Checks the first bytes of `vectors.bin` at `path` against what `index.json` says.
    pub(super) fn check_header(&self, path: &Path, header: &[u8]) -> Result<()> {
        if header == self.header() {
            return Ok(());
        }
        let reason = if header.starts_with(MAGIC) {
            format!(
                "its header does not say version {VERSION}, {:?}, dim {} as {MANIFEST} does; index the pictures again",
                self.dtype, self.dim
            )
        } else {
            "it does not begin with SENSVECS; index the pictures again".to_string()
        };
        Err(Error::format(path, "vector file", reason).into())
    }
}

/// `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    version: u32,
    #[serde(flatten)]
    pub(super) info: IndexInfo,
    pub(super) created_with: String,
    /// Rows, or none while the index is unfinished.
    pub(super) count: Option<u64>,
}

impl Manifest {
    const FORMAT: &str = "sensorium-index";

    pub(super) fn new(info: &IndexInfo) -> Self {
        Self {
            format: Self::FORMAT.to_string(),
            version: VERSION,
            info: info.clone(),
            created_with: concat!("sensorium ", env!("CARGO_PKG_VERSION")).to_string(),
            count: None,
        }
    }

    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let bad = |reason: String| Error::format(&path, "index description", reason);
        let mut text = String::new();
        let file = File::open(&path).map_err(Error::io(&path, "read"))?;
        file.take(MAX_MANIFEST_BYTES).read_to_string(&mut text).map_err(Error::io(&path, "read"))?;
        let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        if json["format"] != Self::FORMAT || json["version"] != VERSION {
            let (format, version) = (&json["format"], &json["version"]);
            let rule = format!("this program reads format \"{}\" version {VERSION}", Self::FORMAT);
            return Err(bad(format!("it says format {format} version {version}; {rule}")).into());
        }
        let manifest: Self = serde_json::from_value(json).map_err(|e| bad(e.to_string()))?;
        manifest.info.validate().map_err(|e| bad(e.to_string()))?;
        Ok(manifest)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).expect("strings and numbers");
        text.push('\n');
        Ok(write_atomic(folder.join(MANIFEST), text.as_bytes())?)
    }

    /// Stands for this state of the index in files that are made from it.
    pub(super) fn checksum(&self) -> u64 {
        checksum(&serde_json::to_vec(self).expect("strings and numbers"))
    }
}

/// One line of `ids.jsonl`.
#[derive(Serialize, Deserialize)]
struct IdLine<S> {
    id: S,
}

pub(super) fn push_id_line(lines: &mut Vec<u8>, id: &str) {
    serde_json::to_writer(&mut *lines, &IdLine { id }).expect("a string into memory");
    lines.push(b'\n');
}

/// The first rows' ids, and the bytes their lines fill.
pub(super) struct Ids {
    pub(super) ids: Vec<String>,
    pub(super) bytes: u64,
}

/// Reads at most `limit` whole lines of the `ids.jsonl` at `path`; a line without its `\n` is a torn tail.
pub(super) fn read_ids(path: &Path, limit: usize) -> Result<Ids> {
    let mut input = BufReader::new(File::open(path).map_err(Error::io(path, "read"))?);
    let mut read = Ids { ids: Vec::new(), bytes: 0 };
    let mut line = Vec::new();
    while read.ids.len() < limit {
        line.clear();
        let bytes = input.read_until(b'\n', &mut line).map_err(Error::io(path, "read"))?;
        if line.last() != Some(&b'\n') {
            break;
        }
        let parsed: IdLine<String> = serde_json::from_slice(&line).map_err(|e| {
            let reason = format!("line {}: {e}; index the pictures again", read.ids.len() + 1);
            Error::format(path, "list of ids", reason)
        })?;
        read.ids.push(parsed.id);
        read.bytes += bytes as u64;
    }
    Ok(read)
}

/// Holds a lock on `vectors.bin` until `file` is closed, so that nobody searches an index while it is written.
pub(super) fn lock(file: &File, path: &Path, try_lock: fn(&File) -> Result<(), TryLockError>) -> Result<()> {
    match try_lock(file) {
        Err(TryLockError::WouldBlock) => {
            let reason = "another program is using this index; wait until it is done";
            Err(Error::io(path, "lock")(std::io::Error::new(ErrorKind::WouldBlock, reason)).into())
        }
        // Some network file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Maps the whole of `file`.
pub(super) fn map(file: &File, path: &Path) -> Result<Mmap> {
    // SAFETY: the bytes must not change while mapped. This crate changes `vectors.bin` only under the lock that every
    // reader shares, and replaces `graph.bin` by renaming; any bytes at all are valid numbers. A foreign program that
    // truncates a file in use stops this one with a bus error, as with every memory-mapped file.
    #[allow(unsafe_code)]
    let mapped = unsafe { Mmap::map(file) };
    Ok(mapped.map_err(Error::io(path, "read"))?)
}

/// FNV-1a with 4-byte words in place of bytes, begun from the offset basis xor the length. Each step is a bijection of
/// the state, so a change within one word always changes the result. What is left at the end is one more word, filled up
/// with zeros.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |hash: u64, word: [u8; 4]| (hash ^ u64::from(u32::from_le_bytes(word))).wrapping_mul(PRIME);
    let (words, rest) = bytes.as_chunks::<4>();
    let hash = words.iter().fold(OFFSET_BASIS ^ bytes.len() as u64, |hash, word| step(hash, *word));
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    step(hash, last)
}
