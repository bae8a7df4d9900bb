//! The folded network in kernels of its own.
//!
//! burn's CPU backends run a convolution, its bias and its activation one after the other over whole maps, and their
//! depthwise convolution is not vectorised for AVX2. Here the channels stand side by side ([`Map`]), biases and relu6
//! are applied to sums still in registers, and an expanded map, six times as large as its input, is made a few rows of
//! a few channels at a time, just before the depthwise convolution reads it.

mod kernels;
mod map;

use std::ops::ControlFlow;
use std::sync::Mutex;

use kernels::{DenseTask, DepthwiseTask, Finish};
use map::{GROUP, Map, group_widths};
use pulp::Arch;
use rayon::prelude::*;

use super::Layer;
use super::layer::Kept;

/// The folded network, packed for the kernels.
pub(super) struct Network {
    stem: Dense,
    blocks: Vec<Block>,
    head: Dense,
    classes: Dense,
    /// Memory of earlier runs, one piece for each that ran at a time.
    workspaces: Mutex<Vec<Workspace>>,
}

/// The maps of one run.
#[derive(Default)]
struct Workspace {
    current: Map,
    next: Map,
    hidden: Map,
}

/// A layer's maps, as `[batch, channels, height, width]`, and the numbers.
pub(super) type Plain = ([usize; 4], Vec<f32>);

impl Network {
    /// `stem` takes the 27 numbers of a window, channel by channel.
    pub(super) fn new(stem: Dense, blocks: Vec<Block>, head: Dense, classes: Dense) -> Self {
        Self { stem, blocks, head, classes, workspaces: Mutex::default() }
    }

    /// The maps of `layers`. `pixels` is `[batch, 3, height, width]`, and `shape` says its batch, height and width.
    pub(super) fn maps(&self, pixels: &[f32], shape: [usize; 3], layers: &[Layer]) -> Vec<Plain> {
        let [batch, height, width] = shape;
        let pictures = pixels.par_chunks_exact((3 * height * width).max(1));
        let each = pictures.map(|picture| self.maps_of_one(picture, [height, width], layers));
        // Inside the pool once, not anew for each of a picture's parallel loops.
        let of_each: Vec<_> = rayon::scope(|_| each.collect());
        let gather = |layer: usize| {
            let shape = of_each.first().map_or([0; 3], |maps| maps[layer].0);
            let numbers = of_each.iter().flat_map(|maps| &maps[layer].1).copied().collect();
            ([batch, shape[0], shape[1], shape[2]], numbers)
        };
        (0..layers.len()).map(gather).collect()
    }

    fn maps_of_one(&self, picture: &[f32], size: [usize; 2], layers: &[Layer]) -> Vec<([usize; 3], Vec<f32>)> {
        let mut workspace = self.workspaces.lock().expect("no panic while it is held").pop().unwrap_or_default();
        let mut kept = Kept::new(layers);
        let _ = self.run(picture, size, &mut workspace, &mut kept);
        self.workspaces.lock().expect("no panic while it is held").push(workspace);
        kept.into_maps()
    }

    /// Runs the network for as long as `kept` waits for a map.
    fn run(
        &self,
        picture: &[f32],
        size: [usize; 2],
        workspace: &mut Workspace,
        kept: &mut Kept<([usize; 3], Vec<f32>)>,
    ) -> ControlFlow<()> {
        let Workspace { current, next, hidden } = workspace;
        let plain = |map: &Map| ([map.channels, map.height, map.width], map.planes());
        stem(&self.stem, picture, size, current);
        kept.see(Layer::Stem, || plain(current))?;
        for (index, block) in self.blocks.iter().enumerate() {
            block.run(current, hidden, next);
            std::mem::swap(current, next);
            kept.see(Layer::Block(index), || plain(current))?;
        }
        self.head.run(current, |_| Finish::Relu6, hidden);
        kept.see(Layer::Features, || plain(hidden))?;
        mean(hidden, current);
        kept.see(Layer::Pooled, || plain(current))?;
        self.classes.run(current, |_| Finish::Plain, next);
        kept.see(Layer::Logits, || plain(next))
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("blocks", &self.blocks.len()).finish_non_exhaustive()
    }
}

/// A 1 × 1 convolution or a linear layer: for each group of outputs `[inputs, group width]` weights.
pub(super) struct Dense {
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Dense {
    /// `weights` is `[inputs, outputs]`, `bias` `[outputs]`.
    pub(super) fn new(weights: &[f32], bias: &[f32]) -> Self {
        let outputs = bias.len();
        Self {
            inputs: weights.len() / outputs,
            outputs,
            weights: grouped(weights, outputs),
            bias: grouped(bias, outputs),
        }
    }

    /// Fills `out` from `source`; `finish` says what to do with the sums of each output group.
    fn run<'a>(&self, source: &Map, finish: impl Fn(usize) -> Finish<'a> + Sync, out: &mut Map) {
        out.reshape(self.outputs, source.height, source.width);
        let pixels = pixels_a_task(source.pixels(), self.bias.len().div_ceil(GROUP));
        let tasks = out.groups_mut().enumerate().flat_map(|(group, (width, numbers))| {
            let pieces = numbers.chunks_mut(pixels * width).enumerate();
            pieces.map(move |(piece, out)| (group, piece * pixels, out))
        });
        tasks.collect::<Vec<_>>().into_par_iter().for_each(|(group, first_pixel, out)| {
            let finish = match finish(group) {
                Finish::Plus(numbers) => {
                    let width = numbers.len() / source.pixels();
                    Finish::Plus(&numbers[first_pixel * width..])
                }
                other => other,
            };
            self.run_group(group, source, first_pixel, finish, out);
        });
    }

    /// Fills `out`, `[pixels, group width]`, with one output group of consecutive pixels.
    fn run_group(&self, group: usize, source: &Map, first_pixel: usize, finish: Finish, out: &mut [f32]) {
        let weights = of_group(&self.weights, self.inputs, group);
        let bias = of_group(&self.bias, 1, group);
        Arch::new().dispatch(DenseTask { source, first_pixel, weights, bias, finish, out });
    }
}

/// `[rows, columns]` numbers with the columns in groups, padded with zeros: `[rows, group width]` after each other.
fn grouped(numbers: &[f32], columns: usize) -> Vec<f32> {
    let mut grouped = Vec::with_capacity(numbers.len() / columns * columns.next_multiple_of(GROUP));
    for (group, width) in group_widths(columns).enumerate() {
        for row in numbers.chunks_exact(columns) {
            let row = &row[group * GROUP..columns.min(group * GROUP + width)];
            grouped.extend_from_slice(row);
            grouped.resize(grouped.len() + width - row.len(), 0.0);
        }
    }
    grouped
}

/// A group of what [`grouped`] makes of `rows` rows.
fn of_group(numbers: &[f32], rows: usize, group: usize) -> &[f32] {
    let widest = rows * GROUP;
    &numbers[group * widest..numbers.len().min((group + 1) * widest)]
}

/// How many consecutive pixels are one task: 56, which tiles of 7 and of 8 both divide, or fewer if that leaves
/// threads without work.
fn pixels_a_task(pixels: usize, groups: usize) -> usize {
    let mut piece = 56;
    while piece > 7 && groups * pixels.div_ceil(piece) < 4 * rayon::current_num_threads() {
        piece /= 2;
    }
    piece
}

/// A filter of its own for each channel, with relu6; `[kernel, kernel, group width]` for each group.
pub(super) struct Depthwise {
    channels: usize,
    kernel: usize,
    stride: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    /// `weights` is `[kernel, kernel, channels]`, `bias` `[channels]`.
    pub(super) fn new(weights: &[f32], bias: &[f32], kernel: usize, stride: usize) -> Self {
        let channels = bias.len();
        Self { channels, kernel, stride, weights: grouped(weights, channels), bias: grouped(bias, channels) }
    }
}

/// An inverted residual block.
pub(super) struct Block {
    pub(super) expand: Option<Dense>,
    pub(super) depthwise: Depthwise,
    pub(super) project: Dense,
    pub(super) residual: bool,
}

impl Block {
    /// From `source` to `out`; `hidden` is working memory.
    fn run(&self, source: &Map, hidden: &mut Map, out: &mut Map) {
        let Depthwise { channels, kernel, stride, .. } = self.depthwise;
        hidden.reshape(channels, source.height.div_ceil(stride), source.width.div_ceil(stride));
        let (height, width) = (hidden.height, hidden.width);
        let window = Window::new(source, kernel, stride, [height, width]);
        let rows = window.rows_a_task(height, group_widths(channels).count());
        let tasks = hidden.groups_mut().enumerate().flat_map(|(group, (group_width, numbers))| {
            let bands = numbers.chunks_mut(rows * width * group_width).enumerate();
            bands.map(move |(band, out)| (group, band * rows, out))
        });
        tasks.collect::<Vec<_>>().into_par_iter().for_each_init(Vec::new, |padded, (group, first_row, out)| {
            self.hidden_rows(source, &window, group, first_row, padded, out);
        });
        match self.residual {
            true => self.project.run(hidden, |group| Finish::Plus(source.group(group)), out),
            false => self.project.run(hidden, |_| Finish::Plain, out),
        }
    }

    /// Rows of one group of the hidden map from `first_row` on: expands the input rows that they see into `padded`,
    /// with the padding around them, and filters those.
    fn hidden_rows(
        &self,
        source: &Map,
        window: &Window,
        group: usize,
        first_row: usize,
        padded: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let Depthwise { kernel, stride, ref weights, ref bias, .. } = self.depthwise;
        let bias = of_group(bias, 1, group);
        let group_width = bias.len();
        let padded_row = window.padded_width * group_width;
        let out_row = window.width * group_width;
        let rows = (out.len() / out_row - 1) * stride + kernel;
        padded.resize(rows * padded_row, 0.0);
        for (index, row) in padded.chunks_exact_mut(padded_row).enumerate() {
            match (first_row * stride + index).checked_sub(window.top).filter(|row| *row < source.height) {
                Some(from) => {
                    let (left, row) = row.split_at_mut(window.left * group_width);
                    let (middle, right) = row.split_at_mut(source.width * group_width);
                    left.fill(0.0);
                    right.fill(0.0);
                    match &self.expand {
                        Some(expand) => expand.run_group(group, source, from * source.width, Finish::Relu6, middle),
                        None => middle.copy_from_slice(&source.group(group)[from * middle.len()..][..middle.len()]),
                    }
                }
                None => row.fill(0.0),
            }
        }
        let weights = of_group(weights, kernel * kernel, group);
        for (index, out) in out.chunks_exact_mut(out_row).enumerate() {
            let rows = &padded[index * stride * padded_row..][..kernel * padded_row];
            Arch::new().dispatch(DepthwiseTask { kernel, stride, rows, weights, bias, out });
        }
    }
}

/// Where a depthwise filter meets its padded input: TensorFlow's SAME, the odd pixel below and right.
struct Window {
    top: usize,
    left: usize,
    padded_width: usize,
    kernel: usize,
    stride: usize,
    /// Of the output.
    width: usize,
}

impl Window {
    fn new(source: &Map, kernel: usize, stride: usize, [height, width]: [usize; 2]) -> Self {
        let needed = |count: usize| (count - 1) * stride + kernel;
        let before = |from: usize, to: usize| needed(to).saturating_sub(from) / 2;
        let left = before(source.width, width);
        Self {
            top: before(source.height, height),
            left,
            padded_width: needed(width).max(left + source.width),
            kernel,
            stride,
            width,
        }
    }

    /// Output rows that are one task: all, halved until the padded rows fit well into a second-level cache and
    /// every thread finds work. Each task makes the rows at its edges anew, so they are not cut finer.
    fn rows_a_task(&self, height: usize, groups: usize) -> usize {
        const CACHED: usize = 1 << 16;
        let mut rows = height;
        while rows > 4
            && (groups * height.div_ceil(rows) < 4 * rayon::current_num_threads()
                || ((rows - 1) * self.stride + self.kernel) * self.padded_width * GROUP > CACHED)
        {
            rows = rows.div_ceil(2);
        }
        rows
    }
}

/// The 3 × 3 convolution of stride 2 with relu6 over a `[3, height, width]` picture: every window laid out as a pixel
/// of 27 channels, then a dense layer.
fn stem(dense: &Dense, picture: &[f32], [height, width]: [usize; 2], out: &mut Map) {
    out.reshape(dense.outputs, height.div_ceil(2), width.div_ceil(2));
    let before = |from: usize, to: usize| ((to - 1) * 2 + STEM_KERNEL).saturating_sub(from) / 2;
    let (top, left) = (before(height, out.height), before(width, out.width));
    let columns = out.width;
    let tasks = out.groups_mut().enumerate().flat_map(|(group, (group_width, numbers))| {
        numbers.chunks_mut(columns * group_width).enumerate().map(move |(row, out)| (group, row, out))
    });
    tasks.collect::<Vec<_>>().into_par_iter().for_each_init(Map::default, |windows, (group, row, out)| {
        windows.reshape(dense.inputs, 1, columns);
        let (stride, windows_of_row) = windows.groups_mut().next().expect("one group");
        windows_of_row.fill(0.0);
        for place in 0..dense.inputs {
            let (channel, y, x) = (place / STEM_KERNEL.pow(2), place / STEM_KERNEL % STEM_KERNEL, place % STEM_KERNEL);
            let Some(y) = (2 * row + y).checked_sub(top).filter(|y| *y < height) else { continue };
            let pixels = &picture[(channel * height + y) * width..][..width];
            // The first window whose pixel at `x` is inside the picture, and that pixel. A narrow picture may have none.
            let first = left.saturating_sub(x).div_ceil(2);
            let pixels = pixels.iter().skip(2 * first + x - left).step_by(2);
            let windows = windows_of_row.chunks_exact_mut(stride).skip(first);
            windows.zip(pixels).for_each(|(window, pixel)| window[place] = *pixel);
        }
        dense.run_group(group, windows, 0, Finish::Relu6, out);
    });
}

const STEM_KERNEL: usize = 3;

/// The mean of each channel.
fn mean(source: &Map, out: &mut Map) {
    out.reshape(source.channels, 1, 1);
    let share = 1.0 / source.pixels() as f32;
    for ((width, numbers), (_, means)) in source.groups().zip(out.groups_mut()) {
        means.fill(0.0);
        for pixel in numbers.chunks_exact(width) {
            means.iter_mut().zip(pixel).for_each(|(mean, number)| *mean += number);
        }
        means.iter_mut().for_each(|mean| *mean *= share);
    }
}
