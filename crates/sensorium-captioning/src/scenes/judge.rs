//! Whether a captioner told the truth about a scene, and looked where it should.

use super::{SIDE, Scene};

/// How many captions are true, and how many named objects were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judged {
    /// Captions.
    pub captions: usize,
    /// Captions that are, word for word, among the true ones.
    pub true_captions: usize,
    /// Objects of the scenes that captions name, where the captioner has attention.
    pub named: usize,
    /// Of those, the ones in whose box attention was highest when it said the noun.
    pub looked_at: usize,
}

impl std::ops::AddAssign for Judged {
    fn add_assign(&mut self, other: Self) {
        self.captions += other.captions;
        self.true_captions += other.true_captions;
        self.named += other.named;
        self.looked_at += other.looked_at;
    }
}

impl Scene {
    /// Judges a caption and, if there is any, the attention at each of its words: `[grid, grid]` weights, row by row.
    ///
    /// # Panics
    /// If there is attention, but not for each word or not of `grid · grid` weights.
    pub fn judge(&self, words: &[&str], attention: &[Vec<f32>], grid: usize) -> Judged {
        let mut judged = Judged { captions: 1, ..Judged::default() };
        judged.true_captions = usize::from(self.is_true(&words.join(" ")));
        if attention.is_empty() {
            return judged;
        }
        let mentions = self.mentions(words);
        judged.named = mentions.len();
        let is_looked_at = |mention: &&super::Mention| {
            let [x, y] = peak(&attention[mention.word], grid);
            let [x0, y0, x1, y1] = self.objects[mention.object].bounds.map(f64::from);
            (x0..x1).contains(&x) && (y0..y1).contains(&y)
        };
        judged.looked_at = mentions.iter().filter(is_looked_at).count();
        judged
    }
}

/// The centre of the cell of the largest weight, in pixels of the picture.
fn peak(weights: &[f32], grid: usize) -> [f64; 2] {
    assert_eq!(weights.len(), grid * grid, "weights of a grid of {grid} x {grid}");
    let largest = (0..weights.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b])).unwrap_or(0);
    [largest % grid, largest / grid].map(|cell| (cell as f64 + 0.5) * f64::from(SIDE) / grid as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_and_looks_are_counted() {
        let scene = (0..).map(|id| Scene::compose(3, id)).find(|scene| scene.objects.len() == 2).unwrap();
        let caption = scene.captions().remove(0);
        let words: Vec<&str> = caption.split(' ').collect();
        let grid = 14;
        let at = |object: usize| {
            let [x0, y0, x1, y1] = scene.objects[object].bounds;
            let cell = |from: u32, to: u32| ((from + to) / 2 * grid as u32 / SIDE) as usize;
            let mut weights = vec![0.1; grid * grid];
            weights[cell(y0, y1) * grid + cell(x0, x1)] = 1.0;
            weights
        };
        let mentions = scene.mentions(&words);
        let look = |swap: usize| {
            let of_word = |word| mentions.iter().find(|m| m.word == word).map_or(0, |m| (m.object + swap) % 2);
            (0..words.len()).map(|word| at(of_word(word))).collect::<Vec<_>>()
        };
        let all = Judged { captions: 1, true_captions: 1, named: 2, looked_at: 2 };
        assert_eq!(scene.judge(&words, &look(0), grid), all);
        assert_eq!(scene.judge(&words, &look(1), grid), Judged { looked_at: 0, ..all });
        assert_eq!(scene.judge(&words, &[], grid), Judged { named: 0, looked_at: 0, ..all });
        let mut sum = scene.judge(&words[1..], &look(0)[1..], grid);
        assert_eq!(sum.true_captions, 0);
        sum += all;
        assert_eq!((sum.captions, sum.true_captions), (2, 1));
    }
}
