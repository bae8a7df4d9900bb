//! Pictures of sound, with axes in seconds and hertz and a colour bar.

use sensorium_core::draw::Drawing;
use sensorium_core::draw::chart::FieldChart;

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
