//! `audio embed`, `compare` and `vad`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use sensorium_audio::silero_vad::{self, SileroVad, Speech, SpeechConfig};
use sensorium_audio::voice_encoder::{self, VoiceEncoder, normalize_volume, similarity};
use sensorium_core::files::write_atomic;
use serde_json::json;

use super::mono_at;
use crate::Global;
use crate::arrays::{check_ending, write_numbers};

/// `audio embed`
#[derive(Args)]
pub(crate) struct Embed {
    /// Recordings of one voice each.
    #[arg(required = true, value_name = "IN")]
    files: Vec<PathBuf>,
    /// The vectors to write, `[recordings, 256]`, .safetensors or .npy; the recordings' names go beside them, into
    /// FILE.ids.json.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// `audio compare`
#[derive(Args)]
pub(crate) struct Compare {
    /// A recording of a voice.
    a: PathBuf,
    /// Another.
    b: PathBuf,
}

/// `audio vad`
#[derive(Args)]
pub(crate) struct Vad {
    /// A recording.
    #[arg(value_name = "IN")]
    file: PathBuf,
    /// Speech begins at this probability.
    #[arg(long, default_value_t = 0.5)]
    threshold: f32,
    /// Shorter stretches of speech are left out, in seconds.
    #[arg(long, default_value_t = 0.25)]
    min_speech: f64,
    /// Shorter silences do not end a stretch, in seconds.
    #[arg(long, default_value_t = 0.1)]
    min_silence: f64,
}

fn voice(encoder: &VoiceEncoder, file: &Path) -> anyhow::Result<Vec<f32>> {
    let samples = normalize_volume(&mono_at(file, voice_encoder::SAMPLE_RATE)?);
    encoder.embed_short(&samples).with_context(|| file.display().to_string())
}

impl Embed {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        check_ending(&self.out)?;
        let encoder = VoiceEncoder::resemblyzer(&global.device()?)?;
        let vectors: Vec<Vec<f32>> =
            self.files.iter().map(|file| voice(&encoder, file)).collect::<anyhow::Result<_>>()?;
        let shape = [vectors.len(), vectors[0].len()];
        write_numbers(&self.out, "voices", vectors.concat(), &shape)?;
        let ids = self.out.with_added_extension("ids.json");
        write_atomic(&ids, &serde_json::to_vec_pretty(&self.files)?)?;
        let mut out = std::io::stdout().lock();
        match global.json {
            true => writeln!(out, "{}", json!({"out": self.out, "ids": ids, "shape": shape}))?,
            false => writeln!(out, "{}: voices {shape:?}; names in {}", self.out.display(), ids.display())?,
        }
        Ok(())
    }
}

impl Compare {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let encoder = VoiceEncoder::resemblyzer(&global.device()?)?;
        let alike = similarity(&voice(&encoder, &self.a)?, &voice(&encoder, &self.b)?);
        let mut out = std::io::stdout().lock();
        match global.json {
            true => writeln!(out, "{}", json!({"a": self.a, "b": self.b, "similarity": alike}))?,
            false => writeln!(out, "similarity {alike:.4} (1 is the same; different voices are mostly below 0.75)")?,
        }
        Ok(())
    }
}

impl Vad {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let Self { threshold, min_speech, min_silence, .. } = self;
        let config = SpeechConfig { threshold, min_speech, min_silence, ..SpeechConfig::default() };
        config.validate()?;
        let samples = mono_at(&self.file, silero_vad::SAMPLE_RATE)?;
        let probabilities = SileroVad::pretrained(&global.device()?)?.probabilities(&samples)?;
        let stretches = config.stretches(&probabilities, samples.len());
        let seconds = |sample: usize| sample as f64 / f64::from(silero_vad::SAMPLE_RATE);
        let length = seconds(samples.len());
        let mut out = std::io::stdout().lock();
        if global.json {
            let list: Vec<_> =
                stretches.iter().map(|s| json!({"start": seconds(s.start), "end": seconds(s.end)})).collect();
            let said = json!({
                "file": self.file, "seconds": length, "speech": list, "chunk_seconds": seconds(silero_vad::CHUNK),
                "probabilities": probabilities,
            });
            return Ok(writeln!(out, "{said}")?);
        }
        let mut spoken = 0.0;
        for Speech { start, end } in stretches {
            let (start, end) = (seconds(start), seconds(end));
            writeln!(out, "{start:8.2} s to {end:8.2} s")?;
            spoken += end - start;
        }
        Ok(writeln!(out, "speech in {spoken:.2} s of {length:.2} s")?)
    }
}
