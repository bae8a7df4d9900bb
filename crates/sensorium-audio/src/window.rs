//! Window functions.

use std::f64::consts::PI;

use crate::{Error, Result};

/// The shape of a window. Its values are those of SciPy's `get_window` (Povey's those of Kaldi).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Window {
    /// ½ − ½ cos
    Hann,
    /// 0.54 − 0.46 cos
    Hamming,
    /// 0.42 − 0.5 cos + 0.08 cos of the double
    Blackman,
    /// The symmetric Hann window to the power of 0.85 (Kaldi).
    Povey,
    /// Kaiser's, by a ratio of modified Bessel functions: the larger `beta`, the lower its side lobes and the wider the
    /// main one.
    Kaiser {
        /// 0 (rectangular) or more.
        beta: f64,
    },
    /// Ones.
    Rectangular,
}

/// Where a window's period ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symmetry {
    /// One sample past its end, so that shifted copies add up evenly: for spectra (`fftbins=True` in SciPy).
    #[default]
    Periodic,
    /// With its last sample, which equals the first: for filters, and in Kaldi.
    Symmetric,
}

impl Window {
    /// The window of `length` samples.
    ///
    /// ```
    /// use sensorium_audio::window::{Symmetry, Window};
    ///
    /// let window = Window::Hann.samples(4, Symmetry::Periodic);
    /// assert_eq!((window[0], window[2]), (0.0, 1.0));
    /// ```
    pub fn samples(self, length: usize, symmetry: Symmetry) -> Vec<f64> {
        let period = match symmetry {
            Symmetry::Periodic => length,
            Symmetry::Symmetric => length.saturating_sub(1),
        };
        if length == 1 || period == 0 {
            return vec![1.0; length];
        }
        (0..length).map(|i| self.at(i as f64 / period as f64)).collect()
    }

    /// The value at a part of the period, 0 to 1.
    fn at(self, part: f64) -> f64 {
        let cos = |times: f64| (2.0 * PI * times * part).cos();
        match self {
            Self::Hann => 0.5 - 0.5 * cos(1.0),
            Self::Hamming => 0.54 - 0.46 * cos(1.0),
            Self::Blackman => 0.42 - 0.5 * cos(1.0) + 0.08 * cos(2.0),
            Self::Povey => (0.5 - 0.5 * cos(1.0)).powf(0.85),
            Self::Kaiser { beta } => {
                let offset = 2.0 * part - 1.0;
                bessel_i0(beta * (1.0 - offset * offset).max(0.0).sqrt()) / bessel_i0(beta)
            }
            Self::Rectangular => 1.0,
        }
    }

    pub(crate) fn validate(self) -> Result<()> {
        match self {
            Self::Kaiser { beta } if !(0.0..=700.0).contains(&beta) => {
                Err(Error::config("window.beta", beta, "must be 0 to 700"))
            }
            _ => Ok(()),
        }
    }
}

/// The modified Bessel function of the first kind and order 0, by its power series.
pub(crate) fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < 1e-12, "{got:?}, must be {want:?}");
        }
    }

    #[test]
    fn windows_are_those_of_scipy() {
        // scipy.signal.get_window(name, 5, fftbins=...)
        let (periodic, symmetric) = (Symmetry::Periodic, Symmetry::Symmetric);
        close(&Window::Hann.samples(5, symmetric), &[0.0, 0.5, 1.0, 0.5, 0.0]);
        close(&Window::Hamming.samples(4, periodic), &[0.08, 0.54, 1.0, 0.54]);
        close(&Window::Blackman.samples(4, periodic), &[0.0, 0.34, 1.0, 0.34]);
        let (rim, side) = (0.002_338_830_512_733_327, 0.368_972_722_615_833_14);
        close(&Window::Kaiser { beta: 8.0 }.samples(5, symmetric), &[rim, side, 1.0, side, rim]);
        close(&Window::Povey.samples(3, symmetric), &[0.0, 1.0, 0.0]);
        close(&Window::Hann.samples(1, periodic), &[1.0]);
        assert!(Window::Hann.samples(0, symmetric).is_empty());
    }

    #[test]
    fn bessel_is_that_of_the_tables() {
        for (x, want) in [(0.0, 1.0), (1.0, 1.266_065_877_752_008_4), (10.0, 2_815.716_628_466_254)] {
            assert!((bessel_i0(x) / want - 1.0).abs() < 1e-14);
        }
    }
}
