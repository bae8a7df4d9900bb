//! Whole-file writes: a reader sees the old file or the new one, never a part.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes `bytes` to `path`: beside it first, then renamed over it, so that a kill or a full disk leaves the old
/// file whole. A missing parent folder is made. A path that is not a plain file (`/dev/full`, a pipe) is written in
/// place.
///
/// # Errors
/// [`Error::Io`] names the path.
///
/// ```
/// let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("a/b.json");
/// sensorium_core::files::write_atomic(&path, b"{}").unwrap();
/// assert_eq!(std::fs::read(path).unwrap(), b"{}");
/// ```
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    write_atomic_with(path, |out| out.write_all(bytes))
}

/// As [`write_atomic`], for content that is produced piece by piece.
///
/// # Errors
/// [`Error::Io`] names the path; the file at `path` is then as it was.
pub fn write_atomic_with(
    path: impl AsRef<Path>,
    produce: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let fail = || Error::io(path, "write");
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        let mut out = std::fs::OpenOptions::new().write(true).open(path).map_err(fail())?;
        return produce(&mut out).and_then(|()| out.flush()).map_err(fail());
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(fail())?;
    let beside = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder).map_err(fail())?;
    let mut out = BufWriter::new(beside);
    produce(&mut out).map_err(fail())?;
    let beside = out.into_inner().map_err(|e| fail()(e.into_error()))?;
    beside.as_file().sync_all().map_err(fail())?;
    let kept = beside.persist(path).map_err(|e| fail()(e.error))?;
    open_to_readers(&kept).map_err(fail())
}

/// A temporary file is private to its owner; the finished one gets an ordinary file's mode.
#[cfg(unix)]
fn open_to_readers(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn open_to_readers(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.txt");
        write_atomic(&path, b"old").unwrap();
        let failed = write_atomic_with(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(std::io::Error::other("the disk is full"))
        });
        assert!(failed.unwrap_err().to_string().contains("kept.txt"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let error = write_atomic("/dev/full", b"x").unwrap_err().to_string();
        assert!(error.contains("/dev/full") && error.contains("cannot write"), "{error}");
    }
}
