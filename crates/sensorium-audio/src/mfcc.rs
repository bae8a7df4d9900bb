//! Cepstra: the discrete cosine transform of log mel bands, and how features change over time.

use std::f64::consts::PI;

use pulp::{Arch, Simd, WithSimd};

use crate::real::Real;
use crate::{Error, Result};

/// How the cosines are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DctNorm {
    /// The matrix is orthonormal (`norm="ortho"`).
    Ortho,
    /// Twice the sum of the products (SciPy's `norm=None`).
    None,
}

/// The first `count` rows of the DCT-II of `size` numbers, `[count, size]`, row-major.
pub fn dct_matrix(count: usize, size: usize, norm: DctNorm) -> Vec<f64> {
    let scale = |k: usize| match norm {
        DctNorm::None => 2.0,
        DctNorm::Ortho if k == 0 => (1.0 / size as f64).sqrt(),
        DctNorm::Ortho => (2.0 / size as f64).sqrt(),
    };
    let cosine = move |k: usize, i: usize| scale(k) * (PI / size as f64 * (i as f64 + 0.5) * k as f64).cos();
    (0..count).flat_map(|k| (0..size).map(move |i| cosine(k, i))).collect()
}

/// `matrix` `[rows, inner]` times `values` `[inner, columns]`, all row-major.
///
/// # Panics
/// If a length does not fit.
pub(crate) fn product<T: Real>(matrix: &[T], values: &[T], [rows, inner, columns]: [usize; 3]) -> Vec<T> {
    struct Product<'a, T> {
        matrix: &'a [T],
        values: &'a [T],
        sums: &'a mut [T],
        inner: usize,
        columns: usize,
    }
    impl<T: Real> WithSimd for Product<'_, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) {
            let Self { matrix, values, sums, inner, columns } = self;
            for (weights, sums) in matrix.chunks_exact(inner).zip(sums.chunks_exact_mut(columns)) {
                for (weight, row) in weights.iter().zip(values.chunks_exact(columns)) {
                    for (sum, x) in sums.iter_mut().zip(row) {
                        *sum = *sum + *weight * *x;
                    }
                }
            }
        }
    }
    assert_eq!([matrix.len(), values.len()], [rows * inner, inner * columns], "the lengths of a product's factors");
    let mut sums = vec![T::of(0.0); rows * columns];
    if columns > 0 {
        Arch::new().dispatch(Product { matrix, values, sums: &mut sums, inner, columns });
    }
    sums
}

/// How cepstra are made of log mel bands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MfccConfig {
    /// Coefficients kept, at most as many as there are bands.
    pub n_mfcc: usize,
    /// The cosines' scale.
    pub norm: DctNorm,
    /// Coefficient `n` is multiplied by `1 + lifter / 2 · sin(π · n / lifter)`; 0 for none.
    pub lifter: f64,
    /// The `n` of the first coefficient: 1 in librosa, 0 in Kaldi.
    pub lifter_from: usize,
}

impl MfccConfig {
    /// librosa's: orthonormal, without lifter.
    pub fn new(n_mfcc: usize) -> Self {
        Self { n_mfcc, norm: DctNorm::Ortho, lifter: 0.0, lifter_from: 1 }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Core`] if there are more coefficients than bands or none, or `lifter` is negative.
    pub fn validate(&self, n_mels: usize) -> Result<()> {
        if !(1..=n_mels).contains(&self.n_mfcc) {
            return Err(Error::config("n_mfcc", self.n_mfcc, format!("must be 1 to n_mels, {n_mels}")));
        }
        if !(self.lifter >= 0.0 && self.lifter.is_finite()) {
            return Err(Error::config("lifter", self.lifter, "must be 0 or more"));
        }
        Ok(())
    }

    /// The matrix `[n_mfcc, n_mels]` that log mel bands are multiplied by.
    pub fn matrix(&self, n_mels: usize) -> Vec<f64> {
        let mut matrix = dct_matrix(self.n_mfcc, n_mels, self.norm);
        for (k, row) in matrix.chunks_exact_mut(n_mels).enumerate() {
            let lift = self.lift(k);
            row.iter_mut().for_each(|x| *x *= lift);
        }
        matrix
    }

    fn lift(&self, k: usize) -> f64 {
        let n = (k + self.lifter_from) as f64;
        if self.lifter == 0.0 { 1.0 } else { 1.0 + self.lifter / 2.0 * (PI * n / self.lifter).sin() }
    }

    /// Cepstra `[n_mfcc, frames]` of log mel bands `[n_mels, frames]`.
    ///
    /// # Panics
    /// If `log_mel` is no whole number of frames.
    pub fn of<T: Real>(&self, log_mel: &[T], n_mels: usize) -> Vec<T> {
        assert!(log_mel.len().is_multiple_of(n_mels), "{} numbers of {n_mels} bands", log_mel.len());
        let matrix: Vec<T> = self.matrix(n_mels).into_iter().map(T::of).collect();
        product(&matrix, log_mel, [self.n_mfcc, n_mels, log_mel.len() / n_mels])
    }
}

/// The slope (order 1) or curvature (order 2) of features `[rows, frames]` over `width` frames: a parabola or line is laid
/// through each stretch by least squares (Savitzky and Golay 1964), and through the first and last stretch for the frames
/// at the ends. It is `librosa.feature.delta(mode="interp")`.
///
/// # Errors
/// [`Error::Core`] if `width` is even, below 3 or longer than there are frames, or `order` is neither 1 nor 2.
///
/// # Panics
/// If `features` is no whole number of frames.
pub fn delta<T: Real>(features: &[T], rows: usize, width: usize, order: usize) -> Result<Vec<T>> {
    assert!(rows > 0 && features.len().is_multiple_of(rows), "{} numbers of {rows} rows", features.len());
    let frames = features.len() / rows;
    if width < 3 || width.is_multiple_of(2) || width > frames {
        return Err(Error::config("width", width, format!("must be odd, at least 3 and at most {frames} frames")));
    }
    if !(1..=2).contains(&order) {
        return Err(Error::config("order", order, "must be 1 or 2"));
    }
    let half = width / 2;
    let row_of = |row: &[T]| {
        (0..frames)
            .map(|t| {
                let begin = t.saturating_sub(half).min(frames - width);
                T::of(derivative(row[begin..begin + width].iter().map(|x| x.wide()), half, order))
            })
            .collect::<Vec<T>>()
    };
    Ok(features.chunks_exact(frames).flat_map(row_of).collect())
}

/// The derivative of degree `order` of the polynomial of that degree through values at −half..=half; it is the same
/// everywhere.
fn derivative(values: impl Iterator<Item = f64>, half: usize, order: usize) -> f64 {
    let half = half as i64;
    let shape = |x: i64| if order == 1 { x as f64 } else { (x * x) as f64 };
    let mean = (-half..=half).map(shape).sum::<f64>() / (2 * half + 1) as f64;
    let (mut sum, mut spread) = (0.0, 0.0);
    for (x, y) in (-half..=half).zip(values) {
        sum += (shape(x) - mean) * y;
        spread += (shape(x) - mean).powi(2);
    }
    order as f64 * sum / spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orthonormal_transform_keeps_lengths() {
        let matrix = dct_matrix(8, 8, DctNorm::Ortho);
        for i in 0..8 {
            for j in 0..8 {
                let dot: f64 = (0..8).map(|k| matrix[i * 8 + k] * matrix[j * 8 + k]).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_line_has_one_slope_and_a_parabola_one_curvature() {
        let line: Vec<f64> = (0..12).map(|t| 3.0 * f64::from(t) - 1.0).collect();
        assert!(delta(&line, 1, 9, 1).unwrap().iter().all(|x| (x - 3.0).abs() < 1e-12));
        let parabola: Vec<f64> = (0..12).map(|t| 0.5 * f64::from(t * t)).collect();
        assert!(delta(&parabola, 1, 5, 2).unwrap().iter().all(|x| (x - 1.0).abs() < 1e-12));
        let error = delta(&line, 2, 9, 1).unwrap_err().to_string();
        assert!(error.contains("at most 6 frames"), "{error}");
    }
}
