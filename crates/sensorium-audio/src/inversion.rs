//! From cepstra back to mel bands, from mel bands back to a spectrogram, and from there to sound.
//!
//! Much was left out on the way, so that each step looks for one answer among many: the bands give the spectrogram that
//! fits them best among those without negative numbers (librosa's `mel_to_stft`), and [`GriffinLim`] the phases.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::decibel::{Decibel, Reference};
use crate::front_end::{Compression, Exponent, Features, FrontEndConfig, Placement};
use crate::griffin_lim::GriffinLim;
use crate::mel::MelBank;
use crate::real::Real;
use crate::stft::{Stft, StftConfig};
use crate::{Error, Pad, Result};

/// The way back through a front end.
///
/// ```
/// use sensorium_audio::front_end::{FrontEnd, Preset};
/// use sensorium_audio::griffin_lim::GriffinLim;
/// use sensorium_audio::inversion::Inversion;
///
/// let tone: Vec<f32> = (0..8000).map(|i| (i as f32 * 0.17).sin() / 2.0).collect();
/// let config = Preset::Whisper.config();
/// let log_mel = FrontEnd::new(config)?.mel(&tone)?;
///
/// let back = Inversion::new(config)?;
/// let power = back.spectrogram(&log_mel)?;
/// assert_eq!((power.rows, power.frames), (201, 50));
/// let heard = back.sound(&power, GriffinLim::default())?;
/// assert_eq!(heard.len(), 8000);
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Inversion {
    config: FrontEndConfig,
    bands: LeastSquares,
}

impl Inversion {
    /// The way back through a front end of these settings.
    ///
    /// # Errors
    /// As [`FrontEndConfig::validate`].
    pub fn new(config: FrontEndConfig) -> Result<Self> {
        config.validate()?;
        let bank = config.mel.bank(config.sample_rate.into(), config.n_fft)?;
        Ok(Self { config, bands: LeastSquares::new(&bank) })
    }

    /// The settings.
    pub fn config(&self) -> &FrontEndConfig {
        &self.config
    }

    /// Compressed mel bands `[n_mels, frames]` of cepstra `[n_mfcc, frames]`, the shortest among those that have them
    /// (librosa's `mfcc_to_mel`, before it leaves decibels).
    ///
    /// # Errors
    /// [`Error::Signal`] if `mfcc` has other rows or a number that is not finite, or the frames' energy is in the place of the
    /// first coefficient.
    pub fn mel<T: Real>(&self, mfcc: &Features<T>) -> Result<Features<T>> {
        let (n_mfcc, n_mels) = (self.config.mfcc.n_mfcc, self.config.mel.n_mels);
        check(mfcc, n_mfcc, "cepstra")?;
        if self.config.energy.is_some() {
            return Err(Error::signal("the first coefficient has been replaced by the energy, and cannot be undone"));
        }
        let matrix = self.config.mfcc.matrix(n_mels);
        let mut values = vec![T::of(0.0); n_mels * mfcc.frames];
        // The matrix' rows are at right angles.
        for (weights, coefficients) in matrix.chunks_exact(n_mels).zip(mfcc.values.chunks_exact(mfcc.frames)) {
            let square: f64 = weights.iter().map(|w| w * w).sum();
            for (weight, row) in weights.iter().zip(values.chunks_exact_mut(mfcc.frames)) {
                let weight = T::of(if square > 0.0 { weight / square } else { 0.0 });
                for (x, c) in row.iter_mut().zip(coefficients) {
                    *x = *x + weight * *c;
                }
            }
        }
        Ok(Features { values, rows: n_mels, frames: mfcc.frames })
    }

    /// Magnitudes or powers of all bins, `[bins, frames]`, whose mel bands are nearest to `mel`, `[mel_rows, frames]`. If
    /// bands are in decibels against the loudest, the loudest is taken to have had the power 1.
    ///
    /// # Errors
    /// [`Error::Signal`] if `mel` has other rows, or a number that is not finite or stands for no loudness.
    pub fn spectrogram<T: Real>(&self, mel: &Features<T>) -> Result<Features<T>> {
        check(mel, self.config.mel_rows(), "mel bands")?;
        let first = usize::from(self.config.energy.is_some_and(|energy| !energy.last));
        let bands = &mel.values[first * mel.frames..(first + self.config.mel.n_mels) * mel.frames];
        let bands: Vec<f64> = bands.iter().map(|level| self.loudness(level.wide())).collect();
        if let Some(at) = bands.iter().position(|x| !(x.is_finite() && *x >= 0.0)) {
            let value = mel.values[first * mel.frames + at].wide();
            return Err(Error::signal(format!("mel bands: number {at} is {value}, which stands for no loudness")));
        }
        let values = self.bands.solve(&bands, mel.frames).into_iter().map(T::of).collect();
        Ok(Features { values, rows: self.config.bins(), frames: mel.frames })
    }

    /// A band before its compression.
    fn loudness(&self, level: f64) -> f64 {
        match self.config.compression {
            Compression::None => level,
            Compression::Ln { .. } => level.exp(),
            Compression::Decibel(Decibel { amin, reference, .. }) => {
                let reference = if let Reference::Value(power) = reference { power.max(amin) } else { 1.0 };
                reference * 10f64.powf(level / 10.0)
            }
            Compression::Whisper => 10f64.powf(4.0 * level - 4.0),
        }
    }

    /// Sound of which `spectrogram`, `[bins, frames]`, is nearly the spectrogram, at the settings' sample rate.
    ///
    /// # Errors
    /// [`Error::Signal`] if there are other bins, or a number is negative or not finite; [`Error::Core`] if the momentum is
    /// out of range.
    pub fn sound<T: Real>(&self, spectrogram: &Features<T>, griffin_lim: GriffinLim) -> Result<Vec<T>> {
        let FrontEndConfig { n_fft, win_length, hop_length: hop, window, symmetry, preemphasis, .. } = self.config;
        check(spectrogram, self.config.bins(), "a spectrogram")?;
        let framing = self.config.framing();
        let frames = spectrogram.frames;
        // Frames are put where their middles are multiples of a hop. Those that did not reach beyond the signal have silent
        // ones around them, so that the signal's ends, too, are in several frames.
        let silent = match self.config.placement {
            Placement::Centered(_) => 0,
            _ => (framing.length / 2).div_ceil(hop),
        };
        let magnitude = |x: T| match self.config.exponent {
            Exponent::Magnitude => x,
            // A negative number stays one, to be refused.
            Exponent::Power => T::of(x.wide().abs().sqrt().copysign(x.wide())),
        };
        let around = vec![T::of(0.0); silent];
        let rows = spectrogram.values.chunks_exact(frames).flat_map(|row| {
            let inside = row.iter().map(|x| magnitude(*x));
            around.iter().copied().chain(inside).chain(around.iter().copied())
        });
        let begin = (silent * hop) as isize + framing.before - (framing.length / 2) as isize;
        let length = match self.config.placement {
            Placement::Snipped | Placement::FromStart => (frames - 1) * hop + framing.length,
            Placement::Mirrored => frames * hop,
            Placement::Centered(_) => (frames - usize::from(!self.config.drop_last)) * hop,
        };
        let begin = begin.max(0) as usize;
        let config = StftConfig { win_length, window, symmetry, pad: Pad::Zeros, ..StftConfig::new(n_fft, hop) };
        let all = griffin_lim.run(&Stft::new(config)?, &rows.collect::<Vec<T>>(), Some(begin + length.max(1)))?;
        let mut sound = all[begin..].to_vec();
        let (scale, part) = (T::of(1.0 / self.config.scale), T::of(preemphasis));
        let mut before = T::of(0.0);
        for x in &mut sound {
            before = *x * scale + part * before;
            *x = before;
        }
        Ok(sound)
    }
}

fn check<T: Real>(features: &Features<T>, rows: usize, what: &str) -> Result<()> {
    let Features { values, rows: has, frames } = features;
    if *has != rows || *frames == 0 || Some(values.len()) != has.checked_mul(*frames) {
        return Err(Error::signal(format!(
            "{what} of {has} rows, {frames} frames and {} numbers, must be of {rows} rows and at least one frame",
            values.len()
        )));
    }
    match values.iter().position(|x| !x.finite()) {
        Some(at) => Err(Error::signal(format!("{what}: number {at} is {}, must be finite", values[at].wide()))),
        None => Ok(()),
    }
}

/// Frames that are solved together.
const LANES: usize = 16;
/// Rounds at most.
const ROUNDS: usize = 500;
/// A round that lessens the sum of squares by a smaller part of what it was for zeros is the last.
const TOLERANCE: f64 = 1e-9;

/// The non-negative numbers whose mel bands are nearest to given ones, by least squares.
///
/// The shortest solution, its negative numbers set to zero, is the beginning. Then one bin after the other gets its best
/// number, given the others, until nothing changes. A bin is in two bands at most, so that a round is short.
#[derive(Debug, Clone)]
struct LeastSquares {
    n_mels: usize,
    /// For each bin the bands it is in, and how much.
    bins: Vec<Vec<(usize, f64)>>,
    /// The products of neighbouring bands, decomposed: `L D Lᵀ`, of which `L` has one diagonal below that of ones. Other
    /// bands have no bin in common.
    below: Vec<f64>,
    /// The inverse of `D`; 0 for a band that the one before determines, or without bins.
    inverse: Vec<f64>,
}

impl LeastSquares {
    fn new(bank: &MelBank) -> Self {
        let (n_mels, width) = (bank.n_mels(), bank.bins());
        let dense = bank.dense();
        let bands: Vec<&[f64]> = dense.chunks_exact(width).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let (mut below, mut inverse) = (vec![0.0; n_mels], vec![0.0; n_mels]);
        for band in 0..n_mels {
            let square = dot(bands[band], bands[band]);
            let mut left = square;
            if band > 0 {
                let product = dot(bands[band], bands[band - 1]);
                below[band] = product * inverse[band - 1];
                left -= product * below[band];
            }
            if left > 1e-10 * square {
                inverse[band] = 1.0 / left;
            }
        }
        let of_bin = |bin: usize| (0..n_mels).map(|band| (band, bands[band][bin])).filter(|(_, w)| *w > 0.0).collect();
        Self { n_mels, bins: (0..width).map(of_bin).collect(), below, inverse }
    }

    /// `[bins, frames]` of bands `[n_mels, frames]`.
    fn solve(&self, bands: &[f64], frames: usize) -> Vec<f64> {
        let starts: Vec<usize> = (0..frames).step_by(LANES).collect();
        let solve = |start: &usize| {
            let mut left = vec![[0.0; LANES]; self.n_mels];
            for (lanes, row) in left.iter_mut().zip(bands.chunks_exact(frames)) {
                for (lane, x) in lanes.iter_mut().zip(&row[*start..]) {
                    *lane = *x;
                }
            }
            Arch::new().dispatch(Solve { problem: self, left })
        };
        let solved: Vec<Vec<[f64; LANES]>> = starts.par_iter().map(solve).collect();
        let row = |bin: usize| solved.iter().flat_map(move |block| block[bin]).take(frames);
        (0..self.bins.len()).flat_map(row).collect()
    }
}

/// The work on a few frames; `left` is what is left of their bands.
struct Solve<'a> {
    problem: &'a LeastSquares,
    left: Vec<[f64; LANES]>,
}

impl WithSimd for Solve<'_> {
    type Output = Vec<[f64; LANES]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Self::Output {
        let Self { problem, mut left } = self;
        let LeastSquares { bins, .. } = problem;
        let mut least = [0.0; LANES];
        for band in &left {
            for (sum, x) in least.iter_mut().zip(band) {
                *sum += TOLERANCE * x * x;
            }
        }
        let factors = shortest(problem, &left);
        let mut values = vec![[0.0; LANES]; bins.len()];
        for (value, bands) in values.iter_mut().zip(bins) {
            for (band, weight) in bands {
                for (x, factor) in value.iter_mut().zip(&factors[*band]) {
                    *x += weight * factor;
                }
            }
            for x in value.iter_mut() {
                *x = x.max(0.0);
            }
            for (band, weight) in bands {
                for (rest, x) in left[*band].iter_mut().zip(value.iter()) {
                    *rest -= weight * x;
                }
            }
        }
        for _ in 0..ROUNDS {
            let mut gain = [0.0; LANES];
            for (value, bands) in values.iter_mut().zip(bins) {
                let mut square = 0.0;
                let mut step = [0.0; LANES];
                for (band, weight) in bands {
                    square += weight * weight;
                    for (slope, rest) in step.iter_mut().zip(&left[*band]) {
                        *slope += weight * rest;
                    }
                }
                if square == 0.0 {
                    continue;
                }
                let inverse = 1.0 / square;
                for ((step, x), gain) in step.iter_mut().zip(value).zip(&mut gain) {
                    let next = (*x + *step * inverse).max(0.0);
                    *step = next - *x;
                    *x = next;
                    *gain += square * *step * *step;
                }
                for (band, weight) in bands {
                    for (rest, step) in left[*band].iter_mut().zip(&step) {
                        *rest -= weight * step;
                    }
                }
            }
            let mut done = true;
            for (gain, least) in gain.iter().zip(&least) {
                done &= gain <= least;
            }
            if done {
                break;
            }
        }
        values
    }
}

/// The factors of bands whose sum is the shortest solution.
#[inline(always)]
fn shortest(problem: &LeastSquares, bands: &[[f64; LANES]]) -> Vec<[f64; LANES]> {
    let LeastSquares { n_mels, below, inverse, .. } = problem;
    let mut factors = bands.to_vec();
    for band in 1..*n_mels {
        let (before, after) = factors.split_at_mut(band);
        for (x, y) in after[0].iter_mut().zip(&before[band - 1]) {
            *x -= below[band] * y;
        }
    }
    for (factors, inverse) in factors.iter_mut().zip(inverse) {
        for x in factors {
            *x *= inverse;
        }
    }
    for band in (1..*n_mels).rev() {
        let (before, after) = factors.split_at_mut(band);
        // A band that counts for nothing stays so.
        let below = if inverse[band - 1] == 0.0 { 0.0 } else { below[band] };
        for (x, y) in before[band - 1].iter_mut().zip(&after[0]) {
            *x -= below * y;
        }
    }
    factors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front_end::{FrontEnd, Preset};
    use crate::mel::MelConfig;

    /// A hum with a vibrato and a hiss that comes and goes.
    fn hum(samples: usize, rate: f64) -> Vec<f64> {
        let mut state = 7u64;
        let mut hiss = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let at = |i: usize| i as f64 / rate;
        let voice = |t: f64| {
            let partial = |k: u32| (f64::from(k) * (900.0 * t + 3.0 * (30.0 * t).sin())).sin() / f64::from(k);
            0.2 * (1..12).map(partial).sum::<f64>()
        };
        (0..samples).map(|i| voice(at(i)) + 0.1 * hiss() * (9.0 * at(i)).sin().abs()).collect()
    }

    /// The root of the sum of the squared differences, as a part of that of `want`.
    fn off(got: &[f64], want: &[f64]) -> f64 {
        let square = |x: f64| x * x;
        let difference: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
        (difference / want.iter().map(|x| square(*x)).sum::<f64>()).sqrt()
    }

    #[test]
    fn bands_of_the_spectrogram_found_are_the_bands_given() {
        for (rate, n_fft, n_mels, tolerance) in
            [(22_050.0, 2048, 128, 1e-3), (16_000.0, 400, 80, 1e-2), (16_000.0, 512, 23, 1e-4)]
        {
            let bank = MelConfig::new(n_mels).bank(rate, n_fft).unwrap();
            let stft = Stft::<f64>::new(StftConfig::new(n_fft, n_fft / 4)).unwrap();
            let spectrum = stft.forward(&hum(30_000, rate)).unwrap();
            let (power, frames) = (spectrum.power(), spectrum.frames);
            let product = |power: &[f64]| crate::mfcc::product(&bank.dense(), power, [n_mels, n_fft / 2 + 1, frames]);
            let bands = product(&power);
            let found = LeastSquares::new(&bank).solve(&bands, frames);
            assert!(found.iter().all(|x| *x >= 0.0));
            let off = off(&product(&found), &bands);
            assert!(off < tolerance, "{n_mels} bands of {n_fft}: off by {off}");
        }
    }

    /// Where no answer fits, the slope of the sum of squares is zero in every bin above zero, and nowhere downwards.
    #[test]
    fn the_least_squares_are_the_least() {
        let bank = MelConfig::new(40).bank(16_000.0, 128).unwrap();
        let bands: Vec<f64> = (0..40).map(|band| f64::from((band * 37 + 5) % 11)).collect();
        let found = LeastSquares::new(&bank).solve(&bands, 1);
        let left: Vec<f64> = crate::mfcc::product(&bank.dense(), &found, [40, 65, 1]);
        let left: Vec<f64> = left.iter().zip(&bands).map(|(got, want)| got - want).collect();
        assert!(left.iter().any(|x| x.abs() > 0.5), "the bands contradict each other");
        for (bin, x) in found.iter().enumerate() {
            let column = bank.dense().into_iter().skip(bin).step_by(65).collect::<Vec<_>>();
            let square: f64 = column.iter().map(|w| w * w).sum();
            let slope: f64 = column.iter().zip(&left).map(|(w, r)| w * r).sum();
            let slope = if square > 0.0 { slope / square.sqrt() } else { 0.0 };
            assert!(if *x > 0.0 { slope.abs() < 2e-3 } else { slope > -2e-3 }, "bin {bin}: {x}, slope {slope}");
        }
    }

    #[test]
    fn every_preset_finds_its_way_back() {
        for preset in Preset::ALL {
            let config = preset.config();
            let samples = hum(20_000, f64::from(config.sample_rate));
            let front_end = FrontEnd::new(config).unwrap();
            let back = Inversion::new(config).unwrap();
            let mel = front_end.mel(&samples).unwrap();
            let sound = back.sound(&back.spectrogram(&mel).unwrap(), GriffinLim::default()).unwrap();
            let reach = config.hop_length.max(config.win_length);
            assert!(sound.len().abs_diff(samples.len()) <= reach, "{preset:?}: {} samples", sound.len());
            // What is heard has the bands again, nearly.
            let again = front_end.mel(&sound).unwrap();
            let frames = mel.frames.min(again.frames);
            let loud = |features: &Features<f64>| {
                let rows = features.values.chunks_exact(features.frames);
                rows.flat_map(|row| row[2..frames - 2].iter().map(|x| back.loudness(*x).sqrt())).collect::<Vec<f64>>()
            };
            let off = off(&loud(&again), &loud(&mel));
            assert!(off < 0.25, "{preset:?}: off by {off}");
        }
    }

    #[test]
    fn all_cepstra_give_the_bands_back() {
        let kaldi = Preset::Kaldi.config();
        let all = crate::mfcc::MfccConfig { n_mfcc: 23, ..kaldi.mfcc };
        let config = FrontEndConfig { mfcc: all, ..kaldi };
        let samples = hum(8000, 16_000.0);
        let front_end = FrontEnd::new(config).unwrap();
        let mel = front_end.mel(&samples).unwrap();
        let back = Inversion::new(config).unwrap().mel(&front_end.mfcc(&samples).unwrap()).unwrap();
        assert!(off(&back.values, &mel.values) < 1e-12);
    }

    #[test]
    fn faults_are_named() {
        let back = Inversion::new(Preset::Whisper.config()).unwrap();
        let features = |rows: usize, x: f32| Features { values: vec![x; rows * 2], rows, frames: 2 };
        let fault = |result: Result<Features<f32>>| result.unwrap_err().to_string();
        assert!(
            fault(back.spectrogram(&features(40, 0.0))).contains("of 40 rows, 2 frames and 80 numbers, must be of 80")
        );
        assert!(fault(back.spectrogram(&features(80, f32::NAN))).contains("number 0 is NaN"));
        assert!(fault(back.spectrogram(&features(80, 1e4))).contains("stands for no loudness"));
        assert!(fault(back.mel(&features(80, 0.0))).contains("must be of 20 rows"));
        let negative = back.sound(&features(201, -1.0), GriffinLim::default()).unwrap_err().to_string();
        assert!(negative.contains("must be 0 or more"), "{negative}");
        let plain = Inversion::new(Preset::Resemblyzer.config()).unwrap();
        assert!(fault(plain.spectrogram(&features(40, -1.0))).contains("number 0 is -1"));
    }
}
