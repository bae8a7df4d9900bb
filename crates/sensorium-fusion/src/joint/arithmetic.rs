//! Arithmetic: a picture's vector plus a text offset, and how long that offset should be.

use sensorium_core::metrics::{self, Gold, Recall, Ties};

use super::features::Matrix;
use crate::Result;

/// Lengths of the text offset that are tried.
pub const SCALES: [f32; 6] = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0];

/// A question of arithmetic: picture `from` plus `offset` should be picture `to`.
#[derive(Debug, Clone)]
pub struct Move {
    /// The row of the picture to start from.
    pub from: usize,
    /// The row of the picture to find.
    pub to: usize,
    /// What the words add, at scale 1.
    pub offset: Vec<f32>,
}

/// How often the nearest pictures to `from + scale · offset`, among all but `from` itself, have `to` among them.
///
/// # Errors
/// If there is no question, or a number is not finite.
pub fn found(pictures: &Matrix, moves: &[Move], scale: f32) -> Result<Recall> {
    let mut queries = Matrix { values: Vec::with_capacity(moves.len() * pictures.width), width: pictures.width };
    for Move { from, offset, .. } in moves {
        queries.values.extend(pictures.row(*from).iter().zip(offset).map(|(v, o)| v + scale * o));
    }
    let mut scores = scores(&queries, pictures);
    for (row, Move { from, .. }) in scores.chunks_exact_mut(pictures.rows()).zip(moves) {
        row[*from] = f32::NEG_INFINITY;
    }
    let gold: Vec<Vec<u32>> = moves.iter().map(|Move { to, .. }| vec![*to as u32]).collect();
    let gold = Gold::from_lists(&gold, pictures.rows())?;
    Ok(Recall::of(&metrics::ranks_from_scores(&scores, &gold, Ties::default())?.i2t)?)
}

/// The scale at which most pictures are found first; the smallest of equals.
///
/// # Errors
/// As [`found`].
pub fn best_scale(pictures: &Matrix, moves: &[Move]) -> Result<f32> {
    let mut best = (f64::NEG_INFINITY, SCALES[0]);
    for scale in SCALES {
        let r1 = found(pictures, moves, scale)?.r1;
        if r1 > best.0 {
            best = (r1, scale);
        }
    }
    Ok(best.1)
}

/// All inner products, `[a, b]`, row-major.
pub(super) fn scores(a: &Matrix, b: &Matrix) -> Vec<f32> {
    let mut out = vec![0.0; a.rows() * b.rows()];
    let out_mat = faer::MatMut::from_row_major_slice_mut(&mut out, a.rows(), b.rows());
    super::words::product(a, b, out_mat);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_that_lands_on_the_counterpart_is_chosen() {
        // Two pictures that differ by (0, 1), and one far off that a longer offset would reach.
        let pictures = Matrix { values: vec![1.0, 0.0, 0.8, 0.6, 0.0, 1.0], width: 2 };
        let moves = [Move { from: 0, to: 1, offset: vec![0.0, 1.0] }];
        assert_eq!(best_scale(&pictures, &moves).unwrap(), 0.25);
        assert_eq!(found(&pictures, &moves, 0.5).unwrap().r1, 100.0);
        assert_eq!(found(&pictures, &moves, 3.0).unwrap().r1, 0.0);
    }
}
