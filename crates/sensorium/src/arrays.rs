//! Arrays of numbers in files: `.safetensors` or `.npy`, by the ending.

use std::path::Path;

use anyhow::{Result, ensure};
use burn::tensor::TensorData;
use sensorium_core::weights::{TensorMap, write_npy, write_safetensors};

/// That `out` ends in one of the two, before any work is done.
pub(crate) fn check_ending(out: &Path) -> Result<()> {
    let ending = out.extension().unwrap_or_default().to_string_lossy();
    ensure!(
        matches!(&*ending, "safetensors" | "npy"),
        "--out {}: the ending '{ending}' is not written: use .safetensors or .npy",
        out.display()
    );
    Ok(())
}

/// Writes numbers under `name` as safetensors, or without it as npy (format version 1.0), by the ending.
pub(crate) fn write_numbers(out: &Path, name: &str, numbers: Vec<f32>, shape: &[usize]) -> Result<()> {
    check_ending(out)?;
    if out.extension().is_some_and(|ending| ending == "safetensors") {
        let mut tensors = TensorMap::new(out);
        tensors.insert(name, TensorData::new(numbers, shape.to_vec()));
        return Ok(write_safetensors(out, &tensors)?);
    }
    Ok(write_npy(out, &numbers, shape)?)
}
