//! What trains: the two tables, and how a round changes them.

use std::io;
use std::ops::AddAssign;

use burn::tensor::Device;
use pulp::Arch;
use rayon::prelude::*;

use super::classic::Tables;
use super::lane::{Apply, Changes, Lane, Run};
use super::reader::{Plan, Reader};
use super::settings::Model;
use super::subwords::Pieces;
use super::table::Table;
use super::tensors::Tensors;

/// What holds for a round.
pub(super) struct Round<'a> {
    pub(super) plan: Plan<'a>,
    /// The rows of each word, where it has more than its own.
    pub(super) pieces: Option<&'a Pieces>,
    pub(super) model: Model,
    pub(super) learning_rate: f32,
}

/// One of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// W.
    Input,
    /// W′.
    Output,
}

/// The loss is computed for one step in so many.
pub(super) const LOSS_EVERY: usize = 64;

/// The cross entropy of some pairs, in nats.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loss {
    pub(super) sum: f64,
    pub(super) pairs: u64,
}

impl Loss {
    /// Adds pairs whose steps are `g`: the probability of the right label is `1 − |g| / lr`. What is no number stays so.
    pub(super) fn add(&mut self, g: &[f32], lr: f32) {
        self.sum -= g.iter().map(|g| f64::from((1.0 - g.abs() / lr).clamp(1e-7, 1.0).ln())).sum::<f64>();
        self.pairs += g.len() as u64;
    }
}

impl AddAssign for Loss {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        self.pairs += other.pairs;
    }
}

pub(super) enum Engine {
    /// Rounds of lanes on the processor.
    Lanes(Lanes),
    /// The same rounds as tensors, on any device.
    Tensors(Tensors),
    /// One pair after the other.
    Classic(Tables),
}

impl Engine {
    /// Trains as far as each reader reads in a round.
    pub(super) fn round(&mut self, round: &Round, readers: &mut [Reader]) -> Loss {
        match self {
            Self::Lanes(lanes) => lanes.round(round, readers),
            Self::Tensors(tensors) => tensors.round(round, readers),
            Self::Classic(tables) => tables.round(round, readers),
        }
    }

    /// The same tables on `device`; classic updates stay on the processor.
    pub(super) fn on(self, device: &Device) -> Self {
        match self {
            Self::Lanes(Lanes { input, output, .. }) => Self::Tensors(Tensors::new(input, output, device)),
            Self::Tensors(tensors) => Self::Tensors(tensors.on(device)),
            Self::Classic(tables) => Self::Classic(tables),
        }
    }

    /// Gives every row of a table, by rank.
    pub(super) fn each_row(&self, side: Side, mut visit: impl FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Lanes(lanes) => lanes.table(side).iter().try_for_each(visit),
            Self::Tensors(tensors) => tensors.rows(side).chunks_exact(tensors.dim()).try_for_each(visit),
            Self::Classic(tables) => tables.rows(side).try_for_each(&mut visit),
        }
    }

    /// All rows of a table, one after the other.
    pub(super) fn rows(&self, side: Side) -> Vec<f32> {
        match self {
            Self::Lanes(lanes) => lanes.table(side).to_rows(),
            Self::Tensors(tensors) => tensors.rows(side),
            Self::Classic(tables) => tables.rows(side).flatten().copied().collect(),
        }
    }

    /// Frees W′.
    pub(super) fn drop_outputs(&mut self) {
        match self {
            Self::Lanes(lanes) => (lanes.output, lanes.lanes) = (Table::zeros(0, 1), Vec::new()),
            Self::Tensors(_) => {}
            Self::Classic(tables) => tables.output = Vec::new(),
        }
    }
}

/// Rounds of lanes: every lane notes what is to be added to which row, from the tables as they stand; then the notes are
/// added, stripe by stripe, always in the order of the lanes.
pub(super) struct Lanes {
    input: Table,
    output: Table,
    lanes: Vec<Lane>,
}

impl Lanes {
    pub(super) fn new(input: Table, output: Table) -> Self {
        Self { input, output, lanes: Vec::new() }
    }

    fn table(&self, side: Side) -> &Table {
        match side {
            Side::Input => &self.input,
            Side::Output => &self.output,
        }
    }

    fn round(&mut self, round: &Round, readers: &mut [Reader]) -> Loss {
        let Self { input, output, lanes } = self;
        lanes.resize_with(readers.len(), || Lane::new(&round.plan, input.dim()));
        let arch = Arch::new();
        lanes.par_iter_mut().zip(readers).with_max_len(1).for_each(|(lane, reader)| {
            arch.dispatch(Run { lane, reader, input, output, round });
        });
        let lanes = &*lanes;
        rayon::join(
            || apply(arch, input, lanes.iter().map(|lane| &lane.input)),
            || apply(arch, output, lanes.iter().map(|lane| &lane.output)),
        );
        let mut loss = Loss::default();
        lanes.iter().for_each(|lane| loss += lane.loss);
        loss
    }
}

/// Adds to each stripe of a table its part of all changes.
fn apply<'a>(arch: Arch, table: &mut Table, changes: impl Iterator<Item = &'a Changes> + Clone + Sync) {
    let dim = table.dim();
    let together = table.stripes_together();
    let lines_of_stripe = table.lines_of_stripe();
    table.stripes_mut(together).enumerate().with_max_len(1).for_each(|(number, stripes)| {
        let first = number * together;
        arch.dispatch(Apply { stripes, first, lines_of_stripe, changes: changes.clone(), dim });
    });
}
