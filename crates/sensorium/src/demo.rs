//! `sensorium demo`: the main job in one go, and a page that shows it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use sensorium_core::draw::Drawing;
use sensorium_core::draw::chart::{LineChart, Point, Scatter};
use sensorium_core::draw::map::Tsne;
use sensorium_core::draw::report::{Cell, Column, KeyNumber, Pair, Report, Section, Table};
use sensorium_core::draw::sheet::{Row, Sheet, Tile};
use sensorium_core::files::write_atomic;
use sensorium_core::metrics::top_k;
use sensorium_core::train::{Row as Epoch, Split as EpochSplit};
use sensorium_fusion::joint::features::Matrix;
use sensorium_fusion::joint::fit::RidgeSettings;
use sensorium_fusion::joint::folds::{Measured, Subject, Table as Results};
use sensorium_fusion::joint::protocol::Fold;
use sensorium_fusion::joint::sgd::SgdSettings;
use sensorium_fusion::joint::space::Space;
use serde_json::json;

use crate::Global;
use crate::joint::eval::{self, Line as Question};
use crate::joint::train;
use crate::training::shown;

/// `sensorium demo`
#[derive(Args)]
pub(crate) struct Demo {
    /// Folder for the report, pictures and numbers.
    #[arg(long, default_value = "out/demo")]
    out: PathBuf,
    /// Seed of the folds, the weights and the examples shown.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Examples shown of each kind.
const EXAMPLES: usize = 8;
/// Results shown of each search.
const RESULTS: usize = 6;

impl Demo {
    /// Learns from four of five folds of the bundled emoji, asks about the fifth, and writes the report.
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<()> {
        let start = Instant::now();
        let device = global.device()?;
        say(global, "reading pictures: EfficientNet-Lite0 features of 7,562 drawings (kept for the next time)");
        let subject = eval::open_subject(global)?;
        let fold = subject.folds(5, self.seed).swap_remove(0);
        let inner = subject.inner(&fold, self.seed);
        let lesson = subject.lesson(&fold);
        let origin = || subject.origin(lesson, self.seed);
        let raw = subject.raw_features(&fold);

        let mut measured = Vec::new();
        let mut spaces = Vec::new();
        for (name, settings) in
            [(train::METHODS[0], RidgeSettings::kernel()), (train::METHODS[1], RidgeSettings::linear())]
        {
            say(global, &format!("{name}: learning one space from {} pairs", fold.train.len()));
            let rehearsal = settings.fit(subject.lesson(&inner), origin(), &device)?;
            let scales = subject.choose_scales(&inner, &rehearsal)?;
            let mut space = settings.fit(lesson, origin(), &device)?;
            space.set_scale(scales.gender);
            measured.push(Measured { name: name.to_string(), folds: vec![subject.ask(&fold, &space, &raw, scales)?] });
            spaces.push(space);
        }
        say(global, &format!("{}: the same by gradient descent", train::METHODS[2]));
        let settings = SgdSettings::new(self.seed);
        let fitted = settings.fit(subject.lesson(&inner), &inner.test, origin(), None, shown(global), &device)?;
        let scales = subject.choose_scales(&inner, &fitted.space)?;
        let answers = subject.ask(&fold, &fitted.space, &raw, scales)?;
        measured.push(Measured { name: train::METHODS[2].to_string(), folds: vec![answers] });

        let base = fold.test.iter().filter(|i| subject.protocol.set().items[**i].base).count();
        let results = Results {
            methods: measured,
            nearest: vec![subject.ask_nearest(&fold, &raw)?],
            tag_prior: vec![subject.protocol.tag_prior(&fold)?],
            held_out: vec![base],
        };
        say(global, "drawing the report");
        let show = Show::new(&subject, &fold, &spaces[0], self.seed);
        spaces[0].save(&self.out.join("space"))?;
        let lines = eval::rows(&subject, &results);
        let drawn = show.draw(&fitted.history)?;
        show.page(&drawn, &lines, &results, start)?.save(self.out.join("report.html"))?;
        drawn.save(&self.out)?;
        let seconds = start.elapsed().as_secs_f64();
        let metrics = json!({
            "seed": self.seed, "seconds": seconds, "train_pairs": fold.train.len(),
            "table": eval::summary(&subject, &results), "answers": results,
        });
        write_atomic(self.out.join("metrics.json"), serde_json::to_string_pretty(&metrics)?.as_bytes())?;
        let mut out = std::io::stdout().lock();
        if global.json {
            writeln!(out, "{metrics}")?;
        } else {
            eval::print_table(&mut out, &lines)?;
            writeln!(out, "\n{seconds:.0} s. Open {}", self.out.join("report.html").display())?;
        }
        Ok(())
    }
}

fn say(global: &Global, what: &str) {
    if global.progress() {
        tracing::info!("{what}");
    }
}

/// What the report shows of one space on one fold.
struct Show<'a> {
    subject: &'a Subject,
    fold: &'a Fold,
    space: &'a Space,
    seed: u64,
    /// Held-out base items.
    held_out: Vec<usize>,
    /// All of Google's drawings in the space.
    google: Matrix,
}

impl<'a> Show<'a> {
    fn new(subject: &'a Subject, fold: &'a Fold, space: &'a Space, seed: u64) -> Self {
        let items = &subject.protocol.set().items;
        let held_out = fold.test.iter().copied().filter(|i| items[*i].base).collect();
        let google = space.embed_features(&subject.google_features);
        Self { subject, fold, space, seed, held_out, google }
    }

    fn name(&self, item: usize) -> &str {
        &self.subject.protocol.set().items[item].name
    }

    fn tile(&self, item: usize) -> anyhow::Result<Tile> {
        Ok(Tile::picture(self.subject.google.image(item)?))
    }

    fn named(&self, item: usize) -> anyhow::Result<Tile> {
        Ok(self.tile(item)?.caption(self.name(item)))
    }

    /// Held-out base items, the same for the same seed.
    fn examples(&self, salt: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ salt);
        self.held_out.sample(&mut rng, EXAMPLES).copied().collect()
    }

    fn found(&self, queries: &Matrix, base: &Matrix, k: usize) -> Vec<Vec<usize>> {
        let hits = top_k(&queries.values, &base.values, base.width, k);
        hits.into_iter().map(|hits| hits.into_iter().map(|hit| hit.id).collect()).collect()
    }

    fn words_to_pictures(&self) -> anyhow::Result<Vec<Row>> {
        let asked = self.examples(1);
        let words: Vec<&str> = asked.iter().map(|i| self.name(*i)).collect();
        let found = self.found(&self.space.embed_texts(&words), &self.google.select(&self.held_out), RESULTS);
        let row = |(item, found): (&usize, Vec<usize>)| {
            let tiles = found.into_iter().map(|at| {
                let hit = self.held_out[at];
                Ok(self.named(hit)?.verdict(hit == *item))
            });
            Ok(Row::search(Tile::words(self.name(*item)), tiles.collect::<anyhow::Result<Vec<_>>>()?))
        };
        asked.iter().zip(found).map(row).collect()
    }

    fn pictures_to_words(&self) -> anyhow::Result<Vec<Row>> {
        let asked = self.examples(2);
        let names: Vec<&str> = self.held_out.iter().map(|i| self.name(*i)).collect();
        let found = self.found(&self.google.select(&asked), &self.space.embed_texts(&names), RESULTS);
        let row = |(item, found): (&usize, Vec<usize>)| {
            let tile = |at: usize| Tile::words(names[at]).verdict(self.held_out[at] == *item);
            Ok(Row::search(self.tile(*item)?, found.into_iter().map(tile)))
        };
        asked.iter().zip(found).map(row).collect()
    }

    fn tags(&self) -> anyhow::Result<Vec<Row>> {
        let asked = self.examples(3);
        let tags = self.subject.protocol.tags();
        let found = self.found(&self.google.select(&asked), &self.space.embed_texts(tags), RESULTS);
        let row = |(item, found): (&usize, Vec<usize>)| {
            let own = &self.subject.protocol.set().items[*item].tags;
            let tile = |at: usize| Tile::words(tags[at]).verdict(own.iter().any(|tag| tag == tags[at]));
            Ok(Row::search(self.named(*item)?, found.into_iter().map(tile)))
        };
        asked.iter().zip(found).map(row).collect()
    }

    /// Arithmetic on held-out drawings, `EXAMPLES` of each change.
    fn arithmetic(&self, results: &Results) -> anyhow::Result<Vec<Pair>> {
        let set = self.subject.protocol.set();
        let answers = &results.methods[0].folds[0];
        let mut pairs = Vec::new();
        for (name, from, to) in self.subject.protocol.changes() {
            let scale = if name == "gender" { answers.gender.scale } else { answers.tone.scale };
            let words = self.space.embed_texts(&[from, to]);
            let mut asked = set.counterparts(from, to);
            asked.retain(|(item, _)| self.fold.test.contains(item));
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 4);
            for (item, counterpart) in asked.sample(&mut rng, EXAMPLES) {
                let moved = self.google.row(*item).iter().zip(words.row(1).iter().zip(words.row(0)));
                let query = moved.map(|(v, (to, from))| v + scale * (to - from)).collect();
                let query = Matrix { values: query, width: self.google.width };
                let found = self.found(&query, &self.google, 2).swap_remove(0);
                let hit = found.into_iter().find(|hit| hit != item).expect("two results");
                let after = self.named(hit)?.verdict(hit == *counterpart);
                pairs.push(Pair::new(self.named(*item)?, format!("− {from}\n+ {to}"), after));
            }
        }
        Ok(pairs)
    }

    /// Held-out drawings on a plane, near where they are near in the space.
    fn map(&self) -> anyhow::Result<Drawing> {
        let rows = self.google.select(&self.held_out);
        let places = Tsne { seed: self.seed, ..Tsne::default() }.fit(&rows.values, rows.width)?;
        let mut points = Vec::new();
        for (item, place) in self.held_out.iter().zip(places) {
            points.push(Point::new(place).picture(self.subject.google.image(*item)?).label(self.name(*item)));
        }
        let map = Scatter::new("Held-out drawings in the learned space").points(points).picture_size(26);
        Ok(map
            .subtitle("t-SNE of the embeddings; none of these concepts was learned from")
            .size(1100, 800)
            .without_axes()
            .draw())
    }

    fn page(&self, drawn: &Drawn, lines: &[Question], results: &Results, start: Instant) -> anyhow::Result<Report> {
        let answers = &results.methods[0].folds[0];
        let percent = |v: f64| format!("{v:.0} %");
        let Drawn { words_to_pictures, pictures_to_words, tags, map, loss, recall } = drawn;
        let learned = format!(
            "A frozen EfficientNet-Lite0 turns each of {} drawings in Google's style into {} numbers; a text becomes a \
             weighted sum over its words of what GloVe knows of them. Ridge regression with a Gaussian kernel then fits \
             pictures to their names and keywords, in closed form, and both sides become unit vectors of {} dimensions. \
             The concepts below ({} drawings, {} of them base emoji) were held out whole: with all their skin tones and \
             their man, woman and person forms.",
            self.fold.train.len(),
            self.subject.google_features.width,
            self.space.dim(),
            self.fold.test.len(),
            self.held_out.len(),
        );
        let numbers = "All measures are on concepts or on a drawing style that were not learned from. Scales for \
                       arithmetic were chosen on a validation part of the training concepts. One fold; \
                       `sensorium joint eval --data emoji --folds 5` gives the mean over five with standard errors.";
        Ok(Report::new("One space of pictures and words")
            .subtitle(format!(
                "Learned from {} pairs of drawings and names in {:.0} s on this machine.",
                self.fold.train.len(),
                start.elapsed().as_secs_f64()
            ))
            .key_number(KeyNumber::new(percent(answers.text_to_image.r10), "of unseen names find their drawing in the first ten")
                .note(format!("chance {:.1} %", 1000.0 / self.held_out.len() as f64)))
            .key_number(KeyNumber::new(percent(answers.style.r1), "of drawings in an unseen style get their name first of 1,906")
                .note("chance 0.05 %"))
            .key_number(KeyNumber::new(percent(answers.tags.hit1), "of unseen drawings get a right tag first")
                .note(format!("most frequent tag {:.0} %", results.tag_prior[0].hit1)))
            .key_number(KeyNumber::new(percent(answers.gender.found.r1), "of \"− man + woman\" land on the counterpart first of 3,780")
                .note(format!("without arithmetic {:.0} %", answers.gender.without.r1)))
            .section(Section::new("What was learned").paragraph(&learned))
            .section(Section::new("Words find pictures").gallery("", words_to_pictures))
            .section(Section::new("Pictures find words").gallery("", pictures_to_words))
            .section(Section::new("Tags").gallery("", tags))
            .section(Section::new("Arithmetic").paragraph(
                "The drawing's vector, minus one word's, plus another's; the nearest of all 3,781 drawings but itself.")
                .before_after(&self.arithmetic(results)?))
            .section(Section::new("The space").figure(map, ""))
            .section(Section::new("Gradient descent beside it").paragraph(
                "The same task by a contrastive loss (InfoNCE) on two linear towers, watched on a validation part of \
                 the training concepts.")
                .figures([(loss, ""), (recall, "")]))
            .section(Section::new("All numbers").paragraph(numbers).table(&table(lines, results)))
            .footer("Drawings: Noto Emoji by Google (Apache-2.0); Twemoji, © Twitter and contributors (CC-BY-4.0). Names: Unicode CLDR."))
    }

    fn draw(&self, history: &[Epoch]) -> anyhow::Result<Drawn> {
        let [loss, recall] = curves(history);
        Ok(Drawn {
            words_to_pictures: self.words_to_pictures()?,
            pictures_to_words: self.pictures_to_words()?,
            tags: self.tags()?,
            map: self.map()?,
            loss,
            recall,
        })
    }
}

/// What stands both in the report and in files of its own.
struct Drawn {
    words_to_pictures: Vec<Row>,
    pictures_to_words: Vec<Row>,
    tags: Vec<Row>,
    map: Drawing,
    loss: Drawing,
    recall: Drawing,
}

impl Drawn {
    fn save(self, out: &Path) -> anyhow::Result<()> {
        for (name, drawing) in [("map.png", self.map), ("loss.png", self.loss), ("recall.png", self.recall)] {
            drawing.save(out.join(name))?;
        }
        for (name, title, rows) in [
            ("words-to-pictures.png", "Words find pictures", self.words_to_pictures),
            ("pictures-to-words.png", "Pictures find words", self.pictures_to_words),
            ("tags.png", "Tags", self.tags),
        ] {
            rows.into_iter().fold(Sheet::new(title), Sheet::row).draw().save(out.join(name))?;
        }
        Ok(())
    }
}

fn curves(history: &[Epoch]) -> [Drawing; 2] {
    let series = |split: EpochSplit, metric: &str| -> Vec<[f32; 2]> {
        let rows = history.iter().filter(|row| row.split == split);
        rows.filter_map(|row| Some([row.epoch as f32, *row.metrics.get(metric)? as f32])).collect()
    };
    let chart = |title: &str, y: &str| LineChart::new(title).x_label("epoch").y_label(y);
    let loss = chart("Training loss", "loss").series("training", &series(EpochSplit::Train, "loss"));
    let recall = chart("Recall on unseen concepts", "%")
        .series("words to pictures, R@10", &series(EpochSplit::Valid, "text_to_image_r10"))
        .series("pictures to words, R@10", &series(EpochSplit::Valid, "image_to_text_r10"))
        .series("words to pictures, R@1", &series(EpochSplit::Valid, "text_to_image_r1"));
    [loss.draw(), recall.include_y(0.0).draw()]
}

fn table(lines: &[Question], results: &Results) -> Table {
    let mut table = Table::new("question").column(Column::text("measure"));
    for method in &results.methods {
        table = table.column(Column::number(&method.name).decimals(1));
    }
    table = table
        .column(Column::number("baseline").decimals(1))
        .column(Column::text("which"))
        .column(Column::number("chance"));
    for line in lines {
        let mut cells = vec![Cell::from(line.measure)];
        cells.extend(line.methods.iter().map(|mean| Cell::from(mean.mean)));
        cells.push(line.baseline.map(|(_, mean)| mean.mean).into());
        cells.push(line.baseline.map(|(name, _)| name).into());
        cells.push(Cell::from(line.chance));
        table = table.row(line.question, cells);
    }
    table
}
