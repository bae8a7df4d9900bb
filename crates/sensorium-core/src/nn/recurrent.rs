//! LSTM (Hochreiter and Schmidhuber 1997) and GRU (Cho et al. 2014) as torch computes and stores them.
//!
//! burn's own recurrent modules keep one linear layer a gate and know no lengths. Here the gates of a cell are packed
//! in one matrix as in torch (`i, f, g, o` in an LSTM, `r, z, n` in a GRU), so that a torch state dict loads by name
//! ([`from_torch_name`]) and the input of all time steps is projected by one matrix product.
//!
//! Sequences of one batch may differ in length. Past its length a sequence stands still: its output rows are zero, its
//! final state is the one at its own last element, and the reverse direction starts there.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::module::linear;
use burn::tensor::{Bool, Device, Tensor, TensorData, assert_shape};

use crate::{Error, Result};

/// Sizes of an [`Lstm`] or a [`Gru`].
///
/// ```
/// use burn::tensor::Tensor;
/// use sensorium_core::nn::recurrent::RecurrentConfig;
///
/// let device = sensorium_core::device::parse("flex")?;
/// let gru = RecurrentConfig::new(3, 5).with_bidirectional(true).init_gru(&device);
/// let words = Tensor::<3>::ones([2, 4, 3], &device);
/// let result = gru.forward(words, Some(&[4, 2]), None);
/// assert_eq!(result.output.dims(), [2, 4, 10]);
/// assert_eq!(result.hidden.dims(), [2, 2, 5]);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
#[derive(Config, Debug)]
pub struct RecurrentConfig {
    /// Features of one step of the input.
    pub input: usize,
    /// Features of the hidden state.
    pub hidden: usize,
    /// Layers, each fed with the output of the one below it.
    #[config(default = 1)]
    pub layers: usize,
    /// Whether each layer also reads the sequence from its end; its output is then twice as wide.
    #[config(default = false)]
    pub bidirectional: bool,
    /// The share of each layer's output (but the last one's) that is set to zero while training.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl RecurrentConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] if a size is 0 or `dropout` is outside `[0, 1)`.
    pub fn validate(&self) -> Result<()> {
        for (field, size) in [("input", self.input), ("hidden", self.hidden), ("layers", self.layers)] {
            if size == 0 {
                return Err(Error::config(field, size, "must be at least 1"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::config("dropout", self.dropout, "must be at least 0 and less than 1"));
        }
        Ok(())
    }

    /// An LSTM with weights drawn from ±1/√hidden, as torch does.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the sizes.
    pub fn init_lstm(&self, device: &Device) -> Lstm {
        self.init(device)
    }

    /// A GRU with weights drawn from ±1/√hidden, as torch does.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the sizes.
    pub fn init_gru(&self, device: &Device) -> Gru {
        self.init(device)
    }

    fn init<const GATES: usize>(&self, device: &Device) -> Recurrent<GATES> {
        self.validate().unwrap_or_else(|e| panic!("{e}"));
        let directions = if self.bidirectional { 2 } else { 1 };
        let layer = |below: usize| {
            let cell = || GatedCell::init(below, self.hidden, device);
            Layer { forward: cell(), reverse: self.bidirectional.then(cell) }
        };
        let inputs = (0..self.layers).map(|index| if index == 0 { self.input } else { directions * self.hidden });
        Recurrent { layers: inputs.map(layer).collect(), dropout: DropoutConfig::new(self.dropout).init() }
    }
}

/// A long short-term memory over sequences.
pub type Lstm = Recurrent<4>;

/// A gated recurrent unit over sequences; torch's variant, with the reset gate after the hidden projection.
pub type Gru = Recurrent<3>;

/// One step of an LSTM; the names and shapes of its parameters are those of torch's `LSTMCell`.
pub type LstmCell = GatedCell<4>;

/// One step of a GRU; the names and shapes of its parameters are those of torch's `GRUCell`.
pub type GruCell = GatedCell<3>;

/// What an LSTM carries from step to step. `D` is 2 for a cell (`[batch, hidden]`) and 3 for a stack
/// (`[layers * directions, batch, hidden]`, in the order layer 0 forward, layer 0 reverse, layer 1 forward, ...).
#[derive(Debug, Clone)]
pub struct LstmState<const D: usize> {
    /// The hidden state, which is also the output.
    pub hidden: Tensor<D>,
    /// The cell's memory.
    pub cell: Tensor<D>,
}

impl<const D: usize> LstmState<D> {
    /// The state before the first step.
    pub fn zeros(shape: [usize; D], device: &Device) -> Self {
        Self { hidden: Tensor::zeros(shape, device), cell: Tensor::zeros(shape, device) }
    }
}

/// What [`Lstm::forward`] returns.
#[derive(Debug, Clone)]
pub struct LstmOutput {
    /// The last layer's hidden states `[batch, time, directions * hidden]`, zero past each length.
    pub output: Tensor<3>,
    /// Hidden state `[layers * directions, batch, hidden]` at each sequence's own end.
    pub hidden: Tensor<3>,
    /// Memory `[layers * directions, batch, hidden]` at each sequence's own end.
    pub cell: Tensor<3>,
}

/// What [`Gru::forward`] returns.
#[derive(Debug, Clone)]
pub struct GruOutput {
    /// The last layer's hidden states `[batch, time, directions * hidden]`, zero past each length.
    pub output: Tensor<3>,
    /// Hidden state `[layers * directions, batch, hidden]` at each sequence's own end.
    pub hidden: Tensor<3>,
}

/// A stack of layers of cells with `GATES` gates. Use it as [`Lstm`] or [`Gru`].
#[derive(Module, Debug)]
pub struct Recurrent<const GATES: usize> {
    layers: Vec<Layer<GATES>>,
    dropout: Dropout,
}

impl Recurrent<4> {
    /// Runs the LSTM over a batch of sequences.
    ///
    /// `lengths` gives the number of real steps of each sequence, 0 to `time`; `None` means all. What the input holds
    /// past them does not matter as long as it is finite. `initial` is zero where it is `None`.
    ///
    /// # Shapes
    /// - `input`: `[batch, time, input]`
    /// - `initial`: both tensors `[layers * directions, batch, hidden]`
    /// - result: see [`LstmOutput`]
    ///
    /// # Panics
    /// If a shape is another, `time` is 0, or a length is more than `time`.
    pub fn forward(&self, input: Tensor<3>, lengths: Option<&[usize]>, initial: Option<LstmState<3>>) -> LstmOutput {
        let (output, [hidden, cell]) = self.run(input, lengths, initial.map(|state| [state.hidden, state.cell]));
        LstmOutput { output, hidden, cell }
    }
}

impl Recurrent<3> {
    /// Runs the GRU over a batch of sequences.
    ///
    /// `lengths` gives the number of real steps of each sequence, 0 to `time`; `None` means all. What the input holds
    /// past them does not matter as long as it is finite. `initial` is zero where it is `None`.
    ///
    /// # Shapes
    /// - `input`: `[batch, time, input]`
    /// - `initial`: `[layers * directions, batch, hidden]`
    /// - result: see [`GruOutput`]
    ///
    /// # Panics
    /// If a shape is another, `time` is 0, or a length is more than `time`.
    pub fn forward(&self, input: Tensor<3>, lengths: Option<&[usize]>, initial: Option<Tensor<3>>) -> GruOutput {
        let (output, [hidden]) = self.run(input, lengths, initial.map(|hidden| [hidden]));
        GruOutput { output, hidden }
    }
}

impl<const GATES: usize> Recurrent<GATES> {
    fn run<const STATES: usize>(
        &self,
        input: Tensor<3>,
        lengths: Option<&[usize]>,
        initial: Option<[Tensor<3>; STATES]>,
    ) -> (Tensor<3>, [Tensor<3>; STATES])
    where
        TurnedCell<GATES>: Advance<STATES>,
    {
        let [batch, time, features] = input.dims();
        let device = input.device();
        let [rows, width] = self.layers[0].forward.weight_ih.shape().dims();
        assert!(features == width, "the input has {features} features, the weights {width}");
        let hidden = rows / GATES;
        let runs = self.layers.iter().map(|layer| layer.cells().count()).sum();
        let initial = initial.unwrap_or_else(|| std::array::from_fn(|_| Tensor::zeros([runs, batch, hidden], &device)));
        for state in &initial {
            assert_shape!(state, [runs, batch, hidden]);
        }
        let ends = Ends::new(batch, time, lengths, &device);

        let mut below = input.slice_dim(1, ..ends.steps).swap_dims(0, 1); // [steps, batch, features]
        let mut finals: Vec<[Tensor<2>; STATES]> = Vec::with_capacity(runs);
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                below = self.dropout.forward(below);
            }
            let mut outputs = Vec::new();
            for (cell, order) in layer.cells() {
                let start = initial.each_ref().map(|state| state.clone().select_dim(0, finals.len()));
                let (output, end) = cell.run(below.clone(), &ends, order, start);
                outputs.push(output);
                finals.push(end);
            }
            below = ends.clear_past(Tensor::cat(outputs, 2));
        }
        let output = ends.restore_time(below.swap_dims(0, 1), time);
        let finals = std::array::from_fn(|s| Tensor::stack(finals.iter().map(|run| run[s].clone()).collect(), 0));
        (output, finals)
    }
}

#[derive(Module, Debug)]
struct Layer<const GATES: usize> {
    forward: GatedCell<GATES>,
    reverse: Option<GatedCell<GATES>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    FirstToLast,
    LastToFirst,
}

impl<const GATES: usize> Layer<GATES> {
    fn cells(&self) -> impl Iterator<Item = (&GatedCell<GATES>, Order)> {
        let reverse = self.reverse.iter().map(|cell| (cell, Order::LastToFirst));
        std::iter::once((&self.forward, Order::FirstToLast)).chain(reverse)
    }
}

/// The parameters of one cell with `GATES` gates, in torch's layout. Use it as [`LstmCell`] or [`GruCell`].
#[derive(Module, Debug)]
pub struct GatedCell<const GATES: usize> {
    /// `[gates * hidden, input]`: applied to the input.
    pub weight_ih: Param<Tensor<2>>,
    /// `[gates * hidden, hidden]`: applied to the hidden state.
    pub weight_hh: Param<Tensor<2>>,
    /// `[gates * hidden]`: added to the projected input.
    pub bias_ih: Param<Tensor<1>>,
    /// `[gates * hidden]`: added to the projected hidden state.
    pub bias_hh: Param<Tensor<1>>,
}

impl<const GATES: usize> GatedCell<GATES> {
    /// A cell from `input` to `hidden` features with weights drawn from ±1/√hidden, as torch does.
    pub fn init(input: usize, hidden: usize, device: &Device) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        let draw = Initializer::Uniform { min: -bound, max: bound };
        let rows = GATES * hidden;
        Self {
            weight_ih: draw.init([rows, input], device),
            weight_hh: draw.init([rows, hidden], device),
            bias_ih: draw.init([rows], device),
            bias_hh: draw.init([rows], device),
        }
    }

    /// The cell for many steps. Turning the weights once lets the gradients of all steps add up in one layout, which
    /// makes training several times as fast as turning them at each step.
    pub fn turned(&self) -> TurnedCell<GATES> {
        TurnedCell {
            weight_ih: self.weight_ih.val().transpose(),
            weight_hh: self.weight_hh.val().transpose(),
            bias_ih: self.bias_ih.val(),
            bias_hh: self.bias_hh.val(),
        }
    }

    /// Runs over `input` `[steps, batch, features]` and returns the hidden state after each step and the last state.
    fn run<const STATES: usize>(
        &self,
        input: Tensor<3>,
        ends: &Ends,
        order: Order,
        start: [Tensor<2>; STATES],
    ) -> (Tensor<3>, [Tensor<2>; STATES])
    where
        TurnedCell<GATES>: Advance<STATES>,
    {
        let cell = self.turned();
        let mut steps: Vec<_> = unstack(cell.project_input(input)).into_iter().zip(&ends.ended).collect();
        if order == Order::LastToFirst {
            steps.reverse();
        }
        let mut state = start;
        let mut outputs = Vec::with_capacity(steps.len());
        for (projected, ended) in steps {
            let next = cell.advance(projected, state.clone());
            state = match ended {
                Some(ended) => hold(next, state, ended),
                None => next,
            };
            outputs.push(state[0].clone());
        }
        if order == Order::LastToFirst {
            outputs.reverse();
        }
        (Tensor::stack(outputs, 0), state)
    }
}

/// A cell with its weights turned for matrix products. Made by [`GatedCell::turned`].
#[derive(Debug, Clone)]
pub struct TurnedCell<const GATES: usize> {
    /// `[input, gates * hidden]`
    weight_ih: Tensor<2>,
    /// `[hidden, gates * hidden]`
    weight_hh: Tensor<2>,
    bias_ih: Tensor<1>,
    bias_hh: Tensor<1>,
}

impl<const GATES: usize> TurnedCell<GATES> {
    /// `[.., input]` to `[.., gates * hidden]`.
    fn project_input<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        linear(input, self.weight_ih.clone(), Some(self.bias_ih.clone()))
    }

    /// `[batch, hidden]` to `[batch, gates * hidden]`.
    fn project_hidden(&self, hidden: Tensor<2>) -> Tensor<2> {
        linear(hidden, self.weight_hh.clone(), Some(self.bias_hh.clone()))
    }
}

impl TurnedCell<4> {
    /// Takes one step, as [`LstmCell::step`].
    ///
    /// # Shapes
    /// - `input`: `[batch, input]`
    /// - `state` and result: both tensors `[batch, hidden]`
    ///
    /// # Panics
    /// If a shape is another.
    pub fn step(&self, input: Tensor<2>, state: LstmState<2>) -> LstmState<2> {
        let [hidden, cell] = self.advance(self.project_input(input), [state.hidden, state.cell]);
        LstmState { hidden, cell }
    }
}

/// How a cell's state moves on by one step: what tells an LSTM from a GRU.
///
/// The state is `STATES` tensors `[batch, hidden]`, the hidden state first; `projected` `[batch, gates * hidden]` is
/// the input of the step, projected.
trait Advance<const STATES: usize> {
    fn advance(&self, projected: Tensor<2>, state: [Tensor<2>; STATES]) -> [Tensor<2>; STATES];
}

impl Advance<2> for TurnedCell<4> {
    fn advance(&self, projected: Tensor<2>, [hidden, cell]: [Tensor<2>; 2]) -> [Tensor<2>; 2] {
        let gates = projected + self.project_hidden(hidden);
        let [input, forget, candidate, output] = in_parts(gates);
        let cell = sigmoid(forget) * cell + sigmoid(input) * candidate.tanh();
        [sigmoid(output) * cell.clone().tanh(), cell]
    }
}

impl Advance<1> for TurnedCell<3> {
    fn advance(&self, projected: Tensor<2>, [hidden]: [Tensor<2>; 1]) -> [Tensor<2>; 1] {
        let [reset_x, update_x, new_x] = in_parts(projected);
        let [reset_h, update_h, new_h] = in_parts(self.project_hidden(hidden.clone()));
        let reset = sigmoid(reset_x + reset_h);
        let update = sigmoid(update_x + update_h);
        let new = (new_x + reset * new_h).tanh();
        [new.clone() + update * (hidden - new)]
    }
}

impl LstmCell {
    /// Takes one step.
    ///
    /// # Shapes
    /// - `input`: `[batch, input]`
    /// - `state` and result: both tensors `[batch, hidden]`
    ///
    /// # Panics
    /// If a shape is another.
    ///
    /// ```
    /// use burn::tensor::Tensor;
    /// use sensorium_core::nn::recurrent::{LstmCell, LstmState};
    ///
    /// let device = sensorium_core::device::parse("flex")?;
    /// let cell = LstmCell::init(3, 5, &device);
    /// let mut state = LstmState::zeros([2, 5], &device);
    /// for _ in 0..4 {
    ///     state = cell.step(Tensor::ones([2, 3], &device), state);
    /// }
    /// assert_eq!(state.hidden.dims(), [2, 5]);
    /// # Ok::<(), sensorium_core::Error>(())
    /// ```
    pub fn step(&self, input: Tensor<2>, state: LstmState<2>) -> LstmState<2> {
        self.turned().step(input, state)
    }
}

impl GruCell {
    /// Takes one step.
    ///
    /// # Shapes
    /// - `input`: `[batch, input]`
    /// - `hidden` and result: `[batch, hidden]`
    ///
    /// # Panics
    /// If a shape is another.
    pub fn step(&self, input: Tensor<2>, hidden: Tensor<2>) -> Tensor<2> {
        let cell = self.turned();
        let [hidden] = cell.advance(cell.project_input(input), [hidden]);
        hidden
    }
}

/// Where the sequences of a batch end.
struct Ends {
    /// Steps of the longest sequence: later ones need no work.
    steps: usize,
    /// For each step, the sequences `[batch, 1]` that have ended before it; `None` where none has.
    ended: Vec<Option<Tensor<2, Bool>>>,
    /// All of `ended` as `[steps, batch, 1]`; `None` where every sequence fills every step.
    past: Option<Tensor<3, Bool>>,
}

impl Ends {
    fn new(batch: usize, time: usize, lengths: Option<&[usize]>, device: &Device) -> Self {
        assert!(time > 0, "a sequence needs at least one step");
        let Some(lengths) = lengths else {
            return Self { steps: time, ended: vec![None; time], past: None };
        };
        assert!(lengths.len() == batch, "{} lengths for a batch of {batch}", lengths.len());
        let longest = lengths.iter().copied().max().unwrap_or(0);
        assert!(longest <= time, "a length of {longest} in a batch of {time} steps");
        let steps = longest.max(1);
        let ended_before = |step: usize| lengths.iter().map(move |&length| length <= step);
        let ended: Vec<_> = (0..steps)
            .map(|step| ended_before(step).any(|ended| ended).then(|| bools(ended_before(step), [batch, 1], device)))
            .collect();
        let past = ended
            .iter()
            .any(Option::is_some)
            .then(|| bools((0..steps).flat_map(ended_before), [steps, batch, 1], device));
        Self { steps, ended, past }
    }

    /// Sets `[steps, batch, features]` to zero where a sequence has ended.
    fn clear_past(&self, output: Tensor<3>) -> Tensor<3> {
        match &self.past {
            Some(past) => {
                let shape = output.dims();
                output.mask_fill(past.clone().expand(shape), 0.0)
            }
            None => output,
        }
    }

    /// Adds the steps that no sequence reaches: `[batch, steps, features]` to `[batch, time, features]`.
    fn restore_time(&self, output: Tensor<3>, time: usize) -> Tensor<3> {
        let [batch, steps, features] = output.dims();
        if steps == time {
            return output;
        }
        let rest = Tensor::zeros([batch, time - steps, features], &output.device());
        Tensor::cat(vec![output, rest], 1)
    }
}

fn bools<const D: usize>(values: impl Iterator<Item = bool>, shape: [usize; D], device: &Device) -> Tensor<D, Bool> {
    Tensor::from_data(TensorData::new(values.collect::<Vec<bool>>(), shape), device)
}

/// The `next` state, but the `old` one where a sequence has `ended` (`[batch, 1]`).
fn hold<const STATES: usize>(
    next: [Tensor<2>; STATES],
    old: [Tensor<2>; STATES],
    ended: &Tensor<2, Bool>,
) -> [Tensor<2>; STATES] {
    let mut old = old.into_iter();
    next.map(|next| {
        let old = old.next().expect("as many old states as new ones");
        next.mask_where(ended.clone().expand(old.dims()), old)
    })
}

/// The gates of `[batch, gates * hidden]`, each `[batch, hidden]`.
fn in_parts<const GATES: usize>(packed: Tensor<2>) -> [Tensor<2>; GATES] {
    packed.chunk(GATES, 1).try_into().expect("a packed width is a multiple of the number of gates")
}

/// The steps `[batch, features]` of `[steps, batch, features]`.
///
/// The gradient of a cut fills a tensor as large as the one that was cut. Halving again and again therefore costs
/// steps·log(steps) in training, where cutting every step out of the whole would cost steps².
fn unstack(tensor: Tensor<3>) -> Vec<Tensor<2>> {
    let steps = tensor.dims()[0];
    if steps == 1 {
        return vec![tensor.squeeze_dim(0)];
    }
    let mut all = unstack(tensor.clone().slice_dim(0, ..steps / 2));
    all.extend(unstack(tensor.slice_dim(0, steps / 2..)));
    all
}

/// The path of a parameter here, from its name in a torch state dict: `text.rnn.weight_ih_l0_reverse` becomes
/// `text.rnn.layers.0.reverse.weight_ih`. Every other name comes back as it is, so that this can serve as the renaming
/// of a whole model.
///
/// ```
/// use sensorium_core::nn::recurrent::from_torch_name;
///
/// assert_eq!(from_torch_name("lstm.bias_hh_l1"), "lstm.layers.1.forward.bias_hh");
/// assert_eq!(from_torch_name("embed.weight"), "embed.weight");
/// ```
pub fn from_torch_name(name: &str) -> String {
    let (prefix, last) = name.split_at(name.rfind('.').map_or(0, |dot| dot + 1));
    let (last, direction) = match last.strip_suffix("_reverse") {
        Some(rest) => (rest, "reverse"),
        None => (last, "forward"),
    };
    match last.rsplit_once("_l") {
        Some((parameter @ ("weight_ih" | "weight_hh" | "bias_ih" | "bias_hh"), layer))
            if layer.parse::<u32>().is_ok() =>
        {
            format!("{prefix}layers.{layer}.{direction}.{parameter}")
        }
        _ => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nn::sample::{numbers, values};
    use crate::testing::{assert_close, check_model};

    const BOUND: (f64, f64) = (1e-5, 1e-4);

    fn flex() -> Device {
        crate::device::parse("flex").unwrap()
    }

    #[test]
    fn names_of_torch_become_paths() {
        for (torch, path) in [
            ("weight_ih_l0", "layers.0.forward.weight_ih"),
            ("rnn.bias_hh_l12_reverse", "rnn.layers.12.reverse.bias_hh"),
            ("a.b.weight_hh_l1", "a.b.layers.1.forward.weight_hh"),
            ("decoder.weight_ih", "decoder.weight_ih"),
            ("weight_ih_lx", "weight_ih_lx"),
            ("scale_l2", "scale_l2"),
            ("conv_reverse", "conv_reverse"),
        ] {
            assert_eq!(from_torch_name(torch), path);
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        let refused = |config: RecurrentConfig| config.validate().unwrap_err().to_string();
        assert!(refused(RecurrentConfig::new(0, 1)).contains("input = 0"));
        assert!(refused(RecurrentConfig::new(1, 1).with_layers(0)).contains("layers = 0"));
        assert!(refused(RecurrentConfig::new(1, 1).with_dropout(1.0)).contains("dropout = 1"));
        assert!(refused(RecurrentConfig::new(1, 1).with_dropout(f64::NAN)).contains("dropout"));
    }

    #[test]
    fn a_gru_cell_follows_the_published_equations() {
        let device = flex();
        let cell = GruCell {
            weight_ih: Param::from_tensor(Tensor::from_data([[0.5], [-0.3], [0.8]], &device)),
            weight_hh: Param::from_tensor(Tensor::from_data([[0.2], [0.7], [-0.6]], &device)),
            bias_ih: Param::from_tensor(Tensor::from_data([0.1, 0.0, -0.2], &device)),
            bias_hh: Param::from_tensor(Tensor::from_data([0.0, 0.3, 0.4], &device)),
        };
        let (x, h) = (1.5f64, -0.4f64);
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let reset = sigmoid(0.5 * x + 0.1 + 0.2 * h);
        let update = sigmoid(-0.3 * x + 0.7 * h + 0.3);
        let new = (0.8 * x - 0.2 + reset * (-0.6 * h + 0.4)).tanh();
        let want = (1.0 - update) * new + update * h;
        let got = cell.step(Tensor::from_data([[x as f32]], &device), Tensor::from_data([[h as f32]], &device));
        assert_close(&values(&got), &[want as f32], (1e-6, 0.0), "one GRU step");
    }

    #[test]
    fn a_stack_takes_the_steps_of_its_cell() {
        let device = flex();
        let lstm = RecurrentConfig::new(3, 4).init_lstm(&device);
        let input = numbers([2, 5, 3], &device);
        let result = lstm.forward(input.clone(), None, None);
        let mut state = LstmState::zeros([2, 4], &device);
        for step in 0..5 {
            state = lstm.layers[0].forward.step(input.clone().select_dim(1, step), state);
            let row: Tensor<2> = result.output.clone().select_dim(1, step);
            assert_close(&values(&row), &values(&state.hidden), BOUND, "hidden state after a step");
        }
        assert_close(&values(&result.cell), &values(&state.cell), BOUND, "memory at the end");
    }

    #[test]
    fn the_reverse_direction_reads_the_sequence_from_its_own_end() {
        let device = flex();
        let gru = RecurrentConfig::new(3, 4).with_bidirectional(true).init_gru(&device);
        let backward = Gru {
            layers: vec![Layer { forward: gru.layers[0].reverse.clone().unwrap(), reverse: None }],
            dropout: gru.dropout.clone(),
        };
        let input = numbers([1, 6, 3], &device);
        let both = gru.forward(input.clone(), Some(&[4]), None);
        let turned = backward.forward(input.slice_dim(1, ..4).flip([1]), None, None);
        let got = both.output.slice([0..1, 0..4, 4..8]);
        assert_close(&values(&got), &values(&turned.output.flip([1])), BOUND, "reverse outputs");
        let got = both.hidden.slice_dim(0, 1..2);
        assert_close(&values(&got), &values(&turned.hidden), BOUND, "reverse final state");
    }

    #[test]
    fn an_empty_sequence_keeps_its_initial_state() {
        let device = flex();
        let gru = RecurrentConfig::new(2, 3).with_bidirectional(true).init_gru(&device);
        let start = numbers([2, 2, 3], &device);
        for lengths in [[0, 2], [0, 0]] {
            let result = gru.forward(numbers([2, 3, 2], &device), Some(&lengths), Some(start.clone()));
            let first = |t: &Tensor<3>, dim: usize| values(&t.clone().slice_dim(dim, ..1));
            assert_eq!(first(&result.hidden, 1), first(&start, 1));
            assert!(first(&result.output, 0).iter().all(|v| *v == 0.0));
            assert_eq!(result.output.dims(), [2, 3, 6]);
        }
    }

    #[test]
    fn dropout_acts_between_layers_in_training_alone() {
        let device = flex();
        device.seed(3);
        let init = |device: &Device| RecurrentConfig::new(2, 8).with_layers(2).with_dropout(0.5).init_gru(device);
        let gru = init(&device);
        let run = |gru: &Gru, device: &Device| values(&gru.forward(numbers([2, 3, 2], device), None, None).output);
        assert_eq!(run(&gru, &device), run(&gru, &device));
        let learning = device.autodiff();
        let gru = init(&learning);
        assert_ne!(run(&gru, &learning), run(&gru, &learning));
    }

    #[test]
    #[should_panic(expected = "a length of 4 in a batch of 3 steps")]
    fn a_length_past_the_end_panics() {
        let device = flex();
        RecurrentConfig::new(2, 3).init_gru(&device).forward(Tensor::zeros([1, 3, 2], &device), Some(&[4]), None);
    }

    #[test]
    fn every_backend_agrees_on_an_lstm() {
        let init =
            |device: &Device| RecurrentConfig::new(3, 4).with_layers(2).with_bidirectional(true).init_lstm(device);
        let forward = |lstm: &Lstm, device: &Device| {
            let result = lstm.forward(numbers([3, 4, 3], device), Some(&[2, 4, 1]), None);
            Tensor::cat(vec![result.output.reshape([3, 32]), result.cell.swap_dims(0, 1).reshape([3, 16])], 1)
        };
        check_model("LSTM", init, forward, [3, 48], 1e-4);
    }

    #[test]
    fn every_backend_agrees_on_a_gru() {
        let init = |device: &Device| RecurrentConfig::new(3, 5).with_bidirectional(true).init_gru(device);
        let forward =
            |gru: &Gru, device: &Device| gru.forward(numbers([3, 4, 3], device), Some(&[2, 4, 1]), None).output;
        check_model("GRU", init, forward, [3, 4, 10], 1e-4);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// A sequence gives the same result alone and in a batch of longer ones, whatever stands past its end.
        #[test]
        fn padding_changes_nothing(lengths in prop::collection::vec(1usize..6, 1..4), junk in -9.0f32..9.0) {
            let device = flex();
            let lstm = RecurrentConfig::new(2, 3).with_layers(2).with_bidirectional(true).init_lstm(&device);
            let rows: Vec<Tensor<3>> = lengths
                .iter()
                .map(|&length| {
                    let real = numbers([1, length, 2], &device) * (length as f32 / 3.0);
                    Tensor::cat(vec![real, Tensor::full([1, 7 - length, 2], junk, &device)], 1)
                })
                .collect();
            let together = lstm.forward(Tensor::cat(rows.clone(), 0), Some(&lengths), None);
            for (index, (row, &length)) in rows.into_iter().zip(&lengths).enumerate() {
                let alone = lstm.forward(row.slice_dim(1, ..length), None, None);
                let mine = together.output.clone().slice([index..index + 1, 0..length, 0..6]);
                assert_close(&values(&mine), &values(&alone.output), BOUND, "output");
                let past = together.output.clone().slice([index..index + 1, length..7, 0..6]);
                prop_assert!(values(&past).iter().all(|v| *v == 0.0));
                let mine = together.cell.clone().slice_dim(1, index..index + 1);
                assert_close(&values(&mine), &values(&alone.cell), BOUND, "final memory");
            }
        }
    }
}
