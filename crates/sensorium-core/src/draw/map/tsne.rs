//! t-SNE: neighbours in the space are neighbours on the plane.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{count_rows, pca};
use crate::{Error, Result};

/// t-distributed stochastic neighbour embedding to two dimensions, with exact gradients (van der Maaten and Hinton,
/// "Visualizing Data using t-SNE", JMLR 2008), started from PCA and with a learning rate that grows with the number of
/// points (Kobak and Berens, "The art of using t-SNE for single-cell transcriptomics", 2019). The same seed gives the
/// same map at any number of threads. Time and memory grow with the square of the number of points.
///
/// ```
/// use sensorium_core::draw::map::Tsne;
///
/// let rows: Vec<f32> = (0..40).flat_map(|i| [i as f32 % 2.0 * 9.0, i as f32 * 0.01]).collect();
/// let points = Tsne { perplexity: 5.0, ..Tsne::default() }.fit(&rows, 2)?;
/// assert_eq!(points.len(), 40);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tsne {
    /// About how many neighbours each point has: at least 1, at most a third of the other points.
    pub perplexity: f32,
    /// Steps of gradient descent, of which the first quarter has early exaggeration.
    pub iterations: usize,
    /// How many times stronger points attract each other at first, so that clusters form; at least 1.
    pub early_exaggeration: f32,
    /// Step size; `None` takes the number of points over `early_exaggeration`, and at least 50.
    pub learning_rate: Option<f32>,
    /// For the small random shift of each point at the start.
    pub seed: u64,
}

impl Default for Tsne {
    fn default() -> Self {
        Self { perplexity: 30.0, iterations: 500, early_exaggeration: 12.0, learning_rate: None, seed: 0 }
    }
}

/// Most points: the affinities of all pairs take 4 bytes each.
const MAX_POINTS: usize = 15_000;

impl Tsne {
    /// Lays rows of `dim` numbers out on a plane, by their Euclidean distances. For cosine distances, scale the rows to
    /// unit length first.
    ///
    /// # Errors
    /// [`Error::Config`] for no row, a part of a row, a number that is not finite, more than 15,000 rows, or a setting
    /// out of range; the message says what to write instead.
    pub fn fit(&self, data: &[f32], dim: usize) -> Result<Vec<[f32; 2]>> {
        let rows = count_rows(data, dim)?;
        self.validate(rows)?;
        let affinities = Affinities::new(data, dim, rows, f64::from(self.perplexity));
        let start = self.start(&pca(data, dim)?.points);
        let mut layout = Layout::new(start);
        let rate = self.learning_rate.unwrap_or((rows as f32 / self.early_exaggeration).max(50.0));
        for iteration in 0..self.iterations {
            let early = iteration < self.iterations / 4;
            let exaggeration = if early { self.early_exaggeration } else { 1.0 };
            let momentum = if early { 0.5 } else { 0.8 };
            layout.step(&affinities, exaggeration, rate, momentum);
        }
        Ok(layout.x.into_iter().zip(layout.y).map(|(x, y)| [x, y]).collect())
    }

    fn validate(&self, rows: usize) -> Result<()> {
        let most = rows.saturating_sub(1) as f32 / 3.0;
        if rows > MAX_POINTS {
            return Err(Error::config("rows", rows, format!("t-SNE maps at most {MAX_POINTS} points: draw a sample")));
        }
        if !(1.0..=most).contains(&self.perplexity) {
            let rule =
                format!("at least 1 and at most {most:.1}, a third of the other points; {rows} points were given");
            return Err(Error::config("perplexity", self.perplexity, rule));
        }
        if !(1.0..=1e4).contains(&self.early_exaggeration) {
            return Err(Error::config(
                "early_exaggeration",
                self.early_exaggeration,
                "between 1 and 10000; 12 is usual",
            ));
        }
        if let Some(rate) = self.learning_rate.filter(|rate| !(1e-6..=1e6).contains(rate)) {
            return Err(Error::config(
                "learning_rate",
                rate,
                "between 1e-6 and 1e6, or none to choose by the number of points",
            ));
        }
        Ok(())
    }

    /// The PCA map, shrunk so that its first axis has a standard deviation of 1e-4, and shaken a little so that equal
    /// points can part.
    fn start(&self, points: &[[f32; 2]]) -> Vec<[f32; 2]> {
        let variance = points.iter().map(|p| f64::from(p[0]).powi(2)).sum::<f64>() / points.len() as f64;
        let scale = if variance > 0.0 { 1e-4 / variance.sqrt() } else { 0.0 };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut shaken = |v: f32| (f64::from(v) * scale) as f32 + 1e-6 * (rng.random::<f32>() - 0.5);
        points.iter().map(|point| point.map(&mut shaken)).collect()
    }
}

/// The joint probability of each pair of points, dense, summing to 1.
struct Affinities {
    rows: usize,
    joint: Vec<f32>,
}

impl Affinities {
    fn new(data: &[f32], dim: usize, rows: usize, perplexity: f64) -> Self {
        // To a largest size of 1, so that no squared distance leaves the range; the affinities do not change.
        let largest = data.iter().fold(0f32, |largest, v| largest.max(v.abs())).max(f32::MIN_POSITIVE);
        let data: Vec<f32> = data.iter().map(|v| v / largest).collect();
        let mut joint = vec![0.0; rows * rows];
        joint.par_chunks_mut(TILE * rows).enumerate().for_each(|(tile, distances)| {
            fill_distances(distances, &data[tile * TILE * dim..], &data, dim, rows);
            for (i, row) in distances.chunks_exact_mut(rows).enumerate() {
                conditional(row, tile * TILE + i, perplexity);
            }
        });
        symmetrise(&mut joint, rows);
        Self { rows, joint }
    }
}

/// Rows handled together, so that they stay in the cache.
const TILE: usize = 16;

/// The squared distances of a few rows, the first of `own`, from all `rows` of `data`.
fn fill_distances(distances: &mut [f32], own: &[f32], data: &[f32], dim: usize, rows: usize) {
    for (tile, others) in data.chunks(TILE * dim).enumerate() {
        for (row, own) in distances.chunks_exact_mut(rows).zip(own.chunks_exact(dim)) {
            for (distance, other) in row[tile * TILE..].iter_mut().zip(others.chunks_exact(dim)) {
                *distance = squared_distance(own, other);
            }
        }
    }
}

const LANES: usize = 8;

/// In lanes, which the compiler turns into vector instructions.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            let d = a[lane] - b[lane];
            sums[lane] += d * d;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f32>() + rest
}

/// Turns squared distances from point `own` into the probabilities of its neighbours, by Newton's method on the
/// precision of the Gaussian, inside a bracket, until their entropy is that of `perplexity` equal neighbours.
fn conditional(row: &mut [f32], own: usize, perplexity: f64) {
    let others = || (0..row.len()).filter(move |&j| j != own);
    let nearest = others().map(|j| row[j]).fold(f32::INFINITY, f32::min);
    let mean = others().map(|j| f64::from(row[j] - nearest)).sum::<f64>() / (row.len() - 1) as f64;
    let target = perplexity.ln();
    // Distances over their mean have no unit: a precision of 1 is a fair start for any data.
    let unit = if mean > 0.0 { 1.0 / mean } else { 0.0 };
    // Far points get zero rather than a denormal number, which is slow to count with.
    let weight = |distance: f64, precision: f64| {
        let exponent = (distance * precision) as f32;
        if exponent < 50.0 { (-exponent).exp() } else { 0.0 }
    };
    let (mut low, mut high, mut precision) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..100 {
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for j in others() {
            let distance = f64::from(row[j] - nearest) * unit;
            let p = f64::from(weight(distance, precision));
            sum += p;
            first += p * distance;
            second += p * distance * distance;
        }
        let (first, second) = (first / sum, second / sum);
        let excess = sum.ln() + precision * first - target;
        if excess.abs() < 1e-5 {
            break;
        }
        if excess > 0.0 {
            low = precision;
        } else {
            high = precision;
        }
        // The entropy falls with the precision at a rate of the precision times the distances' variance.
        let newton = precision + excess / (precision * (second - first * first));
        let inside = newton.is_finite() && low < newton && newton < high;
        let middle = if high.is_finite() { (low + high) / 2.0 } else { precision * 2.0 };
        precision = if inside { newton.min(precision * 8.0) } else { middle };
    }
    row[own] = 0.0;
    let mut sum = 0.0;
    for j in (0..row.len()).filter(|&j| j != own) {
        row[j] = weight(f64::from(row[j] - nearest) * unit, precision);
        sum += f64::from(row[j]);
    }
    row.iter_mut().for_each(|p| *p = (f64::from(*p) / sum) as f32);
}

/// The mean of each pair's two probabilities, over the number of points; in tiles, which stay in the cache.
fn symmetrise(joint: &mut [f32], rows: usize) {
    const TILE: usize = 64;
    let scale = 1.0 / (2.0 * rows as f32);
    for top in (0..rows).step_by(TILE) {
        for left in (top..rows).step_by(TILE) {
            for i in top..(top + TILE).min(rows) {
                for j in left.max(i)..(left + TILE).min(rows) {
                    let mean = (joint[i * rows + j] + joint[j * rows + i]) * scale;
                    (joint[i * rows + j], joint[j * rows + i]) = (mean, mean);
                }
            }
        }
    }
}

/// The points on the plane and the state of their descent.
struct Layout {
    x: Vec<f32>,
    y: Vec<f32>,
    velocity: Vec<[f32; 2]>,
    gains: Vec<[f32; 2]>,
}

/// What pulls and pushes one point, and its part of the normaliser.
#[derive(Clone, Copy, Default)]
struct Forces {
    attraction: [f32; 2],
    repulsion: [f32; 2],
    weight: f32,
}

impl Layout {
    fn new(start: Vec<[f32; 2]>) -> Self {
        let (x, y) = start.iter().map(|&[x, y]| (x, y)).unzip();
        Self { x, y, velocity: vec![[0.0; 2]; start.len()], gains: vec![[1.0; 2]; start.len()] }
    }

    /// One step of descent with momentum and a gain for each coordinate, as in the reference implementation.
    fn step(&mut self, affinities: &Affinities, exaggeration: f32, rate: f32, momentum: f32) {
        let rows = affinities.rows;
        let force = |i: usize| self.forces(i, &affinities.joint[i * rows..][..rows]);
        let forces: Vec<Forces> = (0..rows).into_par_iter().with_min_len(16).map(force).collect();
        // In the points' order, so that the sum is the same at any number of threads. Each row counts itself once.
        let normaliser = forces.iter().map(|f| f64::from(f.weight)).sum::<f64>() - rows as f64;
        let share = (1.0 / normaliser.max(1e-12)) as f32;
        for (i, force) in forces.iter().enumerate() {
            for (axis, coordinate) in [&mut self.x[i], &mut self.y[i]].into_iter().enumerate() {
                let gradient = 4.0 * (exaggeration * force.attraction[axis] - force.repulsion[axis] * share);
                let (velocity, gain) = (&mut self.velocity[i][axis], &mut self.gains[i][axis]);
                *gain = if (gradient > 0.0) == (*velocity > 0.0) { (*gain * 0.8).max(0.01) } else { *gain + 0.2 };
                *velocity = momentum * *velocity - rate * *gain * gradient;
                *coordinate += *velocity;
            }
        }
        recenter(&mut self.x);
        recenter(&mut self.y);
    }

    /// Sums over all points, in lanes.
    fn forces(&self, i: usize, joint: &[f32]) -> Forces {
        let (x, y) = (self.x[i], self.y[i]);
        let (joint_lanes, joint_rest) = joint.as_chunks::<LANES>();
        let (x_lanes, x_rest) = self.x.as_chunks::<LANES>();
        let (y_lanes, y_rest) = self.y.as_chunks::<LANES>();
        let [mut pull_x, mut pull_y, mut push_x, mut push_y, mut weight] = [[0f32; LANES]; 5];
        for ((p, xs), ys) in joint_lanes.iter().zip(x_lanes).zip(y_lanes) {
            for lane in 0..LANES {
                let (dx, dy) = (x - xs[lane], y - ys[lane]);
                let q = 1.0 / (1.0 + dx * dx + dy * dy);
                let (pull, push) = (p[lane] * q, q * q);
                pull_x[lane] += pull * dx;
                pull_y[lane] += pull * dy;
                push_x[lane] += push * dx;
                push_y[lane] += push * dy;
                weight[lane] += q;
            }
        }
        let sum = |lanes: [f32; LANES]| lanes.iter().sum::<f32>();
        let mut forces = Forces {
            attraction: [sum(pull_x), sum(pull_y)],
            repulsion: [sum(push_x), sum(push_y)],
            weight: sum(weight),
        };
        for ((p, other_x), other_y) in joint_rest.iter().zip(x_rest).zip(y_rest) {
            let d = [x - other_x, y - other_y];
            let q = 1.0 / (1.0 + d[0] * d[0] + d[1] * d[1]);
            for (axis, d) in d.into_iter().enumerate() {
                forces.attraction[axis] += p * q * d;
                forces.repulsion[axis] += q * q * d;
            }
            forces.weight += q;
        }
        forces
    }
}

fn recenter(coordinates: &mut [f32]) {
    let mean = coordinates.iter().copied().map(f64::from).sum::<f64>() / coordinates.len() as f64;
    coordinates.iter_mut().for_each(|v| *v -= mean as f32);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

    use super::*;

    /// `clusters` tight groups of `size` points in ten dimensions.
    fn groups(clusters: usize, size: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let centers: Vec<f32> = (0..clusters * 10).map(|_| 10.0 * rng.random::<f32>()).collect();
        let row = |i: usize| centers[i % clusters * 10..][..10].to_vec();
        (0..clusters * size).flat_map(row).map(|v| v + rng.random::<f32>()).collect()
    }

    #[test]
    fn each_point_has_as_many_neighbours_as_the_perplexity_says() {
        let data = groups(3, 40);
        for perplexity in [2.0, 10.0, 35.0] {
            let mut row: Vec<f32> = data.chunks_exact(10).map(|other| squared_distance(&data[..10], other)).collect();
            conditional(&mut row, 0, perplexity);
            let entropy: f64 = row.iter().map(|&p| f64::from(p)).filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum();
            assert!((entropy.exp() - perplexity).abs() < 0.01 * perplexity, "{} for {perplexity}", entropy.exp());
            assert_eq!(row[0], 0.0);
        }
    }

    #[test]
    fn affinities_are_symmetric_and_sum_to_one() {
        let joint = Affinities::new(&groups(2, 70), 10, 140, 20.0).joint;
        let sum: f64 = joint.iter().map(|&p| f64::from(p)).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        assert!((0..140 * 140).all(|at| joint[at] == joint[at % 140 * 140 + at / 140]));
    }

    /// The forces are the gradient of the Kullback-Leibler divergence, checked by small steps.
    #[test]
    fn the_gradient_is_that_of_the_divergence() {
        let affinities = Affinities::new(&groups(2, 9), 10, 18, 4.0);
        let start: Vec<[f32; 2]> = (0..18).map(|i| [(i as f32).sin(), (i as f32 * 1.7).cos()]).collect();
        let divergence = |layout: &Layout| {
            let q = |i: usize, j: usize| {
                let (dx, dy) = (f64::from(layout.x[i] - layout.x[j]), f64::from(layout.y[i] - layout.y[j]));
                if i == j { 0.0 } else { 1.0 / (1.0 + dx * dx + dy * dy) }
            };
            let z: f64 = (0..18 * 18).map(|at| q(at / 18, at % 18)).sum();
            let pairs = (0..18 * 18).filter(|at| at / 18 != at % 18);
            pairs
                .map(|at| {
                    f64::from(affinities.joint[at])
                        * (f64::from(affinities.joint[at]).max(1e-12) / q(at / 18, at % 18) * z).ln()
                })
                .sum::<f64>()
        };
        let layout = Layout::new(start.clone());
        let forces: Vec<Forces> = (0..18).map(|i| layout.forces(i, &affinities.joint[i * 18..][..18])).collect();
        let z: f64 = forces.iter().map(|f| f64::from(f.weight)).sum::<f64>() - 18.0;
        for i in 0..18 {
            let gradient = 4.0 * f64::from(forces[i].attraction[0]) - 4.0 * f64::from(forces[i].repulsion[0]) / z;
            let moved = |by: f32| {
                let mut points = start.clone();
                points[i][0] += by;
                divergence(&Layout::new(points))
            };
            let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((gradient - numeric).abs() < 1e-4, "point {i}: {gradient}, numerically {numeric}");
        }
    }

    #[test]
    fn clusters_stay_together() {
        let data = groups(5, 40);
        let points = Tsne { perplexity: 15.0, ..Tsne::default() }.fit(&data, 10).unwrap();
        let nearest = |i: usize| {
            let distance = |j: &usize| (points[i][0] - points[*j][0]).hypot(points[i][1] - points[*j][1]);
            (0..points.len()).filter(|j| *j != i).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
        };
        let together = (0..points.len()).filter(|&i| nearest(i) % 5 == i % 5).count();
        assert_eq!(together, points.len());
    }

    #[test]
    fn the_map_is_the_same_at_any_number_of_threads() {
        let data = groups(3, 50);
        let tsne = Tsne { iterations: 60, ..Tsne::default() };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| tsne.fit(&data, 10).unwrap())
        };
        let one = with(1);
        assert!(one == with(2) && one == with(3));
        assert_ne!(one, Tsne { seed: 1, ..tsne.clone() }.fit(&data, 10).unwrap());
    }

    #[test]
    fn bad_settings_are_named() {
        let data = groups(1, 10);
        let message = |tsne: Tsne| tsne.fit(&data, 10).unwrap_err().to_string();
        let large = message(Tsne { perplexity: 4.0, ..Tsne::default() });
        assert!(
            large.contains("perplexity = 4") && large.contains("at most 3.0") && large.contains("10 points"),
            "{large}"
        );
        assert!(message(Tsne { perplexity: f32::NAN, ..Tsne::default() }).contains("perplexity = NaN"));
        let small = Tsne { perplexity: 2.0, ..Tsne::default() };
        assert!(message(Tsne { early_exaggeration: 0.0, ..small.clone() }).contains("early_exaggeration = 0"));
        assert!(message(Tsne { learning_rate: Some(f32::INFINITY), ..small.clone() }).contains("learning_rate = inf"));
        assert!(small.fit(&[1.0, f32::NAN], 1).unwrap_err().to_string().contains("data[1][0] = NaN"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_numbers_give_finite_points_or_an_error(
            dim in 1usize..4, data in prop::collection::vec(any::<f32>(), 0..60),
        ) {
            let tsne = Tsne { perplexity: 1.5, iterations: 20, ..Tsne::default() };
            let data: Vec<f32> = data.into_iter().map(|v| if v.is_finite() { v } else { 0.0 }).collect();
            if let Ok(points) = tsne.fit(&data, dim) {
                prop_assert!(points.iter().flatten().all(|v| v.is_finite()), "{points:?}");
            }
        }
    }
}
