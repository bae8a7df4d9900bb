//! Matrices as pictures, with labels and a colour bar.

use image::{Rgba, RgbaImage};

use super::super::axis;
use super::super::color_bar::color_bar;
use super::super::drawing::{Anchor, Drawing, Rect, Text};
use super::super::paint::{Paint, Rgb};
use super::super::text::{self, Weight};
use super::super::{chart, colormap::Colormap};
use super::{assert_map, extremes, unit};

/// A matrix of numbers as coloured cells, such as a confusion matrix, an attention map over words, or a spectrogram.
///
/// ```
/// use sensorium_core::draw::heatmap::Matrix;
///
/// let drawing = Matrix::new("Confusion", &[0.9, 0.1, 0.3, 0.7], [2, 2])
///     .row_labels(["cat", "dog"])
///     .col_labels(["cat", "dog"])
///     .draw();
/// assert!(drawing.svg().contains("0.9"));
/// ```
#[derive(Debug, Clone)]
pub struct Matrix {
    title: String,
    subtitle: String,
    values: Vec<f32>,
    rows: usize,
    cols: usize,
    row_labels: Vec<String>,
    col_labels: Vec<String>,
    x_label: String,
    y_label: String,
    colormap: Colormap,
    range: Option<[f32; 2]>,
}

const LABEL: f32 = 12.0;
const LONGEST_LABEL: f32 = 150.0;

impl Matrix {
    /// A matrix of `values` row by row, the first row on top.
    ///
    /// # Panics
    /// When `values` has not `rows * cols` values, or none.
    pub fn new(title: impl Into<String>, values: &[f32], [rows, cols]: [usize; 2]) -> Self {
        assert_map(values, [rows, cols]);
        let [subtitle, x_label, y_label] = [const { String::new() }; 3];
        let (row_labels, col_labels) = (Vec::new(), Vec::new());
        let (title, values, colormap) = (title.into(), values.to_vec(), Colormap::default());
        Self { title, subtitle, values, rows, cols, row_labels, col_labels, x_label, y_label, colormap, range: None }
    }

    /// A line of smaller text under the title.
    pub fn subtitle(self, subtitle: impl Into<String>) -> Self {
        Self { subtitle: subtitle.into(), ..self }
    }

    /// The names of the rows, top to bottom.
    pub fn row_labels<S: AsRef<str>>(self, labels: impl IntoIterator<Item = S>) -> Self {
        Self { row_labels: labels.into_iter().map(|name| name.as_ref().to_string()).collect(), ..self }
    }

    /// The names of the columns, left to right.
    pub fn col_labels<S: AsRef<str>>(self, labels: impl IntoIterator<Item = S>) -> Self {
        Self { col_labels: labels.into_iter().map(|name| name.as_ref().to_string()).collect(), ..self }
    }

    /// What the columns are, written below.
    pub fn x_label(self, x_label: impl Into<String>) -> Self {
        Self { x_label: x_label.into(), ..self }
    }

    /// What the rows are, written above the first row's name.
    pub fn y_label(self, y_label: impl Into<String>) -> Self {
        Self { y_label: y_label.into(), ..self }
    }

    /// The colours; viridis when not set.
    pub fn colormap(self, colormap: Colormap) -> Self {
        Self { colormap, ..self }
    }

    /// The values of the first and the last colour; the lowest and the highest value when not set.
    pub fn range(self, low: f32, high: f32) -> Self {
        Self { range: Some([low, high]), ..self }
    }

    /// Draws the matrix. Cells that are not finite are grey; numbers are written into cells that have room for them.
    pub fn draw(&self) -> Drawing {
        const BAR: f32 = 84.0;
        let cell = self.cell();
        let (width, height) = (self.cols as f32 * cell[0], self.rows as f32 * cell[1]);
        let names = longest(&self.row_labels).min(LONGEST_LABEL);
        let left = chart::MARGIN + if names > 0.0 { names + 8.0 } else { 0.0 };
        let page = (left + width + BAR + chart::MARGIN).max(280.0);

        let mut drawing = Drawing::new(page, 0.0, &self.title);
        let top = chart::heading(&mut drawing, &self.title, &self.subtitle, page) + 4.0;
        let top = top + if self.y_label.is_empty() { 0.0 } else { 20.0 };
        let below = self.room_below(cell[0]) + if self.x_label.is_empty() { 0.0 } else { 22.0 };
        drawing.set_height(top + height.max(80.0) + below + chart::MARGIN);

        let area = Rect::new(left, top, width, height);
        let [low, high] = self.range.unwrap_or_else(|| extremes(&self.values));
        drawing.picture(area, &self.colors(low, high), true);
        self.write_numbers(&mut drawing, area, cell, low, high);
        self.write_row_labels(&mut drawing, area, cell[1]);
        self.write_col_labels(&mut drawing, area, cell[0]);
        let title = text::fit(&self.x_label, LABEL, Weight::Regular, page - 2.0 * chart::MARGIN);
        let at = [area.center()[0], area.bottom() + below];
        drawing.text(Text::new(at, &title).anchor(Anchor::Middle).paint(Paint::Muted));
        let title = text::fit(&self.y_label, LABEL, Weight::Regular, page - 2.0 * chart::MARGIN);
        drawing.text(Text::new([chart::MARGIN, top - 10.0], &title).paint(Paint::Muted));
        let bar = Rect::new(area.right() + 20.0, top, 14.0, height.max(80.0));
        color_bar(&mut drawing, bar, self.colormap, [low, high]);
        drawing
    }

    /// Width and height of a cell: large enough for a number in a small matrix, thin in a large one.
    fn cell(&self) -> [f32; 2] {
        // With names, a cell is as high as a line of text, up to some thousand pixels in all.
        let least = if self.row_labels.is_empty() { 0.0 } else { 16f32.min(4000.0 / self.rows as f32) };
        let width = (640.0 / self.cols as f32).min(46.0);
        [width, (400.0 / self.rows as f32).clamp(least, 40.0)]
    }

    /// One pixel a cell.
    fn colors(&self, low: f32, high: f32) -> RgbaImage {
        let none = Paint::Grid.light();
        let color = |value: f32| if value.is_finite() { self.colormap.map(unit(value, low, high)) } else { none };
        RgbaImage::from_fn(self.cols as u32, self.rows as u32, |x, y| {
            let [r, g, b] = color(self.values[y as usize * self.cols + x as usize]);
            Rgba([r, g, b, 255])
        })
    }

    fn write_numbers(&self, drawing: &mut Drawing, area: Rect, [width, height]: [f32; 2], low: f32, high: f32) {
        let numbers: Vec<String> = self.values.iter().map(|&v| axis::within(v, [low, high])).collect();
        if longest(&numbers) + 6.0 > width || height < 16.0 {
            return;
        }
        for (i, number) in numbers.iter().enumerate() {
            let [row, col] = [i / self.cols, i % self.cols].map(|n| n as f32);
            let at = [area.x + (col + 0.5) * width, area.y + (row + 0.5) * height + 4.0];
            let ground = self.colormap.map(unit(self.values[i], low, high));
            let paint = if lightness(ground) > 0.5 { Paint::Black } else { Paint::White };
            drawing.text(Text::new(at, number).size(LABEL).anchor(Anchor::Middle).paint(paint));
        }
    }

    fn write_row_labels(&self, drawing: &mut Drawing, area: Rect, height: f32) {
        let stride = (14.0 / height).ceil().max(1.0) as usize;
        for (row, label) in self.row_labels.iter().take(self.rows).enumerate().step_by(stride) {
            let label = text::fit(label, LABEL, Weight::Regular, LONGEST_LABEL);
            let at = [area.x - 8.0, area.y + (row as f32 + 0.5) * height + 4.0];
            drawing.text(Text::new(at, &label).anchor(Anchor::End));
        }
    }

    /// Whether every column's name fits below its column.
    fn labels_lie(&self, width: f32) -> bool {
        longest(&self.col_labels) + 6.0 <= width
    }

    fn room_below(&self, width: f32) -> f32 {
        match longest(&self.col_labels) {
            0.0 => 0.0,
            _ if self.labels_lie(width) => 20.0,
            longest => longest.min(LONGEST_LABEL) * 0.71 + 20.0,
        }
    }

    /// Names below their columns, turned where they would run into each other.
    fn write_col_labels(&self, drawing: &mut Drawing, area: Rect, width: f32) {
        let lie = self.labels_lie(width);
        let stride = if lie { 1 } else { (17.0 / width).ceil().max(1.0) as usize };
        for (col, label) in self.col_labels.iter().take(self.cols).enumerate().step_by(stride) {
            let label = text::fit(label, LABEL, Weight::Regular, LONGEST_LABEL);
            let x = area.x + (col as f32 + 0.5) * width;
            let text = if lie {
                Text::new([x, area.bottom() + 17.0], &label).anchor(Anchor::Middle)
            } else {
                Text::new([x + 4.0, area.bottom() + 14.0], &label).anchor(Anchor::End).turn(-45.0)
            };
            drawing.text(text);
        }
    }
}

fn longest(labels: &[String]) -> f32 {
    labels.iter().map(|label| text::width(label, LABEL, Weight::Regular)).fold(0.0, f32::max)
}

/// Rec. 709 luma, 0 to 1.
fn lightness([r, g, b]: Rgb) -> f32 {
    (0.2126 * f32::from(r) + 0.7152 * f32::from(g) + 0.0722 * f32::from(b)) / 255.0
}
