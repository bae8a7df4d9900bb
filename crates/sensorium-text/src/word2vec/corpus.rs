//! A text as numbers on disk: read once, then mapped into memory, so that a corpus of any size takes little of it.

use std::cmp::Reverse;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use sensorium_core::Error;
use sensorium_core::files::{write_atomic, write_atomic_with};
use serde::{Deserialize, Serialize};

use super::counter::WordCounter;
use super::phrases::{Phrase, Phrases, join};
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
const JOINED: &str = "joined.u32";
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
/// assert_eq!(corpus.vocabulary().words().collect::<Vec<_>>(), ["a", "red"]);
/// # Ok::<(), sensorium_text::Error>(())
/// ```
pub struct CorpusBuilder {
    folder: PathBuf,
    max_vocab: Option<usize>,
    phrases: Option<Phrases>,
    counter: WordCounter,
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
        let counter = WordCounter::default();
        Ok(Self { folder, max_vocab: None, phrases: None, counter, dropped_up_to: 0, spool, words: 0 })
    }

    /// Bounds the number of words held while reading: whenever there are more, the rarest so far are forgotten, as
    /// word2vec.c does.
    pub fn with_max_vocab(mut self, max_vocab: Option<usize>) -> Self {
        self.max_vocab = max_vocab;
        self
    }

    /// Joins pairs of words that belong together, such as *New York*, to one word, `New_York`.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn with_phrases(mut self, phrases: Option<Phrases>) -> Result<Self> {
        phrases.iter().try_for_each(Phrases::validate)?;
        self.phrases = phrases;
        Ok(self)
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
        let number = self.counter.number(word).unwrap_or_else(|| {
            if self.max_vocab.is_some_and(|most| self.counter.len() >= most) {
                self.dropped_up_to += 1;
                self.counter.drop_up_to(self.dropped_up_to);
            }
            self.counter.add(word)
        });
        self.counter.counts_mut()[number as usize] += 1;
        number
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
        if let Some(phrases) = self.phrases.take() {
            self.join_phrases(&phrases)?;
        }
        let folder = self.folder.clone();
        self.rank(min_count)?;
        let corpus = Corpus::open(folder);
        give_back_memory();
        corpus
    }

    /// Replaces the words of each phrase by it.
    fn join_phrases(&mut self, phrases: &Phrases) -> Result<()> {
        let spool = self.spooled()?;
        let pairs = phrases.find(numbers(&spool), &self.counter, END).numbers(&mut self.counter);
        recount(join(numbers(&spool), &pairs), self.counter.counts_mut());
        let joined = self.folder.join(JOINED);
        write_tokens(&joined, join(numbers(&spool), &pairs))?;
        drop(spool);
        Ok(std::fs::rename(&joined, self.folder.join(SPOOL)).map_err(Error::io(&joined, "rename"))?)
    }

    /// Writes the sentences to `out`, a line each, with the phrases joined in place of a corpus; gives the phrases, the
    /// highest score first.
    ///
    /// # Errors
    /// If the words were bounded, or the disk is full.
    pub fn write_phrases(mut self, out: impl AsRef<Path>) -> Result<Vec<Phrase>> {
        if let Some(most) = self.max_vocab {
            return Err(Error::config("max_vocab", most, "must be absent where the text is written again").into());
        }
        let phrases = self.phrases.take().unwrap_or_default();
        let spool = self.spooled()?;
        let found = phrases.find(numbers(&spool), &self.counter, END);
        let pairs = found.numbers(&mut self.counter);
        let words: Vec<&str> = self.counter.words().map(|(_, word)| word).collect();
        write_atomic_with(out, |out| {
            let mut first = true;
            for token in join(numbers(&spool), &pairs) {
                if token == END {
                    out.write_all(b"\n")?;
                } else {
                    let blank = if first { "" } else { " " };
                    write!(out, "{blank}{}", words[token as usize])?;
                }
                first = token == END;
            }
            Ok(())
        })?;
        drop(spool);
        let path = self.folder.join(SPOOL);
        std::fs::remove_file(&path).map_err(Error::io(&path, "remove"))?;
        Ok(found.into_list())
    }

    /// All numbers so far.
    fn spooled(&mut self) -> Result<Mmap> {
        let path = self.folder.join(SPOOL);
        self.spool.flush().map_err(Error::io(&path, "write"))?;
        map_file(&path)
    }

    /// Writes the corpus: numbers by first occurrence become ranks by count.
    fn rank(mut self, min_count: u64) -> Result<()> {
        let spool = self.spooled()?;
        let counts = self.counter.counts();
        let mut kept: Vec<(u32, &str)> =
            self.counter.words().filter(|(number, _)| counts[*number as usize] >= min_count.max(1)).collect();
        kept.sort_by_key(|(number, _)| Reverse(counts[*number as usize]));
        let counted = kept.iter().map(|(number, word)| (word.to_string(), counts[*number as usize]));
        let vocabulary = Vocabulary::new(counted, min_count)?;
        let mut rank_of = vec![DROPPED; counts.len()];
        for (rank, (number, _)) in kept.iter().enumerate() {
            rank_of[*number as usize] = rank as u32;
        }
        write_tokens(&self.folder.join(TOKENS), ranks(numbers(&spool), &rank_of))?;
        let json = serde_json::to_vec(&Contents { vocabulary, words: self.words }).expect("words become JSON");
        write_atomic(self.folder.join(WORDS), &json)?;
        drop(spool);
        let path = self.folder.join(SPOOL);
        Ok(std::fs::remove_file(&path).map_err(Error::io(&path, "remove"))?)
    }
}

/// Gives the system back what is free. Counting has had every word there is, many more than are kept, and the allocator
/// would hold on to their memory while vectors are trained.
pub(super) fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it touches only memory that is not allocated, and is safe to call from any thread.
    #[expect(unsafe_code, reason = "the allocator has no other way to be asked")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Numbers in a file.
fn numbers(map: &Mmap) -> impl Iterator<Item = u32> {
    map.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Counts anew.
fn recount(tokens: impl Iterator<Item = u32>, counts: &mut [u64]) {
    counts.fill(0);
    for token in tokens.filter(|token| *token != END) {
        counts[token as usize] += 1;
    }
}

/// Numbers by first occurrence to ranks by count; sentences of no known word are left out.
fn ranks(tokens: impl Iterator<Item = u32>, rank_of: &[u32]) -> impl Iterator<Item = u32> {
    let mut open = false;
    tokens.filter_map(move |number| {
        let rank = if number == END { END } else { rank_of[number as usize] };
        let kept = rank != DROPPED && (rank != END || open);
        if kept {
            open = rank != END;
        }
        kept.then_some(rank)
    })
}

fn write_tokens(path: &Path, tokens: impl Iterator<Item = u32>) -> Result<()> {
    let mut tokens = tokens;
    Ok(write_atomic_with(path, |out| tokens.try_for_each(|token| out.write_all(&token.to_le_bytes())))?)
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
        if let Some(fault) = vocabulary.fault() {
            return Err(Error::format(&list, FORMAT, fault).into());
        }
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
    use super::super::{Settings, Trainer};
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
        assert_eq!(corpus.vocabulary().words().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(corpus.vocabulary().counts(), [3, 2]);
        assert_eq!(corpus.tokens(), [1, 0, END, 0, 1, 0, END]);
        assert_eq!(corpus.words(), 7);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the spool is gone");
    }

    #[test]
    fn a_bound_on_the_words_forgets_the_rarest() {
        let text: Vec<String> = (0..100).map(|i| format!("the of once{i}")).collect();
        let (_folder, corpus) = corpus(&text.iter().map(String::as_str).collect::<Vec<_>>(), 2, Some(10));
        assert_eq!(corpus.vocabulary().words().collect::<Vec<_>>(), ["the", "of"]);
        assert_eq!(corpus.vocabulary().counts(), [100, 100]);
    }

    #[test]
    fn pairs_that_belong_together_become_words() {
        // Of 380 words New York occurs 20 times in 40 News and 20 Yorks: (20 - 5) / (40 * 20) * 380 = 7.125.
        let text: Vec<String> = (0..20).map(|i| format!("New York x{i} New a b c d e f g h i j k l m n o")).collect();
        let sentences: Vec<&str> = text.iter().map(String::as_str).collect();
        let build = |threshold: f64| {
            let folder = tempfile::tempdir().unwrap();
            let phrases = Phrases { threshold, ..Phrases::default() };
            let mut builder = CorpusBuilder::new(folder.path()).unwrap().with_phrases(Some(phrases)).unwrap();
            sentences.iter().for_each(|sentence| builder.push(sentence).unwrap());
            (folder, builder)
        };
        // a b, c d and so on score (20 - 5) / (20 * 20) * 380 = 14.25: they join first, from the left.
        let (folder, builder) = build(7.1);
        let list = builder.write_phrases(folder.path().join("joined.txt")).unwrap();
        let of = |joined: &str| list.iter().find(|phrase| phrase.joined == joined).unwrap();
        assert!((of("New_York").score - 7.125).abs() < 1e-9 && of("New_York").count == 20);
        assert!((of("a_b").score - 14.25).abs() < 1e-9);
        let joined = std::fs::read_to_string(folder.path().join("joined.txt")).unwrap();
        assert_eq!(joined.lines().next(), Some("New_York x0 New_a b_c d_e f_g h_i j_k l_m n_o"));
        assert_eq!(joined.lines().count(), 20);

        let (_folder, builder) = build(7.2);
        let corpus = builder.finish(1).unwrap();
        let count = |word: &str| {
            let mut words = corpus.vocabulary().words().zip(corpus.vocabulary().counts());
            words.find(|(known, _)| *known == word).map(|(_, count)| *count)
        };
        assert_eq!(
            (count("New"), count("York"), count("New_York"), count("a_b")),
            (Some(40), Some(20), None, Some(20))
        );
        assert_eq!(corpus.words(), 380);
    }

    #[test]
    fn phrases_out_of_range_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (phrases, field) in [
            (Phrases { threshold: 0.0, ..Phrases::default() }, "threshold"),
            (Phrases { threshold: f64::NAN, ..Phrases::default() }, "threshold"),
            (Phrases { min_count: 0, ..Phrases::default() }, "min_count"),
            (Phrases { max_pairs: 0, ..Phrases::default() }, "max_pairs"),
        ] {
            let error =
                CorpusBuilder::new(folder.path()).unwrap().with_phrases(Some(phrases)).err().unwrap().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }

    #[test]
    fn any_change_to_the_files_is_an_error_or_a_corpus() {
        let (folder, corpus) = corpus(&["a b c a b", "b a b a c"], 1, None);
        drop(corpus);
        for name in [WORDS, TOKENS] {
            let path = folder.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            for at in 0..whole.len() {
                for byte in [0, 1, b'9', b'"', b',', 255] {
                    let mut damaged = whole.clone();
                    damaged[at] = byte;
                    std::fs::write(&path, &damaged).unwrap();
                    if let Ok(corpus) = Corpus::open(folder.path()) {
                        let mut trainer =
                            Trainer::new(&corpus, Settings { dim: 2, epochs: 1, ..Settings::default() }).unwrap();
                        while trainer.round().unwrap() {}
                    }
                }
                std::fs::write(&path, &whole[..at]).unwrap();
                assert!(Corpus::open(folder.path()).is_err() || name == TOKENS);
            }
            std::fs::write(&path, &whole).unwrap();
        }
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
