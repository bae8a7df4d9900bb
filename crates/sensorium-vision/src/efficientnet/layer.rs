//! The layers of the network by name.

use std::fmt;
use std::ops::ControlFlow;

use crate::{Error, Result};

/// A place in the network whose map can be asked for. Its name is what [`fmt::Display`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// `stem`: after the first convolution.
    Stem,
    /// `block0`, `block1`, ...: after an inverted residual block.
    Block(usize),
    /// `features`: the last map.
    Features,
    /// `pooled`: the mean of the last map, 1 × 1.
    Pooled,
    /// `logits`: the classes, 1 × 1.
    Logits,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stem => f.write_str("stem"),
            Self::Block(index) => write!(f, "block{index}"),
            Self::Features => f.write_str("features"),
            Self::Pooled => f.write_str("pooled"),
            Self::Logits => f.write_str("logits"),
        }
    }
}

impl Layer {
    /// The layer called `name` in a network of `blocks` blocks.
    ///
    /// # Errors
    /// If there is none; the message lists the names.
    pub fn parse(name: &str, blocks: usize) -> Result<Self> {
        let all = [Self::Stem, Self::Features, Self::Pooled, Self::Logits];
        all.into_iter().chain((0..blocks).map(Self::Block)).find(|layer| layer.to_string() == name).ok_or_else(|| {
            let known = format!("stem, block0 to block{}, features, pooled, logits", blocks.saturating_sub(1));
            Error::Layer { name: name.to_string(), known }
        })
    }

    pub(super) fn parse_all(names: &[&str], blocks: usize) -> Result<Vec<Self>> {
        names.iter().map(|name| Self::parse(name, blocks)).collect()
    }
}

/// The maps that were asked for, filled while the network runs.
pub(super) struct Kept<Map> {
    slots: Vec<(Layer, Option<Map>)>,
}

impl<Map> Kept<Map> {
    pub(super) fn new(layers: &[Layer]) -> Self {
        Self { slots: layers.iter().map(|layer| (*layer, None)).collect() }
    }

    /// Keeps the map of `layer` if it was asked for; breaks off once nothing is left to wait for.
    pub(super) fn see(&mut self, layer: Layer, map: impl Fn() -> Map) -> ControlFlow<()> {
        for (_, slot) in self.slots.iter_mut().filter(|(wanted, _)| *wanted == layer) {
            *slot = Some(map());
        }
        let full = self.slots.iter().all(|(_, slot)| slot.is_some());
        if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The maps, in the order they were asked for.
    pub(super) fn into_maps(self) -> Vec<Map> {
        self.slots.into_iter().map(|(layer, slot)| slot.unwrap_or_else(|| panic!("{layer} was not seen"))).collect()
    }
}
