//! What can be had without learning: the caption of the most similar picture.

use anyhow::{Result, ensure};
use sensorium_captioning::Captioner;
use sensorium_captioning::metrics::Example;
use sensorium_core::metrics::top_k;
use sensorium_vision::pairs::{Pair, read_picture};

use super::eval::BATCH;

/// For each picture of `part`, the first caption of the picture of `train` whose encoder map has the most similar mean
/// (cosine).
pub(super) fn nearest_captions(captioner: &Captioner, train: &[&Pair], part: &[&Pair]) -> Result<Vec<Example>> {
    ensure!(!train.is_empty(), "--baseline: the data has no training part to take captions from");
    let (queries, base) = (means(captioner, part)?, means(captioner, train)?);
    let hits = top_k(&queries, &base, base.len() / train.len(), 1);
    let example = |(pair, hits): (&&Pair, Vec<sensorium_core::metrics::Hit>)| Example {
        id: pair.id.clone(),
        references: pair.captions.clone(),
        hypothesis: train[hits[0].id].captions[0].clone(),
    };
    Ok(part.iter().zip(hits).map(example).collect())
}

/// The mean of what the decoder sees of each picture, of length 1: `[pictures, features]`.
fn means(captioner: &Captioner, pairs: &[&Pair]) -> Result<Vec<f32>> {
    let mut means = vec![];
    for pairs in pairs.chunks(BATCH) {
        let pictures: Vec<_> = pairs.iter().map(|pair| Ok(read_picture(&pair.picture)?)).collect::<Result<_>>()?;
        let view = captioner.look(&pictures);
        let features = view.dims()[2];
        let numbers: Vec<f32> = view.mean_dim(1).into_data().iter::<f32>().collect();
        for picture in numbers.chunks_exact(features) {
            let length = picture.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            means.extend(picture.iter().map(|number| number / length));
        }
    }
    Ok(means)
}
