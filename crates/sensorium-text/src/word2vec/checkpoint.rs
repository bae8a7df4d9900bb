//! A training on disk: both tables as safetensors, and in its metadata where the training is. Written and read row by
//! row, so that it takes no memory beside the tables.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use sensorium_core::Error;
use sensorium_core::files::write_atomic_with;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, Side};
use super::reader::Open;
use super::settings::Settings;
use super::table::Table;
use crate::Result;

const FORMAT: &str = "checkpoint of a training";
/// A header is some thousand bytes long.
const LONGEST_HEADER: u64 = 1 << 24;

/// Where a training is, besides its tables, and what it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) settings: Settings,
    /// Of the vocabulary, with the sum of their counts.
    pub(super) words: usize,
    pub(super) total: u64,
    pub(super) epoch: usize,
    /// Tokens done in all epochs.
    pub(super) tokens: usize,
    /// The place of each reader, the state of its random numbers, and the sentence it is in.
    pub(super) readers: Vec<(usize, u64, Open)>,
}

/// The header of the file. The format wants the metadata to be strings.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: Metadata,
    input: Tensor,
    output: Tensor,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    position: String,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Tensor {
    dtype: String,
    shape: [usize; 2],
    data_offsets: [usize; 2],
}

impl Tensor {
    fn new(shape: [usize; 2], from: usize) -> Self {
        let bytes = shape[0] * shape[1] * size_of::<f32>();
        Self { dtype: "F32".to_string(), shape, data_offsets: [from, from + bytes] }
    }
}

/// The tensors of tables of so many rows.
fn tensors([inputs, outputs]: [usize; 2], dim: usize) -> [Tensor; 2] {
    let input = Tensor::new([inputs, dim], 0);
    let output = Tensor::new([outputs, dim], input.data_offsets[1]);
    [input, output]
}

pub(super) fn write(path: &Path, position: &Position, rows: [usize; 2], engine: &Engine) -> Result<()> {
    let [input, output] = tensors(rows, position.settings.dim);
    let position = serde_json::to_string(position).expect("a position becomes JSON");
    let header = Header { metadata: Metadata { position }, input, output };
    let mut header = serde_json::to_vec(&header).expect("a header becomes JSON");
    // Blanks up to a multiple of 8, so that the numbers are aligned.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(write_atomic_with(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        [Side::Input, Side::Output].into_iter().try_for_each(|side| {
            engine.each_row(side, |row| row.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())))
        })
    })?)
}

/// The error of a checkpoint that is none, or of something else.
pub(super) fn bad(path: &Path, reason: String) -> crate::Error {
    Error::format(path, FORMAT, reason).into()
}

/// A checkpoint whose header is read.
pub(super) struct Checkpoint<'p> {
    path: &'p Path,
    file: BufReader<File>,
    pub(super) position: Position,
    tensors: [Tensor; 2],
}

impl<'p> Checkpoint<'p> {
    pub(super) fn open(path: &'p Path) -> Result<Self> {
        let bad = |reason: String| bad(path, reason);
        let mut file = BufReader::new(File::open(path).map_err(Error::io(path, "read"))?);
        let size = file.get_ref().metadata().map_err(Error::io(path, "read"))?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(Error::io(path, "read"))?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER.min(size.saturating_sub(8)) {
            return Err(bad(format!("a header of {length} bytes in a file of {size}")));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(Error::io(path, "read"))?;
        let header: Header = serde_json::from_slice(&header).map_err(|error| bad(error.to_string()))?;
        let position: Position =
            serde_json::from_str(&header.metadata.position).map_err(|error| bad(error.to_string()))?;
        let tensors = [header.input, header.output];
        if size.checked_sub(8 + length) != Some(tensors[1].data_offsets[1] as u64) {
            return Err(bad(format!("{size} bytes, but its header speaks of others")));
        }
        Ok(Self { path, file, position, tensors })
    }

    /// Fills W and W′.
    pub(super) fn read(mut self, tables: &mut [Table; 2]) -> Result<()> {
        let expected = self::tensors([tables[0].rows(), tables[1].rows()], tables[0].dim());
        if self.tensors != expected {
            return Err(bad(self.path, format!("it holds {:?}, must be {expected:?}", self.tensors)));
        }
        let mut bytes = vec![0; tables[0].dim() * size_of::<f32>()];
        for table in tables {
            for rank in 0..table.rows() {
                self.file.read_exact(&mut bytes).map_err(Error::io(self.path, "read"))?;
                for (value, bytes) in table.row_mut(rank).iter_mut().zip(bytes.as_chunks().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
        }
        Ok(())
    }
}
