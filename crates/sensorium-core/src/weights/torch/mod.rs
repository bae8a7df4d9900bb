//! What `torch.save` writes: pickled objects, and the storages their tensors view.
//!
//! The zip format (torch 1.6 and later) is an archive with the pickle in `NAME/data.pkl` and a file for each storage.
//! The legacy format is five pickles in a row (a magic number, the format's version, facts about the writing machine,
//! the objects, the storages' keys) and then the storages. Reference: `torch/serialization.py`, `torch/_utils.py` and
//! `torch/nn/modules/module.py` of torch 0.4 to 2.11.

mod objects;
#[cfg(test)]
mod tests;
mod value;
mod walk;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;

use super::pickle::{self, Graph, Object};
use super::tensor_map::from_file_bytes;
use super::{TensorMap, read_file, shown, strided, zip};
use crate::{Error, Result};
pub use value::Value;
use value::View;

const FORMAT: &str = "file of torch.save";

/// The number that begins a legacy file, as a pickled integer.
const LEGACY_MAGIC: [u8; 10] = *b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Whether the bytes begin as a file of torch does: as an archive or as a pickle.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    // A pickle begins with 0x80 and its protocol. So may the length at the start of a safetensors file, but there the
    // ninth byte opens a JSON object, and in a torch file it is part of a fixed number.
    zip::recognises(bytes) || matches!(bytes, [0x80, 2..=5, ..] if bytes.get(8) != Some(&b'{'))
}

/// A file of `torch.save`: its pickled objects and the storages of their tensors.
///
/// ```no_run
/// use sensorium_core::weights::TorchFile;
///
/// let file = TorchFile::read("BEST_checkpoint.pth.tar")?;
/// let epoch = file.root().get("epoch").and_then(|value| value.as_i64());
/// let decoder = file.root().get("decoder").expect("a decoder").tensors()?;
/// # Ok::<(), sensorium_core::Error>(())
/// ```
pub struct TorchFile {
    path: PathBuf,
    bytes: Vec<u8>,
    graph: Graph,
    /// Where each storage's bytes lie, by its key.
    storages: HashMap<String, Range<usize>>,
    big_endian: bool,
}

impl std::fmt::Debug for TorchFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TorchFile").field("path", &self.path).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl TorchFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is no file of `torch.save`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(path, read_file(path)?)
    }

    /// As [`read`](Self::read), for a file whose bytes are at hand. `source` is what error messages call it.
    ///
    /// # Errors
    /// [`Error::Format`] if it is no file of `torch.save`.
    pub fn parse(source: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Self> {
        let path = source.as_ref();
        let parts = if zip::recognises(&bytes) { Parts::of_zip(&bytes) } else { Parts::of_legacy(&bytes) };
        let Parts { graph, storages, big_endian } = parts.map_err(|reason| Error::format(path, FORMAT, reason))?;
        Ok(Self { path: path.to_path_buf(), bytes, graph, storages, big_endian })
    }

    /// The pickled object that the file holds: a state dict, or a dict of a training run's parts.
    pub fn root(&self) -> Value<'_> {
        Value::new(self, self.graph.root)
    }

    /// Every tensor in the file: [`Value::tensors`] of the root.
    ///
    /// # Errors
    /// As [`Value::tensors`].
    pub fn tensors(&self) -> Result<TensorMap> {
        self.root().tensors()
    }

    /// How many bytes the tensors taken out at once may have: tied weights and views make them more than the file has,
    /// but not many times more.
    fn budget(&self) -> usize {
        self.bytes.len().saturating_mul(4).saturating_add(1 << 23)
    }

    /// Takes `cost` bytes from the budget; `None` stands for more than can be counted.
    fn spend(&self, budget: &mut usize, cost: Option<usize>) -> Result<(), String> {
        let left = cost.and_then(|cost| budget.checked_sub(cost));
        *budget = left.ok_or_else(|| {
            format!(
                "with this, the file's objects come to more than {} bytes, from a file of {}: it repeats itself",
                self.budget(),
                self.bytes.len()
            )
        })?;
        Ok(())
    }

    fn copy(&self, view: &View) -> Result<TensorData, String> {
        let storage = &self.bytes[view.storage.clone()];
        let width = view.dtype.size();
        let mut bytes = strided::gather(storage, width, view.offset, &view.shape, &view.strides);
        if self.big_endian {
            bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        from_file_bytes(bytes, &view.shape, view.dtype)
    }

    fn error(&self, reason: String) -> Error {
        Error::format(&self.path, FORMAT, reason)
    }
}

/// The two containers, read alike.
struct Parts {
    graph: Graph,
    storages: HashMap<String, Range<usize>>,
    big_endian: bool,
}

impl Parts {
    fn of_zip(bytes: &[u8]) -> Result<Self, String> {
        let entries = zip::entries(bytes)?;
        let pickles = entries.iter().filter_map(|(name, place)| Some((name.strip_suffix("data.pkl")?, place)));
        let pickle = pickles.filter(|(folder, _)| folder.ends_with('/')).min_by_key(|(folder, _)| *folder);
        let Some((folder, pickle)) = pickle else {
            return Err("the archive holds no data.pkl: another program wrote it".to_string());
        };
        let byte_order = entries.get(&format!("{folder}byteorder")).map(|place| &bytes[place.clone()]);
        let big_endian = match byte_order {
            None | Some(b"little") => false,
            Some(b"big") => true,
            Some(_) => return Err("its byteorder is neither little nor big".to_string()),
        };
        let (graph, _) = pickle::run(&bytes[pickle.clone()], 0)?;
        let data = format!("{folder}data/");
        let storages =
            entries.iter().filter_map(|(name, place)| Some((name.strip_prefix(&data)?.to_string(), place.clone())));
        Ok(Self { storages: storages.collect(), graph, big_endian })
    }

    fn of_legacy(bytes: &[u8]) -> Result<Self, String> {
        let at = legacy_start(bytes)?;
        let (graph, at) = pickle::run(bytes, at)?;
        let (keys, at) = pickle::run(bytes, at)?;
        let storages = legacy_storages(bytes, at, &keys, &graph)?;
        Ok(Self { graph, storages, big_endian: false })
    }
}

/// Where the objects of a legacy file begin: behind its magic number, version and facts about the writing machine.
fn legacy_start(bytes: &[u8]) -> Result<usize, String> {
    let (magic, at) = pickle::run(bytes, 0)?;
    if !matches!(magic.get(magic.root), Object::Long(number) if **number == LEGACY_MAGIC) {
        return Err("it is a pickle of another program".to_string());
    }
    let (version, at) = pickle::run(bytes, at)?;
    if *version.get(version.root) != Object::Int(1001) {
        return Err("its version of the legacy format is not 1001, the only one known".to_string());
    }
    let (machine, at) = pickle::run(bytes, at)?;
    if machine.entry(machine.root, "little_endian").map(|id| machine.get(id)) == Some(&Object::Bool(false)) {
        return Err("a big-endian machine wrote it: load and save it with a torch of 1.6 or later".to_string());
    }
    Ok(at)
}

/// The storages of a legacy file lie behind each other in the order of `keys`, each after its count of elements.
fn legacy_storages(
    bytes: &[u8],
    mut at: usize,
    keys: &Graph,
    graph: &Graph,
) -> Result<HashMap<String, Range<usize>>, String> {
    let Object::List(keys_in_order) = keys.get(keys.root) else {
        return Err("its list of storages is not a list".to_string());
    };
    let persistent = graph.objects().iter().filter_map(|object| match object {
        Object::Persistent(name) => graph.storage(*name).ok(),
        _ => None,
    });
    let widths: HashMap<&str, usize> = persistent.map(|storage| (storage.key, storage.kind.width)).collect();
    let mut storages = HashMap::new();
    for key in keys_in_order {
        let key = keys.text(*key).ok_or("a storage's key is not a text")?;
        let width = widths.get(key).ok_or_else(|| format!("no tensor says what storage {} holds", shown(key)))?;
        let count = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u64::from_le_bytes);
        let start = at + 8;
        let end = count
            .and_then(|count| usize::try_from(count).ok())
            .and_then(|count| start.checked_add(count.checked_mul(*width)?))
            .filter(|end| *end <= bytes.len());
        let end = end
            .ok_or_else(|| format!("storage {} reaches past the end: the file is cut short or damaged", shown(key)))?;
        storages.insert(key.to_string(), start..end);
        at = end;
    }
    Ok(storages)
}
