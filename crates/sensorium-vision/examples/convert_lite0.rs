//! Makes `assets/efficientnet-lite0-i16.safetensors` from the published `efficientnet-lite0-57934424.pth`: see
//! `assets/LICENSES.md`.

use burn::tensor::TensorData;
use sensorium_core::weights::{TensorMap, read, write_safetensors};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        return Err("two file names are needed: FROM.pth TO.safetensors".into());
    };
    let published = read(from)?;
    let mut stored = TensorMap::new(to);
    for (name, tensor) in published.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
        let numbers = published.f32s(name)?;
        let shape = tensor.shape().to_vec();
        if numbers.len() < WORTH_IT {
            stored.insert(name, TensorData::new(numbers, shape));
            continue;
        }
        let channel = numbers.len() / shape[0];
        let scales: Vec<f32> = numbers.chunks_exact(channel).map(step).collect();
        let steps = numbers.chunks_exact(channel).zip(&scales);
        let steps: Vec<i16> = steps
            .flat_map(|(channel, scale)| channel.iter().map(move |w| (w / scale).round_ties_even() as i16))
            .collect();
        stored.insert(name, TensorData::new(steps, shape));
        stored.insert(format!("{name}.scale"), TensorData::new(scales.clone(), [scales.len()]));
    }
    write_safetensors(to, &stored)?;
    Ok(())
}

/// Smaller tensors stay f32: batch norms, biases, and the first layers, whose rounding all later ones would feel.
const WORTH_IT: usize = 2048;

/// The step that takes the channel's largest weight to 32767; 1 for a channel of zeros.
fn step(channel: &[f32]) -> f32 {
    let largest = channel.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    if largest == 0.0 { 1.0 } else { largest / 32767.0 }
}
