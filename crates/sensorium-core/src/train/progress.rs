//! What a person sees of a training, on stderr.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Row;

/// What a person sees of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// On stderr: a bar with the rate and the time left when it is a terminal, else one line an epoch.
    #[default]
    Stderr,
    /// Nothing.
    Quiet,
}

/// The display of one training.
pub(super) struct Display {
    bar: ProgressBar,
    lines: bool,
    epochs: usize,
}

impl Progress {
    /// Begins the display of a training of `epochs`.
    pub(super) fn begin(self, epochs: usize) -> Display {
        let bar = match self {
            Self::Stderr => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            Self::Quiet => ProgressBar::hidden(),
        };
        let style = "{bar:30} {pos}/{len} steps, {per_sec:.1}, {eta} left  {msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
        Display { bar, lines: self == Self::Stderr && !std::io::stderr().is_terminal(), epochs }
    }
}

impl Display {
    /// An epoch of `steps` begins after `done` epochs.
    pub(super) fn epoch(&self, done: usize, steps: usize) {
        if self.bar.length().is_none() {
            self.bar.set_length((self.epochs * steps) as u64);
            self.bar.set_position((done * steps) as u64);
            self.bar.reset_eta();
        }
    }

    /// A step is done.
    pub(super) fn step(&self) {
        self.bar.inc(1);
    }

    /// An epoch is done.
    pub(super) fn rows(&self, rows: &[Row]) {
        let line = summary(rows, self.epochs);
        if self.lines {
            eprintln!("{line}");
        }
        self.bar.set_message(line);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if self.bar.length().is_some() {
            self.bar.abandon();
        }
    }
}

/// `epoch 3/20  loss 0.1234  rsum 250.2  1.5 s`: of measures of the same name the last row's.
fn summary(rows: &[Row], epochs: usize) -> String {
    let epoch = rows.last().map_or(0, |row| row.epoch);
    let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
    let measures: Vec<String> = rows
        .iter()
        .flat_map(|row| row.metrics.iter().map(move |(name, value)| (row.split, name, value)))
        .map(|(split, name, value)| match (split, name.as_str()) {
            (super::Split::Valid, "loss") => format!("valid loss {value:.4}"),
            _ => format!("{name} {value:.4}"),
        })
        .collect();
    format!("epoch {epoch}/{epochs}  {}  {seconds:.1} s", measures.join("  "))
}

#[cfg(test)]
mod tests {
    use super::super::{Metrics, Split};
    use super::*;

    #[test]
    fn an_epoch_is_one_line() {
        let row = |split, name: &str, value| Row {
            epoch: 3,
            split,
            step: 9,
            learning_rate: 0.1,
            seconds: 0.75,
            metrics: Metrics::from([(name.to_string(), value)]),
        };
        let rows = [row(Split::Train, "loss", 0.12345), row(Split::Valid, "loss", 0.5)];
        assert_eq!(summary(&rows, 20), "epoch 3/20  loss 0.1235  valid loss 0.5000  1.5 s");
    }
}
