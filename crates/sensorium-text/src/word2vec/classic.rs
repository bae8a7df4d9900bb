//! The updates of word2vec.c, one pair after the other: the reference that the fast kernels are measured by.
//!
//! Mikolov et al. 2013, "Distributed Representations of Words and Phrases", and the program of the same authors. Words
//! and outputs are rows of two tables; the arithmetic is `f32`, in the program's order.

use sensorium_core::Error;

use super::engine::{Loss, Round, Side};
use super::huffman::Path;
use super::reader::{Lesson, Reader, Targets};
use super::settings::Model;
use crate::Result;

/// Input vectors W and output vectors W′, `[rows, dim]` each, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    dim: usize,
    /// W.
    pub input: Vec<f32>,
    /// W′: of words for negative sampling, of inner nodes for hierarchical softmax.
    pub output: Vec<f32>,
}

/// What happens to a score beyond ±6, where word2vec.c's table of sigmoids ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// The sigmoid is computed everywhere.
    Exact,
    /// Negative sampling in word2vec.c: the sigmoid counts as 0 or 1.
    Clamped,
    /// Hierarchical softmax in word2vec.c: the output is passed over.
    Skipped,
}

impl Tables {
    /// Tables of vectors of `dim` numbers.
    ///
    /// # Errors
    /// If `dim` is 0 or does not divide both lengths.
    pub fn new(dim: usize, input: Vec<f32>, output: Vec<f32>) -> Result<Self> {
        if dim == 0 || !input.len().is_multiple_of(dim) || !output.len().is_multiple_of(dim) {
            let value = format!("{} and {}", input.len(), output.len());
            return Err(Error::config("tables", value, format!("whole rows of {dim} numbers")).into());
        }
        Ok(Self { dim, input, output })
    }

    /// One pair with its negatives: `input` foretells `positive`, and none of `negatives`. A negative that equals the
    /// positive is passed over; one that comes twice is applied twice.
    ///
    /// # Panics
    /// If a row is out of range, as for all updates.
    pub fn negative_sampling(&mut self, input: usize, positive: usize, negatives: &[usize], lr: f32, beyond: Beyond) {
        self.step(&[input], targets(positive, negatives), lr, beyond, false, |_| ());
    }

    /// One pair along the path of the word foretold.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn hierarchical_softmax(&mut self, input: usize, path: &Path, lr: f32, beyond: Beyond) {
        let nodes = path.nodes.iter().zip(&path.code).map(|(node, branch)| (*node as usize, f32::from(1 - branch)));
        self.step(&[input], nodes, lr, beyond, false, |_| ());
    }

    /// The mean of `context` foretells `positive`. word2vec.c adds the whole error to each row of the context;
    /// `corrected` divides it by their number, as the gradient of a mean asks (İrsoy, Benton and Stratos 2021).
    ///
    /// # Panics
    /// If `context` is empty or a row is out of range.
    pub fn continuous_bag_of_words(
        &mut self,
        context: &[usize],
        positive: usize,
        negatives: &[usize],
        lr: f32,
        corrected: bool,
    ) {
        assert!(!context.is_empty(), "a context of at least one word");
        self.step(context, targets(positive, negatives), lr, Beyond::Exact, corrected, |_| ());
    }

    /// Trains one step after the other, as far as each reader reads in a round.
    pub(super) fn round(&mut self, round: &Round, readers: &mut [Reader]) -> Loss {
        let beyond = match round.plan.targets {
            Targets::Negatives { .. } => Beyond::Clamped,
            Targets::Paths(_) => Beyond::Skipped,
        };
        let corrected = round.model == Model::Cbow { corrected: true };
        let (rate, mut loss, mut lesson) = (round.learning_rate, Loss::default(), Lesson::default());
        for reader in readers {
            while reader.next(&round.plan, &mut lesson) {
                for number in 0..lesson.len() {
                    let step = lesson.step(number);
                    let context: Vec<usize> = step.at.iter().map(|place| lesson.words[*place] as usize).collect();
                    let targets = step.outputs.iter().map(|output| *output as usize).zip(step.labels.iter().copied());
                    self.step(&context, targets, rate, beyond, corrected, |g| loss.add(&[g], rate));
                }
                lesson.clear();
            }
        }
        loss
    }

    /// The mean of `context` foretells the targets, by their labels. `see` is given the step of each.
    fn step(
        &mut self,
        context: &[usize],
        targets: impl Iterator<Item = (usize, f32)>,
        lr: f32,
        beyond: Beyond,
        corrected: bool,
        mut see: impl FnMut(f32),
    ) {
        let mut hidden = vec![0.0; self.dim];
        for word in context {
            hidden.iter_mut().zip(self.row(*word)).for_each(|(sum, v)| *sum += v);
        }
        hidden.iter_mut().for_each(|v| *v /= context.len() as f32);
        let mut error = vec![0.0; self.dim];
        for (target, label) in targets {
            let output = &mut self.output[target * self.dim..][..self.dim];
            let score: f32 = hidden.iter().zip(&*output).map(|(h, o)| h * o).sum();
            let sigmoid = match beyond {
                Beyond::Clamped if score.abs() > 6.0 => f32::from(score > 0.0),
                Beyond::Skipped if score.abs() >= 6.0 => continue,
                _ => 1.0 / (1.0 + (-score).exp()),
            };
            let g = (label - sigmoid) * lr;
            see(g);
            for ((error, output), hidden) in error.iter_mut().zip(output).zip(&hidden) {
                *error += g * *output;
                *output += g * hidden;
            }
        }
        if corrected {
            error.iter_mut().for_each(|v| *v /= context.len() as f32);
        }
        for word in context {
            let row = &mut self.input[word * self.dim..][..self.dim];
            row.iter_mut().zip(&error).for_each(|(v, e)| *v += e);
        }
    }

    /// The rows of W or W′.
    pub(super) fn rows(&self, side: Side) -> impl Iterator<Item = &[f32]> {
        let table = match side {
            Side::Input => &self.input,
            Side::Output => &self.output,
        };
        table.chunks_exact(self.dim)
    }

    fn row(&self, word: usize) -> &[f32] {
        &self.input[word * self.dim..][..self.dim]
    }
}

fn targets(positive: usize, negatives: &[usize]) -> impl Iterator<Item = (usize, f32)> {
    let negatives = negatives.iter().copied().filter(move |negative| *negative != positive);
    std::iter::once((positive, 1.0)).chain(negatives.map(|negative| (negative, 0.0)))
}
