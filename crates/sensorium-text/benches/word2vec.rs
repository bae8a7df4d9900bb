//! word2vec on a made text of Zipf's law: words a second of training. `benches/peers/word2vec.py` compares whole calls
//! with word2vec.c, gensim and fastText on a real one.
//!
//! `cargo xtask bench word2vec`

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sensorium_text::word2vec::{Corpus, CorpusBuilder, Model, Objective, Settings, Trainer};

const WORDS: u64 = 400_000;
const TYPES: f64 = 50_000.0;

/// Sentences of 25 words; the word of rank r has a probability of about 1 / r.
fn corpus(folder: &std::path::Path) -> Corpus {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut builder = CorpusBuilder::new(folder).expect("a folder to write to");
    for _ in 0..WORDS / 25 {
        let sentence: Vec<String> =
            (0..25).map(|_| format!("w{:.0}", TYPES.powf(rng.random_range(0.0..1.0)))).collect();
        builder.push(&sentence.join(" ")).expect("room on the disk");
    }
    builder.finish(1).expect("words")
}

fn training(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = corpus(folder.path());
    let mut group = c.benchmark_group("word2vec");
    group.sample_size(10).measurement_time(Duration::from_secs(8)).throughput(Throughput::Elements(WORDS));
    let negatives = Objective::NegativeSampling(5);
    for (name, model, objective, dim) in [
        ("skip-gram_100", Model::SkipGram, negatives, 100),
        ("skip-gram_300", Model::SkipGram, negatives, 300),
        ("cbow_100", Model::Cbow { corrected: true }, negatives, 100),
        ("skip-gram_tree_100", Model::SkipGram, Objective::HierarchicalSoftmax, 100),
    ] {
        let settings = Settings { model, objective, dim, epochs: 1, ..Settings::default() };
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut trainer = Trainer::new(&corpus, settings.clone()).expect("settings in range");
                while trainer.round().expect("it converges") {}
                trainer.progress()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, training);
criterion_main!(benches);
