//! The folder a training is kept in.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::checkpoint::{self, Parts};
use crate::{Error, Result, files};

const CONFIG: &str = "config.json";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINTS: &str = "checkpoints";
/// Writing checkpoints may take this share of the time, one in so many.
const SHARE: u32 = 20;
/// Checkpoints kept: the newest, and one to fall back on.
const KEPT: usize = 2;

/// The folder a training is kept in, and by which it is resumed.
///
/// - `config.json`: what the caller said the run is;
/// - `metrics.jsonl`: one JSON object a line for each epoch and split, as [`Row`](super::Row) has it;
/// - `checkpoints/epoch-000012.zip`: everything needed to go on after epoch 12, in one file that is written whole or
///   not at all. The newest two are kept. One is written before the first epoch, after the last, and between them
///   after each epoch, except where that would take more than a twentieth of the time.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    config: Value,
    /// When the last checkpoint was written, and how long that took.
    written: Option<(Instant, Duration)>,
}

impl RunFolder {
    /// A folder for a new run. `config` is whatever decides the result: the model, the data, the optimiser, the
    /// schedule. Nothing is written yet.
    ///
    /// # Errors
    /// The folder holds a run already; the configuration is not expressible as JSON.
    pub fn create(path: impl Into<PathBuf>, config: &impl Serialize) -> Result<Self> {
        let new = Self { path: path.into(), config: json(config)?, written: None };
        match new.epochs()?.last() {
            None => Ok(new),
            Some(epoch) => Err(new.error(format!(
                "the folder holds a run that has reached epoch {epoch}: resume it, or choose another folder"
            ))),
        }
    }

    /// The folder of a run to go on with, or of a new run where it holds none yet.
    ///
    /// # Errors
    /// The folder holds a run with another configuration: the message names the fields. (Leave out of `config` what may
    /// change between the parts of a run, such as the number of epochs.)
    pub fn resume(path: impl Into<PathBuf>, config: &impl Serialize) -> Result<Self> {
        let run = Self { path: path.into(), config: json(config)?, written: None };
        if !run.epochs()?.is_empty() {
            run.check_same("config", &Self::config(&run.path)?, &run.config)?;
        }
        Ok(run)
    }

    /// For a program whose user says whether to go on: [`resume`](Self::resume) if `goes_on`, else
    /// [`create`](Self::create).
    ///
    /// # Errors
    /// As theirs.
    pub fn open(path: impl Into<PathBuf>, config: &impl Serialize, goes_on: bool) -> Result<Self> {
        if goes_on { Self::resume(path, config) } else { Self::create(path, config) }
    }

    /// Reads the configuration of the run in the folder `path`.
    ///
    /// # Errors
    /// A folder without a run, or a configuration that is not a `C`.
    pub fn config<C: DeserializeOwned>(path: impl AsRef<Path>) -> Result<C> {
        let path = path.as_ref().join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        serde_json::from_str(&text).map_err(|error| Error::format(&path, "configuration of a run", error.to_string()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file the measures are written to.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    pub(super) fn write_config(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.config).expect("a JSON value can be written");
        files::write_atomic(self.path.join(CONFIG), &text)
    }

    pub(super) fn write_metrics(&self, lines: &str) -> Result<()> {
        files::write_atomic(self.metrics_path(), lines.as_bytes())
    }

    /// Whether it is time for a checkpoint.
    pub(super) fn is_due(&self) -> bool {
        self.written.is_none_or(|(at, took)| at.elapsed() >= took * SHARE)
    }

    /// Writes a checkpoint and deletes those that are no longer kept.
    pub(super) fn save(&mut self, epoch: usize, parts: &Parts) -> Result<()> {
        let begun = Instant::now();
        checkpoint::write(&self.checkpoint(epoch), parts)?;
        let epochs = self.epochs()?;
        for old in &epochs[..epochs.len().saturating_sub(KEPT)] {
            let path = self.checkpoint(*old);
            std::fs::remove_file(&path).map_err(Error::io(&path, "delete"))?;
        }
        self.written = Some((Instant::now(), begun.elapsed()));
        Ok(())
    }

    /// What `read` makes of the newest checkpoint that is whole; `None` for a run that has none at all.
    pub(super) fn newest<T>(&self, read: impl Fn(&Path, Parts) -> Result<T>) -> Result<Option<T>> {
        let mut first_error = None;
        for epoch in self.epochs()?.into_iter().rev() {
            let path = self.checkpoint(epoch);
            match checkpoint::read(&path).and_then(|parts| read(&path, parts)) {
                Ok(state) => return Ok(Some(state)),
                Err(error) => {
                    tracing::warn!("{error}; falling back on the checkpoint before");
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(None), Err)
    }

    /// Checks that two parts of one run were set up alike.
    pub(super) fn check_same(&self, what: &str, before: &Value, now: &Value) -> Result<()> {
        let mut differences = Vec::new();
        compare(what, before, now, &mut differences);
        match differences.is_empty() {
            true => Ok(()),
            false => Err(self.error(format!(
                "the run was begun with other settings: {}; resume it with those, or choose another folder",
                differences.join(", ")
            ))),
        }
    }

    fn checkpoint(&self, epoch: usize) -> PathBuf {
        self.path.join(CHECKPOINTS).join(format!("epoch-{epoch:06}.zip"))
    }

    /// The epochs there are checkpoints of, rising.
    fn epochs(&self) -> Result<Vec<usize>> {
        let folder = self.path.join(CHECKPOINTS);
        let listing = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            listing => listing.map_err(Error::io(&folder, "list"))?,
        };
        let mut epochs = Vec::new();
        for entry in listing {
            let name = entry.map_err(Error::io(&folder, "list"))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("epoch-")?.strip_suffix(".zip"));
            epochs.extend(number.and_then(|number| number.parse::<usize>().ok()));
        }
        epochs.sort_unstable();
        Ok(epochs)
    }

    fn error(&self, reason: String) -> Error {
        Error::Train { reason: format!("{}: {reason}", self.path.display()) }
    }
}

/// `config` as it will read back: by way of text, since a number may change in its last place.
fn json(config: &impl Serialize) -> Result<Value> {
    let text = serde_json::to_string(config).and_then(|text| serde_json::from_str(&text));
    text.map_err(|error| Error::config("config", error, "the configuration of a run must be expressible as JSON"))
}

/// Lists the fields in which two values differ, by their dotted paths.
fn compare(path: &str, before: &Value, now: &Value, differences: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let of = |side: &serde_json::Map<String, Value>| side.get(name).cloned().unwrap_or(Value::Null);
                compare(&format!("{path}.{name}"), &of(before), &of(now), differences);
            }
        }
        _ if before == now => {}
        _ => differences.push(format!("{path} was {before} and is {now}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn save(run: &mut RunFolder, epoch: usize) {
        run.save(epoch, &Parts::from([("epoch".into(), epoch.to_string().into_bytes())])).unwrap();
    }

    fn read(_: &Path, parts: Parts) -> Result<usize> {
        Ok(String::from_utf8(parts["epoch"].clone()).unwrap().parse().unwrap())
    }

    #[test]
    fn the_newest_two_checkpoints_are_kept_and_the_newest_whole_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunFolder::create(folder.path().join("run"), &json!({"dim": 4})).unwrap();
        assert_eq!(run.newest(read).unwrap(), None);
        run.write_config().unwrap();
        for epoch in [0, 1, 9, 10] {
            save(&mut run, epoch);
        }
        assert_eq!(run.epochs().unwrap(), [9, 10]);
        assert_eq!(run.newest(read).unwrap(), Some(10));
        let truncate = |epoch| {
            let bytes = std::fs::read(run.checkpoint(epoch)).unwrap();
            std::fs::write(run.checkpoint(epoch), &bytes[..bytes.len() / 2]).unwrap();
        };
        truncate(10);
        assert_eq!(run.newest(read).unwrap(), Some(9));
        truncate(9);
        let error = run.newest(read).unwrap_err().to_string();
        assert!(error.contains("epoch-000010.zip") && error.contains("not a valid checkpoint"), "{error}");
    }

    #[test]
    fn a_run_is_not_overwritten_nor_resumed_with_other_settings() {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({"model": {"dim": 4, "rate": 0.1}, "data": "emoji"});
        let mut run = RunFolder::resume(folder.path(), &config).unwrap();
        run.write_config().unwrap();
        assert!(RunFolder::create(folder.path(), &config).is_ok(), "no checkpoint yet: no run");
        save(&mut run, 3);
        let error = RunFolder::create(folder.path(), &config).unwrap_err().to_string();
        assert!(error.contains("epoch 3") && error.contains("resume"), "{error}");
        assert!(RunFolder::resume(folder.path(), &config).is_ok());
        let other = json!({"model": {"dim": 8, "rate": 0.1}, "batch": 2, "data": "emoji"});
        let error = RunFolder::resume(folder.path(), &other).unwrap_err().to_string();
        assert!(error.contains("config.batch was null and is 2, config.model.dim was 4 and is 8"), "{error}");
        assert_eq!(RunFolder::config::<Value>(folder.path()).unwrap(), config);
        std::fs::write(folder.path().join(CONFIG), "{").unwrap();
        let error = RunFolder::resume(folder.path(), &config).unwrap_err().to_string();
        assert!(error.contains("config.json: not a valid configuration"), "{error}");
    }
}
