//! Pictures from files: PNG, JPEG, WebP, GIF (first frame) and BMP to 8-bit RGB, and back to PNG or JPEG.
//!
//! The pixel count in a header is checked before anything of that size is allocated, the EXIF orientation is applied,
//! and a damaged or cut-off file is an error that names it. Samples of 16 bits keep their high byte, as in Pillow.
//!
//! ```
//! use sensorium_vision::io::{self, Decoding};
//!
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("dot.png");
//! io::write(&path, &image::RgbImage::from_pixel(4, 3, image::Rgb([255, 0, 0]))).unwrap();
//! let picture = io::read(&path, &Decoding::default()).unwrap();
//! assert_eq!((picture.width(), picture.height()), (4, 3));
//! ```

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Pixel};
pub use image::{GrayImage, RgbImage, RgbaImage};
use sensorium_core::files::write_atomic;

use crate::{Error, Result};

/// Default limit on the pixels of one picture: 8192 × 8192, which is 192 MiB in RGB.
pub const MAX_PIXELS: u64 = 1 << 26;

/// File name endings that [`list`] takes for pictures, in lower case.
pub const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "gif", "bmp"];

/// What becomes of a picture's alpha channel in RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpha {
    /// Dropped: the colour under a transparent pixel shows, as in Pillow's `convert("RGB")`.
    Drop,
    /// Blended over this RGB colour.
    Over([u8; 3]),
}

/// How to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoding {
    /// The largest width × height that is read.
    pub max_pixels: u64,
    /// What becomes of transparency.
    pub alpha: Alpha,
}

impl Default for Decoding {
    /// At most [`MAX_PIXELS`], alpha dropped.
    fn default() -> Self {
        Self { max_pixels: MAX_PIXELS, alpha: Alpha::Drop }
    }
}

/// Reads the picture in a file.
///
/// # Errors
/// If the file cannot be read, is of another format, is damaged or cut off, or has more pixels than
/// `decoding.max_pixels`. The message names the file.
pub fn read(path: impl AsRef<Path>, decoding: &Decoding) -> Result<RgbImage> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(sensorium_core::Error::io(path, "read"))?;
    decode(&bytes, path, decoding)
}

/// Decodes a picture from the bytes of a file; `name` is what errors call it.
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: &[u8], name: impl AsRef<Path>, decoding: &Decoding) -> Result<RgbImage> {
    let picture = open(bytes, name.as_ref(), decoding.max_pixels)?;
    Ok(match decoding.alpha {
        Alpha::Over(colour) if picture.color().has_alpha() => blend(&to_rgba8(picture), colour),
        _ => to_rgb8(picture),
    })
}

/// Decodes a picture with its alpha channel, opaque where the file has none.
///
/// # Errors
/// As [`read`].
pub fn decode_rgba(bytes: &[u8], name: impl AsRef<Path>, max_pixels: u64) -> Result<RgbaImage> {
    open(bytes, name.as_ref(), max_pixels).map(to_rgba8)
}

/// Lays a picture with alpha over one colour, rounding to the nearest level.
pub fn blend(picture: &RgbaImage, colour: [u8; 3]) -> RgbImage {
    let over = |pixel: &image::Rgba<u8>| {
        let alpha = u32::from(pixel[3]);
        let channel = |c: usize| {
            let sum = u32::from(pixel[c]) * alpha + u32::from(colour[c]) * (255 - alpha);
            ((sum + 127) / 255) as u8
        };
        [channel(0), channel(1), channel(2)]
    };
    let bytes = picture.pixels().flat_map(over).collect();
    RgbImage::from_raw(picture.width(), picture.height(), bytes).expect("three bytes a pixel")
}

/// Writes a picture whole or not at all, as PNG (`.png`) or JPEG of quality 90 (`.jpg`, `.jpeg`).
///
/// # Errors
/// If the name has another ending, or the file cannot be written.
pub fn write<P>(path: impl AsRef<Path>, picture: &ImageBuffer<P, Vec<u8>>) -> Result<()>
where
    P: Pixel<Subpixel = u8> + image::PixelWithColorType,
{
    let path = path.as_ref();
    let fail = |reason: String| Error::Encode { path: path.to_path_buf(), reason };
    let mut bytes = Vec::new();
    match ending(path).as_str() {
        "png" => picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png),
        "jpg" | "jpeg" => {
            picture.write_with_encoder(image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90))
        }
        other => return Err(fail(format!("the ending '{other}' is not written: use .png or .jpg"))),
    }
    .map_err(|e| fail(e.to_string()))?;
    Ok(write_atomic(path, &bytes)?)
}

/// The pictures in a folder and below it, by their [`ENDINGS`], sorted by path. Links to folders are not followed.
///
/// # Errors
/// If a folder cannot be listed, or no picture is found.
pub fn list(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let folder = folder.as_ref();
    let mut found = Vec::new();
    collect(folder, &mut found)?;
    if found.is_empty() {
        return Err(Error::NoPictures { folder: folder.to_path_buf(), endings: ENDINGS.join(", ") });
    }
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let fail = || sensorium_core::Error::io(folder, "list");
    for entry in std::fs::read_dir(folder).map_err(fail())? {
        let entry = entry.map_err(fail())?;
        let path = entry.path();
        if entry.file_type().map_err(fail())?.is_dir() {
            collect(&path, found)?;
        } else if ENDINGS.contains(&ending(&path).as_str()) && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// The part of a file name after its last dot, in lower case.
fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// Decodes to whatever the file holds, upright.
fn open(bytes: &[u8], name: &Path, max_pixels: u64) -> Result<DynamicImage> {
    let fail = |reason: String| Error::Decode { path: name.to_path_buf(), reason };
    if bytes.is_empty() {
        return Err(fail("the file is empty".to_string()));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| fail(e.to_string()))?;
    let Some(format) = reader.format() else {
        return Err(fail("it is none of PNG, JPEG, WebP, GIF and BMP".to_string()));
    };
    // Eight bytes a pixel is the most that a format here decodes to; the rest is a decoder's own working memory.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_pixels.saturating_mul(8).saturating_add(1 << 26));
    reader.limits(limits);

    let mut decoder = reader.into_decoder().map_err(|e| fail(e.to_string()))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(Error::TooLarge { path: name.to_path_buf(), width, height, limit: max_pixels });
    }
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(fail("the JPEG data is cut off: it has no end marker".to_string()));
    }
    // Broken EXIF data says nothing about the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| fail(e.to_string()))?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Whether a JPEG has an end marker after its first scan: the decoder paints what a cut-off file lacks grey instead of
/// reporting it. Segments before the scan are skipped by their lengths, for they may hold a whole thumbnail.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [0xFF, marker, high, low, ..] = *rest {
        if marker == START_OF_SCAN {
            break;
        }
        let skipped = if marker == 0xFF { 1 } else { 2 + usize::from(u16::from_be_bytes([high, low])) };
        rest = rest.get(skipped..).unwrap_or_default();
    }
    rest.windows(2).any(|pair| pair == [0xFF, 0xD9])
}

fn to_rgb8(picture: DynamicImage) -> RgbImage {
    use DynamicImage::{ImageLuma16, ImageLumaA16, ImageRgb16, ImageRgba16};
    match picture {
        ImageLuma16(_) | ImageLumaA16(_) | ImageRgb16(_) | ImageRgba16(_) => {
            high_bytes(picture.into_rgb16(), RgbImage::from_raw)
        }
        _ => picture.into_rgb8(),
    }
}

fn to_rgba8(picture: DynamicImage) -> RgbaImage {
    use DynamicImage::{ImageLuma16, ImageLumaA16, ImageRgb16, ImageRgba16};
    match picture {
        ImageLuma16(_) | ImageLumaA16(_) | ImageRgb16(_) | ImageRgba16(_) => {
            high_bytes(picture.into_rgba16(), RgbaImage::from_raw)
        }
        _ => picture.into_rgba8(),
    }
}

fn high_bytes<P: Pixel<Subpixel = u16>, T>(
    picture: ImageBuffer<P, Vec<u16>>,
    build: impl Fn(u32, u32, Vec<u8>) -> Option<T>,
) -> T {
    let (width, height) = picture.dimensions();
    let bytes = picture.into_raw().into_iter().map(|sample| (sample >> 8) as u8).collect();
    build(width, height, bytes).expect("as many bytes as samples")
}

#[cfg(test)]
mod tests {
    use image::{Rgb, Rgba};
    use proptest::prelude::*;

    use super::*;

    fn gradient() -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, ((x + y) * 3) as u8]))
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        gradient().write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    const FORMATS: [ImageFormat; 5] =
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp];

    fn plain(bytes: &[u8]) -> Result<RgbImage> {
        decode(bytes, "a/picture", &Decoding::default())
    }

    #[test]
    fn every_format_is_read() {
        for format in FORMATS {
            let got = plain(&encoded(format)).unwrap();
            assert_eq!(got.dimensions(), (40, 30), "{format:?}");
            let lossless = matches!(format, ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp);
            if lossless {
                assert_eq!(got, gradient(), "{format:?}");
            }
        }
    }

    #[test]
    fn a_cut_off_file_is_an_error_that_names_it() {
        for format in FORMATS {
            let bytes = encoded(format);
            for keep in (0..bytes.len() - 1).step_by(bytes.len() / 97 + 1) {
                // A trailer after the last pixel may be missing: then the picture must be right all the same.
                match plain(&bytes[..keep]) {
                    Err(error) => assert!(error.to_string().starts_with("a/picture: "), "{error}"),
                    Ok(got) => {
                        assert_eq!(got, plain(&bytes).unwrap(), "{format:?} cut to {keep} of {}", bytes.len());
                    }
                }
            }
        }
    }

    #[test]
    fn a_huge_header_is_refused_before_it_is_allocated() {
        let mut png = encoded(ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
        let check = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&check.to_be_bytes());
        let mut bmp = encoded(ImageFormat::Bmp);
        bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
        bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
        let mut gif = encoded(ImageFormat::Gif);
        gif[6..10].copy_from_slice(&[0x60, 0xEA, 0x60, 0xEA]);
        let mut jpeg = encoded(ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
        for bytes in [png, bmp, gif, jpeg] {
            let error = plain(&bytes).unwrap_err().to_string();
            assert!(error.contains("a/picture: 60000 x 60000 pixels") && error.contains("67108864"), "{error}");
        }
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
        })
    }

    #[test]
    fn what_is_no_picture_says_so() {
        let reason = |bytes: &[u8]| plain(bytes).unwrap_err().to_string();
        assert_eq!(reason(b""), "a/picture: cannot decode the picture: the file is empty");
        let text = reason(b"these are words in a file that is called .png");
        assert_eq!(text, "a/picture: cannot decode the picture: it is none of PNG, JPEG, WebP, GIF and BMP");
        let missing = read("no/such.png", &Decoding::default()).unwrap_err().to_string();
        assert!(missing.starts_with("no/such.png: cannot read"), "{missing}");
    }

    /// A JPEG of [`gradient`] with an EXIF segment holding `exif`.
    fn with_exif(exif: &[u8]) -> Vec<u8> {
        let jpeg = encoded(ImageFormat::Jpeg);
        let length = (2 + 6 + exif.len()) as u16;
        let segment = [&[0xFF, 0xE1], &length.to_be_bytes()[..], b"Exif\0\0", exif].concat();
        [&jpeg[..2], &segment, &jpeg[2..]].concat()
    }

    #[test]
    fn a_thumbnail_does_not_pass_for_the_end_of_a_jpeg() {
        let thumbnail = encoded(ImageFormat::Jpeg);
        let whole = with_exif(&thumbnail[..thumbnail.len().min(60_000)]);
        assert!(plain(&whole).is_ok());
        let error = plain(&whole[..whole.len() - 40]).unwrap_err().to_string();
        assert!(error.contains("cut off"), "{error}");
    }

    fn orientation(value: u8) -> Vec<u8> {
        [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[value], &[0; 6]].concat()
    }

    #[test]
    fn exif_orientation_is_applied_and_broken_exif_ignored() {
        let upright = plain(&encoded(ImageFormat::Jpeg)).unwrap();
        for (value, want) in [
            (1, upright.clone()),
            (2, image::imageops::flip_horizontal(&upright)),
            (3, image::imageops::rotate180(&upright)),
            (4, image::imageops::flip_vertical(&upright)),
            (5, image::imageops::flip_horizontal(&image::imageops::rotate90(&upright))),
            (6, image::imageops::rotate90(&upright)),
            (7, image::imageops::flip_horizontal(&image::imageops::rotate270(&upright))),
            (8, image::imageops::rotate270(&upright)),
            (9, upright.clone()),
        ] {
            assert_eq!(plain(&with_exif(&orientation(value))).unwrap(), want, "orientation {value}");
        }
        for garbage in [b"".as_slice(), b"MM", b"II*\0\xFF\xFF\xFF\xFF", &[0xFF; 200]] {
            assert_eq!(plain(&with_exif(garbage)).unwrap(), upright);
        }
    }

    #[test]
    fn alpha_is_dropped_or_blended_as_asked() {
        let picture = RgbaImage::from_fn(3, 1, |x, _| Rgba([200, 100, 0, [0, 128, 255][x as usize]]));
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        assert!(plain(&bytes).unwrap().pixels().all(|p| p.0 == [200, 100, 0]));
        let white = Decoding { alpha: Alpha::Over([255; 3]), ..Decoding::default() };
        let got = decode(&bytes, "x", &white).unwrap();
        assert_eq!(got.into_raw(), [255, 255, 255, 227, 177, 127, 200, 100, 0]);
        assert_eq!(decode_rgba(&bytes, "x", MAX_PIXELS).unwrap(), picture);
    }

    #[test]
    fn sixteen_bits_keep_their_high_byte() {
        let deep: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_pixel(2, 2, Rgb([0x80FF, 0x00FF, 0xFFFF]));
        let mut bytes = Vec::new();
        DynamicImage::ImageRgb16(deep).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        assert!(plain(&bytes).unwrap().pixels().all(|p| p.0 == [0x80, 0, 0xFF]));
    }

    #[test]
    fn a_folder_is_listed_in_a_stable_order_and_an_empty_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(list(dir.path()).unwrap_err().to_string().contains("no picture"));
        for name in ["b.PNG", "a.jpg", "sub/c.webp", "sub/notes.txt", "z.bmp"] {
            write_atomic(dir.path().join(name), b"x").unwrap();
        }
        let names: Vec<_> = list(dir.path())
            .unwrap()
            .iter()
            .map(|p| p.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["a.jpg", "b.PNG", "sub/c.webp", "z.bmp"]);
    }

    #[test]
    fn only_png_and_jpeg_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(dir.path().join("x.gif"), &gradient()).unwrap_err().to_string();
        assert!(error.contains("x.gif") && error.contains(".png"), "{error}");
        write(dir.path().join("x.jpeg"), &gradient()).unwrap();
        assert_eq!(read(dir.path().join("x.jpeg"), &Decoding::default()).unwrap().dimensions(), (40, 30));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever follows a format's first bytes, there is no panic and no large allocation.
        #[test]
        fn random_bytes_never_panic(format in 0usize..5, keep in 2usize..40, noise in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = encoded(FORMATS[format]);
            bytes.truncate(keep);
            bytes.extend(noise);
            let _ = decode(&bytes, "x", &Decoding { max_pixels: 1 << 16, alpha: Alpha::Drop });
        }

        #[test]
        fn flipped_bytes_never_panic(format in 0usize..5, flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
            let mut bytes = encoded(FORMATS[format]);
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let _ = decode(&bytes, "x", &Decoding { max_pixels: 1 << 16, alpha: Alpha::Drop });
        }
    }
}
