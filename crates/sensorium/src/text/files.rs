//! `text convert` and `info`.

use std::io::Write;

use sensorium_text::vectors::{self, FastText};
use serde_json::{Value, json};

use super::ask::Opened;
use super::{Convert, Info};
use crate::Global;

/// The words that `info` shows.
const SHOWN: usize = 10;

impl Convert {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let vectors = vectors::read(&self.from)?;
        vectors::write(&self.to, &vectors)?;
        let mut out = std::io::stdout().lock();
        match global.json {
            true => writeln!(out, "{}", json!({"words": vectors.len(), "dim": vectors.dim(), "out": self.to}))?,
            false => {
                writeln!(out, "{} vectors of {} numbers in {}", vectors.len(), vectors.dim(), self.to.display())?;
            }
        }
        Ok(())
    }
}

impl Info {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let Opened { vectors, model } = Opened::read(&self.vectors)?;
        let first: Vec<&String> = vectors.words().iter().take(SHOWN).collect();
        let fasttext = model.as_ref().map(settings);
        let mut out = std::io::stdout().lock();
        if global.json {
            let said = json!({
                "words": vectors.len(), "dim": vectors.dim(), "first_words": first, "fasttext": fasttext,
            });
            return Ok(writeln!(out, "{said}")?);
        }
        writeln!(out, "words        {}", vectors.len())?;
        writeln!(out, "dim          {}", vectors.dim())?;
        let first: Vec<&str> = first.into_iter().map(String::as_str).collect();
        writeln!(out, "first words  {}", first.join(" "))?;
        if let Some(settings) = fasttext.as_ref().and_then(Value::as_object) {
            writeln!(out, "fastText model")?;
            for (name, value) in settings {
                writeln!(out, "  {name}: {}", value.as_str().map_or(value.to_string(), String::from))?;
            }
        }
        Ok(())
    }
}

/// The settings of a fastText model, and how many labels it has.
fn settings(model: &FastText) -> Value {
    let of = model.settings();
    json!({
        "model": format!("{:?}", of.model), "loss": format!("{:?}", of.loss), "window": of.window,
        "epochs": of.epochs, "min_count": of.min_count, "negatives": of.negatives, "subsample": of.subsample,
        "word_ngrams": of.word_ngrams, "buckets": of.buckets, "min_n": of.min_n, "max_n": of.max_n,
        "labels": model.labels().len(),
    })
}
