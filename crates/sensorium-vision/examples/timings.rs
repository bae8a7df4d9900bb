//! Times EfficientNet-Lite0 and the resize; `benches/peers/efficientnet.py` times PyTorch and Pillow at the same work.
//!
//! `RAYON_NUM_THREADS=2 cargo run --release -p sensorium-vision --features sensorium-core/flex,sensorium-core/x86-v4
//! --example timings`

use std::time::Instant;

use burn::tensor::{Distribution, Tensor};
use image::{Rgb, RgbImage};
use sensorium_core::device;
use sensorium_vision::efficientnet::EfficientNetLite;
use sensorium_vision::resize::{Filter, resize};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = device::parse("flex")?;
    let network = EfficientNetLite::lite0_imagenet(&device)?;
    let folded = network.fold();
    for (size, batch) in [(224, 1), (224, 8), (128, 1), (128, 32)] {
        let input = Tensor::<4>::random([batch, 3, size, size], Distribution::Uniform(-1.0, 1.0), &device);
        report(&format!("lite0_{size}_batch{batch}"), || folded.forward(input.clone()));
        report(&format!("lite0_{size}_batch{batch}, layer by layer"), || network.forward(input.clone()));
    }
    let picture = RgbImage::from_fn(640, 427, |x, y| {
        let hash = (y * 640 + x).wrapping_mul(2_654_435_761);
        Rgb([(hash >> 8) as u8, (hash >> 16) as u8, (hash >> 24) as u8])
    });
    let large = resize(&picture, 2560, 1708, Filter::Bilinear);
    for (picture, width, height, filter) in [
        (&picture, 383, 256, Filter::Bicubic),
        (&picture, 1280, 854, Filter::Lanczos),
        (&large, 383, 256, Filter::Bilinear),
        (&large, 383, 256, Filter::Bicubic),
    ] {
        let name = format!("resize_{}x{}_to_{width}x{height}_{}", picture.width(), picture.height(), filter.name());
        report(&name, || resize(picture, width, height, filter));
    }
    Ok(())
}

/// The least and the median of 40 runs.
fn report<T>(name: &str, run: impl Fn() -> T) {
    let time = || {
        let start = Instant::now();
        std::hint::black_box(run());
        start.elapsed().as_secs_f64() * 1e3
    };
    for _ in 0..3 {
        time();
    }
    let mut taken: Vec<f64> = (0..40).map(|_| time()).collect();
    taken.sort_by(f64::total_cmp);
    println!("{name}: least {:.3} ms, median {:.3} ms", taken[0], taken[taken.len() / 2]);
}
