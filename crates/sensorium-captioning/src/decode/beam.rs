//! Beam search.

use std::cmp::Ordering;
use std::rc::Rc;

use sensorium_core::Error as CoreError;

use super::{Followers, Limits, NextWords, Row, Sentence};
use crate::Result;

/// Keeps the `width` likeliest beginnings of a sentence; one that ends leaves, and the width shrinks by it.
///
/// With one group and no length penalty this is the search of sgrvinod's captioning tutorial, word for word: scores are
/// sums of log-probabilities, the first of equals wins, and the best of the sentences that ended is taken. Where none
/// has ended after [`Limits::max_steps`], the best unfinished one is (the tutorial fails there).
#[derive(Debug, Clone, PartialEq)]
pub struct BeamSearch {
    /// Beginnings kept, over all groups. 1 is the greedy choice.
    pub width: usize,
    /// How sentences of different length are compared.
    pub length_penalty: LengthPenalty,
    /// Groups that the width is divided among (Vijayakumar et al. 2018, "Diverse Beam Search"): a group prefers words
    /// that those before it have not just chosen. 1 is the usual search.
    pub groups: usize,
    /// What each choice of a word by an earlier group takes from its log-probability for the later ones; the paper
    /// takes .2 to .8.
    pub diversity: f32,
}

/// How sentences of different length are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LengthPenalty {
    /// By their sums of log-probabilities.
    None,
    /// By the mean over their words, the end among them.
    Mean,
    /// By the sum over `((5 + words) / 6)^α` (Wu et al. 2016, "Google's Neural Machine Translation System", §7).
    Gnmt(f32),
}

impl LengthPenalty {
    fn apply(self, score: f32, words: usize) -> f32 {
        match self {
            Self::None => score,
            Self::Mean => score / words.max(1) as f32,
            Self::Gnmt(alpha) => score / ((5.0 + words as f32) / 6.0).powf(alpha),
        }
    }
}

/// What a search has found for one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The sentences that ended, in the order in which they did.
    pub complete: Vec<Sentence>,
    /// Those that had not when the search did, likeliest first.
    pub unfinished: Vec<Sentence>,
    best: Sentence,
}

impl Found {
    /// The best sentence that ended; if none did, the best of the others.
    pub fn best(&self) -> &Sentence {
        &self.best
    }

    fn new(complete: Vec<Sentence>, unfinished: Vec<Sentence>, penalty: LengthPenalty) -> Self {
        let candidates = if complete.is_empty() { &unfinished } else { &complete };
        let value = |sentence: &Sentence| penalty.apply(sentence.score, sentence.words.len());
        let better = |best, next| if value(next) > value(best) { next } else { best };
        let best = candidates.iter().reduce(better).cloned();
        // Only words that may never follow leave a picture with nothing.
        let best = best.unwrap_or(Sentence { words: vec![], score: f32::NEG_INFINITY, attention: vec![] });
        Self { complete, unfinished, best }
    }
}

impl BeamSearch {
    /// The tutorial's search of `width`.
    pub fn new(width: usize) -> Self {
        Self { width, length_penalty: LengthPenalty::None, groups: 1, diversity: 0.5 }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If the width is 0 or not divided evenly by the groups, or a number is not finite.
    pub fn validate(&self) -> Result<()> {
        if self.width == 0 {
            return Err(CoreError::config("beam", self.width, "must be at least 1").into());
        }
        if self.groups == 0 || !self.width.is_multiple_of(self.groups) {
            let rule = format!("must divide the width of the beam, {}", self.width);
            return Err(CoreError::config("groups", self.groups, rule).into());
        }
        if !self.diversity.is_finite() || self.diversity < 0.0 {
            return Err(CoreError::config("diversity", self.diversity, "must be 0 or more").into());
        }
        match self.length_penalty {
            LengthPenalty::Gnmt(alpha) if !alpha.is_finite() => {
                Err(CoreError::config("length_penalty", alpha, "must be a number; .6 to 1 is usual").into())
            }
            _ => Ok(()),
        }
    }

    /// The sentences of `pictures` pictures, whose rows `start` has in order.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the settings.
    pub fn search<D: NextWords>(&self, decoder: &D, start: D::State, pictures: usize, limits: &Limits) -> Vec<Found> {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let group = |picture| Group {
            width: self.width / self.groups,
            live: vec![Beam { row: picture, words: vec![limits.start], score: 0.0, attention: None }],
            complete: vec![],
        };
        let mut searches: Vec<Vec<Group>> =
            (0..pictures).map(|p| (0..self.groups).map(|_| group(p)).collect()).collect();
        let mut state = start;
        for _ in 0..limits.max_steps {
            let rows: Vec<Row> = searches.iter().flatten().flat_map(|group| &group.live).map(Beam::row).collect();
            if rows.is_empty() {
                break;
            }
            let (next, followers) = decoder.next(&state, &rows);
            self.advance(&mut searches, followers, decoder.vocab(), limits);
            state = next;
        }
        searches.into_iter().map(|groups| self.found(groups)).collect()
    }

    /// One step of every picture; the rows of `followers` are those of all live beams in order.
    fn advance(&self, searches: &mut [Vec<Group>], followers: Followers, vocab: usize, limits: &Limits) {
        let Followers { mut log_probs, attention } = followers;
        let positions = attention.as_ref().map(|weights| weights.len() / (log_probs.len() / vocab));
        let mut first_row = 0;
        for groups in searches {
            let mut chosen = vec![];
            for group in groups {
                let rows = group.live.len();
                let log_probs = &mut log_probs[first_row * vocab..][..rows * vocab];
                for (beam, log_probs) in group.live.iter().zip(log_probs.chunks_exact_mut(vocab)) {
                    limits.apply(beam.words.len() - 1, log_probs);
                }
                let choices = self.choices(group, log_probs, vocab, &chosen);
                chosen.extend(choices.iter().map(|choice| choice.word));
                let looked = |beam: usize| {
                    let (weights, positions) = (attention.as_ref()?, positions?);
                    Some(&weights[(first_row + beam) * positions..][..positions])
                };
                group.take(&choices, first_row, looked, limits.end);
                first_row += rows;
            }
        }
    }

    /// The likeliest ways to go on, best first. `chosen` are the words that earlier groups have just chosen.
    fn choices(&self, group: &Group, log_probs: &[f32], vocab: usize, chosen: &[u32]) -> Vec<Choice> {
        let mut best: Vec<(f32, Choice)> = Vec::with_capacity(group.width + 1);
        for (beam, log_probs) in log_probs.chunks_exact(vocab).enumerate() {
            let so_far = group.live[beam].score;
            for (word, log_prob) in (0u32..).zip(log_probs) {
                let score = so_far + log_prob;
                if score == f32::NEG_INFINITY || (best.len() == group.width && score <= best[group.width - 1].0) {
                    continue; // most words end here: a penalty makes a value only smaller
                }
                let times = chosen.iter().filter(|other| **other == word).count();
                let value = score - self.diversity * times as f32;
                let place = best.partition_point(|(other, _)| value.partial_cmp(other) != Some(Ordering::Greater));
                if place < group.width {
                    best.truncate(group.width - 1);
                    best.insert(place, (value, Choice { beam, word, score }));
                }
            }
        }
        best.into_iter().map(|(_, choice)| choice).collect()
    }

    fn found(&self, groups: Vec<Group>) -> Found {
        let (mut complete, mut unfinished) = (vec![], vec![]);
        for group in groups {
            complete.extend(group.complete.into_iter().map(Beam::sentence));
            unfinished.extend(group.live.into_iter().map(Beam::sentence));
        }
        // The first beam of a picture that was never advanced is no sentence.
        unfinished.retain(|sentence: &Sentence| !sentence.words.is_empty());
        if self.groups > 1 {
            unfinished.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        Found::new(complete, unfinished, self.length_penalty)
    }
}

/// A way to go on.
#[derive(Debug, Clone, Copy)]
struct Choice {
    beam: usize,
    word: u32,
    score: f32,
}

/// The beams of one group of one picture.
struct Group {
    /// How many more sentences may end.
    width: usize,
    live: Vec<Beam>,
    complete: Vec<Beam>,
}

impl Group {
    fn take<'a>(
        &mut self,
        choices: &[Choice],
        first_row: usize,
        looked: impl Fn(usize) -> Option<&'a [f32]>,
        end: u32,
    ) {
        let mut live = Vec::with_capacity(choices.len());
        for choice in choices {
            let parent = &self.live[choice.beam];
            let mut words = parent.words.clone();
            words.push(choice.word);
            let attention = looked(choice.beam)
                .map(|weights| Rc::new(Looked { weights: weights.to_vec(), before: parent.attention.clone() }));
            let beam = Beam { row: first_row + choice.beam, words, score: choice.score, attention };
            match choice.word == end {
                true => self.complete.push(beam),
                false => live.push(beam),
            }
        }
        self.width -= choices.len() - live.len();
        self.live = if self.width == 0 { vec![] } else { live };
    }
}

/// The beginning of a sentence.
struct Beam {
    /// Its row in the decoder's state.
    row: usize,
    /// From the start on.
    words: Vec<u32>,
    score: f32,
    attention: Option<Rc<Looked>>,
}

/// Where the decoder looked for a word, and for those before it. Beams share their beginnings.
struct Looked {
    weights: Vec<f32>,
    before: Option<Rc<Looked>>,
}

impl Beam {
    fn row(&self) -> Row {
        Row { from: self.row, word: *self.words.last().expect("a beam begins with the start") }
    }

    fn sentence(self) -> Sentence {
        let mut attention = vec![];
        let mut last = self.attention.as_ref();
        while let Some(looked) = last {
            attention.push(looked.weights.clone());
            last = looked.before.as_ref();
        }
        attention.reverse();
        Sentence { words: self.words[1..].to_vec(), score: self.score, attention }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::Table;
    use super::*;

    const LIMITS: Limits = Limits { start: 0, end: 1, max_steps: 12, min_words: 0, suppressed: vec![] };

    /// Every sentence of at most `steps` words, with its score: what a beam that is wide enough must find.
    fn likeliest(table: &Table, picture: usize, steps: usize) -> (Vec<u32>, f32) {
        let mut best = (vec![], f32::NEG_INFINITY);
        let mut open = vec![(vec![0u32], 0.0f32)];
        for _ in 0..steps {
            let mut longer = vec![];
            for (words, score) in open {
                for (word, log_prob) in (0u32..).zip(table.row(picture, words[words.len() - 1])) {
                    let mut words = words.clone();
                    words.push(word);
                    let score = score + log_prob;
                    match word == 1 {
                        true if score > best.1 => best = (words[1..].to_vec(), score),
                        true => {}
                        false => longer.push((words, score)),
                    }
                }
            }
            open = longer;
        }
        best
    }

    #[test]
    fn a_sentence_that_never_ends_is_left_where_it_is() {
        let table = Table::random(3, 4, 1);
        let limits = Limits { suppressed: vec![1], max_steps: 7, ..LIMITS };
        let found = BeamSearch::new(2).search(&table, table.start(), 1, &limits).remove(0);
        assert!(found.complete.is_empty());
        assert_eq!(found.best(), &found.unfinished[0]);
        assert_eq!(found.best().words.len(), 7);
    }

    #[test]
    fn nothing_that_may_follow_is_no_sentence() {
        let table = Table::random(1, 3, 1);
        let limits = Limits { suppressed: vec![0, 1, 2], ..LIMITS };
        let found = BeamSearch::new(2).search(&table, table.start(), 1, &limits).remove(0);
        assert!(found.best().words.is_empty() && found.best().score == f32::NEG_INFINITY);
    }

    #[test]
    fn settings_are_checked() {
        let search = |width, groups| BeamSearch { groups, ..BeamSearch::new(width) };
        for (search, part) in [(search(0, 1), "beam = 0"), (search(4, 3), "groups = 3"), (search(4, 0), "groups = 0")] {
            let fault = search.validate().unwrap_err().to_string();
            assert!(fault.starts_with(part), "{fault}");
        }
    }

    #[test]
    fn a_length_penalty_prefers_longer_sentences() {
        let sentence = |words: usize, score| Sentence { words: vec![1; words], score, attention: vec![] };
        let complete = vec![sentence(2, -2.0), sentence(6, -3.0)];
        for (penalty, best) in [(LengthPenalty::None, 2), (LengthPenalty::Mean, 6), (LengthPenalty::Gnmt(1.0), 6)] {
            assert_eq!(Found::new(complete.clone(), vec![], penalty).best().words.len(), best, "{penalty:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pictures_together_get_what_each_gets_alone(seed in any::<u64>(), width in 1usize..6, vocab in 2usize..9) {
            let table = Table::random(4, vocab, seed);
            let search = BeamSearch::new(width);
            let together = search.search(&table, table.start(), 4, &LIMITS);
            for (picture, found) in together.iter().enumerate() {
                let alone = search.search(&table, vec![picture], 1, &LIMITS);
                prop_assert_eq!(found, &alone[0]);
            }
        }

        #[test]
        fn a_beam_as_wide_as_all_beginnings_finds_the_likeliest(seed in any::<u64>()) {
            let table = Table::random(1, 3, seed);
            let limits = Limits { max_steps: 5, ..LIMITS };
            let found = BeamSearch::new(300).search(&table, table.start(), 1, &limits).remove(0);
            let (words, score) = likeliest(&table, 0, 5);
            prop_assert_eq!(&found.best().words, &words);
            prop_assert!((found.best().score - score).abs() < 1e-5);
        }

        #[test]
        fn limits_are_kept(seed in any::<u64>(), width in 1usize..4, groups in 1usize..3, min_words in 0usize..6) {
            let table = Table::random(2, 6, seed);
            let search = BeamSearch { groups, ..BeamSearch::new(width * groups) };
            let limits = Limits { min_words, suppressed: vec![3], ..LIMITS };
            for found in search.search(&table, table.start(), 2, &limits) {
                for sentence in found.complete.iter().chain(&found.unfinished) {
                    prop_assert!(!sentence.words.contains(&3));
                    prop_assert!(!sentence.is_complete(1) || sentence.words.len() > min_words);
                    prop_assert_eq!(sentence.attention.len(), sentence.words.len());
                }
            }
        }

        #[test]
        fn groups_differ_where_diversity_is_dear(seed in any::<u64>()) {
            let table = Table::random(1, 8, seed);
            let search = BeamSearch { groups: 3, diversity: 100.0, ..BeamSearch::new(3) };
            let found = search.search(&table, table.start(), 1, &Limits { max_steps: 1, ..LIMITS }).remove(0);
            let mut first: Vec<u32> = found.complete.iter().chain(&found.unfinished).map(|s| s.words[0]).collect();
            first.sort_unstable();
            first.dedup();
            prop_assert_eq!(first.len(), 3);
        }
    }
}
