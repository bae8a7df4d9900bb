//! What the metrics read and what they give.

/// One image: the captions people wrote for it and the one to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The image's name; the metrics do not look at it.
    pub id: String,
    /// What people wrote, at least one caption. An image without any scores 0.
    pub references: Vec<String>,
    /// The caption to be judged.
    pub hypothesis: String,
}

/// A metric's value for a whole set and for each image of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Score {
    /// The value for the set: BLEU and METEOR from counts summed over the images, ROUGE-L and CIDEr the mean of the
    /// images. 0 for an empty set.
    pub corpus: f64,
    /// The value of every image, in the order of the examples.
    pub per_image: Vec<f64>,
}

impl Score {
    /// The mean of the images as the value for the set.
    pub(super) fn mean(per_image: Vec<f64>) -> Self {
        let corpus = if per_image.is_empty() { 0.0 } else { per_image.iter().sum::<f64>() / per_image.len() as f64 };
        Self { corpus, per_image }
    }
}
