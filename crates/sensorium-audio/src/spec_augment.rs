//! SpecAugment (Park et al. 2019, "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition"):
//! spectrograms warped in time, with stripes of time and frequency blotted out, so that a model learns not to rely on any.

use rand::{Rng, RngExt};

use crate::front_end::Features;
use crate::real::Real;
use crate::{Error, Result};

/// How features are disturbed. The letters are those of the paper's table 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpecAugment {
    /// W: a moment is moved by at most so many frames, what is before and after it being stretched; 0 for none.
    pub time_warp: usize,
    /// F: the most rows of one stripe of frequencies.
    pub frequency_width: usize,
    /// mF: stripes of frequencies.
    pub frequency_masks: usize,
    /// T: the most frames of one stripe of time.
    pub time_width: usize,
    /// p: the largest part of all frames that one stripe of time may cover, 0 to 1.
    pub time_part: f64,
    /// mT: stripes of time.
    pub time_masks: usize,
}

impl SpecAugment {
    /// LB, LibriSpeech basic.
    pub fn librispeech_basic() -> Self {
        Self { time_warp: 80, frequency_width: 27, frequency_masks: 1, time_width: 100, time_part: 1.0, time_masks: 1 }
    }

    /// LD, LibriSpeech double.
    pub fn librispeech_double() -> Self {
        Self { frequency_masks: 2, time_masks: 2, ..Self::librispeech_basic() }
    }

    /// SM, Switchboard mild.
    pub fn switchboard_mild() -> Self {
        Self { time_warp: 40, frequency_width: 15, frequency_masks: 2, time_width: 70, time_part: 0.2, time_masks: 2 }
    }

    /// SS, Switchboard strong.
    pub fn switchboard_strong() -> Self {
        Self { frequency_width: 27, ..Self::switchboard_mild() }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Core`] if `time_part` is not 0 to 1.
    pub fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.time_part) {
            return Err(Error::config("time_part", self.time_part, "must be 0 to 1"));
        }
        Ok(())
    }

    /// Disturbs features `[rows, frames]`. The stripes get the features' mean.
    ///
    /// ```
    /// use rand::SeedableRng;
    /// use sensorium_audio::front_end::Features;
    /// use sensorium_audio::spec_augment::SpecAugment;
    ///
    /// let mut features = Features { values: vec![1.0f32; 80 * 200], rows: 80, frames: 200 };
    /// features.values[0] = 80.0 * 200.0 + 1.0;
    /// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    /// SpecAugment::librispeech_double().apply(&mut features, &mut rng)?;
    /// assert!(features.values.contains(&2.0));
    /// # Ok::<(), sensorium_audio::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    ///
    /// # Panics
    /// If `features` has not `rows` times `frames` numbers.
    pub fn apply<T: Real>(&self, features: &mut Features<T>, rng: &mut impl Rng) -> Result<()> {
        self.validate()?;
        let Features { values, rows, frames } = features;
        let (rows, frames) = (*rows, *frames);
        assert_eq!(values.len(), rows * frames, "{rows} rows of {frames} frames");
        if values.is_empty() {
            return Ok(());
        }
        let mean = T::of(values.iter().map(|x| x.wide()).sum::<f64>() / values.len() as f64);
        // A moment at least W from both ends is moved by less than W.
        if self.time_warp > 0 && frames > 2 * self.time_warp {
            let from = rng.random_range(self.time_warp..frames - self.time_warp);
            let to = rng.random_range(from + 1 - self.time_warp..from + self.time_warp);
            values.chunks_exact_mut(frames).for_each(|row| warp(row, from, to));
        }
        for _ in 0..self.frequency_masks {
            let stripe = stripe(self.frequency_width, rows, rng);
            values[stripe.start * frames..stripe.end * frames].fill(mean);
        }
        let most = self.time_width.min((self.time_part * frames as f64) as usize);
        for _ in 0..self.time_masks {
            let stripe = stripe(most, frames, rng);
            values.chunks_exact_mut(frames).for_each(|row| row[stripe.clone()].fill(mean));
        }
        Ok(())
    }
}

/// A stretch of at most `most` of `all`.
fn stripe(most: usize, all: usize, rng: &mut impl Rng) -> std::ops::Range<usize> {
    let width = rng.random_range(0..=most.min(all));
    let begin = rng.random_range(0..=all - width);
    begin..begin + width
}

/// Stretches a row so that what was at `from` is at `to`, and the ends stay, with numbers in between on straight lines.
fn warp<T: Real>(row: &mut [T], from: usize, to: usize) {
    let last = row.len() - 1;
    let source = row.to_vec();
    for (t, x) in row.iter_mut().enumerate() {
        let place = if t <= to {
            t as f64 * from as f64 / to.max(1) as f64
        } else {
            from as f64 + (t - to) as f64 * (last - from) as f64 / (last - to) as f64
        };
        let (before, part) = (place as usize, place.fract());
        let after = source[(before + 1).min(last)].wide();
        *x = T::of(source[before].wide() * (1.0 - part) + after * part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn ramp(rows: usize, frames: usize) -> Features<f64> {
        Features { values: (0..rows * frames).map(|i| (i % frames) as f64).collect(), rows, frames }
    }

    #[test]
    fn warping_moves_a_moment_and_keeps_the_ends() {
        let mut row: Vec<f64> = (0..10).map(f64::from).collect();
        warp(&mut row, 3, 6);
        assert_eq!((row[0], row[6], row[9]), (0.0, 3.0, 9.0));
        assert_eq!((row[2], row[7]), (1.0, 5.0));
        assert!(row.windows(2).all(|pair| pair[0] < pair[1]));
        let mut same: Vec<f64> = (0..10).map(f64::from).collect();
        warp(&mut same, 4, 4);
        assert_eq!(same, (0..10).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn stripes_are_as_wide_as_allowed_and_have_the_mean() {
        let settings = SpecAugment {
            time_warp: 0,
            frequency_width: 5,
            frequency_masks: 1,
            time_width: 30,
            time_part: 0.1,
            time_masks: 1,
        };
        let (mut widest_rows, mut widest_frames) = (0, 0);
        for seed in 0..200 {
            // The mean, 2, is none of the numbers.
            let mut features = Features { values: [1.0, 3.0].repeat(1000), rows: 20, frames: 100 };
            settings.apply(&mut features, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            let blotted = |i: usize| features.values[i] == 2.0;
            let rows = (0..20).filter(|row| (0..100).all(|t| blotted(row * 100 + t))).count();
            let frames = (0..100).filter(|t| (0..20).all(|row| blotted(row * 100 + t))).count();
            let inside = (0..2000).filter(|i| blotted(*i)).count();
            assert_eq!(inside, rows * 100 + frames * 20 - rows * frames);
            (widest_rows, widest_frames) = (widest_rows.max(rows), widest_frames.max(frames));
        }
        assert_eq!((widest_rows, widest_frames), (5, 10));
    }

    #[test]
    fn a_seed_gives_one_result() {
        let of = |seed| {
            let mut features = ramp(40, 300);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            SpecAugment::switchboard_strong().apply(&mut features, &mut rng).unwrap();
            features
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let fault = SpecAugment { time_part: 2.0, ..SpecAugment::librispeech_basic() };
        assert!(fault.validate().unwrap_err().to_string().starts_with("time_part = 2"));
    }

    proptest! {
        #[test]
        fn every_size_is_taken(rows in 0usize..12, frames in 0usize..40, warp in 0usize..20, seed in 0u64..1000) {
            let settings = SpecAugment { time_warp: warp, ..SpecAugment::librispeech_double() };
            let mut features = ramp(rows, frames.max(1));
            settings.apply(&mut features, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            prop_assert!(features.values.iter().all(|x| (0.0..=frames as f64).contains(x)));
        }
    }
}
