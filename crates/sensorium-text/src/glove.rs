//! Pretrained vectors of English words: GloVe 6B (Pennington, Socher and Manning 2014), 50 dimensions, the 40,000 most
//! frequent words, kept in the crate in f16.
//!
//! Licence: PDDL-1.0, see `assets/LICENSES.md`.

use std::collections::HashMap;
use std::sync::LazyLock;

use half::f16;
use safetensors::SafeTensors;

static VECTORS: &[u8] = include_bytes!("../assets/glove-6b-50d-40k.safetensors");
static WORDS: &str = include_str!("../assets/glove-6b-50d-40k.vocab.txt");
static BUNDLED: LazyLock<Glove> = LazyLock::new(Glove::decode);

/// The bundled table.
///
/// ```
/// use sensorium_text::glove::Glove;
///
/// let glove = Glove::bundled();
/// let [king, man, woman] = ["king", "man", "woman"].map(|word| glove.vector(word).unwrap());
/// let query: Vec<f32> = (0..Glove::DIM).map(|i| king[i] - man[i] + woman[i]).collect();
/// let words: Vec<_> = glove.nearest(&query, 2).into_iter().map(|found| found.word).collect();
/// assert_eq!(words, ["king", "queen"]);
/// ```
#[derive(Debug)]
pub struct Glove {
    words: Vec<&'static str>,
    rows: HashMap<&'static str, usize>,
    vectors: Vec<f32>,
    lengths: Vec<f32>,
}

/// A word near a vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// The word.
    pub word: &'static str,
    /// The cosine of its vector with the one asked for, -1 to 1.
    pub cosine: f32,
}

impl Glove {
    /// Numbers in a vector.
    pub const DIM: usize = 50;

    /// The table, decoded at the first call (about 10 ms, 8 MB).
    pub fn bundled() -> &'static Self {
        &BUNDLED
    }

    fn decode() -> Self {
        let words: Vec<&str> = WORDS.lines().collect();
        let file = SafeTensors::deserialize(VECTORS).expect("the bundled file is whole");
        let table = file.tensor("vectors").expect("the bundled file holds `vectors`");
        let number = |bytes: &[u8]| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        let vectors: Vec<f32> = table.data().chunks_exact(2).map(number).collect();
        assert_eq!(vectors.len(), words.len() * Self::DIM, "one bundled vector a word");
        let lengths = vectors.chunks_exact(Self::DIM).map(length).collect();
        let rows = words.iter().enumerate().map(|(row, word)| (*word, row)).collect();
        Self { words, rows, vectors, lengths }
    }

    /// The words, most frequent first.
    pub fn words(&self) -> &[&'static str] {
        &self.words
    }

    /// The vector of a lower-case word, [`DIM`](Self::DIM) numbers.
    ///
    /// GloVe's own tokenizer cut `'s` off; so a possessive has the vector of its noun (`woman's` that of `woman`).
    pub fn vector(&self, word: &str) -> Option<&[f32]> {
        let row = self.rows.get(word).or_else(|| self.rows.get(word.strip_suffix("'s")?))?;
        Some(&self.vectors[row * Self::DIM..][..Self::DIM])
    }

    /// The `k` words whose vectors have the largest cosine with `vector`, best first; of equal ones the more frequent
    /// stands first.
    ///
    /// # Panics
    /// If `vector` has another length than [`DIM`](Self::DIM).
    pub fn nearest(&self, vector: &[f32], k: usize) -> Vec<Neighbour> {
        assert_eq!(vector.len(), Self::DIM, "the length of a GloVe vector");
        let own = length(vector);
        let cosine = |(row, other): (usize, &[f32])| {
            let product: f32 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
            Neighbour { word: self.words[row], cosine: product / (own * self.lengths[row]).max(f32::MIN_POSITIVE) }
        };
        let mut found: Vec<Neighbour> = self.vectors.chunks_exact(Self::DIM).enumerate().map(cosine).collect();
        found.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        found.truncate(k);
        found
    }
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|v| v * v).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let glove = Glove::bundled();
        assert_eq!(glove.words().len(), 40_000);
        assert_eq!(glove.rows.len(), 40_000, "no word stands twice");
        assert_eq!(glove.words()[..3], ["the", ",", "."]);
        assert!(glove.vectors.iter().all(|v| v.is_finite()));
        assert!(glove.lengths.iter().all(|length| *length > 0.1));
        let the = glove.vector("the").unwrap();
        assert!((the[0] - 0.418).abs() < 1e-3 && (the[1] - 0.24968).abs() < 1e-3, "{the:?}");
    }

    #[test]
    fn words_outside_the_table_have_no_vector_but_possessives_do() {
        let glove = Glove::bundled();
        assert_eq!(glove.vector("woman's"), glove.vector("woman"));
        assert_ne!(glove.vector("'s"), None);
        for unknown in ["", "sensoriumish", "sensoriumish's", "The"] {
            assert_eq!(glove.vector(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn the_nearest_word_to_a_word_is_itself() {
        let glove = Glove::bundled();
        for word in ["cat", "heart", "zimbabwe"] {
            let found = glove.nearest(glove.vector(word).unwrap(), 3);
            assert_eq!(found[0].word, word);
            assert!((found[0].cosine - 1.0).abs() < 1e-5);
            assert!(found[0].cosine >= found[1].cosine && found[1].cosine >= found[2].cosine);
        }
        assert!(glove.nearest(&[0.0; Glove::DIM], 1)[0].cosine == 0.0);
        assert_eq!(glove.nearest(&[1.0; Glove::DIM], 100_000).len(), 40_000);
    }
}
