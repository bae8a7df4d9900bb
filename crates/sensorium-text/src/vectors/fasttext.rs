//! fastText models (Bojanowski, Grave, Joulin and Mikolov 2017): words, hashed character n-grams and both matrices, in
//! fastText's own `.bin`, version 12.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::Path;

use sensorium_core::Error;
use sensorium_core::files::write_atomic_with;

use super::WordVectors;
use super::cursor::{Cursor, Parsed};
use super::layout::{f32s, write_f32s};
use super::mapped::map_file;
use super::words::{WordList, parse_word};
use crate::Result;

pub(super) const MAGIC: [u8; 4] = 793_712_314_u32.to_le_bytes();
pub(super) const FORMAT: &str = "fastText model";

const VERSION: u32 = 12;

/// The end of a sentence, which fastText counts as a word and gives no n-grams.
const END_OF_SENTENCE: &str = "</s>";

/// What a model was trained to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Continuous bag of words: predict a word from the mean of those around it.
    Cbow = 1,
    /// Skip-gram: predict the words around a word.
    Skipgram = 2,
    /// Predict the labels of a line.
    Supervised = 3,
}

/// How outputs were normalised in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Hierarchical softmax over a Huffman tree.
    HierarchicalSoftmax = 1,
    /// Negative sampling.
    NegativeSampling = 2,
    /// Softmax over all outputs.
    Softmax = 3,
    /// A logistic regression for each label.
    OneVsAll = 4,
}

/// The settings a model holds; the defaults are those of `fasttext skipgram`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Numbers in a vector, at least 1.
    pub dim: u32,
    /// Words on each side of a word that count as its context (`-ws`).
    pub window: u32,
    /// Passes over the text.
    pub epochs: u32,
    /// How often a word must occur.
    pub min_count: u32,
    /// Negative samples a word.
    pub negatives: u32,
    /// Longest n-gram of words, used by supervised models.
    pub word_ngrams: u32,
    /// How outputs were normalised.
    pub loss: Loss,
    /// What the model was trained to do.
    pub model: Model,
    /// Rows that n-grams are hashed to; 0 only where there are none.
    pub buckets: u32,
    /// Characters in the shortest n-gram (`-minn`).
    pub min_n: u32,
    /// Characters in the longest n-gram (`-maxn`); 0 for a model without n-grams.
    pub max_n: u32,
    /// Tokens between two changes of the learning rate.
    pub learning_rate_update: u32,
    /// Threshold of subsampling frequent words (`-t`).
    pub subsample: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dim: 100,
            window: 5,
            epochs: 5,
            min_count: 5,
            negatives: 5,
            word_ngrams: 1,
            loss: Loss::NegativeSampling,
            model: Model::Skipgram,
            buckets: 2_000_000,
            min_n: 3,
            max_n: 6,
            learning_rate_update: 100,
            subsample: 1e-4,
        }
    }
}

impl Settings {
    fn validate(&self) -> Parsed<()> {
        if self.dim == 0 {
            return Err("dim = 0, must be at least 1".to_string());
        }
        if self.max_n > 0 && self.buckets == 0 {
            return Err(format!("n-grams of up to {} characters but no buckets for them", self.max_n));
        }
        let s = self;
        let numbers = [
            ("dim", s.dim),
            ("window", s.window),
            ("epochs", s.epochs),
            ("min_count", s.min_count),
            ("negatives", s.negatives),
            ("word_ngrams", s.word_ngrams),
            ("buckets", s.buckets),
            ("min_n", s.min_n),
            ("max_n", s.max_n),
            ("learning_rate_update", s.learning_rate_update),
        ];
        match numbers.into_iter().find(|(_, value)| *value > i32::MAX as u32) {
            Some((name, value)) => Err(format!("{name} = {value}, must be at most {}", i32::MAX)),
            None => Ok(()),
        }
    }
}

/// A word or a label and how often it occurred in training.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The word, or the label with its prefix.
    pub text: String,
    /// Its occurrences.
    pub count: u64,
}

/// A fastText model. It has a vector for every word, known or not, by the n-grams of its characters.
///
/// ```
/// use sensorium_text::vectors::fasttext::{Entry, FastText, Settings};
///
/// let settings = Settings { dim: 2, buckets: 3, ..Settings::default() };
/// let words = vec![Entry { text: "cat".to_string(), count: 9 }];
/// let input = vec![4.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// let model = FastText::new(settings, words, vec![], input, vec![0.0; 2])?;
///
/// assert_eq!(model.vector("dog"), [1.0, 1.0]);
/// assert!(model.vector("cat")[0] > 1.0);
/// # Ok::<(), sensorium_text::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FastText {
    settings: Settings,
    words: WordList,
    counts: Vec<u64>,
    labels: Vec<Entry>,
    tokens: u64,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl FastText {
    /// `input` is `[words + buckets, dim]`, row-major: a row for each word, then one for each bucket of n-grams. `output`
    /// is `[words, dim]`, or `[labels, dim]` for a supervised model. Only a supervised one has labels.
    ///
    /// # Errors
    /// [`Error::Config`] if a word is empty, stands twice or holds a NUL, a setting or a number of rows does not fit the
    /// rest, or a number is not finite.
    pub fn new(
        settings: Settings,
        words: Vec<Entry>,
        labels: Vec<Entry>,
        input: Vec<f32>,
        output: Vec<f32>,
    ) -> Result<Self> {
        let about = format!("{} words", words.len());
        let (words, counts): (Vec<_>, Vec<_>) = words.into_iter().map(|entry| (entry.text, entry.count)).unzip();
        let tokens = counts
            .iter()
            .chain(labels.iter().map(|label| &label.count))
            .fold(0, |sum: u64, count| sum.saturating_add(*count));
        let model = WordList::new(words)
            .and_then(|words| Self { settings, words, counts, labels, tokens, input, output }.checked());
        Ok(model.map_err(|rule| Error::config("fastText model", about, rule))?)
    }

    /// A model without n-grams that gives each word its vector. Counts are not known and are 1 each; the output matrix is
    /// zero: the model can be asked and read by other programs, but not trained further.
    ///
    /// # Errors
    /// [`Error::Config`] if a word holds a NUL.
    pub fn of_vectors(vectors: &WordVectors) -> Result<Self> {
        let dim = u32::try_from(vectors.dim()).map_err(|_| Error::config("dim", vectors.dim(), "is too large"))?;
        let settings = Settings { dim, buckets: 0, min_n: 0, max_n: 0, min_count: 1, ..Settings::default() };
        let words = vectors.words().iter().map(|word| Entry { text: word.clone(), count: 1 }).collect();
        let output = vec![0.0; vectors.values().len()];
        Self::new(settings, words, Vec::new(), vectors.values().to_vec(), output)
    }

    fn checked(self) -> Parsed<Self> {
        self.settings.validate()?;
        if self.words.len() + self.labels.len() > i32::MAX as usize {
            return Err(format!("more than {} words and labels", i32::MAX));
        }
        let texts = self.words.words().iter().chain(self.labels.iter().map(|label| &label.text));
        if let Some(text) = texts.into_iter().find(|text| text.contains('\0')) {
            return Err(format!("{text:?} holds a NUL, with which the format ends a word"));
        }
        if self.labels.is_empty() == self.is_supervised() {
            return Err(format!("{} labels in a {:?} model", self.labels.len(), self.settings.model));
        }
        self.check_matrix("input", &self.input, self.input_rows())?;
        self.check_matrix("output", &self.output, self.output_rows())?;
        Ok(self)
    }

    fn check_matrix(&self, name: &str, values: &[f32], rows: usize) -> Parsed<()> {
        if rows.checked_mul(self.dim()) != Some(values.len()) {
            return Err(format!("{} numbers in the {name} matrix, must be {rows} times {}", values.len(), self.dim()));
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => {
                let (row, column) = (at / self.dim() + 1, at % self.dim() + 1);
                Err(format!("{name} matrix, row {row}: number {column} is {}", values[at]))
            }
            None => Ok(()),
        }
    }

    fn is_supervised(&self) -> bool {
        self.settings.model == Model::Supervised
    }

    fn input_rows(&self) -> usize {
        self.words.len() + self.settings.buckets as usize
    }

    fn output_rows(&self) -> usize {
        if self.is_supervised() { self.labels.len() } else { self.words.len() }
    }

    /// Reads a fastText `.bin`.
    ///
    /// # Errors
    /// If the file cannot be read, is of another version than 12, is quantized (`.ftz`), or breaks a rule of the format.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = map_file(path)?;
        Ok(parse(&bytes).map_err(|reason| Error::format(path, FORMAT, reason))?)
    }

    /// Writes a fastText `.bin`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(write_atomic_with(path, |out| self.write_to(out))?)
    }

    /// The settings the model was trained with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Numbers in a vector, at least 1.
    pub fn dim(&self) -> usize {
        self.settings.dim as usize
    }

    /// The words, in the order of their rows.
    pub fn words(&self) -> &[String] {
        self.words.words()
    }

    /// How often each word occurred.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The labels of a supervised model.
    pub fn labels(&self) -> &[Entry] {
        &self.labels
    }

    /// The row of a word, if it is known.
    pub fn index(&self, word: &str) -> Option<usize> {
        self.words.index(word)
    }

    /// The input matrix, `[words + buckets, dim]`, row-major.
    pub fn input(&self) -> &[f32] {
        &self.input
    }

    /// The output matrix, `[words, dim]` or, for a supervised model, `[labels, dim]`, row-major.
    pub fn output(&self) -> &[f32] {
        &self.output
    }

    /// The n-grams of `word` between `<` and `>`, each with its bucket, 0 to `buckets`. An n-gram that occurs twice is
    /// given twice.
    pub fn ngrams(&self, word: &str) -> Vec<(String, usize)> {
        let Settings { min_n, max_n, buckets, .. } = self.settings;
        let mut ngrams = Vec::new();
        if word != END_OF_SENTENCE {
            let lengths = min_n as usize..=max_n as usize;
            each_ngram(word, lengths, buckets, |ngram, bucket| ngrams.push((ngram.to_string(), bucket)));
        }
        ngrams
    }

    /// The vector of a word, [`dim`](Self::dim) numbers: the mean of the rows of its n-grams and, where the word is known,
    /// its own. Zero for an unknown word too short to have n-grams.
    pub fn vector(&self, word: &str) -> Vec<f32> {
        let ngrams = self.ngrams(word).into_iter().map(|(_, bucket)| self.words.len() + bucket);
        mean_of_rows(&self.input, self.index(word).into_iter().chain(ngrams), self.dim())
    }

    /// The vectors of all known words, each as [`vector`](Self::vector) gives it.
    ///
    /// # Errors
    /// [`Error::Config`] if numbers are so large that a sum is not finite.
    pub fn word_vectors(&self) -> Result<WordVectors> {
        Ok(self
            .compose()
            .map_err(|rule| Error::config("fastText model", format!("{} words", self.words.len()), rule))?)
    }

    pub(super) fn compose(&self) -> Parsed<WordVectors> {
        let values = self.words().iter().flat_map(|word| self.vector(word)).collect();
        WordVectors::checked(self.words.clone(), self.dim(), values)
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let s = &self.settings;
        out.write_all(&MAGIC)?;
        let (words, labels) = (self.words.len() as u32, self.labels.len() as u32);
        let settings = [s.dim, s.window, s.epochs, s.min_count, s.negatives, s.word_ngrams, s.loss as u32];
        let more = [s.model as u32, s.buckets, s.min_n, s.max_n, s.learning_rate_update];
        for value in [VERSION].into_iter().chain(settings).chain(more) {
            out.write_all(&value.to_le_bytes())?;
        }
        out.write_all(&s.subsample.to_le_bytes())?;
        for value in [words + labels, words, labels] {
            out.write_all(&value.to_le_bytes())?;
        }
        out.write_all(&self.tokens.to_le_bytes())?;
        out.write_all(&NOT_PRUNED.to_le_bytes())?;
        let words = self.words().iter().zip(&self.counts).map(|(word, count)| (word, *count, WORD));
        let labels = self.labels.iter().map(|label| (&label.text, label.count, LABEL));
        for (text, count, kind) in words.chain(labels) {
            out.write_all(text.as_bytes())?;
            out.write_all(&[0])?;
            out.write_all(&count.to_le_bytes())?;
            out.write_all(&[kind])?;
        }
        for (rows, values) in [(self.input_rows(), &self.input), (self.output_rows(), &self.output)] {
            out.write_all(&[0])?;
            out.write_all(&(rows as u64).to_le_bytes())?;
            out.write_all(&u64::from(s.dim).to_le_bytes())?;
            write_f32s(out, values)?;
        }
        Ok(())
    }
}

/// The mean of some rows of a table of `dim` numbers a row; zero where there are none.
pub(crate) fn mean_of_rows(table: &[f32], rows: impl Iterator<Item = usize>, dim: usize) -> Vec<f32> {
    let (mut mean, mut count) = (vec![0.0; dim], 0u32);
    for row in rows {
        mean.iter_mut().zip(&table[row * dim..][..dim]).for_each(|(sum, value)| *sum += value);
        count += 1;
    }
    let share = 1.0 / count.max(1) as f32;
    mean.iter_mut().for_each(|value| *value *= share);
    mean
}

/// Gives each n-gram of `word` between `<` and `>`, of a number of characters in `lengths`, with its bucket, 0 to
/// `buckets`.
pub(crate) fn each_ngram(word: &str, lengths: RangeInclusive<usize>, buckets: u32, mut give: impl FnMut(&str, usize)) {
    let marked = format!("<{word}>");
    let starts: Vec<usize> = marked.char_indices().map(|(at, _)| at).chain([marked.len()]).collect();
    let last = starts.len() - 1;
    for first in 0..last {
        for end in (first + 1)..=last.min(first.saturating_add(*lengths.end())) {
            let length = end - first;
            // The marks alone say nothing.
            let is_mark = length == 1 && (first == 0 || end == last);
            if length >= *lengths.start() && !is_mark {
                let ngram = &marked[starts[first]..starts[end]];
                give(ngram, (hash(ngram.as_bytes()) % buckets) as usize);
            }
        }
    }
}

const WORD: u8 = 0;
const LABEL: u8 = 1;
const NOT_PRUNED: i64 = -1;

/// FNV-1a, 32 bits, with the slip that fastText's files depend on: a byte is widened as a signed number.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |hash, byte| (hash ^ *byte as i8 as u32).wrapping_mul(16_777_619))
}

pub(super) fn parse(bytes: &[u8]) -> Parsed<FastText> {
    let mut cursor = Cursor::new(bytes);
    if cursor.array("its first bytes")? != MAGIC {
        return Err("it does not begin with fastText's magic number 793712314".to_string());
    }
    let version = cursor.u32("the version")?;
    if version != VERSION {
        return Err(format!("version {version}, only {VERSION} is known: write it anew with a newer fastText"));
    }
    let settings = parse_settings(&mut cursor)?;
    let size = parse_count(&mut cursor, "the number of entries")?;
    let word_count = parse_count(&mut cursor, "the number of words")?;
    let label_count = parse_count(&mut cursor, "the number of labels")?;
    if size.checked_sub(word_count) != Some(label_count) {
        return Err(format!("{size} entries, but {word_count} words and {label_count} labels"));
    }
    let tokens = cursor.u64("the number of tokens")?;
    let pruned = i64::from_le_bytes(cursor.array("the number of pruned n-grams")?);
    if pruned != NOT_PRUNED {
        return Err(format!("its dictionary is pruned to {pruned} n-grams: only models that are not are supported"));
    }
    let size = cursor.count(size, "w\0".len() + 8 + 1, "entries")?;
    let mut entries = Vec::with_capacity(size);
    for record in 1..=size {
        let kind = if record <= word_count as usize { WORD } else { LABEL };
        entries.push(parse_entry(&mut cursor, record, kind)?);
    }
    let labels = entries.split_off(word_count as usize);
    let (words, counts): (Vec<_>, Vec<_>) = entries.into_iter().map(|entry| (entry.text, entry.count)).unzip();
    let words = WordList::new(words)?;
    let mut model = FastText { settings, words, counts, labels, tokens, input: Vec::new(), output: Vec::new() };
    model.input = parse_matrix(&mut cursor, "input", model.input_rows(), model.dim())?;
    model.output = parse_matrix(&mut cursor, "output", model.output_rows(), model.dim())?;
    match cursor.rest().len() {
        0 => model.checked(),
        more => Err(format!("{more} bytes follow the output matrix")),
    }
}

fn parse_settings(cursor: &mut Cursor) -> Parsed<Settings> {
    let mut next = |what: &str| parse_count(cursor, what);
    let (dim, window, epochs, min_count) = (next("dim")?, next("ws")?, next("epoch")?, next("minCount")?);
    let (negatives, word_ngrams) = (next("neg")?, next("wordNgrams")?);
    let loss = match next("loss")? {
        1 => Loss::HierarchicalSoftmax,
        2 => Loss::NegativeSampling,
        3 => Loss::Softmax,
        4 => Loss::OneVsAll,
        other => return Err(format!("loss = {other}, must be 1 to 4")),
    };
    let model = match next("model")? {
        1 => Model::Cbow,
        2 => Model::Skipgram,
        3 => Model::Supervised,
        other => return Err(format!("model = {other}, must be 1 to 3")),
    };
    let (buckets, min_n, max_n) = (next("bucket")?, next("minn")?, next("maxn")?);
    let learning_rate_update = next("lrUpdateRate")?;
    let subsample = f64::from_le_bytes(cursor.array("t")?);
    Ok(Settings {
        dim,
        window,
        epochs,
        min_count,
        negatives,
        word_ngrams,
        loss,
        model,
        buckets,
        min_n,
        max_n,
        learning_rate_update,
        subsample,
    })
}

/// fastText's counts are signed.
fn parse_count(cursor: &mut Cursor, what: &str) -> Parsed<u32> {
    let value = i32::from_le_bytes(cursor.array(what)?);
    value.try_into().map_err(|_| format!("{what} = {value}, must not be negative"))
}

fn parse_entry(cursor: &mut Cursor, record: usize, kind: u8) -> Parsed<Entry> {
    let what = format!("entry {record}");
    let text = parse_word(cursor.until(0, &what)?, record)?;
    let count = cursor.u64(&what)?;
    match cursor.array(&what)? {
        [found] if found == kind => Ok(Entry { text, count }),
        [found] => Err(format!("{what} is of kind {found}, must be {kind}: words (0) stand before labels (1)")),
    }
}

fn parse_matrix(cursor: &mut Cursor, name: &str, rows: usize, dim: usize) -> Parsed<Vec<f32>> {
    let [quantized] = cursor.array("whether a matrix is quantized")?;
    if quantized != 0 {
        return Err(format!("its {name} matrix is quantized (.ftz): only .bin models that are not are supported"));
    }
    let (m, n) = (cursor.u64("the rows of a matrix")?, cursor.u64("the columns of a matrix")?);
    if (m, n) != (rows as u64, dim as u64) {
        return Err(format!("its {name} matrix is {m} by {n}, must be {rows} by {dim}"));
    }
    let row = dim.saturating_mul(4);
    let rows = cursor.count(rows, row, "rows of a matrix")?;
    Ok(f32s(cursor.take(rows * row, "a matrix")?).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(words: &[&str]) -> Vec<Entry> {
        words.iter().map(|word| Entry { text: word.to_string(), count: 3 }).collect()
    }

    fn model(settings: Settings, words: &[&str], labels: &[&str]) -> Result<FastText> {
        let rows = words.len() + settings.buckets as usize;
        let outputs = if labels.is_empty() { words.len() } else { labels.len() };
        let values = |rows: usize| (0..rows * settings.dim as usize).map(|i| (i % 13) as f32 - 5.0).collect();
        let (input, output) = (values(rows), values(outputs));
        FastText::new(settings, entries(words), entries(labels), input, output)
    }

    fn small(min_n: u32, max_n: u32) -> FastText {
        model(Settings { dim: 2, buckets: 5, min_n, max_n, ..Settings::default() }, &["cat", "</s>"], &[]).unwrap()
    }

    #[test]
    fn ngrams_are_of_characters_and_never_a_mark_alone() {
        let ngrams =
            |model: FastText, word: &str| model.ngrams(word).into_iter().map(|(ngram, _)| ngram).collect::<Vec<_>>();
        assert_eq!(ngrams(small(3, 4), "éa"), ["<éa", "<éa>", "éa>"]);
        assert_eq!(ngrams(small(1, 2), "東b"), ["<東", "東", "東b", "b", "b>"]);
        assert_eq!(ngrams(small(3, 6), ""), [""; 0]);
        assert_eq!(ngrams(small(1, 6), "</s>"), [""; 0], "the end of a sentence has none");
        assert_eq!(ngrams(small(0, 0), "cat"), [""; 0]);
    }

    #[test]
    fn bytes_are_hashed_as_signed_numbers() {
        // FNV-1a as published for ASCII; beyond it fastText's own, here of the byte 0xff, which counts as -1.
        assert_eq!(hash(b"a"), 0xe40c_292c);
        assert_eq!(hash(b"\xff"), (2_166_136_261 ^ u32::MAX).wrapping_mul(16_777_619));
    }

    #[test]
    fn a_vector_is_the_mean_of_its_rows() {
        let model = small(3, 3);
        let rows = [0].into_iter().chain(model.ngrams("cat").into_iter().map(|(_, bucket)| 2 + bucket));
        let firsts: Vec<f32> = rows.map(|row| model.input()[row * 2]).collect();
        let mean = firsts.iter().sum::<f32>() / firsts.len() as f32;
        assert!((model.vector("cat")[0] - mean).abs() < 1e-6);
        assert_eq!(model.vector("</s>"), model.input()[2..4]);
        assert_eq!(model.vector(""), [0.0; 2]);
        assert_eq!(model.word_vectors().unwrap().get("cat"), Some(model.vector("cat").as_slice()));
    }

    #[test]
    fn supervised_models_come_back_with_their_labels() {
        let settings = Settings {
            dim: 3,
            buckets: 0,
            max_n: 0,
            model: Model::Supervised,
            loss: Loss::Softmax,
            ..Settings::default()
        };
        let supervised = model(settings, &["good", "bad"], &["__label__yes"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, model) in [("a.bin", supervised), ("b.bin", small(2, 3))] {
            model.write(folder.path().join(name)).unwrap();
            assert_eq!(FastText::read(folder.path().join(name)).unwrap(), model, "{name}");
        }
    }

    #[test]
    fn models_that_break_a_rule_say_why() {
        let base = || Settings { dim: 2, buckets: 1, ..Settings::default() };
        let supervised = Settings { model: Model::Supervised, ..base() };
        for (settings, words, labels, reason) in [
            (Settings { dim: 0, ..base() }, ["a", "b"], [""; 0].as_slice(), "dim = 0"),
            (Settings { buckets: 0, ..base() }, ["a", "b"], &[], "n-grams of up to 6 characters but no buckets"),
            (Settings { window: u32::MAX, ..base() }, ["a", "b"], &[], "window = 4294967295"),
            (base(), ["a", "a"], &[], "'a', already stands as word 1"),
            (base(), ["a", "b\0"], &[], "holds a NUL"),
            (base(), ["a", "b"], &["c"], "1 labels in a Skipgram model"),
            (supervised, ["a", "b"], &[], "0 labels in a Supervised model"),
        ] {
            let error = model(settings, &words, labels).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}, where {reason} was expected");
        }
        let error = FastText::new(base(), entries(&["a"]), vec![], vec![0.0; 5], vec![]).unwrap_err().to_string();
        assert!(error.contains("5 numbers in the input matrix, must be 2 times 2"), "{error}");
        let nan = vec![0.0, 0.0, 0.0, f32::NAN];
        let error = FastText::new(base(), entries(&["a"]), vec![], nan, vec![0.0; 2]).unwrap_err().to_string();
        assert!(error.contains("input matrix, row 2: number 2 is NaN"), "{error}");
    }

    #[test]
    fn files_that_are_not_supported_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        small(3, 6).write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let output = whole.len() - (1 + 16 + 2 * 2 * 4);
        let input = output - (1 + 16 + 7 * 2 * 4);
        for (at, byte, reason) in [
            (0, 1, "fastText's magic number"),
            (4, 11, "version 11, only 12 is known"),
            (8, 3, "its input matrix is 7 by 2, must be 7 by 3"),
            (32, 9, "loss = 9, must be 1 to 4"),
            (36, 0, "model = 0, must be 1 to 3"),
            (64, 9, "9 entries, but 2 words and 0 labels"),
            (84, 0, "its dictionary is pruned to -256 n-grams"),
            (92 + 4 + 8, 1, "entry 1 is of kind 1, must be 0"),
            (input, 1, "its input matrix is quantized (.ftz)"),
            (output, 1, "its output matrix is quantized (.ftz)"),
        ] {
            let mut changed = whole.clone();
            changed[at] = byte;
            std::fs::write(&path, changed).unwrap();
            let error = FastText::read(&path).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("a.bin"), "{error}, where {reason} was expected");
        }
    }

    proptest! {
        #[test]
        fn every_word_has_a_finite_vector(word in any::<String>(), min_n in 0u32..5, max_n in 0u32..7) {
            let model = small(min_n, max_n);
            prop_assert!(model.ngrams(&word).iter().all(|(ngram, bucket)| !ngram.is_empty() && *bucket < 5));
            prop_assert!(model.vector(&word).iter().all(|value| value.is_finite()));
        }
    }
}
