//! What storages, tensors and modules look like among pickled objects.

use burn::tensor::{BoolStore, DType};

use super::super::pickle::{Graph, Id, Instance, Object};
use super::super::shown;

/// How a storage's elements are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) width: usize,
    /// `None` for numbers that burn has no place for.
    pub(super) dtype: Option<DType>,
}

impl Kind {
    fn of(dtype: DType) -> Self {
        Self { width: dtype.size(), dtype: Some(dtype) }
    }

    /// The kind behind a storage class (`torch.FloatStorage`, `torch.cuda.HalfStorage`).
    fn of_storage(class: &str) -> Option<Self> {
        Some(match class.rsplit('.').next()?.strip_suffix("Storage")? {
            "Double" => Self::of(DType::F64),
            "Float" => Self::of(DType::F32),
            "Half" => Self::of(DType::F16),
            "BFloat16" => Self::of(DType::BF16),
            "Long" => Self::of(DType::I64),
            "Int" => Self::of(DType::I32),
            "Short" => Self::of(DType::I16),
            "Char" => Self::of(DType::I8),
            "Byte" | "Untyped" => Self::of(DType::U8),
            "Bool" => Self::of(DType::Bool(BoolStore::Native)),
            "ComplexDouble" => Self { width: 16, dtype: None },
            "ComplexFloat" => Self { width: 8, dtype: None },
            "QInt32" => Self { width: 4, dtype: None },
            "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => Self { width: 1, dtype: None },
            _ => return None,
        })
    }

    /// The kind behind the name of a number format (`torch.uint16`).
    pub(super) fn of_dtype(name: &str) -> Option<Self> {
        Some(Self::of(match name.strip_prefix("torch.")? {
            "float64" => DType::F64,
            "float32" => DType::F32,
            "float16" => DType::F16,
            "bfloat16" => DType::BF16,
            "int64" => DType::I64,
            "int32" => DType::I32,
            "int16" => DType::I16,
            "int8" => DType::I8,
            "uint64" => DType::U64,
            "uint32" => DType::U32,
            "uint16" => DType::U16,
            "uint8" => DType::U8,
            "bool" => DType::Bool(BoolStore::Native),
            _ => return None,
        }))
    }
}

/// A storage as a tensor names it.
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) class: &'a str,
    pub(super) kind: Kind,
    /// The elements that a legacy file's view of a storage covers.
    pub(super) view: Option<(usize, usize)>,
}

/// What tensors and modules look like among pickled objects.
impl Graph {
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Object::Int(int) => usize::try_from(*int).ok(),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    pub(super) fn instance(&self, id: Id) -> Option<&Instance> {
        match self.get(id) {
            Object::Instance(instance) => Some(instance),
            _ => None,
        }
    }

    /// The value under a text key of a dict, or of an object's attributes.
    pub(super) fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let mut entries = self.entries(id);
        entries.rfind(|(k, _)| self.text(*k) == Some(key)).map(|(_, value)| value)
    }

    /// The entries of a dict; of an object, its attributes and then its items.
    pub(super) fn entries(&self, id: Id) -> impl DoubleEndedIterator<Item = (Id, Id)> {
        let (attributes, items): ([&[(Id, Id)]; 2], &[(Id, Id)]) = match self.get(id) {
            Object::Dict(entries) => ([&[], &[]], entries),
            Object::Instance(instance) => (self.attributes(instance), &instance.items),
            _ => ([&[], &[]], &[]),
        };
        attributes.into_iter().flatten().chain(items).copied()
    }

    /// An object's attributes: its state is a dict of them, or a pair of such dicts if its class has slots.
    fn attributes(&self, instance: &Instance) -> [&[(Id, Id)]; 2] {
        let dict = |id: Id| match self.get(id) {
            Object::Dict(entries) => entries.as_slice(),
            _ => &[],
        };
        match instance.state.map(|state| (state, self.get(state))) {
            Some((_, Object::Tuple(pair))) if pair.len() == 2 => [dict(pair[0]), dict(pair[1])],
            Some((state, _)) => [dict(state), &[]],
            None => [&[], &[]],
        }
    }

    /// The name of a class or function. A legacy file wraps the class of a module, to keep its source text beside it.
    pub(super) fn class_name(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Global(name) => Some(name),
            Object::Persistent(wrapper) => match self.tuple(*wrapper)? {
                [tag, class, ..] if self.text(*tag) == Some("module") => match self.get(*class) {
                    Object::Global(name) => Some(name),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// The call of `torch._utils` that builds a tensor, and its arguments, below what wraps it: a parameter, or a class
    /// of one's own.
    pub(super) fn tensor_call(&self, id: Id) -> Option<(&str, &[Id])> {
        let instance = self.instance(id)?;
        let (mut class, mut arguments) = (self.class_name(instance.class)?, self.tuple(instance.arguments)?);
        // A parameter of a tensor of a class of one's own is two wrappers deep.
        for _ in 0..4 {
            match (class, arguments) {
                (
                    "torch._utils._rebuild_parameter"
                    | "torch._utils._rebuild_parameter_with_state"
                    | "torch.nn.parameter.Parameter",
                    [data, ..],
                ) => {
                    let instance = self.instance(*data)?;
                    (class, arguments) = (self.class_name(instance.class)?, self.tuple(instance.arguments)?);
                }
                ("torch._tensor._rebuild_from_type_v2" | "torch._tensor._rebuild_from_type", [call, _, inner, ..]) => {
                    (class, arguments) = (self.class_name(*call)?, self.tuple(*inner)?);
                }
                _ => break,
            }
        }
        let name = class.strip_prefix("torch._utils.")?;
        name.starts_with("_rebuild_").then_some((name, arguments))
    }

    pub(super) fn storage(&self, name: Id) -> Result<Storage<'_>, String> {
        let Some([tag, class, key, _location, _count, view @ ..]) = self.tuple(name) else {
            return Err("a storage is not named by five or six fields".to_string());
        };
        if self.text(*tag) != Some("storage") {
            return Err("an object outside the pickle is not a storage".to_string());
        }
        let key = self.text(*key).ok_or("a storage's key is not a text")?;
        let about = |what: &str| format!("storage {} {what}", shown(key));
        let class = self.class_name(*class).ok_or_else(|| about("has no class"))?;
        let kind =
            Kind::of_storage(class).ok_or_else(|| about(&format!("is a {}, which is not known", shown(class))))?;
        let view = match view.first().map(|view| self.get(*view)) {
            None | Some(Object::None) => None,
            Some(Object::Tuple(view)) => {
                let [_key, offset, size] = view[..] else { return Err(about("has a view that is not of 3 fields")) };
                let range = self.size(offset).zip(self.size(size));
                Some(range.ok_or_else(|| about("has a view without an offset and a size"))?)
            }
            Some(_) => return Err(about("has a view that is not a tuple")),
        };
        Ok(Storage { key, class, kind, view })
    }
}
