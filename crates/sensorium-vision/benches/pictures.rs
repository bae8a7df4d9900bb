//! EfficientNet-Lite0 and the resize; `benches/peers/pictures.py` does the same with PyTorch and Pillow.
//!
//! `RAYON_NUM_THREADS=2 cargo xtask bench 'lite0|encoders|resize'`

use std::hint::black_box;

use burn::tensor::{Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use image::{Rgb, RgbImage};
use sensorium_core::device;
use sensorium_vision::resize::{Filter, resize};
use sensorium_vision::{Encoder, EncoderConfig};

/// The folded network on its own kernels, and the backend's layer by layer.
fn lite0(c: &mut Criterion) {
    let device = device::parse("flex").expect("the flex backend is built in");
    let network = Encoder::lite0_imagenet(&device).expect("the bundled weights fit");
    let folded = network.fold();
    let mut group = c.benchmark_group("lite0");
    for (size, batch) in [(224, 1), (224, 8), (128, 1), (128, 32)] {
        let input = Tensor::<4>::random([batch, 3, size, size], Distribution::Uniform(-1.0, 1.0), &device);
        let name = format!("{size}_batch{batch}");
        group.bench_function(&name, |b| b.iter(|| folded.forward(black_box(input.clone()))));
        group.sample_size(20);
        group.bench_function(name + "_layer_by_layer", |b| b.iter(|| network.forward(black_box(input.clone()))));
    }
    group.finish();
}

/// Larger networks on their own kernels.
fn encoders(c: &mut Criterion) {
    let device = device::parse("flex").expect("the flex backend is built in");
    let mut group = c.benchmark_group("encoders");
    group.sample_size(20);
    for (name, size) in [("resnet50", 224), ("resnet101", 256), ("vgg16", 224)] {
        let folded = EncoderConfig::named(name).expect("a known name").init(&device).fold();
        let input = Tensor::<4>::random([1, 3, size, size], Distribution::Uniform(-1.0, 1.0), &device);
        group.bench_function(format!("{name}_{size}"), |b| b.iter(|| folded.forward(black_box(input.clone()))));
    }
    group.finish();
}

fn resizing(c: &mut Criterion) {
    let picture = RgbImage::from_fn(640, 427, |x, y| {
        let hash = (y * 640 + x).wrapping_mul(2_654_435_761);
        Rgb([(hash >> 8) as u8, (hash >> 16) as u8, (hash >> 24) as u8])
    });
    let large = resize(&picture, 2560, 1708, Filter::Bilinear);
    let mut group = c.benchmark_group("resize");
    for (picture, width, height, filter) in [
        (&picture, 383, 256, Filter::Bicubic),
        (&picture, 1280, 854, Filter::Lanczos),
        (&large, 383, 256, Filter::Bilinear),
        (&large, 383, 256, Filter::Bicubic),
    ] {
        let name = format!("{}x{}_to_{width}x{height}_{}", picture.width(), picture.height(), filter.name());
        group.bench_function(name, |b| b.iter(|| resize(black_box(picture), width, height, filter)));
    }
    group.finish();
}

criterion_group!(benches, lite0, encoders, resizing);
criterion_main!(benches);
