//! Spectrograms of 60 s of sound, as `benches/peers/audio.py` times librosa's. Set RAYON_NUM_THREADS=1 to compare.

use criterion::{Criterion, criterion_group, criterion_main};
use sensorium_audio::front_end::{FrontEnd, Preset};
use sensorium_audio::griffin_lim::GriffinLim;
use sensorium_audio::inversion::Inversion;
use sensorium_audio::resample::{Resampler, SincConfig};
use sensorium_audio::stft::{Stft, StftConfig};

/// A tone and noise, 60 s at 16 kHz.
fn wave() -> Vec<f32> {
    let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1u32 << 24) as f32;
    (0..960_000u32).map(|i| (i as f32 * 0.02).sin() * 0.3 + noise(i) * 0.2 - 0.1).collect()
}

fn audio(c: &mut Criterion) {
    let x = wave();
    let whisper = FrontEnd::new(Preset::Whisper.config()).unwrap();
    let librosa = FrontEnd::new(Preset::Librosa.config().with_sample_rate(16_000)).unwrap();
    let kaldi = FrontEnd::new(Preset::Kaldi.config()).unwrap();
    let stft = Stft::<f32>::new(StftConfig::new(2048, 512)).unwrap();
    let spectrum = stft.forward(&x).unwrap();
    let magnitude = spectrum.magnitude();
    let resampler = Resampler::<f32>::new(44_100, 16_000, SincConfig::default()).unwrap();

    let mut group = c.benchmark_group("audio");
    group.sample_size(20);
    group.bench_function("whisper log-mel", |b| b.iter(|| whisper.mel(&x).unwrap()));
    group.bench_function("mel decibels", |b| b.iter(|| librosa.mel(&x).unwrap()));
    group.bench_function("mfcc", |b| b.iter(|| librosa.mfcc(&x).unwrap()));
    group.bench_function("kaldi fbank", |b| b.iter(|| kaldi.mel(&x).unwrap()));
    group.bench_function("stft 2048", |b| b.iter(|| stft.forward(&x).unwrap()));
    group.bench_function("istft 2048", |b| b.iter(|| stft.inverse(&spectrum, Some(x.len())).unwrap()));
    group.bench_function("resample 44100 to 16000", |b| b.iter(|| resampler.run(&x).unwrap()));
    group.sample_size(10);
    let mel = librosa.mel(&x).unwrap();
    let back = Inversion::new(*librosa.config()).unwrap();
    group.bench_function("mel inversion", |b| b.iter(|| back.spectrogram(&mel).unwrap()));
    let search = GriffinLim::default();
    group.bench_function("griffin-lim 32", |b| b.iter(|| search.run(&stft, &magnitude, Some(x.len())).unwrap()));
    group.finish();
}

criterion_group!(benches, audio);
criterion_main!(benches);
