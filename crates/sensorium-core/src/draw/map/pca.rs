//! Principal component analysis to two dimensions.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{centered, count_rows};
use crate::Result;

/// The two directions of largest variance of a set of points.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// The points along the two directions, in the order of the rows.
    pub points: Vec<[f32; 2]>,
    /// The part of the whole variance along each direction, 0 to 1.
    pub explained: [f32; 2],
}

/// Directions held at once: the more there are beyond the two wanted, the faster those two settle.
const BLOCK: usize = 16;
const MAX_ROUNDS: usize = 300;
/// Rows summed by one task. Fixed, so that sums are the same at any number of threads.
const CHUNK: usize = 128;

type Block = [f64; BLOCK];

/// Exact PCA of rows of `dim` numbers to two dimensions, by subspace iteration with Rayleigh-Ritz steps (Saad,
/// "Numerical Methods for Large Eigenvalue Problems", section 5.2) on the covariance matrix, which is never formed. The
/// coordinate of largest size in each direction is positive, so that every run gives the same map. Directions without
/// variance give zeros.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for no row, a part of a row, or a number that is not finite.
///
/// ```
/// use sensorium_core::draw::map::pca;
///
/// let line = [0.0, 0.0, 1.0, 2.0, 2.0, 4.0];
/// let map = pca(&line, 2)?;
/// assert!((map.points[0][0] + 5f32.sqrt()).abs() < 1e-5 && map.points[1] == [0.0, 0.0]);
/// assert!((map.explained[0] - 1.0).abs() < 1e-6);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
pub fn pca(data: &[f32], dim: usize) -> Result<Pca> {
    let rows = count_rows(data, dim)?;
    // To a largest size of 1: squares of huge or tiny numbers would leave the range.
    let largest = data.iter().fold(0f32, |largest, v| largest.max(v.abs())).max(f32::MIN_POSITIVE);
    let scaled: Vec<f32> = data.iter().map(|v| v / largest).collect();
    let data = centered(&scaled, dim);

    let total: f64 = data.iter().map(|&v| f64::from(v).powi(2)).sum();
    let mut directions = first_directions(dim);
    for _ in 0..MAX_ROUNDS {
        orthonormalise(&mut directions);
        let projected = project(&data, dim, &directions);
        let (values, rotation) = eigen(gram(&projected));
        directions.par_iter_mut().for_each(|row| *row = rotate(row, &rotation));
        let projected: Vec<Block> = projected.par_iter().map(|row| rotate(row, &rotation)).collect();
        let image = back_project(&data, dim, &projected);
        let settled =
            (0..2).all(|k| residual(&image, &directions, k, values[k]) <= 1e-6 * values[k].max(1e-12 * total));
        if settled {
            break;
        }
        directions = image;
    }
    orthonormalise(&mut directions);
    face_positive(&mut directions);

    let projected = project(&data, dim, &directions);
    let explained = [0, 1].map(|k| {
        let variance: f64 = projected.iter().map(|row| row[k].powi(2)).sum();
        if total > 0.0 { (variance / total) as f32 } else { 0.0 }
    });
    let points = projected.iter().map(|row| [row[0], row[1]].map(|v| (v * f64::from(largest)) as f32)).collect();
    debug_assert_eq!(projected.len(), rows);
    Ok(Pca { points, explained })
}

/// Random directions `[dim, BLOCK]`, as many as the space has; the rest are zero.
fn first_directions(dim: usize) -> Vec<Block> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    (0..dim).map(|_| std::array::from_fn(|k| if k < dim { rng.random::<f64>() - 0.5 } else { 0.0 })).collect()
}

/// Gram-Schmidt over the columns, twice for accuracy. A column that depends on those before it becomes zero.
fn orthonormalise(columns: &mut [Block]) {
    for k in 0..BLOCK {
        let before = norm(columns, k);
        for _ in 0..2 {
            for j in 0..k {
                let along: f64 = columns.iter().map(|row| row[j] * row[k]).sum();
                columns.iter_mut().for_each(|row| row[k] -= along * row[j]);
            }
        }
        let length = norm(columns, k);
        let scale = if length > 1e-10 * before { 1.0 / length } else { 0.0 };
        columns.iter_mut().for_each(|row| row[k] *= scale);
    }
}

fn norm(columns: &[Block], k: usize) -> f64 {
    columns.iter().map(|row| row[k] * row[k]).sum::<f64>().sqrt()
}

/// The rows along each direction: `[rows, BLOCK]`.
fn project(data: &[f32], dim: usize, directions: &[Block]) -> Vec<Block> {
    let along = |row: &[f32]| {
        let mut sums = [0.0; BLOCK];
        for (&v, direction) in row.iter().zip(directions) {
            add_scaled(&mut sums, f64::from(v), direction);
        }
        sums
    };
    data.par_chunks_exact(dim).map(along).collect()
}

/// The covariance matrix, up to a factor, times the directions that gave `projected`: `[dim, BLOCK]`.
fn back_project(data: &[f32], dim: usize, projected: &[Block]) -> Vec<Block> {
    let partial = |(rows, projected): (&[f32], &[Block])| {
        let mut sums = vec![[0.0; BLOCK]; dim];
        for (row, along) in rows.chunks_exact(dim).zip(projected) {
            for (sum, &v) in sums.iter_mut().zip(row) {
                add_scaled(sum, f64::from(v), along);
            }
        }
        sums
    };
    let parts: Vec<_> = data.par_chunks(CHUNK * dim).zip(projected.par_chunks(CHUNK)).map(partial).collect();
    let mut image = vec![[0.0; BLOCK]; dim];
    for part in parts {
        for (sum, part) in image.iter_mut().zip(&part) {
            add_scaled(sum, 1.0, part);
        }
    }
    image
}

fn add_scaled(sums: &mut Block, scale: f64, block: &Block) {
    for (sum, v) in sums.iter_mut().zip(block) {
        *sum += scale * v;
    }
}

/// The products of all pairs of columns.
fn gram(columns: &[Block]) -> [Block; BLOCK] {
    let mut products = [[0.0; BLOCK]; BLOCK];
    for row in columns {
        for (sums, &v) in products.iter_mut().zip(row) {
            add_scaled(sums, v, row);
        }
    }
    products
}

/// `row` times `rotation`.
fn rotate(row: &Block, rotation: &[Block; BLOCK]) -> Block {
    let mut rotated = [0.0; BLOCK];
    for (&v, along) in row.iter().zip(rotation) {
        add_scaled(&mut rotated, v, along);
    }
    rotated
}

/// How far column `k` of `image` is from `value` times the direction.
fn residual(image: &[Block], directions: &[Block], k: usize, value: f64) -> f64 {
    image.iter().zip(directions).map(|(image, direction)| (image[k] - value * direction[k]).powi(2)).sum::<f64>().sqrt()
}

/// Eigenvalues of a symmetric matrix, largest first, and the eigenvectors as columns, by cyclic Jacobi rotations
/// (Golub and Van Loan, "Matrix Computations", section 8.5).
fn eigen(mut a: [Block; BLOCK]) -> (Block, [Block; BLOCK]) {
    let mut vectors = [[0.0; BLOCK]; BLOCK];
    (0..BLOCK).for_each(|i| vectors[i][i] = 1.0);
    for _ in 0..30 {
        for p in 0..BLOCK {
            for q in p + 1..BLOCK {
                if a[p][q].abs() <= 1e-300 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in a.iter_mut().chain(&mut vectors) {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                let [row_p, row_q] = a.get_disjoint_mut([p, q]).expect("p is less than q");
                for (x, y) in row_p.iter_mut().zip(row_q) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
        }
    }
    let mut order: [usize; BLOCK] = std::array::from_fn(|i| i);
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    (order.map(|i| a[i][i]), vectors.map(|row| order.map(|i| row[i])))
}

/// Turns each direction so that its coordinate of largest size is positive.
fn face_positive(directions: &mut [Block]) {
    for k in 0..2 {
        let largest = directions.iter().map(|row| row[k]).fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        if largest < 0.0 {
            directions.iter_mut().for_each(|row| row[k] = -row[k]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// Rows with standard deviations 5, 3, 1, 1, ... along known orthogonal axes.
    fn cloud(rows: usize, dim: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut data = Vec::new();
        for _ in 0..rows {
            let mut row: Vec<f32> = (0..dim).map(|_| rng.random::<f32>() - 0.5).collect();
            row[0] *= 5.0;
            row[1] *= 3.0;
            // A rotation by 45 degrees mixes the second axis with the last.
            let (a, b) = (row[1], row[dim - 1]);
            (row[1], row[dim - 1]) = ((a - b) * 0.5f32.sqrt(), (a + b) * 0.5f32.sqrt());
            data.extend(row);
        }
        data
    }

    #[test]
    fn it_finds_the_eigenvectors_of_the_covariance() {
        let (rows, dim) = (400, 24);
        let data = cloud(rows, dim);
        let map = pca(&data, dim).unwrap();
        let centered = centered(&data, dim);
        // The direction of largest variance, by plain power iteration on the covariance matrix.
        let mut direction = vec![1.0f64; dim];
        for _ in 0..500 {
            let along: Vec<f64> = centered
                .chunks_exact(dim)
                .map(|row| row.iter().zip(&direction).map(|(&v, d)| f64::from(v) * d).sum())
                .collect();
            let mut next = vec![0.0; dim];
            for (row, a) in centered.chunks_exact(dim).zip(&along) {
                next.iter_mut().zip(row).for_each(|(n, &v)| *n += a * f64::from(v));
            }
            let length = next.iter().map(|v| v * v).sum::<f64>().sqrt();
            direction = next.into_iter().map(|v| v / length).collect();
        }
        for (row, point) in centered.chunks_exact(dim).zip(&map.points) {
            let along: f64 = row.iter().zip(&direction).map(|(&v, d)| f64::from(v) * d).sum();
            assert!((along.abs() - f64::from(point[0].abs())).abs() < 1e-4, "{along} and {point:?}");
        }
        assert!(map.explained[0] > map.explained[1] && map.explained[1] > 0.15, "{:?}", map.explained);
    }

    #[test]
    fn equal_rows_fall_together() {
        for (data, dim) in [(vec![3.0; 12], 4), (vec![1.0], 1), (vec![0.0; 5], 5)] {
            let map = pca(&data, dim).unwrap();
            assert!(map.points.iter().all(|point| *point == [0.0, 0.0]), "{map:?}");
            assert_eq!(map.explained, [0.0, 0.0]);
        }
    }

    #[test]
    fn a_plane_of_equal_variances_keeps_its_distances() {
        let square = [1.0, 1.0, 0.0, 1.0, -1.0, 0.0, -1.0, 1.0, 0.0, -1.0, -1.0, 0.0];
        let map = pca(&square, 3).unwrap();
        for point in &map.points {
            assert!((point[0].hypot(point[1]) - 2f32.sqrt()).abs() < 1e-5, "{point:?}");
        }
    }

    #[test]
    fn bad_input_is_named() {
        let message = |data: &[f32], dim| pca(data, dim).unwrap_err().to_string();
        assert!(message(&[1.0, 2.0, f32::NAN, 3.0], 2).contains("data[1][0] = NaN"));
        assert!(message(&[1.0; 5], 2).contains("5 numbers in rows of 2"));
        assert!(message(&[], 3).contains("at least one row"));
        assert!(message(&[1.0], 0).contains("rows of 0"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_numbers_give_finite_points_or_an_error(
            dim in 1usize..20, data in prop::collection::vec(any::<f32>(), 0..120),
        ) {
            if let Ok(map) = pca(&data, dim) {
                prop_assert_eq!(map.points.len(), data.len() / dim);
                prop_assert!(map.explained.iter().all(|e| (0.0..=1.0001).contains(e)), "{:?}", map.explained);
                prop_assert!(map.points.iter().flatten().all(|v| !v.is_nan()), "{:?}", map.points);
            }
        }
    }
}
