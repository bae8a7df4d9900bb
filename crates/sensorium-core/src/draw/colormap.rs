//! Colour maps: a number from 0 to 1 becomes a colour.

use image::RgbImage;

use super::paint::Rgb;

/// A colour map, as a table of 33 colours with straight lines between them (within 2/255 of the full tables).
///
/// Viridis, magma and inferno grow evenly in lightness, so that they survive printing in grey; turbo shows more steps;
/// coolwarm is for values on both sides of a middle. Where the tables come from stands in `assets/LICENSES.md`.
///
/// ```
/// use sensorium_core::draw::colormap::Colormap;
///
/// assert_eq!(Colormap::Viridis.map(0.0), [68, 1, 84]);
/// assert_eq!(Colormap::Gray.map(1.0), [255, 255, 255]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colormap {
    /// Dark violet, green, yellow.
    #[default]
    Viridis,
    /// Black, purple, pale yellow.
    Magma,
    /// Black, red, pale yellow.
    Inferno,
    /// A rainbow with smooth steps.
    Turbo,
    /// Black to white.
    Gray,
    /// Blue, light grey in the middle, red.
    Coolwarm,
}

impl Colormap {
    /// Every colour map.
    pub const ALL: [Self; 6] = [Self::Viridis, Self::Magma, Self::Inferno, Self::Turbo, Self::Gray, Self::Coolwarm];

    /// The map's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viridis => "viridis",
            Self::Magma => "magma",
            Self::Inferno => "inferno",
            Self::Turbo => "turbo",
            Self::Gray => "gray",
            Self::Coolwarm => "coolwarm",
        }
    }

    /// The colour of `value`. Values outside 0 to 1 get the end colours, NaN the colour of 0.
    pub fn map(self, value: f32) -> Rgb {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        let colors = match self {
            Self::Gray => return [(value * 255.0).round() as u8; 3],
            Self::Viridis => &VIRIDIS,
            Self::Magma => &MAGMA,
            Self::Inferno => &INFERNO,
            Self::Turbo => &TURBO,
            Self::Coolwarm => &COOLWARM,
        };
        let position = value * (colors.len() - 1) as f32;
        let i = (position as usize).min(colors.len() - 2);
        let part = position - i as f32;
        let [_, below @ ..] = colors[i].to_be_bytes();
        let [_, above @ ..] = colors[i + 1].to_be_bytes();
        std::array::from_fn(|c| (f32::from(below[c]) * (1.0 - part) + f32::from(above[c]) * part).round() as u8)
    }

    /// A colour bar: the map from left to right when `width` is the longer side, else from bottom to top.
    pub fn bar(self, width: u32, height: u32) -> RgbImage {
        let along = |i: u32, n: u32| if n > 1 { i as f32 / (n - 1) as f32 } else { 0.5 };
        RgbImage::from_fn(width, height, |x, y| {
            let value = if width >= height { along(x, width) } else { 1.0 - along(y, height) };
            image::Rgb(self.map(value))
        })
    }
}

const VIRIDIS: [u32; 33] = [
    0x440154, 0x470d60, 0x48186a, 0x482374, 0x472d7b, 0x453681, 0x424086, 0x3f4989, 0x3b528b, 0x375a8d, 0x33638d,
    0x2f6a8e, 0x2c728e, 0x297a8e, 0x26818e, 0x23898e, 0x21908c, 0x1f988b, 0x1f9f88, 0x21a685, 0x28ae80, 0x31b57b,
    0x3ebc74, 0x4cc26c, 0x5dc963, 0x6ece58, 0x82d34c, 0x96d83f, 0xabdc32, 0xc0df24, 0xd5e21a, 0xeae51a, 0xfde725,
];
const MAGMA: [u32; 33] = [
    0x000004, 0x030311, 0x0a0822, 0x130d33, 0x1d1146, 0x28115a, 0x36106a, 0x430f76, 0x50127c, 0x5d177f, 0x691c81,
    0x762181, 0x822681, 0x8f2a81, 0x9c2e7f, 0xa9327d, 0xb63779, 0xc33b75, 0xcf4170, 0xdb486a, 0xe65163, 0xee5c5e,
    0xf5695c, 0xf9785d, 0xfb8761, 0xfd9668, 0xfea571, 0xfeb47b, 0xfec387, 0xfed194, 0xfde0a2, 0xfceeb0, 0xfcfdbf,
];
const INFERNO: [u32; 33] = [
    0x000004, 0x040312, 0x0b0724, 0x150b37, 0x210c4a, 0x2e0a5a, 0x3c0965, 0x4a0c6b, 0x57106d, 0x63146e, 0x70196e,
    0x7d1e6d, 0x89226a, 0x962766, 0xa32b61, 0xaf315c, 0xbb3755, 0xc63e4d, 0xd14644, 0xdb4f3b, 0xe35932, 0xeb6528,
    0xf1711e, 0xf67f14, 0xf98d0a, 0xfb9c06, 0xfcab0f, 0xfbba1f, 0xf9ca32, 0xf5d949, 0xf2e865, 0xf3f586, 0xfcffa4,
];
const TURBO: [u32; 33] = [
    0x30123b, 0x392a73, 0x4040a1, 0x4456c7, 0x466be3, 0x467ff6, 0x4293ff, 0x37a7fa, 0x29bbec, 0x1dcdd8, 0x18dcc3,
    0x1ee8b0, 0x31f299, 0x4cf97e, 0x6bfd64, 0x8aff4d, 0xa3fd3c, 0xb8f735, 0xcced34, 0xdee037, 0xedd03a, 0xf8c03a,
    0xfdae35, 0xfe982c, 0xfb8022, 0xf56817, 0xec520f, 0xe04009, 0xd23105, 0xc02302, 0xac1701, 0x950d01, 0x7a0403,
];
const COOLWARM: [u32; 33] = [
    0x3b4cc0, 0x445acc, 0x4d68d7, 0x5775e1, 0x6282ea, 0x6c8ef1, 0x779af7, 0x82a5fb, 0x8db0fe, 0x98b9ff, 0xa3c2fe,
    0xaec9fc, 0xb8d0f9, 0xc2d5f4, 0xccd9ee, 0xd5dbe6, 0xdddddd, 0xe5d8d1, 0xecd3c5, 0xf1ccb9, 0xf4c4ad, 0xf7bba0,
    0xf7b194, 0xf7a687, 0xf49a7b, 0xf18d6f, 0xec7f63, 0xe57058, 0xde604d, 0xd55042, 0xcb3e38, 0xc0282f, 0xb40426,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middles_are_those_of_the_published_maps() {
        // Entries 0, 128 and 255 of the published tables of 256.
        let cases = [
            (Colormap::Viridis, [68, 1, 84], [33, 145, 140], [253, 231, 37]),
            (Colormap::Magma, [0, 0, 4], [183, 55, 121], [252, 253, 191]),
            (Colormap::Inferno, [0, 0, 4], [188, 55, 84], [252, 255, 164]),
            (Colormap::Turbo, [48, 18, 59], [164, 252, 60], [122, 4, 3]),
            (Colormap::Coolwarm, [59, 76, 192], [221, 221, 221], [180, 4, 38]),
            (Colormap::Gray, [0, 0, 0], [128, 128, 128], [255, 255, 255]),
        ];
        for (map, low, middle, high) in cases {
            assert_eq!(map.map(0.0), low, "{map:?}");
            assert_eq!(map.map(1.0), high, "{map:?}");
            for (got, want) in map.map(128.0 / 255.0).into_iter().zip(middle) {
                assert!(got.abs_diff(want) <= 2, "{map:?}: {:?}, want {middle:?}", map.map(128.0 / 255.0));
            }
        }
    }

    #[test]
    fn values_outside_the_range_get_the_ends() {
        for map in Colormap::ALL {
            assert_eq!(map.map(-3.0), map.map(0.0));
            assert_eq!(map.map(f32::INFINITY), map.map(1.0));
            assert_eq!(map.map(f32::NAN), map.map(0.0));
        }
    }

    #[test]
    fn a_bar_runs_along_its_longer_side() {
        let (wide, tall) = (Colormap::Magma.bar(9, 2), Colormap::Magma.bar(2, 9));
        assert_eq!(wide.get_pixel(0, 1).0, tall.get_pixel(1, 8).0);
        assert_eq!(wide.get_pixel(8, 0).0, Colormap::Magma.map(1.0));
        assert_eq!(Colormap::Gray.bar(0, 0).len(), 0);
    }
}
