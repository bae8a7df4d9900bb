//! Where a captioner looked, word by word, over the picture: the tutorial's recipe.
//!
//! The picture is resized to 24 pixels a position (Lanczos); each word's weights are spread to that size by linear
//! interpolation, smoothed with σ = 8 pixels, and laid over it in greys, black where the least weight is and white where
//! the most.

use image::RgbImage;
use sensorium_core::draw::Drawing;
use sensorium_core::draw::colormap::Colormap;
use sensorium_core::draw::heatmap::Overlay;
use sensorium_core::draw::sheet::{Row, Sheet, Tile};
use sensorium_vision::resize::{Filter, resize};

/// Pixels of the picture a position, along each side.
const SCALE: usize = 24;

/// The picture as the weights are laid over it: `grid · 24` pixels along each side.
pub fn canvas(picture: &RgbImage, grid: usize) -> RgbImage {
    let side = (grid * SCALE) as u32;
    resize(picture, side, side, Filter::Lanczos)
}

/// A word's weights, `grid · grid` of them, over the [`canvas`].
///
/// # Panics
/// If `weights` has another number of elements.
pub fn over(canvas: &RgbImage, weights: &[f32], grid: usize) -> RgbImage {
    let overlay = Overlay { colormap: Colormap::Gray, alpha: 0.8, sigma: 8.0, range: None };
    overlay.over(canvas, weights, [grid, grid])
}

/// The picture, and for each word where the captioner looked for it, side by side.
///
/// # Panics
/// If there are not `grid · grid` weights a word.
pub fn strip(picture: &RgbImage, words: &[&str], attention: &[Vec<f32>], grid: usize) -> Drawing {
    let canvas = canvas(picture, grid);
    let looked =
        words.iter().zip(attention).map(|(word, weights)| Tile::picture(over(&canvas, weights, grid)).caption(*word));
    let tiles: Vec<Tile> = [Tile::picture(canvas.clone())].into_iter().chain(looked).collect();
    Sheet::new(words.join(" ")).columns(6).tile(168).row(Row::tiles(tiles)).draw()
}
