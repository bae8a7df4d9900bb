//! The way through a file's objects to their tensors.

use burn::tensor::TensorData;

use super::super::pickle::{Id, Object};
use super::value::Value;

/// Modules and dicts in each other, each giving a part of a tensor's name.
const MAX_DEPTH: usize = 100;

/// A walk over the objects that may hold tensors, with their names. It follows no recursion, and each look at an object
/// is paid for: objects that share parts so that the paths to them outgrow the file use up the budget.
pub(super) struct Walk {
    pub(super) budget: usize,
    /// What is still to be visited, the next one last.
    pending: Vec<Pending>,
}

/// An object to be visited.
pub(super) struct Pending {
    pub(super) name: String,
    pub(super) id: Id,
    /// How many objects it is in.
    pub(super) depth: usize,
}

/// The object whose parts are being added.
#[derive(Clone, Copy)]
pub(super) struct Parent<'n> {
    pub(super) name: &'n str,
    pub(super) depth: usize,
}

impl Walk {
    /// A walk that begins at `root`, which has no name.
    pub(super) fn new(root: &Value) -> Self {
        let first = Pending { name: String::new(), id: root.id, depth: 0 };
        Self { budget: root.file.budget(), pending: vec![first] }
    }

    /// What to visit next.
    pub(super) fn next(&mut self) -> Option<Pending> {
        self.pending.pop()
    }

    /// Adds the parts of `value` to what is to be visited.
    pub(super) fn open(&mut self, parent: Parent, value: Value) -> Result<(), String> {
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
