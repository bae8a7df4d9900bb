//! Scatter charts and maps.

use image::{DynamicImage, RgbaImage};

use super::{
    Anchor, Drawing, LegendEntry, Paint, Plot, Range, Rect, Scatter, Sign, Text, Weight, empty_note, marker, text, thin,
};

/// One point of a [`Scatter`] chart.
#[derive(Debug, Clone)]
pub struct Point {
    at: [f32; 2],
    class: usize,
    label: String,
    title: String,
    picture: Option<RgbaImage>,
}

impl Point {
    /// A point at `[x, y]`, of class 0, without label or picture.
    pub fn new(at: [f32; 2]) -> Self {
        Self { at, class: 0, label: String::new(), title: String::new(), picture: None }
    }

    /// The number of its class, which gives the colour and the shape.
    pub fn class(self, class: usize) -> Self {
        Self { class, ..self }
    }

    /// What is written beside it where there is room.
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// What appears when a pointer rests on it, on a page; its label when not set.
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    fn shown_title(&self) -> &str {
        if self.title.is_empty() { &self.label } else { &self.title }
    }

    /// A small picture drawn in its place where there is room.
    pub fn picture(self, picture: impl Into<DynamicImage>) -> Self {
        Self { picture: Some(picture.into().into_rgba8()), ..self }
    }
}

/// What a [`Scatter`] chart holds.
#[derive(Debug, Clone)]
pub struct Points {
    points: Vec<Point>,
    classes: Vec<String>,
    picture_size: f32,
    axes: bool,
}

impl Default for Points {
    fn default() -> Self {
        Self { points: Vec::new(), classes: Vec::new(), picture_size: 32.0, axes: true }
    }
}

/// ```
/// use sensorium_core::draw::chart::{Point, Scatter};
///
/// let points = [("cat", 0, [0.0, 1.0]), ("dog", 0, [0.2, 0.9]), ("car", 1, [1.0, 0.1])];
/// let drawing = Scatter::new("A small space")
///     .classes(["animals", "vehicles"])
///     .points(points.map(|(name, class, at)| Point::new(at).class(class).label(name)))
///     .without_axes()
///     .draw();
/// assert!(drawing.svg().contains("vehicles"));
/// ```
impl Scatter {
    /// Adds points. Earlier ones come first where labels and pictures compete for room.
    pub fn points(mut self, points: impl IntoIterator<Item = Point>) -> Self {
        self.kind.points.extend(points);
        self
    }

    /// The names of the classes 0, 1, ... in the legend.
    pub fn classes<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.kind.classes = names.into_iter().map(|name| name.as_ref().to_string()).collect();
        self
    }

    /// The longer side of the points' pictures, 8 to 256 pixels; 32 when not set.
    pub fn picture_size(mut self, pixels: u32) -> Self {
        self.kind.picture_size = pixels.clamp(8, 256) as f32;
        self
    }

    /// For maps whose axes have no meaning, such as t-SNE: no ticks, and the same scale on both axes.
    pub fn without_axes(mut self) -> Self {
        self.kind.axes = false;
        self
    }

    /// Draws the chart.
    pub fn draw(&self) -> Drawing {
        let Points { points, classes, picture_size, axes } = &self.kind;
        let entries = classes.iter().enumerate();
        let legend: Vec<_> = entries.map(|(i, name)| LegendEntry { name, series: i, sign: Sign::Dot }).collect();
        let (mut drawing, room) = self.begin(&legend);
        let plot = if *axes { self.plot_with_axes(&mut drawing, room) } else { self.plot_bare(&mut drawing, room) };

        let placed: Vec<Placed> =
            points.iter().filter_map(|point| Some(Placed { at: plot.at(point.at)?, point })).collect();
        if placed.is_empty() {
            empty_note(&mut drawing, &plot.area);
        }
        let (pictures, dots) = choose_pictures(&placed, &plot.area, *picture_size);
        draw_dots(&mut drawing, &dots);
        for (place, placed) in &pictures {
            let frame =
                format!(r#"{} stroke-width="1.5""#, Paint::Picture.fill_and_stroke(Paint::Series(placed.point.class)));
            drawing.open_group(placed.point.shown_title(), "");
            drawing.rect(place.grown(2.0), 4.0, &frame);
            drawing.close_group();
        }
        for (place, placed) in &pictures {
            if let Some(picture) = &placed.point.picture {
                drawing.picture(*place, picture, false);
            }
        }
        let taken = pictures.into_iter().map(|(place, _)| place.grown(2.0)).collect();
        draw_labels(&mut drawing, &placed, &plot.area, taken);
        drawing
    }

    /// What both axes show: all points, with room for half a picture at each end.
    fn ranges(&self, room: &Rect) -> [Range; 2] {
        let shown = || self.kind.points.iter().map(|p| p.at).filter(|at| at.iter().all(|v| v.is_finite()));
        let pictured = self.kind.points.iter().any(|point| point.picture.is_some());
        let rim = if pictured { self.kind.picture_size / 2.0 + 6.0 } else { 12.0 };
        // Axes and their labels take up to a fifth of the room.
        let part = |side: f32| f64::from(rim / (0.8 * side - 2.0 * rim).max(rim));
        let range = |axis: usize, side| Range::of(shown().map(|at| at[axis]), false).padded(part(side));
        [range(0, room.width), range(1, room.height)]
    }

    fn plot_with_axes(&self, drawing: &mut Drawing, room: Rect) -> Plot {
        Plot::with_axes(drawing, room, self.ranges(&room), [&self.x_label, &self.y_label])
    }

    /// A frame alone; the narrower range is widened until both axes have one scale.
    fn plot_bare(&self, drawing: &mut Drawing, room: Rect) -> Plot {
        let area = Rect::new(room.x, room.y + 4.0, room.width, (room.height - 4.0).max(20.0));
        drawing.rect(area, 8.0, &format!(r#"{} fill="none""#, thin(Paint::Grid)));
        let [x, y] = self.ranges(&area);
        let per_pixel = ((x.high - x.low) / f64::from(area.width)).max((y.high - y.low) / f64::from(area.height));
        let [x, y] =
            [(x, area.width), (y, area.height)].map(|(r, pixels)| r.with_length(per_pixel * f64::from(pixels)));
        Plot { area, x, y }
    }
}

/// A point and where it lies on the page.
struct Placed<'a> {
    at: [f32; 2],
    point: &'a Point,
}

/// Splits the points into pictures with their places and plain dots: a picture is drawn where it covers no other by
/// more than a rim.
fn choose_pictures<'a>(
    placed: &'a [Placed<'a>],
    area: &Rect,
    size: f32,
) -> (Vec<(Rect, &'a Placed<'a>)>, Vec<&'a Placed<'a>>) {
    let (mut pictures, mut dots): (Vec<(Rect, &Placed)>, Vec<&Placed>) = (Vec::new(), Vec::new());
    for point in placed {
        let [x, y] = point.at;
        let square = Rect::new(x - size / 2.0, y - size / 2.0, size, size);
        let place = point.point.picture.as_ref().map(|picture| square.fit(picture));
        let free = |place: &Rect| {
            area.contains(&place.grown(2.0)) && !pictures.iter().any(|(other, _)| other.grown(2.0).overlaps(place))
        };
        match place.filter(free) {
            Some(place) => pictures.push((place, point)),
            None => dots.push(point),
        }
    }
    (pictures, dots)
}

/// One group a class, so that the colour is written once.
fn draw_dots(drawing: &mut Drawing, dots: &[&Placed]) {
    let radius = if dots.len() > 2000 { 2.5 } else { 3.75 };
    let mut by_class = dots.to_vec();
    by_class.sort_by_key(|dot| dot.point.class);
    for class in by_class.chunk_by(|a, b| a.point.class == b.point.class) {
        let number = class[0].point.class;
        let paint = Paint::Series(number).fill_and_stroke(Paint::Paper);
        drawing.open_group("", &format!(r#"{paint} fill-opacity="0.85" stroke-width="0.5""#));
        for dot in class {
            let title = dot.point.shown_title();
            if title.is_empty() {
                marker(drawing, dot.at, radius, number, "");
            } else {
                drawing.open_group(title, "");
                marker(drawing, dot.at, radius, number, "");
                drawing.close_group();
            }
        }
        drawing.close_group();
    }
}

/// Most labels that are tried: past it, a map is a cloud.
const MAX_LABELS: usize = 2000;

/// Writes the labels that find a free place beside their point.
fn draw_labels(drawing: &mut Drawing, placed: &[Placed], area: &Rect, mut taken: Vec<Rect>) {
    const SIZE: f32 = 11.5;
    let pictures = taken.len();
    for Placed { at: [x, y], point } in placed.iter().filter(|p| !p.point.label.is_empty()).take(MAX_LABELS) {
        let label = text::fit(&point.label, SIZE, Weight::Regular, 160.0);
        let width = text::width(&label, SIZE, Weight::Regular);
        let around = |place: &&Rect| (place.center()[0] - x).abs() + (place.center()[1] - y).abs() < 0.1;
        let own = taken[..pictures].iter().find(around).copied();
        let own = own.unwrap_or(dot([*x, *y]));
        let (left, right) = (own.x - 2.0 - width, own.right() + 2.0);
        let (above, below) = (own.y - SIZE - 4.0, own.bottom() + 4.0);
        let (middle, level) = (x - width / 2.0, y - SIZE / 2.0);
        let beside = [[right, level], [left, level], [middle, above], [middle, below]];
        let corners = [[right, above], [right, below], [left, above], [left, below]];
        let boxes = [beside, corners].concat().into_iter().map(|[x, y]| Rect::new(x, y, width, SIZE));
        let free: Vec<Rect> =
            boxes.filter(|place| area.contains(place) && !taken.iter().any(|other| other.overlaps(place))).collect();
        // A label over another point's dot is better than none.
        let clear = |place: &&Rect| !placed.iter().any(|other| other.at != [*x, *y] && dot(other.at).overlaps(place));
        if let Some(place) = free.iter().find(clear).or(free.first()) {
            drawing.text(Text::new([place.x, place.y + 0.85 * SIZE], &label).size(SIZE).anchor(Anchor::Start).halo());
            taken.push(place.grown(1.0));
        }
    }
}

/// The room that a dot takes.
fn dot([x, y]: [f32; 2]) -> Rect {
    Rect::new(x - 4.0, y - 4.0, 8.0, 8.0)
}

#[cfg(test)]
mod tests {
    use image::Rgba;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_that_would_overlap_are_left_out() {
        let label = |count: usize| {
            let points = (0..count).map(|i| Point::new([i as f32 * 1e-6, 0.0]).label("label"));
            let corners = [[-1.0, -1.0], [1.0, 1.0]].map(Point::new);
            Scatter::new("").points(points.chain(corners)).draw().svg().matches(">label</text>").count()
        };
        assert_eq!(label(1), 1);
        assert_eq!(label(40), 4, "one on each side");
    }

    #[test]
    fn pictures_stand_where_there_is_room_and_dots_elsewhere() {
        let picture = RgbaImage::from_pixel(8, 8, Rgba([9, 9, 9, 255]));
        let at = [[0.0, 0.0], [0.0, 0.001], [1.0, 1.0]];
        let drawing = Scatter::new("").points(at.map(|at| Point::new(at).picture(picture.clone()))).draw().svg();
        assert_eq!((drawing.matches("<image").count(), drawing.matches("<circle").count()), (2, 1));
    }

    #[test]
    fn a_map_has_one_scale() {
        let chart = Scatter::new("").points([[0.0, 0.0], [10.0, 0.0], [0.0, 1.0]].map(Point::new)).without_axes();
        let mut drawing = Drawing::new(720.0, 400.0, "");
        let plot = chart.plot_bare(&mut drawing, Rect::new(0.0, 0.0, 720.0, 400.0));
        let [a, b, c] = [[0.0, 0.0], [10.0, 0.0], [0.0, 1.0]].map(|at| plot.at(at).unwrap());
        assert!(((b[0] - a[0]) / 10.0 - (a[1] - c[1])).abs() < 0.01, "{a:?} {b:?} {c:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_points_draw(
            points in prop::collection::vec(([any::<f32>(), any::<f32>()], any::<usize>(), any::<String>()), 0..40),
            classes in prop::collection::vec(any::<String>(), 0..12), axes: bool,
        ) {
            let picture = RgbaImage::new(3, 2);
            let points = points.into_iter().map(|(at, class, label)| Point::new(at).class(class).label(label));
            let points = points.enumerate().map(|(i, p)| if i % 3 == 0 { p.picture(picture.clone()) } else { p });
            let chart = Scatter::new("any").classes(classes).points(points);
            let chart = if axes { chart } else { chart.without_axes() };
            prop_assert!(chart.draw().image(0.5).is_ok());
        }
    }
}
