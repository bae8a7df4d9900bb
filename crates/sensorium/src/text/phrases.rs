//! `text phrases`.

use std::io::Write;

use anyhow::{Context, ensure};
use sensorium_text::word2vec::{CorpusBuilder, Phrases};
use serde_json::json;

use super::PhrasesOf;
use super::train::{check_apart, push_all};
use crate::Global;
use crate::progress::told_bar;

/// The phrases that are printed.
const SHOWN: usize = 20;

impl PhrasesOf {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let phrases = Phrases { min_count: self.min_count, threshold: self.threshold, ..Phrases::default() };
        if self.corpus.as_os_str() != "-" {
            // Before anything is made on disk.
            std::fs::metadata(&self.corpus).with_context(|| format!("{}: cannot read", self.corpus.display()))?;
        }
        // The text is read once and kept as numbers beside the output, so that it may come from standard input.
        let beside = match self.out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => ".".as_ref(),
        };
        std::fs::create_dir_all(beside).with_context(|| format!("cannot create {}", beside.display()))?;
        check_apart(&self.out, beside, &self.corpus)?;
        let folder = tempfile::tempdir_in(beside).with_context(|| format!("cannot write in {}", beside.display()))?;
        let mut builder = CorpusBuilder::new(folder.path())?.with_phrases(Some(phrases))?;
        let bar = told_bar(1, global.progress());
        push_all(&mut builder, &self.corpus, &bar)?;
        ensure!(builder.words() > 0, "{}: holds no words", self.corpus.display());
        let words = builder.words();
        let found = builder.write_phrases(&self.out)?;
        bar.finish_and_clear();
        let mut out = std::io::stdout().lock();
        if global.json {
            let list: Vec<_> =
                found.iter().map(|p| json!({"phrase": p.joined, "count": p.count, "score": p.score})).collect();
            return Ok(writeln!(out, "{}", json!({"words": words, "phrases": list, "out": self.out}))?);
        }
        for phrase in found.iter().take(SHOWN) {
            writeln!(out, "{:10.1}  {:6}  {}", phrase.score, phrase.count, phrase.joined)?;
        }
        Ok(writeln!(out, "{} phrases in {words} words; the text is in {}", found.len(), self.out.display())?)
    }
}
