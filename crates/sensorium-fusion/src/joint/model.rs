//! Two towers into one space: a linear map of image features and an encoder of words, each normalised to length 1
//! (Kiros et al. 2014, "Unifying Visual-Semantic Embeddings", §2.2; Faghri et al. 2018, "VSE++", §3.1). Here the image
//! encoder is frozen.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor};
use sensorium_core::Error as CoreError;
use sensorium_core::loss::{self, ClipLoss, SigLipLoss, l2_normalize};
use sensorium_text::batch::WordBatch;
use sensorium_text::encoder::{GruEncoder, GruEncoderConfig, WordVectorsConfig};
use sensorium_text::glove::Glove;
use serde::{Deserialize, Serialize};

use crate::Result;

/// How the words of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextEncoder {
    /// A linear map of the bag of words: linear in the words, as arithmetic needs it.
    Bow,
    /// The last state of a GRU.
    Gru,
}

/// What training minimises.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// A hinge on the hardest negative of the batch, in both directions (VSE++).
    Vsepp {
        /// By how much a pair must beat it.
        margin: f64,
    },
    /// A hinge on every negative of the batch.
    Vse0 {
        /// By how much a pair must beat them.
        margin: f64,
    },
    /// Cross-entropy over the batch in both directions, with a learned scale (CLIP).
    InfoNce,
    /// A logistic loss for every pair of the batch, with a learned scale and bias.
    SigLip,
}

/// Sizes of a [`Joint`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JointConfig {
    /// Numbers in the features of a picture.
    pub image_features: usize,
    /// Numbers in the bag of words, [`TextMap::width`](super::words::TextMap::width).
    pub text_features: usize,
    /// Words in the vocabulary.
    pub vocab: usize,
    /// Dimensions of the space.
    pub dim: usize,
    /// The text encoder.
    pub text: TextEncoder,
    /// Numbers in a word's vector before a GRU.
    pub word_dim: usize,
    /// The part of the image features that training drops at random, 0 to 1.
    pub dropout: f64,
}

impl JointConfig {
    /// A bag-of-words space of `dim` dimensions.
    pub fn new(image_features: usize, text_features: usize, vocab: usize, dim: usize) -> Self {
        Self { image_features, text_features, vocab, dim, text: TextEncoder::Bow, word_dim: 300, dropout: 0.2 }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If a size is 0 or the dropout is outside 0 to 1.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("image_features", self.image_features),
            ("text_features", self.text_features),
            ("dim", self.dim),
            ("word_dim", self.word_dim),
        ];
        for (field, size) in sizes {
            if size == 0 {
                return Err(CoreError::config(field, size, "must be at least 1").into());
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(CoreError::config("dropout", self.dropout, "must be at least 0 and below 1").into());
        }
        Ok(self.words(self.dim).validate()?)
    }

    /// The towers with fresh weights.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the settings.
    pub fn init(&self, device: &Device) -> Joint {
        self.validate().unwrap_or_else(|e| panic!("{e}"));
        let text = match self.text {
            TextEncoder::Bow => TextTower::Bow(LinearConfig::new(self.text_features, self.dim).init(device)),
            TextEncoder::Gru => TextTower::Gru(GruEncoderConfig::new(self.words(self.word_dim), self.dim).init(device)),
        };
        Joint {
            dropout: DropoutConfig::new(self.dropout).init(),
            image: LinearConfig::new(self.image_features, self.dim).init(device),
            text,
        }
    }

    fn words(&self, dim: usize) -> WordVectorsConfig {
        WordVectorsConfig::new(self.vocab, dim).with_features(Some(Glove::DIM))
    }
}

/// The two towers. See [`JointConfig`].
#[derive(Module, Debug)]
pub struct Joint {
    dropout: Dropout,
    /// From image features to the space.
    pub image: Linear,
    /// From words to the space.
    pub text: TextTower,
}

/// The text tower of a [`Joint`].
#[derive(Module, Debug)]
pub enum TextTower {
    /// A linear map of the bag of words.
    Bow(Linear),
    /// A GRU over the words.
    Gru(GruEncoder),
}

/// Texts as a text tower takes them.
#[derive(Debug, Clone)]
pub enum Texts {
    /// Bags of words, `[batch, text_features]`, for [`TextTower::Bow`].
    Bags(Tensor<2>),
    /// Words in order with GloVe vectors, for [`TextTower::Gru`].
    Words(WordBatch),
}

impl Joint {
    /// The kind of its text tower.
    pub fn encoder(&self) -> TextEncoder {
        match &self.text {
            TextTower::Bow(_) => TextEncoder::Bow,
            TextTower::Gru(_) => TextEncoder::Gru,
        }
    }

    /// Pictures in the space.
    ///
    /// # Shapes
    /// - features: `[batch, image_features]`, standardised
    /// - result: `[batch, dim]`, of length 1
    ///
    /// # Panics
    /// If the features have another width.
    pub fn embed_images(&self, features: Tensor<2>) -> Tensor<2> {
        l2_normalize(self.image.forward(self.dropout.forward(features)), 1e-12)
    }

    /// Texts in the space.
    ///
    /// # Shapes
    /// - result: `[batch, dim]`, of length 1
    ///
    /// # Panics
    /// If the texts are not in the form that the tower takes, or words come without GloVe vectors.
    pub fn embed_texts(&self, texts: &Texts) -> Tensor<2> {
        let texts = match (&self.text, texts) {
            (TextTower::Bow(linear), Texts::Bags(bags)) => linear.forward(bags.clone()),
            (TextTower::Gru(encoder), Texts::Words(words)) => encoder.forward(words),
            _ => panic!("a bag of words for the linear tower, words in order for the GRU"),
        };
        l2_normalize(texts, 1e-12)
    }
}

/// A loss with its learned parameters.
#[derive(Module, Debug)]
pub enum Objective {
    /// [`Loss::Vsepp`] or [`Loss::Vse0`].
    Hinge(Hinge),
    /// [`Loss::InfoNce`].
    InfoNce(ClipLoss),
    /// [`Loss::SigLip`].
    SigLip(SigLipLoss),
}

/// A hinge loss; it learns nothing itself.
#[derive(Module, Debug)]
pub struct Hinge {
    margin: f64,
    hardest: bool,
}

impl Loss {
    /// Checks the margin.
    ///
    /// # Errors
    /// If it is not positive.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Vsepp { margin } | Self::Vse0 { margin } if !(margin.is_finite() && *margin > 0.0) => {
                Err(CoreError::config("margin", margin, "must be positive; 0.2 is usual").into())
            }
            _ => Ok(()),
        }
    }

    /// The loss with its parameters at their published starting values.
    pub fn init(&self, device: &Device) -> Objective {
        match *self {
            Self::Vsepp { margin } => Objective::Hinge(Hinge { margin, hardest: true }),
            Self::Vse0 { margin } => Objective::Hinge(Hinge { margin, hardest: false }),
            Self::InfoNce => Objective::InfoNce(ClipLoss::init(device)),
            Self::SigLip => Objective::SigLip(SigLipLoss::init(device)),
        }
    }
}

impl Objective {
    /// The loss of a batch of pairs.
    ///
    /// # Shapes
    /// - images, texts: `[batch, dim]`, of length 1, pairs in the same row
    /// - false_negatives: `[batch, batch]`, true where an image and a text of different rows fit each other all the same
    /// - result: `[1]`
    pub fn forward(&self, images: Tensor<2>, texts: Tensor<2>, false_negatives: Tensor<2, Bool>) -> Tensor<1> {
        let scores = images.matmul(texts.transpose());
        let masked = Some(false_negatives);
        match self {
            Self::Hinge(Hinge { margin, hardest: true }) => loss::vsepp(scores, *margin, masked),
            Self::Hinge(Hinge { margin, hardest: false }) => loss::vse0(scores, *margin, masked),
            Self::InfoNce(info_nce) => info_nce.forward(scores, masked),
            Self::SigLip(siglip) => siglip.forward(scores, masked),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use sensorium_core::testing::check_model;

    use super::*;

    fn features(device: &Device) -> Tensor<2> {
        let numbers: Vec<f32> = (0..18).map(|i| ((i * 7) % 11) as f32 / 5.0 - 1.0).collect();
        Tensor::from_data(TensorData::new(numbers, [3, 6]), device)
    }

    fn texts(encoder: TextEncoder, device: &Device) -> Texts {
        match encoder {
            TextEncoder::Bow => Texts::Bags(features(device).slice([0..3, 0..4])),
            TextEncoder::Gru => Texts::Words(words(device)),
        }
    }

    fn words(device: &Device) -> WordBatch {
        let mut batch = WordBatch::from_ids(&[vec![2, 5, 3], vec![4], vec![6, 2]], device);
        let numbers: Vec<f32> = (0..9 * Glove::DIM).map(|i| ((i * 13) % 17) as f32 / 8.0 - 1.0).collect();
        batch.features = Some(Tensor::from_data(TensorData::new(numbers, [3, 3, Glove::DIM]), device) * batch.mask());
        batch
    }

    #[test]
    fn every_backend_agrees_on_both_towers() {
        for text in [TextEncoder::Bow, TextEncoder::Gru] {
            let config = JointConfig { text, dropout: 0.0, word_dim: 7, ..JointConfig::new(6, 4, 8, 5) };
            let forward = |model: &Joint, device: &Device| {
                model.embed_images(features(device)).matmul(model.embed_texts(&texts(text, device)).transpose())
            };
            check_model(&format!("joint {text:?}"), |device| config.init(device), forward, [3, 3], 1e-4);
        }
    }

    #[test]
    fn every_loss_falls_when_pairs_come_together() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let apart = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0]], &device);
        let swapped = Tensor::<2>::from_data([[0.0, 1.0], [1.0, 0.0]], &device);
        let none = Tensor::<2, Bool>::from_data([[false, false], [false, false]], &device);
        for loss in [Loss::Vsepp { margin: 0.2 }, Loss::Vse0 { margin: 0.2 }, Loss::InfoNce, Loss::SigLip] {
            let objective = loss.init(&device);
            let of =
                |texts: &Tensor<2>| objective.forward(apart.clone(), texts.clone(), none.clone()).into_scalar::<f32>();
            assert!(of(&apart) < of(&swapped), "{loss:?}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = |config: JointConfig| config.validate().unwrap_err().to_string();
        assert!(refused(JointConfig::new(0, 4, 8, 5)).contains("image_features = 0"));
        assert!(refused(JointConfig { dropout: 1.0, ..JointConfig::new(6, 4, 8, 5) }).contains("dropout = 1"));
        assert!(Loss::Vsepp { margin: 0.0 }.validate().unwrap_err().to_string().contains("margin = 0"));
    }
}
