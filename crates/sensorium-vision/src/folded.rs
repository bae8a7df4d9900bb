//! Encoders for inference.

use burn::tensor::{Tensor, assert_shape};

use crate::cpu::Program;
use crate::encoder::Encoder;
use crate::{Result, layers};

/// An [`Encoder`] for inference: batch norms are merged into the convolutions before them, and on a CPU device (`flex`,
/// `ndarray`) ResNets, VGGs and EfficientNet-Lites run in this crate's own kernels, several times as fast as in the
/// backend's. Made by [`Encoder::fold`]; gradients do not pass.
#[derive(Debug)]
pub struct FoldedEncoder {
    layers: Vec<String>,
    path: Path,
}

/// What runs the network.
#[derive(Debug)]
enum Path {
    OwnKernels(Program),
    Backend(Box<Encoder>),
}

impl FoldedEncoder {
    pub(crate) fn new(merged: Encoder, program: Option<Program>) -> Self {
        let layers = merged.layers();
        match program {
            Some(program) => Self { layers, path: Path::OwnKernels(program) },
            None => Self { layers, path: Path::Backend(Box::new(merged)) },
        }
    }

    /// The names of the maps that can be asked for, in the order they are reached.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The class logits.
    ///
    /// # Shapes
    /// - input: `[batch, 3, height, width]`
    /// - output: `[batch, classes]`
    ///
    /// # Panics
    /// If the input does not have 3 channels, or is too small for the network's strides.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        self.maps(input, &["logits"]).remove(0).flatten(1, 3)
    }

    /// The maps of the layers called `layers`, in that order; the network stops after the last of them.
    ///
    /// # Shapes
    /// - input: `[batch, 3, height, width]`
    /// - output: each `[batch, channels, height, width]`; `pooled` and `logits` are 1 × 1
    ///
    /// # Errors
    /// If the network has no layer of a name.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn features(&self, input: Tensor<4>, layers: &[&str]) -> Result<Vec<Tensor<4>>> {
        layers::check(layers, &self.layers)?;
        Ok(self.maps(input, layers))
    }

    fn maps(&self, input: Tensor<4>, layers: &[&str]) -> Vec<Tensor<4>> {
        assert_shape!(input, [_, 3, _, _]);
        match &self.path {
            Path::OwnKernels(program) => program.maps(input, layers),
            Path::Backend(encoder) => encoder.maps(input, layers),
        }
    }
}
