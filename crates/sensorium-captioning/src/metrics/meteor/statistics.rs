//! What METEOR counts in an alignment and the score that comes of it.

use super::matches::{KINDS, Match};

const ALPHA: f64 = 0.85;
const BETA: f64 = 0.2;
const GAMMA: f64 = 0.6;
const DELTA: f64 = 0.75;
/// What a match counts: equal words, stems, synonyms, paraphrases.
const WEIGHTS: [f64; KINDS] = [1.0, 0.6, 0.8, 0.6];

/// The counts of one side, of one caption or of many.
#[derive(Debug, Clone, Default)]
struct Side {
    content: f64,
    function: f64,
    matched_content: [f64; KINDS],
    matched_function: [f64; KINDS],
}

impl Side {
    fn of(is_function: &[bool], matches: impl Iterator<Item = (usize, std::ops::Range<usize>)>) -> Self {
        let function = is_function.iter().filter(|&&function| function).count() as f64;
        let mut side = Self { content: is_function.len() as f64 - function, function, ..Self::default() };
        for (kind, words) in matches {
            for &function in &is_function[words] {
                let matched = if function { &mut side.matched_function } else { &mut side.matched_content };
                matched[kind] += 1.0;
            }
        }
        side
    }

    fn add(&mut self, other: &Self) {
        self.content += other.content;
        self.function += other.function;
        for kind in 0..KINDS {
            self.matched_content[kind] += other.matched_content[kind];
            self.matched_function[kind] += other.matched_function[kind];
        }
    }

    fn words(&self) -> f64 {
        self.content + self.function
    }

    fn matched(&self) -> f64 {
        self.matched_content.iter().chain(&self.matched_function).sum()
    }

    /// The weighted part that is matched.
    fn part(&self) -> f64 {
        let weigh = |matched: &[f64; KINDS]| -> f64 { matched.iter().zip(WEIGHTS).map(|(count, w)| count * w).sum() };
        let matched = DELTA * weigh(&self.matched_content) + (1.0 - DELTA) * weigh(&self.matched_function);
        matched / (DELTA * self.content + (1.0 - DELTA) * self.function)
    }
}

/// The counts of hypothesis and reference, of one image or of many.
#[derive(Debug, Clone, Default)]
pub(super) struct Statistics {
    hypothesis: Side,
    reference: Side,
    /// Pieces in which the matches follow each other on both sides.
    chunks: f64,
}

impl Statistics {
    /// The counts of one alignment, its matches in the order of the reference.
    pub(super) fn of(chosen: &[Match], in_hypothesis: &[bool], in_reference: &[bool]) -> Self {
        let mut chunks = 0.0;
        let mut ends = None;
        for found in chosen {
            if ends != Some((found.hypothesis.start, found.reference.start)) {
                chunks += 1.0;
            }
            ends = Some((found.hypothesis.end, found.reference.end));
        }
        Self {
            hypothesis: Side::of(in_hypothesis, chosen.iter().map(|m| (m.kind, m.hypothesis.clone()))),
            reference: Side::of(in_reference, chosen.iter().map(|m| (m.kind, m.reference.clone()))),
            chunks,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.hypothesis.add(&other.hypothesis);
        self.reference.add(&other.reference);
        if !other.is_one_piece() {
            self.chunks += other.chunks;
        }
    }

    /// Whether everything is matched in one piece, which is not fragmented at all.
    fn is_one_piece(&self) -> bool {
        let is_matched = |side: &Side| side.matched() == side.words();
        self.chunks == 1.0 && is_matched(&self.hypothesis) && is_matched(&self.reference)
    }

    /// The score, in 0..=1; 0 where nothing is matched.
    pub(super) fn score(&self) -> f64 {
        let mean = 1.0 / ((1.0 - ALPHA) / self.hypothesis.part() + ALPHA / self.reference.part());
        let matched = (self.hypothesis.matched() + self.reference.matched()) / 2.0;
        let fragmentation = if self.is_one_piece() { 0.0 } else { self.chunks / matched };
        let score = mean * (1.0 - GAMMA * fragmentation.powf(BETA));
        if score.is_nan() { 0.0 } else { score.max(0.0) }
    }
}
