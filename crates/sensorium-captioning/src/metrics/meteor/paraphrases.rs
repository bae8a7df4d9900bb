//! Which phrases paraphrase each other, by METEOR's table.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use hashbrown::HashMap;

use super::data::{bad_line, shown};
use crate::metrics::Error;

/// The table of paraphrases.
#[derive(Debug, Default)]
pub(super) struct Paraphrases {
    numbers: HashMap<String, u32>,
    /// By phrase, one after the other: the number of words of a paraphrase and the words.
    table: HashMap<Box<[u32]>, Vec<u32>>,
    /// The most words in a phrase.
    longest: usize,
}

/// The number of words that no phrase has.
const UNKNOWN: u32 = u32::MAX;

impl Paraphrases {
    /// Reads a packed file in which lines come in threes: a probability, a phrase and a paraphrase of it.
    ///
    /// # Errors
    /// If the file cannot be read or unpacked, ends within a paraphrase, or a line is not what it should be; the
    /// message names the line.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let mut lines = Lines::open(path)?;
        let mut paraphrases = Self::default();
        while let Some(probability) = lines.next()? {
            if probability.trim().parse::<f64>().is_err() {
                let probability = shown(probability);
                return Err(lines.bad(format_args!("must be a probability, but is {probability}")));
            }
            let phrase = paraphrases.phrase(&mut lines)?;
            let paraphrase = paraphrases.phrase(&mut lines)?;
            paraphrases.add(phrase, &paraphrase);
        }
        Ok(paraphrases)
    }

    /// The words of the next line.
    fn phrase(&mut self, lines: &mut Lines<'_>) -> Result<Box<[u32]>, Error> {
        let words = match lines.next()? {
            Some(line) => self.numbered(line),
            None => Box::default(),
        };
        if words.is_empty() {
            return Err(lines.bad("must be a phrase, but is empty or missing"));
        }
        Ok(words)
    }

    fn add(&mut self, phrase: Box<[u32]>, paraphrase: &[u32]) {
        self.longest = self.longest.max(phrase.len());
        let entry = self.table.entry(phrase).or_default();
        entry.push(paraphrase.len() as u32);
        entry.extend(paraphrase);
    }

    /// The words of a line as numbers, new ones for new words.
    fn numbered(&mut self, line: &str) -> Box<[u32]> {
        line.split_ascii_whitespace().map(|word| self.number(word)).collect()
    }

    fn number(&mut self, word: &str) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry_ref(word).or_insert(next)
    }

    /// The words as numbers.
    pub(super) fn numbers(&self, words: &[String]) -> Vec<u32> {
        words.iter().map(|word| self.numbers.get(word).copied().unwrap_or(UNKNOWN)).collect()
    }

    /// Gives the paraphrases of every phrase that `words` begin with, short phrases first, with the phrase's length.
    pub(super) fn each(&self, words: &[u32], mut give: impl FnMut(usize, &[u32])) {
        for length in 1..=self.longest.min(words.len()) {
            let mut rest = self.table.get(&words[..length]).map_or(&[][..], Vec::as_slice);
            while let Some((&count, words)) = rest.split_first() {
                let (paraphrase, others) = words.split_at(count as usize);
                give(length, paraphrase);
                rest = others;
            }
        }
    }
}

/// The most bytes of a line and of the whole text, unpacked. METEOR's table for English has 272 million bytes; a small
/// file that unpacks to more than memory holds is refused.
const LONGEST_LINE: u64 = 1 << 16;
const LONGEST_TEXT: u64 = 1 << 30;

/// The lines of a packed file.
struct Lines<'a> {
    path: &'a Path,
    text: BufReader<GzDecoder<File>>,
    line: Vec<u8>,
    number: usize,
    read: u64,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let text = BufReader::with_capacity(1 << 16, GzDecoder::new(file));
        Ok(Self { path, text, line: vec![], number: 0, read: 0 })
    }

    /// The next line, without its end.
    fn next(&mut self) -> Result<Option<&str>, Error> {
        self.number += 1;
        self.line.clear();
        let read = self.text.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| self.bad(format_args!("cannot be unpacked: {error}")))? as u64;
        self.read += read;
        if read == LONGEST_LINE || self.read > LONGEST_TEXT {
            return Err(self.bad("must be below 64 KiB and the text below 1 GiB, but is longer"));
        }
        match std::str::from_utf8(&self.line) {
            Ok("") => Ok(None),
            Ok(line) => Ok(Some(line.trim_end_matches(['\r', '\n']))),
            Err(_) => Err(self.bad("must be UTF-8, but is not")),
        }
    }

    /// What is wrong with the last line read.
    fn bad(&self, reason: impl std::fmt::Display) -> Error {
        bad_line(self.path, self.number, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_of_any_length_are_found() {
        let mut paraphrases = Paraphrases::default();
        for (phrase, paraphrase) in [("a lot of", "many"), ("a", "one"), ("a lot of", "lots of")] {
            let (phrase, paraphrase) = (paraphrases.numbered(phrase), paraphrases.numbered(paraphrase));
            paraphrases.add(phrase, &paraphrase);
        }
        let words = ["a", "lot", "of", "x"].map(String::from);
        let mut found = Vec::new();
        paraphrases.each(&paraphrases.numbers(&words), |length, words| found.push((length, words.len())));
        assert_eq!(found, [(1, 1), (3, 1), (3, 2)]);
        assert_eq!(paraphrases.numbers(&words)[3], UNKNOWN);
    }
}
