//! Pictures of sound, with axes in seconds and hertz and a colour bar.

use sensorium_core::draw::Drawing;
use sensorium_core::draw::chart::{FieldChart, LineChart};

use crate::decibel::{Decibel, Reference};
use crate::front_end::{Compression, Exponent, Features, FrontEndConfig};

/// Frequencies that are marked on a mel scale, in hertz.
const MARKS: [f32; 9] = [100.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 12_000.0, 16_000.0];

/// A spectrogram `[bins, frames]` in decibels below its loudest point, down to −80.
///
/// # Panics
/// If `features` is not what [`crate::front_end::FrontEnd::spectrogram`] gives with these settings.
pub fn spectrogram(features: &Features<f32>, config: &FrontEndConfig, title: &str) -> Drawing {
    chart(features, config, title, &decibels(features, config))
        .y_range(0.0, config.sample_rate as f32 / 2.0)
        .y_label("frequency, Hz")
        .bar_label("dB")
        .draw()
}

/// Mel bands `[mel_rows, frames]`, the lowest at the bottom. Where they are plain power or magnitude, they are drawn in
/// decibels.
///
/// # Panics
/// If `features` is not what [`crate::front_end::FrontEnd::mel`] gives with these settings.
pub fn mel(features: &Features<f32>, config: &FrontEndConfig, title: &str) -> Drawing {
    let (values, unit) = match config.compression {
        Compression::None => (decibels(features, config), "dB"),
        Compression::Decibel(_) => (features.values.clone(), "dB"),
        Compression::Ln { .. } => (features.values.clone(), "ln"),
        Compression::Whisper => (features.values.clone(), "log10, scaled"),
    };
    let scale = config.mel.scale;
    let mels = |hertz: f32| scale.mels(hertz.into()) as f32;
    let half = config.sample_rate as f32 / 2.0;
    let (low, high) = (config.mel.f_min as f32, config.mel.f_max.map_or(half, |f_max| f_max as f32));
    chart(features, config, title, &values)
        .y_range(mels(low), mels(high))
        .y_marks(MARKS.map(|hertz| (mels(hertz), format!("{hertz}"))))
        .y_label("frequency, Hz")
        .bar_label(unit)
        .draw()
}

/// Cepstra `[n_mfcc, frames]`, the first at the bottom.
///
/// # Panics
/// If `features` has not `rows` times `frames` numbers.
pub fn mfcc(features: &Features<f32>, config: &FrontEndConfig, title: &str) -> Drawing {
    chart(features, config, title, &features.values).y_range(0.0, features.rows as f32).y_label("coefficient").draw()
}

/// One frame of a spectrogram, in decibels below the loudest point of the whole, down to −80, over frequency.
///
/// # Panics
/// If `features` is not what [`crate::front_end::FrontEnd::spectrogram`] gives with these settings, or has no such frame.
pub fn spectrum(features: &Features<f32>, config: &FrontEndConfig, frame: usize, title: &str) -> Drawing {
    assert!(frame < features.frames, "frame {frame} of {}", features.frames);
    let levels = decibels(features, config);
    let hertz = |bin: usize| bin as f32 * config.sample_rate as f32 / config.n_fft as f32;
    let at = |bin: usize| [hertz(bin), levels[bin * features.frames + frame]];
    LineChart::new(title)
        .series("", &(0..features.rows).map(at).collect::<Vec<_>>())
        .x_label("frequency, Hz")
        .y_label("dB")
        .size(900, 320)
        .draw()
}

/// A waveform over time, of which the first sample is at `begin` seconds. Where there are many more samples than pixels, the
/// extremes of each stretch are drawn.
pub fn waveform(samples: &[f32], sample_rate: u32, begin: f64, title: &str) -> Drawing {
    const STRETCHES: usize = 800;
    let seconds = |sample: usize| (begin + sample as f64 / f64::from(sample_rate)) as f32;
    let points: Vec<[f32; 2]> = if samples.len() <= 2 * STRETCHES {
        samples.iter().enumerate().map(|(i, x)| [seconds(i), *x]).collect()
    } else {
        let width = samples.len().div_ceil(STRETCHES);
        let stretches = samples.chunks(width).enumerate();
        let extremes = |(number, stretch): (usize, &[f32])| {
            let low = stretch.iter().copied().fold(f32::INFINITY, f32::min);
            let high = stretch.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            [[seconds(number * width), low], [seconds(number * width), high]]
        };
        stretches.flat_map(extremes).collect()
    };
    LineChart::new(title).series("", &points).include_y(0.0).x_label("time, s").size(900, 280).draw()
}

fn chart(features: &Features<f32>, config: &FrontEndConfig, title: &str, values: &[f32]) -> FieldChart {
    let seconds = (features.frames * config.hop_length) as f32 / config.sample_rate as f32;
    FieldChart::new(title)
        .values(values, [features.rows, features.frames])
        .x_range(0.0, seconds)
        .x_label("time, s")
        .size(900, 420)
}

fn decibels(features: &Features<f32>, config: &FrontEndConfig) -> Vec<f32> {
    let scale = Decibel { amin: 1e-20, reference: Reference::Max, top_db: Some(80.0) };
    match config.exponent {
        Exponent::Power => scale.of_power(&features.values),
        Exponent::Magnitude => scale.of_amplitude(&features.values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front_end::{FrontEnd, Preset};

    #[test]
    fn waveforms_and_single_frames_are_drawn() {
        let tone: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.2).sin()).collect();
        assert!(waveform(&tone, 16_000, 0.0, "a tone").svg().contains("time, s"));
        assert!(waveform(&tone[..400], 16_000, 0.5, "a tone").svg().contains("0.51"));
        assert!(waveform(&[], 16_000, 0.0, "nothing").svg().contains("nothing"));
        let front_end = FrontEnd::new(Preset::Whisper.config()).unwrap();
        let features = front_end.spectrogram(&tone).unwrap();
        let svg = spectrum(&features, front_end.config(), 50, "a tone").svg();
        assert!(svg.contains("frequency, Hz") && svg.contains("−80"));
    }

    #[test]
    fn each_preset_is_drawn_with_its_axes() {
        let tone: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.2).sin()).collect();
        for preset in Preset::ALL {
            let front_end = FrontEnd::new(preset.config()).unwrap();
            let config = front_end.config();
            let svgs = [
                spectrogram(&front_end.spectrogram(&tone).unwrap(), config, "a tone").svg(),
                mel(&front_end.mel(&tone).unwrap(), config, "a tone").svg(),
            ];
            for svg in svgs {
                assert!(svg.contains("time, s") && svg.contains("frequency, Hz"), "{preset:?}");
            }
            assert!(mfcc(&front_end.mfcc(&tone).unwrap(), config, "a tone").svg().contains("coefficient"));
        }
    }
}
