//! What can be had without learning: the caption of the most similar picture.

use std::path::Path;

use anyhow::{Result, ensure};
use sensorium_captioning::metrics::Example;
use sensorium_captioning::{Captioner, KnownPictures};
use sensorium_vision::pairs::{Pair, read_picture};

use super::eval::BATCH;

/// For each picture of `part` the first caption of the most similar picture of `train`.
pub(super) fn nearest_captions(captioner: &Captioner, train: &[&Pair], part: &[&Pair]) -> Result<Vec<Example>> {
    ensure!(!train.is_empty(), "--baseline: the data has no training part to take captions from");
    let files: Vec<&Path> = train.iter().map(|pair| pair.picture.as_path()).collect();
    let known = KnownPictures::read(captioner, &files)?;
    let mut examples = vec![];
    for pairs in part.chunks(BATCH) {
        let pictures: Vec<_> = pairs.iter().map(|pair| Ok(read_picture(&pair.picture)?)).collect::<Result<_>>()?;
        let nearest = known.nearest(captioner.look(&pictures));
        examples.extend(pairs.iter().zip(nearest).map(|(pair, place)| Example {
            id: pair.id.clone(),
            references: pair.captions.clone(),
            hypothesis: train[place].captions[0].clone(),
        }));
    }
    Ok(examples)
}
