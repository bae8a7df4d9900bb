//! Painting a scene.

use image::{Rgb, RgbImage};
use rand::RngExt;

use super::ground::{self, Tone};
use super::outline::Outline;
use super::{Color, Purpose, SIDE, Scene, stream};

/// How far a channel of an object's colour is from its usual level, at most.
const SHADES: f32 = 7.0;

impl Scene {
    /// The picture, 224 × 224.
    ///
    /// # Panics
    /// If a box reaches beyond the picture.
    pub fn picture(&self) -> RgbImage {
        let mut rng = stream(self.seed, self.id, Purpose::Paint);
        let mut pixels = ground::paint(self.ground, &mut rng);
        for object in &self.objects {
            let shade: Tone = level(object.color).map(|level| level + rng.random_range(-SHADES..=SHADES));
            let [x0, y0, x1, y1] = object.bounds;
            let outline = Outline::new(object.shape, object.turn, (x1 - x0).max(y1 - y0));
            let [width, _] = outline.pixels();
            for (row, filled) in (y0..).zip(outline.coverage().chunks_exact(width as usize)) {
                let line = &mut pixels[(row * SIDE + x0) as usize..][..filled.len()];
                for (pixel, filled) in line.iter_mut().zip(filled) {
                    *pixel = std::array::from_fn(|c| pixel[c] + filled.min(1.0) * (shade[c] - pixel[c]));
                }
            }
        }
        let byte = |level: f32| level.round().clamp(0.0, 255.0) as u8;
        RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb(pixels[(y * SIDE + x) as usize].map(byte)))
    }
}

/// The usual levels of a colour.
fn level(color: Color) -> Tone {
    match color {
        Color::Red => [214.0, 32.0, 38.0],
        Color::Orange => [246.0, 132.0, 18.0],
        Color::Yellow => [250.0, 222.0, 38.0],
        Color::Green => [28.0, 160.0, 60.0],
        Color::Blue => [30.0, 78.0, 216.0],
        Color::Purple => [136.0, 40.0, 170.0],
        Color::White => [248.0, 248.0, 246.0],
        Color::Black => [22.0, 22.0, 26.0],
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;

    #[test]
    fn objects_have_their_colour_where_they_are_and_nothing_has_it_elsewhere() {
        let near = |pixel: &Rgb<u8>, color: Color| {
            level(color).iter().zip(pixel.0).all(|(want, got)| (want - f32::from(got)).abs() <= SHADES + 1.0)
        };
        for id in 0..200 {
            let scene = Scene::compose(3, id);
            let picture = scene.picture();
            for &color in Color::ALL {
                let object = scene.objects.iter().find(|object| object.color == color);
                let inside = |x: u32, y: u32| {
                    object.is_some_and(|o| {
                        (o.bounds[0]..o.bounds[2]).contains(&x) && (o.bounds[1]..o.bounds[3]).contains(&y)
                    })
                };
                let mut found = 0;
                for (x, y, _) in picture.enumerate_pixels().filter(|(_, _, pixel)| near(pixel, color)) {
                    assert!(inside(x, y), "{color:?} at {x}, {y} of {scene:?}");
                    found += 1;
                }
                if let Some(object) = object {
                    let [x0, y0, x1, y1] = object.bounds;
                    let thin = matches!(object.shape, Shape::Moon | Shape::Star);
                    let least = (x1 - x0) * (y1 - y0) / if thin { 5 } else { 3 };
                    assert!(found > least, "{found} pixels of {object:?}");
                }
            }
        }
    }

    #[test]
    fn a_scene_is_painted_alike_each_time() {
        assert_eq!(Scene::compose(1, 4).picture(), Scene::compose(1, 4).picture());
        assert_ne!(Scene::compose(1, 4).picture(), Scene::compose(2, 4).picture());
    }
}
