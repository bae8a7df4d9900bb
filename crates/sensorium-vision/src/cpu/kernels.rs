//! The inner loops: a tile of sums is kept in registers while all that adds to it streams by.

use pulp::{Simd, WithSimd};
use sensorium_core::simd::{registers, store};

use super::map::{GROUP, Map};

/// What becomes of a finished sum.
#[derive(Clone, Copy)]
pub(super) enum Finish<'a> {
    /// Kept.
    Plain,
    /// 0 where it is below.
    Relu,
    /// Clamped to 0..6.
    Relu6,
    /// Added to these numbers, which lie as the output does.
    Plus(&'a [f32]),
    /// Added to these numbers, and 0 where that is below.
    PlusRelu(&'a [f32]),
}

/// Where a convolution's windows lie in its source.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    /// Height and width of a window.
    pub(super) kernel: [usize; 2],
    pub(super) stride: usize,
    /// Zeros above and to the left of the source.
    pub(super) padding: [usize; 2],
    /// Windows in a row.
    pub(super) columns: usize,
}

impl Windows {
    /// Each pixel alone.
    pub(super) fn pixels(columns: usize) -> Self {
        Self { kernel: [1, 1], stride: 1, padding: [0, 0], columns }
    }
}

/// Consecutive pixels of one output group of a convolution.
pub(super) struct ConvolutionTask<'a> {
    pub(super) source: &'a Map,
    pub(super) windows: Windows,
    pub(super) first_pixel: usize,
    /// For each group of inputs `[kernel height, kernel width, inputs of the group, group width]`
    pub(super) weights: &'a [f32],
    /// `[group width]`
    pub(super) bias: &'a [f32],
    pub(super) finish: Finish<'a>,
    /// `[pixels, group width]`
    pub(super) out: &'a mut [f32],
}

impl WithSimd for ConvolutionTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.bias.len() {
            48 => convolution_widths::<S, 48, 3>(simd, self),
            32 => convolution_widths::<S, 32, 2>(simd, self),
            _ => convolution_widths::<S, 16, 1>(simd, self),
        }
    }
}

/// `W` is the group's width, `R` the AVX-512 registers it fills. Others take 16 columns at a time.
#[inline(always)]
fn convolution_widths<S: Simd, const W: usize, const R: usize>(simd: S, mut task: ConvolutionTask) {
    // Plain loops: a closure would not be compiled for the instruction set.
    match S::F32_LANES {
        16 => convolution_columns::<S, W, R, 8, 7>(simd, &mut task, 0),
        8 => {
            for column in (0..W).step_by(16) {
                convolution_columns::<S, W, 2, 6, 6>(simd, &mut task, column);
            }
        }
        4 => {
            for column in (0..W).step_by(16) {
                convolution_columns::<S, W, 4, 6, 6>(simd, &mut task, column);
            }
        }
        lanes => {
            for column in (0..W).step_by(lanes) {
                convolution_columns::<S, W, 1, 6, 6>(simd, &mut task, column);
            }
        }
    }
}

/// Rows of taps whose weights are used for all pixels before the next ones are read: those of 48 columns fill half of a
/// first-level cache.
const TAPS_AT_A_TIME: usize = 3;

/// `V` registers of columns over all pixels, `M` or `N` pixels at a time, whichever leaves no rest. The sums of some
/// rows of taps are put down in `out` and taken up with the next.
#[inline(always)]
fn convolution_columns<S: Simd, const W: usize, const V: usize, const M: usize, const N: usize>(
    simd: S,
    task: &mut ConvolutionTask,
    column: usize,
) {
    let pixels = task.out.len() / W;
    let rows = task.source.channels.div_ceil(GROUP) * task.windows.kernel[0];
    let step = (TAPS_AT_A_TIME / task.windows.kernel[1]).max(1);
    let mut first = 0;
    while first < rows {
        let part = Part { first, end: rows.min(first + step), last: first + step >= rows };
        let mut pixel = 0;
        while pixel < pixels {
            pixel += match pixels - pixel {
                left if left % M == 0 => convolution_tile::<S, W, V, M>(simd, task, part, pixel, column),
                left if left % N == 0 => convolution_tile::<S, W, V, N>(simd, task, part, pixel, column),
                left if left >= M => convolution_tile::<S, W, V, M>(simd, task, part, pixel, column),
                left if left >= 4 => convolution_tile::<S, W, V, 4>(simd, task, part, pixel, column),
                left if left >= 2 => convolution_tile::<S, W, V, 2>(simd, task, part, pixel, column),
                _ => convolution_tile::<S, W, V, 1>(simd, task, part, pixel, column),
            };
        }
        first += step;
    }
}

/// Some of the rows of taps, counted group by group.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    end: usize,
    /// Whether the sums are then complete.
    last: bool,
}

/// What a window's pixels outside of the source hold.
static OUTSIDE: [f32; GROUP] = [0.0; GROUP];

/// The sums of `M` pixels by `V` registers of columns. Gives `M`.
#[inline(always)]
fn convolution_tile<S: Simd, const W: usize, const V: usize, const M: usize>(
    simd: S,
    task: &mut ConvolutionTask,
    part: Part,
    pixel: usize,
    column: usize,
) -> usize {
    let mut sums = [*registers::<S, V>(&task.bias[column..]); M];
    if part.first > 0 {
        for (m, sums) in sums.iter_mut().enumerate() {
            *sums = *registers::<S, V>(&task.out[(pixel + m) * W + column..]);
        }
    }
    let Map { height, width, channels, .. } = *task.source;
    let [kernel_height, kernel_width] = task.windows.kernel;
    let corners = corners::<M>(&task.windows, task.first_pixel + pixel);
    let (weights, _) = task.weights.as_chunks::<W>();
    for row in part.first..part.end {
        let (group, y) = (row / kernel_height, row % kernel_height);
        let (group_width, numbers) = (task.source.group_width(group), task.source.group(group));
        let inputs = (channels - group * GROUP).min(GROUP);
        let first_weight = group * GROUP * kernel_height * kernel_width + y * kernel_width * inputs;
        let mut weights = &weights[first_weight..][..kernel_width * inputs];
        for x in 0..kernel_width {
            let (of_tap, rest) = weights.split_at(inputs);
            weights = rest;
            let mut rows = [&OUTSIDE[..of_tap.len()]; M];
            for m in 0..M {
                // Above and to the left of the source these wrap around and are too large as well.
                let (y, x) = (corners[m].0.wrapping_add(y), corners[m].1.wrapping_add(x));
                if y < height && x < width {
                    rows[m] = &numbers[(y * width + x) * group_width..][..of_tap.len()];
                }
            }
            for (input, weights) in of_tap.iter().enumerate() {
                let weights = registers::<S, V>(&weights[column..]);
                for m in 0..M {
                    let number = simd.splat_f32s(rows[m][input]);
                    for v in 0..V {
                        sums[m][v] = simd.mul_add_e_f32s(number, weights[v], sums[m][v]);
                    }
                }
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        let first = (pixel + m) * W + column;
        let finish = if part.last { task.finish } else { Finish::Plain };
        let sums = finished::<S, V>(simd, sums, finish, first);
        store::<S, V>(&mut task.out[first..], &sums);
    }
    M
}

/// The upper left corners of the windows of `M` pixels from `first` on, as wrapping (row, column).
#[inline(always)]
fn corners<const M: usize>(windows: &Windows, first: usize) -> [(usize, usize); M] {
    let (mut row, mut column) = (first / windows.columns, first % windows.columns);
    let mut corners = [(0, 0); M];
    for corner in &mut corners {
        *corner = (
            (row * windows.stride).wrapping_sub(windows.padding[0]),
            (column * windows.stride).wrapping_sub(windows.padding[1]),
        );
        column += 1;
        if column == windows.columns {
            (row, column) = (row + 1, 0);
        }
    }
    corners
}

/// One output row of one group of a depthwise convolution with relu6, from rows that are padded already.
pub(super) struct DepthwiseTask<'a> {
    /// The kernel's side.
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// The input rows that the output row sees, one after the other, each `[padded width, group width]`.
    pub(super) rows: &'a [f32],
    /// `[kernel, kernel, group width]`
    pub(super) weights: &'a [f32],
    /// `[group width]`
    pub(super) bias: &'a [f32],
    /// `[width, group width]`
    pub(super) out: &'a mut [f32],
}

impl WithSimd for DepthwiseTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.bias.len(), self.kernel) {
            (48, 3) => depthwise_widths::<S, 48, 3, 3>(simd, self),
            (48, 5) => depthwise_widths::<S, 48, 3, 5>(simd, self),
            (48, _) => depthwise_widths::<S, 48, 3, 7>(simd, self),
            (32, 3) => depthwise_widths::<S, 32, 2, 3>(simd, self),
            (32, 5) => depthwise_widths::<S, 32, 2, 5>(simd, self),
            (32, _) => depthwise_widths::<S, 32, 2, 7>(simd, self),
            (_, 3) => depthwise_widths::<S, 16, 1, 3>(simd, self),
            (_, 5) => depthwise_widths::<S, 16, 1, 5>(simd, self),
            (_, _) => depthwise_widths::<S, 16, 1, 7>(simd, self),
        }
    }
}

/// `W` and `R` as for [`convolution_widths`], `K` the kernel's side.
#[inline(always)]
fn depthwise_widths<S: Simd, const W: usize, const R: usize, const K: usize>(simd: S, mut task: DepthwiseTask) {
    match S::F32_LANES {
        16 => depthwise_columns::<S, W, R, K, 7>(simd, &mut task, 0),
        8 => {
            for column in (0..W).step_by(16) {
                depthwise_columns::<S, W, 2, K, 4>(simd, &mut task, column);
            }
        }
        4 => {
            for column in (0..W).step_by(16) {
                depthwise_columns::<S, W, 4, K, 4>(simd, &mut task, column);
            }
        }
        lanes => {
            for column in (0..W).step_by(lanes) {
                depthwise_columns::<S, W, 1, K, 4>(simd, &mut task, column);
            }
        }
    }
}

/// `V` registers of columns over the whole row: `M` pixels at a time where that leaves no rest, otherwise four.
#[inline(always)]
fn depthwise_columns<S: Simd, const W: usize, const V: usize, const K: usize, const M: usize>(
    simd: S,
    task: &mut DepthwiseTask,
    column: usize,
) {
    let pixels = task.out.len() / W;
    let mut pixel = 0;
    while pixel < pixels {
        pixel += match pixels - pixel {
            left if left % M == 0 => depthwise_tile::<S, W, V, K, M>(simd, task, pixel, column),
            left if left >= 4 => depthwise_tile::<S, W, V, K, 4>(simd, task, pixel, column),
            _ => depthwise_tile::<S, W, V, K, 1>(simd, task, pixel, column),
        };
    }
}

/// The sums of `M` pixels by `V` registers of columns. Gives `M`.
#[inline(always)]
fn depthwise_tile<S: Simd, const W: usize, const V: usize, const K: usize, const M: usize>(
    simd: S,
    task: &mut DepthwiseTask,
    pixel: usize,
    column: usize,
) -> usize {
    let bias = registers::<S, V>(&task.bias[column..]);
    let mut sums = [*bias; M];
    let weights = &task.weights.as_chunks::<W>().0[..K * K];
    let padded = task.rows.as_chunks::<W>().0;
    for (row, weights) in padded.chunks_exact(padded.len() / K).zip(weights.as_chunks::<K>().0) {
        for (k, weights) in weights.iter().enumerate() {
            let weights = registers::<S, V>(&weights[column..]);
            for m in 0..M {
                let numbers = registers::<S, V>(&row[(pixel + m) * task.stride + k][column..]);
                for v in 0..V {
                    sums[m][v] = simd.mul_add_e_f32s(numbers[v], weights[v], sums[m][v]);
                }
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        let first = (pixel + m) * W + column;
        let sums = finished::<S, V>(simd, sums, Finish::Relu6, first);
        store::<S, V>(&mut task.out[first..], &sums);
    }
    M
}

/// One row of one group of a pooled map: the largest number of each window.
pub(super) struct MaxPoolTask<'a> {
    /// Height and width of the source.
    pub(super) size: [usize; 2],
    /// `[height, width, group width]`
    pub(super) numbers: &'a [f32],
    pub(super) windows: Windows,
    pub(super) row: usize,
    /// `[width, group width]`
    pub(super) out: &'a mut [f32],
}

impl WithSimd for MaxPoolTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [height, width] = self.size;
        let group_width = self.out.len() / self.windows.columns;
        for (column, out) in self.out.chunks_exact_mut(group_width).enumerate() {
            let (out, _) = S::as_mut_simd_f32s(out);
            out.fill(simd.splat_f32s(f32::NEG_INFINITY));
            for y in 0..self.windows.kernel[0] {
                let y = (self.row * self.windows.stride + y).wrapping_sub(self.windows.padding[0]);
                for x in 0..self.windows.kernel[1] {
                    let x = (column * self.windows.stride + x).wrapping_sub(self.windows.padding[1]);
                    if y >= height || x >= width {
                        continue;
                    }
                    let (numbers, _) = S::as_simd_f32s(&self.numbers[(y * width + x) * group_width..][..group_width]);
                    for (largest, number) in out.iter_mut().zip(numbers) {
                        *largest = simd.max_f32s(*largest, *number);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn finished<S: Simd, const V: usize>(simd: S, sums: &[S::f32s; V], finish: Finish, first: usize) -> [S::f32s; V] {
    let mut finished = *sums;
    match finish {
        Finish::Plain => {}
        Finish::Relu => {
            for sum in &mut finished {
                *sum = simd.max_f32s(*sum, simd.splat_f32s(0.0));
            }
        }
        Finish::Relu6 => {
            let (zero, six) = (simd.splat_f32s(0.0), simd.splat_f32s(6.0));
            for sum in &mut finished {
                *sum = simd.min_f32s(simd.max_f32s(*sum, zero), six);
            }
        }
        Finish::Plus(numbers) => {
            let numbers = registers::<S, V>(&numbers[first..]);
            for v in 0..V {
                finished[v] = simd.add_f32s(finished[v], numbers[v]);
            }
        }
        Finish::PlusRelu(numbers) => {
            let numbers = registers::<S, V>(&numbers[first..]);
            for v in 0..V {
                finished[v] = simd.max_f32s(simd.add_f32s(finished[v], numbers[v]), simd.splat_f32s(0.0));
            }
        }
    }
    finished
}

#[cfg(test)]
mod tests {
    use sensorium_core::testing::{KernelCheck, on_every_instruction_set};

    use super::*;

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 25.0 - 2.0).collect()
    }

    fn assert_near(got: &[f32], want: &[f32], what: &str) {
        let near = got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-3);
        assert!(near, "{what}: {got:?} but must be {want:?}");
    }

    /// Every width of group, counts of pixels that take each size of tile, and windows over every edge.
    fn check_convolution<S: Simd>(simd: S, what: &str) {
        let strided = Windows { kernel: [3, 2], stride: 2, padding: [1, 0], columns: 5 };
        for (width, size, inputs, windows, first_pixel, pixels) in [
            (48, [1, 31], 70, Windows::pixels(31), 2, 29),
            (32, [3, 3], 48, Windows::pixels(3), 2, 7),
            (16, [1, 17], 3, Windows::pixels(17), 2, 15),
            (48, [7, 10], 50, strided, 3, 17),
            (16, [7, 10], 16, strided, 0, 20),
        ] {
            let mut source = Map::default();
            source.reshape(inputs, size[0], size[1]);
            for (index, (width, numbers)) in source.groups_mut().enumerate() {
                numbers.copy_from_slice(&noise(size[0] * size[1] * width, index));
            }
            let at = |y: usize, x: usize, input: usize| {
                let (width, numbers) = source.groups().nth(input / GROUP).unwrap();
                if y < size[0] && x < size[1] { numbers[(y * size[1] + x) * width + input % GROUP] } else { 0.0 }
            };
            let [taps_y, taps_x] = windows.kernel;
            let weights = noise(inputs * taps_y * taps_x * width, 5);
            let (bias, plus) = (noise(width, 6), noise(pixels * width, 7));
            let plain: Vec<f32> = (0..pixels * width)
                .map(|i| {
                    let (pixel, column) = (first_pixel + i / width, i % width);
                    let mut row = 0;
                    let mut sum = bias[column];
                    for group in (0..inputs).collect::<Vec<_>>().chunks(GROUP) {
                        for (y, x) in (0..taps_y).flat_map(|y| (0..taps_x).map(move |x| (y, x))) {
                            let y = (pixel / windows.columns * windows.stride + y).wrapping_sub(windows.padding[0]);
                            let x = (pixel % windows.columns * windows.stride + x).wrapping_sub(windows.padding[1]);
                            for input in group {
                                sum += at(y, x, *input) * weights[row * width + column];
                                row += 1;
                            }
                        }
                    }
                    sum
                })
                .collect();
            for finish in [Finish::Plain, Finish::Relu, Finish::Relu6, Finish::Plus(&plus), Finish::PlusRelu(&plus)] {
                let mut out = vec![f32::NAN; pixels * width];
                let (weights, bias, out_of) = (&weights[..], &bias[..], &mut out[..]);
                let source = &source;
                simd.vectorize(ConvolutionTask { source, windows, first_pixel, weights, bias, finish, out: out_of });
                let want: Vec<f32> =
                    plain.iter().enumerate().map(|(i, sum)| finished_plainly(*sum, finish, i)).collect();
                assert_near(&out, &want, &format!("{what}: convolution, {width} columns"));
            }
        }
    }

    fn finished_plainly(sum: f32, finish: Finish, index: usize) -> f32 {
        match finish {
            Finish::Plain => sum,
            Finish::Relu => sum.max(0.0),
            Finish::Relu6 => sum.clamp(0.0, 6.0),
            Finish::Plus(numbers) => sum + numbers[index],
            Finish::PlusRelu(numbers) => (sum + numbers[index]).max(0.0),
        }
    }

    fn check_max_pool<S: Simd>(simd: S, what: &str) {
        let (size, group_width) = ([5, 6], 16);
        let numbers = noise(size[0] * size[1] * group_width, 4);
        let windows = Windows { kernel: [3, 3], stride: 2, padding: [1, 1], columns: 3 };
        for row in 0..3 {
            let mut out = vec![f32::NAN; 3 * group_width];
            simd.vectorize(MaxPoolTask { size, numbers: &numbers, windows, row, out: &mut out });
            let largest = |column: usize, channel: usize| {
                let rows = (2 * row).saturating_sub(1)..(2 * row + 2).min(size[0]);
                let inside = rows
                    .flat_map(|y| ((2 * column).saturating_sub(1)..(2 * column + 2).min(size[1])).map(move |x| (y, x)));
                inside.map(|(y, x)| numbers[(y * size[1] + x) * group_width + channel]).fold(f32::MIN, f32::max)
            };
            let want: Vec<f32> = (0..out.len()).map(|i| largest(i / group_width, i % group_width)).collect();
            assert_near(&out, &want, &format!("{what}: pooling, row {row}"));
        }
    }

    fn check_depthwise<S: Simd>(simd: S, what: &str) {
        for (width, kernel, stride, pixels) in [(48, 3, 2, 12), (48, 5, 1, 7), (32, 5, 3, 6), (16, 7, 1, 9)] {
            let padded = (pixels - 1) * stride + kernel;
            let rows = noise(kernel * padded * width, 1);
            let (weights, bias) = (noise(kernel * kernel * width, 2), noise(width, 3));
            let mut out = vec![f32::NAN; pixels * width];
            let (rows, weights, bias) = (&rows[..], &weights[..], &bias[..]);
            simd.vectorize(DepthwiseTask { kernel, stride, rows, weights, bias, out: &mut out });
            let sum = |pixel: usize, c: usize| {
                let taps = (0..kernel).flat_map(|y| (0..kernel).map(move |x| (y, x)));
                let product = |(y, x)| {
                    rows[(y * padded + pixel * stride + x) * width + c] * weights[(y * kernel + x) * width + c]
                };
                (bias[c] + taps.map(product).sum::<f32>()).clamp(0.0, 6.0)
            };
            let want: Vec<f32> = (0..pixels * width).map(|i| sum(i / width, i % width)).collect();
            assert_near(&out, &want, &format!("{what}: depthwise, {width} columns, kernel {kernel}"));
        }
    }

    struct Sums;

    impl KernelCheck for Sums {
        fn check<S: Simd>(simd: S, what: &str) {
            check_convolution(simd, what);
            check_depthwise(simd, what);
            check_max_pool(simd, what);
        }
    }

    #[test]
    fn every_instruction_set_gives_the_sums() {
        on_every_instruction_set::<Sums>();
    }
}
