//! The bundled pairs: 3,781 emoji, each drawn in Google's and in Twitter's style, with its CLDR name and keywords.
//!
//! The five skin-tone swatches are left out. A concept is a base emoji with its skin variants and its man, woman and
//! person forms; concepts never stand in two parts of a split. Sources and licences: `assets/LICENSES.md`.

use std::collections::HashMap;
use std::sync::OnceLock;

use sensorium_vision::io::{self, RgbImage, RgbaImage};
use serde::Deserialize;

use super::pairs::{Pair, Pairs, Picture};

const ITEMS: &str = include_str!("../../assets/emoji/items.jsonl");
const GOOGLE: &[u8] = include_bytes!("../../assets/emoji/google-64.png");
const TWITTER: &[u8] = include_bytes!("../../assets/emoji/twitter-64.png");

/// A sheet's cell: a drawing with a transparent border of one pixel.
const CELL: u32 = 66;
/// The side of a drawing in pixels.
pub const SIDE: u32 = 64;

/// Who drew it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// Noto Color Emoji: the style that trains.
    Google,
    /// Twemoji: the style held out.
    Twitter,
}

/// One cell of a style's sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Drawing {
    style: Style,
    column: u32,
    row: u32,
}

/// One emoji.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its code points in hexadecimal, such as `1F468-200D-1F33E`.
    pub code: String,
    /// Its characters.
    pub char: String,
    /// Its CLDR short name, such as `man farmer: dark skin tone`.
    pub name: String,
    /// Its CLDR keywords.
    pub tags: Vec<String>,
    /// Whether it is a base emoji, not a skin variant of one.
    pub base: bool,
    /// The code of the base emoji that a skin variant varies.
    parent: Option<String>,
    /// Its concept.
    pub group: String,
    column: u32,
    row: u32,
}

impl Item {
    /// The code of its base emoji: its own, where it is one.
    pub fn base_code(&self) -> &str {
        self.parent.as_deref().unwrap_or(&self.code)
    }
}

/// The bundled set.
#[derive(Debug)]
pub struct Emoji {
    /// Its items in the order of the source list.
    pub items: Vec<Item>,
    google: RgbaImage,
    twitter: RgbaImage,
}

#[derive(Deserialize)]
struct Line {
    code: String,
    name: String,
    x: u32,
    y: u32,
    parent: Option<String>,
    tags: Vec<String>,
}

impl Emoji {
    /// The set, decoded on first use.
    pub fn bundled() -> &'static Self {
        static SET: OnceLock<Emoji> = OnceLock::new();
        SET.get_or_init(|| Self { items: items(), google: sheet(GOOGLE), twitter: sheet(TWITTER) })
    }

    /// Every item with its drawing of one style; its name is the one caption.
    pub fn pairs(&self, style: Style) -> Pairs {
        let pair = |item: &Item| Pair {
            id: format!("{} {}", item.char, item.name),
            picture: Picture::Emoji(Drawing { style, column: item.column, row: item.row }),
            captions: vec![item.name.clone()],
            tokens: Vec::new(),
            tags: item.tags.clone(),
            group: item.group.clone(),
            split: None,
        };
        Pairs { source: "emoji".to_string(), items: self.items.iter().map(pair).collect() }
    }

    /// The pixels of a drawing, 64×64, its transparency laid on white.
    pub fn draw(&self, drawing: Drawing) -> RgbImage {
        let sheet = match drawing.style {
            Style::Google => &self.google,
            Style::Twitter => &self.twitter,
        };
        let (left, top) = (drawing.column * CELL + 1, drawing.row * CELL + 1);
        let cell = image::imageops::crop_imm(sheet, left, top, SIDE, SIDE).to_image();
        io::blend(&cell, [255; 3])
    }

    /// Pairs of items `(a, b)` where `b` is named as `a` but for the words `from`, which become `to`: `man farmer`
    /// and `woman farmer`. A name that says `from` twice, or says `to` as well, has no single counterpart, nor has one of two skin tones.
    pub fn counterparts(&self, from: &str, to: &str) -> Vec<(usize, usize)> {
        let by_name: HashMap<&str, usize> = self.items.iter().enumerate().map(|(i, e)| (e.name.as_str(), i)).collect();
        let other = |item: &Item| {
            if item.name.matches("skin tone").count() > 1 {
                return None;
            }
            let at = find_words(&item.name, from);
            let ([at], []) = (at.as_slice(), find_words(&item.name, to).as_slice()) else { return None };
            let named = format!("{}{to}{}", &item.name[..*at], &item.name[at + from.len()..]);
            by_name.get(named.as_str()).copied()
        };
        self.items.iter().enumerate().filter_map(|(i, item)| Some((i, other(item)?))).collect()
    }
}

/// Where `words` stand in `name` as whole words; a hyphen joins words (`medium-light` is not `light`).
fn find_words(name: &str, words: &str) -> Vec<usize> {
    let joins = |c: char| c.is_alphanumeric() || c == '-' || c == '’';
    let whole = |at: usize| {
        let before = name[..at].chars().next_back();
        let after = name[at + words.len()..].chars().next();
        !before.is_some_and(joins) && !after.is_some_and(joins)
    };
    name.match_indices(words).map(|(at, _)| at).filter(|at| whole(*at)).collect()
}

fn sheet(png: &[u8]) -> RgbaImage {
    io::decode_rgba(png, "the bundled sheet", io::MAX_PIXELS).expect("a bundled sheet decodes")
}

const TONES: [&str; 5] = ["1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"];

fn items() -> Vec<Item> {
    let lines = ITEMS.lines().map(|line| serde_json::from_str::<Line>(line).expect("a bundled line"));
    lines
        .filter(|line| !TONES.contains(&line.code.as_str()))
        .map(|line| Item {
            char: characters(&line.code),
            group: concept(&line.code),
            base: line.parent.is_none(),
            parent: line.parent,
            name: line.name,
            tags: line.tags,
            column: line.x,
            row: line.y,
            code: line.code,
        })
        .collect()
}

fn characters(code: &str) -> String {
    let point = |hex| u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).expect("a bundled code point");
    code.split('-').map(point).collect()
}

/// The concept of a code: tones, joiners, presentation and direction dropped, and each man and woman made a person.
fn concept(code: &str) -> String {
    let dropped = |point: &&str| !TONES.contains(point) && !["FE0F", "200D"].contains(point);
    let mut points: Vec<&str> = code.split('-').filter(dropped).collect();
    if points.len() > 1 {
        // The signs for woman and man and the arrow to the right; alone, each is an emoji itself.
        points.retain(|point| !["2640", "2642", "27A1"].contains(point));
    }
    let points: Vec<&str> = points.into_iter().map(person_form).collect();
    // A family is one concept, whoever is in it.
    if points.len() > 1 && points[0] == PERSON && points.contains(&CHILD) {
        return "1F46A".to_string();
    }
    // Hands of two tones are two code points; a handshake of one tone is one.
    if points == ["1FAF1", "1FAF2"] {
        return "1F91D".to_string();
    }
    points.join("-")
}

const PERSON: &str = "1F9D1";
const CHILD: &str = "1F9D2";

/// The person form of a code point that is a man or a woman by itself.
fn person_form(point: &str) -> &str {
    match point {
        "1F468" | "1F469" => PERSON,                        // man, woman
        "1F466" | "1F467" => CHILD,                         // boy, girl
        "1F474" | "1F475" => "1F9D3",                       // old man, old woman: older person
        "1F57A" => "1F483",                                 // man dancing: woman dancing
        "1F930" | "1FAC3" => "1FAC4",                       // pregnant woman, pregnant man: pregnant person
        "1F934" | "1F478" => "1FAC5",                       // prince, princess: person with crown
        "1F385" | "1F936" => "1F9D1-1F384",                 // Santa Claus, Mrs. Claus: Mx Claus
        "1F46B" | "1F46C" | "1F46D" => "1F9D1-1F91D-1F9D1", // two holding hands
        "1F491" => "1F9D1-2764-1F9D1",                      // couple with heart
        "1F48F" => "1F9D1-2764-1F48B-1F9D1",                // kiss
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_set_has_the_counts_of_its_source() {
        let set = Emoji::bundled();
        assert_eq!(set.items.len(), 3781);
        assert_eq!(set.items.iter().filter(|e| e.base).count(), 1906);
        let groups: HashSet<_> = set.items.iter().map(|e| &e.group).collect();
        assert_eq!(groups.len(), 1687);
        let names: HashSet<_> = set.items.iter().map(|e| &e.name).collect();
        assert_eq!(names.len(), 3781, "names are unique");
    }

    #[test]
    fn forms_of_one_activity_are_one_concept() {
        let set = Emoji::bundled();
        let group = |name: &str| &set.items.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("{name}")).group;
        for (a, b) in [
            ("man farmer", "woman farmer: dark skin tone"),
            ("mage", "woman mage"),
            ("man running: facing right", "person running"),
            ("old man", "older person"),
            ("kiss", "kiss: man, man"),
            ("family: man, boy", "family: woman, girl, girl"),
        ] {
            assert_eq!(group(a), group(b), "{a}, {b}");
        }
        assert_ne!(group("man farmer"), group("man cook"));
    }

    #[test]
    fn counterparts_differ_in_one_word() {
        let set = Emoji::bundled();
        let names = |pairs: Vec<(usize, usize)>| -> HashSet<(&str, &str)> {
            pairs.into_iter().map(|(a, b)| (set.items[a].name.as_str(), set.items[b].name.as_str())).collect()
        };
        let people = names(set.counterparts("man", "woman"));
        assert!(people.contains(&("man farmer", "woman farmer")));
        assert!(!people.iter().any(|(a, _)| a.contains("woman")));
        let tones = names(set.counterparts("light skin tone", "dark skin tone"));
        assert!(tones.contains(&("mage: light skin tone", "mage: dark skin tone")));
        assert!(!tones.iter().any(|(a, _)| a.contains("medium-light")));
    }

    #[test]
    fn a_drawing_is_opaque_on_white() {
        let set = Emoji::bundled();
        let pairs = set.pairs(Style::Twitter);
        let image = pairs.image(0).unwrap();
        assert_eq!((image.width(), image.height()), (SIDE, SIDE));
    }
}
