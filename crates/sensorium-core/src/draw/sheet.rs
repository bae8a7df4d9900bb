//! Contact sheets: rows of small pictures with captions, and search results beside their query.

use image::{DynamicImage, RgbaImage};

use super::chart::{MARGIN, heading};
use super::drawing::{Anchor, Drawing, Rect, Text};
use super::paint::Paint;
use super::text::{self, Weight};

/// A picture or a text with a caption: one place of a [`Sheet`] or of a report's gallery.
///
/// ```
/// use image::RgbImage;
/// use sensorium_core::draw::sheet::{Tile, Verdict};
///
/// let found = Tile::picture(RgbImage::new(64, 64)).caption("red heart · 0.83").verdict(Verdict::Right);
/// let asked = Tile::words("a red heart");
/// ```
#[derive(Debug, Clone)]
pub struct Tile {
    pub(super) content: Content,
    pub(super) caption: String,
    pub(super) verdict: Verdict,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Picture(RgbaImage),
    Words(String),
    Missing,
}

/// Whether a result is what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// Not known, or of no interest: no mark.
    #[default]
    Unmarked,
    /// A green border and a tick.
    Right,
    /// A red border and a cross.
    Wrong,
}

impl Verdict {
    /// The colour of its border.
    pub(super) fn paint(self) -> Paint {
        match self {
            Self::Unmarked => Paint::Grid,
            Self::Right => Paint::Right,
            Self::Wrong => Paint::Wrong,
        }
    }
}

impl From<bool> for Verdict {
    /// `true` is [`Right`](Self::Right).
    fn from(right: bool) -> Self {
        if right { Self::Right } else { Self::Wrong }
    }
}

impl Tile {
    /// A picture, scaled to the tile whole.
    pub fn picture(picture: impl Into<DynamicImage>) -> Self {
        Self::of(Content::Picture(picture.into().into_rgba8()))
    }

    /// A text in place of a picture, such as a query in words.
    pub fn words(words: impl Into<String>) -> Self {
        Self::of(Content::Words(words.into()))
    }

    /// A picture that could not be had: a crossed box.
    pub fn missing() -> Self {
        Self::of(Content::Missing)
    }

    fn of(content: Content) -> Self {
        Self { content, caption: String::new(), verdict: Verdict::Unmarked }
    }

    /// A caption below.
    pub fn caption(self, caption: impl Into<String>) -> Self {
        Self { caption: caption.into(), ..self }
    }

    /// Whether it is right; a `bool` will do.
    pub fn verdict(self, verdict: impl Into<Verdict>) -> Self {
        Self { verdict: verdict.into(), ..self }
    }
}

/// A query and what was found for it, or tiles without a query.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub(super) query: Option<Tile>,
    pub(super) results: Vec<Tile>,
}

impl Row {
    /// A query on the left and its results on the right.
    pub fn search(query: Tile, results: impl IntoIterator<Item = Tile>) -> Self {
        Self { query: Some(query), results: results.into_iter().collect() }
    }

    /// Tiles side by side.
    pub fn tiles(tiles: impl IntoIterator<Item = Tile>) -> Self {
        Self { query: None, results: tiles.into_iter().collect() }
    }
}

/// A contact sheet, built by value and drawn at the end.
///
/// ```
/// use image::RgbImage;
/// use sensorium_core::draw::sheet::{Row, Sheet, Tile};
///
/// let result = |score: f32| Tile::picture(RgbImage::new(64, 64)).caption(score.to_string()).verdict(score > 0.8);
/// let results = [0.83, 0.71].map(result);
/// let drawing = Sheet::new("Search").row(Row::search(Tile::words("a red heart"), results)).draw();
/// assert!(drawing.svg().contains("a red heart"));
/// ```
#[derive(Debug, Clone)]
pub struct Sheet {
    title: String,
    subtitle: String,
    rows: Vec<Row>,
    columns: usize,
    tile: f32,
}

const GAP: f32 = 14.0;
const CAPTION: f32 = 11.5;
const CAPTION_LINES: usize = 3;
/// Room of the hairline between a query and its results.
const DIVIDER: f32 = 22.0;

impl Sheet {
    /// An empty sheet with ten results a line and tiles of 104 pixels. An empty title takes no room.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), subtitle: String::new(), rows: Vec::new(), columns: 10, tile: 104.0 }
    }

    /// A line of smaller text under the title.
    pub fn subtitle(self, subtitle: impl Into<String>) -> Self {
        Self { subtitle: subtitle.into(), ..self }
    }

    /// Adds a row.
    pub fn row(mut self, row: Row) -> Self {
        self.rows.push(row);
        self
    }

    /// Most results on one line, 1 to 50; more go on below.
    pub fn columns(self, columns: usize) -> Self {
        Self { columns: columns.clamp(1, 50), ..self }
    }

    /// The side of a tile, 24 to 512 pixels.
    pub fn tile(self, pixels: u32) -> Self {
        Self { tile: pixels.clamp(24, 512) as f32, ..self }
    }

    /// Draws the sheet.
    pub fn draw(&self) -> Drawing {
        let columns = self.rows.iter().map(|row| row.results.len()).max().unwrap_or(0).clamp(1, self.columns);
        let has_query = self.rows.iter().any(|row| row.query.is_some());
        let left = MARGIN + if has_query { self.tile + DIVIDER } else { 0.0 };
        let width = left + columns as f32 * (self.tile + GAP) - GAP + MARGIN;
        let mut drawing = Drawing::new(width.max(240.0), 0.0, &self.title);
        let mut y = heading(&mut drawing, &self.title, &self.subtitle, width.max(240.0)) + 4.0;

        let mut placed = Vec::new();
        for (i, row) in self.rows.iter().enumerate() {
            if i > 0 {
                y += 20.0;
            }
            let top = y;
            let mut bottom = top + self.tile;
            if let Some(query) = &row.query {
                bottom = self.place_line(&mut drawing, std::slice::from_ref(query), [MARGIN, top], &mut placed);
            }
            let mut line_top = top;
            for (i, line) in row.results.chunks(columns).enumerate() {
                line_top += if i > 0 { GAP } else { 0.0 };
                line_top = self.place_line(&mut drawing, line, [left, line_top], &mut placed);
            }
            y = bottom.max(line_top);
            if row.results.is_empty() {
                let at = [left, top + self.tile / 2.0 + 4.0];
                drawing.text(Text::new(at, "no results").paint(Paint::Muted));
            }
            if row.query.is_some() {
                let x = left - DIVIDER / 2.0;
                let hairline = format!(r#"{} stroke-width="1""#, Paint::Grid.stroke());
                drawing.line([x, top], [x, y], &hairline);
            }
        }
        drawing.set_height(y + MARGIN);
        draw_pictures_and_marks(&mut drawing, &placed);
        drawing
    }

    /// Draws the boxes and captions of tiles on one line, remembers the boxes, and returns where the line ends.
    fn place_line<'a>(
        &self,
        drawing: &mut Drawing,
        tiles: &'a [Tile],
        [left, top]: [f32; 2],
        placed: &mut Vec<(Rect, &'a Tile)>,
    ) -> f32 {
        let mut bottom = top + self.tile;
        for (i, tile) in tiles.iter().enumerate() {
            let place = Rect::new(left + i as f32 * (self.tile + GAP), top, self.tile, self.tile);
            draw_box(drawing, place, tile);
            let lines = text::wrap(&tile.caption, CAPTION, Weight::Regular, self.tile + 6.0, CAPTION_LINES);
            for (n, line) in lines.iter().enumerate() {
                let at = [place.center()[0], place.bottom() + 16.0 + n as f32 * 14.0];
                drawing.text(Text::new(at, line).size(CAPTION).anchor(Anchor::Middle).paint(Paint::Muted));
            }
            bottom = bottom.max(place.bottom() + if lines.is_empty() { 0.0 } else { 8.0 + 14.0 * lines.len() as f32 });
            placed.push((place, tile));
        }
        bottom
    }
}

/// The ground of a tile, and its text or its cross.
fn draw_box(drawing: &mut Drawing, place: Rect, tile: &Tile) {
    let ground = if let Content::Picture(_) = tile.content { Paint::Picture } else { Paint::Quiet };
    let ground = ground.fill_and_stroke(tile.verdict.paint());
    let border = if tile.verdict == Verdict::Unmarked { 1.0 } else { 2.5 };
    drawing.rect(place, 6.0, &format!(r#"{ground} stroke-width="{border}""#));
    match &tile.content {
        Content::Picture(_) => {}
        Content::Words(words) => draw_words(drawing, place, words),
        Content::Missing => {
            let inner = place.grown(-0.22 * place.width);
            let cross = format!(r#"{} stroke-width="1.5" stroke-linecap="round""#, Paint::Axis.stroke());
            drawing.line([inner.x, inner.y], [inner.right(), inner.bottom()], &cross);
            drawing.line([inner.x, inner.bottom()], [inner.right(), inner.y], &cross);
        }
    }
}

fn draw_words(drawing: &mut Drawing, place: Rect, words: &str) {
    let room = place.width - 12.0;
    let usual = (place.width / 8.0).clamp(9.0, 15.0);
    // Smaller where the longest word would break.
    let longest = words.split_whitespace().map(|word| text::width(word, usual, Weight::SemiBold)).fold(room, f32::max);
    let size = (usual * room / longest).clamp(8.0, usual);
    let most = ((place.height - 8.0) / (1.3 * size)).max(1.0) as usize;
    let lines = text::wrap(words, size, Weight::SemiBold, room, most);
    let [x, middle] = place.center();
    let first = middle - (lines.len() as f32 - 1.0) * 0.65 * size + 0.36 * size;
    for (i, line) in lines.iter().enumerate() {
        let at = [x, first + i as f32 * 1.3 * size];
        drawing.text(Text::new(at, line).size(size).weight(Weight::SemiBold).anchor(Anchor::Middle));
    }
}

/// Pictures go over all boxes, and the marks of right and wrong over all pictures.
fn draw_pictures_and_marks(drawing: &mut Drawing, placed: &[(Rect, &Tile)]) {
    for (place, tile) in placed {
        if let Content::Picture(picture) = &tile.content {
            drawing.picture(place.grown(-4.0).fit(picture), picture, false);
        }
    }
    for (place, tile) in placed {
        draw_mark(drawing, [place.right() - 4.0, place.y + 4.0], tile.verdict);
    }
}

/// A tick or a cross in a disc, for those who do not see its colour.
fn draw_mark(drawing: &mut Drawing, [x, y]: [f32; 2], verdict: Verdict) {
    let strokes: &[&[[f32; 2]]] = match verdict {
        Verdict::Unmarked => return,
        Verdict::Right => &[&[[-3.6, 0.2], [-1.0, 2.8], [3.8, -2.6]]],
        Verdict::Wrong => &[&[[-2.8, -2.8], [2.8, 2.8]], &[[-2.8, 2.8], [2.8, -2.8]]],
    };
    let disc = verdict.paint().fill_and_stroke(Paint::Paper);
    drawing.circle([x, y], 8.0, &format!(r#"{disc} stroke-width="1.5""#));
    let line =
        format!(r#"{} stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round""#, Paint::White.stroke());
    for stroke in strokes {
        let points: Vec<[f32; 2]> = stroke.iter().map(|[dx, dy]| [x + dx, y + dy]).collect();
        drawing.polyline(&points, &line);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn more_results_than_columns_go_on_below() {
        let row = |n: usize| Row::tiles((0..n).map(|_| Tile::missing()));
        let size = |n| {
            let drawing = Sheet::new("").row(row(n)).columns(4).draw();
            (drawing.width(), drawing.height())
        };
        assert_eq!(size(4).0, size(9).0);
        assert!(size(9).1 > 2 * size(4).1);
    }

    #[test]
    fn right_and_wrong_differ_in_more_than_colour() {
        let sheet = |verdict| Sheet::new("").row(Row::tiles([Tile::words("x").verdict(verdict)])).draw().svg();
        assert_eq!(sheet(Verdict::Right).matches("<path").count(), 1);
        assert_eq!(sheet(Verdict::Wrong).matches("<path").count(), 2);
        assert_eq!(sheet(Verdict::Unmarked).matches("<path").count(), 0);
    }

    #[test]
    fn a_picture_keeps_its_proportions() {
        let wide = RgbaImage::from_pixel(40, 10, image::Rgba([255, 0, 0, 255]));
        let image = Sheet::new("").row(Row::tiles([Tile::picture(wide)])).tile(104).draw().image(1.0).unwrap();
        let red: Vec<_> = image.enumerate_pixels().filter(|(.., p)| p.0 == [255, 0, 0, 255]).collect();
        let (xs, ys): (Vec<u32>, Vec<u32>) = red.iter().map(|(x, y, _)| (x, y)).unzip();
        assert_eq!((xs.iter().max().unwrap() - xs.iter().min().unwrap() + 1), 96);
        assert_eq!((ys.iter().max().unwrap() - ys.iter().min().unwrap() + 1), 24);
    }

    fn tile() -> impl Strategy<Value = Tile> {
        let content = prop_oneof![
            (0u32..5, 0u32..5).prop_map(|(w, h)| Tile::picture(RgbaImage::new(w, h))),
            any::<String>().prop_map(Tile::words),
            Just(Tile::missing()),
        ];
        let marks = prop_oneof![Just(Verdict::Unmarked), any::<bool>().prop_map(Verdict::from)];
        (content, any::<String>(), marks).prop_map(|(tile, caption, verdict)| tile.caption(caption).verdict(verdict))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_tiles_draw(
            rows in prop::collection::vec((prop::option::of(tile()), prop::collection::vec(tile(), 0..5)), 0..3),
            title in any::<String>(), columns in 0usize..4, side in any::<u32>(),
        ) {
            let mut sheet = Sheet::new(title).columns(columns).tile(side);
            for (query, results) in rows {
                sheet = sheet.row(match query {
                    Some(query) => Row::search(query, results),
                    None => Row::tiles(results),
                });
            }
            prop_assert!(sheet.draw().image(0.5).is_ok());
        }
    }
}
