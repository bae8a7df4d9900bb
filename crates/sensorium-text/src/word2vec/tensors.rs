//! The trainer's rounds as tensor operations: rows are gathered, multiplied in batches and added back, on any device.

use std::ops::Range;

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::engine::{LOSS_EVERY, Loss, Round, Side};
use super::reader::{Lesson, Reader};
use super::settings::Model;
use super::table::Table;

/// The most numbers in the largest tensor of a batch.
const LARGEST: usize = 1 << 24;

/// W and W′ on a device, `[rows, dim]`.
pub(super) struct Tensors {
    input: Tensor<2>,
    output: Tensor<2>,
    device: Device,
}

impl Tensors {
    pub(super) fn new(input: Table, output: Table, device: &Device) -> Self {
        let tensor = |table: Table| {
            let data = TensorData::new(table.to_rows(), [table.rows(), table.dim()]);
            Tensor::from_data(data, device)
        };
        Self { input: tensor(input), output: tensor(output), device: device.clone() }
    }

    /// The same on another device.
    pub(super) fn on(self, device: &Device) -> Self {
        let [input, output] = [self.input, self.output].map(|table| table.to_device(device));
        Self { input, output, device: device.clone() }
    }

    pub(super) fn dim(&self) -> usize {
        self.input.dims()[1]
    }

    pub(super) fn rows(&self, side: Side) -> Vec<f32> {
        let table = match side {
            Side::Input => &self.input,
            Side::Output => &self.output,
        };
        host(table.clone())
    }

    /// Adds what all readers find in a round, from the tables as they stood before it.
    pub(super) fn round(&mut self, round: &Round, readers: &mut [Reader]) -> Loss {
        let mut lesson = Lesson::default();
        for reader in readers {
            while reader.next(&round.plan, &mut lesson) {}
        }
        if lesson.words.is_empty() {
            return Loss::default();
        }
        let (places, dim) = (lesson.words.len() + 1, self.dim());
        let Rows { rows, owners, shares } = Rows::of(&lesson, round);
        let count = rows.len();
        let (rows, owners) = (self.indices(rows), self.indices(owners));
        let shares = Tensor::<2>::from_data(TensorData::new(shares, [count, 1]), &self.device);
        // A place more than there are words, of zeros, stands for no word.
        let zeros = || Tensor::zeros([places, dim], &self.device);
        let gathered = self.input.clone().select(0, rows.clone()) * shares;
        let values = zeros().select_assign(0, owners.clone(), gathered, IndexingUpdateOp::Add);

        let mut found = Found { errors: zeros(), output: self.output.clone(), loss: Loss::default() };
        for batch in Batch::all(&lesson, round.model, dim) {
            self.step(round, batch, &values, &mut found);
        }
        // Each row of a word has the whole of its error, as in fastText.
        let errors = found.errors.select(0, owners);
        self.input = self.input.clone().select_assign(0, rows, errors, IndexingUpdateOp::Add);
        self.output = found.output;
        found.loss
    }

    /// Adds to `found` what a batch of steps finds.
    fn step(&self, round: &Round, batch: Batch, values: &Tensor<2>, found: &mut Found) {
        let Batch { steps, inputs, outputs, .. } = batch;
        let dim = self.dim();
        let floats = |values: Vec<f32>, shape: [usize; 3]| -> Tensor<3> {
            Tensor::from_data(TensorData::new(values, shape), &self.device)
        };
        let (at, targets) = (self.indices(batch.at), self.indices(batch.targets));
        let is_input = floats(batch.is_input, [steps, inputs, 1]);
        let h = values.clone().select(0, at.clone()).reshape([steps, inputs, dim]);
        let share = is_input.clone() / is_input.clone().sum_dim(1);
        let h = match round.model {
            Model::SkipGram => h,
            Model::Cbow { .. } => (h * share.clone()).sum_dim(1),
        };
        let o = self.output.clone().select(0, targets.clone()).reshape([steps, outputs, dim]);
        let labels = floats(batch.labels, [steps, 1, outputs]);
        let is_output = floats(batch.is_output, [steps, 1, outputs]);
        let g = (labels - sigmoid(h.clone().matmul(o.clone().swap_dims(1, 2)))) * is_output * round.learning_rate;
        let g = match round.model {
            Model::SkipGram => g * is_input.clone(),
            Model::Cbow { .. } => g,
        };
        let deltas = g.clone().swap_dims(1, 2).matmul(h).reshape([steps * outputs, dim]);
        let error = g.clone().matmul(o);
        let error = match round.model {
            Model::SkipGram => error,
            Model::Cbow { corrected: true } => error * share,
            Model::Cbow { corrected: false } => error * is_input,
        };
        let error = error.reshape([steps * inputs, dim]);

        let Found { errors, output, loss } = found;
        *output = output.clone().select_assign(0, targets, deltas, IndexingUpdateOp::Add);
        *errors = errors.clone().select_assign(0, at, error, IndexingUpdateOp::Add);
        // What pads a step has g 0, and so no loss, but is no pair.
        let mut of_batch = Loss::default();
        let measured = (0..steps as i32).step_by(LOSS_EVERY).collect();
        of_batch.add(&host(g.select(0, self.indices(measured))), round.learning_rate);
        of_batch.pairs = batch.pairs;
        *loss += of_batch;
    }

    fn indices(&self, values: Vec<i32>) -> Tensor<1, Int> {
        let count = values.len();
        Tensor::from_data(TensorData::new(values, [count]), &self.device)
    }
}

/// What a round finds.
struct Found {
    /// What is to be added to each place's word.
    errors: Tensor<2>,
    /// W′ after the round.
    output: Tensor<2>,
    loss: Loss,
}

/// The rows of W that make up the words of a round, the place that each belongs to, and its share of the mean.
struct Rows {
    rows: Vec<i32>,
    owners: Vec<i32>,
    shares: Vec<f32>,
}

impl Rows {
    fn of(lesson: &Lesson, round: &Round) -> Self {
        let (mut rows, mut owners, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for (place, word) in lesson.words.iter().enumerate() {
            let own = [*word];
            let of = round.pieces.map_or(own.as_slice(), |pieces| pieces.of(*word));
            rows.extend(of.iter().map(|row| *row as i32));
            owners.extend(of.iter().map(|_| place as i32));
            shares.extend(of.iter().map(|_| 1.0 / of.len() as f32));
        }
        Self { rows, owners, shares }
    }
}

/// Steps as rectangles: each has as many inputs and outputs as the largest, the rest is padding.
struct Batch {
    steps: usize,
    inputs: usize,
    outputs: usize,
    /// `[steps, inputs]`: places, and 1 where there is one.
    at: Vec<i32>,
    is_input: Vec<f32>,
    /// `[steps, outputs]`: rows of W′, 1 where there is one, and their labels.
    targets: Vec<i32>,
    is_output: Vec<f32>,
    labels: Vec<f32>,
    /// The pairs among the steps whose loss is taken.
    pairs: u64,
}

impl Batch {
    /// All steps of a lesson, in batches none of whose tensors is too large.
    fn all(lesson: &Lesson, model: Model, dim: usize) -> impl Iterator<Item = Self> {
        let inputs = (0..lesson.len()).map(|n| lesson.step(n).at.len()).max().unwrap_or(1);
        let outputs = (0..lesson.len()).map(|n| lesson.step(n).outputs.len()).max().unwrap_or(1);
        let steps = (LARGEST / (inputs.max(outputs) * dim)).max(1);
        (0..lesson.len()).step_by(steps).map(move |from| {
            let numbers = from..lesson.len().min(from + steps);
            Self::of(lesson, numbers, model, (inputs, outputs))
        })
    }

    fn of(lesson: &Lesson, numbers: Range<usize>, model: Model, (inputs, outputs): (usize, usize)) -> Self {
        let mean = matches!(model, Model::Cbow { .. });
        let steps = numbers.len();
        let mut batch = Self {
            steps,
            inputs,
            outputs,
            at: vec![lesson.words.len() as i32; steps * inputs],
            is_input: vec![0.0; steps * inputs],
            targets: vec![0; steps * outputs],
            is_output: vec![0.0; steps * outputs],
            labels: vec![0.0; steps * outputs],
            pairs: 0,
        };
        for (row, number) in numbers.enumerate() {
            let step = lesson.step(number);
            for (i, place) in step.at.iter().enumerate() {
                batch.at[row * inputs + i] = *place as i32;
                batch.is_input[row * inputs + i] = 1.0;
            }
            for (j, (target, label)) in step.outputs.iter().zip(step.labels).enumerate() {
                batch.targets[row * outputs + j] = *target as i32;
                batch.is_output[row * outputs + j] = 1.0;
                batch.labels[row * outputs + j] = *label;
            }
            if row.is_multiple_of(LOSS_EVERY) {
                batch.pairs += (if mean { 1 } else { step.at.len() } * step.outputs.len()) as u64;
            }
        }
        batch
    }
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("numbers of 32 bits")
}
