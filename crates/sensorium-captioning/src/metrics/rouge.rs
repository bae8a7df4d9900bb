//! ROUGE-L: the longest common subsequence of words (Lin, 2004).

use super::{Example, Score};
use rayon::prelude::*;

/// How much more recall counts than precision.
const BETA: f64 = 1.2;

/// ROUGE-L, in 0..=1: `(1 + b^2) P R / (R + b^2 P)` with `b = 1.2`.
///
/// With `l` the length of the longest common subsequence of a hypothesis and a reference, `P` is the largest
/// `l / hypothesis length` and `R` the largest `l / reference length`, each over the references on its own. Words are
/// split at every single space, so that two spaces hold an empty word between them. For the set: the mean.
pub fn rouge_l(examples: &[Example]) -> Score {
    Score::mean(examples.par_iter().map(image).collect())
}

fn image(example: &Example) -> f64 {
    let hypothesis: Vec<&str> = example.hypothesis.split(' ').collect();
    let (mut precision, mut recall) = (0.0_f64, 0.0_f64);
    for reference in &example.references {
        let reference: Vec<&str> = reference.split(' ').collect();
        let common = common_subsequence(&hypothesis, &reference) as f64;
        precision = precision.max(common / hypothesis.len() as f64);
        recall = recall.max(common / reference.len() as f64);
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    let weight = BETA * BETA;
    (1.0 + weight) * precision * recall / (recall + weight * precision)
}

/// The length of the longest common subsequence.
fn common_subsequence(a: &[&str], b: &[&str]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsequences_need_not_be_contiguous() {
        assert_eq!(common_subsequence(&["a", "x", "b", "y", "c"], &["a", "b", "c", "d"]), 3);
        assert_eq!(common_subsequence(&[], &["a"]), 0);
    }

    #[test]
    fn precision_and_recall_come_from_different_references() {
        let references = vec!["a b c d e f".to_string(), "a".to_string()];
        let score = rouge_l(&[Example { id: String::new(), references, hypothesis: "a b c".into() }]);
        assert!((score.corpus - 1.0).abs() < 1e-12);
    }

    #[test]
    fn without_captions_there_is_no_score() {
        assert_eq!(rouge_l(&[]), Score::default());
        let empty = Example { id: String::new(), references: vec!["a".into()], hypothesis: String::new() };
        assert_eq!(rouge_l(&[empty]).corpus, 0.0);
    }
}
