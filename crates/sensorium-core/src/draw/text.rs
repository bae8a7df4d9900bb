//! Text for drawings and pages: the bundled font, its widths, wrapping and escaping.

use std::sync::{Arc, OnceLock};

use resvg::usvg::fontdb;

/// Inter Regular, cut to Latin, Greek, Cyrillic, arrows and mathematical signs.
pub(super) const REGULAR: &[u8] = include_bytes!("../../assets/Inter-Regular.otf");
/// Inter SemiBold, cut the same way.
pub(super) const SEMI_BOLD: &[u8] = include_bytes!("../../assets/Inter-SemiBold.otf");
/// What a viewer without the font falls back to.
pub(super) const FAMILIES: &str = "Inter, 'Helvetica Neue', Arial, sans-serif";

/// Stroke thickness of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    SemiBold,
}

impl Weight {
    /// The CSS number.
    pub(super) fn css(self) -> u16 {
        match self {
            Self::Regular => 400,
            Self::SemiBold => 600,
        }
    }
}

/// The fonts a drawing is rendered with: the bundled ones and no others, so that every machine draws the same.
pub(super) fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut database = fontdb::Database::new();
        database.load_font_data(REGULAR.to_vec());
        database.load_font_data(SEMI_BOLD.to_vec());
        database.set_serif_family("Inter");
        database.set_sans_serif_family("Inter");
        Arc::new(database)
    });
    Arc::clone(fonts)
}

/// Advance widths of the characters from space to tilde, in thousandths of the font size.
const REGULAR_WIDTHS: [u16; 95] = [
    281, 278, 403, 631, 638, 812, 639, 222, 362, 362, 500, 659, 280, 460, 276, 357, 625, 464, 605, 636, 642, 608, 624,
    571, 616, 624, 276, 280, 659, 659, 659, 507, 936, 676, 651, 727, 719, 598, 587, 743, 740, 264, 543, 652, 562, 889,
    753, 761, 635, 761, 639, 638, 642, 741, 676, 949, 642, 665, 625, 362, 357, 362, 469, 452, 497, 564, 621, 558, 621,
    582, 361, 609, 591, 237, 237, 544, 237, 869, 585, 597, 609, 609, 372, 523, 364, 581, 557, 812, 540, 557, 541, 362,
    327, 362, 659,
];
const SEMI_BOLD_WIDTHS: [u16; 95] = [
    248, 309, 396, 643, 649, 844, 663, 213, 393, 393, 543, 673, 295, 466, 290, 379, 667, 481, 621, 652, 666, 632, 648,
    587, 646, 648, 290, 295, 673, 673, 673, 544, 999, 724, 657, 744, 724, 608, 586, 755, 744, 275, 561, 677, 566, 906,
    741, 775, 643, 776, 651, 649, 660, 734, 724, 1007, 690, 705, 653, 393, 379, 393, 481, 468, 497, 575, 630, 577, 630,
    593, 377, 625, 613, 261, 261, 569, 261, 898, 610, 608, 625, 625, 397, 549, 380, 608, 576, 837, 562, 576, 562, 393,
    358, 393, 673,
];

/// The width of `text` in pixels at a font size: exact to kerning for ASCII, a typical width for the rest.
pub(super) fn width(text: &str, size: f32, weight: Weight) -> f32 {
    text.chars().map(|c| advance(c, weight)).sum::<f32>() * size / 1000.0
}

fn advance(c: char, weight: Weight) -> f32 {
    let widths = match weight {
        Weight::Regular => &REGULAR_WIDTHS,
        Weight::SemiBold => &SEMI_BOLD_WIDTHS,
    };
    match c as u32 {
        code @ 0x20..=0x7e => f32::from(widths[code as usize - 0x20]),
        // Combining marks, joiners, direction marks, variation selectors.
        0x300..=0x36f | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x2069 | 0xfe00..=0xfe0f => 0.0,
        // East Asian scripts and emoji are about as wide as high.
        0x1100.. if !(0x1e00..0x2e80).contains(&(c as u32)) => 1100.0,
        _ => 610.0,
    }
}

/// `text` when it fits into `room` pixels, or else its beginning and an ellipsis.
pub(super) fn fit(text: &str, size: f32, weight: Weight, room: f32) -> String {
    if width(text, size, weight) <= room {
        return text.to_string();
    }
    let room = room - width("…", size, weight);
    let mut used = 0.0;
    let kept: String = text
        .chars()
        .take_while(|&c| {
            used += advance(c, weight) * size / 1000.0;
            used <= room
        })
        .collect();
    format!("{}…", kept.trim_end())
}

/// Breaks `text` at spaces into at most `max_lines` lines of `room` pixels; a word too long is broken inside, and
/// what is left over after the last line becomes an ellipsis.
pub(super) fn wrap(text: &str, size: f32, weight: Weight, room: f32, max_lines: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        for (i, piece) in break_word(word, size, weight, room).into_iter().enumerate() {
            let line = lines.last_mut().expect("there is a line from the start");
            let joined = if line.is_empty() { piece.clone() } else { format!("{line} {piece}") };
            if i == 0 && width(&joined, size, weight) <= room {
                *line = joined;
            } else if line.is_empty() {
                *line = piece;
            } else {
                lines.push(piece);
            }
        }
        if lines.len() > max_lines {
            break;
        }
    }
    if lines.len() > max_lines {
        lines.truncate(max_lines);
        if let Some(last) = lines.last_mut() {
            *last = fit(&format!("{last}…"), size, weight, room);
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// A word in pieces that are each at most `room` pixels wide, and at least one character long.
fn break_word(word: &str, size: f32, weight: Weight, room: f32) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0.0;
    for c in word.chars() {
        let step = advance(c, weight) * size / 1000.0;
        if used + step > room && used > 0.0 {
            pieces.push(String::new());
            used = 0.0;
        }
        used += step;
        pieces.last_mut().expect("there is a piece from the start").push(c);
    }
    pieces
}

/// `text` made safe inside an element or a quoted attribute of XML or HTML. Characters that XML forbids become
/// U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' => safe.push(c),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_fonts_load_as_one_family_of_two_weights() {
        let fonts = fonts();
        let mut weights: Vec<u16> = fonts.faces().map(|face| face.weight.0).collect();
        weights.sort_unstable();
        assert_eq!(weights, [400, 600]);
        assert!(fonts.faces().all(|face| face.families.iter().any(|family| family.0 == "Inter")));
        assert!(REGULAR.len() + SEMI_BOLD.len() < 150_000);
    }

    #[test]
    fn text_is_escaped_for_elements_and_attributes() {
        assert_eq!(escape("<a href='x'>\"R&D\"</a>"), "&lt;a href=&#39;x&#39;&gt;&quot;R&amp;D&quot;&lt;/a&gt;");
        assert_eq!(escape("a\0b\u{ffff}c"), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn long_text_is_cut_to_the_room_it_has() {
        let cut = fit("a rather long caption", 12.0, Weight::Regular, 60.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0, Weight::Regular) <= 60.0, "{cut}");
        assert_eq!(fit("short", 12.0, Weight::Regular, 60.0), "short");
    }

    #[test]
    fn captions_wrap_at_spaces_and_inside_words_too_long() {
        let lines = |text: &str, max| wrap(text, 10.0, Weight::Regular, 50.0, max);
        assert_eq!(lines("red heart", 3), ["red heart"]);
        assert_eq!(lines("smiling face with heart", 9), ["smiling", "face with", "heart"]);
        assert_eq!(lines("one two three four five six", 2).last().unwrap().chars().last(), Some('…'));
        assert!(lines("Donaudampfschifffahrtsgesellschaft", 9).len() > 2);
        assert_eq!(lines("", 3), [""; 0]);
    }
}
