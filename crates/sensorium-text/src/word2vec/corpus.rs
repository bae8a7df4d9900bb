//! A text as numbers on disk: read once, then mapped into memory, so that a corpus of any size takes little of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use sensorium_core::Error;
use sensorium_core::files::{write_atomic, write_atomic_with};
use serde::{Deserialize, Serialize};

use super::vocabulary::Vocabulary;
use crate::Result;
use crate::vectors::map_file;

/// The end of a sentence among the tokens.
pub(super) const END: u32 = u32::MAX;
/// A word that is too rare.
const DROPPED: u32 = u32::MAX - 1;

const TOKENS: &str = "tokens.u32";
const WORDS: &str = "corpus.json";
const SPOOL: &str = "words.u32";
const FORMAT: &str = "encoded corpus";

/// Reads sentences into a folder.
///
/// ```
/// use sensorium_text::word2vec::CorpusBuilder;
///
/// let folder = tempfile::tempdir().unwrap();
/// let mut builder = CorpusBuilder::new(folder.path())?;
/// for sentence in ["a red heart", "a red cat"] {
///     builder.push(sentence)?;
/// }
/// let corpus = builder.finish(2)?;
/// assert_eq!(corpus.vocabulary().words(), ["a", "red"]);
/// # Ok::<(), sensorium_text::Error>(())
/// ```
pub struct CorpusBuilder {
    folder: PathBuf,
    max_vocab: Option<usize>,
    /// A number for each word, by first occurrence.
    numbers: HashMap<String, u32>,
    counts: Vec<u64>,
    /// Words that occur no more often than this were dropped the last time that there were too many.
    dropped_up_to: u64,
    spool: BufWriter<File>,
    words: u64,
}

impl CorpusBuilder {
    /// Starts a corpus in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn new(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "create"))?;
        let spool = folder.join(SPOOL);
        let spool = BufWriter::with_capacity(1 << 20, File::create(&spool).map_err(Error::io(&spool, "write"))?);
        let (numbers, counts) = (HashMap::new(), Vec::new());
        Ok(Self { folder, max_vocab: None, numbers, counts, dropped_up_to: 0, spool, words: 0 })
    }

    /// Bounds the number of words held while reading: whenever there are more, the rarest so far are forgotten, as
    /// word2vec.c does.
    pub fn with_max_vocab(mut self, max_vocab: Option<usize>) -> Self {
        self.max_vocab = max_vocab;
        self
    }

    /// Adds a sentence: words apart by white space.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn push(&mut self, sentence: &str) -> Result<()> {
        for word in sentence.split_ascii_whitespace() {
            let number = self.count(word);
            self.put(number)?;
        }
        self.put(END)
    }

    /// How many words were added.
    pub fn words(&self) -> u64 {
        self.words
    }

    fn count(&mut self, word: &str) -> u32 {
        self.words += 1;
        if let Some(number) = self.numbers.get(word) {
            self.counts[*number as usize] += 1;
            return *number;
        }
        if self.max_vocab.is_some_and(|most| self.numbers.len() >= most) {
            self.drop_rarest();
        }
        let number = self.counts.len() as u32;
        assert!(number < DROPPED, "fewer than 2^32 - 2 different words");
        self.numbers.insert(word.to_string(), number);
        self.counts.push(1);
        number
    }

    fn drop_rarest(&mut self) {
        self.dropped_up_to += 1;
        self.numbers.retain(|_, number| self.counts[*number as usize] > self.dropped_up_to);
    }

    fn put(&mut self, number: u32) -> Result<()> {
        let written = self.spool.write_all(&number.to_le_bytes());
        Ok(written.map_err(Error::io(self.folder.join(SPOOL), "write"))?)
    }

    /// Leaves out the words that occur fewer than `min_count` times and opens the corpus.
    ///
    /// # Errors
    /// If fewer than two words are left, or the disk is full.
    pub fn finish(mut self, min_count: u64) -> Result<Corpus> {
        let path = self.folder.join(SPOOL);
        self.spool.flush().map_err(Error::io(&path, "write"))?;
        let mut words: Vec<(String, u32)> = self.numbers.into_iter().collect();
        words.sort_unstable_by_key(|(_, number)| *number);
        let counts = self.counts;
        let vocabulary = Vocabulary::new(words.iter().map(|(word, n)| (word.clone(), counts[*n as usize])), min_count)?;
        let ranks: HashMap<&str, u32> =
            vocabulary.words().iter().enumerate().map(|(rank, word)| (word.as_str(), rank as u32)).collect();
        let mut rank_of = vec![DROPPED; counts.len()];
        for (word, number) in &words {
            rank_of[*number as usize] = ranks.get(word.as_str()).copied().unwrap_or(DROPPED);
        }
        rank_tokens(&path, &self.folder.join(TOKENS), &rank_of)?;
        std::fs::remove_file(&path).map_err(Error::io(&path, "remove"))?;
        let contents = Contents { vocabulary, words: self.words };
        let json = serde_json::to_vec(&contents).expect("words become JSON");
        write_atomic(self.folder.join(WORDS), &json)?;
        Corpus::open(&self.folder)
    }
}

/// Numbers by first occurrence to ranks by count; sentences of no known word are left out.
fn rank_tokens(from: &Path, to: &Path, rank_of: &[u32]) -> Result<()> {
    let spool = map_file(from)?;
    let write = |out: &mut dyn Write| {
        let mut open = false;
        for number in spool.as_chunks::<4>().0 {
            let token = match u32::from_le_bytes(*number) {
                END if open => END,
                END => continue,
                number => rank_of[number as usize],
            };
            if token != DROPPED {
                open = token != END;
                out.write_all(&token.to_le_bytes())?;
            }
        }
        Ok(())
    };
    Ok(write_atomic_with(to, write)?)
}

#[derive(Serialize, Deserialize)]
struct Contents {
    vocabulary: Vocabulary,
    /// Of the text, rare ones included.
    words: u64,
}

/// A corpus on disk.
#[derive(Debug)]
pub struct Corpus {
    vocabulary: Vocabulary,
    words: u64,
    tokens: Mmap,
}

impl Corpus {
    /// Opens what [`CorpusBuilder::finish`] wrote.
    ///
    /// # Errors
    /// If the files are not there or do not fit each other.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let (list, path) = (folder.join(WORDS), folder.join(TOKENS));
        let json = std::fs::read(&list).map_err(Error::io(&list, "read"))?;
        let parsed = serde_json::from_slice(&json);
        let Contents { vocabulary, words } = parsed.map_err(|error| Error::format(&list, FORMAT, error.to_string()))?;
        let tokens = map_file(&path)?;
        let corpus = Self { vocabulary, words, tokens };
        let count = corpus.vocabulary.len() as u32;
        if !corpus.tokens.len().is_multiple_of(4)
            || corpus.tokens().iter().any(|token| *token >= count && *token != END)
        {
            let reason = "its numbers do not fit the words beside it; read the text again";
            return Err(Error::format(&path, FORMAT, reason).into());
        }
        Ok(corpus)
    }

    /// Its words.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The number of words of the text, rare ones included.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// Ranks of words, a sentence ended by [`END`].
    pub(super) fn tokens(&self) -> &[u32] {
        bytemuck::cast_slice(&self.tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(sentences: &[&str], min_count: u64, max_vocab: Option<usize>) -> (tempfile::TempDir, Corpus) {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = CorpusBuilder::new(folder.path()).unwrap().with_max_vocab(max_vocab);
        sentences.iter().for_each(|sentence| builder.push(sentence).unwrap());
        let corpus = builder.finish(min_count).unwrap();
        (folder, corpus)
    }

    #[test]
    fn rare_words_and_empty_sentences_are_left_out() {
        let (folder, corpus) = corpus(&["b a  rare", "", "never", "a\tb a"], 2, None);
        assert_eq!(corpus.vocabulary().words(), ["a", "b"]);
        assert_eq!(corpus.vocabulary().counts(), [3, 2]);
        assert_eq!(corpus.tokens(), [1, 0, END, 0, 1, 0, END]);
        assert_eq!(corpus.words(), 7);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the spool is gone");
    }

    #[test]
    fn a_bound_on_the_words_forgets_the_rarest() {
        let text: Vec<String> = (0..100).map(|i| format!("the of once{i}")).collect();
        let (_folder, corpus) = corpus(&text.iter().map(String::as_str).collect::<Vec<_>>(), 2, Some(10));
        assert_eq!(corpus.vocabulary().words(), ["the", "of"]);
        assert_eq!(corpus.vocabulary().counts(), [100, 100]);
    }

    #[test]
    fn a_damaged_corpus_is_named() {
        let (folder, _) = corpus(&["a b a b"], 1, None);
        let path = folder.path().join(TOKENS);
        std::fs::write(&path, [9, 0, 0, 0]).unwrap();
        let error = Corpus::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(TOKENS) && error.contains("fit"), "{error}");
        std::fs::write(&path, [0, 0, 0]).unwrap();
        assert!(Corpus::open(folder.path()).is_err());
        std::fs::write(folder.path().join(WORDS), "{}").unwrap();
        assert!(Corpus::open(folder.path()).unwrap_err().to_string().contains(WORDS));
    }
}
