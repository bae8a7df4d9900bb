//! `text neighbors`, `analogy` and `map`.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use sensorium_text::vectors::query::{Answer, Objective, Queries};
use sensorium_text::vectors::{self, FastText, WordVectors, map};
use serde_json::{Value, json};

use super::{Analogy, Map, Method, Neighbors};
use crate::Global;

/// The words of a file, and how others are made where it is a fastText model.
pub(super) struct Opened {
    pub(super) vectors: WordVectors,
    pub(super) model: Option<FastText>,
}

impl Opened {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        // Any other file is refused at its first bytes, and a damaged model again by `read`.
        Ok(match FastText::read(path) {
            Ok(model) => Self { vectors: model.word_vectors()?, model: Some(model) },
            Err(_) => Self { vectors: vectors::read(path)?, model: None },
        })
    }
}

impl Neighbors {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let Opened { vectors, model } = Opened::read(&self.vectors)?;
        let queries = Queries::new(&vectors);
        let (k, restrict) = (self.answers.k.get(), self.answers.restrict);
        let answers = match model.filter(|_| vectors.index(&self.word).is_none()) {
            None => queries.neighbours(&self.word, k, restrict)?,
            Some(model) => {
                let vector = model.vector(&self.word);
                ensure!(vector.iter().any(|value| *value != 0.0), "'{}': is unknown and has no n-grams", self.word);
                queries.nearest(&vector, k, restrict).remove(0)
            }
        };
        print(&answers, json!({"word": self.word, "answers": answers}), global)
    }
}

impl Analogy {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let vectors = vectors::read(&self.vectors)?;
        let question = [&self.a, &self.b, &self.c].map(String::as_str);
        let objective = if self.mul { Objective::CosMul } else { Objective::CosAdd };
        let (k, restrict) = (self.answers.k.get(), self.answers.restrict);
        let answers = Queries::new(&vectors).analogy(question, objective, k, restrict)?;
        print(&answers, json!({"question": question, "objective": objective, "answers": answers}), global)
    }
}

fn print(answers: &[Answer], said: Value, global: &Global) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if global.json {
        return Ok(writeln!(out, "{said}")?);
    }
    for (rank, Answer { word, score }) in answers.iter().enumerate() {
        writeln!(out, "{:>3}  {score:.3}  {word}", rank + 1)?;
    }
    Ok(())
}

impl Map {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let vectors = vectors::read(&self.vectors)?;
        let words = self.words()?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let method = match self.method {
            Method::Pca => map::Method::Pca,
            Method::Tsne => map::Method::Tsne,
        };
        map::map(&vectors, &words, method, self.seed)?.save(&self.out)?;
        let mut out = std::io::stdout().lock();
        match global.json {
            true => writeln!(out, "{}", json!({"words": words, "method": method, "out": self.out}))?,
            false => writeln!(out, "{} words in {}", words.len(), self.out.display())?,
        }
        Ok(())
    }

    /// The words named, with each `@FILE` replaced by the words in it.
    fn words(&self) -> anyhow::Result<Vec<String>> {
        let mut words = Vec::new();
        for named in &self.words {
            match named.strip_prefix('@') {
                Some(file) => {
                    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
                    words.extend(text.split_whitespace().map(String::from));
                }
                None => words.push(named.clone()),
            }
        }
        Ok(words)
    }
}
