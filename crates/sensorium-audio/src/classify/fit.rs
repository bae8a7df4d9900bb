//! Training a classifier.

use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::AdamWConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sensorium_core::train::{
    Metrics, Progress, Row, RunFolder, Select, Task, Trainer, shuffled_batches, warm_up_and_cosine,
};
use serde::{Deserialize, Serialize};

use super::classifier::{About, Classifier, guess, judge};
use super::input::{Clip, InputConfig};
use super::network::{Listener, Network, NetworkConfig};
use super::recordings::{Recordings, Split};
use crate::front_end::Features;
use crate::sound_net::{SoundNet, SoundNetConfig};
use crate::spec_augment::SpecAugment;
use crate::{Error, Result};

/// Settings of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitSettings {
    /// The network.
    pub network: NetworkConfig,
    /// Seconds of a recording that the network is given: longer ones are cut, shorter ones filled up.
    pub seconds: f64,
    /// Passes over the recordings.
    pub epochs: usize,
    /// Recordings a step.
    pub batch: usize,
    /// The peak learning rate of AdamW; it rises over the first steps and falls along a cosine.
    pub learning_rate: f64,
    /// The part of each answer that is spread over all classes.
    pub label_smoothing: f32,
    /// Speakers to measure the result on; if there is none, a fifth of them, drawn at random.
    pub held_out: Vec<String>,
    /// The seed of the split, the weights, the order of the batches and all disturbances.
    pub seed: u64,
}

impl FitSettings {
    /// The settings of a network over mel bands.
    pub fn mel_cnn(seed: u64) -> Self {
        Self {
            network: NetworkConfig::MelCnn(super::network::MelCnnConfig::new()),
            seconds: 1.0,
            epochs: 40,
            batch: 32,
            learning_rate: 2e-3,
            label_smoothing: 0.1,
            held_out: vec![],
            seed,
        }
    }

    /// The settings of SoundNet with a new last layer.
    pub fn sound_net(seed: u64) -> Self {
        let network = NetworkConfig::SoundNet(SoundNetConfig::eight_layers());
        Self { network, seconds: 2.0, learning_rate: 3e-4, ..Self::mel_cnn(seed) }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn validate(&self) -> Result<()> {
        self.network.validate()?;
        for (field, value) in [("epochs", self.epochs), ("batch", self.batch)] {
            if value == 0 {
                return Err(Error::config(field, value, "must be at least 1"));
            }
        }
        if !(0.2..=60.0).contains(&self.seconds) {
            return Err(Error::config("seconds", self.seconds, "must be 0.2 to 60"));
        }
        if matches!(&self.network, NetworkConfig::SoundNet(_)) && self.seconds < 1.0 {
            return Err(Error::config("seconds", self.seconds, "must be at least 1 for SoundNet"));
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::config("lr", self.learning_rate, "must be positive; 0.002 is usual"));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::config("label_smoothing", self.label_smoothing, "must be 0 to below 1"));
        }
        Ok(())
    }

    /// Trains on recordings. After each epoch the network is measured on the validation speakers, and the weights of the best
    /// epoch are kept. With a run folder, training can be killed and resumed; the same settings give the same weights.
    /// `encoder` is a SoundNet to begin with.
    ///
    /// # Errors
    /// If a setting is out of range, the recordings cannot be split or one of them not be read, the loss is no longer finite,
    /// or the run folder cannot be used.
    pub fn fit(
        &self,
        recordings: &Recordings,
        encoder: Option<SoundNet>,
        run: Option<RunFolder>,
        progress: Progress,
        device: &Device,
    ) -> Result<Fitted> {
        self.validate()?;
        let split = recordings.split(&self.held_out, self.seed)?;
        let course = Course::read(self, recordings, &split, device)?;
        course.learning.seed(self.seed);
        let classes = recordings.classes.len();
        let network = match (&self.network, encoder) {
            (NetworkConfig::SoundNet(_), Some(encoder)) => {
                Network::SoundNet(Listener::new(encoder, classes, &course.learning))
            }
            (NetworkConfig::MelCnn(_), Some(_)) => {
                return Err(Error::config("weights", "of SoundNet", "are for the network sound-net"));
            }
            (network, None) => network.init(classes, &course.learning),
        };
        let steps = split.train.len().div_ceil(self.batch) * self.epochs;
        let optimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(1e-2).build();
        let mut trainer = Trainer::new(optimizer, warm_up_and_cosine(self.learning_rate, steps)?, self.epochs)
            .with_seed(self.seed)
            .with_max_grad_norm(5.0)
            .with_select(Select::lowest("valid_loss"))
            .with_progress(progress);
        if let Some(run) = run {
            trainer = trainer.with_run_folder(run);
        }
        let trained = trainer.fit(&course, network)?;
        let mut test: Vec<String> = split.test.iter().map(|i| recordings.items[*i].speaker.clone()).collect();
        test.sort();
        test.dedup();
        let about = About {
            network: self.network.clone(),
            seconds: self.seconds,
            classes: recordings.classes.clone(),
            held_out: test,
        };
        let classifier = Classifier::new(about, trained.model);
        Ok(Fitted { classifier, split, history: trained.rows, best_epoch: trained.best_epoch })
    }
}

/// A trained classifier and how it came about.
pub struct Fitted {
    /// The classifier.
    pub classifier: Classifier,
    /// Which recordings were for what.
    pub split: Split,
    /// The loss, and the loss and accuracy on the validation speakers, epoch by epoch.
    pub history: Vec<Row>,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
}

/// The training and validation recordings as a [`Task`].
struct Course {
    clips: Vec<Labelled>,
    validation: Vec<Labelled>,
    input: InputConfig,
    width: usize,
    batch: usize,
    smoothing: f32,
    device: Device,
    learning: Device,
}

struct Labelled {
    clip: Clip,
    class: usize,
}

impl Course {
    fn read(settings: &FitSettings, recordings: &Recordings, split: &Split, device: &Device) -> Result<Self> {
        let input = settings.network.input();
        let read = |part: &[usize]| -> Result<Vec<Labelled>> {
            let of = |i: &usize| {
                let item = &recordings.items[*i];
                Ok(Labelled { clip: input.read(&item.path)?, class: item.class })
            };
            part.par_iter().map(of).collect()
        };
        Ok(Self {
            clips: read(&split.train)?,
            validation: read(&split.validation)?,
            input,
            width: input.moments(settings.seconds),
            batch: settings.batch,
            smoothing: settings.label_smoothing,
            device: device.clone(),
            learning: device.clone().autodiff(),
        })
    }

    /// A recording, placed at random and disturbed.
    fn disturbed(&self, clip: &Clip, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let room = clip.moments as i64 - self.width as i64;
        let begin = rng.random_range(room.min(0)..=room.max(0));
        let mut values = clip.window(begin as isize, self.width);
        match self.input {
            InputConfig::Mel => {
                let mut features = Features { values, rows: self.input.rows(), frames: self.width };
                let settings = SpecAugment {
                    time_warp: self.width / 12,
                    frequency_width: 12,
                    frequency_masks: 2,
                    time_width: self.width / 8,
                    time_part: 0.2,
                    time_masks: 2,
                };
                settings.apply(&mut features, rng).expect("settings within their ranges");
                features.values
            }
            InputConfig::Wave => {
                // Half to twice as loud, and upside down every other time.
                let gain = 2f32.powf(rng.random_range(-1.0..1.0)) * if rng.random() { 1.0 } else { -1.0 };
                values.iter_mut().for_each(|x| *x *= gain);
                values
            }
        }
    }

    fn tensor(&self, values: Vec<f32>, device: &Device) -> Tensor<3> {
        let (rows, width) = (self.input.rows(), self.width);
        let batch = values.len() / (rows * width);
        Tensor::from_data(TensorData::new(values, [batch, rows, width]), device)
    }
}

/// Recordings of a batch, and what decides how each is disturbed.
struct Batch {
    clips: Vec<usize>,
    seeds: Vec<u64>,
}

impl Task for Course {
    type Model = Network;
    type Batch = Batch;
    type Error = Error;

    fn batches(&self, _epoch: usize, rng: &mut ChaCha8Rng) -> Vec<Batch> {
        let batches = shuffled_batches(self.clips.len(), self.batch, rng);
        let with_seeds = |clips: Vec<usize>| Batch { seeds: clips.iter().map(|_| rng.random()).collect(), clips };
        batches.into_iter().map(with_seeds).collect()
    }

    fn loss(&self, model: &Network, batch: Batch) -> Result<Tensor<1>> {
        let Batch { clips, seeds } = batch;
        let draw = |(clip, seed): (&usize, &u64)| {
            self.disturbed(&self.clips[*clip].clip, &mut ChaCha8Rng::seed_from_u64(*seed))
        };
        let values: Vec<Vec<f32>> = clips.par_iter().zip(&seeds).map(draw).collect();
        let classes: Vec<i64> = clips.iter().map(|clip| self.clips[*clip].class as i64).collect();
        let classes = Tensor::<1, Int>::from_data(TensorData::new(classes, [clips.len()]), &self.learning);
        let logits = model.forward(self.tensor(values.concat(), &self.learning));
        let smoothing = (self.smoothing > 0.0).then_some(self.smoothing);
        let loss = CrossEntropyLossConfig::new().with_smoothing(smoothing).init(&self.learning);
        Ok(loss.forward(logits, classes))
    }

    fn evaluate(&self, model: &Network) -> Result<Metrics> {
        let mut rows = Vec::with_capacity(self.validation.len());
        for part in self.validation.chunks(self.batch) {
            let values: Vec<f32> = part.iter().flat_map(|item| item.clip.middle(self.width)).collect();
            rows.extend(guess(model, self.tensor(values, &self.device)));
        }
        let classes: Vec<usize> = self.validation.iter().map(|item| item.class).collect();
        let loss = rows.iter().zip(&classes).map(|(row, class)| -f64::from(row[*class].max(1e-12)).ln()).sum::<f64>();
        let accuracy = judge(&rows, &classes).accuracy;
        let loss = loss / classes.len().max(1) as f64;
        Ok([("valid_loss", loss), ("accuracy", accuracy)].map(|(name, value)| (name.to_string(), value)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::network::MelCnnConfig;
    use crate::io::{Audio, SampleFormat, write_wav};

    /// Tones that rise and tones that fall, of speakers with voices of their own pitch.
    fn recordings(folder: &std::path::Path) -> Recordings {
        for (class, direction) in [("falls", -1.0), ("rises", 1.0)] {
            std::fs::create_dir_all(folder.join(class)).unwrap();
            for speaker in 0..12 {
                let pitch = 2000.0 + 60.0 * speaker as f32;
                let at = |i: usize| {
                    let t = i as f32 / 16_000.0;
                    (std::f32::consts::TAU * (pitch * t + direction * 1500.0 * t * t)).sin() / 2.0
                };
                let samples = (0..6000 + 200 * speaker).map(at).collect();
                let audio = Audio::from_mono(samples, 16_000).unwrap();
                write_wav(folder.join(class).join(format!("s{speaker}_1.wav")), &audio, SampleFormat::I16).unwrap();
            }
        }
        Recordings::open(folder).unwrap()
    }

    fn settings() -> FitSettings {
        FitSettings {
            network: NetworkConfig::MelCnn(MelCnnConfig { channels: vec![8, 16], dropout: 0.0 }),
            seconds: 0.4,
            epochs: 25,
            batch: 8,
            learning_rate: 1e-2,
            ..FitSettings::mel_cnn(3)
        }
    }

    #[test]
    fn tones_of_new_speakers_are_told_apart_and_a_saved_classifier_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = recordings(&folder.path().join("tones"));
        let fit = || settings().fit(&recordings, None, None, Progress::Quiet, &Device::flex()).unwrap();
        let Fitted { classifier, split, history, .. } = fit();
        assert_eq!([split.train.len(), split.validation.len(), split.test.len()], [18, 2, 4]);
        assert_eq!(history.iter().filter(|row| row.metrics.contains_key("accuracy")).count(), 25);
        let found = classifier.evaluate(&recordings, &split.test).unwrap();
        assert_eq!(found.accuracy, 100.0, "{found:?}");

        let run = folder.path().join("run");
        classifier.save(&run).unwrap();
        let again = Classifier::load(&run, &Device::flex()).unwrap();
        let file = &recordings.items[split.test[0]].path;
        assert_eq!(again.classify(file).unwrap(), classifier.classify(file).unwrap());
        assert_eq!(again.held_out(), classifier.held_out());
        assert_eq!(
            fit().classifier.classify(file).unwrap(),
            classifier.classify(file).unwrap(),
            "one seed, one result"
        );
    }

    #[test]
    fn ranges_are_checked() {
        let fault = |settings: FitSettings| settings.validate().unwrap_err().to_string();
        assert!(fault(FitSettings { seconds: 0.0, ..settings() }).starts_with("seconds = 0"));
        assert!(fault(FitSettings { seconds: 0.5, ..FitSettings::sound_net(0) }).contains("at least 1 for SoundNet"));
        assert!(fault(FitSettings { batch: 0, ..settings() }).starts_with("batch = 0"));
        assert!(fault(FitSettings { learning_rate: f64::NAN, ..settings() }).starts_with("lr = NaN"));
    }
}
