//! How well word vectors agree with people: rated word pairs and analogy questions, scored as by gensim 4.4.
//!
//! [`pairs`] is its `evaluate_word_pairs`, [`analogies`] its `evaluate_word_analogies`; a [`Protocol`] holds their
//! options and defaults. Quote it, and the vocabulary's size, beside every result.

use std::collections::HashMap;
use std::path::Path;

use sensorium_core::Error;
use sensorium_core::metrics::Hit;
use serde::{Deserialize, Serialize};

use super::query::{Objective, Queries};
use super::words::shown;
use crate::Result;

/// Two words and how similar people find them.
#[derive(Debug, Clone, PartialEq)]
pub struct RatedPair {
    /// The words.
    pub words: [String; 2],
    /// The rating, on any scale that rises with the similarity.
    pub score: f64,
}

/// Analogy questions of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What its head calls it, such as `capital-world`.
    pub name: String,
    /// Each `[a, b, c, d]`: `a` is to `b` as `c` to `d`.
    pub questions: Vec<[String; 4]>,
}

/// What counts as a known word, and what becomes of questions with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// How many words, from the first on, count as known and can be answers; `None` takes all.
    pub restrict: Option<usize>,
    /// Compare words in upper case; of words that become equal the first is taken.
    pub case_insensitive: bool,
    /// Count a pair with an unknown word as one of similarity 0, and such a question as answered wrong. Otherwise they
    /// are left out.
    pub dummy4unknown: bool,
}

impl Default for Protocol {
    /// gensim's: the first 300,000 words, any case, unknown words left out.
    fn default() -> Self {
        Self { restrict: Some(300_000), case_insensitive: true, dummy4unknown: false }
    }
}

/// How cosines follow people's ratings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairScores {
    /// Pearson's correlation, -1 to 1; NaN where all cosines or all ratings are the same.
    pub pearson: f64,
    /// Spearman's rank correlation with average ranks of equals, -1 to 1; NaN as for `pearson`.
    pub spearman: f64,
    /// How many pairs the correlations are of.
    pub pairs: usize,
    /// Percentage of all pairs that hold an unknown word.
    pub oov_percent: f64,
}

/// How many analogies are completed as people do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnalogyScores {
    /// By section, in the order of the file.
    pub sections: Vec<SectionScore>,
    /// All sections together.
    pub total: SectionScore,
    /// Percentage of all questions that hold an unknown word.
    pub oov_percent: f64,
}

/// The score of one kind of analogies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionScore {
    /// The section's name.
    pub name: String,
    /// Questions answered right.
    pub correct: usize,
    /// Questions counted.
    pub questions: usize,
}

impl SectionScore {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), correct: 0, questions: 0 }
    }

    /// The part answered right, 0 to 1; 0 where no question counted.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.questions.max(1) as f64
    }
}

/// Reads rated pairs: two words and a number a line, split by tabs, else by commas, else by spaces. Lines that begin
/// with `#` and empty ones are left out, and so is a first line that is no pair: the names of the columns.
///
/// # Errors
/// A file that cannot be read, holds no pair, or has a line of another form; the message names the line. (gensim leaves
/// such lines out.)
///
/// ```
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("pairs.tsv");
/// std::fs::write(&path, "# ours\nfirst\tsecond\tmean\ncat\ttiger\t7.35\n").unwrap();
/// let pairs = sensorium_text::vectors::evaluate::read_pairs(&path)?;
/// assert_eq!((pairs[0].words.join(" "), pairs[0].score), ("cat tiger".into(), 7.35));
/// # Ok::<(), sensorium_text::Error>(())
/// ```
pub fn read_pairs(path: impl AsRef<Path>) -> Result<Vec<RatedPair>> {
    let path = path.as_ref();
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty());
    let mut pairs = Vec::new();
    for (place, (index, line)) in lines.enumerate() {
        match parse_pair(line) {
            Ok(pair) => pairs.push(pair),
            Err(_) if place == 0 => {}
            Err(reason) => return Err(bad_line(path, PAIRS, index, &reason)),
        }
    }
    if pairs.is_empty() {
        return Err(Error::format(path, PAIRS, "it holds no line of two words and a number").into());
    }
    Ok(pairs)
}

const PAIRS: &str = "list of rated word pairs";

fn parse_pair(line: &str) -> Result<RatedPair, String> {
    let columns: Vec<&str> = match ['\t', ','].into_iter().find(|&mark| line.contains(mark)) {
        Some(mark) => line.split(mark).map(str::trim).collect(),
        None => line.split_whitespace().collect(),
    };
    let [first, second, score] = columns[..] else {
        return Err(format!("{} columns, must be 3: two words and a number", columns.len()));
    };
    match score.parse() {
        Ok(score) if f64::is_finite(score) => Ok(RatedPair { words: [first, second].map(String::from), score }),
        _ => Err(format!("the third column is {}, must be a number", shown(score))),
    }
}

/// Reads analogy questions as in `questions-words.txt`: a head `: name` before each section, then four words a line.
/// Empty lines are left out, and so are those that begin with `//` or `#`.
///
/// # Errors
/// A file that cannot be read, holds no question, or has a line of another form or a question before the first head;
/// the message names the line. (gensim leaves questions of other than four words out.)
///
/// ```
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("questions.txt");
/// std::fs::write(&path, ": plurals\ncat cats dog dogs\n").unwrap();
/// let sections = sensorium_text::vectors::evaluate::read_analogies(&path)?;
/// assert_eq!((sections[0].name.as_str(), sections[0].questions.len()), ("plurals", 1));
/// # Ok::<(), sensorium_text::Error>(())
/// ```
pub fn read_analogies(path: impl AsRef<Path>) -> Result<Vec<Section>> {
    let path = path.as_ref();
    let mut sections: Vec<Section> = Vec::new();
    for (index, line) in read_text(path)?.lines().enumerate() {
        if let Some(name) = line.strip_prefix(':') {
            sections.push(Section { name: name.trim().to_string(), questions: Vec::new() });
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() || line.starts_with("//") || line.starts_with('#') {
            continue;
        }
        let Ok(question) = <[&str; 4]>::try_from(words.as_slice()) else {
            return Err(bad_line(path, ANALOGIES, index, &format!("{} words, must be 4", words.len())));
        };
        let Some(section) = sections.last_mut() else {
            return Err(bad_line(
                path,
                ANALOGIES,
                index,
                "a question before the first section, write ': name' above it",
            ));
        };
        section.questions.push(question.map(String::from));
    }
    if sections.iter().all(|section| section.questions.is_empty()) {
        return Err(Error::format(path, ANALOGIES, "it holds no question of four words").into());
    }
    Ok(sections)
}

const ANALOGIES: &str = "list of analogies";

fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    let text = String::from_utf8(bytes);
    Ok(text.map_err(|e| Error::format(path, "text", format!("it is not UTF-8: {}", e.utf8_error())))?)
}

fn bad_line(path: &Path, format: &'static str, index: usize, reason: &str) -> crate::Error {
    Error::format(path, format, format!("line {}: {reason}", index + 1)).into()
}

/// Correlates the cosines of rated pairs with their ratings.
///
/// # Errors
/// Fewer than two pairs that count.
pub fn pairs(queries: &Queries, pairs: &[RatedPair], protocol: &Protocol) -> Result<PairScores> {
    let known = protocol.known_words(queries);
    let row = |word: &String| known.get(&protocol.spelled(word)).copied();
    let (mut cosines, mut ratings, mut unknown) = (Vec::new(), Vec::new(), 0);
    for RatedPair { words: [a, b], score } in pairs {
        let cosine = row(a).zip(row(b)).map(|(a, b)| f64::from(queries.cosine(a, b)));
        unknown += usize::from(cosine.is_none());
        if let Some(cosine) = cosine.or(protocol.dummy4unknown.then_some(0.0)) {
            cosines.push(cosine);
            ratings.push(*score);
        }
    }
    if cosines.len() < 2 {
        let rule = format!("of {}; a correlation needs two whose words are among the {}", pairs.len(), known.len());
        return Err(Error::config("pairs that count", cosines.len(), rule).into());
    }
    Ok(PairScores {
        pearson: pearson(&cosines, &ratings),
        spearman: pearson(&average_ranks(&cosines), &average_ranks(&ratings)),
        pairs: cosines.len(),
        oov_percent: percent(unknown, pairs.len()),
    })
}

/// Answers every analogy question and counts the right answers.
///
/// The words of a question are no answers to it, nor are other spellings that the protocol takes for the same word; as
/// in gensim, only the five best candidates are looked at for one that is left.
pub fn analogies(queries: &Queries, sections: &[Section], objective: Objective, protocol: &Protocol) -> AnalogyScores {
    let known = protocol.known_words(queries);
    let mut scores: Vec<SectionScore> = sections.iter().map(|section| SectionScore::new(&section.name)).collect();
    let (mut asked, mut rows, mut unknown) = (Vec::new(), Vec::new(), 0);
    for (section, score) in sections.iter().zip(0..) {
        for question in &section.questions {
            let words = question.each_ref().map(|word| protocol.spelled(word));
            let [a, b, c, d] = words.each_ref().map(|word| known.get(word).copied());
            if let (Some(a), Some(b), Some(c), Some(_)) = (a, b, c, d) {
                asked.push((score, words));
                rows.push([a, b, c]);
            } else {
                unknown += 1;
                scores[score].questions += usize::from(protocol.dummy4unknown);
            }
        }
    }
    let best = queries.complete(&rows, objective, 5, protocol.restrict);
    for ((score, [a, b, c, expected]), hits) in asked.into_iter().zip(best) {
        let spelled = |hit: &Hit| protocol.spelled(&queries.vectors().words()[hit.id]);
        let answer = hits.iter().map(spelled).find(|word| ![&a, &b, &c].contains(&word));
        scores[score].questions += 1;
        scores[score].correct += usize::from(answer == Some(expected));
    }
    let questions: usize = sections.iter().map(|section| section.questions.len()).sum();
    let total = SectionScore {
        name: "total".to_string(),
        correct: scores.iter().map(|score| score.correct).sum(),
        questions: scores.iter().map(|score| score.questions).sum(),
    };
    AnalogyScores { sections: scores, total, oov_percent: percent(unknown, questions) }
}

impl Protocol {
    /// The row of each word that counts as known, as this protocol spells it.
    fn known_words(&self, queries: &Queries) -> HashMap<String, usize> {
        let words = queries.vectors().words().iter().take(self.restrict.unwrap_or(usize::MAX));
        let mut known = HashMap::new();
        for (row, word) in words.enumerate() {
            known.entry(self.spelled(word)).or_insert(row);
        }
        known
    }

    fn spelled(&self, word: &str) -> String {
        if self.case_insensitive { word.to_uppercase() } else { word.to_string() }
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let count = x.len() as f64;
    let [x_mean, y_mean] = [x, y].map(|values| values.iter().sum::<f64>() / count);
    let constant = |values: &[f64]| values.iter().all(|v| *v == values[0]);
    if constant(x) || constant(y) {
        return f64::NAN;
    }
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - x_mean, y - y_mean);
        (xy, xx, yy) = (xy + x * y, xx + x * x, yy + y * y);
    }
    (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0)
}

/// The place of each value when sorted, counted from 0; equals share the mean of their places.
fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let rank = before as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|&i| ranks[i] = rank);
        before += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::WordVectors;

    /// 36 words in three blocks: `g0a..`, `g0b..`, and `G0A..`, which in upper case are the first again and lie near
    /// them.
    fn made_vectors() -> WordVectors {
        let noise = |i: usize, j: usize| ((i * i * 37 + j * j * 101 + i * j * 13 + i) % 257) as f32 / 128.0 - 1.0;
        let (mut words, mut values) = (Vec::new(), Vec::new());
        for (form, [first, last]) in [["g", "a"], ["g", "b"], ["G", "A"]].into_iter().enumerate() {
            for group in 0..12 {
                words.push(format!("{first}{group}{last}"));
                let (kind, shift) = (form % 2, (form / 2) as f32 / 8.0);
                let own = 100 + group + 12 * kind;
                values.extend((0..8).map(|j| noise(group, j) + (noise(50 + kind, j) + noise(own, j)) / 2.0 + shift));
            }
        }
        WordVectors::new(words, 8, values).unwrap()
    }

    fn made_pairs() -> Vec<RatedPair> {
        let of = |g: usize| {
            let last = ["b", "B"][g % 2];
            RatedPair { words: [format!("g{g}a"), format!("g{}{last}", (g * 5 + 3) % 14)], score: (g * 7 % 10) as f64 }
        };
        (0..14).map(of).collect()
    }

    fn made_questions() -> Vec<Section> {
        let question = |g: usize, h: usize| match h % 2 {
            0 => [format!("g{g}a"), format!("g{g}b"), format!("g{h}a"), format!("g{h}b")],
            _ => [format!("g{g}a"), format!("g{g}b"), format!("G{h}A"), format!("g{h}B")],
        };
        let section = |name: &str, first: usize| {
            let groups = first..first + 6;
            let pairs = groups.clone().flat_map(|g| groups.clone().filter(move |&h| h != g).map(move |h| (g, h)));
            Section { name: name.to_string(), questions: pairs.map(|(g, h)| question(g, h)).collect() }
        };
        vec![section("low", 0), section("high", 7)]
    }

    /// gensim 4.4 with scipy 1.17 on the same words.
    #[test]
    fn scores_are_gensims() {
        let vectors = made_vectors();
        let queries = Queries::new(&vectors);
        let protocol = |restrict, case_insensitive, dummy4unknown| Protocol {
            restrict: Some(restrict),
            case_insensitive,
            dummy4unknown,
        };
        for (protocol, [pearson, spearman, oov_percent], low, high) in [
            (protocol(300_000, true, false), [-0.004_346_291, -0.018_265_031, 21.428_571_429], [12, 30], [13, 20]),
            (protocol(300_000, true, true), [0.015_107_757, -0.017_738_359, 21.428_571_429], [12, 30], [13, 30]),
            (protocol(20, true, false), [-0.241_764_394, -0.107_142_857, 50.0], [15, 30], [0, 0]),
            (protocol(20, true, true), [-0.120_848_370, 0.007_072_070, 50.0], [15, 30], [0, 30]),
            (protocol(300_000, false, false), [-0.774_334_805, -0.564_288_094, 64.285_714_286], [4, 15], [4, 8]),
            (protocol(300_000, false, true), [-0.497_792_271, -0.326_733_035, 64.285_714_286], [4, 30], [4, 30]),
        ] {
            let got = pairs(&queries, &made_pairs(), &protocol).unwrap();
            for (got, want) in [(got.pearson, pearson), (got.spearman, spearman), (got.oov_percent, oov_percent)] {
                assert!((got - want).abs() < 1e-6, "{got}, must be {want}: {protocol:?}");
            }
            let got = analogies(&queries, &made_questions(), Objective::CosAdd, &protocol);
            let counts = |score: &SectionScore| [score.correct, score.questions];
            assert_eq!(got.sections.iter().map(counts).collect::<Vec<_>>(), [low, high], "{protocol:?}");
            assert_eq!(counts(&got.total), [low[0] + high[0], low[1] + high[1]]);
        }
    }

    #[test]
    fn unknown_words_alone_have_no_score() {
        let vectors = made_vectors();
        let queries = Queries::new(&vectors);
        let protocol = Protocol { restrict: Some(0), ..Protocol::default() };
        let error = pairs(&queries, &made_pairs(), &protocol).unwrap_err().to_string();
        assert!(error.contains("pairs that count = 0: of 14"), "{error}");
        let scores = analogies(&queries, &made_questions(), Objective::CosMul, &protocol);
        assert_eq!((scores.total.questions, scores.total.accuracy(), scores.oov_percent), (0, 0.0, 100.0));
        let dummy = pairs(&queries, &made_pairs(), &Protocol { dummy4unknown: true, ..protocol }).unwrap();
        assert!(dummy.pearson.is_nan() && dummy.spearman.is_nan() && dummy.pairs == 14);
    }

    #[test]
    fn ranks_of_equals_are_their_mean() {
        assert_eq!(average_ranks(&[2.0, -1.0, 2.0, 0.0, -0.0, 2.0]), [4.0, 0.0, 4.0, 1.5, 1.5, 4.0]);
        assert!(average_ranks(&[]).is_empty());
    }

    fn written(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn pairs_are_split_by_tabs_commas_or_spaces() {
        for content in [
            "# comment\nword 1\tword 2\tmean\nnew york\tcity\t7.5\r\n\n# more\nb\tc\t-1e1",
            "first,second,score\nnew york, city, 7.5\nb,c,-10\n",
            "new york\tcity\t7.5\nb   c -10",
        ] {
            let (_folder, path) = written(content.as_bytes());
            let pairs = read_pairs(&path).unwrap();
            assert_eq!(pairs.len(), 2, "{content}");
            assert_eq!((pairs[0].words.join("|").as_str(), pairs[0].score), ("new york|city", 7.5));
            assert_eq!((pairs[1].words.join("|").as_str(), pairs[1].score), ("b|c", -10.0));
        }
    }

    #[test]
    fn analogies_stand_in_sections() {
        let (_folder, path) =
            written("// Copyright\n: one\na b c d\n\n# note\n:two \n: three three\r\ne  f\tg é\r\n".as_bytes());
        let sections = read_analogies(&path).unwrap();
        assert_eq!(sections.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["one", "two", "three three"]);
        assert_eq!(sections[0].questions, [["a", "b", "c", "d"]]);
        assert_eq!(sections[1].questions.len(), 0);
        assert_eq!(sections[2].questions, [["e", "f", "g", "é"]]);
    }

    #[test]
    fn broken_files_are_named_with_the_line() {
        for (content, pairs_reason, analogies_reason) in [
            ("", "no line of two words and a number", "no question of four words"),
            ("a b c", "no line of two words", "line 1: 3 words, must be 4"),
            ("a b 1\n\nc d e f", "line 3: 4 columns, must be 3", "line 1: 3 words"),
            ("a b 1\na b x", "line 2: the third column is 'x', must be a number", "line 1: 3 words"),
            ("a b 1\na b inf", "line 2: the third column is 'inf'", "line 1: 3 words"),
            ("a b c d\n: s", "line 2: 2 columns", "line 1: a question before the first section"),
            (": s\n: t\n", "line 2: 2 columns", "no question"),
        ] {
            let (_folder, path) = written(content.as_bytes());
            for (error, reason) in [
                (read_pairs(&path).unwrap_err().to_string(), pairs_reason),
                (read_analogies(&path).unwrap_err().to_string(), analogies_reason),
            ] {
                assert!(error.contains(reason) && error.contains("list.txt"), "{error}\nmust say: {reason}");
            }
        }
        let (folder, path) = written(b": s\na b c \xff");
        assert!(read_pairs(&path).unwrap_err().to_string().contains("not UTF-8"));
        assert!(read_analogies(&path).unwrap_err().to_string().contains("not UTF-8"));
        assert!(read_pairs(folder.path().join("none")).unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn every_truncation_and_flipped_byte_is_read_without_a_panic() {
        let whole = "# c\n: s é\na b c d\nx,y,1.5\nx\ty\t2\n".as_bytes();
        for at in 0..whole.len() {
            for byte in [whole[at] ^ 0x91, b'\n', b'\t', 0] {
                let mut changed = whole.to_vec();
                changed[at] = byte;
                for content in [&whole[..at], &changed, &changed[at..]] {
                    let (_folder, path) = written(content);
                    let _ = (read_pairs(&path), read_analogies(&path));
                }
            }
        }
    }
}
