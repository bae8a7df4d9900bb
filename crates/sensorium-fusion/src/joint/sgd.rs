//! From pairs to a space by gradient descent on a metric-learning loss.

use std::collections::HashMap;

use burn::module::Module;
use burn::optim::AdamWConfig;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use sensorium_core::Error as CoreError;
use sensorium_core::metrics::{self, Gold, Ties};
use sensorium_core::train::{
    Metrics, Progress, Row, RunFolder, Select, Task, Trainer, shuffled_batches, warm_up_and_cosine,
};
use serde::{Deserialize, Serialize};

use super::features::{Matrix, Standard};
use super::fit::Lesson;
use super::model::{Joint, JointConfig, Loss, Objective, TextEncoder};
use super::space::{Origin, Space, TowerSettings, Towers, tower_input};
use super::words::{Semantics, TextMap};
use crate::{Error, Result};

/// AdamW's weight decay.
const WEIGHT_DECAY: f32 = 0.0;

/// Settings of gradient descent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SgdSettings {
    /// The text encoder.
    pub text: TextEncoder,
    /// The loss.
    pub loss: Loss,
    /// Passes over the training captions.
    pub epochs: usize,
    /// Captions a step.
    pub batch: usize,
    /// The peak learning rate of AdamW; it rises over the first steps and falls along a cosine.
    pub learning_rate: f64,
    /// Dimensions of the space.
    pub dim: usize,
    /// The part of the image features dropped at random.
    pub dropout: f64,
    /// The weight of a second loss between pictures and their tags' text.
    pub tag_weight: f64,
    /// The seed of the weights and the order of the batches.
    pub seed: u64,
}

impl SgdSettings {
    /// The settings chosen on validation parts of the bundled emoji's training folds.
    pub fn new(seed: u64) -> Self {
        Self {
            text: TextEncoder::Bow,
            loss: Loss::InfoNce,
            epochs: 20,
            batch: 512,
            learning_rate: 1e-3,
            dim: 256,
            dropout: 0.2,
            tag_weight: 0.5,
            seed,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn validate(&self) -> Result<()> {
        for (field, value) in [("epochs", self.epochs), ("dim", self.dim)] {
            if value == 0 {
                return Err(CoreError::config(field, value, "must be at least 1").into());
            }
        }
        if self.batch < 2 {
            return Err(
                CoreError::config("batch", self.batch, "must be at least 2: other pairs are the negatives").into()
            );
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(CoreError::config("lr", self.learning_rate, "must be positive; 0.001 is usual").into());
        }
        self.loss.validate()
    }

    /// Fits a space to a lesson. After each epoch it is measured on the pairs `val`; the weights of the best epoch are
    /// kept. With a run folder, training can be killed and resumed.
    ///
    /// # Errors
    /// If a setting is out of range, no word has a GloVe vector, the loss is no longer finite, or the run folder cannot
    /// be used.
    pub fn fit(
        &self,
        lesson: Lesson,
        val: &[usize],
        origin: Origin,
        run: Option<RunFolder>,
        progress: Progress,
        device: &Device,
    ) -> Result<Fitted> {
        self.validate()?;
        let text_map = lesson.text_map(Semantics::Kernel, self.tag_weight > 0.0)?;
        let raw = lesson.features.select(lesson.train);
        let standard = Standard::of(&raw);
        let config = JointConfig {
            image_features: raw.width,
            text_features: text_map.width(),
            vocab: text_map.vocab().len(),
            dim: self.dim,
            text: self.text,
            word_dim: 300,
            dropout: self.dropout,
        };
        config.validate()?;
        let learning = device.clone().autodiff();
        learning.seed(self.seed);
        let model = Learner { towers: config.init(&learning), objective: self.loss.init(&learning) };
        let class = Class::new(self, lesson, val, &text_map, &standard, device);
        let steps = class.examples.len().div_ceil(self.batch) * self.epochs;
        let optimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(WEIGHT_DECAY).build();
        let mut trainer = Trainer::new(optimizer, warm_up_and_cosine(self.learning_rate, steps)?, self.epochs)
            .with_seed(self.seed)
            .with_select(Select::highest("rsum"))
            .with_progress(progress);
        if let Some(run) = run {
            trainer = trainer.with_run_folder(run);
        }
        let trained = trainer.fit(&class, model)?;
        let towers = Towers::Sgd(trained.model.towers);
        let space = Space::new(origin, text_map, standard, TowerSettings::Sgd(config), towers, device);
        Ok(Fitted { space, history: trained.rows })
    }
}

/// A fitted space and how it came about.
pub struct Fitted {
    /// The space.
    pub space: Space,
    /// The loss and the validation recalls, epoch by epoch.
    pub history: Vec<Row>,
}

/// What is trained: the towers, and the loss with its own parameters.
#[derive(Module, Debug)]
struct Learner {
    towers: Joint,
    objective: Objective,
}

/// The training pairs as a [`Task`].
struct Class<'a> {
    text_map: &'a TextMap,
    encoder: TextEncoder,
    batch: usize,
    tag_weight: f64,
    /// Standardised features of the training pictures.
    pictures: Matrix,
    /// One example a caption: its picture, its text, and a number that equal texts share.
    examples: Vec<Example<'a>>,
    /// The tags' text of each training picture.
    tags: Vec<String>,
    val: Validation,
    device: Device,
    learning: Device,
}

struct Example<'a> {
    picture: usize,
    caption: &'a str,
    meaning: usize,
}

/// The validation pairs: pictures, and captions with the picture of each.
struct Validation {
    pictures: Matrix,
    captions: Vec<String>,
    gold: Vec<Vec<u32>>,
}

impl<'a> Class<'a> {
    fn new(
        settings: &SgdSettings,
        lesson: Lesson<'a>,
        val: &[usize],
        text_map: &'a TextMap,
        standard: &Standard,
        device: &Device,
    ) -> Self {
        let mut meanings: HashMap<&str, usize> = HashMap::new();
        let mut examples = Vec::new();
        let (captions, tags) = lesson.texts();
        for (picture, captions) in captions.into_iter().enumerate() {
            for caption in captions {
                let next = meanings.len();
                let meaning = *meanings.entry(caption).or_insert(next);
                examples.push(Example { picture, caption, meaning });
            }
        }
        let mut held_out: Vec<String> = Vec::new();
        let gold = val.iter().map(|i| {
            let first = held_out.len() as u32;
            held_out.extend(lesson.pairs.items[*i].captions.iter().cloned());
            (first..held_out.len() as u32).collect()
        });
        let gold = gold.collect();
        Self {
            text_map,
            encoder: settings.text,
            batch: settings.batch,
            tag_weight: settings.tag_weight,
            pictures: standard.apply(&lesson.features.select(lesson.train)),
            examples,
            tags,
            val: Validation { pictures: standard.apply(&lesson.features.select(val)), captions: held_out, gold },
            device: device.clone(),
            learning: device.clone().autodiff(),
        }
    }

    fn texts(&self, towers: &Joint, texts: &[&str], device: &Device) -> Tensor<2> {
        let bags = self.text_map.forward(texts);
        towers.embed_texts(&tower_input(self.encoder, texts, bags, self.text_map.vocab(), device))
    }

    /// True where an image and a text of different rows fit each other: the same picture, or the same words.
    fn false_negatives(&self, batch: &[usize]) -> Tensor<2, Bool> {
        let same = |a: usize, b: usize| {
            let (x, y) = (&self.examples[a], &self.examples[b]);
            a != b && (x.picture == y.picture || x.meaning == y.meaning)
        };
        let mask: Vec<bool> = batch.iter().flat_map(|a| batch.iter().map(|b| same(*a, *b))).collect();
        Tensor::from_data(TensorData::new(mask, [batch.len(); 2]), &self.learning)
    }
}

impl Task for Class<'_> {
    type Model = Learner;
    type Batch = Vec<usize>;
    type Error = Error;

    fn batches(&self, _epoch: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        let mut batches = shuffled_batches(self.examples.len(), self.batch, rng);
        // A last batch of one pair has no negatives.
        batches.retain(|batch| batch.len() > 1);
        batches
    }

    fn loss(&self, model: &Learner, batch: Vec<usize>) -> Result<Tensor<1>> {
        let rows: Vec<usize> = batch.iter().map(|i| self.examples[*i].picture).collect();
        let captions: Vec<&str> = batch.iter().map(|i| self.examples[*i].caption).collect();
        let pictures = model.towers.embed_images(self.pictures.select(&rows).into_tensor(&self.learning));
        let texts = self.texts(&model.towers, &captions, &self.learning);
        let loss = model.objective.forward(pictures.clone(), texts, self.false_negatives(&batch));
        let tagged: Vec<usize> = (0..batch.len()).filter(|at| !self.tags[rows[*at]].is_empty()).collect();
        if self.tag_weight == 0.0 || tagged.len() < 2 {
            return Ok(loss);
        }
        let tags: Vec<&str> = tagged.iter().map(|at| self.tags[rows[*at]].as_str()).collect();
        let some: Vec<usize> = tagged.iter().map(|at| batch[*at]).collect();
        let places: Vec<i64> = tagged.iter().map(|at| *at as i64).collect();
        let places = Tensor::from_data(TensorData::new(places, [tagged.len()]), &self.learning);
        let tags = self.texts(&model.towers, &tags, &self.learning);
        let tag_loss = model.objective.forward(pictures.select(0, places), tags, self.false_negatives(&some));
        Ok(loss + tag_loss * self.tag_weight)
    }

    fn evaluate(&self, model: &Learner) -> Result<Metrics> {
        let pictures = model.towers.embed_images(self.val.pictures.clone().into_tensor(&self.device));
        let captions: Vec<&str> = self.val.captions.iter().map(String::as_str).collect();
        let texts = self.texts(&model.towers, &captions, &self.device);
        let dim = pictures.dims()[1];
        let numbers = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
        let gold = Gold::from_lists(&self.val.gold, captions.len())?;
        let ranks = metrics::ranks(&numbers(pictures), &numbers(texts), dim, &gold, Ties::default())?;
        let found = ranks.retrieval()?;
        let named = [
            ("rsum", found.rsum()),
            ("text_to_image_r1", found.t2i.r1),
            ("text_to_image_r10", found.t2i.r10),
            ("image_to_text_r1", found.i2t.r1),
            ("image_to_text_r10", found.i2t.r10),
        ];
        Ok(named.map(|(name, value)| (name.to_string(), value)).into())
    }
}
