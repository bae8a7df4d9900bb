//! Weights and inputs that golden fixtures name by a formula, so that models of full size need no file.

use burn::tensor::TensorData;

use super::golden::Fixture;
use crate::weights::TensorMap;

/// The tensors of a model under the names of its torch state dict, each by its kind's rule in the fixture.
///
/// # Panics
/// If the fixture has no seed, or gives first values of a tensor that differ.
pub fn weights(fixture: &Fixture, named: impl IntoIterator<Item = (String, Vec<usize>)>) -> TensorMap {
    let mut weights = TensorMap::new(&fixture.name);
    for (name, shape) in named {
        let bounds = match () {
            () if name.ends_with("running_mean") => [-0.2, 0.2],
            () if name.ends_with("running_var") => [0.5, 1.5],
            () if name.contains("bias") => [-0.1, 0.1],
            () if name == "embedding.weight" => [-1.0, 1.0],
            () if shape.len() == 1 => [0.5, 1.5],
            () => {
                let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
                [-bound, bound]
            }
        };
        let tensor = tensor(fixture, &name, &shape, bounds);
        if let Some(first) = fixture.meta["weight_first_values"][&name].as_array() {
            let first: Vec<f32> = first.iter().map(|number| number.as_f64().unwrap() as f32).collect();
            let numbers: Vec<f32> = tensor.iter().take(first.len()).collect();
            assert_eq!(numbers, first, "{name}: the formula");
        }
        weights.insert(name, tensor);
    }
    weights
}

/// A tensor of numbers within `bounds`, by a hash of their place, the tensor's name and the fixture's seed.
///
/// # Panics
/// If the fixture has no seed.
pub fn tensor(fixture: &Fixture, name: &str, shape: &[usize], [low, high]: [f64; 2]) -> TensorData {
    let seed = fixture.size("seed") as u32;
    let fnv = name.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let number = |index: u32| {
        let mut x = index.wrapping_mul(0x9E37_79B1).wrapping_add(fnv ^ seed);
        x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        x ^= x >> 16;
        (low + (high - low) * (f64::from(x >> 8) / f64::from(1 << 24))) as f32
    };
    let count = shape.iter().product::<usize>() as u32;
    TensorData::new((0..count).map(number).collect::<Vec<f32>>(), shape.to_vec())
}
