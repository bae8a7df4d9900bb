//! NumPy's array files: numbers, or Python objects that hold arrays (`numpy.save` of a dict of weights).
//!
//! Reference: NumPy's `lib/format.py`, versions 1.0 to 3.0 of the format, and how `ndarray` and `dtype` pickle.

use std::path::Path;

use burn::tensor::{BoolStore, DType, TensorData};

use super::pickle::{self, Graph, Id, Instance, Object};
use super::tensor_map::from_file_bytes;
use super::{TensorMap, shown, strided};
use crate::{Error, Result, files};

const FORMAT: &str = "NumPy file";
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The name of an array that stands alone in its file.
const ALONE: &str = "array";
/// Dicts and lists in each other.
const MAX_DEPTH: usize = 100;

pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The arrays of a NumPy file whose bytes are at hand: see [`read`](super::read). `source` is what error messages call it.
pub(super) fn parse(source: &Path, bytes: &[u8]) -> Result<TensorMap> {
    let mut map = TensorMap::new(source);
    arrays(bytes, &mut map).map_err(|reason| Error::format(source, FORMAT, reason))?;
    Ok(map)
}

/// Writes an array of f32, version 1.0 of the format.
///
/// ```
/// use burn::tensor::TensorData;
/// use sensorium_core::weights;
///
/// let path = tempfile::tempdir()?.keep().join("x.npy");
/// weights::write_npy(&path, &[1.0, 2.0, 3.0], &[1, 3])?;
/// let array = weights::read(&path)?;
/// assert_eq!(array.get("array"), Some(&TensorData::from([[1.0f32, 2.0, 3.0]])));
/// # std::fs::remove_dir_all(path.parent().unwrap())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
///
/// # Panics
/// If `shape` has more axes than a header has room for (some thousands), or other numbers than `numbers`.
pub fn write_npy(path: impl AsRef<Path>, numbers: &[f32], shape: &[usize]) -> Result<()> {
    assert_eq!(Some(numbers.len()), strided::count(shape), "numbers of the shape {shape:?}");
    // A tuple of one has a comma, too.
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", sides.trim_end());
    // Ten bytes before the header and the line end after it make a multiple of 64.
    let length = (header.len() + 11).next_multiple_of(64) - 10;
    let length_bytes = u16::try_from(length).expect("a header of so many axes").to_le_bytes();
    files::write_atomic_with(path.as_ref(), |file| {
        file.write_all(MAGIC)?;
        file.write_all(b"\x01\x00")?;
        file.write_all(&length_bytes)?;
        writeln!(file, "{header:<width$}", width = length - 1)?;
        numbers.iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))
    })
}

fn arrays(bytes: &[u8], map: &mut TensorMap) -> Result<(), String> {
    let (header, data) = split(bytes)?;
    let Header { format, fortran, shape } = Header::parse(header)?;
    if format.object {
        let (graph, _) = pickle::run(data, 0)?;
        // Parts that are shared count again wherever they are.
        let budget = data.len().saturating_mul(4).saturating_add(1 << 23);
        return Walk { graph: &graph, map, budget }.run();
    }
    map.insert(ALONE, format.array(data, &shape, fortran)?);
    Ok(())
}

/// The header's text and what is behind it.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let cut = || "it is cut short within its header".to_string();
    let rest = bytes.get(MAGIC.len()..).ok_or_else(cut)?;
    let (length, begin) = match rest {
        [1, _, a, b, ..] => (u16::from_le_bytes([*a, *b]).into(), 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]), 6),
        [1..=3, ..] | [] => return Err(cut()),
        [version, ..] => return Err(format!("version {version} of the format is not known, 3 is the latest")),
    };
    let rest = &rest[begin..];
    let (header, data) = rest.split_at_checked(length as usize).ok_or_else(cut)?;
    Ok((std::str::from_utf8(header).map_err(|_| "its header is not UTF-8")?, data))
}

/// How an array's bytes are to be read.
struct Header {
    format: Format,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Of the text of a Python dict, `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("its header has no {what}: {}", shown(text.trim()));
        let after = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}'"))?;
            Some(rest.trim_start().strip_prefix(':')?.trim_start())
        };
        let format = after("descr").and_then(|rest| rest.strip_prefix('\'')?.split_once('\''));
        let (format, _) = format.ok_or_else(|| wrong("'descr' of plain numbers"))?;
        let order = after("fortran_order").ok_or_else(|| wrong("'fortran_order'"))?;
        let sides = after("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')'));
        let (sides, _) = sides.ok_or_else(|| wrong("'shape'"))?;
        // Python 2 wrote long integers as 3L.
        let sides = sides.split(',').map(|side| side.trim().trim_end_matches('L')).filter(|side| !side.is_empty());
        let shape: Result<Vec<usize>, _> = sides.map(str::parse).collect();
        Ok(Self {
            format: Format::parse(format)?,
            fortran: order.starts_with("True"),
            shape: shape.map_err(|_| wrong("'shape' of whole numbers"))?,
        })
    }
}

/// How one number is written.
#[derive(Debug, Clone, Copy)]
struct Format {
    dtype: DType,
    big_endian: bool,
    /// Python objects, not numbers.
    object: bool,
}

impl Format {
    /// Of `<f4`, `|u1`, `O`.
    fn parse(name: &str) -> Result<Self, String> {
        let big_endian = name.starts_with('>');
        let kind = name.trim_start_matches(['<', '>', '|', '=']);
        let (dtype, object) = match kind {
            "f2" => (DType::F16, false),
            "f4" => (DType::F32, false),
            "f8" => (DType::F64, false),
            "i1" => (DType::I8, false),
            "i2" => (DType::I16, false),
            "i4" => (DType::I32, false),
            "i8" => (DType::I64, false),
            "u1" => (DType::U8, false),
            "u2" => (DType::U16, false),
            "u4" => (DType::U32, false),
            "u8" => (DType::U64, false),
            "b1" => (DType::Bool(BoolStore::Native), false),
            "O" | "O8" | "O4" => (DType::U8, true),
            _ => return Err(format!("it holds numbers of the kind '{}', which are not supported", shown(name))),
        };
        Ok(Self { dtype, big_endian, object })
    }

    fn array(self, data: &[u8], shape: &[usize], fortran: bool) -> Result<TensorData, String> {
        let width = self.dtype.size();
        let count = strided::count(shape).ok_or("its shape has more numbers than can be counted")?;
        if data.len() / width < count {
            let has = data.len();
            return Err(format!("{count} numbers of {width} bytes are announced, {has} bytes are there"));
        }
        let mut bytes = if fortran {
            let strides = shape.iter().scan(1, |stride, side| Some(std::mem::replace(stride, *stride * side)));
            strided::gather(data, width, 0, shape, &strides.collect::<Vec<_>>())
        } else {
            data[..count * width].to_vec()
        };
        if self.big_endian {
            bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        from_file_bytes(bytes, shape, self.dtype)
    }
}

/// The way through pickled objects to their arrays. It follows no recursion, and each object looked at is paid for.
struct Walk<'a> {
    graph: &'a Graph,
    map: &'a mut TensorMap,
    budget: usize,
}

/// An object to be visited.
struct Pending {
    name: String,
    id: Id,
    depth: usize,
}

impl Walk<'_> {
    fn run(mut self) -> Result<(), String> {
        let mut pending = vec![Pending { name: String::new(), id: self.graph.root, depth: 0 }];
        while let Some(Pending { name, id, depth }) = pending.pop() {
            if depth == MAX_DEPTH {
                return Err(format!("its objects are more than {MAX_DEPTH} deep in each other, or one is in itself"));
            }
            self.spend(1)?;
            let waiting = pending.len();
            let inside: Vec<(String, Id)> = match self.graph.get(id) {
                Object::Dict(entries) => entries.iter().filter_map(|(key, x)| Some((self.part(*key)?, *x))).collect(),
                Object::List(all) | Object::Tuple(all) => numbered(all),
                Object::Instance(instance) if self.is_array(instance) => match self.state(instance)? {
                    State::Numbers { format, shape, fortran, bytes } => {
                        self.spend(bytes.len() + name.len())?;
                        let named = if name.is_empty() { ALONE } else { &name };
                        let array = format.array(&bytes, &shape, fortran);
                        self.map.insert(named, array.map_err(|reason| format!("'{}': {reason}", shown(named)))?);
                        vec![]
                    }
                    // An array of no axes is its only element.
                    State::Objects { shape, elements } if shape.is_empty() && elements.len() == 1 => {
                        pending.push(Pending { name, id: elements[0], depth: depth + 1 });
                        continue;
                    }
                    State::Objects { elements, .. } => numbered(elements),
                },
                _ => vec![],
            };
            for (part, id) in inside {
                self.spend(name.len() + part.len() + size_of::<Pending>())?;
                let dot = if name.is_empty() { "" } else { "." };
                pending.push(Pending { name: format!("{name}{dot}{part}"), id, depth: depth + 1 });
            }
            pending[waiting..].reverse();
        }
        Ok(())
    }

    fn spend(&mut self, cost: usize) -> Result<(), String> {
        let left = self.budget.checked_sub(cost);
        self.budget = left.ok_or("its objects come to many times more than the file: it repeats itself")?;
        Ok(())
    }

    /// A key as a part of a name.
    fn part(&self, key: Id) -> Option<String> {
        match self.graph.get(key) {
            Object::Text(text) => Some(text.to_string()),
            Object::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok(),
            Object::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn is_array(&self, instance: &Instance) -> bool {
        matches!(self.graph.get(instance.class), Object::Global(name) if name.ends_with(".multiarray._reconstruct"))
    }

    /// What an `ndarray` was told: version, shape, dtype, whether in Fortran's order, and its numbers or objects.
    fn state(&self, instance: &Instance) -> Result<State<'_>, String> {
        let tuple = |id: Id| match self.graph.get(id) {
            Object::Tuple(elements) => Some(elements.as_slice()),
            _ => None,
        };
        let parts = instance.state.and_then(tuple);
        let Some([_, shape, dtype, fortran, data]) = parts else {
            return Err("an array in it is not as NumPy writes one".to_string());
        };
        let side = |id: &Id| match self.graph.get(*id) {
            Object::Int(side) => usize::try_from(*side).ok(),
            _ => None,
        };
        let shape: Option<Vec<usize>> = tuple(*shape).and_then(|shape| shape.iter().map(side).collect());
        let shape = shape.ok_or("an array in it has no shape")?;
        let format = self.format(*dtype)?;
        if format.object {
            let Object::List(elements) = self.graph.get(*data) else {
                return Err("an array of objects in it has no list of them".to_string());
            };
            return Ok(State::Objects { shape, elements });
        }
        let bytes = self.bytes(*data).ok_or("an array in it has no bytes")?;
        let fortran = *self.graph.get(*fortran) == Object::Bool(true);
        Ok(State::Numbers { format, shape, fortran, bytes })
    }

    /// A `numpy.dtype`: its kind among the arguments, its byte order in the state.
    fn format(&self, id: Id) -> Result<Format, String> {
        let described = match self.graph.get(id) {
            Object::Instance(dtype) => match self.graph.get(dtype.arguments) {
                Object::Tuple(arguments) => arguments.first().and_then(|kind| self.part(*kind)).zip(Some(dtype.state)),
                _ => None,
            },
            _ => None,
        };
        let (kind, state) = described.ok_or("an array in it has no kind of numbers")?;
        let order = match state.map(|state| self.graph.get(state)) {
            Some(Object::Tuple(parts)) => parts.get(1).and_then(|order| self.part(*order)).unwrap_or_default(),
            _ => String::new(),
        };
        Format::parse(&format!("{order}{kind}"))
    }

    /// Bytes, as each protocol and Python 2 write them.
    fn bytes(&self, id: Id) -> Option<Vec<u8>> {
        match self.graph.get(id) {
            Object::Bytes(bytes) => Some(bytes.to_vec()),
            // Python 2 had no other strings. Where they happen to be UTF-8, they have become text.
            Object::Text(text) => Some(text.as_bytes().to_vec()),
            // Protocol 2 of Python 3: each byte as the character of that number.
            Object::Instance(call) if matches!(self.graph.get(call.class), Object::Global(name) if **name == *"_codecs.encode") =>
            {
                let Object::Tuple(arguments) = self.graph.get(call.arguments) else { return None };
                match self.graph.get(*arguments.first()?) {
                    Object::Text(text) => text.chars().map(|letter| u8::try_from(letter).ok()).collect(),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

enum State<'a> {
    Numbers { format: Format, shape: Vec<usize>, fortran: bool, bytes: Vec<u8> },
    Objects { shape: Vec<usize>, elements: &'a [Id] },
}

fn numbered(elements: &[Id]) -> Vec<(String, Id)> {
    elements.iter().enumerate().map(|(number, id)| (number.to_string(), *id)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::test_files::{Pickle, npy_file, npy_object_file};
    use super::*;

    fn array(header: &str, data: &[u8]) -> Result<TensorData> {
        Ok(parse(Path::new("x.npy"), &npy_file(header, data))?.get(ALONE).unwrap().clone())
    }

    #[test]
    fn a_written_header_is_numpys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        write_npy(&path, &[1.0, -2.0], &[1, 2, 1, 1]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!((bytes.len(), bytes[127]), (128 + 8, b'\n'));
        assert!(String::from_utf8_lossy(&bytes[10..127]).contains("'shape': (1, 2, 1, 1,)"));
        assert_eq!(bytes[128..132], 1.0_f32.to_le_bytes());
        assert_eq!(parse(&path, &bytes).unwrap().get(ALONE).unwrap().shape().as_slice(), [1, 2, 1, 1]);
    }

    #[test]
    fn arrays_of_every_order_are_read() {
        let header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }    \n";
        let data = [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0];
        let want = TensorData::from([[1i16, 2, 3], [4, 5, 6]]);
        assert_eq!(array(header, &data).unwrap(), want);
        assert_eq!(array(&header.replace("False", "True"), &[1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6, 0]).unwrap(), want);
        let big = [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6];
        assert_eq!(array(&header.replace('<', ">"), &big).unwrap(), want);
        let scalar = "{'descr': '|u1', 'fortran_order': False, 'shape': (), }\n";
        assert_eq!(array(scalar, &[7]).unwrap().shape().len(), 0);
        let old = "{'descr': '|b1', 'fortran_order': False, 'shape': (2L,), }\n";
        assert_eq!(array(old, &[0, 1]).unwrap(), TensorData::from([false, true]));
    }

    #[test]
    fn faults_are_named() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
        let fault = |header: &str, data: &[u8]| array(header, data).unwrap_err().to_string();
        assert!(fault(header, &[0; 20]).contains("6 numbers of 4 bytes are announced, 20 bytes are there"));
        assert!(fault(&header.replace("<f4", "<c8"), &[]).contains("'<c8', which are not supported"));
        assert!(fault(&header.replace("'<f4'", "[('a', '<f4')]"), &[]).contains("no 'descr' of plain numbers"));
        assert!(fault(&header.replace("2, 3", "4294967296, 4294967296"), &[]).contains("more numbers than"));
        assert!(fault(&header.replace("2, 3", "-1"), &[]).contains("'shape' of whole numbers"));
        assert!(fault("{}", &[]).contains("no 'descr'"));
        let version = b"\x93NUMPY\x09\x00\x01\x00";
        assert!(parse(Path::new("x.npy"), version).unwrap_err().to_string().contains("version 9"));
        assert!(parse(Path::new("x.npy"), &version[..6]).unwrap_err().to_string().contains("cut short"));
    }

    /// `numpy.save(file, {"conv1": {"weights": numpy.array([[1, 2]], "<f4")}, "steps": 3})` of NumPy 2, and the same dict
    /// with arrays as Python 2 and as protocol 2 of Python 3 write their bytes.
    #[test]
    fn arrays_in_dicts_are_found() {
        let numbers = b"\x00\x00\x80?\x00\x00\x00@";
        let of_python_2 = [b"U\x08".as_slice(), numbers].concat();
        let of_protocol_2 = b"c_codecs\nencode\nX\x09\0\0\0\0\0\xc2\x80?\0\0\0@X\x06\0\0\0latin1\x86R".to_vec();
        let of_protocol_4 = [b"C\x08".as_slice(), numbers].concat();
        for data in [of_python_2, of_protocol_2, of_protocol_4] {
            let bytes = npy_object_file(|pickle| {
                pickle.dict(|pickle| {
                    let conv1 = |pickle: Pickle| pickle.text("weights").ndarray("f4", &[1, 2], |p| p.raw(&data));
                    pickle.text("conv1").dict(conv1).text("steps").int(3)
                })
            });
            let map = parse(Path::new("x.npy"), &bytes).unwrap();
            assert_eq!(map.iter().collect::<Vec<_>>(), [("conv1.weights", &TensorData::from([[1.0f32, 2.0]]))]);
        }
    }
}
