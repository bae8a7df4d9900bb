//! Bar charts.

use super::super::axis;
use super::{
    Anchor, BarChart, Drawing, LABEL_ROW, LegendEntry, Paint, Plot, Range, Rect, Reference, Sign, TICK_SIZE,
    TICK_SPACING, Text, Weight, beside_references, bottom_label, empty_note, fitting_ticks, inside, text, thin,
    tick_label, y_ticks,
};

/// What a [`BarChart`] holds.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    categories: Vec<String>,
    series: Vec<(String, Vec<f32>)>,
    references: Vec<Reference>,
    horizontal: bool,
}

/// Room of a category name's second line.
const SECOND_LINE: f32 = 15.0;

/// ```
/// use sensorium_core::draw::chart::BarChart;
///
/// let drawing = BarChart::new("Recall")
///     .y_label("%")
///     .categories(["R@1", "R@5", "R@10"])
///     .series("ridge", &[16.1, 38.0, 47.2])
///     .series("InfoNCE", &[18.4, 41.5, 52.0])
///     .draw();
/// assert!(drawing.svg().contains("R@10"));
/// ```
impl BarChart {
    /// The names below the groups of bars. Values past the last name are drawn without one.
    pub fn categories<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.kind.categories = names.into_iter().map(|name| name.as_ref().to_string()).collect();
        self
    }

    /// Adds one bar to each group, in the order of the categories. A value that is not finite has no bar and reads "–".
    pub fn series(mut self, name: impl Into<String>, values: &[f32]) -> Self {
        self.kind.series.push((name.into(), values.to_vec()));
        self
    }

    /// Adds a dashed level line with a name, such as chance. Only upright bars have them.
    pub fn reference(mut self, name: impl Into<String>, value: f32) -> Self {
        self.kind.references.push(Reference { name: name.into(), value });
        self
    }

    /// Lays the bars down, so that long category names can be read; the drawing grows with their number.
    pub fn horizontal(mut self) -> Self {
        self.kind.horizontal = true;
        self
    }

    /// Draws the chart.
    pub fn draw(&self) -> Drawing {
        let series = self.kind.series.iter().enumerate().filter(|(_, (name, _))| !name.is_empty());
        let legend: Vec<_> = series.map(|(i, (name, _))| LegendEntry { name, series: i, sign: Sign::Bar }).collect();
        let legend = if legend.len() > 1 { legend } else { Vec::new() };
        if self.kind.horizontal { self.draw_lying(&legend) } else { self.draw_upright(&legend) }
    }

    fn groups(&self) -> usize {
        let values = self.kind.series.iter().map(|(_, values)| values.len());
        values.chain([self.kind.categories.len()]).max().unwrap_or(0)
    }

    fn category(&self, group: usize) -> &str {
        self.kind.categories.get(group).map_or("", String::as_str)
    }

    /// The values' range from zero on, with room for the numbers at the bars' ends.
    fn range(&self, ticks: usize) -> Range {
        let values = self.kind.series.iter().flat_map(|(_, values)| values).copied();
        let references = self.kind.references.iter().map(|reference| reference.value);
        Range::of(values.chain(references).filter(|v| v.is_finite()).chain([0.0]), false).rounded(ticks)
    }

    fn draw_upright(&self, legend: &[LegendEntry]) -> Drawing {
        let (mut drawing, room) = self.begin(legend);
        let room = beside_references(room, &self.kind.references);
        let y = self.range((room.height / TICK_SPACING) as usize);
        let names = if self.names_wrap(room.width) { SECOND_LINE } else { 0.0 };
        let room = Rect { height: room.height - names, ..room };
        let ticks = y_ticks(&y, room.height);
        let area = inside(room, &ticks, [&self.x_label, &self.y_label]);
        let plot = Plot { area, x: Range::of([0.0, 1.0].into_iter(), false), y };
        plot.horizontal_grid(&mut drawing, &ticks, &self.y_label);
        let below = Rect { height: area.height + names, ..area };
        bottom_label(&mut drawing, &below, &self.x_label);

        let groups = self.groups();
        if groups == 0 || self.kind.series.is_empty() {
            empty_note(&mut drawing, &area);
        }
        let band = area.width / groups.max(1) as f32;
        let bar = (band * 0.74 / self.kind.series.len().max(1) as f32).min(72.0);
        let level = |value: f32| plot.at([0.0, value]).map_or(area.bottom(), |at| at[1]);
        let (mut places, mut shown) = (Vec::new(), Vec::new());
        for group in 0..groups {
            let left = area.x + (group as f32 + 0.5) * band - bar * self.kind.series.len() as f32 / 2.0;
            for (i, (name, values)) in self.kind.series.iter().enumerate() {
                let Some(&value) = values.get(group) else { continue };
                let x = left + i as f32 * bar;
                let (zero, end) = (level(0.0), if value.is_finite() { level(value) } else { level(0.0) });
                let place = Rect::new(x + 1.0, zero.min(end), (bar - 2.0).max(0.5), (zero - end).abs());
                self.draw_bar(&mut drawing, place, i, name, group, value);
                let above = if value < 0.0 { end + 13.0 } else { end - 5.0 };
                places.push([x + bar / 2.0, above]);
                shown.push(value);
            }
        }
        let base = level(0.0);
        drawing.line([area.x, base], [area.right(), base], &thin(Paint::Axis));
        let numbers = axis::alike(&shown);
        let widest = numbers.iter().map(|number| text::width(number, 11.0, Weight::Regular)).fold(0.0, f32::max);
        if widest + 4.0 <= bar {
            for (at, number) in places.into_iter().zip(numbers) {
                drawing.text(Text::new(at, &number).size(11.0).anchor(Anchor::Middle).halo());
            }
        }
        self.names_below(&mut drawing, &area, band);
        plot.draw_references(&mut drawing, &self.kind.references);
        drawing
    }

    /// Whether some category name takes a second line, when all groups share `width`.
    fn names_wrap(&self, width: f32) -> bool {
        // The numbers of the vertical axis take a tenth or so.
        let band = 0.9 * width / self.groups().max(1) as f32;
        self.kind.categories.iter().any(|name| text::width(name, TICK_SIZE, Weight::Regular) > band - 6.0)
    }

    /// Category names under their groups, on two lines if need be; only each n-th where there is no room for all.
    fn names_below(&self, drawing: &mut Drawing, area: &Rect, band: f32) {
        let names = &self.kind.categories;
        let stride = if band >= 30.0 {
            1
        } else {
            let widest = names.iter().map(|name| text::width(name, TICK_SIZE, Weight::Regular)).fold(0.0, f32::max);
            ((widest.min(90.0) + 8.0) / band).ceil().max(1.0) as usize
        };
        for (i, name) in names.iter().enumerate().step_by(stride) {
            let x = area.x + (i as f32 + 0.5) * band;
            let lines = text::wrap(name, TICK_SIZE, Weight::Regular, band * stride as f32 - 6.0, 2);
            for (line, y) in lines.iter().zip([17.0, 17.0 + SECOND_LINE]) {
                tick_label(drawing, [x, area.bottom() + y], line, Anchor::Middle);
            }
        }
    }

    fn draw_lying(&self, legend: &[LegendEntry]) -> Drawing {
        const BAR: f32 = 18.0;
        const GAP: f32 = 10.0;
        let (groups, count) = (self.groups(), self.kind.series.len().max(1));
        let band = BAR * count as f32 + GAP;
        let (mut drawing, room) = self.begin(legend);
        let below = 24.0 + if self.x_label.is_empty() { 0.0 } else { LABEL_ROW };
        drawing.set_height(room.y + groups.max(1) as f32 * band + below + super::MARGIN);

        let names = self.kind.categories.iter().map(|name| text::width(name, TICK_SIZE, Weight::Regular));
        let names = names.fold(0.0, f32::max).min(room.width * 0.4);
        let left = room.x + names + 10.0;
        // The numbers stand right of the longest bar.
        let area = Rect::new(left, room.y, room.right() - 44.0 - left, groups.max(1) as f32 * band);
        let x = self.range((area.width / 90.0) as usize);
        let level = |value: f32| area.x + x.position(value.into()).unwrap_or_default() * area.width;
        for tick in fitting_ticks(&x, area.width) {
            let at = level(tick.value as f32);
            drawing.line([at, area.y], [at, area.bottom()], &thin(Paint::Grid));
            tick_label(&mut drawing, [at, area.bottom() + 17.0], &tick.label, Anchor::Middle);
        }
        bottom_label(&mut drawing, &area, &self.x_label);
        if groups == 0 || self.kind.series.is_empty() {
            empty_note(&mut drawing, &area);
        }
        let (mut places, mut shown) = (Vec::new(), Vec::new());
        for group in 0..groups {
            let top = area.y + group as f32 * band + GAP / 2.0;
            let name = text::fit(self.category(group), TICK_SIZE, Weight::Regular, names + 1.0);
            let at = [area.x - 8.0, top + (band - GAP) / 2.0 + 4.0];
            drawing.text(Text::new(at, &name).anchor(Anchor::End));
            for (i, (series, values)) in self.kind.series.iter().enumerate() {
                let Some(&value) = values.get(group) else { continue };
                let (zero, end) = (level(0.0), if value.is_finite() { level(value) } else { level(0.0) });
                let y = top + i as f32 * BAR;
                let place = Rect::new(zero.min(end), y + 1.0, (end - zero).abs(), BAR - 2.0);
                self.draw_bar(&mut drawing, place, i, series, group, value);
                places.push([zero.max(end) + 5.0, y + BAR / 2.0 + 4.0]);
                shown.push(value);
            }
        }
        for (at, number) in places.into_iter().zip(axis::alike(&shown)) {
            drawing.text(Text::new(at, &number).size(11.0).halo());
        }
        let zero = level(0.0);
        drawing.line([zero, area.y], [zero, area.bottom()], &thin(Paint::Axis));
        drawing
    }

    fn draw_bar(&self, drawing: &mut Drawing, place: Rect, series: usize, name: &str, group: usize, value: f32) {
        if !value.is_finite() {
            return;
        }
        let number = axis::short(value);
        let parts = [self.category(group), name, &number].map(str::trim);
        let title: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        drawing.open_group(&title.join(" · "), "");
        let radius = 2f32.min(place.width / 2.0).min(place.height / 2.0);
        drawing.rect(place, radius, &Paint::Series(series).fill());
        drawing.close_group();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_value_has_a_bar_and_its_number() {
        let drawing = BarChart::new("x").categories(["a", "b"]).series("one", &[0.5, 0.25]).draw().svg();
        assert_eq!(drawing.matches("<rect").count(), 3, "the page and two bars");
        assert!(drawing.contains(">0.25<") && drawing.contains("<title>b · one · 0.25</title>"));
    }

    #[test]
    fn a_missing_value_reads_as_a_dash() {
        for chart in [BarChart::new(""), BarChart::new("").horizontal()] {
            let drawing = chart.categories(["a"]).series("", &[f32::NAN]).draw().svg();
            assert!(drawing.contains(">–<"));
        }
    }

    #[test]
    fn a_chart_of_lying_bars_grows_with_them() {
        let names: Vec<String> = (0..50).map(|i| format!("class {i}")).collect();
        let drawing = BarChart::new("").categories(names).series("", &[1.0; 50]).horizontal().draw();
        assert!(drawing.height() > 50 * 20);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_values_draw(
            values in prop::collection::vec(any::<f32>(), 0..60),
            names in prop::collection::vec(any::<String>(), 0..60),
            reference in any::<f32>(), lying: bool,
        ) {
            let mut chart = BarChart::new("any").categories(names).series("a", &values).series("b", &[1.0]);
            chart = chart.reference("level", reference).x_label("x").y_label("y");
            chart = if lying { chart.horizontal() } else { chart };
            prop_assert!(chart.draw().image(0.5).is_ok());
        }
    }
}
