//! FLAC, Ogg Vorbis and MP3: half a second of read speech, as libsndfile 1.2 wrote it, and what harm does to such files.
//!
//! The speech is out of `docs/samples/sound/reader.wav`, which is in the public domain.
#![cfg(feature = "symphonia")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sensorium_audio::io;

const FILES: [&str; 3] = ["speech.flac", "speech.ogg", "speech.mp3"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compressed").join(name)
}

/// Pearson's correlation.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn compressed_sound_is_the_sound() {
    let speech = io::read(path("speech.wav")).unwrap();
    let flac = io::read(path("speech.flac")).unwrap();
    assert_eq!((flac.sample_rate(), flac.channels()), (16_000, speech.channels()), "FLAC loses nothing");
    // libsndfile's own decoder comes to .9927 and .9998.
    for (name, least) in [("speech.ogg", 0.99), ("speech.mp3", 0.999)] {
        let audio = io::read(path(name)).unwrap();
        assert_eq!((audio.sample_rate(), audio.channels().len()), (16_000, 1), "{name}");
        // An MP3 begins and ends with the silence of its encoder, unless its header says how much.
        let (want, got) = (&speech.channels()[0], &audio.channels()[0]);
        assert!((want.len()..want.len() + 2400).contains(&got.len()), "{name}: {} samples", got.len());
        let shifts = 0..=got.len() - want.len();
        let best = shifts.map(|shift| correlation(&got[shift..], want)).fold(0.0, f64::max);
        assert!(best > least, "{name}: {best}");
        assert_eq!(io::info(path(name)).unwrap().frames, got.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_are_errors_or_sound(
        which in 0usize..3,
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        head in any::<bool>(),
    ) {
        let mut bytes = std::fs::read(path(FILES[which])).unwrap();
        let reach = if head { 120 } else { bytes.len() };
        for (at, byte) in flips {
            bytes[at.index(reach)] = byte;
        }
        bytes.truncate(bytes.len().min(cut.index(2 * bytes.len()) + 1));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILES[which]);
        std::fs::write(&file, &bytes).unwrap();
        if let Ok(audio) = io::read(&file) {
            // No frame of these formats holds more than 65,536 samples, and none takes fewer than 8 bytes.
            prop_assert!(audio.frames() <= 65_536 * (1 + bytes.len() / 8));
        }
    }
}
