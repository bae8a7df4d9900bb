//! EfficientNet's block: an expanded map, six times as large as its input, is made a few rows of a few channels at a time,
//! just before the depthwise convolution reads it.

use burn::nn::conv::Conv2d;
use pulp::Arch;
use rayon::prelude::*;

use super::convolution::{Convolution, Padding, of_group, padded};
use super::kernels::{DepthwiseTask, Finish, Windows};
use super::map::{GROUP, Map, group_widths};
use super::numbers;

/// A filter of its own for each channel, with relu6; `[kernel, kernel, group width]` for each group.
pub(crate) struct Depthwise {
    channels: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    /// A convolution with a group for each channel that has a bias, as every merged one.
    pub(crate) fn new(conv: &Conv2d, padding: Padding) -> Self {
        let bias = numbers(conv.bias.as_ref().expect("a merged convolution has a bias").val());
        let taps = numbers(conv.weight.val().flatten::<2>(1, 3).transpose()); // [kernel × kernel, channels]
        let channels = bias.len();
        let mut weights = Vec::with_capacity(taps.len());
        for (group, width) in group_widths(channels).enumerate() {
            for row in taps.chunks_exact(channels) {
                let row = &row[group * GROUP..channels.min(group * GROUP + width)];
                weights.extend_from_slice(row);
                weights.resize(weights.len() + width - row.len(), 0.0);
            }
        }
        let (kernel, stride) = (conv.kernel_size[0], conv.stride[0]);
        Self { channels, kernel, stride, padding, weights, bias: padded(&bias) }
    }
}

/// An inverted residual block.
pub(crate) struct InvertedResidual {
    pub(crate) expand: Option<Convolution>,
    pub(crate) depthwise: Depthwise,
    pub(crate) project: Convolution,
    pub(crate) residual: bool,
}

impl InvertedResidual {
    /// From `source` to `out`; `hidden` is working memory.
    pub(super) fn run(&self, source: &Map, hidden: &mut Map, out: &mut Map) {
        let Depthwise { channels, .. } = self.depthwise;
        let window = Window::new(source, &self.depthwise);
        let (height, width) = (window.height, window.width);
        hidden.reshape(channels, height, width);
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
                        Some(expand) => {
                            let pixels = Windows::pixels(source.width);
                            expand.run_group(group, source, pixels, from * source.width, Finish::Relu6, middle);
                        }
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

/// Where a depthwise filter meets its padded input.
struct Window {
    top: usize,
    left: usize,
    padded_width: usize,
    kernel: usize,
    stride: usize,
    /// Of the output.
    height: usize,
    /// Of the output.
    width: usize,
}

impl Window {
    fn new(source: &Map, depthwise: &Depthwise) -> Self {
        let Depthwise { kernel, stride, padding, .. } = *depthwise;
        let (height, top) = padding.windows(source.height, kernel, stride);
        let (width, left) = padding.windows(source.width, kernel, stride);
        let padded_width = ((width - 1) * stride + kernel).max(left + source.width);
        Self { top, left, padded_width, kernel, stride, height, width }
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
