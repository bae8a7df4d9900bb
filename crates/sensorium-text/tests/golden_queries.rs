//! Golden fixtures of neighbours, analogies and the evaluation of word vectors, computed by gensim.

use sensorium_core::testing::golden::{Fixture, owned_by};
use sensorium_text::vectors::WordVectors;
use sensorium_text::vectors::evaluate::{self, Protocol, SectionScore, read_analogies, read_pairs};
use sensorium_text::vectors::query::{Answer, Objective, Queries};
use serde_json::Value;

/// Nothing is checked without the large folder: the word lists' licences keep this family out of the repository.
#[test]
fn golden_evaluation() {
    for fixture in fixtures("word_evaluation") {
        let words = std::fs::read_to_string(fixture.path("eval_words.txt")).expect("the words");
        let words = words.lines().map(String::from).collect();
        let vectors = vectors(&fixture, words, "vectors_f16");
        let queries = Queries::new(&vectors);
        check_pairs(&fixture, &queries);
        check_analogies(&fixture, &queries);
        check_answers(&fixture, &queries);
    }
}

#[test]
fn golden_neighbours() {
    let fixtures = fixtures("vector_files");
    assert!(!fixtures.is_empty(), "no fixture of the family vector_files");
    for fixture in fixtures {
        let words: Vec<String> = strings(&fixture.meta["config"]["words"]).into_iter().map(String::from).collect();
        let first = words[0].clone();
        let vectors = vectors(&fixture, words, "vectors");
        let queries = Queries::new(&vectors);
        let expected = &fixture.meta["expected"]["most_similar_to_first"];
        check_list(&queries.neighbours(&first, list(expected).len(), None).unwrap(), expected, 1e-5);
    }
}

fn check_pairs(fixture: &Fixture, queries: &Queries) {
    let expected = fixture.meta["expected"].as_object().expect("expectations");
    let within = |measure: &str| number(&fixture.meta["tolerance"][measure]);
    let mut seen = 0;
    for (name, want) in expected.iter().filter(|(name, _)| name.contains(".tsv")) {
        let (file, dummy4unknown) = match name.strip_suffix("_dummy4unknown") {
            Some(file) => (file, true),
            None => (name.as_str(), false),
        };
        let pairs = read_pairs(fixture.path(file)).unwrap();
        let got = evaluate::pairs(queries, &pairs, &Protocol { dummy4unknown, ..Protocol::default() }).unwrap();
        close(got.pearson, &want["pearson"], within("pearson_abs"), name);
        close(got.spearman, &want["spearman"], within("spearman_abs"), name);
        close(got.oov_percent, &want["oov_percent"], 1e-9, name);
        seen += 1;
    }
    assert_eq!(seen, 4, "{}: lists of pairs", fixture.name);
}

fn check_analogies(fixture: &Fixture, queries: &Queries) {
    let sections = read_analogies(fixture.path("eval_analogies.txt")).unwrap();
    for (name, dummy4unknown) in [("analogies", false), ("analogies_dummy4unknown", true)] {
        let want = &fixture.meta["expected"][name];
        let protocol = Protocol { dummy4unknown, ..Protocol::default() };
        let got = evaluate::analogies(queries, &sections, Objective::CosAdd, &protocol);
        let expected = want["sections"].as_object().expect("sections");
        assert_eq!(got.sections.len() + 1, expected.len(), "{name}: sections and their total");
        // One question a section may turn on the order of f32 sums.
        let check = |score: &SectionScore, key: &str, slack: usize| {
            let [correct, questions] = [0, 1].map(|i| number(&expected[key][i]) as usize);
            assert_eq!(score.questions, questions, "{name}: {key}");
            assert!(score.correct.abs_diff(correct) <= slack, "{name}: {key}: {} not {correct}", score.correct);
        };
        got.sections.iter().for_each(|score| check(score, &score.name, 1));
        check(&got.total, "Total accuracy", got.sections.len());
        close(got.total.accuracy(), &want["accuracy"], 0.01, name);
    }
}

fn check_answers(fixture: &Fixture, queries: &Queries) {
    let expected = &fixture.meta["expected"];
    let within = number(&fixture.meta["tolerance"]["similarity_abs"]);
    for (word, want) in expected["most_similar"].as_object().expect("neighbours") {
        check_list(&queries.neighbours(word, list(want).len(), None).unwrap(), want, within);
    }
    let terms = &expected["analogy_example_terms"];
    let (positive, negative) = (strings(&terms["positive"]), strings(&terms["negative"]));
    let want = &expected["analogy_example"];
    let question = [negative[0], positive[0], positive[1]];
    check_list(&queries.analogy(question, Objective::CosAdd, list(want).len(), None).unwrap(), want, within);
    let words = strings(&expected["doesnt_match"]["words"]);
    assert_eq!(queries.odd_one_out(&words).unwrap(), expected["doesnt_match"]["odd"].as_str().expect("a word"));
}

fn check_list(got: &[Answer], want: &Value, within: f64) {
    assert_eq!(got.len(), list(want).len());
    for (got, want) in got.iter().zip(list(want)) {
        assert_eq!(got.word, want[0].as_str().expect("a word"));
        close(f64::from(got.score), &want[1], within, got.word);
    }
}

fn close(got: f64, want: &Value, within: f64, what: &str) {
    let want = number(want);
    assert!((got - want).abs() <= within, "{what}: {got}, must be {want} within {within}");
}

fn fixtures(family: &str) -> Vec<Fixture> {
    let mut mine = owned_by("sensorium-text", env!("CARGO_MANIFEST_DIR"));
    mine.retain(|fixture| fixture.family == family);
    mine
}

fn vectors(fixture: &Fixture, words: Vec<String>, tensor: &str) -> WordVectors {
    WordVectors::new(words, fixture.shape(tensor)[1], fixture.f32s(tensor)).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn strings(value: &Value) -> Vec<&str> {
    list(value).iter().map(|entry| entry.as_str().expect("a string")).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}
