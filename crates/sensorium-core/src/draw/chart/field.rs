//! Numbers over a plane, such as a spectrogram.

use image::{Rgba, RgbaImage};

use super::super::axis::Tick;
use super::super::color_bar::color_bar;
use super::super::colormap::Colormap;
use super::super::heatmap::{extremes, unit};
use super::{Anchor, Drawing, FieldChart, Paint, Plot, Range, Rect, empty_note, tick_label};

/// What a [`FieldChart`] holds.
#[derive(Debug, Clone)]
pub struct Field {
    values: Vec<f32>,
    rows: usize,
    cols: usize,
    x: [f32; 2],
    y: [f32; 2],
    marks: Vec<(f32, String)>,
    colormap: Colormap,
    range: Option<[f32; 2]>,
    bar_label: String,
}

impl Default for Field {
    fn default() -> Self {
        let (values, marks, bar_label) = (Vec::new(), Vec::new(), String::new());
        let unit = [0.0, 1.0];
        Self { values, rows: 0, cols: 0, x: unit, y: unit, marks, colormap: Colormap::Magma, range: None, bar_label }
    }
}

/// ```
/// use sensorium_core::draw::chart::FieldChart;
///
/// let rising: Vec<f32> = (0..20).map(|i| if i / 5 == i % 5 { 0.0 } else { -60.0 }).collect();
/// let drawing = FieldChart::new("A rising tone")
///     .values(&rising, [4, 5])
///     .x_range(0.0, 0.5)
///     .y_range(0.0, 8000.0)
///     .x_label("time, s")
///     .y_label("frequency, Hz")
///     .bar_label("dB")
///     .draw();
/// assert!(drawing.svg().contains("frequency, Hz"));
/// ```
impl FieldChart {
    /// The numbers `[rows, cols]`, row by row from the lowest row up. What is not finite is grey.
    ///
    /// # Panics
    /// When `values` has not `rows * cols` values.
    pub fn values(mut self, values: &[f32], [rows, cols]: [usize; 2]) -> Self {
        assert!(values.len() == rows * cols, "a field of {rows} x {cols} cells with {} values", values.len());
        self.kind = Field { values: values.to_vec(), rows, cols, ..self.kind };
        self
    }

    /// The numbers at the left and right rim; 0 and 1 when not set.
    pub fn x_range(mut self, left: f32, right: f32) -> Self {
        self.kind.x = [left, right];
        self
    }

    /// The numbers at the lower and upper rim; 0 and 1 when not set.
    pub fn y_range(mut self, bottom: f32, top: f32) -> Self {
        self.kind.y = [bottom, top];
        self
    }

    /// What is written at heights of the vertical axis in place of round numbers, for an axis that is not even in what
    /// it shows.
    pub fn y_marks<S: Into<String>>(mut self, marks: impl IntoIterator<Item = (f32, S)>) -> Self {
        self.kind.marks = marks.into_iter().map(|(height, label)| (height, label.into())).collect();
        self
    }

    /// The colours; magma when not set.
    pub fn colormap(mut self, colormap: Colormap) -> Self {
        self.kind.colormap = colormap;
        self
    }

    /// The numbers of the first and the last colour; the lowest and the highest number when not set.
    pub fn color_range(mut self, low: f32, high: f32) -> Self {
        self.kind.range = Some([low, high]);
        self
    }

    /// What the colours count, written above the colour bar.
    pub fn bar_label(mut self, label: impl Into<String>) -> Self {
        self.kind.bar_label = label.into();
        self
    }

    /// Draws the chart.
    pub fn draw(&self) -> Drawing {
        const BAR: f32 = 76.0;
        let field = &self.kind;
        let (mut drawing, room) = self.begin(&[]);
        let room = Rect { width: room.width - BAR, ..room };
        let [x, y] = [field.x, field.y].map(|ends| Range::of(ends.into_iter(), false));
        let labels = [self.x_label.as_str(), self.y_label.as_str()];
        let plot = match field.ticks(&y) {
            Some(ticks) => Plot::with_ticks(&mut drawing, room, [x, y], &ticks, labels),
            None => Plot::with_axes(&mut drawing, room, [x, y], labels),
        };
        let area = plot.area;
        if field.values.is_empty() {
            empty_note(&mut drawing, &area);
            return drawing;
        }
        let range = field.range.unwrap_or_else(|| extremes(&field.values));
        drawing.picture(area, &field.picture(area, range), false);
        let bar = Rect::new(area.right() + 18.0, area.y, 14.0, area.height);
        color_bar(&mut drawing, bar, field.colormap, range);
        tick_label(&mut drawing, [bar.x, area.y - 14.0], &field.bar_label, Anchor::Start);
        drawing
    }
}

impl Field {
    /// The marks inside the range, as ticks; none when round numbers will do.
    fn ticks(&self, y: &Range) -> Option<Vec<Tick>> {
        let inside = |height: f32| y.position(height.into()).is_some_and(|at| (0.0..=1.0).contains(&at));
        let marks = self.marks.iter().filter(|(height, _)| inside(*height));
        let tick = |(height, label): &(f32, String)| Tick { value: f64::from(*height), label: label.clone() };
        (!self.marks.is_empty()).then(|| marks.map(tick).collect())
    }

    /// The numbers as colours, the lowest row at the bottom. Where cells are smaller than half a pixel, a pixel takes
    /// the mean of its cells.
    fn picture(&self, area: Rect, [low, high]: [f32; 2]) -> RgbaImage {
        let size = |cells: usize, pixels: f32| cells.min((2.0 * pixels) as usize).max(1);
        let (width, height) = (size(self.cols, area.width), size(self.rows, area.height));
        let none = Paint::Grid.light();
        RgbaImage::from_fn(width as u32, height as u32, |x, y| {
            let row = height - 1 - y as usize;
            let value = self.mean([row, height], [x as usize, width]);
            let [r, g, b] = if value.is_finite() { self.colormap.map(unit(value, low, high)) } else { none };
            Rgba([r, g, b, 255])
        })
    }

    /// The mean of the cells in part `row` of `rows` and part `col` of `cols`.
    fn mean(&self, [row, rows]: [usize; 2], [col, cols]: [usize; 2]) -> f32 {
        let span = |part: usize, parts: usize, cells: usize| part * cells / parts..(part + 1) * cells / parts;
        let (down, across) = (span(row, rows, self.rows), span(col, cols, self.cols));
        let count = (down.len() * across.len()) as f64;
        let line =
            |row: usize| self.values[row * self.cols..][across.clone()].iter().map(|v| f64::from(*v)).sum::<f64>();
        (down.map(line).sum::<f64>() / count) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_lies_at_the_bottom() {
        let field = Field { values: vec![0.0, 0.0, 1.0, 1.0], rows: 2, cols: 2, ..Field::default() };
        let picture = field.picture(Rect::new(0.0, 0.0, 100.0, 100.0), [0.0, 1.0]);
        assert_eq!(picture.dimensions(), (2, 2));
        assert_eq!(picture.get_pixel(0, 1).0[..3], Colormap::Magma.map(0.0));
        assert_eq!(picture.get_pixel(0, 0).0[..3], Colormap::Magma.map(1.0));
    }

    #[test]
    fn many_cells_share_a_pixel() {
        let values: Vec<f32> = (0..1000).map(|i| (i % 2) as f32).collect();
        let field = Field { values, rows: 1, cols: 1000, ..Field::default() };
        let picture = field.picture(Rect::new(0.0, 0.0, 50.0, 50.0), [0.0, 1.0]);
        assert_eq!(picture.dimensions(), (100, 1));
        assert!(picture.pixels().all(|pixel| pixel.0[..3] == Colormap::Magma.map(0.5)));
    }

    #[test]
    fn marks_outside_the_range_are_left_out() {
        let chart =
            FieldChart::new("").values(&[1.0], [1, 1]).y_range(0.0, 10.0).y_marks([(5.0, "five"), (11.0, "eleven")]);
        let svg = chart.draw().svg();
        assert!(svg.contains("five") && !svg.contains("eleven"));
    }

    #[test]
    fn a_field_of_nothing_says_so() {
        assert!(FieldChart::new("").draw().svg().contains("no values"));
        let grey = FieldChart::new("").values(&[f32::NAN], [1, 1]).draw();
        assert!(grey.svg().contains("image"));
    }
}
