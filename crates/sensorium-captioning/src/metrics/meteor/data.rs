//! METEOR's lists of words: from its distribution, or short ones of our own.

use std::path::Path;

use hashbrown::HashSet;

use super::normalize::{Prefix, Prefixes};
use crate::metrics::Error;

/// Function words of English: articles, pronouns, prepositions, conjunctions, auxiliary verbs and marks. METEOR's own
/// list is under a licence of its own and holds what was frequent in its corpus; this one is the closed word classes.
const FUNCTION_WORDS: &str = include_str!("function_words.txt");

/// Words that keep a full stop at their end.
const PREFIXES: &str = "Mr Mrs Ms Dr Prof St Jr Sr Mt vs etc e.g i.e";

/// The function words used without METEOR's data.
pub(super) fn own_function_words() -> HashSet<String> {
    FUNCTION_WORDS.split_ascii_whitespace().map(String::from).collect()
}

/// The abbreviations used without METEOR's data.
pub(super) fn own_prefixes() -> Prefixes {
    PREFIXES.split_ascii_whitespace().map(|word| (word.to_string(), Prefix::Always)).collect()
}

/// What is wrong with a line, counted from 1.
pub(super) fn bad_line(path: &Path, line: usize, reason: impl std::fmt::Display) -> Error {
    Error::Format { path: path.into(), reason: format!("line {line} {reason}; take the file from METEOR 1.5 again") }
}

/// The text of a file.
pub(super) fn read_text(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        bad_line(path, line, "must be UTF-8, but is not")
    })
}

/// One word a line.
pub(super) fn read_words(path: &Path) -> Result<HashSet<String>, Error> {
    let mut words = HashSet::new();
    for (number, line) in (1..).zip(read_text(path)?.lines()) {
        let mut parts = line.split_ascii_whitespace();
        words.extend(parts.next().map(String::from));
        if parts.next().is_some() {
            return Err(bad_line(path, number, format_args!("must be one word, but is {}", shown(line))));
        }
    }
    if words.is_empty() {
        return Err(bad_line(path, 1, "must be a function word, but the file is empty"));
    }
    Ok(words)
}

/// One abbreviation a line, `#NUMERIC_ONLY#` after those that are abbreviations only before a number.
pub(super) fn read_prefixes(path: &Path) -> Result<Prefixes, Error> {
    let mut prefixes = Prefixes::new();
    for (number, line) in (1..).zip(read_text(path)?.lines()) {
        let parts: Vec<&str> = line.split_ascii_whitespace().collect();
        let (word, when) = match parts[..] {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            [word] => (word, Prefix::Always),
            [word, "#NUMERIC_ONLY#"] => (word, Prefix::BeforeNumber),
            _ => {
                let rule = "must be an abbreviation, with #NUMERIC_ONLY# after it or nothing";
                return Err(bad_line(path, number, format_args!("{rule}, but is {}", shown(line))));
            }
        };
        prefixes.insert(word.to_string(), when);
    }
    Ok(prefixes)
}

/// A line for a message, cut short.
pub(super) fn shown(line: &str) -> String {
    const MOST: usize = 40;
    let start: String = line.chars().take(MOST).collect();
    format!("{start:?}{}", if start.len() < line.len() { "…" } else { "" })
}
