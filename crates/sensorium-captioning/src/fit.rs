//! Training a captioner on pictures with sentences: teacher forcing over the maps of a frozen encoder, which are made
//! once.

use burn::grad_clipping::GradientClippingConfig;
use burn::optim::AdamConfig;
use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rand_chacha::ChaCha8Rng;
use sensorium_core::Error as CoreError;
use sensorium_core::train::{Metrics, Progress, Row, RunFolder, Select, Task, Trainer, shuffled_batches};
use sensorium_core::weights::TensorMap;
use sensorium_vision::EncoderConfig;
use sensorium_vision::pairs::{Pair, read_picture};
use sensorium_vision::transforms::Preprocess;
use serde::{Deserialize, Serialize};

use crate::attend::AttentionDecoderConfig;
use crate::captioner::{Captioner, CaptionerConfig, Decoder, DecoderConfig};
use crate::decode::BeamSearch;
use crate::loss::{cross_entropy, doubly_stochastic};
use crate::metrics::{Example, bleu};
use crate::show_and_tell::{Reading, ShowAndTellConfig};
use crate::{Result, WordMap};

/// Pictures whose maps are made at a time.
const BATCH: usize = 16;

/// Settings of training. The defaults are the captioning tutorial's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitSettings {
    /// Positions along a side that attention chooses among; 0 for Show and Tell, which has none.
    pub grid: usize,
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
    /// What each element of a gradient is clamped to, in both directions.
    pub clamp: f32,
    /// The learning rate shrinks each time that so many more epochs have passed without a better BLEU-4.
    pub shrink_after: usize,
    /// What it is multiplied by then.
    pub shrink: f64,
    /// Training ends when so many epochs have passed without a better BLEU-4.
    pub patience: usize,
    /// What all randomness follows from.
    pub seed: u64,
}

impl FitSettings {
    /// The tutorial's settings.
    pub fn tutorial(seed: u64) -> Self {
        Self {
            grid: 14,
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
            clamp: 5.0,
            shrink_after: 8,
            shrink: 0.8,
            patience: 20,
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
            ("shrink_after", self.shrink_after),
            ("patience", self.patience),
        ] {
            if value == 0 {
                return Err(CoreError::config(field, value, "must be at least 1").into());
            }
        }
        if self.grid > 64 {
            return Err(CoreError::config("grid", self.grid, "must be at most 64; 0 for Show and Tell").into());
        }
        let positive = [("lr", self.learning_rate), ("clamp", f64::from(self.clamp)), ("shrink", self.shrink)];
        if let Some((field, value)) = positive.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            return Err(CoreError::config(field, value, "must be more than 0").into());
        }
        if !(self.looked.is_finite() && self.looked >= 0.0) {
            return Err(CoreError::config("looked", self.looked, "must be 0 or more").into());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(CoreError::config("dropout", self.dropout, "must be at least 0 and less than 1").into());
        }
        Ok(())
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
                    .with_dropout(self.dropout);
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
    /// The layer whose map the decoder sees.
    pub layer: String,
    /// What a picture goes through before it.
    pub preprocess: Preprocess,
}

/// Pictures with sentences to learn from, and others that say when to stop.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// All pairs.
    pub pairs: &'a [Pair],
    /// The numbers of those to learn from.
    pub train: &'a [usize],
    /// The numbers of those to measure on.
    pub val: &'a [usize],
}

/// A trained captioner and how it came about.
#[derive(Debug)]
pub struct Fitted {
    /// The captioner, with the weights of the epoch of the best BLEU-4.
    pub captioner: Captioner,
    /// What was measured, epoch by epoch.
    pub history: Vec<Row>,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
}

/// The words of a caption: lower case, without the punctuation around them.
pub fn caption_words(caption: &str) -> Vec<String> {
    let around = |c: char| !c.is_alphanumeric();
    let words = caption.split_whitespace().map(|word| word.trim_matches(around).to_lowercase());
    words.filter(|word| !word.is_empty()).collect()
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
    /// Trains a captioner. After each epoch it tells about the pictures of `val`, each word the likeliest, and the
    /// weights of the best BLEU-4 are kept. With a run folder, training can be killed and resumed; the same settings give
    /// the same weights.
    ///
    /// # Errors
    /// If a setting is out of range, a picture cannot be read, no caption is left to learn from, the loss is no longer
    /// finite, or the run folder cannot be used.
    pub fn fit(
        &self,
        lesson: Lesson,
        eye: Eye,
        run: Option<RunFolder>,
        progress: Progress,
        device: &Device,
    ) -> Result<Fitted> {
        self.validate()?;
        let captions = |part: &[usize]| -> Vec<Vec<Vec<String>>> {
            part.iter().map(|pair| words_of(&lesson.pairs[*pair])).collect()
        };
        let (told, references) = (captions(lesson.train), captions(lesson.val));
        let words = WordMap::build(told.iter().flatten().map(Vec::as_slice), self.rarer_than);
        let views = Views::new(self, &eye, device)?;
        let mut course = Course {
            settings: self,
            captions: vec![],
            seen: views.of(lesson, lesson.train)?,
            val_seen: views.of(lesson, lesson.val)?,
            references: references.iter().map(|of_one| of_one.iter().map(|words| words.join(" ")).collect()).collect(),
            shape: views.shape,
            words: &words,
            device: device.clone(),
            learning: device.clone().autodiff(),
        };
        for (picture, of_picture) in told.iter().enumerate() {
            let fit = of_picture.iter().filter(|caption| (1..=self.longest).contains(&caption.len()));
            course.captions.extend(fit.map(|caption| (picture, words.encode(caption))));
        }
        if course.captions.is_empty() {
            let rule = format!("no caption of 1 to {} words is left to learn from", self.longest);
            return Err(CoreError::Train { reason: rule }.into());
        }
        let decoder = self.decoder(words.len(), views.shape[1]);
        course.learning.seed(self.seed);
        let model = decoder.init(&course.learning);
        let clamp = GradientClippingConfig::Value(self.clamp);
        let adam = AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(Some(clamp)).build();
        let mut trainer = Trainer::new(adam, self.learning_rate, self.epochs)
            .with_seed(self.seed)
            .with_select(Select::highest("bleu4").with_patience(self.patience))
            .with_plateau(self.shrink_after, self.shrink)
            .with_progress(progress);
        if let Some(run) = run {
            trainer = trainer.with_run_folder(run);
        }
        let trained = trainer.fit(&course, model)?;
        let config = CaptionerConfig { encoder: eye.encoder, layer: eye.layer, preprocess: eye.preprocess, decoder };
        let captioner = Captioner::new(config, eye.weights, trained.model.tensors(), words, device)?;
        Ok(Fitted { captioner, history: trained.rows, best_epoch: trained.best_epoch })
    }
}

/// What a decoder sees of pictures.
struct Views<'a> {
    eye: &'a Eye,
    encoder: sensorium_vision::FoldedEncoder,
    grid: usize,
    /// Positions and features of a picture.
    shape: [usize; 2],
    device: Device,
}

impl<'a> Views<'a> {
    fn new(settings: &FitSettings, eye: &'a Eye, device: &Device) -> Result<Self> {
        eye.preprocess.validate()?;
        let encoder = eye.encoder.init(device).load(eye.weights.clone())?.fold();
        let grid = settings.grid.max(1);
        let map = encoder.features(Tensor::zeros([1, 3, 64, 64], device), &[&eye.layer])?.remove(0);
        Ok(Self { eye, encoder, grid, shape: [grid * grid, map.dims()[1]], device: device.clone() })
    }

    /// The numbers of the pictures of `part`, one after the other.
    fn of(&self, lesson: Lesson, part: &[usize]) -> Result<Vec<f32>> {
        let mut numbers = Vec::with_capacity(part.len() * self.shape.iter().product::<usize>());
        for pairs in part.chunks(BATCH) {
            let read = |pair: &usize| -> Result<RgbImage> { Ok(read_picture(&lesson.pairs[*pair].picture)?) };
            let pictures: Vec<RgbImage> = pairs.iter().map(read).collect::<Result<_>>()?;
            let input = self.eye.preprocess.batch(&pictures, &self.device);
            let maps = self.encoder.features(input, &[&self.eye.layer])?.remove(0);
            numbers.extend(crate::captioner::view(maps, self.grid).into_data().iter::<f32>());
        }
        Ok(numbers)
    }
}

/// The captions and the pictures' views as a [`Task`].
struct Course<'a> {
    settings: &'a FitSettings,
    /// Each caption's picture and words.
    captions: Vec<(usize, Vec<u32>)>,
    /// `[pictures, positions, features]`
    seen: Vec<f32>,
    val_seen: Vec<f32>,
    references: Vec<Vec<String>>,
    shape: [usize; 2],
    words: &'a WordMap,
    device: Device,
    learning: Device,
}

impl Course<'_> {
    /// The views `[pictures, positions, features]` of some pictures.
    fn views(&self, seen: &[f32], pictures: impl ExactSizeIterator<Item = usize>, device: &Device) -> Tensor<3> {
        let [positions, features] = self.shape;
        let size = positions * features;
        let shape = [pictures.len(), positions, features];
        let numbers: Vec<f32> = pictures.flat_map(|picture| &seen[picture * size..][..size]).copied().collect();
        Tensor::from_data(TensorData::new(numbers, shape), device)
    }
}

impl Task for Course<'_> {
    type Model = Decoder;
    type Batch = Vec<usize>;
    type Error = crate::Error;

    fn batches(&self, _epoch: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        shuffled_batches(self.captions.len(), self.settings.batch, rng)
    }

    fn loss(&self, model: &Decoder, batch: Vec<usize>) -> Result<Tensor<1>> {
        let captions: Vec<Vec<u32>> = batch.iter().map(|caption| self.captions[*caption].1.clone()).collect();
        let pictures = batch.iter().map(|caption| self.captions[*caption].0);
        let views = self.views(&self.seen, pictures, &self.learning);
        Ok(match model {
            Decoder::Attend(decoder) => {
                let read = decoder.forward(views, &captions);
                let told = cross_entropy(read.logits, read.targets);
                told + doubly_stochastic(read.attention) * self.settings.looked
            }
            Decoder::ShowAndTell(model) => model.loss(views.squeeze_dim(1), &captions, Reading::FromStart),
        })
    }

    fn evaluate(&self, model: &Decoder) -> Result<Metrics> {
        let limits = crate::Limits::tutorial(self.words.start(), self.words.end());
        let pictures: Vec<usize> = (0..self.references.len()).collect();
        let mut examples = vec![];
        for pictures in pictures.chunks(BATCH) {
            let views = self.views(&self.val_seen, pictures.iter().copied(), &self.device);
            let found = model.search(views, &BeamSearch::new(1), &limits);
            examples.extend(pictures.iter().zip(found).map(|(picture, found)| Example {
                id: picture.to_string(),
                references: self.references[*picture].clone(),
                hypothesis: self.words.sentence(&found.best().words),
            }));
        }
        let scores = bleu(&examples);
        Ok(Metrics::from([("bleu1".to_string(), scores[0].corpus), ("bleu4".to_string(), scores[3].corpus)]))
    }
}

#[cfg(test)]
mod tests {
    use sensorium_core::device;
    use sensorium_vision::pairs::Split;
    use sensorium_vision::resnet::ResNetConfig;
    use sensorium_vision::transforms::Normalise;

    use super::*;

    /// Pictures of one of four colours, with two captions each.
    fn colours(folder: &std::path::Path) -> Vec<Pair> {
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
        Eye { encoder, weights, layer: "stem".to_string(), preprocess }
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
    fn a_tiny_set_is_learned_by_heart_on_every_backend() {
        let folder = tempfile::tempdir().unwrap();
        let pairs = colours(folder.path());
        let all: Vec<usize> = (0..16).collect();
        let lesson = Lesson { pairs: &pairs, train: &all, val: &all };
        for (backend, device) in device::built() {
            let epochs = if backend == "flex" { 60 } else { 12 };
            for grid in [4, 0] {
                let settings = FitSettings { epochs, ..settings(grid) };
                let fitted = settings.fit(lesson, eye(&device), None, Progress::Quiet, &device).unwrap();
                let best = fitted.history.iter().filter_map(|row| row.metrics.get("bleu4")).fold(0.0, |a, b| b.max(a));
                let losses: Vec<f64> =
                    fitted.history.iter().filter_map(|row| row.metrics.get("loss").copied()).collect();
                assert!(losses[losses.len() - 1] < 0.6 * losses[0], "{backend}, grid {grid}: {losses:?}");
                if backend == "flex" {
                    assert!(best > 0.95, "{backend}, grid {grid}: BLEU-4 {best}");
                    let picture = read_picture(&pairs[2].picture).unwrap();
                    let found = fitted.captioner.search(&[picture], &BeamSearch::new(3), &fitted.captioner.limits());
                    let told = fitted.captioner.words().sentence(&found[0].best().words);
                    assert!(told.contains("blue"), "{told}");
                }
            }
        }
    }

    #[test]
    fn a_killed_training_goes_on_as_if_nothing_had_been() {
        let folder = tempfile::tempdir().unwrap();
        let pairs = colours(folder.path());
        let (train, val): (Vec<usize>, Vec<usize>) = ((0..12).collect(), (12..16).collect());
        let lesson = Lesson { pairs: &pairs, train: &train, val: &val };
        let device = device::parse("flex").unwrap();
        let whole = FitSettings { epochs: 4, dropout: 0.5, ..settings(4) };
        let fit = |settings: &FitSettings, run| {
            settings.fit(lesson, eye(&device), run, Progress::Quiet, &device).unwrap().captioner.decoder().tensors()
        };
        let unbroken = fit(&whole, None);
        let place = folder.path().join("run");
        let run =
            || RunFolder::create(&place, &"the same").or_else(|_| RunFolder::resume(&place, &"the same")).unwrap();
        fit(&FitSettings { epochs: 2, ..whole.clone() }, Some(run()));
        let resumed = fit(&whole, Some(run()));
        for ((name, a), (_, b)) in unbroken.iter().zip(resumed.iter()) {
            assert_eq!(a, b, "{name}");
        }
    }

    #[test]
    fn words_are_without_what_stands_around_them() {
        assert_eq!(
            caption_words(" A dog's ball, (red) - it's \"new\"! "),
            ["a", "dog's", "ball", "red", "it's", "new"]
        );
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
        assert!(with(|s| s.batch = 0).starts_with("batch = 0"));
        assert!(with(|s| s.learning_rate = -1.0).starts_with("lr = -1"));
        assert!(with(|s| s.dropout = 1.0).starts_with("dropout = 1"));
        assert!(with(|s| s.grid = 99).starts_with("grid = 99"));
    }
}
