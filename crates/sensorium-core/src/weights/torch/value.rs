//! Pickled objects from the outside, and tensors as they lie over storages.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use burn::tensor::{DType, TensorData};

use super::super::pickle::{Id, Object};
use super::super::{TensorMap, shown, strided};
use super::TorchFile;
use super::objects::Kind;
use super::walk::{Parent, Pending, Walk};
use crate::Result;

/// Torch's own limit is 64 axes.
const MAX_AXES: usize = 64;

/// A tensor as it lies over its storage. Offset and strides count elements.
pub(super) struct View {
    pub(super) storage: Range<usize>,
    pub(super) dtype: DType,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl View {
    fn byte_count(&self) -> Option<usize> {
        strided::count(&self.shape)?.checked_mul(self.dtype.size())
    }
}

/// A pickled object of a [`TorchFile`].
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    pub(super) file: &'a TorchFile,
    pub(super) id: Id,
}

impl<'a> Value<'a> {
    pub(super) fn new(file: &'a TorchFile, id: Id) -> Self {
        Self { file, id }
    }

    pub(super) fn object(&self) -> &'a Object {
        self.file.graph.get(self.id)
    }

    pub(super) fn other(&self, id: Id) -> Self {
        Self::new(self.file, id)
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
    /// [`Error::Format`](crate::Error::Format) if it is none, or its storage is missing, too short, or of a kind that
    /// burn has no place for.
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
        let mut walk = Walk::new(self);
        while let Some(Pending { name, id, depth }) = walk.next() {
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
    /// [`Error::Format`](crate::Error::Format) if it is no optimiser.
    pub fn optimizer_states(&self) -> Result<Vec<Option<Self>>> {
        let states = self.numbered_states(&mut self.file.budget());
        let states =
            states.and_then(|states| states.ok_or("an optimiser is expected where something else stands".into()));
        let states = states.map_err(|reason| self.file.error(reason))?;
        Ok(states.into_iter().map(|state| state.map(|id| self.other(id))).collect())
    }

    /// An optimiser keeps its state by the parameter itself; a saved `state_dict` of one, by its number.
    pub(super) fn numbered_states(&self, budget: &mut usize) -> Result<Option<Vec<Option<Id>>>, String> {
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
    pub(super) fn as_part(&self) -> Option<Cow<'a, str>> {
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
                "shape {shape:?}, strides {strides:?} and offset {offset} reach past the {elements} elements of its \
                 storage {}",
                shown(storage.key)
            ));
        }
        Ok(Some(View { storage: bytes, dtype, offset: start, shape, strides }))
    }
}
