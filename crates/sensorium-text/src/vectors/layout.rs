//! Where the words' rows lie in a binary file: what both reading and mapping it need to know.

use std::io::{self, Write};

use half::{bf16, f16};

use super::cursor::Parsed;
use super::words::WordList;
use super::{WordVectors, check_dim};

/// The number format of a file's rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    F32,
    F16,
    Bf16,
}

impl Number {
    pub(super) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// The rows of a file, all of which lie within its bytes.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) words: WordList,
    pub(super) dim: usize,
    pub(super) number: Number,
    /// The byte at which each word's row begins.
    pub(super) starts: Vec<usize>,
    /// What each row is to be multiplied by, where the file holds unit vectors.
    pub(super) norms: Option<Vec<f32>>,
}

impl Layout {
    /// The caller has checked that all rows lie within the file.
    pub(super) fn new(words: WordList, dim: usize, number: Number, starts: Vec<usize>) -> Parsed<Self> {
        check_dim(dim)?;
        Ok(Self { words, dim, number, starts, norms: None })
    }

    /// Appends the row at `index` to `values`.
    pub(super) fn decode(&self, bytes: &[u8], index: usize, values: &mut Vec<f32>) {
        let begin = values.len();
        let row = &bytes[self.starts[index]..][..self.dim * self.number.size()];
        match self.number {
            Number::F32 => values.extend(f32s(row)),
            Number::F16 => values.extend(row.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())),
            Number::Bf16 => values.extend(row.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())),
        }
        if let Some(norms) = &self.norms {
            values[begin..].iter_mut().for_each(|value| *value *= norms[index]);
        }
    }

    /// All rows in memory.
    pub(super) fn load(self, bytes: &[u8]) -> Parsed<WordVectors> {
        let mut values = Vec::with_capacity(self.words.len() * self.dim);
        (0..self.words.len()).for_each(|index| self.decode(bytes, index, &mut values));
        WordVectors::checked(self.words, self.dim, values)
    }
}

/// Little-endian f32s.
pub(super) fn f32s(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// The opposite of [`f32s`].
pub(super) fn write_f32s(out: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}
