//! Draws one of each kind of picture into a folder, and a report that holds them all.
//!
//! ```text
//! cargo run --release -p sensorium-core --features draw --example gallery -- OUT [PICTURES]
//! ```
//!
//! PICTURES is a folder of image files; without it, simple shapes are drawn.

use std::path::{Path, PathBuf};

use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sensorium_core::Result;
use sensorium_core::draw::chart::{BarChart, LineChart, Point, Scatter};
use sensorium_core::draw::colormap::Colormap;
use sensorium_core::draw::heatmap::{Matrix, Overlay};
use sensorium_core::draw::map::{Tsne, pca};
use sensorium_core::draw::report::{Cell, Column, KeyNumber, Pair, Report, Section, Table};
use sensorium_core::draw::sheet::{Row, Sheet, Tile};
use sensorium_core::draw::{Drawing, PALETTE};

const KINDS: [&str; 10] =
    ["faces", "animals", "food", "travel", "activities", "objects", "symbols", "flags", "people", "plants"];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = PathBuf::from(arguments.next().unwrap_or_else(|| "out/gallery".to_string()));
    let pictures = match arguments.next() {
        Some(folder) => read_pictures(Path::new(&folder)),
        None => (0..60).map(shape).collect(),
    };

    let drawings = [
        ("loss", loss()),
        ("recall", recall()),
        ("measures", measures()),
        ("classes", classes()),
        ("map", space(&pictures)?),
        ("components", components()?),
        ("confusion", confusion()),
        ("spectrogram", spectrogram()),
        ("search", search(&pictures)),
    ];
    for (name, drawing) in &drawings {
        drawing.save(out.join(format!("{name}.svg")))?;
        drawing.save(out.join(format!("{name}.png")))?;
    }
    let attended = attention();
    let figure = |name: &str| &drawings.iter().find(|(n, _)| *n == name).expect("drawn above").1;
    report(figure, &pictures, attended).save(out.join("report.html"))
}

fn loss() -> Drawing {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let train: Vec<[f32; 2]> = (1..=6000)
        .map(|step| [step as f32, 0.12 + 4.5 / (1.0 + step as f32 / 180.0) + 0.15 * rng.random::<f32>()])
        .collect();
    let validation: Vec<[f32; 2]> =
        (1..=24).map(|i| i as f32 * 250.0).map(|step| [step, 0.5 + 4.2 / (1.0 + step / 190.0)]).collect();
    LineChart::new("Loss")
        .subtitle("InfoNCE with a learned temperature, batch 256")
        .x_label("step")
        .y_label("loss (log scale)")
        .series("train", &train)
        .series("validation", &validation)
        .reference("chance, ln 256", 5.545)
        .log_y()
        .size(540, 380)
        .draw()
}

fn recall() -> Drawing {
    let curve = |top: f32, rise: f32| -> Vec<[f32; 2]> {
        (1..=20).map(|epoch| [epoch as f32, top * (1.0 - (-(epoch as f32) / rise).exp())]).collect()
    };
    let mut broken = curve(47.8, 4.0);
    broken[9][1] = f32::NAN;
    LineChart::new("Recall on held-out concepts")
        .x_label("epoch")
        .y_label("recall, %")
        .series("text → image R@1", &curve(18.2, 5.5))
        .series("text → image R@10", &broken)
        .series("image → text R@1", &curve(17.4, 6.0))
        .series("image → text R@10", &curve(50.1, 4.5))
        .reference("ridge R@10", 46.9)
        .reference("chance R@10", 2.5)
        .include_y(0.0)
        .size(540, 380)
        .draw()
}

fn measures() -> Drawing {
    BarChart::new("Text → image, held-out concepts")
        .y_label("recall, %")
        .categories(["R@1", "R@5", "R@10"])
        .series("nearest neighbour", &[8.3, 24.0, 36.2])
        .series("ridge", &[16.1, 37.9, 46.9])
        .series("InfoNCE", &[17.9, 40.8, 48.3])
        .series("VSE++", &[14.8, 35.0, 44.4])
        .reference("chance R@10", 2.5)
        .draw()
}

fn classes() -> Drawing {
    let names = ["espresso", "chocolate sauce, chocolate syrup", "cup", "eggnog", "coffee mug", "soup bowl", "plate"];
    BarChart::new("coffee.png")
        .subtitle("EfficientNet-Lite0, the seven most probable of 1,000 classes")
        .x_label("probability, %")
        .categories(names)
        .series("", &[61.2, 9.4, 8.8, 5.01, 4.3, 0.62, 0.08])
        .horizontal()
        .draw()
}

/// Points of ten kinds in 64 dimensions.
fn embeddings(count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut normal = move || (0..6).map(|_| rng.random::<f32>() - 0.5).sum::<f32>();
    let centers: Vec<f32> = (0..64 * KINDS.len()).map(|_| normal()).collect();
    (0..count * 64).map(|at| centers[at / 64 % KINDS.len() * 64 + at % 64] + 0.8 * normal()).collect()
}

fn space(pictures: &[DynamicImage]) -> Result<Drawing> {
    let rows = embeddings(1900);
    let started = std::time::Instant::now();
    let points = Tsne::default().fit(&rows, 64)?;
    println!("t-SNE of 1,900 points, 500 iterations: {:.2} s", started.elapsed().as_secs_f32());
    let points = points.into_iter().enumerate().map(|(i, at)| {
        let point = Point::new(at).class(i % KINDS.len());
        if i < 400 {
            point.title(format!("{} {i}", KINDS[i % KINDS.len()])).picture(pictures[i % pictures.len()].clone())
        } else {
            point
        }
    });
    Ok(Scatter::new("The joint space")
        .subtitle("t-SNE of 1,900 pictures, perplexity 30")
        .classes(KINDS)
        .points(points)
        .picture_size(26)
        .without_axes()
        .size(1040, 720)
        .draw())
}

fn components() -> Result<Drawing> {
    let map = pca(&embeddings(220), 64)?;
    let [x, y] = map.explained.map(|part| 100.0 * part);
    let points = map.points.into_iter().enumerate();
    Ok(Scatter::new("Principal components")
        .x_label(format!("first component, {x:.1} % of the variance"))
        .y_label(format!("second component, {y:.1} %"))
        .classes(KINDS)
        .points(points.map(|(i, at)| {
            Point::new(at).class(i % KINDS.len()).label(if i < 40 { KINDS[i % KINDS.len()] } else { "" })
        }))
        .draw())
}

fn confusion() -> Drawing {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let cell = |i: usize| if i / 8 == i % 8 { 0.6 + 0.4 * rng.random::<f32>() } else { 0.12 * rng.random::<f32>() };
    let values: Vec<f32> = (0..64).map(cell).collect();
    Matrix::new("Confusion", &values, [8, 8])
        .subtitle("part of each true kind")
        .x_label("predicted kind")
        .y_label("true kind")
        .row_labels(&KINDS[..8])
        .col_labels(&KINDS[..8])
        .range(0.0, 1.0)
        .draw()
}

fn spectrogram() -> Drawing {
    let level = |i: usize| {
        let (mel, frame) = ((79 - i / 300) as f32, (i % 300) as f32);
        let pitch = 12.0 + 4.0 * (frame / 22.0).sin();
        let harmonics = (mel / pitch * std::f32::consts::TAU).cos().max(0.0).powi(4);
        -80.0 + 70.0 * harmonics * (-mel / 45.0).exp() * (0.55 + 0.45 * (frame / 30.0).sin())
    };
    let values: Vec<f32> = (0..80 * 300).map(level).collect();
    Matrix::new("Log-mel spectrogram", &values, [80, 300])
        .x_label("frame, 10 ms")
        .y_label("mel band, dB")
        .colormap(Colormap::Magma)
        .draw()
}

fn found(pictures: &[DynamicImage], at: usize, rank: usize) -> Tile {
    let captions =
        ["red heart", "smiling face with heart-eyes", "heart suit", "woman: light skin tone, red hair", "apple"];
    let score = 0.91 - 0.07 * rank as f32;
    let tile = if rank == 6 { Tile::missing() } else { Tile::picture(pictures[at % pictures.len()].clone()) };
    tile.caption(format!("{} · {score:.2}", captions[(at + rank) % captions.len()])).verdict(rank % 3 != 1)
}

fn rows(pictures: &[DynamicImage]) -> Vec<Row> {
    let results = |from: usize| (0..10).map(move |rank| (from + 7 * rank, rank));
    let tiles = |from| results(from).map(|(at, rank)| found(pictures, at, rank)).collect::<Vec<_>>();
    let asked = Tile::picture(pictures[3 % pictures.len()].clone()).caption("what is this?");
    vec![
        Row::search(Tile::words("a red heart"), tiles(0)),
        Row::search(Tile::words("a woman with curly hair who is running"), tiles(20)),
        Row::search(asked, (0..5).map(|i| Tile::words(KINDS[i]).caption(format!("0.{}", 9 - i)).verdict(i == 0))),
    ]
}

fn search(pictures: &[DynamicImage]) -> Drawing {
    let sheet = Sheet::new("Search").subtitle("the eight nearest pictures; green is right");
    rows(pictures).into_iter().fold(sheet, Sheet::row).draw()
}

fn attention() -> RgbImage {
    let photo = RgbImage::from_fn(336, 336, |x, y| {
        let sky = (y as f32 / 336.0 * 120.0) as u8;
        let sun = (x as f32 - 230.0).hypot(y as f32 - 110.0) < 42.0;
        if sun {
            Rgb([250, 210, 90])
        } else if y > 230 {
            Rgb([70, 110 - (y / 8) as u8, 70])
        } else {
            Rgb([110 + sky, 160 + sky / 2, 220])
        }
    });
    let map: Vec<f32> = (0..196)
        .map(|i| (-((i % 14) as f32 - 9.3).powi(2) / 5.0 - ((i / 14) as f32 - 4.2).powi(2) / 5.0).exp())
        .collect();
    Overlay { sigma: 8.0, ..Overlay::default() }.over(&photo, &map, [14, 14])
}

fn report<'a>(figure: impl Fn(&str) -> &'a Drawing, pictures: &[DynamicImage], attended: RgbImage) -> Report {
    let table = Table::new("method")
        .caption("Held-out concepts, five folds, mean ± standard error. The gallery has about 390 pictures.")
        .column(Column::higher("R@1, %").decimals(1))
        .column(Column::higher("R@5, %").decimals(1))
        .column(Column::higher("R@10, %").decimals(1))
        .column(Column::lower("median rank").decimals(0))
        .column(Column::text("notes"))
        .row("InfoNCE", measured([(17.9, 0.6), (40.8, 0.9), (48.3, 1.1)], 12.0, "margin-free, learned temperature"))
        .row("VSE++", measured([(14.8, 0.7), (35.0, 0.8), (44.4, 1.0)], 14.0, "hardest negative, margin 0.2"))
        .baseline("ridge", measured([(16.1, 0.5), (37.9, 0.9), (46.9, 0.8)], 11.0, "closed form, 11 s"))
        .baseline("nearest neighbour", measured([(8.3, 0.4), (24.0, 0.6), (36.2, 0.9)], 21.0, "raw features"))
        .baseline("chance", [Cell::from(0.25), Cell::from(1.3), Cell::from(2.5), Cell::from(200.0), Cell::Empty]);
    let picture = |i: usize| Tile::picture(pictures[i % pictures.len()].clone());
    let pairs: Vec<Pair> = (0..6)
        .map(|i| {
            Pair::new(
                picture(9 * i + 1).caption("man running"),
                "− man + woman",
                picture(9 * i + 5).caption("woman running").verdict(i != 4),
            )
        })
        .collect();

    let learned = Section::new("What was learned")
        .paragraph(
            "Two towers map pictures and words into one space of 512 dimensions. Concepts are split by group, so that \
             no variant of a held-out concept is seen in training; every number below is on concepts never trained on.",
        )
        .list([
            "Pictures: EfficientNet-Lite0 features, 3,224 numbers, standardised.",
            "Words: a bag of 50-dimensional vectors & a free vector per word.",
        ])
        .code(
            "sensorium joint train --data emoji --out runs/emoji --loss infonce --seed 7\n\
             sensorium joint eval runs/emoji --data emoji --split test --json",
        )
        .figures([
            (figure("loss"), "Loss falls on both parts; each validation point is a whole pass."),
            (figure("recall"), "Recall after each epoch."),
        ]);
    let measures = Section::new("How well")
        .paragraph("The best number of each column is marked, baselines included.")
        .table(&table)
        .figure(figure("measures"), "The same, as bars.");
    let search = Section::new("Search")
        .paragraph("The nearest pictures to a sentence, and the nearest words to a picture.")
        .gallery("Words to pictures, pictures to words", &rows(pictures));
    let arithmetic =
        Section::new("Arithmetic").paragraph("A picture, less one word, plus another.").before_after(&pairs);
    let space = Section::new("The space")
        .figure(figure("map"), "Each dot is a picture; some are drawn. Rest on a dot for its name.")
        .figures([(figure("components"), ""), (figure("confusion"), "Rows sum to one.")]);
    let looking = Section::new("Looking and hearing")
        .image(attended, "Attention over a picture.")
        .figure(figure("spectrogram"), "A voice.")
        .figure(figure("classes"), "")
        .gallery("", &[Row::tiles((0..14).map(|i| picture(i).caption(KINDS[i % 10])))]);

    let report = Report::new("One space of pictures and words")
        .subtitle(
            "A joint embedding learned from 3,781 real pairs on two cores in 94 seconds: search both ways, tag, and \
             do arithmetic in it.",
        )
        .key_number(KeyNumber::new("48.3 %", "text → image, R@10").note("chance 2.5 %, ridge 46.9 %"))
        .key_number(KeyNumber::new("50.1 %", "image → text, R@10").note("chance 2.5 %, ridge 47.7 %"))
        .key_number(KeyNumber::new("35.2", "tag mAP").note("tag frequency alone 2.6"))
        .key_number(KeyNumber::new("71 %", "man ↔ woman, R@1").note("without arithmetic 15 %"))
        .footer("Invented numbers, to show each part of a report.");
    [learned, measures, search, arithmetic, space, looking].into_iter().fold(report, Report::section)
}

fn measured(recalls: [(f64, f64); 3], rank: f64, notes: &str) -> Vec<Cell> {
    recalls.map(|(mean, error)| Cell::estimate(mean, error)).into_iter().chain([rank.into(), notes.into()]).collect()
}

fn read_pictures(folder: &Path) -> Vec<DynamicImage> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder of pictures").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| image::open(path).ok()).collect()
}

/// A disc, a square or a ring in a colour of the palette, on a clear ground.
fn shape(i: usize) -> DynamicImage {
    let [r, g, b] = PALETTE[i % PALETTE.len()];
    let inside = |x: f32, y: f32| match i % 3 {
        0 => x.hypot(y) < 26.0,
        1 => x.abs().max(y.abs()) < 22.0,
        _ => (14.0..26.0).contains(&x.hypot(y)),
    };
    RgbaImage::from_fn(64, 64, |x, y| {
        let alpha = if inside(x as f32 - 31.5, y as f32 - 31.5) { 255 } else { 0 };
        Rgba([r, g, b, alpha])
    })
    .into()
}
