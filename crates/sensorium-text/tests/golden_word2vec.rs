//! Golden fixtures of word2vec.c: its updates, its Huffman trees, its sampling.

use sensorium_core::testing::golden::{Fixture, assert_close, owned_by};
use sensorium_text::word2vec::classic::{Beyond, Tables};
use sensorium_text::word2vec::{Vocabulary, huffman};
use serde_json::Value;

fn fixtures(family: &str) -> Vec<Fixture> {
    let all = owned_by("sensorium-text", env!("CARGO_MANIFEST_DIR")).into_iter();
    let found: Vec<Fixture> = all.filter(|fixture| fixture.family == family).collect();
    assert!(!found.is_empty(), "no fixture of the family {family}");
    found
}

fn integers(list: &Value) -> Vec<u64> {
    list.as_array().expect("a list").iter().map(|n| n.as_u64().expect("a whole number")).collect()
}

fn places(list: &Value) -> Vec<usize> {
    integers(list).into_iter().map(|n| n as usize).collect()
}

fn floats(list: &Value) -> Vec<f32> {
    list.as_array().expect("a list").iter().map(|n| n.as_f64().expect("a number") as f32).collect()
}

/// Each tree of each fixture: its counts, with the codes and nodes expected.
fn trees() -> Vec<Value> {
    let of = |fixture: &Fixture| fixture.meta["expected"].as_array().expect("trees").clone();
    fixtures("huffman").iter().flat_map(of).collect()
}

#[test]
fn golden_huffman() {
    for tree in trees() {
        let counts = integers(&tree["counts"]);
        let paths = huffman::paths(&counts);
        let mut cost = 0;
        for (word, path) in paths.iter().enumerate() {
            let code: String = path.code.iter().map(|branch| char::from(b'0' + branch)).collect();
            assert_eq!(Some(code.as_str()), tree["codes"][word].as_str(), "code of word {word}");
            let nodes: Vec<u64> = path.nodes.iter().map(|node| u64::from(*node)).collect();
            assert_eq!(nodes, integers(&tree["points"][word]), "nodes of word {word}");
            cost += counts[word] * path.code.len() as u64;
        }
        assert_eq!(Some(cost), tree["total_cost"].as_u64());
    }
}

#[test]
fn golden_vocabulary() {
    for fixture in fixtures("vocab_stats") {
        let counts = integers(&fixture.meta["config"]["counts"]);
        let words = counts.iter().enumerate().map(|(word, count)| (word.to_string(), *count));
        let vocabulary = Vocabulary::new(words, 1).unwrap();
        let expected = &fixture.meta["expected"];
        let narrow = |numbers: Vec<f64>| numbers.into_iter().map(|n| n as f32).collect::<Vec<_>>();
        let within = (fixture.meta["tolerance"]["abs"].as_f64().expect("a tolerance"), 0.0);
        let drawn = narrow(vocabulary.negative_probabilities());
        assert_close(&drawn, &floats(&expected["unigram_p"]), within, "probabilities of negatives");
        for (sample, keep) in expected["subsample"].as_object().expect("a list for each threshold") {
            let got = narrow(vocabulary.keep_probabilities(sample.parse().expect("a threshold")));
            assert_close(&got, &floats(&keep["word2vec_c_keep"]), within, sample);
        }
    }
}

#[test]
fn golden_updates() {
    for fixture in fixtures("w2v_updates") {
        for (section, beyond) in [("sgns", Beyond::Exact), ("sgns_clamp6", Beyond::Clamped)] {
            let mut tables = tables(&fixture, "W_out");
            let negatives = fixture.ints("sgns/negatives");
            let drawn = fixture.shape("sgns/negatives")[1];
            let steps = fixture.ints("sgns/input_idx").into_iter().zip(fixture.ints("sgns/positive_idx"));
            let steps = steps.zip(negatives.chunks_exact(drawn)).zip(fixture.f32s("sgns/lr"));
            for (((input, positive), negatives), lr) in steps {
                let negatives: Vec<usize> = negatives.iter().map(|n| *n as usize).collect();
                tables.negative_sampling(input as usize, positive as usize, &negatives, lr, beyond);
            }
            check(&fixture, &tables, [&format!("{section}/W"), &format!("{section}/W_out")]);
        }

        let mut bags = tables(&fixture, "W_out");
        for step in fixture.meta["config"]["cbow_steps"].as_array().expect("steps") {
            let (context, negatives) = (places(&step["context"]), places(&step["negatives"]));
            let positive = step["positive"].as_u64().expect("a word") as usize;
            let lr = step["lr"].as_f64().expect("a rate") as f32;
            bags.continuous_bag_of_words(&context, positive, &negatives, lr, false);
        }
        check(&fixture, &bags, ["cbow/W", "cbow/W_out"]);

        let words = fixture.shape("W")[0];
        let counts = trees().into_iter().map(|tree| integers(&tree["counts"])).find(|counts| counts.len() == words);
        let paths = huffman::paths(&counts.expect("a tree of as many words"));
        let mut tree = tables(&fixture, "hs/syn1_init");
        for step in fixture.meta["config"]["hs_steps"].as_array().expect("steps") {
            let (input, word) = (step[0].as_u64().expect("a word"), step[1].as_u64().expect("a word"));
            let lr = step[2].as_f64().expect("a rate") as f32;
            tree.hierarchical_softmax(input as usize, &paths[word as usize], lr, Beyond::Exact);
        }
        check(&fixture, &tree, ["hs/W", "hs/syn1"]);
    }
}

fn tables(fixture: &Fixture, output: &str) -> Tables {
    Tables::new(fixture.shape("W")[1], fixture.f32s("W"), fixture.f32s(output)).unwrap()
}

fn check(fixture: &Fixture, tables: &Tables, [input, output]: [&str; 2]) {
    let within = (fixture.meta["tolerance"]["abs"].as_f64().expect("a tolerance"), 0.0);
    assert_close(&tables.input, &fixture.f32s(input), within, input);
    assert_close(&tables.output, &fixture.f32s(output), within, output);
}
