//! The principal directions of a set of vectors: the few dimensions that hold most of them.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::features::Matrix;

/// Directions beyond those asked for, which make the last of them more exact.
const SPARE: usize = 16;
/// Rounds of subspace iteration.
const ROUNDS: usize = 2;

/// The `count` directions along which the rows of `centred` vary most, as `[width, count]`, by randomised subspace
/// iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4). There are fewer where the rows span fewer.
pub(super) fn principal(centred: &Matrix, count: usize) -> Matrix {
    let rows = MatRef::from_row_major_slice(&centred.values, centred.rows(), centred.width);
    let most = centred.rows().min(centred.width);
    let (count, kept) = (count.min(most), (count + SPARE).min(most));
    // A fixed seed: the directions depend on the rows alone.
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let start = Mat::from_fn(centred.width, kept, |_, _| rng.random_range(-1.0f32..1.0));
    let mut basis = orthonormal(times(rows, start.as_ref()));
    for _ in 0..ROUNDS {
        let back = orthonormal(times(rows.transpose(), basis.as_ref()));
        basis = orthonormal(times(rows, back.as_ref()));
    }
    let inside = times(rows.transpose(), basis.as_ref());
    let gram = times(inside.transpose(), inside.as_ref());
    let gram = Mat::from_fn(kept, kept, |i, j| f64::from(gram[(i, j)]));
    let eigen = gram.self_adjoint_eigen(Side::Lower).expect("a Gram matrix has eigenvalues");
    let largest = eigen.S()[kept - 1].max(f64::MIN_POSITIVE);
    // Eigenvalues rise: the last is the largest. Directions of no variance are left out.
    let order: Vec<usize> = (0..kept).rev().take(count).filter(|i| eigen.S()[*i] > 1e-7 * largest).collect();
    let turned = Mat::from_fn(kept, order.len(), |i, j| (eigen.U()[(i, order[j])] / eigen.S()[order[j]].sqrt()) as f32);
    let directions = times(inside.as_ref(), turned.as_ref());
    let values = (0..centred.width).flat_map(|i| (0..order.len()).map(move |j| (i, j))).map(|at| directions[at]);
    Matrix { values: values.collect(), width: order.len() }
}

fn times(a: MatRef<'_, f32>, b: MatRef<'_, f32>) -> Mat<f32> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, Par::rayon(0));
    out
}

fn orthonormal(columns: Mat<f32>) -> Mat<f32> {
    columns.qr().compute_thin_Q()
}

/// `rows · directions`.
pub(super) fn project(rows: &Matrix, directions: &Matrix) -> Matrix {
    let mut out = Matrix { values: vec![0.0; rows.rows() * directions.width], width: directions.width };
    let count = rows.rows();
    let a = MatRef::from_row_major_slice(&rows.values, count, rows.width);
    let b = MatRef::from_row_major_slice(&directions.values, directions.rows(), directions.width);
    let to = faer::MatMut::from_row_major_slice_mut(&mut out.values, count, directions.width);
    matmul(to, Accum::Replace, a, b, 1.0, Par::rayon(0));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directions_of_most_variance_are_found() {
        // Rows along (3, 4, 0) / 5 with spread 10 and along (0, 0, 1) with spread 1.
        let rows: Vec<f32> = (-20..=20)
            .flat_map(|i| {
                let (a, b) = (i as f32 / 2.0, if i % 2 == 0 { 1.0 } else { -1.0 });
                [0.6 * a, 0.8 * a, b]
            })
            .collect();
        let centred = Matrix { values: rows, width: 3 };
        let found = principal(&centred, 1);
        assert_eq!(found.width, 1);
        let sign = found.values[0].signum();
        for (got, want) in found.values.iter().zip([0.6, 0.8, 0.0]) {
            assert!((sign * got - want).abs() < 0.02, "{:?}", found.values);
        }
    }

    #[test]
    fn directions_are_orthonormal_and_no_more_than_there_are() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows: Vec<f32> = (0..60).map(|_| rng.random_range(-1.0f32..1.0)).collect();
        let found = principal(&Matrix { values: rows, width: 6 }, 9);
        assert_eq!((found.rows(), found.width), (6, 6));
        for a in 0..6 {
            for b in 0..6 {
                let dot: f32 = (0..6).map(|i| found.values[i * 6 + a] * found.values[i * 6 + b]).sum();
                assert!((dot - if a == b { 1.0 } else { 0.0 }).abs() < 1e-3);
            }
        }
    }
}
