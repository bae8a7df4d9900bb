//! Golden fixtures of retrieval measures: ranks and recalls as in VSE++'s evaluation, under every tie rule.

use sensorium_core::metrics::{Gold, Ranks, Recall, Ties, ranks, ranks_from_scores};
use sensorium_core::testing::golden::{Fixture, owned_by};
use serde_json::Value;

const RULES: [(&str, Ties); 3] = [
    ("lowest_index_first", Ties::LowestIndexFirst),
    ("optimistic", Ties::Optimistic),
    ("pessimistic", Ties::Pessimistic),
];

#[test]
fn golden_retrieval() {
    let mut fixtures = owned_by("sensorium-core", env!("CARGO_MANIFEST_DIR"));
    fixtures.retain(|fixture| fixture.family == "retrieval");
    assert!(!fixtures.is_empty(), "no fixture of retrieval");
    for fixture in &fixtures {
        let [images, texts] = fixture.shape("sims")[..] else { panic!("{}: sims is no matrix", fixture.name) };
        let sims = fixture.f32s("sims");
        // Text j belongs to image j / 5.
        let gold = Gold::grouped(images, texts / images);
        for (rule, ties) in RULES {
            check(fixture, rule, &ranks_from_scores(&sims, &gold, ties).unwrap());
            // The same scores as inner products: rows of the matrix against unit vectors.
            check(fixture, rule, &ranks(&sims, &identity(texts), texts, &gold, ties).unwrap());
        }
    }
}

fn check(fixture: &Fixture, rule: &str, got: &Ranks) {
    let what = format!("{}: {rule}", fixture.name);
    for (direction, ranks) in [("i2t", &got.i2t), ("t2i", &got.t2i)] {
        let ranks: Vec<i64> = ranks.iter().map(|rank| i64::from(rank.expect("every query has gold"))).collect();
        assert_eq!(ranks, fixture.ints(&format!("{direction}_rank.{rule}")), "{what}: {direction}");
    }
    let want = &fixture.meta["results"][rule];
    let within = fixture.meta["tolerance"]["percent"].as_f64().expect("a tolerance");
    let both = got.retrieval().unwrap();
    let close = |got: f64, want: &Value, measure: &str| {
        let want = want.as_f64().unwrap_or_else(|| panic!("{what}: no {measure}"));
        assert!((got - want).abs() <= within, "{what}: {measure} is {got} but must be {want}");
    };
    for (direction, Recall { r1, r5, r10, median_rank, mean_rank }) in [("i2t", both.i2t), ("t2i", both.t2i)] {
        let measures = [("r1", r1), ("r5", r5), ("r10", r10), ("medr", median_rank), ("meanr", mean_rank)];
        for (measure, value) in measures {
            close(value, &want[direction][measure], &format!("{direction} {measure}"));
        }
    }
    close(both.rsum(), &want["rsum"], "rsum");
}

fn identity(size: usize) -> Vec<f32> {
    (0..size * size).map(|at| f32::from(u8::from(at % (size + 1) == 0))).collect()
}
