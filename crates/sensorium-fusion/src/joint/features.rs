//! What the image tower sees of a picture: layers of a frozen image encoder, pooled.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;
use sensorium_core::Error as CoreError;
use sensorium_core::weights::{self, TensorMap};
use sensorium_vision::efficientnet::EfficientNetConfig;
use sensorium_vision::io::RgbImage;
use sensorium_vision::pool::adaptive_avg_pool2d;
use sensorium_vision::transforms::{Normalise, Preprocess, Size};
use sensorium_vision::{Encoder, FoldedEncoder};
use serde::{Deserialize, Serialize};

use super::pairs::{Pairs, Picture};
use crate::{Error, Result};

/// Pictures that are decoded and encoded together.
const BATCH: usize = 32;
/// Pictures whose features share a file of the cache: what a stop can cost.
const PART: usize = 512;

/// A layer of the encoder, averaged over a grid of cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PooledLayer {
    /// The layer's name in the encoder, such as `block10`.
    pub layer: String,
    /// Cells across and down: 1 is the mean of the whole map.
    pub grid: usize,
}

/// Which features are read off a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// A file of weights for EfficientNet-Lite0; the bundled ImageNet weights where absent.
    pub weights: Option<PathBuf>,
    /// What a picture goes through first.
    pub preprocess: Preprocess,
    /// The layers, their cells one after another: row by row, each cell with all channels.
    pub layers: Vec<PooledLayer>,
}

impl Features {
    /// For drawings: the whole picture at 128×128 pixels; the encoder's last layer and two of its middle ones, one of
    /// them in 4×4 cells, as shape and place matter more in drawings than ImageNet's classes do.
    pub fn drawings() -> Self {
        let layers = [("block4", 1), ("block10", 1), ("block10", 4), ("pooled", 1)];
        Self {
            weights: None,
            preprocess: Preprocess::stretched(128, 128, Normalise::TENSORFLOW),
            layers: layers.map(|(layer, grid)| PooledLayer { layer: layer.to_string(), grid }).to_vec(),
        }
    }

    /// For photos: the centre square at 224×224 pixels, the same layers.
    pub fn photos() -> Self {
        Self { preprocess: Preprocess::efficientnet_lite(224), ..Self::drawings() }
    }

    /// The same features from pictures of another size.
    pub fn with_size(mut self, side: u32) -> Self {
        self.preprocess.size = match self.preprocess.size {
            Size::Exact { .. } => Size::Exact { width: side, height: side },
            Size::ShorterSide(_) => Size::ShorterSide(side + 32),
        };
        self.preprocess.crop = self.preprocess.crop.map(|_| side);
        self
    }

    /// The name of the encoder with its weights.
    pub fn encoder(&self) -> String {
        match &self.weights {
            None => "efficientnet-lite0".to_string(),
            Some(file) => format!("efficientnet-lite0 {}", file.display()),
        }
    }

    /// Loads the encoder on `device`.
    ///
    /// # Errors
    /// If the weights cannot be read or do not fit, a layer does not exist, or a setting is out of range.
    pub fn load(&self, device: &Device) -> Result<Extractor> {
        self.preprocess.validate()?;
        if self.layers.is_empty() || self.layers.iter().any(|pooled| pooled.grid == 0) {
            let rule = "name at least one layer, each with a grid of at least one cell";
            return Err(CoreError::config("layers", format!("{:?}", self.layers), rule).into());
        }
        let network = match &self.weights {
            None => Encoder::lite0_imagenet(device)?,
            Some(file) => EfficientNetConfig::lite0().init(device).load(weights::read(file)?)?,
        };
        Ok(Extractor { features: self.clone(), network: network.fold(), device: device.clone() })
    }

    /// The features of every picture of `pairs`, `[pairs, numbers]`, kept in half precision under `cache` so that the
    /// next call only reads them. A call that was stopped goes on where it was. `progress` hears how many are done.
    ///
    /// # Errors
    /// If a picture cannot be decoded or the cache cannot be written.
    pub fn of_pairs(
        &self,
        pairs: &Pairs,
        cache: &Path,
        device: &Device,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Matrix> {
        let folder = cache.join(format!("features-{}", self.fingerprint(pairs)));
        let mut extractor = None;
        let mut all = Matrix { values: Vec::new(), width: 1 };
        for (number, from) in (0..pairs.items.len()).step_by(PART).enumerate() {
            let rows = from..(from + PART).min(pairs.items.len());
            let path = folder.join(format!("{number:05}.safetensors"));
            if !path.exists() {
                let extractor = match &extractor {
                    Some(extractor) => extractor,
                    None => extractor.insert(self.load(device)?),
                };
                let part = extractor.of_rows(pairs, rows.clone(), progress)?;
                let mut tensors = TensorMap::new(&path);
                tensors.insert("features", TensorData::new(part.values, [rows.len(), part.width]));
                weights::write_safetensors(&path, &tensors.cast_floats(DType::F16)?)?;
            }
            // Read back even when just written: the first run then sees the same rounding as every later one.
            let part = weights::read(&path)?.f32s("features")?;
            if part.is_empty() || part.len() % rows.len() != 0 {
                return Err(CoreError::format(&path, "part of a feature cache", "delete it; it is made again").into());
            }
            all.width = part.len() / rows.len();
            all.values.extend(part);
        }
        Ok(all)
    }

    /// Tells apart the features of any two lists of pictures: settings, names, and each file's size and time.
    fn fingerprint(&self, pairs: &Pairs) -> String {
        let mut hasher = Fnv::default();
        serde_json::to_string(self).expect("settings become JSON").hash(&mut hasher);
        for pair in &pairs.items {
            pair.picture.hash(&mut hasher);
            if let Picture::File(path) = &pair.picture
                && let Ok(file) = std::fs::metadata(path)
            {
                (file.len(), file.modified().ok()).hash(&mut hasher);
            }
        }
        format!("{:016x}", hasher.finish())
    }
}

/// 64-bit FNV-1a: the same on every machine and in every version, unlike the standard library's hasher.
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Rows of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// `[rows, width]`, row-major.
    pub values: Vec<f32>,
    /// Numbers in a row.
    pub width: usize,
}

impl Matrix {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// One row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// Each row at length 1; a zero row stays zero.
    pub fn normalised(mut self) -> Self {
        self.values.par_chunks_mut(self.width).for_each(|row| {
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-9);
            row.iter_mut().for_each(|v| *v /= length);
        });
        self
    }

    /// The same numbers as a tensor.
    pub fn into_tensor(self, device: &Device) -> Tensor<2> {
        let shape = [self.rows(), self.width];
        Tensor::from_data(TensorData::new(self.values, shape), device)
    }

    /// The rows of `indices`, in that order.
    pub fn select(&self, indices: &[usize]) -> Self {
        let values = indices.iter().flat_map(|i| self.row(*i)).copied().collect();
        Self { values, width: self.width }
    }
}

/// A loaded encoder.
pub struct Extractor {
    features: Features,
    network: FoldedEncoder,
    device: Device,
}

impl Extractor {
    fn of_rows(&self, pairs: &Pairs, rows: Range<usize>, progress: &mut dyn FnMut(usize)) -> Result<Matrix> {
        let mut values = Vec::new();
        for from in rows.clone().step_by(BATCH) {
            let batch = from..(from + BATCH).min(rows.end);
            let done = batch.end;
            let pictures = batch.into_par_iter().map(|i| pairs.image(i)).collect::<Result<Vec<_>>>()?;
            values.extend(self.forward(&pictures)?);
            progress(done);
        }
        Ok(Matrix { width: values.len() / rows.len(), values })
    }

    /// The features of pictures, `[pictures, width]`, row-major.
    ///
    /// # Errors
    /// If the encoder has no layer of a name.
    ///
    /// # Panics
    /// If `pictures` is empty.
    pub fn forward(&self, pictures: &[RgbImage]) -> Result<Vec<f32>> {
        let input = self.features.preprocess.batch(pictures, &self.device);
        let names: Vec<&str> = self.features.layers.iter().map(|pooled| pooled.layer.as_str()).collect();
        let maps = self.network.features(input, &names).map_err(Error::Vision)?;
        let cells = maps.into_iter().zip(&self.features.layers).map(|(map, pooled)| {
            let [batch, channels, _, _] = map.dims();
            let cells = adaptive_avg_pool2d(map, [pooled.grid; 2]);
            let width = channels * pooled.grid * pooled.grid;
            let cells = cells.permute([0, 2, 3, 1]).reshape([batch, width]);
            (cells.into_data().iter::<f32>().collect::<Vec<f32>>(), width)
        });
        let cells: Vec<(Vec<f32>, usize)> = cells.collect();
        let row = |i: usize| cells.iter().flat_map(move |(numbers, width)| &numbers[i * width..][..*width]);
        Ok((0..pictures.len()).flat_map(row).copied().collect())
    }
}

/// The mean and spread of each feature, taken from training pictures or from one style of drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Standard {
    /// The mean of each feature.
    pub mean: Vec<f32>,
    /// The standard deviation of each feature, not 0.
    pub deviation: Vec<f32>,
}

impl Standard {
    /// Of the rows of `features`. A feature that never varies gets deviation 1.
    pub fn of(features: &Matrix) -> Self {
        let (rows, width) = (features.rows() as f64, features.width);
        let mut sums = vec![(0.0f64, 0.0f64); width];
        for row in features.values.chunks_exact(width) {
            for ((sum, squares), value) in sums.iter_mut().zip(row) {
                let value = f64::from(*value);
                *sum += value;
                *squares += value * value;
            }
        }
        let of = |(sum, squares): (f64, f64)| {
            let mean = sum / rows;
            let variance = (squares / rows - mean * mean).max(0.0);
            let deviation = if variance > 1e-10 { variance.sqrt() } else { 1.0 };
            (mean as f32, deviation as f32)
        };
        let (mean, deviation) = sums.into_iter().map(of).unzip();
        Self { mean, deviation }
    }

    /// Each feature minus its mean, over its deviation.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn apply(&self, features: &Matrix) -> Matrix {
        assert_eq!(features.width, self.mean.len(), "features of {} numbers", self.mean.len());
        let scaled = |row: &[f32]| -> Vec<f32> {
            let spread = self.mean.iter().zip(&self.deviation);
            row.iter().zip(spread).map(|(value, (mean, deviation))| (value - mean) / deviation).collect()
        };
        let values = features.values.par_chunks(features.width).flat_map_iter(scaled).collect();
        Matrix { values, width: features.width }
    }
}
