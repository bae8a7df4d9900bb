//! Golden fixtures: the tokenizer and the metrics of the COCO caption evaluation.

use std::io::Write;
use std::path::Path;

use sensorium_captioning::metrics::{
    Example, Meteor, Score, bleu, cider_d, coco_tokens_all, rouge_l, tokenize_all, tokenized,
};
use sensorium_core::testing::golden::{Fixture, owned_by};
use serde_json::Value;

fn fixtures(family: &str) -> Vec<Fixture> {
    let mut all = owned_by("sensorium-captioning", env!("CARGO_MANIFEST_DIR"));
    all.retain(|fixture| fixture.family == family);
    assert!(!all.is_empty(), "no fixture of the family {family}");
    all
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_string()).collect()
}

#[test]
fn golden_ptb_tokenizer() {
    for fixture in fixtures("ptb_tokenizer") {
        let cases = fixture.meta["cases"].as_array().unwrap();
        let lines: Vec<&str> = cases.iter().map(|case| case["raw"].as_str().unwrap()).collect();
        let (lower, original) = (tokenize_all(&lines, true), tokenize_all(&lines, false));
        let coco = coco_tokens_all(&lines);
        for (place, case) in cases.iter().enumerate() {
            assert_eq!(lower[place], texts(&case["tokens"]), "{}", case["raw"]);
            assert_eq!(original[place], texts(&case["original_case"]), "{}", case["raw"]);
            assert_eq!(coco[place], case["coco"].as_str().unwrap(), "{}", case["raw"]);
        }
    }
}

fn near(what: &str, metric: &str, score: &Score, want: &Value, tolerance: f64) {
    let close = |got: f64, want: &Value| (got - want.as_f64().unwrap()).abs() <= tolerance;
    assert!(close(score.corpus, &want["corpus"]), "{what}: {metric} {} {}", score.corpus, want["corpus"]);
    let per_image = want["per_image"].as_array().unwrap();
    assert_eq!(score.per_image.len(), per_image.len(), "{what}: {metric}");
    for (place, (got, want)) in score.per_image.iter().zip(per_image).enumerate() {
        assert!(close(*got, want), "{what}: {metric} of image {place}: {got} {want}");
    }
}

fn check(what: &str, examples: &[Example], want: &Value) {
    let near = |metric: &str, score: &Score| near(what, metric, score, &want[metric], 1e-9);
    for (n, score) in (1..).zip(&bleu(examples)) {
        near(&format!("BLEU-{n}"), score);
    }
    near("ROUGE-L", &rouge_l(examples));
    near("CIDEr", &cider_d(examples));
}

#[test]
fn golden_metrics() {
    for fixture in fixtures("caption_metrics") {
        let meta = &fixture.meta;
        let of = |references: &Value, hypotheses: &Value, change: fn(String) -> String| -> Vec<Example> {
            let ids = texts(&meta["image_ids_in_order"]);
            let example = |id: String| Example {
                references: texts(&references[&id]).into_iter().map(change).collect(),
                hypothesis: change(hypotheses[&id].as_str().unwrap().to_string()),
                id,
            };
            ids.into_iter().map(example).collect()
        };
        let raw = of(&meta["references"], &meta["hypotheses"], |text| text);
        let told = of(&meta["tokenized_references"], &meta["tokenized_hypotheses"], |text| text);
        let tokens = tokenized(&raw);
        for (got, want) in tokens.iter().zip(&told) {
            assert_eq!((&got.references, &got.hypothesis), (&want.references, &want.hypothesis), "{}", got.id);
        }
        check("tokenized", &tokens, &meta["scores_with_ptb_tokenizer"]);
        check("raw", &raw, &meta["scores_raw_split_only"]);
        let lower = |text: String| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        let lowered = of(&meta["references"], &meta["hypotheses"], lower);
        check("lower case", &lowered, &meta["scores_lowercase_split_only"]);
        for case in meta["edge_cases_no_tokenizer"].as_array().unwrap() {
            let pair = |(id, pair): (usize, &Value)| Example {
                id: id.to_string(),
                references: texts(&pair["refs"]),
                hypothesis: pair["hyp"].as_str().unwrap().to_string(),
            };
            let pairs: Vec<Example> = case["pairs"].as_array().unwrap().iter().enumerate().map(pair).collect();
            check(case["name"].as_str().unwrap(), &pairs, &case["scores"]);
        }
    }
}

/// Words and stems, and all stages with tables of our own, as METEOR's jar has them.
#[test]
fn golden_meteor() {
    let mut found = owned_by("sensorium-captioning", env!("CARGO_MANIFEST_DIR"));
    found.retain(|fixture| fixture.family == "meteor");
    // A folder of larger fixtures need not have this one.
    assert!(!found.is_empty() || std::env::var_os("SENSORIUM_GOLDEN_DIR").is_some(), "no fixture of METEOR");
    for fixture in found {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in fixture.meta["data"].as_object().unwrap() {
            let (path, text) = (folder.path().join(name), text.as_str().unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match name.as_str() {
                "paraphrase-en" => pack(&path.with_extension("gz"), text),
                _ => std::fs::write(&path, text).unwrap(),
            }
        }
        let (words, all) = (Meteor::new(), Meteor::with_data(folder.path()).unwrap());
        let tolerance = fixture.meta["tolerance"].as_f64().unwrap();
        for case in fixture.meta["cases"].as_array().unwrap() {
            let stages = texts(&case["stages"]);
            let meteor = if stages.len() == 2 { &words } else { &all };
            assert_eq!(meteor.stages(), stages);
            let examples: Vec<Example> = texts(&case["hypotheses"])
                .into_iter()
                .zip(case["references"].as_array().unwrap())
                .map(|(hypothesis, of)| Example { id: String::new(), references: texts(of), hypothesis })
                .collect();
            let what = format!("{} with {}", case["name"], stages.join(", "));
            near(&what, "METEOR", &meteor.score(&examples), &case["scores"], tolerance);
        }
    }
}

fn pack(path: &Path, text: &str) {
    let mut packed = flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap();
}

/// The published metric, where `SENSORIUM_METEOR_DIR` names a folder with METEOR's own data.
#[test]
fn golden_meteor_with_its_data() {
    let Some(folder) = std::env::var_os("SENSORIUM_METEOR_DIR") else { return };
    let meteor = Meteor::with_data(Path::new(&folder)).unwrap();
    for fixture in fixtures("caption_metrics") {
        let meta = &fixture.meta;
        let example = |id: String| Example {
            references: texts(&meta["tokenized_references"][&id]),
            hypothesis: meta["tokenized_hypotheses"][&id].as_str().unwrap().to_string(),
            id,
        };
        let examples: Vec<Example> = texts(&meta["image_ids_in_order"]).into_iter().map(example).collect();
        let want = &meta["scores_with_ptb_tokenizer"]["METEOR"];
        near("its data", "METEOR", &meteor.score(&examples), want, meta["tolerance"]["METEOR"].as_f64().unwrap());
    }
}
