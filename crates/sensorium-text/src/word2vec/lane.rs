//! One lane of a round: what it finds on its stretch of the text, with the tables as they stood before the round.

use pulp::{Simd, WithSimd};

use super::engine::{LOSS_EVERY, Loss, Round};
use super::kernel::{self, Hidden, Outputs, TILE};
use super::reader::{Lesson, Plan, Reader, Step};
use super::settings::Model;
use super::table::{Line, STRIPES, Table, lines, numbers, numbers_mut};

/// What is to be added to which rows. A delta may belong to several.
#[derive(Default)]
pub(super) struct Changes {
    by_stripe: [Vec<Change>; STRIPES],
    deltas: Vec<Line>,
    /// Deltas in use.
    count: usize,
}

/// A row, by its place in the stripe, and the number of its delta.
#[derive(Clone, Copy)]
struct Change {
    row: u32,
    delta: u32,
}

impl Changes {
    /// With room for so many deltas. Memory that is asked for at once and not written to takes none; growing would leave
    /// gaps.
    fn with_capacity(deltas: usize, row_lines: usize) -> Self {
        Self { deltas: Vec::with_capacity(deltas * row_lines), ..Self::default() }
    }

    fn clear(&mut self) {
        self.count = 0;
        self.by_stripe.iter_mut().for_each(Vec::clear);
    }

    #[inline(always)]
    fn push(&mut self, rank: u32, delta: usize) {
        let change = Change { row: rank / STRIPES as u32, delta: delta as u32 };
        self.by_stripe[rank as usize % STRIPES].push(change);
    }

    /// The number of the first of `more` further deltas.
    fn reserve(&mut self, more: usize, row_lines: usize) -> usize {
        let first = self.count;
        self.count += more;
        let needed = self.count * row_lines;
        if self.deltas.len() < needed {
            self.deltas.resize(needed, Line::default());
        }
        first
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
            let places = |change: Change| {
                let (row, delta) = (change.row as usize * row_lines, change.delta as usize * row_lines);
                (row..row + row_lines, delta..delta + row_lines)
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

/// What a round has found on one stretch of the text, and working memory.
#[derive(Default)]
pub(super) struct Lane {
    /// Changes of W and of W′.
    pub(super) input: Changes,
    pub(super) output: Changes,
    pub(super) loss: Loss,
    lesson: Lesson,
    work: Work,
}

impl Lane {
    pub(super) fn new(plan: &Plan, dim: usize) -> Self {
        let words = plan.tokens_a_round + 2 * plan.window;
        let input = Changes::with_capacity(words, lines(dim));
        let output = Changes::with_capacity(words * plan.targets.most(), lines(dim));
        Self { input, output, ..Self::default() }
    }
}

/// Working memory.
#[derive(Default)]
struct Work {
    /// The input vectors of the lesson's words.
    values: Vec<Line>,
    mean: Vec<Line>,
    mean_error: Vec<Line>,
    g: Vec<Line>,
    steps: usize,
}

/// A lane's part of a round.
pub(super) struct Run<'a> {
    pub(super) lane: &'a mut Lane,
    pub(super) reader: &'a mut Reader,
    pub(super) input: &'a Table,
    pub(super) output: &'a Table,
    pub(super) round: &'a Round<'a>,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lane, reader, input, output, round } = self;
        lane.input.clear();
        lane.output.clear();
        lane.loss = Loss::default();
        lane.lesson.clear();
        while reader.next(&round.plan, &mut lane.lesson) {
            train_sentence(simd, lane, input, output, round);
            lane.lesson.clear();
        }
    }
}

#[inline(always)]
fn train_sentence<S: Simd>(simd: S, lane: &mut Lane, w: &Table, w_out: &Table, round: &Round) {
    let Lane { input, output, loss, lesson, work } = lane;
    let stride = w.stride();
    let (width, row_lines) = (stride / S::F32_LANES, stride / Line::LEN);
    let Work { values, mean, mean_error, g, steps } = work;
    let words = lesson.words.len();

    let first = input.reserve(words, row_lines);
    if values.len() < words * row_lines {
        values.resize(words * row_lines, Line::default());
    }
    mean.resize(row_lines, Line::default());
    mean_error.resize(row_lines, Line::default());
    g.resize((2 * round.plan.window * TILE).div_ceil(Line::LEN), Line::default());
    let values = S::as_mut_simd_f32s(numbers_mut(values)).0;
    let errors = S::as_mut_simd_f32s(numbers_mut(&mut input.deltas[first * row_lines..])).0;
    let mean = S::as_mut_simd_f32s(numbers_mut(mean)).0;
    let mean_error = S::as_mut_simd_f32s(numbers_mut(mean_error)).0;
    let table = S::as_simd_f32s(w.values()).0;
    for (place, word) in lesson.words.iter().enumerate() {
        let row = |word: &u32| w.place(*word as usize);
        let value = &mut values[place * width..][..width];
        match round.pieces {
            None => value.copy_from_slice(&table[row(word) * width..][..width]),
            Some(pieces) => average(simd, table, pieces.of(*word).iter().map(row), width, value),
        }
    }
    errors[..words * width].fill(simd.splat_f32s(0.0));

    for number in 0..lesson.len() {
        if number + 1 < lesson.len() {
            for output in lesson.step(number + 1).outputs {
                let row = w_out.place(*output as usize) * stride;
                kernel::prefetch(&w_out.values()[row..][..stride]);
            }
        }
        let (step, rate) = (lesson.step(number), round.learning_rate);
        *steps += 1;
        let loss = (*steps % LOSS_EVERY == 1).then_some(&mut *loss);
        match round.model {
            Model::SkipGram => {
                let mut hidden = Hidden::<S> { values, errors, width };
                foretell(simd, &mut hidden, step, w_out, (output, numbers_mut(g)), (rate, loss));
            }
            Model::Cbow { corrected } => {
                average(simd, values, step.at.iter().copied(), width, mean);
                mean_error.fill(simd.splat_f32s(0.0));
                let mut hidden = Hidden::<S> { values: mean, errors: mean_error, width };
                let step_of_mean = Step { at: &[0], ..step };
                foretell(simd, &mut hidden, step_of_mean, w_out, (output, numbers_mut(g)), (rate, loss));
                let share = simd.splat_f32s(if corrected { 1.0 / step.at.len() as f32 } else { 1.0 });
                for other in step.at {
                    for (error, mean_error) in errors[other * width..][..width].iter_mut().zip(&*mean_error) {
                        *error = simd.mul_add_f32s(share, *mean_error, *error);
                    }
                }
            }
        }
    }
    for (place, word) in lesson.words.iter().enumerate() {
        match round.pieces {
            None => input.push(*word, first + place),
            // Each row has the whole of it, as in fastText: so the mean moves as far as a word's only row would.
            Some(pieces) => pieces.of(*word).iter().for_each(|row| input.push(*row, first + place)),
        }
    }
}

/// A step for every pair of the hidden vectors `at` with the outputs, a few outputs at a time.
#[inline(always)]
fn foretell<S: Simd>(
    simd: S,
    hidden: &mut Hidden<S>,
    Step { at, outputs, labels }: Step,
    w_out: &Table,
    (changes, g): (&mut Changes, &mut [f32]),
    (rate, mut loss): (f32, Option<&mut Loss>),
) {
    let width = hidden.width;
    let first = changes.reserve(outputs.len(), w_out.stride() / Line::LEN);
    let table = S::as_simd_f32s(w_out.values()).0;
    let deltas = S::as_mut_simd_f32s(numbers_mut(&mut changes.deltas)).0;
    let mut from = 0;
    while from < outputs.len() {
        macro_rules! tile {
            ($n:literal) => {{
                let mut rows: [&[S::f32s]; $n] = [&[]; $n];
                for j in 0..$n {
                    rows[j] = &table[w_out.place(outputs[from + j] as usize) * width..][..width];
                }
                let mut told = [0.0; $n];
                told.copy_from_slice(&labels[from..from + $n]);
                let deltas = &mut deltas[(first + from) * width..][..$n * width];
                let tile = Outputs::<S, $n> { rows, labels: told, deltas };
                kernel::step(simd, hidden, at, tile, rate, g);
                if let Some(loss) = loss.as_deref_mut() {
                    loss.add(&g[..at.len() * $n], rate);
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
    for (at, output) in outputs.iter().enumerate() {
        changes.push(*output, first + at);
    }
}

/// The mean of some rows.
#[inline(always)]
fn average<S: Simd>(
    simd: S,
    values: &[S::f32s],
    rows: impl ExactSizeIterator<Item = usize>,
    width: usize,
    mean: &mut [S::f32s],
) {
    let share = simd.splat_f32s(1.0 / rows.len() as f32);
    mean.fill(simd.splat_f32s(0.0));
    for row in rows {
        for (sum, value) in mean.iter_mut().zip(&values[row * width..][..width]) {
            *sum = simd.mul_add_f32s(share, *value, *sum);
        }
    }
}
