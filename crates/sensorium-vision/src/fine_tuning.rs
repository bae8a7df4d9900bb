//! Which part of a network is trained.

use burn::module::Module;

/// What the batch norms of a frozen part do in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrozenNorms {
    /// They use the running statistics and leave them alone.
    Inference,
    /// They use each batch's statistics and go on averaging them, as when torch's `requires_grad` is off but the network
    /// is in training mode. The captioning tutorial does this: its running statistics drift from the published ones.
    Training,
}

/// Where training starts, and what stays before it.
pub(crate) struct FineTuning<'a> {
    /// All layers, in the order they are reached.
    pub(crate) layers: &'a [String],
    /// The place in `layers` of the first that is trained; past the end to freeze all.
    pub(crate) from: usize,
    pub(crate) frozen_norms: FrozenNorms,
}

impl FineTuning<'_> {
    /// Trains or freezes a part of the network, which ends in `layer`.
    pub(crate) fn apply<M: Module>(&self, layer: &str, part: M) -> M {
        let place = self.layers.iter().position(|name| name == layer).unwrap_or_else(|| panic!("no layer {layer}"));
        match self.frozen_norms {
            _ if place >= self.from => part.unfreeze(),
            FrozenNorms::Inference => part.freeze(),
            FrozenNorms::Training => part.unfreeze().no_grad(),
        }
    }
}
