//! How well the bundled voice encoder tells voices apart.
//!
//! With `SENSORIUM_SPEECH_DIR`, a folder with an `index.json` of single words by thirteen voices, on all of them; without,
//! on stretches of the book's two voices.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use sensorium_audio::io;
use sensorium_audio::voice_encoder::{VoiceEncoder, normalize_volume, similarity};
use serde_json::Value;

/// A recording and whose it is.
struct Sample {
    voice: String,
    samples: Vec<f32>,
}

fn words(folder: &Path) -> Vec<Sample> {
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    let text = |item: &Value, key: &str| item[key].as_str().unwrap().to_string();
    let items = index["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            let audio = io::read(folder.join(text(item, "file"))).unwrap();
            assert_eq!(audio.sample_rate(), 16_000);
            Sample { voice: text(item, "voice"), samples: audio.mono() }
        })
        .collect()
}

fn stretches() -> Vec<Sample> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/samples/sound");
    let recordings = [("reader.wav", "reader"), ("reader-again.wav", "reader"), ("cards.wav", "cards")];
    let cut = |(file, voice): (&str, &str)| {
        let samples = io::read(folder.join(file)).unwrap().mono();
        let stretches = samples.chunks_exact(24_000).map(<[f32]>::to_vec);
        stretches.map(|samples| Sample { voice: voice.to_string(), samples }).collect::<Vec<_>>()
    };
    recordings.into_iter().flat_map(cut).collect()
}

/// Each `count` words of a voice, one after the other.
fn joined(words: &[Sample], count: usize) -> Vec<Sample> {
    let voices = words.chunk_by(|a, b| a.voice == b.voice);
    let join = |some: &[Sample]| Sample {
        voice: some[0].voice.clone(),
        samples: some.iter().flat_map(|word| &word.samples).copied().collect(),
    };
    voices.flat_map(|words| words.chunks_exact(count).map(join).collect::<Vec<_>>()).collect()
}

/// The probability that two recordings of one voice are more alike than two of different voices.
fn area_under_curve(vectors: &[(String, Vec<f32>)]) -> f64 {
    let (mut same, mut different) = (Vec::new(), Vec::new());
    for (i, (voice, vector)) in vectors.iter().enumerate() {
        for (other, another) in &vectors[..i] {
            let alike = similarity(vector, another);
            if voice == other { same.push(alike) } else { different.push(alike) }
        }
    }
    different.sort_by(f64::total_cmp);
    let below = |x: &f64| different.partition_point(|y| y < x) + different.partition_point(|y| y <= x);
    let sum: usize = same.iter().map(below).sum();
    sum as f64 / (2 * same.len() * different.len()) as f64
}

#[test]
fn golden_voices_are_told_apart() {
    let encoder = VoiceEncoder::resemblyzer(&Device::flex()).unwrap();
    let area = |samples: &[Sample], embed: fn(&VoiceEncoder, &[f32]) -> sensorium_audio::Result<Vec<f32>>| {
        let vector = |sample: &Sample| embed(&encoder, &normalize_volume(&sample.samples)).unwrap();
        let vectors: Vec<_> = samples.iter().map(|sample| (sample.voice.clone(), vector(sample))).collect();
        area_under_curve(&vectors)
    };
    let Some(folder) = std::env::var_os("SENSORIUM_SPEECH_DIR") else {
        let area = area(&stretches(), VoiceEncoder::embed_short);
        assert!(area >= 0.97, "two voices, a second and a half at a time: {area}");
        return;
    };
    let words = words(Path::new(&folder));
    // Resemblyzer 0.1.4 with its f32 weights on the same recordings, its volume normalised and no silence cut out: as it
    // is, filled up with silence to 1.6 s; and its network on the frames of the recording alone.
    for (what, area, reference) in [
        ("filled up", area(&words, VoiceEncoder::embed), 0.9598),
        ("as they are", area(&words, VoiceEncoder::embed_short), 0.9695),
        ("two words joined", area(&joined(&words, 2), VoiceEncoder::embed), 0.9871),
        ("four words joined", area(&joined(&words, 4), VoiceEncoder::embed), 0.9993),
    ] {
        println!("{what}: {area:.4}");
        assert!((area - reference).abs() < 0.002, "{what}: {area}, Resemblyzer {reference}");
    }
}

#[test]
fn the_area_under_a_curve_by_hand() {
    let vector = |voice: &str, x: f32, y: f32| (voice.to_string(), vec![x, y]);
    let apart = [vector("a", 1.0, 0.0), vector("a", 1.0, 0.1), vector("b", 0.0, 1.0), vector("b", 0.1, 1.0)];
    assert_eq!(area_under_curve(&apart), 1.0);
    let mixed = [vector("a", 1.0, 0.0), vector("b", 1.0, 0.0), vector("a", 1.0, 0.0)];
    assert_eq!(area_under_curve(&mixed), 0.5);
}
