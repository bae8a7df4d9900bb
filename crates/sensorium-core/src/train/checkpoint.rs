//! A checkpoint file: named parts in one uncompressed zip archive, whose checksums tell a torn file from a whole one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Error as IoError, Read, Write};
use std::path::Path;

use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, ZipArchive};

use crate::{Error, Result, files};

/// What a checkpoint holds, by name.
pub(super) type Parts = BTreeMap<String, Vec<u8>>;

/// Writes all parts as one file, or none.
pub(super) fn write(path: &Path, parts: &Parts) -> Result<()> {
    files::write_atomic_with(path, |out| {
        let mut archive = ZipWriter::new_stream(out);
        for (name, bytes) in parts {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
            archive.start_file(name, options).map_err(IoError::other)?;
            archive.write_all(bytes)?;
        }
        archive.finish().map_err(IoError::other)?;
        Ok(())
    })
}

/// Reads every part, and checks it.
pub(super) fn read(path: &Path) -> Result<Parts> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    let length = file.metadata().map_err(Error::io(path, "read"))?.len();
    let torn = |reason: String| Error::format(path, "checkpoint", reason);
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| torn(error.to_string()))?;
    let mut parts = Parts::new();
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).map_err(|error| torn(error.to_string()))?;
        let name = part.name().to_string();
        // Stored parts cannot be longer than the file, whatever their headers say.
        if part.compression() != CompressionMethod::Stored || part.size() > length {
            return Err(torn(format!("the part {name} is not stored plainly")));
        }
        let mut bytes = Vec::with_capacity(part.size() as usize);
        part.read_to_end(&mut bytes).map_err(|error| torn(format!("the part {name}: {error}")))?;
        parts.insert(name, bytes);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        let long = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
        Parts::from([("a.json".into(), b"{}".to_vec()), ("b.bpk".into(), long), ("empty".into(), vec![])])
    }

    #[test]
    fn parts_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        write(&path, &parts()).unwrap();
        assert_eq!(read(&path).unwrap(), parts());
    }

    #[test]
    fn a_torn_or_changed_file_is_refused_or_reads_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        write(&path, &parts()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(97).chain(whole.len() - 80..whole.len()) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = read(&path).expect_err("a truncated file").to_string();
            assert!(error.contains("x.zip") && error.contains("checkpoint"), "{error}");
        }
        let mut refused = 0;
        for at in (0..whole.len()).step_by(61).chain(whole.len() - 300..whole.len()) {
            let mut changed = whole.clone();
            changed[at] ^= 0x41;
            std::fs::write(&path, &changed).unwrap();
            // A changed date may go unnoticed, and a changed name or count may hide a part; no part reads otherwise.
            match read(&path) {
                Err(_) => refused += 1,
                Ok(read) => assert!(read.values().all(|part| parts().values().any(|p| p == part)), "byte {at}"),
            }
        }
        assert!(refused > 300, "{refused}");
    }
}
