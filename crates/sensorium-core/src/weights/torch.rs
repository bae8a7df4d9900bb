//! What `torch.save` writes: pickled objects, and the storages their tensors view.
//!
//! The zip format (torch 1.6 and later) is an archive with the pickle in `NAME/data.pkl` and a file for each storage.
//! The legacy format is five pickles in a row (a magic number, the format's version, facts about the writing machine,
//! the objects, the storages' keys) and then the storages. Reference: `torch/serialization.py`, `torch/_utils.py` and
//! `torch/nn/modules/module.py` of torch 0.4 to 2.11.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::tensor::{BoolStore, DType, TensorData};

use super::pickle::{self, Graph, Id, Instance, Object};
use super::tensor_map::from_file_bytes;
use super::{TensorMap, read_file, shown, strided, zip};
use crate::{Error, Result};

const FORMAT: &str = "file of torch.save";

/// Torch's own limit is 64 axes.
const MAX_AXES: usize = 64;

/// Modules and dicts in each other, each giving a part of a tensor's name.
const MAX_DEPTH: usize = 100;

/// The number that begins a legacy file, as a pickled integer.
const LEGACY_MAGIC: [u8; 10] = *b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Whether the bytes begin as a file of torch does: as an archive or as a pickle.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    zip::recognises(bytes) || bytes.first() == Some(&0x80)
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
#[derive(Debug)]
pub struct TorchFile {
    path: PathBuf,
    bytes: Vec<u8>,
    graph: Graph,
    /// Where each storage's bytes lie, by its key.
    storages: HashMap<String, Range<usize>>,
    big_endian: bool,
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
        Value { file: self, id: self.graph.root }
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
        let pickle = entries.iter().find_map(|(name, place)| Some((name.strip_suffix("data.pkl")?, place)));
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
        let (magic, at) = pickle::run(bytes, 0)?;
        if !matches!(magic.get(magic.root), Object::Long(number) if **number == LEGACY_MAGIC) {
            return Err("it is a pickle of another program".to_string());
        }
        let (version, at) = pickle::run(bytes, at)?;
        if *version.get(version.root) != Object::Int(1001) {
            return Err(format!(
                "version {:?} of the legacy format is not known, only 1001",
                version.get(version.root)
            ));
        }
        let (machine, at) = pickle::run(bytes, at)?;
        if machine.entry(machine.root, "little_endian").map(|id| machine.get(id)) == Some(&Object::Bool(false)) {
            return Err("a big-endian machine wrote it: load and save it with a torch of 1.6 or later".to_string());
        }
        let (graph, at) = pickle::run(bytes, at)?;
        let (keys, at) = pickle::run(bytes, at)?;
        let storages = legacy_storages(bytes, at, &keys, &graph)?;
        Ok(Self { graph, storages, big_endian: false })
    }
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

/// How a storage's elements are stored.
#[derive(Debug, Clone, Copy)]
struct Kind {
    width: usize,
    /// `None` for numbers that burn has no place for.
    dtype: Option<DType>,
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
    fn of_dtype(name: &str) -> Option<Self> {
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
struct Storage<'a> {
    key: &'a str,
    class: &'a str,
    kind: Kind,
    /// The elements that a legacy file's view of a storage covers.
    view: Option<(usize, usize)>,
}

/// What tensors and modules look like among pickled objects.
impl Graph {
    fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Object::Int(int) => usize::try_from(*int).ok(),
            _ => None,
        }
    }

    fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    fn instance(&self, id: Id) -> Option<&Instance> {
        match self.get(id) {
            Object::Instance(instance) => Some(instance),
            _ => None,
        }
    }

    /// The value under a text key of a dict, or of an object's attributes.
    fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let mut entries = self.entries(id);
        entries.rfind(|(k, _)| self.text(*k) == Some(key)).map(|(_, value)| value)
    }

    /// The entries of a dict; of an object, its attributes and then its items.
    fn entries(&self, id: Id) -> impl DoubleEndedIterator<Item = (Id, Id)> {
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
    fn class_name(&self, id: Id) -> Option<&str> {
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
    fn tensor_call(&self, id: Id) -> Option<(&str, &[Id])> {
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

    fn storage(&self, name: Id) -> Result<Storage<'_>, String> {
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

/// A tensor as it lies over its storage. Offset and strides count elements.
struct View {
    storage: Range<usize>,
    dtype: DType,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl View {
    fn byte_count(&self) -> Option<usize> {
        strided::count(&self.shape)?.checked_mul(self.dtype.size())
    }
}

/// A pickled object of a [`TorchFile`].
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    file: &'a TorchFile,
    id: Id,
}

impl<'a> Value<'a> {
    fn object(&self) -> &'a Object {
        self.file.graph.get(self.id)
    }

    fn other(&self, id: Id) -> Self {
        Self { file: self.file, id }
    }

    /// Whether it is Python's `None`.
    pub fn is_none(&self) -> bool {
        *self.object() == Object::None
    }

    /// A boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self.object() {
            Object::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer that fits 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match self.object() {
            Object::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A float or an integer.
    pub fn as_f64(&self) -> Option<f64> {
        match self.object() {
            Object::Float(value) => Some(*value),
            Object::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&'a str> {
        self.file.graph.text(self.id)
    }

    /// The class of an object (`torch.optim.adam.Adam`), or the function whose result it is.
    pub fn class(&self) -> Option<&'a str> {
        self.file.graph.class_name(self.file.graph.instance(self.id)?.class)
    }

    /// The value under a text key of a dict, or the attribute of that name of an object.
    pub fn get(&self, key: &str) -> Option<Self> {
        self.file.graph.entry(self.id, key).map(|id| self.other(id))
    }

    /// The entries of a dict, in order; of an object, its attributes and, if it acts as a dict, its entries.
    pub fn entries(&self) -> impl Iterator<Item = (Self, Self)> + use<'a> {
        let value = *self;
        self.file.graph.entries(self.id).map(move |(key, id)| (value.other(key), value.other(id)))
    }

    /// The elements of a list, tuple or set, in order.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = Self> + use<'a> {
        let value = *self;
        let elements: &'a [Id] = match self.object() {
            Object::List(elements) | Object::Tuple(elements) | Object::Set(elements) => elements,
            Object::Instance(instance) => &instance.elements,
            _ => &[],
        };
        elements.iter().map(move |id| value.other(*id))
    }

    /// Whether it is a tensor or a parameter.
    pub fn is_tensor(&self) -> bool {
        self.file.graph.tensor_call(self.id).is_some()
    }

    /// The tensor or parameter that it is.
    ///
    /// # Errors
    /// [`Error::Format`] if it is none, or its storage is missing, too short, or of a kind that burn has no place for.
    pub fn tensor(&self) -> Result<TensorData> {
        self.view()
            .and_then(|view| {
                let view = view.ok_or("a tensor is expected where something else stands")?;
                self.file.spend(&mut self.file.budget(), view.byte_count())?;
                self.file.copy(&view)
            })
            .map_err(|reason| self.file.error(reason))
    }

    /// All tensors in it, by dotted names:
    ///
    /// - a dict or list gives the names of its entries or numbers (`encoder.`, `0.`);
    /// - a module gives the names of its `state_dict` (parameters, persistent buffers, modules in it);
    /// - an optimiser gives `state.0.exp_avg` and so on, as its own `state_dict` would number the parameters;
    /// - a lone tensor is called `tensor`.
    ///
    /// Whatever else there is gives none.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), naming the tensor; also if the objects contain each other without end, or their
    /// tensors together are many times larger than the file.
    pub fn tensors(&self) -> Result<TensorMap> {
        let mut tensors = TensorMap::new(&self.file.path);
        let mut walk =
            Walk { budget: self.file.budget(), pending: vec![Pending { name: String::new(), id: self.id, depth: 0 }] };
        while let Some(Pending { name, id, depth }) = walk.pending.pop() {
            let value = self.other(id);
            let about = |reason: String| self.file.error(format!("'{}': {reason}", shown(&name)));
            match value.view().map_err(about)? {
                None => walk.open(Parent { name: &name, depth }, value).map_err(about)?,
                Some(view) => {
                    self.file.spend(&mut walk.budget, view.byte_count()).map_err(about)?;
                    let tensor = self.file.copy(&view).map_err(about)?;
                    tensors.insert(if name.is_empty() { "tensor" } else { &name }, tensor);
                }
            }
        }
        Ok(tensors)
    }

    /// For each parameter of an optimiser, in its order, the state kept for it (`exp_avg` and so on; `None` before the
    /// first step). The order is that of the parameter groups, as in the optimiser's `state_dict`.
    ///
    /// # Errors
    /// [`Error::Format`] if it is no optimiser.
    pub fn optimizer_states(&self) -> Result<Vec<Option<Self>>> {
        let states = self.numbered_states(&mut self.file.budget());
        let states =
            states.and_then(|states| states.ok_or("an optimiser is expected where something else stands".into()));
        let states = states.map_err(|reason| self.file.error(reason))?;
        Ok(states.into_iter().map(|state| state.map(|id| self.other(id))).collect())
    }

    /// An optimiser keeps its state by the parameter itself; a saved `state_dict` of one, by its number.
    fn numbered_states(&self, budget: &mut usize) -> Result<Option<Vec<Option<Id>>>, String> {
        let (Some(state), Some(groups)) = (self.get("state"), self.get("param_groups")) else { return Ok(None) };
        let by_parameter: HashMap<Id, Id> = state.entries().map(|(key, value)| (key.id, value.id)).collect();
        let by_number: HashMap<i64, Id> =
            state.entries().filter_map(|(key, value)| Some((key.as_i64()?, value.id))).collect();
        let mut states = Vec::new();
        for group in groups.elements() {
            let Some(parameters) = group.get("params") else { continue };
            self.file.spend(budget, Some(parameters.elements().len() * size_of::<Option<Id>>()))?;
            states.extend(parameters.elements().map(|parameter| match parameter.as_i64() {
                Some(number) => by_number.get(&number).copied(),
                None => by_parameter.get(&parameter.id).copied(),
            }));
        }
        Ok(Some(states))
    }

    /// A dict's key as a part of a name.
    fn as_part(&self) -> Option<Cow<'a, str>> {
        match self.object() {
            Object::Text(text) => Some(Cow::Borrowed(text)),
            Object::Int(int) => Some(Cow::Owned(int.to_string())),
            _ => None,
        }
    }

    /// How the tensor that it is lies over its storage; `None` if it is no tensor.
    fn view(&self) -> Result<Option<View>, String> {
        let graph = &self.file.graph;
        let Some((call, arguments)) = graph.tensor_call(self.id) else { return Ok(None) };
        let (
            "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3",
            [storage, offset, shape, strides, rest @ ..],
        ) = (call, arguments)
        else {
            return Err(format!(
                "its layout is that of torch._utils.{}, only dense tensors are supported",
                shown(call)
            ));
        };
        let Object::Persistent(storage) = graph.get(*storage) else {
            return Err("it has no storage".to_string());
        };
        let storage = graph.storage(*storage)?;
        let stored_as = match (call, rest) {
            ("_rebuild_tensor_v3", [_, _, dtype, ..]) => graph.class_name(*dtype).unwrap_or("of a nameless format"),
            _ => storage.class,
        };
        let kind = if call == "_rebuild_tensor_v3" { Kind::of_dtype(stored_as) } else { Some(storage.kind) };
        let dtype = kind.and_then(|kind| kind.dtype);
        let dtype = dtype.ok_or_else(|| format!("its numbers are {}, which is not supported", shown(stored_as)))?;

        let sizes = |id: &Id| -> Option<Vec<usize>> {
            let sizes = graph.tuple(*id).filter(|sizes| sizes.len() <= MAX_AXES)?;
            sizes.iter().map(|size| graph.size(*size)).collect()
        };
        let geometry = (graph.size(*offset), sizes(shape), sizes(strides));
        let (Some(offset), Some(shape), Some(strides)) = geometry else {
            return Err(format!("its offset, shape and strides are not whole numbers from 0, or more than {MAX_AXES}"));
        };
        if shape.len() != strides.len() {
            return Err(format!("its shape {shape:?} and strides {strides:?} differ in length"));
        }
        let bytes = self.file.storages.get(storage.key).cloned();
        let bytes = bytes.ok_or_else(|| format!("its storage {} is not in the file", shown(storage.key)))?;
        let mut elements = bytes.len() / dtype.size();
        let mut start = offset;
        if let Some((view_offset, view_size)) = storage.view {
            let view_end = view_offset.checked_add(view_size).filter(|end| *end <= elements);
            elements = view_end.ok_or_else(|| format!("it views more than its storage {} has", shown(storage.key)))?;
            start = view_offset.saturating_add(offset);
        }
        let end = strided::end(start, &shape, &strides);
        if end.is_none_or(|end| end > elements) {
            return Err(format!(
                "shape {shape:?}, strides {strides:?} and offset {offset} reach past the {elements} elements of its storage {}",
                shown(storage.key)
            ));
        }
        Ok(Some(View { storage: bytes, dtype, offset: start, shape, strides }))
    }
}

impl TorchFile {
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
}

/// A walk over the objects that may hold tensors, with their names. It follows no recursion, and each look at an object
/// is paid for: objects that share parts so that the paths to them outgrow the file use up the budget.
struct Walk {
    budget: usize,
    /// What is still to be visited, the next one last.
    pending: Vec<Pending>,
}

struct Pending {
    name: String,
    id: Id,
    depth: usize,
}

/// The object whose parts are being added.
#[derive(Clone, Copy)]
struct Parent<'n> {
    name: &'n str,
    depth: usize,
}

impl Walk {
    /// Adds the parts of `value` to what is to be visited.
    fn open(&mut self, parent: Parent, value: Value) -> Result<(), String> {
        let waiting = self.pending.len();
        match value.object() {
            Object::Instance(_) => self.open_instance(parent, value)?,
            _ => {
                self.entries(parent, value, &[])?;
                for (number, element) in value.elements().enumerate() {
                    self.part(parent, &number.to_string(), element)?;
                }
            }
        }
        self.pending[waiting..].reverse();
        Ok(())
    }

    fn open_instance(&mut self, parent: Parent, value: Value) -> Result<(), String> {
        // The attributes are searched a few times.
        value.file.spend(&mut self.budget, Some(value.entries().count()))?;
        if let Some(parameters) = value.get("_parameters") {
            let passing = value.get("_non_persistent_buffers_set");
            let passing: Vec<&str> =
                passing.iter().flat_map(|set| set.elements()).filter_map(|name| name.as_str()).collect();
            self.entries(parent, parameters, &[])?;
            if let Some(buffers) = value.get("_buffers") {
                self.entries(parent, buffers, &passing)?;
            }
            if let Some(modules) = value.get("_modules") {
                self.entries(parent, modules, &[])?;
            }
        } else if let Some(states) = value.numbered_states(&mut self.budget)? {
            for (number, state) in states.into_iter().enumerate() {
                if let Some(state) = state {
                    self.part(parent, &format!("state.{number}"), value.other(state))?;
                }
            }
        } else if let Object::Instance(instance) = value.object() {
            for (key, entry) in &instance.items {
                if let Some(key) = value.other(*key).as_part() {
                    self.part(parent, &key, value.other(*entry))?;
                }
            }
        }
        Ok(())
    }

    fn entries(&mut self, parent: Parent, dict: Value, but: &[&str]) -> Result<(), String> {
        for (key, value) in dict.entries() {
            dict.file.spend(&mut self.budget, Some(1 + but.len()))?;
            if let Some(key) = key.as_part().filter(|key| !but.contains(&&**key)) {
                self.part(parent, &key, value)?;
            }
        }
        Ok(())
    }

    fn part(&mut self, parent: Parent, part: &str, value: Value) -> Result<(), String> {
        if !matches!(value.object(), Object::Dict(_) | Object::List(_) | Object::Tuple(_) | Object::Instance(_)) {
            return value.file.spend(&mut self.budget, Some(1));
        }
        let Parent { name, depth } = parent;
        if depth == MAX_DEPTH {
            return Err(format!("its objects are more than {MAX_DEPTH} deep in each other, or one is in itself"));
        }
        value.file.spend(&mut self.budget, Some(name.len() + part.len() + size_of::<(String, TensorData)>()))?;
        let dot = if name.is_empty() { "" } else { "." };
        self.pending.push(Pending { name: format!("{name}{dot}{part}"), id: value.id, depth: depth + 1 });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_files::{Pickle, legacy_file, zip_file};
    use super::*;

    fn parse(bytes: Vec<u8>) -> TorchFile {
        TorchFile::parse("made.pth", bytes).unwrap()
    }

    fn reason(bytes: Vec<u8>) -> String {
        let error = TorchFile::parse("made.pth", bytes).and_then(|file| file.tensors()).unwrap_err().to_string();
        assert!(error.starts_with("made.pth: not a valid file of torch.save: "), "{error}");
        error
    }

    fn bytes_of(floats: &[f32]) -> Vec<u8> {
        floats.iter().flat_map(|float| float.to_le_bytes()).collect()
    }

    fn counting(count: usize) -> Vec<f32> {
        (0..count).map(|i| i as f32).collect()
    }

    #[test]
    fn every_number_format_is_read_in_both_containers() {
        let storages: [(&str, &str, usize, DType); 11] = [
            ("DoubleStorage", "0", 8, DType::F64),
            ("FloatStorage", "1", 4, DType::F32),
            ("HalfStorage", "2", 2, DType::F16),
            ("BFloat16Storage", "3", 2, DType::BF16),
            ("LongStorage", "4", 8, DType::I64),
            ("IntStorage", "5", 4, DType::I32),
            ("ShortStorage", "6", 2, DType::I16),
            ("CharStorage", "7", 1, DType::I8),
            ("ByteStorage", "8", 1, DType::U8),
            ("BoolStorage", "9", 1, DType::Bool(BoolStore::Native)),
            ("UntypedStorage", "10", 1, DType::U8),
        ];
        let pickle = Pickle::new().dict(|pickle| {
            storages
                .iter()
                .fold(pickle, |pickle, (class, key, ..)| pickle.text(class).tensor(class, key, 1, &[2], &[1]))
        });
        let bytes: Vec<u8> = (0..24u8).map(|i| i % 2).collect();
        let zip: Vec<_> = storages.iter().map(|(_, key, width, _)| (*key, &bytes[..3 * width])).collect();
        let legacy: Vec<_> = storages.iter().map(|(_, key, width, _)| (*key, 3, &bytes[..3 * width])).collect();
        let pickle = pickle.end();
        for file in [zip_file(&pickle, &zip), legacy_file(true, &pickle, &legacy)] {
            let tensors = parse(file).tensors().unwrap();
            for (class, _, width, dtype) in storages {
                let tensor = tensors.get(class).unwrap();
                assert_eq!((tensor.dtype(), tensor.as_bytes()), (dtype, &bytes[width..3 * width]), "{class}");
            }
        }
    }

    #[test]
    fn tensors_share_storages_and_lie_over_them_in_any_order() {
        let floats = bytes_of(&counting(12));
        let pickle = Pickle::new().dict(|pickle| {
            pickle
                .text("whole")
                .tensor("FloatStorage", "0", 0, &[3, 4], &[4, 1])
                .text("turned")
                .tensor("FloatStorage", "0", 0, &[4, 3], &[1, 4])
                .text("column")
                .tensor("cuda.FloatStorage", "0", 1, &[3], &[4])
                .text("number")
                .tensor("FloatStorage", "0", 11, &[], &[])
                .text("repeated")
                .tensor("FloatStorage", "0", 2, &[2, 2], &[0, 1])
                .text("none")
                .tensor("FloatStorage", "0", 0, &[0, 5], &[5, 1])
        });
        let tensors = parse(zip_file(&pickle.end(), &[("0", &floats)])).tensors().unwrap();
        assert_eq!(tensors.f32s("whole").unwrap(), counting(12));
        assert_eq!(tensors.f32s("turned").unwrap(), [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
        assert_eq!(tensors.get("turned").unwrap().shape().as_slice(), [4, 3]);
        assert_eq!(tensors.f32s("column").unwrap(), [1., 5., 9.]);
        assert_eq!(tensors.f32s("number").unwrap(), [11.]);
        assert_eq!(tensors.f32s("repeated").unwrap(), [2., 3., 2., 3.]);
        assert!(tensors.f32s("none").unwrap().is_empty());
    }

    #[test]
    fn wrapped_tensors_are_unwrapped() {
        let plain = |pickle: Pickle| pickle.tensor("FloatStorage", "0", 0, &[2], &[1]);
        let pickle = Pickle::new().list(|pickle| {
            let pickle = pickle.parameter(plain);
            // A class of one's own: _rebuild_from_type_v2(call, class, arguments, state).
            let pickle = pickle.global("torch._tensor", "_rebuild_from_type_v2").raw(b"(");
            let pickle = pickle.global("torch._utils", "_rebuild_tensor_v2").global("my", "Tensor").raw(b"(");
            let pickle = pickle.storage("FloatStorage", "0").int(0).ints(&[2]).ints(&[1]).raw(b"\x89}t}tR");
            // Numbers that have no storage class of their own come over an untyped one.
            let pickle = pickle.global("torch._utils", "_rebuild_tensor_v3").raw(b"(").storage("UntypedStorage", "0");
            let pickle = pickle.int(1).ints(&[2]).ints(&[1]).raw(b"\x89}").global("torch", "uint16").raw(b"}tR");
            // Torch 0.3 and before.
            let pickle = pickle.global("torch._utils", "_rebuild_tensor").raw(b"(").storage("FloatStorage", "0");
            pickle.int(0).ints(&[2]).ints(&[1]).raw(b"tR")
        });
        let tensors = parse(zip_file(&pickle.end(), &[("0", &bytes_of(&[1.0, 2.0]))])).tensors().unwrap();
        assert_eq!(tensors.names().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
        for name in ["0", "1", "3"] {
            assert_eq!(tensors.f32s(name).unwrap(), [1.0, 2.0], "{name}");
        }
        assert_eq!(*tensors.get("2").unwrap(), TensorData::from([0x3f80u16, 0]));
    }

    #[test]
    fn a_lone_tensor_has_a_name() {
        let pickle = Pickle::new().tensor("FloatStorage", "0", 0, &[1], &[1]).end();
        let file = parse(zip_file(&pickle, &[("0", &bytes_of(&[5.0]))]));
        assert!(file.root().is_tensor());
        assert_eq!(file.tensors().unwrap().f32s("tensor").unwrap(), [5.0]);
    }

    #[test]
    fn a_legacy_view_covers_a_part_of_its_storage() {
        let view = |offset: i64, shape: i64| {
            let pickle = Pickle::new().global("torch._utils", "_rebuild_tensor_v2").raw(b"((").text("storage");
            let pickle = pickle.global("torch", "FloatStorage").text("root").text("cpu").int(10).raw(b"(").text("part");
            let pickle = pickle.int(4).int(3).raw(b"ttQ").int(offset).ints(&[shape]).ints(&[1]).raw(b"\x89}tR").end();
            legacy_file(true, &pickle, &[("root", 10, &bytes_of(&counting(10)))])
        };
        assert_eq!(parse(view(1, 2)).tensors().unwrap().f32s("tensor").unwrap(), [5.0, 6.0]);
        assert!(reason(view(1, 6)).contains("reach past"));
        assert_eq!(parse(view(0, 3)).tensors().unwrap().f32s("tensor").unwrap(), [4.0, 5.0, 6.0]);
    }

    /// A module of a class of one's own, as torch 1.4 and before wrote it: with its backend, and its class wrapped to
    /// keep the source text.
    fn old_module(pickle: Pickle, class: &str, attributes: impl FnOnce(Pickle) -> Pickle) -> Pickle {
        let wrapped =
            pickle.raw(b"(").text("module").global("models", class).text("models.py").text("class ...").raw(b"tQ");
        let state = |pickle: Pickle| {
            let backend = ("torch.nn.backends.thnn", "_get_thnn_function_backend");
            attributes(pickle.text("_backend").global(backend.0, backend.1).raw(b")R"))
        };
        wrapped.raw(b")\x81").dict(state).raw(b"b")
    }

    #[test]
    fn an_old_whole_module_gives_its_state_dict() {
        let linear = |pickle: Pickle| {
            let pickle = pickle.text("_parameters").dict(|pickle| {
                let weight = |pickle: Pickle| pickle.tensor("FloatStorage", "0", 0, &[1, 2], &[2, 1]);
                pickle.text("weight").parameter(weight).text("bias").raw(b"N")
            });
            let pickle = pickle.text("_buffers").dict(|pickle| {
                let pickle = pickle.text("scale").tensor("FloatStorage", "0", 2, &[1], &[1]);
                pickle.text("cache").tensor("FloatStorage", "0", 3, &[1], &[1])
            });
            let pickle = pickle.text("_non_persistent_buffers_set").global("__builtin__", "set");
            pickle.list(|pickle| pickle.text("cache")).raw(b"\x85R").text("in_features").int(2)
        };
        let net = |pickle: Pickle| {
            let pickle = pickle.text("_parameters").raw(b"}").text("_buffers").raw(b"}");
            pickle.text("_modules").dict(|pickle| old_module(pickle.text("fc"), "Scaled", linear))
        };
        let pickle = Pickle::new().dict(|pickle| old_module(pickle.text("epoch").int(3).text("model"), "Net", net));
        let file = parse(legacy_file(true, &pickle.end(), &[("0", 4, &bytes_of(&counting(4)))]));
        assert_eq!(file.root().get("epoch").unwrap().as_i64(), Some(3));
        let model = file.root().get("model").unwrap();
        assert_eq!(model.class(), Some("models.Net"));
        let tensors = model.tensors().unwrap();
        assert_eq!(tensors.names().collect::<Vec<_>>(), ["fc.weight", "fc.scale"]);
        assert_eq!(tensors.f32s("fc.weight").unwrap(), [0.0, 1.0]);
        assert_eq!(file.tensors().unwrap().names().collect::<Vec<_>>(), ["model.fc.weight", "model.fc.scale"]);
    }

    /// Two groups of parameters, of which the second parameter has had no step.
    #[test]
    fn an_optimiser_numbers_its_states_by_its_groups() {
        let tensor = |pickle: Pickle, at: i64| pickle.tensor("FloatStorage", "0", at, &[1], &[1]);
        let parameter = |pickle: Pickle, at: i64, memo: u8| pickle.parameter(|p| tensor(p, at)).raw(&[b'q', memo]);
        let state =
            |pickle: Pickle, at: i64| pickle.dict(|pickle| tensor(pickle.text("step").int(9).text("exp_avg"), at));
        let whole = Pickle::new().object("torch.optim.adam", "Adam", |pickle| {
            let pickle = pickle.text("param_groups").list(|pickle| {
                let pickle = pickle.dict(|pickle| {
                    pickle
                        .text("params")
                        .list(|pickle| parameter(parameter(pickle, 0, 1), 1, 2))
                        .text("lr")
                        .raw(b"G?\xe0\0\0\0\0\0\0")
                });
                pickle.dict(|pickle| pickle.text("params").list(|pickle| parameter(pickle, 2, 3)))
            });
            // The state is in another order than the parameters.
            let pickle = pickle.text("state").global("collections", "defaultdict").raw(b"c__builtin__\ndict\n\x85R(");
            state(state(pickle.raw(b"h\x03"), 5).raw(b"h\x01"), 4).raw(b"u")
        });
        let packed = Pickle::new().dict(|pickle| {
            let pickle = pickle.text("param_groups").list(|pickle| {
                let pickle = pickle.dict(|pickle| pickle.text("params").list(|pickle| pickle.int(0).int(1)));
                pickle.dict(|pickle| pickle.text("params").list(|pickle| pickle.int(2)))
            });
            pickle.text("state").dict(|pickle| state(state(pickle.int(2), 5).int(0), 4))
        });
        for pickle in [whole, packed] {
            let file = parse(zip_file(&pickle.end(), &[("0", &bytes_of(&counting(6)))]));
            let states = file.root().optimizer_states().unwrap();
            let averages: Vec<_> = states
                .iter()
                .map(|state| {
                    state.map(|state| state.get("exp_avg").unwrap().tensor().unwrap().try_to_vec::<f32>().unwrap())
                })
                .collect();
            assert_eq!(averages, [Some(vec![4.0]), None, Some(vec![5.0])]);
            assert_eq!(states[0].unwrap().get("step").unwrap().as_i64(), Some(9));
            let mut names: Vec<_> = file.tensors().unwrap().names().map(str::to_string).collect();
            names.sort();
            assert_eq!(names, ["state.0.exp_avg", "state.2.exp_avg"]);
        }
        let not_one = parse(zip_file(&Pickle::new().raw(b"}").end(), &[]));
        assert!(not_one.root().optimizer_states().unwrap_err().to_string().contains("an optimiser is expected"));
    }

    #[test]
    fn a_big_endian_zip_is_turned_and_a_legacy_file_refused() {
        let pickle = Pickle::new().tensor("FloatStorage", "0", 0, &[2], &[1]).end();
        let bytes: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|float| float.to_be_bytes()).collect();
        let entries = [("a/data.pkl", pickle.as_slice()), ("a/byteorder", b"big"), ("a/data/0", &bytes)];
        assert_eq!(parse(zip::archive(&entries)).tensors().unwrap().f32s("tensor").unwrap(), [1.5, -2.0]);
        assert!(reason(legacy_file(false, &pickle, &[("0", 2, &bytes)])).contains("big-endian"));
    }

    #[test]
    fn a_broken_file_says_what_is_wrong() {
        let tensor = |offset, shape: &[i64], strides: &[i64]| {
            let pickle =
                Pickle::new().dict(|p| p.text("fc.weight").tensor("FloatStorage", "0", offset, shape, strides));
            reason(zip_file(&pickle.end(), &[("0", &[0; 16])]))
        };
        let check = |error: String, part: &str| assert!(error.contains(part), "{error}");
        check(tensor(0, &[5], &[1]), "'fc.weight': shape [5], strides [1] and offset 0 reach past the 4 elements");
        check(tensor(4, &[1], &[1]), "reach past");
        check(tensor(0, &[2, 2], &[1, i64::MAX]), "reach past");
        check(tensor(i64::MAX, &[2], &[i64::MAX]), "reach past");
        check(tensor(0, &[2], &[-1]), "not whole numbers from 0");
        check(tensor(0, &[-1], &[1]), "not whole numbers from 0");
        check(tensor(0, &[1; 65], &[1; 65]), "more than 64");
        check(tensor(0, &[2, 2], &[1]), "differ in length");
        check(tensor(0, &[1 << 40], &[0]), "it repeats itself");
        check(tensor(0, &[1 << 40, 1 << 40], &[0, 0]), "it repeats itself");

        let with = |pickle: Pickle| reason(zip_file(&pickle.end(), &[("0", &[0; 16])]));
        check(with(Pickle::new().tensor("FloatStorage", "1", 0, &[1], &[1])), "storage 1 is not in the file");
        check(
            with(Pickle::new().tensor("ComplexFloatStorage", "0", 0, &[1], &[1])),
            "torch.ComplexFloatStorage, which is not",
        );
        check(with(Pickle::new().tensor("MagicStorage", "0", 0, &[1], &[1])), "torch.MagicStorage, which is not known");
        let sparse = Pickle::new().global("torch._utils", "_rebuild_sparse_tensor").raw(b")R");
        check(with(sparse), "only dense tensors are supported");

        check(reason(zip::archive(&[("mimetype", b"x")])), "holds no data.pkl");
        check(reason(b"\x80\x02K\x01.".to_vec()), "a pickle of another program");
        check(reason(b"\x80\x02K".to_vec()), "broken at byte 2");
        let pickle = Pickle::new().tensor("FloatStorage", "0", 0, &[4], &[1]).end();
        check(reason(legacy_file(true, &pickle, &[("0", 5, &[0; 16])])), "storage 0 reaches past the end");
        check(reason(legacy_file(true, &pickle, &[("0", u64::MAX, &[0; 16])])), "storage 0 reaches past the end");
        check(reason(legacy_file(true, &pickle, &[("9", 4, &[0; 16])])), "no tensor says what storage 9 holds");
    }
}
