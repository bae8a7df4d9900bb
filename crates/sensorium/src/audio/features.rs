//! `audio spectrogram`, `mel` and `mfcc`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use sensorium_audio::draw;
use sensorium_audio::front_end::{Features, FrontEnd, FrontEndConfig, Preset};
use sensorium_audio::io;
use sensorium_core::draw::Drawing;
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

/// `audio spectrogram`
#[derive(Args)]
pub(crate) struct Spectrogram {
    #[command(flatten)]
    show: Show,
    /// Only the frame at this moment, in seconds; its picture is a curve over frequency.
    #[arg(long, value_name = "SECONDS")]
    at: Option<f64>,
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

impl Spectrogram {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        self.show.run_at(Kind::Spectrogram, self.at, global)
    }
}

impl Show {
    pub(super) fn run(self, kind: Kind, global: &Global) -> anyhow::Result<()> {
        self.run_at(kind, None, global)
    }

    fn run_at(self, kind: Kind, moment: Option<f64>, global: &Global) -> anyhow::Result<()> {
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
        let mut features = features.with_context(|| self.file.display().to_string())?;
        let frame = moment.map(|moment| frame_at(&features, &config, moment)).transpose()?;
        if let Some(out) = self.out.as_deref().filter(|_| picture) {
            self.draw(&features, &config, kind, frame).save(out)?;
        }
        if let Some(frame) = frame {
            features = Features { values: features.frame(frame), frames: 1, ..features };
        }
        if let Some(out) = self.out.as_deref().filter(|_| !picture) {
            write_numbers(out, kind.name(), features.values.clone(), &[features.rows, features.frames])?;
        }
        self.report(&features, &config, kind, global)
    }

    fn draw(&self, features: &Features<f32>, config: &FrontEndConfig, kind: Kind, frame: Option<usize>) -> Drawing {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let title = format!("{name}: {}", kind.title());
        match (kind, frame) {
            (Kind::Spectrogram, None) => draw::spectrogram(features, config, &title),
            (Kind::Mel, _) => draw::mel(features, config, &title),
            (Kind::Mfcc, _) => draw::mfcc(features, config, &title),
            (Kind::Spectrogram, Some(frame)) => {
                let seconds = (frame * config.hop_length) as f64 / f64::from(config.sample_rate);
                draw::spectrum(features, config, frame, &format!("{name}: the spectrum at {seconds:.2} s"))
            }
        }
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

/// The frame whose middle is nearest to a moment.
fn frame_at(features: &Features<f32>, config: &FrontEndConfig, moment: f64) -> anyhow::Result<usize> {
    let step = config.hop_length as f64 / f64::from(config.sample_rate);
    let last = (features.frames - 1) as f64 * step;
    ensure!((0.0..=last + step / 2.0).contains(&moment), "--at {moment}: must be 0 to {last:.3} s");
    Ok(((moment / step).round() as usize).min(features.frames - 1))
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

pub(super) fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "png" || ending == "svg")
}
