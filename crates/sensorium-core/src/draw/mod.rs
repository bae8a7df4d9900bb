//! Pictures of data: charts, heat maps, contact sheets, maps of a space, and the HTML report that holds them.
//!
//! Everything here works on plain slices of `f32` and on images of the `image` crate, needs no backend, and gives the
//! same picture on every machine: text is drawn with a bundled font. What is drawn never fails: a NaN is a gap, text
//! too long ends in an ellipsis, labels that would overlap are left out.
//!
//! - [`chart`]: lines, bars and scatter plots as a [`Drawing`], which is SVG or PNG.
//! - [`heatmap`]: attention over an image, and matrices.
//! - [`sheet`]: contact sheets of search results.
//! - [`map`]: PCA and t-SNE, from rows of numbers to points on a plane.
//! - [`colormap`]: numbers to colours.
//! - [`report`]: one self-contained HTML page.
//!
//! ```
//! use sensorium_core::draw::{chart::LineChart, report::{Report, Section}};
//!
//! let loss = LineChart::new("Loss").x_label("epoch").series("train", &[[1.0, 0.9], [2.0, 0.5]]).draw();
//! let page = Report::new("A run").section(Section::new("Training").figure(&loss, "Falling."));
//! # let folder = tempfile::tempdir().unwrap();
//! page.save(folder.path().join("report.html"))?;
//! # Ok::<(), sensorium_core::Error>(())
//! ```

mod axis;
pub mod chart;
mod color_bar;
pub mod colormap;
mod drawing;
pub mod heatmap;
pub mod map;
mod paint;
pub mod report;
pub mod sheet;
mod text;

pub use drawing::Drawing;
pub use paint::{PALETTE, Rgb};
