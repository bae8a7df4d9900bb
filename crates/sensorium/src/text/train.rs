//! `text train`.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use burn::tensor::Device;
use indicatif::{HumanCount, ProgressBar};
use sensorium_core::files::write_atomic;
use sensorium_text::vectors;
use sensorium_text::word2vec::{
    self, Corpus, CorpusBuilder, Model, Objective, Phrases, Progress, Settings, Subwords, Trainer, Updates,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Train;
use crate::Global;
use crate::progress::told_bar;

/// Parts of the whole work that the bar counts.
const PARTS: usize = 1000;
/// How often the bar moves.
const TICK: Duration = Duration::from_millis(200);
/// How often a checkpoint is written within an epoch.
const SAVE_EVERY: Duration = Duration::from_secs(30);
/// Writing checkpoints may take this share of the time, one in so many.
const SHARE: u32 = 50;

impl Train {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let settings = self.settings();
        settings.validate()?;
        [Some(&self.out), self.outputs.as_ref()].into_iter().flatten().try_for_each(vectors::check_name)?;
        let same = self.outputs.as_ref() == Some(&self.out);
        ensure!(!same, "--outputs {}: is the file of --out; choose another name", self.out.display());
        let gpu = global.gpu()?;
        ensure!(gpu.is_none() || !self.classic, "--classic: goes from pair to pair on a processor; leave --device out");
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global()?;
        }
        let partial = Partial::open(&self, &settings)?;
        let bar = told_bar(PARTS, global.progress());
        let corpus = partial.corpus(&self, &bar)?;
        let (trainer, learned) = learn(&corpus, settings, &partial.checkpoint(), gpu.as_ref(), &bar)?;
        bar.finish_and_clear();
        if let Some(outputs) = &self.outputs {
            vectors::write(outputs, &trainer.output_vectors()?)?;
        }
        self.write(trainer)?;
        let (words, vocabulary) = (corpus.words(), corpus.vocabulary().len());
        // Where files in use cannot be removed, the corpus must be closed.
        drop(corpus);
        partial.remove()?;
        self.report(words, vocabulary, &learned, global)
    }

    /// Writes the vectors; with subwords into .bin the whole model.
    fn write(&self, trainer: Trainer) -> anyhow::Result<()> {
        if self.subword && self.out.extension().is_some_and(|extension| extension == "bin") {
            return Ok(trainer.into_fasttext()?.write(&self.out)?);
        }
        Ok(vectors::write(&self.out, &trainer.into_vectors()?)?)
    }

    fn settings(&self) -> Settings {
        Settings {
            model: if self.cbow { Model::Cbow { corrected: !self.classic_cbow } } else { Model::SkipGram },
            objective: match self.hs {
                true => Objective::HierarchicalSoftmax,
                false => Objective::NegativeSampling(self.negative),
            },
            updates: if self.classic { Updates::Classic } else { Updates::Rounds },
            subwords: self.subword.then_some(Subwords { min_n: self.minn, max_n: self.maxn, buckets: self.buckets }),
            dim: self.dim,
            window: self.window,
            sample: self.sample,
            epochs: self.epochs,
            learning_rate: self.alpha,
            init: self.init,
            seed: self.seed,
        }
    }

    fn report(&self, words: u64, vocabulary: usize, learned: &Learned, global: &Global) -> anyhow::Result<()> {
        let Learned { seconds, words_per_second, loss } = learned;
        let mut out = std::io::stdout().lock();
        if global.json {
            let said = json!({
                "words": words, "vocabulary": vocabulary, "dim": self.dim, "seconds": seconds,
                "words_per_second": words_per_second, "loss": loss, "out": self.out,
            });
            return Ok(writeln!(out, "{said}")?);
        }
        writeln!(out, "{words} words, a vocabulary of {vocabulary}")?;
        writeln!(out, "{seconds:.1} s, {words_per_second:.0} words/s, loss {loss:.4}")?;
        Ok(writeln!(out, "{vocabulary} vectors of {} numbers in {}", self.dim, self.out.display())?)
    }
}

/// The folder beside the output that holds a training until it is done: the settings, the encoded text, a checkpoint.
struct Partial {
    path: PathBuf,
}

/// Whatever decides the vectors.
#[derive(Serialize)]
struct Decisions<'a> {
    corpus: &'a Path,
    min_count: u64,
    max_vocab: Option<usize>,
    phrases: Option<f64>,
    #[serde(flatten)]
    training: &'a Settings,
}

impl Partial {
    /// A new folder, or with `--resume` one that is there.
    fn open(train: &Train, settings: &Settings) -> anyhow::Result<Self> {
        let partial = Self { path: train.out.with_added_extension("partial") };
        let shown = partial.path.display();
        let cannot = || format!("cannot create {shown}");
        fs::create_dir_all(train.out.parent().unwrap_or(Path::new(""))).with_context(cannot)?;
        match fs::create_dir(&partial.path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                ensure!(train.resume, "{shown}: holds a training that was stopped; go on with --resume, or remove it");
            }
            made => made.with_context(cannot)?,
        }
        partial.check_settings(&Decisions {
            corpus: &train.corpus,
            min_count: train.min_count,
            max_vocab: train.max_vocab.map(|most| most.get()),
            phrases: train.phrases,
            training: settings,
        })?;
        Ok(partial)
    }

    /// Writes down what decides the vectors, or checks that it is what was written down.
    fn check_settings(&self, now: &Decisions) -> anyhow::Result<()> {
        let path = self.path.join("settings.json");
        let now = serde_json::to_vec_pretty(now)?;
        if !path.exists() {
            return Ok(write_atomic(&path, &now)?);
        }
        let parse = |text: &[u8]| serde_json::from_slice::<Map<String, Value>>(text);
        let read = || Ok::<_, anyhow::Error>(parse(&fs::read(&path)?)?);
        let (before, now) = (read().with_context(|| format!("cannot read {}", path.display()))?, parse(&now)?);
        for (name, now) in now {
            let before = before.get(&name).unwrap_or(&Value::Null);
            ensure!(
                *before == now,
                "{}: {name} was {before} and is {now}; resume with the same settings, or remove the folder",
                self.path.display()
            );
        }
        Ok(())
    }

    /// The text as numbers: read now, or by the training that was stopped.
    fn corpus(&self, train: &Train, bar: &ProgressBar) -> anyhow::Result<Corpus> {
        // This file is the last that reading writes.
        if self.path.join("corpus.json").exists() {
            return Ok(Corpus::open(&self.path)?);
        }
        let corpus = self.read(train, bar);
        if corpus.is_err() {
            // Nothing is lost: there is no training to go on with yet.
            self.remove()?;
        }
        corpus
    }

    fn read(&self, train: &Train, bar: &ProgressBar) -> anyhow::Result<Corpus> {
        check_apart(&train.out, &self.path, &train.corpus)?;
        let max_vocab = train.max_vocab.map(|most| most.get());
        let phrases = train.phrases.map(|threshold| Phrases { threshold, ..Phrases::default() });
        let mut builder = CorpusBuilder::new(&self.path)?.with_max_vocab(max_vocab).with_phrases(phrases)?;
        push_all(&mut builder, &train.corpus, bar)?;
        builder.finish(train.min_count).with_context(|| train.corpus.display().to_string())
    }

    fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    fn remove(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

/// Reads a text into a corpus.
pub(super) fn push_all(builder: &mut CorpusBuilder, corpus: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut told = Instant::now();
    for sentence in word2vec::sentences(corpus)? {
        builder.push(&sentence?)?;
        if told.elapsed() >= TICK {
            bar.set_message(format!("{} words read", HumanCount(builder.words())));
            told = Instant::now();
        }
    }
    Ok(())
}

/// What is written into the folder of a text while it is read would be read as well.
pub(super) fn check_apart(out: &Path, folder: &Path, corpus: &Path) -> anyhow::Result<()> {
    let inside = corpus.is_dir() && folder.canonicalize()?.starts_with(corpus.canonicalize()?);
    ensure!(!inside, "--out {}: lies in the folder of the text; choose another place", out.display());
    Ok(())
}

/// How a training went, from its start or resumption on.
struct Learned {
    seconds: f64,
    words_per_second: f64,
    /// The mean over all that was trained.
    loss: f64,
}

/// Trains to the end, from the checkpoint if there is one, and keeps writing it.
fn learn<'c>(
    corpus: &'c Corpus,
    settings: Settings,
    checkpoint: &Path,
    gpu: Option<&Device>,
    bar: &ProgressBar,
) -> anyhow::Result<(Trainer<'c>, Learned)> {
    let start = Instant::now();
    let mut trainer = match checkpoint.exists() {
        true => Trainer::resume(corpus, settings, checkpoint)?,
        false => Trainer::new(corpus, settings)?,
    };
    if let Some(device) = gpu {
        trainer = trainer.on(device)?;
    }
    let first = trainer.progress();
    bar.set_position(part(first.done));
    bar.reset_eta();
    let (mut last, mut loss, mut measured) = (first, 0.0, first.done);
    let mut told = Instant::now();
    let (mut saved, mut took, mut saved_epoch) = (Instant::now(), Duration::ZERO, first.epoch);
    while trainer.round()? {
        let now = trainer.progress();
        last = now;
        // A short round may hold none of the windows whose loss is taken.
        if now.loss > 0.0 {
            loss += now.loss * (now.done - measured);
            measured = now.done;
        }
        if told.elapsed() >= TICK {
            tell(bar, &now, loss / (measured - first.done));
            told = Instant::now();
        }
        let due = now.epoch > saved_epoch || saved.elapsed() >= SAVE_EVERY;
        if due && saved.elapsed() >= took * SHARE {
            let begun = Instant::now();
            trainer.save(checkpoint)?;
            (saved, took, saved_epoch) = (Instant::now(), begun.elapsed(), now.epoch);
        }
    }
    let learned = Learned {
        seconds: start.elapsed().as_secs_f64(),
        words_per_second: last.words_per_second,
        loss: loss / (measured - first.done),
    };
    Ok((trainer, learned))
}

fn tell(bar: &ProgressBar, now: &Progress, loss: f64) {
    bar.set_position(part(now.done));
    let speed = HumanCount(now.words_per_second as u64);
    bar.set_message(format!("{speed} words/s, rate {:.5}, loss {loss:.4}", now.learning_rate));
}

fn part(done: f64) -> u64 {
    (done * PARTS as f64) as u64
}
