//! What in a hypothesis may stand for what in a reference.

use super::paraphrases::Paraphrases;
use super::stem::stem;
use super::synonyms::Synonyms;
use std::ops::Range;

/// Equal words, equal stems, synonyms and paraphrases.
pub(super) const KINDS: usize = 4;

/// Words of a hypothesis that may stand for words of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    /// The place in [`KINDS`].
    pub(super) kind: usize,
    pub(super) hypothesis: Range<usize>,
    pub(super) reference: Range<usize>,
}

/// All matches of a hypothesis and a reference.
pub(super) struct Matches<'a> {
    pub(super) hypothesis: &'a [String],
    pub(super) reference: &'a [String],
    /// By the first word in the reference, in the order in which they were found.
    pub(super) starting: Vec<Vec<Match>>,
    /// How many matches cover each word of the hypothesis.
    pub(super) hypothesis_cover: Vec<usize>,
    /// How many matches cover each word of the reference.
    pub(super) reference_cover: Vec<usize>,
}

impl<'a> Matches<'a> {
    pub(super) fn new(hypothesis: &'a [String], reference: &'a [String]) -> Self {
        Self {
            hypothesis,
            reference,
            starting: vec![Vec::new(); reference.len()],
            hypothesis_cover: vec![0; hypothesis.len()],
            reference_cover: vec![0; reference.len()],
        }
    }

    fn add(&mut self, kind: usize, hypothesis: Range<usize>, reference: Range<usize>) {
        hypothesis.clone().for_each(|i| self.hypothesis_cover[i] += 1);
        reference.clone().for_each(|i| self.reference_cover[i] += 1);
        self.starting[reference.start].push(Match { kind, hypothesis, reference });
    }

    /// Adds the pairs of single words for which `agree`, given places in hypothesis and reference.
    fn add_words(&mut self, kind: usize, agree: impl Fn(usize, usize) -> bool) {
        for j in 0..self.reference.len() {
            for i in 0..self.hypothesis.len() {
                if agree(i, j) {
                    self.add(kind, i..i + 1, j..j + 1);
                }
            }
        }
    }

    pub(super) fn add_equal(&mut self) {
        let (hypothesis, reference) = (self.hypothesis, self.reference);
        self.add_words(0, |i, j| hypothesis[i] == reference[j]);
    }

    pub(super) fn add_stems(&mut self) {
        let (hypothesis, reference) = (self.hypothesis, self.reference);
        let stems = |words: &[String]| -> Vec<String> { words.iter().map(|word| stem(word)).collect() };
        let (these, those) = (stems(hypothesis), stems(reference));
        self.add_words(1, |i, j| these[i] == those[j] && hypothesis[i] != reference[j]);
    }

    pub(super) fn add_synonyms(&mut self, synonyms: &Synonyms) {
        let (hypothesis, reference) = (self.hypothesis, self.reference);
        let sets = |words: &[String]| -> Vec<Vec<u32>> { words.iter().map(|word| synonyms.sets(word)).collect() };
        let (these, those) = (sets(hypothesis), sets(reference));
        let share = |i: usize, j: usize| these[i].iter().any(|set| those[j].contains(set));
        self.add_words(2, |i, j| hypothesis[i] != reference[j] && share(i, j));
    }

    pub(super) fn add_paraphrases(&mut self, paraphrases: &Paraphrases) {
        let (these, those) = (paraphrases.numbers(self.hypothesis), paraphrases.numbers(self.reference));
        for (from, into, forward) in [(&those, &these, true), (&these, &those, false)] {
            for start in 0..from.len() {
                paraphrases.each(&from[start..], |length, paraphrase| {
                    for at in (0..into.len()).filter(|&at| into[at..].starts_with(paraphrase)) {
                        let (phrase, found) = (start..start + length, at..at + paraphrase.len());
                        let (hypothesis, reference) = if forward { (found, phrase) } else { (phrase, found) };
                        self.add(3, hypothesis, reference);
                    }
                });
            }
        }
    }
}
