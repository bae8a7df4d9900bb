//! Colours by role. A role has a shade for light pages, written into each drawing, and one for dark pages, which the
//! report's style sheet puts in its place.

use std::fmt::Write;

/// An sRGB colour.
pub type Rgb = [u8; 3];

/// Colours of classes and series, told apart by people with any common kind of colour blindness (Okabe and Ito,
/// "Color Universal Design", 2008), ordered so that the first few also differ most on white.
pub const PALETTE: [Rgb; 8] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
    [0x5b, 0x63, 0x70],
    [0xb8, 0xa9, 0x0f],
];

/// The same hues for a dark page.
const DARK_PALETTE: [Rgb; 8] = [
    [0x4a, 0xa8, 0xe0],
    [0xf2, 0x8c, 0x3c],
    [0x2f, 0xc2, 0x96],
    [0xe0, 0x99, 0xc2],
    [0xf0, 0xb8, 0x3a],
    [0x8f, 0xd0, 0xf5],
    [0x9a, 0xa4, 0xb5],
    [0xe3, 0xd6, 0x4e],
];

/// What a stroke or an area stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// The page under a drawing.
    Paper,
    /// Main text.
    Ink,
    /// Secondary text.
    Muted,
    /// The line where an axis lies.
    Axis,
    /// Grid lines and hairlines.
    Grid,
    /// Quiet areas: empty tiles, missing cells.
    Quiet,
    /// Under pictures, which may be dark on a clear ground: light on any page.
    Picture,
    /// A right answer.
    Right,
    /// A wrong answer.
    Wrong,
    /// A series or class by number; numbers past the palette start over.
    Series(usize),
    /// A mark on a dark colour, the same on any page.
    White,
    /// A mark on a light colour, the same on any page.
    Black,
}

impl Paint {
    const ROLES: [Self; 12] = [
        Self::Paper,
        Self::Ink,
        Self::Muted,
        Self::Axis,
        Self::Grid,
        Self::Quiet,
        Self::Picture,
        Self::Right,
        Self::Wrong,
        Self::Series(0),
        Self::White,
        Self::Black,
    ];

    /// The shade on a light page.
    pub(super) fn light(self) -> Rgb {
        match self {
            Self::Paper | Self::White => [0xff, 0xff, 0xff],
            Self::Ink | Self::Black => [0x17, 0x1c, 0x26],
            Self::Muted => [0x5b, 0x65, 0x75],
            Self::Axis => [0x9a, 0xa3, 0xb0],
            Self::Grid => [0xe4, 0xe7, 0xec],
            Self::Quiet | Self::Picture => [0xf1, 0xf3, 0xf6],
            Self::Right => [0x00, 0x8f, 0x68],
            Self::Wrong => [0xd6, 0x45, 0x2b],
            Self::Series(i) => PALETTE[i % PALETTE.len()],
        }
    }

    /// The shade on a dark page.
    pub(super) fn dark(self) -> Rgb {
        match self {
            Self::White | Self::Black => self.light(),
            Self::Paper => [0x17, 0x1b, 0x22],
            Self::Ink => [0xec, 0xef, 0xf4],
            Self::Muted => [0x9d, 0xa7, 0xb6],
            Self::Axis => [0x6a, 0x74, 0x84],
            Self::Grid => [0x2b, 0x31, 0x3c],
            Self::Quiet => [0x20, 0x26, 0x30],
            Self::Picture => [0xdf, 0xe3, 0xea],
            Self::Right => [0x2f, 0xc2, 0x96],
            Self::Wrong => [0xf4, 0x7c, 0x5d],
            Self::Series(i) => DARK_PALETTE[i % DARK_PALETTE.len()],
        }
    }

    /// The name the style sheet knows the role by.
    fn class(self) -> String {
        match self {
            Self::Series(i) => format!("series{}", i % PALETTE.len()),
            role => format!("{role:?}").to_lowercase(),
        }
    }

    /// Attributes that fill a shape.
    pub(super) fn fill(self) -> String {
        format!(r#"fill="{}" class="fill-{}""#, hex(self.light()), self.class())
    }

    /// Attributes that stroke a line.
    pub(super) fn stroke(self) -> String {
        format!(r#"stroke="{}" class="stroke-{}""#, hex(self.light()), self.class())
    }

    /// Attributes that do both.
    pub(super) fn fill_and_stroke(self, outline: Self) -> String {
        let (fill, stroke) = (hex(self.light()), hex(outline.light()));
        format!(r#"fill="{fill}" stroke="{stroke}" class="fill-{} stroke-{}""#, self.class(), outline.class())
    }
}

/// Style rules for a page: each role as a variable such as `--ink`, light or dark as the reader prefers, and drawings
/// that follow it.
pub(super) fn style_rules() -> String {
    let series = (1..PALETTE.len()).map(Paint::Series);
    let paints: Vec<Paint> = Paint::ROLES.into_iter().chain(series).collect();
    let variables = |shade: fn(Paint) -> Rgb| {
        paints.iter().fold(String::new(), |all, &paint| all + &format!("--{}:{};", paint.class(), hex(shade(paint))))
    };
    let (light, dark) = (variables(Paint::light), variables(Paint::dark));
    let mut rules = format!(":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n");
    for class in paints.iter().map(|paint| paint.class()) {
        let _ = writeln!(rules, ".fill-{class}{{fill:var(--{class})}}.stroke-{class}{{stroke:var(--{class})}}");
    }
    rules
}

pub(super) fn hex([r, g, b]: Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.1 relative luminance.
    fn luminance(rgb: Rgb) -> f64 {
        let [r, g, b] = rgb.map(|v| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    fn contrast(a: Rgb, b: Rgb) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_is_readable_on_both_pages() {
        for paint in [Paint::Ink, Paint::Muted] {
            assert!(contrast(paint.light(), Paint::Paper.light()) > 4.5, "{paint:?} on light");
            assert!(contrast(paint.dark(), Paint::Paper.dark()) > 4.5, "{paint:?} on dark");
        }
        for i in 0..PALETTE.len() {
            assert!(contrast(Paint::Series(i).light(), Paint::Paper.light()) > 2.0, "series {i} on light");
            assert!(contrast(Paint::Series(i).dark(), Paint::Paper.dark()) > 3.0, "series {i} on dark");
        }
    }

    #[test]
    fn each_role_written_into_a_drawing_has_its_rule() {
        let rules = style_rules();
        for paint in Paint::ROLES.into_iter().chain((0..20).map(Paint::Series)) {
            let class = paint.fill_and_stroke(paint);
            let (_, names) = class.split_once("class=\"").unwrap();
            for name in names.trim_end_matches('"').split(' ') {
                assert!(rules.contains(&format!(".{name}{{")), "{name}");
            }
        }
    }
}
