//! Word vectors on disk: the words in memory, a row read when it is asked for.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use sensorium_core::Error;

use super::layout::Layout;
use super::{Format, WordVectors};
use crate::Result;

/// Word vectors in a memory-mapped `.fifu`, `.safetensors` or word2vec `.bin`: opening takes the memory of the words
/// alone, and the numbers stay on disk until a row is asked for.
///
/// The file must not be changed while it is open. Writing a new one at the same path with this library is safe, since
/// the old one is replaced, not overwritten.
///
/// ```
/// use sensorium_text::vectors::{self, MappedVectors, WordVectors};
///
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("colours.safetensors");
/// vectors::write(&path, &WordVectors::new(vec!["red".into(), "blue".into()], 2, vec![1.0, 0.0, 0.5, -1.0])?)?;
///
/// let mapped = MappedVectors::open(&path)?;
/// assert_eq!(mapped.get("blue")?, Some(vec![0.5, -1.0]));
/// assert_eq!(mapped.get("green")?, None);
/// # Ok::<(), sensorium_text::Error>(())
/// ```
#[derive(Debug)]
pub struct MappedVectors {
    path: PathBuf,
    bytes: Mmap,
    format: Format,
    layout: Layout,
}

impl MappedVectors {
    /// Opens a file and reads its words.
    ///
    /// # Errors
    /// If the file cannot be read, is of another format or breaks the rules of its own.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = map_file(path)?;
        let format = Format::of(&bytes, path);
        let layout = format.layout(&bytes, path).map_err(|reason| Error::format(path, format.name(), reason))?;
        Ok(Self { path: path.to_path_buf(), bytes, format, layout })
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.layout.words.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in a vector, at least 1.
    pub fn dim(&self) -> usize {
        self.layout.dim
    }

    /// The words, in the order of their rows.
    pub fn words(&self) -> &[String] {
        self.layout.words.words()
    }

    /// The row of a word, if there is one.
    pub fn index(&self, word: &str) -> Option<usize> {
        self.layout.words.index(word)
    }

    /// The vector at `index`, [`dim`](Self::dim) numbers.
    ///
    /// # Errors
    /// If a number in the row is not finite.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn row(&self, index: usize) -> Result<Vec<f32>> {
        let mut row = Vec::with_capacity(self.dim());
        self.layout.decode(&self.bytes, index, &mut row);
        match row.iter().position(|value| !value.is_finite()) {
            Some(at) => {
                let reason = format!("{}: number {} is {}", self.layout.words.place(index), at + 1, row[at]);
                Err(Error::format(&self.path, self.format.name(), reason).into())
            }
            None => Ok(row),
        }
    }

    /// The vector of a word, if there is one.
    ///
    /// # Errors
    /// If a number in the row is not finite.
    pub fn get(&self, word: &str) -> Result<Option<Vec<f32>>> {
        self.index(word).map(|index| self.row(index)).transpose()
    }

    /// All vectors in memory.
    ///
    /// # Errors
    /// If a number is not finite.
    pub fn load(self) -> Result<WordVectors> {
        let Self { path, bytes, format, layout } = self;
        Ok(layout.load(&bytes).map_err(|reason| Error::format(path, format.name(), reason))?)
    }
}

/// The bytes of a plain file.
pub(crate) fn map_file(path: &Path) -> Result<Mmap> {
    let fail = || Error::io(path, "read");
    let file = File::open(path).map_err(fail())?;
    if !file.metadata().map_err(fail())?.is_file() {
        return Err(fail()(std::io::Error::other("it is not a plain file")).into());
    }
    // SAFETY: the bytes must not change while mapped. Files are written by renaming, which leaves a mapped one as it is.
    // A foreign program that truncates a file in use stops this one with a bus error, as with every memory-mapped file.
    #[expect(unsafe_code, reason = "there is no safe memory map")]
    let mapped = unsafe { Mmap::map(&file) };
    Ok(mapped.map_err(fail())?)
}

#[cfg(test)]
mod tests {
    use super::super::{read, write};
    use super::*;

    #[test]
    fn every_row_is_as_when_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["a", "東京", "c"].map(String::from).to_vec();
        let vectors = WordVectors::new(words, 2, vec![0.1, 2.0, -3.0, 4.0, 0.0, 0.0]).unwrap();
        for name in ["a.fifu", "a.safetensors", "a.bin"] {
            let path = folder.path().join(name);
            write(&path, &vectors).unwrap();
            let (mapped, whole) = (MappedVectors::open(&path).unwrap(), read(&path).unwrap());
            assert_eq!((mapped.len(), mapped.dim(), mapped.is_empty()), (3, 2, false));
            assert_eq!(mapped.words(), whole.words());
            for (index, word) in whole.words().iter().enumerate() {
                assert_eq!(mapped.index(word), Some(index));
                assert_eq!(mapped.row(index).unwrap(), whole.row(index), "{name}");
            }
            assert_eq!(mapped.get("unknown").unwrap(), None);

            // A new file in its place does not disturb the open one.
            write(&path, &WordVectors::new(vec!["new".into()], 1, vec![1.0]).unwrap()).unwrap();
            assert_eq!(mapped.load().unwrap(), whole);
        }
    }

    #[test]
    fn what_cannot_be_mapped_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a.txt"), "1 1\na 1\n").unwrap();
        std::fs::write(at("nan.bin"), b"1 1\na \xff\xff\xff\xff").unwrap();
        std::fs::write(at("empty.fifu"), b"").unwrap();
        for (name, reason) in [
            ("a.txt", "a.txt: not a valid word2vec text file: no row can be looked up in it"),
            ("empty.fifu", "it ends at byte 0"),
            ("none.bin", "cannot read"),
            ("", "not a plain file"),
        ] {
            let error = MappedVectors::open(at(name)).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}, where {reason} was expected");
        }
        let error = MappedVectors::open(at("nan.bin")).unwrap().get("a").unwrap_err().to_string();
        assert!(error.contains("nan.bin") && error.contains("word 1, 'a': number 1 is NaN"), "{error}");
    }
}
