//! Word vectors as safetensors: a tensor `vectors`, `[words, dim]`, and the words as a JSON list in the metadata.

use std::collections::HashSet;
use std::path::Path;

use ::safetensors::{Dtype, SafeTensors};
use burn::tensor::TensorData;
use sensorium_core::Error;
use sensorium_core::weights::{TensorMap, write_safetensors};

use super::WordVectors;
use super::cursor::Parsed;
use super::layout::{Layout, Number};
use super::words::WordList;
use crate::Result;

pub(super) const FORMAT: &str = "safetensors file of word vectors";

const VECTORS: &str = "vectors";
const WORDS: &str = "words";

/// Readers of the format refuse a longer header.
const LONGEST_HEADER: usize = 100_000_000;

/// Whether the file begins with a length that a header may have and the brace of its JSON.
pub(super) fn has_header(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    length.is_some_and(|length| length <= LONGEST_HEADER as u64) && bytes.get(8) == Some(&b'{')
}

/// The names of the tensors in a file; none if it is damaged.
pub(super) fn tensor_names(bytes: &[u8]) -> HashSet<String> {
    let about = SafeTensors::read_metadata(bytes).map(|(_, about)| about);
    about.map(|about| about.offset_keys().into_iter().collect()).unwrap_or_default()
}

/// Where words and rows lie. `path` leads to the file `NAME.vocab.txt` beside `NAME.safetensors`, which lists the words
/// where the metadata does not.
pub(super) fn layout(bytes: &[u8], path: &Path) -> Parsed<Layout> {
    let (header, about) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let info = about.info(VECTORS).ok_or_else(|| format!("it has no tensor '{VECTORS}'"))?;
    let number = match info.dtype {
        Dtype::F32 => Number::F32,
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        other => return Err(format!("'{VECTORS}' holds {other:?} numbers, must be F32, F16 or BF16")),
    };
    let &[rows, dim] = info.shape.as_slice() else {
        return Err(format!("'{VECTORS}' has the shape {:?}, must be [words, dim]", info.shape));
    };
    let words = match about.metadata().as_ref().and_then(|metadata| metadata.get(WORDS)) {
        Some(json) => parse_words(json)?,
        None => words_beside(path)?,
    };
    if words.len() != rows {
        return Err(format!("{} words but {rows} rows in '{VECTORS}'", words.len()));
    }
    let begin = 8 + header + info.data_offsets.0;
    let starts = (0..rows).map(|row| begin + row * dim * number.size()).collect();
    Layout::new(words, dim, number, starts)
}

fn words_beside(path: &Path) -> Parsed<WordList> {
    let path = path.with_extension("vocab.txt");
    let text = std::fs::read_to_string(&path).map_err(|e| {
        format!("its metadata has no list '{WORDS}', and the words cannot be read from {} either: {e}", path.display())
    })?;
    WordList::new(text.lines().map(String::from).collect()).map_err(|reason| format!("{}: {reason}", path.display()))
}

pub(super) fn write(path: &Path, vectors: &WordVectors) -> Result<()> {
    let mut file = with_words(path, vectors.words())?;
    file.insert(VECTORS, TensorData::new(vectors.values().to_vec(), [vectors.len(), vectors.dim()]));
    Ok(write_safetensors(path, &file)?)
}

/// A file without tensors yet whose metadata lists `words`.
pub(super) fn with_words(path: &Path, words: &[String]) -> Result<TensorMap> {
    let json = serde_json::to_string(words).expect("a list of strings");
    // In the header, which is JSON itself, quotes and backslashes are escaped once more.
    let length = json.len() + json.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
    if length + 4096 > LONGEST_HEADER {
        let rule = format!("their list is too long for the header of {}: write .fifu", path.display());
        return Err(Error::config("words", words.len(), rule).into());
    }
    let mut file = TensorMap::new(path);
    file.metadata.insert(WORDS.to_string(), json);
    Ok(file)
}

/// The words that [`with_words`] wrote.
pub(super) fn words_of(file: &TensorMap) -> Parsed<WordList> {
    parse_words(file.metadata.get(WORDS).ok_or_else(|| format!("its metadata has no list '{WORDS}'"))?)
}

fn parse_words(json: &str) -> Parsed<WordList> {
    let words =
        serde_json::from_str(json).map_err(|e| format!("'{WORDS}' in its metadata is no list of words: {e}"))?;
    WordList::new(words)
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use sensorium_core::weights::parse_safetensors;

    use super::super::{read, write};
    use super::*;

    fn small() -> WordVectors {
        WordVectors::new(vec!["say \"a\\b\"".into(), "b".into()], 2, vec![1.0, -0.5, 0.25, 3.0]).unwrap()
    }

    #[test]
    fn each_float_format_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        write(&path, &small()).unwrap();
        let file = parse_safetensors(&path, &std::fs::read(&path).unwrap()).unwrap();
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            write_safetensors(&path, &file.clone().cast_floats(dtype).unwrap()).unwrap();
            assert_eq!(read(&path).unwrap(), small(), "{dtype:?}");
        }
        write_safetensors(&path, &file.cast_floats(DType::F64).unwrap()).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("'vectors' holds F64 numbers, must be F32, F16 or BF16"), "{error}");
    }

    #[test]
    fn words_stand_in_the_metadata_or_in_a_file_beside() {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let bundled = read(assets.join("glove-6b-50d-40k.safetensors")).unwrap();
        assert_eq!((bundled.len(), bundled.dim()), (40_000, 50));
        assert_eq!(bundled.get("king"), crate::glove::Glove::bundled().vector("king"));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut file = TensorMap::new(&path);
        file.insert(VECTORS, TensorData::new(vec![1.0f32, 2.0], [2, 1]));
        write_safetensors(&path, &file).unwrap();
        let refused = |reason: &str| {
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("a.safetensors"), "{error}");
        };
        refused("its metadata has no list 'words', and the words cannot be read from");
        std::fs::write(folder.path().join("a.vocab.txt"), "one\n").unwrap();
        refused("1 words but 2 rows");
        std::fs::write(folder.path().join("a.vocab.txt"), "one\none\n").unwrap();
        refused("a.vocab.txt: word 2, 'one', already stands as word 1");
        std::fs::write(folder.path().join("a.vocab.txt"), "one\r\ntwo").unwrap();
        assert_eq!(read(&path).unwrap().get("two"), Some([2.0].as_slice()));

        file.metadata.insert(WORDS.to_string(), "[1]".to_string());
        write_safetensors(&path, &file).unwrap();
        refused("'words' in its metadata is no list of words");
        file.insert(VECTORS, TensorData::new(vec![1.0f32, 2.0], [2]));
        write_safetensors(&path, &file).unwrap();
        refused("has the shape [2], must be [words, dim]");
        write_safetensors(&path, &TensorMap::new(&path)).unwrap();
        refused("it has no tensor 'vectors'");
    }
}
