//! Tensors by name, as files hold them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::{BoolStore, DType, TensorData};

use super::shown;
use crate::{Error, Result};

/// Named tensors in a fixed order, each in the number format it was stored in, with the name of the file they are from.
#[derive(Debug, Clone, Default)]
pub struct TensorMap {
    source: PathBuf,
    /// Free text stored beside the tensors: the `__metadata__` of a safetensors file.
    pub metadata: BTreeMap<String, String>,
    tensors: Vec<(String, TensorData)>,
    places: HashMap<String, usize>,
}

impl TensorMap {
    /// An empty map. `source` is what error messages call it, mostly the path of a file.
    pub fn new(source: impl AsRef<Path>) -> Self {
        Self { source: source.as_ref().to_path_buf(), ..Self::default() }
    }

    /// The file that the tensors are from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Adds a tensor at the end; one of the same name is replaced in its place.
    pub fn insert(&mut self, name: impl Into<String>, tensor: TensorData) {
        let name = name.into();
        match self.places.get(&name) {
            Some(place) => self.tensors[*place].1 = tensor,
            None => {
                self.places.insert(name.clone(), self.tensors.len());
                self.tensors.push((name, tensor));
            }
        }
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&TensorData> {
        self.places.get(name).map(|place| &self.tensors[*place].1)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|(name, _)| name.as_str())
    }

    /// The names and tensors, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorData)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The numbers of the tensor called `name` as f32, in row-major order.
    ///
    /// # Errors
    /// [`Error::Weights`] if there is no such tensor, or it holds booleans or packed quantised values.
    pub fn f32s(&self, name: &str) -> Result<Vec<f32>> {
        let fail = |reason| Error::Weights { path: self.source.clone(), reason };
        let tensor = self.get(name).ok_or_else(|| fail(format!("no tensor is called '{name}'")))?;
        match NumberKind::of(tensor.dtype()) {
            Some(NumberKind::Float | NumberKind::Int) => {
                tensor.try_to_vec_as::<f32>().map_err(|e| fail(format!("'{name}' does not become f32: {e}")))
            }
            _ => Err(fail(format!("'{name}' holds {:?}, not numbers", tensor.dtype()))),
        }
    }

    /// Keeps the tensors whose name `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.tensors.retain(|(name, _)| keep(name));
        self.places = places(&self.tensors);
    }

    /// The tensors whose names begin with `prefix`, without it.
    pub fn strip_prefix(mut self, prefix: &str) -> Self {
        self.tensors.retain_mut(|(name, _)| match name.strip_prefix(prefix) {
            Some(rest) => {
                *name = rest.to_string();
                true
            }
            None => false,
        });
        self.places = places(&self.tensors);
        self
    }

    /// The tensors under the names `name_for` gives them; those it gives none are left out.
    ///
    /// # Errors
    /// [`Error::Weights`] if two tensors would get one name.
    pub fn rename(mut self, mut name_for: impl FnMut(&str) -> Option<String>) -> Result<Self> {
        let mut renamed = Self { source: std::mem::take(&mut self.source), metadata: self.metadata, ..Self::default() };
        for (old, tensor) in self.tensors {
            let Some(new) = name_for(&old) else { continue };
            if renamed.places.contains_key(&new) {
                let reason = format!("'{}' and another tensor would both be called '{}'", shown(&old), shown(&new));
                return Err(Error::Weights { path: renamed.source, reason });
            }
            renamed.insert(new, tensor);
        }
        Ok(renamed)
    }

    /// The tensors with every floating-point one stored as `dtype`: [`DType::F16`] halves a file.
    ///
    /// # Errors
    /// [`Error::Weights`] if a finite number is too large for `dtype`.
    pub fn cast_floats(mut self, dtype: DType) -> Result<Self> {
        for (name, tensor) in &mut self.tensors {
            if NumberKind::of(tensor.dtype()) != Some(NumberKind::Float) || tensor.dtype() == dtype {
                continue;
            }
            let cast = tensor.clone().convert_dtype(dtype);
            let overflow =
                tensor.iter::<f64>().zip(cast.iter::<f64>()).find(|(old, new)| old.is_finite() != new.is_finite());
            if let Some((value, _)) = overflow {
                let reason = format!("'{}' holds {value}, which is too large for {dtype:?}", shown(name));
                return Err(Error::Weights { path: self.source, reason });
            }
            *tensor = cast;
        }
        Ok(self)
    }
}

fn places(tensors: &[(String, TensorData)]) -> HashMap<String, usize> {
    tensors.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect()
}

/// The three kinds of tensor that burn tells apart by type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberKind {
    Float,
    Int,
    Bool,
}

impl NumberKind {
    /// The kind of a stored format, `None` for quantised ones.
    pub(super) fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F64 | DType::F32 | DType::Flex32 | DType::F16 | DType::BF16 => Some(Self::Float),
            DType::I64 | DType::I32 | DType::I16 | DType::I8 => Some(Self::Int),
            DType::U64 | DType::U32 | DType::U16 | DType::U8 => Some(Self::Int),
            DType::Bool(_) => Some(Self::Bool),
            DType::QFloat(_) => None,
        }
    }
}

/// Tensor data from a file's bytes: `Err` says how many bytes the shape needs. Any non-zero boolean is read as true,
/// so that bytes that Rust's `bool` forbids never get further.
pub(super) fn from_file_bytes(bytes: Vec<u8>, shape: &[usize], dtype: DType) -> Result<TensorData, String> {
    let (bytes, dtype) = match dtype {
        DType::Bool(BoolStore::U32) => (bytes.chunks(4).map(is_set).collect(), DType::Bool(BoolStore::Native)),
        DType::Bool(_) => (bytes.chunks(1).map(is_set).collect(), DType::Bool(BoolStore::Native)),
        DType::QFloat(_) => return Err("it is quantised, which is not supported: save it dequantised".to_string()),
        _ => (bytes, dtype),
    };
    TensorData::try_from_bytes_vec(bytes, shape.to_vec(), dtype).map_err(|e| e.to_string())
}

fn is_set(element: &[u8]) -> u8 {
    u8::from(element.iter().any(|byte| *byte != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> TensorMap {
        let mut map = TensorMap::new("some.pth");
        map.insert("module.a", TensorData::from([1.0f32, 2.5]));
        map.insert("module.b", TensorData::from([3i64, -4]));
        map.insert("head", TensorData::from([true]));
        map
    }

    #[test]
    fn names_keep_their_order_and_the_last_value_wins() {
        let mut map = map();
        map.insert("module.a", TensorData::from([9.0f32]));
        assert_eq!(map.names().collect::<Vec<_>>(), ["module.a", "module.b", "head"]);
        assert_eq!(map.f32s("module.a").unwrap(), [9.0]);
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn a_prefix_is_stripped_and_the_rest_left_out() {
        let stripped = map().strip_prefix("module.");
        assert_eq!(stripped.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(stripped.f32s("b").unwrap(), [3.0, -4.0]);
        assert_eq!(stripped.source(), Path::new("some.pth"));
    }

    #[test]
    fn retain_keeps_lookups_right() {
        let mut map = map();
        map.retain(|name| name != "module.a");
        assert!(map.get("module.a").is_none());
        assert_eq!(map.f32s("module.b").unwrap(), [3.0, -4.0]);
    }

    #[test]
    fn renaming_two_tensors_to_one_is_an_error() {
        let renamed = map().rename(|name| name.strip_prefix("module.").map(str::to_uppercase)).unwrap();
        assert_eq!(renamed.names().collect::<Vec<_>>(), ["A", "B"]);
        let error = map().rename(|_| Some("x".to_string())).unwrap_err().to_string();
        assert!(error.contains("some.pth") && error.contains("'x'"), "{error}");
    }

    #[test]
    fn what_holds_no_numbers_is_an_error_that_names_it() {
        for (name, part) in [("head", "Bool"), ("none", "no tensor is called 'none'")] {
            let error = map().f32s(name).unwrap_err().to_string();
            assert!(error.contains("some.pth") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn casting_changes_floats_alone_and_sees_overflow() {
        let cast = map().cast_floats(DType::F16).unwrap();
        assert_eq!(cast.get("module.a").unwrap().dtype(), DType::F16);
        assert_eq!(cast.get("module.b").unwrap().dtype(), DType::I64);
        let mut large = map();
        large.insert("large", TensorData::from([1e6f32]));
        let error = large.cast_floats(DType::F16).unwrap_err().to_string();
        assert!(error.contains("'large' holds 1000000"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_bool_become_true() {
        let data = from_file_bytes(vec![0, 1, 7], &[3], DType::Bool(BoolStore::Native)).unwrap();
        assert_eq!(data.try_to_vec::<bool>().unwrap(), [false, true, true]);
        assert!(from_file_bytes(vec![0; 7], &[2], DType::F32).is_err());
    }
}
