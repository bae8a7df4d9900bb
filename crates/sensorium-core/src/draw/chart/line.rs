//! Line charts.

use super::{
    Drawing, LegendEntry, LineChart, Paint, Plot, Range, Reference, Sign, TICK_SPACING, beside_references, empty_note,
    line_attributes,
};

/// What a [`LineChart`] holds.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    series: Vec<(String, Vec<[f32; 2]>)>,
    references: Vec<Reference>,
    included: Vec<f32>,
    log_x: bool,
    log_y: bool,
}

/// ```
/// use sensorium_core::draw::chart::LineChart;
///
/// let train: Vec<[f32; 2]> = (1..=20).map(|epoch| [epoch as f32, 2.0 / epoch as f32]).collect();
/// let drawing = LineChart::new("Loss")
///     .x_label("epoch")
///     .y_label("InfoNCE")
///     .series("train", &train)
///     .series("validation", &[[5.0, 0.9], [10.0, 0.6], [20.0, f32::NAN]])
///     .reference("chance", 4.2)
///     .log_y()
///     .draw();
/// assert!(drawing.svg().contains("validation"));
/// ```
impl LineChart {
    /// Adds a curve through `[x, y]` points in their order. A point that is not finite is a gap. A name that is empty
    /// has no entry in the legend.
    pub fn series(mut self, name: impl Into<String>, points: &[[f32; 2]]) -> Self {
        self.kind.series.push((name.into(), points.to_vec()));
        self
    }

    /// Adds a dashed level line with a name, such as chance or a baseline.
    pub fn reference(mut self, name: impl Into<String>, y: f32) -> Self {
        self.kind.references.push(Reference { name: name.into(), value: y });
        self
    }

    /// Makes the vertical axis show `y`, for example 0, whatever the values are.
    pub fn include_y(mut self, y: f32) -> Self {
        self.kind.included.push(y);
        self
    }

    /// Makes the horizontal axis logarithmic; points with x ≤ 0 are gaps.
    pub fn log_x(mut self) -> Self {
        self.kind.log_x = true;
        self
    }

    /// Makes the vertical axis logarithmic; points with y ≤ 0 are gaps.
    pub fn log_y(mut self) -> Self {
        self.kind.log_y = true;
        self
    }

    /// Draws the chart.
    pub fn draw(&self) -> Drawing {
        let Lines { series, references, included, log_x, log_y } = &self.kind;
        let named = series.iter().enumerate().filter(|(_, (name, _))| !name.is_empty());
        let legend: Vec<_> = named.map(|(i, (name, _))| LegendEntry { name, series: i, sign: Sign::Line }).collect();
        let (mut drawing, room) = self.begin(&legend);
        let room = beside_references(room, references);

        let points = || series.iter().flat_map(|(_, points)| points).filter(|p| p.iter().all(|v| v.is_finite()));
        let levels = references.iter().map(|reference| reference.value).chain(included.iter().copied());
        let x = Range::of(points().map(|p| p[0]), *log_x);
        let y = Range::of(points().map(|p| p[1]).chain(levels), *log_y);
        let y = if *log_y { y.padded(0.04) } else { y.rounded((room.height / TICK_SPACING) as usize) };
        let plot = Plot::with_axes(&mut drawing, room, [x, y], [&self.x_label, &self.y_label]);

        plot.draw_references(&mut drawing, references);
        for (i, (name, points)) in series.iter().enumerate() {
            draw_series(&mut drawing, &plot, i, name, points);
        }
        if points().next().is_none() {
            empty_note(&mut drawing, &plot.area);
        }
        drawing
    }
}

/// Most points that are also marked by a dot each.
const MAX_DOTS: usize = 30;

fn draw_series(drawing: &mut Drawing, plot: &Plot, series: usize, name: &str, points: &[[f32; 2]]) {
    let places: Vec<Option<[f32; 2]>> = points.iter().map(|&point| plot.at(point)).collect();
    // A curve that changes from pixel to pixel is a band: a thin line keeps its shape.
    let attributes = line_attributes(series, if points.len() as f32 > plot.area.width { 1.0 } else { 2.0 });
    let dots = points.len() <= MAX_DOTS;
    drawing.open_group(name, "");
    for run in places.split(Option::is_none).filter(|run| !run.is_empty()) {
        let run: Vec<[f32; 2]> = run.iter().copied().flatten().collect();
        drawing.polyline(&thinned(&run, plot.area.width), &attributes);
        if dots || run.len() == 1 {
            for &at in &run {
                let filled = Paint::Series(series).fill_and_stroke(Paint::Paper);
                drawing.circle(at, 3.5, &format!(r#"{filled} stroke-width="1.5""#));
            }
        }
    }
    drawing.close_group();
}

/// A long curve with at most four points in each pixel column: the first, the lowest, the highest and the last look
/// the same as all of them.
fn thinned(run: &[[f32; 2]], width: f32) -> Vec<[f32; 2]> {
    if run.len() as f32 <= 4.0 * width {
        return run.to_vec();
    }
    let mut kept = Vec::new();
    for column in run.chunk_by(|a, b| a[0].floor() == b[0].floor()) {
        let order = |a: &usize, b: &usize| column[*a][1].total_cmp(&column[*b][1]);
        let (low, high) = ((0..column.len()).min_by(order), (0..column.len()).max_by(order));
        let mut marks = [Some(0), low, high, Some(column.len() - 1)];
        marks.sort_unstable();
        let mut marks: Vec<usize> = marks.into_iter().flatten().collect();
        marks.dedup();
        kept.extend(marks.into_iter().map(|i| column[i]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_curve_keeps_its_peaks_in_few_points() {
        let mut run: Vec<[f32; 2]> = (0..100_000).map(|i| [i as f32 / 200.0, (i as f32 * 0.01).sin()]).collect();
        run[54_321][1] = 40.0;
        let kept = thinned(&run, 500.0);
        assert!(kept.len() <= 2000, "{}", kept.len());
        assert!(kept.contains(&run[54_321]) && kept[0] == run[0] && kept.last() == run.last());
    }

    #[test]
    fn gaps_break_the_line() {
        let chart = |points: &[[f32; 2]]| LineChart::new("").series("", points).draw().svg();
        let broken = chart(&[[0.0, 1.0], [1.0, 2.0], [2.0, f32::NAN], [3.0, 4.0], [4.0, 1.0]]);
        assert_eq!(broken.matches("<path").count(), 2);
        assert_eq!(broken.matches("<circle").count(), 4);
        assert!(chart(&[]).contains("no values"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_values_draw(
            points in prop::collection::vec([any::<f32>(), any::<f32>()], 0..40),
            title in any::<String>(), name in any::<String>(), reference in any::<f32>(), log_x: bool, log_y: bool,
        ) {
            let mut chart = LineChart::new(&title).subtitle(&name).series(&name, &points).series("", &[[1.0; 2]; 2]);
            chart = chart.reference(name, reference).include_y(reference).x_label(&title).y_label(&title);
            chart = if log_x { chart.log_x() } else { chart };
            chart = if log_y { chart.log_y() } else { chart };
            prop_assert!(chart.draw().image(0.5).is_ok());
        }
    }
}
