//! `text eval`.

use std::io::Write;
use std::path::Path;

use sensorium_text::vectors::evaluate::{self, AnalogyScores, PairScores, Protocol};
use sensorium_text::vectors::query::{Objective, Queries};
use sensorium_text::vectors::{self, WordVectors};
use serde::Serialize;
use serde_json::json;

use super::Eval;
use crate::Global;

/// The scores of one file.
#[derive(Serialize)]
struct Scored<'a, S> {
    file: &'a Path,
    #[serde(flatten)]
    scores: S,
}

impl Eval {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let vectors = vectors::read(&self.vectors)?;
        let queries = Queries::new(&vectors);
        let protocol = Protocol { restrict: Some(self.restrict), ..Protocol::default() };
        let (mut pairs, mut analogies) = (Vec::new(), Vec::new());
        for file in &self.pairs {
            let scores = evaluate::pairs(&queries, &evaluate::read_pairs(file)?, &protocol)?;
            pairs.push(Scored { file, scores });
        }
        for file in &self.analogies {
            let sections = evaluate::read_analogies(file)?;
            let scores = evaluate::analogies(&queries, &sections, Objective::CosAdd, &protocol);
            analogies.push(Scored { file, scores });
        }
        if global.json {
            let said = json!({
                "words": vectors.len(), "dim": vectors.dim(), "protocol": protocol, "pairs": pairs,
                "analogies": analogies,
            });
            return Ok(writeln!(std::io::stdout(), "{said}")?);
        }
        self.print(&vectors, &pairs, &analogies)
    }

    fn print(
        &self,
        vectors: &WordVectors,
        pairs: &[Scored<PairScores>],
        analogies: &[Scored<AnalogyScores>],
    ) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{} words, of which {} count", vectors.len(), self.restrict.min(vectors.len()))?;
        for Scored { file, scores: PairScores { pearson, spearman, pairs, oov_percent } } in pairs {
            writeln!(out, "{}", file.display())?;
            writeln!(out, "  Spearman {spearman:.3}, Pearson {pearson:.3} on {pairs} pairs")?;
            writeln!(out, "  {oov_percent:.1}% of all pairs hold an unknown word")?;
        }
        for Scored { file, scores: AnalogyScores { sections, total, oov_percent } } in analogies {
            writeln!(out, "{}", file.display())?;
            for score in sections.iter().chain([total]) {
                let (percent, correct, questions) = (100.0 * score.accuracy(), score.correct, score.questions);
                writeln!(out, "  {percent:5.1}%  {correct:>5} of {questions:<5}  {}", score.name)?;
            }
            writeln!(out, "  {oov_percent:.1}% of all questions hold an unknown word")?;
        }
        Ok(())
    }
}
