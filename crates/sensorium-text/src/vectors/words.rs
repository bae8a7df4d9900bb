//! A list of words and where each stands.

use std::collections::HashMap;

/// Distinct words in the order of their rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WordList {
    words: Vec<String>,
    index: HashMap<String, usize>,
}

impl WordList {
    /// The `Err` says which word is empty or stands twice; the first word is number 1, as records in a file are.
    pub(super) fn new(words: Vec<String>) -> Result<Self, String> {
        let mut index = HashMap::with_capacity(words.len());
        for (place, word) in words.iter().enumerate() {
            if word.is_empty() {
                return Err(format!("word {} is empty", place + 1));
            }
            if let Some(first) = index.insert(word.clone(), place) {
                return Err(format!("word {}, {}, already stands as word {}", place + 1, shown(word), first + 1));
            }
        }
        Ok(Self { words, index })
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn index(&self, word: &str) -> Option<usize> {
        self.index.get(word).copied()
    }

    /// `word 7, 'house'`: what an error about the row at `index` begins with.
    pub(super) fn place(&self, index: usize) -> String {
        format!("word {}, {}", index + 1, shown(&self.words[index]))
    }
}

/// The word of a record, counted from 1.
pub(super) fn parse_word(bytes: &[u8], record: usize) -> Result<String, String> {
    match std::str::from_utf8(bytes) {
        Ok("") => Err(format!("word {record} is empty")),
        Ok(word) => Ok(word.to_string()),
        Err(error) => {
            let lossy = String::from_utf8_lossy(bytes);
            Err(format!("word {record}, {}, is not UTF-8: {error}; convert the file to UTF-8", shown(&lossy)))
        }
    }
}

/// A text from a file, quoted and fit for a line of an error message.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("'{shown}'")
}
