//! A learned space: what training leaves in its folder, and all that embedding needs.
//!
//! | file | content |
//! |---|---|
//! | `space.json` | the settings: image features, sizes, how it was trained, its tags, the scale for arithmetic |
//! | `vocab.json` | the words of the training texts |
//! | `standard.safetensors` | mean and deviation of each image feature over the training pictures |
//! | `model.bpk` or `ridge.safetensors` | the towers, as gradient descent or ridge regression left them |

use std::hash::Hasher;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use sensorium_core::Error as CoreError;
use sensorium_core::files::write_atomic;
use sensorium_core::weights::{self, TensorMap};
use sensorium_text::batch::WordBatch;
use sensorium_text::glove::Glove;
use sensorium_text::vocab::Vocab;
use serde::{Deserialize, Serialize};

use super::directions::project;
use super::features::{Features, Fnv, Matrix, Standard};
use super::model::{Joint, JointConfig, TextEncoder, Texts};
use super::ridge::{Kernel, KernelRidge};
use super::words::{Semantics, TextMap, words_of};
use crate::Result;

/// The version of the folder's layout.
const VERSION: u32 = 1;
/// Rows that go through a tower together.
const BATCH: usize = 1024;

/// How a space came about and what it consists of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    version: u32,
    /// The data set, as it was named.
    pub data: String,
    /// The seed of the split, the weights and the order of the batches.
    pub seed: u64,
    /// What the image tower sees.
    pub features: Features,
    /// How words become semantic features.
    pub semantics: Semantics,
    /// The number of training texts.
    pub texts: u64,
    /// The towers.
    pub towers: TowerSettings,
    /// The length of a text offset in arithmetic.
    pub scale: f32,
    /// The tags of the training part that a picture can be given.
    pub tags: Vec<String>,
}

/// What kind of towers, and their sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "solver")]
pub enum TowerSettings {
    /// Fitted by gradient descent.
    Sgd(JointConfig),
    /// Fitted in closed form.
    Ridge {
        /// How alike two pictures are.
        kernel: Kernel,
        /// Dimensions of the space.
        dim: usize,
    },
}

/// The two towers.
pub enum Towers {
    /// Fitted by gradient descent.
    Sgd(Joint),
    /// Pictures by kernel ridge regression; texts as the text map has them, minus the mean of the training texts,
    /// along the directions of the space.
    Ridge {
        /// From pictures to centred texts.
        images: KernelRidge,
        /// The mean of the training texts.
        mean: Vec<f32>,
        /// The directions of the space among those of the text map, scaled; all of them where absent.
        directions: Option<Matrix>,
    },
}

/// A space ready to embed pictures and words on one device.
pub struct Space {
    settings: Settings,
    text_map: TextMap,
    standard: Standard,
    towers: Towers,
    device: Device,
}

/// Where a space comes from, for its settings.
pub struct Origin {
    /// The data set, as it was named.
    pub data: String,
    /// The seed of everything random.
    pub seed: u64,
    /// What the image tower sees.
    pub features: Features,
    /// Tags that a picture can be given.
    pub tags: Vec<String>,
}

impl Space {
    /// Puts a space together, with arithmetic at full length until [`set_scale`](Self::set_scale) says otherwise.
    pub fn new(
        origin: Origin,
        text_map: TextMap,
        standard: Standard,
        config: TowerSettings,
        towers: Towers,
        device: &Device,
    ) -> Self {
        let settings = Settings {
            version: VERSION,
            data: origin.data,
            seed: origin.seed,
            features: origin.features,
            semantics: text_map.semantics(),
            texts: text_map.texts(),
            towers: config,
            scale: 1.0,
            tags: origin.tags,
        };
        Self { settings, text_map, standard, towers, device: device.clone() }
    }

    /// How it came about.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where it embeds.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Sets the length of a text offset in arithmetic.
    pub fn set_scale(&mut self, scale: f32) {
        self.settings.scale = scale;
    }

    /// Dimensions of the space.
    pub fn dim(&self) -> usize {
        match &self.settings.towers {
            TowerSettings::Sgd(config) => config.dim,
            TowerSettings::Ridge { dim, .. } => *dim,
        }
    }

    /// Writes the space to a folder.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        self.text_map.vocab().save(folder.join("vocab.json"))?;
        let mut standard = TensorMap::new(folder.join("standard.safetensors"));
        insert(&mut standard, "mean", &self.standard.mean, self.standard.mean.len());
        insert(&mut standard, "deviation", &self.standard.deviation, self.standard.deviation.len());
        weights::write_safetensors(standard.source(), &standard)?;
        match &self.towers {
            Towers::Sgd(model) => weights::save_module(folder.join("model.bpk"), model)?,
            Towers::Ridge { images, mean, directions } => {
                let (_, scale, pictures, dual) = images.parts();
                let mut tensors = TensorMap::new(folder.join("ridge.safetensors"));
                insert(&mut tensors, "pictures", &pictures.values, pictures.width);
                insert(&mut tensors, "weights", &dual.values, dual.width);
                insert(&mut tensors, "mean", mean, mean.len());
                insert(&mut tensors, "scale", &[scale], 1);
                if let Some(directions) = directions {
                    insert(&mut tensors, "directions", &directions.values, directions.width);
                }
                weights::write_safetensors(tensors.source(), &tensors)?;
            }
        }
        // Last, so that a folder with settings is a whole one.
        let settings = serde_json::to_string_pretty(&self.settings).expect("settings become JSON");
        Ok(write_atomic(folder.join("space.json"), settings.as_bytes())?)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If a file is missing, damaged, or from another space; the message names it.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let settings = read_settings(&folder.join("space.json"))?;
        let vocab = Vocab::load(folder.join("vocab.json"))?;
        let text_map = TextMap::from_vocab(vocab, settings.texts, settings.semantics)?;
        let standard = weights::read(folder.join("standard.safetensors"))?;
        let standard = Standard { mean: standard.f32s("mean")?, deviation: standard.f32s("deviation")? };
        let (towers, image_features, text_features) = match &settings.towers {
            TowerSettings::Sgd(config) => {
                config.validate()?;
                let model = weights::load_module(folder.join("model.bpk"), config.init(device))?;
                (Towers::Sgd(model), config.image_features, config.text_features)
            }
            TowerSettings::Ridge { kernel, dim } => {
                let (images, mean, directions) = read_ridge(&folder.join("ridge.safetensors"), *kernel, *dim)?;
                let (width, text_features) = (images.parts().2.width, mean.len());
                (Towers::Ridge { images, mean, directions }, width, text_features)
            }
        };
        let expected = [
            ("vocab.json gives a text", text_map.width(), text_features),
            ("standard.safetensors: mean", standard.mean.len(), image_features),
            ("standard.safetensors: deviation", standard.deviation.len(), image_features),
        ];
        for (file, found, wanted) in expected {
            if found != wanted {
                let reason = format!("{file} has {found} numbers where the towers take {wanted}; it mixes two runs");
                return Err(CoreError::format(folder, "space", reason).into());
            }
        }
        Ok(Self { settings, text_map, standard, towers, device: device.clone() })
    }

    /// Texts in the space: `[texts, dim]`, rows of length 1, but zero for a text without a known word.
    pub fn embed_texts<Text: AsRef<str>>(&self, texts: &[Text]) -> Matrix {
        let mut embedded = Matrix { values: Vec::with_capacity(texts.len() * self.dim()), width: self.dim() };
        for chunk in texts.chunks(BATCH) {
            let bags = self.text_map.forward(chunk);
            let known: Vec<bool> = (0..chunk.len()).map(|row| bags.row(row).iter().any(|v| *v != 0.0)).collect();
            let mut rows = match &self.towers {
                Towers::Ridge { mean, directions, .. } => {
                    let rows = bags.values.chunks_exact(bags.width);
                    let values = rows.flat_map(|row| row.iter().zip(mean).map(|(v, m)| v - m)).collect();
                    let centred = Matrix { values, width: bags.width };
                    let turned = directions.as_ref().map(|directions| project(&centred, directions));
                    turned.unwrap_or(centred).normalised().values
                }
                Towers::Sgd(model) => numbers(model.embed_texts(&self.tower_input(model, chunk, bags))),
            };
            for (row, known) in rows.chunks_exact_mut(self.dim()).zip(known) {
                if !known {
                    row.fill(0.0);
                }
            }
            embedded.values.extend(rows);
        }
        embedded
    }

    fn tower_input<Text: AsRef<str>>(&self, model: &Joint, texts: &[Text], bags: Matrix) -> Texts {
        tower_input(model.encoder(), texts, bags, self.text_map.vocab(), &self.device)
    }

    /// Pictures in the space, from their features: `[pictures, dim]`, rows of length 1.
    ///
    /// # Panics
    /// If the features have another width than the training pictures'.
    pub fn embed_features(&self, features: &Matrix) -> Matrix {
        self.embed_features_as(features, &self.standard)
    }

    /// As [`embed_features`](Self::embed_features), standardised by the statistics of another set of pictures: those of
    /// another drawing style, say.
    ///
    /// # Panics
    /// As [`embed_features`](Self::embed_features).
    pub fn embed_features_as(&self, features: &Matrix, standard: &Standard) -> Matrix {
        let embed = |rows: &[f32]| {
            let rows = standard.apply(&Matrix { values: rows.to_vec(), width: features.width });
            match &self.towers {
                Towers::Ridge { images, .. } => images.forward(&rows).normalised().values,
                Towers::Sgd(model) => numbers(model.embed_images(rows.into_tensor(&self.device))),
            }
        };
        let values = features.values.chunks(BATCH * features.width).flat_map(embed).collect();
        Matrix { values, width: self.dim() }
    }

    /// Tells spaces apart: vectors of two spaces are never compared.
    pub fn fingerprint(&self) -> String {
        let mut hash = Fnv::default();
        hash.write(serde_json::to_string(&self.settings).expect("settings become JSON").as_bytes());
        match &self.towers {
            Towers::Ridge { images, .. } => hash.write(bytemuck::cast_slice(&images.parts().3.values)),
            Towers::Sgd(model) => {
                weights::tensors_of(model).iter().for_each(|(_, tensor)| hash.write(tensor.as_bytes()));
            }
        }
        format!("{:016x}", hash.finish())
    }
}

/// Texts in the form that a text tower takes.
pub(super) fn tower_input<Text: AsRef<str>>(
    encoder: TextEncoder,
    texts: &[Text],
    bags: Matrix,
    vocab: &Vocab,
    device: &Device,
) -> Texts {
    match encoder {
        TextEncoder::Bow => Texts::Bags(bags.into_tensor(device)),
        TextEncoder::Gru => {
            let words: Vec<Vec<String>> = texts.iter().map(|text| words_of(text.as_ref())).collect();
            Texts::Words(WordBatch::new(&words, vocab, Some(Glove::bundled()), device))
        }
    }
}

fn insert(tensors: &mut TensorMap, name: &str, values: &[f32], width: usize) {
    let shape = if values.len() == width { vec![width] } else { vec![values.len() / width, width] };
    tensors.insert(name, TensorData::new(values.to_vec(), shape));
}

fn read_settings(path: &Path) -> Result<Settings> {
    let bytes = std::fs::read(path).map_err(CoreError::io(path, "read"))?;
    let bad = |reason: String| CoreError::format(path, "space", reason);
    let settings: Settings = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    if settings.version != VERSION {
        return Err(bad(format!("version {}, this program reads {VERSION}", settings.version)).into());
    }
    settings.features.preprocess.validate()?;
    Ok(settings)
}

fn read_ridge(path: &Path, kernel: Kernel, dim: usize) -> Result<(KernelRidge, Vec<f32>, Option<Matrix>)> {
    let tensors = weights::read(path)?;
    let bad = |reason: &str| CoreError::format(path, "ridge regression", reason.to_string());
    let matrix = |name: &str| -> Result<Matrix> {
        let values = tensors.f32s(name)?;
        let shape = tensors.get(name).map(|tensor| tensor.shape().to_vec()).unwrap_or_default();
        match shape.last() {
            Some(width) if *width > 0 => Ok(Matrix { values, width: *width }),
            _ => Err(bad("a matrix without columns").into()),
        }
    };
    let (pictures, weights, mean) = (matrix("pictures")?, matrix("weights")?, tensors.f32s("mean")?);
    let scale = tensors.f32s("scale")?;
    let directions = tensors.get("directions").map(|_| matrix("directions")).transpose()?;
    let turned = directions.as_ref().map_or([mean.len(); 2], |turn| [turn.rows(), turn.width]);
    if scale.len() != 1 || pictures.rows() != weights.rows() || turned != [mean.len(), dim] || weights.width != dim {
        return Err(bad("its matrices do not fit each other and space.json").into());
    }
    Ok((KernelRidge::from_parts(kernel, scale[0], pictures, weights), mean, directions))
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    let data = tensor.into_data().convert_dtype(DType::F32);
    data.try_into_vec::<f32>().expect("just converted to f32")
}
