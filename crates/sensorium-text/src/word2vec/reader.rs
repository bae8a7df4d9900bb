//! From the text to steps: which words foretell what.

use super::corpus::END;
use super::huffman::Path;
use super::random::Random;
use super::vocabulary::Alias;

/// A sentence is cut after so many words, as in word2vec.c.
const LONGEST_SENTENCE: usize = 1000;

/// What all readers share.
pub(super) struct Plan<'a> {
    pub(super) tokens: &'a [u32],
    /// Below which 32-bit number a word's occurrence is kept.
    pub(super) keep: &'a [u32],
    pub(super) targets: &'a Targets,
    pub(super) window: usize,
    /// Whether every word of a window has a step of its own, with its own negatives.
    pub(super) single: bool,
    /// Tokens after which a reader ends its round, at the end of a sentence.
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
        Self { cursor: 0, end: 0, random, read: 0 }
    }

    /// Adds the next sentence to the lesson; `false` at the end of the round, or of the stretch.
    pub(super) fn next(&mut self, plan: &Plan, lesson: &mut Lesson) -> bool {
        while self.read < plan.tokens_a_round && self.cursor < self.end {
            let first = lesson.words.len();
            self.sentence(plan, &mut lesson.words);
            if lesson.words.len() >= first + 2 {
                lesson.plan(first, plan, &mut self.random);
                return true;
            }
            lesson.words.truncate(first);
        }
        false
    }

    /// Reads on to the end of the sentence; keeps its words but for those that are thinned out.
    fn sentence(&mut self, plan: &Plan, words: &mut Vec<u32>) {
        let stretch = &plan.tokens[self.cursor..self.end.min(self.cursor + LONGEST_SENTENCE)];
        for token in stretch {
            self.cursor += 1;
            self.read += 1;
            if *token == END {
                break;
            }
            if (self.random.bits() >> 32) as u32 <= plan.keep[*token as usize] {
                words.push(*token);
            }
        }
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

    /// The steps of all windows of the sentence that begins at `first`.
    fn plan(&mut self, first: usize, plan: &Plan, random: &mut Random) {
        for place in first..self.words.len() {
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
