//! The safetensors format: a JSON header and raw little-endian tensors.

use std::borrow::Cow;
use std::path::Path;

use ::safetensors::{Dtype, SafeTensors};
use burn::tensor::{BoolStore, DType, TensorData};

use super::tensor_map::from_file_bytes;
use super::{TensorMap, shown};
use crate::{Error, Result, files};

const FORMAT: &str = "safetensors file";

/// The tensors of a safetensors file whose bytes are at hand, such as one built into the program. `source` is what
/// error messages call it. To read from disk, use [`read`](super::read).
///
/// # Errors
/// [`Error::Format`] if the bytes are no safetensors file, or a tensor's number format has no place in burn (8-bit and
/// smaller floats, complex numbers).
pub fn parse_safetensors(source: impl AsRef<Path>, bytes: &[u8]) -> Result<TensorMap> {
    let source = source.as_ref();
    let fail = |reason: String| Error::format(source, FORMAT, reason);
    if !has_header(bytes) {
        return Err(Error::format(source, "weight file", unknown(bytes)));
    }
    let (header, about) = SafeTensors::read_metadata(bytes).map_err(|e| fail(shown(&e.to_string())))?;
    let data = &bytes[8 + header..];
    let mut map = TensorMap::new(source);
    map.metadata = about.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    for name in about.offset_keys() {
        let info = about.info(&name).ok_or_else(|| fail(format!("'{}' has no entry", shown(&name))))?;
        let dtype = dtype_of(info.dtype).ok_or_else(|| {
            let format = info.dtype;
            fail(format!("'{}' holds {format:?} numbers, which are not supported: save it as F16 or F32", shown(&name)))
        })?;
        let (start, end) = info.data_offsets;
        let tensor = from_file_bytes(data[start..end].to_vec(), &info.shape, dtype)
            .map_err(|reason| fail(format!("'{}': {reason}", shown(&name))))?;
        map.insert(name, tensor);
    }
    Ok(map)
}

/// Whether the file begins with a header's length and the brace of its JSON.
fn has_header(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

fn unknown(bytes: &[u8]) -> String {
    match bytes.get(..8) {
        _ if bytes.is_empty() => "it is empty".to_string(),
        Some(first) => {
            format!("it is neither safetensors nor written by torch.save or numpy.save (it begins with {first:02x?})")
        }
        None => format!(
            "it is neither safetensors nor written by torch.save or numpy.save (it has only {} bytes)",
            bytes.len()
        ),
    }
}

fn dtype_of(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}

/// Writes `tensors` and their metadata to `path`, whole or not at all. The same map always gives the same bytes.
///
/// For a file of half the size, give it `tensors.cast_floats(DType::F16)?`.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written; [`Error::Config`] if a tensor is called `__metadata__`, a name the
/// format keeps for itself.
///
/// # Panics
/// If a tensor is quantised: the format has no such numbers.
pub fn write_safetensors(path: impl AsRef<Path>, tensors: &TensorMap) -> Result<()> {
    // Wide numbers first, so that each tensor begins at a multiple of its number's width.
    let mut stored: Vec<(&str, Cow<TensorData>, &'static str)> = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors.iter() {
        let (tensor, dtype) = as_stored(name, tensor);
        stored.push((name, tensor, dtype));
    }
    stored.sort_by_key(|(_, tensor, _)| std::cmp::Reverse(tensor.dtype().size()));
    let header = header(tensors, &stored)?;
    files::write_atomic_with(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        stored.iter().try_for_each(|(_, tensor, _)| out.write_all(tensor.as_bytes()))
    })
}

fn header(tensors: &TensorMap, stored: &[(&str, Cow<TensorData>, &'static str)]) -> Result<Vec<u8>> {
    let mut entries = serde_json::Map::new();
    if !tensors.metadata.is_empty() {
        entries.insert("__metadata__".to_string(), serde_json::json!(tensors.metadata));
    }
    let mut start = 0;
    for (name, tensor, dtype) in stored {
        if *name == "__metadata__" {
            return Err(Error::config("tensor name", name, "safetensors keeps this name for itself: choose another"));
        }
        let end = start + tensor.as_bytes().len();
        let entry =
            serde_json::json!({"dtype": dtype, "shape": tensor.shape().as_slice(), "data_offsets": [start, end]});
        entries.insert(name.to_string(), entry);
        start = end;
    }
    let mut header = serde_json::Value::Object(entries).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// A tensor as the format stores it, and the format's name for its numbers.
fn as_stored<'t>(name: &str, tensor: &'t TensorData) -> (Cow<'t, TensorData>, &'static str) {
    let stored = match tensor.dtype() {
        DType::F64 => "F64",
        DType::F32 | DType::Flex32 => "F32",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I64 => "I64",
        DType::I32 => "I32",
        DType::I16 => "I16",
        DType::I8 => "I8",
        DType::U64 => "U64",
        DType::U32 => "U32",
        DType::U16 => "U16",
        DType::U8 => "U8",
        DType::Bool(_) => "BOOL",
        DType::QFloat(_) => panic!("'{name}' is quantised: dequantise it before writing it"),
    };
    match tensor.dtype() {
        DType::Bool(_) => (Cow::Owned(tensor.clone().convert_dtype(DType::Bool(BoolStore::Native))), stored),
        _ => (Cow::Borrowed(tensor), stored),
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::weights::read;

    fn every_format() -> TensorMap {
        let mut map = TensorMap::new("made here");
        map.metadata.insert("model".to_string(), "tiny".to_string());
        map.metadata.insert("about".to_string(), "\"quoted\" é".to_string());
        map.insert("z.bool", TensorData::from([true, false, true]));
        map.insert("f16", TensorData::from([f16::from_f32(0.5), f16::NEG_INFINITY]));
        map.insert("bf16", TensorData::from([bf16::from_f32(-2.0)]));
        map.insert("f32", TensorData::from([[1.0f32, f32::MIN_POSITIVE], [f32::INFINITY, -0.0]]));
        map.insert("f64", TensorData::from([std::f64::consts::PI]));
        map.insert("i8", TensorData::from([i8::MIN]));
        map.insert("i16", TensorData::from([i16::MIN, 5]));
        map.insert("i32", TensorData::from([i32::MIN]));
        map.insert("i64", TensorData::from([i64::MIN]));
        map.insert("u8", TensorData::from([u8::MAX]));
        map.insert("u16", TensorData::from([u16::MAX]));
        map.insert("u32", TensorData::from([u32::MAX]));
        map.insert("u64", TensorData::from([u64::MAX]));
        map.insert("empty", TensorData::new(Vec::<f32>::new(), [0, 4]));
        map.insert("scalar", TensorData::new(vec![3.5f32], Vec::<usize>::new()));
        map
    }

    /// The length that a file begins with may look like the start of a pickle.
    #[test]
    fn a_header_of_any_length_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let lengths = (0..900).map(|padding| {
            let mut map = TensorMap::new("made here");
            map.metadata.insert("about".to_string(), "x".repeat(padding));
            map.insert("one", TensorData::from([1.0f32]));
            write_safetensors(&path, &map).unwrap();
            assert_eq!(read(&path).unwrap().f32s("one").unwrap(), [1.0], "{padding}");
            std::fs::read(&path).unwrap()[..2].to_vec()
        });
        let lengths: Vec<_> = lengths.collect();
        assert!([[0x80, 0], [0x80, 2]].iter().all(|like| lengths.iter().any(|length| length == like)));
    }

    #[test]
    fn every_number_format_comes_back_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("all.safetensors");
        let written = every_format();
        write_safetensors(&path, &written).unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back.metadata, written.metadata);
        assert_eq!(back.len(), written.len());
        for (name, tensor) in written.iter() {
            assert_eq!(back.get(name), Some(tensor), "{name}");
        }
    }

    #[test]
    fn the_same_map_gives_the_same_bytes_and_each_tensor_is_aligned() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<_> = (0..2)
            .map(|i| {
                let path = dir.path().join(format!("{i}.safetensors"));
                write_safetensors(&path, &every_format()).unwrap();
                std::fs::read(path).unwrap()
            })
            .collect();
        assert_eq!(bytes[0], bytes[1]);
        let (header, about) = SafeTensors::read_metadata(&bytes[0]).unwrap();
        assert_eq!(header % 8, 0);
        for (name, info) in about.tensors() {
            assert_eq!(info.data_offsets.0 % (info.dtype.bitsize() / 8), 0, "{name}");
        }
    }

    #[test]
    fn a_reserved_name_is_refused() {
        let mut map = TensorMap::new("x");
        map.insert("__metadata__", TensorData::from([1.0f32]));
        let dir = tempfile::tempdir().unwrap();
        let error = write_safetensors(dir.path().join("x"), &map).unwrap_err().to_string();
        assert!(error.contains("__metadata__"), "{error}");
    }

    #[test]
    fn bytes_of_another_kind_are_named() {
        let check = |bytes: &[u8], part: &str| {
            let error = parse_safetensors("w.bin", bytes).unwrap_err().to_string();
            assert!(error.starts_with("w.bin: ") && error.contains(part), "{error}");
        };
        check(b"", "it is empty");
        check(b"abc", "only 3 bytes");
        check(b"\x89PNG\r\n\x1a\n........", "begins with [89, 50, 4e, 47");
        check(b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "safetensors");
        let f8 = br#"{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#;
        let file = [&(f8.len() as u64).to_le_bytes()[..], f8, b"x"].concat();
        check(&file, "'a' holds F8_E4M3 numbers");
    }
}
