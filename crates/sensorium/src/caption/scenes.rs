//! `caption scenes`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use sensorium_captioning::scenes::{SIDE, write};
use serde_json::json;

use crate::Global;
use crate::progress::bar;

/// `caption scenes`
#[derive(Args)]
pub(crate) struct Scenes {
    /// Folder for the set: images, pairs.jsonl, scenes.json.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many pictures.
    #[arg(long, default_value_t = 5000)]
    n: usize,
    /// What they follow from; the first pictures of a seed are the same in sets of any size.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Scenes {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let out = self.out.display();
        ensure!(!self.out.join("scenes.json").exists(), "{out}: holds a set; choose another folder");
        let bar = bar(self.n, "pictures", global.progress());
        write(&self.out, self.n, self.seed, |painted| bar.inc(painted as u64))?;
        bar.finish_and_clear();
        let mut stdout = std::io::stdout().lock();
        if global.json {
            return Ok(writeln!(stdout, "{}", json!({"out": self.out, "n": self.n, "seed": self.seed}))?);
        }
        Ok(writeln!(stdout, "{out}: {} pictures of {SIDE} x {SIDE}, with five captions each", self.n)?)
    }
}
