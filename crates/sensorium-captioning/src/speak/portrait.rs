//! What was said of a picture, drawn.

use image::RgbImage;
use sensorium_audio::draw;
use sensorium_audio::front_end::FrontEnd;
use sensorium_core::draw::Drawing;
use sensorium_core::draw::sheet::{Row, Sheet, Tile};

use super::units::front_end;
use crate::Result;
use crate::captioner::DecoderConfig;
use crate::heat_map;
use crate::speak::{Speaker, Spoken, name};

/// Where attention looked is drawn for so many of the units, evenly spaced.
const LOOKS: usize = 10;

/// The picture, the mel bands of what was said, and where the speaker looked: for all units, or some of them evenly
/// spaced, in the order in which they are heard.
///
/// # Errors
/// If the sound has no mel bands, or the drawing cannot be made.
pub fn portrait(speaker: &Speaker, picture: &RgbImage, spoken: &Spoken, title: &str) -> Result<Drawing> {
    let front = FrontEnd::new(front_end())?;
    let bands = draw::mel(&front.mel(&spoken.sound)?, front.config(), "what was said").image(1.0)?;
    let mut tiles = vec![Tile::picture(picture.clone()).caption("picture"), Tile::picture(bands).caption("mel bands")];
    if let DecoderConfig::Attend { grid, .. } = speaker.captioner().config().decoder {
        let canvas = heat_map::canvas(picture, grid);
        let words = spoken.sentence.words.iter().zip(&spoken.sentence.attention);
        let looks: Vec<(u32, &Vec<f32>)> =
            words.filter_map(|(word, looked)| Some((speaker.unit_of[*word as usize]?, looked))).collect();
        let step = looks.len().div_ceil(LOOKS).max(1);
        let tile = |(unit, looked): &(u32, &Vec<f32>)| {
            Tile::picture(heat_map::over(&canvas, looked, grid)).caption(name(*unit))
        };
        tiles.extend(looks.iter().step_by(step).map(tile));
    }
    Ok(Sheet::new(title).columns(4).tile(300).row(Row::tiles(tiles)).draw())
}
