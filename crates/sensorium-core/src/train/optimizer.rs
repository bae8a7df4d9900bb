//! An optimiser whose state is read back onto the device of the model.

use std::sync::Arc;

use burn::module::ParamGroup;
use burn::optim::{DynOptimizer, DynState, ModuleOptimizer, SgdConfig, StateSink, StateSource};
use burn::tensor::Device;
use burn::tensor::kind::BridgeTensor;

/// `optimizer` for all parameters of a model on `device`.
///
/// burn reads optimiser state onto `Device::default()`, which is a GPU in every build that has a GPU backend, also
/// where the model trains on the CPU of a machine without one. The wrapper here names the device instead.
pub(super) fn placed(optimizer: Arc<dyn DynOptimizer>, device: Device) -> ModuleOptimizer {
    // The first optimiser must be a static type and is never used: of groups that fit, the last counts.
    ModuleOptimizer::from(SgdConfig::new().build()).with_group(ParamGroup::all(), Placed { optimizer, device }, None)
}

struct Placed {
    optimizer: Arc<dyn DynOptimizer>,
    device: Device,
}

impl DynOptimizer for Placed {
    fn step_dyn(
        &self,
        rank: usize,
        lr: f64,
        tensor: BridgeTensor,
        grad: BridgeTensor,
        state: Option<DynState>,
    ) -> (BridgeTensor, Option<DynState>) {
        self.optimizer.step_dyn(rank, lr, tensor, grad, state)
    }

    fn to_device_dyn(&self, state: DynState, device: &Device) -> DynState {
        self.optimizer.to_device_dyn(state, device)
    }

    fn state_flatten(&self, prefix: &str, state: &DynState, out: &mut StateSink) {
        self.optimizer.state_flatten(prefix, state, out);
    }

    fn state_unflatten(&self, rank: usize, prefix: &str, src: &mut StateSource, _default: &Device) -> Option<DynState> {
        self.optimizer.state_unflatten(rank, prefix, src, &self.device)
    }
}
