//! `caption speak eval`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sensorium_captioning::BeamSearch;
use sensorium_captioning::speak::{Speaker, pairs};
use sensorium_vision::pairs::Split;

use super::heard;
use crate::Global;
use crate::caption::eval::part;
use crate::progress::bar;

/// `caption speak eval`
#[derive(Args)]
pub(crate) struct Eval {
    /// The folder of a run.
    run: PathBuf,
    /// The pictures with sounds that the run was trained on.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Which part to measure: train, val or test.
    #[arg(long, default_value = "test", value_parser = part)]
    split: Split,
    /// Beginnings that the search keeps.
    #[arg(long, default_value_t = 5)]
    beam: usize,
    /// The seed the run was trained with, where the data has no split of its own; random sounds follow from it, too.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Eval {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let search = BeamSearch::new(self.beam);
        search.validate()?;
        let speaker = Speaker::load(&self.run, &global.device()?)?;
        let pairs = heard(&self.data)?;
        let splits = pairs::parts(&self.data.to_string_lossy(), &pairs, self.seed)?;
        let of_part = splits.iter().filter(|split| **split == self.split).count();
        let bar = bar(of_part, "pictures", global.progress());
        let answered = |pictures| bar.inc(pictures as u64);
        let measured = speaker.evaluate(&pairs, &splits, self.split, &search, self.seed, answered)?;
        bar.finish_and_clear();
        let mut stdout = std::io::stdout().lock();
        if global.json {
            return Ok(writeln!(stdout, "{}", serde_json::to_string_pretty(&measured)?)?);
        }
        writeln!(stdout, "{} pictures; {} groups, of which a sound is one", measured.pictures, measured.groups)?;
        writeln!(stdout, "{:28} unit error rate  recognised", "")?;
        for score in &measured.scores {
            writeln!(stdout, "{:28} {:15.3}  {:10.3}", score.name, score.unit_error_rate, score.recognised)?;
        }
        Ok(())
    }
}
