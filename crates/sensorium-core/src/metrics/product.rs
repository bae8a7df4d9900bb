//! Score blocks: inner products of two sets of vectors, always in one block shape.
//!
//! Equal vectors must get bitwise equal scores wherever they stand, or ties break by accident and a gold item's score
//! differs from the one it is compared with. A matrix product may sum in another order when its shape changes, so
//! every product of one problem is taken in the same shape, the last blocks padded with zeros.

/// Rows of a block, at most: a multiple of the register tiles' widths (6 and 4), and with [`COLUMNS`] a block that
/// stays in a core's L2 cache.
const ROWS: usize = 384;
/// Columns of a block, at most: a multiple of the register tiles' heights (64 with AVX-512, 24 with AVX2).
const COLUMNS: usize = 768;
const ROW_STEP: usize = 12;
const COLUMN_STEP: usize = 192;
/// Up to so many rows are multiplied one by one: a matrix product would first copy the columns into tiles, which costs
/// more than the few rows save.
const FEW: usize = 8;

/// The block shape of one problem.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockShape {
    /// Left vectors a block.
    pub(super) rows: usize,
    /// Right vectors a block.
    pub(super) columns: usize,
    /// Numbers a vector.
    pub(super) dim: usize,
}

impl BlockShape {
    /// Splits `rows` by `columns` scores into blocks of nearly equal size.
    pub(super) fn new(rows: usize, columns: usize, dim: usize) -> Self {
        let even = |count: usize, most: usize, step: usize| {
            let blocks = count.div_ceil(most).max(1);
            count.div_ceil(blocks).max(1).next_multiple_of(step)
        };
        let rows = if rows <= FEW { rows.max(1) } else { even(rows, ROWS, ROW_STEP) };
        Self { rows, columns: even(columns, COLUMNS, COLUMN_STEP), dim }
    }

    /// Splits `rows` by an unknown number of columns, so that the shape does not depend on how they arrive.
    pub(super) fn streaming(rows: usize, dim: usize) -> Self {
        Self::new(rows, COLUMNS, dim)
    }
}

/// One thread's buffers for products of a [`BlockShape`].
pub(super) struct BlockProduct {
    shape: BlockShape,
    left: Vec<f32>,
    right: Vec<f32>,
    scores: Vec<f32>,
}

impl BlockProduct {
    pub(super) fn new(shape: BlockShape) -> Self {
        let BlockShape { rows, columns, dim } = shape;
        Self { shape, left: vec![0.0; rows * dim], right: vec![0.0; columns * dim], scores: vec![0.0; rows * columns] }
    }

    pub(super) fn shape(&self) -> BlockShape {
        self.shape
    }

    /// The scores of `left` (`[<= rows, dim]`) against `right` (`[<= columns, dim]`): row `r` begins at
    /// `r * shape.columns`. What lies outside the vectors given is meaningless.
    pub(super) fn of(&mut self, left: &[f32], right: &[f32]) -> &[f32] {
        let BlockShape { rows, columns, dim } = self.shape;
        let left = padded(left, &mut self.left);
        let right = padded(right, &mut self.right);
        let together = if rows <= FEW { 1 } else { rows };
        for (left, scores) in left.chunks(together * dim.max(1)).zip(self.scores.chunks_mut(together * columns)) {
            multiply(left, right, scores, [together, columns, dim]);
        }
        &self.scores
    }
}

/// `scores[row][column]` = the inner product of `left[row]` and `right[column]`.
fn multiply(left: &[f32], right: &[f32], scores: &mut [f32], [rows, columns, dim]: [usize; 3]) {
    assert!(left.len() == rows * dim && right.len() == columns * dim && scores.len() == rows * columns);
    // SAFETY: the three slices have exactly the lengths that the sizes and strides below address (checked above), and
    // `scores` is borrowed mutably, so it overlaps neither operand.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            dim,
            scores.as_mut_ptr(),
            1,
            columns as isize,
            false,
            left.as_ptr(),
            1,
            dim as isize,
            right.as_ptr(),
            dim as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `values` itself when it fills a block, else its copy in `buffer` with zeros behind.
fn padded<'a>(values: &'a [f32], buffer: &'a mut [f32]) -> &'a [f32] {
    if values.len() == buffer.len() {
        return values;
    }
    buffer[..values.len()].copy_from_slice(values);
    buffer[values.len()..].fill(0.0);
    buffer
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn blocks_cover_the_problem_evenly() {
        for (rows, columns) in [(9, 1), (12, 192), (13, 193), (384, 768), (385, 769), (5000, 25000)] {
            let shape = BlockShape::new(rows, columns, 8);
            assert!(shape.rows <= ROWS && shape.columns <= COLUMNS);
            assert!(shape.rows.is_multiple_of(ROW_STEP) && shape.columns.is_multiple_of(COLUMN_STEP));
            let waste = rows.div_ceil(shape.rows) * shape.rows - rows;
            assert!(waste < shape.rows, "a block of padding for {rows} rows");
        }
    }

    /// The rule that exact ties rest on: a pair's score has the same bits in every place of every block.
    #[test]
    fn a_pair_has_the_same_score_bits_in_every_place() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (rows, columns, dim) in
            [(1, 1, 1), (1, 800, 257), (7, 200, 31), (9, 50, 2), (40, 300, 64), (390, 800, 1030)]
        {
            let shape = BlockShape::new(rows, columns, dim);
            let vector: Vec<f32> = (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect();
            let other: Vec<f32> = (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect();
            let (left, right) = (vector.repeat(shape.rows), other.repeat(shape.columns));
            let mut product = BlockProduct::new(shape);
            let full = product.of(&left, &right).to_vec();
            assert!(full.iter().all(|score| score.to_bits() == full[0].to_bits()), "{rows} x {columns} x {dim}");
            let alone = product.of(&vector, &other)[0];
            assert_eq!(alone.to_bits(), full[0].to_bits());
            let exact: f64 = vector.iter().zip(&other).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            assert!((f64::from(alone) - exact).abs() < 1e-4, "{alone} {exact}");
        }
    }
}
