//! finalfusion's `.fifu`: chunks of metadata, words, unit vectors and their norms.
//!
//! The crate `finalfusion` reads these too, but brings ndarray, reductive, toml and second versions of rand and
//! thiserror, and trusts the lengths in a file; the part of the format that word vectors need is small.
//!
//! Of files with subwords the words' own vectors are read, not those of n-grams.

use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use sensorium_core::Error;
use sensorium_core::files::write_atomic_with;

use super::WordVectors;
use super::cursor::{Cursor, Parsed};
use super::layout::{Layout, Number, f32s, write_f32s};
use super::mapped::map_file;
use super::words::{WordList, parse_word, shown};
use crate::Result;

pub(super) const MAGIC: &[u8] = b"FiFu";
pub(super) const FORMAT: &str = "finalfusion file";

const VERSION: u32 = 0;
const F32: u32 = 10;

mod chunk {
    pub(super) const VOCAB: u32 = 1;
    pub(super) const MATRIX: u32 = 2;
    pub(super) const BUCKET_VOCAB: u32 = 3;
    pub(super) const QUANTIZED_MATRIX: u32 = 4;
    pub(super) const METADATA: u32 = 5;
    pub(super) const NORMS: u32 = 6;
    pub(super) const FASTTEXT_VOCAB: u32 = 7;
    pub(super) const EXPLICIT_VOCAB: u32 = 8;
}

/// Reads the metadata of a `.fifu`, which is TOML; `None` if it has none.
///
/// # Errors
/// If the file cannot be read or is no finalfusion file.
pub fn read_metadata(path: impl AsRef<Path>) -> Result<Option<String>> {
    let path = path.as_ref();
    let bytes = map_file(path)?;
    let metadata = || {
        let Some((_, range)) = chunks(&bytes)?.into_iter().find(|(id, _)| *id == chunk::METADATA) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[range]).map_err(|e| format!("its metadata is not UTF-8: {e}"))?;
        Ok(Some(text.to_string()))
    };
    Ok(metadata().map_err(|reason: String| Error::format(path, FORMAT, reason))?)
}

/// Writes a `.fifu` with metadata, which should be TOML: other programs refuse a file where it is not.
///
/// Rows are stored as unit vectors beside their norms, as the format wants; read back, a number may differ from its
/// first value by the rounding of a division and a product.
///
/// # Errors
/// [`Error::Config`] if there are 2^32 or more numbers in a vector or bytes in a word, or a row's norm exceeds the range
/// of f32; [`Error::Io`] if the file cannot be written.
pub fn write(path: impl AsRef<Path>, vectors: &WordVectors, metadata: Option<&str>) -> Result<()> {
    let path = path.as_ref();
    let fail = |rule: String| Error::config("word vectors", path.display(), rule);
    let dim = u32::try_from(vectors.dim()).map_err(|_| fail(format!("{} numbers in a vector", vectors.dim())))?;
    let norms: Vec<f32> = (0..vectors.len()).map(|index| norm(vectors.row(index))).collect();
    for (word, norm) in vectors.words().iter().zip(&norms) {
        if !norm.is_finite() || u32::try_from(word.len()).is_err() {
            return Err(fail(format!("{} is too long, or its vector is: write .safetensors", shown(word))).into());
        }
    }
    Ok(write_atomic_with(path, |out| write_chunks(out, vectors, dim, &norms, metadata))?)
}

fn norm(row: &[f32]) -> f32 {
    row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt() as f32
}

fn write_chunks(
    out: &mut dyn Write,
    vectors: &WordVectors,
    dim: u32,
    norms: &[f32],
    metadata: Option<&str>,
) -> io::Result<()> {
    let (count, words) = (vectors.len() as u64, vectors.words());
    let vocab: usize = words.iter().map(|word| 4 + word.len()).sum();
    let mut out = Counted { out, at: 0 };

    let ids: Vec<u32> =
        metadata.map(|_| chunk::METADATA).into_iter().chain([chunk::VOCAB, chunk::MATRIX, chunk::NORMS]).collect();
    out.write_all(MAGIC)?;
    out.u32(VERSION)?;
    out.u32(ids.len() as u32)?;
    ids.iter().try_for_each(|id| out.u32(*id))?;

    if let Some(text) = metadata {
        out.begin(chunk::METADATA, text.len())?;
        out.write_all(text.as_bytes())?;
    }
    out.begin(chunk::VOCAB, 8 + vocab)?;
    out.u64(count)?;
    for word in words {
        out.u32(word.len() as u32)?;
        out.write_all(word.as_bytes())?;
    }
    let fields = 8 + 4 + 4;
    out.begin(chunk::MATRIX, fields + padding(out.at + 12 + fields) + 4 * vectors.values().len())?;
    out.u64(count)?;
    out.u32(dim)?;
    out.u32(F32)?;
    out.pad()?;
    let unit = |norm: f32| if norm == 0.0 { 1.0 } else { norm };
    for (row, norm) in vectors.values().chunks_exact(vectors.dim()).zip(norms) {
        let row: Vec<f32> = row.iter().map(|value| value / unit(*norm)).collect();
        write_f32s(&mut out, &row)?;
    }
    let fields = 8 + 4;
    out.begin(chunk::NORMS, fields + padding(out.at + 12 + fields) + 4 * norms.len())?;
    out.u64(count)?;
    out.u32(F32)?;
    out.pad()?;
    write_f32s(&mut out, norms)
}

/// Bytes of padding at `at`: never none, so that numbers begin at a multiple of 4.
fn padding(at: usize) -> usize {
    4 - at % 4
}

/// A writer that knows how far it is, which padding depends on.
struct Counted<'o> {
    out: &'o mut dyn Write,
    at: usize,
}

impl Counted<'_> {
    fn begin(&mut self, id: u32, length: usize) -> io::Result<()> {
        self.u32(id)?;
        self.u64(length as u64)
    }

    fn u32(&mut self, value: u32) -> io::Result<()> {
        self.write_all(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> io::Result<()> {
        self.write_all(&value.to_le_bytes())
    }

    fn pad(&mut self) -> io::Result<()> {
        let zeros = [0; 4];
        self.write_all(&zeros[..padding(self.at)])
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.at += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Where words, rows and norms lie.
pub(super) fn layout(bytes: &[u8]) -> Parsed<Layout> {
    let (mut words, mut matrix, mut norms) = (None, None, None);
    for (id, range) in chunks(bytes)? {
        let repeated = match id {
            chunk::VOCAB | chunk::BUCKET_VOCAB | chunk::FASTTEXT_VOCAB | chunk::EXPLICIT_VOCAB => {
                words.replace((parse_words(&bytes[range], id)?, id)).is_some()
            }
            chunk::MATRIX => matrix.replace(parse_matrix(bytes, range)?).is_some(),
            chunk::NORMS => norms.replace(parse_norms(bytes, range)?).is_some(),
            chunk::METADATA => false,
            chunk::QUANTIZED_MATRIX => return Err("its matrix is quantized: convert it to a plain one".to_string()),
            other => return Err(format!("chunks of kind {other} are not supported")),
        };
        if repeated {
            return Err(format!("it has two chunks of kind {id}"));
        }
    }
    let (words, kind) = words.ok_or("it has no words")?;
    let Matrix { rows, dim, start } = matrix.ok_or("it has no matrix")?;
    if rows < words.len() || (rows > words.len() && kind == chunk::VOCAB) {
        return Err(format!("{} words but a matrix of {rows} rows", words.len()));
    }
    if let Some(norms) = norms.as_ref().filter(|norms| norms.len() != words.len()) {
        return Err(format!("{} words but {} norms", words.len(), norms.len()));
    }
    let starts = (0..words.len()).map(|index| start + 4 * dim * index).collect();
    Ok(Layout { norms, ..Layout::new(words, dim, Number::F32, starts)? })
}

/// The kind of each chunk and where its content lies.
fn chunks(bytes: &[u8]) -> Parsed<Vec<(u32, Range<usize>)>> {
    let mut cursor = Cursor::new(bytes);
    if cursor.take(MAGIC.len(), "its first bytes")? != MAGIC {
        return Err("it does not begin with FiFu".to_string());
    }
    let version = cursor.u32("the version")?;
    if version != VERSION {
        return Err(format!("version {version}, only {VERSION} is known"));
    }
    let count = cursor.u32("the number of chunks")?;
    let count = cursor.count(count, 4, "kinds of chunks")?;
    let kinds: Vec<u32> = (0..count).map(|_| cursor.u32("the kinds of chunks")).collect::<Parsed<_>>()?;
    let mut chunks = Vec::with_capacity(count);
    for (index, kind) in kinds.into_iter().enumerate() {
        let id = cursor.u32("the kind of a chunk")?;
        if id != kind {
            return Err(format!("chunk {} is of kind {id}, but the header says {kind}", index + 1));
        }
        let length = cursor.u64("the length of a chunk")?;
        let length = cursor.count(length, 1, "units of a chunk")?;
        let start = cursor.at();
        cursor.take(length, "a chunk")?;
        chunks.push((id, start..start + length));
    }
    match cursor.rest().len() {
        0 => Ok(chunks),
        more => Err(format!("{more} bytes follow the last chunk")),
    }
}

fn parse_words(chunk: &[u8], kind: u32) -> Parsed<WordList> {
    let mut cursor = Cursor::new(chunk);
    let count = cursor.u64("the number of words")?;
    // The settings of n-grams: their number where they are listed, lengths, number of buckets where they are hashed.
    let settings = match kind {
        chunk::VOCAB => 0,
        chunk::EXPLICIT_VOCAB => 8 + 4 + 4,
        _ => 4 + 4 + 4,
    };
    cursor.take(settings, "the settings of n-grams")?;
    let count = cursor.count(count, 4 + 1, "words")?;
    let mut words = Vec::with_capacity(count);
    for record in 1..=count {
        let what = format!("word {record} of {count}");
        let length = cursor.u32(&what)?;
        let length = cursor.count(length, 1, "units of a word")?;
        words.push(parse_word(cursor.take(length, &what)?, record)?);
    }
    WordList::new(words)
}

struct Matrix {
    rows: usize,
    dim: usize,
    /// The byte of the file at which its numbers begin.
    start: usize,
}

fn parse_matrix(bytes: &[u8], range: Range<usize>) -> Parsed<Matrix> {
    let mut cursor = Cursor::new(&bytes[..range.end]);
    cursor.take(range.start, "the chunks before")?;
    let rows = cursor.u64("the number of rows")?;
    let dim = cursor.u32("the dimension")? as usize;
    begin_numbers(&mut cursor)?;
    let rows = cursor.count(rows, dim.saturating_mul(4), "rows of the matrix")?;
    Ok(Matrix { rows, dim, start: cursor.at() })
}

fn parse_norms(bytes: &[u8], range: Range<usize>) -> Parsed<Vec<f32>> {
    let mut cursor = Cursor::new(&bytes[..range.end]);
    cursor.take(range.start, "the chunks before")?;
    let count = cursor.u64("the number of norms")?;
    begin_numbers(&mut cursor)?;
    let count = cursor.count(count, 4, "norms")?;
    let norms: Vec<f32> = f32s(cursor.take(4 * count, "the norms")?).collect();
    match norms.iter().position(|norm| !norm.is_finite() || *norm < 0.0) {
        Some(at) => Err(format!("norm {} is {}", at + 1, norms[at])),
        None => Ok(norms),
    }
}

/// The kind of number and the padding before the first.
fn begin_numbers(cursor: &mut Cursor) -> Parsed<()> {
    let kind = cursor.u32("the kind of number")?;
    if kind != F32 {
        return Err(format!("numbers of kind {kind}, must be {F32} (f32)"));
    }
    cursor.take(padding(cursor.at()), "the padding").map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::super::{MappedVectors, read};
    use super::*;

    /// Two words with metadata, as the crate finalfusion 0.18 writes them.
    const PLAIN: &[u8] =
        b"FiFu\0\0\0\0\x04\0\0\0\x05\0\0\0\x01\0\0\0\x02\0\0\0\x06\0\0\0\x05\0\0\0\x0c\0\0\0\0\0\0\0lang = \"d\
          e\"\n\x01\0\0\0\x1e\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x08\0\0\0new york\x06\0\0\0\xe6\x9d\xb1\xe4\xba\
          \xac\x02\0\0\0\"\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\n\0\0\0\0\0\x9a\x99\x19?\xcd\xccL?\0\0\
          \x80\xbf\0\0\0\0\x06\0\0\0\x18\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\n\0\0\0\0\0\0\0\0\0\xa0@\0\0\0@";

    /// The same words with two buckets of n-grams.
    const BUCKETS: &[u8] =
        b"FiFu\0\0\0\0\x03\0\0\0\x03\0\0\0\x02\0\0\0\x06\0\0\0\x03\0\0\0*\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\
          \0\0\0\x06\0\0\0\x01\0\0\0\x08\0\0\0new york\x06\0\0\0\xe6\x9d\xb1\xe4\xba\xac\x02\0\0\x002\0\0\0\0\0\
          \0\0\x04\0\0\0\0\0\0\0\x02\0\0\0\n\0\0\0\0\0\x9a\x99\x19?\xcd\xccL?\0\0\x80\xbf\0\0\0\0\0\0\x80?\0\0\
          \0\0\0\0\0\0\0\0\x80?\x06\0\0\0\x18\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\n\0\0\0\0\0\0\0\0\0\xa0@\0\0\0@";

    #[test]
    fn files_of_the_reference_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.fifu");
        for (bytes, metadata) in [(PLAIN, Some("lang = \"de\"\n")), (BUCKETS, None)] {
            std::fs::write(&path, bytes).unwrap();
            let vectors = read(&path).unwrap();
            assert_eq!(vectors.words(), ["new york", "東京"]);
            assert_eq!(vectors.values(), [3.0, 4.0, -2.0, 0.0], "unit vectors times their norms");
            assert_eq!(read_metadata(&path).unwrap().as_deref(), metadata);
            let mapped = MappedVectors::open(&path).unwrap();
            assert_eq!(mapped.get("東京").unwrap(), Some(vec![-2.0, 0.0]));
        }
    }

    #[test]
    fn the_same_bytes_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.fifu");
        let words = ["new york", "東京"].map(String::from).to_vec();
        let vectors = WordVectors::new(words, 2, vec![3.0, 4.0, -2.0, 0.0]).unwrap();
        write(&path, &vectors, Some("lang = \"de\"\n")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), PLAIN);
    }

    #[test]
    fn zeros_stay_and_what_the_format_cannot_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.fifu");
        let zeros = WordVectors::new(vec!["zero".to_string()], 2, vec![0.0; 2]).unwrap();
        write(&path, &zeros, None).unwrap();
        assert_eq!(read(&path).unwrap(), zeros);
        let long = WordVectors::new(vec!["long".to_string()], 2, vec![f32::MAX; 2]).unwrap();
        let error = write(&path, &long, None).unwrap_err().to_string();
        assert!(error.contains("'long'") && error.contains("write .safetensors"), "{error}");
    }

    #[test]
    fn chunks_that_do_not_fit_each_other_say_why() {
        let with = |at: usize, bytes: &[u8]| {
            let mut file = PLAIN.to_vec();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            file
        };
        let place = |part: &[u8]| PLAIN.windows(part.len()).position(|window| window == part).unwrap();
        let (matrix, tokyo) = (place(b"\x02\0\0\0\x22"), place("東京".as_bytes()));
        for (file, reason) in [
            (with(4, &[1]), "version 1, only 0"),
            (with(12, &[2]), "chunk 1 is of kind 5, but the header says 2"),
            (with(matrix + 12, &[1]), "2 words but a matrix of 1 rows"),
            (with(matrix + 20, &[0]), "the dimension is 0"),
            (with(matrix + 20, &[3]), "2 rows of the matrix of 12"),
            (with(matrix + 24, &[11]), "numbers of kind 11"),
            (with(matrix + 30, &[0, 0, 0xc0, 0x7f]), "word 1, 'new york': number 1 is NaN"),
            (with(PLAIN.len() - 1, &[0xc0]), "norm 2 is -2"),
            (with(tokyo, &[0xff]), "京', is not UTF-8"),
            ([PLAIN, b"x"].concat(), "1 bytes follow the last chunk"),
        ] {
            let error = layout(&file).and_then(|layout| layout.load(&file)).unwrap_err();
            assert!(error.contains(reason), "{error}, where {reason} was expected");
        }
    }
}
