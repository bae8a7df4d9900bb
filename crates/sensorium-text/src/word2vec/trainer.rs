//! Training: rounds of lanes.
//!
//! The text is cut into a fixed number of stretches. In a round every lane goes on a little in its own and notes what is
//! to be added to which row, computed from the tables as they stand; then the notes are added, stripe by stripe, always
//! in the order of the lanes. Threads share the lanes of the first half of a round and the stripes of the second. No row
//! is ever written while another thread reads it, and nothing depends on which thread does what: the same seed gives the
//! same vectors on any number of threads, to the bit.

use std::path::Path;
use std::time::Instant;

use burn::tensor::TensorData;
use pulp::Arch;
use rayon::prelude::*;
use sensorium_core::Error;
use sensorium_core::weights::{self, TensorMap};
use serde::{Deserialize, Serialize};

use super::corpus::{Corpus, END};
use super::huffman;
use super::lane::{Apply, Lane, Round, Run, Targets};
use super::random::Random;
use super::settings::{Objective, Settings};
use super::table::Table;
use super::vocabulary::{Alias, Vocabulary};
use crate::Result;
use crate::vectors::WordVectors;

/// The most tokens that a lane reads in a round.
const TOKENS_A_LANE: usize = 200;
/// The learning rate falls to this part of itself.
const LAST_RATE: f32 = 1e-4;

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Passes over the text that are done.
    pub epoch: usize,
    /// The part of the whole work that is done, 0 to 1.
    pub done: f64,
    /// Words a second since the start or the resumption, rare words included.
    pub words_per_second: f64,
    /// The learning rate.
    pub learning_rate: f32,
    /// The mean cross entropy of a pair, in nats, over some of the windows since the last report.
    pub loss: f64,
}

/// A training under way.
///
/// ```
/// use sensorium_text::word2vec::{CorpusBuilder, Settings, Trainer};
///
/// let folder = tempfile::tempdir().unwrap();
/// let mut builder = CorpusBuilder::new(folder.path())?;
/// for _ in 0..50 {
///     builder.push("the cat sat on the mat")?;
/// }
/// let corpus = builder.finish(5)?;
/// let mut trainer = Trainer::new(&corpus, Settings { dim: 16, ..Settings::default() })?;
/// while trainer.round() {}
/// assert_eq!(trainer.vectors()?.get("cat").unwrap().len(), 16);
/// # Ok::<(), sensorium_text::Error>(())
/// ```
pub struct Trainer<'a> {
    corpus: &'a Corpus,
    settings: Settings,
    keep: Vec<u32>,
    targets: Targets,
    input: Table,
    output: Table,
    lanes: Vec<Lane>,
    state: State,
    /// When it began or was resumed, and the tokens done then.
    start: Instant,
    started_at: usize,
    /// The sum of losses since the last report, and their number.
    loss: (f64, u64),
}

/// Where a training is, besides its tables and lanes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    epoch: usize,
    /// Tokens done in all epochs.
    tokens: usize,
}

/// What a checkpoint says beside its tensors.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    settings: Settings,
    words: usize,
    total: u64,
    state: State,
    /// The cursor and the random state of each lane.
    lanes: Vec<(usize, u64)>,
}

impl<'a> Trainer<'a> {
    /// Starts: W uniform in ±1 / (2 dim), W′ zero, as word2vec.c does.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn new(corpus: &'a Corpus, settings: Settings) -> Result<Self> {
        settings.validate()?;
        let vocabulary = corpus.vocabulary();
        let (words, dim) = (vocabulary.len(), settings.dim);
        let mut input = Table::zeros(words, dim);
        let mut random = Random::stream(settings.seed, u64::MAX);
        for rank in 0..words {
            input.row_mut(rank).iter_mut().for_each(|value| *value = random.centred() / dim as f32);
        }
        let targets = targets(vocabulary, settings.objective);
        let outputs = match &targets {
            Targets::Negatives { .. } => words,
            Targets::Paths(_) => words - 1,
        };
        // Few words take part in every lane: the fewer there are, the fewer lanes may change them at a time.
        let lanes = (words / 2000).clamp(1, 64);
        let lanes = (0..lanes).map(|lane| Lane::new(Random::stream(settings.seed, lane as u64)));
        let mut trainer = Self {
            corpus,
            keep: vocabulary.keep_probabilities(settings.sample).into_iter().map(threshold).collect(),
            targets,
            input,
            output: Table::zeros(outputs, dim),
            lanes: lanes.collect(),
            state: State { epoch: 0, tokens: 0 },
            start: Instant::now(),
            started_at: 0,
            loss: (0.0, 0),
            settings,
        };
        trainer.start_epoch();
        Ok(trainer)
    }

    /// Gives every lane its stretch, from the start of a sentence on.
    fn start_epoch(&mut self) {
        let tokens = self.corpus.tokens();
        let count = self.lanes.len();
        let mut from = 0;
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            let ideal = tokens.len() * (number + 1) / count;
            let rest = tokens[ideal..].iter().position(|token| *token == END).map_or(tokens.len() - ideal, |at| at + 1);
            let end = if number + 1 == count { tokens.len() } else { (ideal + rest).max(from) };
            (lane.cursor, lane.end) = (from, end);
            from = end;
        }
    }

    /// Trains one round; `false` when all is done.
    pub fn round(&mut self) -> bool {
        if self.state.epoch == self.settings.epochs {
            return false;
        }
        let dim = self.settings.dim;
        let round = Round {
            tokens: self.corpus.tokens(),
            keep: &self.keep,
            input: &self.input,
            output: &self.output,
            targets: &self.targets,
            model: self.settings.model,
            window: self.settings.window,
            learning_rate: self.learning_rate(),
            tokens_a_lane: (self.corpus.vocabulary().len() / 16).clamp(16, TOKENS_A_LANE),
        };
        let arch = Arch::new();
        self.lanes.par_iter_mut().with_max_len(1).for_each(|lane| arch.dispatch(Run { lane, round: &round }));
        let lanes = &self.lanes;
        let inputs = self.input.stripes_mut().enumerate();
        let outputs = self.output.stripes_mut().enumerate();
        rayon::join(
            || {
                inputs.with_max_len(1).for_each(|(number, stripe)| {
                    let changes = lanes.iter().map(|lane| &lane.input);
                    arch.dispatch(Apply { stripe, number, changes, dim });
                });
            },
            || {
                outputs.with_max_len(1).for_each(|(number, stripe)| {
                    let changes = lanes.iter().map(|lane| &lane.output);
                    arch.dispatch(Apply { stripe, number, changes, dim });
                });
            },
        );
        for lane in &self.lanes {
            self.state.tokens += lane.read;
            self.loss.0 += lane.loss.0;
            self.loss.1 += lane.loss.1;
        }
        if self.lanes.iter().all(|lane| lane.cursor == lane.end) {
            self.state.epoch += 1;
            self.start_epoch();
        }
        true
    }

    fn learning_rate(&self) -> f32 {
        self.settings.learning_rate() * (1.0 - self.done() as f32).max(LAST_RATE)
    }

    fn done(&self) -> f64 {
        self.state.tokens as f64 / (self.corpus.tokens().len() * self.settings.epochs) as f64
    }

    /// How far it is. The loss starts anew.
    pub fn progress(&mut self) -> Progress {
        let (sum, pairs) = std::mem::take(&mut self.loss);
        let since = (self.state.tokens - self.started_at) as f64 / self.corpus.tokens().len() as f64;
        Progress {
            epoch: self.state.epoch,
            done: self.done(),
            words_per_second: since * self.corpus.words() as f64 / self.start.elapsed().as_secs_f64(),
            learning_rate: self.learning_rate(),
            loss: sum / pairs.max(1) as f64,
        }
    }

    /// The word vectors, W, as they stand.
    ///
    /// # Errors
    /// If a number is not finite: the learning rate was too high.
    pub fn vectors(&self) -> Result<WordVectors> {
        let rows = self.input.to_rows();
        if rows.iter().any(|value| !value.is_finite()) {
            let reason =
                format!("the vectors are not finite; lower the learning rate of {}", self.settings.learning_rate());
            return Err(Error::Train { reason }.into());
        }
        WordVectors::new(self.corpus.vocabulary().words().to_vec(), self.settings.dim, rows)
    }

    /// The output vectors, W′, `[rows, dim]`: of the words for negative sampling, of the inner nodes of the tree for
    /// hierarchical softmax.
    pub fn outputs(&self) -> Vec<f32> {
        self.output.to_rows()
    }

    /// Writes all that [`resume`](Self::resume) needs.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let dim = self.settings.dim;
        let vocabulary = self.corpus.vocabulary();
        let said = Checkpoint {
            settings: self.settings.clone(),
            words: vocabulary.len(),
            total: vocabulary.total(),
            state: self.state.clone(),
            lanes: self.lanes.iter().map(|lane| (lane.cursor, lane.random.0)).collect(),
        };
        let mut tensors = TensorMap::new(path.as_ref());
        for (name, table) in [("input", &self.input), ("output", &self.output)] {
            tensors.insert(name, TensorData::new(table.to_rows(), [table.rows(), dim]));
        }
        let said = serde_json::to_vec(&said).expect("a checkpoint becomes JSON");
        let length = said.len();
        tensors.insert("state", TensorData::new(said, [length]));
        Ok(weights::write_safetensors(path.as_ref(), &tensors)?)
    }

    /// Goes on where [`save`](Self::save) was called: the vectors end as if there had been no break.
    ///
    /// # Errors
    /// If the file cannot be read, or was saved with other settings or of another corpus. More epochs are other settings,
    /// since the learning rate falls by them.
    pub fn resume(corpus: &'a Corpus, settings: Settings, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bad =
            |reason: String| Error::Format { path: path.to_path_buf(), format: "checkpoint of a training", reason };
        let tensors = weights::read(path)?;
        let said = tensors.get("state").and_then(|data| data.clone().try_into_vec::<u8>().ok());
        let said = said.ok_or_else(|| bad("it has no tensor `state` of bytes".to_string()))?;
        let said: Checkpoint = serde_json::from_slice(&said).map_err(|error| bad(error.to_string()))?;
        if said.settings != settings {
            return Err(bad(format!("it was saved with {:?}, not with {settings:?}", said.settings)).into());
        }
        let vocabulary = corpus.vocabulary();
        if (said.words, said.total) != (vocabulary.len(), vocabulary.total()) {
            let reason = format!("it is of a corpus of {} words, not of {}", said.words, vocabulary.len());
            return Err(bad(reason).into());
        }
        let mut trainer = Self::new(corpus, settings)?;
        let dim = trainer.settings.dim;
        for (name, table) in [("input", &mut trainer.input), ("output", &mut trainer.output)] {
            let rows = tensors.f32s(name)?;
            if rows.len() != table.rows() * dim {
                return Err(bad(format!("{name} has {} numbers", rows.len())).into());
            }
            *table = Table::from_rows(&rows, dim);
        }
        let inside = |(lane, (cursor, _)): (&Lane, &(usize, u64))| (lane.cursor..=lane.end).contains(cursor);
        if said.lanes.len() != trainer.lanes.len() || !trainer.lanes.iter().zip(&said.lanes).all(inside) {
            return Err(bad("its lanes are not those of this corpus".to_string()).into());
        }
        for (lane, (cursor, random)) in trainer.lanes.iter_mut().zip(said.lanes) {
            (lane.cursor, lane.random) = (cursor, Random(random));
        }
        trainer.started_at = said.state.tokens;
        trainer.state = said.state;
        Ok(trainer)
    }
}

fn targets(vocabulary: &Vocabulary, objective: Objective) -> Targets {
    match objective {
        Objective::NegativeSampling(count) => {
            Targets::Negatives { alias: Alias::new(&vocabulary.negative_probabilities()), count }
        }
        Objective::HierarchicalSoftmax => Targets::Paths(huffman::paths(vocabulary.counts())),
    }
}

/// A probability as the largest 32-bit number that stands for yes.
fn threshold(probability: f64) -> u32 {
    (probability * f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::super::corpus::CorpusBuilder;
    use super::super::settings::Model;
    use super::*;
    use rand::seq::IndexedRandom;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const MODELS: [Model; 3] = [Model::SkipGram, Model::Cbow { corrected: true }, Model::Cbow { corrected: false }];
    const OBJECTIVES: [Objective; 2] = [Objective::NegativeSampling(5), Objective::HierarchicalSoftmax];

    /// Sentences of twelve words, each sentence from one of two halves of `words` words.
    fn corpus(folder: &Path, words: usize, sentences: usize) -> Corpus {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut builder = CorpusBuilder::new(folder).unwrap();
        let halves: [Vec<String>; 2] = ["a", "b"].map(|half| (0..words / 2).map(|i| format!("{half}{i}")).collect());
        for _ in 0..sentences {
            let half = &halves[rng.random_range(0..2)];
            let sentence: Vec<&str> = (0..12).map(|_| half.choose(&mut rng).unwrap().as_str()).collect();
            builder.push(&sentence.join(" ")).unwrap();
        }
        builder.finish(1).unwrap()
    }

    fn settings(model: Model, objective: Objective) -> Settings {
        Settings { model, objective, dim: 20, sample: 0.0, ..Settings::default() }
    }

    fn train(corpus: &Corpus, settings: &Settings) -> Vec<f32> {
        let mut trainer = Trainer::new(corpus, settings.clone()).unwrap();
        while trainer.round() {}
        trainer.vectors().unwrap().values().to_vec()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn words_that_keep_company_come_together() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 40, 1500);
        for (model, objective) in MODELS.into_iter().flat_map(|m| OBJECTIVES.map(|o| (m, o))) {
            let mut trainer = Trainer::new(&corpus, settings(model, objective)).unwrap();
            trainer.round();
            let before = trainer.progress();
            while trainer.round() {}
            let after = trainer.progress();
            assert_eq!((after.epoch, after.done), (5, 1.0));
            assert!(after.loss < before.loss && after.words_per_second > 0.0, "{model:?}, {objective:?}: {after:?}");
            let vectors = trainer.vectors().unwrap();
            let near = |a: &str, b: &str| cosine(vectors.get(a).unwrap(), vectors.get(b).unwrap());
            let same = (near("a0", "a1") + near("b0", "b1")) / 2.0;
            let other = (near("a0", "b0") + near("a1", "b1")) / 2.0;
            assert!(same > other + 0.5, "{model:?}, {objective:?}: {same} {other}");
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_vectors() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 9000, 3000);
        let settings = settings(Model::SkipGram, Objective::NegativeSampling(5));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train(&corpus, &settings))
        };
        let one = on(1);
        assert!(Trainer::new(&corpus, settings.clone()).unwrap().lanes.len() > 2, "lanes to share");
        assert!(on(2) == one && on(5) == one);
        assert!(train(&corpus, &Settings { seed: 2, ..settings.clone() }) != one);
    }

    #[test]
    fn a_resumed_training_ends_as_an_unbroken_one() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 5000, 1000);
        let path = folder.path().join("checkpoint.safetensors");
        for objective in OBJECTIVES {
            let settings = settings(Model::Cbow { corrected: true }, objective);
            let mut trainer = Trainer::new(&corpus, settings.clone()).unwrap();
            (0..20).for_each(|_| assert!(trainer.round()));
            trainer.save(&path).unwrap();
            drop(trainer);
            let mut resumed = Trainer::resume(&corpus, settings.clone(), &path).unwrap();
            while resumed.round() {}
            assert!(resumed.vectors().unwrap().values() == train(&corpus, &settings));
            let other = Settings { dim: 21, ..settings };
            let error = Trainer::resume(&corpus, other, &path).err().unwrap().to_string();
            assert!(error.contains("checkpoint") && error.contains("dim: 21"), "{error}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 10, 10);
        for (settings, field) in [
            (Settings { dim: 0, ..Settings::default() }, "dim"),
            (Settings { window: 0, ..Settings::default() }, "window"),
            (Settings { sample: f64::NAN, ..Settings::default() }, "sample"),
            (Settings { learning_rate: Some(0.0), ..Settings::default() }, "learning_rate"),
            (Settings { objective: Objective::NegativeSampling(0), ..Settings::default() }, "negative"),
        ] {
            let error = Trainer::new(&corpus, settings).err().unwrap().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
