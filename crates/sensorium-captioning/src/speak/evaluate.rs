//! How well a speaker speaks, beside what can be had without learning.

use std::collections::BTreeSet;
use std::path::Path;

use image::RgbImage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sensorium_core::Error as CoreError;
use sensorium_vision::pairs::{Split, read_picture};
use serde::Serialize;

use super::pairs::{SpokenPair, read_sound};
use super::{Run, Speaker, UnitErrors, Units};
use crate::{BeamSearch, KnownPictures, Result};

/// Pictures that are looked at at a time.
const BATCH: usize = 16;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Pictures of the part.
    pub pictures: usize,
    /// Groups of the whole data, of which the sounds that are heard are one.
    pub groups: usize,
    /// The speaker and its baselines.
    pub scores: Vec<Score>,
}

/// One way to answer pictures with sound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// What answers.
    pub name: &'static str,
    /// Edits per unit of the true sounds, of all pictures together.
    pub unit_error_rate: f64,
    /// The share of pictures for which the nearest of all true sounds of the data, by edits per unit of the longer one, is
    /// of the picture's group.
    pub recognised: f64,
}

/// The units of a sound.
type Sequence = Vec<u32>;

impl Speaker {
    /// Measures on a part of the data. Each answer is made sound and heard again: its units are compared to those of the
    /// picture's true sound, the nearest if there are several. The answers:
    ///
    /// - `true units, true durations`: the true sound's own runs, the best that units and Griffin-Lim can do;
    /// - `true units, mean durations`: the best that a speaker can do;
    /// - `speaker`: what it says;
    /// - `speaker, not heard`: the units it chose, without sound between;
    /// - `nearest picture`: a true sound of the most similar training picture, see [`KnownPictures`];
    /// - `random sound`: a true sound of a training picture drawn at random, with `seed`.
    ///
    /// `progress` is told how many pictures were answered.
    ///
    /// # Errors
    /// If the part or the training part is empty, or a picture or a sound cannot be used.
    ///
    /// # Panics
    /// If there are not as many splits as pairs, or `search` has settings out of range.
    pub fn evaluate(
        &self,
        pairs: &[SpokenPair],
        splits: &[Split],
        part: Split,
        search: &BeamSearch,
        seed: u64,
        progress: impl Fn(usize),
    ) -> Result<Evaluation> {
        assert_eq!(pairs.len(), splits.len(), "a split for each pair");
        let of = |wanted| (0..pairs.len()).filter(|pair| splits[*pair] == wanted).collect::<Vec<usize>>();
        let (asked, train) = (of(part), of(Split::Train));
        for (name, part) in [("part", &asked), ("training part", &train)] {
            if part.is_empty() {
                return Err(CoreError::config("split", name, "has no picture; choose a part that the data has").into());
            }
        }
        let encode = |pair: &SpokenPair| -> Result<Vec<Vec<Run>>> {
            pair.sounds.iter().map(|sound| self.units.encode(&read_sound(sound)?)).collect()
        };
        let runs: Vec<Vec<Vec<Run>>> = pairs.par_iter().map(encode).collect::<Result<_>>()?;
        let told: Vec<Vec<Sequence>> =
            runs.iter().map(|runs| runs.iter().map(|runs| sequence(runs)).collect()).collect();
        let truth = Truth { pairs, told: &told, asked: &asked };

        let files: Vec<&Path> = train.iter().map(|pair| pairs[*pair].picture.as_path()).collect();
        let known = KnownPictures::read(&self.captioner, &files)?;
        let mut spoken = vec![];
        let mut nearest = vec![];
        for batch in asked.chunks(BATCH) {
            let pictures: Vec<RgbImage> =
                batch.iter().map(|pair| Ok(read_picture(&pairs[*pair].picture)?)).collect::<Result<_>>()?;
            let map = self.captioner.map(self.captioner.input(&pictures));
            nearest.extend(known.nearest(map.clone()).into_iter().map(|place| train[place]));
            spoken.extend(self.speak_of(self.captioner.seen(map), search)?);
            progress(batch.len());
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let random: Vec<usize> = asked.iter().map(|_| train[random.random_range(0..train.len())]).collect();

        let own = |pair: &usize| heard(&self.units, &runs[*pair][0]);
        let timed = |pair: &usize| heard(&self.units, &self.units.timed(&told[*pair][0]));
        let all = |answer: &(dyn Fn(&usize) -> Result<Sequence> + Sync), pairs: &[usize]| {
            pairs.par_iter().map(answer).collect::<Result<Vec<_>>>()
        };
        let said: Vec<Sequence> =
            spoken.par_iter().map(|spoken| Ok(sequence(&self.units.encode(&spoken.sound)?))).collect::<Result<_>>()?;
        let meant: Vec<Sequence> = spoken.into_iter().map(|spoken| spoken.units).collect();
        let groups: BTreeSet<&str> = pairs.iter().map(|pair| pair.group.as_str()).collect();
        Ok(Evaluation {
            pictures: asked.len(),
            groups: groups.len(),
            scores: vec![
                truth.score("true units, true durations", &all(&own, &asked)?),
                truth.score("true units, mean durations", &all(&timed, &asked)?),
                truth.score("speaker", &said),
                truth.score("speaker, not heard", &meant),
                truth.score("nearest picture", &all(&timed, &nearest)?),
                truth.score("random sound", &all(&timed, &random)?),
            ],
        })
    }
}

fn sequence(runs: &[Run]) -> Sequence {
    runs.iter().map(|run| run.unit).collect()
}

/// The units that are heard in the sound of runs.
fn heard(units: &Units, runs: &[Run]) -> Result<Sequence> {
    Ok(sequence(&units.encode(&units.decode(runs)?)?))
}

/// What should have been said.
struct Truth<'a> {
    pairs: &'a [SpokenPair],
    /// For each pair the units of its sounds.
    told: &'a [Vec<Sequence>],
    /// The pairs that are measured.
    asked: &'a [usize],
}

impl Truth<'_> {
    fn score(&self, name: &'static str, answers: &[Sequence]) -> Score {
        let errors = self.asked.iter().zip(answers).map(|(pair, units)| UnitErrors::nearest(&self.told[*pair], units));
        let right = |(pair, units): (&usize, &Sequence)| self.recognise(units) == self.pairs[*pair].group;
        let recognised = self.asked.par_iter().zip(answers).filter(|answer| right(*answer)).count();
        Score {
            name,
            unit_error_rate: errors.sum::<UnitErrors>().rate(),
            recognised: recognised as f64 / self.asked.len() as f64,
        }
    }

    /// The group of the sound that is nearest to units.
    fn recognise(&self, units: &Sequence) -> &str {
        let distance = |sound: &Sequence| {
            UnitErrors::between(sound, units).edits as f64 / sound.len().max(units.len()).max(1) as f64
        };
        let of_pair =
            |(pair, sounds): (usize, &Vec<Sequence>)| (pair, sounds.iter().map(distance).fold(f64::INFINITY, f64::min));
        let nearest = self.told.iter().enumerate().map(of_pair).min_by(|(_, a), (_, b)| a.total_cmp(b));
        &self.pairs[nearest.expect("there are pairs").0].group
    }
}
