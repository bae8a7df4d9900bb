//! Exact search: the best items of a base for each query, the base taken block by block.

use std::cmp::Ordering;

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::product::{BlockProduct, BlockShape};

/// An item of the base and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The item's number: how many were put in before it.
    pub id: usize,
    /// Its inner product with the query.
    pub score: f32,
}

/// The `k` best items of `base` for each query: [`TopK`] over a base that is one slice.
///
/// # Shapes
/// - `queries`: `[queries, dim]`, row-major
/// - `base`: `[items, dim]`, row-major
///
/// # Panics
/// As [`TopK::new`] and [`TopK::extend`].
///
/// ```
/// use sensorium_core::metrics::top_k;
/// let base = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8];
/// let hits = top_k(&[1.0, 0.0], &base, 2, 2);
/// assert_eq!(hits[0].iter().map(|hit| hit.id).collect::<Vec<_>>(), [0, 2]);
/// ```
pub fn top_k(queries: &[f32], base: &[f32], dim: usize, k: usize) -> Vec<Vec<Hit>> {
    let mut search = TopK::new(queries, dim, k);
    search.extend(base);
    search.finish()
}

/// A search in progress: put in the base in blocks of any size, then take the hits.
///
/// The hits of a query stand by falling score, equals by rising id. When the base has fewer than `k` items there are
/// fewer hits. An item whose score is NaN is never a hit. The result does not depend on how the base is cut.
///
/// A base in a file need not be loaded: map it into memory and put in its `f32` or `f16` numbers as they lie.
///
/// ```
/// use half::f16;
/// use sensorium_core::metrics::TopK;
/// let mut search = TopK::new(&[0.0, 1.0], 2, 1);
/// search.extend(&[1.0, 0.0]);
/// search.extend_f16(&[f16::ZERO, f16::ONE]);
/// assert_eq!(search.finish()[0][0].id, 1);
/// ```
pub struct TopK<'a> {
    queries: &'a [f32],
    dim: usize,
    k: usize,
    seen: usize,
    best: Vec<Best>,
}

impl<'a> TopK<'a> {
    /// Begins a search.
    ///
    /// # Shapes
    /// - `queries`: `[queries, dim]`, row-major
    ///
    /// # Panics
    /// If `dim` is 0 or does not divide the length of `queries`.
    pub fn new(queries: &'a [f32], dim: usize, k: usize) -> Self {
        assert!(dim > 0 && queries.len().is_multiple_of(dim), "queries must be [queries, dim] with dim > 0");
        Self { queries, dim, k, seen: 0, best: vec![Best::default(); queries.len() / dim] }
    }

    /// Puts in the next items of the base.
    ///
    /// # Shapes
    /// - `items`: `[items, dim]`, row-major
    ///
    /// # Panics
    /// If `dim` does not divide the length of `items`.
    pub fn extend(&mut self, items: &[f32]) {
        self.search(items, |block, _| block);
    }

    /// As [`extend`](Self::extend), for items stored in half precision; a block at a time is widened to `f32`.
    ///
    /// # Panics
    /// As [`extend`](Self::extend).
    pub fn extend_f16(&mut self, items: &[f16]) {
        self.search(items, |block, wide| {
            wide.resize(block.len(), 0.0);
            block.convert_to_f32_slice(wide);
            wide
        });
    }

    /// The hits of each query.
    pub fn finish(self) -> Vec<Vec<Hit>> {
        self.best.into_iter().map(|best| best.0).collect()
    }

    fn search<T: Copy + Sync>(
        &mut self,
        items: &[T],
        widen: impl for<'b> Fn(&'b [T], &'b mut Vec<f32>) -> &'b [f32] + Sync,
    ) {
        assert!(items.len().is_multiple_of(self.dim), "items must be [items, dim]");
        let count = items.len() / self.dim;
        let shape = BlockShape::streaming(self.best.len(), self.dim);
        let found = items
            .par_chunks(shape.columns * self.dim)
            .enumerate()
            .fold(
                || (BlockProduct::new(shape), Vec::new(), vec![Best::default(); self.best.len()]),
                |(mut product, mut wide, mut found), (block, items)| {
                    let first_id = self.seen + block * shape.columns;
                    self.scan(&mut product, widen(items, &mut wide), first_id, &mut found);
                    (product, wide, found)
                },
            )
            .map(|(_, _, found)| found)
            .reduce(Vec::new, |some, others| match some.is_empty() {
                true => others,
                false => some.into_iter().zip(others).map(|(best, other)| best.merged(other, self.k)).collect(),
            });
        for (best, found) in self.best.iter_mut().zip(found) {
            *best = std::mem::take(best).merged(found, self.k);
        }
        self.seen += count;
    }

    /// Adds to `found` what of this block beats both the hits in `found` and those of earlier blocks.
    fn scan(&self, product: &mut BlockProduct, items: &[f32], first_id: usize, found: &mut [Best]) {
        let shape = product.shape();
        let count = items.len() / self.dim;
        for (block, queries) in self.queries.chunks(shape.rows * self.dim).enumerate() {
            let first = block * shape.rows;
            let scores = product.of(queries, items);
            for (row, query) in (first..first + queries.len() / self.dim).enumerate() {
                let earlier = self.best[query].worst(self.k);
                let scores = &scores[row * shape.columns..row * shape.columns + count];
                for (column, &score) in scores.iter().enumerate() {
                    if earlier.is_none_or(|worst| score > worst.score) {
                        found[query].put(Hit { id: first_id + column, score }, self.k);
                    }
                }
            }
        }
    }
}

/// At most `k` hits in order.
#[derive(Clone, Default)]
struct Best(Vec<Hit>);

impl Best {
    /// The hit that a better one would drive out.
    fn worst(&self, k: usize) -> Option<Hit> {
        k.checked_sub(1).and_then(|last| self.0.get(last)).copied()
    }

    fn put(&mut self, hit: Hit, k: usize) {
        if hit.score.is_nan() || k == 0 || self.worst(k).is_some_and(|worst| stands_before(&worst, &hit)) {
            return;
        }
        let place = self.0.partition_point(|other| stands_before(other, &hit));
        self.0.insert(place, hit);
        self.0.truncate(k);
    }

    fn merged(mut self, other: Self, k: usize) -> Self {
        other.0.into_iter().for_each(|hit| self.put(hit, k));
        self
    }
}

fn stands_before(a: &Hit, b: &Hit) -> bool {
    b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal).then(a.id.cmp(&b.id)) == Ordering::Less
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn integers(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| rng.random_range(-2..=2) as f32).collect()
    }

    /// The definition, literally: score everything, sort stably, cut.
    fn naive(queries: &[f32], base: &[f32], dim: usize, k: usize) -> Vec<Vec<Hit>> {
        let of_query = |query: &[f32]| {
            let score = |item: &[f32]| query.iter().zip(item).map(|(a, b)| a * b).sum::<f32>();
            let mut hits: Vec<Hit> =
                base.chunks(dim).enumerate().map(|(id, item)| Hit { id, score: score(item) }).collect();
            hits.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap());
            hits.truncate(k);
            hits
        };
        queries.chunks(dim).map(of_query).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn hits_equal_a_full_sort_however_the_base_is_cut(
            queries in 1_usize..20, items in 0_usize..900, dim in 1_usize..9, k in 0_usize..30, cut in 1_usize..400,
            seed in 0_u64..100,
        ) {
            let (q, base) = (integers(queries * dim, seed), integers(items * dim, seed + 1));
            let expected = naive(&q, &base, dim, k);
            prop_assert_eq!(&top_k(&q, &base, dim, k), &expected);
            let (mut search, mut search_f16) = (TopK::new(&q, dim, k), TopK::new(&q, dim, k));
            let halves: Vec<f16> = base.iter().map(|&x| f16::from_f32(x)).collect();
            base.chunks(cut * dim).for_each(|part| search.extend(part));
            halves.chunks(cut * dim).for_each(|part| search_f16.extend_f16(part));
            prop_assert_eq!(&search.finish(), &expected);
            prop_assert_eq!(&search_f16.finish(), &expected);
        }
    }

    #[test]
    fn equal_items_come_by_rising_id_whatever_the_rounding() {
        let dim = 129;
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let query: Vec<f32> = (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect();
        let base = query.repeat(3000);
        let ids: Vec<usize> = top_k(&query, &base, dim, 40)[0].iter().map(|hit| hit.id).collect();
        assert_eq!(ids, (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn nan_items_are_never_hits() {
        let hits = top_k(&[1.0], &[f32::NAN, 1.0, f32::NAN, 2.0], 1, 10);
        assert_eq!(hits[0], [Hit { id: 3, score: 2.0 }, Hit { id: 1, score: 1.0 }]);
    }
}
