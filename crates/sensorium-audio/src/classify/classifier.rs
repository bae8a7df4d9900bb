//! A trained classifier.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData, activation};
use sensorium_core::Error as CoreError;
use sensorium_core::files::write_atomic;
use sensorium_core::weights::{self, Allow, load_into, tensors_of, write_safetensors};
use serde::{Deserialize, Serialize};

use super::network::{Network, NetworkConfig};
use super::recordings::Recordings;
use crate::{Error, Result};

const ABOUT: &str = "classifier.json";
const WEIGHTS: &str = "weights.safetensors";
/// Recordings that are classified at once.
const BATCH: usize = 32;

/// What `classifier.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) network: NetworkConfig,
    pub(super) seconds: f64,
    pub(super) classes: Vec<String>,
    pub(super) held_out: Vec<String>,
}

/// A network with the names of its classes.
#[derive(Debug)]
pub struct Classifier {
    about: About,
    network: Network,
}

/// A class and how likely it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Guess {
    /// The class.
    pub class: String,
    /// 0 to 1; all of a recording add up to 1.
    pub probability: f32,
}

/// How well recordings were told apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Recordings.
    pub recordings: usize,
    /// Of all recordings, those whose likeliest class is theirs, in percent.
    pub accuracy: f64,
    /// Those whose class is among the five likeliest, in percent.
    pub top5: f64,
    /// The mean over the classes that occur of the part of their recordings that was found, in percent.
    pub mean_class_accuracy: f64,
    /// For each class the numbers of its recordings that were taken for each class.
    pub confusion: Vec<Vec<usize>>,
}

impl Classifier {
    pub(super) fn new(about: About, network: Network) -> Self {
        Self { about, network }
    }

    /// The classes' names.
    pub fn classes(&self) -> &[String] {
        &self.about.classes
    }

    /// The speakers that it did not learn from, for a measure that means something.
    pub fn held_out(&self) -> &[String] {
        &self.about.held_out
    }

    /// Writes the classifier into a folder: `classifier.json` and `weights.safetensors`.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(CoreError::io(folder, "create"))?;
        write_safetensors(folder.join(WEIGHTS), &tensors_of(&self.network))?;
        let about = serde_json::to_vec_pretty(&self.about).expect("plain numbers and names");
        Ok(write_atomic(folder.join(ABOUT), &about)?)
    }

    /// Reads a classifier from the folder it was written into.
    ///
    /// # Errors
    /// If a file is missing or damaged, or they do not fit each other.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = folder.as_ref().join(ABOUT);
        let text = std::fs::read(&path).map_err(CoreError::io(&path, "read"))?;
        let fail = |reason: String| Error::format(&path, "classifier", reason);
        let about: About = serde_json::from_slice(&text).map_err(|fault| fail(fault.to_string()))?;
        about.network.validate().map_err(|fault| fail(fault.to_string()))?;
        if about.classes.is_empty() || !(0.2..=60.0).contains(&about.seconds) {
            return Err(fail("it has no classes, or a length out of range".to_string()));
        }
        let tensors = weights::read(folder.as_ref().join(WEIGHTS))?;
        let network = about.network.init(about.classes.len(), device);
        Ok(Self { network: load_into(network, &tensors, Allow::NOTHING)?, about })
    }

    /// The classes of a recording, the likeliest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn classify(&self, file: impl AsRef<Path>) -> Result<Vec<Guess>> {
        let row = self.probabilities(&[file.as_ref()])?.swap_remove(0);
        let named = self.about.classes.iter().zip(row);
        let mut guesses: Vec<Guess> =
            named.map(|(class, probability)| Guess { class: class.clone(), probability }).collect();
        guesses.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Ok(guesses)
    }

    /// Measures it on the recordings of the numbers `of`.
    ///
    /// # Errors
    /// If the classes are others, there is no recording, or one cannot be read.
    pub fn evaluate(&self, recordings: &Recordings, of: &[usize]) -> Result<Evaluation> {
        if recordings.classes != self.about.classes {
            let rule = format!("must be those it was trained on: {:?}", self.about.classes);
            return Err(Error::config("classes", format!("{:?}", recordings.classes), rule));
        }
        if of.is_empty() {
            let folder = &recordings.folder;
            return Err(Error::format(folder, "folder of recordings", "none is of a speaker that was held out"));
        }
        let files: Vec<&Path> = of.iter().map(|i| recordings.items[*i].path.as_path()).collect();
        let classes: Vec<usize> = of.iter().map(|i| recordings.items[*i].class).collect();
        Ok(judge(&self.probabilities(&files)?, &classes))
    }

    fn probabilities(&self, files: &[&Path]) -> Result<Vec<Vec<f32>>> {
        let input = self.about.network.input();
        let width = input.moments(self.about.seconds);
        let device = burn::module::Module::devices(&self.network).swap_remove(0);
        let mut rows = Vec::with_capacity(files.len());
        for files in files.chunks(BATCH) {
            let mut values = Vec::with_capacity(files.len() * input.rows() * width);
            for file in files {
                values.extend(input.read(file)?.middle(width));
            }
            let batch = TensorData::new(values, [files.len(), input.rows(), width]);
            rows.extend(guess(&self.network, Tensor::from_data(batch, &device)));
        }
        Ok(rows)
    }
}

/// The probabilities of classes, a row for each input of a batch.
pub(super) fn guess(network: &Network, batch: Tensor<3>) -> Vec<Vec<f32>> {
    let probabilities = activation::softmax(network.forward(batch), 1);
    let classes = probabilities.dims()[1];
    let numbers: Vec<f32> = probabilities.into_data().iter::<f32>().collect();
    numbers.chunks_exact(classes).map(<[f32]>::to_vec).collect()
}

/// How good rows of probabilities are. Of equal ones, the first counts as the likeliest.
pub(super) fn judge(rows: &[Vec<f32>], classes: &[usize]) -> Evaluation {
    let count = rows.first().map_or(0, Vec::len);
    let mut confusion = vec![vec![0; count]; count];
    let mut among_five = 0;
    for (row, class) in rows.iter().zip(classes) {
        let before = |other: usize| row[other] > row[*class] || (row[other] == row[*class] && other < *class);
        among_five += usize::from((0..count).filter(|other| before(*other)).count() < 5);
        let likeliest = (0..count).rev().max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
        confusion[*class][likeliest] += 1;
    }
    let percent = |part: usize, all: usize| 100.0 * part as f64 / all.max(1) as f64;
    let found = (0..count).map(|class| confusion[class][class]).sum();
    let per_class: Vec<f64> = confusion
        .iter()
        .enumerate()
        .map(|(class, row)| (row[class], row.iter().sum::<usize>()))
        .filter(|(_, all)| *all > 0)
        .map(|(found, all)| percent(found, all))
        .collect();
    Evaluation {
        recordings: rows.len(),
        accuracy: percent(found, rows.len()),
        top5: percent(among_five, rows.len()),
        mean_class_accuracy: per_class.iter().sum::<f64>() / per_class.len().max(1) as f64,
        confusion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_by_hand() {
        let rows = vec![vec![0.9, 0.1, 0.0], vec![0.2, 0.5, 0.3], vec![0.6, 0.1, 0.3], vec![0.4, 0.4, 0.2]];
        let found = judge(&rows, &[0, 1, 2, 1]);
        assert_eq!(found.confusion, [[1, 0, 0], [1, 1, 0], [1, 0, 0]]);
        assert_eq!((found.accuracy, found.top5, found.recordings), (50.0, 100.0, 4));
        assert_eq!(found.mean_class_accuracy, 50.0);
        let six: Vec<f32> = (1..=6).map(|x| x as f32 / 21.0).collect();
        assert_eq!(judge(std::slice::from_ref(&six), &[0]).top5, 0.0);
        assert_eq!(judge(&[six], &[1]).top5, 100.0);
    }
}
