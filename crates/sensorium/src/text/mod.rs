//! `sensorium text`: word vectors.

mod ask;
mod eval;
mod files;
mod phrases;
mod train;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use crate::Global;

/// What to do with word vectors.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Learn word vectors from a text (word2vec).
    Train(Train),
    /// Join the pairs of words in a text that belong together (word2phrase).
    Phrases(PhrasesOf),
    /// List the words nearest to a word.
    Neighbors(Neighbors),
    /// Complete an analogy: A is to B as C is to which word?
    Analogy(Analogy),
    /// Compare vectors with people's ratings of word pairs and with analogies.
    Eval(Eval),
    /// Draw words on a plane.
    Map(Map),
    /// Write word vectors in another format.
    Convert(Convert),
    /// Say what a file of word vectors holds.
    Info(Info),
}

/// `text train`
#[derive(Args)]
pub(crate) struct Train {
    /// The text, a sentence a line, words apart by white space: a file, a folder, or `-` for standard input; files in
    /// .gz and .zst are unpacked.
    corpus: PathBuf,
    /// The vectors to write, in the format of the extension: .bin, .txt, .vec, .glove, .fifu or .safetensors. With
    /// `--subword`, .bin is a fastText model.
    #[arg(long)]
    out: PathBuf,
    /// Where to write the output vectors, W′, as well.
    #[arg(long, value_name = "FILE", conflicts_with = "hs")]
    outputs: Option<PathBuf>,
    /// Skip-gram, the default: each word near a word foretells it.
    #[arg(long, conflicts_with = "cbow")]
    sg: bool,
    /// Continuous bag of words: the mean of the words near a word foretells it.
    #[arg(long)]
    cbow: bool,
    /// The gradient of word2vec.c's CBOW, which is not divided by the number of words in the mean.
    #[arg(long, requires = "cbow")]
    classic_cbow: bool,
    /// Numbers in a vector.
    #[arg(long, default_value_t = 100)]
    dim: usize,
    /// The most words on each side that count as near.
    #[arg(long, default_value_t = 5)]
    window: usize,
    /// Random words that each true one is told from.
    #[arg(long, default_value_t = 5)]
    negative: usize,
    /// Hierarchical softmax in place of negative sampling.
    #[arg(long, conflicts_with = "negative")]
    hs: bool,
    /// Make words of the n-grams of their characters, as fastText does.
    #[arg(long)]
    subword: bool,
    /// Characters in the shortest n-gram.
    #[arg(long, default_value_t = 3, requires = "subword")]
    minn: u32,
    /// Characters in the longest n-gram.
    #[arg(long, default_value_t = 6, requires = "subword")]
    maxn: u32,
    /// Rows that n-grams are hashed to.
    #[arg(long, default_value_t = 2_000_000, requires = "subword")]
    buckets: u32,
    /// Join pairs of words that belong together, those that score above a threshold; 100 where it is left out.
    #[arg(long, value_name = "THRESHOLD", num_args = 0..=1, require_equals = true, default_missing_value = "100")]
    phrases: Option<f64>,
    /// Update after each pair, as word2vec.c does, on one thread: slow, to compare with.
    #[arg(long, conflicts_with = "subword")]
    classic: bool,
    /// Words above this share of the text are thinned out; 0 keeps all.
    #[arg(long, default_value_t = 1e-4)]
    sample: f64,
    /// Words that occur fewer times are left out.
    #[arg(long, default_value_t = 5)]
    min_count: u64,
    /// The most different words held while reading; with more, the rarest are forgotten.
    #[arg(long, value_name = "N")]
    max_vocab: Option<NonZeroUsize>,
    /// Passes over the text.
    #[arg(long, default_value_t = 5)]
    epochs: usize,
    /// Learning rate at the start; where left out .025 for skip-gram, .1 for CBOW, .05 for classic CBOW.
    #[arg(long)]
    alpha: Option<f32>,
    /// The first vectors lie between plus and minus this over the root of `--dim`.
    #[arg(long, default_value_t = 0.4)]
    init: f32,
    /// Seed of the first vectors and of all draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; all cores where left out. The vectors are the same with any number.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Accepted for scripts: training always gives the same vectors for the same seed.
    #[arg(long)]
    deterministic: bool,
    /// Go on with a training that was stopped.
    #[arg(long)]
    resume: bool,
}

/// `text phrases`
#[derive(Args)]
pub(crate) struct PhrasesOf {
    /// The text, as for `train`.
    corpus: PathBuf,
    /// The text to write, with `_` between the words of a phrase.
    #[arg(long)]
    out: PathBuf,
    /// Words that occur fewer times belong to no phrase.
    #[arg(long, default_value_t = 5)]
    min_count: u64,
    /// The score above which a pair is joined.
    #[arg(long, default_value_t = 100.0)]
    threshold: f64,
}

/// What every question takes.
#[derive(Args)]
pub(crate) struct Answers {
    /// How many answers.
    #[arg(short, default_value = "10")]
    k: NonZeroUsize,
    /// Take answers from the first N words only, in most files the most frequent ones.
    #[arg(long, value_name = "N")]
    restrict: Option<usize>,
}

/// `text neighbors`
#[derive(Args)]
pub(crate) struct Neighbors {
    /// A file of word vectors.
    vectors: PathBuf,
    /// The word; with a fastText model any word.
    word: String,
    #[command(flatten)]
    answers: Answers,
}

/// `text analogy`
#[derive(Args)]
pub(crate) struct Analogy {
    /// A file of word vectors.
    vectors: PathBuf,
    /// The word taken away, such as `man`.
    a: String,
    /// What A has become, such as `king`.
    b: String,
    /// The word to do the same to, such as `woman`.
    c: String,
    /// Multiply the cosines (3CosMul) rather than add them.
    #[arg(long)]
    mul: bool,
    #[command(flatten)]
    answers: Answers,
}

/// `text eval`
#[derive(Args)]
#[command(group(ArgGroup::new("lists").args(["pairs", "analogies"]).required(true).multiple(true)))]
pub(crate) struct Eval {
    /// A file of word vectors.
    vectors: PathBuf,
    /// Rated pairs: two words and a number a line.
    #[arg(long, value_name = "FILE")]
    pairs: Vec<PathBuf>,
    /// Analogies as in `questions-words.txt`: four words a line, `: name` before each section.
    #[arg(long, value_name = "FILE")]
    analogies: Vec<PathBuf>,
    /// The first N words count as known.
    #[arg(long, value_name = "N", default_value_t = 300_000)]
    restrict: usize,
}

/// How vectors are laid out on a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// The two directions in which they differ most.
    Pca,
    /// Neighbours stay neighbours; the axes mean nothing.
    Tsne,
}

/// `text map`
#[derive(Args)]
pub(crate) struct Map {
    /// A file of word vectors.
    vectors: PathBuf,
    /// Words, or @FILE for those in a file.
    #[arg(required = true)]
    words: Vec<String>,
    /// The drawing to write, .svg or .png.
    #[arg(long)]
    out: PathBuf,
    /// Layout.
    #[arg(long, value_enum, default_value = "pca")]
    method: Method,
    /// Seed of t-SNE.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// `text convert`
#[derive(Args)]
pub(crate) struct Convert {
    /// A file of word vectors.
    from: PathBuf,
    /// The file to write, in the format of the extension: .bin, .txt, .vec, .glove, .fifu, .safetensors, .fasttext.bin, or
    /// quantized, .int8.safetensors or .pq.safetensors.
    to: PathBuf,
}

/// `text info`
#[derive(Args)]
pub(crate) struct Info {
    /// A file of word vectors.
    vectors: PathBuf,
}

impl Verb {
    /// Runs the verb.
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Train(verb) => verb.run(global),
            Self::Phrases(verb) => verb.run(global),
            Self::Neighbors(verb) => verb.run(global),
            Self::Analogy(verb) => verb.run(global),
            Self::Eval(verb) => verb.run(global),
            Self::Map(verb) => verb.run(global),
            Self::Convert(verb) => verb.run(global),
            Self::Info(verb) => verb.run(global),
        }
    }
}
