//! The bytes of a file from front to back; no length is used before it is checked against what is left.

use std::fmt::Display;

/// What was parsed, or why it cannot be: the place and the rule, to which the caller adds the file.
pub(super) type Parsed<T> = Result<T, String>;

/// Little-endian numbers and runs of bytes; `what` names in errors what was to be read.
pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub(super) fn rest(&self) -> &'b [u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn take(&mut self, count: usize, what: &str) -> Parsed<&'b [u8]> {
        let taken = self.rest().get(..count).ok_or_else(|| self.cut(what))?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Parsed<[u8; N]> {
        self.take(N, what).map(|bytes| bytes.try_into().expect("N bytes"))
    }

    pub(super) fn u32(&mut self, what: &str) -> Parsed<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Parsed<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// Bytes up to the next `end`, which is read too.
    pub(super) fn until(&mut self, end: u8, what: &str) -> Parsed<&'b [u8]> {
        let length = self.rest().iter().position(|byte| *byte == end).ok_or_else(|| self.cut(what))?;
        let taken = self.take(length, what)?;
        self.at += 1;
        Ok(taken)
    }

    /// `count` as a number of items that can follow, each of at least `size` bytes.
    pub(super) fn count<N: TryInto<usize> + Display + Copy>(&self, count: N, size: usize, what: &str) -> Parsed<usize> {
        let left = self.rest().len();
        let fits = |count: &usize| count.checked_mul(size).is_some_and(|bytes| bytes <= left);
        count.try_into().ok().filter(fits).ok_or_else(|| {
            format!("{count} {what} of {size} or more bytes each do not fit into the {left} bytes that follow")
        })
    }

    fn cut(&self, what: &str) -> String {
        format!("it ends at byte {} within {what}", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_checked() {
        let mut cursor = Cursor::new(b"\x01\0\0\0word rest");
        assert_eq!(cursor.u32("n"), Ok(1));
        assert_eq!(cursor.until(b' ', "a word"), Ok(b"word".as_slice()));
        assert_eq!((cursor.at(), cursor.rest()), (9, b"rest".as_slice()));
        assert_eq!(cursor.count(2u64, 2, "pairs"), Ok(2));
        for too_many in [3, u64::MAX] {
            assert!(cursor.count(too_many, 2, "pairs").unwrap_err().contains("do not fit into the 4 bytes"));
        }
        assert!(cursor.count(-1i64, 1, "bytes").unwrap_err().starts_with("-1 bytes"));
        assert_eq!(cursor.until(b' ', "a word"), Err("it ends at byte 13 within a word".to_string()));
        assert_eq!(cursor.u64("a length"), Err("it ends at byte 13 within a length".to_string()));
        assert_eq!(cursor.take(4, "the rest"), Ok(b"rest".as_slice()), "a failed read reads nothing");
    }
}
