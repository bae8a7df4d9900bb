//! From magnitudes back to sound: Griffin and Lim (1984), made faster by momentum (Perraudin, Balazs and Søndergaard 2013),
//! as `librosa.griffinlim` of 0.11 does it.

use std::f64::consts::TAU;

use pulp::{Arch, Simd, WithSimd};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::real::Real;
use crate::stft::{Grouped, Spectrum, Stft};
use crate::{Error, Result};

/// How phases are looked for.
///
/// ```
/// use sensorium_audio::griffin_lim::GriffinLim;
/// use sensorium_audio::stft::{Stft, StftConfig};
///
/// let tone: Vec<f32> = (0..8000).map(|i| (i as f32 * 0.05).sin()).collect();
/// let stft = Stft::new(StftConfig::new(512, 128))?;
/// let magnitude = stft.forward(&tone)?.magnitude();
///
/// let heard = GriffinLim::default().run(&stft, &magnitude, Some(tone.len()))?;
/// assert_eq!(heard.len(), tone.len());
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GriffinLim {
    /// Rounds.
    pub iterations: usize,
    /// 0 for the method of 1984; at most 1.
    pub momentum: f64,
    /// What the first phases are drawn from.
    pub seed: u64,
}

impl Default for GriffinLim {
    /// 32 rounds, momentum 0.99, seed 0.
    fn default() -> Self {
        Self { iterations: 32, momentum: 0.99, seed: 0 }
    }
}

impl GriffinLim {
    /// A signal whose magnitudes are near `magnitude`, `[bins, frames]` row-major; of `length` samples, or as many as whole
    /// hops have.
    ///
    /// # Errors
    /// [`Error::Core`] if the momentum is negative or above 1; [`Error::Signal`] if `magnitude` is no whole number of frames
    /// or holds a number that is negative or not finite.
    pub fn run<T: Real>(&self, stft: &Stft<T>, magnitude: &[T], length: Option<usize>) -> Result<Vec<T>> {
        let bins = stft.config().bins();
        if magnitude.is_empty() || !magnitude.len().is_multiple_of(bins) {
            let has = magnitude.len();
            return Err(Error::signal(format!("{has} magnitudes, must be a whole number of frames of {bins} bins")));
        }
        if let Some(at) = magnitude.iter().position(|x| !x.finite() || *x < T::of(0.0)) {
            let value = magnitude[at].wide();
            return Err(Error::signal(format!("magnitude {at} is {value}, must be 0 or more and finite")));
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::config("momentum", self.momentum, "must be 0 to 1"));
        }
        let frames = magnitude.len() / bins;
        let length = length.unwrap_or_else(|| stft.whole_hops(frames));
        let weights = stft.weights(frames);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let turn = |magnitude: &T| {
            let (sin, cos) = (TAU * random.random::<f64>()).sin_cos();
            (*magnitude * T::of(cos), *magnitude * T::of(sin))
        };
        let (re, im) = magnitude.iter().map(turn).unzip();
        let first = Spectrum { re, im, bins, frames };
        let mut spectra = Grouped::of(&first, stft.lanes());
        let magnitude =
            Grouped::of(&Spectrum { re: magnitude.to_vec(), im: magnitude.to_vec(), ..first }, stft.lanes());
        let mut before: Option<Grouped<T>> = None;
        for _ in 0..self.iterations {
            let signal = stft.overlap_add(&spectra, &weights, length);
            let rebuilt = stft.grouped(&signal, frames);
            let old = before.as_ref().map_or(&[][..], |before| &before.values);
            let step = Step {
                spectra: &mut spectra.values,
                rebuilt: &rebuilt.values,
                before: old,
                magnitude: &magnitude.values,
                lanes: stft.lanes(),
                momentum: T::of(self.momentum / (1.0 + self.momentum)),
            };
            Arch::new().dispatch(step);
            before = Some(rebuilt);
        }
        Ok(stft.overlap_add(&spectra, &weights, length))
    }
}

/// Keeps the phases of `rebuilt − momentum · before` and puts the magnitudes back. All are in the order of [`Grouped`].
struct Step<'a, T> {
    spectra: &'a mut [T],
    rebuilt: &'a [T],
    before: &'a [T],
    magnitude: &'a [T],
    lanes: usize,
    momentum: T,
}

impl<T: Real> WithSimd for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { spectra, rebuilt, before, magnitude, lanes, momentum } = self;
        let load = |numbers: &[T]| -> T::Vector<S> { bytemuck::pod_read_unaligned(bytemuck::cast_slice(numbers)) };
        let (tiny, momentum) = (T::splat(simd, T::of(f64::from(f32::MIN_POSITIVE))), T::splat(simd, momentum));
        for at in (0..spectra.len()).step_by(2 * lanes) {
            let (real, imaginary) = (at..at + lanes, at + lanes..at + 2 * lanes);
            let (mut re, mut im) = (load(&rebuilt[real.clone()]), load(&rebuilt[imaginary.clone()]));
            if !before.is_empty() {
                re = T::minus_times(simd, load(&before[real.clone()]), momentum, re);
                im = T::minus_times(simd, load(&before[imaginary.clone()]), momentum, im);
            }
            let norm = T::square_root(simd, T::times_plus(simd, re, re, T::times(simd, im, im)));
            let scale = T::over(simd, load(&magnitude[real.clone()]), T::plus(simd, norm, tiny));
            let (re, im) = (T::times(simd, re, scale), T::times(simd, im, scale));
            spectra[real].copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&re)));
            spectra[imaginary].copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&im)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stft::StftConfig;

    #[test]
    fn magnitudes_are_met_and_a_seed_gives_one_signal() {
        let tone: Vec<f64> = (0..6000).map(|i| (i as f64 * 0.05).sin() + (i as f64 * 0.31).cos() / 2.0).collect();
        let stft = Stft::new(StftConfig::new(512, 128)).unwrap();
        let want = stft.forward(&tone).unwrap().magnitude();
        let of = |seed| GriffinLim { seed, ..GriffinLim::default() }.run(&stft, &want, Some(tone.len())).unwrap();
        let got = stft.forward(&of(1)).unwrap().magnitude();
        let square = |x: f64| x * x;
        let off: f64 = got.iter().zip(&want).map(|(a, b)| square(a - b)).sum();
        let all: f64 = want.iter().map(|x| square(*x)).sum();
        assert!((off / all).sqrt() < 0.1, "{}", (off / all).sqrt());
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn what_is_no_magnitude_is_refused() {
        let stft = Stft::<f32>::new(StftConfig::new(8, 2)).unwrap();
        let fault = |values: &[f32]| GriffinLim::default().run(&stft, values, None).unwrap_err().to_string();
        assert!(fault(&[1.0; 6]).contains("frames of 5 bins"));
        assert!(fault(&[]).contains("0 magnitudes"));
        assert!(fault(&[1.0, -1.0, 1.0, 1.0, 1.0]).contains("magnitude 1 is -1"));
        let momentum = GriffinLim { momentum: 2.0, ..GriffinLim::default() };
        assert!(momentum.run(&stft, &[1.0; 5], None).unwrap_err().to_string().starts_with("momentum = 2"));
    }
}
