//! Data sets of pairs: the bundled emoji, or pictures of the user's with their words.

use std::path::PathBuf;

use sensorium_vision::io::RgbImage;
use sensorium_vision::pairs;
pub use sensorium_vision::pairs::Split;

use super::emoji;
use crate::Result;

/// Where a picture's pixels are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Picture {
    /// A PNG, JPEG, WebP, GIF or BMP file.
    File(PathBuf),
    /// A bundled emoji drawing.
    Emoji(emoji::Drawing),
}

/// One picture with its words. A bundled emoji's `id` is its own characters.
pub type Pair = pairs::Pair<Picture>;

/// A data set of pairs.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// The folder, file or bundled set it came from.
    pub source: String,
    /// Its pairs, in file order.
    pub items: Vec<Pair>,
}

impl Pairs {
    /// Opens `emoji` (the bundled set) or a folder or file of the user's, in any of the layouts of
    /// [`sensorium_vision::pairs`].
    ///
    /// # Errors
    /// As [`pairs::read`].
    pub fn open(data: &str) -> Result<Self> {
        if data == "emoji" {
            return Ok(emoji::Emoji::bundled().pairs(emoji::Style::Google));
        }
        let of_file = |pair: pairs::Pair| {
            let pairs::Pair { id, picture, captions, tokens, tags, group, split } = pair;
            Pair { id, picture: Picture::File(picture), captions, tokens, tags, group, split }
        };
        let items = pairs::read(data)?.into_iter().map(of_file).collect();
        Ok(Self { source: data.to_string(), items })
    }

    /// The pixels of pair `index`, transparency laid on white.
    ///
    /// # Errors
    /// If the file cannot be decoded.
    ///
    /// # Panics
    /// If `index` is out of range.
    pub fn image(&self, index: usize) -> Result<RgbImage> {
        match &self.items[index].picture {
            Picture::File(path) => Ok(pairs::read_picture(path)?),
            Picture::Emoji(drawing) => Ok(emoji::Emoji::bundled().draw(*drawing)),
        }
    }
}
