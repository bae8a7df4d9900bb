//! k-means: Lloyd's rounds from k-means++ (Arthur and Vassilvitskii 2007).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Rounds at most; they end before where no point changes its centre.
const ROUNDS: usize = 100;

/// `count` centres of points of `width` numbers, both row-major; `None` if fewer than `count` points differ. Points are
/// measured in parallel and added up in their order, so that a seed gives the same centres on any number of threads.
pub(super) fn centres(points: &[f32], width: usize, count: usize, seed: u64) -> Option<Vec<f32>> {
    let mut centres = seeds(points, width, count, seed)?;
    let mut nearest = vec![];
    for _ in 0..ROUNDS {
        let now: Vec<usize> = points.par_chunks_exact(width).map(|point| nearest_of(point, &centres)).collect();
        if now == nearest {
            break;
        }
        nearest = now;
        let (mut sums, mut counts) = (vec![0.0f64; centres.len()], vec![0usize; count]);
        for (point, centre) in points.chunks_exact(width).zip(&nearest) {
            counts[*centre] += 1;
            for (sum, x) in sums[centre * width..].iter_mut().zip(point) {
                *sum += f64::from(*x);
            }
        }
        // A centre that has lost all its points stays where it is.
        for (centre, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let place = centre * width..(centre + 1) * width;
            for (x, sum) in centres[place.clone()].iter_mut().zip(&sums[place]) {
                *x = (sum / *count as f64) as f32;
            }
        }
    }
    Some(centres)
}

/// The number of the centre nearest to `point`, the first of several.
pub(super) fn nearest_of(point: &[f32], centres: &[f32]) -> usize {
    let distances = centres.chunks_exact(point.len()).map(|centre| distance(point, centre));
    let nearest = distances.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
    nearest.expect("at least one centre").0
}

/// Points drawn one after the other, each in proportion to its squared distance from those before.
fn seeds(points: &[f32], width: usize, count: usize, seed: u64) -> Option<Vec<f32>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let all = points.len() / width;
    if all == 0 {
        return None;
    }
    let mut drawn = points[random.random_range(0..all) * width..][..width].to_vec();
    let mut distances = vec![f32::INFINITY; all];
    while drawn.len() < count * width {
        let last = &drawn[drawn.len() - width..];
        distances.par_iter_mut().zip(points.par_chunks_exact(width)).for_each(|(least, point)| {
            *least = least.min(distance(point, last));
        });
        let total: f64 = distances.iter().map(|distance| f64::from(*distance)).sum();
        let mut left = random.random::<f64>() * total;
        let reached = |distance: &f32| {
            left -= f64::from(*distance);
            *distance > 0.0 && left <= 0.0
        };
        // Rounding may leave a little after the last one.
        let next = distances.iter().position(reached).or_else(|| distances.iter().rposition(|x| *x > 0.0))?;
        drawn.extend_from_slice(&points[next * width..][..width]);
    }
    Some(drawn)
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points around the corners of a square.
    fn corners() -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let corners = [[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 9.0]];
        (0..400).flat_map(|i| corners[i % 4].map(|x: f32| x + random.random_range(-1.0..1.0))).collect()
    }

    #[test]
    fn centres_stand_in_the_middle_of_their_points() {
        let points = corners();
        let centres = centres(&points, 2, 4, 1).unwrap();
        for corner in [[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 9.0]] {
            let nearest = nearest_of(&corner, &centres);
            assert!(distance(&corner, &centres[nearest * 2..][..2]) < 0.1, "{centres:?}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_centres_on_any_number_of_threads() {
        let points = corners();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| centres(&points, 2, 7, 3).unwrap())
        };
        assert_eq!(on(1), on(3));
        assert_ne!(on(1), centres(&points, 2, 7, 4).unwrap());
    }

    #[test]
    fn there_are_no_more_centres_than_points_that_differ() {
        let points = [1.0, 2.0, 2.0, 1.0];
        assert!(centres(&points, 1, 3, 0).is_none());
        let mut two = centres(&points, 1, 2, 0).unwrap();
        two.sort_by(f32::total_cmp);
        assert_eq!(two, [1.0, 2.0]);
        assert!(centres(&[], 1, 1, 0).is_none());
    }
}
