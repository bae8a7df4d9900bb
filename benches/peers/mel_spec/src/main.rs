//! The mel_spec crate's batch path on 60 s of sound, one thread, beside `RAYON_NUM_THREADS=1 cargo xtask bench audio`.
//!
//! `cargo run --release`; prints the median of the runs in milliseconds.

use std::hint::black_box;
use std::time::Instant;

use mel_spec::mel::{BatchLogMelConfig, BatchLogMelSpectrogram};

const RUNS: usize = 31;

fn main() {
    let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1u32 << 24) as f32;
    let x: Vec<f32> = (0..960_000u32).map(|i| (i as f32 * 0.02).sin() * 0.3 + noise(i) * 0.2 - 0.1).collect();
    // Whisper's frames and bands. Its floor is added, not a bound, and its logarithm natural: the work is the same.
    let config = BatchLogMelConfig { n_fft: 400, log_zero_guard: 1e-10, ..BatchLogMelConfig::default() };
    let batch = BatchLogMelSpectrogram::new(config).expect("a valid configuration");
    let mut scratch = batch.scratch();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            black_box(batch.compute_flat_with_scratch(black_box(&x), &mut scratch).expect("features"));
            1e3 * start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("mel_spec 0.4.0, whisper log-mel: {:.2} ms", times[RUNS / 2]);
}
