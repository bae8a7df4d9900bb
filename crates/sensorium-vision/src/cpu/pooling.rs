//! Pooling.

use pulp::Arch;
use rayon::prelude::*;

use super::kernels::{MaxPoolTask, Windows};
use super::map::Map;

/// The largest number of each window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxPool {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Pixels on each side that are in no window's numbers.
    pub(crate) padding: usize,
}

impl MaxPool {
    pub(super) fn run(&self, source: &Map, out: &mut Map) {
        let Self { kernel, stride, padding } = *self;
        let count = |size: usize| (size + 2 * padding - kernel) / stride + 1;
        out.reshape(source.channels, count(source.height), count(source.width));
        let windows = Windows { kernel: [kernel; 2], stride, padding: [padding; 2], columns: out.width };
        let columns = out.width;
        let rows = source.groups().zip(out.groups_mut()).flat_map(|((width, numbers), (_, out))| {
            out.chunks_exact_mut(columns * width).enumerate().map(move |(row, out)| (numbers, row, out))
        });
        let size = [source.height, source.width];
        rows.collect::<Vec<_>>().into_par_iter().for_each(|(numbers, row, out)| {
            Arch::new().dispatch(MaxPoolTask { size, numbers, windows, row, out });
        });
    }
}

/// The mean over each cell of a grid of `size`, the cells as in [`crate::pool::adaptive_avg_pool2d`].
pub(super) fn adaptive_avg_pool(source: &Map, size: [usize; 2], out: &mut Map) {
    out.reshape(source.channels, size[0], size[1]);
    let cell = |index: usize, from: usize, to: usize| index * from / to..((index + 1) * from).div_ceil(to);
    for ((width, numbers), (_, out)) in source.groups().zip(out.groups_mut()) {
        for (index, means) in out.chunks_exact_mut(width).enumerate() {
            let rows = cell(index / size[1], source.height, size[0]);
            let columns = cell(index % size[1], source.width, size[1]);
            let share = 1.0 / (rows.len() * columns.len()) as f32;
            means.fill(0.0);
            for row in rows {
                let line = &numbers[(row * source.width + columns.start) * width..][..columns.len() * width];
                for pixel in line.chunks_exact(width) {
                    means.iter_mut().zip(pixel).for_each(|(mean, number)| *mean += number);
                }
            }
            means.iter_mut().for_each(|mean| *mean *= share);
        }
    }
}
