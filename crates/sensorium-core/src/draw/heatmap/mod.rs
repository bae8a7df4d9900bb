//! Heat maps: a small map of numbers over an image, and matrices.

mod matrix;

pub use matrix::Matrix;

use image::{Rgb, RgbImage};

use super::colormap::Colormap;

/// Scales a map `[rows, cols]` to `[height, width]` by linear interpolation between the centres of its cells; past the
/// outermost centres the map is mirrored. It equals scikit-image's `resize(order=1, anti_aliasing=False)`, the first
/// half of its `pyramid_expand`; [`smooth`] is the second.
///
/// # Panics
/// When `map` has not `rows * cols` values, or none.
///
/// ```
/// use sensorium_core::draw::heatmap::upsample;
///
/// assert_eq!(upsample(&[0.0, 1.0], [1, 2], [1, 4]), [0.25, 0.25, 0.75, 0.75]);
/// ```
pub fn upsample(map: &[f32], [rows, cols]: [usize; 2], [height, width]: [usize; 2]) -> Vec<f32> {
    assert_map(map, [rows, cols]);
    let (down, across) = (neighbours(rows, height), neighbours(cols, width));
    let mut scaled = Vec::with_capacity(height * width);
    for &(top, bottom, v) in &down {
        for &(left, right, u) in &across {
            let along = |row: usize| map[row * cols + left] * (1.0 - u) + map[row * cols + right] * u;
            scaled.push(along(top) * (1.0 - v) + along(bottom) * v);
        }
    }
    scaled
}

fn assert_map(map: &[f32], [rows, cols]: [usize; 2]) {
    assert!(!map.is_empty() && map.len() == rows * cols, "a map of {rows} x {cols} cells with {} values", map.len());
}

/// For each of `to` positions along a side of `from` cells: the cells before and after it, and how far it is between.
fn neighbours(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let last = (from - 1) as f64;
    let place = |i: usize| {
        let center = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let mirrored = if center > last { (2.0 * last - center).max(0.0) } else { center.abs().min(last) };
        let (before, part) = (mirrored.floor() as usize, mirrored.fract() as f32);
        // On a centre there is no second neighbour: zero times NaN would be NaN.
        (before, if part > 0.0 { before + 1 } else { before }, part)
    };
    (0..to).map(place).collect()
}

/// Gaussian smoothing of a map `[rows, cols]` with a standard deviation of `sigma` cells, cut off at 4 sigma, the map
/// mirrored about its edges: SciPy's `gaussian_filter(mode="reflect")`. A sigma that is not positive leaves the map as
/// it is; one beyond the map's longer side counts as that side.
///
/// # Panics
/// When `map` has not `rows * cols` values, or none.
pub fn smooth(map: &[f32], [rows, cols]: [usize; 2], sigma: f32) -> Vec<f32> {
    assert_map(map, [rows, cols]);
    if sigma.is_nan() || sigma <= 0.0 {
        return map.to_vec();
    }
    let kernel = gaussian(sigma.min(rows.max(cols) as f32));
    let mut smoothed = map.to_vec();
    for row in 0..rows {
        smooth_line(&mut smoothed, row * cols, 1, cols, &kernel);
    }
    for col in 0..cols {
        smooth_line(&mut smoothed, col, cols, rows, &kernel);
    }
    smoothed
}

/// Weights from the middle outwards, summing to 1 over both sides.
fn gaussian(sigma: f32) -> Vec<f64> {
    let sigma = f64::from(sigma);
    let radius = (4.0 * sigma + 0.5) as usize;
    let weights: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let sum = 2.0 * weights.iter().sum::<f64>() - 1.0;
    weights.into_iter().map(|w| w / sum).collect()
}

/// Smooths the `len` values that start at `start` and lie `stride` apart.
fn smooth_line(map: &mut [f32], start: usize, stride: usize, len: usize, kernel: &[f64]) {
    let line: Vec<f64> = (0..len).map(|i| f64::from(map[start + i * stride])).collect();
    let mirrored = |i: isize| {
        let i = i.rem_euclid(2 * len as isize) as usize;
        line[if i < len { i } else { 2 * len - 1 - i }]
    };
    for i in 0..len {
        let center = i as isize;
        let sides = kernel.iter().enumerate().skip(1);
        let sum = sides.map(|(k, w)| w * (mirrored(center - k as isize) + mirrored(center + k as isize))).sum::<f64>();
        map[start + i * stride] = (kernel[0] * line[i] + sum) as f32;
    }
}

/// How a heat map is laid over an image.
///
/// ```
/// use image::RgbImage;
/// use sensorium_core::draw::heatmap::Overlay;
///
/// let photo = RgbImage::new(336, 336);
/// let attention = vec![1.0 / 196.0; 14 * 14];
/// let seen = Overlay { sigma: 8.0, ..Overlay::default() }.over(&photo, &attention, [14, 14]);
/// assert_eq!(seen.dimensions(), (336, 336));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Overlay {
    /// The colours from the lowest to the highest value.
    pub colormap: Colormap,
    /// How much of the colour is seen, 0 to 1.
    pub alpha: f32,
    /// Gaussian smoothing after upsampling, in pixels of the image; 0 for none.
    pub sigma: f32,
    /// The values of the first and the last colour; `None` takes the map's own lowest and highest.
    pub range: Option<[f32; 2]>,
}

impl Default for Overlay {
    fn default() -> Self {
        Self { colormap: Colormap::Turbo, alpha: 0.5, sigma: 0.0, range: None }
    }
}

impl Overlay {
    /// Upsamples a map `[rows, cols]` to the image's size, smooths it and lays it over the image. Where the map is not
    /// finite, the image is left as it is.
    ///
    /// # Panics
    /// When `map` has not `rows * cols` values, or none.
    pub fn over(&self, image: &RgbImage, map: &[f32], [rows, cols]: [usize; 2]) -> RgbImage {
        let size = [image.height() as usize, image.width() as usize];
        let scaled = upsample(map, [rows, cols], size);
        if scaled.is_empty() {
            return image.clone();
        }
        let scaled = smooth(&scaled, size, self.sigma);
        let [low, high] = self.range.unwrap_or_else(|| extremes(&scaled));
        let alpha = if self.alpha.is_nan() { 0.0 } else { self.alpha.clamp(0.0, 1.0) };
        let mut seen = image.clone();
        for (pixel, value) in seen.pixels_mut().zip(scaled) {
            if value.is_finite() {
                let color = self.colormap.map(unit(value, low, high));
                let mix =
                    |under: u8, over: u8| (f32::from(under) * (1.0 - alpha) + f32::from(over) * alpha).round() as u8;
                *pixel = Rgb(std::array::from_fn(|c| mix(pixel[c], color[c])));
            }
        }
        seen
    }
}

/// The lowest and the highest finite value; 0 and 1 when there is none.
pub(super) fn extremes(values: &[f32]) -> [f32; 2] {
    let finite = values.iter().copied().filter(|v| v.is_finite());
    let [low, high] = finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
    if low <= high { [low, high] } else { [0.0, 1.0] }
}

/// Where a value lies between `low` and `high`, 0 to 1; a range without length gives 0.
pub(super) fn unit(value: f32, low: f32, high: f32) -> f32 {
    let (value, low, high) = (f64::from(value), f64::from(low), f64::from(high));
    if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The values of `skimage.transform.pyramid_expand(upscale=24, sigma=8)` over a 14 x 14 attention map.
    #[test]
    fn an_attention_map_expands_as_in_the_reference() {
        let mut map = vec![0.0; 14 * 14];
        map[3 * 14 + 5] = 1.0;
        map[10 * 14 + 2] = 0.5;
        let expanded = smooth(&upsample(&map, [14, 14], [336, 336]), [336, 336], 8.0);
        let sum: f64 = expanded.iter().copied().map(f64::from).sum();
        let max = expanded.iter().copied().fold(0.0, f32::max);
        assert!((sum - 864.0).abs() < 1e-3, "{sum}");
        assert!((max - 0.538_233_3).abs() < 1e-6, "{max}");
    }

    /// scikit-image 0.26: `resize` and `pyramid_expand(upscale=2, sigma=1.5)` of `arange(6).reshape(2, 3) ** 2`.
    #[test]
    fn edges_are_mirrored_as_in_the_reference() {
        let map = [0.0, 1.0, 4.0, 9.0, 16.0, 25.0];
        let scaled = upsample(&map, [2, 3], [4, 6]);
        let resized = [2.875, 2.875, 4.125, 5.875, 8.125, 8.125];
        assert_eq!(scaled[..6], resized);
        assert_eq!(scaled[6..12], resized);
        let want = [
            [4.360_165, 4.931_586, 6.043_74, 7.456_176, 8.717_534, 9.430_962],
            [5.353_027, 6.007_234, 7.272_32, 8.866_771, 10.281_06, 11.077_275],
            [6.768_125, 7.540_326, 9.023_381, 10.877_252, 12.509_512, 13.423_719],
            [7.760_986, 8.615_974, 10.251_97, 12.287_847, 14.073_038, 15.070_032],
        ];
        for (got, want) in smooth(&scaled, [4, 6], 1.5).iter().zip(want.as_flattened()) {
            assert!((got - want).abs() < 2e-5, "{got}, want {want}");
        }
    }

    #[test]
    fn smoothing_keeps_the_sum_even_far_beyond_the_map() {
        let map: Vec<f32> = (0..12).map(|i| i as f32).collect();
        for sigma in [0.0, -1.0, f32::NAN, 0.3, 3.0, 1e30] {
            let sum: f32 = smooth(&map, [3, 4], sigma).iter().sum();
            assert!((sum - 66.0).abs() < 1e-3, "sigma {sigma}: {sum}");
        }
    }

    #[test]
    fn the_highest_value_gets_the_last_colour() {
        let image = RgbImage::from_pixel(4, 2, Rgb([100, 100, 100]));
        let overlay = Overlay { colormap: Colormap::Gray, ..Overlay::default() };
        let seen = overlay.over(&image, &[0.0, 1.0, f32::NAN, 1.0], [1, 4]);
        assert_eq!(seen.get_pixel(0, 0).0, [50, 50, 50]);
        assert_eq!(seen.get_pixel(1, 0).0, [178, 178, 178]);
        assert_eq!(seen.get_pixel(2, 0).0, [100, 100, 100], "no value, no colour");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_map_overlays_any_image(
            (rows, cols) in (1usize..6, 1usize..6), values in prop::collection::vec(any::<f32>(), 25),
            (width, height) in (0u32..12, 0u32..12), alpha in any::<f32>(), sigma in any::<f32>(),
        ) {
            let image = RgbImage::new(width, height);
            let overlay = Overlay { alpha, sigma, ..Overlay::default() };
            let seen = overlay.over(&image, &values[..rows * cols], [rows, cols]);
            prop_assert_eq!(seen.dimensions(), (width, height));
        }
    }
}
