//! Exact retrieval at the size of COCO's test set, and a search of a large index.
//!
//! `cargo xtask bench 'ranks|top_10'`; `benches/peers/retrieval.py` does the same with PyTorch.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sensorium_core::metrics::{Gold, Ties, ranks, top_k};

fn unit_vectors(count: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values: Vec<f32> = (0..count * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
    for vector in values.chunks_mut(dim) {
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
    }
    values
}

/// Both directions of image-text retrieval, five texts an image.
fn both_directions(c: &mut Criterion) {
    let mut group = c.benchmark_group("ranks");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    for (count, dim) in [(1000, 1024), (5000, 512), (5000, 1024)] {
        let (images, texts) = (unit_vectors(count, dim, 1), unit_vectors(5 * count, dim, 2));
        let gold = Gold::grouped(count, 5);
        group.throughput(Throughput::Elements((2 * count * 5 * count * dim) as u64)); // floating-point operations
        group.bench_function(BenchmarkId::from_parameter(format!("{count}x{}x{dim}", 5 * count)), |b| {
            b.iter(|| ranks(black_box(&images), black_box(&texts), dim, &gold, Ties::default()).unwrap());
        });
    }
    group.finish();
}

fn search(c: &mut Criterion) {
    let (items, dim) = (200_000, 512);
    let base = unit_vectors(items, dim, 3);
    let mut group = c.benchmark_group("top_10");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for queries in [1, 100] {
        let asked = unit_vectors(queries, dim, 4);
        group.bench_function(BenchmarkId::from_parameter(format!("{queries}_in_{items}x{dim}")), |b| {
            b.iter(|| top_k(black_box(&asked), black_box(&base), dim, 10));
        });
    }
    group.finish();
}

criterion_group!(benches, both_directions, search);
criterion_main!(benches);
