//! Questions to word vectors: what lies near, what completes an analogy, what is the odd one out.

use rayon::prelude::*;
use sensorium_core::Error;
use sensorium_core::metrics::{Hit, top_k};
use serde::{Deserialize, Serialize};

use super::WordVectors;
use super::words::shown;
use crate::Result;

/// Word vectors scaled to unit length, to be asked by cosine. A zero vector stays zero: its cosine with any other is 0.
///
/// `restrict` is everywhere the number of first words, in a usual file the most frequent ones, that can be answers;
/// `None` takes all. What is asked about may be any word. Of answers that score the same, the first in the vocabulary
/// stands first.
///
/// ```
/// use sensorium_text::vectors::WordVectors;
/// use sensorium_text::vectors::query::{Objective, Queries};
///
/// let words = ["man", "woman", "king", "queen", "tree"].map(String::from).to_vec();
/// let values = vec![1., 0., 0., 0., 1., 0., 1., 0., 2., 0., 1., 2., 1., 1., -1.];
/// let vectors = WordVectors::new(words, 3, values)?;
///
/// let queries = Queries::new(&vectors);
/// assert_eq!(queries.neighbours("king", 1, None)?[0].word, "queen");
/// assert_eq!(queries.analogy(["man", "king", "woman"], Objective::CosAdd, 1, None)?[0].word, "queen");
/// assert_eq!(queries.odd_one_out(&["king", "queen", "tree"])?, "tree");
/// # Ok::<(), sensorium_text::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Queries<'a> {
    vectors: &'a WordVectors,
    /// `[words, dim]`, row-major.
    unit: Vec<f32>,
}

/// A word and how well it answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Answer<'a> {
    /// The word.
    pub word: &'a str,
    /// A cosine, -1 to 1, or what an [`Objective`] says; larger is better.
    pub score: f32,
}

/// What the answer `d` to `a : b = c : d` makes large, with cosines of unit vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// 3CosAdd: the cosine of `d` with `b + c - a` (Mikolov, Yih and Zweig, "Linguistic Regularities in Continuous
    /// Space Word Representations", 2013).
    #[default]
    CosAdd,
    /// 3CosMul: `cos(d, b) cos(d, c) / (cos(d, a) + 0.001)` with each cosine moved to 0 to 1 as `(1 + cos) / 2` (Levy
    /// and Goldberg, "Linguistic Regularities in Sparse and Explicit Word Representations", 2014, equation 4). gensim
    /// adds 0.000001 in place of the paper's 0.001.
    CosMul,
}

/// Candidates whose cosines are held at once: a block of rows that stays in a core's cache.
const BLOCK: usize = 1024;

impl<'a> Queries<'a> {
    /// A view of `vectors`, with a copy of all numbers.
    pub fn new(vectors: &'a WordVectors) -> Self {
        let mut unit = vectors.values().to_vec();
        unit.par_chunks_exact_mut(vectors.dim()).for_each(scale_to_unit);
        Self { vectors, unit }
    }

    /// The vectors as they were given.
    pub fn vectors(&self) -> &'a WordVectors {
        self.vectors
    }

    /// The cosine of two words' vectors, -1 to 1.
    ///
    /// # Errors
    /// A word that has no vector, with words of nearly its spelling.
    pub fn similarity(&self, a: &str, b: &str) -> Result<f32> {
        Ok(self.cosine(known(self.vectors, a)?, known(self.vectors, b)?))
    }

    /// The `k` words nearest to `word`, itself left out, by falling cosine.
    ///
    /// # Errors
    /// As [`similarity`](Self::similarity).
    pub fn neighbours(&self, word: &str, k: usize, restrict: Option<usize>) -> Result<Vec<Answer<'a>>> {
        Ok(self.neighbours_of_all(&[word], k, restrict)?.swap_remove(0))
    }

    /// [`neighbours`](Self::neighbours) of many words: far faster than one by one.
    ///
    /// # Errors
    /// As [`similarity`](Self::similarity).
    pub fn neighbours_of_all(&self, words: &[&str], k: usize, restrict: Option<usize>) -> Result<Vec<Vec<Answer<'a>>>> {
        let own = words.iter().map(|word| known(self.vectors, word)).collect::<Result<Vec<usize>>>()?;
        let vectors: Vec<f32> = own.iter().flat_map(|&word| self.row(word)).copied().collect();
        let hits = top_k(&vectors, self.candidates(restrict), self.vectors.dim(), k.saturating_add(1));
        let others =
            |(hits, own): (Vec<Hit>, &usize)| self.answers(hits.into_iter().filter(|hit| hit.id != *own).take(k));
        Ok(hits.into_iter().zip(&own).map(others).collect())
    }

    /// The `k` words nearest to each of some vectors, by falling cosine. A vector with a number that is not finite has
    /// none.
    ///
    /// # Shapes
    /// - `vectors`: `[queries, dim]`, row-major, of any length
    ///
    /// # Panics
    /// If `vectors` is not whole rows.
    pub fn nearest(&self, vectors: &[f32], k: usize, restrict: Option<usize>) -> Vec<Vec<Answer<'a>>> {
        let dim = self.vectors.dim();
        assert!(vectors.len().is_multiple_of(dim), "vectors must be [queries, {dim}]");
        let mut unit = vectors.to_vec();
        unit.par_chunks_exact_mut(dim).for_each(scale_to_unit);
        let hits = top_k(&unit, self.candidates(restrict), dim, k);
        hits.into_iter().map(|hits| self.answers(hits)).collect()
    }

    /// The `k` words that best complete `a : b = c : ?`, the three left out, best first.
    ///
    /// # Errors
    /// As [`similarity`](Self::similarity).
    ///
    /// Source: gensim's `most_similar` and `most_similar_cosmul` with `b` and `c` positive, `a` negative.
    pub fn analogy(
        &self,
        [a, b, c]: [&str; 3],
        objective: Objective,
        k: usize,
        restrict: Option<usize>,
    ) -> Result<Vec<Answer<'a>>> {
        let question = [known(self.vectors, a)?, known(self.vectors, b)?, known(self.vectors, c)?];
        let hits = self.complete(&[question], objective, k, restrict).swap_remove(0);
        Ok(self.answers(hits))
    }

    /// The word whose vector has the smallest cosine with the mean of all the words' unit vectors; of equals the first.
    ///
    /// # Errors
    /// As [`similarity`](Self::similarity), and fewer than three words: of two, both are equally far.
    ///
    /// Source: gensim's `doesnt_match`, which leaves unknown words out instead.
    pub fn odd_one_out(&self, words: &[&str]) -> Result<&'a str> {
        if words.len() < 3 {
            return Err(Error::config("words", words.len(), "an odd one out needs at least three words").into());
        }
        let rows = words.iter().map(|word| known(self.vectors, word)).collect::<Result<Vec<usize>>>()?;
        let mut sum = vec![0.0; self.vectors.dim()];
        for &row in &rows {
            sum.iter_mut().zip(self.row(row)).for_each(|(sum, v)| *sum += v);
        }
        // The mean's length divides every cosine alike, so the sum will do.
        let cosine = |row: usize| dot(self.row(row), &sum);
        let odd = rows.into_iter().min_by(|&i, &j| cosine(i).total_cmp(&cosine(j))).expect("at least three rows");
        Ok(&self.vectors.words()[odd])
    }

    /// The `k` best completions of each `[a, b, c]`, the three left out.
    ///
    /// Both objectives are made of cosines of single words, and thousands of questions ask about few words: so the
    /// cosines of each word asked about with a block of candidates are taken once, and each question combines its three
    /// rows.
    pub(super) fn complete(
        &self,
        questions: &[[usize; 3]],
        objective: Objective,
        k: usize,
        restrict: Option<usize>,
    ) -> Vec<Vec<Hit>> {
        let dim = self.vectors.dim();
        let mut asked = questions.as_flattened().to_vec();
        asked.sort_unstable();
        asked.dedup();
        let place = |word: usize| asked.binary_search(&word).expect("every word of a question is listed");
        let mut completions: Vec<Completion> =
            questions.par_iter().map(|&question| self.completion(question, k)).collect();
        for (block, rows) in self.candidates(restrict).chunks(BLOCK * dim).enumerate() {
            let of_word = |&word: &usize| rows.chunks_exact(dim).map(|row| dot(self.row(word), row)).collect();
            let cosines: Vec<Vec<f32>> = asked.par_iter().map(of_word).collect();
            completions.par_iter_mut().for_each(|completion| {
                let cosines = completion.question.map(|word| cosines[place(word)].as_slice());
                completion.add(cosines, block * BLOCK, objective);
            });
        }
        completions.into_iter().map(|completion| completion.best).collect()
    }

    fn completion(&self, question: [usize; 3], k: usize) -> Completion {
        let [a, b, c] = question.map(|word| self.row(word));
        let squared: f32 = a.iter().zip(b).zip(c).map(|((a, b), c)| (b + c - a).powi(2)).sum();
        Completion { question, length: squared.sqrt(), best: Vec::new(), k }
    }

    /// The cosine of two rows.
    pub(super) fn cosine(&self, a: usize, b: usize) -> f32 {
        dot(self.row(a), self.row(b))
    }

    fn row(&self, index: usize) -> &[f32] {
        &self.unit[index * self.vectors.dim()..][..self.vectors.dim()]
    }

    fn candidates(&self, restrict: Option<usize>) -> &[f32] {
        let count = restrict.unwrap_or(usize::MAX).min(self.vectors.len());
        &self.unit[..count * self.vectors.dim()]
    }

    fn answers(&self, hits: impl IntoIterator<Item = Hit>) -> Vec<Answer<'a>> {
        hits.into_iter().map(|hit| Answer { word: &self.vectors.words()[hit.id], score: hit.score }).collect()
    }
}

/// The best words so far for one question `[a, b, c]`.
struct Completion {
    question: [usize; 3],
    /// Of `b + c - a`.
    length: f32,
    best: Vec<Hit>,
    k: usize,
}

impl Completion {
    /// Takes in the candidates from number `first` on, by their cosines with `a`, `b` and `c`.
    fn add(&mut self, cosines: [&[f32]; 3], first: usize, objective: Objective) {
        match objective {
            Objective::CosAdd => {
                // Vectors that cancel out are near to nothing.
                let scale = if self.length > 0.0 { 1.0 / self.length } else { 0.0 };
                self.add_scores(cosines, first, |a, b, c| (b + c - a) * scale);
            }
            Objective::CosMul => {
                let shifted = |cosine: f32| (1.0 + cosine) / 2.0;
                self.add_scores(cosines, first, |a, b, c| shifted(b) * shifted(c) / (shifted(a) + 1e-3));
            }
        }
    }

    fn add_scores(&mut self, [a, b, c]: [&[f32]; 3], first: usize, score: impl Fn(f32, f32, f32) -> f32) {
        let mut bar = self.bar();
        for (at, ((&a, &b), &c)) in a.iter().zip(b).zip(c).enumerate() {
            let hit = Hit { id: first + at, score: score(a, b, c) };
            if hit.score > bar && !self.question.contains(&hit.id) {
                let place = self.best.partition_point(|other| other.score >= hit.score);
                self.best.insert(place, hit);
                self.best.truncate(self.k);
                bar = self.bar();
            }
        }
    }

    /// The score that a candidate must surpass. Candidates come by rising number, so an equal one comes too late.
    fn bar(&self) -> f32 {
        match self.k.checked_sub(1) {
            Some(last) => self.best.get(last).map_or(f32::NEG_INFINITY, |worst| worst.score),
            None => f32::INFINITY,
        }
    }
}

/// Divides a vector by its length; zero stays zero.
pub(super) fn scale_to_unit(vector: &mut [f32]) {
    // In f64 no square of an f32 leaves the range.
    let length = vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
    }
}

/// The inner product, in lanes, which the compiler turns into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let ((a_lanes, a_rest), (b_lanes, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += a * b;
    }
    sums.iter().sum()
}

/// The row of `word`.
///
/// # Errors
/// A word that has no vector, with up to three words that differ from it by case or one edit.
pub(super) fn known(vectors: &WordVectors, word: &str) -> Result<usize> {
    vectors.index(word).ok_or_else(|| {
        let near = near_spellings(vectors.words(), word);
        let hint = if near.is_empty() { String::new() } else { format!("; of nearly this spelling: {near}") };
        Error::config("word", shown(word), format!("it is not among the {} words{hint}", vectors.len())).into()
    })
}

fn near_spellings(words: &[String], word: &str) -> String {
    let letters = |word: &str| word.to_lowercase().chars().collect::<Vec<char>>();
    let wanted = letters(word);
    let near = words.iter().filter(|other| at_most_one_edit(&wanted, &letters(other)));
    near.take(3).map(|word| shown(word)).collect::<Vec<_>>().join(", ")
}

/// Whether a letter put in, left out or changed, or two neighbours swapped, or nothing at all makes one word the other.
fn at_most_one_edit(a: &[char], b: &[char]) -> bool {
    let same_start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same_start..], &b[same_start..]);
    let same_end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    match (&a[..a.len() - same_end], &b[..b.len() - same_end]) {
        ([] | [_], [] | [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::glove::Glove;

    fn vectors(dim: usize, values: Vec<f32>) -> WordVectors {
        WordVectors::new((0..values.len() / dim).map(|i| format!("w{i}")).collect(), dim, values).unwrap()
    }

    fn glove() -> WordVectors {
        let (words, glove) = (Glove::bundled().words(), Glove::bundled());
        let values = words.iter().flat_map(|word| glove.vector(word).unwrap()).copied().collect();
        WordVectors::new(words.iter().map(|word| word.to_string()).collect(), Glove::DIM, values).unwrap()
    }

    fn check(got: &[Answer], want: &[(&str, f32)]) {
        assert_eq!(got.len(), want.len(), "{got:?}");
        for (got, (word, score)) in got.iter().zip(want) {
            assert!(got.word == *word && (got.score - score).abs() < 1e-5, "{got:?}, must be {word} {score}");
        }
    }

    /// gensim 4.4 on the same vectors, but for 3CosMul: its formula with the paper's 0.001 in numpy.
    #[test]
    fn answers_are_the_reference_implementations() {
        let vectors = glove();
        let queries = Queries::new(&vectors);
        let king = ["man", "king", "woman"];
        let add = queries.analogy(king, Objective::CosAdd, 3, None).unwrap();
        check(&add, &[("queen", 0.852_350_8), ("throne", 0.766_431), ("prince", 0.759_269_9)]);
        let mul = queries.analogy(king, Objective::CosMul, 3, None).unwrap();
        check(&mul, &[("queen", 0.927_675_55), ("throne", 0.881_006_9), ("elizabeth", 0.877_680_24)]);
        let berlin = queries.analogy(["france", "paris", "germany"], Objective::CosAdd, 2, Some(2000)).unwrap();
        check(&berlin, &[("moscow", 0.748_095_15), ("german", 0.721_017_1)]);
        let london = queries.neighbours("london", 3, Some(10_000)).unwrap();
        check(&london, &[("sydney", 0.796_134_2), ("opened", 0.788_983_8), ("melbourne", 0.764_634_5)]);
        assert_eq!(queries.odd_one_out(&["breakfast", "cereal", "dinner", "lunch"]).unwrap(), "cereal");
    }

    #[test]
    fn zero_vectors_have_cosine_0_and_lengths_do_not_matter() {
        let vectors = vectors(2, vec![3e38, 3e38, 0.0, 0.0, 1e-44, 0.0, -1.0, -1.0]);
        let queries = Queries::new(&vectors);
        check(&queries.neighbours("w0", 9, None).unwrap(), &[("w2", 0.5f32.sqrt()), ("w1", 0.0), ("w3", -1.0)]);
        check(&queries.neighbours("w1", 9, None).unwrap(), &[("w0", 0.0), ("w2", 0.0), ("w3", 0.0)]);
        assert_eq!(queries.similarity("w1", "w1").unwrap(), 0.0);
        // w0 and w3 cancel out.
        for objective in [Objective::CosAdd, Objective::CosMul] {
            let found = queries.analogy(["w1", "w0", "w3"], objective, 9, None).unwrap();
            assert!(found.len() == 1 && found[0].score.is_finite(), "{found:?}");
        }
    }

    #[test]
    fn equal_vectors_answer_in_the_order_of_the_vocabulary() {
        let vectors = vectors(3, [0.3, -0.7, 0.1].repeat(3000));
        let queries = Queries::new(&vectors);
        let names = |answers: Vec<Answer>| answers.iter().map(|answer| answer.word.to_string()).collect::<Vec<_>>();
        assert_eq!(names(queries.neighbours("w1", 3, None).unwrap()), ["w0", "w2", "w3"]);
        for objective in [Objective::CosAdd, Objective::CosMul] {
            let found = queries.analogy(["w9", "w2", "w0"], objective, 3, None).unwrap();
            assert_eq!(names(found), ["w1", "w3", "w4"]);
        }
        assert_eq!(queries.odd_one_out(&["w7", "w2", "w5"]).unwrap(), "w7");
    }

    #[test]
    fn nothing_is_found_among_nothing() {
        let vectors = vectors(1, vec![1.0, 2.0, -1.0]);
        let queries = Queries::new(&vectors);
        for (k, restrict) in [(0, None), (5, Some(0))] {
            assert_eq!(queries.neighbours("w0", k, restrict).unwrap(), []);
            assert_eq!(queries.analogy(["w0", "w1", "w2"], Objective::CosMul, k, restrict).unwrap(), []);
        }
        assert_eq!(queries.nearest(&[f32::NAN], 5, None), [[]]);
        assert!(queries.nearest(&[], 5, None).is_empty());
    }

    #[test]
    fn an_unknown_word_is_named_with_near_spellings() {
        let vectors = glove();
        let queries = Queries::new(&vectors);
        let error = queries.similarity("london", "Kingg").unwrap_err().to_string();
        assert!(error.contains("word = 'Kingg'") && error.contains("'king', 'kings'"), "{error}");
        let error = queries.neighbours("qqzzqqzz", 1, None).unwrap_err().to_string();
        assert!(error.contains("not among the 40000 words") && !error.contains("spelling"), "{error}");
        let error = queries.odd_one_out(&["man", "woman"]).unwrap_err().to_string();
        assert!(error.contains("at least three"), "{error}");
    }

    #[test]
    fn edits_are_counted() {
        let near = |a: &str, b: &str| at_most_one_edit(&Vec::from_iter(a.chars()), &Vec::from_iter(b.chars()));
        for (a, b) in
            [("", ""), ("", "a"), ("cat", "cat"), ("cat", "cast"), ("cat", "cut"), ("cat", "act"), ("aa", "aaa")]
        {
            assert!(near(a, b) && near(b, a), "{a} {b}");
        }
        for (a, b) in [("", "ab"), ("cat", "tac"), ("cat", "c"), ("abcd", "badc"), ("house", "hose!")] {
            assert!(!near(a, b) && !near(b, a), "{a} {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The definitions, literally: every score in f64, sorted stably.
        #[test]
        fn all_answers_are_those_of_the_definitions(
            dim in 1_usize..40, words in 3_usize..2600, k in 0_usize..8, seed in 0_u32..1000, restrict in 1_usize..3000,
        ) {
            let number = |i: u32| ((i ^ seed).wrapping_mul(2_654_435_761) >> 16) as f32 / 32_768.0 - 1.0;
            let vectors = vectors(dim, (0..(words * dim) as u32).map(number).collect());
            let queries = Queries::new(&vectors);
            let unit = |row: usize| {
                let length = vectors.row(row).iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
                vectors.row(row).iter().map(|&v| f64::from(v) / length).collect::<Vec<f64>>()
            };
            let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let [a, b, c] = [0, words / 2, words - 1].map(unit);
            let sum: Vec<f64> = (0..dim).map(|i| b[i] + c[i] - a[i]).collect();
            let length = cosine(&sum, &sum).sqrt();
            prop_assume!(length > 1e-2);
            let shifted = |x: &[f64], d: &[f64]| (1.0 + cosine(x, d)) / 2.0;
            let add = |d: &[f64]| cosine(&sum, d) / length;
            let mul = |d: &[f64]| shifted(&b, d) * shifted(&c, d) / (shifted(&a, d) + 1e-3);
            let best = |score: &dyn Fn(&[f64]) -> f64, left_out: &[usize]| {
                let rows = (0..words.min(restrict)).filter(|row| !left_out.contains(row));
                let mut scores: Vec<f64> = rows.map(|row| score(&unit(row))).collect();
                scores.sort_by(|a, b| b.total_cmp(a));
                scores.truncate(k);
                scores
            };
            let question = ["w0".to_string(), format!("w{}", words / 2), format!("w{}", words - 1)];
            let [wa, wb, wc] = question.each_ref().map(String::as_str);
            let left_out = [0, words / 2, words - 1];
            let scores = |answers: Vec<Answer>| answers.iter().map(|a| f64::from(a.score)).collect::<Vec<f64>>();
            let restrict = Some(restrict);
            for (got, want) in [
                (queries.analogy([wa, wb, wc], Objective::CosAdd, k, restrict).unwrap(), best(&add, &left_out)),
                (queries.analogy([wa, wb, wc], Objective::CosMul, k, restrict).unwrap(), best(&mul, &left_out)),
                (queries.neighbours(wa, k, restrict).unwrap(), best(&|d| cosine(&a, d), &[0])),
                (queries.nearest(vectors.row(0), k, restrict).remove(0), best(&|d| cosine(&a, d), &[])),
            ] {
                let got = scores(got);
                prop_assert_eq!(got.len(), want.len());
                // 3CosMul divides by as little as 0.001.
                let close = got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 2e-3 * (0.1 + w.abs()));
                prop_assert!(close, "{:?} {:?}", got, want);
            }
        }
    }
}
