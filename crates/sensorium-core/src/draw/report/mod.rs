//! A report as one self-contained HTML page.
//!
//! The page loads nothing: styles, fonts, drawings and pictures are all inside it, there is no script, and a content
//! policy forbids the rest. It follows the reader's light or dark theme, fits a telephone, and can be printed. All
//! text is escaped.

mod table;

pub use table::{Cell, Column, Table};

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use image::{DynamicImage, RgbaImage};

use super::drawing::{Drawing, data_uri, shrink};
use super::paint;
use super::sheet::{Content, Row, Tile, Verdict};
use super::text::{REGULAR, SEMI_BOLD, escape};
use crate::{Result, files};

/// A page with a head and sections, built by value and saved at the end.
///
/// ```
/// use sensorium_core::draw::report::{Column, KeyNumber, Report, Section, Table};
///
/// let table = Table::new("method")
///     .column(Column::higher("R@10, %").decimals(1))
///     .column(Column::lower("median rank").decimals(0))
///     .row("InfoNCE", [47.2, 12.0])
///     .baseline("chance", [2.5, 200.0]);
/// let page = Report::new("A joint space of pictures and words")
///     .subtitle("Learned from 3,781 pairs in 94 s.")
///     .key_number(KeyNumber::new("47.2 %", "text → image R@10").note("chance 2.5 %"))
///     .section(Section::new("Retrieval").paragraph("Held-out concepts.").table(&table));
/// assert!(page.html().starts_with("<!doctype html>"));
/// # let folder = tempfile::tempdir().unwrap();
/// page.save(folder.path().join("report.html"))?;
/// # Ok::<(), sensorium_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    title: String,
    subtitle: String,
    numbers: Vec<KeyNumber>,
    sections: Vec<Section>,
    footer: String,
}

/// A number that the reader should see first.
#[derive(Debug, Clone)]
pub struct KeyNumber {
    value: String,
    label: String,
    note: String,
}

impl KeyNumber {
    /// A number, with its unit, and what it measures.
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), note: String::new() }
    }

    /// What to compare it with, in smaller text.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

impl Report {
    /// A page with a title and nothing else.
    pub fn new(title: impl Into<String>) -> Self {
        let [subtitle, footer] = [const { String::new() }; 2];
        Self { title: title.into(), subtitle, numbers: Vec::new(), sections: Vec::new(), footer }
    }

    /// A sentence under the title.
    pub fn subtitle(self, subtitle: impl Into<String>) -> Self {
        Self { subtitle: subtitle.into(), ..self }
    }

    /// Adds a number to the row under the title.
    pub fn key_number(mut self, number: KeyNumber) -> Self {
        self.numbers.push(number);
        self
    }

    /// Adds a section. From three sections on, links to them stand under the title.
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// A line at the foot of the page, such as the command that made it.
    pub fn footer(self, footer: impl Into<String>) -> Self {
        Self { footer: footer.into(), ..self }
    }

    /// The whole page.
    pub fn html(&self) -> String {
        let (title, style) = (escape(&self.title), style());
        let (head, sections) = (self.head(), self.sections_html());
        let footer =
            if self.footer.is_empty() { String::new() } else { format!("<footer>{}</footer>\n", escape(&self.footer)) };
        format!(
            r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<div class="page">
{head}<main>
{sections}</main>
{footer}</div>
</body>
</html>
"#
        )
    }

    /// Writes the page; a reader sees the old file or the new one, never a part.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) names the path.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        files::write_atomic(path, self.html().as_bytes())
    }

    fn head(&self) -> String {
        let mut head = format!("<header>\n<h1 dir=\"auto\">{}</h1>\n", escape(&self.title));
        if !self.subtitle.is_empty() {
            let _ = writeln!(head, "<p class=\"subtitle\" dir=\"auto\">{}</p>", escape(&self.subtitle));
        }
        if !self.numbers.is_empty() {
            head.push_str("<div class=\"numbers\">\n");
            for KeyNumber { value, label, note } in &self.numbers {
                let [value, label, note] = [value, label, note].map(|text| escape(text));
                let note = if note.is_empty() { note } else { format!("<small>{note}</small>") };
                let _ = writeln!(head, "<div class=\"number\"><b>{value}</b><span>{label}</span>{note}</div>");
            }
            head.push_str("</div>\n");
        }
        if self.sections.len() >= 3 {
            head.push_str("<nav aria-label=\"Sections\">\n");
            for (i, section) in self.sections.iter().enumerate() {
                let _ = writeln!(head, "<a href=\"#section-{}\">{}</a>", i + 1, escape(&section.heading));
            }
            head.push_str("</nav>\n");
        }
        head + "</header>\n"
    }

    fn sections_html(&self) -> String {
        let mut html = String::new();
        for (i, Section { heading, body }) in self.sections.iter().enumerate() {
            let (id, heading) = (i + 1, escape(heading));
            let _ = writeln!(html, "<section id=\"section-{id}\">\n<h2 dir=\"auto\">{heading}</h2>\n{body}</section>");
        }
        html
    }
}

/// What the page may load: nothing that is not inside it.
const POLICY: &str = "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'";

/// Fonts, colours and the style sheet.
fn style() -> String {
    let mut style = String::new();
    for (weight, font) in [(400, REGULAR), (600, SEMI_BOLD)] {
        let font = BASE64.encode(font);
        let source = format!("url(data:font/otf;base64,{font}) format('opentype')");
        let _ = writeln!(style, "@font-face{{font-family:Inter;font-weight:{weight};font-display:swap;src:{source}}}");
    }
    style + &paint::style_rules() + include_str!("page.css")
}

/// A heading and what stands below it, in the order in which it is added.
#[derive(Debug, Clone)]
pub struct Section {
    heading: String,
    /// HTML, escaped where it was added.
    body: String,
}

/// Longest side of a gallery's picture in the file: twice the size it is shown at.
const TILE_PIXELS: u32 = 192;
/// Longest side of a large image in the file.
const IMAGE_PIXELS: u32 = 1600;

impl Section {
    /// A section without content.
    pub fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), body: String::new() }
    }

    /// Adds a paragraph of plain text.
    pub fn paragraph(mut self, text: &str) -> Self {
        let _ = writeln!(self.body, "<p dir=\"auto\">{}</p>", escape(text));
        self
    }

    /// Adds a list of plain texts.
    pub fn list<S: AsRef<str>>(mut self, items: impl IntoIterator<Item = S>) -> Self {
        self.body.push_str("<ul>\n");
        for item in items {
            let _ = writeln!(self.body, "<li dir=\"auto\">{}</li>", escape(item.as_ref()));
        }
        self.body.push_str("</ul>\n");
        self
    }

    /// Adds commands or other text whose spaces and line ends count.
    pub fn code(mut self, text: &str) -> Self {
        let _ = writeln!(self.body, "<pre>{}</pre>", escape(text));
        self
    }

    /// Adds a table.
    pub fn table(mut self, table: &Table) -> Self {
        self.body.push_str(&table.html());
        self
    }

    /// Adds a drawing over the whole width.
    pub fn figure(mut self, drawing: &Drawing, caption: &str) -> Self {
        self.body.push_str(&figure(drawing, caption));
        self
    }

    /// Adds drawings with captions side by side, or below each other on a narrow screen. Two share the width when each
    /// is drawn about 540 pixels wide; wider ones are scaled down.
    pub fn figures<'a>(mut self, figures: impl IntoIterator<Item = (&'a Drawing, &'a str)>) -> Self {
        self.body.push_str("<div class=\"figures\">\n");
        for (drawing, caption) in figures {
            self.body.push_str(&figure(drawing, caption));
        }
        self.body.push_str("</div>\n");
        self
    }

    /// Adds one large image. More than 1,600 pixels a side are scaled down.
    pub fn image(mut self, image: impl Into<DynamicImage>, caption: &str) -> Self {
        let image = shrink(&image.into().into_rgba8(), IMAGE_PIXELS);
        let _ = writeln!(
            self.body,
            "<figure class=\"card figure\">{}{}</figure>",
            img(&image, caption),
            figcaption(caption)
        );
        self
    }

    /// Adds a gallery: tiles side by side, or queries with their results.
    pub fn gallery(mut self, heading: &str, rows: &[Row]) -> Self {
        self.body.push_str("<div class=\"card\">\n");
        if !heading.is_empty() {
            let _ = writeln!(self.body, "<h3 dir=\"auto\">{}</h3>", escape(heading));
        }
        for row in rows {
            self.body.push_str(&gallery_row(row));
        }
        self.body.push_str("</div>\n");
        self
    }

    /// Adds pairs of tiles, each with what was changed between them, such as a picture before and after arithmetic.
    pub fn before_after(mut self, pairs: &[Pair]) -> Self {
        self.body.push_str("<div class=\"pairs\">\n");
        for Pair { before, change, after } in pairs {
            let (before, change, after) = (tile(before), escape(change), tile(after));
            let _ = writeln!(
                self.body,
                "<div class=\"card pair\">{before}<div class=\"change\" dir=\"auto\">{change}</div>{after}</div>"
            );
        }
        self.body.push_str("</div>\n");
        self
    }
}

/// Two tiles, and what was changed between them.
#[derive(Debug, Clone)]
pub struct Pair {
    before: Tile,
    change: String,
    after: Tile,
}

impl Pair {
    /// `before` became `after` by `change`, such as "− man + woman".
    pub fn new(before: Tile, change: impl Into<String>, after: Tile) -> Self {
        Self { before, change: change.into(), after }
    }
}

fn figure(drawing: &Drawing, caption: &str) -> String {
    format!(
        "<figure class=\"card figure\"><div class=\"scroll\">{}</div>{}</figure>\n",
        drawing.svg(),
        figcaption(caption)
    )
}

fn figcaption(caption: &str) -> String {
    if caption.is_empty() {
        String::new()
    } else {
        format!("<figcaption dir=\"auto\">{}</figcaption>", escape(caption))
    }
}

fn img(image: &RgbaImage, alt: &str) -> String {
    if image.width() == 0 || image.height() == 0 {
        return String::new();
    }
    let (width, height) = image.dimensions();
    format!(r#"<img src="{}" width="{width}" height="{height}" loading="lazy" alt="{}">"#, data_uri(image), escape(alt))
}

fn gallery_row(Row { query, results }: &Row) -> String {
    let query = query.as_ref().map_or(String::new(), |query| format!("<div class=\"query\">{}</div>", tile(query)));
    let results: String = results.iter().map(tile).collect();
    let results = if results.is_empty() { "<p>no results</p>".to_string() } else { results };
    format!("<div class=\"row\">{query}<div class=\"results\">{results}</div></div>\n")
}

fn tile(Tile { content, caption, verdict }: &Tile) -> String {
    let (class, mark) = match verdict {
        Verdict::Unmarked => ("tile", ""),
        Verdict::Right => ("tile right", r#"<span class="mark" role="img" aria-label="right">✓</span>"#),
        Verdict::Wrong => ("tile wrong", r#"<span class="mark" role="img" aria-label="wrong">✗</span>"#),
    };
    let (kind, inside) = match content {
        Content::Picture(picture) => ("box", img(&shrink(picture, TILE_PIXELS), caption)),
        Content::Words(words) => ("box words", words_of_tile(words)),
        Content::Missing => ("box missing", String::new()),
    };
    let caption = figcaption(caption);
    format!("<figure class=\"{class}\"><div class=\"{kind}\">{inside}{mark}</div>{caption}</figure>\n")
}

/// Words in a box, smaller where the longest would not fit and break.
fn words_of_tile(words: &str) -> String {
    /// Letters of the usual size that fit.
    const LETTERS: usize = 10;
    let longest = words.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
    let size = (LETTERS as f32 / longest.max(LETTERS) as f32).max(0.65);
    format!("<span dir=\"auto\" style=\"font-size:{size:.2}em\">{}</span>", escape(words))
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use proptest::prelude::*;

    use super::super::chart::LineChart;
    use super::*;

    fn full_page(text: &str) -> String {
        let drawing = LineChart::new(text).series(text, &[[0.0, 1.0], [1.0, 2.0]]).draw();
        let picture = || Tile::picture(RgbImage::new(3, 2)).caption(text).verdict(true);
        let rows = [Row::search(Tile::words(text), [picture(), Tile::missing().verdict(false)]), Row::tiles([])];
        let table = Table::new(text).caption(text).column(Column::text(text)).row(text, [text]).baseline(text, [text]);
        let section = Section::new(text)
            .paragraph(text)
            .list([text])
            .code(text)
            .table(&table)
            .figure(&drawing, text)
            .figures([(&drawing, text), (&drawing, "")])
            .image(RgbImage::new(9, 9), text)
            .gallery(text, &rows)
            .before_after(&[Pair::new(picture(), text, picture())]);
        let page = Report::new(text).subtitle(text).key_number(KeyNumber::new(text, text).note(text)).footer(text);
        page.section(section.clone()).section(section.clone()).section(section).html()
    }

    /// The page as XML: HTML's doctype, `meta` and `img` tags closed first.
    fn assert_well_formed(html: &str) {
        let body = &html[html.find("<body>").unwrap()..html.find("</html>").unwrap()];
        let mut xml = String::new();
        for (i, part) in body.split("<img ").enumerate() {
            match part.split_once('>') {
                Some((attributes, rest)) if i > 0 => xml.push_str(&format!("<img {attributes}/>{rest}")),
                _ => xml.push_str(part),
            }
        }
        if let Err(error) = resvg::usvg::roxmltree::Document::parse(&xml) {
            panic!("{error}");
        }
    }

    #[test]
    fn no_text_can_become_markup() {
        let html = full_page(r#"</title><script>alert("x")</script>' onload='y & z"#);
        assert!(!html.contains("<script") && !html.contains("onload='y"), "escaped everywhere");
        assert_well_formed(&html);
    }

    #[test]
    fn the_page_loads_nothing_from_outside() {
        let html = full_page("plain");
        let without_namespace = html.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !without_namespace.contains("http:") && !without_namespace.contains("https:") && !html.contains("<link")
        );
        for source in html.split("src=\"").skip(1) {
            assert!(source.starts_with("data:image/png;base64,"));
        }
        assert!(html.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn pictures_are_scaled_to_what_is_shown() {
        let large = Section::new("").gallery("", &[Row::tiles([Tile::picture(RgbImage::new(3000, 1500))])]);
        assert!(large.body.contains(r#"width="192" height="96""#));
    }

    #[test]
    fn the_file_is_the_page() {
        let folder = tempfile::tempdir().unwrap();
        let (path, page) = (folder.path().join("out/report.html"), Report::new("a"));
        page.save(&path).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), page.html());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_text_gives_a_well_formed_page(text in any::<String>()) {
            assert_well_formed(&full_page(&text));
        }
    }
}
