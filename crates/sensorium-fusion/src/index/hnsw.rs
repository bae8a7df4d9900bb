//! Approximate search in a hierarchical navigable small world graph.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use rayon::prelude::*;
use sensorium_core::Error;

use super::construct::{construct, dot};
use super::format::GRAPH;
use super::graph::{self, Graph, Owner};
use super::reader::Index;
use super::search::Hit;
use crate::Result;

/// A found row counts for recall when its score is this close to that of the last exact one: equal pictures are equal.
const EQUAL_SCORE: f32 = 1e-5;

/// How a graph is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HnswParams {
    /// Neighbours of a node on the upper levels, 2 to 128; on level 0 there are up to twice as many.
    pub m: usize,
    /// Candidates weighed for each new node, 1 to 65,536: more build a better graph more slowly.
    pub ef_construction: usize,
    /// Inserts on all cores: quicker, but which of two rows comes first is then left to chance, and with it the graph.
    pub parallel: bool,
}

impl Default for HnswParams {
    fn default() -> Self {
        Self { m: 16, ef_construction: 100, parallel: false }
    }
}

impl HnswParams {
    fn validate(&self) -> Result<()> {
        if !(2..=128).contains(&self.m) {
            return Err(Error::config("m", self.m, "a graph's nodes have 2 to 128 neighbours").into());
        }
        if !(1..=65_536).contains(&self.ef_construction) {
            return Err(Error::config("ef_construction", self.ef_construction, "must be 1 to 65,536").into());
        }
        Ok(())
    }
}

/// A graph over the rows of an [`Index`], for approximate search (Malkov and Yashunin 2016, arXiv:1603.09320).
///
/// The crate `hnsw_rs` constructs the graph. It is kept as flat arrays in `graph.bin` beside the vectors, which it does
/// not copy, and is mapped again in a moment; that crate's own dump is read into an allocation for each edge, holds the
/// vectors a second time, and ends the process on a damaged file.
#[derive(Debug)]
pub struct Hnsw<'a> {
    index: &'a Index,
    graph: Graph,
}

impl<'a> Hnsw<'a> {
    /// Builds the graph of `index`, saves it in the index's folder, and opens it. Calls `progress` with the number of
    /// rows done after each.
    ///
    /// Levels are drawn from a fixed seed and rows are inserted in order, so that the same index and `params` give the
    /// same file, unless `params.parallel`. While it builds, this takes about 4 KB of memory a row and the vectors as f32.
    ///
    /// # Errors
    /// `params` are out of range; a row is not a unit vector, so `vectors.bin` is damaged; the index has 2³² rows or
    /// more; the graph cannot be written.
    pub fn build(index: &'a Index, params: &HnswParams, progress: impl FnMut(usize)) -> Result<Self> {
        params.validate()?;
        let owner = owner(index)?;
        let (entry, levels) = construct(index, params, progress)?;
        graph::write(&index.folder().join(GRAPH), owner, params, entry, &levels)?;
        Self::load(index, owner)
    }

    /// Opens the graph of `index`; none when none has been built.
    ///
    /// # Errors
    /// The graph's file is damaged, or belongs to another index.
    pub fn open(index: &'a Index) -> Result<Option<Self>> {
        if index.folder().join(GRAPH).exists() { Self::load(index, owner(index)?).map(Some) } else { Ok(None) }
    }

    fn load(index: &'a Index, owner: Owner) -> Result<Self> {
        Ok(Self { index, graph: Graph::open(&index.folder().join(GRAPH), owner)? })
    }

    /// How the graph was built.
    pub fn params(&self) -> &HnswParams {
        self.graph.params()
    }

    /// The `k` rows of the highest dot product with `query` (`[dim]`) that the graph leads to, the best first. Rows in
    /// `exclude` are passed over. `ef` candidates are kept on the way, at least `k` and one for each of `exclude`: more
    /// find more of the true neighbours, more slowly.
    ///
    /// # Panics
    /// When `query` is not `[dim]`.
    pub fn search(&self, query: &[f32], k: usize, ef: usize, exclude: &[usize]) -> Vec<Hit> {
        assert_eq!(query.len(), self.index.dim(), "a query of this index has {} numbers", self.index.dim());
        if self.index.is_empty() {
            return Vec::new();
        }
        let mut scorer = Scorer { index: self.index, query, decoded: Vec::new() };
        let mut nearest = scorer.score(self.graph.entry());
        for level in (1..self.graph.levels()).rev() {
            nearest = self.descend(level, nearest, &mut scorer);
        }
        let ef = ef.max(k.saturating_add(exclude.len())).clamp(1, self.index.len());
        let found = self.search_base(nearest, ef, &mut scorer);
        self.index.hits(found.into_iter().map(|found| (found.row, found.score)), k, exclude)
    }

    /// The share of the true `k` best rows that [`search`](Self::search) with this `ef` finds, on average over `queries`
    /// (`[queries, dim]`). A row whose score equals that of the last true one counts as true. 1 where there is nothing to
    /// find.
    ///
    /// # Panics
    /// When `queries` is not a whole number of vectors.
    pub fn recall_against_exact(&self, queries: &[f32], k: usize, ef: usize) -> f64 {
        let exact = self.index.search(queries, k, &[]);
        let shares: Vec<f64> = queries
            .par_chunks(self.index.dim())
            .zip(&exact)
            .filter_map(|(query, exact)| {
                let least = exact.last()?.score - EQUAL_SCORE;
                let hits = self.search(query, k, ef, &[]);
                Some(hits.iter().filter(|hit| hit.score >= least).count() as f64 / exact.len() as f64)
            })
            .collect();
        if shares.is_empty() { 1.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 }
    }

    /// Goes from neighbour to better neighbour on one level.
    fn descend(&self, level: usize, mut nearest: Scored, scorer: &mut Scorer) -> Scored {
        loop {
            let neighbours = self.graph.neighbours(level, nearest.row).iter();
            match neighbours.map(|row| scorer.score(*row as usize)).max() {
                Some(better) if better > nearest => nearest = better,
                _ => return nearest,
            }
        }
    }

    /// The paper's algorithm 2 on level 0: visits the neighbours of the best candidate until that is worse than all of
    /// the `ef` found, which come out with the best first.
    fn search_base(&self, start: Scored, ef: usize, scorer: &mut Scorer) -> Vec<Scored> {
        let mut visited = vec![false; self.index.len()];
        visited[start.row] = true;
        let mut candidates = BinaryHeap::from([start]);
        let mut found = BinaryHeap::from([Reverse(start)]);
        while let Some(candidate) = candidates.pop() {
            if found.len() == ef && found.peek().is_some_and(|worst| candidate < worst.0) {
                break;
            }
            for &row in self.graph.neighbours(0, candidate.row) {
                let row = row as usize;
                if std::mem::replace(&mut visited[row], true) {
                    continue;
                }
                let scored = scorer.score(row);
                if found.len() < ef || found.peek().is_some_and(|worst| scored > worst.0) {
                    candidates.push(scored);
                    found.push(Reverse(scored));
                    if found.len() > ef {
                        found.pop();
                    }
                }
            }
        }
        found.into_sorted_vec().into_iter().map(|Reverse(scored)| scored).collect()
    }
}

fn owner(index: &Index) -> Result<Owner> {
    let rows = u32::try_from(index.len())
        .map_err(|_| Error::config("rows", index.len(), "a graph has fewer than 2^32; search exactly"))?;
    Ok(Owner { rows, manifest: index.manifest().checksum() })
}

/// Scores rows against one query.
struct Scorer<'a> {
    index: &'a Index,
    query: &'a [f32],
    decoded: Vec<f32>,
}

impl Scorer<'_> {
    /// A score that is not a number counts as the worst.
    fn score(&mut self, row: usize) -> Scored {
        let score = dot(self.query, self.index.row(row, &mut self.decoded));
        Scored { score: if score.is_nan() { f32::NEG_INFINITY } else { score }, row }
    }
}

/// A row with its score. The greater is the better: by score, and of equal scores the lower row.
#[derive(Debug, Clone, Copy)]
struct Scored {
    score: f32,
    row: usize,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}
