//! From a decoded picture to a network's input: resize, centre crop, normalise.
//!
//! ```
//! use burn::tensor::Device;
//! use image::RgbImage;
//! use sensorium_vision::transforms::Preprocess;
//!
//! let photos = [RgbImage::new(640, 427), RgbImage::new(300, 500)];
//! let input = Preprocess::imagenet(224).batch(&photos, &Device::flex());
//! assert_eq!(input.dims(), [2, 3, 224, 224]);
//! ```

use std::borrow::Cow;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rayon::prelude::*;
use sensorium_core::Error;
use serde::{Deserialize, Serialize};

use crate::resize::{Filter, resize};

/// What a picture goes through before a network sees it. Models carry one; it is saved beside their weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// The size after resampling.
    pub size: Size,
    /// The resampling filter.
    pub filter: Filter,
    /// The side of the centre square that is kept, in pixels; all is kept where absent.
    pub crop: Option<u32>,
    /// Levels to numbers.
    pub normalise: Normalise,
}

/// A size after resampling, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// The shorter side; the longer one follows, see [`shorter_side`].
    ShorterSide(u32),
    /// Both sides; the picture is stretched to them.
    Exact {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

/// `(level / unit − mean) / deviation` a channel, for 8-bit levels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalise {
    /// The level that becomes 1 before the rest: 255, or 1 to leave levels as they are.
    pub unit: f32,
    /// Red, green, blue; in units.
    pub mean: [f32; 3],
    /// Red, green, blue; in units, not 0.
    pub deviation: [f32; 3],
}

impl Normalise {
    /// ImageNet's mean and standard deviation, as torchvision's weights expect.
    pub const IMAGENET: Self = Self { unit: 255.0, mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

    /// `(level − 127) / 128`, as the TensorFlow EfficientNet-Lite weights expect.
    pub const TENSORFLOW: Self = Self { unit: 1.0, mean: [127.0; 3], deviation: [128.0; 3] };

    /// The number that each of the 256 levels of each channel becomes.
    fn tables(&self) -> [[f32; 256]; 3] {
        [0, 1, 2].map(|c| std::array::from_fn(|level| (level as f32 / self.unit - self.mean[c]) / self.deviation[c]))
    }
}

impl Preprocess {
    /// torchvision's evaluation transform: shorter side to `crop` × 8/7, bilinear, centre crop, ImageNet statistics.
    /// `imagenet(224)` is Resize(256), CenterCrop(224).
    pub fn imagenet(crop: u32) -> Self {
        Self {
            size: Size::ShorterSide(crop * 8 / 7),
            filter: Filter::Bilinear,
            crop: Some(crop),
            normalise: Normalise::IMAGENET,
        }
    }

    /// The EfficientNet-Lite transform: shorter side to `crop` + 32, bicubic, centre crop, [`Normalise::TENSORFLOW`].
    pub fn efficientnet_lite(crop: u32) -> Self {
        Self {
            size: Size::ShorterSide(crop + 32),
            filter: Filter::Bicubic,
            crop: Some(crop),
            normalise: Normalise::TENSORFLOW,
        }
    }

    /// The whole picture stretched to `width` × `height`, bicubic, nothing cropped, as drawings need.
    pub fn stretched(width: u32, height: u32, normalise: Normalise) -> Self {
        Self { size: Size::Exact { width, height }, filter: Filter::Bicubic, crop: None, normalise }
    }

    /// Checks the settings, as read from a file.
    ///
    /// # Errors
    /// If a side is 0, or a number that divides is 0 or not finite.
    pub fn validate(&self) -> Result<(), Error> {
        let sides = match self.size {
            Size::ShorterSide(side) => [side, side],
            Size::Exact { width, height } => [width, height],
        };
        if sides.contains(&0) || self.crop == Some(0) {
            return Err(Error::config("preprocess", format!("{self:?}"), "no side may be 0"));
        }
        let Normalise { unit, mean, deviation } = self.normalise;
        if [unit].iter().chain(&deviation).any(|divisor| *divisor == 0.0 || !divisor.is_finite())
            || mean.iter().any(|mean| !mean.is_finite())
        {
            return Err(Error::config(
                "normalise",
                format!("{:?}", self.normalise),
                "must be finite and divide by no 0",
            ));
        }
        Ok(())
    }

    /// The picture as the network will see it, before its levels become numbers.
    pub fn picture(&self, picture: &RgbImage) -> RgbImage {
        let (width, height) = match self.size {
            Size::ShorterSide(side) => shorter_side(picture.width(), picture.height(), side),
            Size::Exact { width, height } => (width, height),
        };
        let resized = resize(picture, width, height, self.filter);
        match self.crop {
            Some(side) => centre_crop(&resized, side, side),
            None => resized,
        }
    }

    /// Pictures of any sizes to one input.
    ///
    /// # Shapes
    /// - output: `[batch, 3, height, width]`, f32
    ///
    /// # Panics
    /// If `pictures` is empty or holds an empty picture, or if they end in different sizes (with [`Size::ShorterSide`]
    /// and no crop).
    pub fn batch(&self, pictures: &[RgbImage], device: &Device) -> Tensor<4> {
        let ready: Vec<_> = pictures.par_iter().map(|picture| self.picture(picture)).collect();
        to_tensor(&ready, &self.normalise, device)
    }
}

/// Pictures of one size to numbers, a plane for each colour.
///
/// # Shapes
/// - output: `[batch, 3, height, width]`, f32
///
/// # Panics
/// If `pictures` is empty or their sizes differ.
pub fn to_tensor(pictures: &[RgbImage], normalise: &Normalise, device: &Device) -> Tensor<4> {
    let (width, height) = pictures.first().expect("to_tensor: no picture").dimensions();
    let tables = normalise.tables();
    let plane = width as usize * height as usize;
    let mut numbers = vec![0.0_f32; pictures.len() * 3 * plane];
    for (picture, numbers) in pictures.iter().zip(numbers.chunks_exact_mut(3 * plane)) {
        assert_eq!(picture.dimensions(), (width, height), "to_tensor: the pictures differ in size");
        for (colour, (numbers, table)) in numbers.chunks_exact_mut(plane).zip(&tables).enumerate() {
            for (number, pixel) in numbers.iter_mut().zip(picture.as_raw().as_chunks::<3>().0) {
                *number = table[usize::from(pixel[colour])];
            }
        }
    }
    let shape = [pictures.len(), 3, height as usize, width as usize];
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// The size of a picture whose shorter side becomes `side`: the longer one is `side × long / short`, rounded down, as
/// in torchvision's `Resize(int)` and the EfficientNet-Lite example. At least `side`.
pub fn shorter_side(width: u32, height: u32, side: u32) -> (u32, u32) {
    let (short, long) = (width.min(height), width.max(height));
    assert!(short > 0, "shorter_side: the picture is {width} x {height}");
    let long = u32::try_from(u64::from(side) * u64::from(long) / u64::from(short)).unwrap_or(u32::MAX);
    if width <= height { (side, long) } else { (long, side) }
}

/// The middle `width` × `height` pixels. An odd remainder goes by torchvision's `CenterCrop`: half the difference,
/// rounded half to even. A smaller picture is first framed in black to that size, the odd row or column below or right.
pub fn centre_crop(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let framed = framed(picture, width, height);
    let offset = |from: u32, to: u32| (f64::from(from - to) / 2.0).round_ties_even() as u32;
    let (left, top) = (offset(framed.width(), width), offset(framed.height(), height));
    image::imageops::crop_imm(&*framed, left, top, width, height).to_image()
}

fn framed(picture: &RgbImage, width: u32, height: u32) -> Cow<'_, RgbImage> {
    let (from_width, from_height) = picture.dimensions();
    if from_width >= width && from_height >= height {
        return Cow::Borrowed(picture);
    }
    let mut frame = RgbImage::new(width.max(from_width), height.max(from_height));
    let (left, top) = ((frame.width() - from_width) / 2, (frame.height() - from_height) / 2);
    image::imageops::replace(&mut frame, picture, i64::from(left), i64::from(top));
    Cow::Owned(frame)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// A pixel carries its own column and row.
    fn grid(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 1]))
    }

    #[test]
    fn the_longer_side_is_rounded_down() {
        assert_eq!(shorter_side(640, 427, 256), (383, 256));
        assert_eq!(shorter_side(427, 640, 224), (224, 335));
        assert_eq!(shorter_side(1000, 3, 7), (2333, 7));
        assert_eq!(shorter_side(9, 9, 5), (5, 5));
    }

    #[test]
    fn the_crop_offset_is_rounded_half_to_even() {
        for (from, left) in [(225, 0), (226, 1), (227, 2), (231, 4), (229, 2)] {
            assert_eq!(centre_crop(&grid(from, 224), 224, 224)[(0, 0)].0, [left, 0, 1], "{from}");
        }
    }

    #[test]
    fn a_small_picture_is_framed_in_black() {
        let framed = centre_crop(&grid(3, 9), 6, 5);
        assert_eq!(framed.dimensions(), (6, 5));
        assert_eq!(framed[(0, 0)].0, [0, 0, 0]);
        assert_eq!(framed[(1, 0)].0, [0, 2, 1]);
        assert_eq!(framed[(3, 4)].0, [2, 6, 1]);
        assert_eq!(framed[(4, 0)].0, [0, 0, 0]);
    }

    #[test]
    fn levels_become_numbers_by_channel() {
        let device = sensorium_core::device::parse("flex").unwrap();
        let pictures = [RgbImage::from_pixel(2, 1, Rgb([255, 127, 0])), RgbImage::from_pixel(2, 1, Rgb([0, 0, 0]))];
        let got = to_tensor(&pictures, &Normalise::TENSORFLOW, &device);
        assert_eq!(got.dims(), [2, 3, 1, 2]);
        let got = got.into_data().try_into_vec_as::<f32>().unwrap();
        assert_eq!(got[..6], [1.0, 1.0, 0.0, 0.0, -127.0 / 128.0, -127.0 / 128.0]);
        let got =
            to_tensor(&pictures[..1], &Normalise::IMAGENET, &device).into_data().try_into_vec_as::<f32>().unwrap();
        assert!((got[0] - 2.248_908).abs() < 1e-6 && (got[4] + 1.804_444).abs() < 1e-6, "{got:?}");
    }

    #[test]
    fn presets_keep_their_sizes() {
        let preset = Preprocess::imagenet(224);
        assert_eq!(preset.size, Size::ShorterSide(256));
        assert_eq!(Preprocess::efficientnet_lite(224).size, Size::ShorterSide(256));
        let stretched = Preprocess::stretched(20, 10, Normalise::IMAGENET);
        assert_eq!(stretched.picture(&grid(7, 7)).dimensions(), (20, 10));
        assert!(preset.validate().is_ok());
        let none = Preprocess { crop: Some(0), ..preset };
        assert!(none.validate().unwrap_err().to_string().contains("no side may be 0"));
    }
}
