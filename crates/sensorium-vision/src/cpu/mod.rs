//! Merged networks in kernels of this crate's own.
//!
//! burn's CPU backends run a convolution, its bias and its activation one after the other over whole maps. Here the
//! channels stand side by side ([`map::Map`]), biases, activations and residuals are applied to sums still in registers,
//! and windows are read from where they lie in the map. A network is compiled into a [`Program`] over a few maps.

mod convolution;
mod inverted_residual;
mod kernels;
mod map;
mod pooling;

use std::ops::ControlFlow;
use std::sync::Mutex;

use burn::tensor::{Tensor, TensorData};
pub(crate) use convolution::{Convolution, Padding, Stem};
pub(crate) use inverted_residual::{Depthwise, InvertedResidual};
use kernels::Finish;
use map::Map;
pub(crate) use pooling::MaxPool;
use rayon::prelude::*;

use crate::layers::Kept;

/// The numbers of a tensor.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().expect("floats")
}

/// A network as steps over a few maps.
#[derive(Default)]
pub(crate) struct Program {
    steps: Vec<Step>,
    /// Memory of earlier runs, one piece for each that ran at a time.
    workspaces: Mutex<Vec<[Map; MAPS]>>,
}

/// Maps a program works on.
const MAPS: usize = 4;

/// What becomes of a convolution's sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After {
    Plain,
    Relu,
    Relu6,
    /// Added to the map of this number; 0 where that is below.
    PlusRelu(usize),
}

/// One step of a program; maps are named by their number.
pub(crate) enum Step {
    /// The picture's first convolution.
    Stem { stem: Stem, after: After, to: usize },
    /// A convolution.
    Convolve { convolution: Convolution, from: usize, after: After, to: usize },
    /// EfficientNet's block, from map 0 to map 1 by way of map 2; the two are exchanged at the end.
    InvertedResidual(InvertedResidual),
    /// The largest number of each window.
    MaxPool { pool: MaxPool, from: usize, to: usize },
    /// The mean over each cell of a grid.
    AdaptiveAvgPool { size: [usize; 2], from: usize, to: usize },
    /// Map `from` is now the layer of this name.
    Layer { name: String, from: usize },
}

impl Program {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self { steps, workspaces: Mutex::default() }
    }

    /// The maps of `layers` for a `[batch, 3, height, width]` input, each `[batch, channels, height, width]`.
    pub(crate) fn maps(&self, input: Tensor<4>, layers: &[&str]) -> Vec<Tensor<4>> {
        let device = input.device();
        let [batch, _, height, width] = input.dims();
        let input = numbers(input);
        let pictures = input.par_chunks_exact((3 * height * width).max(1));
        let each = pictures.map(|picture| self.maps_of_one(picture, [height, width], layers));
        // Inside the pool once, not anew for each of a picture's parallel loops.
        let of_each: Vec<_> = rayon::scope(|_| each.collect());
        let gather = |layer: usize| {
            let shape = of_each.first().map_or([0; 3], |maps| maps[layer].0);
            let numbers: Vec<f32> = of_each.iter().flat_map(|maps| &maps[layer].1).copied().collect();
            Tensor::from_data(TensorData::new(numbers, [batch, shape[0], shape[1], shape[2]]), &device)
        };
        (0..layers.len()).map(gather).collect()
    }

    fn maps_of_one(&self, picture: &[f32], size: [usize; 2], layers: &[&str]) -> Vec<([usize; 3], Vec<f32>)> {
        let mut maps = self.workspaces.lock().expect("no panic while it is held").pop().unwrap_or_default();
        let mut kept = Kept::new(layers);
        let _ = self.run(picture, size, &mut maps, &mut kept);
        self.workspaces.lock().expect("no panic while it is held").push(maps);
        kept.into_maps()
    }

    /// Runs the steps for as long as `kept` waits for a map.
    fn run(
        &self,
        picture: &[f32],
        size: [usize; 2],
        maps: &mut [Map; MAPS],
        kept: &mut Kept<([usize; 3], Vec<f32>)>,
    ) -> ControlFlow<()> {
        for step in &self.steps {
            match step {
                Step::Stem { stem, after, to } => {
                    let mut out = std::mem::take(&mut maps[*to]);
                    stem.run(picture, size, after.finish(0, maps), &mut out);
                    maps[*to] = out;
                }
                Step::Convolve { convolution, from, after, to } => {
                    let mut out = std::mem::take(&mut maps[*to]);
                    convolution.run(&maps[*from], |group| after.finish(group, maps), &mut out);
                    maps[*to] = out;
                }
                Step::InvertedResidual(block) => {
                    let [current, next, hidden, ..] = maps;
                    block.run(current, hidden, next);
                    std::mem::swap(current, next);
                }
                Step::MaxPool { pool, from, to } => {
                    let mut out = std::mem::take(&mut maps[*to]);
                    pool.run(&maps[*from], &mut out);
                    maps[*to] = out;
                }
                Step::AdaptiveAvgPool { size, from, to } => {
                    let mut out = std::mem::take(&mut maps[*to]);
                    pooling::adaptive_avg_pool(&maps[*from], *size, &mut out);
                    maps[*to] = out;
                }
                Step::Layer { name, from } => {
                    let map = &maps[*from];
                    kept.see(name, || ([map.channels, map.height, map.width], map.planes()))?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl After {
    fn finish(self, group: usize, maps: &[Map; MAPS]) -> Finish<'_> {
        match self {
            Self::Plain => Finish::Plain,
            Self::Relu => Finish::Relu,
            Self::Relu6 => Finish::Relu6,
            Self::PlusRelu(map) => Finish::PlusRelu(maps[map].group(group)),
        }
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

/// For each row of a map, the row in each group.
fn rows_by_group(map: &mut Map) -> Vec<Vec<&mut [f32]>> {
    let (height, width) = (map.height, map.width);
    let mut rows: Vec<Vec<&mut [f32]>> = std::iter::repeat_with(Vec::new).take(height).collect();
    for (group_width, numbers) in map.groups_mut() {
        for (row, piece) in rows.iter_mut().zip(numbers.chunks_exact_mut(width * group_width)) {
            row.push(piece);
        }
    }
    rows
}
