//! Recordings in a folder for each class.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sensorium_core::Error as CoreError;

use crate::{Error, Result};

/// The endings of sound files.
const ENDINGS: [&str; 6] = ["wav", "flac", "ogg", "oga", "mp3", "wave"];

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The file.
    pub path: PathBuf,
    /// Its class, a number among [`Recordings::classes`].
    pub class: usize,
    /// Who speaks: the file's name up to the first `_`, as in Speech Commands (`004ae714_nohash_0.wav`). A name without
    /// one stands for a speaker of its own.
    pub speaker: String,
}

/// A folder of recordings, in which each folder is a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recordings {
    /// The folder.
    pub folder: PathBuf,
    /// The classes' names, in alphabetical order.
    pub classes: Vec<String>,
    /// The recordings, class by class, in alphabetical order.
    pub items: Vec<Recording>,
}

/// The numbers of recordings in three parts. All recordings of a speaker are in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// To learn from.
    pub train: Vec<usize>,
    /// To choose the best epoch by.
    pub validation: Vec<usize>,
    /// To measure the result on.
    pub test: Vec<usize>,
}

impl Recordings {
    /// Lists the recordings of a folder. None is read yet.
    ///
    /// # Errors
    /// If the folder cannot be read, has fewer than two folders, or one of them has no recording.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let fail = |reason: String| Error::from(CoreError::format(folder, "folder of recordings", reason));
        let (mut classes, mut items) = (Vec::new(), Vec::new());
        for class_folder in sorted(folder)?.into_iter().filter(|path| path.is_dir()) {
            let class = name(&class_folder);
            let files: Vec<PathBuf> = sorted(&class_folder)?.into_iter().filter(|path| is_sound(path)).collect();
            if files.is_empty() {
                return Err(fail(format!("its folder '{class}' has no sound file ({})", ENDINGS.join(", "))));
            }
            let number = classes.len();
            items.extend(files.into_iter().map(|path| Recording { speaker: speaker(&path), class: number, path }));
            classes.push(class);
        }
        match classes.len() {
            0 | 1 => Err(fail(format!("it has {} class folders, two or more are needed", classes.len()))),
            _ => Ok(Self { folder: folder.to_path_buf(), classes, items }),
        }
    }

    /// All speakers, in alphabetical order.
    pub fn speakers(&self) -> Vec<&str> {
        let all: BTreeSet<&str> = self.items.iter().map(|item| item.speaker.as_str()).collect();
        all.into_iter().collect()
    }

    /// Splits by speakers. The test part has the speakers `held_out`, or if that is empty, a fifth of all, drawn at random;
    /// of the others, a tenth is for validation. There is at least one in each part.
    ///
    /// # Errors
    /// If a speaker of `held_out` is unknown, fewer than two are left, or a class has no recording to learn from.
    pub fn split(&self, held_out: &[String], seed: u64) -> Result<Split> {
        let mut speakers = self.speakers();
        if let Some(unknown) = held_out.iter().find(|name| !speakers.contains(&name.as_str())) {
            let rule = format!("is no speaker; the speakers are {}", shortened(&speakers));
            return Err(Error::config("hold-out", unknown, rule));
        }
        speakers.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let tested: Vec<&str> = match held_out {
            [] => speakers.iter().copied().take((speakers.len() / 5).max(1)).collect(),
            _ => held_out.iter().map(String::as_str).collect(),
        };
        speakers.retain(|speaker| !tested.contains(speaker));
        if speakers.len() < 2 {
            let rule = "are left to learn from and to validate with, at least two are needed: \
                file names begin with the speaker and a '_'";
            return Err(Error::config("speakers", speakers.len(), rule));
        }
        let validating = &speakers[..(speakers.len() / 10).max(1)];
        let part = |of: &[&str]| -> Vec<usize> {
            (0..self.items.len()).filter(|i| of.contains(&self.items[*i].speaker.as_str())).collect()
        };
        let split =
            Split { train: part(&speakers[validating.len()..]), validation: part(validating), test: part(&tested) };
        let learned: BTreeSet<usize> = split.train.iter().map(|i| self.items[*i].class).collect();
        match (0..self.classes.len()).find(|class| !learned.contains(class)) {
            Some(class) => {
                let class = &self.classes[class];
                Err(Error::config(
                    "class",
                    class,
                    "has no recording of a speaker to learn from: add some, or hold out others",
                ))
            }
            None => Ok(split),
        }
    }
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = || CoreError::io(folder, "list");
    let entries = std::fs::read_dir(folder).map_err(fail())?;
    let mut paths = entries.map(|entry| Ok(entry.map_err(fail())?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_sound(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

fn speaker(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match stem.split_once('_') {
        Some((speaker, _)) => speaker.to_string(),
        // Files of one name in two classes need not have to do with each other.
        None => path.parent().map(name).unwrap_or_default() + "/" + &stem,
    }
}

/// The first few of many names.
fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        folder
    }

    #[test]
    fn folders_are_classes_and_names_begin_with_speakers() {
        let folder = folder(&["yes/a_1.wav", "yes/b_1.FLAC", "no/a_1.wav", "no/c.wav", "no/readme.txt", ".git/x"]);
        let recordings = Recordings::open(folder.path()).unwrap();
        assert_eq!(recordings.classes, ["no", "yes"]);
        assert_eq!(recordings.speakers(), ["a", "b", "no/c"]);
        assert_eq!(recordings.items.iter().map(|item| item.class).collect::<Vec<_>>(), [0, 0, 1, 1]);
    }

    #[test]
    fn no_speaker_is_on_two_sides() {
        let files: Vec<String> = (0..30).flat_map(|i| ["a", "b"].map(|class| format!("{class}/s{i}_x.wav"))).collect();
        let folder = folder(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let recordings = Recordings::open(folder.path()).unwrap();
        for seed in 0..5 {
            let Split { train, validation, test } = recordings.split(&[], seed).unwrap();
            assert_eq!([train.len(), validation.len(), test.len()], [44, 4, 12]);
            let of =
                |part: &[usize]| part.iter().map(|i| recordings.items[*i].speaker.clone()).collect::<BTreeSet<_>>();
            let (a, b, c) = (of(&train), of(&validation), of(&test));
            assert!(a.is_disjoint(&b) && b.is_disjoint(&c) && a.is_disjoint(&c));
        }
        assert_ne!(recordings.split(&[], 1).unwrap(), recordings.split(&[], 2).unwrap());
        let held_out = recordings.split(&["s7".to_string()], 0).unwrap();
        assert!(held_out.test.iter().all(|i| recordings.items[*i].speaker == "s7"));
        assert_eq!(held_out.test.len(), 2);
    }

    #[test]
    fn faults_are_named() {
        let fault = |files: &[&str]| Recordings::open(folder(files).path()).unwrap_err().to_string();
        assert!(fault(&[]).contains("0 class folders"));
        assert!(fault(&["a/x.wav"]).contains("1 class folders"));
        assert!(fault(&["a/x.wav", "b/x.txt"]).contains("'b' has no sound file"));
        assert!(Recordings::open("no such folder").unwrap_err().to_string().contains("cannot list"));
        let few = folder(&["a/x_1.wav", "b/x_2.wav", "b/y_2.wav"]);
        let few = Recordings::open(few.path()).unwrap();
        assert!(few.split(&[], 0).unwrap_err().to_string().starts_with("speakers = 1"));
        let unknown = few.split(&["z".to_string()], 0).unwrap_err().to_string();
        assert!(unknown.contains("the speakers are x, y"), "{unknown}");
        let alone = folder(&["a/x_1.wav", "b/y_2.wav", "c/z_2.wav", "c/v_2.wav"]);
        let alone = Recordings::open(alone.path()).unwrap().split(&[], 0).unwrap_err().to_string();
        assert!(alone.contains("has no recording of a speaker to learn from"), "{alone}");
    }
}
