//! A linear layer for a few rows at a time, as searching needs it. Reading the weights is then what takes time, so each
//! is read once, in order, while the sums of all rows are kept in registers.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use sensorium_core::simd::{registers, store};

/// Outputs of a panel: three registers of AVX-512.
const WIDTH: usize = 48;

/// A linear layer with its weights in panels of [`WIDTH`] outputs.
#[derive(Debug)]
pub(super) struct FewRows {
    inputs: usize,
    outputs: usize,
    /// `[panels, inputs, WIDTH]`, zeros after the last output.
    weights: Vec<f32>,
    /// `[panels, WIDTH]`
    bias: Vec<f32>,
}

impl FewRows {
    /// A layer of `weights` `[inputs, outputs]` and `bias` `[outputs]`.
    pub(super) fn new(weights: &[f32], bias: &[f32]) -> Self {
        let outputs = bias.len();
        let inputs = weights.len() / outputs;
        let panels = outputs.div_ceil(WIDTH);
        let mut packed = vec![0.0; panels * inputs * WIDTH];
        for (panel, packed) in packed.chunks_exact_mut(inputs * WIDTH).enumerate() {
            let columns = panel * WIDTH..outputs.min((panel + 1) * WIDTH);
            for (packed, row) in packed.chunks_exact_mut(WIDTH).zip(weights.chunks_exact(outputs)) {
                packed[..columns.len()].copy_from_slice(&row[columns.clone()]);
            }
        }
        let mut bias = bias.to_vec();
        bias.resize(panels * WIDTH, 0.0);
        Self { inputs, outputs, weights: packed, bias }
    }

    /// `[rows, inputs]` to `[rows, outputs]`.
    pub(super) fn run(&self, rows: &[f32]) -> Vec<f32> {
        let count = rows.len() / self.inputs;
        let mut panels = vec![0.0; count * self.bias.len()];
        let of_panels = self.weights.par_chunks_exact(self.inputs * WIDTH).zip(self.bias.par_chunks_exact(WIDTH));
        panels.par_chunks_exact_mut(count * WIDTH).zip(of_panels).for_each(|(sums, (weights, bias))| {
            Arch::new().dispatch(Panel { rows, inputs: self.inputs, weights, bias, sums });
        });
        let mut out = Vec::with_capacity(count * self.outputs);
        for row in 0..count {
            for (panel, sums) in panels.chunks_exact(count * WIDTH).enumerate() {
                let width = WIDTH.min(self.outputs - panel * WIDTH);
                out.extend_from_slice(&sums[row * WIDTH..][..width]);
            }
        }
        out
    }
}

/// The sums of all rows by the outputs of a panel.
struct Panel<'a> {
    /// `[rows, inputs]`
    rows: &'a [f32],
    inputs: usize,
    /// `[inputs, WIDTH]`
    weights: &'a [f32],
    /// `[WIDTH]`
    bias: &'a [f32],
    /// `[rows, WIDTH]`
    sums: &'a mut [f32],
}

impl WithSimd for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // `V` registers of outputs and up to `R` rows, as many sums as there are registers for.
        match S::F32_LANES {
            16 => columns::<S, 3, 8>(simd, self, 0),
            8 => every_column::<S, 2, 6>(simd, self),
            4 => every_column::<S, 4, 4>(simd, self),
            _ => every_column::<S, 1, 8>(simd, self),
        }
    }
}

#[inline(always)]
fn every_column<S: Simd, const V: usize, const R: usize>(simd: S, panel: Panel) {
    let Panel { rows, inputs, weights, bias, sums } = panel;
    for column in (0..WIDTH).step_by(V * S::F32_LANES) {
        columns::<S, V, R>(simd, Panel { rows, inputs, weights, bias, sums }, column);
    }
}

/// `V` registers of outputs from `column` on for all rows, at most `R` at a time.
#[inline(always)]
fn columns<S: Simd, const V: usize, const R: usize>(simd: S, panel: Panel, column: usize) {
    let Panel { rows, inputs, weights, bias, sums } = panel;
    let (mut rows, mut sums) = (rows, sums);
    while !rows.is_empty() {
        let count = R.min(rows.len() / inputs);
        let (these, later) = rows.split_at(count * inputs);
        let (out, after) = sums.split_at_mut(count * WIDTH);
        let tile = Panel { rows: these, inputs, weights, bias, sums: out };
        match count {
            1 => tile_of::<S, V, 1>(simd, tile, column),
            2 => tile_of::<S, V, 2>(simd, tile, column),
            3 => tile_of::<S, V, 3>(simd, tile, column),
            4 => tile_of::<S, V, 4>(simd, tile, column),
            5 => tile_of::<S, V, 5>(simd, tile, column),
            6 => tile_of::<S, V, 6>(simd, tile, column),
            7 => tile_of::<S, V, 7>(simd, tile, column),
            _ => tile_of::<S, V, 8>(simd, tile, column),
        }
        (rows, sums) = (later, after);
    }
}

/// `M` rows by `V` registers of outputs.
#[inline(always)]
fn tile_of<S: Simd, const V: usize, const M: usize>(simd: S, tile: Panel, column: usize) {
    let Panel { rows, inputs, weights, bias, sums: out } = tile;
    let mut sums = [*registers::<S, V>(&bias[column..]); M];
    let (weights, _) = weights.as_chunks::<WIDTH>();
    let mut of_row = [rows; M];
    for (m, row) in of_row.iter_mut().enumerate() {
        *row = &rows[m * inputs..][..weights.len()];
    }
    for (input, weights) in weights.iter().enumerate() {
        let weights = registers::<S, V>(&weights[column..]);
        for m in 0..M {
            let number = simd.splat_f32s(of_row[m][input]);
            for v in 0..V {
                sums[m][v] = simd.mul_add_e_f32s(number, weights[v], sums[m][v]);
            }
        }
    }
    for (out, sums) in out.chunks_exact_mut(WIDTH).zip(&sums) {
        store::<S, V>(&mut out[column..], sums);
    }
}

#[cfg(test)]
mod tests {
    use sensorium_core::testing::{KernelCheck, on_every_instruction_set};

    use super::*;

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    fn plainly(rows: &[f32], inputs: usize, weights: &[f32], bias: &[f32]) -> Vec<f64> {
        let of_row = |row: &[f32], output: usize| {
            let products = row.iter().zip(weights[output..].iter().step_by(bias.len()));
            f64::from(bias[output]) + products.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>()
        };
        rows.chunks_exact(inputs).flat_map(|row| (0..bias.len()).map(move |output| of_row(row, output))).collect()
    }

    fn assert_near(got: &[f32], want: &[f64], what: &str) {
        assert_eq!(got.len(), want.len(), "{what}");
        for (got, want) in got.iter().zip(want) {
            assert!((f64::from(*got) - want).abs() < 1e-4, "{what}: {got} {want}");
        }
    }

    #[test]
    fn any_number_of_rows_gives_the_sums() {
        for (inputs, outputs) in [(1, 1), (70, 48), (33, 100), (5, 500)] {
            let (weights, bias) = (noise(inputs * outputs, 1), noise(outputs, 2));
            let layer = FewRows::new(&weights, &bias);
            for count in [1, 2, 3, 5, 6, 7, 8, 9, 19, 40] {
                let rows = noise(count * inputs, 3);
                let want = plainly(&rows, inputs, &weights, &bias);
                assert_near(&layer.run(&rows), &want, &format!("{count} rows, {inputs} to {outputs}"));
            }
        }
    }

    struct Sums;

    impl KernelCheck for Sums {
        fn check<S: Simd>(simd: S, what: &str) {
            let inputs = 37;
            let (weights, bias) = (noise(inputs * WIDTH, 1), noise(WIDTH, 2));
            for count in [1, 4, 5, 8, 13] {
                let rows = noise(count * inputs, 3);
                let mut sums = vec![f32::NAN; count * WIDTH];
                simd.vectorize(Panel { rows: &rows, inputs, weights: &weights, bias: &bias, sums: &mut sums });
                assert_near(&sums, &plainly(&rows, inputs, &weights, &bias), &format!("{what}, {count} rows"));
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_sums() {
        on_every_instruction_set::<Sums>();
    }
}
