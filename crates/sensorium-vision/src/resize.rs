//! Resampling byte for byte as Pillow 13's `Image.resize` does it (`src/libImaging/Resample.c`).
//!
//! Each axis is a weighted sum whose support grows with the shrinking factor (antialiasing). Weights are fixed-point
//! with 22 fractional bits; the first pass rounds to 8 bits before the second. With alpha the colours are multiplied by it
//! first and divided by it after, as Pillow's `resize` does for the modes `RGBA` and `LA`.
//!
//! ```
//! use image::{Rgb, RgbImage};
//! use sensorium_vision::resize::{Filter, resize};
//!
//! let board = RgbImage::from_fn(8, 8, |x, y| Rgb([if (x + y) % 2 == 0 { 255 } else { 0 }; 3]));
//! let small = resize(&board, 2, 2, Filter::Box);
//! assert!(small.pixels().all(|pixel| pixel.0 == [128; 3]));
//! ```

use std::str::FromStr;

use image::{ImageBuffer, Pixel};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The weight of a source pixel by its distance, as Pillow names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// The mean of the covered pixels.
    Box,
    /// A triangle, one pixel to each side.
    Bilinear,
    /// A Hamming-windowed sinc, one pixel to each side.
    Hamming,
    /// Keys' cubic with a = −0.5, two pixels to each side.
    Bicubic,
    /// A sinc windowed by a sinc, three pixels to each side.
    Lanczos,
}

impl Filter {
    /// Every filter.
    pub const ALL: [Self; 5] = [Self::Box, Self::Bilinear, Self::Hamming, Self::Bicubic, Self::Lanczos];

    /// The name that [`FromStr`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Box => "box",
            Self::Bilinear => "bilinear",
            Self::Hamming => "hamming",
            Self::Bicubic => "bicubic",
            Self::Lanczos => "lanczos",
        }
    }

    /// Half the filter's width in pixels of the coarser side.
    fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        use std::f64::consts::PI;
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
        let distance = x.abs();
        match self {
            Self::Box => f64::from(x > -0.5 && x <= 0.5),
            Self::Bilinear => (1.0 - distance).max(0.0),
            Self::Hamming if distance >= 1.0 => 0.0,
            // Pillow writes the two constants as floats.
            Self::Hamming => sinc(distance) * (f64::from(0.54_f32) + f64::from(0.46_f32) * (distance * PI).cos()),
            Self::Bicubic if distance < 1.0 => ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A,
            Self::Bicubic => 0.0,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

/// Keys' free parameter; Pillow's choice.
const A: f64 = -0.5;

impl FromStr for Filter {
    type Err = sensorium_core::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|filter| filter.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|filter| filter.name()).collect();
            sensorium_core::Error::config("filter", name, format!("the names are {}", names.join(", ")))
        })
    }
}

/// `picture` resampled to `width` × `height` pixels; a copy where that is its size already.
///
/// # Panics
/// If a side of the picture or of the result is 0.
pub fn resize<P>(picture: &ImageBuffer<P, Vec<u8>>, width: u32, height: u32, filter: Filter) -> ImageBuffer<P, Vec<u8>>
where
    P: Pixel<Subpixel = u8>,
{
    let (from_width, from_height) = picture.dimensions();
    assert!(from_width > 0 && from_height > 0, "resize: the picture is {from_width} x {from_height}");
    assert!(width > 0 && height > 0, "resize: to {width} x {height}");
    if (width, height) == (from_width, from_height) {
        return picture.clone();
    }
    let channels = usize::from(P::CHANNEL_COUNT);
    let resample = |bytes: &[u8]| {
        let size = [from_width as usize, from_height as usize];
        match channels {
            1 => passes::<1, 32>(bytes, size, [width as usize, height as usize], filter),
            2 => passes::<2, 32>(bytes, size, [width as usize, height as usize], filter),
            3 => passes::<3, 48>(bytes, size, [width as usize, height as usize], filter),
            _ => passes::<4, 64>(bytes, size, [width as usize, height as usize], filter),
        }
    };
    let bytes = if P::HAS_ALPHA {
        let mut premultiplied = picture.as_raw().clone();
        premultiplied.chunks_exact_mut(channels).for_each(multiply_by_alpha);
        let mut bytes = resample(&premultiplied);
        bytes.chunks_exact_mut(channels).for_each(divide_by_alpha);
        bytes
    } else {
        resample(picture.as_raw())
    };
    ImageBuffer::from_raw(width, height, bytes).expect("width × height × channels bytes")
}

fn multiply_by_alpha(pixel: &mut [u8]) {
    let (alpha, colours) = pixel.split_last_mut().expect("an alpha channel");
    for colour in colours {
        let product = u32::from(*colour) * u32::from(*alpha) + 128;
        *colour = (((product >> 8) + product) >> 8) as u8;
    }
}

fn divide_by_alpha(pixel: &mut [u8]) {
    let (alpha, colours) = pixel.split_last_mut().expect("an alpha channel");
    if matches!(*alpha, 0 | 255) {
        return;
    }
    for colour in colours {
        *colour = (255 * u32::from(*colour) / u32::from(*alpha)).min(255) as u8;
    }
}

/// Fractional bits of a fixed-point weight.
const PRECISION: u32 = 22;

/// The weights that make each output position of one axis.
struct Taps {
    /// The first source position of each output position.
    starts: Vec<usize>,
    /// The weights of each output position, `widest` apart.
    weights: Vec<i32>,
    counts: Vec<usize>,
    widest: usize,
}

impl Taps {
    fn new(from: usize, to: usize, filter: Filter) -> Self {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let widest = support.ceil() as usize * 2 + 1;
        let (mut starts, mut counts) = (Vec::with_capacity(to), Vec::with_capacity(to));
        let mut weights = vec![0; to * widest];
        let mut exact = Vec::with_capacity(widest);
        for (position, weights) in weights.chunks_exact_mut(widest).enumerate() {
            let centre = (position as f64 + 0.5) * scale;
            let start = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            exact.clear();
            let step = 1.0 / stretch;
            exact.extend((start..end).map(|i| filter.weight((i as f64 - centre + 0.5) * step)));
            let sum: f64 = exact.iter().sum();
            for (weight, exact) in weights.iter_mut().zip(&exact) {
                let share = if sum == 0.0 { *exact } else { exact / sum };
                *weight = (share * f64::from(1 << PRECISION) + 0.5_f64.copysign(share)) as i32;
            }
            starts.push(start);
            counts.push(end - start);
        }
        Self { starts, weights, counts, widest }
    }

    fn at(&self, position: usize) -> (usize, &[i32]) {
        let first = position * self.widest;
        (self.starts[position], &self.weights[first..first + self.counts[position]])
    }
}

/// Both passes over `bytes` of `C` channels a pixel; the horizontal one works on `L` samples, which are `L / C` rows,
/// side by side.
fn passes<const C: usize, const L: usize>(bytes: &[u8], from: [usize; 2], to: [usize; 2], filter: Filter) -> Vec<u8> {
    let ([from_width, from_height], [width, height]) = (from, to);
    let across = |bytes: &[u8], height: usize| {
        horizontal::<C, L>(bytes, from_width, width, height, &Taps::new(from_width, width, filter))
    };
    let down = |bytes: &[u8], width: usize| vertical(bytes, width * C, height, &Taps::new(from_height, height, filter));
    match (width != from_width, height != from_height) {
        (true, true) if vertical_first(from, to) => across(&down(bytes, from_width), height),
        (true, true) => down(&across(bytes, from_height), width),
        (true, false) => across(bytes, height),
        _ => down(bytes, width),
    }
}

/// Rounding to 8 bits between the passes makes their order matter. Pillow goes across first, but since version 13 down
/// first where the height loses more than twice as many pixels as the width.
fn vertical_first([from_width, from_height]: [usize; 2], [width, height]: [usize; 2]) -> bool {
    let lost = |from: usize, to: usize| from as i64 - to as i64;
    height < from_height && lost(from_height, height) > 2 * lost(from_width, width)
}

/// What every sum starts from, so that it is rounded when it is shifted back.
const HALF: i32 = 1 << (PRECISION - 1);

/// A task of fewer multiply-adds than this is not worth handing to another thread.
const TASK: usize = 1 << 20;

fn horizontal<const C: usize, const L: usize>(
    bytes: &[u8],
    from_width: usize,
    width: usize,
    height: usize,
    taps: &Taps,
) -> Vec<u8> {
    let rows = L / C;
    let mut out = vec![0; width * height * C];
    out.par_chunks_mut(rows * width * C)
        .zip(bytes.par_chunks(rows * from_width * C))
        .with_min_len(TASK.div_ceil(L * width * taps.widest))
        .for_each(|(out, bytes)| Arch::new().dispatch(RowsAcross::<C, L> { bytes, from_width, out, width, taps }));
    out
}

/// Up to `L / C` rows to be resampled at once: pixels of one column stand side by side, so that one weight meets `L`
/// samples. `pulp` compiles this for each instruction set; the loops are plain.
struct RowsAcross<'a, const C: usize, const L: usize> {
    bytes: &'a [u8],
    from_width: usize,
    out: &'a mut [u8],
    width: usize,
    taps: &'a Taps,
}

impl<const C: usize, const L: usize> WithSimd for RowsAcross<'_, C, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { bytes, from_width, out, width, taps } = self;
        /// Columns that stay in a first-level cache while each row is laid into them.
        const TILE: usize = 256;
        let mut columns = vec![[0_u8; L]; from_width];
        for (tile, columns) in columns.chunks_mut(TILE).enumerate() {
            for (row, pixels) in bytes.chunks_exact(from_width * C).enumerate() {
                for (column, pixel) in columns.iter_mut().zip(&pixels.as_chunks::<C>().0[tile * TILE..]) {
                    column[row * C..row * C + C].copy_from_slice(pixel);
                }
            }
        }
        let mut resampled = vec![[0_u8; L]; width];
        for (position, column) in resampled.iter_mut().enumerate() {
            let (start, weights) = taps.at(position);
            let columns = &columns[start..start + weights.len()];
            for (index, lanes) in column.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                *lanes = weighted_sum(columns.iter().map(|column| &column.as_chunks().0[index]), weights);
            }
        }
        for (row, pixels) in out.chunks_exact_mut(width * C).enumerate() {
            for (column, pixel) in resampled.iter().zip(pixels.as_chunks_mut::<C>().0) {
                pixel.copy_from_slice(&column[row * C..row * C + C]);
            }
        }
    }
}

fn vertical(bytes: &[u8], stride: usize, height: usize, taps: &Taps) -> Vec<u8> {
    let mut out = vec![0; stride * height];
    out.par_chunks_mut(stride).enumerate().with_min_len(TASK.div_ceil(stride * taps.widest)).for_each(|(row, out)| {
        let (start, weights) = taps.at(row);
        let bytes = &bytes[start * stride..(start + weights.len()) * stride];
        Arch::new().dispatch(RowsDown { bytes, weights, out });
    });
    out
}

/// Whole rows to be summed into one.
struct RowsDown<'a> {
    bytes: &'a [u8],
    weights: &'a [i32],
    out: &'a mut [u8],
}

impl WithSimd for RowsDown<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let stride = self.out.len();
        let rows = || self.bytes.chunks_exact(stride);
        let (blocks, tail) = self.out.as_chunks_mut();
        let whole = blocks.len() * LANES;
        for (index, block) in blocks.iter_mut().enumerate() {
            *block = weighted_sum(rows().map(|row| &row.as_chunks().0[index]), self.weights);
        }
        let padded: Vec<[u8; LANES]> =
            rows().map(|row| std::array::from_fn(|i| *row[whole..].get(i).unwrap_or(&0))).collect();
        tail.copy_from_slice(&weighted_sum(padded.iter(), self.weights)[..tail.len()]);
    }
}

/// Samples that are summed side by side: as many 32-bit sums as an AVX-512 register holds.
const LANES: usize = 16;

/// The weighted sum of samples, rounded. Sums stay far inside 32 bits (255 × 2²² × the weights' absolute sum, which is
/// below 2): `wrapping` spares the checks.
#[inline(always)]
fn weighted_sum<'a>(samples: impl Iterator<Item = &'a [u8; LANES]>, weights: &[i32]) -> [u8; LANES] {
    let mut sums = [HALF; LANES];
    for (samples, weight) in samples.zip(weights) {
        for lane in 0..LANES {
            sums[lane] = sums[lane].wrapping_add(i32::from(samples[lane]).wrapping_mul(*weight));
        }
    }
    let mut rounded = [0; LANES];
    for lane in 0..LANES {
        rounded[lane] = (sums[lane] >> PRECISION).clamp(0, 255) as u8;
    }
    rounded
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, LumaA, Rgb, RgbImage, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    /// The definition, one sample at a time, with nothing shared but the weights and the order.
    fn plain(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
        let sum = |taps: &Taps, position: u32, sample: &dyn Fn(u32) -> u8| {
            let (start, weights) = taps.at(position as usize);
            let products =
                weights.iter().enumerate().map(|(i, k)| i64::from(sample((start + i) as u32)) * i64::from(*k));
            ((products.sum::<i64>() + (1 << 21)) >> 22).clamp(0, 255) as u8
        };
        let across = |from: &RgbImage| {
            let taps = Taps::new(from.width() as usize, width as usize, filter);
            let pixel = |x, y| Rgb([0, 1, 2].map(|c| sum(&taps, x, &|i| from[(i, y)][c])));
            if width == from.width() { from.clone() } else { RgbImage::from_fn(width, from.height(), pixel) }
        };
        let down = |from: &RgbImage| {
            let taps = Taps::new(from.height() as usize, height as usize, filter);
            let pixel = |x, y| Rgb([0, 1, 2].map(|c| sum(&taps, y, &|i| from[(x, i)][c])));
            if height == from.height() { from.clone() } else { RgbImage::from_fn(from.width(), height, pixel) }
        };
        let from = [picture.width() as usize, picture.height() as usize];
        match vertical_first(from, [width as usize, height as usize]) {
            true => across(&down(picture)),
            false => down(&across(picture)),
        }
    }

    fn noise(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let hash = (x * 7919 + y * 104_729 + 17).wrapping_mul(2_654_435_761);
            Rgb([(hash >> 8) as u8, (hash >> 16) as u8, (hash >> 24) as u8])
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_fast_passes_equal_the_definition(
            from in (1u32..90, 1u32..90), to in (1u32..140, 1u32..140), filter in 0usize..5,
        ) {
            let (picture, filter) = (noise(from.0, from.1), Filter::ALL[filter]);
            prop_assert!(resize(&picture, to.0, to.1, filter) == plain(&picture, to.0, to.1, filter));
        }
    }

    #[test]
    fn the_height_goes_first_where_it_loses_more_than_twice_the_width() {
        for (from, to, first) in [
            ([60, 50], [50, 29], true),
            ([60, 50], [50, 30], false),
            ([60, 50], [70, 49], true),
            ([60, 50], [70, 51], false),
            ([60, 50], [90, 60], false),
        ] {
            assert_eq!(vertical_first(from, to), first, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn one_channel_equals_three() {
        let rgb = RgbImage::from_fn(71, 50, |x, y| Rgb([noise(71, 50)[(x, y)][0]; 3]));
        let gray = GrayImage::from_fn(71, 50, |x, y| Luma([rgb[(x, y)][0]]));
        for filter in Filter::ALL {
            let (rgb, gray) = (resize(&rgb, 33, 90, filter), resize(&gray, 33, 90, filter));
            assert!(rgb.pixels().zip(gray.pixels()).all(|(a, b)| a[0] == b[0] && a[2] == b[0]), "{filter:?}");
        }
    }

    #[test]
    fn a_transparent_colour_does_not_bleed() {
        let half = RgbaImage::from_fn(8, 1, |x, _| image::Rgba(if x < 4 { [250, 0, 0, 255] } else { [0, 255, 0, 0] }));
        let small = resize(&half, 3, 1, Filter::Bilinear);
        assert!(small.pixels().all(|pixel| pixel[1] == 0), "{small:?}");
        assert!(small[(1, 0)][3] > 0 && small[(1, 0)][3] < 255);
        let gray = ImageBuffer::from_fn(8, 1, |x, _| LumaA(if x < 4 { [250, 255] } else { [9, 0] }));
        assert!(resize(&gray, 3, 1, Filter::Bilinear)[(1, 0)][0] > 240);
    }

    #[test]
    fn an_even_picture_stays_even() {
        let picture = RgbImage::from_pixel(13, 9, Rgb([7, 128, 255]));
        for filter in Filter::ALL {
            for (width, height) in [(1, 1), (5, 40), (13, 3), (100, 9)] {
                let resized = resize(&picture, width, height, filter);
                assert_eq!(resized, RgbImage::from_pixel(width, height, Rgb([7, 128, 255])), "{filter:?}");
            }
        }
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        for filter in Filter::ALL {
            assert_eq!(filter.name().parse::<Filter>().unwrap(), filter);
        }
        assert!("cubic".parse::<Filter>().unwrap_err().to_string().contains("filter = cubic: the names are box"));
    }

    #[test]
    #[should_panic(expected = "resize: to 0 x 4")]
    fn an_empty_result_is_a_bug() {
        resize(&noise(2, 2), 0, 4, Filter::Box);
    }
}
