//! The binary form of word2vec.c: a line `words dim`, then for each word its bytes, a space, and f32s.

use std::io::{self, Write};

use super::WordVectors;
use super::cursor::{Cursor, Parsed};
use super::layout::{Layout, Number, write_f32s};
use super::text::header;
use super::words::{WordList, parse_word};

/// word2vec.c ends each record with a line break, others do not; both are read.
pub(super) fn layout(bytes: &[u8]) -> Parsed<Layout> {
    let header = header(bytes).ok_or("it must begin with a line of the number of words and the dimension")?;
    let mut cursor = Cursor::new(bytes);
    cursor.take(header.len, "the first line")?;
    let row = header.dim.saturating_mul(Number::F32.size());
    let count = cursor.count(header.words, row.saturating_add("w ".len()), "words")?;
    let (mut words, mut starts) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for record in 1..=count {
        skip_break(&mut cursor)?;
        let word = cursor.until(b' ', &format!("word {record} of {count}"))?;
        words.push(parse_word(word, record)?);
        starts.push(cursor.at());
        cursor.take(row, &format!("the vector of word {record} of {count}"))?;
    }
    skip_break(&mut cursor)?;
    match cursor.rest().len() {
        0 => Layout::new(WordList::new(words)?, header.dim, Number::F32, starts),
        more => Err(format!("{more} bytes follow the last of {count} words")),
    }
}

fn skip_break(cursor: &mut Cursor) -> Parsed<()> {
    if cursor.rest().first() == Some(&b'\n') {
        cursor.take(1, "a line break")?;
    }
    Ok(())
}

/// As word2vec.c does, with a line break after each record.
pub(super) fn write(out: &mut dyn Write, vectors: &WordVectors) -> io::Result<()> {
    writeln!(out, "{} {}", vectors.len(), vectors.dim())?;
    for (index, word) in vectors.words().iter().enumerate() {
        out.write_all(word.as_bytes())?;
        out.write_all(b" ")?;
        write_f32s(out, vectors.row(index))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Parsed<WordVectors> {
        layout(bytes)?.load(bytes)
    }

    #[test]
    fn records_with_and_without_a_line_break_are_read() {
        let [one, line_break] = [1.0f32.to_le_bytes(), f32::from_le_bytes(*b"\n\n\n\n").to_le_bytes()];
        let record = |word: &str, value: [u8; 4], end: &str| [word.as_bytes(), b" ", &value, end.as_bytes()].concat();
        for end in ["", "\n"] {
            let file = [b"2 1\n".to_vec(), record("naïve", line_break, end), record("b", one, end)].concat();
            let vectors = parse(&file).unwrap();
            assert_eq!(vectors.words(), ["naïve", "b"]);
            assert_eq!(vectors.values(), [f32::from_le_bytes(line_break), 1.0]);
        }
    }

    #[test]
    fn records_that_break_a_rule_are_named() {
        for (file, reason) in [
            (b"2 1\na \0\0\0\0b \0\0\0".as_slice(), "2 words of 6 or more bytes each do not fit into the 11 bytes"),
            (b"2 1\na \0\0\0\0\nbb \0\0\0", "it ends at byte 17 within the vector of word 2 of 2"),
            (b"2 1\na \0\0\0\0\nbbbbbb", "it ends at byte 17 within word 2 of 2"),
            (b"1 1\na \0\0\0\0\nb", "1 bytes follow the last of 1 words"),
            (b"2 1\na \0\0\0\0a \0\0\0\0", "word 2, 'a', already stands as word 1"),
            (b"1 1\n\xff \0\0\0\0", "word 1, '\u{fffd}', is not UTF-8"),
            (b"1 1\na \0\0\x80\x7f", "word 1, 'a': number 1 is inf"),
            (b"1 0\na ", "the dimension is 0"),
            (b"one 1\na ", "it must begin with a line"),
        ] {
            let error = parse(file).unwrap_err();
            assert!(error.contains(reason), "{error}, where {reason} was expected");
        }
    }
}
