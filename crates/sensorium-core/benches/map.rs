//! t-SNE of as many points as scikit-learn's digits have.
//!
//! `cargo xtask bench tsne`; `benches/peers/map.py` does the same with scikit-learn.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sensorium_core::draw::map::Tsne;

const POINTS: usize = 1797;
const DIM: usize = 64;
const CLUSTERS: usize = 10;

/// Points uniform in a box around the centre of their cluster, the centres uniform in a larger one.
fn clusters() -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let centres: Vec<f32> = (0..CLUSTERS * DIM).map(|_| rng.random_range(-1.0..1.0)).collect();
    let place = |i: usize| centres[i / DIM % CLUSTERS * DIM + i % DIM];
    (0..POINTS * DIM).map(|i| place(i) + rng.random_range(-0.5..0.5)).collect()
}

fn tsne(c: &mut Criterion) {
    let data = clusters();
    // As many as scikit-learn does by default.
    let tsne = Tsne { iterations: 1000, ..Tsne::default() };
    let mut group = c.benchmark_group("tsne");
    group.sample_size(10);
    group.bench_function(format!("{POINTS}x{DIM}"), |b| {
        b.iter(|| tsne.fit(black_box(&data), DIM).expect("finite points"));
    });
    group.finish();
}

criterion_group!(benches, tsne);
criterion_main!(benches);
