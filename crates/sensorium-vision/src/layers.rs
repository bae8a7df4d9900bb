//! The maps of a network by the names of its layers.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use crate::{Error, Result};

/// Fails if one of `wanted` is not among the layers `known`.
pub(crate) fn check(wanted: &[&str], known: &[String]) -> Result<()> {
    match wanted.iter().find(|name| !known.iter().any(|layer| layer == *name)) {
        Some(name) => Err(Error::Layer { name: name.to_string(), known: known.join(", ") }),
        None => Ok(()),
    }
}

/// The maps that were asked for, filled while the network runs.
pub(crate) struct Kept<'a, Map> {
    slots: Vec<(&'a str, Option<Map>)>,
    /// The layer whose map is cut off from what made it, so that gradients end there.
    leaf: Option<&'a str>,
}

impl<'a, Map> Kept<'a, Map> {
    pub(crate) fn new(layers: &[&'a str]) -> Self {
        Self { slots: layers.iter().map(|layer| (*layer, None)).collect(), leaf: None }
    }

    /// Keeps the map of `layer` if it was asked for; breaks off once nothing is left to wait for.
    pub(crate) fn see(&mut self, layer: &str, map: impl Fn() -> Map) -> ControlFlow<()> {
        for (_, slot) in self.slots.iter_mut().filter(|(wanted, _)| *wanted == layer) {
            *slot = Some(map());
        }
        let full = self.slots.iter().all(|(_, slot)| slot.is_some());
        if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The maps, in the order they were asked for.
    pub(crate) fn into_maps(self) -> Vec<Map> {
        self.slots.into_iter().map(|(layer, slot)| slot.unwrap_or_else(|| panic!("{layer} was not seen"))).collect()
    }
}

impl<'a> Kept<'a, Tensor<4>> {
    /// `layers`, of which gradients end at the first.
    pub(crate) fn with_leaf(layers: &[&'a str]) -> Self {
        Self { leaf: layers.first().copied(), ..Self::new(layers) }
    }

    /// [`see`](Self::see), and the map to go on with.
    pub(crate) fn pass(&mut self, layer: &str, map: Tensor<4>) -> ControlFlow<(), Tensor<4>> {
        let map = if self.leaf == Some(layer) { map.detach().require_grad() } else { map };
        self.see(layer, || map.clone())?;
        ControlFlow::Continue(map)
    }
}
