//! The outlines of the shapes, as polygons.

use std::f64::consts::{PI, TAU};

use super::Shape;

type Point = [f64; 2];

/// Corners of a polygon that stands for a curve.
const CURVE: usize = 96;

/// Closed polygons in pixels, from (0, 0) on. What lies inside an odd number of them is filled.
pub(super) struct Outline {
    loops: Vec<Vec<Point>>,
    extent: Point,
}

impl Outline {
    /// A shape turned clockwise by `turn` degrees, its longer extent scaled to `side` pixels.
    pub(super) fn new(shape: Shape, turn: f32, side: u32) -> Self {
        let (sin, cos) = f64::from(turn).to_radians().sin_cos();
        let mut loops = upright(shape);
        for [x, y] in loops.iter_mut().flatten() {
            (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
        }
        let low = [0, 1].map(|axis| along(&loops, axis).fold(f64::INFINITY, f64::min));
        let high = [0, 1].map(|axis| along(&loops, axis).fold(f64::NEG_INFINITY, f64::max));
        let scale = f64::from(side) / (high[0] - low[0]).max(high[1] - low[1]);
        for point in loops.iter_mut().flatten() {
            *point = [0, 1].map(|axis| (point[axis] - low[axis]) * scale);
        }
        Self { loops, extent: [0, 1].map(|axis| (high[axis] - low[axis]) * scale) }
    }

    /// Width and height of the box of whole pixels around it.
    pub(super) fn pixels(&self) -> [u32; 2] {
        self.extent.map(|extent| (extent - 1e-6).ceil() as u32)
    }

    /// How much of each pixel is filled, 0 to 1, row by row, [`pixels`](Self::pixels) in all.
    pub(super) fn coverage(&self) -> Vec<f32> {
        const LINES: usize = 8;
        let [width, height] = self.pixels().map(|n| n as usize);
        let mut filled = vec![0f32; width * height];
        for (y, row) in filled.chunks_exact_mut(width).enumerate() {
            for line in 0..LINES {
                let crossings = self.crossings(y as f64 + (line as f64 + 0.5) / LINES as f64);
                for span in crossings.chunks_exact(2) {
                    add_span(row, span[0] as f32, span[1] as f32, 1.0 / LINES as f32);
                }
            }
        }
        filled
    }

    /// Where the level line at `y` enters and leaves the polygons, from left to right.
    fn crossings(&self, y: f64) -> Vec<f64> {
        let mut found = Vec::new();
        for polygon in &self.loops {
            let next = polygon.iter().cycle().skip(1);
            for (&[x0, y0], &[x1, y1]) in polygon.iter().zip(next) {
                if (y0 <= y) != (y1 <= y) {
                    found.push(x0 + (y - y0) / (y1 - y0) * (x1 - x0));
                }
            }
        }
        found.sort_by(f64::total_cmp);
        found
    }
}

/// Adds `weight` to the pixels of a row between `start` and `end`, and its part to those that are cut.
fn add_span(row: &mut [f32], start: f32, end: f32, weight: f32) {
    let last = (end.ceil() as usize).min(row.len());
    for (x, pixel) in row.iter_mut().enumerate().take(last).skip(start as usize) {
        let inside = end.min(x as f32 + 1.0) - start.max(x as f32);
        *pixel += weight * inside.max(0.0);
    }
}

fn along(loops: &[Vec<Point>], axis: usize) -> impl Iterator<Item = f64> + '_ {
    loops.iter().flatten().map(move |point| point[axis])
}

/// A shape about the origin, y down, some two units across.
fn upright(shape: Shape) -> Vec<Vec<Point>> {
    match shape {
        Shape::Circle => vec![around(CURVE, |_| 1.0)],
        Shape::Square => vec![vec![[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]],
        Shape::Triangle => vec![around(3, |_| 1.0)],
        Shape::Star => vec![around(10, |k| if k % 2 == 0 { 1.0 } else { 0.42 })],
        Shape::Cross => vec![cross(0.32)],
        Shape::Ring => vec![around(CURVE, |_| 1.0), around(CURVE, |_| 0.58)],
        Shape::Heart => vec![heart()],
        Shape::Moon => vec![moon(0.5, 0.86)],
    }
}

/// `corners` points about the origin from the top on, the k-th as far out as `radius` says.
fn around(corners: usize, radius: impl Fn(usize) -> f64) -> Vec<Point> {
    (0..corners).map(|k| polar(radius(k), TAU * k as f64 / corners as f64 - PI / 2.0)).collect()
}

fn polar(radius: f64, angle: f64) -> Point {
    [radius * angle.cos(), radius * angle.sin()]
}

/// Bars twice `half` thick.
fn cross(half: f64) -> Vec<Point> {
    let arm = [[-half, -1.0], [half, -1.0], [half, -half]];
    let turned = |quarter: usize| {
        arm.map(|[x, y]| match quarter {
            0 => [x, y],
            1 => [-y, x],
            2 => [-x, -y],
            _ => [y, -x],
        })
    };
    (0..4).flat_map(turned).collect()
}

fn heart() -> Vec<Point> {
    let at = |t: f64| {
        let y = 13.0 * t.cos() - 5.0 * (2.0 * t).cos() - 2.0 * (3.0 * t).cos() - (4.0 * t).cos();
        [t.sin().powi(3), -y / 16.0]
    };
    (0..CURVE).map(|k| at(TAU * k as f64 / CURVE as f64)).collect()
}

/// The unit disc without a disc of `radius` that lies `shift` to the right.
fn moon(shift: f64, radius: f64) -> Vec<Point> {
    let horn_x = (1.0 - radius * radius + shift * shift) / (2.0 * shift);
    let horn_y = (1.0 - horn_x * horn_x).sqrt();
    let outer = horn_y.atan2(horn_x);
    let inner = horn_y.atan2(horn_x - shift);
    let step = |k: usize| k as f64 / CURVE as f64;
    // Down the outer edge from the upper horn to the lower, and back along the inner edge.
    let back = (0..CURVE).map(|k| polar(1.0, -outer - (TAU - 2.0 * outer) * step(k)));
    let hollow = (0..CURVE).map(|k| {
        let [x, y] = polar(radius, inner + (TAU - 2.0 * inner) * step(k));
        [x + shift, y]
    });
    back.chain(hollow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_is_the_smallest_one() {
        for &shape in Shape::ALL {
            for turn in [-8.0, -3.0, 0.0, 8.0] {
                let outline = Outline::new(shape, turn, 50);
                let [width, height] = outline.pixels();
                assert_eq!(width.max(height), 50, "{shape:?}");
                let filled = outline.coverage();
                assert!(filled.iter().all(|c| (0.0..=1.0001).contains(c)), "{shape:?}");
                let is_filled = |at: usize| filled[at] > 0.0;
                let (width, height) = (width as usize, height as usize);
                for x in [0, width - 1] {
                    assert!((0..height).any(|y| is_filled(y * width + x)), "{shape:?} {turn} column {x}");
                }
                for y in [0, height - 1] {
                    assert!((0..width).any(|x| is_filled(y * width + x)), "{shape:?} {turn} row {y}");
                }
            }
        }
    }

    #[test]
    fn areas_are_those_of_geometry() {
        let area = |shape| Outline::new(shape, 0.0, 100).coverage().iter().sum::<f32>() / 10_000.0;
        let close = |shape, wanted: f32| assert!((area(shape) - wanted).abs() < 0.004, "{shape:?} {}", area(shape));
        close(Shape::Square, 1.0);
        close(Shape::Circle, 0.785);
        close(Shape::Ring, 0.785 * (1.0 - 0.58 * 0.58));
        close(Shape::Cross, 0.32 * 2.0 - 0.32 * 0.32);
        close(Shape::Triangle, 0.433);
    }

    #[test]
    fn a_ring_has_a_hole_and_a_moon_opens_to_the_right() {
        let center = |shape| Outline::new(shape, 0.0, 50).coverage();
        assert_eq!(center(Shape::Ring)[25 * 50 + 25], 0.0);
        let moon = Outline::new(Shape::Moon, 0.0, 50);
        let width = moon.pixels()[0] as usize;
        let row = &moon.coverage()[25 * width..26 * width];
        assert!(row[1] > 0.9 && row[width - 2] == 0.0);
    }
}
