//! `sensorium audio`: look at sound, change it, tell voices and speech.

mod classify;
mod features;
mod invert;
mod voices;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use sensorium_audio::draw;
use sensorium_audio::io::{self, Audio, SampleFormat};
use sensorium_audio::resample::{resample, resample_high_quality};
use serde_json::json;

use crate::Global;
use features::{Show, Spectrogram, is_picture};
use invert::Invert;
use voices::{Compare, Embed, Vad};

/// The verbs of `sensorium audio`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Say what sound files hold.
    Info(Info),
    /// How loud each frequency is at each moment.
    Spectrogram(Spectrogram),
    /// The same in mel bands, as models take it.
    Mel(Show),
    /// Cepstra of the mel bands.
    Mfcc(Show),
    /// From a spectrogram, mel bands or cepstra back to sound.
    Invert(Invert),
    /// Write a sound at another sample rate.
    Resample(Resample),
    /// The voices in recordings as vectors, by Resemblyzer's encoder.
    Embed(Embed),
    /// How alike two voices are.
    Compare(Compare),
    /// Where speech is, by silero-vad's network.
    Vad(Vad),
    /// Tell sounds apart: learn it from recordings, measure it, do it.
    #[command(subcommand)]
    Classify(classify::Verb),
}

/// `audio info`
#[derive(Args)]
pub(crate) struct Info {
    /// Sound files: WAV, FLAC, Ogg Vorbis or MP3.
    #[arg(required = true, value_name = "IN")]
    files: Vec<PathBuf>,
    /// A picture of the waveform to draw, .png or .svg; of one file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where the picture begins, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, requires = "out")]
    from: f64,
    /// How much of the sound the picture shows, in seconds; without, all that follows.
    #[arg(long, value_name = "SECONDS", requires = "out")]
    length: Option<f64>,
}

/// `audio resample`
#[derive(Args)]
pub(crate) struct Resample {
    /// A sound file.
    #[arg(value_name = "IN")]
    file: PathBuf,
    /// The new rate in hertz.
    #[arg(long, value_name = "HZ")]
    rate: u32,
    /// By rubato's filter, whose stop band is deeper, and not by torchaudio's.
    #[arg(long)]
    high_quality: bool,
    /// The WAV file to write, in 16 bits.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Verb {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Info(verb) => verb.run(global),
            Self::Spectrogram(verb) => verb.run(global),
            Self::Mel(show) => show.run(features::Kind::Mel, global),
            Self::Mfcc(show) => show.run(features::Kind::Mfcc, global),
            Self::Invert(verb) => verb.run(global),
            Self::Resample(verb) => verb.run(global),
            Self::Embed(verb) => verb.run(global),
            Self::Compare(verb) => verb.run(global),
            Self::Vad(verb) => verb.run(global),
            Self::Classify(verb) => verb.run(global),
        }
    }
}

impl Info {
    fn run(self, global: &Global) -> anyhow::Result<()> {
        let said: Vec<_> = self.files.iter().map(|file| Ok((file, io::info(file)?))).collect::<anyhow::Result<_>>()?;
        if let Some(out) = &self.out {
            self.draw(out)?;
        }
        let mut out = std::io::stdout().lock();
        if global.json {
            let list: Vec<_> = said.iter().map(|(file, info)| json!({"file": file, "info": info})).collect();
            return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?);
        }
        for (file, info) in said {
            let channels =
                if info.channels == 1 { "1 channel".to_string() } else { format!("{} channels", info.channels) };
            let io::Info { format, encoding, sample_rate, seconds, frames, .. } = info;
            writeln!(out, "{}", file.display())?;
            writeln!(out, "  {format}, {encoding}, {channels}, {sample_rate} Hz, {seconds:.3} s, {frames} samples")?;
        }
        Ok(())
    }

    fn draw(&self, out: &Path) -> anyhow::Result<()> {
        ensure!(is_picture(out), "--out {}: must end in .png or .svg", out.display());
        let [file] = self.files.as_slice() else { bail!("--out: draws one file, not {}", self.files.len()) };
        let audio = io::read(file)?;
        let (rate, length) = (audio.sample_rate(), self.length.unwrap_or(audio.seconds()));
        ensure!(
            (0.0..audio.seconds()).contains(&self.from),
            "--from {}: must be 0 to {:.3} s",
            self.from,
            audio.seconds()
        );
        ensure!(length > 0.0, "--length {length}: must be above 0 s");
        let sample = |seconds: f64| ((seconds * f64::from(rate)).round() as usize).min(audio.frames());
        let part = &audio.mono()[sample(self.from)..sample(self.from + length)];
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Ok(draw::waveform(part, rate, self.from, &format!("{name}: the waveform")).save(out)?)
    }
}

impl Resample {
    fn run(self, global: &Global) -> anyhow::Result<()> {
        let audio = io::read(&self.file)?;
        let changed = match self.high_quality {
            true => resample_high_quality(&audio, self.rate),
            false => resample(&audio, self.rate),
        };
        let changed = changed.with_context(|| self.file.display().to_string())?;
        let clipped = io::write_wav(&self.out, &changed, SampleFormat::I16)?;
        if clipped > 0 {
            tracing::warn!("{clipped} samples are beyond the range of 16 bits and were clipped");
        }
        let (frames, seconds) = (changed.frames(), changed.seconds());
        let mut out = std::io::stdout().lock();
        match global.json {
            true => {
                let said = json!({"out": self.out, "sample_rate": self.rate, "frames": frames, "clipped": clipped});
                writeln!(out, "{said}")?;
            }
            false => writeln!(out, "{}: {frames} samples at {} Hz, {seconds:.3} s", self.out.display(), self.rate)?,
        }
        Ok(())
    }
}

/// One channel of a file at a rate, its channels' mean.
fn mono_at(file: &Path, rate: u32) -> anyhow::Result<Vec<f32>> {
    let audio = io::read(file)?;
    let mono = Audio::from_mono(audio.mono(), audio.sample_rate())?;
    let at_rate = if mono.sample_rate() == rate { mono } else { resample(&mono, rate)? };
    Ok(at_rate.mono())
}
