//! How learning rates rise and fall.

use burn::lr_scheduler::composed::ComposedLrSchedulerConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;

use crate::{Error, Result};

/// Steps over which the rate rises, at most; never more than a tenth of all.
const WARM_UP: usize = 50;

/// A learning rate that rises along a line over the first steps, up to `peak`, and falls to 0 along a cosine over all
/// `steps`.
///
/// # Errors
/// [`Error::Config`] if `peak` is not above 0 and at most 1.
pub fn warm_up_and_cosine(peak: f64, steps: usize) -> Result<ModuleLrScheduler> {
    let warm_up = WARM_UP.min(steps.div_ceil(10)).max(1);
    let schedule = ComposedLrSchedulerConfig::new()
        .linear(LinearLrSchedulerConfig::new(1.0 / (warm_up + 1) as f64, 1.0, warm_up))
        .cosine(CosineAnnealingLrSchedulerConfig::new(peak, steps.max(1)))
        .init();
    schedule.map_err(|rule| Error::config("lr", peak, rule))
}
