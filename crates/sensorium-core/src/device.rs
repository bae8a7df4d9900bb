//! Choose a backend by name.
//!
//! A model is made on a [`Device`] and runs there; nothing else in the code names a backend. Which names work is
//! settled when the program is built (`--features wgpu`) and by the machine it runs on.
//!
//! ```
//! let device = sensorium_core::device::parse("flex")?;
//! # Ok::<(), sensorium_core::Error>(())
//! ```

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};

use crate::{Error, Result};

/// The device kinds a name can start with, and the Cargo feature that builds each in.
const KINDS: [(&str, bool); 6] = [
    ("flex", cfg!(feature = "flex")),
    ("ndarray", cfg!(feature = "ndarray")),
    ("wgpu", cfg!(feature = "wgpu")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("metal", cfg!(feature = "metal")),
    ("cuda", cfg!(feature = "cuda")),
];

/// The device called `name`: `flex`, `ndarray`, `wgpu[:n]`, `vulkan[:n]`, `metal[:n]` or `cuda[:n]`, where `n` counts
/// from 0 in the order of [`list`].
///
/// # Errors
/// [`Error::Device`] if the name is unknown, if this build lacks the backend (the message says which feature to build
/// with), or if the machine has no such device.
pub fn parse(name: &str) -> Result<Device> {
    let fail = |reason: String| Error::Device { name: name.to_string(), reason };
    let (kind, index) = match name.split_once(':') {
        None => (name, None),
        Some((kind, index)) => {
            let index = index
                .parse::<usize>()
                .map_err(|_| fail(format!("'{index}' is not a device number: write {kind}:0")))?;
            (kind, Some(index))
        }
    };
    let Some((_, built)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let known: Vec<&str> = KINDS.iter().map(|(known, _)| *known).collect();
        return Err(fail(format!("unknown; the names are {}, with :N for a numbered GPU", known.join(", "))));
    };
    if !built {
        return Err(fail(format!("not in this build; build with `--features {kind}`")));
    }
    let found = of_kind(kind);
    match (index, found.len()) {
        (_, 0) => Err(fail("this machine has no such device, or no driver for it".to_string())),
        (Some(_), _) if is_cpu(kind) => Err(fail(format!("a CPU backend has no number: write {kind}"))),
        (Some(index), count) if index >= count => Err(fail(format!("this machine has {count}, counted from 0"))),
        (index, _) => Ok(found[index.unwrap_or(0)].clone()),
    }
}

/// Whether [`parse`] gives a processor rather than a GPU for this name.
pub fn is_cpu(name: &str) -> bool {
    matches!(name, "flex" | "ndarray")
}

/// Whether a device, with gradients or without, keeps its tensors in the processor's memory, so that kernels other than
/// the backend's can work on them.
pub fn on_cpu(device: &Device) -> bool {
    KINDS.iter().any(|(kind, _)| is_cpu(kind) && of_kind(kind).contains(device))
}

/// The devices of one kind on this machine, in a fixed order; empty where the kind is not built in.
fn of_kind(kind: &str) -> Vec<Device> {
    match kind {
        #[cfg(feature = "flex")]
        "flex" => vec![Device::flex()],
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "burn drops it later; teams still name it")]
        "ndarray" => vec![Device::ndarray()],
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec(),
        #[cfg(feature = "vulkan")]
        "vulkan" => Device::enumerate(burn::tensor::DeviceType::Vulkan).into_vec(),
        #[cfg(feature = "metal")]
        "metal" => Device::enumerate(burn::tensor::DeviceType::Metal).into_vec(),
        #[cfg(feature = "cuda")]
        "cuda" => Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec(),
        _ => Vec::new(),
    }
}

/// The first device of every backend in this build that the machine has, with its name.
///
/// Conformance tests run each model on all of them.
///
/// # Panics
/// If the build has no backend at all: a test without one would assert nothing.
pub fn built() -> Vec<(&'static str, Device)> {
    let found: Vec<_> = KINDS
        .iter()
        .filter(|(_, built)| *built)
        .filter_map(|(kind, _)| of_kind(kind).first().map(|device| (*kind, device.clone())))
        .collect();
    assert!(!found.is_empty(), "no backend is built in: build with `--features flex`");
    found
}

/// A device that this build can name on this machine.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The name [`parse`] takes.
    pub name: String,
    /// The part's own name where the backend reports one.
    pub part: Option<String>,
    /// The device itself.
    pub device: Device,
}

/// Every device this build can use on this machine.
pub fn list() -> Vec<Listed> {
    let mut all = Vec::new();
    for (kind, _) in KINDS.iter().filter(|(_, built)| *built) {
        for (index, device) in of_kind(kind).into_iter().enumerate() {
            let name = if is_cpu(kind) { kind.to_string() } else { format!("{kind}:{index}") };
            all.push(Listed { name, part: part_name(&device), device });
        }
    }
    all
}

/// Device kinds that this build leaves out: the features to build with.
pub fn not_built() -> Vec<&'static str> {
    KINDS.iter().filter(|(_, built)| !built).map(|(kind, _)| *kind).collect()
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn part_name(device: &Device) -> Option<String> {
    device.identity().map(|identity| identity.name)
}

#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
fn part_name(_: &Device) -> Option<String> {
    None
}

/// What [`check`] found.
#[derive(Debug, Clone, Copy)]
pub struct Checked {
    /// The first product: start-up and kernel compilation included.
    pub first: Duration,
    /// A later one.
    pub warm: Duration,
    /// Billions of multiply-adds times two a second, of the warm product.
    pub gflops: f64,
    /// The largest absolute difference between a 64×64 part of the product and the same sum in f64.
    pub error: f64,
}

/// Multiplies two 512×512 matrices on `device`, times it, and compares a part of the result with f64 arithmetic.
///
/// # Errors
/// [`Error::Device`] if the backend fails or its result is off by more than 1e-2.
pub fn check(listed: &Listed) -> Result<Checked> {
    let device = listed.device.clone();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| timed_product(&device)));
    let fail = |reason: String| Error::Device { name: listed.name.clone(), reason };
    let checked = outcome.map_err(|_| fail("the backend stopped in a small matrix product".to_string()))?;
    if checked.error > 1e-2 {
        return Err(fail(format!("a 512×512 matrix product is off by {:.3}", checked.error)));
    }
    Ok(checked)
}

fn timed_product(device: &Device) -> Checked {
    const N: usize = 512;
    device.seed(0);
    let a = Tensor::<2>::random([N, N], Distribution::Uniform(-1.0, 1.0), device);
    let b = Tensor::<2>::random([N, N], Distribution::Uniform(-1.0, 1.0), device);
    let product = || {
        let start = Instant::now();
        let result = a.clone().matmul(b.clone()).into_data();
        (result, start.elapsed())
    };
    let (_, first) = product();
    let (result, warm) = product();
    let as_f32 = |data: burn::tensor::TensorData| data.convert::<f32>().try_into_vec::<f32>().expect("f32 data");
    let (result, a, b) = (as_f32(result), as_f32(a.into_data()), as_f32(b.into_data()));
    let mut error = 0.0f64;
    for row in 0..64 {
        for column in 0..64 {
            let exact: f64 = (0..N).map(|k| f64::from(a[row * N + k]) * f64::from(b[k * N + column])).sum();
            error = error.max((exact - f64::from(result[row * N + column])).abs());
        }
    }
    Checked { first, warm, gflops: 2.0 * (N as f64).powi(3) / warm.as_secs_f64() / 1e9, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(name: &str) -> String {
        parse(name).unwrap_err().to_string()
    }

    #[test]
    fn names_that_cannot_work_say_why() {
        assert!(reason("gpu").contains("the names are flex, ndarray, wgpu"), "{}", reason("gpu"));
        assert!(reason("flex:1").contains("no number"));
        assert!(reason("wgpu:x").contains("not a device number"));
        for kind in not_built() {
            assert!(reason(kind).contains(&format!("--features {kind}")));
        }
    }

    #[test]
    fn every_built_backend_multiplies_matrices() {
        let names: Vec<_> = built().into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"flex"), "{names:?}");
        for listed in list() {
            let checked = check(&listed).unwrap();
            assert!(checked.gflops > 0.0 && checked.error < 1e-3, "{}: {checked:?}", listed.name);
        }
    }
}
