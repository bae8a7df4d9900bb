//! Units of speech: clusters of log-mel frames, found without text.

use std::path::Path;

use burn::tensor::TensorData;
use rayon::prelude::*;
use sensorium_audio::Pad;
use sensorium_audio::front_end::{Compression, Features, FrontEnd, FrontEndConfig, Placement, Preset};
use sensorium_audio::griffin_lim::GriffinLim;
use sensorium_audio::inversion::Inversion;
use sensorium_audio::mel::MelConfig;
use sensorium_core::Error as CoreError;
use sensorium_core::files::write_atomic;
use sensorium_core::weights::{self, TensorMap, write_safetensors};
use serde::{Deserialize, Serialize};

use super::k_means;
use crate::Result;

/// Samples a second of every sound here.
pub const SAMPLE_RATE: u32 = 16_000;
/// Samples of a frame: 64 ms.
pub const N_FFT: usize = 1024;
/// Samples from a frame to the next: 16 ms.
pub const HOP_LENGTH: usize = 256;
/// Mel bands, on Slaney's scale from 0 to 8 kHz.
pub const N_MELS: usize = 80;
/// What is further below a sound's loudest band, in nepers of power, counts as silence: 43 dB.
const SILENCE: f32 = -10.0;
/// The power that the front end takes for none.
const FLOOR: f64 = 1e-10;
/// The highest sample of a sound made from units.
const PEAK: f32 = 0.9;

const ABOUT: &str = "units.json";
const TENSORS: &str = "units.safetensors";
const FORMAT: &str = "speech units";

/// A unit and the number of frames that it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The unit.
    pub unit: u32,
    /// Its frames, of [`HOP_LENGTH`] samples each.
    pub frames: usize,
}

/// An inventory of units, which turns sound into runs of units and back.
///
/// A frame is 80 log-mel bands (64 ms, every 16 ms, at 16 kHz), measured from the loudest band of its sound, so that a
/// recording's gain does not matter. A unit is a centre of such frames, found by k-means. Back, each unit is its centre
/// for as long as it lasts, the mel bands become a spectrogram by least squares and that a sound by Griffin-Lim, whose
/// highest sample is 0.9.
///
/// ```
/// use sensorium_captioning::speak::Units;
///
/// let tone = |pitch: f32| (0..8000).map(move |i| (i as f32 * pitch).sin() / 2.0);
/// let sound: Vec<f32> = tone(0.1).chain(tone(0.7)).collect();
/// let units = Units::learn(&[sound.clone()], 4, 0)?;
///
/// let runs = units.encode(&sound)?;
/// assert_eq!(runs.iter().map(|run| run.frames).sum::<usize>(), 63);
/// let heard = units.decode(&runs)?;
/// assert_eq!(heard.len(), 62 * 256);
/// # Ok::<(), sensorium_captioning::Error>(())
/// ```
pub struct Units {
    /// `[units, N_MELS]`
    centres: Vec<f32>,
    /// The mean number of frames of each unit's runs.
    durations: Vec<f32>,
    /// The most runs of a sound that the units were learned from.
    longest: usize,
    front: FrontEnd,
    back: Inversion,
}

impl std::fmt::Debug for Units {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Units").field("durations", &self.durations).finish_non_exhaustive()
    }
}

/// `units.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct About {
    format: String,
    version: u32,
    sample_rate: u32,
    n_fft: usize,
    hop_length: usize,
    n_mels: usize,
    silence: f32,
    longest: usize,
}

impl About {
    fn of(longest: usize) -> Self {
        Self {
            format: FORMAT.to_string(),
            version: 1,
            sample_rate: SAMPLE_RATE,
            n_fft: N_FFT,
            hop_length: HOP_LENGTH,
            n_mels: N_MELS,
            silence: SILENCE,
            longest,
        }
    }
}

/// The settings of the frames.
pub(super) fn front_end() -> FrontEndConfig {
    FrontEndConfig {
        sample_rate: SAMPLE_RATE,
        n_fft: N_FFT,
        win_length: N_FFT,
        hop_length: HOP_LENGTH,
        placement: Placement::Centered(Pad::Zeros),
        mel: MelConfig::new(N_MELS),
        compression: Compression::Ln { floor: FLOOR },
        ..Preset::Librosa.config()
    }
}

impl Units {
    /// Finds `count` units in sounds at [`SAMPLE_RATE`], and how long each lasts on average.
    ///
    /// # Errors
    /// If `count` is not 2 to 4096, fewer frames than that differ, or a sound is silent, empty or not finite.
    pub fn learn<S: AsRef<[f32]> + Sync>(sounds: &[S], count: usize, seed: u64) -> Result<Self> {
        if !(2..=4096).contains(&count) {
            return Err(CoreError::config("units", count, "must be 2 to 4096").into());
        }
        let front = FrontEnd::new(front_end())?;
        let frames: Vec<Vec<f32>> =
            sounds.par_iter().map(|sound| levels(&front, sound.as_ref())).collect::<Result<_>>()?;
        let Some(centres) = k_means::centres(&frames.concat(), N_MELS, count, seed) else {
            let rule = "is more than the sounds have different frames; ask for fewer units or give more sounds";
            return Err(CoreError::config("units", count, rule).into());
        };
        let encoded: Vec<Vec<Run>> = frames.iter().map(|frames| collapse(frames, &centres)).collect();
        let longest = encoded.iter().map(Vec::len).fold(2, usize::max);
        let (mut total, mut runs) = (vec![0usize; count], vec![0usize; count]);
        for run in encoded.iter().flatten() {
            total[run.unit as usize] += run.frames;
            runs[run.unit as usize] += 1;
        }
        let durations = total.iter().zip(&runs).map(|(total, runs)| *total as f32 / (*runs).max(1) as f32);
        let durations = durations.map(|mean| mean.max(1.0)).collect();
        Self::new(centres, durations, longest)
    }

    fn new(centres: Vec<f32>, durations: Vec<f32>, longest: usize) -> Result<Self> {
        Ok(Self { centres, durations, longest, front: FrontEnd::new(front_end())?, back: Inversion::new(front_end())? })
    }

    /// The number of units.
    pub fn len(&self) -> usize {
        self.durations.len()
    }

    /// Never: there are at least two units.
    pub fn is_empty(&self) -> bool {
        self.durations.is_empty()
    }

    /// The most runs of a sound that the units were learned from, at least 2.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// A sound at [`SAMPLE_RATE`] as runs of units; none is that of the one before.
    ///
    /// # Errors
    /// If the sound is silent, empty or not finite.
    pub fn encode(&self, sound: &[f32]) -> Result<Vec<Run>> {
        Ok(collapse(&levels(&self.front, sound)?, &self.centres))
    }

    /// Units with the mean duration that each had in the sounds they were learned from, in whole frames.
    ///
    /// # Panics
    /// If there is no such unit.
    pub fn timed(&self, units: &[u32]) -> Vec<Run> {
        let frames = |unit: u32| self.durations[unit as usize].round().max(1.0) as usize;
        units.iter().map(|unit| Run { unit: *unit, frames: frames(*unit) }).collect()
    }

    /// The sound of runs of units, one frame less than they last long.
    ///
    /// # Errors
    /// If the runs last fewer than 2 frames or more than a minute.
    ///
    /// # Panics
    /// If there is no such unit.
    pub fn decode(&self, runs: &[Run]) -> Result<Vec<f32>> {
        let minute = 60 * SAMPLE_RATE as usize / HOP_LENGTH;
        let frames = runs.iter().fold(0usize, |sum, run| sum.saturating_add(run.frames));
        if !(2..=minute).contains(&frames) {
            return Err(CoreError::config("frames", frames, format!("must be 2 to {minute}, at most a minute")).into());
        }
        let of_run = |run: &Run| std::iter::repeat_n(run.unit as usize, run.frames);
        let units: Vec<usize> = runs.iter().flat_map(of_run).collect();
        let band = |band: usize| units.iter().map(move |unit| self.centres[unit * N_MELS + band]);
        let mel = Features { values: (0..N_MELS).flat_map(band).collect(), rows: N_MELS, frames };
        let spectrogram = self.back.spectrogram(&mel)?;
        let mut sound = self.back.sound(&spectrogram, GriffinLim::default())?;
        let peak = sound.iter().fold(f32::MIN_POSITIVE, |peak, x| peak.max(x.abs()));
        sound.iter_mut().for_each(|x| *x *= PEAK / peak);
        Ok(sound)
    }

    /// Writes the units into a folder: `units.json` and `units.safetensors`.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(CoreError::io(folder, "create"))?;
        let mut tensors = TensorMap::new(TENSORS);
        tensors.insert("centres", TensorData::new(self.centres.clone(), [self.len(), N_MELS]));
        tensors.insert("durations", TensorData::new(self.durations.clone(), [self.len()]));
        write_safetensors(folder.join(TENSORS), &tensors)?;
        let about = serde_json::to_vec_pretty(&About::of(self.longest)).expect("plain numbers and names");
        Ok(write_atomic(folder.join(ABOUT), &about)?)
    }

    /// Reads the units that were saved in a folder.
    ///
    /// # Errors
    /// If a file is missing or damaged, is of other frames than this version makes, or the tensors are not as many
    /// finite numbers as units have, with durations of at least 1.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self> {
        let (about, path) = (folder.as_ref().join(ABOUT), folder.as_ref().join(TENSORS));
        let text = std::fs::read(&about).map_err(CoreError::io(&about, "read"))?;
        let read: About =
            serde_json::from_slice(&text).map_err(|e| CoreError::format(&about, FORMAT, e.to_string()))?;
        let known = About::of(read.longest);
        if read != known {
            let rule = format!("it says {read:?}; this version reads {known:?}");
            return Err(CoreError::format(&about, FORMAT, rule).into());
        }
        let tensors = weights::read(&path)?;
        let (centres, durations) = (tensors.f32s("centres")?, tensors.f32s("durations")?);
        let count = durations.len();
        let bad = |reason: String| CoreError::format(&path, FORMAT, reason).into();
        if !(2..=4096).contains(&count) || Some(centres.len()) != count.checked_mul(N_MELS) {
            let has = centres.len();
            return Err(bad(format!("centres has {has} numbers and durations {count}; must be {N_MELS} a unit and 1")));
        }
        if let Some(at) = centres.iter().position(|x| !x.is_finite()) {
            return Err(bad(format!("centres: number {at} is {}, must be finite", centres[at])));
        }
        if let Some(at) = durations.iter().position(|x| !(1.0..=1e4).contains(x)) {
            return Err(bad(format!("durations: number {at} is {}, must be 1 to 10000 frames", durations[at])));
        }
        if !(2..=10_000).contains(&read.longest) {
            let rule = format!("longest is {}, must be 2 to 10000 runs of units", read.longest);
            return Err(CoreError::format(&about, FORMAT, rule).into());
        }
        Self::new(centres, durations, read.longest)
    }
}

/// The frames of a sound, `[frames, N_MELS]`: nepers below its loudest band, silence at [`SILENCE`].
fn levels(front: &FrontEnd, sound: &[f32]) -> Result<Vec<f32>> {
    let mut levels = front.mel(sound)?.transposed();
    let loudest = levels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if loudest.is_nan() || loudest <= FLOOR.ln() as f32 + 1.0 {
        let reason = "it is silent; give a sound with something to hear".to_string();
        return Err(sensorium_audio::Error::Signal { reason }.into());
    }
    levels.iter_mut().for_each(|level| *level = (*level - loudest).max(SILENCE));
    Ok(levels)
}

/// The nearest centres of frames, equal neighbours as one run.
fn collapse(frames: &[f32], centres: &[f32]) -> Vec<Run> {
    let mut runs: Vec<Run> = vec![];
    for frame in frames.chunks_exact(N_MELS) {
        let unit = k_means::nearest_of(frame, centres) as u32;
        match runs.last_mut() {
            Some(last) if last.unit == unit => last.frames += 1,
            _ => runs.push(Run { unit, frames: 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::super::error_rate::UnitErrors;
    use super::*;

    /// Tones of a few pitches, one after the other.
    fn melody(pitches: &[f32]) -> Vec<f32> {
        let samples = pitches.iter().flat_map(|pitch| std::iter::repeat_n(*pitch, 3200)).enumerate();
        let tone = |i: usize, pitch: f32| {
            let phase = i as f32 * pitch * std::f32::consts::TAU / SAMPLE_RATE as f32;
            (phase.sin() + (3.0 * phase).sin() / 3.0) / 3.0
        };
        samples.map(|(i, pitch)| tone(i, pitch)).collect()
    }

    fn sounds() -> Vec<Vec<f32>> {
        vec![melody(&[300.0, 500.0, 900.0]), melody(&[900.0, 300.0, 1500.0]), melody(&[500.0, 1500.0, 300.0])]
    }

    #[test]
    fn units_come_back_from_the_sound_made_of_them() {
        let units = Units::learn(&sounds(), 4, 0).unwrap();
        for sound in sounds() {
            let runs = units.encode(&sound).unwrap();
            assert!((3..=8).contains(&runs.len()), "{runs:?}");
            assert!(runs.windows(2).all(|pair| pair[0].unit != pair[1].unit), "{runs:?}");
            let heard = units.decode(&runs).unwrap();
            let frames: usize = runs.iter().map(|run| run.frames).sum();
            assert_eq!(heard.len(), (frames - 1) * HOP_LENGTH);
            let again = units.encode(&heard).unwrap();
            let of = |runs: &[Run]| runs.iter().map(|run| run.unit).collect::<Vec<_>>();
            let errors = UnitErrors::between(&of(&runs), &of(&again));
            assert!(errors.rate() <= 0.34, "{runs:?}\n{again:?}");
        }
    }

    #[test]
    fn a_recordings_gain_does_not_matter() {
        let units = Units::learn(&sounds(), 6, 1).unwrap();
        let quiet: Vec<f32> = sounds()[1].iter().map(|x| x / 8.0).collect();
        assert_eq!(units.encode(&quiet).unwrap(), units.encode(&sounds()[1]).unwrap());
    }

    #[test]
    fn a_folder_gives_back_what_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let units = Units::learn(&sounds(), 5, 2).unwrap();
        units.save(folder.path()).unwrap();
        let read = Units::load(folder.path()).unwrap();
        assert_eq!((&read.centres, &read.durations), (&units.centres, &units.durations));
        let most = sounds().iter().map(|sound| units.encode(sound).unwrap().len()).max().unwrap();
        assert_eq!((units.longest(), read.longest()), (most, most));

        let fault = || Units::load(folder.path()).unwrap_err().to_string();
        let write = |centres: usize, durations: Vec<f32>| {
            let mut tensors = TensorMap::new("test");
            let count = durations.len();
            tensors.insert("centres", TensorData::new(vec![0.0f32; centres], [centres]));
            tensors.insert("durations", TensorData::new(durations, [count]));
            write_safetensors(folder.path().join(TENSORS), &tensors).unwrap();
        };
        write(3, vec![1.0; 2]);
        assert!(fault().contains("centres has 3 numbers and durations 2"), "{}", fault());
        write(160, vec![1.0, 0.5]);
        assert!(fault().contains("durations: number 1 is 0.5"), "{}", fault());
        let about = std::fs::read_to_string(folder.path().join(ABOUT)).unwrap();
        let longest = format!("\"longest\": {most}");
        assert!(about.contains(&longest), "{about}");
        units.save(folder.path()).unwrap();
        std::fs::write(folder.path().join(ABOUT), about.replace(&longest, "\"longest\": 0")).unwrap();
        assert!(fault().contains("longest is 0"), "{}", fault());
        std::fs::write(folder.path().join(ABOUT), about.replace("256", "200")).unwrap();
        assert!(fault().contains("hop_length: 200"), "{}", fault());
    }

    #[test]
    fn what_cannot_be_units_is_refused() {
        let fault = |sound: Vec<f32>, count| Units::learn(&[sound], count, 0).unwrap_err().to_string();
        assert!(fault(melody(&[300.0]), 1).contains("units = 1: must be 2 to 4096"));
        assert!(fault(melody(&[300.0]), 4000).contains("units = 4000: is more than the sounds"));
        assert!(fault(vec![0.0; 4000], 2).contains("silent"));
        let units = Units::learn(&sounds(), 3, 0).unwrap();
        assert!(units.encode(&[]).is_err());
        assert!(units.encode(&[f32::NAN; 4000]).is_err());
        assert!(units.decode(&[]).unwrap_err().to_string().contains("frames = 0"));
        assert!(units.decode(&[Run { unit: 0, frames: usize::MAX }]).is_err());
    }
}
