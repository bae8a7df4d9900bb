//! The inner loops: a tile of sums is kept in registers while all that adds to it streams by. Written once over
//! `pulp`'s vectors and compiled for AVX-512, AVX2, NEON and plain scalars; the best one is chosen at run time.

use pulp::{Simd, WithSimd};

use super::map::{GROUP, Map};

/// What becomes of a finished sum.
#[derive(Clone, Copy)]
pub(super) enum Finish<'a> {
    /// Kept.
    Plain,
    /// Clamped to 0..6.
    Relu6,
    /// Added to these numbers, which lie as the output does.
    Plus(&'a [f32]),
}

/// Consecutive pixels of one output group of a 1 × 1 convolution.
pub(super) struct DenseTask<'a> {
    pub(super) source: &'a Map,
    pub(super) first_pixel: usize,
    /// `[inputs, group width]`
    pub(super) weights: &'a [f32],
    /// `[group width]`
    pub(super) bias: &'a [f32],
    pub(super) finish: Finish<'a>,
    /// `[pixels, group width]`
    pub(super) out: &'a mut [f32],
}

impl WithSimd for DenseTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.bias.len() {
            48 => dense_widths::<S, 48, 3>(simd, self),
            32 => dense_widths::<S, 32, 2>(simd, self),
            _ => dense_widths::<S, 16, 1>(simd, self),
        }
    }
}

/// `W` is the group's width, `R` the AVX-512 registers it fills. Others take 16 columns at a time.
#[inline(always)]
fn dense_widths<S: Simd, const W: usize, const R: usize>(simd: S, mut task: DenseTask) {
    // Plain loops: a closure would not be compiled for the instruction set.
    match S::F32_LANES {
        16 => dense_columns::<S, W, R, 8, 7>(simd, &mut task, 0),
        8 => {
            for column in (0..W).step_by(16) {
                dense_columns::<S, W, 2, 6, 6>(simd, &mut task, column);
            }
        }
        4 => {
            for column in (0..W).step_by(16) {
                dense_columns::<S, W, 4, 6, 6>(simd, &mut task, column);
            }
        }
        lanes => {
            for column in (0..W).step_by(lanes) {
                dense_columns::<S, W, 1, 6, 6>(simd, &mut task, column);
            }
        }
    }
}

/// `V` registers of columns over all pixels, `M` or `N` pixels at a time, whichever leaves no rest.
#[inline(always)]
fn dense_columns<S: Simd, const W: usize, const V: usize, const M: usize, const N: usize>(
    simd: S,
    task: &mut DenseTask,
    column: usize,
) {
    let pixels = task.out.len() / W;
    let mut pixel = 0;
    while pixel < pixels {
        pixel += match pixels - pixel {
            left if left % N == 0 => dense_tile::<S, W, V, N>(simd, task, pixel, column),
            left if left >= M => dense_tile::<S, W, V, M>(simd, task, pixel, column),
            left if left >= 4 => dense_tile::<S, W, V, 4>(simd, task, pixel, column),
            left if left >= 2 => dense_tile::<S, W, V, 2>(simd, task, pixel, column),
            _ => dense_tile::<S, W, V, 1>(simd, task, pixel, column),
        };
    }
}

/// The sums of `M` pixels by `V` registers of columns. Gives `M`.
#[inline(always)]
fn dense_tile<S: Simd, const W: usize, const V: usize, const M: usize>(
    simd: S,
    task: &mut DenseTask,
    pixel: usize,
    column: usize,
) -> usize {
    let bias = registers::<S, V>(&task.bias[column..]);
    let mut sums = [*bias; M];
    let (mut weights, _) = task.weights.as_chunks::<W>();
    for (width, numbers) in task.source.groups() {
        let (of_group, rest) = weights.split_at(weights.len().min(GROUP));
        weights = rest;
        let mut rows = [numbers; M];
        for (m, row) in rows.iter_mut().enumerate() {
            *row = &numbers[(task.first_pixel + pixel + m) * width..][..of_group.len()];
        }
        for (input, weights) in of_group.iter().enumerate() {
            let weights = registers::<S, V>(&weights[column..]);
            for m in 0..M {
                let number = simd.splat_f32s(rows[m][input]);
                for v in 0..V {
                    sums[m][v] = simd.mul_add_e_f32s(number, weights[v], sums[m][v]);
                }
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        let first = (pixel + m) * W + column;
        let sums = finished::<S, V>(simd, sums, task.finish, first);
        store::<S, V>(&mut task.out[first..], &sums);
    }
    M
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

/// `W` and `R` as for [`dense_widths`], `K` the kernel's side.
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

/// The first numbers, as `V` registers.
#[inline(always)]
fn registers<S: Simd, const V: usize>(numbers: &[f32]) -> &[S::f32s; V] {
    S::as_simd_f32s(&numbers[..V * S::F32_LANES]).0.first_chunk().expect("V registers of numbers")
}

#[inline(always)]
fn store<S: Simd, const V: usize>(out: &mut [f32], sums: &[S::f32s; V]) {
    S::as_mut_simd_f32s(&mut out[..V * S::F32_LANES]).0.copy_from_slice(sums);
}

#[inline(always)]
fn finished<S: Simd, const V: usize>(simd: S, sums: &[S::f32s; V], finish: Finish, first: usize) -> [S::f32s; V] {
    let mut finished = *sums;
    match finish {
        Finish::Plain => {}
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
    }
    finished
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 25.0 - 2.0).collect()
    }

    fn assert_near(got: &[f32], want: &[f32], what: &str) {
        let near = got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-3);
        assert!(near, "{what}: {got:?} but must be {want:?}");
    }

    /// Every width of group, and counts of pixels that take each size of tile.
    fn check_dense<S: Simd>(simd: S, what: &str) {
        for (width, pixels, inputs) in [(48, 29, 70), (32, 7, 48), (16, 15, 3)] {
            let mut source = Map::default();
            source.reshape(inputs, 1, pixels + 2);
            for (index, (width, numbers)) in source.groups_mut().enumerate() {
                numbers.copy_from_slice(&noise((pixels + 2) * width, index));
            }
            let at = |pixel: usize, input: usize| {
                let (width, numbers) = source.groups().nth(input / GROUP).unwrap();
                numbers[(pixel + 2) * width + input % GROUP]
            };
            let (weights, bias, plus) = (noise(inputs * width, 5), noise(width, 6), noise(pixels * width, 7));
            let plain: Vec<f32> = (0..pixels * width)
                .map(|i| (i / width, i % width))
                .map(|(p, c)| bias[c] + (0..inputs).map(|k| at(p, k) * weights[k * width + c]).sum::<f32>())
                .collect();
            for finish in [Finish::Plain, Finish::Relu6, Finish::Plus(&plus)] {
                let mut out = vec![f32::NAN; pixels * width];
                let task = DenseTask {
                    source: &source,
                    first_pixel: 2,
                    weights: &weights,
                    bias: &bias,
                    finish,
                    out: &mut out,
                };
                simd.vectorize(task);
                let want: Vec<f32> =
                    plain.iter().enumerate().map(|(i, sum)| finished_plainly(*sum, finish, i)).collect();
                assert_near(&out, &want, &format!("{what}: dense, {width} columns"));
            }
        }
    }

    fn finished_plainly(sum: f32, finish: Finish, index: usize) -> f32 {
        match finish {
            Finish::Plain => sum,
            Finish::Relu6 => sum.clamp(0.0, 6.0),
            Finish::Plus(numbers) => sum + numbers[index],
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

    #[test]
    fn every_instruction_set_gives_the_sums() {
        check_dense(pulp::Scalar, "scalar");
        check_depthwise(pulp::Scalar, "scalar");
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            check_dense(avx2, "AVX2");
            check_depthwise(avx2, "AVX2");
        }
        struct Best;
        impl WithSimd for Best {
            type Output = ();
            fn with_simd<S: Simd>(self, simd: S) {
                check_dense(simd, "the best");
                check_depthwise(simd, "the best");
            }
        }
        pulp::Arch::new().dispatch(Best);
    }
}
