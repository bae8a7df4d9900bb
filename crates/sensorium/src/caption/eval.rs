//! `caption eval` and `caption score`.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use sensorium_captioning::metrics::{Example, Meteor, bleu, cider_d, read_examples, rouge_l, tokenized};
use sensorium_captioning::scenes::{self, Judged, Scene};
use sensorium_captioning::{BeamSearch, Captioner, KnownPictures};
use sensorium_vision::io::RgbImage;
use sensorium_vision::pairs::{self, Pair, Split, ensure_part, parts, read_picture};
use serde::Serialize;
use serde_json::json;

use super::Comparison;
use crate::Global;
use crate::progress::bar;

/// Pictures that are decoded and searched at a time.
const BATCH: usize = 16;

/// `caption eval`
#[derive(Args)]
pub(crate) struct Eval {
    /// The folder of a run.
    run: PathBuf,
    /// A folder or file of pairs: pictures with their sentences.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Which part to measure: train, val or test.
    #[arg(long, default_value = "test", value_parser = part)]
    split: Split,
    /// Widths of the beam, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "1,3,5")]
    beam: Vec<usize>,
    #[command(flatten)]
    comparison: Comparison,
    /// Also score the caption of the training picture that the encoder finds most similar.
    #[arg(long)]
    baseline: bool,
    /// The seed the run was trained with, where the data has no split of its own.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A folder of METEOR 1.5's data, for its published numbers: paraphrase-en.gz, and out of meteor-1.5.jar function/,
    /// nonbreaking/ and synonym/. Without it, METEOR counts equal words and stems alone, which gives lower numbers.
    #[arg(long, value_name = "DIR")]
    meteor: Option<PathBuf>,
}

/// `caption score`
#[derive(Args)]
pub(crate) struct Score {
    /// References: JSON as {"id": ["caption", …]}, or COCO's annotations.
    #[arg(long, value_name = "FILE")]
    refs: PathBuf,
    /// Captions to score: JSON as {"id": "caption"}, or COCO's results.
    #[arg(long, value_name = "FILE")]
    hyps: PathBuf,
    /// A folder of METEOR 1.5's data, for its published numbers: paraphrase-en.gz, and out of meteor-1.5.jar function/,
    /// nonbreaking/ and synonym/. Without it, METEOR counts equal words and stems alone, which gives lower numbers.
    #[arg(long, value_name = "DIR")]
    meteor: Option<PathBuf>,
}

/// What captions score.
#[derive(Serialize)]
struct Scored {
    #[serde(skip_serializing_if = "Option::is_none")]
    beam: Option<usize>,
    bleu: [f64; 4],
    rouge_l: f64,
    cider: f64,
    meteor: f64,
    /// What counted as a match for METEOR.
    meteor_stages: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    scenes: Option<OfScenes>,
}

/// How captions of made scenes compare with the truth.
#[derive(Serialize)]
struct OfScenes {
    /// The share of the captions that are word for word among the true ones.
    true_captions: f64,
    /// The share of the named objects in whose box attention was highest at the noun.
    #[serde(skip_serializing_if = "Option::is_none")]
    looked_at: Option<f64>,
}

impl Eval {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        ensure!(!self.beam.is_empty(), "--beam: at least one width");
        self.beam.iter().try_for_each(|width| self.search(*width).validate())?;
        let meteor = meteor(self.meteor.as_deref())?;
        let captioner = Captioner::load(&self.run, &global.device()?)?;
        let pairs = pairs::read(&self.data)?;
        let source = self.data.to_string_lossy();
        let splits = parts(&source, &pairs, self.seed)?;
        ensure_part(&source, &splits, self.split)?;
        let of = |wanted| -> Vec<&Pair> {
            pairs.iter().zip(&splits).filter(|(_, split)| **split == wanted).map(|(pair, _)| pair).collect()
        };
        let (part, train) = (of(self.split), of(Split::Train));
        let known = match self.baseline {
            true => Some(known(&captioner, &train)?),
            false => None,
        };
        let mut nearest: Vec<Example> = vec![];
        let truth = self.truth()?;
        let grid = captioner.config().decoder.grid();
        let mut judged = vec![Judged::default(); self.beam.len()];
        let bar = bar(part.len(), "pictures", global.progress());
        let mut examples: Vec<Vec<Example>> = self.beam.iter().map(|_| vec![]).collect();
        for of_batch in part.chunks(BATCH) {
            let pictures: Vec<RgbImage> =
                of_batch.iter().map(|pair| Ok(read_picture(&pair.picture)?)).collect::<Result<_>>()?;
            let map = captioner.map(captioner.input(&pictures));
            if let Some(known) = &known {
                let near = known.nearest(map.clone());
                let captions = near.into_iter().map(|place| &train[place].captions[0]);
                nearest.extend(of_batch.iter().zip(captions).map(|(pair, caption)| example(pair, caption.clone())));
            }
            let view = captioner.seen(map);
            for ((width, examples), judged) in self.beam.iter().zip(&mut examples).zip(&mut judged) {
                let found = captioner.searcher().search(view.clone(), &self.search(*width), &captioner.limits());
                for (pair, found) in of_batch.iter().zip(found) {
                    let best = found.best();
                    if let Some(scene) = truth.get(&pair.id) {
                        let words: Vec<&str> = captioner.words().words(&best.words).collect();
                        let attention = &best.attention[..words.len().min(best.attention.len())];
                        *judged += scene.judge(&words, attention, grid);
                    }
                    examples.push(example(pair, captioner.words().sentence(&best.words)));
                }
            }
            bar.inc(of_batch.len() as u64);
        }
        bar.finish_and_clear();
        let scored = self.beam.iter().zip(&examples).zip(&judged);
        let scored: Vec<Scored> = scored
            .map(|((beam, examples), judged)| {
                let scenes = (judged.captions > 0).then(|| OfScenes::of(judged));
                Scored { beam: Some(*beam), scenes, ..score(examples, &meteor) }
            })
            .collect();
        let baseline = self.baseline.then(|| score(&nearest, &meteor));
        let mut stdout = std::io::stdout().lock();
        if global.json {
            let said = json!({ "pictures": part.len(), "beams": scored, "baseline": baseline });
            return Ok(writeln!(stdout, "{}", serde_json::to_string_pretty(&said)?)?);
        }
        writeln!(stdout, "{} pictures", part.len())?;
        writeln!(stdout, "beam  {HEADER}")?;
        for scored in &scored {
            writeln!(stdout, "{:4}  {}", scored.beam.unwrap_or_default(), scored.row())?;
        }
        if let Some(baseline) = baseline {
            writeln!(stdout, "near  {}    (the most similar training picture's caption)", baseline.row())?;
        }
        for (width, of) in self.beam.iter().zip(&scored).filter_map(|(width, of)| Some((width, of.scenes.as_ref()?))) {
            write!(stdout, "beam {width}: {:.1}% of the captions exactly true", 100.0 * of.true_captions)?;
            match of.looked_at {
                Some(share) => writeln!(stdout, ", {:.1}% of the named objects looked at", 100.0 * share)?,
                None => writeln!(stdout)?,
            }
        }
        Ok(writeln!(stdout, "{}", matched_by(&meteor))?)
    }

    fn search(&self, width: usize) -> BeamSearch {
        BeamSearch { length_penalty: self.comparison.length_penalty(), ..BeamSearch::new(width) }
    }

    /// What is known of made scenes, by picture; of other data, nothing.
    fn truth(&self) -> Result<HashMap<String, Scene>> {
        if !self.data.join("scenes.json").exists() {
            return Ok(HashMap::new());
        }
        Ok(scenes::read(&self.data)?.into_iter().map(|scene| (scene.image.clone(), scene)).collect())
    }
}

impl Score {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let examples = read_examples(&self.refs, &self.hyps)?;
        let meteor = meteor(self.meteor.as_deref())?;
        let scored = score(&examples, &meteor);
        let mut stdout = std::io::stdout().lock();
        if global.json {
            return Ok(writeln!(stdout, "{}", serde_json::to_string_pretty(&scored)?)?);
        }
        writeln!(stdout, "{} pictures\n{HEADER}\n{}", examples.len(), scored.row())?;
        Ok(writeln!(stdout, "{}", matched_by(&meteor))?)
    }
}

/// In hundredths but for CIDEr, as papers have them.
const HEADER: &str = "BLEU-1  BLEU-2  BLEU-3  BLEU-4  ROUGE-L  CIDEr  METEOR";

impl Scored {
    fn row(&self) -> String {
        let [b1, b2, b3, b4] = self.bleu.map(|score| 100.0 * score);
        let rouge_l = 100.0 * self.rouge_l;
        let (cider, meteor) = (self.cider, 100.0 * self.meteor);
        format!("{b1:6.2}  {b2:6.2}  {b3:6.2}  {b4:6.2}  {rouge_l:7.2}  {cider:5.3}  {meteor:6.2}")
    }
}

/// The part of a data set by its name.
pub(super) fn part(name: &str) -> Result<Split, String> {
    match name {
        "train" => Ok(Split::Train),
        "val" => Ok(Split::Val),
        "test" => Ok(Split::Test),
        _ => Err("write train, val or test".to_string()),
    }
}

impl OfScenes {
    fn of(judged: &Judged) -> Self {
        let share = |part: usize, all: usize| part as f64 / all as f64;
        Self {
            true_captions: share(judged.true_captions, judged.captions),
            looked_at: (judged.named > 0).then(|| share(judged.looked_at, judged.named)),
        }
    }
}

/// The pictures whose captions can be had without learning: those to learn from.
fn known(captioner: &Captioner, train: &[&Pair]) -> Result<KnownPictures> {
    ensure!(!train.is_empty(), "--baseline: the data has no training part to take captions from");
    let files: Vec<&Path> = train.iter().map(|pair| pair.picture.as_path()).collect();
    Ok(KnownPictures::read(captioner, &files)?)
}

fn example(pair: &Pair, hypothesis: String) -> Example {
    Example { id: pair.id.clone(), references: pair.captions.clone(), hypothesis }
}

/// METEOR with the data of a folder, or without any.
fn meteor(data: Option<&Path>) -> Result<Meteor> {
    Ok(data.map_or_else(|| Ok(Meteor::new()), Meteor::with_data)?)
}

/// The line below the scores.
fn matched_by(meteor: &Meteor) -> String {
    let stages = meteor.stages();
    let hint = if stages.len() == 2 { "; --meteor DIR adds synonym, paraphrase" } else { "" };
    format!("METEOR matches by {}{hint}", stages.join(", "))
}

fn score(examples: &[Example], meteor: &Meteor) -> Scored {
    let examples = tokenized(examples);
    Scored {
        beam: None,
        bleu: bleu(&examples).map(|score| score.corpus),
        rouge_l: rouge_l(&examples).corpus,
        cider: cider_d(&examples).corpus,
        meteor: meteor.score(&examples).corpus,
        meteor_stages: meteor.stages(),
        scenes: None,
    }
}
