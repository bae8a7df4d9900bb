//! Exact search: every row is scored.

use sensorium_core::metrics::TopK;
use serde::Serialize;

use super::reader::{Index, Rows};

/// A row that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// The row in the index.
    pub row: usize,
    /// Its id.
    pub id: String,
    /// Dot product with the query: the cosine where the query too has length 1.
    pub score: f32,
}

impl Index {
    /// For each of `queries` (`[queries, dim]`), the `k` rows of the highest dot product, the best first; of equal scores
    /// the lower row first. Rows in `exclude` are passed over. Fewer are found where there are no more rows.
    ///
    /// Scores every row, block by block on all cores by [`TopK`]: the answer is exact, for f16 rows as they are stored.
    ///
    /// # Panics
    /// When `queries` is not a whole number of vectors.
    pub fn search(&self, queries: &[f32], k: usize, exclude: &[usize]) -> Vec<Vec<Hit>> {
        let mut search = TopK::new(queries, self.dim(), k.saturating_add(exclude.len()).min(self.len()));
        match self.rows() {
            Rows::F32(rows) => search.extend(rows),
            Rows::F16(rows) => search.extend_f16(rows),
        }
        let found = search.finish().into_iter();
        found.map(|hits| self.hits(hits.into_iter().map(|hit| (hit.id, hit.score)), k, exclude)).collect()
    }

    /// The first `k` of rows with their scores that are not in `exclude`.
    pub(super) fn hits(&self, found: impl Iterator<Item = (usize, f32)>, k: usize, exclude: &[usize]) -> Vec<Hit> {
        let wanted = found.filter(|(row, _)| !exclude.contains(row)).take(k);
        wanted.map(|(row, score)| Hit { row, id: self.ids()[row].clone(), score }).collect()
    }
}
