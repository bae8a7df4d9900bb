//! Maps of a space: rows of numbers laid out as points on a plane.
//!
//! [`pca`] keeps the two directions of largest variance; [`Tsne`] keeps neighbours together.

mod pca;
mod tsne;

pub use pca::{Pca, pca};
pub use tsne::Tsne;

use crate::{Error, Result};

/// Checks that `data` is rows of `dim` finite numbers and gives their count.
fn count_rows(data: &[f32], dim: usize) -> Result<usize> {
    if dim == 0 || data.is_empty() || !data.len().is_multiple_of(dim) {
        let rule = "a map needs at least one row of at least one number, and whole rows";
        return Err(Error::config("data", format!("{} numbers in rows of {dim}", data.len()), rule));
    }
    if let Some(at) = data.iter().position(|v| !v.is_finite()) {
        let rule = "a map needs finite numbers: leave such rows out";
        return Err(Error::config(format!("data[{}][{}]", at / dim, at % dim), data[at], rule));
    }
    Ok(data.len() / dim)
}

/// The rows less their mean.
fn centered(data: &[f32], dim: usize) -> Vec<f32> {
    let rows = data.len() / dim;
    let mut mean = vec![0.0f64; dim];
    for row in data.chunks_exact(dim) {
        for (sum, &v) in mean.iter_mut().zip(row) {
            *sum += f64::from(v);
        }
    }
    let less_mean = |(v, m): (&f32, &f64)| (f64::from(*v) - m / rows as f64) as f32;
    data.chunks_exact(dim).flat_map(|row| row.iter().zip(&mean).map(less_mean)).collect()
}
