//! Pictures named on the command line, and the files that are written for each.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sensorium_core::draw::Drawing;
use sensorium_core::files::write_atomic;
use sensorium_core::weights::write_npy;
use sensorium_vision::io;
use serde::Serialize;

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

/// Makes a folder that is to hold files [`named`] after each picture.
///
/// # Errors
/// If two pictures have one name, or the folder cannot be made.
pub(crate) fn make_folder(folder: &Path, pictures: &[PathBuf]) -> Result<()> {
    let mut names = HashSet::new();
    for picture in pictures {
        ensure!(
            names.insert(picture.file_stem()),
            "{}: two pictures have this name, and {} has room for one; take them in two runs",
            picture.display(),
            folder.display()
        );
    }
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot create", folder.display()))
}

/// `NAME.ending` in a folder, for a picture `NAME.…`.
pub(crate) fn named(folder: &Path, picture: &Path, ending: &str) -> PathBuf {
    folder.join(picture.file_stem().unwrap_or_default()).with_added_extension(ending)
}

/// Writes the heat maps of a picture: drawn as `NAME.png`, their numbers `[map, row, column]` as `NAME.npy`, and what
/// these are as `NAME.json`.
pub(crate) fn write_heat_maps(
    folder: &Path,
    picture: &Path,
    drawn: &Drawing,
    (numbers, shape): (&[f32], [usize; 3]),
    about: &impl Serialize,
) -> Result<()> {
    drawn.save(named(folder, picture, "png"))?;
    write_npy(named(folder, picture, "npy"), numbers, &shape)?;
    Ok(write_atomic(named(folder, picture, "json"), &serde_json::to_vec_pretty(about)?)?)
}
