//! Lists of words of different lengths as one tensor.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::glove::Glove;
use crate::vocab::{PAD, Vocab};

/// A batch of texts, each a list of words, padded to the longest.
#[derive(Debug, Clone)]
pub struct WordBatch {
    /// The number of each word in the vocabulary, `[batch, words]`; [`PAD`] past the end of a text.
    pub ids: Tensor<2, Int>,
    /// How many words each text has.
    pub lengths: Vec<usize>,
    /// A vector for each word, `[batch, words, features]`, zero past the end of a text; `None` where no encoder needs
    /// one. It may also say something of a word that the vocabulary lacks.
    pub features: Option<Tensor<3>>,
}

impl WordBatch {
    /// Looks up the words of each text, and with `glove` also their pretrained vectors (zeros for a word that GloVe
    /// lacks). The longest text sets the width, which is at least 1.
    pub fn new<Text, Word>(texts: &[Text], vocab: &Vocab, glove: Option<&Glove>, device: &Device) -> Self
    where
        Text: AsRef<[Word]>,
        Word: AsRef<str>,
    {
        let ids: Vec<Vec<u32>> = texts.iter().map(|text| vocab.encode(text.as_ref())).collect();
        let mut batch = Self::from_ids(&ids, device);
        batch.features = glove.map(|glove| {
            let [count, width] = batch.ids.dims();
            let mut features = vec![0.0f32; count * width * Glove::DIM];
            for (text, rows) in texts.iter().zip(features.chunks_exact_mut(width * Glove::DIM)) {
                for (word, row) in text.as_ref().iter().zip(rows.chunks_exact_mut(Glove::DIM)) {
                    if let Some(vector) = glove.vector(word.as_ref()) {
                        row.copy_from_slice(vector);
                    }
                }
            }
            Tensor::from_data(TensorData::new(features, [count, width, Glove::DIM]), device)
        });
        batch
    }

    /// A batch of numbers without features. The longest list sets the width, which is at least 1.
    ///
    /// ```
    /// use sensorium_text::batch::WordBatch;
    ///
    /// let device = sensorium_core::device::parse("flex")?;
    /// let batch = WordBatch::from_ids(&[vec![4, 2, 7], vec![5]], &device);
    /// assert_eq!(batch.ids.to_data().iter::<i64>().collect::<Vec<_>>(), [4, 2, 7, 5, 0, 0]);
    /// assert_eq!(batch.lengths, [3, 1]);
    /// # Ok::<(), sensorium_core::Error>(())
    /// ```
    pub fn from_ids<List: AsRef<[u32]>>(lists: &[List], device: &Device) -> Self {
        let lengths: Vec<usize> = lists.iter().map(|list| list.as_ref().len()).collect();
        let width = lengths.iter().copied().max().unwrap_or(0).max(1);
        let padded = |list: &List| {
            let mut row: Vec<i64> = list.as_ref().iter().map(|&id| i64::from(id)).collect();
            row.resize(width, i64::from(PAD));
            row
        };
        let ids: Vec<i64> = lists.iter().flat_map(padded).collect();
        let ids = Tensor::from_data(TensorData::new(ids, [lists.len(), width]), device);
        Self { ids, lengths, features: None }
    }

    /// 1 for a word and 0 for padding, `[batch, words, 1]`.
    pub fn mask(&self) -> Tensor<3> {
        let [count, width] = self.ids.dims();
        let row = |&length: &usize| (0..width).map(move |at| if at < length { 1.0f32 } else { 0.0 });
        let mask: Vec<f32> = self.lengths.iter().flat_map(row).collect();
        Tensor::from_data(TensorData::new(mask, [count, width, 1]), &self.ids.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::tokenize;

    #[test]
    fn features_stand_beside_their_words() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let texts = ["red zzyzx cat", "", "cat"].map(tokenize);
        let vocab = Vocab::build([["cat"]], 1);
        let glove = Glove::bundled();
        let batch = WordBatch::new(&texts, &vocab, Some(glove), &device);
        assert_eq!(batch.ids.to_data().iter::<i64>().collect::<Vec<_>>(), [1, 1, 2, 0, 0, 0, 2, 0, 0]);
        assert_eq!(batch.lengths, [3, 0, 1]);
        let features = batch.features.as_ref().unwrap();
        assert_eq!(features.dims(), [3, 3, Glove::DIM]);
        let features: Vec<f32> = features.to_data().iter::<f32>().collect();
        let row = |index: usize| &features[index * Glove::DIM..][..Glove::DIM];
        assert_eq!(row(0), glove.vector("red").unwrap());
        assert_eq!(row(2), glove.vector("cat").unwrap());
        assert_eq!(row(6), row(2));
        assert!([1, 3, 4, 5, 7, 8].iter().all(|&at| row(at).iter().all(|v| *v == 0.0)));
        assert_eq!(batch.mask().to_data().iter::<f32>().collect::<Vec<_>>(), [1., 1., 1., 0., 0., 0., 1., 0., 0.]);
    }

    #[test]
    fn a_batch_of_empty_texts_is_one_word_wide() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let batch = WordBatch::from_ids(&[[0u32; 0], []], &device);
        assert_eq!(batch.ids.dims(), [2, 1]);
    }
}
