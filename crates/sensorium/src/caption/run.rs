//! `caption run`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use sensorium_captioning::captioner::DecoderConfig;
use sensorium_captioning::decode::Sentence;
use sensorium_captioning::{BeamSearch, Captioner, Limits, Sampling, heat_map};
use sensorium_core::draw::Drawing;
use sensorium_core::draw::report::{Column, Report, Section, Table};
use sensorium_vision::io::RgbImage;
use sensorium_vision::pairs::read_picture;
use serde::Serialize;

use super::Comparison;
use crate::Global;
use crate::pictures::{expand, make_folder, write_heat_maps};
use crate::progress::bar;

/// Pictures that are decoded and searched at a time.
const BATCH: usize = 8;

/// `caption run`
#[derive(Args)]
pub(crate) struct Run {
    /// The folder of a run.
    run: PathBuf,
    /// Pictures, or folders of them.
    #[arg(required = true, value_name = "IMG")]
    pictures: Vec<PathBuf>,
    /// Beginnings that the search keeps; 1 takes the likeliest word each time.
    #[arg(long, default_value_t = 5)]
    beam: usize,
    /// Divide the beam among so many groups that avoid each other's words.
    #[arg(long, default_value_t = 1)]
    groups: usize,
    /// How much the groups avoid each other's words.
    #[arg(long, default_value_t = 0.5)]
    diversity: f32,
    #[command(flatten)]
    comparison: Comparison,
    /// Draw words at random instead of searching.
    #[arg(long)]
    sample: bool,
    /// With --sample: below 1, likely words become likelier.
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
    /// With --sample: draw from the so many likeliest words.
    #[arg(long)]
    top_k: Option<usize>,
    /// With --sample: draw from the likeliest words that together have this probability.
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// With --sample: what the draws follow from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The least number of words.
    #[arg(long, default_value_t = 0)]
    min_words: usize,
    /// The most steps.
    #[arg(long, default_value_t = 51)]
    max_steps: usize,
    /// Never say <unk>.
    #[arg(long)]
    no_unk: bool,
    /// Folder for where the captioner looked, word by word: NAME.png, NAME.npy and NAME.json for each picture.
    #[arg(long, value_name = "DIR")]
    heatmap: Option<PathBuf>,
    /// HTML page with each picture's sentence, the others of the beam, and where the captioner looked.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// A picture's sentence.
#[derive(Serialize)]
struct Told<'a> {
    file: &'a Path,
    caption: String,
    score: f32,
    complete: bool,
    /// All sentences that ended, in the order in which they did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    beam: Vec<Ended>,
}

#[derive(Serialize)]
struct Ended {
    caption: String,
    score: f32,
}

impl Run {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let search = self.search();
        search.validate()?;
        self.sampling().validate()?;
        ensure!((1..=1000).contains(&self.max_steps), "--max-steps {}: 1 to 1000", self.max_steps);
        let captioner = Captioner::load(&self.run, &global.device()?)?;
        let grid = match captioner.config().decoder {
            DecoderConfig::Attend { grid, .. } => Some(grid),
            _ => None,
        };
        let files = expand(&self.pictures)?;
        if let Some(folder) = &self.heatmap {
            ensure!(grid.is_some(), "--heatmap: {} has no attention to show", self.run.display());
            make_folder(folder, &files)?;
        }
        let limits = self.limits(&captioner);
        let bar = bar(files.len(), "pictures", global.progress() && files.len() > BATCH);
        let mut told = vec![];
        let mut report = self.report.as_ref().map(|_| self.page(files.len()));
        for files in files.chunks(BATCH) {
            let pictures: Vec<RgbImage> = files.iter().map(|file| Ok(read_picture(file)?)).collect::<Result<_>>()?;
            for ((file, picture), (sentence, ended)) in
                files.iter().zip(&pictures).zip(self.tell(&captioner, &pictures, &search, &limits))
            {
                if let (Some(folder), Some(grid)) = (&self.heatmap, grid) {
                    draw(folder, file, picture, &captioner, &sentence, grid)?;
                }
                let say = |sentence: &Sentence| captioner.words().sentence(&sentence.words);
                let told_now = Told {
                    file,
                    caption: say(&sentence),
                    score: sentence.score,
                    complete: sentence.is_complete(limits.end),
                    beam: ended.iter().map(|ended| Ended { caption: say(ended), score: ended.score }).collect(),
                };
                report = report.map(|page| {
                    let strip = grid.map(|grid| strip(picture, &captioner, &sentence, grid));
                    page.section(section(&told_now, picture, strip))
                });
                told.push(told_now);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        if let (Some(report), Some(file)) = (report, &self.report) {
            report.save(file)?;
        }
        let mut stdout = std::io::stdout().lock();
        if global.json {
            return Ok(writeln!(stdout, "{}", serde_json::to_string_pretty(&told)?)?);
        }
        for Told { file, caption, score, .. } in told {
            writeln!(stdout, "{}\n  {}  ({score:.3})", file.display(), shown(&caption))?;
        }
        Ok(())
    }

    /// The report's head.
    fn page(&self, pictures: usize) -> Report {
        let how = match self.sample {
            true => "each word drawn at random".to_string(),
            false => format!("beam of {}", self.beam),
        };
        let pictures = if pictures == 1 { "1 picture".to_string() } else { format!("{pictures} pictures") };
        Report::new("Captions").subtitle(format!("{pictures} told by {}, {how}.", self.run.display()))
    }

    fn search(&self) -> BeamSearch {
        BeamSearch {
            width: self.beam,
            length_penalty: self.comparison.length_penalty(),
            groups: self.groups,
            diversity: self.diversity,
        }
    }

    fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, seed: self.seed }
    }

    fn limits(&self, captioner: &Captioner) -> Limits {
        Limits {
            max_steps: self.max_steps,
            min_words: self.min_words,
            suppressed: if self.no_unk { vec![captioner.words().unk()] } else { vec![] },
            ..captioner.limits()
        }
    }

    /// Each picture's sentence, and all that the search found.
    fn tell(
        &self,
        captioner: &Captioner,
        pictures: &[RgbImage],
        search: &BeamSearch,
        limits: &Limits,
    ) -> Vec<(Sentence, Vec<Sentence>)> {
        if self.sample {
            let drawn = captioner.sample(pictures, &self.sampling(), limits);
            return drawn.into_iter().map(|sentence| (sentence, vec![])).collect();
        }
        let found = captioner.search(pictures, search, limits).into_iter();
        found.map(|found| (found.best().clone(), found.complete)).collect()
    }
}

/// A sentence for people: one that ended before its first word is not left blank.
fn shown(caption: &str) -> &str {
    if caption.is_empty() { "(no words)" } else { caption }
}

fn words<'a>(captioner: &'a Captioner, sentence: &Sentence) -> Vec<&'a str> {
    sentence.words.iter().map(|word| captioner.words().word(*word)).collect()
}

fn strip(picture: &RgbImage, captioner: &Captioner, sentence: &Sentence, grid: usize) -> Drawing {
    heat_map::strip(picture, &words(captioner, sentence), &sentence.attention, grid)
}

/// What the report shows of a picture: where the captioner looked, or without attention the picture alone, then all
/// sentences of the beam, likeliest first.
fn section(told: &Told, picture: &RgbImage, strip: Option<Drawing>) -> Section {
    let section = Section::new(told.file.display().to_string()).paragraph(shown(&told.caption));
    let section = match strip {
        Some(strip) => section.figure(&strip, ""),
        None => section.image(picture.clone(), ""),
    };
    if told.beam.is_empty() {
        let ended = if told.complete { "" } else { ", not ended" };
        return section.paragraph(&format!("Sum of log-probabilities {:.3}{ended}.", told.score));
    }
    let mut beam: Vec<&Ended> = told.beam.iter().collect();
    beam.sort_by(|a, b| b.score.total_cmp(&a.score));
    let table = Table::new("sentence").column(Column::number("sum of log-probabilities").decimals(3));
    let row = |table: Table, ended: &Ended| table.row(shown(&ended.caption), [f64::from(ended.score)]);
    section.table(&beam.into_iter().fold(table, row))
}

/// What `NAME.json` says of `NAME.npy`.
#[derive(Serialize)]
struct Looked<'a> {
    file: &'a Path,
    words: &'a [&'a str],
    /// Of `NAME.npy`: words, rows, columns.
    shape: [usize; 3],
}

/// Where the captioner looked: a picture, the numbers, and what they are.
fn draw(
    folder: &Path,
    file: &Path,
    picture: &RgbImage,
    captioner: &Captioner,
    sentence: &Sentence,
    grid: usize,
) -> Result<()> {
    let words = words(captioner, sentence);
    let shape = [words.len(), grid, grid];
    let strip = strip(picture, captioner, sentence, grid);
    let about = Looked { file, words: &words, shape };
    write_heat_maps(folder, file, &strip, (&sentence.attention.concat(), shape), &about)
}
