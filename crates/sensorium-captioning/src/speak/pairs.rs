//! Pictures with sounds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sensorium_audio::io as sounds;
use sensorium_audio::resample::resample;
use sensorium_core::Error as CoreError;
use sensorium_vision::pairs::{Pair, Split};
use serde::{Deserialize, Serialize};

use super::units::SAMPLE_RATE;
use crate::Result;

const LIST: &str = "pairs.jsonl";
const FORMAT: &str = "list of pictures with sounds";

/// A picture, and what is said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SpokenPair {
    /// What names the picture in results: its path as given.
    pub id: String,
    /// The picture.
    pub picture: PathBuf,
    /// Sounds that tell about it: at least one.
    pub sounds: Vec<PathBuf>,
    /// What its sounds say: pictures of one group are told about in the same way.
    pub group: String,
    /// The split that the data set itself fixes.
    pub split: Option<Split>,
}

/// A line of `pairs.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The picture's path, relative to the folder.
    pub image: String,
    /// The sound's path, relative to the folder.
    pub sound: String,
    /// What the sound says; by default the sound's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The part of the data; all lines have one, or none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// An item of an index, of whose fields these are read.
#[derive(Deserialize)]
struct Item {
    image: String,
    sound: String,
    name: String,
}

impl From<Item> for Line {
    fn from(Item { image, sound, name }: Item) -> Self {
        Self { image, sound, group: Some(name), split: None }
    }
}

/// Reads pictures with sounds, in the order they are listed; several entries of one image give it several sounds.
///
/// - A folder has its list in `pairs.jsonl`: one object a line with `image` and `sound`, and if wanted `group` (what is
///   said) and `split` (`train`, `val`, `test`).
/// - A file ending in `.json` is an index: one array of objects with `image`, `sound` and `name` (what is heard); their
///   other fields are left alone.
///
/// Paths are relative to the list's folder.
///
/// # Errors
/// The first rule broken, with file and line: no pairs, an unreadable file, a missing or unknown field, a picture or a
/// sound that does not exist, a picture in two groups or splits.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<SpokenPair>> {
    let path = path.as_ref();
    let is_index = path.extension().is_some_and(|extension| extension == "json") && path.is_file();
    let list = if is_index { path.to_path_buf() } else { path.join(LIST) };
    let text = std::fs::read_to_string(&list).map_err(CoreError::io(&list, "read"))?;
    let lines = if is_index { items_of(&text) } else { lines_of(&text) };
    let folder = list.parent().expect("a file lies in a folder");
    let pairs = lines.and_then(|lines| collect(lines, folder));
    let pairs = pairs.map_err(|reason| CoreError::format(&list, FORMAT, reason))?;
    let files = pairs.iter().flat_map(|pair| [&pair.picture].into_iter().chain(&pair.sounds));
    if let Some(missing) = files.into_iter().find(|file| !file.is_file()) {
        let rule = format!("{} does not exist; paths are relative to the list's folder", missing.display());
        return Err(CoreError::format(&list, FORMAT, rule).into());
    }
    Ok(pairs)
}

/// The entries of a `pairs.jsonl`, each with its place as faults name it.
fn lines_of(text: &str) -> Result<Vec<(String, Line)>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line): (usize, &str)| {
        let place = format!("line {}", number + 1);
        let line = serde_json::from_str(line).map_err(|e| format!("{place}: {e}"))?;
        Ok((place, line))
    };
    lines.map(read).collect()
}

/// The entries of an index.
fn items_of(text: &str) -> Result<Vec<(String, Line)>, String> {
    let items: Vec<Item> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    Ok(items.into_iter().enumerate().map(|(place, item)| (format!("item {}", place + 1), item.into())).collect())
}

/// The pictures of entries, whose paths are relative to `folder`.
fn collect(lines: Vec<(String, Line)>, folder: &Path) -> Result<Vec<SpokenPair>, String> {
    let mut pairs: Vec<SpokenPair> = vec![];
    let mut places: HashMap<String, usize> = HashMap::new();
    for (at, line) in lines {
        for (field, path) in [("image", &line.image), ("sound", &line.sound)] {
            if path.is_empty() {
                return Err(format!("{at}: {field} is empty; give its path, relative to the list's folder"));
            }
        }
        let sound = folder.join(&line.sound);
        let group = line.group.unwrap_or(line.sound);
        let Some(place) = places.get(&line.image) else {
            places.insert(line.image.clone(), pairs.len());
            let picture = folder.join(&line.image);
            pairs.push(SpokenPair { id: line.image, picture, sounds: vec![sound], group, split: line.split });
            continue;
        };
        let pair = &mut pairs[*place];
        if (&pair.group, pair.split) != (&group, line.split) {
            return Err(format!("{at}: {} stands in two groups or splits; give all its lines the same", pair.id));
        }
        pair.sounds.push(sound);
    }
    match pairs.is_empty() {
        true => Err("no pairs; give objects with image and sound".to_string()),
        false => Ok(pairs),
    }
}

/// A sound none of whose samples is further from 0 is silent: −100 dB.
const SILENT: f32 = 1e-5;

/// Pairs without the sounds that are silent, of which there is nothing to learn, and the files of those. A picture all of
/// whose sounds are silent is left out.
///
/// # Errors
/// If a sound cannot be read, or all of them are silent.
pub fn audible(pairs: Vec<SpokenPair>) -> Result<(Vec<SpokenPair>, Vec<PathBuf>)> {
    let (mut kept, mut silent) = (vec![], vec![]);
    for mut pair in pairs {
        let mut sounds = vec![];
        for sound in pair.sounds {
            let is_heard = read_sound(&sound)?.iter().any(|sample| sample.abs() > SILENT);
            if is_heard { sounds.push(sound) } else { silent.push(sound) }
        }
        pair.sounds = sounds;
        if !pair.sounds.is_empty() {
            kept.push(pair);
        }
    }
    match (kept.is_empty(), silent.first()) {
        (true, Some(first)) => {
            Err(CoreError::format(first, "sound", "it is silent, as all sounds of the list are").into())
        }
        _ => Ok((kept, silent)),
    }
}

/// A sound file, its channels' mean at 16 kHz.
///
/// # Errors
/// If the file cannot be read.
pub fn read_sound(path: impl AsRef<Path>) -> Result<Vec<f32>> {
    Ok(resample(&sounds::read(path)?, SAMPLE_RATE)?.mono())
}

/// The parts of the pairs: their own, or by group and seed as [`sensorium_vision::pairs::parts`] deals them. In the latter
/// nothing that is said in one part is said in another.
///
/// # Errors
/// If only some pairs name a split, or a part comes out empty.
pub fn parts(source: &str, pairs: &[SpokenPair], seed: u64) -> Result<Vec<Split>> {
    let told: Vec<Pair> = pairs.iter().map(|pair| pair.told(vec![])).collect();
    Ok(sensorium_vision::pairs::parts(source, &told, seed)?)
}

impl SpokenPair {
    /// The pair with captions in the place of its sounds.
    pub(super) fn told(&self, captions: Vec<String>) -> Pair {
        let Self { id, picture, group, split, .. } = self.clone();
        let tokens = captions.iter().map(|units| units.split(' ').map(String::from).collect()).collect();
        Pair { id, picture, captions, tokens, tags: vec![], group, split }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str, folder: &Path) -> Result<Vec<SpokenPair>, String> {
        collect(lines_of(text)?, folder)
    }

    #[test]
    fn an_index_gives_what_is_heard_as_the_group() {
        let text = r#"[{"image": "a.webp", "sound": "a.flac", "name": "A frog.", "seconds": 1.5},
            {"image": "a.webp", "sound": "b.flac", "name": "A frog."}]"#;
        let pairs = collect(items_of(text).unwrap(), Path::new("set")).unwrap();
        assert_eq!((pairs.len(), pairs[0].sounds.len(), pairs[0].group.as_str()), (1, 2, "A frog."));
        for (text, part) in [
            ("{}", "invalid type: map"),
            (r#"[{"image": "a.webp", "sound": "a.flac"}]"#, "missing field `name`"),
            (r#"[{"image": "a.webp", "sound": "", "name": "x"}]"#, "item 1: sound is empty"),
            ("[]", "no pairs"),
        ] {
            let fault = items_of(text).and_then(|items| collect(items, Path::new(""))).unwrap_err();
            assert!(fault.contains(part), "{text}: {fault}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        file("index.json", r#"[{"image": "a.png", "sound": "a.wav", "name": "x"}]"#);
        let list = folder.path().join("index.json");
        assert!(read(&list).unwrap_err().to_string().contains("a.png does not exist"));
        file("a.png", "");
        file("a.wav", "");
        assert_eq!(read(&list).unwrap()[0].picture, folder.path().join("a.png"));
    }

    #[test]
    fn lines_of_one_image_are_its_sounds() {
        let text = r#"{"image": "a.png", "sound": "1.wav", "group": "ball", "split": "train"}

{"image": "b.png", "sound": "2.wav"}
{"image": "a.png", "sound": "3.wav", "group": "ball", "split": "train"}"#;
        let pairs = parse(text, Path::new("set")).unwrap();
        assert_eq!(pairs.len(), 2);
        assert_eq!(pairs[0].sounds, [Path::new("set/1.wav"), Path::new("set/3.wav")]);
        assert_eq!((pairs[0].group.as_str(), pairs[0].split), ("ball", Some(Split::Train)));
        assert_eq!((pairs[1].group.as_str(), pairs[1].split), ("2.wav", None));
    }

    #[test]
    fn silent_sounds_are_left_out() {
        use sensorium_audio::io::{Audio, SampleFormat, write_wav};
        let folder = tempfile::tempdir().unwrap();
        let sound = |name: &str, level: f32| {
            let path = folder.path().join(name);
            let audio = Audio::from_mono(vec![level; 400], SAMPLE_RATE).unwrap();
            write_wav(&path, &audio, SampleFormat::F32).unwrap();
            path
        };
        let (loud, quiet, silent) = (sound("a.wav", 0.5), sound("b.wav", 1e-4), sound("c.wav", 0.0));
        let pair = |id: &str, sounds: &[&PathBuf]| SpokenPair {
            id: id.to_string(),
            picture: "p.png".into(),
            sounds: sounds.iter().map(|sound| sound.to_path_buf()).collect(),
            group: id.to_string(),
            split: None,
        };
        let pairs = vec![pair("1", &[&loud, &silent]), pair("2", &[&silent]), pair("3", &[&quiet])];
        let (kept, left_out) = audible(pairs.clone()).unwrap();
        assert_eq!(kept, [pair("1", &[&loud]), pair("3", &[&quiet])]);
        assert_eq!(left_out, [silent.clone(), silent]);
        let fault = audible(vec![pairs[1].clone()]).unwrap_err().to_string();
        assert!(fault.contains("c.wav") && fault.contains("silent"), "{fault}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "no pairs"),
            ("[]", "line 1"),
            (r#"{"image": "a.png"}"#, "missing field `sound`"),
            (r#"{"image": "", "sound": "a.wav"}"#, "image is empty"),
            (r#"{"image": "a.png", "sound": ""}"#, "sound is empty"),
            (r#"{"image": "a.png", "sound": "a.wav", "caption": "x"}"#, "unknown field `caption`"),
            (r#"{"image": "a.png", "sound": "a.wav", "split": "dev"}"#, "unknown variant `dev`"),
            (
                "{\"image\": \"a.png\", \"sound\": \"a.wav\"}\n{\"image\": \"a.png\", \"sound\": \"b.wav\"}",
                "line 2: a.png stands in two groups",
            ),
        ] {
            let fault = parse(text, Path::new("")).unwrap_err();
            assert!(fault.contains(part), "{text}: {fault}");
        }
        let folder = tempfile::tempdir().unwrap();
        let fault = || read(folder.path()).unwrap_err().to_string();
        assert!(fault().contains("pairs.jsonl"));
        std::fs::write(folder.path().join(LIST), r#"{"image": "a.png", "sound": "a.wav"}"#).unwrap();
        assert!(fault().contains("a.png does not exist"), "{}", fault());
    }

    proptest! {
        #[test]
        fn any_text_is_pairs_or_an_error(text in ".{0,200}", at in 0usize..60) {
            let _ = parse(&text, Path::new(""));
            let _ = items_of(&text);
            let good = r#"{"image": "a.png", "sound": "a.wav", "split": "val"}"#;
            let _ = parse(&good[..at.min(good.len())], Path::new(""));
        }
    }
}
