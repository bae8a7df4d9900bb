//! Everything a training consists of between two epochs, and its way into a checkpoint and back.

use std::path::Path;

use burn::lr_scheduler::LrSchedulerRecord;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Row;
use super::checkpoint::Parts;
use crate::{Error, Result};

const STANDING: &str = "state.json";
const LOG: &str = "metrics.jsonl";
const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const SCHEDULE: &str = "schedule.bpk";
const BEST: &str = "best.bpk";

/// Everything a training consists of between two epochs.
pub(super) struct State<M> {
    pub(super) model: M,
    pub(super) optimizer: ModuleOptimizer,
    pub(super) schedule: ModuleLrScheduler,
    pub(super) standing: Standing,
    /// The model of the best epoch, in evaluation mode.
    pub(super) best_model: Option<M>,
    /// What was measured: the lines of `metrics.jsonl`, and what they say.
    pub(super) log: String,
    pub(super) rows: Vec<Row>,
}

/// What no other part of a checkpoint holds.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) best_epoch: Option<usize>,
    /// The trainer's settings that must not change.
    pub(super) settings: Value,
}

impl<M: Module> State<M> {
    /// A training that is about to begin.
    pub(super) fn new(model: M, optimizer: ModuleOptimizer, schedule: ModuleLrScheduler, settings: Value) -> Self {
        let standing = Standing { settings, ..Standing::default() };
        Self { model, optimizer, schedule, standing, best_model: None, log: String::new(), rows: Vec::new() }
    }

    /// Adds a row as its line reads back: a number in JSON may come back one unit off in the last place, and a resumed
    /// training must compare the same numbers as an unbroken one.
    pub(super) fn push(&mut self, row: &Row) {
        let line = row.line();
        self.rows.push(serde_json::from_str(&line).expect("a line just written"));
        self.log.push_str(&line);
        self.log.push('\n');
    }

    /// Epochs done.
    pub(super) fn epoch(&self) -> usize {
        self.rows.last().map_or(0, |row| row.epoch)
    }

    /// Optimiser steps done.
    pub(super) fn step(&self) -> usize {
        self.rows.last().map_or(0, |row| row.step)
    }

    /// The parts of a checkpoint.
    pub(super) fn to_parts(&self) -> Result<Parts> {
        let standing = serde_json::to_vec_pretty(&self.standing).expect("plain data");
        // Batch normalisation holds its last update back until it is put into evaluation mode.
        let model = record(self.model.valid().into_record().into_bytes())?;
        let optimizer = record(self.optimizer.to_record().into_bytes())?;
        let schedule = record(self.schedule.to_record().into_bytes())?;
        let mut parts = Parts::from([
            (STANDING.into(), standing),
            (LOG.into(), self.log.clone().into_bytes()),
            (MODEL.into(), model),
            (OPTIMIZER.into(), optimizer),
            (SCHEDULE.into(), schedule),
        ]);
        if let Some(best) = self.best_model.as_ref().filter(|_| !self.is_best()) {
            parts.insert(BEST.into(), record(best.clone().into_record().into_bytes())?);
        }
        Ok(parts)
    }

    /// The training that the checkpoint at `path` holds; `self` is how it began.
    pub(super) fn with_parts(&self, path: &Path, mut parts: Parts) -> Result<Self> {
        let mut take = |name: &str| {
            let missing = || Error::format(path, "checkpoint", format!("the part {name} is missing"));
            parts.remove(name).ok_or_else(missing)
        };
        let json = |error: serde_json::Error| Error::format(path, "checkpoint", error.to_string());
        let unfit = |error: RecordError| Error::Weights { path: path.to_path_buf(), reason: error.to_string() };
        let load = |model: M, bytes: Vec<u8>| {
            ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)).and_then(|record| model.try_load_record(record))
        };

        let standing: Standing = serde_json::from_slice(&take(STANDING)?).map_err(json)?;
        let log = String::from_utf8(take(LOG)?)
            .map_err(|error| Error::format(path, "checkpoint", format!("{LOG}: {error}")))?;
        let rows = log.lines().map(serde_json::from_str).collect::<Result<_, _>>().map_err(json)?;
        let model = load(self.model.clone(), take(MODEL)?).map_err(unfit)?;
        let optimizer = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(take(OPTIMIZER)?)).map_err(unfit)?;
        let schedule = LrSchedulerRecord::from_bytes(Bytes::from_bytes_vec(take(SCHEDULE)?)).map_err(unfit)?;
        let mut state = Self {
            model,
            optimizer: self.optimizer.clone().load_record(optimizer),
            schedule: self.schedule.clone().load_record(schedule),
            standing,
            best_model: None,
            log,
            rows,
        };
        if state.standing.best_epoch.is_some() {
            let snapshot = state.model.valid();
            state.best_model = Some(match state.is_best() {
                true => snapshot,
                false => load(snapshot, take(BEST)?).map_err(unfit)?,
            });
        }
        Ok(state)
    }

    /// Whether the last epoch done is the best.
    fn is_best(&self) -> bool {
        self.standing.best_epoch == Some(self.epoch())
    }
}

fn record(bytes: Result<Bytes, RecordError>) -> Result<Vec<u8>> {
    let bytes = bytes.map_err(|error| Error::Train { reason: format!("cannot write a checkpoint: {error}") })?;
    Ok(bytes.to_vec())
}
