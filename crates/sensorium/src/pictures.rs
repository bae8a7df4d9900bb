//! Pictures named on the command line.

use std::path::PathBuf;

use anyhow::Result;
use sensorium_vision::io;

/// The pictures named, with folders replaced by the pictures in them.
pub(crate) fn expand(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for path in named {
        match path.is_dir() {
            true => pictures.extend(io::list(path)?),
            false => pictures.push(path.clone()),
        }
    }
    Ok(pictures)
}
