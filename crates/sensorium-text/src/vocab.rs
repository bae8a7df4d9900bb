//! Words to numbers and back.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use sensorium_core::files::write_atomic;
use serde::{Deserialize, Serialize};

use crate::Result;

/// The number that fills a list of words up to the length of the longest.
pub const PAD: u32 = 0;

/// The number of every word that the vocabulary lacks.
pub const UNK: u32 = 1;

/// How [`PAD`] and [`UNK`] are spelled. As words of a text they are never counted.
pub const SPECIAL: [&str; 2] = ["<pad>", "<unk>"];

/// The words of a corpus, numbered by falling frequency after the two special ones; words equally frequent stand in
/// the order of their code points. The same corpus gives the same numbers.
///
/// ```
/// use sensorium_text::vocab::{UNK, Vocab};
///
/// let vocab = Vocab::build([["a", "red", "cat"].as_slice(), &["a", "dog"]], 1);
/// assert_eq!(vocab.id("a"), 2);
/// assert_eq!(vocab.word(3), Some("cat"));
/// assert_eq!(vocab.encode(&["a", "green", "dog"]), [2, UNK, 4]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Entries", into = "Entries")]
pub struct Vocab {
    entries: Entries,
    ids: HashMap<String, u32>,
}

/// What is stored: the words by number, and how often each was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entries {
    words: Vec<String>,
    counts: Vec<u64>,
}

impl Vocab {
    /// The words that occur at least `min_count` times in `texts`, each text a list of words.
    pub fn build<Text>(texts: impl IntoIterator<Item = Text>, min_count: u64) -> Self
    where
        Text: IntoIterator<Item: AsRef<str>>,
    {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for word in texts.into_iter().flatten() {
            match counts.get_mut(word.as_ref()) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.as_ref().to_string(), 1);
                }
            }
        }
        SPECIAL.iter().for_each(|special| {
            counts.remove(*special);
        });
        let (mut kept, rare): (Vec<_>, Vec<_>) = counts.into_iter().partition(|(_, count)| *count >= min_count);
        kept.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        let unknown = rare.iter().map(|(_, count)| count).sum();
        let special = SPECIAL.map(String::from).into_iter().zip([0, unknown]);
        let (words, counts) = special.chain(kept).unzip();
        Self::try_from(Entries { words, counts }).expect("words counted by word are distinct")
    }

    /// How many numbers there are, the special ones included.
    pub fn len(&self) -> usize {
        self.entries.words.len()
    }

    /// Whether there is no word but the special ones.
    pub fn is_empty(&self) -> bool {
        self.len() == SPECIAL.len()
    }

    /// The number of a word, if the vocabulary has it.
    pub fn get(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// The number of a word, [`UNK`] if the vocabulary lacks it.
    pub fn id(&self, word: &str) -> u32 {
        self.get(word).unwrap_or(UNK)
    }

    /// The word with a number, if there is one.
    pub fn word(&self, id: u32) -> Option<&str> {
        self.entries.words.get(id as usize).map(String::as_str)
    }

    /// How often the word with a number was seen; for [`UNK`], the occurrences of all words that were too rare.
    pub fn count(&self, id: u32) -> Option<u64> {
        self.entries.counts.get(id as usize).copied()
    }

    /// All words in the order of their numbers, the special ones first.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.words.iter().map(String::as_str)
    }

    /// The numbers of a list of words.
    pub fn encode<Word: AsRef<str>>(&self, words: &[Word]) -> Vec<u32> {
        words.iter().map(|word| self.id(word.as_ref())).collect()
    }

    /// Writes the vocabulary: as JSON where the name ends in `.json`, else as text with one word and its count, split
    /// by a tab, a line.
    ///
    /// # Errors
    /// If the file cannot be written, or a word holds a tab or a line break, which the text form has no way to write.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = if is_json(path) { self.to_json() } else { self.to_lines(path)? };
        Ok(write_atomic(path, text.as_bytes())?)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If the file cannot be read or is not a vocabulary; the message names the line or the word.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(sensorium_core::Error::io(path, "read"))?;
        let vocab = if is_json(path) {
            serde_json::from_slice(&bytes).map_err(|e| e.to_string())
        } else {
            Entries::from_lines(&bytes).and_then(Self::try_from)
        };
        Ok(vocab.map_err(|reason| sensorium_core::Error::format(path, "vocabulary", reason))?)
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("words and counts are always valid JSON")
    }

    fn to_lines(&self, path: &Path) -> Result<String> {
        let mut text = String::new();
        for (word, count) in self.entries.words.iter().zip(&self.entries.counts) {
            if word.contains(['\t', '\n', '\r']) {
                let rule = format!("{} cannot hold a word with a tab or a line break: save as .json", path.display());
                return Err(sensorium_core::Error::config("word", format!("{word:?}"), rule).into());
            }
            writeln!(text, "{word}\t{count}").expect("a String takes any text");
        }
        Ok(text)
    }
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

impl Entries {
    fn from_lines(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|e| format!("the text is not UTF-8: {e}"))?;
        let (mut words, mut counts) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            let (word, count) =
                line.split_once('\t').ok_or_else(|| format!("line {}: no tab between word and count", index + 1))?;
            let count = count.parse().map_err(|_| format!("line {}: the count is '{count}', no number", index + 1))?;
            words.push(word.to_string());
            counts.push(count);
        }
        Ok(Self { words, counts })
    }
}

impl TryFrom<Entries> for Vocab {
    type Error = String;

    fn try_from(entries: Entries) -> Result<Self, String> {
        let Entries { words, counts } = &entries;
        if words.len() != counts.len() {
            return Err(format!("{} words but {} counts", words.len(), counts.len()));
        }
        if u32::try_from(words.len()).is_err() {
            return Err(format!("{} words, more than 32-bit numbers can tell apart", words.len()));
        }
        if !words.iter().take(SPECIAL.len()).eq(&SPECIAL) {
            return Err(format!("the first words must be {} and {}", SPECIAL[0], SPECIAL[1]));
        }
        let mut ids = HashMap::with_capacity(words.len());
        for (id, word) in words.iter().enumerate() {
            if ids.insert(word.clone(), id as u32).is_some() {
                return Err(format!("the word '{word}' stands twice"));
            }
        }
        Ok(Self { entries, ids })
    }
}

impl From<Vocab> for Entries {
    fn from(vocab: Vocab) -> Self {
        vocab.entries
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn small() -> Vocab {
        Vocab::build(["b a a c", "a c <unk> <pad>", "d"].map(|text| text.split(' ').collect::<Vec<_>>()), 2)
    }

    #[test]
    fn words_stand_by_frequency_and_rare_ones_are_unknown() {
        let vocab = small();
        assert_eq!(vocab.words().collect::<Vec<_>>(), ["<pad>", "<unk>", "a", "c"]);
        assert_eq!([UNK, 2, 3, 4].map(|id| vocab.count(id)), [Some(2), Some(3), Some(2), None]);
        assert_eq!(vocab.encode(&["c", "b", "a"]), [3, UNK, 2]);
        assert_eq!((vocab.get("b"), vocab.word(9)), (None, None));
        let tied = Vocab::build([["z", "m", "é", "a"]], 1);
        assert_eq!(tied.words().skip(2).collect::<Vec<_>>(), ["a", "m", "z", "é"]);
        assert!(Vocab::build([[""; 0]], 1).is_empty());
    }

    #[test]
    fn both_forms_come_back() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["v.json", "v.JSON", "v.txt", "v"] {
            let path = dir.path().join(name);
            small().save(&path).unwrap();
            assert_eq!(Vocab::load(&path).unwrap(), small(), "{name}");
        }
    }

    #[test]
    fn a_word_that_a_line_cannot_hold_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let vocab = Vocab::build([["new\nline"]], 1);
        let error = vocab.save(dir.path().join("v.txt")).unwrap_err().to_string();
        assert!(error.contains("new\\nline") && error.contains("save as .json"), "{error}");
        let json = dir.path().join("v.json");
        vocab.save(&json).unwrap();
        assert_eq!(Vocab::load(&json).unwrap(), vocab);
    }

    #[test]
    fn files_that_are_no_vocabulary_say_why() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content, reason) in [
            ("a.txt", "<pad>\t0\n<unk>\t0\nword", "line 3: no tab"),
            ("b.txt", "<pad>\t0\n<unk>\t-1", "line 2: the count is '-1'"),
            ("c.txt", "<pad>\t0\n<unk>\t0\nx\t1\nx\t1", "'x' stands twice"),
            ("d.txt", "x\t1", "the first words must be <pad> and <unk>"),
            ("e.txt", "", "the first words must be"),
            ("f.json", r#"{"words":["<pad>","<unk>"],"counts":[0]}"#, "2 words but 1 counts"),
            ("g.json", "[", "EOF"),
            ("h.json", r#"{"words":["<pad>","<unk>","a","a"],"counts":[0,0,1,1]}"#, "'a' stands twice"),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            let error = Vocab::load(&path).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(name), "{error}");
        }
        let error = Vocab::load(dir.path().join("none.txt")).unwrap_err().to_string();
        assert!(error.contains("none.txt") && error.contains("cannot read"), "{error}");
    }

    #[test]
    fn every_truncation_and_flipped_byte_is_read_without_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let mut refused = 0;
        for name in ["v.json", "v.txt"] {
            let path = dir.path().join(name);
            small().save(&path).unwrap();
            let whole = std::fs::read(&path).unwrap();
            for at in 0..whole.len() {
                let mut flipped = whole.clone();
                flipped[at] ^= 0x91;
                for broken in [&whole[..at], &flipped] {
                    std::fs::write(&path, broken).unwrap();
                    refused += usize::from(Vocab::load(&path).is_err());
                }
            }
        }
        assert!(refused > 100, "only {refused} broken files were refused");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_order_of_the_texts_does_not_matter(mut texts in prop::collection::vec(prop::collection::vec("[a-d]{1,2}", 0..6), 0..6)) {
            let vocab = Vocab::build(&texts, 1);
            texts.reverse();
            prop_assert_eq!(&Vocab::build(&texts, 1), &vocab);
            for word in texts.iter().flatten() {
                prop_assert_eq!(vocab.word(vocab.id(word)), Some(word.as_str()));
            }
        }
    }
}
