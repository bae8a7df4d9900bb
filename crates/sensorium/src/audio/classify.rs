//! `audio classify`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use sensorium_audio::classify::fit::FitSettings;
use sensorium_audio::classify::recordings::Recordings;
use sensorium_audio::classify::{Classifier, Evaluation};
use sensorium_audio::sound_net::{SoundNet, SoundNetConfig};
use sensorium_core::draw::heatmap::Matrix;
use sensorium_core::train::RunFolder;
use sensorium_core::weights;
use serde_json::json;

use crate::Global;
use crate::training::{ensure_unfinished, shown};

/// The verbs of `audio classify`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Learn to tell sounds apart from a folder of recordings with a folder for each class.
    Train(Box<Train>),
    /// Measure a classifier on the speakers that it did not learn from.
    Eval(Eval),
    /// Say what recordings are.
    Run(Run),
}

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkKind {
    /// A convolutional network over mel bands.
    MelCnn,
    /// SoundNet over the waveform.
    SoundNet,
}

/// `audio classify train`
#[derive(Args)]
pub(crate) struct Train {
    /// A folder with a folder of recordings for each class. File names begin with the speaker and a `_`, as in Speech
    /// Commands; no speaker is on two sides of the split.
    data: PathBuf,
    /// The folder to keep the run and the classifier in.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// The network.
    #[arg(long, value_enum, default_value_t = NetworkKind::MelCnn)]
    network: NetworkKind,
    /// Weights of SoundNet to begin with, in the layout of its ports to TensorFlow (.npy) or PyTorch (.pth).
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Speakers to hold out for `eval`; without, a fifth of them, drawn by the seed.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    hold_out: Vec<String>,
    /// Seconds of a recording that the network is given.
    #[arg(long)]
    seconds: Option<f64>,
    /// Passes over the recordings.
    #[arg(long)]
    epochs: Option<usize>,
    /// Recordings a step.
    #[arg(long)]
    batch: Option<usize>,
    /// The peak learning rate.
    #[arg(long)]
    lr: Option<f64>,
    /// What the split, the first weights and all that is drawn follow from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on with the run in RUN.
    #[arg(long)]
    resume: bool,
}

/// `audio classify eval`
#[derive(Args)]
pub(crate) struct Eval {
    /// The folder of `train --out`.
    run: PathBuf,
    /// A folder of recordings with the same classes.
    data: PathBuf,
    /// Measure on all recordings, not only on those of held-out speakers: for a folder that was not learned from.
    #[arg(long)]
    all: bool,
    /// A picture to draw: which classes were taken for which, .png or .svg.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// `audio classify run`
#[derive(Args)]
pub(crate) struct Run {
    /// The folder of `train --out`.
    run: PathBuf,
    /// Recordings.
    #[arg(required = true, value_name = "IN")]
    files: Vec<PathBuf>,
    /// Classes to name.
    #[arg(long, default_value_t = 3)]
    top: usize,
}

impl Verb {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Train(verb) => verb.run(global),
            Self::Eval(verb) => verb.run(global),
            Self::Run(verb) => verb.run(global),
        }
    }
}

impl Train {
    fn run(self, global: &Global) -> anyhow::Result<()> {
        let settings = self.settings();
        settings.validate()?;
        let device = global.device()?;
        let recordings = Recordings::open(&self.data)?;
        ensure_unfinished(&self.out, "classifier.json", self.resume)?;
        let encoder = match &self.weights {
            Some(file) => Some(self.encoder(file, &device)?),
            None => None,
        };
        // More epochs may be asked for when a run is resumed.
        let about = json!({
            "data": self.data, "weights": self.weights, "training": FitSettings { epochs: 0, ..settings.clone() },
        });
        let run = RunFolder::open(&self.out, &about, self.resume)?;
        let fitted = settings.fit(&recordings, encoder, Some(run), shown(global), &device)?;
        fitted.classifier.save(&self.out)?;
        let found = fitted.classifier.evaluate(&recordings, &fitted.split.test)?;
        let (learned, held_out) = (fitted.split.train.len(), fitted.classifier.held_out());
        let mut out = std::io::stdout().lock();
        if global.json {
            let said = json!({
                "run": self.out, "learned_from": learned, "best_epoch": fitted.best_epoch, "held_out": held_out,
                "test": found,
            });
            return Ok(writeln!(out, "{said}")?);
        }
        writeln!(
            out,
            "learned from {learned} recordings; the classifier of epoch {} is in {}",
            fitted.best_epoch,
            self.out.display()
        )?;
        write!(out, "on ")?;
        Ok(say(&mut out, &found, held_out.len(), recordings.classes.len())?)
    }

    fn settings(&self) -> FitSettings {
        let usual = match self.network {
            NetworkKind::MelCnn => FitSettings::mel_cnn(self.seed),
            NetworkKind::SoundNet => FitSettings::sound_net(self.seed),
        };
        FitSettings {
            seconds: self.seconds.unwrap_or(usual.seconds),
            epochs: self.epochs.unwrap_or(usual.epochs),
            batch: self.batch.unwrap_or(usual.batch),
            learning_rate: self.lr.unwrap_or(usual.learning_rate),
            held_out: self.hold_out.clone(),
            ..usual
        }
    }

    fn encoder(&self, file: &Path, device: &burn::tensor::Device) -> anyhow::Result<SoundNet> {
        let encoder = SoundNetConfig::eight_layers().init(&device.clone().autodiff());
        Ok(encoder.load(weights::read(file)?)?)
    }
}

impl Eval {
    fn run(self, global: &Global) -> anyhow::Result<()> {
        let classifier = Classifier::load(&self.run, &global.device()?)?;
        let recordings = Recordings::open(&self.data)?;
        let held_out = classifier.held_out();
        let chosen = |i: &usize| self.all || held_out.contains(&recordings.items[*i].speaker);
        let of: Vec<usize> = (0..recordings.items.len()).filter(chosen).collect();
        let found = classifier.evaluate(&recordings, &of)?;
        if let Some(out) = &self.out {
            let counts: Vec<f32> = found.confusion.iter().flatten().map(|count| *count as f32).collect();
            let classes = classifier.classes();
            Matrix::new("What recordings were taken for", &counts, [classes.len(); 2])
                .row_labels(classes)
                .col_labels(classes)
                .y_label("is")
                .x_label("was taken for")
                .draw()
                .save(out)?;
        }
        let speakers: std::collections::BTreeSet<&str> =
            of.iter().map(|i| recordings.items[*i].speaker.as_str()).collect();
        let mut out = std::io::stdout().lock();
        match global.json {
            true => writeln!(out, "{}", json!({"classes": classifier.classes(), "evaluation": found}))?,
            false => say(&mut out, &found, speakers.len(), classifier.classes().len())?,
        }
        Ok(())
    }
}

impl Run {
    fn run(self, global: &Global) -> anyhow::Result<()> {
        let classifier = Classifier::load(&self.run, &global.device()?)?;
        let mut out = std::io::stdout().lock();
        for file in &self.files {
            let mut guesses = classifier.classify(file)?;
            guesses.truncate(self.top.max(1));
            if global.json {
                writeln!(out, "{}", json!({"file": file, "guesses": guesses}))?;
                continue;
            }
            let named = guesses.iter().map(|guess| format!("{} {:.2}", guess.class, guess.probability));
            writeln!(out, "{}: {}", file.display(), named.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

fn say(out: &mut impl Write, found: &Evaluation, speakers: usize, classes: usize) -> std::io::Result<()> {
    let Evaluation { recordings, accuracy, top5, mean_class_accuracy, .. } = found;
    let chance = 100.0 / classes as f64;
    writeln!(out, "{recordings} recordings of {speakers} speakers it did not learn from, {classes} classes:")?;
    writeln!(
        out,
        "accuracy {accuracy:.1} % (by chance {chance:.1} %), mean over classes {mean_class_accuracy:.1} %, \
         among the five likeliest {top5:.1} %"
    )
}
