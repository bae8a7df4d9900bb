//! Measures of a space on pairs that it did not learn from.

use sensorium_core::metrics::{self, Gold, Retrieval, Ties};
use serde::Serialize;

use super::arithmetic::scores;
use super::features::Matrix;
use super::fit::{Lesson, RidgeSettings};
use super::pairs::Pairs;
use super::protocol::TagScores;
use super::ridge::MAX_PICTURES;
use super::space::{Origin, Space, TowerSettings};
use crate::Result;

/// The gallery of COCO's "1k" protocol, in pictures.
const SMALL_GALLERY: usize = 1000;

/// What [`evaluate`] found.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Pictures that were searched for and by.
    pub pictures: usize,
    /// Captions likewise.
    pub captions: usize,
    /// Both directions over all pictures (COCO's "5k" protocol, where there are 5,000). Ties go to the lower index.
    pub retrieval: Retrieval,
    /// The sum of the six recalls.
    pub rsum: f64,
    /// The mean over consecutive galleries of 1,000 pictures, where there are that many.
    pub retrieval_1k: Option<Retrieval>,
    /// Recall at 1, 5 and 10 of a search that guesses, words to pictures, in percent.
    pub chance: [f64; 3],
    /// The run's tags, over the pictures that have one.
    pub tags: Option<TagScores>,
}

/// Measures `space` on the pairs `rows`: both directions of search, and tags. `features` are those of all `pairs`.
///
/// # Errors
/// If an embedding is not finite.
///
/// # Panics
/// If `rows` is empty or out of range.
pub fn evaluate(space: &Space, pairs: &Pairs, features: &Matrix, rows: &[usize]) -> Result<Evaluation> {
    let images = space.embed_features(&features.select(rows));
    let mut captions: Vec<&str> = Vec::new();
    let gold = rows.iter().map(|i| {
        let first = captions.len() as u32;
        captions.extend(pairs.items[*i].captions.iter().map(String::as_str));
        (first..captions.len() as u32).collect()
    });
    let gold: Vec<Vec<u32>> = gold.collect();
    let gold = Gold::from_lists(&gold, captions.len())?;
    let texts = space.embed_texts(&captions);
    let ranks = metrics::ranks(&images.values, &texts.values, images.width, &gold, Ties::default())?;
    let retrieval = ranks.retrieval()?;
    let small = rows.len() >= SMALL_GALLERY;
    let folded = || metrics::folded(&images.values, &texts.values, images.width, &gold, SMALL_GALLERY, Ties::default());
    Ok(Evaluation {
        pictures: rows.len(),
        captions: captions.len(),
        rsum: retrieval.rsum(),
        retrieval,
        retrieval_1k: small.then(folded).transpose()?,
        chance: [1, 5, 10].map(|k| 100.0 * k.min(rows.len()) as f64 / rows.len() as f64),
        tags: tag_scores(space, pairs, rows, &images)?,
    })
}

/// What a closed-form solver gives on the pairs that a space is measured on.
#[derive(Debug, Clone, Serialize)]
pub struct Baseline {
    /// The solver.
    pub name: &'static str,
    /// Its measures.
    #[serde(flatten)]
    pub found: Evaluation,
}

/// What ridge regression learns from `lesson`, with the features of `space`, and gives on the pairs `rows`: with kernels,
/// or the plain linear one where `space` is itself of kernels. `None` where `lesson` is empty or too large for it.
///
/// # Errors
/// If no word of the lesson has a GloVe vector, or as [`evaluate`].
///
/// # Panics
/// As [`evaluate`].
pub fn baseline(space: &Space, lesson: Lesson, rows: &[usize]) -> Result<Option<Baseline>> {
    if !(1..=MAX_PICTURES).contains(&lesson.train.len()) {
        return Ok(None);
    }
    let settings = space.settings();
    let (name, solver) = match settings.towers {
        TowerSettings::Sgd(_) => ("kernel ridge", RidgeSettings::kernel()),
        TowerSettings::Ridge { .. } => ("linear ridge", RidgeSettings::linear()),
    };
    let origin = Origin {
        data: settings.data.clone(),
        seed: settings.seed,
        features: settings.features.clone(),
        tags: settings.tags.clone(),
    };
    let found = evaluate(&solver.fit(lesson, origin, space.device())?, lesson.pairs, lesson.features, rows)?;
    Ok(Some(Baseline { name, found }))
}

fn tag_scores(space: &Space, pairs: &Pairs, rows: &[usize], images: &Matrix) -> Result<Option<TagScores>> {
    let tags = &space.settings().tags;
    let number = |tag: &String| tags.iter().position(|known| known == tag).map(|n| n as u32);
    let lists: Vec<Vec<u32>> = rows.iter().map(|i| pairs.items[*i].tags.iter().filter_map(number).collect()).collect();
    if lists.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let gold = Gold::from_lists(&lists, tags.len())?;
    let scores = scores(images, &space.embed_texts(tags));
    Ok(Some(TagScores::of(&scores, &gold)?))
}
