//! Training a captioner on pictures with sentences: towards their words, by teacher forcing and scheduled sampling, or
//! self-critically towards CIDEr-D. The encoder is frozen or trained along from a layer on.

use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Module, ParamGroup};
use burn::nn::Linear;
use burn::optim::AdamConfig;
use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sensorium_core::Error as CoreError;
use sensorium_core::train::{
    Metrics, Progress, Row, RunFolder, Select, Task, Trainer, shuffled_batches, warm_up_and_cosine,
};
use sensorium_core::weights::{TensorMap, tensors_of};
use sensorium_vision::pairs::{Pair, read_picture};
use sensorium_vision::transforms::Preprocess;
use sensorium_vision::{Encoder, EncoderConfig, FoldedEncoder, FrozenNorms};
use serde::{Deserialize, Serialize};

use crate::attend::{AttentionDecoderConfig, Focus, ints, numbers};
use crate::captioner::{
    Captioner, CaptionerConfig, CaptionerParts, CaptionerTensors, Decoder, DecoderConfig, seen, view,
};
use crate::components;
use crate::decode::{BeamSearch, Limits, Sampling};
use crate::loss::{caption_means, doubly_stochastic, hard_attention, word_log_probs};
use crate::metrics::{CiderIdReferences, CiderIds, CiderVariant, Example, bleu, cider_d};
use crate::show_and_tell::ShowAndTellConfig;
use crate::{Result, WordMap};

/// Pictures whose maps are made at a time.
const BATCH: usize = 16;

/// The most numbers that the maps of a frozen encoder may have to be kept: 4 GiB. Beyond, they are made anew for each
/// batch.
const MOST_KEPT: usize = 1 << 30;

/// Signs that are a part of a word, or a word.
const SIGNS: [char; 13] = ['$', '€', '£', '¥', '¢', '%', '°', '&', '@', '#', '+', '=', '/'];

/// The most pictures that components are found of.
const MOST_FOR_COMPONENTS: usize = 5000;

/// What training seeks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The likelihood of the captions' words.
    Words {
        /// How likely a word is read as the decoder foretold it, and not as the caption has it, grows by so much with
        /// each epoch after the first: scheduled sampling (Bengio et al. 2015); 0 for teacher forcing alone.
        own_words_step: f64,
        /// The most that it grows to, 0 to 1.
        own_words_most: f64,
    },
    /// CIDEr-D of sentences that are drawn, beyond that of the likeliest words: self-critical training (Rennie et al.
    /// 2017). For a captioner that can tell already; dropout is off.
    SelfCritical,
}

/// The measure on the pictures to measure on that training goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Score {
    /// BLEU-4 of the whole part.
    Bleu4,
    /// CIDEr-D, whose smallest steps are smaller: for small parts and short sentences.
    Cider,
    /// The perplexity of the captions' words, lower is better: where much that is true can be said, and a few captions of
    /// a picture say little of how true another one is.
    Perplexity,
}

impl Score {
    /// Its name among the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bleu4 => "bleu4",
            Self::Cider => "cider",
            Self::Perplexity => "perplexity",
        }
    }

    fn select(self) -> Select {
        match self {
            Self::Bleu4 | Self::Cider => Select::highest(self.name()),
            Self::Perplexity => Select::lowest(self.name()),
        }
    }
}

/// How the learning rate falls, when training ends, and which epoch's weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// As the pictures to measure on say, which is the tutorial's way.
    Plateau {
        /// The measure whose best epoch is kept.
        select: Score,
        /// The learning rate shrinks each time that so many more epochs have passed without a better score.
        shrink_after: usize,
        /// What it is multiplied by then.
        shrink: f64,
        /// Training ends when so many epochs have passed without a better score.
        patience: usize,
    },
    /// Along a cosine to 0 over all epochs, and the last one's weights are kept: no picture to measure on is needed.
    Cosine,
}

impl Schedule {
    /// The tutorial's: by BLEU-4, with a patience of 20 epochs.
    pub const TUTORIAL: Self = Self::plateau(Score::Bleu4, 20);

    /// By a score of choice and with a patience of so many epochs; the learning rate shrinks as in the tutorial.
    pub const fn plateau(select: Score, patience: usize) -> Self {
        Self::Plateau { select, shrink_after: 8, shrink: 0.8, patience }
    }

    fn validate(&self) -> Result<()> {
        let Self::Plateau { shrink_after, shrink, patience, .. } = *self else { return Ok(()) };
        let counts = [("shrink_after", shrink_after), ("patience", patience)];
        if let Some((field, value)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(CoreError::config(field, value, "must be at least 1").into());
        }
        if !(shrink.is_finite() && shrink > 0.0) {
            return Err(CoreError::config("shrink", shrink, "must be more than 0").into());
        }
        Ok(())
    }
}

/// Training the encoder along.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FineTune {
    /// The first layer that is trained; the tutorial takes `layer2` of a ResNet. Batch norms before it keep their
    /// statistics, which the tutorial lets drift.
    pub from: String,
    /// Adam's learning rate; the tutorial's is 1e-4.
    pub learning_rate: f64,
}

/// Settings of training. The defaults are the captioning tutorial's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitSettings {
    /// Positions along a side that attention chooses among; 0 for Show and Tell, which has none.
    pub grid: usize,
    /// As many principal components of the layers' channels, over the pictures to learn from, as the decoder sees in
    /// their place: for few pictures. `None` for the channels themselves.
    pub components: Option<usize>,
    /// Features of the space in which map and state meet.
    pub attention: usize,
    /// Features of a word's vector.
    pub embedding: usize,
    /// Features of the LSTM's state.
    pub hidden: usize,
    /// The share of the state that is dropped before words are scored, 0 to below 1.
    pub dropout: f64,
    /// Words that occur at most so often become `<unk>`.
    pub rarer_than: usize,
    /// Captions of more words are not learned from.
    pub longest: usize,
    /// Passes over the captions.
    pub epochs: usize,
    /// Captions a step.
    pub batch: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// What [`doubly_stochastic`] counts beside the cross-entropy.
    pub looked: f64,
    /// Soft or hard attention.
    pub focus: Focus,
    /// What is sought.
    pub objective: Objective,
    /// Whether the encoder is trained along; `None` freezes it.
    pub fine_tune: Option<FineTune>,
    /// What each element of a gradient is clamped to, in both directions.
    pub clamp: f32,
    /// How the learning rate falls, when training ends, and which epoch's weights are kept.
    pub schedule: Schedule,
    /// What all randomness follows from.
    pub seed: u64,
}

impl FitSettings {
    /// The tutorial's settings.
    pub fn tutorial(seed: u64) -> Self {
        Self {
            grid: 14,
            components: None,
            attention: 512,
            embedding: 512,
            hidden: 512,
            dropout: 0.5,
            rarer_than: 5,
            longest: 50,
            epochs: 120,
            batch: 32,
            learning_rate: 4e-4,
            looked: 1.0,
            focus: Focus::Soft,
            objective: Objective::Words { own_words_step: 0.0, own_words_most: 0.0 },
            fine_tune: None,
            clamp: 5.0,
            schedule: Schedule::TUTORIAL,
            seed,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn validate(&self) -> Result<()> {
        for (field, value) in [
            ("attention", self.attention),
            ("embedding", self.embedding),
            ("hidden", self.hidden),
            ("longest", self.longest),
            ("epochs", self.epochs),
            ("batch", self.batch),
        ] {
            if value == 0 {
                return Err(CoreError::config(field, value, "must be at least 1").into());
            }
        }
        if self.components == Some(0) {
            return Err(CoreError::config("components", 0, "must be at least 1").into());
        }
        if self.components.is_some() && self.fine_tune.is_some() {
            let rule = "must be none where the encoder is trained along: its components would not stay";
            return Err(CoreError::config("components", self.components.unwrap_or(0), rule).into());
        }
        if self.grid > 64 {
            return Err(CoreError::config("grid", self.grid, "must be at most 64; 0 for Show and Tell").into());
        }
        self.schedule.validate()?;
        let positive = [("lr", self.learning_rate), ("clamp", f64::from(self.clamp))];
        if let Some((field, value)) = positive.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            return Err(CoreError::config(field, value, "must be more than 0").into());
        }
        if !(self.looked.is_finite() && self.looked >= 0.0) {
            return Err(CoreError::config("looked", self.looked, "must be 0 or more").into());
        }
        if let Objective::Words { own_words_step, own_words_most } = self.objective {
            let shares = [("own_words_step", own_words_step), ("own_words_most", own_words_most)];
            if let Some((field, value)) = shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
                return Err(CoreError::config(field, value, "must be 0 to 1").into());
            }
        }
        if let Some(FineTune { learning_rate, .. }) = self.fine_tune
            && !(learning_rate.is_finite() && learning_rate > 0.0)
        {
            return Err(CoreError::config("encoder_lr", learning_rate, "must be more than 0").into());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(CoreError::config("dropout", self.dropout, "must be at least 0 and less than 1").into());
        }
        Ok(())
    }

    /// The settings that must stay as they were where a run is resumed: all of them, but that it may have more epochs
    /// where the learning rate does not fall along with them.
    pub fn of_one_run(&self) -> Self {
        match self.schedule {
            Schedule::Plateau { .. } => Self { epochs: 0, ..self.clone() },
            Schedule::Cosine => self.clone(),
        }
    }

    fn decoder(&self, vocab: usize, features: usize) -> DecoderConfig {
        match self.grid {
            0 => DecoderConfig::ShowAndTell(
                ShowAndTellConfig::new(vocab, features).with_embedding(self.embedding).with_hidden(self.hidden),
            ),
            grid => {
                let sizes = AttentionDecoderConfig::new(vocab, features)
                    .with_attention(self.attention)
                    .with_embedding(self.embedding)
                    .with_hidden(self.hidden)
                    .with_dropout(self.dropout)
                    .with_focus(self.focus);
                DecoderConfig::Attend { grid, sizes }
            }
        }
    }
}

/// An encoder with its weights, and what the decoder is to see of it.
#[derive(Debug, Clone)]
pub struct Eye {
    /// The network.
    pub encoder: EncoderConfig,
    /// Its weights, in torchvision's names.
    pub weights: TensorMap,
    /// The layers whose maps the decoder sees, their channels one after the other; at least one.
    pub layers: Vec<String>,
    /// What a picture goes through before it.
    pub preprocess: Preprocess,
}

/// Pictures with sentences to learn from, and others to measure on.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// All pairs.
    pub pairs: &'a [Pair],
    /// The numbers of those to learn from.
    pub train: &'a [usize],
    /// The numbers of those to measure on after each epoch; there may be none where the [`Schedule`] needs none.
    pub val: &'a [usize],
}

impl Lesson<'_> {
    /// The words of all captions of the pictures of `part`.
    fn words_of(&self, part: &[usize]) -> Vec<Vec<Vec<String>>> {
        part.iter().map(|pair| words_of(&self.pairs[*pair])).collect()
    }
}

/// A trained captioner and how it came about.
#[derive(Debug)]
pub struct Fitted {
    /// The captioner, with the weights that the schedule keeps.
    pub captioner: Captioner,
    /// What was measured, epoch by epoch.
    pub history: Vec<Row>,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
}

/// The words of a caption: lower case, split at white space and dashes, without the punctuation around them. What the
/// scores count stays: parentheses, which are words of their own, and signs such as that of a currency.
pub fn caption_words(caption: &str) -> Vec<String> {
    let around = |c: char| !c.is_alphanumeric() && !SIGNS.contains(&c);
    let apart = caption.replace('(', " ( ").replace(')', " ) ").replace(['–', '—'], " ").replace("--", " ");
    let word = |word: &str| match word {
        "(" | ")" => word.to_string(),
        word => word.trim_matches(around).to_lowercase(),
    };
    apart.split_whitespace().map(word).filter(|word| !word.is_empty()).collect()
}

/// The words of a picture's captions: those that the data set says, else [`caption_words`].
fn words_of(pair: &Pair) -> Vec<Vec<String>> {
    let words = |(place, caption): (usize, &String)| match pair.tokens.get(place) {
        Some(tokens) if !tokens.is_empty() => tokens.clone(),
        _ => caption_words(caption),
    };
    pair.captions.iter().enumerate().map(words).collect()
}

impl FitSettings {
    /// Trains a new captioner. After each epoch it tells about the pictures of `val`, each word the likeliest; which
    /// epoch's weights are kept is up to the schedule. With a run folder, training can be killed and resumed; the same
    /// settings give the same weights.
    ///
    /// # Errors
    /// If a setting is out of range, a picture cannot be read, no caption is left to learn from, no picture to measure on
    /// for a schedule that needs one, the loss is no longer finite, or the run folder cannot be used.
    pub fn fit(
        &self,
        lesson: Lesson,
        eye: Eye,
        run: Option<RunFolder>,
        progress: Progress,
        device: &Device,
    ) -> Result<Fitted> {
        self.validate()?;
        eye.preprocess.validate()?;
        let told = lesson.words_of(lesson.train);
        let words = WordMap::build(told.iter().flatten().map(Vec::as_slice), self.rarer_than);
        let learning = device.clone().autodiff();
        let encoder = eye.encoder.init(device).load(eye.weights)?;
        let layers: Vec<&str> = eye.layers.iter().map(String::as_str).collect();
        let maps = encoder.features(Tensor::zeros([1, 3, 64, 64], device), &layers)?;
        let channels = maps.iter().map(|map| map.dims()[1]).sum();
        let grid = self.grid.max(1);
        let reader = Reader { pairs: lesson.pairs, layers, preprocess: &eye.preprocess, grid, components: None };
        let find = |count| reader.find_components(&encoder.fold(), lesson.train, count, device);
        let components = self.components.map(find).transpose()?;
        let config = CaptionerConfig {
            decoder: self.decoder(words.len(), self.components.unwrap_or(channels)),
            encoder: eye.encoder,
            layers: eye.layers,
            components: self.components,
            preprocess: eye.preprocess,
        };
        learning.seed(self.seed);
        let decoder = config.decoder.init(&learning);
        self.train(CaptionerParts { config, encoder, components, decoder, words }, lesson, run, progress, device)
    }

    /// Trains a captioner further, as [`fit`](Self::fit) does a new one: towards another objective, its encoder along
    /// with it, or on other pictures. The sizes, the components, the focus and the words are the captioner's.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn go_on(
        &self,
        captioner: Captioner,
        lesson: Lesson,
        run: Option<RunFolder>,
        progress: Progress,
        device: &Device,
    ) -> Result<Fitted> {
        let parts = captioner.into_parts();
        Self { components: parts.config.components, ..self.clone() }.validate()?;
        let learning = device.clone().autodiff();
        let decoder = parts.config.decoder.init(&learning).load(parts.decoder.tensors())?;
        self.train(CaptionerParts { decoder, ..parts }, lesson, run, progress, device)
    }

    /// Trains the decoder of `parts`, which is on an autodiff device.
    fn train(
        &self,
        parts: CaptionerParts,
        lesson: Lesson,
        run: Option<RunFolder>,
        progress: Progress,
        device: &Device,
    ) -> Result<Fitted> {
        let CaptionerParts { config, encoder, components, decoder, words } = parts;
        let reader = Reader {
            pairs: lesson.pairs,
            layers: config.layers(),
            preprocess: &config.preprocess,
            grid: config.decoder.grid(),
            components: components.as_ref(),
        };
        let features = config.decoder.features();
        let course = Course::new(self, reader, &encoder, features, lesson, &words, device)?;
        let model = Learner {
            encoder: match &self.fine_tune {
                Some(FineTune { from, .. }) => {
                    let learned = config.encoder.init(&course.learning).load(encoder.tensors())?;
                    Some(learned.fine_tune(Some(from), FrozenNorms::Inference)?)
                }
                None => None,
            },
            decoder: match self.objective {
                Objective::SelfCritical => decoder.without_dropout(),
                Objective::Words { .. } => decoder,
            },
        };
        let clamp = GradientClippingConfig::Value(self.clamp);
        let adam = AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(Some(clamp)).build();
        let trainer = match self.schedule {
            Schedule::Plateau { select, shrink_after, shrink, patience } => {
                Trainer::new(adam, self.learning_rate, self.epochs)
                    .with_select(select.select().with_patience(patience))
                    .with_plateau(shrink_after, shrink)
            }
            Schedule::Cosine => {
                let steps = self.epochs * course.items().div_ceil(self.batch);
                Trainer::new(adam, warm_up_and_cosine(self.learning_rate, steps)?, self.epochs)
            }
        };
        let mut trainer = trainer.with_seed(self.seed).with_progress(progress);
        if let Some(FineTune { learning_rate, .. }) = self.fine_tune {
            let of_encoder = ParamGroup::from_regex("^encoder\\.").expect("a regular expression");
            trainer = trainer.with_group(of_encoder, learning_rate / self.learning_rate);
        }
        if let Some(run) = run {
            trainer = trainer.with_run_folder(run);
        }
        let trained = trainer.fit(&course, model)?;
        let tensors = CaptionerTensors {
            encoder: trained.model.encoder.as_ref().unwrap_or(&encoder).tensors(),
            components: components.as_ref().map(tensors_of),
            decoder: trained.model.decoder.tensors(),
        };
        let captioner = Captioner::new(config, tensors, words, device)?;
        Ok(Fitted { captioner, history: trained.rows, best_epoch: trained.best_epoch })
    }
}

/// What is trained.
#[derive(Module, Debug)]
struct Learner {
    /// Where it is trained along.
    encoder: Option<Encoder>,
    decoder: Decoder,
}

/// Reads pictures, to be seen by a decoder.
struct Reader<'a> {
    pairs: &'a [Pair],
    layers: Vec<&'a str>,
    preprocess: &'a Preprocess,
    grid: usize,
    components: Option<&'a Linear>,
}

impl Reader<'_> {
    /// Pictures as an encoder reads them.
    fn input(&self, pairs: &[usize], device: &Device) -> Result<Tensor<4>> {
        let read = |pair: &usize| -> Result<RgbImage> { Ok(read_picture(&self.pairs[*pair].picture)?) };
        let pictures: Vec<RgbImage> = pairs.iter().map(read).collect::<Result<_>>()?;
        Ok(self.preprocess.batch(&pictures, device))
    }

    /// What a decoder sees of pictures through a frozen encoder, `[pictures, positions, features]`.
    fn view(&self, encoder: &FoldedEncoder, pairs: &[usize], device: &Device) -> Result<Tensor<3>> {
        let maps = encoder.features(self.input(pairs, device)?, &self.layers)?;
        Ok(seen(view(maps, self.grid), self.components))
    }

    /// The layer that makes `count` components of what is seen of the pictures of `train`, or where they are very many,
    /// of some of them.
    fn find_components(
        &self,
        encoder: &FoldedEncoder,
        train: &[usize],
        count: usize,
        device: &Device,
    ) -> Result<Linear> {
        let some: Vec<usize> =
            train.iter().copied().step_by(train.len().div_ceil(MOST_FOR_COMPONENTS).max(1)).collect();
        components::find(some.chunks(BATCH).map(|pairs| self.view(encoder, pairs, device)), count, device)
    }
}

/// How a decoder comes to see pictures where the encoder is not trained along.
enum Sight {
    /// What it sees of all pictures to learn from and to measure on, `[pictures, positions, features]`.
    Kept { train: Vec<f32>, val: Vec<f32> },
    /// Through the encoder, each time anew.
    Frozen(FoldedEncoder),
}

/// Pictures and captions as a [`Task`].
struct Course<'a> {
    settings: &'a FitSettings,
    lesson: Lesson<'a>,
    reader: Reader<'a>,
    sight: Sight,
    /// Positions and features of a picture.
    shape: [usize; 2],
    words: &'a WordMap,
    /// Each caption's picture and words.
    captions: Vec<(usize, Vec<u32>)>,
    /// For self-critical training, how rare the captions' words are, and each picture's captions.
    cider: Option<(CiderIds, Vec<CiderIdReferences>)>,
    /// The captions of each picture to measure on, and the numbers of their words.
    references: Vec<Vec<String>>,
    encoded: Vec<Vec<Vec<u32>>>,
    device: Device,
    learning: Device,
}

impl<'a> Course<'a> {
    fn new(
        settings: &'a FitSettings,
        reader: Reader<'a>,
        encoder: &Encoder,
        features: usize,
        lesson: Lesson<'a>,
        words: &'a WordMap,
        device: &Device,
    ) -> Result<Self> {
        let (told, references) = (lesson.words_of(lesson.train), lesson.words_of(lesson.val));
        let mut captions = vec![];
        for (picture, of_picture) in told.iter().enumerate() {
            let fit = of_picture.iter().filter(|caption| (1..=settings.longest).contains(&caption.len()));
            captions.extend(fit.map(|caption| (picture, words.encode(caption))));
        }
        if captions.is_empty() {
            let rule = format!("no caption of 1 to {} words is left to learn from", settings.longest);
            return Err(CoreError::Train { reason: rule }.into());
        }
        if lesson.val.is_empty() && settings.schedule != Schedule::Cosine {
            let rule = "no picture is left to measure on, which says when to stop; a cosine needs none";
            return Err(CoreError::Train { reason: rule.to_string() }.into());
        }
        let cider = (settings.objective == Objective::SelfCritical).then(|| {
            // As what a decoder says: without the start, with the end, so that ending well pays.
            let ids =
                |captions: &Vec<Vec<String>>| captions.iter().map(|told| words.encode(told)[1..].to_vec()).collect();
            let ids: Vec<Vec<Vec<u32>>> = told.iter().map(ids).collect();
            let rarity = CiderIds::from_references(&ids);
            let references = ids.iter().map(|of_picture| rarity.references(of_picture)).collect();
            (rarity, references)
        });
        let mut course = Self {
            settings,
            lesson,
            shape: [reader.grid * reader.grid, features],
            reader,
            sight: Sight::Frozen(encoder.fold()),
            words,
            captions,
            cider,
            references: references.iter().map(|of_one| of_one.iter().map(|words| words.join(" ")).collect()).collect(),
            encoded: references.iter().map(|of_one| of_one.iter().map(|told| words.encode(told)).collect()).collect(),
            device: device.clone(),
            learning: device.clone().autodiff(),
        };
        let numbers = (lesson.train.len() + lesson.val.len()) * course.shape.iter().product::<usize>();
        if let Sight::Frozen(encoder) = &course.sight
            && settings.fine_tune.is_none()
            && numbers <= MOST_KEPT
        {
            course.sight = Sight::Kept {
                train: course.all_views(encoder, lesson.train)?,
                val: course.all_views(encoder, lesson.val)?,
            };
        }
        Ok(course)
    }

    /// What the decoder sees of all pictures of `part`, one after the other.
    fn all_views(&self, encoder: &FoldedEncoder, part: &[usize]) -> Result<Vec<f32>> {
        let mut numbers = Vec::with_capacity(part.len() * self.shape.iter().product::<usize>());
        for pairs in part.chunks(BATCH) {
            numbers.extend(self.reader.view(encoder, pairs, &self.device)?.into_data().iter::<f32>());
        }
        Ok(numbers)
    }

    /// What the decoder sees of some pictures to learn from `[pictures, positions, features]`, for training.
    fn train_views(&self, model: &Learner, pictures: &[usize]) -> Result<Tensor<3>> {
        let pairs: Vec<usize> = pictures.iter().map(|picture| self.lesson.train[*picture]).collect();
        Ok(match (&model.encoder, &self.sight) {
            (None, Sight::Kept { train, .. }) => self.kept(train, pictures, &self.learning),
            (None, Sight::Frozen(encoder)) => Tensor::from_inner(self.reader.view(encoder, &pairs, &self.device)?),
            (Some(encoder), _) => {
                let input = self.reader.input(&pairs, &self.learning)?;
                view(encoder.features(input, &self.reader.layers)?, self.reader.grid)
            }
        })
    }

    /// Of all `views` those of some pictures.
    fn kept(&self, views: &[f32], pictures: &[usize], device: &Device) -> Tensor<3> {
        let [positions, features] = self.shape;
        let size = positions * features;
        let mut numbers = Vec::with_capacity(pictures.len() * size);
        for picture in pictures {
            numbers.extend_from_slice(&views[picture * size..][..size]);
        }
        Tensor::from_data(TensorData::new(numbers, [pictures.len(), positions, features]), device)
    }

    /// The loss towards the words of captions.
    fn towards_words(&self, model: &Learner, views: Tensor<3>, batch: &Batch, rng: &mut ChaCha8Rng) -> Tensor<1> {
        let captions: Vec<Vec<u32>> = batch.items.iter().map(|caption| self.captions[*caption].1.clone()).collect();
        let read = match batch.own_words {
            0.0 => captions.clone(),
            own_words => model.decoder.valid().mixed(views.clone().inner(), &captions, own_words, rng),
        };
        let practice = model.decoder.practise(views, &read, &captions, rng);
        let log_probs = word_log_probs(practice.logits, practice.targets);
        let mut loss = log_probs.clone().mean().neg();
        if let Some(looks) = practice.looks {
            loss = loss + doubly_stochastic(looks.attention.clone()) * self.settings.looked;
            if model.decoder.focus() == Some(Focus::Hard) {
                let told = caption_means(log_probs.inner(), &practice.caption_of, captions.len());
                let told: Vec<f32> = looks.order.iter().map(|caption| told[*caption]).collect();
                loss = loss + hard_attention(looks.drawn, looks.attention, &told);
            }
        }
        loss
    }

    /// The loss that makes sentences likelier that are better than what the decoder would say.
    fn self_critical(&self, model: &Learner, views: Tensor<3>, batch: &Batch, rng: &mut ChaCha8Rng) -> Tensor<1> {
        let (rarity, references) = self.cider.as_ref().expect("made for self-critical training");
        let reward =
            |picture: &usize, words: &[u32]| rarity.score(words, &references[*picture], CiderVariant::CiderD) as f32;
        let limits = self.limits();
        let searcher = model.decoder.valid().searcher();
        let said = searcher.search(views.clone().inner(), &BeamSearch::new(1), &limits);
        let drawn = searcher.sample(views.clone().inner(), &Sampling::new(rng.random()), &limits);
        let gains: Vec<f32> = (batch.items.iter().zip(&drawn).zip(&said))
            .map(|((picture, drawn), said)| reward(picture, &drawn.words) - reward(picture, &said.best().words))
            .collect();
        let captions: Vec<Vec<u32>> =
            drawn.iter().map(|drawn| [&[self.words.start()], drawn.words.as_slice()].concat()).collect();
        let practice = model.decoder.practise(views, &captions, &captions, rng);
        let gains: Vec<f32> = practice.caption_of.iter().map(|caption| gains[*caption]).collect();
        let words = gains.len();
        let gains = Tensor::<1>::from_data(TensorData::new(gains, [words]), &self.learning);
        (word_log_probs(practice.logits, practice.targets) * gains).mean().neg()
    }

    /// The log-probabilities of all words of the captions of `pictures` to measure on, whose `views` are given.
    fn foretold(&self, model: &Learner, views: &Tensor<3>, pictures: &[usize]) -> Vec<f32> {
        let captions: Vec<Vec<u32>> = pictures.iter().flat_map(|picture| self.encoded[*picture].clone()).collect();
        if captions.is_empty() {
            return vec![];
        }
        let place = |(place, picture): (usize, &usize)| vec![place as i64; self.encoded[*picture].len()];
        let places = ints(pictures.iter().enumerate().flat_map(place), &views.device());
        let practice = model.decoder.foretell(views.clone().select(0, places), &captions);
        numbers(word_log_probs(practice.logits, practice.targets))
    }

    /// What an epoch goes through: captions, or in self-critical training pictures.
    fn items(&self) -> usize {
        match self.settings.objective {
            Objective::Words { .. } => self.captions.len(),
            Objective::SelfCritical => self.lesson.train.len(),
        }
    }

    fn limits(&self) -> Limits {
        Limits { max_steps: self.settings.longest + 1, ..Limits::tutorial(self.words.start(), self.words.end()) }
    }
}

/// A step's captions, or in self-critical training its pictures, and what its draws follow from.
struct Batch {
    items: Vec<usize>,
    own_words: f64,
    seed: u64,
}

impl Task for Course<'_> {
    type Model = Learner;
    type Batch = Batch;
    type Error = crate::Error;

    fn batches(&self, epoch: usize, rng: &mut ChaCha8Rng) -> Vec<Batch> {
        let own_words = match self.settings.objective {
            Objective::Words { own_words_step, own_words_most } => {
                own_words_most.min(own_words_step * (epoch - 1) as f64)
            }
            Objective::SelfCritical => 0.0,
        };
        let batches = shuffled_batches(self.items(), self.settings.batch, rng).into_iter();
        batches.map(|items| Batch { items, own_words, seed: rng.random() }).collect()
    }

    fn loss(&self, model: &Learner, batch: Batch) -> Result<Tensor<1>> {
        let mut rng = ChaCha8Rng::seed_from_u64(batch.seed);
        Ok(match self.settings.objective {
            Objective::Words { .. } => {
                let pictures: Vec<usize> = batch.items.iter().map(|caption| self.captions[*caption].0).collect();
                self.towards_words(model, self.train_views(model, &pictures)?, &batch, &mut rng)
            }
            Objective::SelfCritical => {
                self.self_critical(model, self.train_views(model, &batch.items)?, &batch, &mut rng)
            }
        })
    }

    fn evaluate(&self, model: &Learner) -> Result<Metrics> {
        if self.references.is_empty() {
            return Ok(Metrics::new());
        }
        let learned = model.encoder.as_ref().map(Encoder::fold);
        let searcher = model.decoder.searcher();
        let pictures: Vec<usize> = (0..self.references.len()).collect();
        let mut examples = vec![];
        let mut log_probs = vec![];
        for pictures in pictures.chunks(BATCH) {
            let views = match (&learned, &self.sight) {
                (None, Sight::Kept { val, .. }) => self.kept(val, pictures, &self.device),
                (Some(encoder), _) | (None, Sight::Frozen(encoder)) => {
                    let pairs: Vec<usize> = pictures.iter().map(|picture| self.lesson.val[*picture]).collect();
                    self.reader.view(encoder, &pairs, &self.device)?
                }
            };
            log_probs.extend(self.foretold(model, &views, pictures));
            let found = searcher.search(views, &BeamSearch::new(1), &self.limits());
            examples.extend(pictures.iter().zip(found).map(|(picture, found)| Example {
                id: picture.to_string(),
                references: self.references[*picture].clone(),
                hypothesis: self.words.sentence(&found.best().words),
            }));
        }
        let [bleu1, .., bleu4] = bleu(&examples).map(|score| score.corpus);
        let mean = log_probs.iter().copied().map(f64::from).sum::<f64>() / log_probs.len().max(1) as f64;
        let cider = cider_d(&examples).corpus;
        let scores = [("bleu1", bleu1), ("bleu4", bleu4), ("cider", cider), ("perplexity", (-mean).exp())];
        Ok(scores.map(|(name, score)| (name.to_string(), score)).into())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::path::Path;

    use sensorium_core::device;
    use sensorium_core::train::Split as RowSplit;
    use sensorium_vision::pairs::Split;
    use sensorium_vision::resnet::ResNetConfig;
    use sensorium_vision::transforms::Normalise;

    use super::*;
    use crate::metrics::coco_tokens_all;

    /// 16 pictures of one of four colours, with two captions each, and a folder to work in.
    struct Colours {
        folder: tempfile::TempDir,
        pairs: Vec<Pair>,
        all: Vec<usize>,
    }

    impl Colours {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { pairs: colours(folder.path()), all: (0..16).collect(), folder }
        }

        fn path(&self) -> &Path {
            self.folder.path()
        }

        fn lesson(&self, train: Range<usize>, val: Range<usize>) -> Lesson<'_> {
            Lesson { pairs: &self.pairs, train: &self.all[train], val: &self.all[val] }
        }
    }

    fn colours(folder: &Path) -> Vec<Pair> {
        let colours = [("red", [220, 20, 20]), ("green", [20, 200, 30]), ("blue", [30, 40, 220]), ("white", [250; 3])];
        let pair = |index: usize| {
            let (name, colour) = colours[index % 4];
            let picture = folder.join(format!("{index}.png"));
            let shade = |x: u32| colour.map(|level: u8| level.saturating_sub((x + index as u32) as u8));
            sensorium_vision::io::write(&picture, &RgbImage::from_fn(40, 40, |x, _| image::Rgb(shade(x)))).unwrap();
            Pair {
                id: index.to_string(),
                picture,
                captions: vec![format!("A {name} picture."), format!("it is all {name}")],
                tokens: vec![],
                tags: vec![],
                group: index.to_string(),
                split: Some(Split::Train),
            }
        };
        (0..16).map(pair).collect()
    }

    fn eye(device: &Device) -> Eye {
        let encoder = EncoderConfig::ResNet(ResNetConfig { classes: 0, width: 8, ..ResNetConfig::tiny() });
        device.seed(1);
        let weights = encoder.init(device).tensors();
        let preprocess = Preprocess::stretched(32, 32, Normalise::IMAGENET);
        Eye { encoder, weights, layers: vec!["stem".to_string()], preprocess }
    }

    fn settings(grid: usize) -> FitSettings {
        FitSettings {
            grid,
            attention: 16,
            embedding: 16,
            hidden: 32,
            dropout: 0.0,
            rarer_than: 0,
            epochs: 60,
            batch: 8,
            learning_rate: 1e-2,
            ..FitSettings::tutorial(3)
        }
    }

    #[test]
    fn a_tiny_set_is_learned_by_heart() {
        let colours = Colours::new();
        let lesson = colours.lesson(0..16, 0..16);
        let device = device::parse("flex").unwrap();
        for grid in [4, 0] {
            let fitted = settings(grid).fit(lesson, eye(&device), None, Progress::Quiet, &device).unwrap();
            assert!(best(&fitted, "bleu4") > 0.95, "grid {grid}: BLEU-4 {}", best(&fitted, "bleu4"));
            let picture = read_picture(&colours.pairs[2].picture).unwrap();
            let found = fitted.captioner.search(&[picture], &BeamSearch::new(3), &fitted.captioner.limits());
            let told = fitted.captioner.words().sentence(&found[0].best().words);
            assert!(told.contains("blue"), "{told}");
        }
    }

    #[test]
    fn a_cosine_needs_no_picture_to_measure_on_and_keeps_the_last_epoch() {
        let colours = Colours::new();
        let lesson = colours.lesson(0..16, 0..0);
        let device = device::parse("flex").unwrap();
        let cosine = FitSettings { schedule: Schedule::Cosine, epochs: 12, ..settings(4) };
        let fit = |settings: &FitSettings, run| settings.fit(lesson, eye(&device), run, Progress::Quiet, &device);
        let fitted = fit(&cosine, None).unwrap();
        assert_eq!(fitted.best_epoch, 12);
        assert!(fitted.history.iter().all(|row| row.split == RowSplit::Train), "nothing was measured");
        let losses: Vec<f64> = fitted.history.iter().map(|row| row.metrics["loss"]).collect();
        assert!(losses[11] < 0.7 * losses[0], "{losses:?}");
        let change = |epoch: usize| (losses[epoch] - losses[epoch - 1]).abs();
        assert!(change(11) < 0.2 * change(1), "the rate falls to 0: {losses:?}");

        // A run is the same after a stop, and no other run may go on with it.
        let place = colours.path().join("run");
        let opened = RunFolder::open(&place, &cosine.of_one_run(), false).unwrap();
        let fault = fit(&settings(4), None).unwrap_err().to_string();
        assert!(fault.contains("no picture is left to measure on"), "{fault}");
        let tensors = |fitted: Fitted| fitted.captioner.decoder().tensors();
        let whole = tensors(fitted);
        assert!(tensors(fit(&cosine, Some(opened)).unwrap()).iter().eq(whole.iter()));
        let longer = FitSettings { epochs: 13, ..cosine };
        let fault = RunFolder::open(&place, &longer.of_one_run(), true).unwrap_err().to_string();
        assert!(fault.contains("epochs"), "{fault}");
        let plateau = FitSettings { epochs: 13, ..settings(4) };
        assert_eq!(plateau.of_one_run(), settings(4).of_one_run(), "a run by plateaus may go on");
    }

    #[test]
    fn components_of_few_pictures_are_learned_from_and_gone_on_with() {
        let colours = Colours::new();
        let lesson = colours.lesson(0..16, 0..16);
        let device = device::parse("flex").unwrap();
        for grid in [4, 0] {
            let few = FitSettings { components: Some(3), ..settings(grid) };
            let fitted = few.fit(lesson, eye(&device), None, Progress::Quiet, &device).unwrap();
            assert!(best(&fitted, "bleu4") > 0.95, "grid {grid}: BLEU-4 {}", best(&fitted, "bleu4"));
            let config = fitted.captioner.config();
            assert_eq!((config.components, config.decoder.features()), (Some(3), 3));
            let picture = read_picture(&colours.pairs[2].picture).unwrap();
            let map = fitted.captioner.map(fitted.captioner.input(std::slice::from_ref(&picture)));
            assert_eq!(map.dims()[2], 8, "the map has all channels of the stem");

            let looked = fitted.captioner.look(std::slice::from_ref(&picture));
            let before = best(&fitted, "cider");
            let further = FitSettings { epochs: 1, learning_rate: 1e-5, ..settings(grid) };
            let gone_on = further.go_on(fitted.captioner, lesson, None, Progress::Quiet, &device).unwrap();
            assert!((best(&gone_on, "cider") - before).abs() < 0.05, "grid {grid}");
            gone_on.captioner.look(&[picture]).into_data().assert_eq(&looked.into_data(), true);

            let fine_tune = Some(FineTune { from: "layer2".into(), learning_rate: 1e-3 });
            let along = FitSettings { fine_tune, ..further };
            let fault = along.go_on(gone_on.captioner, lesson, None, Progress::Quiet, &device).unwrap_err().to_string();
            assert!(fault.starts_with("components = 3: must be none where the encoder is trained along"), "{fault}");
        }
        let many = FitSettings { components: Some(9), ..settings(4) };
        let fault = many.fit(lesson, eye(&device), None, Progress::Quiet, &device).unwrap_err().to_string();
        assert_eq!(fault, "components = 9: must be at most 8, the channels of the layers");
        let none = FitSettings { components: Some(0), ..settings(4) };
        assert!(none.validate().unwrap_err().to_string().starts_with("components = 0"));
    }

    #[test]
    fn every_backend_learns_a_tiny_set_to_the_same_loss() {
        let colours = Colours::new();
        let lesson = colours.lesson(0..16, 0..4);
        let backends = device::built();
        for grid in [4, 0] {
            // All begin with the weights that the first backend drew.
            let (_, first) = &backends[0];
            let begun = FitSettings { epochs: 1, ..settings(grid) };
            let begun = begun.fit(lesson, eye(first), None, Progress::Quiet, first).unwrap();
            let saved = colours.path().join(format!("grid-{grid}"));
            begun.captioner.save(&saved).unwrap();
            let losses = |device: &Device| -> Vec<f64> {
                let captioner = Captioner::load(&saved, device).unwrap();
                let further = FitSettings { epochs: 16, ..settings(grid) };
                let fitted = further.go_on(captioner, lesson, None, Progress::Quiet, device).unwrap();
                fitted.history.iter().filter_map(|row| row.metrics.get("loss").copied()).collect()
            };
            let want = losses(first);
            assert!(want[15] < 0.35 * want[0], "grid {grid}: {want:?}");
            for (backend, device) in &backends[1..] {
                let got = losses(device);
                let same = got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 0.02 * want);
                assert!(got.len() == want.len() && same, "{backend}, grid {grid}:\n{got:?}\n{want:?}");
            }
        }
    }

    #[test]
    fn a_killed_training_goes_on_as_if_nothing_had_been() {
        let colours = Colours::new();
        let lesson = colours.lesson(0..12, 12..16);
        let device = device::parse("flex").unwrap();
        let drawn = Objective::Words { own_words_step: 0.2, own_words_most: 0.5 };
        for (focus, objective) in
            [(Focus::Soft, settings(4).objective), (Focus::Hard, drawn), (Focus::Soft, Objective::SelfCritical)]
        {
            let whole = FitSettings { epochs: 4, dropout: 0.5, focus, objective, ..settings(4) };
            let fit = |settings: &FitSettings, run| {
                settings.fit(lesson, eye(&device), run, Progress::Quiet, &device).unwrap().captioner.decoder().tensors()
            };
            let unbroken = fit(&whole, None);
            let place = colours.path().join(format!("{focus:?} {objective:?}"));
            let run = |goes_on| RunFolder::open(&place, &"the same", goes_on).unwrap();
            fit(&FitSettings { epochs: 2, ..whole.clone() }, Some(run(false)));
            let resumed = fit(&whole, Some(run(true)));
            for ((name, a), (_, b)) in unbroken.iter().zip(resumed.iter()) {
                assert_eq!(a, b, "{focus:?} {objective:?}: {name}");
            }
        }
    }

    fn best(fitted: &Fitted, score: &str) -> f64 {
        fitted.history.iter().filter_map(|row| row.metrics.get(score).copied()).fold(0.0, f64::max)
    }

    #[test]
    fn hard_attention_learns_from_its_own_words_too() {
        let colours = Colours::new();
        let lesson = colours.lesson(0..16, 0..16);
        let device = device::parse("flex").unwrap();
        let objective = Objective::Words { own_words_step: 0.02, own_words_most: 0.2 };
        let settings = FitSettings { focus: Focus::Hard, objective, ..settings(4) };
        let fitted = settings.fit(lesson, eye(&device), None, Progress::Quiet, &device).unwrap();
        assert!(best(&fitted, "bleu4") > 0.9, "{}", best(&fitted, "bleu4"));
    }

    #[test]
    fn self_critical_training_raises_cider() {
        let colours = Colours::new();
        let lesson = colours.lesson(0..16, 0..16);
        let device = device::parse("flex").unwrap();
        for grid in [4, 0] {
            let words = FitSettings { epochs: 6, ..settings(grid) };
            let begun = words.fit(lesson, eye(&device), None, Progress::Quiet, &device).unwrap();
            let critical = FitSettings {
                objective: Objective::SelfCritical,
                schedule: Schedule::plateau(Score::Cider, 20),
                epochs: 30,
                learning_rate: 3e-3,
                dropout: 0.5,
                ..settings(grid)
            };
            let before = best(&begun, "cider");
            let fitted = critical.go_on(begun.captioner, lesson, None, Progress::Quiet, &device).unwrap();
            let after = best(&fitted, "cider");
            assert!(after > before + 0.3, "grid {grid}: {before} {after}");
        }
    }

    #[test]
    fn an_encoder_is_trained_along_from_a_layer_on() {
        let colours = Colours::new();
        let lesson = colours.lesson(0..12, 12..16);
        let device = device::parse("flex").unwrap();
        let fine_tune = Some(FineTune { from: "layer2".to_string(), learning_rate: 1e-3 });
        let whole = FitSettings { epochs: 2, fine_tune, ..settings(4) };
        let eye = || Eye { layers: vec!["layer2".to_string()], ..eye(&device) };
        let fit = |settings: &FitSettings, run| {
            let fitted = settings.fit(lesson, eye(), run, Progress::Quiet, &device).unwrap();
            fitted.captioner.into_parts().encoder.tensors()
        };
        let learned = fit(&whole, None);
        for (name, before) in eye().weights.iter() {
            let is_same = learned.get(name) == Some(before);
            let is_trained = name.starts_with("layer2.") && (name.ends_with("weight") || name.ends_with("bias"));
            if is_trained {
                assert!(!is_same, "{name} is not trained");
            } else if !name.starts_with("layer2.") {
                assert!(is_same, "{name} has changed");
            }
        }
        let place = colours.path().join("run");
        let run = |goes_on| RunFolder::open(&place, &"a", goes_on).unwrap();
        fit(&FitSettings { epochs: 1, ..whole.clone() }, Some(run(false)));
        let resumed = fit(&whole, Some(run(true)));
        assert!(learned.iter().zip(resumed.iter()).all(|(a, b)| a == b), "a resumed run ends with other weights");
    }

    #[test]
    fn words_are_without_what_stands_around_them() {
        for (caption, words) in [
            (" A dog's ball, (red) - it's \"new\"! ", "a dog's ball ( red ) it's new"),
            ("Mars—the “red” planet... -- a U-turn – no?", "mars the red planet a u-turn no"),
            ("A dime ($.10), 2 € & 50%: yum!", "a dime ( $.10 ) 2 € & 50% yum"),
        ] {
            assert_eq!(caption_words(caption).join(" "), words);
        }
    }

    #[test]
    fn what_is_learned_scores_as_the_caption_does() {
        for caption in
            ["A US 10 cent piece ($.10) called a dime.", "A coin of 1 cent (0.01 €).", "Venus—the second one!"]
        {
            let learned = caption_words(caption).join(" ");
            assert_eq!(coco_tokens_all(&[learned]), coco_tokens_all(&[caption]));
        }
    }

    #[test]
    fn words_that_a_data_set_says_are_learned_as_they_are() {
        let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| word.to_string()).collect() };
        let pair = Pair {
            id: "1".into(),
            picture: "1.png".into(),
            captions: words(&["A man's hat.", "It rains!", "Snow?"]),
            tokens: vec![words(&["a", "man", "'s", "hat"]), vec![]],
            tags: vec![],
            group: "1".into(),
            split: None,
        };
        let want = [words(&["a", "man", "'s", "hat"]), words(&["it", "rains"]), words(&["snow"])];
        assert_eq!(words_of(&pair), want);
    }

    #[test]
    fn settings_are_checked() {
        let with = |change: fn(&mut FitSettings)| {
            let mut settings = settings(4);
            change(&mut settings);
            settings.validate().unwrap_err().to_string()
        };
        let best = |score: Score| serde_json::to_value(score.select()).unwrap()["goal"].clone();
        assert_ne!(best(Score::Perplexity), best(Score::Cider), "lower perplexity is better");
        assert!(with(|s| s.batch = 0).starts_with("batch = 0"));
        assert!(with(|s| s.learning_rate = -1.0).starts_with("lr = -1"));
        assert!(with(|s| s.dropout = 1.0).starts_with("dropout = 1"));
        let plateau =
            |shrink_after, shrink, patience| Schedule::Plateau { select: Score::Bleu4, shrink_after, shrink, patience };
        let of = |schedule| FitSettings { schedule, ..settings(4) }.validate().unwrap_err().to_string();
        assert!(of(plateau(0, 0.8, 20)).starts_with("shrink_after = 0"));
        assert!(of(plateau(8, 0.8, 0)).starts_with("patience = 0"));
        assert!(of(plateau(8, f64::NAN, 20)).starts_with("shrink = NaN"));
        assert!(with(|s| s.grid = 99).starts_with("grid = 99"));
        assert!(
            with(|s| s.objective = Objective::Words { own_words_step: 0.1, own_words_most: 1.5 })
                .starts_with("own_words_most = 1.5")
        );
        assert!(
            with(|s| s.fine_tune = Some(FineTune { from: "layer2".into(), learning_rate: 0.0 }))
                .starts_with("encoder_lr = 0")
        );
    }
}
