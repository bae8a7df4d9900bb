//! `caption train`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::ensure;
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use sensorium_captioning::fit::{Eye, FitSettings, Lesson};
use sensorium_core::train::RunFolder;
use sensorium_vision::pairs::{self, Split, parts};
use sensorium_vision::transforms::{Preprocess, Size};
use serde_json::json;

use crate::Global;
use crate::joint::train::shown;
use crate::vision::Network;

/// `caption train`
#[derive(Args)]
pub(crate) struct Train {
    /// A folder or file of pairs: pictures with their sentences.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder for the run: settings, weights, words, metrics, checkpoints.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// The decoder.
    #[arg(long, value_enum, default_value = "attend")]
    decoder: Kind,
    #[command(flatten)]
    network: Network,
    /// The layer that the decoder sees; by default the last with a map.
    #[arg(long)]
    layer: Option<String>,
    /// Pixels along the sides of what the encoder sees; the picture is stretched to them.
    #[arg(long, default_value_t = 224)]
    image_size: u32,
    /// Positions along a side that attention chooses among.
    #[arg(long, default_value_t = 14)]
    grid: usize,
    /// Features of the LSTM's state, of word vectors and of attention.
    #[arg(long, default_value_t = 512)]
    hidden: usize,
    /// Words that occur at most so often become <unk>.
    #[arg(long, default_value_t = 5)]
    rarer_than: usize,
    /// The most passes over the captions.
    #[arg(long, default_value_t = 120)]
    epochs: usize,
    /// Captions a step.
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Adam's learning rate.
    #[arg(long, default_value_t = 4e-4)]
    lr: f64,
    /// Stop when so many epochs have passed without a better BLEU-4.
    #[arg(long, default_value_t = 20)]
    patience: usize,
    /// Seed of the split where the data has none, the initial weights and the order of the batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on with a run that was stopped.
    #[arg(long)]
    resume: bool,
}

/// A kind of decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Show, Attend and Tell.
    Attend,
    /// Show and Tell.
    ShowAndTell,
}

impl Train {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let out = self.out.display();
        let settings = self.settings();
        settings.validate()?;
        ensure!(!self.out.join("captioner.json").exists(), "{out}: holds a finished run; choose another folder");
        let device = global.device()?;
        let pairs = pairs::read(&self.data)?;
        let splits = parts(&self.data.to_string_lossy(), &pairs, self.seed)?;
        let part = |wanted| (0..splits.len()).filter(|i| splits[*i] == wanted).collect::<Vec<usize>>();
        let (train, val) = (part(Split::Train), part(Split::Val));
        let eye = eye(&self.network, self.layer.as_deref(), self.image_size, &device)?;
        let config = json!({
            "data": self.data, "network": self.network, "layer": eye.layer,
            "image_size": self.image_size, "training": settings,
        });
        let run =
            if self.resume { RunFolder::resume(&self.out, &config)? } else { RunFolder::create(&self.out, &config)? };
        let lesson = Lesson { pairs: &pairs, train: &train, val: &val };
        let fitted = settings.fit(lesson, eye, Some(run), shown(global), &device)?;
        fitted.captioner.save(&self.out)?;
        let rows = fitted.history.iter().filter(|row| row.epoch == fitted.best_epoch);
        let bleu4 = rows.filter_map(|row| row.metrics.get("bleu4").copied()).next_back().unwrap_or(0.0);
        let words = fitted.captioner.words().len();
        let mut stdout = std::io::stdout().lock();
        if global.json {
            let said = json!({
                "run": self.out, "train": train.len(), "val": val.len(), "words": words,
                "epoch": fitted.best_epoch, "bleu4": bleu4,
            });
            return Ok(writeln!(stdout, "{said}")?);
        }
        writeln!(stdout, "learned from {} pictures, {words} words; the captioner is in {out}", train.len())?;
        Ok(writeln!(
            stdout,
            "on {} validation pictures, each word the likeliest: BLEU-4 {bleu4:.4} after epoch {}",
            val.len(),
            fitted.best_epoch
        )?)
    }

    fn settings(&self) -> FitSettings {
        FitSettings {
            grid: if self.decoder == Kind::Attend { self.grid } else { 0 },
            attention: self.hidden,
            embedding: self.hidden,
            hidden: self.hidden,
            rarer_than: self.rarer_than,
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.lr,
            patience: self.patience,
            ..FitSettings::tutorial(self.seed)
        }
    }
}

/// The encoder of a network with its `layer`, by default the last with a map, which sees pictures of `side` × `side`
/// pixels.
pub(super) fn eye(network: &Network, layer: Option<&str>, side: u32, device: &Device) -> anyhow::Result<Eye> {
    ensure!((32..=1024).contains(&side), "--image-size {side}: 32 to 1024 pixels");
    let (encoder, network) = network.load(device)?;
    let layers = network.layers();
    let last_map = layers.iter().rfind(|layer| !["pooled", "logits"].contains(&layer.as_str()));
    let layer = match layer {
        Some(layer) => layer.to_string(),
        None => last_map.expect("an encoder has maps").clone(),
    };
    let preprocess = Preprocess { size: Size::Exact { width: side, height: side }, crop: None, ..encoder.preprocess() };
    Ok(Eye { encoder, weights: network.tensors(), layer, preprocess })
}
