//! `caption train`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::ensure;
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use sensorium_captioning::Captioner;
use sensorium_captioning::attend::Focus;
use sensorium_captioning::fit::{Eye, FineTune, FitSettings, Lesson, Objective, Schedule, Score};
use sensorium_core::train::RunFolder;
use sensorium_vision::pairs::{self, Split, parts};
use sensorium_vision::transforms::{Preprocess, Size};
use serde_json::json;

use crate::Global;
use crate::training::{ensure_unfinished, shown};
use crate::vision::{Network, last_map};

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
    /// The layers that the decoder sees, one map beside the other; by default the last with a map.
    #[arg(long, value_name = "LAYER", value_delimiter = ',')]
    layer: Vec<String>,
    /// Pixels along the sides of what the encoder sees; the picture is stretched to them.
    #[arg(long, default_value_t = 224)]
    image_size: u32,
    /// Positions along a side that attention chooses among.
    #[arg(long, default_value_t = 14)]
    grid: usize,
    /// Show the decoder only so many principal components of the layers' channels, found on the training pictures.
    #[arg(long, value_name = "N", conflicts_with = "fine_tune")]
    components: Option<usize>,
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
    /// Let the learning rate fall to 0 along a cosine over all --epochs and keep the last one's weights, whatever the
    /// validation part says; the data needs none.
    #[arg(long, conflicts_with_all = ["select", "shrink_after", "shrink", "patience"])]
    cosine: bool,
    /// By what the best epoch is chosen on the validation part; by default BLEU-4, with --self-critical CIDEr-D.
    #[arg(long, value_enum)]
    select: Option<Measure>,
    /// Multiply the learning rate by --shrink each time that so many epochs have passed without a better --select.
    #[arg(long, value_name = "EPOCHS", default_value_t = 8)]
    shrink_after: usize,
    /// What the learning rate is multiplied by then.
    #[arg(long, value_name = "FACTOR", default_value_t = 0.8)]
    shrink: f64,
    /// Stop when so many epochs have passed without a better --select.
    #[arg(long, value_name = "EPOCHS", default_value_t = 20)]
    patience: usize,
    /// The share of the state that is dropped before words are scored.
    #[arg(long, default_value_t = 0.5)]
    dropout: f64,
    /// What looking at every position once counts beside the words.
    #[arg(long, default_value_t = 1.0)]
    doubly_stochastic: f64,
    /// Soft or hard attention.
    #[arg(long, value_enum, default_value = "soft")]
    attention: Attention,
    /// Scheduled sampling: how likely the decoder goes on from its own word, not the caption's, grows by so much with
    /// each epoch.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    own_words: f64,
    /// The most that --own-words grows to.
    #[arg(long, value_name = "SHARE", default_value_t = 0.25)]
    own_words_most: f64,
    /// Train the encoder along from this layer on.
    #[arg(long, value_name = "LAYER")]
    fine_tune: Option<String>,
    /// Adam's learning rate for the encoder.
    #[arg(long, default_value_t = 1e-4, requires = "fine_tune")]
    encoder_lr: f64,
    /// Go on from a finished run: encoder, words and sizes are its own.
    #[arg(long, value_name = "RUN", conflicts_with_all = [
        "encoder", "weights", "decoder", "layer", "image_size", "grid", "components", "hidden", "rarer_than", "attention",
    ])]
    from: Option<PathBuf>,
    /// Self-critical training: sentences that are drawn become likelier as they beat the likeliest words in CIDEr-D. A
    /// learning rate of 5e-5 is usual.
    #[arg(long, requires = "from", conflicts_with = "own_words")]
    self_critical: bool,
    /// Seed of the split where the data has none, the initial weights and the order of the batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on with a run that was stopped, or that is to have more --epochs.
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

/// What attention sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attention {
    /// All positions, each as much as its weight.
    Soft,
    /// One position.
    Hard,
}

/// By what the best epoch is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// BLEU-4.
    Bleu4,
    /// CIDEr-D, for small parts and short sentences.
    Cider,
    /// The lowest perplexity, where much that is true can be said.
    Perplexity,
}

impl Train {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let out = self.out.display();
        let settings = self.settings();
        settings.validate()?;
        ensure_unfinished(&self.out, "captioner.json", self.resume)?;
        let device = global.device()?;
        let pairs = pairs::read(&self.data)?;
        let splits = parts(&self.data.to_string_lossy(), &pairs, self.seed)?;
        let part = |wanted| (0..splits.len()).filter(|i| splits[*i] == wanted).collect::<Vec<usize>>();
        let (train, val) = (part(Split::Train), part(Split::Val));
        let lesson = Lesson { pairs: &pairs, train: &train, val: &val };
        let training = settings.of_one_run();
        let fitted = match &self.from {
            Some(from) => {
                let captioner = Captioner::load(from, &device)?;
                let config = json!({ "data": self.data, "from": from, "training": training });
                let run = RunFolder::open(&self.out, &config, self.resume)?;
                settings.go_on(captioner, lesson, Some(run), shown(global), &device)?
            }
            None => {
                let eye = eye(&self.network, &self.layer, self.image_size, &device)?;
                let config = json!({
                    "data": self.data, "network": self.network, "layers": eye.layers,
                    "image_size": self.image_size, "training": training,
                });
                let run = RunFolder::open(&self.out, &config, self.resume)?;
                settings.fit(lesson, eye, Some(run), shown(global), &device)?
            }
        };
        fitted.captioner.save(&self.out)?;
        let mut rows = fitted.history.iter().filter(|row| row.epoch == fitted.best_epoch);
        let measured = rows.find_map(|row| Some((row.metrics.get("bleu4")?, row.metrics.get("cider")?)));
        let words = fitted.captioner.words().len();
        let mut stdout = std::io::stdout().lock();
        if global.json {
            let said = json!({
                "run": self.out, "train": train.len(), "val": val.len(), "words": words,
                "epoch": fitted.best_epoch, "bleu4": measured.map(|(bleu4, _)| bleu4),
                "cider": measured.map(|(_, cider)| cider),
            });
            return Ok(writeln!(stdout, "{said}")?);
        }
        writeln!(stdout, "learned from {} pictures, {words} words; the captioner is in {out}", train.len())?;
        if let Some((bleu4, cider)) = measured {
            writeln!(
                stdout,
                "on {} validation pictures, each word the likeliest: BLEU-4 {bleu4:.4}, CIDEr {cider:.3} after epoch {}",
                val.len(),
                fitted.best_epoch
            )?;
        }
        Ok(())
    }

    fn settings(&self) -> FitSettings {
        FitSettings {
            grid: if self.decoder == Kind::Attend { self.grid } else { 0 },
            components: self.components,
            attention: self.hidden,
            embedding: self.hidden,
            hidden: self.hidden,
            rarer_than: self.rarer_than,
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.lr,
            schedule: self.schedule(),
            dropout: self.dropout,
            looked: self.doubly_stochastic,
            focus: match self.attention {
                Attention::Soft => Focus::Soft,
                Attention::Hard => Focus::Hard,
            },
            objective: match self.self_critical {
                true => Objective::SelfCritical,
                false => Objective::Words { own_words_step: self.own_words, own_words_most: self.own_words_most },
            },
            fine_tune: self.fine_tune.clone().map(|from| FineTune { from, learning_rate: self.encoder_lr }),
            ..FitSettings::tutorial(self.seed)
        }
    }

    fn schedule(&self) -> Schedule {
        if self.cosine {
            return Schedule::Cosine;
        }
        Schedule::Plateau {
            select: match (self.select, self.self_critical) {
                (Some(Measure::Bleu4), _) | (None, false) => Score::Bleu4,
                (Some(Measure::Cider), _) | (None, true) => Score::Cider,
                (Some(Measure::Perplexity), _) => Score::Perplexity,
            },
            shrink_after: self.shrink_after,
            shrink: self.shrink,
            patience: self.patience,
        }
    }
}

/// The encoder of a network with its `layers`, by default the last with a map, which sees pictures of `side` × `side`
/// pixels.
pub(super) fn eye(network: &Network, layers: &[String], side: u32, device: &Device) -> anyhow::Result<Eye> {
    ensure!((32..=1024).contains(&side), "--image-size {side}: 32 to 1024 pixels");
    let (encoder, network) = network.load(device)?;
    let layers = match layers {
        [] => vec![last_map(&network)],
        layers => layers.to_vec(),
    };
    let preprocess = Preprocess { size: Size::Exact { width: side, height: side }, crop: None, ..encoder.preprocess() };
    Ok(Eye { encoder, weights: network.tensors(), layers, preprocess })
}
