//! The inner loops: a window's words against its outputs as small matrix products, written once over `pulp`'s vectors
//! and compiled for AVX-512, AVX2, NEON and plain scalars; the best one is chosen at run time.

use pulp::Simd;

/// Outputs that are scored together.
pub(super) const TILE: usize = 6;

/// Hidden vectors and what is to be added to them; row `i` begins at vector `i * width`.
pub(super) struct Hidden<'a, S: Simd> {
    pub(super) values: &'a [S::f32s],
    pub(super) errors: &'a mut [S::f32s],
    /// Vectors in a row.
    pub(super) width: usize,
}

/// A few outputs of a step.
pub(super) struct Outputs<'a, S: Simd, const N: usize> {
    pub(super) rows: [&'a [S::f32s]; N],
    /// 1 for what is there, 0 for what is not.
    pub(super) labels: [f32; N],
}

/// A multiple of a vector, by its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) vector: u32,
    pub(super) factor: f32,
}

/// The step of logistic regression for every pair of the hidden vectors `at` with the outputs:
/// `g = (label − σ(h · o)) lr`, `error += g o`. What is to be added to an output, `Σ g h`, is left to [`add`]: `g` is
/// memory for `[at, N]` numbers rounded up to 16, and holds them after.
#[inline(always)]
pub(super) fn step<S: Simd, const N: usize>(
    simd: S,
    hidden: &mut Hidden<S>,
    at: &[usize],
    outputs: Outputs<S, N>,
    lr: f32,
    g: &mut [f32],
) {
    let Outputs { rows, labels } = outputs;
    let width = hidden.width;
    // AVX-512 has 32 registers for the sums of a tile, the others 16.
    let mut from = 0;
    while from < at.len() {
        from += match (at.len() - from, S::F32_LANES) {
            (1, _) => scores::<S, 1, N>(simd, hidden, at, from, &rows, g),
            (2 | 3, _) | (_, ..=8) => scores::<S, 2, N>(simd, hidden, at, from, &rows, g),
            _ => scores::<S, 4, N>(simd, hidden, at, from, &rows, g),
        };
    }
    let count = at.len() * N;
    for block in g[..count.next_multiple_of(16)].as_chunks_mut().0 {
        sigmoids(block);
    }
    for scores in g[..count].as_chunks_mut::<N>().0 {
        for j in 0..N {
            scores[j] = (labels[j] - scores[j]) * lr;
        }
    }
    for (i, row) in at.iter().enumerate() {
        let mut factors = [simd.splat_f32s(0.0); N];
        for j in 0..N {
            factors[j] = simd.splat_f32s(g[i * N + j]);
        }
        let errors = &mut hidden.errors[row * width..][..width];
        for v in 0..width {
            let mut sum = errors[v];
            for j in 0..N {
                sum = simd.mul_add_f32s(factors[j], rows[j][v], sum);
            }
            errors[v] = sum;
        }
    }
}

/// The inner products of `M` hidden vectors from `at[from]` on with the outputs, into `g`; gives `M`.
#[inline(always)]
fn scores<S: Simd, const M: usize, const N: usize>(
    simd: S,
    hidden: &Hidden<S>,
    at: &[usize],
    from: usize,
    outputs: &[&[S::f32s]; N],
    g: &mut [f32],
) -> usize {
    let width = hidden.width;
    let mut rows: [&[S::f32s]; M] = [&[]; M];
    for i in 0..M {
        rows[i] = &hidden.values[at[from + i] * width..][..width];
    }
    let mut columns: [&[S::f32s]; N] = [&[]; N];
    for j in 0..N {
        columns[j] = &outputs[j][..width];
    }
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    for v in 0..width {
        let mut column = [simd.splat_f32s(0.0); N];
        for j in 0..N {
            column[j] = columns[j][v];
        }
        for i in 0..M {
            for j in 0..N {
                sums[i][j] = simd.mul_add_f32s(rows[i][v], column[j], sums[i][j]);
            }
        }
    }
    for i in 0..M {
        for j in 0..N {
            g[(from + i) * N + j] = simd.reduce_sum_f32s(sums[i][j]);
        }
    }
    M
}

/// `1 / (1 + exp(−x))` of each number, to 1e-6; loops that a compiler turns into vector instructions.
#[inline(always)]
fn sigmoids(numbers: &mut [f32; 16]) {
    // Adding it leaves the whole part of a number in the lowest bits.
    const WHOLE: f32 = 12_582_912.0;
    for number in numbers {
        let exponent = number.clamp(-30.0, 30.0) * -std::f32::consts::LOG2_E;
        let shifted = exponent + WHOLE;
        let f = (exponent - (shifted - WHOLE)) * std::f32::consts::LN_2;
        // e^f by its series: f is at most ln 2 / 2.
        let series = 1.0 + f * (1.0 + f * (0.5 + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0 + f / 720.0)))));
        let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
        *number = 1.0 / (1.0 + series * power);
    }
}

/// Asks for `row` to be brought near, without waiting for it.
#[inline(always)]
pub(super) fn prefetch(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks_exact(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch changes nothing that a program can see, whatever the address.
        #[expect(unsafe_code, reason = "a hint to the processor")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// Adds a sum to `row`; vector `i` begins at `i * row.len()`.
#[inline(always)]
pub(super) fn add<S: Simd>(simd: S, row: &mut [S::f32s], vectors: &[S::f32s], terms: &[Term]) {
    // Loops, not closures: a closure is not compiled for the processor that was found.
    let (quads, rest) = terms.as_chunks::<4>();
    for terms in quads {
        add_some(simd, row, vectors, terms);
    }
    let (pairs, rest) = rest.as_chunks::<2>();
    for terms in pairs {
        add_some(simd, row, vectors, terms);
    }
    for term in rest.as_chunks::<1>().0 {
        add_some(simd, row, vectors, term);
    }
}

#[inline(always)]
fn add_some<S: Simd, const M: usize>(simd: S, row: &mut [S::f32s], vectors: &[S::f32s], terms: &[Term; M]) {
    let width = row.len();
    let mut factors = [simd.splat_f32s(0.0); M];
    let mut of: [&[S::f32s]; M] = [&[]; M];
    for i in 0..M {
        factors[i] = simd.splat_f32s(terms[i].factor);
        of[i] = &vectors[terms[i].vector as usize * width..][..width];
    }
    for v in 0..width {
        let mut sum = row[v];
        for i in 0..M {
            sum = simd.mul_add_f32s(factors[i], of[i][v], sum);
        }
        row[v] = sum;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulp::{Arch, WithSimd};

    use super::*;

    /// A step on numbers that wave; compared with plain loops.
    struct Check<const N: usize> {
        at: Vec<usize>,
        width: usize,
    }

    fn waves(count: usize, pace: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * pace).sin()).collect()
    }

    impl<const N: usize> WithSimd for Check<N> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let (stride, lr) = (self.width * 16, 0.3);
            let width = stride / S::F32_LANES;
            let rows = self.at.iter().max().unwrap() + 1;
            let (values, outputs) = (waves(rows * stride, 0.7), waves(N * stride, 1.3));
            let (mut errors, mut moved) = (vec![0.5; rows * stride], outputs.clone());
            let mut labels = [0.0; N];
            labels[N / 2] = 1.0;
            let mut g = vec![0.0; (self.at.len() * N).next_multiple_of(16)];
            let output_rows = S::as_simd_f32s(&outputs).0;
            let tile = Outputs::<S, N> { rows: std::array::from_fn(|j| &output_rows[j * width..][..width]), labels };
            let vectors = S::as_simd_f32s(&values).0;
            let mut hidden = Hidden::<S> { values: vectors, errors: S::as_mut_simd_f32s(&mut errors).0, width };
            step(simd, &mut hidden, &self.at, tile, lr, &mut g);
            for (j, row) in S::as_mut_simd_f32s(&mut moved).0.chunks_exact_mut(width).enumerate() {
                let term = |(i, at): (usize, &usize)| Term { vector: *at as u32, factor: g[i * N + j] };
                add(simd, row, vectors, &self.at.iter().enumerate().map(term).collect::<Vec<_>>());
            }

            let (mut want_errors, mut want_moved) = (vec![0.5; rows * stride], outputs.clone());
            for row in &self.at {
                for j in 0..N {
                    let (h, o) = (&values[row * stride..][..stride], &outputs[j * stride..][..stride]);
                    let score: f32 = h.iter().zip(o).map(|(h, o)| h * o).sum();
                    let g = (labels[j] - 1.0 / (1.0 + (-score).exp())) * lr;
                    for d in 0..stride {
                        want_errors[row * stride + d] += g * o[d];
                        want_moved[j * stride + d] += g * h[d];
                    }
                }
            }
            for (got, want) in errors.iter().zip(&want_errors).chain(moved.iter().zip(&want_moved)) {
                assert!((got - want).abs() < 1e-4, "{got} {want}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_step_equals_plain_loops(at in proptest::collection::vec(0usize..20, 1..24), width in 1usize..5) {
            let arch = Arch::new();
            arch.dispatch(Check::<1> { at: at.clone(), width });
            arch.dispatch(Check::<2> { at: at.clone(), width });
            arch.dispatch(Check::<3> { at: at.clone(), width });
            arch.dispatch(Check::<4> { at: at.clone(), width });
            arch.dispatch(Check::<5> { at: at.clone(), width });
            arch.dispatch(Check::<6> { at: at.clone(), width });
            // The portable path, which this machine would not choose.
            Check::<6> { at, width }.with_simd(pulp::Scalar::new());
        }
    }

    #[test]
    fn sigmoids_are_exact_to_a_millionth() {
        for i in -4000..=4000 {
            let x = i as f32 / 100.0;
            let mut numbers = [x; 16];
            sigmoids(&mut numbers);
            let want = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(numbers[0]) - want).abs() < 1e-6, "{x}: {} {want}", numbers[0]);
        }
    }
}
