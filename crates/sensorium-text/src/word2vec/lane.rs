//! One lane of a round: what it finds on its stretch of the text, with the tables as they stood before the round.

use pulp::{Simd, WithSimd};

use super::engine::{LOSS_EVERY, Loss, Round};
use super::kernel::{self, Hidden, Outputs, TILE, Term};
use super::reader::{Lesson, Plan, Reader, Step};
use super::settings::Model;
use super::table::{Line, STRIPES, Table, lines, numbers, numbers_mut};

/// What is to be added to which rows: sums of multiples of some vectors. The vectors are few, and near when they are
/// needed; the sums themselves would be several times as many.
#[derive(Default)]
pub(super) struct Changes {
    vectors: Vec<Line>,
    sums: Sums,
}

#[derive(Default)]
struct Sums {
    terms: Vec<Term>,
    by_stripe: [Vec<Sum>; STRIPES],
}

/// A row, by its place in the stripe, and where its terms are.
#[derive(Clone, Copy)]
struct Sum {
    row: u32,
    from: u32,
    to: u32,
}

impl Changes {
    /// With room for so many vectors. Memory that is asked for at once and not written to takes none; growing would leave
    /// gaps.
    fn with_capacity(vectors: usize, row_lines: usize) -> Self {
        Self { vectors: Vec::with_capacity(vectors * row_lines), ..Self::default() }
    }
}

impl Sums {
    fn clear(&mut self) {
        self.terms.clear();
        self.by_stripe.iter_mut().for_each(Vec::clear);
    }

    #[inline(always)]
    fn push(&mut self, rank: u32, terms: impl Iterator<Item = Term>) {
        let from = self.terms.len() as u32;
        self.terms.extend(terms);
        let sum = Sum { row: rank / STRIPES as u32, from, to: self.terms.len() as u32 };
        self.by_stripe[rank as usize % STRIPES].push(sum);
    }
}

/// Changes added to some neighbouring stripes of a table, in the order of the lanes.
pub(super) struct Apply<'a, I> {
    pub(super) stripes: &'a mut [Line],
    /// The number of the first.
    pub(super) first: usize,
    pub(super) lines_of_stripe: usize,
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
        let place = |sum: &Sum| sum.row as usize * row_lines..(sum.row as usize + 1) * row_lines;
        for Changes { vectors, sums } in self.changes {
            let vectors = S::as_simd_f32s(numbers(vectors)).0;
            for (number, stripe) in self.stripes.chunks_exact_mut(self.lines_of_stripe).enumerate() {
                let mine = &sums.by_stripe[self.first + number];
                for (at, sum) in mine.iter().enumerate() {
                    if let Some(later) = mine.get(at + AHEAD) {
                        kernel::prefetch(numbers(&stripe[place(later)]));
                    }
                    let terms = &sums.terms[sum.from as usize..sum.to as usize];
                    let row = S::as_mut_simd_f32s(numbers_mut(&mut stripe[place(sum)])).0;
                    kernel::add(simd, row, vectors, terms);
                }
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
        let changes = || Changes::with_capacity(words, lines(dim));
        Self { input: changes(), output: changes(), ..Self::default() }
    }
}

/// Working memory.
#[derive(Default)]
struct Work {
    /// The words' vectors, where it is a mean of them that foretells.
    values: Vec<Line>,
    /// None, where it is not.
    means: Vec<Line>,
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
        lane.loss = Loss::default();
        lane.lesson.clear();
        while reader.next(&round.plan, &mut lane.lesson) {}
        train(simd, lane, input, output, round);
    }
}

#[inline(always)]
fn train<S: Simd>(simd: S, lane: &mut Lane, w: &Table, w_out: &Table, round: &Round) {
    let Lane { input, output, loss, lesson, work } = lane;
    let row_lines = lines(w.dim());
    let width = w.stride() / S::F32_LANES;
    let (words, steps) = (lesson.words.len(), lesson.len());
    input.sums.clear();
    output.sums.clear();
    // What foretells is the words' vectors or, for each step, a mean of them: it is that which W′ moves by.
    let (values, means) = match round.model {
        Model::SkipGram => (&mut output.vectors, &mut work.means),
        Model::Cbow { .. } => (&mut work.values, &mut output.vectors),
    };
    grow(&mut input.vectors, words * row_lines);
    grow(values, words * row_lines);
    if matches!(round.model, Model::Cbow { .. }) {
        grow(means, steps * row_lines);
        grow(&mut work.mean_error, row_lines);
    }
    grow(&mut work.g, (2 * round.plan.window * TILE).div_ceil(Line::LEN));

    let errors = &mut S::as_mut_simd_f32s(numbers_mut(&mut input.vectors)).0[..words * width];
    let values = S::as_mut_simd_f32s(numbers_mut(values)).0;
    let means = S::as_mut_simd_f32s(numbers_mut(means)).0;
    let mean_error = S::as_mut_simd_f32s(numbers_mut(&mut work.mean_error)).0;
    let g = numbers_mut(&mut work.g);
    let table = S::as_simd_f32s(w.values()).0;
    errors.fill(simd.splat_f32s(0.0));
    for (place, word) in lesson.words.iter().enumerate() {
        let row = |word: &u32| w.place(*word as usize);
        let value = &mut values[place * width..][..width];
        match round.pieces {
            None => value.copy_from_slice(&table[row(word) * width..][..width]),
            Some(pieces) => average(simd, table, pieces.of(*word).iter().map(row), width, value),
        }
    }

    for number in 0..steps {
        if number + 1 < steps {
            for output in lesson.step(number + 1).outputs {
                let row = w_out.place(*output as usize) * w_out.stride();
                kernel::prefetch(&w_out.values()[row..][..w_out.stride()]);
            }
        }
        let (step, rate) = (lesson.step(number), round.learning_rate);
        work.steps += 1;
        let loss = (work.steps % LOSS_EVERY == 1).then_some(&mut *loss);
        match round.model {
            Model::SkipGram => {
                let mut hidden = Hidden::<S> { values, errors, width };
                foretell(simd, &mut hidden, step, w_out, (&mut output.sums, 0), g, (rate, loss));
            }
            Model::Cbow { corrected } => {
                let mean = &mut means[number * width..][..width];
                average(simd, values, step.at.iter().copied(), width, mean);
                mean_error.fill(simd.splat_f32s(0.0));
                let mut hidden = Hidden::<S> { values: mean, errors: mean_error, width };
                let step_of_mean = Step { at: &[0], ..step };
                foretell(simd, &mut hidden, step_of_mean, w_out, (&mut output.sums, number), g, (rate, loss));
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
        let whole = || std::iter::once(Term { vector: place as u32, factor: 1.0 });
        match round.pieces {
            None => input.sums.push(*word, whole()),
            // Each row has the whole of it, as in fastText: so the mean moves as far as a word's only row would.
            Some(pieces) => pieces.of(*word).iter().for_each(|row| input.sums.push(*row, whole())),
        }
    }
}

/// A step for every pair of the hidden vectors `at` with the outputs, a few outputs at a time; the hidden vectors are
/// those from `first` on of what the sums are made of.
#[inline(always)]
fn foretell<S: Simd>(
    simd: S,
    hidden: &mut Hidden<S>,
    Step { at, outputs, labels }: Step,
    w_out: &Table,
    (sums, first): (&mut Sums, usize),
    g: &mut [f32],
    (rate, mut loss): (f32, Option<&mut Loss>),
) {
    let width = hidden.width;
    let table = S::as_simd_f32s(w_out.values()).0;
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
                kernel::step(simd, hidden, at, Outputs::<S, $n> { rows, labels: told }, rate, g);
                let g = g[..at.len() * $n].as_chunks::<$n>().0;
                for j in 0..$n {
                    let term = |(at, g): (&usize, &[f32; $n])| Term { vector: (first + at) as u32, factor: g[j] };
                    sums.push(outputs[from + j], at.iter().zip(g).map(term));
                }
                if let Some(loss) = loss.as_deref_mut() {
                    loss.add(g.as_flattened(), rate);
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
}

/// Makes it at least so long; what is new is zero.
fn grow(lines: &mut Vec<Line>, needed: usize) {
    if lines.len() < needed {
        lines.resize(needed, Line::default());
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
