//! What can be had without learning to tell: the most similar picture that is known.

use std::path::Path;

use burn::tensor::Tensor;
use sensorium_core::metrics::top_k;
use sensorium_vision::pairs::read_picture;

use crate::{Captioner, Result};

/// Pictures that are looked at at a time.
const BATCH: usize = 16;

/// Known pictures among which the most similar to another is found: the one for which the mean over the positions of
/// what a decoder sees has the most similar direction (cosine).
#[derive(Debug, Clone)]
pub struct KnownPictures {
    /// `[pictures, features]`, each of length 1.
    directions: Vec<f32>,
    features: usize,
}

impl KnownPictures {
    /// Looks at picture files with a captioner's eyes.
    ///
    /// # Errors
    /// If there is none, or one cannot be read.
    pub fn read<P: AsRef<Path>>(captioner: &Captioner, files: &[P]) -> Result<Self> {
        let mut known = Self { directions: vec![], features: captioner.config().decoder.features() };
        if files.is_empty() {
            return Err(sensorium_core::Error::config("known pictures", 0, "must be at least one").into());
        }
        for files in files.chunks(BATCH) {
            let pictures: Vec<_> = files.iter().map(|file| Ok(read_picture(file.as_ref())?)).collect::<Result<_>>()?;
            known.directions.extend(directions(captioner.look(&pictures)));
        }
        Ok(known)
    }

    /// For each picture of `view` `[pictures, positions, features]`, which [`Captioner::look`] makes, the number of the
    /// most similar known one; of equals the first.
    ///
    /// # Panics
    /// If the view has another number of features than the captioner that looked at the known ones.
    pub fn nearest(&self, view: Tensor<3>) -> Vec<usize> {
        assert_eq!(view.dims()[2], self.features, "features of the view and of the known pictures");
        let hits = top_k(&directions(view), &self.directions, self.features, 1);
        hits.iter().map(|hits| hits[0].id).collect()
    }
}

/// The mean over the positions of each picture of `view` `[pictures, positions, features]`, of length 1:
/// `[pictures, features]`.
fn directions(view: Tensor<3>) -> Vec<f32> {
    let features = view.dims()[2];
    let mut means: Vec<f32> = view.mean_dim(1).into_data().iter::<f32>().collect();
    for mean in means.chunks_exact_mut(features) {
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
        let known = KnownPictures { directions: vec![1.0, 0.0, 0.6, 0.8], features: 2 };
        // The means are (3, 3) and (5, .5).
        let view = Tensor::<3>::from_data([[[6.0, 0.0], [0.0, 6.0]], [[9.0, 1.0], [1.0, 0.0]]], &device);
        assert_eq!(known.nearest(view), [1, 0]);
        let dark = Tensor::<3>::zeros([1, 2, 2], &device);
        assert_eq!(known.nearest(dark), [0]);
    }
}
