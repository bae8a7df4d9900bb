//! Words and their numbers, in the captioning tutorial's file format.

use std::collections::HashMap;
use std::path::Path;

use sensorium_core::Error as CoreError;
use sensorium_core::files::write_atomic;

use crate::Result;

const PAD: &str = "<pad>";
const UNK: &str = "<unk>";
const START: &str = "<start>";
const END: &str = "<end>";
const FORMAT: &str = "word map";

/// The words that captions are made of, each with a number.
///
/// The numbers are those of sgrvinod's captioning tutorial: `<pad>` is 0, words follow from 1 in the order they were
/// first seen, then `<unk>`, `<start>` and `<end>`. Its files are JSON objects, `{"a": 1, …, "<pad>": 0}`.
///
/// ```
/// use sensorium_captioning::WordMap;
///
/// let captions = [["a", "red", "ball"], ["a", "blue", "ball"]];
/// let words = WordMap::build(captions.iter().map(|caption| caption.as_slice()), 1);
/// assert_eq!(words.encode(&["a", "ball", "rolls"]), [4, 1, 2, 3, 5]); // <start> a ball <unk> <end>
/// assert_eq!(words.sentence(&[1, 2, 5]), "a ball");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordMap {
    words: Vec<String>,
    ids: HashMap<String, u32>,
    unk: u32,
    start: u32,
    end: u32,
}

impl WordMap {
    /// The words that occur more than `rarer_than` times in `captions`.
    pub fn build<'a, W: AsRef<str> + 'a>(captions: impl Iterator<Item = &'a [W]>, rarer_than: usize) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut first_seen = Vec::new();
        for word in captions.flatten() {
            let count = counts.entry(word.as_ref()).or_default();
            if *count == 0 {
                first_seen.push(word.as_ref());
            }
            *count += 1;
        }
        first_seen.retain(|word| counts[word] > rarer_than && ![PAD, UNK, START, END].contains(word));
        let words = [PAD].into_iter().chain(first_seen).chain([UNK, START, END]);
        Self::of_words(words.map(String::from).collect()).expect("each word once, and the four special ones")
    }

    /// Reads a word map as the tutorial writes it.
    ///
    /// # Errors
    /// If the file cannot be read, is no JSON object of numbers, leaves a number out or gives it twice, or lacks one of
    /// `<pad>` (0), `<unk>`, `<start>` and `<end>`; the message names the word.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(CoreError::io(path, "read"))?;
        Self::parse(&bytes).map_err(|reason| CoreError::format(path, FORMAT, reason).into())
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let map: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes)
            .map_err(|e| format!("it must be an object of words and their numbers: {e}"))?;
        let mut words = vec![None; map.len()];
        for (word, id) in map {
            let count = words.len();
            let place = id.as_u64().and_then(|id| words.get_mut(usize::try_from(id).ok()?));
            match place {
                None => return Err(format!("'{word}' is {id}; {count} words have the numbers 0 to {}", count - 1)),
                Some(Some(other)) => return Err(format!("'{word}' and '{other}' are both {id}")),
                Some(place) => *place = Some(word),
            }
        }
        // As many places as words, and none taken twice.
        Self::of_words(words.into_iter().flatten().collect())
    }

    fn of_words(words: Vec<String>) -> Result<Self, String> {
        let ids: HashMap<String, u32> = words.iter().cloned().zip(0..).collect();
        let special = |word: &str| ids.get(word).copied().ok_or_else(|| format!("the word '{word}' is missing"));
        let (pad, unk, start, end) = (special(PAD)?, special(UNK)?, special(START)?, special(END)?);
        if pad != 0 {
            return Err(format!("'{PAD}' is {pad}, but must be 0"));
        }
        Ok(Self { words, ids, unk, start, end })
    }

    /// Writes the word map as [`read`](Self::read) takes it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let map: serde_json::Map<_, _> = self.words.iter().cloned().zip((0..).map(|id: u32| id.into())).collect();
        Ok(write_atomic(path, &serde_json::to_vec(&map).expect("words and numbers become JSON"))?)
    }

    /// The number of words, the four special ones among them.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Never: the special words are always there.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// What fills up a batch.
    pub fn pad(&self) -> u32 {
        0
    }

    /// What stands for every word that is not here.
    pub fn unk(&self) -> u32 {
        self.unk
    }

    /// What stands before a caption.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// What ends a caption.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The number of a word; that of `<unk>` if it is not here.
    pub fn id(&self, word: &str) -> u32 {
        self.ids.get(word).copied().unwrap_or(self.unk)
    }

    /// The word of a number.
    ///
    /// # Panics
    /// If the number is [`len`](Self::len) or more.
    pub fn word(&self, id: u32) -> &str {
        &self.words[id as usize]
    }

    /// A caption's numbers, `<start>` before and `<end>` after it.
    pub fn encode<W: AsRef<str>>(&self, caption: &[W]) -> Vec<u32> {
        let words = caption.iter().map(|word| self.id(word.as_ref()));
        [self.start].into_iter().chain(words).chain([self.end]).collect()
    }

    /// The words of a caption, without `<start>`, `<end>` and `<pad>`.
    ///
    /// # Panics
    /// If a number is [`len`](Self::len) or more.
    pub fn words<'a>(&'a self, ids: &'a [u32]) -> impl Iterator<Item = &'a str> {
        ids.iter().filter(|id| ![0, self.start, self.end].contains(id)).map(|id| self.word(*id))
    }

    /// [`words`](Self::words) with spaces between them.
    pub fn sentence(&self, ids: &[u32]) -> String {
        self.words(ids).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_numbered_in_the_order_they_are_first_seen() {
        let captions = [vec!["the", "dog"], vec!["a", "dog"], vec!["the", "<end>", "cat"]];
        let words = WordMap::build(captions.iter().map(Vec::as_slice), 1);
        assert_eq!(words.words, ["<pad>", "the", "dog", "<unk>", "<start>", "<end>"]);
        assert_eq!(words.encode(&["the", "cat"]), [4, 1, 3, 5]);
        assert_eq!(words.sentence(&[4, 1, 3, 5, 0]), "the <unk>");
    }

    #[test]
    fn a_file_gives_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("WORDMAP.json");
        let words = WordMap::build([["é", "b"].as_slice()].into_iter(), 0);
        words.write(&path).unwrap();
        assert_eq!(WordMap::read(&path).unwrap(), words);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("[]", "an object of words"),
            ("{}", "'<pad>' is missing"),
            (r#"{"<pad>": 0, "a": 5}"#, "'a' is 5; 2 words have the numbers 0 to 1"),
            (r#"{"<pad>": 0, "a": -1}"#, "'a' is -1"),
            (r#"{"<pad>": 0, "a": "x"}"#, "'a' is \"x\""),
            (r#"{"<pad>": 1, "a": 1}"#, "are both 1"),
            (r#"{"<pad>": 0, "<unk>": 1, "<start>": 2}"#, "'<end>' is missing"),
            (r#"{"<pad>": 1, "<unk>": 0, "<start>": 2, "<end>": 3}"#, "'<pad>' is 1, but must be 0"),
        ] {
            let fault = WordMap::parse(text.as_bytes()).unwrap_err();
            assert!(fault.contains(part), "{text}: {fault}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_words_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = WordMap::parse(&bytes);
        }
    }
}
