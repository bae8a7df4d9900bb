//! Rows of numbers laid out for the kernels.

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

/// Rows are dealt into this many stripes, each of which one thread updates at a time. A stripe of 50,000 words' vectors of
/// 100 numbers fits into a second-level cache.
pub(super) const STRIPES: usize = 16;

/// 16 numbers on one cache line, so that no vector load crosses two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line([f32; Line::LEN]);

impl Line {
    pub(super) const LEN: usize = 16;
}

/// The lines of a row of `dim` numbers.
pub(super) fn lines(dim: usize) -> usize {
    dim.div_ceil(Line::LEN)
}

pub(super) fn numbers(lines: &[Line]) -> &[f32] {
    bytemuck::cast_slice(lines)
}

pub(super) fn numbers_mut(lines: &mut [Line]) -> &mut [f32] {
    bytemuck::cast_slice_mut(lines)
}

/// A table of rows, each padded with zeros to whole lines.
///
/// Rows are given by rank, frequent words first. Neighbours in rank lie in different stripes, so that every stripe has its
/// share of the frequent ones.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    lines: Vec<Line>,
    dim: usize,
    rows: usize,
}

impl Table {
    pub(super) fn zeros(rows: usize, dim: usize) -> Self {
        let places = rows.div_ceil(STRIPES) * STRIPES;
        Self { lines: vec![Line::default(); places * lines(dim)], dim, rows }
    }

    /// `[rows, dim]` numbers by rank.
    pub(super) fn to_rows(&self) -> Vec<f32> {
        let mut rows = Vec::with_capacity(self.rows * self.dim);
        self.iter().for_each(|row| rows.extend_from_slice(row));
        rows
    }

    /// The rows by rank.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        (0..self.rows).map(|rank| &numbers(&self.lines)[self.place(rank) * self.stride()..][..self.dim])
    }

    /// Where the row of a rank lies.
    #[inline(always)]
    pub(super) fn place(&self, rank: usize) -> usize {
        (rank % STRIPES) * self.stripe_rows() + rank / STRIPES
    }

    /// Numbers in a row.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// How many there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The rows of a stripe.
    #[inline(always)]
    pub(super) fn stripe_rows(&self) -> usize {
        self.rows.div_ceil(STRIPES)
    }

    /// Numbers from one place to the next.
    pub(super) fn stride(&self) -> usize {
        lines(self.dim) * Line::LEN
    }

    /// All rows by place.
    pub(super) fn values(&self) -> &[f32] {
        numbers(&self.lines)
    }

    pub(super) fn row_mut(&mut self, rank: usize) -> &mut [f32] {
        let from = self.place(rank) * self.stride();
        &mut numbers_mut(&mut self.lines)[from..][..self.dim]
    }

    /// The stripes, each with all its rows.
    pub(super) fn stripes_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [Line]> {
        let of_stripe = self.stripe_rows() * lines(self.dim);
        self.lines.par_chunks_exact_mut(of_stripe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_has_a_place_of_its_own() {
        for rows in [1, 2, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..rows * 3).map(|i| i as f32).collect();
            let mut table = Table::zeros(rows, 3);
            for (rank, row) in values.chunks_exact(3).enumerate() {
                table.row_mut(rank).copy_from_slice(row);
            }
            assert_eq!(table.to_rows(), values);
            let mut places: Vec<usize> = (0..rows).map(|rank| table.place(rank)).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!((places.len(), table.stride()), (rows, 16));
            assert_eq!(table.clone().stripes_mut().map(|stripe| stripe.len()).sum::<usize>(), table.lines.len());
        }
    }
}
