//! Layers that burn lacks, or keeps in another layout than torch.
//!
//! - [`recurrent`]: LSTM and GRU with torch's packed weights, variable lengths and several layers.
//! - [`attention`]: pooling a set into one vector by learned weights.

pub mod attention;
pub mod recurrent;

#[cfg(test)]
pub(crate) mod sample {
    //! Numbers for tests.

    use burn::tensor::{Device, Tensor, TensorData};

    /// Numbers in -1..1 without a pattern, the same on every backend.
    pub(crate) fn numbers<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| ((i * 7919 + 13) % 101) as f32 / 50.5 - 1.0).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// The elements of a tensor, row-major.
    pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
        tensor.to_data().iter::<f32>().collect()
    }
}
