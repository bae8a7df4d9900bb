//! Weights: read what others trained, put it into modules, keep checkpoints of one's own.
//!
//! - [`read`] gives every tensor of a file as a [`TensorMap`]; the format is told by the content: safetensors, what
//!   `torch.save` writes (the zip format, and the legacy one from before torch 1.6), be it a state dict or a dict of
//!   whole modules and optimisers, or what `numpy.save` writes of an array or a dict of arrays.
//! - [`TorchFile`] also reaches the other pickled values: the epoch, a score, the state of an optimiser.
//! - [`load_into`] puts a [`TensorMap`] in torch's names and layout into any burn module, and [`tensors_of`] is the way
//!   back. [`write_safetensors`] writes one.
//! - [`save_module`] and [`load_module`] keep a module in burn's own record format (burnpack, `.bpk`).
//!
//! No file is trusted. A pickle is read by a small machine that runs nothing: what it does not know stays an opaque
//! object. No length in a file is believed before the bytes are there, and no structure is followed by recursion.
//!
//! ```
//! use burn::nn::LinearConfig;
//! use sensorium_core::{device, weights};
//!
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("linear.safetensors");
//! let device = device::parse("flex")?;
//! let linear = LinearConfig::new(3, 2).init(&device);
//!
//! weights::write_safetensors(&path, &weights::tensors_of(&linear))?;
//! let tensors = weights::read(&path)?;
//! assert_eq!(tensors.get("weight").unwrap().shape().as_slice(), [2, 3]); // torch's [out, in]
//!
//! let same = weights::load_into(LinearConfig::new(3, 2).init(&device), &tensors, weights::Allow::NOTHING)?;
//! assert_eq!(same.weight.to_data(), linear.weight.to_data());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod module;
mod npy;
mod pickle;
mod record;
mod safetensors;
mod strided;
mod tensor_map;
mod torch;
mod zip;

use std::path::Path;

pub use module::{Allow, load_into, load_named, tensors_of};
pub use npy::write_npy;
pub use record::{load_module, save_module};
pub use safetensors::{parse_safetensors, write_safetensors};
pub use tensor_map::TensorMap;
pub use torch::{TorchFile, Value};

use crate::{Error, Result};

/// Every tensor of the file at `path`, by its dotted name, in the file's order.
///
/// A torch file may nest them: `{"encoder": module, "epoch": 3}` gives `encoder.conv1.weight` and so on, in the names
/// of each module's `state_dict`, and an optimiser's tensors as `optimizer.state.0.exp_avg`. Use [`TorchFile`] to pick
/// a part of it, and [`TensorMap::strip_prefix`] to pick a part of the result. The array of a NumPy file is called `array`;
/// where the file holds a dict, its arrays have the names of their keys.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is none of the known formats or breaks the rules
/// of its own.
pub fn read(path: impl AsRef<Path>) -> Result<TensorMap> {
    let path = path.as_ref();
    let bytes = read_file(path)?;
    match () {
        () if npy::recognises(&bytes) => npy::parse(path, &bytes),
        () if torch::recognises(&bytes) => TorchFile::parse(path, bytes)?.tensors(),
        () => parse_safetensors(path, &bytes),
    }
}

/// A text from a file, fit for a line of an error message: control characters escaped, and not too long.
fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// The whole of a plain file.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let fail = || Error::io(path, "read");
    let about = std::fs::metadata(path).map_err(fail())?;
    if !about.is_file() {
        return Err(fail()(std::io::Error::other("it is not a plain file")));
    }
    std::fs::read(path).map_err(fail())
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod test_files;
