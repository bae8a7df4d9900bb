//! `caption speak train`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use sensorium_captioning::fit::{FitSettings, Schedule, Score};
use sensorium_captioning::speak::{SpeakSettings, pairs};
use sensorium_core::train::RunFolder;
use sensorium_vision::pairs::{Split, ensure_part};
use serde_json::json;

use super::heard;
use crate::Global;
use crate::caption::train::eye;
use crate::training::{ensure_unfinished, shown};
use crate::vision::Network;

/// `caption speak train`
#[derive(Args)]
pub(crate) struct Train {
    /// A folder of pictures with sounds: pairs.jsonl with image and sound, and if wanted group and split. Or an index:
    /// a .json array of objects with image, sound and name.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder for the run: settings, weights, units, metrics, checkpoints.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Units of sound, found by k-means.
    #[arg(long, default_value_t = 64)]
    units: usize,
    #[command(flatten)]
    network: Network,
    /// The layers that the decoder sees, one map beside the other; by default the last with a map.
    #[arg(long, value_name = "LAYER", value_delimiter = ',')]
    layer: Vec<String>,
    /// Pixels along the sides of what the encoder sees; the picture is stretched to them.
    #[arg(long, default_value_t = 128)]
    image_size: u32,
    /// Positions along a side that attention chooses among.
    #[arg(long, default_value_t = 4)]
    grid: usize,
    /// Features of the LSTM's state, of unit vectors and of attention.
    #[arg(long, default_value_t = 256)]
    hidden: usize,
    /// Sounds of more units are not learned from.
    #[arg(long, default_value_t = 150)]
    longest: usize,
    /// The most passes over the sounds.
    #[arg(long, default_value_t = 120)]
    epochs: usize,
    /// Sounds a step.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Adam's learning rate.
    #[arg(long, default_value_t = 1e-3)]
    lr: f64,
    /// Stop when so many epochs have passed without a better CIDEr-D over units.
    #[arg(long, default_value_t = 30)]
    patience: usize,
    /// Seed of the units, of the split where the data has none, the initial weights and the order of the batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on with a run that was stopped, or that is to have more --epochs.
    #[arg(long)]
    resume: bool,
}

impl Train {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let out = self.out.display();
        let settings = SpeakSettings { units: self.units, training: self.training() };
        settings.training.validate()?;
        ensure_unfinished(&self.out, "captioner.json", self.resume)?;
        let device = global.device()?;
        let pairs = heard(&self.data)?;
        let source = self.data.to_string_lossy();
        let splits = pairs::parts(&source, &pairs, self.seed)?;
        ensure_part(&source, &splits, Split::Val)?;
        let eye = eye(&self.network, &self.layer, self.image_size, &device)?;
        let training = settings.training.of_one_run();
        let config = json!({
            "data": self.data, "network": self.network, "layers": eye.layers,
            "image_size": self.image_size, "units": settings.units, "training": training,
        });
        let run = RunFolder::open(&self.out, &config, self.resume)?;
        let fitted = settings.fit(&pairs, &splits, eye, Some(run), shown(global), &device)?;
        fitted.speaker.save(&self.out)?;
        let units = fitted.speaker.units().len();
        let train = splits.iter().filter(|split| **split == Split::Train).count();
        let mut stdout = std::io::stdout().lock();
        if global.json {
            let said = json!({"run": self.out, "train": train, "units": units, "epoch": fitted.best_epoch});
            return Ok(writeln!(stdout, "{said}")?);
        }
        Ok(writeln!(
            stdout,
            "learned from {train} pictures, {units} units; the speaker of epoch {} is in {out}",
            fitted.best_epoch
        )?)
    }

    fn training(&self) -> FitSettings {
        FitSettings {
            grid: self.grid,
            attention: self.hidden,
            embedding: self.hidden,
            hidden: self.hidden,
            rarer_than: 0,
            longest: self.longest,
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.lr,
            schedule: Schedule::plateau(Score::Cider, self.patience),
            ..FitSettings::tutorial(self.seed)
        }
    }
}
