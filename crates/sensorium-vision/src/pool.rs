//! Pooling of feature maps.

use burn::tensor::{Tensor, module};

/// The mean over a grid of `output` (height, width) cells, whatever the size of the map: cell `i` of `n` covers the
/// rows ⌊i·h/n⌋ to ⌈(i+1)·h/n⌉ − 1, so that cells may overlap, and a smaller map is spread over more cells. As torch's
/// `adaptive_avg_pool2d`.
///
/// # Shapes
/// - maps: `[batch, channels, height, width]`
/// - output: `[batch, channels, output[0], output[1]]`
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use sensorium_vision::pool::adaptive_avg_pool2d;
///
/// let maps = Tensor::<4>::ones([1, 2048, 8, 8], &Device::flex());
/// assert_eq!(adaptive_avg_pool2d(maps, [14, 14]).dims(), [1, 2048, 14, 14]);
/// ```
pub fn adaptive_avg_pool2d(maps: Tensor<4>, output: [usize; 2]) -> Tensor<4> {
    module::adaptive_avg_pool2d(maps, output)
}
