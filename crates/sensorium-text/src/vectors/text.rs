//! Word vectors as text: a word and its numbers a line. word2vec's form begins with a line `words dim`, GloVe's does
//! not.

use std::io::{self, Write};
use std::ops::Range;

use rayon::prelude::*;

use super::WordVectors;
use super::cursor::Parsed;
use super::words::{WordList, parse_word, shown};

/// The first line of a word2vec file, text or binary.
pub(super) struct Header {
    pub(super) words: usize,
    pub(super) dim: usize,
    /// Bytes of the line, its break included.
    pub(super) len: usize,
}

/// The line `words dim` that a file begins with, if it does. Numbers too large for this machine are its largest, which
/// no file is long enough for.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    const LONGEST: usize = 64;
    let start = &bytes[..bytes.len().min(LONGEST)];
    let line = start.split(|byte| *byte == b'\n').next()?;
    let mut numbers = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let mut number = || {
        let digits = numbers.next().filter(|field| field.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(digits.parse().unwrap_or(usize::MAX))
    };
    let (words, dim) = (number()?, number()?);
    numbers.next().is_none().then_some(Header { words, dim, len: (line.len() + 1).min(bytes.len()) })
}

/// Whether the record that `bytes` begin with is a line of text with `dim` numbers.
pub(super) fn is_text_record(bytes: &[u8], dim: usize) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    numbers_at_end(line).take(dim).count() == dim
}

/// word2vec text.
pub(super) fn parse_word2vec(bytes: &[u8]) -> Parsed<WordVectors> {
    let header =
        header(bytes).ok_or("the first line must be the number of words and the dimension, such as `30 12`")?;
    let vectors = parse_lines(&bytes[header.len..], 2, header.dim)?;
    if vectors.len() != header.words {
        return Err(format!("the first line says {} words, the file has {}", header.words, vectors.len()));
    }
    Ok(vectors)
}

/// GloVe text; the first line tells the dimension.
pub(super) fn parse_glove(bytes: &[u8]) -> Parsed<WordVectors> {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match numbers_at_end(first).count() {
        0 => Err(format!("line 1 must be a word and its numbers, split by spaces, but is {}", lossy(first))),
        dim => parse_lines(bytes, 1, dim),
    }
}

/// Lines of a word and `dim` numbers each, the first of them the file's line `first`.
fn parse_lines(bytes: &[u8], first: usize, dim: usize) -> Parsed<WordVectors> {
    let lines = bytes.trim_ascii_end();
    let lines = (!lines.is_empty()).then(|| lines.split(|byte| *byte == b'\n'));
    let (mut words, mut values) = (Vec::new(), Vec::new());
    for (index, line) in lines.into_iter().flatten().enumerate() {
        let word =
            parse_record(line, dim, &mut values).map_err(|reason| format!("line {}: {reason}", index + first))?;
        words.push(parse_word(word, index + 1)?);
    }
    WordVectors::checked(WordList::new(words)?, dim, values)
}

/// Appends the `dim` numbers at the end of `line` to `values`, and gives the word before them. Some words of GloVe's
/// larger files hold spaces; so what counts is the end of the line.
fn parse_record<'l>(line: &'l [u8], dim: usize, values: &mut Vec<f32>) -> Parsed<&'l [u8]> {
    let begin = values.len();
    let mut word = line.trim_ascii_end();
    for _ in 0..dim {
        let (before, field) = split_last(word).ok_or_else(|| count_error(line, dim))?;
        values.push(number(field).ok_or_else(|| format!("{} is no number", lossy(field)))?);
        word = before;
    }
    values[begin..].reverse();
    match split_last(word) {
        Some((_, field)) if number(field).is_some() => Err(count_error(line, dim)),
        _ => Ok(word),
    }
}

fn count_error(line: &[u8], dim: usize) -> String {
    format!("{} numbers after the word, must be {dim}", numbers_at_end(line).count())
}

/// The numbers that a line ends with, the last one first; its first field is a word, whatever it looks like.
fn numbers_at_end(line: &[u8]) -> impl Iterator<Item = f32> {
    let mut rest = line.trim_ascii_end();
    std::iter::from_fn(move || {
        let (before, field) = split_last(rest)?;
        rest = before;
        number(field)
    })
}

/// What stands before the last blank, and after it.
fn split_last(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = line.iter().rposition(|byte| matches!(byte, b' ' | b'\t'))?;
    Some((&line[..blank], &line[blank + 1..]))
}

fn number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn lossy(bytes: &[u8]) -> String {
    shown(&String::from_utf8_lossy(bytes))
}

/// word2vec text. Each number is the shortest that reads back the same.
pub(super) fn write_word2vec(out: &mut dyn Write, vectors: &WordVectors) -> io::Result<()> {
    writeln!(out, "{} {}", vectors.len(), vectors.dim())?;
    write_glove(out, vectors)
}

/// GloVe text.
pub(super) fn write_glove(out: &mut dyn Write, vectors: &WordVectors) -> io::Result<()> {
    const BLOCK: usize = 64;
    let block = |first: usize| lines(vectors, first..(first + BLOCK).min(vectors.len()));
    // As many blocks at a time as keep every thread at work; memory stays bounded.
    let wave = BLOCK * 4 * rayon::current_num_threads();
    for first in (0..vectors.len()).step_by(wave) {
        let end = (first + wave).min(vectors.len());
        let blocks: Vec<usize> = (first..end).step_by(BLOCK).collect();
        let texts: Vec<Vec<u8>> = blocks.into_par_iter().map(block).collect();
        texts.iter().try_for_each(|text| out.write_all(text))?;
    }
    Ok(())
}

/// The lines of the words in `range`.
fn lines(vectors: &WordVectors, range: Range<usize>) -> Vec<u8> {
    let mut text = Vec::new();
    // It writes a point or an exponent in every number: no line looks like a word2vec header.
    let mut number = zmij::Buffer::new();
    for index in range {
        text.extend_from_slice(vectors.words()[index].as_bytes());
        for value in vectors.row(index) {
            text.push(b' ');
            text.extend_from_slice(number.format(*value).as_bytes());
        }
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_form_is_read() {
        for text in [
            "2 2\nred 1 -0.5\nblue 2e-3 .25\n",
            "2 2\r\nred 1 -0.5 \r\nblue 2e-3 .25 \r\n",
            "2\t2\nred\t1\t-0.5\nblue\t2e-3\t.25",
            "2 2 \nred 1.0 -0.5\nblue +0.002 0.250\n\n",
        ] {
            let vectors = parse_word2vec(text.as_bytes()).unwrap();
            assert_eq!(vectors.words(), ["red", "blue"], "{text:?}");
            assert_eq!(vectors.values(), [1.0, -0.5, 0.002, 0.25], "{text:?}");
            let start = text.find('\n').unwrap() + 1;
            assert_eq!(parse_glove(&text.as_bytes()[start..]).unwrap(), vectors, "{text:?}");
        }
        assert!(parse_word2vec(b"0 12\n").unwrap().is_empty());
    }

    #[test]
    fn words_may_look_like_numbers_and_hold_blanks() {
        let vectors = parse_glove("1999 1 2\n. . . 3 4\nat me@home 5 6\n\u{85} 7 8\n".as_bytes()).unwrap();
        assert_eq!(vectors.words(), ["1999", ". . .", "at me@home", "\u{85}"]);
        assert_eq!(vectors.values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    }

    #[test]
    fn lines_that_break_a_rule_are_named() {
        for (text, reason) in [
            ("2 2\nred 1 2\n", "says 2 words, the file has 1"),
            ("1 2\nred 1 2\nblue 1 2\n", "says 1 words, the file has 2"),
            ("2 2\nred 1 2\nblue 1\n", "line 3: 1 numbers after the word, must be 2"),
            ("2 2\nred 1 2\nblue 1 2 3\n", "line 3: 3 numbers after the word, must be 2"),
            ("2 2\nred 1 2\n\nblue 1 2\n", "line 3: 0 numbers"),
            ("2 2\nred 1 x\nblue 1 2\n", "line 2: 'x' is no number"),
            ("2 2\nred 1  2\nblue 1 2\n", "line 2: '' is no number"),
            ("2 2\nred 1 nan\nblue 1 2\n", "word 1, 'red': number 2 is NaN"),
            ("2 2\nred 1 2\nblue 1e39 2\n", "word 2, 'blue': number 1 is inf"),
            ("2 2\nred 1 2\nred 1 2\n", "word 2, 'red', already stands as word 1"),
            ("2 2\nred 1 2\n 1 2\n", "word 2 is empty"),
            ("2 0\nred\nblue\n", "the dimension is 0"),
            ("3 2\nred 1 2\n", "says 3 words, the file has 1"),
            ("red 1 2\n", "the first line must be the number of words"),
        ] {
            let error = parse_word2vec(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
        let error = parse_word2vec(b"2 1\nred 1\nbl\xfce 1\n").unwrap_err();
        assert!(error.starts_with("word 2, 'bl\u{fffd}e', is not UTF-8"), "{error}");
        for text in ["", "\n", "red\n", "red blue\n"] {
            assert!(parse_glove(text.as_bytes()).unwrap_err().contains("line 1 must be a word and its numbers"));
        }
    }
}
