//! `sensorium joint`: one space of pictures and words.

pub(crate) mod eval;
mod find;
pub(crate) mod train;

use std::path::PathBuf;

use burn::tensor::Device;
use clap::{Args, Subcommand, ValueEnum};
use sensorium_fusion::joint::features::{Features, Matrix};
use sensorium_fusion::joint::pairs::Pairs;

use crate::Global;
use crate::progress::{bar, cache_folder};

/// What to do with the space.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Learn a space from pairs of pictures and words.
    Train(Train),
    /// Measure a run, or with --folds the whole method, on pairs it did not learn from.
    Eval(Eval),
    /// Embed every picture of a folder into an index; stopped early, the same call goes on.
    Index(Index),
    /// Find pictures of an index by words or by a picture.
    Search(Search),
    /// Say which of the run's tags fit a picture.
    Tag(Tag),
    /// Search by a picture minus one word plus another.
    Arithmetic(Arithmetic),
}

/// How the words of a caption become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextKind {
    /// A sum of word vectors: arithmetic works best with it.
    Bow,
    /// A recurrent network over the words in order.
    Gru,
}

/// How the towers are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Solver {
    /// Gradient descent on a metric-learning loss.
    Sgd,
    /// Ridge regression onto word vectors, in closed form.
    Ridge,
}

/// A metric-learning loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossKind {
    /// Hinge on the hardest negative.
    Vsepp,
    /// Hinge on every negative.
    Vse0,
    /// Cross-entropy both ways over the batch, with a learned scale.
    Infonce,
    /// A logistic loss for each pair.
    Siglip,
}

/// `joint train`
#[derive(Args)]
pub(crate) struct Train {
    /// `emoji`, or a folder or file of pairs.
    #[arg(long)]
    data: String,
    /// Folder for the run: settings, vocabulary, weights, metrics, checkpoints.
    #[arg(long)]
    out: PathBuf,
    /// `efficientnet-lite0` with its bundled ImageNet weights, or a file of weights for it.
    #[arg(long, default_value = "efficientnet-lite0")]
    encoder: String,
    /// Text encoder.
    #[arg(long, value_enum, default_value = "bow")]
    text: TextKind,
    /// Solver.
    #[arg(long, value_enum, default_value = "sgd")]
    solver: Solver,
    /// Loss of the sgd solver.
    #[arg(long, value_enum, default_value = "infonce")]
    loss: LossKind,
    /// Passes over the training part.
    #[arg(long)]
    epochs: Option<usize>,
    /// Pairs a step.
    #[arg(long)]
    batch: Option<usize>,
    /// Peak learning rate.
    #[arg(long)]
    lr: Option<f64>,
    /// Dimensions of the space.
    #[arg(long)]
    dim: Option<usize>,
    /// Margin of the hinge losses.
    #[arg(long)]
    margin: Option<f64>,
    /// Side to which pictures are scaled for the encoder, in pixels.
    #[arg(long)]
    image_size: Option<u32>,
    /// Seed of the split, the initial weights and the order of the batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on with a run that was stopped.
    #[arg(long)]
    resume: bool,
}

/// `joint eval`
#[derive(Args)]
pub(crate) struct Eval {
    /// The folder of a run; left out with --folds.
    run: Option<PathBuf>,
    /// `emoji`, or a folder or file of pairs.
    #[arg(long)]
    data: String,
    /// Which part to measure: train, val or test.
    #[arg(long, default_value = "test")]
    split: String,
    /// Train and measure the method afresh on this many parts in turn (emoji only).
    #[arg(long, conflicts_with = "run")]
    folds: Option<usize>,
    /// Seed of the folds.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// How an index is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IndexKind {
    /// Every vector is compared.
    Exact,
    /// A navigable graph: faster on millions, not always exact.
    Hnsw,
}

/// `joint index`
#[derive(Args)]
pub(crate) struct Index {
    /// The folder of a run.
    run: PathBuf,
    /// A folder of pictures, searched through all its subfolders.
    images: PathBuf,
    /// Folder for the index.
    #[arg(long)]
    out: PathBuf,
    /// Store vectors in half precision.
    #[arg(long)]
    half: bool,
    /// Also build a graph for fast search, and print its recall.
    #[arg(long, value_enum, default_value = "exact")]
    index: IndexKind,
}

/// What every search takes.
#[derive(Args)]
pub(crate) struct Hits {
    /// How many results.
    #[arg(short, default_value_t = 10)]
    k: usize,
    /// Also draw the results as a contact sheet.
    #[arg(long)]
    contact_sheet: Option<PathBuf>,
    /// Search every vector, or the graph that `joint index --index hnsw` built.
    #[arg(long, value_enum, default_value = "exact")]
    index: IndexKind,
}

/// `joint search`
#[derive(Args)]
pub(crate) struct Search {
    /// The folder of an index.
    folder: PathBuf,
    /// Words to search by.
    #[arg(required_unless_present = "image", conflicts_with = "image")]
    text: Option<String>,
    /// A picture to search by.
    #[arg(long)]
    image: Option<PathBuf>,
    #[command(flatten)]
    hits: Hits,
}

/// `joint tag`
#[derive(Args)]
pub(crate) struct Tag {
    /// The folder of a run.
    run: PathBuf,
    /// Pictures.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// How many tags a picture.
    #[arg(long, default_value_t = 5)]
    top: usize,
}

/// `joint arithmetic`
#[derive(Args)]
pub(crate) struct Arithmetic {
    /// The folder of an index.
    folder: PathBuf,
    /// The picture to start from.
    image: PathBuf,
    /// Words to take away.
    #[arg(long)]
    minus: String,
    /// Words to add.
    #[arg(long)]
    plus: String,
    /// Length of the text offset; the run's own choice, made on its training pairs, where left out.
    #[arg(long)]
    scale: Option<f32>,
    #[command(flatten)]
    hits: Hits,
}

/// The features of every picture of `pairs`, with progress on stderr, kept for the next time.
fn features_of(features: &Features, pairs: &Pairs, device: &Device, global: &Global) -> anyhow::Result<Matrix> {
    let progress = bar(pairs.items.len(), "image features", global.progress());
    let matrix = features.of_pairs(pairs, &cache_folder(), device, &mut |done| progress.set_position(done as u64))?;
    progress.finish_and_clear();
    Ok(matrix)
}

impl Verb {
    /// Runs the verb.
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Train(verb) => verb.run(global),
            Self::Eval(verb) => verb.run(global),
            Self::Index(verb) => verb.run(global),
            Self::Search(verb) => verb.run(global),
            Self::Tag(verb) => verb.run(global),
            Self::Arithmetic(verb) => verb.run(global),
        }
    }
}
