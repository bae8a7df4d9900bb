//! Changing the sample rate: windowed sinc interpolation equal to torchaudio's, and rubato's for higher demands.

use std::f64::consts::PI;

use pulp::{Arch, Simd, WithSimd};
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::frames::check_finite;
use crate::io::Audio;
use crate::real::Real;
use crate::window::bessel_i0;
use crate::{Error, Result};

/// The numbers of a filter bank may be so many; ratios of two large rates without a common factor need more.
const MOST_TAPS: usize = 1 << 25;

/// What the sinc is windowed by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SincWindow {
    /// A squared cosine (`sinc_interp_hann`).
    Hann,
    /// Kaiser's (`sinc_interp_kaiser`).
    Kaiser {
        /// Its shape; torchaudio's default is 14.769656459379492.
        beta: f64,
    },
}

/// The filter of a [`Resampler`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SincConfig {
    /// Zero crossings of the sinc on each side: more make the filter sharper and slower.
    pub lowpass_filter_width: usize,
    /// Where the filter cuts off, as a share of half the lower of the two rates.
    pub rolloff: f64,
    /// The window.
    pub window: SincWindow,
}

impl Default for SincConfig {
    /// torchaudio's: width 6, rolloff 0.99, Hann.
    fn default() -> Self {
        Self { lowpass_filter_width: 6, rolloff: 0.99, window: SincWindow::Hann }
    }
}

/// A planned change of rate: `torchaudio.functional.resample` of 2.x.
///
/// Each output sample is a sum of the input samples around it. Rates are first divided by their common factor; the
/// weights repeat after as many outputs as the new rate then is, and only those within the window are kept.
///
/// ```
/// use sensorium_audio::resample::{Resampler, SincConfig};
///
/// let tone: Vec<f32> = (0..44100).map(|i| (i as f32 * 0.05).sin()).collect();
/// let resampler = Resampler::new(44100, 16000, SincConfig::default())?;
/// assert_eq!(resampler.run(&tone)?.len(), 16000);
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
pub struct Resampler<T> {
    /// Rates without their common factor.
    from: usize,
    to: usize,
    phases: Vec<Phase<T>>,
}

/// The weights of every `to`-th output sample.
struct Phase<T> {
    /// The first input sample, seen from the one that the outputs' period begins with.
    first: isize,
    taps: Vec<T>,
}

impl<T: Real> Resampler<T> {
    /// Plans the change from rate `from` to rate `to`, in hertz.
    ///
    /// # Errors
    /// [`Error::Core`] if a rate is 0, the filter is out of range, or the two rates need too large a filter bank.
    pub fn new(from: u32, to: u32, config: SincConfig) -> Result<Self> {
        for (field, rate) in [("from", from), ("to", to)] {
            if rate == 0 {
                return Err(Error::config(field, rate, "must be at least 1 Hz"));
            }
        }
        let SincConfig { lowpass_filter_width: zeros, rolloff, window } = config;
        if !(1..=4096).contains(&zeros) {
            return Err(Error::config("lowpass_filter_width", zeros, "must be 1 to 4096"));
        }
        if !(rolloff > 0.0 && rolloff <= 1.0) {
            return Err(Error::config("rolloff", rolloff, "must be above 0 and at most 1"));
        }
        let common = greatest_common_divisor(from, to);
        let (from, to) = ((from / common) as usize, (to / common) as usize);
        if from == to {
            return Ok(Self { from, to, phases: Vec::new() });
        }
        let cutoff = from.min(to) as f64 * rolloff;
        let reach = zeros as f64 * from as f64 / cutoff;
        if 2.0 * reach * to as f64 > MOST_TAPS as f64 {
            let rule = format!(
                "needs {:.0} filter weights, more than {MOST_TAPS}: choose rates with a common factor",
                2.0 * reach * to as f64
            );
            return Err(Error::config("rates", format!("{from}:{to}"), rule));
        }
        let phase = |number: usize| {
            let center = number as f64 * from as f64 / to as f64;
            let (first, last) = ((center - reach).ceil() as isize, (center + reach).floor() as isize);
            let weight = |at: isize| {
                T::of(
                    sinc_weight((at as f64 - center) / from as f64 * cutoff, zeros as f64, window) * cutoff
                        / from as f64,
                )
            };
            Phase { first, taps: (first..=last).map(weight).collect() }
        };
        Ok(Self { from, to, phases: (0..to).map(phase).collect() })
    }

    /// Samples that come of so many.
    pub fn length(&self, samples: usize) -> usize {
        (samples as u128 * self.to as u128).div_ceil(self.from as u128) as usize
    }

    /// The signal at the new rate.
    ///
    /// # Errors
    /// [`Error::Signal`] if a sample is not finite.
    pub fn run(&self, samples: &[T]) -> Result<Vec<T>> {
        check_finite(samples)?;
        if self.phases.is_empty() {
            return Ok(samples.to_vec());
        }
        let before = self.phases.iter().map(|phase| -phase.first).max().unwrap_or(0).max(0) as usize;
        let longest = self.phases.iter().map(|phase| phase.taps.len()).max().unwrap_or(0);
        let mut padded = vec![T::of(0.0); before + samples.len() + self.from + longest + before];
        padded[before..before + samples.len()].copy_from_slice(samples);
        let mut out = vec![T::of(0.0); self.length(samples.len())];
        Arch::new().dispatch(Filter { resampler: self, padded: &padded, before, out: &mut out });
        Ok(out)
    }
}

/// The windowed sinc at a place counted in its zero crossings.
fn sinc_weight(place: f64, zeros: f64, window: SincWindow) -> f64 {
    let place = place.clamp(-zeros, zeros);
    let window = match window {
        SincWindow::Hann => (place * PI / zeros / 2.0).cos().powi(2),
        SincWindow::Kaiser { beta } => {
            bessel_i0(beta * (1.0 - (place / zeros).powi(2)).max(0.0).sqrt()) / bessel_i0(beta)
        }
    };
    let angle = place * PI;
    window * if angle == 0.0 { 1.0 } else { angle.sin() / angle }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

struct Filter<'a, T> {
    resampler: &'a Resampler<T>,
    padded: &'a [T],
    before: usize,
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Filter<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { resampler: Resampler { from, to, phases }, padded, before, out } = self;
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        for (period, out) in out.chunks_mut(*to).enumerate() {
            for (out, Phase { first, taps }) in out.iter_mut().zip(phases) {
                let begin = (before + period * from).strict_add_signed(*first);
                let samples = &padded[begin..begin + taps.len()];
                let whole = taps.len() / lanes * lanes;
                let mut sums = T::splat(simd, T::of(0.0));
                for at in (0..whole).step_by(lanes) {
                    let x: T::Vector<S> = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&samples[at..at + lanes]));
                    let w: T::Vector<S> = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&taps[at..at + lanes]));
                    sums = T::times_plus(simd, x, w, sums);
                }
                let mut sum = T::of(0.0);
                for lane in bytemuck::cast_slice::<T::Vector<S>, T>(std::slice::from_ref(&sums)) {
                    sum = sum + *lane;
                }
                for at in whole..taps.len() {
                    sum = sum + samples[at] * taps[at];
                }
                *out = sum;
            }
        }
    }
}

/// All channels at another rate, by [`Resampler`] with torchaudio's filter.
///
/// # Errors
/// As [`Resampler::new`].
pub fn resample(audio: &Audio, sample_rate: u32) -> Result<Audio> {
    let resampler = Resampler::new(audio.sample_rate(), sample_rate, SincConfig::default())?;
    let channels: Result<Vec<_>> = audio.channels().iter().map(|channel| resampler.run(channel)).collect();
    Audio::new(channels?, sample_rate)
}

/// All channels at another rate by rubato's FFT filter, whose stop band is far deeper: for sound that is to be heard, where
/// [`resample`] is for models that were trained on torchaudio's. Beginning and length are the same.
///
/// # Errors
/// [`Error::Core`] if the rate is 0 or rubato refuses the ratio.
pub fn resample_high_quality(audio: &Audio, sample_rate: u32) -> Result<Audio> {
    if sample_rate == 0 {
        return Err(Error::config("to", sample_rate, "must be at least 1 Hz"));
    }
    if sample_rate == audio.sample_rate() {
        return Ok(audio.clone());
    }
    let refused = |fault: String| Error::config("rates", format!("{}:{sample_rate}", audio.sample_rate()), fault);
    let (from, to, count) = (audio.sample_rate() as usize, sample_rate as usize, audio.channels().len());
    // An even number of periods of both rates, so that the filter's delay is a whole number of samples.
    let common = greatest_common_divisor(audio.sample_rate(), sample_rate) as usize;
    let chunk = (1024 * common / from.max(1)).max(1) * 2 * from / common;
    if chunk.max(chunk / from * to) > 1 << 22 {
        return Err(refused("have too small a common factor for this filter".to_string()));
    }
    let mut resampler = Fft::<f32>::new(from, to, chunk, count, FixedSync::Both).map_err(|e| refused(e.to_string()))?;
    let input =
        SequentialSliceOfVecs::new(audio.channels(), count, audio.frames()).map_err(|e| refused(e.to_string()))?;
    let out = resampler.process_all(&input, audio.frames(), None).map_err(|e| refused(e.to_string()))?.take_data();
    let channel = |number: usize| out.iter().skip(number).step_by(count).copied().collect();
    Audio::new((0..count).map(channel).collect(), sample_rate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tone(rate: u32, hertz: f64, seconds: f64) -> Vec<f32> {
        (0..(f64::from(rate) * seconds) as usize)
            .map(|i| (2.0 * PI * hertz * i as f64 / f64::from(rate)).sin() as f32)
            .collect()
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_loudness() {
        for (from, to) in [(44_100, 16_000), (16_000, 44_100), (8_000, 48_000), (22_050, 16_000)] {
            let audio = Audio::from_mono(tone(from, 440.0, 0.5), from).unwrap();
            for got in [resample(&audio, to).unwrap(), resample_high_quality(&audio, to).unwrap()] {
                let want = tone(to, 440.0, 0.5);
                assert_eq!(got.frames(), want.len().max(got.frames().min(want.len() + 1)), "{from} to {to}");
                let middle = want.len() / 4..3 * want.len() / 4;
                let off = middle.map(|i| (got.channels()[0][i] - want[i]).abs()).fold(0.0, f32::max);
                assert!(off < 5e-3, "{from} to {to}: off by {off}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let fault = |from, to, config| Resampler::<f32>::new(from, to, config).map(|_| ()).unwrap_err().to_string();
        assert!(fault(0, 16_000, SincConfig::default()).starts_with("from = 0"));
        assert!(fault(16_000, 0, SincConfig::default()).starts_with("to = 0"));
        assert!(fault(4_294_967_291, 4_294_967_279, SincConfig::default()).contains("common factor"));
        assert!(fault(2, 1, SincConfig { rolloff: f64::NAN, ..SincConfig::default() }).starts_with("rolloff"));
        let same = Resampler::new(7, 7, SincConfig::default()).unwrap();
        assert_eq!(same.run(&[1.0, 2.0]).unwrap(), [1.0, 2.0]);
        assert!(same.run(&[f32::NAN]).is_err());
    }

    proptest! {
        #[test]
        fn any_rates_and_lengths_do(from in 1u32..400, to in 1u32..400, length in 0usize..300) {
            let resampler = Resampler::<f64>::new(from, to, SincConfig::default()).unwrap();
            let got = resampler.run(&vec![1.0; length]).unwrap();
            prop_assert_eq!(got.len(), (length * to as usize).div_ceil(from as usize));
            prop_assert!(got.iter().all(|x| x.abs() < 1.5));
        }
    }
}
