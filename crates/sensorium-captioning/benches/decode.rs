//! Show, Attend and Tell at the tutorial's size: 14 × 14 positions of 2,048 features, 9,490 words, states of 512.
//! `benches/peers/captioning.py` does the same with PyTorch, as the tutorial does it.
//!
//! `RAYON_NUM_THREADS=2 cargo xtask bench caption`

use std::hint::black_box;

use burn::tensor::{Distribution, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sensorium_captioning::attend::AttentionDecoderConfig;
use sensorium_captioning::decode::{BeamSearch, Limits, NextWords, Row};
use sensorium_core::device;

const VOCAB: u32 = 9490;
const STEPS: usize = 20;

fn decoding(c: &mut Criterion) {
    let device = device::parse("flex").expect("the flex backend is built in");
    let decoder = AttentionDecoderConfig::new(VOCAB as usize, 2048).init(&device);
    let decoder = decoder.on_cpu().expect("flex is a CPU backend");
    let maps = |pictures| Tensor::<3>::random([pictures, 196, 2048], Distribution::Uniform(0.0, 1.0), &device);
    let mut group = c.benchmark_group("caption");
    group.sample_size(20);

    let first = [Row { from: 0, word: VOCAB - 2 }; 5];
    let (state, _) = decoder.next(&decoder.start(maps(1)), &first);
    let rows: Vec<Row> = (0..5).map(|from| Row { from, word: 17 * from as u32 }).collect();
    group.bench_function("step_5_beams", |b| b.iter(|| decoder.next(black_box(&state), &rows)));

    // No sentence ends, so that every step is as wide as the first.
    let limits = Limits { max_steps: STEPS, suppressed: vec![VOCAB - 1], ..Limits::tutorial(VOCAB - 2, VOCAB - 1) };
    for pictures in [1, 8] {
        let maps = maps(pictures);
        group.throughput(Throughput::Elements((pictures * STEPS) as u64));
        group.bench_function(format!("{pictures}_pictures_5_beams_words"), |b| {
            b.iter(|| BeamSearch::new(5).search(&decoder, decoder.start(maps.clone()), pictures, &limits))
        });
    }
    group.finish();
}

criterion_group!(benches, decoding);
criterion_main!(benches);
