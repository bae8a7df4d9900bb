//! WAV files.
//!
//! They are written by `hound`. Reading is our own: hound refuses headers that many programs write (lengths left open by
//! a stream, chunks without their padding byte, µ-law and A-law, 64-bit floats).

use std::io::Cursor;
use std::path::Path;

use sensorium_core::files::write_atomic;

use super::Audio;
use crate::{Error, Result};

pub(super) const FORMAT: &str = "WAV file";

type Parsed<T> = Result<T, String>;

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// Integers of so many bytes; of one byte unsigned.
    Integer(usize),
    Float32,
    Float64,
    ALaw,
    MuLaw,
}

impl Encoding {
    fn bytes(self) -> usize {
        match self {
            Self::Integer(bytes) => bytes,
            Self::Float32 => 4,
            Self::Float64 => 8,
            Self::ALaw | Self::MuLaw => 1,
        }
    }

    /// One sample, within ±1 for all but floats.
    fn decode(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::Integer(1), [byte]) => (f32::from(*byte) - 128.0) / 128.0,
            (Self::Integer(2), &[a, b]) => f32::from(i16::from_le_bytes([a, b])) / 32_768.0,
            (Self::Integer(3), &[a, b, c]) => (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0,
            (Self::Integer(_), &[a, b, c, d]) => (f64::from(i32::from_le_bytes([a, b, c, d])) / 2_147_483_648.0) as f32,
            (Self::Float32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::Float64, bytes) => f64::from_le_bytes(bytes.try_into().expect("eight bytes")) as f32,
            (Self::ALaw, [byte]) => f32::from(a_law(*byte)) / 32_768.0,
            (Self::MuLaw, [byte]) => f32::from(mu_law(*byte)) / 32_768.0,
            _ => unreachable!("as many bytes as the encoding has"),
        }
    }
}

/// ITU-T G.711, A-law to 16 bits.
fn a_law(byte: u8) -> i16 {
    let code = byte ^ 0x55;
    let (exponent, mantissa) = ((code >> 4) & 7, i16::from(code & 15));
    let level = if exponent == 0 { (mantissa << 4) + 8 } else { ((mantissa << 4) + 0x108) << (exponent - 1) };
    if code & 0x80 != 0 { level } else { -level }
}

/// ITU-T G.711, µ-law to 16 bits.
fn mu_law(byte: u8) -> i16 {
    let code = !byte;
    let (exponent, mantissa) = ((code >> 4) & 7, i16::from(code & 15));
    let level = (((mantissa << 3) + 0x84) << exponent) - 0x84;
    if code & 0x80 != 0 { -level } else { level }
}

/// What a file's head says, and where its samples are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header<'a> {
    pub(super) channels: usize,
    pub(super) sample_rate: u32,
    encoding: Encoding,
    samples: &'a [u8],
}

impl Header<'_> {
    pub(super) fn frames(&self) -> usize {
        self.samples.len() / (self.encoding.bytes() * self.channels)
    }

    pub(super) fn encoding(&self) -> &'static str {
        match self.encoding {
            Encoding::Integer(1) => "8-bit integers",
            Encoding::Integer(2) => "16-bit integers",
            Encoding::Integer(3) => "24-bit integers",
            Encoding::Integer(_) => "32-bit integers",
            Encoding::Float32 => "32-bit floats",
            Encoding::Float64 => "64-bit floats",
            Encoding::ALaw => "A-law",
            Encoding::MuLaw => "µ-law",
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Parsed<Audio> {
    let head = header(bytes)?;
    let (width, channels) = (head.encoding.bytes(), head.channels);
    let channel = |number: usize| {
        let frames = head.samples.chunks_exact(width * channels);
        frames.map(|frame| head.encoding.decode(&frame[number * width..][..width])).collect()
    };
    Audio::new((0..channels).map(channel).collect(), head.sample_rate).map_err(|fault| match fault {
        Error::Signal { reason } => reason,
        other => other.to_string(),
    })
}

/// Reads the chunks up to the samples.
pub(super) fn header(bytes: &[u8]) -> Parsed<Header<'_>> {
    match (bytes.get(..4), bytes.get(8..12)) {
        (Some(b"RF64"), _) => return Err("it is an RF64, which is not read: write it as WAV".to_string()),
        (Some(b"RIFF"), Some(b"WAVE")) => {}
        _ => return Err("its first twelve bytes are not those of a WAVE file".to_string()),
    }
    let (mut rest, mut format) = (&bytes[12..], None);
    while let Some((id, length, body)) = chunk(rest) {
        match id {
            b"fmt " => {
                let body = body.get(..length).ok_or("it ends within its 'fmt ' chunk")?;
                format = Some(Format::parse(body)?);
            }
            b"data" => {
                let format = format.ok_or("its 'data' chunk stands before the 'fmt ' one")?;
                return format.header(data(body, length, format.block)?);
            }
            _ => {}
        }
        // Chunks have an even length, but not every program writes the byte that makes it so.
        let padded = length + length % 2;
        let misses_padding = length % 2 == 1 && body.get(length..).is_some_and(begins_known_chunk);
        rest = body.get(if misses_padding { length } else { padded }..).unwrap_or_default();
    }
    let missing = if format.is_none() { "fmt " } else { "data" };
    Err(format!("it ends without a '{missing}' chunk"))
}

/// A chunk's name, its length as it says, and all that follows.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], usize, &[u8])> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (length, body) = rest.split_first_chunk()?;
    Some((id, u32::from_le_bytes(*length) as usize, body))
}

fn begins_known_chunk(bytes: &[u8]) -> bool {
    matches!(bytes.get(..4), Some(b"data" | b"fact" | b"LIST" | b"fmt " | b"PEAK" | b"cue " | b"smpl" | b"bext"))
}

/// The bytes of the samples. A program that writes to a pipe cannot come back to fill in the length, and leaves 0 or the
/// largest number: then the samples go to the end of the file.
fn data(body: &[u8], length: usize, block: usize) -> Parsed<&[u8]> {
    const OPEN: usize = 0xffff_f000;
    if length >= OPEN || (length == 0 && !begins_known_chunk(body)) {
        return Ok(&body[..body.len() / block * block]);
    }
    let Some(samples) = body.get(..length) else {
        let (promised, there) = (length / block, body.len() / block);
        return Err(format!("it is cut off: its header promises {promised} samples a channel, {there} are there"));
    };
    if !length.is_multiple_of(block) {
        return Err(format!("its {length} bytes of samples are no whole number of frames of {block} bytes"));
    }
    Ok(samples)
}

/// The 'fmt ' chunk.
#[derive(Debug, Clone, Copy)]
struct Format {
    channels: usize,
    sample_rate: u32,
    encoding: Encoding,
    /// Bytes of a frame.
    block: usize,
}

impl Format {
    fn parse(body: &[u8]) -> Parsed<Self> {
        const MOST_CHANNELS: usize = 1024;
        let u16_at = |at: usize| body.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let u32_at = |at: usize| body.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let (Some(tag), Some(channels), Some(sample_rate), Some(block), Some(bits)) =
            (u16_at(0), u16_at(2), u32_at(4), u16_at(12), u16_at(14))
        else {
            return Err(format!("its 'fmt ' chunk has {} bytes, must have at least 16", body.len()));
        };
        const EXTENSIBLE: u16 = 0xfffe;
        let tag = if tag == EXTENSIBLE { u16_at(24).ok_or("its extensible 'fmt ' chunk is too short")? } else { tag };
        let (channels, block) = (usize::from(channels), usize::from(block));
        if !(1..=MOST_CHANNELS).contains(&channels) {
            return Err(format!("it has {channels} channels, must have 1 to {MOST_CHANNELS}"));
        }
        if sample_rate == 0 {
            return Err("its sample rate is 0 Hz".to_string());
        }
        let encoding = match (tag, bits) {
            (1, 1..=32) => Encoding::Integer(usize::from(bits).div_ceil(8)),
            (3, 32) => Encoding::Float32,
            (3, 64) => Encoding::Float64,
            (6, 8) => Encoding::ALaw,
            (7, 8) => Encoding::MuLaw,
            (1 | 3 | 6 | 7, bits) => return Err(format!("samples of {bits} bits in format {tag} are not read")),
            (tag, _) => return Err(format!("its samples are in format {tag}; read are PCM, floats, A-law and µ-law")),
        };
        let due = channels * encoding.bytes();
        if block != due {
            return Err(format!("its frames have {block} bytes; {channels} channels of {bits} bits have {due}"));
        }
        Ok(Self { channels, sample_rate, encoding, block })
    }

    fn header(self, samples: &[u8]) -> Parsed<Header<'_>> {
        if samples.is_empty() {
            return Err("it has no samples".to_string());
        }
        Ok(Header { channels: self.channels, sample_rate: self.sample_rate, encoding: self.encoding, samples })
    }
}

/// How [`write_wav`] stores samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleFormat {
    /// 16-bit integers.
    I16,
    /// 24-bit integers.
    I24,
    /// 32-bit integers.
    I32,
    /// 32-bit floats.
    F32,
}

/// Writes a WAV file. Integers are rounded to the nearest; samples beyond ±1 are clipped, and their number is returned.
/// Floats are written as they are.
///
/// # Errors
/// [`Error::Core`] if the file cannot be written, or is larger than the format allows (4 GiB).
pub fn write_wav(path: impl AsRef<Path>, audio: &Audio, format: SampleFormat) -> Result<usize> {
    let path = path.as_ref();
    let (bits_per_sample, sample_format) = match format {
        SampleFormat::I16 => (16, hound::SampleFormat::Int),
        SampleFormat::I24 => (24, hound::SampleFormat::Int),
        SampleFormat::I32 => (32, hound::SampleFormat::Int),
        SampleFormat::F32 => (32, hound::SampleFormat::Float),
    };
    let refused = |fault: hound::Error| Error::format(path, FORMAT, format!("it cannot be written: {fault}"));
    let channels = u16::try_from(audio.channels().len())
        .map_err(|_| Error::config("channels", audio.channels().len(), "must be at most 65535"))?;
    let spec = hound::WavSpec { channels, sample_rate: audio.sample_rate(), bits_per_sample, sample_format };
    let (mut bytes, mut clipped) = (Cursor::new(Vec::new()), 0);
    let mut writer = hound::WavWriter::new(&mut bytes, spec).map_err(refused)?;
    let range = f64::from(bits_per_sample - 1).exp2();
    for frame in 0..audio.frames() {
        for channel in audio.channels() {
            let sample = channel[frame];
            if sample_format == hound::SampleFormat::Float {
                writer.write_sample(sample).map_err(refused)?;
                continue;
            }
            let level = (f64::from(sample) * range).round();
            let within = level.clamp(-range, range - 1.0);
            // 1 itself is one step above the largest integer, and no clipping to speak of.
            clipped += usize::from(sample.abs() > 1.0);
            writer.write_sample(within as i32).map_err(refused)?;
        }
    }
    writer.finalize().map_err(refused)?;
    write_atomic(path, bytes.get_ref())?;
    Ok(clipped)
}
