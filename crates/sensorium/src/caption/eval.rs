//! `caption eval` and `caption score`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use sensorium_captioning::metrics::{Example, bleu, cider_d, read_examples, rouge_l, tokenized};
use sensorium_captioning::{BeamSearch, Captioner};
use sensorium_vision::io::RgbImage;
use sensorium_vision::pairs::{self, Pair, Split, parts, read_picture};
use serde::Serialize;

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
    /// The seed the run was trained with, where the data has no split of its own.
    #[arg(long, default_value_t = 0)]
    seed: u64,
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
}

/// What captions score.
#[derive(Serialize)]
struct Scored {
    #[serde(skip_serializing_if = "Option::is_none")]
    beam: Option<usize>,
    bleu: [f64; 4],
    rouge_l: f64,
    cider: f64,
}

impl Eval {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        ensure!(!self.beam.is_empty(), "--beam: at least one width");
        self.beam.iter().try_for_each(|width| BeamSearch::new(*width).validate())?;
        let captioner = Captioner::load(&self.run, &global.device()?)?;
        let pairs = pairs::read(&self.data)?;
        let splits = parts(&self.data.to_string_lossy(), &pairs, self.seed)?;
        let part: Vec<&Pair> =
            pairs.iter().zip(splits).filter(|(_, split)| *split == self.split).map(|(p, _)| p).collect();
        let bar = bar(part.len(), "pictures", global.progress());
        let mut examples: Vec<Vec<Example>> = self.beam.iter().map(|_| vec![]).collect();
        for of_batch in part.chunks(BATCH) {
            let pictures: Vec<RgbImage> =
                of_batch.iter().map(|pair| Ok(read_picture(&pair.picture)?)).collect::<Result<_>>()?;
            let view = captioner.look(&pictures);
            for (width, examples) in self.beam.iter().zip(&mut examples) {
                let search = BeamSearch::new(*width);
                let found = captioner.decoder().search(view.clone(), &search, &captioner.limits());
                examples.extend(of_batch.iter().zip(found).map(|(pair, found)| Example {
                    id: pair.id.clone(),
                    references: pair.captions.clone(),
                    hypothesis: captioner.words().sentence(&found.best().words),
                }));
            }
            bar.inc(of_batch.len() as u64);
        }
        bar.finish_and_clear();
        let scored: Vec<Scored> = self.beam.iter().zip(&examples).map(|(beam, of)| score(Some(*beam), of)).collect();
        let mut stdout = std::io::stdout().lock();
        if global.json {
            return Ok(writeln!(stdout, "{}", serde_json::to_string_pretty(&scored)?)?);
        }
        writeln!(stdout, "{} pictures", part.len())?;
        writeln!(stdout, "beam  {HEADER}")?;
        for scored in scored {
            writeln!(stdout, "{:4}  {}", scored.beam.unwrap_or_default(), scored.row())?;
        }
        Ok(())
    }
}

impl Score {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let examples = read_examples(&self.refs, &self.hyps)?;
        let scored = score(None, &examples);
        let mut stdout = std::io::stdout().lock();
        if global.json {
            return Ok(writeln!(stdout, "{}", serde_json::to_string_pretty(&scored)?)?);
        }
        Ok(writeln!(stdout, "{} pictures\n{HEADER}\n{}", examples.len(), scored.row())?)
    }
}

/// In hundredths but for CIDEr, as papers have them.
const HEADER: &str = "BLEU-1  BLEU-2  BLEU-3  BLEU-4  ROUGE-L  CIDEr";

impl Scored {
    fn row(&self) -> String {
        let [b1, b2, b3, b4] = self.bleu.map(|score| 100.0 * score);
        let rouge_l = 100.0 * self.rouge_l;
        format!("{b1:6.2}  {b2:6.2}  {b3:6.2}  {b4:6.2}  {rouge_l:7.2}  {:5.3}", self.cider)
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

fn score(beam: Option<usize>, examples: &[Example]) -> Scored {
    let examples = tokenized(examples);
    Scored {
        beam,
        bleu: bleu(&examples).map(|score| score.corpus),
        rouge_l: rouge_l(&examples).corpus,
        cider: cider_d(&examples).corpus,
    }
}
