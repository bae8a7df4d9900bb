//! Reads references and hypotheses from JSON files.
//!
//! | file | references | hypotheses |
//! |---|---|---|
//! | by image | `{"id": ["caption", ...], ...}` | `{"id": "caption", ...}` |
//! | COCO | `{"images": [{"id": 1}, ...], "annotations": [{"image_id": 1, "caption": "..."}, ...]}` | `[{"image_id": 1, "caption": "..."}, ...]` |
//! | JSON lines | `{"id": "...", "captions": ["...", ...]}` | `{"id": "...", "caption": "..."}` |
//!
//! A list of one caption and a caption alone mean the same. Ids are strings or whole numbers.

use super::json::Json;
use super::{Error, Example};
use hashbrown::HashMap;
use std::path::Path;

/// Reads the references of every image, in the order of the file (of `images`, where there is such a list).
///
/// # Errors
/// If the file cannot be read, is in none of the forms above, names an image twice or has one without a caption.
pub fn read_references(path: &Path) -> Result<Vec<(String, Vec<String>)>, Error> {
    let images = read(path)?;
    for (id, captions) in &images {
        if captions.is_empty() {
            let reason =
                format!("image {id:?} has no caption, but every image needs at least one: add one or remove it");
            return Err(Error::Format { path: path.into(), reason });
        }
    }
    Ok(images)
}

/// Reads one caption for every image, in the order of the file.
///
/// # Errors
/// If the file cannot be read, is in none of the forms above, names an image twice or has one without exactly one
/// caption.
pub fn read_hypotheses(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let one = |(id, captions): (String, Vec<String>)| match <[String; 1]>::try_from(captions) {
        Ok([caption]) => Ok((id, caption)),
        Err(captions) => {
            let count = captions.len();
            let reason = format!("image {id:?} has {count} captions, but must have one to be judged: keep one");
            Err(Error::Format { path: path.into(), reason })
        }
    };
    read(path)?.into_iter().map(one).collect()
}

/// Reads references and the hypotheses about the same images, in the order of the references.
///
/// # Errors
/// As [`read_references`] and [`read_hypotheses`], or if an image is in one file only.
pub fn read_examples(references: &Path, hypotheses: &Path) -> Result<Vec<Example>, Error> {
    let images = read_references(references)?;
    let mut captions: HashMap<String, String> = read_hypotheses(hypotheses)?.into_iter().collect();
    let mut examples = Vec::with_capacity(images.len());
    let mut missing = Vec::new();
    for (id, references) in images {
        match captions.remove(&id) {
            Some(hypothesis) => examples.push(Example { id, references, hypothesis }),
            None => missing.push(id),
        }
    }
    let mut left: Vec<String> = captions.into_keys().collect();
    left.sort_unstable();
    for (ids, has, lacks) in [(missing, references, hypotheses), (left, hypotheses, references)] {
        if let Some(first) = ids.first() {
            let reason = format!(
                "{} of the images of {} are not in {}, image {first:?} for one, but both files must be about the same \
                 images: add them to the one or remove them from the other",
                ids.len(),
                has.display(),
                lacks.display(),
            );
            return Err(Error::Mismatch { reason });
        }
    }
    Ok(examples)
}

/// Captions by image, in the order in which the images come.
#[derive(Default)]
struct Images {
    order: Vec<(String, Vec<String>)>,
    places: HashMap<String, usize>,
}

impl Images {
    /// Adds an image that must be new.
    fn add(&mut self, field: &str, id: String, captions: Vec<String>) -> Result<(), String> {
        if self.places.insert(id.clone(), self.order.len()).is_some() {
            return Err(format!("{field}: image {id:?} comes twice, but every image must come once: remove one"));
        }
        self.order.push((id, captions));
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<(String, Vec<String>)>, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    images(&bytes).map_err(|reason| Error::Format { path: path.into(), reason })
}

fn images(bytes: &[u8]) -> Result<Vec<(String, Vec<String>)>, String> {
    let documents: Vec<Json> = serde_json::Deserializer::from_slice(bytes)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not JSON: {error}; write it as one JSON document or as JSON lines"))?;
    let mut images = Images::default();
    match documents.as_slice() {
        [] => return Err("is empty, but must hold captions as JSON: write some".into()),
        [Json::List(results)] => read_results(results, &mut images)?,
        [document @ Json::Object(fields)] => match document.field("annotations") {
            Some(annotations) => read_coco(document.field("images"), annotations, &mut images)?,
            None if is_line(document) => read_line("line 1", document, &mut images)?,
            None => {
                for (id, captions) in fields {
                    let field = format!("field {id:?}");
                    images.add(&field, id.clone(), read_captions(&field, captions)?)?;
                }
            }
        },
        lines => {
            for (i, line) in lines.iter().enumerate() {
                read_line(&format!("document {}", i + 1), line, &mut images)?;
            }
        }
    }
    Ok(images.order)
}

/// COCO's form of results: one caption for every image.
fn read_results(results: &[Json], images: &mut Images) -> Result<(), String> {
    for (i, result) in results.iter().enumerate() {
        let id = read_id(&format!("[{i}].image_id"), result.field("image_id"))?;
        let caption = read_caption(&format!("[{i}].caption"), result.field("caption"))?;
        images.add(&format!("[{i}].image_id"), id, vec![caption])?;
    }
    Ok(())
}

/// COCO's form of references: a list of images, which may lack, and one of captions.
fn read_coco(listed: Option<&Json>, annotations: &Json, images: &mut Images) -> Result<(), String> {
    if let Some(listed) = listed {
        for (i, image) in list("images", listed)?.iter().enumerate() {
            let field = format!("images[{i}].id");
            images.add(&field, read_id(&field, image.field("id"))?, Vec::new())?;
        }
    }
    for (i, annotation) in list("annotations", annotations)?.iter().enumerate() {
        let field = format!("annotations[{i}].image_id");
        let id = read_id(&field, annotation.field("image_id"))?;
        let caption = read_caption(&format!("annotations[{i}].caption"), annotation.field("caption"))?;
        match images.places.get(&id) {
            Some(&place) => images.order[place].1.push(caption),
            None if listed.is_none() => images.add(&field, id, vec![caption])?,
            None => return Err(format!("{field} is {id:?}, but must be an id of `images`: add the image there")),
        }
    }
    Ok(())
}

fn is_line(document: &Json) -> bool {
    document.field("id").is_some() && (document.field("captions").is_some() || document.field("caption").is_some())
}

fn read_line(field: &str, line: &Json, images: &mut Images) -> Result<(), String> {
    let id_field = format!("{field}: `id`");
    let id = read_id(&id_field, line.field("id"))?;
    let captions = match (line.field("captions"), line.field("caption")) {
        (Some(captions), _) => read_captions(&format!("{field}: `captions`"), captions)?,
        (None, caption) => vec![read_caption(&format!("{field}: `caption`"), caption)?],
    };
    images.add(&id_field, id, captions)
}

fn list<'a>(field: &str, json: &'a Json) -> Result<&'a [Json], String> {
    match json {
        Json::List(items) => Ok(items),
        other => Err(format!("`{field}` must be a list, but is {other}: write a list")),
    }
}

fn read_id(field: &str, json: Option<&Json>) -> Result<String, String> {
    match json {
        Some(Json::Text(id)) => Ok(id.clone()),
        Some(Json::Whole(id)) => Ok(id.to_string()),
        Some(other) => Err(format!("{field} must be a string or a whole number, but is {other}: write one of these")),
        None => Err(format!("{field} is missing, but must be a string or a whole number: write it")),
    }
}

fn read_caption(field: &str, json: Option<&Json>) -> Result<String, String> {
    match json {
        Some(Json::Text(caption)) => Ok(caption.clone()),
        Some(other) => Err(format!("{field} must be a string, but is {other}: write the caption as a string")),
        None => Err(format!("{field} is missing, but must be a string: write the caption")),
    }
}

fn read_captions(field: &str, json: &Json) -> Result<Vec<String>, String> {
    match json {
        Json::Text(caption) => Ok(vec![caption.clone()]),
        Json::List(captions) => {
            let caption = |(i, caption)| read_caption(&format!("{field}[{i}]"), Some(caption));
            captions.iter().enumerate().map(caption).collect()
        }
        other => Err(format!("{field} must be a caption or a list of captions, but is {other}: write a list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(images: &[(String, Vec<String>)]) -> Vec<&str> {
        images.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn every_form_is_read_in_its_order() {
        for text in [
            r#"{"7": ["a", "b"], "3": ["c"]}"#,
            r#"{"images": [{"id": 7}, {"id": 3}], "annotations": [{"image_id": 3, "caption": "c"},
                {"image_id": 7, "caption": "a"}, {"image_id": 7, "caption": "b"}]}"#,
            r#"{"annotations": [{"image_id": "7", "caption": "a"}, {"image_id": 7, "caption": "b"},
                {"image_id": 3, "caption": "c"}]}"#,
            "{\"id\": 7, \"captions\": [\"a\", \"b\"]}\n{\"id\": \"3\", \"caption\": \"c\"}\n",
        ] {
            let images = images(text.as_bytes()).unwrap();
            assert_eq!(ids(&images), ["7", "3"], "{text}");
            assert_eq!(images[0].1, ["a", "b"]);
            assert_eq!(images[1].1, ["c"]);
        }
        assert_eq!(images(br#"[{"image_id": 1, "caption": "a"}]"#).unwrap(), [("1".into(), vec!["a".into()])]);
        assert_eq!(images(br#"{"id": "a"}"#).unwrap(), [("id".into(), vec!["a".into()])]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("", "is empty"),
            ("{", "is not JSON"),
            ("\u{0}", "is not JSON"),
            ("5", "document 1: `id` is missing"),
            (r#"{"1": 5}"#, "field \"1\" must be a caption or a list of captions, but is the number 5"),
            (r#"{"1": ["a", null]}"#, "field \"1\"[1] must be a string, but is null"),
            (r#"{"1": "a", "1": "b"}"#, "comes twice"),
            (r#"[{"image_id": 1.5, "caption": "a"}]"#, "[0].image_id must be a string or a whole number"),
            (r#"[{"image_id": 1}]"#, "[0].caption is missing"),
            (r#"{"annotations": 1}"#, "`annotations` must be a list"),
            (r#"{"images": [], "annotations": [{"image_id": 1, "caption": "a"}]}"#, "must be an id of `images`"),
            (r#"{"images": [{"id": 1}, {"id": 1}], "annotations": []}"#, "comes twice"),
        ] {
            let reason = images(text.as_bytes()).unwrap_err();
            assert!(reason.contains(said), "{text}: {reason}");
        }
        assert!(images(&[0xFF, 0xFE]).is_err());
        assert!(images("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn both_files_must_be_about_the_same_images() {
        let folder = std::env::temp_dir().join(format!("captions-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let references = file("references.json", r#"{"b": ["x", "y"], "a": "z"}"#);
        let good = file("good.json", r#"[{"image_id": "a", "caption": "1"}, {"image_id": "b", "caption": "2"}]"#);
        let examples = read_examples(&references, &good).unwrap();
        assert_eq!(examples.iter().map(|e| e.hypothesis.as_str()).collect::<Vec<_>>(), ["2", "1"]);
        for (name, text) in [("less.json", r#"{"a": "1"}"#), ("more.json", r#"{"a": "1", "b": "2", "c": "3"}"#)] {
            let error = read_examples(&references, &file(name, text)).unwrap_err();
            assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        }
        assert!(matches!(read_hypotheses(&references), Err(Error::Format { .. })));
        assert!(matches!(read_references(&file("none.json", r#"{"a": []}"#)), Err(Error::Format { .. })));
        assert!(matches!(read_references(&folder.join("nowhere")), Err(Error::Io { .. })));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
