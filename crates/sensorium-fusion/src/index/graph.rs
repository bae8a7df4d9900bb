//! The file of an HNSW graph: flat arrays, checked once and then walked where they lie in the mapping.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;
use sensorium_core::Error;
use sensorium_core::files::write_atomic;

use super::format;
use super::hnsw::HnswParams;
use crate::Result;

const MAGIC: [u32; 2] = [u32::from_le_bytes(*b"SENS"), u32::from_le_bytes(*b"HNSW")];
const VERSION: u32 = 1;
const HEADER_WORDS: usize = 16;
const CHECKSUM_WORDS: usize = 2;

/// The index that a graph belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    /// Rows of the index.
    pub(super) rows: u32,
    /// Checksum of the index's description.
    pub(super) manifest: u64,
}

/// One level of a graph while it is made.
#[derive(Debug, Default)]
pub(super) struct LevelBuilder {
    nodes: Vec<u32>,
    ends: Vec<u32>,
    edges: Vec<u32>,
}

impl LevelBuilder {
    /// Adds a node with its neighbours, the nearest first. Nodes come in ascending order.
    pub(super) fn push(&mut self, node: u32, neighbours: impl IntoIterator<Item = u32>) -> Result<()> {
        self.edges.extend(neighbours);
        let end = u32::try_from(self.edges.len()).map_err(|_| {
            Error::config(
                "edges",
                self.edges.len(),
                "a level of a graph has fewer than 2^32; lower m, or search exactly",
            )
        })?;
        self.nodes.push(node);
        self.ends.push(end);
        Ok(())
    }

    fn write(&self, words: &mut Vec<u32>) {
        words.extend([self.nodes.len() as u32, self.edges.len() as u32]);
        words.extend(&self.nodes);
        words.push(0);
        words.extend(&self.ends);
        words.extend(&self.edges);
    }
}

/// Writes a graph in one step; `levels` from level 0 up, none for an empty index.
pub(super) fn write(path: &Path, owner: Owner, params: &HnswParams, entry: u32, levels: &[LevelBuilder]) -> Result<()> {
    let [manifest_low, manifest_high] = halves(owner.manifest);
    let mut words = MAGIC.to_vec();
    words.extend([VERSION, levels.len() as u32, owner.rows, params.m as u32, params.ef_construction as u32, entry]);
    words.extend([manifest_low, manifest_high, u32::from(params.parallel)]);
    words.resize(HEADER_WORDS, 0);
    levels.iter().for_each(|level| level.write(&mut words));
    words.extend(halves(format::checksum(bytemuck::cast_slice(&words))));
    Ok(write_atomic(path, bytemuck::cast_slice(&words))?)
}

/// A graph in its mapped file. Every row and offset in it has been checked.
#[derive(Debug)]
pub(super) struct Graph {
    mapped: Mmap,
    params: HnswParams,
    entry: u32,
    levels: Vec<Level>,
}

/// Where the words of a level lie.
#[derive(Debug)]
struct Level {
    nodes: Range<usize>,
    offsets: Range<usize>,
    edges: Range<usize>,
}

impl Graph {
    /// Maps and checks the graph at `path`, which must belong to `owner`.
    pub(super) fn open(path: &Path, owner: Owner) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "read"))?;
        let bytes = file.metadata().map_err(Error::io(path, "read"))?.len();
        let bad = |reason: &str| {
            Error::format(path, "HNSW graph", format!("{reason}; delete the file, and the next search builds it again"))
        };
        if bytes % 4 != 0 || bytes < 4 * (HEADER_WORDS + CHECKSUM_WORDS) as u64 {
            return Err(bad(&format!("it has {bytes} bytes, which cannot be")).into());
        }
        let mapped = format::map(&file, path)?;
        let words: &[u32] = bytemuck::cast_slice(&mapped);
        if words[..2] != MAGIC || words[2] != VERSION {
            return Err(bad(&format!("it does not begin with SENSHNSW and version {VERSION}")).into());
        }
        let (content, sum) = words.split_at(words.len() - CHECKSUM_WORDS);
        if halves(format::checksum(bytemuck::cast_slice(content))) != *sum {
            return Err(bad("its checksum is wrong: the file is damaged").into());
        }
        if words[4] != owner.rows || words[8..10] != halves(owner.manifest) {
            return Err(bad("it was built for another state of the index").into());
        }
        let levels = parse_levels(content, words[3], owner.rows).map_err(|reason| bad(&reason))?;
        let entry = words[7];
        if !levels.is_empty() && entry >= owner.rows {
            return Err(bad(&format!("its entry {entry} is not a row")).into());
        }
        let params = HnswParams { m: words[5] as usize, ef_construction: words[6] as usize, parallel: words[10] == 1 };
        Ok(Self { mapped, params, entry, levels })
    }

    pub(super) fn params(&self) -> &HnswParams {
        &self.params
    }

    /// Where a search begins.
    pub(super) fn entry(&self) -> usize {
        self.entry as usize
    }

    /// Number of levels; 0 for an empty index.
    pub(super) fn levels(&self) -> usize {
        self.levels.len()
    }

    /// The neighbours of `node` on `level`; none where it is not on that level.
    pub(super) fn neighbours(&self, level: usize, node: usize) -> &[u32] {
        let words: &[u32] = bytemuck::cast_slice(&self.mapped);
        let Level { nodes, offsets, edges } = &self.levels[level];
        let position = match level {
            0 => Ok(node),
            _ => words[nodes.clone()].binary_search(&(node as u32)),
        };
        position.map_or(&[], |position| {
            let offsets = &words[offsets.clone()][position..position + 2];
            &words[edges.clone()][offsets[0] as usize..offsets[1] as usize]
        })
    }
}

fn parse_levels(words: &[u32], count: u32, rows: u32) -> Result<Vec<Level>, String> {
    let mut at = HEADER_WORDS;
    let mut take = |length: usize| -> Result<Range<usize>, String> {
        let start = at;
        at = start.checked_add(length).filter(|end| *end <= words.len()).ok_or("it ends too early")?;
        Ok(start..at)
    };
    let mut levels = Vec::new();
    for number in 0..count {
        let sizes = take(2)?.start;
        let (nodes, edges) = (words[sizes] as usize, words[sizes + 1] as usize);
        let level = Level { nodes: take(nodes)?, offsets: take(nodes + 1)?, edges: take(edges)? };
        check_level(words, &level, rows).map_err(|reason| format!("level {number}: {reason}"))?;
        levels.push(level);
    }
    if at != words.len() {
        return Err("it goes on after its last level".to_string());
    }
    match levels.first().map_or(0, |level| level.nodes.len()) {
        nodes if nodes == rows as usize => Ok(levels),
        nodes => Err(format!("level 0 has {nodes} nodes for {rows} rows")),
    }
}

/// Nodes ascend, so that `rows` nodes of level 0 are the rows themselves.
fn check_level(words: &[u32], level: &Level, rows: u32) -> Result<(), String> {
    let nodes = &words[level.nodes.clone()];
    let offsets = &words[level.offsets.clone()];
    let edges = &words[level.edges.clone()];
    if !nodes.is_sorted_by(|a, b| a < b) || nodes.last().is_some_and(|last| *last >= rows) {
        return Err(format!("its nodes are not ascending rows below {rows}"));
    }
    if !offsets.is_sorted()
        || offsets.first() != Some(&0)
        || offsets.last().map(|end| *end as usize) != Some(edges.len())
    {
        return Err(format!("its offsets do not rise from 0 to {}", edges.len()));
    }
    match edges.iter().find(|edge| **edge >= rows) {
        Some(edge) => Err(format!("an edge leads to {edge}, which is not a row")),
        None => Ok(()),
    }
}

fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}
