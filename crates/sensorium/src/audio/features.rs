//! `audio spectrogram`, `mel` and `mfcc`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use sensorium_audio::draw;
use sensorium_audio::front_end::{Features, FrontEnd, FrontEndConfig, Preset};
use sensorium_audio::io;
use serde_json::json;

use super::mono_at;
use crate::Global;
use crate::arrays::{check_ending, write_numbers};

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Spectrogram,
    Mel,
    Mfcc,
}

/// Flags of the three verbs.
#[derive(Args)]
pub(crate) struct Show {
    /// A sound file. Of several channels the mean is taken, at the preset's sample rate.
    #[arg(value_name = "IN")]
    file: PathBuf,
    /// Whose settings: librosa-0.11, torchaudio, kaldi, whisper or resemblyzer.
    #[arg(long, default_value = "librosa-0.11", value_parser = preset)]
    preset: Preset,
    /// Take the sound at its own sample rate, not the preset's.
    #[arg(long)]
    own_rate: bool,
    /// What to write: a picture, .png or .svg, or the numbers, .safetensors or .npy.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn preset(name: &str) -> Result<Preset, String> {
    Preset::parse(name).map_err(|fault| fault.to_string())
}

impl Show {
    pub(super) fn run(self, kind: Kind, global: &Global) -> anyhow::Result<()> {
        let picture = self.out.as_deref().is_some_and(is_picture);
        if let Some(out) = self.out.as_deref().filter(|_| !picture) {
            check_ending(out).context("nor is it a picture, .png or .svg")?;
        }
        let mut config = self.preset.config();
        if self.own_rate {
            config = config.with_sample_rate(io::info(&self.file)?.sample_rate);
        }
        let samples = mono_at(&self.file, config.sample_rate)?;
        let front_end = FrontEnd::new(config)?;
        let features = match kind {
            Kind::Spectrogram => front_end.spectrogram(&samples),
            Kind::Mel => front_end.mel(&samples),
            Kind::Mfcc => front_end.mfcc(&samples),
        };
        let features = features.with_context(|| self.file.display().to_string())?;
        match self.out.as_deref() {
            Some(out) if picture => self.draw(&features, &config, kind)?.save(out)?,
            Some(out) => write_numbers(out, kind.name(), features.values.clone(), &[features.rows, features.frames])?,
            None => {}
        }
        self.report(&features, &config, kind, global)
    }

    fn draw(
        &self,
        features: &Features<f32>,
        config: &FrontEndConfig,
        kind: Kind,
    ) -> anyhow::Result<sensorium_core::draw::Drawing> {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let title = format!("{name}: {}", kind.title());
        Ok(match kind {
            Kind::Spectrogram => draw::spectrogram(features, config, &title),
            Kind::Mel => draw::mel(features, config, &title),
            Kind::Mfcc => draw::mfcc(features, config, &title),
        })
    }

    fn report(
        &self,
        features: &Features<f32>,
        config: &FrontEndConfig,
        kind: Kind,
        global: &Global,
    ) -> anyhow::Result<()> {
        let Features { values, rows, frames } = features;
        let extreme = |larger: fn(f32, f32) -> f32| values.iter().copied().reduce(larger).unwrap_or_default();
        let (low, high) = (extreme(f32::min), extreme(f32::max));
        let step = config.hop_length as f64 / f64::from(config.sample_rate);
        let mut out = std::io::stdout().lock();
        if global.json {
            let said = json!({
                "file": self.file, "preset": self.preset.name(), "rows": rows, "frames": frames, "step_seconds": step,
                "sample_rate": config.sample_rate, "min": low, "max": high, "out": self.out,
            });
            return Ok(writeln!(out, "{said}")?);
        }
        writeln!(out, "{rows} {} by {frames} frames of {:.1} ms, {low:.4} to {high:.4}", kind.rows(), 1e3 * step)?;
        match &self.out {
            Some(path) => Ok(writeln!(out, "written to {}", path.display())?),
            None => Ok(()),
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Spectrogram => "spectrogram",
            Self::Mel => "mel",
            Self::Mfcc => "mfcc",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Spectrogram => "spectrogram",
            Self::Mel => "mel bands",
            Self::Mfcc => "cepstra",
        }
    }

    fn rows(self) -> &'static str {
        match self {
            Self::Spectrogram => "bins",
            Self::Mel => "bands",
            Self::Mfcc => "coefficients",
        }
    }
}

fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "png" || ending == "svg")
}
