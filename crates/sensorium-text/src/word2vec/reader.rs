//! From the text to steps: which words foretell what.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::corpus::END;
use super::huffman::Path;
use super::random::Random;
use super::vocabulary::Alias;

/// What all readers share.
pub(super) struct Plan<'a> {
    pub(super) tokens: &'a [u32],
    /// Below which 32-bit number a word's occurrence is kept.
    pub(super) keep: &'a [u32],
    pub(super) targets: &'a Targets,
    pub(super) window: usize,
    /// Whether every word of a window has a step of its own, with its own negatives.
    pub(super) single: bool,
    /// Tokens after which a reader ends its round.
    pub(super) tokens_a_round: usize,
}

/// What a word is told by.
pub(super) enum Targets {
    /// Itself, against `count` others.
    Negatives { alias: Alias, count: usize },
    /// Its path.
    Paths(Vec<Path>),
}

/// A stretch of the text, read a little further each round.
pub(super) struct Reader {
    /// The next token, and the end of the stretch.
    pub(super) cursor: usize,
    pub(super) end: usize,
    pub(super) random: Random,
    /// Tokens of this round.
    pub(super) read: usize,
    pub(super) open: Open,
}

/// The end of a sentence that the next round goes on with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    words: Vec<u32>,
    /// How many of them had their windows; they are there for the words after them.
    done: usize,
}

impl Open {
    /// Whether it can be of a vocabulary of so many words.
    pub(super) fn fits(&self, words: usize, window: usize) -> bool {
        let known = self.words.iter().all(|word| (*word as usize) < words);
        known && self.done <= self.words.len() && self.words.len() <= 2 * window
    }
}

/// The words of one or more sentences that were kept, and their steps.
#[derive(Default)]
pub(super) struct Lesson {
    pub(super) words: Vec<u32>,
    at: Vec<usize>,
    outputs: Vec<u32>,
    labels: Vec<f32>,
    /// Where the places and the outputs of each step end.
    ends: Vec<(usize, usize)>,
}

/// Every word `at` foretells every output (or their mean does): label 1 is what is there, 0 what is not.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    /// Places among the lesson's words.
    pub(super) at: &'a [usize],
    pub(super) outputs: &'a [u32],
    pub(super) labels: &'a [f32],
}

impl Reader {
    pub(super) fn new(random: Random) -> Self {
        Self { cursor: 0, end: 0, random, read: 0, open: Open::default() }
    }

    /// Adds the next sentence to the lesson, or as much of it as the round has room for; `false` at the end of the round,
    /// or of the stretch.
    pub(super) fn next(&mut self, plan: &Plan, lesson: &mut Lesson) -> bool {
        while self.read < plan.tokens_a_round && self.cursor < self.end {
            let first = lesson.words.len();
            let Open { words, done } = std::mem::take(&mut self.open);
            lesson.words.extend(words);
            let ended = self.sentence(plan, &mut lesson.words);
            let words = &lesson.words[first..];
            // The last words of a piece wait for those that follow them.
            let ready = if ended { words.len() } else { words.len().saturating_sub(plan.window).max(done) };
            if !ended {
                let from = ready.saturating_sub(plan.window);
                self.open = Open { words: words[from..].to_vec(), done: ready - from };
            }
            if words.len() >= 2 && ready > done {
                lesson.plan(first, done..ready, plan, &mut self.random);
                return true;
            }
            lesson.words.truncate(first);
        }
        false
    }

    /// Reads on to the end of the sentence or of the round; keeps the words that are not thinned out. Whether the sentence
    /// has ended.
    fn sentence(&mut self, plan: &Plan, words: &mut Vec<u32>) -> bool {
        let room = plan.tokens_a_round - self.read;
        let stretch = &plan.tokens[self.cursor..self.end.min(self.cursor + room)];
        for token in stretch {
            self.cursor += 1;
            self.read += 1;
            if *token == END {
                return true;
            }
            if (self.random.bits() >> 32) as u32 <= plan.keep[*token as usize] {
                words.push(*token);
            }
        }
        self.cursor == self.end
    }
}

impl Lesson {
    /// How many steps it has.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn step(&self, number: usize) -> Step<'_> {
        let (at, outputs) = if number == 0 { (0, 0) } else { self.ends[number - 1] };
        let (to_at, to_outputs) = self.ends[number];
        let outputs = outputs..to_outputs;
        Step { at: &self.at[at..to_at], outputs: &self.outputs[outputs.clone()], labels: &self.labels[outputs] }
    }

    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.at.clear();
        self.outputs.clear();
        self.labels.clear();
        self.ends.clear();
    }

    /// The steps of the windows round some words of the sentence that begins at `first`.
    fn plan(&mut self, first: usize, centres: Range<usize>, plan: &Plan, random: &mut Random) {
        for place in first + centres.start..first + centres.end {
            let reach = 1 + random.below(plan.window);
            let around = first.max(place.saturating_sub(reach))..(place + reach + 1).min(self.words.len());
            let word = self.words[place];
            for other in around {
                if other != place {
                    self.at.push(other);
                    if plan.single {
                        self.tell(word, plan.targets, random);
                    }
                }
            }
            if !plan.single {
                self.tell(word, plan.targets, random);
            }
        }
    }

    /// Ends a step with the outputs that tell `word` apart.
    fn tell(&mut self, word: u32, targets: &Targets, random: &mut Random) {
        match targets {
            Targets::Negatives { alias, count } => {
                self.outputs.push(word);
                self.labels.push(1.0);
                for _ in 0..*count {
                    let negative = alias.draw(random.bits());
                    if negative != word {
                        self.outputs.push(negative);
                        self.labels.push(0.0);
                    }
                }
            }
            Targets::Paths(paths) => {
                let path = &paths[word as usize];
                self.outputs.extend(&path.nodes);
                self.labels.extend(path.code.iter().map(|branch| f32::from(1 - branch)));
            }
        }
        self.ends.push((self.at.len(), self.outputs.len()));
    }
}
