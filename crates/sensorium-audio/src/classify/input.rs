//! What networks are given: a stretch of a recording, as mel bands or as a waveform.

use serde::{Deserialize, Serialize};

use crate::front_end::{FrontEnd, Preset};
use crate::io::{self, Audio};
use crate::resample::resample;
use crate::sound_net;
use crate::{Error, Result};

/// What a network is given of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputConfig {
    /// Whisper's 80 mel bands every 10 ms, against the loudest of the recording: 0 for it, −2 for silence.
    Mel,
    /// Samples at 22,050 Hz, within ±256.
    Wave,
}

impl InputConfig {
    /// Numbers at each moment.
    pub fn rows(self) -> usize {
        match self {
            Self::Mel => 80,
            Self::Wave => 1,
        }
    }

    /// The sample rate that recordings are brought to.
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Mel => 16_000,
            Self::Wave => sound_net::SAMPLE_RATE,
        }
    }

    /// Moments in so many seconds.
    pub(super) fn moments(self, seconds: f64) -> usize {
        let rate = match self {
            Self::Mel => 100.0,
            Self::Wave => f64::from(sound_net::SAMPLE_RATE),
        };
        ((seconds * rate).round() as usize).max(1)
    }

    fn silence(self) -> f32 {
        match self {
            Self::Mel => -2.0,
            Self::Wave => 0.0,
        }
    }

    /// The whole of a recording.
    pub(super) fn read(self, path: &std::path::Path) -> Result<Clip> {
        let audio = io::read(path)?;
        let mono = Audio::from_mono(audio.mono(), audio.sample_rate())?;
        let rate = self.sample_rate();
        let mono = if mono.sample_rate() == rate { mono } else { resample(&mono, rate)? };
        self.clip(mono.mono()).map_err(|fault| match fault {
            Error::Signal { reason } => Error::format(path, "recording", reason),
            other => other,
        })
    }

    /// The whole of a recording at [`sample_rate`](Self::sample_rate).
    pub(super) fn clip(self, mut samples: Vec<f32>) -> Result<Clip> {
        if samples.is_empty() {
            return Err(Error::signal("no samples"));
        }
        match self {
            Self::Wave => {
                samples.iter_mut().for_each(|x| *x *= sound_net::SCALE);
                Ok(Clip { input: self, moments: samples.len(), values: samples })
            }
            Self::Mel => {
                // One frame, at least.
                samples.resize(samples.len().max(400), 0.0);
                let mel = FrontEnd::new(Preset::Whisper.config())?.mel(&samples)?;
                let loudest = mel.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let values = mel.values.iter().map(|x| x - loudest).collect();
                Ok(Clip { input: self, moments: mel.frames, values })
            }
        }
    }
}

/// A recording as a network is given it.
#[derive(Debug, Clone)]
pub(super) struct Clip {
    input: InputConfig,
    pub(super) moments: usize,
    /// `[rows, moments]`
    values: Vec<f32>,
}

impl Clip {
    /// `width` moments from `begin` on, `[rows, width]`; beyond the recording there is silence.
    pub(super) fn window(&self, begin: isize, width: usize) -> Vec<f32> {
        let mut window = vec![self.input.silence(); self.input.rows() * width];
        let from = begin.clamp(0, self.moments as isize) as usize;
        let to = (begin + width as isize).clamp(0, self.moments as isize) as usize;
        if from < to {
            let at = (from as isize - begin) as usize;
            for (row, values) in window.chunks_exact_mut(width).zip(self.values.chunks_exact(self.moments)) {
                row[at..at + to - from].copy_from_slice(&values[from..to]);
            }
        }
        window
    }

    /// The middle `width` moments.
    pub(super) fn middle(&self, width: usize) -> Vec<f32> {
        self.window((self.moments as isize - width as isize).div_euclid(2), width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_filled_up_with_silence() {
        let clip = Clip { input: InputConfig::Wave, moments: 3, values: vec![1.0, 2.0, 3.0] };
        assert_eq!(clip.window(1, 2), [2.0, 3.0]);
        assert_eq!(clip.window(-1, 3), [0.0, 1.0, 2.0]);
        assert_eq!(clip.window(2, 3), [3.0, 0.0, 0.0]);
        assert_eq!(clip.window(9, 2), [0.0, 0.0]);
        assert_eq!(clip.middle(5), [0.0, 1.0, 2.0, 3.0, 0.0]);
        assert_eq!(clip.middle(1), [2.0]);
    }

    #[test]
    fn bands_do_not_depend_on_the_volume() {
        let tone: Vec<f32> = (0..8000).map(|i| (i as f32 * 0.2).sin() / 2.0).collect();
        let quiet: Vec<f32> = tone.iter().map(|x| x / 50.0).collect();
        let of = |samples| InputConfig::Mel.clip(samples).unwrap();
        let (loud, quiet) = (of(tone), of(quiet));
        assert_eq!(loud.moments, 50);
        assert!(loud.values.iter().zip(&quiet.values).all(|(a, b)| (a - b).abs() < 1e-3));
        assert!(loud.values.iter().all(|x| (-2.0..=0.0).contains(x)));
        assert!(InputConfig::Mel.clip(vec![]).is_err());
        assert_eq!(of(vec![0.1; 3]).moments, 2);
    }
}
