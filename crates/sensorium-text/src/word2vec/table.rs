//! Rows of numbers laid out for the kernels.

use bytemuck::{Pod, Zeroable};
use memmap2::MmapMut;
use rayon::prelude::*;

/// Rows are dealt into this many stripes, each of which one thread updates at a time. A stripe of 50,000 words' vectors of
/// 100 numbers fits into [`NEAR`].
pub(super) const STRIPES: usize = 16;

/// Bytes that a second-level cache holds beside what else is in use.
const NEAR: usize = 3 << 19;

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
pub(super) struct Table {
    /// Lines, from the beginning of a page on.
    memory: MmapMut,
    dim: usize,
    rows: usize,
}

impl Table {
    pub(super) fn zeros(rows: usize, dim: usize) -> Self {
        let places = rows.div_ceil(STRIPES) * STRIPES;
        // A map of nothing is refused.
        let bytes = (places * lines(dim)).max(1) * size_of::<Line>();
        let memory = MmapMut::map_anon(bytes).expect("memory for a table");
        // Rows are met in no order: with small pages, most would cost a walk through the page tables. It is a wish, and may
        // be refused.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Self { memory, dim, rows }
    }

    /// `[rows, dim]` numbers by rank.
    pub(super) fn to_rows(&self) -> Vec<f32> {
        let mut rows = Vec::with_capacity(self.rows * self.dim);
        self.iter().for_each(|row| rows.extend_from_slice(row));
        rows
    }

    /// The rows by rank.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        (0..self.rows).map(|rank| &self.values()[self.place(rank) * self.stride()..][..self.dim])
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
    fn stripe_rows(&self) -> usize {
        self.rows.div_ceil(STRIPES)
    }

    /// Numbers from one place to the next.
    pub(super) fn stride(&self) -> usize {
        lines(self.dim) * Line::LEN
    }

    /// All rows by place.
    pub(super) fn values(&self) -> &[f32] {
        bytemuck::cast_slice(&self.memory)
    }

    pub(super) fn row_mut(&mut self, rank: usize) -> &mut [f32] {
        let from = self.place(rank) * self.stride();
        &mut bytemuck::cast_slice_mut::<u8, f32>(&mut self.memory)[from..][..self.dim]
    }

    /// The lines of a stripe.
    pub(super) fn lines_of_stripe(&self) -> usize {
        self.stripe_rows() * lines(self.dim)
    }

    /// How many stripes a thread is to update at a time: one, so that it stays near while all lanes add to it; where it
    /// would not, all that are the thread's, so that what a lane adds stays near.
    pub(super) fn stripes_together(&self) -> usize {
        match self.lines_of_stripe() * size_of::<Line>() {
            ..=NEAR => 1,
            _ => STRIPES.div_ceil(rayon::current_num_threads()),
        }
    }

    /// The stripes, each with all its rows, some at a time.
    pub(super) fn stripes_mut(&mut self, together: usize) -> impl IndexedParallelIterator<Item = &mut [Line]> {
        let lines = self.lines_of_stripe() * together;
        bytemuck::cast_slice_mut(&mut self.memory).par_chunks_mut(lines)
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
            assert_eq!(table.stripes_mut(3).map(|stripes| stripes.len()).sum::<usize>(), 16 * table.lines_of_stripe());
        }
    }
}
