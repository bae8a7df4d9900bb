//! A map of words: chosen vectors laid out on a plane, with labels.

use sensorium_core::Error;
use sensorium_core::draw::Drawing;
use sensorium_core::draw::chart::{Point, Scatter};
use sensorium_core::draw::map::{Tsne, pca};
use serde::{Deserialize, Serialize};

use super::WordVectors;
use super::query::{known, scale_to_unit};
use crate::Result;

/// How vectors are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The two directions of largest variance.
    Pca,
    /// Neighbours stay neighbours; distances across the map and the axes mean nothing. Needs at least four words, and
    /// has something to show from some dozens on.
    Tsne,
}

/// Draws `words` by the directions of their vectors (scaled to unit length, so that distances follow cosines). Labels
/// that find no room are left out, those of later words first. `seed` moves the start of t-SNE; PCA has none.
///
/// # Errors
/// A word that has no vector, with words of nearly its spelling; too few words, or more than t-SNE takes.
///
/// ```
/// use sensorium_text::vectors::WordVectors;
/// use sensorium_text::vectors::map::{Method, map};
///
/// let words = ["red", "blue", "green"].map(String::from).to_vec();
/// let vectors = WordVectors::new(words, 2, vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.5])?;
/// let drawing = map(&vectors, &["red", "green"], Method::Pca, 0)?;
/// assert!(drawing.svg().contains("green"));
/// # Ok::<(), sensorium_text::Error>(())
/// ```
pub fn map(vectors: &WordVectors, words: &[&str], method: Method, seed: u64) -> Result<Drawing> {
    let least = match method {
        Method::Pca => 1,
        Method::Tsne => 4,
    };
    if words.len() < least {
        return Err(Error::config("words", words.len(), format!("this map needs at least {least}")).into());
    }
    let dim = vectors.dim();
    let mut rows = Vec::with_capacity(words.len() * dim);
    for word in words {
        rows.extend_from_slice(vectors.row(known(vectors, word)?));
    }
    rows.chunks_exact_mut(dim).for_each(scale_to_unit);
    let (chart, places) = match method {
        Method::Pca => {
            let map = pca(&rows, dim)?;
            let label = |axis: &str, part: f32| format!("{axis} component, {:.0}% of the variance", 100.0 * part);
            let [x, y] = map.explained;
            (Scatter::new("Words by PCA").x_label(label("first", x)).y_label(label("second", y)), map.points)
        }
        Method::Tsne => {
            let default = Tsne::default();
            // A third of the other words is the most that t-SNE takes.
            let perplexity = default.perplexity.min((words.len() - 1) as f32 / 3.0);
            let places = Tsne { perplexity, seed, ..default }.fit(&rows, dim)?;
            (Scatter::new("Words by t-SNE").without_axes(), places)
        }
    };
    let points = words.iter().zip(places).map(|(word, at)| Point::new(at).label(*word));
    Ok(chart.size(960, 720).points(points).draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> WordVectors {
        let words = (0..12).map(|i| format!("word{i}")).collect();
        let values = (0..12).flat_map(|i| [(i as f32 * 0.5).cos(), (i as f32 * 0.5).sin(), 0.1]).collect();
        WordVectors::new(words, 3, values).unwrap()
    }

    #[test]
    fn every_word_is_on_the_map() {
        let vectors = ring();
        let words: Vec<&str> = vectors.words().iter().map(String::as_str).collect();
        for method in [Method::Pca, Method::Tsne] {
            let svg = map(&vectors, &words, method, 7).unwrap().svg();
            assert!(words.iter().all(|word| svg.contains(&format!(">{word}<"))), "{method:?}");
            assert_eq!(svg, map(&vectors, &words, method, 7).unwrap().svg());
        }
        for (count, method) in [(1, Method::Pca), (2, Method::Pca), (4, Method::Tsne)] {
            map(&vectors, &words[..count], method, 0).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_mapped_says_why() {
        let vectors = ring();
        let message = |words: &[&str], method| map(&vectors, words, method, 0).unwrap_err().to_string();
        assert!(message(&["word1", "wodr2"], Method::Pca).contains("'wodr2'"));
        assert!(message(&["word1", "word2", "word3"], Method::Tsne).contains("words = 3: this map needs at least 4"));
        assert!(message(&[], Method::Pca).contains("at least 1"));
    }
}
