//! Training a speaker on pictures with sounds.

use burn::tensor::Device;
use sensorium_core::Error as CoreError;
use sensorium_core::train::{Progress, Row, RunFolder};
use sensorium_vision::pairs::{Pair, Split};
use serde::{Deserialize, Serialize};

use super::pairs::{SpokenPair, read_sound};
use super::{Speaker, Units, name};
use crate::Result;
use crate::fit::{Eye, FitSettings, Lesson};

/// Settings of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeakSettings {
    /// The number of units.
    pub units: usize,
    /// The captioner's training; its captions' words are units.
    pub training: FitSettings,
}

/// A trained speaker and how it came about.
#[derive(Debug)]
pub struct Fitted {
    /// The speaker, with the weights of the best epoch by the settings' measure, over units.
    pub speaker: Speaker,
    /// What was measured, epoch by epoch.
    pub history: Vec<Row>,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
}

impl SpeakSettings {
    /// Finds units in the sounds of the training part and trains a captioner to tell pictures in them. `splits` has each
    /// pair's part. With a run folder, training can be killed and resumed; the same settings give the same weights.
    ///
    /// # Errors
    /// If a setting is out of range, a picture or a sound cannot be used, all sounds have more units than captions may
    /// have words, or as [`FitSettings::fit`].
    ///
    /// # Panics
    /// If there are not as many splits as pairs.
    pub fn fit(
        &self,
        pairs: &[SpokenPair],
        splits: &[Split],
        eye: Eye,
        run: Option<RunFolder>,
        progress: Progress,
        device: &Device,
    ) -> Result<Fitted> {
        assert_eq!(pairs.len(), splits.len(), "a split for each pair");
        self.training.validate()?;
        let part = |wanted| (0..pairs.len()).filter(|pair| splits[*pair] == wanted).collect::<Vec<usize>>();
        let (train, val) = (part(Split::Train), part(Split::Val));
        let sounds = |pair: &SpokenPair| pair.sounds.iter().map(read_sound).collect::<Result<Vec<_>>>();
        let heard: Vec<Vec<Vec<f32>>> = pairs.iter().map(sounds).collect::<Result<_>>()?;
        let learned_from: Vec<&Vec<f32>> = train.iter().flat_map(|pair| &heard[*pair]).collect();
        if learned_from.is_empty() {
            return Err(CoreError::Train { reason: "no pair is left to learn from".to_string() }.into());
        }
        let units = Units::learn(&learned_from, self.units, self.training.seed)?;
        let caption = |sound: &Vec<f32>| -> Result<String> {
            Ok(units.encode(sound)?.iter().map(|run| name(run.unit)).collect::<Vec<_>>().join(" "))
        };
        let told = |(pair, sounds): (&SpokenPair, &Vec<Vec<f32>>)| -> Result<Pair> {
            Ok(pair.told(sounds.iter().map(caption).collect::<Result<_>>()?))
        };
        let told: Vec<Pair> = pairs.iter().zip(&heard).map(told).collect::<Result<_>>()?;
        let lesson = Lesson { pairs: &told, train: &train, val: &val };
        let fitted = self.training.fit(lesson, eye, run, progress, device)?;
        let speaker = Speaker::new(fitted.captioner, units)?;
        Ok(Fitted { speaker, history: fitted.history, best_epoch: fitted.best_epoch })
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use sensorium_audio::io::{Audio, SampleFormat, write_wav};
    use sensorium_core::device;
    use sensorium_vision::EncoderConfig;
    use sensorium_vision::pairs::read_picture;
    use sensorium_vision::resnet::ResNetConfig;
    use sensorium_vision::transforms::{Normalise, Preprocess};

    use super::*;
    use crate::BeamSearch;
    use crate::speak::{HOP_LENGTH, SAMPLE_RATE};

    /// Pictures of three colours, each told about by a word of five tones.
    fn colours(folder: &std::path::Path) -> Vec<SpokenPair> {
        let words = [
            ("red", [220, 20, 20], [300.0, 900.0, 1500.0, 500.0, 900.0]),
            ("green", [20, 200, 30], [1500.0, 500.0, 300.0, 900.0, 300.0]),
            ("blue", [30, 40, 220], [900.0, 2500.0, 500.0, 300.0, 1500.0]),
        ];
        let pair = |index: usize| {
            let (name, colour, pitches) = words[index % 3];
            let (picture, sound) = (folder.join(format!("{index}.png")), folder.join(format!("{name}.wav")));
            let shade = |x: u32| colour.map(|level: u8| level.saturating_sub((x + index as u32) as u8));
            sensorium_vision::io::write(&picture, &RgbImage::from_fn(40, 40, |x, _| image::Rgb(shade(x)))).unwrap();
            let tone = |pitch: f32| {
                let turn = pitch * std::f32::consts::TAU / SAMPLE_RATE as f32;
                (0..2000).map(move |i| (i as f32 * turn).sin() / 2.0)
            };
            let samples = pitches.into_iter().flat_map(tone).collect();
            write_wav(&sound, &Audio::from_mono(samples, SAMPLE_RATE).unwrap(), SampleFormat::I16).unwrap();
            let (id, group) = (index.to_string(), name.to_string());
            SpokenPair { id, picture, sounds: vec![sound], group, split: None }
        };
        (0..9).map(pair).collect()
    }

    fn settings(epochs: usize) -> SpeakSettings {
        let training = FitSettings {
            grid: 2,
            attention: 16,
            embedding: 16,
            hidden: 32,
            dropout: 0.0,
            rarer_than: 0,
            epochs,
            batch: 3,
            learning_rate: 1e-2,
            ..FitSettings::tutorial(3)
        };
        SpeakSettings { units: 6, training }
    }

    #[test]
    fn a_tiny_set_is_learned_by_heart_and_comes_back_from_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let device = device::parse("flex").unwrap();
        let pairs = colours(folder.path());
        let splits = [[Split::Train; 6].as_slice(), &[Split::Val; 3]].concat();
        let encoder = EncoderConfig::ResNet(ResNetConfig { classes: 0, width: 8, ..ResNetConfig::tiny() });
        device.seed(1);
        let weights = encoder.init(&device).tensors();
        let preprocess = Preprocess::stretched(32, 32, Normalise::IMAGENET);
        let eye = Eye { encoder, weights, layers: vec!["stem".to_string()], preprocess };
        let fitted = settings(40).fit(&pairs, &splits, eye, None, Progress::Quiet, &device).unwrap();

        let search = BeamSearch::new(2);
        let measured = fitted.speaker.evaluate(&pairs, &splits, Split::Val, &search, 0, |_| ()).unwrap();
        assert_eq!((measured.pictures, measured.groups), (3, 3));
        let of = |name: &str| measured.scores.iter().find(|score| score.name == name).unwrap();
        assert_eq!(of("speaker, not heard").recognised, 1.0, "{measured:?}");
        assert!(of("speaker, not heard").unit_error_rate < 0.2, "{measured:?}");
        assert!(of("true units, true durations").unit_error_rate < 0.5, "{measured:?}");

        fitted.speaker.save(folder.path().join("run")).unwrap();
        let read = Speaker::load(folder.path().join("run"), &device).unwrap();
        let picture = read_picture(&pairs[7].picture).unwrap();
        let said = |speaker: &Speaker| speaker.speak(std::slice::from_ref(&picture), &search).unwrap().remove(0);
        assert_eq!(said(&read), said(&fitted.speaker));
        assert_eq!(said(&read).sound.len() % HOP_LENGTH, 0);
        let few = Units::learn(&[read_sound(&pairs[0].sounds[0]).unwrap()], 2, 0).unwrap();
        let fault = Speaker::new(read.captioner, few).unwrap_err().to_string();
        assert!(fault.contains("word of the speaker = u"), "{fault}");
    }
}
