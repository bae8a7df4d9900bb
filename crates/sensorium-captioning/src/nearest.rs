//! What can be had without learning to tell: the most similar picture that is known.

use std::path::Path;

use burn::tensor::Tensor;
use sensorium_core::metrics::top_k;
use sensorium_vision::pairs::read_picture;

use crate::{Captioner, Result};

/// Pictures that are looked at at a time.
const BATCH: usize = 16;

/// Known pictures among which the most similar to another is found: the one for which the mean over the positions of
/// the encoder's map has the most similar direction (cosine).
#[derive(Debug, Clone)]
pub struct KnownPictures {
    /// `[pictures, channels]`, each of length 1.
    directions: Vec<f32>,
    channels: usize,
}

impl KnownPictures {
    /// Looks at picture files with a captioner's eyes.
    ///
    /// # Errors
    /// If there is none, or one cannot be read.
    pub fn read<P: AsRef<Path>>(captioner: &Captioner, files: &[P]) -> Result<Self> {
        if files.is_empty() {
            return Err(sensorium_core::Error::config("known pictures", 0, "must be at least one").into());
        }
        let mut found = vec![];
        for files in files.chunks(BATCH) {
            let pictures: Vec<_> = files.iter().map(|file| Ok(read_picture(file.as_ref())?)).collect::<Result<_>>()?;
            found.extend(directions(captioner.map(captioner.input(&pictures))));
        }
        Ok(Self { channels: found.len() / files.len(), directions: found })
    }

    /// For each picture of `map` `[pictures, positions, channels]`, which [`Captioner::map`] makes, the number of the
    /// most similar known one; of equals the first.
    ///
    /// # Panics
    /// If the map has another number of channels than that of the captioner that looked at the known ones.
    pub fn nearest(&self, map: Tensor<3>) -> Vec<usize> {
        assert_eq!(map.dims()[2], self.channels, "channels of the map and of the known pictures");
        let hits = top_k(&directions(map), &self.directions, self.channels, 1);
        hits.iter().map(|hits| hits[0].id).collect()
    }
}

/// The mean over the positions of each picture of `map` `[pictures, positions, channels]`, of length 1:
/// `[pictures, channels]`.
fn directions(map: Tensor<3>) -> Vec<f32> {
    let channels = map.dims()[2];
    let mut means: Vec<f32> = map.mean_dim(1).into_data().iter::<f32>().collect();
    for mean in means.chunks_exact_mut(channels) {
        let length = mean.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        mean.iter_mut().for_each(|number| *number /= length);
    }
    means
}

#[cfg(test)]
mod tests {
    use sensorium_core::device;

    use super::*;

    #[test]
    fn the_direction_of_the_mean_decides() {
        let device = device::parse("flex").unwrap();
        let known = KnownPictures { directions: vec![1.0, 0.0, 0.6, 0.8], channels: 2 };
        // The means are (3, 3) and (5, .5).
        let map = Tensor::<3>::from_data([[[6.0, 0.0], [0.0, 6.0]], [[9.0, 1.0], [1.0, 0.0]]], &device);
        assert_eq!(known.nearest(map), [1, 0]);
        let dark = Tensor::<3>::zeros([1, 2, 2], &device);
        assert_eq!(known.nearest(dark), [0]);
    }
}
