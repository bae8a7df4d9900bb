//! What every command that trains shares.

use std::path::Path;

use anyhow::{Result, ensure};
use sensorium_core::train::Progress;

use crate::Global;

/// Where training tells how far it is.
pub(crate) fn shown(global: &Global) -> Progress {
    if global.progress() { Progress::Stderr } else { Progress::Quiet }
}

/// Refuses a folder that holds a finished run, which has `outcome`, unless the run is to go on.
pub(crate) fn ensure_unfinished(out: &Path, outcome: &str, goes_on: bool) -> Result<()> {
    ensure!(
        goes_on || !out.join(outcome).exists(),
        "{}: holds a finished run; choose another folder, or --resume it",
        out.display()
    );
    Ok(())
}
