//! A finished picture of shapes, text and small images, as SVG and as pixels.

use std::fmt::{Display, Write};
use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbaImage};
use resvg::{tiny_skia, usvg};

use super::paint::Paint;
use super::text::{self, Weight, escape};
use crate::{Error, Result, files};

/// Most pixels of a rendered drawing: 256 MB of memory.
const MAX_PIXELS: f64 = 64e6;

/// A vector drawing, as every chart, matrix and contact sheet makes one.
///
/// ```
/// use sensorium_core::draw::chart::LineChart;
///
/// let drawing = LineChart::new("Training").series("loss", &[[0.0, 2.0], [1.0, 1.2], [2.0, 0.9]]).draw();
/// assert!(drawing.svg().starts_with("<svg"));
/// assert_eq!(drawing.image(2.0)?.width(), 2 * drawing.width());
/// # Ok::<(), sensorium_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Drawing {
    width: u32,
    height: u32,
    label: String,
    layers: Vec<Layer>,
}

/// Layers lie over each other in order. Shapes and pictures are apart because pixels are scaled here, by `image`,
/// and need no image decoder inside the SVG renderer.
#[derive(Debug, Clone)]
enum Layer {
    Shapes(String),
    Picture { place: Rect, image: RgbaImage, pixelated: bool },
}

/// A box in a drawing, in pixels from its top left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

impl Rect {
    pub(super) fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    pub(super) fn right(&self) -> f32 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f32 {
        self.y + self.height
    }

    pub(super) fn center(&self) -> [f32; 2] {
        [self.x + self.width / 2.0, self.y + self.height / 2.0]
    }

    /// The box moved out by `margin` on every side.
    pub(super) fn grown(&self, margin: f32) -> Self {
        Self::new(self.x - margin, self.y - margin, self.width + 2.0 * margin, self.height + 2.0 * margin)
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    pub(super) fn contains(&self, other: &Self) -> bool {
        self.x <= other.x && self.y <= other.y && self.right() >= other.right() && self.bottom() >= other.bottom()
    }

    /// The largest box of an image's proportions inside this one, in its middle.
    pub(super) fn fit(&self, image: &RgbaImage) -> Self {
        let (w, h) = (image.width().max(1) as f32, image.height().max(1) as f32);
        let scale = (self.width / w).min(self.height / h);
        let [x, y] = self.center();
        Self::new(x - w * scale / 2.0, y - h * scale / 2.0, w * scale, h * scale)
    }
}

/// Which point of a text lies at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One line of text at a place.
pub(super) struct Text<'a> {
    at: [f32; 2],
    text: &'a str,
    size: f32,
    weight: Weight,
    anchor: Anchor,
    paint: Paint,
    turn: f32,
    halo: bool,
}

impl<'a> Text<'a> {
    /// Text of 12 px whose base line starts at `at`.
    pub(super) fn new(at: [f32; 2], text: &'a str) -> Self {
        let (size, weight, anchor, paint) = (12.0, Weight::Regular, Anchor::Start, Paint::Ink);
        Self { at, text, size, weight, anchor, paint, turn: 0.0, halo: false }
    }

    pub(super) fn size(self, size: f32) -> Self {
        Self { size, ..self }
    }

    pub(super) fn weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    pub(super) fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(super) fn paint(self, paint: Paint) -> Self {
        Self { paint, ..self }
    }

    /// Turned clockwise about its position, in degrees.
    pub(super) fn turn(self, turn: f32) -> Self {
        Self { turn, ..self }
    }

    /// With a rim in the colour of the page, to be readable across lines and dots.
    pub(super) fn halo(self) -> Self {
        Self { halo: true, ..self }
    }
}

impl Drawing {
    /// An empty page with a name for screen readers.
    pub(super) fn new(width: f32, height: f32, label: &str) -> Self {
        let (width, height) = (width.ceil().max(1.0) as u32, height.ceil().max(1.0) as u32);
        Self { width, height, label: label.to_string(), layers: Vec::new() }
    }

    /// Ends the page at a height that is known only when all is drawn.
    pub(super) fn set_height(&mut self, height: f32) {
        self.height = height.ceil().max(1.0) as u32;
    }

    /// Width in pixels at scale 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels at scale 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The drawing as one `<svg>` element: a file of its own, or a part of an HTML page. Small images are inside it as
    /// data URIs.
    pub fn svg(&self) -> String {
        let paper = Paint::Paper.fill();
        let mut body = format!("<rect width=\"{}\" height=\"{}\" {paper}/>\n", self.width, self.height);
        for layer in &self.layers {
            match layer {
                Layer::Shapes(shapes) => body.push_str(shapes),
                Layer::Picture { place, image, pixelated } => {
                    body.push_str(&picture_element(place, image, *pixelated));
                }
            }
        }
        self.document(&body)
    }

    /// The drawing as opaque pixels, `scale` of them to each unit of its size, with the bundled font.
    ///
    /// # Errors
    /// [`Error::Config`] when it would have more than 64 million pixels or over a million shapes.
    pub fn image(&self, scale: f32) -> Result<RgbaImage> {
        let [width, height] = [self.width, self.height].map(|side| (f64::from(side) * f64::from(scale)).round());
        let pixels = width * height;
        let allowed = width >= 1.0 && height >= 1.0 && pixels <= MAX_PIXELS;
        let too_large = || {
            let rule = "a picture has 1 to 64 million pixels: draw fewer rows, or use a smaller scale";
            Error::config("drawing", format!("{width} x {height} pixels"), rule)
        };
        let page = if allowed { tiny_skia::Pixmap::new(width as u32, height as u32) } else { None };
        let mut page = page.ok_or_else(too_large)?;
        page.fill(tiny_skia::Color::WHITE);
        for layer in &self.layers {
            match layer {
                Layer::Shapes(shapes) => self.render(shapes, scale, &mut page)?,
                Layer::Picture { place, image, pixelated } => {
                    paste(&mut page, scaled(place, scale), image, *pixelated);
                }
            }
        }
        let (width, height) = (page.width(), page.height());
        Ok(RgbaImage::from_raw(width, height, page.take_demultiplied()).expect("a pixmap has four bytes a pixel"))
    }

    /// The drawing as the bytes of a PNG file; `scale` as in [`image`](Self::image).
    ///
    /// # Errors
    /// As [`image`](Self::image).
    pub fn png(&self, scale: f32) -> Result<Vec<u8>> {
        Ok(encode_png(&self.image(scale)?))
    }

    /// Writes an `.svg` file, or a `.png` file at two pixels a unit, as the path's extension says.
    ///
    /// # Errors
    /// [`Error::Config`] for another extension or as [`image`](Self::image), [`Error::Io`] when the file cannot be
    /// written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        match extension.as_str() {
            "svg" => files::write_atomic(path, self.svg().as_bytes()),
            "png" => files::write_atomic(path, &self.png(2.0)?),
            _ => Err(Error::config("path", path.display(), "a drawing is saved as .svg or .png")),
        }
    }

    pub(super) fn rect(&mut self, place: Rect, radius: f32, attributes: &str) {
        let [x, y, w, h] = [place.x, place.y, place.width.max(0.0), place.height.max(0.0)].map(Px);
        let round = if radius > 0.0 { format!(r#" rx="{}""#, Px(radius)) } else { String::new() };
        self.shape(format_args!(r#"<rect x="{x}" y="{y}" width="{w}" height="{h}"{round} {attributes}/>"#));
    }

    pub(super) fn line(&mut self, from: [f32; 2], to: [f32; 2], attributes: &str) {
        let ([x1, y1], [x2, y2]) = (from.map(Px), to.map(Px));
        self.shape(format_args!(r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" {attributes}/>"#));
    }

    pub(super) fn circle(&mut self, center: [f32; 2], radius: f32, attributes: &str) {
        let [x, y] = center.map(Px);
        self.shape(format_args!(r#"<circle cx="{x}" cy="{y}" r="{}" {attributes}/>"#, Px(radius)));
    }

    /// A path of straight lines through `points`.
    pub(super) fn polyline(&mut self, points: &[[f32; 2]], attributes: &str) {
        let mut path = String::new();
        for (i, [x, y]) in points.iter().enumerate() {
            let _ = write!(path, "{}{} {}", if i == 0 { "M" } else { "L" }, Px(*x), Px(*y));
        }
        self.shape(format_args!(r#"<path d="{path}" fill="none" {attributes}/>"#));
    }

    pub(super) fn polygon(&mut self, points: &[[f32; 2]], attributes: &str) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{},{}", Px(*x), Px(*y))).collect();
        self.shape(format_args!(r#"<polygon points="{}" {attributes}/>"#, points.join(" ")));
    }

    pub(super) fn text(&mut self, text: Text) {
        let [x, y] = text.at.map(Px);
        let mut attributes = text.paint.fill();
        if text.halo {
            attributes = text.paint.fill_and_stroke(Paint::Paper);
            attributes.push_str(r#" stroke-width="3" stroke-linejoin="round" paint-order="stroke""#);
        }
        match text.anchor {
            Anchor::Start => {}
            Anchor::Middle => attributes.push_str(r#" text-anchor="middle""#),
            Anchor::End => attributes.push_str(r#" text-anchor="end""#),
        }
        if text.weight == Weight::SemiBold {
            let _ = write!(attributes, r#" font-weight="{}""#, text.weight.css());
        }
        if text.turn != 0.0 {
            let _ = write!(attributes, r#" transform="rotate({} {x} {y})""#, Px(text.turn));
        }
        let (size, content) = (Px(text.size), escape(text.text));
        self.shape(format_args!(r#"<text x="{x}" y="{y}" font-size="{size}" {attributes}>{content}</text>"#));
    }

    /// Opens a group; shapes up to [`close_group`](Self::close_group) inherit its attributes, and a pointer that rests
    /// on one shows the title.
    pub(super) fn open_group(&mut self, title: &str, attributes: &str) {
        let title = if title.is_empty() { String::new() } else { format!("<title>{}</title>", escape(title)) };
        self.shape(format_args!("<g {attributes}>{title}"));
    }

    pub(super) fn close_group(&mut self) {
        self.shape(format_args!("</g>"));
    }

    /// Lays an image over what is drawn so far, stretched to `place`. Not inside a group. `pixelated` keeps its pixels'
    /// edges sharp.
    pub(super) fn picture(&mut self, place: Rect, image: &RgbaImage, pixelated: bool) {
        if image.width() > 0 && image.height() > 0 && place.width > 0.0 && place.height > 0.0 {
            self.layers.push(Layer::Picture { place, image: image.clone(), pixelated });
        }
    }

    fn shape(&mut self, element: std::fmt::Arguments) {
        if !matches!(self.layers.last(), Some(Layer::Shapes(_))) {
            self.layers.push(Layer::Shapes(String::new()));
        }
        if let Some(Layer::Shapes(shapes)) = self.layers.last_mut() {
            let _ = writeln!(shapes, "{element}");
        }
    }

    fn document(&self, body: &str) -> String {
        let (width, height, families, label) = (self.width, self.height, text::FAMILIES, escape(&self.label));
        let size = format!(r#"width="{width}" height="{height}" viewBox="0 0 {width} {height}""#);
        let name = format!(r#"role="img" aria-label="{label}""#);
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" {size} font-family=\"{families}\" {name}>\n{body}</svg>")
    }

    fn render(&self, shapes: &str, scale: f32, page: &mut tiny_skia::Pixmap) -> Result<()> {
        let options =
            usvg::Options { fontdb: text::fonts(), font_family: "Inter".to_string(), ..usvg::Options::default() };
        let too_many = |reason: usvg::Error| Error::config("drawing", reason, "draw fewer points or rows");
        let tree = usvg::Tree::from_str(&self.document(shapes), &options).map_err(too_many)?;
        resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut page.as_mut());
        Ok(())
    }
}

/// A coordinate with at most two decimals, as short as it can be written.
struct Px(f32);

impl Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let hundredths = (f64::from(self.0) * 100.0).round() / 100.0;
        // Adding zero turns -0 into 0.
        write!(f, "{}", hundredths + 0.0)
    }
}

/// The bytes of a PNG file.
pub(super) fn encode_png(image: &RgbaImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).expect("memory takes every byte of a PNG");
    bytes.into_inner()
}

/// A PNG inside a `src` or `href` attribute.
pub(super) fn data_uri(image: &RgbaImage) -> String {
    format!("data:image/png;base64,{}", BASE64.encode(encode_png(image)))
}

/// The image itself, or a smaller copy when it has more than `max_side` pixels a side.
pub(super) fn shrink(image: &RgbaImage, max_side: u32) -> RgbaImage {
    let longest = image.width().max(image.height());
    if longest <= max_side {
        return image.clone();
    }
    let side = |n: u32| (u64::from(n) * u64::from(max_side) / u64::from(longest)).max(1) as u32;
    let small =
        imageops::resize(&premultiplied(image), side(image.width()), side(image.height()), FilterType::Lanczos3);
    straight(small)
}

fn picture_element(place: &Rect, image: &RgbaImage, pixelated: bool) -> String {
    let [x, y, w, h] = [place.x, place.y, place.width, place.height].map(Px);
    // Twice the displayed size is enough for dense screens.
    let image = shrink(image, (place.width.max(place.height) * 2.0).clamp(1.0, 4096.0) as u32);
    let style = if pixelated { r#" style="image-rendering:pixelated""# } else { "" };
    let uri = data_uri(&image);
    format!(
        r#"<image x="{x}" y="{y}" width="{w}" height="{h}" preserveAspectRatio="none"{style} href="{uri}"/>
"#
    )
}

fn scaled(place: &Rect, scale: f32) -> Rect {
    Rect::new(place.x * scale, place.y * scale, place.width * scale, place.height * scale)
}

/// Lays `image` over `page`, stretched to the whole pixels next to `place`.
fn paste(page: &mut tiny_skia::Pixmap, place: Rect, image: &RgbaImage, pixelated: bool) {
    let (left, top) = (place.x.round() as i64, place.y.round() as i64);
    let side = |from: f32, to: f32| (to.round() - from.round()).clamp(1.0, 65_535.0) as u32;
    let (width, height) = (side(place.x, place.right()), side(place.y, place.bottom()));
    let filter = match (pixelated, width < image.width() || height < image.height()) {
        (true, false) => FilterType::Nearest,
        (true, true) => FilterType::Triangle,
        (false, true) => FilterType::Lanczos3,
        (false, false) => FilterType::CatmullRom,
    };
    let image = imageops::resize(&premultiplied(image), width, height, filter);
    let (page_width, page_height) = (i64::from(page.width()), i64::from(page.height()));
    for (x, y, &image::Rgba([r, g, b, a])) in image.enumerate_pixels() {
        let (x, y) = (left + i64::from(x), top + i64::from(y));
        if !(0..page_width).contains(&x) || !(0..page_height).contains(&y) {
            continue;
        }
        let under = &mut page.data_mut()[4 * (y * page_width + x) as usize..][..4];
        for (under, over) in under.iter_mut().zip([r, g, b, a]) {
            let shown = (u32::from(*under) * u32::from(255 - a) + 127) / 255;
            // A sharpening filter can lift a colour above its alpha; saturation keeps the sum a byte.
            *under = (shown as u8).saturating_add(over);
        }
    }
}

/// Colours times alpha: scaling straight colours would bleed the hidden colour of clear pixels into the rim.
fn premultiplied(image: &RgbaImage) -> RgbaImage {
    let mut image = image.clone();
    for pixel in image.pixels_mut() {
        let alpha = u32::from(pixel[3]);
        for c in &mut pixel.0[..3] {
            *c = ((u32::from(*c) * alpha + 127) / 255) as u8;
        }
    }
    image
}

fn straight(mut image: RgbaImage) -> RgbaImage {
    for pixel in image.pixels_mut() {
        let alpha = u32::from(pixel[3]).max(1);
        for c in &mut pixel.0[..3] {
            *c = (u32::from(*c) * 255 / alpha).min(255) as u8;
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    fn page() -> Drawing {
        Drawing::new(40.0, 30.0, "a <page> & more")
    }

    #[test]
    fn a_page_is_white_to_its_rim() {
        assert!(page().image(1.5).unwrap().pixels().all(|p| p.0 == [255; 4]));
        assert!(page().svg().contains(r##"<rect width="40" height="30" fill="#ffffff""##));
    }

    #[test]
    fn text_is_drawn_with_the_bundled_font() {
        let mut drawing = page();
        drawing.text(Text::new([5.0, 20.0], "Ωß"));
        let dark = drawing.image(1.0).unwrap().pixels().filter(|p| p[0] < 128).count();
        assert!(dark > 10, "{dark} dark pixels");
    }

    #[test]
    fn measured_widths_are_the_rendered_ones() {
        let line = "The quick brown fox jumps over 13 lazy dogs";
        for (weight, bold) in [(Weight::Regular, false), (Weight::SemiBold, true)] {
            let mut drawing = Drawing::new(800.0, 30.0, "");
            drawing.text(Text::new([0.0, 20.0], line).size(20.0).weight(weight));
            let image = drawing.image(1.0).unwrap();
            let end = image.enumerate_pixels().filter(|(.., p)| p[0] < 200).map(|(x, ..)| x).max().unwrap() as f32;
            let measured = text::width(line, 20.0, weight);
            assert!((end - measured).abs() < 0.03 * measured, "bold {bold}: drawn {end}, measured {measured}");
        }
    }

    #[test]
    fn pictures_lie_over_shapes_before_and_under_shapes_after() {
        let mut drawing = page();
        let red = RgbaImage::from_pixel(2, 2, Rgba([255, 0, 0, 255]));
        drawing.picture(Rect::new(10.0, 10.0, 20.0, 20.0), &red, true);
        drawing.rect(Rect::new(10.0, 10.0, 5.0, 5.0), 0.0, r##"fill="#0000ff""##);
        let image = drawing.image(1.0).unwrap();
        assert_eq!(image.get_pixel(12, 12).0, [0, 0, 255, 255]);
        assert_eq!(image.get_pixel(20, 20).0, [255, 0, 0, 255]);
        assert_eq!(image.get_pixel(2, 2).0, [255, 255, 255, 255]);
        assert!(drawing.svg().contains("data:image/png;base64,"));
    }

    #[test]
    fn clear_pixels_do_not_bleed_their_hidden_colour() {
        let mut image = RgbaImage::from_pixel(16, 16, Rgba([0, 0, 0, 0]));
        for (x, _, pixel) in image.enumerate_pixels_mut() {
            if x >= 8 {
                *pixel = Rgba([255, 255, 255, 255]);
            }
        }
        let mut drawing = page();
        drawing.picture(Rect::new(0.0, 0.0, 30.0, 30.0), &image, false);
        assert!(drawing.image(1.0).unwrap().pixels().all(|p| p[0] > 250), "white on white stays white");
        assert!(shrink(&image, 7).pixels().all(|p| p[3] < 8 || p[0] > 240));
    }

    #[test]
    fn pictures_past_the_edge_are_cut() {
        let mut drawing = page();
        let red = RgbaImage::from_pixel(3, 3, Rgba([255, 0, 0, 255]));
        drawing.picture(Rect::new(-10.0, -10.0, 100.0, 100.0), &red, false);
        assert_eq!(drawing.image(1.0).unwrap().get_pixel(39, 29).0, [255, 0, 0, 255]);
    }

    #[test]
    fn a_drawing_too_large_to_render_is_an_error() {
        let tall = Drawing::new(1000.0, 1e6, "");
        let message = tall.image(1.0).unwrap_err().to_string();
        assert!(message.contains("1000 x 1000000 pixels") && message.contains("smaller scale"), "{message}");
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(page().image(scale).is_err(), "scale {scale}");
        }
    }

    #[test]
    fn the_extension_chooses_the_format() {
        let dir = tempfile::tempdir().unwrap();
        page().save(dir.path().join("a.svg")).unwrap();
        page().save(dir.path().join("a.PNG")).unwrap();
        let read = image::open(dir.path().join("a.PNG")).unwrap();
        assert_eq!((read.width(), read.height()), (80, 60));
        assert!(page().save(dir.path().join("a.gif")).unwrap_err().to_string().contains(".svg or .png"));
    }

    #[test]
    fn coordinates_are_short() {
        let written = [1.0, -0.001, 2.345678, 1e6].map(|v| Px(v).to_string());
        assert_eq!(written, ["1", "0", "2.35", "1000000"]);
    }
}
