//! Arrays of numbers in files: `.safetensors` or `.npy`, by the ending.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::TensorData;
use sensorium_core::files::write_atomic_with;
use sensorium_core::weights::{TensorMap, write_safetensors};

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
    // A tuple of one has a comma, too.
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let dictionary = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", sides.trim_end());
    // Ten bytes before the dictionary and the line end after it make a multiple of 64.
    let length = (dictionary.len() + 11).next_multiple_of(64) - 10;
    let length_bytes = u16::try_from(length).context("the npy header is too long")?.to_le_bytes();
    write_atomic_with(out, |file| {
        file.write_all(b"\x93NUMPY\x01\x00")?;
        file.write_all(&length_bytes)?;
        writeln!(file, "{dictionary:<width$}", width = length - 1)?;
        numbers.iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npy_has_numpys_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        write_numbers(&path, "x", vec![1.0, -2.0], &[1, 2, 1, 1]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!((bytes.len(), bytes[127]), (128 + 8, b'\n'));
        assert!(String::from_utf8_lossy(&bytes[10..127]).contains("'shape': (1, 2, 1, 1,)"));
        assert_eq!(bytes[128..132], 1.0_f32.to_le_bytes());
    }
}
