//! Data sets of pairs: pictures with their words.
//!
//! | what [`read`] is given | layout |
//! |---|---|
//! | a folder with `pairs.jsonl` | one object a line: `image`, `caption` or `captions`, and if wanted `tags`, `group`, `split` |
//! | a folder with `pairs.csv` or `pairs.tsv` | a header naming `image`, `caption`, and if wanted `tags` (split by `;`), `group`, `split`; several rows of one image give it several captions |
//! | a folder with `dataset.json`, or such a file | Karpathy's split: `images[].{filepath, filename, split, sentences[].{raw, tokens}}` |
//! | any other folder | every picture with a `.txt` of the same name beside it, one caption a line |
//!
//! Image paths are relative to the folder. A picture without words, words without a picture, and an unknown split are
//! errors that name the line. [`parts`] splits a set that has no split of its own.

mod split;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sensorium_core::Error as CoreError;
use serde::{Deserialize, Serialize};
pub use split::{ensure_part, folds, parts};

use crate::io::{self, Alpha, Decoding, RgbImage};
use crate::{Error, Result};

/// The part of a data set a pair belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Learned from.
    Train,
    /// Decides when to stop and which settings to keep.
    Val,
    /// Measured once, never learned from.
    Test,
}

impl Split {
    fn parse(word: &str) -> Option<Self> {
        match word {
            // Karpathy's `restval` are pictures that joined the training part.
            "train" | "restval" => Some(Self::Train),
            "val" => Some(Self::Val),
            "test" => Some(Self::Test),
            _ => None,
        }
    }
}

/// One picture with its words. `P` says where the picture is: a file, unless a data set brings its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair<P = PathBuf> {
    /// What names the picture in results: its path as given.
    pub id: String,
    /// The picture.
    pub picture: P,
    /// Texts that describe it: at least one.
    pub captions: Vec<String>,
    /// The words of each caption, where the data set says them (Karpathy's `tokens`); empty for one of which it does
    /// not, and empty as a whole in the other layouts.
    pub tokens: Vec<Vec<String>>,
    /// Single words or short phrases that fit it; may be empty.
    pub tags: Vec<String>,
    /// Pairs of one group never stand in different splits: variants of one concept, frames of one scene.
    pub group: String,
    /// The split the data set itself fixes.
    pub split: Option<Split>,
}

/// Reads the pairs of a folder or file, in file order; the module page has the layouts.
///
/// # Errors
/// The first rule broken, with file and line: no pairs, an unreadable file, a missing column, a picture that does
/// not exist, a picture without a caption, an unknown split.
pub fn read(data: impl AsRef<Path>) -> Result<Vec<Pair>> {
    let path = data.as_ref();
    if path.is_file() {
        return checked(path, karpathy(path)?);
    }
    if !path.is_dir() {
        return Err(Error::pairs(path.display(), "no such folder; give a folder of pairs, or a Karpathy JSON"));
    }
    type Reader = fn(&Path) -> Result<Vec<Pair>>;
    let layouts: [(&str, Reader); 4] = [
        ("pairs.jsonl", jsonl),
        ("pairs.csv", |path| table(path, b',')),
        ("pairs.tsv", |path| table(path, b'\t')),
        ("dataset.json", karpathy),
    ];
    let layout = layouts.iter().find(|(name, _)| path.join(name).is_file());
    let items = match layout {
        Some((name, read)) => read(&path.join(name))?,
        None => beside_texts(path)?,
    };
    checked(path, items)
}

fn checked(source: &Path, items: Vec<Pair>) -> Result<Vec<Pair>> {
    if items.is_empty() {
        let rule = "no pairs found; a folder of pairs has pairs.jsonl, pairs.csv, pairs.tsv, dataset.json, \
                    or pictures with a .txt of the same name beside each";
        return Err(Error::pairs(source.display(), rule));
    }
    for pair in &items {
        if pair.captions.is_empty() {
            let rule = format!("{} has no caption; give each picture at least one", pair.id);
            return Err(Error::pairs(source.display(), rule));
        }
        if !pair.picture.is_file() {
            let rule = format!("the picture {} does not exist", pair.picture.display());
            return Err(Error::pairs(source.display(), rule));
        }
    }
    Ok(items)
}

/// The picture in a file, transparency laid on white.
///
/// # Errors
/// If it cannot be decoded; the message names the file.
pub fn read_picture(path: &Path) -> Result<RgbImage> {
    io::read(path, &Decoding { alpha: Alpha::Over([255; 3]), ..Decoding::default() })
}

/// A line of `pairs.jsonl`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    image: String,
    caption: Option<String>,
    #[serde(default)]
    captions: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    group: Option<String>,
    split: Option<String>,
}

fn jsonl(path: &Path) -> Result<Vec<Pair>> {
    let mut gathered = Gathered::new(path);
    for (number, line) in read_text(path)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line)
            .map_err(|e| CoreError::format(path, "list of pairs", format!("line {}: {e}", number + 1)))?;
        let captions = line.caption.into_iter().chain(line.captions).collect();
        gathered.add(
            number + 1,
            Row { image: line.image, captions, tags: line.tags, group: line.group, split: line.split },
        )?;
    }
    Ok(gathered.pairs)
}

fn table(path: &Path, delimiter: u8) -> Result<Vec<Pair>> {
    let text = read_text(path)?;
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(false).from_reader(text.as_bytes());
    let bad = |reason: String| CoreError::format(path, "table of pairs", reason);
    let header = reader.headers().map_err(|e| bad(e.to_string()))?.clone();
    let column = |name: &str| header.iter().position(|h| h.trim().eq_ignore_ascii_case(name));
    let needed = |name: &str| {
        let has = header.iter().collect::<Vec<_>>().join(", ");
        column(name).ok_or_else(|| bad(format!("the header has no column `{name}`; it has: {has}")))
    };
    let (image, caption) = (needed("image")?, needed("caption")?);
    let (tags, group, split) = (column("tags"), column("group"), column("split"));
    let mut gathered = Gathered::new(path);
    for record in reader.records() {
        let record = record.map_err(|e| bad(e.to_string()))?;
        let line = record.position().map_or(0, |p| p.line() as usize);
        let cell = |at: Option<usize>| at.and_then(|at| record.get(at)).map(str::trim).filter(|c| !c.is_empty());
        gathered.add(
            line,
            Row {
                image: cell(Some(image)).unwrap_or_default().to_string(),
                captions: cell(Some(caption)).map(str::to_string).into_iter().collect(),
                tags: cell(tags).map(|t| t.split(';').map(str::to_string).collect()).unwrap_or_default(),
                group: cell(group).map(str::to_string),
                split: cell(split).map(str::to_string),
            },
        )?;
    }
    Ok(gathered.pairs)
}

struct Row {
    image: String,
    captions: Vec<String>,
    tags: Vec<String>,
    group: Option<String>,
    split: Option<String>,
}

/// Rows become pairs: rows of one image are its captions.
struct Gathered<'a> {
    path: &'a Path,
    pairs: Vec<Pair>,
    position: HashMap<String, usize>,
}

impl<'a> Gathered<'a> {
    fn new(path: &'a Path) -> Self {
        Self { path, pairs: Vec::new(), position: HashMap::new() }
    }

    fn add(&mut self, line: usize, row: Row) -> Result<()> {
        let bad = |reason: String| CoreError::format(self.path, "list of pairs", format!("line {line}: {reason}"));
        if row.image.is_empty() {
            return Err(bad("no image is named".to_string()).into());
        }
        let captions = non_empty(row.captions);
        if captions.is_empty() {
            return Err(bad(format!("{} has no caption; give each picture at least one", row.image)).into());
        }
        let split = match row.split.as_deref() {
            None => None,
            Some(word) => Some(
                Split::parse(word)
                    .ok_or_else(|| bad(format!("split is '{word}'; write train, val or test, or leave it out")))?,
            ),
        };
        let next = self.pairs.len();
        let at = *self.position.entry(row.image.clone()).or_insert(next);
        if at == next {
            self.pairs.push(Pair {
                picture: parent(self.path).join(&row.image),
                group: row.group.unwrap_or_else(|| row.image.clone()),
                id: row.image,
                captions,
                tokens: Vec::new(),
                tags: non_empty(row.tags),
                split,
            });
            return Ok(());
        }
        let pair = &mut self.pairs[at];
        if pair.split != split {
            return Err(bad(format!("{} stands in two splits", row.image)).into());
        }
        pair.captions.extend(captions);
        for tag in non_empty(row.tags) {
            if !pair.tags.contains(&tag) {
                pair.tags.push(tag);
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Karpathy {
    images: Vec<KarpathyImage>,
}

#[derive(Deserialize)]
struct KarpathyImage {
    #[serde(default)]
    filepath: String,
    filename: String,
    split: String,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: Option<String>,
    #[serde(default)]
    tokens: Vec<String>,
}

impl Sentence {
    /// The caption, as it was written if the file has that, and its words.
    fn told(self) -> (String, Vec<String>) {
        let tokens = non_empty(self.tokens);
        let raw = self.raw.map(|raw| raw.trim().to_string()).filter(|raw| !raw.is_empty());
        (raw.unwrap_or_else(|| tokens.join(" ")), tokens)
    }
}

fn karpathy(path: &Path) -> Result<Vec<Pair>> {
    let bad = |reason: String| CoreError::format(path, "Karpathy split", reason);
    let set: Karpathy = serde_json::from_str(&read_text(path)?).map_err(|e| bad(e.to_string()))?;
    set.images
        .into_iter()
        .map(|image| {
            let split = Split::parse(&image.split)
                .ok_or_else(|| bad(format!("{}: split is '{}'", image.filename, image.split)))?;
            let id = if image.filepath.is_empty() {
                image.filename
            } else {
                format!("{}/{}", image.filepath, image.filename)
            };
            let (captions, tokens) =
                image.sentences.into_iter().map(Sentence::told).filter(|(c, _)| !c.is_empty()).unzip();
            Ok(Pair {
                picture: parent(path).join(&id),
                captions,
                tokens,
                tags: Vec::new(),
                group: id.clone(),
                split: Some(split),
                id,
            })
        })
        .collect()
}

fn beside_texts(folder: &Path) -> Result<Vec<Pair>> {
    io::list(folder)?
        .into_iter()
        .map(|file| {
            let text = file.with_extension("txt");
            if !text.is_file() {
                let name = text.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(Error::pairs(file.display(), format!("has no caption: write one in {name} beside it")));
            }
            let captions = non_empty(read_text(&text)?.lines().map(str::to_string).collect());
            let id = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
            Ok(Pair {
                picture: file,
                captions,
                tokens: Vec::new(),
                tags: Vec::new(),
                group: id.clone(),
                split: None,
                id,
            })
        })
        .collect()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(CoreError::io(path, "read"))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        CoreError::format(path, "UTF-8 text", format!("byte {} is not UTF-8", e.utf8_error().valid_up_to()))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

fn non_empty(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().map(|t| t.trim().to_string()).filter(|t| !t.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        for picture in ["a.png", "b.png"] {
            std::fs::write(dir.path().join(picture), b"\x89PNG\r\n\x1a\n").unwrap();
        }
        dir
    }

    fn open(dir: &tempfile::TempDir) -> Result<Vec<Pair>> {
        read(dir.path())
    }

    fn refusal(files: &[(&str, &str)]) -> String {
        open(&folder(files)).unwrap_err().to_string()
    }

    #[test]
    fn the_three_lists_say_the_same() {
        let jsonl = folder(&[(
            "pairs.jsonl",
            "{\"image\":\"a.png\",\"captions\":[\"a cat\",\"it sits\"],\"tags\":[\"cat\"],\"group\":\"g\",\"split\":\"test\"}\n\n{\"image\":\"b.png\",\"caption\":\"a dog\"}\n",
        )]);
        let rows = [
            ["image", "caption", "tags", "group", "split"],
            ["a.png", "a cat", "cat", "g", "test"],
            ["a.png", "it sits", "cat", "g", "test"],
            ["b.png", "a dog", "", "", ""],
        ];
        let csv = folder(&[("pairs.csv", &rows.map(|r| r.join(",")).join("\n"))]);
        let tsv = folder(&[("pairs.tsv", &rows.map(|r| r.join("\t")).join("\n"))]);
        let [jsonl, csv, tsv] = [jsonl, csv, tsv].map(|dir| {
            let pairs = open(&dir).unwrap();
            pairs.into_iter().map(|p| (p.id, p.captions, p.tags, p.group, p.split)).collect::<Vec<_>>()
        });
        assert_eq!(jsonl[0].1, ["a cat", "it sits"]);
        assert_eq!((jsonl[0].3.as_str(), jsonl[0].4), ("g", Some(Split::Test)));
        assert_eq!(jsonl[1].3, "b.png", "a pair without a group is its own");
        assert_eq!(jsonl, csv);
        assert_eq!(jsonl, tsv);
    }

    #[test]
    fn texts_beside_pictures_are_captions() {
        let dir = folder(&[("a.txt", "a cat\n\nit sits \n"), ("b.txt", "a dog")]);
        let pairs = open(&dir).unwrap();
        assert_eq!(pairs[0].id, "a.png");
        assert_eq!(pairs[0].captions, ["a cat", "it sits"]);
        assert_eq!(pairs[1].captions, ["a dog"]);
    }

    #[test]
    fn a_karpathy_split_keeps_its_parts() {
        let json = r#"{"images":[{"filename":"a.png","split":"restval","sentences":[{"raw":"a cat"}]},
                                 {"filename":"b.png","split":"val","sentences":[{"tokens":["a","dog"]}]}]}"#;
        let pairs = open(&folder(&[("dataset.json", json)])).unwrap();
        assert_eq!((pairs[0].split, pairs[1].split), (Some(Split::Train), Some(Split::Val)));
        assert_eq!(pairs[1].captions, ["a dog"]);
    }

    #[test]
    fn a_karpathy_split_keeps_folders_and_words() {
        let json = r#"{"images":[
            {"filepath":"val2014","filename":"a.png","split":"restval","imgid":0,"cocoid":7,"sentences":[
                {"raw":"A Cat's hat. ","tokens":["a","cats","hat"],"imgid":0,"sentid":1},
                {"raw":" ","tokens":[]},
                {"raw":"It sits"},
                {"tokens":["on","","it"]}]},
            {"filename":"b.png","split":"test","sentences":[{"raw":"a dog","tokens":["a","dog"]}]}]}"#;
        let dir = folder(&[("dataset_coco.json", json)]);
        std::fs::create_dir(dir.path().join("val2014")).unwrap();
        std::fs::rename(dir.path().join("a.png"), dir.path().join("val2014/a.png")).unwrap();
        let pairs = read(dir.path().join("dataset_coco.json")).unwrap();
        assert_eq!((pairs[0].id.as_str(), pairs[1].id.as_str()), ("val2014/a.png", "b.png"));
        assert_eq!((pairs[0].split, pairs[1].split), (Some(Split::Train), Some(Split::Test)));
        assert_eq!(pairs[0].captions, ["A Cat's hat.", "It sits", "on it"]);
        assert_eq!(pairs[0].tokens, [vec!["a", "cats", "hat"], vec![], vec!["on", "it"]]);
        assert_eq!(pairs[1].tokens, [["a", "dog"]]);
    }

    #[test]
    fn refusals_name_the_file_the_line_and_the_rule() {
        for (files, words) in [
            (vec![("pairs.csv", "picture,caption\na.png,x")], vec!["pairs.csv", "no column `image`", "picture"]),
            (vec![("pairs.csv", "image,caption\na.png,")], vec!["line 2", "a.png has no caption"]),
            (vec![("pairs.csv", "image,caption\na.png,x,y")], vec!["pairs.csv"]),
            (vec![("pairs.csv", "image,caption,split\na.png,x,dev")], vec!["'dev'", "train, val or test"]),
            (vec![("pairs.jsonl", "{\"image\":\"a.png\"}")], vec!["line 1", "no caption"]),
            (vec![("pairs.jsonl", "{\"image\":3}")], vec!["pairs.jsonl", "line 1"]),
            (vec![("pairs.jsonl", "{\"image\":\"c.png\",\"caption\":\"x\"}")], vec!["c.png does not exist"]),
            (vec![("pairs.jsonl", "")], vec!["no pairs found"]),
            (
                vec![("dataset.json", r#"{"images":[{"filename":"a.png","split":"dev","sentences":[]}]}"#)],
                vec!["a.png: split is 'dev'"],
            ),
            (vec![("dataset.json", "{")], vec!["dataset.json", "Karpathy"]),
            (vec![("a.txt", "x")], vec!["b.png", "no caption", "b.txt"]),
            (vec![("a.txt", " "), ("b.txt", "x")], vec!["a.png has no caption"]),
        ] {
            let message = refusal(&files);
            for word in words {
                assert!(message.contains(word), "{message} should say {word}");
            }
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(open(&empty).unwrap_err().to_string().contains("no picture"));
        assert!(read("/no/such/folder").unwrap_err().to_string().contains("no such folder"));
        let latin = tempfile::tempdir().unwrap();
        std::fs::write(latin.path().join("pairs.csv"), b"image,caption\na.png,caf\xe9").unwrap();
        assert!(open(&latin).unwrap_err().to_string().contains("byte 23 is not UTF-8"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), which in 0usize..4) {
            let dir = tempfile::tempdir().unwrap();
            let name = ["pairs.jsonl", "pairs.csv", "pairs.tsv", "dataset.json"][which];
            std::fs::write(dir.path().join(name), &bytes).unwrap();
            prop_assert!(open(&dir).is_err());
        }
    }
}
