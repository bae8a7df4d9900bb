//! The bar beside a picture of numbers that says which colour is which number.

use image::DynamicImage;

use super::axis::Range;
use super::colormap::Colormap;
use super::drawing::{Drawing, Rect, Text};
use super::paint::Paint;

/// Draws the bar into `place`, `low` at its bottom, and the numbers at its right.
pub(super) fn color_bar(drawing: &mut Drawing, place: Rect, colormap: Colormap, [low, high]: [f32; 2]) {
    let bar = DynamicImage::from(colormap.bar(1, 128)).into_rgba8();
    drawing.picture(place, &bar, false);
    let range = Range::of([low, high].into_iter(), false);
    for tick in range.ticks((place.height / 45.0).clamp(3.0, 8.0) as usize) {
        let at = place.bottom() - range.position(tick.value).unwrap_or_default() * place.height;
        drawing.text(Text::new([place.right() + 7.0, at + 4.0], &tick.label).paint(Paint::Muted));
    }
}
