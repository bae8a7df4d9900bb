//! `caption speak run`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sensorium_audio::io::{Audio, SampleFormat, write_wav};
use sensorium_captioning::BeamSearch;
use sensorium_captioning::speak::{SAMPLE_RATE, Speaker, portrait};
use sensorium_vision::pairs::read_picture;
use serde::Serialize;

use crate::Global;
use crate::pictures::{expand, make_folder, named};
use crate::progress::bar;

/// `caption speak run`
#[derive(Args)]
pub(crate) struct Run {
    /// The folder of a run.
    run: PathBuf,
    /// Pictures, or folders of them.
    #[arg(required = true, value_name = "IMG")]
    pictures: Vec<PathBuf>,
    /// Folder for what is said: NAME.wav for each picture.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Beginnings that the search keeps; 1 takes the likeliest unit each time.
    #[arg(long, default_value_t = 5)]
    beam: usize,
    /// Folder for NAME.png: the picture, the mel bands of what is said, and where the speaker looked.
    #[arg(long, value_name = "DIR")]
    heatmap: Option<PathBuf>,
}

/// What was said of a picture.
#[derive(Serialize)]
struct Said {
    file: PathBuf,
    sound: PathBuf,
    seconds: f64,
    units: Vec<u32>,
    score: f32,
}

impl Run {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let search = BeamSearch::new(self.beam);
        search.validate()?;
        let speaker = Speaker::load(&self.run, &global.device()?)?;
        let files = expand(&self.pictures)?;
        for folder in [Some(&self.out), self.heatmap.as_ref()].into_iter().flatten() {
            make_folder(folder, &files)?;
        }
        let bar = bar(files.len(), "pictures", global.progress() && files.len() > 1);
        let mut said: Vec<Said> = vec![];
        for file in &files {
            let picture = read_picture(file)?;
            let spoken = speaker.speak(std::slice::from_ref(&picture), &search)?.remove(0);
            let sound = named(&self.out, file, "wav");
            if let Some(folder) = &self.heatmap {
                let title = file.file_stem().unwrap_or_default().to_string_lossy();
                portrait(&speaker, &picture, &spoken, &title)?.save(named(folder, file, "png"))?;
            }
            let audio = Audio::from_mono(spoken.sound, SAMPLE_RATE)?;
            write_wav(&sound, &audio, SampleFormat::I16)?;
            said.push(Said {
                file: file.clone(),
                sound,
                seconds: audio.seconds(),
                units: spoken.units,
                score: spoken.sentence.score,
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut stdout = std::io::stdout().lock();
        if global.json {
            return Ok(writeln!(stdout, "{}", serde_json::to_string_pretty(&said)?)?);
        }
        for Said { file, sound, seconds, units, .. } in said {
            let units: Vec<String> = units.iter().map(u32::to_string).collect();
            writeln!(stdout, "{}\n  {}, {seconds:.2} s: {}", file.display(), sound.display(), units.join(" "))?;
        }
        Ok(())
    }
}
