//! The network for inference.

use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData, assert_shape};
use sensorium_core::device;

use super::cpu::{Block, Dense, Depthwise, Network};
use super::{EfficientNetLite, InvertedResidual, Layer};
use crate::Result;

/// An [`EfficientNetLite`] for inference: batch norms are merged into the convolutions, and on a CPU device (`flex`,
/// `ndarray`) the whole network runs in this crate's own kernels, which are several times as fast as the backend's.
/// Made by [`EfficientNetLite::fold`]; gradients do not pass.
#[derive(Debug)]
pub struct FoldedEfficientNetLite {
    path: Path,
    blocks: usize,
}

/// What runs the network.
#[derive(Debug)]
enum Path {
    OwnKernels(Box<Network>),
    Backend(Box<EfficientNetLite>),
}

impl FoldedEfficientNetLite {
    pub(super) fn new(network: EfficientNetLite) -> Self {
        let blocks = network.blocks.len();
        let path = match is_cpu(&network.fc.weight.device()) {
            true => Path::OwnKernels(Box::new(pack(&network))),
            false => Path::Backend(Box::new(network)),
        };
        Self { path, blocks }
    }

    /// The class logits.
    ///
    /// # Shapes
    /// - input: `[batch, 3, height, width]`
    /// - output: `[batch, classes]`
    ///
    /// # Panics
    /// If the input does not have 3 channels.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let [logits] = self.maps(input, &[Layer::Logits]).try_into().expect("one map for one layer");
        logits.flatten(1, 3)
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
    /// If the input does not have 3 channels.
    pub fn features(&self, input: Tensor<4>, layers: &[&str]) -> Result<Vec<Tensor<4>>> {
        Ok(self.maps(input, &Layer::parse_all(layers, self.blocks)?))
    }

    fn maps(&self, input: Tensor<4>, layers: &[Layer]) -> Vec<Tensor<4>> {
        assert_shape!(input, [_, 3, _, _]);
        let own_kernels = match &self.path {
            Path::OwnKernels(network) => network,
            Path::Backend(network) => return network.maps(input, layers),
        };
        let device = input.device();
        let [batch, _, height, width] = input.dims();
        let maps = own_kernels.maps(&numbers(input), [batch, height, width], layers);
        maps.into_iter().map(|(shape, numbers)| Tensor::from_data(TensorData::new(numbers, shape), &device)).collect()
    }
}

fn is_cpu(device: &Device) -> bool {
    ["flex", "ndarray"].iter().any(|name| device::parse(name).is_ok_and(|cpu| cpu == *device))
}

/// The numbers of a folded network, for the kernels.
fn pack(network: &EfficientNetLite) -> Network {
    let classes =
        Dense::new(&numbers(network.fc.weight.val()), &numbers(network.fc.bias.as_ref().expect("a bias").val()));
    let blocks = network.blocks.iter().map(pack_block).collect();
    Network::new(pack_dense(&network.conv_stem), blocks, pack_dense(&network.conv_head), classes)
}

fn pack_block(block: &InvertedResidual) -> Block {
    let conv = &block.depthwise_conv;
    Block {
        expand: block.expand_conv.as_ref().map(pack_dense),
        depthwise: Depthwise::new(&by_output(conv), &bias(conv), conv.kernel_size[0], conv.stride[0]),
        project: pack_dense(&block.project_conv),
        residual: block.residual,
    }
}

fn pack_dense(conv: &Conv2d) -> Dense {
    Dense::new(&by_output(conv), &bias(conv))
}

/// A convolution's weights as `[channels_in × height × width, channels_out]`.
fn by_output(conv: &Conv2d) -> Vec<f32> {
    numbers(conv.weight.val().flatten::<2>(1, 3).transpose())
}

fn bias(conv: &Conv2d) -> Vec<f32> {
    numbers(conv.bias.as_ref().expect("a folded convolution has a bias").val())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().expect("floats")
}
