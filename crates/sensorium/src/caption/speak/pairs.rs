//! `caption speak pairs`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use sensorium_audio::io::{Audio, SampleFormat, write_wav};
use sensorium_captioning::speak::SAMPLE_RATE;
use sensorium_captioning::speak::pairs::{Line, read_sound};
use sensorium_core::files::write_atomic;
use sensorium_fusion::joint::emoji::{Emoji, Style};
use sensorium_vision::io;
use sensorium_vision::pairs::Split;
use serde::Deserialize;
use serde_json::json;

use crate::Global;

/// `caption speak pairs`
#[derive(Args)]
pub(crate) struct Pairs {
    /// Recordings of words: JSON as {"items": [{"word": …, "file": …, "voice": …}]}, paths relative to it.
    #[arg(long, value_name = "FILE")]
    sounds: PathBuf,
    /// Folder for the set: images, sounds, pairs.jsonl.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Take these voices only.
    #[arg(long, value_delimiter = ',')]
    voice: Vec<String>,
}

/// A list of recordings.
#[derive(Deserialize)]
struct Index {
    items: Vec<Recording>,
}

#[derive(Deserialize)]
struct Recording {
    word: String,
    file: PathBuf,
    #[serde(default)]
    voice: String,
}

impl Pairs {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let out = self.out.display();
        ensure!(!self.out.join("pairs.jsonl").exists(), "{out}: holds a set; choose another folder");
        let recordings = self.recordings()?;
        for folder in ["images", "sounds"].map(|folder| self.out.join(folder)) {
            std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot create", folder.display()))?;
        }
        let emoji = Emoji::bundled();
        let styles = [Style::Google, Style::Twitter].map(|style| emoji.pairs(style));
        let mut lines: Vec<Line> = vec![];
        let mut words = BTreeSet::new();
        for (item, shown) in emoji.items.iter().enumerate().filter(|(_, item)| item.base) {
            let said: Vec<&Recording> =
                recordings.iter().filter(|said| names(spoken(&said.word), &shown.name)).collect();
            let Some(first) = said.first() else { continue };
            words.insert(spoken(&first.word));
            for (style, drawings) in ["google", "twitter"].iter().zip(&styles) {
                let image = format!("images/{}-{style}.png", shown.code);
                io::write(self.out.join(&image), &drawings.image(item)?)?;
                let split = match *style {
                    "google" => Split::Train,
                    _ if item % 2 == 0 => Split::Val,
                    _ => Split::Test,
                };
                for said in &said {
                    let group = Some(spoken(&said.word).to_string());
                    let sound = format!("sounds/{}", sound_name(said));
                    lines.push(Line { image: image.clone(), sound, group, split: Some(split) });
                }
            }
        }
        ensure!(!lines.is_empty(), "{}: no word is the name of an emoji", self.sounds.display());
        let used: BTreeSet<&str> = lines.iter().map(|line| line.sound.as_str()).collect();
        for said in &recordings {
            let sound = format!("sounds/{}", sound_name(said));
            if used.contains(sound.as_str()) {
                let audio = Audio::from_mono(read_sound(self.folder().join(&said.file))?, SAMPLE_RATE)?;
                write_wav(self.out.join(sound), &audio, SampleFormat::I16)?;
            }
        }
        let text: Vec<String> = lines.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        write_atomic(self.out.join("pairs.jsonl"), format!("{}\n", text.join("\n")).as_bytes())?;
        let pictures = lines.iter().map(|line| &line.image).collect::<BTreeSet<_>>().len();
        let (words, sounds) = (words.len(), used.len());
        let mut stdout = std::io::stdout().lock();
        if global.json {
            let said = json!({"out": self.out, "pictures": pictures, "words": words, "sounds": sounds});
            return Ok(writeln!(stdout, "{said}")?);
        }
        Ok(writeln!(stdout, "{out}: {pictures} pictures of {words} words, {sounds} sounds")?)
    }

    /// The folder that the list's paths are relative to.
    fn folder(&self) -> &Path {
        self.sounds.parent().unwrap_or(Path::new(""))
    }

    fn recordings(&self) -> Result<Vec<Recording>> {
        let file = self.sounds.display();
        let text = std::fs::read_to_string(&self.sounds).with_context(|| format!("{file}: cannot read"))?;
        let index: Index = serde_json::from_str(&text)
            .with_context(|| format!("{file}: it must be an object with items, each with word and file"))?;
        let voices: BTreeSet<&str> = index.items.iter().map(|said| said.voice.as_str()).collect();
        for voice in &self.voice {
            let has = voices.iter().copied().collect::<Vec<_>>().join(", ");
            ensure!(voices.contains(voice.as_str()), "--voice {voice}: {file} has no such voice, but {has}");
        }
        let wanted = |said: &Recording| self.voice.is_empty() || self.voice.contains(&said.voice);
        Ok(index.items.into_iter().filter(wanted).collect())
    }
}

/// What is said: the last part of a key such as `moon_rocket`.
fn spoken(word: &str) -> &str {
    word.rsplit('_').next().unwrap_or(word)
}

/// Whether an emoji's name is that of what is said: the last word of it, as in `soccer ball`. Names with a colon tell of
/// a part (`man: red hair`), and those do not count.
fn names(spoken: &str, name: &str) -> bool {
    !name.contains(':') && name.split(' ').next_back().is_some_and(|last| last.eq_ignore_ascii_case(spoken))
}

/// The name of a recording's file in the set.
fn sound_name(said: &Recording) -> String {
    format!("{}-{}.wav", said.voice, said.word).replace(|c: char| !(c.is_alphanumeric() || "-_.".contains(c)), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_what_ends_with_it() {
        assert!(names(spoken("moon_rocket"), "rocket") && names("hat", "top hat") && names("ball", "soccer ball"));
        assert!(!names("hair", "man: red hair") && !names("ear", "ear of corn") && !names("car", "oncoming scar"));
    }
}
