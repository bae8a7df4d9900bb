//! `audio invert`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use sensorium_audio::front_end::{Features, FrontEndConfig, Preset};
use sensorium_audio::griffin_lim::GriffinLim;
use sensorium_audio::inversion::Inversion;
use sensorium_audio::io::{self, Audio, SampleFormat};
use sensorium_core::weights;
use serde_json::json;

use super::features::preset;
use crate::Global;

/// `audio invert`
#[derive(Args)]
pub(crate) struct Invert {
    /// What `audio spectrogram`, `mel` or `mfcc` wrote: .npy or .safetensors. Which it is, its number of rows says.
    #[arg(value_name = "F")]
    file: PathBuf,
    /// Whose settings it was made with.
    #[arg(long, default_value = "librosa-0.11", value_parser = preset)]
    preset: Preset,
    /// The sample rate it was made at, where that is not the preset's.
    #[arg(long, value_name = "HZ")]
    rate: Option<u32>,
    /// Rounds of Griffin and Lim's method.
    #[arg(long, default_value_t = 32)]
    iterations: usize,
    /// What the first phases are drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The WAV file to write, in 16 bits.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Invert {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let preset = self.preset.config();
        let config = preset.with_sample_rate(self.rate.unwrap_or(preset.sample_rate));
        let features = read(&self.file)?;
        let back = Inversion::new(config)?;
        let kind = self.kind(&features, &config)?;
        let rows = features.rows;
        let found = match kind {
            "spectrogram" => Ok(features),
            "mel bands" => back.spectrogram(&features),
            _ => back.mel(&features).and_then(|mel| back.spectrogram(&mel)),
        };
        let griffin_lim = GriffinLim { iterations: self.iterations, seed: self.seed, ..GriffinLim::default() };
        let samples = found.and_then(|spectrogram| back.sound(&spectrogram, griffin_lim));
        let samples = samples.with_context(|| self.file.display().to_string())?;
        let audio = Audio::from_mono(samples, config.sample_rate)?;
        let clipped = io::write_wav(&self.out, &audio, SampleFormat::I16)?;
        if clipped > 0 {
            tracing::warn!("{clipped} samples are beyond the range of 16 bits and were clipped");
        }
        let (seconds, rate) = (audio.seconds(), config.sample_rate);
        let mut out = std::io::stdout().lock();
        match global.json {
            true => {
                let frames = audio.frames();
                let said =
                    json!({"out": self.out, "from": kind, "sample_rate": rate, "frames": frames, "clipped": clipped});
                writeln!(out, "{said}")?;
            }
            false => writeln!(out, "{}: {seconds:.3} s at {rate} Hz, from {kind} of {rows} rows", self.out.display())?,
        }
        Ok(())
    }

    fn kind(&self, features: &Features<f32>, config: &FrontEndConfig) -> anyhow::Result<&'static str> {
        let (bins, bands, cepstra) = (config.bins(), config.mel_rows(), config.mfcc.n_mfcc);
        Ok(match features.rows {
            rows if rows == bins => "spectrogram",
            rows if rows == bands => "mel bands",
            rows if rows == cepstra => "cepstra",
            rows => bail!(
                "{}: has {rows} rows; with --preset {} a spectrogram has {bins}, mel bands {bands} and cepstra {cepstra}",
                self.file.display(),
                self.preset.name()
            ),
        })
    }
}

/// The only array of a file, `[rows, frames]`.
fn read(file: &Path) -> anyhow::Result<Features<f32>> {
    let arrays = weights::read(file)?;
    let names: Vec<&str> = arrays.names().collect();
    ensure!(names.len() == 1, "{}: holds {} arrays, must be one", file.display(), names.len());
    let shape = arrays.get(names[0]).expect("the array of a name that is there").shape().to_vec();
    let [rows, frames] = *shape.as_slice() else {
        bail!("{}: its array is of the shape {shape:?}, must be [rows, frames]", file.display());
    };
    Ok(Features { values: arrays.f32s(names[0])?, rows, frames })
}
