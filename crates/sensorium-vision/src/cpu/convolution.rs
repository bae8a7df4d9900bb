//! Convolutions of any kernel, linear layers, and the first convolution of a picture.

use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use pulp::Arch;
use rayon::prelude::*;

use super::kernels::{ConvolutionTask, Finish, Windows};
use super::map::{GROUP, Map, group_widths};
use super::{numbers, rows_by_group};

/// How far a source is taken to reach beyond its edges, as zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Padding {
    /// So many pixels on each side.
    Pixels(usize),
    /// TensorFlow's SAME: ⌈size / stride⌉ windows, the odd pixel of padding below and right.
    Same,
}

impl Padding {
    /// The number of windows over `size` pixels, and the zeros before the first.
    pub(super) fn windows(self, size: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Pixels(padding) => ((size + 2 * padding - kernel) / stride + 1, padding),
            Self::Same => {
                let windows = size.div_ceil(stride);
                (windows, ((windows - 1) * stride + kernel).saturating_sub(size) / 2)
            }
        }
    }
}

/// A convolution: for each group of outputs the weights as [`ConvolutionTask`] takes them.
pub(crate) struct Convolution {
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: Padding,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Convolution {
    /// A convolution without groups that has a bias, as every merged one.
    pub(crate) fn new(conv: &Conv2d, padding: Padding) -> Self {
        let bias = numbers(conv.bias.as_ref().expect("a merged convolution has a bias").val());
        Self::of_weights(&numbers(conv.weight.val()), &bias, conv.kernel_size, conv.stride[0], padding)
    }

    /// A linear layer, as a convolution whose window is the whole map of `size`: its inputs are `[channel, row, column]`.
    pub(crate) fn linear(linear: &Linear, size: [usize; 2]) -> Self {
        let bias = numbers(linear.bias.as_ref().expect("a bias").val());
        Self::of_weights(&numbers(linear.weight.val().transpose()), &bias, size, 1, Padding::Pixels(0))
    }

    /// The first convolution of a picture: its windows are laid out as pixels beforehand, see [`Stem`].
    fn of_windows(conv: &Conv2d) -> Self {
        let bias = numbers(conv.bias.as_ref().expect("a merged convolution has a bias").val());
        Self::of_weights(&numbers(conv.weight.val()), &bias, [1, 1], 1, Padding::Pixels(0))
    }

    /// `weights` is `[outputs, inputs, kernel height, kernel width]`.
    fn of_weights(weights: &[f32], bias: &[f32], kernel: [usize; 2], stride: usize, padding: Padding) -> Self {
        let (outputs, taps) = (bias.len(), kernel[0] * kernel[1]);
        let inputs = weights.len() / outputs / taps;
        let mut packed = Vec::with_capacity(inputs * taps * outputs.next_multiple_of(GROUP));
        for (out_group, width) in group_widths(outputs).enumerate() {
            let columns = outputs.min(out_group * GROUP + width) - out_group * GROUP;
            let of_group = &weights[out_group * GROUP * inputs * taps..][..columns * inputs * taps];
            for first in (0..inputs).step_by(GROUP) {
                for tap in 0..taps {
                    for input in first..inputs.min(first + GROUP) {
                        let row = of_group.chunks_exact(inputs * taps).map(|weights| weights[input * taps + tap]);
                        packed.extend(row);
                        packed.resize(packed.len() + width - columns, 0.0);
                    }
                }
            }
        }
        Self { inputs, outputs, kernel, stride, padding, weights: packed, bias: padded(bias) }
    }

    /// Fills `out` from `source`; `finish` says what to do with the sums of each output group.
    pub(super) fn run<'a>(&self, source: &Map, finish: impl Fn(usize) -> Finish<'a> + Sync, out: &mut Map) {
        assert_eq!(source.channels, self.inputs, "a convolution of {} channels", self.inputs);
        let (height, top) = self.padding.windows(source.height, self.kernel[0], self.stride);
        let (width, left) = self.padding.windows(source.width, self.kernel[1], self.stride);
        let windows = Windows { kernel: self.kernel, stride: self.stride, padding: [top, left], columns: width };
        out.reshape(self.outputs, height, width);
        let out_pixels = out.pixels();
        let pixels = pixels_a_task(out_pixels, self.bias.len().div_ceil(GROUP));
        let tasks = out.groups_mut().enumerate().flat_map(|(group, (width, numbers))| {
            let pieces = numbers.chunks_mut(pixels * width).enumerate();
            pieces.map(move |(piece, out)| (group, piece * pixels, out))
        });
        tasks.collect::<Vec<_>>().into_par_iter().for_each(|(group, first_pixel, out)| {
            let from_here = |numbers: &'a [f32]| &numbers[first_pixel * (numbers.len() / out_pixels)..];
            let finish = match finish(group) {
                Finish::Plus(numbers) => Finish::Plus(from_here(numbers)),
                Finish::PlusRelu(numbers) => Finish::PlusRelu(from_here(numbers)),
                other => other,
            };
            self.run_group(group, source, windows, first_pixel, finish, out);
        });
    }

    /// Fills `out`, `[pixels, group width]`, with one output group of consecutive pixels.
    pub(super) fn run_group(
        &self,
        group: usize,
        source: &Map,
        windows: Windows,
        first_pixel: usize,
        finish: Finish,
        out: &mut [f32],
    ) {
        let weights = of_group(&self.weights, self.inputs * self.kernel[0] * self.kernel[1], group);
        let bias = of_group(&self.bias, 1, group);
        Arch::new().dispatch(ConvolutionTask { source, windows, first_pixel, weights, bias, finish, out });
    }
}

/// The numbers, and zeros up to whole registers.
pub(super) fn padded(numbers: &[f32]) -> Vec<f32> {
    let mut padded = numbers.to_vec();
    padded.resize(group_widths(numbers.len()).sum(), 0.0);
    padded
}

/// The numbers of a group where there are `rows` of its width for each.
pub(super) fn of_group(numbers: &[f32], rows: usize, group: usize) -> &[f32] {
    let widest = rows * GROUP;
    &numbers[group * widest..numbers.len().min((group + 1) * widest)]
}

/// How many consecutive pixels are one task: a multiple of the tiles that leaves no rest, 56 or 64, or fewer if that leaves
/// threads without work.
fn pixels_a_task(pixels: usize, groups: usize) -> usize {
    let mut piece = if pixels.is_multiple_of(64) { 64 } else { 56 };
    while piece > 7 && groups * pixels.div_ceil(piece) < 4 * rayon::current_num_threads() {
        piece /= 2;
    }
    piece
}

/// The first convolution of a network, over a `[3, height, width]` picture. Three channels would leave most of a vector
/// empty, so every window is laid out as a pixel of its own whose channels are the window's numbers.
pub(crate) struct Stem {
    windows: Convolution,
    kernel: usize,
    stride: usize,
    padding: Padding,
}

impl Stem {
    pub(crate) fn new(conv: &Conv2d, padding: Padding) -> Self {
        Self { windows: Convolution::of_windows(conv), kernel: conv.kernel_size[0], stride: conv.stride[0], padding }
    }

    pub(super) fn run(&self, picture: &[f32], [height, width]: [usize; 2], finish: Finish, out: &mut Map) {
        let (rows, top) = self.padding.windows(height, self.kernel, self.stride);
        let (columns, left) = self.padding.windows(width, self.kernel, self.stride);
        out.reshape(self.windows.outputs, rows, columns);
        let planes = Planes { picture, height, width, top, left };
        rows_by_group(out).into_par_iter().enumerate().for_each_init(Map::default, |windows, (row, groups)| {
            self.lay_out(&planes, row, columns, windows);
            for (group, out) in groups.into_iter().enumerate() {
                self.windows.run_group(group, windows, Windows::pixels(columns), 0, finish, out);
            }
        });
    }

    /// The windows of an output row, one a pixel.
    fn lay_out(&self, planes: &Planes, row: usize, columns: usize, windows: &mut Map) {
        let Self { kernel, stride, .. } = *self;
        windows.reshape(self.windows.inputs, 1, columns);
        for (group, (pixel, numbers)) in windows.groups_mut().enumerate() {
            numbers.fill(0.0);
            let places = (group * GROUP..self.windows.inputs).take(GROUP);
            for (at, place) in places.enumerate() {
                let (channel, y, x) = (place / kernel.pow(2), place / kernel % kernel, place % kernel);
                let Some(y) = (stride * row + y).checked_sub(planes.top).filter(|y| *y < planes.height) else {
                    continue;
                };
                let line = &planes.picture[(channel * planes.height + y) * planes.width..][..planes.width];
                // The first window whose pixel at `x` is inside the picture. A narrow picture may have none.
                let first = planes.left.saturating_sub(x).div_ceil(stride);
                let line = line.iter().skip(stride * first + x - planes.left).step_by(stride);
                let windows = numbers.chunks_exact_mut(pixel).skip(first);
                windows.zip(line).for_each(|(window, number)| window[at] = *number);
            }
        }
    }
}

/// A picture and the zeros above and to the left of it.
struct Planes<'a> {
    /// `[3, height, width]`
    picture: &'a [f32],
    height: usize,
    width: usize,
    top: usize,
    left: usize,
}
