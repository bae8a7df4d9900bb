//! Line, bar and scatter charts, and numbers over a plane.
//!
//! A chart is built by value and drawn at the end. Colours are [`PALETTE`](super::PALETTE) in order; a ninth series
//! takes the first colour again with a dashed line, a ninth class takes it with another shape. Values that are not
//! finite are left out, labels that do not fit are shortened or left out, and ticks are round numbers that never
//! overlap.

mod bar;
mod field;
mod line;
mod scatter;

pub use bar::Bars;
pub use field::Field;
pub use line::Lines;
pub use scatter::{Point, Points};

use super::axis::{Range, Tick};
use super::drawing::{Anchor, Drawing, Rect, Text};
use super::paint::Paint;
use super::text::{self, Weight};

/// Curves over a common axis, such as a loss over epochs.
pub type LineChart = Chart<Lines>;
/// Bars by category, such as recall by method.
pub type BarChart = Chart<Bars>;
/// Points on a plane, such as a map of an embedding space.
pub type Scatter = Chart<Points>;
/// Numbers over a plane as colours, such as a spectrogram.
pub type FieldChart = Chart<Field>;

/// A chart of some kind `K`: what all kinds have in common.
#[derive(Debug, Clone)]
pub struct Chart<K> {
    title: String,
    subtitle: String,
    x_label: String,
    y_label: String,
    width: f32,
    height: f32,
    kind: K,
}

impl<K: Default> Chart<K> {
    /// An empty chart of 640 x 400 pixels. An empty title takes no room.
    pub fn new(title: impl Into<String>) -> Self {
        let (title, kind) = (title.into(), K::default());
        let [subtitle, x_label, y_label] = [const { String::new() }; 3];
        Self { title, subtitle, x_label, y_label, width: 640.0, height: 400.0, kind }
    }

    /// A line of smaller text under the title.
    pub fn subtitle(self, subtitle: impl Into<String>) -> Self {
        Self { subtitle: subtitle.into(), ..self }
    }

    /// What the horizontal axis counts, with its unit.
    pub fn x_label(self, x_label: impl Into<String>) -> Self {
        Self { x_label: x_label.into(), ..self }
    }

    /// What the vertical axis counts, with its unit.
    pub fn y_label(self, y_label: impl Into<String>) -> Self {
        Self { y_label: y_label.into(), ..self }
    }

    /// Width and height in pixels, each between 240 and 4,000.
    pub fn size(self, width: u32, height: u32) -> Self {
        let [width, height] = [width, height].map(|side| side.clamp(240, 4000) as f32);
        Self { width, height, ..self }
    }

    /// The page with the title and the legend on it, and the room below them.
    fn begin(&self, legend: &[LegendEntry]) -> (Drawing, Rect) {
        let mut drawing = Drawing::new(self.width, self.height, &self.title);
        let mut y = heading(&mut drawing, &self.title, &self.subtitle, self.width);
        y = legend_rows(&mut drawing, legend, y, self.width);
        (drawing, Rect::new(MARGIN, y, self.width - 2.0 * MARGIN, self.height - MARGIN - y))
    }
}

/// Empty rim around every drawing.
pub(super) const MARGIN: f32 = 20.0;
const TICK_SIZE: f32 = 12.0;
const LABEL_ROW: f32 = 20.0;
/// Height of the chart for each tick of the vertical axis.
const TICK_SPACING: f32 = 48.0;

/// Draws a title and a subtitle at the top left and returns where the room below them starts.
pub(super) fn heading(drawing: &mut Drawing, title: &str, subtitle: &str, width: f32) -> f32 {
    let room = width - 2.0 * MARGIN;
    let mut y = MARGIN;
    for (text, size, weight, paint) in
        [(title, 16.0, Weight::SemiBold, Paint::Ink), (subtitle, 12.5, Weight::Regular, Paint::Muted)]
    {
        for line in text::wrap(text, size, weight, room, 2) {
            drawing.text(Text::new([MARGIN, y + 0.8 * size], &line).size(size).weight(weight).paint(paint));
            y += 1.35 * size;
        }
    }
    if y > MARGIN { y + 6.0 } else { y }
}

/// The sign beside a name in a legend.
#[derive(Debug, Clone, Copy)]
enum Sign {
    Line,
    Bar,
    Dot,
}

struct LegendEntry<'a> {
    name: &'a str,
    series: usize,
    sign: Sign,
}

/// Draws named series in as many rows as they need, and returns where the room below starts.
fn legend_rows(drawing: &mut Drawing, entries: &[LegendEntry], top: f32, width: f32) -> f32 {
    const SIGN: f32 = 24.0;
    const GAP: f32 = 18.0;
    if entries.is_empty() {
        return top;
    }
    let (mut x, mut y) = (MARGIN, top + 8.0);
    for entry in entries {
        let name = text::fit(entry.name, 12.5, Weight::Regular, (width - 2.0 * MARGIN - SIGN).min(260.0));
        let length = SIGN + text::width(&name, 12.5, Weight::Regular);
        if x > MARGIN && x + length > width - MARGIN {
            (x, y) = (MARGIN, y + LABEL_ROW);
        }
        let paint = Paint::Series(entry.series);
        match entry.sign {
            Sign::Line => drawing.line([x, y], [x + 18.0, y], &line_attributes(entry.series, 2.5)),
            Sign::Bar => drawing.rect(Rect::new(x + 4.0, y - 6.0, 12.0, 12.0), 2.0, &paint.fill()),
            Sign::Dot => marker(drawing, [x + 10.0, y], 4.5, entry.series, &paint.fill()),
        }
        drawing.text(Text::new([x + SIGN, y + 4.5], &name).size(12.5));
        x += length + GAP;
    }
    y + 16.0
}

/// The stroke of a series: a colour, and dashes once the colours start over.
fn line_attributes(series: usize, width: f32) -> String {
    let dash = match series / super::PALETTE.len() % 3 {
        0 => "",
        1 => r#" stroke-dasharray="7 4""#,
        _ => r#" stroke-dasharray="2 4""#,
    };
    let stroke = Paint::Series(series).stroke();
    format!(r#"{stroke} stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round"{dash}"#)
}

/// The mark of a class: a circle, then a square, a diamond and a triangle once the colours start over.
fn marker(drawing: &mut Drawing, [x, y]: [f32; 2], radius: f32, series: usize, attributes: &str) {
    let (r, wide) = (radius * 0.9, radius * 1.25);
    match series / super::PALETTE.len() % 4 {
        0 => drawing.circle([x, y], radius, attributes),
        1 => drawing.rect(Rect::new(x - r, y - r, 2.0 * r, 2.0 * r), 0.0, attributes),
        2 => drawing.polygon(&[[x, y - wide], [x + wide, y], [x, y + wide], [x - wide, y]], attributes),
        _ => drawing.polygon(&[[x, y - wide], [x + wide, y + r], [x - wide, y + r]], attributes),
    }
}

/// The area inside the axes, and the numbers they show.
struct Plot {
    area: Rect,
    x: Range,
    y: Range,
}

impl Plot {
    /// Draws the grid, ticks and labels of both axes into `room` and returns what is left inside.
    fn with_axes(drawing: &mut Drawing, room: Rect, [x, y]: [Range; 2], labels: [&str; 2]) -> Self {
        Self::with_ticks(drawing, room, [x, y], &y_ticks(&y, room.height), labels)
    }

    /// The same with the given ticks on the vertical axis.
    fn with_ticks(
        drawing: &mut Drawing,
        room: Rect,
        [x, y]: [Range; 2],
        y_ticks: &[Tick],
        [x_label, y_label]: [&str; 2],
    ) -> Self {
        let area = inside(room, y_ticks, [x_label, y_label]);
        let plot = Self { area, x, y };
        plot.horizontal_grid(drawing, y_ticks, y_label);
        drawing.line([area.x, area.bottom()], [area.right(), area.bottom()], &thin(Paint::Axis));
        for tick in fitting_ticks(&x, area.width) {
            let Some(position) = x.position(tick.value) else { continue };
            let at = area.x + position * area.width;
            drawing.line([at, area.bottom()], [at, area.bottom() + 4.0], &thin(Paint::Axis));
            tick_label(drawing, [at, area.bottom() + 17.0], &tick.label, Anchor::Middle);
        }
        bottom_label(drawing, &area, x_label);
        plot
    }

    /// Horizontal grid lines with their numbers, and the name of the vertical axis above them all.
    fn horizontal_grid(&self, drawing: &mut Drawing, ticks: &[Tick], y_label: &str) {
        let area = &self.area;
        for tick in ticks {
            let Some(position) = self.y.position(tick.value) else { continue };
            let at = area.bottom() - position * area.height;
            drawing.line([area.x, at], [area.right(), at], &thin(Paint::Grid));
            tick_label(drawing, [area.x - 8.0, at + 4.0], &tick.label, Anchor::End);
        }
        let label = text::fit(y_label, TICK_SIZE, Weight::Regular, area.right() - MARGIN);
        drawing.text(Text::new([MARGIN, area.y - 14.0], &label).paint(Paint::Muted));
    }

    /// Where a point lies; `None` when it has no place in the plot.
    fn at(&self, [x, y]: [f32; 2]) -> Option<[f32; 2]> {
        let (x, y) = (self.x.position(x.into())?, self.y.position(y.into())?);
        Some([self.area.x + x * self.area.width, self.area.bottom() - y * self.area.height])
    }

    /// Dashed lines across the plot at named heights. The names stand right of it, apart from each other.
    fn draw_references(&self, drawing: &mut Drawing, references: &[Reference]) {
        let mut names: Vec<(f32, String)> = Vec::new();
        for Reference { name, value } in references {
            let Some(position) = self.y.position(f64::from(*value)) else { continue };
            let at = self.area.bottom() - position * self.area.height;
            let dashed = format!(r#"{} stroke-width="1.25" stroke-dasharray="5 4""#, Paint::Muted.stroke());
            drawing.line([self.area.x, at], [self.area.right(), at], &dashed);
            names.push((at + 4.0, text::fit(name, TICK_SIZE, Weight::Regular, LONGEST_REFERENCE)));
        }
        names.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut above = f32::INFINITY;
        for (y, name) in names {
            above = y.min(above - 15.0);
            drawing.text(Text::new([self.area.right() + 6.0, above], &name).paint(Paint::Muted));
        }
    }
}

/// A level to compare with, such as chance.
#[derive(Debug, Clone)]
struct Reference {
    name: String,
    value: f32,
}

const LONGEST_REFERENCE: f32 = 130.0;

/// `room` less the names of the references at its right.
fn beside_references(room: Rect, references: &[Reference]) -> Rect {
    let widths = references.iter().map(|reference| text::width(&reference.name, TICK_SIZE, Weight::Regular));
    let widest = widths.fold(0.0, f32::max).min(LONGEST_REFERENCE);
    Rect { width: room.width - widest, ..room }
}

/// What is left of `room` for the plot, when ticks and labels have theirs.
fn inside(room: Rect, y_ticks: &[Tick], [x_label, y_label]: [&str; 2]) -> Rect {
    let widest = y_ticks.iter().map(|tick| text::width(&tick.label, TICK_SIZE, Weight::Regular)).fold(0.0, f32::max);
    let left = room.x + (widest + 8.0).min(room.width / 3.0);
    let top = room.y + if y_label.is_empty() { 8.0 } else { 26.0 };
    let bottom = room.bottom() - 20.0 - if x_label.is_empty() { 0.0 } else { LABEL_ROW };
    Rect::new(left, top, room.right() - 6.0 - left, (bottom - top).max(20.0))
}

fn y_ticks(y: &Range, height: f32) -> Vec<Tick> {
    y.ticks((height / TICK_SPACING).clamp(2.0, 12.0) as usize)
}

/// As many ticks as stand side by side with a gap between their labels.
fn fitting_ticks(range: &Range, length: f32) -> Vec<Tick> {
    let most = (length / 70.0).clamp(1.0, 14.0) as usize;
    let fits = |ticks: &Vec<Tick>| {
        ticks.windows(2).all(|pair| {
            let [a, b] = [&pair[0], &pair[1]].map(|t| range.position(t.value).unwrap_or_default() * length);
            let [wa, wb] = [&pair[0], &pair[1]].map(|t| text::width(&t.label, TICK_SIZE, Weight::Regular));
            b - a > (wa + wb) / 2.0 + 10.0
        })
    };
    let one = |ticks: Vec<Tick>| ticks.into_iter().take(1).collect();
    (1..=most).rev().map(|count| range.ticks(count)).find(fits).unwrap_or_else(|| one(range.ticks(1)))
}

fn tick_label(drawing: &mut Drawing, at: [f32; 2], label: &str, anchor: Anchor) {
    drawing.text(Text::new(at, label).size(TICK_SIZE).anchor(anchor).paint(Paint::Muted));
}

/// The name of the horizontal axis, under the middle of the plot.
fn bottom_label(drawing: &mut Drawing, area: &Rect, x_label: &str) {
    let label = text::fit(x_label, TICK_SIZE, Weight::Regular, area.width);
    let at = [area.center()[0], area.bottom() + 38.0];
    drawing.text(Text::new(at, &label).anchor(Anchor::Middle).paint(Paint::Muted));
}

fn thin(paint: Paint) -> String {
    format!(r#"{} stroke-width="1""#, paint.stroke())
}

/// What a chart without any value says in its middle.
fn empty_note(drawing: &mut Drawing, area: &Rect) {
    drawing.text(Text::new(area.center(), "no values").anchor(Anchor::Middle).paint(Paint::Muted));
}
