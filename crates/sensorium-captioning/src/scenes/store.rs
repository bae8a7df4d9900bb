//! Sets of scenes in folders.

use std::path::Path;

use rayon::prelude::*;
use sensorium_core::Error as CoreError;
use sensorium_core::files::write_atomic;
use sensorium_vision::io;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{SIDE, Scene};
use crate::Result;

/// The most scenes that a set may have.
pub const MOST: usize = 100_000;

/// Captions a picture in `pairs.jsonl`.
const CAPTIONS: usize = 5;
/// Pictures that are painted between two signs of progress.
const BATCH: usize = 64;
const SCENES: &str = "scenes.json";
const PAIRS: &str = "pairs.jsonl";
const FORMAT: &str = "set of scenes";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    seed: u64,
    scenes: Vec<Scene>,
}

/// A picture's path in the folder of its set.
pub(super) fn image_path(id: usize) -> String {
    format!("images/{id:05}.png")
}

/// Writes the first `count` scenes of a seed into a folder: `images/`, `pairs.jsonl` (five captions a picture, in the
/// layout of [`sensorium_vision::pairs`]) and, when all else is there, `scenes.json`. `painted` is told how many
/// pictures have been added.
///
/// # Errors
/// If `count` is 0 or more than [`MOST`], or the folder cannot be written.
pub fn write(folder: impl AsRef<Path>, count: usize, seed: u64, mut painted: impl FnMut(usize)) -> Result<()> {
    if !(1..=MOST).contains(&count) {
        return Err(CoreError::config("n", count, format!("must be 1 to {MOST}")).into());
    }
    let folder = folder.as_ref();
    let images = folder.join("images");
    std::fs::create_dir_all(&images).map_err(CoreError::io(&images, "create"))?;
    let scenes: Vec<Scene> = (0..count).map(|id| Scene::compose(seed, id)).collect();
    for batch in scenes.chunks(BATCH) {
        batch.par_iter().try_for_each(|scene| io::write(folder.join(&scene.image), &scene.picture()))?;
        painted(batch.len());
    }
    let line = |scene: &Scene| {
        let captions = scene.reference_captions(CAPTIONS);
        format!("{}\n", json!({ "image": scene.image, "captions": captions, "split": scene.split }))
    };
    write_atomic(folder.join(PAIRS), scenes.iter().map(line).collect::<String>().as_bytes())?;
    let file = serde_json::to_vec(&File { seed, scenes }).expect("plain numbers and names");
    Ok(write_atomic(folder.join(SCENES), &file)?)
}

/// The scenes of a folder, in order.
///
/// # Errors
/// If `scenes.json` cannot be read, or a scene breaks a rule; the message names the field.
pub fn read(folder: impl AsRef<Path>) -> Result<Vec<Scene>> {
    let path = folder.as_ref().join(SCENES);
    let bytes = std::fs::read(&path).map_err(CoreError::io(&path, "read"))?;
    parse(&bytes).map_err(|reason| CoreError::format(&path, FORMAT, reason).into())
}

fn parse(bytes: &[u8]) -> Result<Vec<Scene>, String> {
    let file: File = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    for (number, scene) in file.scenes.iter().enumerate() {
        let broken =
            |field: &str, value: String, rule: &str| Err(format!("scenes[{number}].{field} = {value}: {rule}"));
        if !(1..=2).contains(&scene.objects.len()) {
            return broken("objects", format!("{} of them", scene.objects.len()), "a scene has one or two");
        }
        for (place, object) in scene.objects.iter().enumerate() {
            let [x0, y0, x1, y1] = object.bounds;
            if x0 >= x1 || y0 >= y1 || x1 > SIDE || y1 > SIDE {
                let field = format!("objects[{place}].box");
                return broken(&field, format!("{:?}", object.bounds), "must be [x0, y0, x1, y1] within the picture");
            }
        }
        if let [a, b] = scene.objects.as_slice()
            && a.shape == b.shape
        {
            return broken("objects", format!("two of shape '{}'", a.shape.word()), "their shapes must differ");
        }
    }
    Ok(file.scenes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sensorium_vision::pairs;

    use super::*;

    #[test]
    fn a_folder_gives_back_its_scenes_and_its_pairs() {
        let folder = tempfile::tempdir().unwrap();
        let mut painted = 0;
        write(folder.path(), 20, 7, |pictures| painted += pictures).unwrap();
        assert_eq!(painted, 20);
        let scenes = read(folder.path()).unwrap();
        assert_eq!(scenes[13], Scene::compose(7, 13));
        let pairs = pairs::read(folder.path()).unwrap();
        let splits = pairs::parts("scenes", &pairs, 0).unwrap();
        assert_eq!(splits.iter().filter(|split| **split == pairs::Split::Test).count(), 2);
        for (scene, pair) in scenes.iter().zip(&pairs) {
            assert_eq!(pair.id, scene.image);
            assert_eq!(pair.captions, scene.reference_captions(5));
            let picture = pairs::read_picture(&pair.picture).unwrap();
            assert_eq!(picture, scene.picture());
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(write("x", 0, 0, |_| ()).unwrap_err().to_string().contains("n = 0"));
        let with = |change: fn(&mut Scene)| {
            let mut scene = (0..).map(|id| Scene::compose(1, id)).find(|scene| scene.objects.len() == 2).unwrap();
            change(&mut scene);
            parse(&serde_json::to_vec(&File { seed: 1, scenes: vec![scene] }).unwrap()).unwrap_err()
        };
        assert!(with(|scene| scene.objects.clear()).contains("scenes[0].objects = 0 of them"));
        assert!(with(|scene| scene.objects[1].bounds = [3, 3, 300, 9]).contains("scenes[0].objects[1].box"));
        assert!(with(|scene| scene.objects[1].shape = scene.objects[0].shape).contains("shapes must differ"));
        assert!(parse(br#"{"seed": 1}"#).unwrap_err().contains("scenes"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_scenes_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
