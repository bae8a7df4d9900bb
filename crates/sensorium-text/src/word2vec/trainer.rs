//! Training: rounds of lanes.
//!
//! The text is cut into a fixed number of stretches. In a round every lane goes on a little in its own and notes what is
//! to be added to which row, computed from the tables as they stand; then the notes are added, stripe by stripe, always
//! in the order of the lanes. Threads share the lanes of the first half of a round and the stripes of the second. No row
//! is ever written while another thread reads it, and nothing depends on which thread does what: the same seed gives the
//! same vectors on any number of threads, to the bit.

use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use sensorium_core::Error;

use super::checkpoint::{self, Checkpoint, Position};
use super::classic::Tables;
use super::corpus::{Corpus, END, give_back_memory};
use super::engine::{Engine, Lanes, Loss, Round, Side};
use super::huffman;
use super::pace::Pace;
use super::random::Random;
use super::reader::{Open, Plan, Reader, Targets};
use super::settings::{Model, Objective, Settings, Updates};
use super::subwords::Pieces;
use super::table::Table;
use super::vocabulary::{Alias, Vocabulary};
use crate::Result;
use crate::vectors::WordVectors;
use crate::vectors::fasttext::{self, Entry, FastText, mean_of_rows};

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
/// while trainer.round()? {}
/// assert_eq!(trainer.vectors()?.get("cat").unwrap().len(), 16);
/// # Ok::<(), sensorium_text::Error>(())
/// ```
pub struct Trainer<'a> {
    corpus: &'a Corpus,
    settings: Settings,
    keep: Vec<u32>,
    targets: Targets,
    pieces: Option<Pieces>,
    /// Rows of W and of W′.
    rows: [usize; 2],
    engine: Engine,
    readers: Vec<Reader>,
    /// Of each reader, at most.
    tokens_a_round: usize,
    epoch: usize,
    /// Tokens done in all epochs.
    tokens: usize,
    /// When it began or was resumed, and the tokens done then.
    start: Instant,
    started_at: usize,
    /// Since the last report.
    loss: Loss,
}

impl<'a> Trainer<'a> {
    /// Begins: W at random, W′ at zero.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn new(corpus: &'a Corpus, settings: Settings) -> Result<Self> {
        let [mut input, output] = tables(corpus.vocabulary(), &settings)?;
        let mut random = Random::stream(settings.seed, u64::MAX);
        let most = settings.init / (settings.dim as f32).sqrt();
        for rank in 0..input.rows() {
            input.row_mut(rank).iter_mut().for_each(|value| *value = 2.0 * most * random.centred());
        }
        Self::of(corpus, settings, [input, output])
    }

    /// Goes on where [`save`](Self::save) was called: the vectors end as if there had been no break.
    ///
    /// # Errors
    /// If the file cannot be read, or was saved with other settings or of another corpus. More epochs are other settings,
    /// since the learning rate falls by them.
    pub fn resume(corpus: &'a Corpus, settings: Settings, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let checkpoint = Checkpoint::open(path)?;
        let said = checkpoint.position.clone();
        if said.settings != settings {
            return Err(checkpoint::bad(path, format!("it was saved with {:?}, not with {settings:?}", said.settings)));
        }
        let vocabulary = corpus.vocabulary();
        if (said.words, said.total) != (vocabulary.len(), vocabulary.total()) {
            let reason = format!("it is of a corpus of {} words, not of {}", said.words, vocabulary.len());
            return Err(checkpoint::bad(path, reason));
        }
        let mut tables = tables(vocabulary, &settings)?;
        checkpoint.read(&mut tables)?;
        let mut trainer = Self::of(corpus, settings, tables)?;
        let Settings { window, epochs, .. } = trainer.settings;
        let inside = |(reader, (cursor, _, open)): (&Reader, &(usize, u64, Open))| {
            (reader.cursor..=reader.end).contains(cursor) && open.fits(vocabulary.len(), window)
        };
        let places =
            said.readers.len() == trainer.readers.len() && trainer.readers.iter().zip(&said.readers).all(inside);
        if !places || said.epoch > epochs || said.tokens > epochs * corpus.tokens().len() {
            return Err(checkpoint::bad(path, "its places in the text are not those of this corpus".to_string()));
        }
        for (reader, (cursor, random, open)) in trainer.readers.iter_mut().zip(said.readers) {
            (reader.cursor, reader.random, reader.open) = (cursor, Random(random), open);
        }
        (trainer.epoch, trainer.tokens, trainer.started_at) = (said.epoch, said.tokens, said.tokens);
        Ok(trainer)
    }

    /// At the start of the text, with these tables.
    fn of(corpus: &'a Corpus, settings: Settings, [input, output]: [Table; 2]) -> Result<Self> {
        let vocabulary = corpus.vocabulary();
        let pace = Pace::of(vocabulary, &settings);
        let mut trainer = Self {
            corpus,
            keep: vocabulary.keep_probabilities(settings.sample).into_iter().map(threshold).collect(),
            targets: targets(vocabulary, settings.objective),
            pieces: settings.subwords.as_ref().map(|subwords| Pieces::new(vocabulary, subwords)),
            rows: [input.rows(), output.rows()],
            engine: match settings.updates {
                Updates::Rounds => Engine::Lanes(Lanes::new(input, output)),
                Updates::Classic => Engine::Classic(Tables::new(settings.dim, input.to_rows(), output.to_rows())?),
            },
            readers: (0..pace.readers).map(|n| Reader::new(Random::stream(settings.seed, n as u64))).collect(),
            tokens_a_round: pace.tokens,
            epoch: 0,
            tokens: 0,
            start: Instant::now(),
            started_at: 0,
            loss: Loss::default(),
            settings,
        };
        trainer.start_epoch();
        give_back_memory();
        Ok(trainer)
    }

    /// Trains on `device`, the rounds as tensor operations: for a GPU. The vectors are those of the processor but for the
    /// rounding of sums; the processor's own kernels are faster there.
    ///
    /// # Errors
    /// With [`Updates::Classic`], which go from pair to pair.
    pub fn on(mut self, device: &Device) -> Result<Self> {
        if self.settings.updates == Updates::Classic {
            let rule = "classic updates go from pair to pair, which only a processor does well; leave the device out";
            return Err(Error::config("updates", "classic", rule).into());
        }
        self.engine = self.engine.on(device);
        Ok(self)
    }

    /// Gives every reader its stretch, from the start of a sentence on.
    fn start_epoch(&mut self) {
        let tokens = self.corpus.tokens();
        let count = self.readers.len();
        let mut from = 0;
        for (number, reader) in self.readers.iter_mut().enumerate() {
            let ideal = tokens.len() * (number + 1) / count;
            let rest = tokens[ideal..].iter().position(|token| *token == END).map_or(tokens.len() - ideal, |at| at + 1);
            let end = if number + 1 == count { tokens.len() } else { (ideal + rest).max(from) };
            (reader.cursor, reader.end) = (from, end);
            from = end;
        }
    }

    /// Trains one round; `false` when all is done.
    ///
    /// # Errors
    /// If the loss is no longer a number: the learning rate is too high.
    pub fn round(&mut self) -> Result<bool> {
        if self.epoch == self.settings.epochs {
            return Ok(false);
        }
        let round = Round {
            plan: Plan {
                tokens: self.corpus.tokens(),
                keep: &self.keep,
                targets: &self.targets,
                window: self.settings.window,
                single: self.settings.updates == Updates::Classic && self.settings.model == Model::SkipGram,
                tokens_a_round: self.tokens_a_round,
            },
            pieces: self.pieces.as_ref(),
            model: self.settings.model,
            learning_rate: self.learning_rate(),
        };
        self.readers.iter_mut().for_each(|reader| reader.read = 0);
        let loss = self.engine.round(&round, &mut self.readers);
        if !loss.sum.is_finite() {
            return Err(self.diverged());
        }
        self.loss += loss;
        self.tokens += self.readers.iter().map(|reader| reader.read).sum::<usize>();
        if self.readers.iter().all(|reader| reader.cursor == reader.end) {
            self.epoch += 1;
            self.start_epoch();
        }
        Ok(true)
    }

    fn diverged(&self) -> crate::Error {
        let rate = self.settings.learning_rate();
        Error::Train { reason: format!("the vectors are not finite; lower the learning rate of {rate}") }.into()
    }

    fn learning_rate(&self) -> f32 {
        self.settings.learning_rate() * (1.0 - self.done() as f32).max(LAST_RATE)
    }

    fn done(&self) -> f64 {
        self.tokens as f64 / (self.corpus.tokens().len() * self.settings.epochs) as f64
    }

    /// How far it is. The loss starts anew.
    pub fn progress(&mut self) -> Progress {
        let loss = std::mem::take(&mut self.loss);
        let since = (self.tokens - self.started_at) as f64 / self.corpus.tokens().len() as f64;
        Progress {
            epoch: self.epoch,
            done: self.done(),
            words_per_second: since * self.corpus.words() as f64 / self.start.elapsed().as_secs_f64(),
            learning_rate: self.learning_rate(),
            loss: loss.sum / loss.pairs.max(1) as f64,
        }
    }

    /// The word vectors, W, as they stand; with subwords the mean of each word's rows.
    ///
    /// # Errors
    /// If a number is not finite: the learning rate was too high.
    pub fn vectors(&self) -> Result<WordVectors> {
        let dim = self.settings.dim;
        let vocabulary = self.corpus.vocabulary();
        let values = match &self.pieces {
            None => self.engine.rows(Side::Input),
            Some(pieces) => {
                let rows = self.engine.rows(Side::Input);
                let word = |word: u32| mean_of_rows(&rows, pieces.of(word).iter().map(|row| *row as usize), dim);
                (0..vocabulary.len() as u32).flat_map(word).collect()
            }
        };
        self.named(values)
    }

    /// As [`vectors`](Self::vectors) at the end: W′ is freed first, so that it takes less memory.
    ///
    /// # Errors
    /// As for [`vectors`](Self::vectors).
    pub fn into_vectors(mut self) -> Result<WordVectors> {
        self.engine.drop_outputs();
        self.vectors()
    }

    /// The output vectors, W′, by which words are foretold.
    ///
    /// # Errors
    /// If they are not those of words but of the inner nodes of a tree, with hierarchical softmax, or not finite.
    pub fn output_vectors(&self) -> Result<WordVectors> {
        if let Objective::HierarchicalSoftmax = self.settings.objective {
            let rule =
                "its output vectors are those of the nodes of a tree; only negative sampling has one for each word";
            return Err(Error::config("objective", "hierarchical softmax", rule).into());
        }
        self.named(self.engine.rows(Side::Output))
    }

    fn named(&self, values: Vec<f32>) -> Result<WordVectors> {
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.diverged());
        }
        let words = self.corpus.vocabulary().words().map(str::to_string);
        WordVectors::new(words.collect(), self.settings.dim, values)
    }

    /// The fastText model, which has a vector for any word by its n-grams.
    ///
    /// # Errors
    /// If the training had no subwords, or a number is not finite.
    pub fn into_fasttext(self) -> Result<FastText> {
        let settings = fasttext_settings(&self.settings)?;
        let vocabulary = self.corpus.vocabulary();
        let counted = vocabulary.words().zip(vocabulary.counts());
        let words: Vec<Entry> = counted.map(|(word, count)| Entry { text: word.to_string(), count: *count }).collect();
        let (input, mut output) = (self.engine.rows(Side::Input), self.engine.rows(Side::Output));
        // A tree has an inner node less than it has leaves; the format has a row for each word.
        output.resize(words.len() * self.settings.dim, 0.0);
        if input.iter().chain(&output).any(|value| !value.is_finite()) {
            return Err(self.diverged());
        }
        drop(self.engine);
        FastText::new(settings, words, Vec::new(), input, output)
    }

    /// Writes all that [`resume`](Self::resume) needs. The file is safetensors: `input` is W, `output` W′.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let vocabulary = self.corpus.vocabulary();
        let position = Position {
            settings: self.settings.clone(),
            words: vocabulary.len(),
            total: vocabulary.total(),
            epoch: self.epoch,
            tokens: self.tokens,
            readers: self.readers.iter().map(|reader| (reader.cursor, reader.random.0, reader.open.clone())).collect(),
        };
        checkpoint::write(path.as_ref(), &position, self.rows, &self.engine)
    }
}

/// The settings in fastText's terms.
fn fasttext_settings(settings: &Settings) -> Result<fasttext::Settings> {
    let Some(subwords) = &settings.subwords else {
        return Err(
            Error::config("subwords", "none", "must be there: without them a model is a table of vectors").into()
        );
    };
    Ok(fasttext::Settings {
        dim: settings.dim as u32,
        window: settings.window as u32,
        epochs: settings.epochs as u32,
        negatives: match settings.objective {
            Objective::NegativeSampling(count) => count as u32,
            Objective::HierarchicalSoftmax => 0,
        },
        loss: match settings.objective {
            Objective::NegativeSampling(_) => fasttext::Loss::NegativeSampling,
            Objective::HierarchicalSoftmax => fasttext::Loss::HierarchicalSoftmax,
        },
        model: match settings.model {
            Model::SkipGram => fasttext::Model::Skipgram,
            Model::Cbow { .. } => fasttext::Model::Cbow,
        },
        buckets: subwords.buckets,
        min_n: subwords.min_n,
        max_n: subwords.max_n,
        subsample: settings.sample,
        ..fasttext::Settings::default()
    })
}

/// W and W′ of zeros.
fn tables(vocabulary: &Vocabulary, settings: &Settings) -> Result<[Table; 2]> {
    settings.validate()?;
    let words = vocabulary.len();
    let buckets = settings.subwords.as_ref().map_or(0, |subwords| subwords.buckets as usize);
    let outputs = match settings.objective {
        Objective::NegativeSampling(_) => words,
        Objective::HierarchicalSoftmax => words - 1,
    };
    Ok([words + buckets, outputs].map(|rows| Table::zeros(rows, settings.dim)))
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
    use super::super::settings::{Model, Subwords};
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
        while trainer.round().unwrap() {}
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
            trainer.round().unwrap();
            let before = trainer.progress();
            while trainer.round().unwrap() {}
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
        assert!(Trainer::new(&corpus, settings.clone()).unwrap().readers.len() > 2, "lanes to share");
        assert!(on(2) == one && on(5) == one);
        assert!(train(&corpus, &Settings { seed: 2, ..settings.clone() }) != one);
    }

    /// The largest difference of two tables, as a part of the largest number.
    fn apart(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        let largest = a.iter().map(|a| a.abs()).fold(0.0, f32::max);
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
    }

    #[test]
    fn rounds_of_tensors_are_those_of_lanes_on_every_device() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 5000, 300);
        let pieces = Subwords { min_n: 2, max_n: 3, buckets: 50 };
        for (model, objective) in MODELS.into_iter().flat_map(|m| OBJECTIVES.map(|o| (m, o))) {
            for subwords in [None, Some(pieces.clone())] {
                let settings = Settings { subwords, epochs: 1, learning_rate: Some(0.5), ..settings(model, objective) };
                let mut lanes = Trainer::new(&corpus, settings.clone()).unwrap();
                (0..3).for_each(|_| assert!(lanes.round().unwrap()));
                for (name, device) in sensorium_core::device::built() {
                    let before = Trainer::new(&corpus, settings.clone()).unwrap().engine.rows(Side::Input);
                    let mut tensors = Trainer::new(&corpus, settings.clone()).unwrap().on(&device).unwrap();
                    (0..3).for_each(|_| assert!(tensors.round().unwrap()));
                    for side in [Side::Input, Side::Output] {
                        let (wanted, got) = (lanes.engine.rows(side), tensors.engine.rows(side));
                        assert!(
                            apart(&wanted, &got) < 1e-5,
                            "{name}, {settings:?}, {side:?}: {}",
                            apart(&wanted, &got)
                        );
                        assert!(side == Side::Output || apart(&before, &got) > 1e-3, "{name}: nothing was learned");
                    }
                }
            }
        }
    }

    #[test]
    fn the_loss_on_tensors_is_that_of_lanes() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 500, 1500);
        let device = sensorium_core::device::parse("flex").unwrap();
        for (model, objective) in MODELS.into_iter().flat_map(|m| OBJECTIVES.map(|o| (m, o))) {
            let loss = |mut trainer: Trainer| {
                while trainer.round().unwrap() {}
                trainer.progress().loss
            };
            let settings = Settings { epochs: 2, ..settings(model, objective) };
            let lanes = loss(Trainer::new(&corpus, settings.clone()).unwrap());
            let tensors = loss(Trainer::new(&corpus, settings.clone()).unwrap().on(&device).unwrap());
            // Each takes the loss of other windows.
            assert!((tensors / lanes - 1.0).abs() < 0.1, "{model:?}, {objective:?}: {tensors} {lanes}");
        }
    }

    #[test]
    fn a_training_on_tensors_resumes() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 3000, 300);
        let path = folder.path().join("checkpoint.safetensors");
        let settings = settings(Model::SkipGram, Objective::NegativeSampling(5));
        let device = sensorium_core::device::parse("flex").unwrap();
        let mut whole = Trainer::new(&corpus, settings.clone()).unwrap().on(&device).unwrap();
        (0..2).for_each(|_| assert!(whole.round().unwrap()));
        whole.save(&path).unwrap();
        let mut resumed = Trainer::resume(&corpus, settings.clone(), &path).unwrap().on(&device).unwrap();
        (0..2).for_each(|_| assert!(whole.round().unwrap() && resumed.round().unwrap()));
        assert!(resumed.vectors().unwrap() == whole.vectors().unwrap());
        let classic = Settings { updates: Updates::Classic, ..settings };
        let error = Trainer::new(&corpus, classic).unwrap().on(&device).err().unwrap().to_string();
        assert!(error.starts_with("updates"), "{error}");
    }

    #[test]
    fn classic_updates_learn_as_rounds_do() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 40, 1500);
        for (model, objective) in MODELS.into_iter().flat_map(|m| OBJECTIVES.map(|o| (m, o))) {
            let last = |updates: Updates| {
                let settings = Settings { updates, ..settings(model, objective) };
                let mut trainer = Trainer::new(&corpus, settings).unwrap();
                let mut last = 0.0;
                while trainer.round().unwrap() {
                    let loss = trainer.progress().loss;
                    last = if loss > 0.0 { loss } else { last };
                }
                last
            };
            let (rounds, classic) = (last(Updates::Rounds), last(Updates::Classic));
            assert!((classic / rounds - 1.0).abs() < 0.15, "{model:?}, {objective:?}: {classic} {rounds}");
        }
    }

    #[test]
    fn pieces_of_words_reach_unknown_ones() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 40, 1500);
        let subwords = Some(Subwords { min_n: 2, max_n: 3, buckets: 1000 });
        for objective in OBJECTIVES {
            let settings = Settings { subwords: subwords.clone(), ..settings(Model::SkipGram, objective) };
            let mut trainer = Trainer::new(&corpus, settings).unwrap();
            while trainer.round().unwrap() {}
            let vectors = trainer.vectors().unwrap();
            let model = trainer.into_fasttext().unwrap();
            let composed = model.word_vectors().unwrap();
            assert_eq!(composed.words(), vectors.words());
            assert!(apart(composed.values(), vectors.values()) < 1e-6);
            let near = |a: &str, b: &str| cosine(&model.vector(a), &model.vector(b));
            assert!(near("a99", "a1") > near("a99", "b1") + 0.3, "{} {}", near("a99", "a1"), near("a99", "b1"));
        }
        let without = Trainer::new(&corpus, settings(Model::SkipGram, OBJECTIVES[0])).unwrap();
        assert!(without.into_fasttext().unwrap_err().to_string().starts_with("subwords"));
    }

    #[test]
    fn output_vectors_are_those_of_words() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 20, 50);
        let trained = |objective| {
            let mut trainer = Trainer::new(&corpus, settings(Model::SkipGram, objective)).unwrap();
            while trainer.round().unwrap() {}
            trainer
        };
        let trainer = trained(OBJECTIVES[0]);
        let outputs = trainer.output_vectors().unwrap();
        assert_eq!(outputs.words(), trainer.vectors().unwrap().words());
        assert!(outputs != trainer.vectors().unwrap());
        assert_eq!(trainer.vectors().unwrap(), trainer.into_vectors().unwrap());
        assert!(trained(OBJECTIVES[1]).output_vectors().unwrap_err().to_string().contains("tree"));
    }

    #[test]
    fn any_change_to_a_checkpoint_is_an_error_or_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 10, 20);
        let path = folder.path().join("checkpoint.safetensors");
        let settings = Settings { dim: 2, ..settings(Model::SkipGram, OBJECTIVES[0]) };
        let mut trainer = Trainer::new(&corpus, settings.clone()).unwrap();
        assert!(trainer.round().unwrap());
        trainer.save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(safetensors::SafeTensors::deserialize(&whole).is_ok());
        for at in 0..whole.len() {
            for byte in [0, b'9', b'"', b'{', 255] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                std::fs::write(&path, &damaged).unwrap();
                if let Ok(mut resumed) = Trainer::resume(&corpus, settings.clone(), &path) {
                    while resumed.round().is_ok_and(|more| more) {}
                }
            }
            std::fs::write(&path, &whole[..at]).unwrap();
            let error = Trainer::resume(&corpus, settings.clone(), &path).err().unwrap().to_string();
            assert!(error.contains("checkpoint"), "{error}");
        }
    }

    #[test]
    fn a_resumed_training_ends_as_an_unbroken_one() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path(), 5000, 1000);
        let path = folder.path().join("checkpoint.safetensors");
        for objective in OBJECTIVES {
            let settings = settings(Model::Cbow { corrected: true }, objective);
            let mut trainer = Trainer::new(&corpus, settings.clone()).unwrap();
            (0..20).for_each(|_| assert!(trainer.round().unwrap()));
            trainer.save(&path).unwrap();
            drop(trainer);
            let mut resumed = Trainer::resume(&corpus, settings.clone(), &path).unwrap();
            while resumed.round().unwrap() {}
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
            (
                Settings { subwords: Some(Subwords { min_n: 4, max_n: 3, buckets: 9 }), ..Settings::default() },
                "n-grams",
            ),
            (
                Settings { subwords: Some(Subwords { buckets: 0, ..Subwords::default() }), ..Settings::default() },
                "buckets",
            ),
            (Settings { objective: Objective::NegativeSampling(0), ..Settings::default() }, "negative"),
        ] {
            let error = Trainer::new(&corpus, settings).err().unwrap().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
