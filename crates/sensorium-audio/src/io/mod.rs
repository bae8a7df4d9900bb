//! Sound files: WAV of every common kind, and with the feature `symphonia` FLAC, Ogg Vorbis and MP3.
//!
//! A file is known by its content, whatever its name. No length in a file is believed before the bytes are there.

#[cfg(feature = "symphonia")]
mod compressed;
mod wav;

use std::path::Path;

use rayon::prelude::*;
use sensorium_core::Error as CoreError;
use serde::Serialize;

use crate::{Error, Result};
pub use wav::{SampleFormat, write_wav};

/// Sound: the samples of each channel, mostly within ±1, and how many there are a second.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    channels: Vec<Vec<f32>>,
    sample_rate: u32,
}

impl Audio {
    /// Sound of one or more channels of the same length.
    ///
    /// # Errors
    /// [`Error::Signal`] if there is no channel or no sample, lengths differ, or a sample is not finite;
    /// [`Error::Core`] if the rate is 0.
    pub fn new(channels: Vec<Vec<f32>>, sample_rate: u32) -> Result<Self> {
        if sample_rate == 0 {
            return Err(Error::config("sample_rate", 0, "must be at least 1 Hz"));
        }
        let frames = channels.first().map_or(0, Vec::len);
        if frames == 0 {
            return Err(Error::signal("no samples"));
        }
        for (number, channel) in channels.iter().enumerate() {
            if channel.len() != frames {
                let has = channel.len();
                return Err(Error::signal(format!("channel {number} has {has} samples, channel 0 has {frames}")));
            }
            if let Some(at) = channel.iter().position(|x| !x.is_finite()) {
                let value = channel[at];
                return Err(Error::signal(format!("sample {at} of channel {number} is {value}, must be finite")));
            }
        }
        Ok(Self { channels, sample_rate })
    }

    /// Sound of one channel.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_mono(samples: Vec<f32>, sample_rate: u32) -> Result<Self> {
        Self::new(vec![samples], sample_rate)
    }

    /// The channels, each `[frames]`.
    pub fn channels(&self) -> &[Vec<f32>] {
        &self.channels
    }

    /// Samples a second, of each channel.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Samples of each channel.
    pub fn frames(&self) -> usize {
        self.channels[0].len()
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.frames() as f64 / f64::from(self.sample_rate)
    }

    /// The mean of the channels, `[frames]`.
    pub fn mono(&self) -> Vec<f32> {
        if let [only] = self.channels.as_slice() {
            return only.clone();
        }
        let count = self.channels.len() as f32;
        let mean = |frame: usize| self.channels.iter().map(|channel| channel[frame]).sum::<f32>() / count;
        (0..self.frames()).into_par_iter().map(mean).collect()
    }
}

/// What a sound file says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// The container: `WAV`, `FLAC`, `Ogg` or `MP3`.
    pub format: String,
    /// How samples are stored.
    pub encoding: String,
    /// Channels.
    pub channels: usize,
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples of each channel.
    pub frames: u64,
    /// Its length.
    pub seconds: f64,
}

/// Reads a sound file. Integers are divided by their range, so that samples are within ±1.
///
/// # Errors
/// [`Error::Core`] if the file cannot be read, is no sound, is cut off, or breaks a rule of its format; its message names
/// the file, the rule and the value. [`Error::NotBuilt`] if this build lacks the decoder.
///
/// ```
/// use sensorium_audio::io::{self, Audio, SampleFormat};
///
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("tone.wav");
/// let tone = (0..800).map(|i| (i as f32 * 0.3).sin() * 0.5).collect();
/// io::write_wav(&path, &Audio::from_mono(tone, 8000)?, SampleFormat::I16)?;
///
/// let audio = io::read(&path)?;
/// assert_eq!((audio.frames(), audio.sample_rate()), (800, 8000));
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
pub fn read(path: impl AsRef<Path>) -> Result<Audio> {
    let path = path.as_ref();
    let bytes = read_file(path)?;
    match Format::of(&bytes) {
        Some(Format::Wav) => wav::parse(&bytes).map_err(|reason| Error::format(path, wav::FORMAT, reason)),
        Some(other) => other.decode(path, bytes),
        None => Err(unknown(path, &bytes)),
    }
}

/// What a sound file says of itself. Of a compressed file the sound is decoded to count its samples.
///
/// # Errors
/// As [`read`].
pub fn info(path: impl AsRef<Path>) -> Result<Info> {
    let path = path.as_ref();
    let bytes = read_file(path)?;
    let format = Format::of(&bytes).ok_or_else(|| unknown(path, &bytes))?;
    let (encoding, channels, sample_rate, frames) = match format {
        Format::Wav => {
            let said = wav::header(&bytes).map_err(|reason| Error::format(path, wav::FORMAT, reason))?;
            (said.encoding().to_string(), said.channels, said.sample_rate, said.frames())
        }
        other => {
            let audio = other.decode(path, bytes)?;
            (other.name().to_string(), audio.channels().len(), audio.sample_rate(), audio.frames())
        }
    };
    let seconds = frames as f64 / f64::from(sample_rate);
    let format = format.container().to_string();
    Ok(Info { format, encoding, channels, sample_rate, frames: frames as u64, seconds })
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let fail = || CoreError::io(path, "read");
    if std::fs::metadata(path).map_err(fail())?.is_dir() {
        return Err(fail()(std::io::Error::other("it is a folder")).into());
    }
    Ok(std::fs::read(path).map_err(fail())?)
}

fn unknown(path: &Path, bytes: &[u8]) -> Error {
    let start: String = bytes.iter().take(8).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
    let reason = match bytes.is_empty() {
        true => "it is empty".to_string(),
        false => format!("it begins with \"{start}\", as no WAV, FLAC, Ogg or MP3 does"),
    };
    Error::format(path, "sound file", reason)
}

/// The kinds of file that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Wav,
    Flac,
    Ogg,
    Mp3,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'R', b'I', b'F', b'F', ..] | [b'R', b'F', b'6', b'4', ..] => Some(Self::Wav),
            [b'f', b'L', b'a', b'C', ..] => Some(Self::Flac),
            [b'O', b'g', b'g', b'S', ..] => Some(Self::Ogg),
            [b'I', b'D', b'3', ..] => Some(Self::Mp3),
            // The sync word of a frame of MPEG audio, layer III.
            [0xff, second, ..] if second & 0xe6 == 0xe2 => Some(Self::Mp3),
            _ => None,
        }
    }

    fn container(self) -> &'static str {
        match self {
            Self::Wav => "WAV",
            Self::Flac => "FLAC",
            Self::Ogg => "Ogg",
            Self::Mp3 => "MP3",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Wav => wav::FORMAT,
            Self::Flac => "FLAC",
            Self::Ogg => "Ogg Vorbis",
            Self::Mp3 => "MP3",
        }
    }

    #[cfg(feature = "symphonia")]
    fn decode(self, path: &Path, bytes: Vec<u8>) -> Result<Audio> {
        compressed::decode(bytes).map_err(|reason| Error::format(path, self.name(), reason))
    }

    #[cfg(not(feature = "symphonia"))]
    fn decode(self, path: &Path, _bytes: Vec<u8>) -> Result<Audio> {
        Err(Error::NotBuilt { path: path.to_path_buf(), format: self.name() })
    }
}
