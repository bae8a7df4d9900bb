//! One lane of a round: what it finds on its stretch of the text, with the tables as they stood before the round.

use pulp::{Simd, WithSimd};

use super::corpus::END;
use super::huffman::Path;
use super::kernel::{self, Hidden, Outputs, TILE};
use super::random::Random;
use super::settings::Model;
use super::table::{Line, STRIPES, Table, lines, numbers, numbers_mut};
use super::vocabulary::Alias;

/// A sentence is cut after so many words, as in word2vec.c.
const LONGEST_SENTENCE: usize = 1000;
/// The loss is computed for one window in so many.
const LOSS_EVERY: usize = 64;

/// What all lanes of a round share.
pub(super) struct Round<'a> {
    pub(super) tokens: &'a [u32],
    /// Below which 32-bit number a word's occurrence is kept.
    pub(super) keep: &'a [u32],
    pub(super) input: &'a Table,
    pub(super) output: &'a Table,
    pub(super) targets: &'a Targets,
    pub(super) model: Model,
    pub(super) window: usize,
    pub(super) learning_rate: f32,
    /// Tokens after which a lane ends its round, at the end of a sentence.
    pub(super) tokens_a_lane: usize,
}

/// What a word is told by.
pub(super) enum Targets {
    /// Itself, against `count` others.
    Negatives { alias: Alias, count: usize },
    /// Its path.
    Paths(Vec<Path>),
}

/// Rows and what is to be added to them.
#[derive(Default)]
pub(super) struct Changes {
    /// The place of each row in its stripe.
    rows: Vec<u32>,
    /// The numbers in `rows` of the changes of each stripe.
    by_stripe: [Vec<u32>; STRIPES],
    deltas: Vec<Line>,
}

impl Changes {
    fn clear(&mut self) {
        self.rows.clear();
        self.by_stripe.iter_mut().for_each(Vec::clear);
    }

    #[inline(always)]
    fn push(&mut self, rank: u32) {
        self.by_stripe[rank as usize % STRIPES].push(self.rows.len() as u32);
        self.rows.push(rank / STRIPES as u32);
    }

    /// Room for `more` further changes.
    fn reserve(&mut self, more: usize, row_lines: usize) {
        let needed = (self.rows.len() + more) * row_lines;
        if self.deltas.len() < needed {
            self.deltas.resize(needed, Line::default());
        }
    }
}

/// Changes applied to one stripe of a table, in the order of the lanes.
pub(super) struct Apply<'a, I> {
    pub(super) stripe: &'a mut [Line],
    pub(super) number: usize,
    pub(super) changes: I,
    pub(super) dim: usize,
}

impl<'a, I: Iterator<Item = &'a Changes>> WithSimd for Apply<'_, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        /// How many changes ahead memory is asked for.
        const AHEAD: usize = 4;
        let row_lines = lines(self.dim);
        for changes in self.changes {
            let places = |change: u32| {
                let row = changes.rows[change as usize] as usize * row_lines;
                (row..row + row_lines, change as usize * row_lines..(change as usize + 1) * row_lines)
            };
            let mine = &changes.by_stripe[self.number];
            for (at, change) in mine.iter().enumerate() {
                if let Some(later) = mine.get(at + AHEAD) {
                    let (row, delta) = places(*later);
                    kernel::prefetch(numbers(&self.stripe[row]));
                    kernel::prefetch(numbers(&changes.deltas[delta]));
                }
                let (row, delta) = places(*change);
                kernel::add(simd, numbers_mut(&mut self.stripe[row]), numbers(&changes.deltas[delta]));
            }
        }
    }
}

/// A stretch of the text, worked on a little further each round.
pub(super) struct Lane {
    /// The next token, and the end of the stretch.
    pub(super) cursor: usize,
    pub(super) end: usize,
    pub(super) random: Random,
    /// Changes of W and of W′.
    pub(super) input: Changes,
    pub(super) output: Changes,
    /// Tokens of this round.
    pub(super) read: usize,
    /// The sum of the losses of some pairs, and their number.
    pub(super) loss: (f64, u64),
    work: Work,
}

/// The outputs of all windows of a sentence, and their labels.
#[derive(Default)]
struct Told {
    outputs: Vec<u32>,
    labels: Vec<f32>,
    /// Where those of each window end.
    ends: Vec<usize>,
}

/// Working memory.
#[derive(Default)]
struct Work {
    sentence: Vec<u32>,
    /// The sentence's input vectors; for CBOW one more, their mean.
    values: Vec<Line>,
    mean: Vec<Line>,
    mean_error: Vec<Line>,
    at: Vec<usize>,
    told: Told,
    g: Vec<Line>,
    windows: usize,
}

impl Lane {
    pub(super) fn new(random: Random) -> Self {
        let (input, output) = (Changes::default(), Changes::default());
        Self { cursor: 0, end: 0, random, input, output, read: 0, loss: (0.0, 0), work: Work::default() }
    }
}

/// A lane's part of a round.
pub(super) struct Run<'a> {
    pub(super) lane: &'a mut Lane,
    pub(super) round: &'a Round<'a>,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lane, round } = self;
        lane.input.clear();
        lane.output.clear();
        (lane.read, lane.loss) = (0, (0.0, 0));
        while lane.read < round.tokens_a_lane && lane.cursor < lane.end {
            read_sentence(lane, round);
            if lane.work.sentence.len() >= 2 {
                train_sentence(simd, lane, round);
            }
        }
    }
}

/// Reads on to the end of the sentence; keeps its words but for those that are thinned out.
#[inline(always)]
fn read_sentence(lane: &mut Lane, round: &Round) {
    lane.work.sentence.clear();
    let stretch = &round.tokens[lane.cursor..lane.end.min(lane.cursor + LONGEST_SENTENCE)];
    for token in stretch {
        lane.cursor += 1;
        lane.read += 1;
        if *token == END {
            break;
        }
        if (lane.random.bits() >> 32) as u32 <= round.keep[*token as usize] {
            lane.work.sentence.push(*token);
        }
    }
}

#[inline(always)]
fn train_sentence<S: Simd>(simd: S, lane: &mut Lane, round: &Round) {
    let Lane { random, input, output, loss, work, .. } = lane;
    let stride = round.input.stride();
    let (width, row_lines) = (stride / S::F32_LANES, stride / Line::LEN);
    let Work { sentence, values, mean, mean_error, at, told, g, windows } = work;
    let words = sentence.len();

    let first = input.rows.len();
    input.reserve(words, row_lines);
    if values.len() < words * row_lines {
        values.resize(words * row_lines, Line::default());
    }
    mean.resize(row_lines, Line::default());
    mean_error.resize(row_lines, Line::default());
    g.resize((2 * round.window * TILE).div_ceil(Line::LEN), Line::default());
    let values = S::as_mut_simd_f32s(numbers_mut(values)).0;
    let errors = S::as_mut_simd_f32s(numbers_mut(&mut input.deltas[first * row_lines..])).0;
    let mean = S::as_mut_simd_f32s(numbers_mut(mean)).0;
    let mean_error = S::as_mut_simd_f32s(numbers_mut(mean_error)).0;
    let table = S::as_simd_f32s(round.input.values()).0;
    for (place, word) in sentence.iter().enumerate() {
        let row = round.input.place(*word as usize) * width;
        values[place * width..][..width].copy_from_slice(&table[row..][..width]);
    }
    errors[..words * width].fill(simd.splat_f32s(0.0));

    tell(sentence, round.targets, random, told);
    let mut from = 0;
    for place in 0..words {
        let to = told.ends[place];
        if let Some(next) = told.ends.get(place + 1) {
            for output in &told.outputs[to..*next] {
                let row = round.output.place(*output as usize) * stride;
                kernel::prefetch(&round.output.values()[row..][..stride]);
            }
        }
        let window = (&told.outputs[from..to], &told.labels[from..to]);
        from = to;
        let reach = 1 + random.below(round.window);
        let around = place.saturating_sub(reach)..(place + reach + 1).min(words);
        at.clear();
        for other in around {
            if other != place {
                at.push(other);
            }
        }
        *windows += 1;
        let loss = (*windows % LOSS_EVERY == 1).then_some(&mut *loss);
        match round.model {
            Model::SkipGram => {
                let mut hidden = Hidden::<S> { values, errors, width };
                foretell(simd, &mut hidden, at, window, round, (output, numbers_mut(g)), loss);
            }
            Model::Cbow { corrected } => {
                average(simd, values, at, width, mean);
                mean_error.fill(simd.splat_f32s(0.0));
                let mut hidden = Hidden::<S> { values: mean, errors: mean_error, width };
                foretell(simd, &mut hidden, &[0], window, round, (output, numbers_mut(g)), loss);
                let share = simd.splat_f32s(if corrected { 1.0 / at.len() as f32 } else { 1.0 });
                for other in at.iter() {
                    for (error, mean_error) in errors[other * width..][..width].iter_mut().zip(&*mean_error) {
                        *error = simd.mul_add_f32s(share, *mean_error, *error);
                    }
                }
            }
        }
    }
    for word in sentence.iter() {
        input.push(*word);
    }
}

/// The outputs that tell each word of the sentence apart, with their labels.
#[inline(always)]
fn tell(sentence: &[u32], targets: &Targets, random: &mut Random, told: &mut Told) {
    let Told { outputs, labels, ends } = told;
    outputs.clear();
    labels.clear();
    ends.clear();
    for word in sentence {
        match targets {
            Targets::Negatives { alias, count } => {
                outputs.push(*word);
                labels.push(1.0);
                for _ in 0..*count {
                    let negative = alias.draw(random.bits());
                    if negative != *word {
                        outputs.push(negative);
                        labels.push(0.0);
                    }
                }
            }
            Targets::Paths(paths) => {
                let path = &paths[*word as usize];
                outputs.extend(&path.nodes);
                labels.extend(path.code.iter().map(|branch| f32::from(1 - branch)));
            }
        }
        ends.push(outputs.len());
    }
}

/// A step for every pair of the hidden vectors `at` with the outputs, a few outputs at a time.
#[inline(always)]
fn foretell<S: Simd>(
    simd: S,
    hidden: &mut Hidden<S>,
    at: &[usize],
    (outputs, labels): (&[u32], &[f32]),
    round: &Round,
    (changes, g): (&mut Changes, &mut [f32]),
    mut loss: Option<&mut (f64, u64)>,
) {
    let width = hidden.width;
    let first = changes.rows.len();
    changes.reserve(outputs.len(), round.output.stride() / Line::LEN);
    let table = S::as_simd_f32s(round.output.values()).0;
    let deltas = S::as_mut_simd_f32s(numbers_mut(&mut changes.deltas)).0;
    let mut from = 0;
    while from < outputs.len() {
        macro_rules! tile {
            ($n:literal) => {{
                let mut rows: [&[S::f32s]; $n] = [&[]; $n];
                for j in 0..$n {
                    rows[j] = &table[round.output.place(outputs[from + j] as usize) * width..][..width];
                }
                let mut told = [0.0; $n];
                told.copy_from_slice(&labels[from..from + $n]);
                let deltas = &mut deltas[(first + from) * width..][..$n * width];
                let tile = Outputs::<S, $n> { rows, labels: told, deltas };
                kernel::step(simd, hidden, at, tile, round.learning_rate, g);
                if let Some(loss) = loss.as_deref_mut() {
                    add_loss(loss, &g[..at.len() * $n], round.learning_rate);
                }
                $n
            }};
        }
        from += match outputs.len() - from {
            1 => tile!(1),
            2 => tile!(2),
            3 => tile!(3),
            4 | 7 => tile!(4),
            5 => tile!(5),
            _ => tile!(6),
        };
    }
    for output in outputs {
        changes.push(*output);
    }
}

/// The cross entropy of pairs whose steps are `g`: the probability of the right label is `1 − |g| / lr`.
fn add_loss(loss: &mut (f64, u64), g: &[f32], lr: f32) {
    loss.0 -= g.iter().map(|g| f64::from((1.0 - g.abs() / lr).max(1e-7).ln())).sum::<f64>();
    loss.1 += g.len() as u64;
}

/// The mean of the rows `at`.
#[inline(always)]
fn average<S: Simd>(simd: S, values: &[S::f32s], at: &[usize], width: usize, mean: &mut [S::f32s]) {
    let share = simd.splat_f32s(1.0 / at.len() as f32);
    for v in 0..width {
        let mut sum = simd.splat_f32s(0.0);
        for row in at {
            sum = simd.add_f32s(sum, values[row * width + v]);
        }
        mean[v] = simd.mul_f32s(sum, share);
    }
}
