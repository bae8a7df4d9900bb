//! EfficientNet-Lite0's ImageNet weights and labels, which come with this crate.

use burn::tensor::{Device, Tensor, TensorData};
use sensorium_core::weights::{TensorMap, parse_safetensors};
use serde::Serialize;

use super::EfficientNetConfig;
use crate::Result;
use crate::encoder::Encoder;

const WEIGHTS: &[u8] = include_bytes!("../../assets/efficientnet-lite0-i16.safetensors");
const LABELS: &str = include_str!("../../assets/imagenet-labels.txt");

impl Encoder {
    /// EfficientNet-Lite0 with the bundled ImageNet weights: the published ones at 16 bits a weight (see
    /// `assets/LICENSES.md`), which moves logits by less than 1e-3 of the largest. Its input is made by
    /// `EfficientNetConfig::lite0().preprocess()`.
    ///
    /// # Errors
    /// If the bundled file is damaged.
    pub fn lite0_imagenet(device: &Device) -> Result<Self> {
        let stored = parse_safetensors("efficientnet-lite0-i16.safetensors", WEIGHTS)?;
        EfficientNetConfig::lite0().init(device).load(expand(&stored)?)
    }
}

/// The f32 tensors of the bundled file: a tensor with a `.scale` beside it holds whole steps of that size, one size for
/// each output channel.
fn expand(stored: &TensorMap) -> Result<TensorMap> {
    let mut tensors = TensorMap::new(stored.source());
    for (name, tensor) in stored.iter().filter(|(name, _)| !name.ends_with(".scale")) {
        let mut numbers = stored.f32s(name)?;
        let scale = format!("{name}.scale");
        if stored.get(&scale).is_some() {
            let scales = stored.f32s(&scale)?;
            let channel = numbers.len() / scales.len();
            for (channel, scale) in numbers.chunks_exact_mut(channel).zip(scales) {
                channel.iter_mut().for_each(|number| *number *= scale);
            }
        }
        tensors.insert(name, TensorData::new(numbers, tensor.shape().to_vec()));
    }
    Ok(tensors)
}

/// The names of the 1,000 ImageNet classes, by class number.
pub fn labels() -> Vec<&'static str> {
    LABELS.lines().collect()
}

/// A class and how sure the network is of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Class {
    /// The class number.
    pub class: usize,
    /// The softmax over all classes, 0 to 1.
    pub probability: f64,
    /// The network's output.
    pub logit: f32,
}

/// The `count` most probable classes of each picture, best first; equal ones by number.
///
/// # Shapes
/// - logits: `[batch, classes]`
pub fn top_classes(logits: Tensor<2>, count: usize) -> Vec<Vec<Class>> {
    let classes = logits.dims()[1];
    let logits = logits.into_data().try_into_vec_as::<f32>().expect("floats");
    logits.chunks_exact(classes).map(|logits| top_of(logits, count)).collect()
}

fn top_of(logits: &[f32], count: usize) -> Vec<Class> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponential = |logit: f32| f64::from(logit - largest).exp();
    let sum: f64 = logits.iter().map(|logit| exponential(*logit)).sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
    let class = |class: usize| Class { class, probability: exponential(logits[class]) / sum, logit: logits[class] };
    order.into_iter().take(count).map(class).collect()
}
