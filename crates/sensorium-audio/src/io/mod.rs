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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn signals() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audio/signals")
    }

    /// Every kind of file there is, by its bytes.
    fn samples() -> Vec<Vec<u8>> {
        let listing = std::fs::read_dir(signals()).expect("the folder of signals");
        let mut paths: Vec<PathBuf> = listing.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        let tiny =
            paths.iter().filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("tiny")));
        tiny.map(|path| std::fs::read(path).expect("a file")).collect()
    }

    fn fault_of(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        std::fs::write(&path, bytes).unwrap();
        let fault = read(&path).unwrap_err().to_string();
        assert!(fault.contains("x.wav"), "{fault}");
        fault
    }

    /// A mono file of 16-bit samples with some bytes of its 'fmt ' chunk or lengths changed.
    fn wav(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes =
            b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data".to_vec();
        bytes.extend_from_slice(&8u32.to_le_bytes());
        bytes.extend_from_slice(&[0, 64, 0, 192, 1, 0, 255, 127]);
        change(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_wrong_is_said() {
        let put = |at: usize, new: &[u8]| wav(|bytes| bytes[at..at + new.len()].copy_from_slice(new));
        for (bytes, words) in [
            (Vec::new(), "it is empty"),
            (b"\x89PNG\r\n\x1a\n0000".to_vec(), "\\x89PNG"),
            (wav(|b| b.truncate(20)), "ends within its 'fmt '"),
            (wav(|b| b.truncate(48)), "its header promises 4 samples a channel, 2 are there"),
            (put(40, &[255, 255, 255, 127]), "its header promises 1073741823 samples"),
            (wav(|b| b.truncate(36)), "ends without a 'data' chunk"),
            (put(24, &[0; 4]), "its sample rate is 0 Hz"),
            (put(22, &[0, 0]), "it has 0 channels"),
            (put(20, &[2, 0]), "its samples are in format 2"),
            (put(32, &[3, 0]), "its frames have 3 bytes"),
            (put(34, &[64, 0]), "samples of 64 bits in format 1"),
            (put(40, &[7, 0, 0, 0]), "no whole number of frames"),
            (
                wav(|b| {
                    b.truncate(44);
                    b[40..44].fill(0)
                }),
                "it has no samples",
            ),
            (put(0, b"RF64"), "RF64"),
            (b"ID3\x04".to_vec(), "MP3"),
        ] {
            let fault = fault_of(&bytes);
            assert!(fault.contains(words), "{fault}, where {words} was expected");
        }
        let missing = read("no-such-file.wav").unwrap_err().to_string();
        assert!(missing.contains("no-such-file.wav"), "{missing}");
        assert!(read(signals()).unwrap_err().to_string().contains("it is a folder"));
    }

    #[test]
    fn numbers_that_are_none_are_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        let audio = Audio::new(vec![vec![0.5, -0.5], vec![0.25, 1.0]], 8000).unwrap();
        write_wav(&path, &audio, SampleFormat::F32).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(fault_of(&bytes).contains("sample 1 of channel 1 is NaN"), "{}", fault_of(&bytes));
        assert!(Audio::new(vec![vec![0.0], vec![]], 1).is_err());
        assert!(Audio::from_mono(vec![f32::INFINITY], 1).is_err());
        assert!(Audio::from_mono(vec![0.0], 0).is_err());
    }

    #[test]
    fn lengths_that_a_stream_left_open_are_read_to_the_end() {
        for open in [0u32, u32::MAX] {
            let bytes = wav(|b| b[40..44].copy_from_slice(&open.to_le_bytes()));
            assert_eq!(wav::parse(&bytes).unwrap().frames(), 4, "{open}");
        }
        // An odd chunk without its padding byte.
        let listed = wav(|b| drop(b.splice(36..36, *b"LIST\x03\0\0\0abc")));
        assert_eq!(wav::parse(&listed).unwrap().frames(), 4);
    }

    #[test]
    fn what_is_written_is_read_by_hound_and_by_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        let wave: Vec<f32> = (0..500).map(|i| (i as f32 * 0.1).sin() * 1.1).collect();
        let audio = Audio::new(vec![wave.clone(), wave.iter().map(|x| -x).collect()], 44_100).unwrap();
        for (format, step) in [
            (SampleFormat::I16, 1.0 / 32_768.0),
            (SampleFormat::I24, 1.0 / 8_388_608.0),
            (SampleFormat::I32, 2e-7),
            (SampleFormat::F32, 0.0),
        ] {
            let clipped = write_wav(&path, &audio, format).unwrap();
            let back = read(&path).unwrap();
            assert_eq!((back.frames(), back.sample_rate(), back.channels().len()), (500, 44_100, 2));
            let (low, high): (f32, f32) = if step == 0.0 { (-2.0, 2.0) } else { (-1.0, 1.0 - step) };
            for (got, want) in back.channels()[0].iter().zip(&wave) {
                assert!((got - want.clamp(low, high)).abs() <= step, "{format:?}: {got} for {want}");
            }
            assert_eq!(clipped > 0, format != SampleFormat::F32);
            let hounds = hound::WavReader::open(&path).unwrap();
            assert_eq!(hounds.duration() as usize, 500);
        }
        assert_eq!(info(&path).unwrap().encoding, "32-bit floats");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn damaged_files_are_errors_or_sound(which in 0usize..64, cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), head in any::<bool>()) {
            let all = samples();
            let mut bytes = all[which % all.len()].clone();
            let reach = if head { bytes.len().min(80) } else { bytes.len() };
            for (at, byte) in flips {
                bytes[at.index(reach)] = byte;
            }
            bytes.truncate(bytes.len().min(cut.index(2 * bytes.len()) + 1));
            if let Ok(audio) = wav::parse(&bytes) {
                prop_assert!(audio.frames() * audio.channels().len() <= bytes.len());
            }
        }

        #[test]
        fn any_bytes_are_errors_or_sound(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
            file.extend_from_slice(&bytes);
            let _ = wav::parse(&file);
        }
    }

    #[cfg(feature = "symphonia")]
    #[test]
    fn damaged_compressed_files_are_errors() {
        for start in [&b"fLaC\0\0\0\x22"[..], b"OggS\0\x02", b"ID3\x04\0\0\0\0\0\x05hello", b"\xff\xfb\x90\x00"] {
            for length in [0, 40, 4000] {
                let mut bytes = start.to_vec();
                bytes.extend((0..length).map(|i| (i * 37 % 251) as u8));
                assert!(compressed::decode(bytes).is_err());
            }
        }
    }
}
