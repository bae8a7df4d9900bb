//! What was measured, and which epoch was best by it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Measures by name.
pub type Metrics = BTreeMap<String, f64>;

/// The part of the data that a row was measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The training data, during the epoch: `loss` is the mean over its batches.
    Train,
    /// What [`Task::evaluate`](super::Task::evaluate) measured after the epoch.
    Valid,
}

/// One line of `metrics.jsonl`: one epoch on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// What was measured on.
    pub split: Split,
    /// Optimiser steps since the beginning.
    pub step: usize,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Time this took, in seconds.
    pub seconds: f64,
    /// `loss` for training, the task's measures for validation; in the file they stand beside the other fields.
    #[serde(flatten)]
    pub metrics: Metrics,
}

impl Row {
    /// The line of `metrics.jsonl`, without its line feed.
    pub(super) fn line(&self) -> String {
        serde_json::to_string(self).expect("finite numbers under distinct names")
    }
}

/// Refuses measures that no later step could use: not finite, or under a name that [`Row`] has taken.
pub(super) fn check(metrics: &Metrics, epoch: usize) -> Result<()> {
    for (name, value) in metrics {
        let problem = match name.as_str() {
            "epoch" | "split" | "step" | "learning_rate" | "seconds" => "has a name that is taken: rename it",
            _ if !value.is_finite() => "is not finite: training has diverged, lower the learning rate",
            _ => continue,
        };
        return Err(Error::Train { reason: format!("epoch {epoch}: the measure {name} = {value} {problem}") });
    }
    Ok(())
}

/// Whether a measure should rise or fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Larger is better.
    Highest,
    /// Smaller is better.
    Lowest,
}

/// Which epoch's weights a training gives: the best by one measure, and after how many worse ones to stop.
///
/// The measure is looked for among those of [`Task::evaluate`](super::Task::evaluate), and where that gives none,
/// among those of training (`loss`). Of equals the first is the best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Select {
    metric: String,
    goal: Goal,
    /// Not compared when a run is resumed.
    #[serde(skip)]
    patience: Option<usize>,
}

impl Select {
    /// The epoch at which `metric` is highest.
    pub fn highest(metric: impl Into<String>) -> Self {
        Self { metric: metric.into(), goal: Goal::Highest, patience: None }
    }

    /// The epoch at which `metric` is lowest.
    pub fn lowest(metric: impl Into<String>) -> Self {
        Self { metric: metric.into(), goal: Goal::Lowest, patience: None }
    }

    /// Stops once `epochs` epochs have passed since the best.
    ///
    /// # Panics
    /// If `epochs` is 0.
    pub fn with_patience(mut self, epochs: usize) -> Self {
        assert!(epochs > 0, "a patience of 0 epochs would stop at once");
        self.patience = Some(epochs);
        self
    }

    /// The better of the best epoch so far and the one that `rows` end with.
    pub(super) fn better(&self, best: Option<usize>, rows: &[Row]) -> Result<usize> {
        let newest = rows.last().map_or(0, |row| row.epoch);
        let now = self.value(rows, newest)?;
        let Some(best) = best else { return Ok(newest) };
        let before = self.value(rows, best)?;
        let improves = match self.goal {
            Goal::Highest => now > before,
            Goal::Lowest => now < before,
        };
        Ok(if improves { newest } else { best })
    }

    /// The measure of `epoch`.
    fn value(&self, rows: &[Row], epoch: usize) -> Result<f64> {
        let row = rows.iter().rfind(|row| row.epoch == epoch).expect("every epoch done has a row");
        row.metrics.get(&self.metric).copied().ok_or_else(|| {
            let known: Vec<&str> = row.metrics.keys().map(String::as_str).collect();
            let (asked, known) = (&self.metric, known.join(", "));
            Error::Train { reason: format!("no measure is called '{asked}'; there is {known}") }
        })
    }

    /// How often, by the end of `rows`, an epoch was the `every`-th, twice `every`-th and so on since the best.
    pub(super) fn plateaus(&self, rows: &[Row], every: usize) -> Result<usize> {
        let newest = rows.last().map_or(0, |row| row.epoch);
        let (mut best, mut plateaus) = (None, 0);
        for epoch in 1..=newest {
            let so_far = rows.partition_point(|row| row.epoch <= epoch);
            let now = self.better(best, &rows[..so_far])?;
            plateaus += usize::from(epoch > now && (epoch - now).is_multiple_of(every));
            best = Some(now);
        }
        Ok(plateaus)
    }

    /// Whether patience has run out after `epoch`.
    pub(super) fn gives_up(&self, best: Option<usize>, epoch: usize) -> bool {
        self.patience.zip(best).is_some_and(|(patience, best)| epoch >= best + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: usize, value: f64) -> Row {
        let metrics = Metrics::from([("rsum".to_string(), value)]);
        Row { epoch, split: Split::Valid, step: 3 * epoch, learning_rate: 0.1, seconds: 0.5, metrics }
    }

    #[test]
    fn a_row_is_one_flat_line() {
        let line = row(2, 1.5).line();
        let expected = r#"{"epoch":2,"split":"valid","step":6,"learning_rate":0.1,"seconds":0.5,"rsum":1.5}"#;
        assert_eq!(line, expected);
        assert_eq!(serde_json::from_str::<Row>(&line).unwrap(), row(2, 1.5));
    }

    #[test]
    fn the_first_of_equals_is_best_and_patience_counts_from_it() {
        let select = Select::highest("rsum").with_patience(2);
        let (mut rows, mut best, mut gave_up) = (Vec::new(), None, Vec::new());
        for (epoch, value) in (1..).zip([1.0, 3.0, 3.0, 2.0]) {
            rows.push(row(epoch, value));
            best = Some(select.better(best, &rows).unwrap());
            gave_up.push(select.gives_up(best, epoch));
        }
        assert_eq!(best, Some(2));
        assert_eq!(gave_up, [false, false, false, true]);
        let lowest = Select::lowest("rsum");
        assert_eq!(lowest.better(best, &rows).unwrap(), 4);
        assert!(!lowest.gives_up(best, 1000));
    }

    #[test]
    fn plateaus_are_counted_from_the_best() {
        let select = Select::highest("rsum");
        let rows: Vec<Row> = (1..).zip([1.0, 0.5, 0.5, 2.0, 1.0, 1.0, 1.0, 1.0]).map(|(e, v)| row(e, v)).collect();
        let counts: Vec<usize> = (0..=8).map(|n| select.plateaus(&rows[..n], 2).unwrap()).collect();
        assert_eq!(counts, [0, 0, 0, 1, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn an_unknown_measure_lists_the_known() {
        let error = Select::highest("recall").better(None, &[row(1, 1.0)]).unwrap_err().to_string();
        assert!(error.contains("'recall'") && error.contains("rsum"), "{error}");
    }

    #[test]
    fn measures_must_be_finite_and_well_named() {
        assert!(check(&row(1, 1.0).metrics, 1).is_ok());
        assert!(check(&row(1, f64::NAN).metrics, 4).unwrap_err().to_string().contains("epoch 4"));
        assert!(check(&Metrics::from([("step".into(), 1.0)]), 1).unwrap_err().to_string().contains("taken"));
    }
}
