//! The construction of an HNSW graph by the crate `hnsw_rs`, and the flat levels it is kept as.

use std::collections::BTreeSet;

use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw as Construction;
use sensorium_core::Error;

use super::format::VECTORS;
use super::graph::LevelBuilder;
use super::hnsw::HnswParams;
use super::reader::Index;
use super::writer::is_unit;
use crate::Result;

/// Levels that the construction may use, all that it has.
const MAX_LEVELS: usize = 16;
/// Rows decoded at a time.
const CHUNK_ROWS: usize = 1024;

/// Inserts every row of `index`. Gives the row where a search begins, and the levels from 0 up.
pub(super) fn construct(
    index: &Index,
    params: &HnswParams,
    mut progress: impl FnMut(usize),
) -> Result<(u32, Vec<LevelBuilder>)> {
    let construction = Construction::new(params.m, index.len(), MAX_LEVELS, params.ef_construction, CosineDistance);
    for start in (0..index.len()).step_by(CHUNK_ROWS) {
        let rows = start..index.len().min(start + CHUNK_ROWS);
        let vectors: Vec<Vec<f32>> = rows.clone().map(|row| index.vector(row)).collect();
        if let Some(place) = vectors.iter().position(|vector| !is_unit(vector)) {
            let row = start + place;
            let reason = format!("row {row} is not a unit vector: the file is damaged; index the pictures again");
            return Err(Error::format(index.folder().join(VECTORS), "vector file", reason).into());
        }
        let items: Vec<(&[f32], usize)> = vectors.iter().map(Vec::as_slice).zip(rows.clone()).collect();
        // At first too many rows would miss each other.
        if params.parallel && start > 0 {
            construction.parallel_insert_slice(&items);
        } else {
            items.into_iter().for_each(|item| construction.insert_slice(item));
        }
        progress(rows.end);
    }
    flatten(&construction, index.len())
}

/// 1 minus the cosine of unit vectors, at least 0 as the construction wants it.
struct CosineDistance;

impl Distance<f32> for CosineDistance {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        (1.0 - dot(a, b)).max(0.0)
    }
}

/// Sums in 16 lanes, which the compiler keeps in vector registers.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<16>();
    let (b_chunks, b_rest) = b.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    rest + lanes.iter().sum::<f32>()
}

/// A level holds the nodes that a search can come to: those of the level above, and all that this level's edges lead to
/// from them. (A node's list on a level above its own is only a note of the construction's way down.)
fn flatten(construction: &Construction<f32, CosineDistance>, rows: usize) -> Result<(u32, Vec<LevelBuilder>)> {
    let points = construction.get_point_indexation();
    let top = construction.get_max_level_observed() as usize;
    // The first node that was drawn as high as the top is the construction's entry.
    let Some(entry) = points.get_layer_iterator(top).next() else { return Ok((0, Vec::new())) };
    let mut by_row: Vec<_> = points.into_iter().collect();
    by_row.sort_unstable_by_key(|point| point.get_origin_id());
    let neighbours = |row: u32, level: usize| -> Vec<u32> {
        let mut levels = by_row[row as usize].get_neighborhood_id();
        levels.swap_remove(level).iter().map(|neighbour| neighbour.get_origin_id() as u32).collect()
    };
    let entry = entry.get_origin_id() as u32;
    let mut reached = BTreeSet::from([entry]);
    let mut levels = Vec::new();
    for level in (1..=top).rev() {
        let mut to_visit: Vec<u32> = reached.iter().copied().collect();
        while let Some(row) = to_visit.pop() {
            to_visit.extend(neighbours(row, level).into_iter().filter(|row| reached.insert(*row)));
        }
        levels.push(build_level(reached.iter().copied(), |row| neighbours(row, level))?);
    }
    levels.push(build_level(0..rows as u32, |row| neighbours(row, 0))?);
    levels.reverse();
    Ok((entry, levels))
}

fn build_level(rows: impl Iterator<Item = u32>, neighbours: impl Fn(u32) -> Vec<u32>) -> Result<LevelBuilder> {
    let mut level = LevelBuilder::default();
    for row in rows {
        level.push(row, neighbours(row))?;
    }
    Ok(level)
}
