//! `joint eval`.

use std::io::Write;

use anyhow::{Context, ensure};
use sensorium_core::metrics::Recall;
use sensorium_fusion::joint::evaluate::{Baseline, Evaluation, baseline, evaluate};
use sensorium_fusion::joint::fit::Lesson;
use sensorium_fusion::joint::folds::{Mean, Subject, Table};
use sensorium_fusion::joint::pairs::{Pairs, Split};
use sensorium_fusion::joint::protocol::{Answers, Arithmetic};
use sensorium_fusion::joint::space::Space;
use sensorium_vision::pairs::{ensure_part, parts};
use serde_json::{Value, json};

use super::{Eval, features_of, train};
use crate::Global;
use crate::progress::{bar, cache_folder};

impl Eval {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self.folds {
            Some(folds) => self.run_folds(folds, global),
            None => self.run_split(global),
        }
    }

    fn run_split(&self, global: &Global) -> anyhow::Result<()> {
        let folder = self.run.as_ref().context("name the folder of a run, or measure the method by --folds")?;
        let device = global.device()?;
        let space = Space::load(folder, &device)?;
        let pairs = Pairs::open(&self.data)?;
        let wanted = match self.split.as_str() {
            "train" => Split::Train,
            "val" => Split::Val,
            "test" => Split::Test,
            other => anyhow::bail!("--split {other}: write train, val or test"),
        };
        let splits = parts(&pairs.source, &pairs.items, space.settings().seed)?;
        ensure_part(&pairs.source, &splits, wanted)?;
        let part = |wanted| (0..splits.len()).filter(|i| splits[*i] == wanted).collect::<Vec<usize>>();
        let (train, rows) = (part(Split::Train), part(wanted));
        let features = features_of(&space.settings().features, &pairs, &device, global)?;
        let found = evaluate(&space, &pairs, &features, &rows)?;
        let lesson = Lesson { pairs: &pairs, features: &features, train: &train };
        let baseline = baseline(&space, lesson, &rows)?;
        let mut out = std::io::stdout().lock();
        if global.json {
            let mut whole = serde_json::to_value(&found)?;
            whole["baseline"] = serde_json::to_value(&baseline)?;
            writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
            return Ok(());
        }
        Ok(print_evaluation(&mut out, &found, baseline.as_ref(), &self.split)?)
    }

    fn run_folds(&self, folds: usize, global: &Global) -> anyhow::Result<()> {
        ensure!(self.data == "emoji", "--folds measures the bundled set: --data emoji");
        ensure!((2..=20).contains(&folds), "--folds {folds}: 2 to 20");
        let (subject, table) = five_folds(folds, self.seed, global)?;
        let mut out = std::io::stdout().lock();
        if global.json {
            let summary = summary(&subject, &table);
            let whole = json!({"seed": self.seed, "folds": folds, "summary": summary, "fold_by_fold": table});
            writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
            return Ok(());
        }
        Ok(print_table(&mut out, &rows(&subject, &table))?)
    }
}

/// Runs the protocol on the bundled set with every method.
pub(crate) fn five_folds(folds: usize, seed: u64, global: &Global) -> anyhow::Result<(Subject, Table)> {
    let device = global.device()?;
    let subject = open_subject(global)?;
    let mut methods = train::methods(seed, &device);
    let folds = subject.folds(folds, seed);
    let progress = bar(folds.len() * methods.len(), "folds × methods", global.progress());
    let mut methods: Vec<_> = methods.iter_mut().map(train::NamedMethod::method).collect();
    let table = subject.run(&folds, seed, &mut methods, &mut |_, _| progress.inc(1))?;
    progress.finish_and_clear();
    drop(methods);
    Ok((subject, table))
}

/// The bundled set with its features, made on first use.
pub(crate) fn open_subject(global: &Global) -> anyhow::Result<Subject> {
    let progress = bar(Subject::drawings(), "image features", global.progress());
    let subject = Subject::open(&cache_folder(), &global.device()?, &mut |done| progress.set_position(done as u64))?;
    progress.finish_and_clear();
    Ok(subject)
}

fn print_evaluation(
    out: &mut impl Write,
    found: &Evaluation,
    baseline: Option<&Baseline>,
    split: &str,
) -> std::io::Result<()> {
    writeln!(out, "{} pictures and {} captions of the {split} part", found.pictures, found.captions)?;
    writeln!(out, "{:<22}{:>8}{:>8}{:>8}{:>8}{:>8}", "", "R@1", "R@5", "R@10", "MedR", "rsum")?;
    let [r1, r5, r10] = found.chance;
    writeln!(out, "{:<22}{r1:>8.1}{r5:>8.1}{r10:>8.1}{:>8}", "chance", found.pictures.div_ceil(2))?;
    print_retrieval(out, found)?;
    if let Some(baseline) = baseline {
        writeln!(out, "baseline: {} on the training part", baseline.name)?;
        print_retrieval(out, &baseline.found)?;
    }
    Ok(())
}

fn print_retrieval(out: &mut impl Write, found: &Evaluation) -> std::io::Result<()> {
    let mut line = |name: &str, r: &Recall, rsum: String| {
        let line = format!("{name:<22}{:>8.1}{:>8.1}{:>8.1}{:>8.0}{rsum:>8}", r.r1, r.r5, r.r10, r.median_rank);
        writeln!(out, "{}", line.trim_end())
    };
    line("words to pictures", &found.retrieval.t2i, String::new())?;
    line("pictures to words", &found.retrieval.i2t, format!("{:.1}", found.rsum))?;
    if let Some(small) = &found.retrieval_1k {
        line("words to 1k pictures", &small.t2i, String::new())?;
        line("1k pictures to words", &small.i2t, format!("{:.1}", small.rsum()))?;
    }
    if let Some(tags) = &found.tags {
        writeln!(out, "tags: hit@1 {:.1}, hit@5 {:.1}, mAP {:.1}", tags.hit1, tags.hit5, tags.map)?;
    }
    Ok(())
}

/// One line of the table: a question's measure, with each method's mean and the baselines.
pub(crate) struct Line {
    /// The question.
    pub(crate) question: &'static str,
    /// The measure.
    pub(crate) measure: &'static str,
    /// Each method's mean, in the table's order.
    pub(crate) methods: Vec<Mean>,
    /// What is found without learning, and how.
    pub(crate) baseline: Option<(&'static str, Mean)>,
    /// What guessing finds.
    pub(crate) chance: f64,
}

/// The table's lines, in the order of the protocol.
pub(crate) fn rows(subject: &Subject, table: &Table) -> Vec<Line> {
    let held_out = Mean::of(table.held_out.iter().map(|n| *n as f64)).mean;
    let base = subject.protocol.set().items.iter().filter(|item| item.base).count() as f64;
    let all = subject.protocol.set().items.len() as f64;
    type Of = fn(&Answers) -> f64;
    let over =
        |of: Of| -> Vec<Mean> { table.methods.iter().map(|method| Mean::of(method.folds.iter().map(of))).collect() };
    let line =
        |question, measure, of: Of, baseline, chance| Line { question, measure, methods: over(of), baseline, chance };
    let near = |of: fn(&sensorium_fusion::joint::protocol::NearestAnswers) -> f64| {
        Some(("nearest neighbour", Mean::of(table.nearest.iter().map(of))))
    };
    let prior = |of: fn(&sensorium_fusion::joint::protocol::TagScores) -> f64| {
        Some(("tag frequency", Mean::of(table.tag_prior.iter().map(of))))
    };
    let without = |of: fn(&Answers) -> &Arithmetic, r: fn(&Recall) -> f64| {
        let best = &table.methods[0].folds;
        Some(("no arithmetic", Mean::of(best.iter().map(|answers| r(&of(answers).without)))))
    };
    let k = |k: f64, of: f64| 100.0 * k / of;
    let words = "held-out words to drawings";
    let drawings = "held-out drawings to words";
    vec![
        line(words, "R@1", |a| a.text_to_image.r1, near(|n| n.text_to_image.r1), k(1.0, held_out)),
        line(words, "R@10", |a| a.text_to_image.r10, near(|n| n.text_to_image.r10), k(10.0, held_out)),
        line(words, "MedR", |a| a.text_to_image.median_rank, near(|n| n.text_to_image.median_rank), held_out / 2.0),
        line(drawings, "R@1", |a| a.image_to_text.r1, near(|n| n.image_to_text.r1), k(1.0, held_out)),
        line(drawings, "R@10", |a| a.image_to_text.r10, near(|n| n.image_to_text.r10), k(10.0, held_out)),
        line(drawings, "MedR", |a| a.image_to_text.median_rank, near(|n| n.image_to_text.median_rank), held_out / 2.0),
        line("held-out words to all drawings", "R@10", |a| a.text_to_all_images.r10, None, k(10.0, base)),
        line("held-out words to all drawings", "MedR", |a| a.text_to_all_images.median_rank, None, base / 2.0),
        line("other style to words", "R@1", |a| a.style.r1, near(|n| n.style.r1), k(1.0, base)),
        line("other style to words", "R@10", |a| a.style.r10, near(|n| n.style.r10), k(10.0, base)),
        line("with nearest drawing", "R@1", |a| a.style_with_nearest.r1, near(|n| n.style.r1), k(1.0, base)),
        line("with nearest drawing", "R@10", |a| a.style_with_nearest.r10, near(|n| n.style.r10), k(10.0, base)),
        line("with nearest, CSLS", "R@1", |a| a.style_with_nearest_csls.r1, near(|n| n.style.r1), k(1.0, base)),
        line("with nearest, CSLS", "R@10", |a| a.style_with_nearest_csls.r10, near(|n| n.style.r10), k(10.0, base)),
        line("tags", "hit@1", |a| a.tags.hit1, prior(|t| t.hit1), 0.0),
        line("tags", "hit@5", |a| a.tags.hit5, prior(|t| t.hit5), 0.0),
        line("tags", "mAP", |a| a.tags.map, prior(|t| t.map), 0.0),
        line("man ↔ woman", "R@1", |a| a.gender.found.r1, without(|a| &a.gender, |r| r.r1), k(1.0, all - 1.0)),
        line("man ↔ woman", "R@5", |a| a.gender.found.r5, without(|a| &a.gender, |r| r.r5), k(5.0, all - 1.0)),
        line("light ↔ dark tone", "R@1", |a| a.tone.found.r1, without(|a| &a.tone, |r| r.r1), k(1.0, all - 1.0)),
        line("light ↔ dark tone", "R@5", |a| a.tone.found.r5, without(|a| &a.tone, |r| r.r5), k(5.0, all - 1.0)),
    ]
}

pub(crate) fn summary(subject: &Subject, table: &Table) -> Value {
    let line = |line: Line| {
        let methods: serde_json::Map<String, Value> =
            table.methods.iter().zip(&line.methods).map(|(method, mean)| (method.name.clone(), json!(mean))).collect();
        json!({
            "question": line.question, "measure": line.measure, "methods": methods, "chance": line.chance,
            "baseline": line.baseline.map(|(name, mean)| json!({"name": name, "value": mean})),
        })
    };
    rows(subject, table).into_iter().map(line).collect()
}

pub(crate) fn print_table(out: &mut impl Write, lines: &[Line]) -> std::io::Result<()> {
    let several = lines.iter().flat_map(|line| &line.methods).any(|mean| mean.standard_error.is_some());
    let head = if several { "mean ± standard error over folds" } else { "one fold" };
    write!(out, "{head:<39}")?;
    for name in train::METHODS {
        write!(out, "{name:>16}")?;
    }
    writeln!(out, "{:>12}  chance", "baseline")?;
    for line in lines {
        write!(out, "{:<32}{:<7}", line.question, line.measure)?;
        for mean in &line.methods {
            write!(out, "{:>16}", mean.to_string())?;
        }
        let (name, baseline) = line.baseline.map_or(("", String::new()), |(name, m)| (name, format!("{:.1}", m.mean)));
        writeln!(out, "{baseline:>12}  {:<8.2}{name}", line.chance)?;
    }
    Ok(())
}
