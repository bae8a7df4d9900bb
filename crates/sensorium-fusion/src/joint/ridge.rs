//! Kernel ridge regression from pictures to texts: the closed-form solver.
//!
//! `min Σ ‖f(x) − y‖² + λ ‖f‖²` has the solution `f(x) = k(x, X) (K + λ I)⁻¹ Y` (Saunders, Gammerman and Vovk 1998),
//! with one system of as many equations as there are training pictures, and no step size, epoch or seed to choose.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Llt};
use faer::prelude::*;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use sensorium_core::Error as CoreError;
use serde::{Deserialize, Serialize};

use super::features::Matrix;
use super::words::{gaussian, product};
use crate::Result;

/// The most training pictures: the system of equations takes 8 bytes for each pair of them.
pub const MAX_PICTURES: usize = 15_000;

/// How alike two pictures are, from their standardised features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// The inner product, scaled so that a training picture's own is 1 on average: plain linear ridge regression.
    Linear,
    /// `exp(gamma (cos − 1))`: a Gaussian kernel on directions.
    Gaussian {
        /// The sharpness; larger is more local.
        gamma: f32,
    },
}

/// A fitted regression.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelRidge {
    kernel: Kernel,
    /// The training pictures, each scaled as the kernel wants it.
    pictures: Matrix,
    /// What scales any picture, for [`Kernel::Linear`].
    scale: f32,
    /// `(K + λ I)⁻¹ Y`, a row for each training picture.
    weights: Matrix,
}

impl KernelRidge {
    /// Fits `targets` (a row for each picture) to the pictures' standardised `features`.
    ///
    /// # Errors
    /// If `lambda` is not positive or too small for the system to be solved, or there are more than [`MAX_PICTURES`].
    ///
    /// # Panics
    /// If the numbers of rows differ.
    pub fn fit(kernel: Kernel, lambda: f64, features: &Matrix, targets: &Matrix) -> Result<Self> {
        Ok(Self::factorised(kernel, lambda, features, targets)?.0)
    }

    /// As [`fit`](Self::fit); also gives what the regression would say of each training picture had its whole group been
    /// left out of the fit. `groups` has the rows of each group. No second fit is needed: with `S = K + λ I`, the
    /// residual of group `G` is `((S⁻¹)_GG)⁻¹ (S⁻¹ Y)_G` (Cook and Weisberg 1982, §2.2).
    pub(super) fn fit_leaving_out(
        kernel: Kernel,
        lambda: f64,
        features: &Matrix,
        targets: &Matrix,
        groups: &[Vec<usize>],
    ) -> Result<(Self, Matrix)> {
        let (fitted, factor) = Self::factorised(kernel, lambda, features, targets)?;
        let inverse = factor.inverse();
        let mut left_out = targets.clone();
        for group in groups {
            let block = Mat::from_fn(group.len(), group.len(), |i, j| inverse[(group[i], group[j])]);
            let mut residual =
                Mat::from_fn(group.len(), targets.width, |i, j| f64::from(fitted.weights.row(group[i])[j]));
            let block = block.llt(Side::Lower).expect("a block of the inverse of a positive definite matrix is one");
            block.solve_in_place(residual.as_mut());
            for (i, row) in group.iter().enumerate() {
                let out = &mut left_out.values[row * targets.width..][..targets.width];
                out.iter_mut().enumerate().for_each(|(j, v)| *v -= residual[(i, j)] as f32);
            }
        }
        Ok((fitted, left_out))
    }

    fn factorised(kernel: Kernel, lambda: f64, features: &Matrix, targets: &Matrix) -> Result<(Self, Llt<f64>)> {
        let rows = features.rows();
        assert_eq!(rows, targets.rows(), "a target for each picture");
        if rows > MAX_PICTURES {
            let rule = format!("the ridge solver takes at most {MAX_PICTURES} training pictures; use the sgd solver");
            return Err(CoreError::config("pictures", rows, rule).into());
        }
        let unfit = |rule: &str| CoreError::config("lambda", lambda, rule);
        if !(lambda.is_finite() && lambda > 0.0) {
            return Err(unfit("the ridge penalty must be a positive number").into());
        }
        let squares: f64 = features.values.iter().map(|v| f64::from(*v).powi(2)).sum();
        let scale = (rows as f64 / squares.max(1e-12)).sqrt() as f32;
        let pictures = scaled(kernel, scale, features);
        let gram = kernel.matrix(&pictures, &pictures);
        let mut system = Mat::from_fn(rows, rows, |i, j| f64::from(gram[(i, j)]));
        for i in 0..rows {
            system[(i, i)] += lambda;
        }
        let factor = system.llt(Side::Lower).map_err(|_| unfit("too small for these pictures; give a larger one"))?;
        let wanted = MatRef::from_row_major_slice(&targets.values, rows, targets.width);
        let mut solved = Mat::from_fn(rows, targets.width, |i, j| f64::from(wanted[(i, j)]));
        factor.solve_in_place(solved.as_mut());
        let mut weights = Matrix { values: vec![0.0; rows * targets.width], width: targets.width };
        for (i, row) in weights.values.chunks_exact_mut(targets.width).enumerate() {
            row.iter_mut().enumerate().for_each(|(j, weight)| *weight = solved[(i, j)] as f32);
        }
        Ok((Self { kernel, pictures, scale, weights }, factor))
    }

    /// A regression from its saved parts.
    pub(super) fn from_parts(kernel: Kernel, scale: f32, pictures: Matrix, weights: Matrix) -> Self {
        Self { kernel, pictures, scale, weights }
    }

    /// The same regression with output `j` multiplied by `factors[j]`.
    pub(super) fn scaled_outputs(mut self, factors: &[f32]) -> Self {
        for row in self.weights.values.chunks_exact_mut(self.weights.width) {
            row.iter_mut().zip(factors).for_each(|(weight, factor)| *weight *= factor);
        }
        self
    }

    /// The kernel, the scale, the scaled training pictures and the weights.
    pub(super) fn parts(&self) -> (Kernel, f32, &Matrix, &Matrix) {
        (self.kernel, self.scale, &self.pictures, &self.weights)
    }

    /// The prediction for each row of standardised `features`.
    pub fn forward(&self, features: &Matrix) -> Matrix {
        let alike = self.kernel.matrix(&scaled(self.kernel, self.scale, features), &self.pictures);
        let mut out = Matrix { values: vec![0.0; features.rows() * self.weights.width], width: self.weights.width };
        let rows = features.rows();
        let weights = MatRef::from_row_major_slice(&self.weights.values, self.weights.rows(), self.weights.width);
        let out_mat = MatMut::from_row_major_slice_mut(&mut out.values, rows, self.weights.width);
        matmul(out_mat, Accum::Replace, alike.as_ref(), weights, 1.0, Par::rayon(0));
        out
    }
}

impl Kernel {
    fn matrix(self, a: &Matrix, b: &Matrix) -> Mat<f32> {
        match self {
            Self::Gaussian { gamma } => gaussian(a, b, gamma),
            Self::Linear => {
                let mut scores = Mat::zeros(a.rows(), b.rows());
                product(a, b, scores.as_mut());
                scores
            }
        }
    }
}

fn scaled(kernel: Kernel, scale: f32, features: &Matrix) -> Matrix {
    match kernel {
        Kernel::Gaussian { .. } => features.clone().normalised(),
        Kernel::Linear => {
            let values = features.values.iter().map(|v| v * scale).collect();
            Matrix { values, width: features.width }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn random(rows: usize, width: usize, rng: &mut ChaCha8Rng) -> Matrix {
        Matrix { values: (0..rows * width).map(|_| rng.random_range(-1.0f32..1.0)).collect(), width }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// At the solution `f(X) + λ α = Y`.
        #[test]
        fn the_normal_equations_hold(n in 1usize..20, d in 1usize..20, m in 1usize..5, seed in 0u64..100, linear: bool) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (x, y) = (random(n, d, &mut rng), random(n, m, &mut rng));
            let kernel = if linear { Kernel::Linear } else { Kernel::Gaussian { gamma: 2.0 } };
            let ridge = KernelRidge::fit(kernel, 0.3, &x, &y).unwrap();
            let fitted = ridge.forward(&x);
            for ((f, alpha), y) in fitted.values.iter().zip(&ridge.weights.values).zip(&y.values) {
                prop_assert!((f + 0.3 * alpha - y).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn leaving_a_group_out_is_fitting_without_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (x, y) = (random(9, 4, &mut rng), random(9, 2, &mut rng));
        let kernel = Kernel::Gaussian { gamma: 2.0 };
        let groups = vec![vec![0, 3], vec![1], vec![2, 4, 5, 6], vec![7, 8]];
        let (_, left_out) = KernelRidge::fit_leaving_out(kernel, 0.2, &x, &y, &groups).unwrap();
        for group in &groups {
            let rest: Vec<usize> = (0..9).filter(|i| !group.contains(i)).collect();
            let without = KernelRidge::fit(kernel, 0.2, &x.select(&rest), &y.select(&rest)).unwrap();
            let expected = without.forward(&x.select(group));
            for (got, want) in left_out.select(group).values.iter().zip(&expected.values) {
                assert!((got - want).abs() < 1e-4, "{got} {want}");
            }
        }
    }

    #[test]
    fn a_penalty_must_be_positive() {
        let one = Matrix { values: vec![1.0], width: 1 };
        for lambda in [0.0, -1.0, f64::NAN] {
            let error = KernelRidge::fit(Kernel::Linear, lambda, &one, &one).unwrap_err().to_string();
            assert!(error.contains("positive"), "{error}");
        }
    }
}
