//! Word vectors in memory and in files.
//!
//! [`read`] knows a file by its content, [`write()`] chooses the format by the file's extension:
//!
//! | format | extension | read | write |
//! |---|---|---|---|
//! | word2vec text: a line `words dim`, then a word and its numbers a line | `.txt`, `.vec` | yes | yes |
//! | word2vec.c binary | `.bin` | yes | yes |
//! | GloVe text: as word2vec text, without the first line | `.glove`, `.glove.txt` | yes | yes |
//! | finalfusion | `.fifu` | yes | yes |
//! | safetensors: tensor `vectors`, the words as a JSON list in the metadata | `.safetensors` | yes | yes |
//! | fastText model, see [`FastText`] | `.fasttext.bin` | yes | without n-grams |
//! | 8-bit numbers, see [`quantized`] | `.int8.safetensors` | yes | yes |
//! | product-quantized, see [`quantized`] | `.pq.safetensors` | yes | yes |
//!
//! [`MappedVectors`] looks words up on disk, [`quantized`] holds them in a quarter of the memory or much less.
//!
//! ```
//! use sensorium_text::vectors::{self, WordVectors};
//!
//! let vectors = WordVectors::new(vec!["red".into(), "blue".into()], 3, vec![1.0, 0.0, 0.5, -1.0, 0.25, 2.0])?;
//! assert_eq!(vectors.get("blue"), Some([-1.0, 0.25, 2.0].as_slice()));
//!
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("colours.vec");
//! vectors::write(&path, &vectors)?;
//! assert_eq!(vectors::read(&path)?, vectors);
//! # Ok::<(), sensorium_text::Error>(())
//! ```

mod cursor;
pub mod evaluate;
pub mod fasttext;
pub mod finalfusion;
#[cfg(test)]
mod hostile_tests;
mod layout;
#[cfg(feature = "draw")]
pub mod map;
mod mapped;
pub mod quantized;
pub mod query;
mod safetensors;
mod text;
mod word2vec_binary;
mod words;

use std::path::Path;

use burn::module::Param;
use burn::nn::Embedding;
use burn::tensor::{Device, Tensor, TensorData};
use sensorium_core::Error;
use sensorium_core::files::write_atomic_with;

use crate::Result;
use cursor::Parsed;
use layout::Layout;
use words::{WordList, shown};

pub use fasttext::FastText;
pub use mapped::MappedVectors;
pub(crate) use mapped::map_file;
pub use quantized::{Int8Vectors, ProductQuantizer, ProductQuantizerConfig, ProductVectors};

/// Words with a vector each, in the order of the file (usually by falling frequency).
///
/// Words are distinct and not empty, numbers finite.
#[derive(Debug, Clone, PartialEq)]
pub struct WordVectors {
    words: WordList,
    dim: usize,
    values: Vec<f32>,
}

impl WordVectors {
    /// `values` holds the vectors of `words` one after the other, `dim` numbers each.
    ///
    /// # Errors
    /// [`Error::Config`] if a word is empty or stands twice, `dim` is 0, `values` has not `words * dim` numbers, or a
    /// number is not finite.
    pub fn new(words: Vec<String>, dim: usize, values: Vec<f32>) -> Result<Self> {
        let count = words.len();
        let vectors = WordList::new(words).and_then(|words| Self::checked(words, dim, values));
        Ok(vectors.map_err(|rule| Error::config("word vectors", format!("{count} words"), rule))?)
    }

    fn checked(words: WordList, dim: usize, values: Vec<f32>) -> Parsed<Self> {
        check_dim(dim)?;
        if words.len().checked_mul(dim) != Some(values.len()) {
            return Err(format!("{} numbers, must be {} words times {dim}", values.len(), words.len()));
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(format!("{}: number {} is {}", words.place(at / dim), at % dim + 1, values[at])),
            None => Ok(Self { words, dim, values }),
        }
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in a vector, at least 1.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The words, in the order of their rows.
    pub fn words(&self) -> &[String] {
        self.words.words()
    }

    /// The row of a word, if there is one.
    pub fn index(&self, word: &str) -> Option<usize> {
        self.words.index(word)
    }

    /// The vector at `index`, [`dim`](Self::dim) numbers.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..][..self.dim]
    }

    /// The vector of a word, if there is one.
    pub fn get(&self, word: &str) -> Option<&[f32]> {
        self.index(word).map(|index| self.row(index))
    }

    /// All vectors, `[words, dim]`, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The vectors as a burn module: from `[batch, words]` indices to `[batch, words, dim]`.
    ///
    /// ```
    /// use burn::tensor::{Int, Tensor};
    /// use sensorium_text::vectors::WordVectors;
    ///
    /// let vectors = WordVectors::new(vec!["red".into(), "blue".into()], 2, vec![1.0, 0.5, -1.0, 2.0])?;
    /// let device = sensorium_core::device::parse("flex")?;
    /// let blue = Tensor::<2, Int>::from_data([[vectors.index("blue").unwrap() as i32]], &device);
    /// let row = vectors.embedding(&device).forward(blue);
    /// assert_eq!(row.into_data().try_to_vec::<f32>().unwrap(), [-1.0, 2.0]);
    /// # Ok::<(), sensorium_text::Error>(())
    /// ```
    pub fn embedding(&self, device: &Device) -> Embedding {
        let weight = Tensor::from_data(TensorData::new(self.values.clone(), [self.len(), self.dim]), device);
        Embedding { weight: Param::from_tensor(weight) }
    }
}

fn check_dim(dim: usize) -> Parsed<()> {
    if dim == 0 { Err("the dimension is 0, must be at least 1".to_string()) } else { Ok(()) }
}

/// Reads word vectors, whatever the format; of a fastText model the vectors of its words.
///
/// # Errors
/// If the file cannot be read or breaks the rules of its format; the message names the file and the place in it.
pub fn read(path: impl AsRef<Path>) -> Result<WordVectors> {
    let path = path.as_ref();
    let bytes = map_file(path)?;
    let format = Format::of(&bytes, path);
    match format {
        Format::Int8 => return Ok(Int8Vectors::read(path)?.dequantize()),
        Format::Product => return Ok(ProductVectors::read(path)?.dequantize()),
        _ => {}
    }
    Ok(format.parse(&bytes, path).map_err(|reason| Error::format(path, format.name(), reason))?)
}

/// Writes word vectors in the format that the extension of `path` stands for: `.txt` and `.vec` word2vec text, `.bin`
/// word2vec.c binary, `.fasttext.bin` a fastText model without n-grams, `.glove` and `.glove.txt` GloVe text, `.fifu`
/// finalfusion, `.safetensors`; quantized, `.int8.safetensors` ([`Int8Vectors`]) and `.pq.safetensors`
/// ([`ProductVectors`], a byte for every two numbers where the dimension is even, else for its smallest divisor).
///
/// # Errors
/// [`Error::Config`] if the extension is none of these or the format has no way to write one of the words;
/// [`Error::Io`] if the file cannot be written.
pub fn write(path: impl AsRef<Path>, vectors: &WordVectors) -> Result<()> {
    let path = path.as_ref();
    match Format::to_write(path)? {
        Format::Word2vecText => {
            check_words(path, vectors)?;
            Ok(write_atomic_with(path, |out| text::write_word2vec(out, vectors))?)
        }
        Format::Word2vecBinary => {
            check_words(path, vectors)?;
            Ok(write_atomic_with(path, |out| word2vec_binary::write(out, vectors))?)
        }
        Format::Glove => {
            check_words(path, vectors)?;
            Ok(write_atomic_with(path, |out| text::write_glove(out, vectors))?)
        }
        Format::Finalfusion => finalfusion::write(path, vectors, None),
        Format::Safetensors => safetensors::write(path, vectors),
        Format::FastText => FastText::of_vectors(vectors)?.write(path),
        Format::Int8 => Int8Vectors::quantize(vectors).write(path),
        Format::Product => {
            ProductVectors::quantize(vectors, &ProductQuantizerConfig::for_vectors(vectors))?.write(path)
        }
    }
}

/// Checks that [`write()`] knows a format by the name of `path`: before the work that leads to vectors.
///
/// # Errors
/// [`Error::Config`] if the extension stands for no format.
pub fn check_name(path: impl AsRef<Path>) -> Result<()> {
    Format::to_write(path.as_ref()).map(|_| ())
}

/// The formats in which words end at a blank can hold no blank in a word.
fn check_words(path: &Path, vectors: &WordVectors) -> Result<()> {
    let blank = |word: &&String| word.contains([' ', '\t', '\n', '\r']);
    match vectors.words().iter().find(blank) {
        Some(word) => {
            let rule = format!("{} cannot hold a word with a blank in it: write .fifu or .safetensors", path.display());
            Err(Error::config("word", shown(word), rule).into())
        }
        None => Ok(()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    Word2vecText,
    Word2vecBinary,
    Glove,
    FastText,
    Finalfusion,
    Safetensors,
    Int8,
    Product,
}

impl Format {
    /// By magic bytes, by the first lines, else by the extension.
    fn of(bytes: &[u8], path: &Path) -> Self {
        if bytes.starts_with(finalfusion::MAGIC) {
            return Self::Finalfusion;
        }
        if bytes.starts_with(&fasttext::MAGIC) {
            return Self::FastText;
        }
        if safetensors::has_header(bytes) {
            return match safetensors::tensor_names(bytes) {
                names if Int8Vectors::TENSORS.iter().all(|name| names.contains(*name)) => Self::Int8,
                names if ProductVectors::TENSORS.iter().all(|name| names.contains(*name)) => Self::Product,
                _ => Self::Safetensors,
            };
        }
        let name = Self::of_name(path);
        match text::header(bytes) {
            Some(header) if text::is_text_record(&bytes[header.len..], header.dim) => Self::Word2vecText,
            Some(_) if name == Some(Self::Word2vecText) => Self::Word2vecText,
            Some(_) => Self::Word2vecBinary,
            None if matches!(name, None | Some(Self::Word2vecText)) => Self::Glove,
            None => name.expect("a format by name"),
        }
    }

    /// By the extension, which must stand for one.
    fn to_write(path: &Path) -> Result<Self> {
        let rule = "the extension must be .txt, .vec, .bin, .fasttext.bin, .glove, .glove.txt, .fifu, .safetensors, \
                    .int8.safetensors or .pq.safetensors";
        Ok(Self::of_name(path).ok_or_else(|| Error::config("file", path.display(), rule))?)
    }

    fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let extensions = [
            (".glove.txt", Self::Glove),
            (".glove", Self::Glove),
            (".txt", Self::Word2vecText),
            (".vec", Self::Word2vecText),
            (".fasttext.bin", Self::FastText),
            (".bin", Self::Word2vecBinary),
            (".fifu", Self::Finalfusion),
            (".int8.safetensors", Self::Int8),
            (".pq.safetensors", Self::Product),
            (".safetensors", Self::Safetensors),
        ];
        extensions.into_iter().find(|(extension, _)| name.ends_with(extension)).map(|(_, format)| format)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Word2vecText => "word2vec text file",
            Self::Word2vecBinary => "word2vec binary file",
            Self::Glove => "GloVe text file",
            Self::FastText => fasttext::FORMAT,
            Self::Finalfusion => finalfusion::FORMAT,
            Self::Safetensors => safetensors::FORMAT,
            Self::Int8 => Int8Vectors::FORMAT,
            Self::Product => ProductVectors::FORMAT,
        }
    }

    fn parse(self, bytes: &[u8], path: &Path) -> Parsed<WordVectors> {
        match self {
            Self::Word2vecText => text::parse_word2vec(bytes),
            Self::Glove => text::parse_glove(bytes),
            Self::FastText => fasttext::parse(bytes)?.compose(),
            _ => self.layout(bytes, path)?.load(bytes),
        }
    }

    /// Where rows lie, in the formats that have a row as such in the file.
    fn layout(self, bytes: &[u8], path: &Path) -> Parsed<Layout> {
        match self {
            Self::Word2vecBinary => word2vec_binary::layout(bytes),
            Self::Finalfusion => finalfusion::layout(bytes),
            Self::Safetensors => safetensors::layout(bytes, path),
            _ => Err("no row can be looked up in it: convert it to .fifu, .safetensors or word2vec .bin".to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn small() -> WordVectors {
        let words = ["naïve", "東京", "1999"].map(String::from).to_vec();
        WordVectors::new(words, 2, vec![0.1, -2.5, 1e-7, f32::MAX, -0.0, f32::from_bits(1)]).unwrap()
    }

    #[test]
    fn vectors_are_found_by_word_and_by_row() {
        let vectors = small();
        assert_eq!((vectors.len(), vectors.dim(), vectors.is_empty()), (3, 2, false));
        assert_eq!((vectors.index("東京"), vectors.index("tokyo")), (Some(1), None));
        assert_eq!(vectors.get("東京"), Some(vectors.row(1)));
        assert_eq!(vectors.get("tokyo"), None);
        assert!(WordVectors::new(vec![], 2, vec![]).unwrap().is_empty());
    }

    #[test]
    fn words_and_numbers_that_do_not_fit_are_refused() {
        for (words, dim, values, reason) in [
            (["a", "a"], 1, vec![1.0, 2.0], "word 2, 'a', already stands as word 1"),
            (["a", ""], 1, vec![1.0, 2.0], "word 2 is empty"),
            (["a", "b"], 0, vec![], "the dimension is 0"),
            (["a", "b"], 2, vec![1.0; 3], "3 numbers, must be 2 words times 2"),
            (["a", "b"], usize::MAX, vec![1.0; 3], "3 numbers, must be 2 words times"),
            (["a", "b"], 2, vec![1.0, 1.0, 1.0, f32::NAN], "word 2, 'b': number 2 is NaN"),
        ] {
            let error = WordVectors::new(words.map(String::from).to_vec(), dim, values).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}, where {reason} was expected");
        }
    }

    #[test]
    fn content_decides_before_the_extension() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let exact = ["a.txt", "a.vec", "a.VEC", "a.bin", "a.fasttext.bin", "a.glove", "a.glove.txt", "a.safetensors"];
        for name in exact {
            write(at(name), &small()).unwrap();
            std::fs::copy(at(name), at("no-extension")).unwrap();
            std::fs::copy(at(name), at("wrong.fifu")).unwrap();
            assert_eq!(read(at(name)).unwrap(), small(), "{name}");
            assert_eq!(read(at("no-extension")).unwrap(), small(), "{name} without its extension");
            if !name.contains("glove") {
                assert_eq!(read(at("wrong.fifu")).unwrap(), small(), "{name} with another extension");
            }
        }
        std::fs::copy(at("a.glove"), at("b.txt")).unwrap();
        assert_eq!(read(at("b.txt")).unwrap(), small(), "GloVe's own files end in .txt");
    }

    #[test]
    fn quantized_files_are_written_and_read_like_others() {
        let folder = tempfile::tempdir().unwrap();
        let words: Vec<String> = (0..300).map(|i| format!("w{i}")).collect();
        let values = (0..300 * 6).map(|i| (i * i % 1009) as f32 / 500.0 - 1.0).collect();
        let vectors = WordVectors::new(words, 6, values).unwrap();
        for (name, most) in [("a.int8.safetensors", 0.005), ("a.pq.safetensors", 0.2)] {
            let path = folder.path().join(name);
            write(&path, &vectors).unwrap();
            std::fs::copy(&path, folder.path().join("b")).unwrap();
            let back = read(folder.path().join("b")).unwrap();
            assert_eq!(back.words(), vectors.words(), "{name}");
            let off = back.values().iter().zip(vectors.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off > 0.0 && off < most, "{name}: off by {off}");
        }
    }

    #[test]
    fn an_unknown_extension_and_words_with_blanks_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a.csv", "a", "a.ftz"] {
            let error = write(at(name), &small()).unwrap_err().to_string();
            assert!(error.contains("the extension must be .txt, .vec, .bin"), "{error}");
        }
        let spaced = WordVectors::new(vec!["new york".to_string()], 1, vec![1.0]).unwrap();
        for name in ["a.txt", "a.bin", "a.glove"] {
            let error = write(at(name), &spaced).unwrap_err().to_string();
            assert!(error.contains("'new york'") && error.contains("write .fifu or .safetensors"), "{error}");
            assert!(!at(name).exists());
        }
        for name in ["a.fifu", "a.safetensors"] {
            write(at(name), &spaced).unwrap();
            assert_eq!(read(at(name)).unwrap(), spaced);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_comes_back(
            words in prop::collection::btree_set("[^ \t\r\n]{1,5}", 1..6),
            dim in 1usize..4,
            values in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO, 18),
        ) {
            let values = values[..words.len() * dim].to_vec();
            let vectors = WordVectors::new(words.into_iter().collect(), dim, values).unwrap();
            let folder = tempfile::tempdir().unwrap();
            for name in ["a.txt", "a.bin", "a.glove", "a.safetensors"] {
                let path = folder.path().join(name);
                write(&path, &vectors).unwrap();
                prop_assert_eq!(&read(&path).unwrap(), &vectors, "{}", name);
            }
        }
    }
}
