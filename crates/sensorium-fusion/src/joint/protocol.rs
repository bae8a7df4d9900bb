//! The five-fold protocol on the bundled emoji: what is asked of a joint space, and how it is counted.
//!
//! Concepts are dealt into folds; a space learns from Google's drawings of the other folds alone. Ties go to the lower
//! index. Galleries and queries are base emoji (no skin variants) unless said otherwise.
//!
//! - **held-out concepts**: names and drawings of the fold's own base emoji, found by each other; and the same names in
//!   the gallery of all 1,906 base drawings.
//! - **held-out style**: Twitter's drawings of the training concepts, each asked for its name among all 1,906; by the
//!   space alone, by the nearest of Google's training drawings, by both, and by both with hubs corrected: names and
//!   drawings that are near to much of the style count less (CSLS, Conneau et al. 2018, §2.3, over all base drawings of
//!   the style, without their names).
//! - **tags**: keywords of at least ten base emoji, ranked for each held-out base drawing that has one: the share with
//!   a right tag first and among the first five, and the mean over tags of the average precision over drawings.
//! - **arithmetic**: a held-out Google drawing minus `man` plus `woman` (or the reverse) must find its counterpart
//!   among all 3,781 Google drawings but itself; the same for light and dark skin tone.

use std::collections::{HashMap, HashSet};

use sensorium_core::metrics::{self, Gold, Recall, Ties};
use serde::Serialize;

use super::arithmetic::{self, Move, scores};
use super::emoji::Emoji;
use super::features::Matrix;
use crate::Result;

/// How often a tag must occur among the base emoji to be asked for.
const MIN_TAG_USES: usize = 10;
/// The weight of the nearest drawing's name beside the space's own score.
pub const NEAREST_WEIGHT: f32 = 1.0;
/// How many of its nearest drawings say whether something is a hub: CSLS's K.
const HUB_NEIGHBOURS: usize = 10;

/// The questions, independent of any space.
pub struct Protocol {
    set: &'static Emoji,
    /// The base emoji.
    base: Vec<usize>,
    /// The place in `base` of each item's base emoji.
    base_of: Vec<usize>,
    tags: Vec<&'static str>,
    /// The tags of each item, by number.
    tags_of: Vec<Vec<u32>>,
    changes: Vec<Change>,
}

/// A change that arithmetic makes.
struct Change {
    name: &'static str,
    from: &'static str,
    to: &'static str,
    /// Item, counterpart, and +1 for `from` to `to` or −1 for the reverse.
    pairs: Vec<(usize, usize, f32)>,
}

/// The items of one fold: what is learned from, what is asked.
pub struct Fold {
    /// Items of the training concepts.
    pub train: Vec<usize>,
    /// Items of the held-out concepts.
    pub test: Vec<usize>,
}

/// The embeddings that a method gives to the whole set.
pub struct Embedded<'a> {
    /// Google's drawings, a row an item, of length 1.
    pub google: &'a Matrix,
    /// Twitter's drawings, likewise.
    pub twitter: &'a Matrix,
    /// Any texts, likewise.
    pub texts: &'a dyn Fn(&[&str]) -> Matrix,
}

/// What raw features say of a fold, the same beside every space.
pub struct RawFeatures {
    /// Google's drawings, a row an item: standardised features at length 1.
    google: Matrix,
    /// For Twitter's drawing of each training concept, the best cosine with a training drawing of each name, of any skin
    /// tone; −1 for the names of held-out concepts.
    style: Vec<f32>,
    /// The same with hubs corrected.
    style_csls: Vec<f32>,
}

/// Answers to all questions of one fold, in percent but for the ranks.
#[derive(Debug, Clone, Serialize)]
pub struct Answers {
    /// Held-out names find their drawings.
    pub text_to_image: Recall,
    /// Held-out drawings find their names.
    pub image_to_text: Recall,
    /// Held-out names find their drawings among all base drawings.
    pub text_to_all_images: Recall,
    /// Twitter's drawings find their names, by the space alone.
    pub style: Recall,
    /// Twitter's drawings find their names, by the space and the nearest training drawing together.
    pub style_with_nearest: Recall,
    /// The same with hubs corrected over the style's drawings, which takes them all at once but no name of theirs.
    pub style_with_nearest_csls: Recall,
    /// Tags of held-out drawings.
    pub tags: TagScores,
    /// Man and woman.
    pub gender: Arithmetic,
    /// Light and dark skin tone.
    pub tone: Arithmetic,
}

/// What raw features alone answer; see [`Answers`] for the questions.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Answers")]
pub struct NearestAnswers {
    pub text_to_image: Recall,
    pub image_to_text: Recall,
    pub style: Recall,
    pub tags: TagScores,
    pub gender: Recall,
    pub tone: Recall,
}

/// How well tags are ranked.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TagScores {
    /// Drawings whose first tag is right.
    pub hit1: f64,
    /// Drawings with a right tag among the first five.
    pub hit5: f64,
    /// Mean average precision over tags.
    pub map: f64,
}

impl TagScores {
    /// Of scores `[pictures, tags]`.
    ///
    /// # Errors
    /// If a score is NaN or no picture has a tag.
    pub fn of(scores: &[f32], gold: &Gold) -> Result<Self> {
        Ok(Self {
            hit1: metrics::hit_at_k(scores, gold, 1, Ties::default())?,
            hit5: metrics::hit_at_k(scores, gold, 5, Ties::default())?,
            map: metrics::map_over_tags(scores, gold, Ties::default())?,
        })
    }
}

/// The lengths of the text offsets.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Scales {
    /// For man and woman.
    pub gender: f32,
    /// For light and dark skin tone.
    pub tone: f32,
}

/// How well arithmetic finds counterparts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Arithmetic {
    /// The scale, chosen on a validation part.
    pub scale: f32,
    /// With the text offset.
    pub found: Recall,
    /// Without it: the drawing itself as the query.
    pub without: Recall,
}

impl Protocol {
    /// The questions on the bundled set.
    pub fn new() -> Self {
        let set = Emoji::bundled();
        let base: Vec<usize> = (0..set.items.len()).filter(|i| set.items[*i].base).collect();
        let place: HashMap<&str, usize> =
            base.iter().enumerate().map(|(place, i)| (set.items[*i].code.as_str(), place)).collect();
        let base_of = set.items.iter().map(|item| place[item.base_code()]).collect();
        let mut uses: HashMap<&str, usize> = HashMap::new();
        for tag in base.iter().flat_map(|i| &set.items[*i].tags) {
            *uses.entry(tag).or_default() += 1;
        }
        let mut tags: Vec<&str> = uses.into_iter().filter(|(_, n)| *n >= MIN_TAG_USES).map(|(tag, _)| tag).collect();
        tags.sort_unstable();
        let number = |tag: &String| tags.binary_search(&tag.as_str()).ok().map(|n| n as u32);
        let tags_of = set.items.iter().map(|item| item.tags.iter().filter_map(number).collect()).collect();
        let changes = [("gender", "man", "woman"), ("tone", "light skin tone", "dark skin tone")];
        let changes = changes.map(|(name, from, to)| Change { name, from, to, pairs: both_ways(set, from, to) });
        Self { set, base, base_of, tags, tags_of, changes: changes.into() }
    }

    /// The set that is asked about.
    pub fn set(&self) -> &'static Emoji {
        self.set
    }

    /// The tags that are asked for.
    pub fn tags(&self) -> &[&'static str] {
        &self.tags
    }

    /// The base items among `items`.
    fn base_among(&self, items: &[usize]) -> Vec<usize> {
        items.iter().copied().filter(|i| self.set.items[*i].base).collect()
    }

    fn names(&self, items: &[usize]) -> Vec<&str> {
        items.iter().map(|i| self.set.items[*i].name.as_str()).collect()
    }

    /// What raw features say of `fold`: the standardised features of Google's and of Twitter's drawings, a row an item, at
    /// length 1.
    pub fn raw_features(&self, fold: &Fold, google: Matrix, twitter: &Matrix) -> RawFeatures {
        let known = google.select(&fold.train);
        let cosines = scores(&twitter.select(&self.base_among(&fold.train)), &known);
        let style = self.best_of_names(fold, &cosines);
        let hubs = hubness(&twitter.select(&self.base), &known);
        let style_csls = self.best_of_names(fold, &without_hubs(cosines, &hubs));
        RawFeatures { google, style, style_csls }
    }

    /// Of scores with each training drawing, `[queries, drawings]`, the best of each name, −1 for those without one.
    fn best_of_names(&self, fold: &Fold, scores: &[f32]) -> Vec<f32> {
        let mut best = vec![-1.0f32; scores.len() / fold.train.len() * self.base.len()];
        for (best, scores) in best.chunks_exact_mut(self.base.len()).zip(scores.chunks_exact(fold.train.len())) {
            for (item, score) in fold.train.iter().zip(scores) {
                let best = &mut best[self.base_of[*item]];
                *best = best.max(*score);
            }
        }
        best
    }

    /// Puts every question of `fold` to a space. `scales` has the lengths of the text offsets.
    ///
    /// # Errors
    /// If an embedding is not finite.
    pub fn ask(&self, fold: &Fold, space: &Embedded, raw: &RawFeatures, scales: Scales) -> Result<Answers> {
        let test = self.base_among(&fold.test);
        let names = (space.texts)(&self.names(&test));
        let drawings = space.google.select(&test);
        let own = ranks(&drawings, &names, &Gold::paired(test.len()))?;
        let all_names = (space.texts)(&self.names(&self.base));
        let all = space.google.select(&self.base);
        let places: Vec<u32> = test.iter().map(|i| self.base_of[*i] as u32).collect();
        let among_all = ranks(&names, &all, &one_each(&places, self.base.len())?)?;

        let learned = self.base_among(&fold.train);
        let gold: Vec<u32> = learned.iter().map(|i| self.base_of[*i] as u32).collect();
        let gold = one_each(&gold, self.base.len())?;
        let alone = scores(&space.twitter.select(&learned), &all_names);
        let style = metrics::ranks_from_scores(&alone, &gold, Ties::default())?;
        let both = metrics::ranks_from_scores(&fused(&alone, &raw.style), &gold, Ties::default())?;
        let alone = without_hubs(alone, &hubness(&space.twitter.select(&self.base), &all_names));
        let csls = metrics::ranks_from_scores(&fused(&alone, &raw.style_csls), &gold, Ties::default())?;
        Ok(Answers {
            text_to_image: Recall::of(&own.t2i)?,
            image_to_text: Recall::of(&own.i2t)?,
            text_to_all_images: Recall::of(&among_all.i2t)?,
            style: Recall::of(&style.i2t)?,
            style_with_nearest: Recall::of(&both.i2t)?,
            style_with_nearest_csls: Recall::of(&csls.i2t)?,
            tags: self.tag_scores(&test, &scores(&drawings, &(space.texts)(&self.tags)))?,
            gender: self.arithmetic(&self.changes[0], &fold.test, space, scales.gender)?,
            tone: self.arithmetic(&self.changes[1], &fold.test, space, scales.tone)?,
        })
    }

    /// What raw features alone answer, without any space. A name goes to the training name nearest to it by `texts` and
    /// on by that one's drawing; a drawing goes to the training drawing nearest to it and on by that one's name or tags;
    /// a counterpart is the drawing nearest to the query.
    ///
    /// # Errors
    /// If a number is not finite.
    pub fn ask_nearest(
        &self,
        fold: &Fold,
        raw: &RawFeatures,
        texts: &dyn Fn(&[&str]) -> Matrix,
    ) -> Result<NearestAnswers> {
        let (test, learned) = (self.base_among(&fold.test), self.base_among(&fold.train));
        let google = &raw.google;
        let (drawings, known) = (google.select(&test), google.select(&learned));
        let (names, known_names) = (texts(&self.names(&test)), texts(&self.names(&learned)));
        let paired = Gold::paired(test.len());
        let by_name = known.select(&nearest(&names, &known_names));
        let by_drawing_nearest = nearest(&drawings, &known);
        let by_drawing = known_names.select(&by_drawing_nearest);
        let text_to_image = ranks(&drawings, &by_name, &paired)?;
        let image_to_text = ranks(&by_drawing, &names, &paired)?;
        let gold: Vec<u32> = learned.iter().map(|i| self.base_of[*i] as u32).collect();
        let style = metrics::ranks_from_scores(&raw.style, &one_each(&gold, self.base.len())?, Ties::default())?;
        let cosines = scores(&drawings, &known);
        let mut tag_scores = vec![-1.0f32; test.len() * self.tags.len()];
        for (best, cosines) in tag_scores.chunks_exact_mut(self.tags.len()).zip(cosines.chunks_exact(learned.len())) {
            for (item, cosine) in learned.iter().zip(cosines) {
                for tag in &self.tags_of[*item] {
                    best[*tag as usize] = best[*tag as usize].max(*cosine);
                }
            }
        }
        let without = |change: &Change| {
            let moves =
                asked(change, &fold.test).map(|(from, to, _)| Move { from, to, offset: vec![0.0; google.width] });
            arithmetic::found(google, &moves.collect::<Vec<_>>(), 0.0)
        };
        Ok(NearestAnswers {
            text_to_image: Recall::of(&text_to_image.t2i)?,
            image_to_text: Recall::of(&image_to_text.i2t)?,
            style: Recall::of(&style.i2t)?,
            tags: self.tag_scores(&test, &tag_scores)?,
            gender: without(&self.changes[0])?,
            tone: without(&self.changes[1])?,
        })
    }

    /// Scores for tags (`[items, tags]`) against the truth.
    ///
    /// # Errors
    /// If a score is NaN.
    pub fn tag_scores(&self, items: &[usize], scores: &[f32]) -> Result<TagScores> {
        let lists: Vec<Vec<u32>> = items.iter().map(|i| self.tags_of[*i].clone()).collect();
        TagScores::of(scores, &Gold::from_lists(&lists, self.tags.len())?)
    }

    /// What ranking tags by how often training drawings have them scores.
    ///
    /// # Errors
    /// Never with a fold of the set.
    pub fn tag_prior(&self, fold: &Fold) -> Result<TagScores> {
        let mut counts = vec![0.0f32; self.tags.len()];
        for tag in self.base_among(&fold.train).iter().flat_map(|i| &self.tags_of[*i]) {
            counts[*tag as usize] += 1.0;
        }
        let test = self.base_among(&fold.test);
        self.tag_scores(&test, &counts.repeat(test.len()))
    }

    /// The scales of the text offsets, one a change, that serve best on `items`: a validation part.
    ///
    /// # Errors
    /// If an embedding is not finite, or no item has a counterpart.
    pub fn best_scales(&self, items: &[usize], space: &Embedded) -> Result<Scales> {
        let of = |change: &Change| arithmetic::best_scale(space.google, &moves(change, items, space));
        Ok(Scales { gender: of(&self.changes[0])?, tone: of(&self.changes[1])? })
    }

    fn arithmetic(&self, change: &Change, items: &[usize], space: &Embedded, scale: f32) -> Result<Arithmetic> {
        let moves = moves(change, items, space);
        Ok(Arithmetic {
            scale,
            found: arithmetic::found(space.google, &moves, scale)?,
            without: arithmetic::found(space.google, &moves, 0.0)?,
        })
    }

    /// The names of the changes that arithmetic is asked for, with the words taken away and added.
    pub fn changes(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        self.changes.iter().map(|change| (change.name, change.from, change.to))
    }
}

impl Default for Protocol {
    fn default() -> Self {
        Self::new()
    }
}

/// The pairs of a change whose query is among `items`.
fn asked<'a>(change: &'a Change, items: &[usize]) -> impl Iterator<Item = (usize, usize, f32)> + use<'a> {
    let items: HashSet<usize> = items.iter().copied().collect();
    change.pairs.iter().copied().filter(move |(item, ..)| items.contains(item))
}

fn moves(change: &Change, items: &[usize], space: &Embedded) -> Vec<Move> {
    let words = (space.texts)(&[change.from, change.to]);
    let offset = |sign: f32| words.row(1).iter().zip(words.row(0)).map(|(to, from)| sign * (to - from)).collect();
    asked(change, items).map(|(from, to, sign)| Move { from, to, offset: offset(sign) }).collect()
}

/// The row of `base` nearest to each query.
fn nearest(queries: &Matrix, base: &Matrix) -> Vec<usize> {
    let hits = metrics::top_k(&queries.values, &base.values, base.width, 1);
    hits.into_iter().map(|hits| hits[0].id).collect()
}

/// Each item with its counterpart, once from `from` to `to` and once back.
fn both_ways(set: &Emoji, from: &str, to: &str) -> Vec<(usize, usize, f32)> {
    let forth = set.counterparts(from, to).into_iter().map(|(a, b)| (a, b, 1.0));
    let back = set.counterparts(to, from).into_iter().map(|(a, b)| (a, b, -1.0));
    let same_concept = |(a, b, _): &(usize, usize, f32)| set.items[*a].group == set.items[*b].group;
    forth.chain(back).filter(same_concept).collect()
}

/// Scores by the space and by the nearest drawing together.
fn fused(alone: &[f32], near: &[f32]) -> Vec<f32> {
    alone.iter().zip(near).map(|(space, near)| space + NEAREST_WEIGHT * near).collect()
}

/// For each of `candidates`, the mean of its highest cosines with `queries`: CSLS's r.
fn hubness(queries: &Matrix, candidates: &Matrix) -> Vec<f32> {
    let nearest = metrics::top_k(&candidates.values, &queries.values, queries.width, HUB_NEIGHBOURS);
    nearest.into_iter().map(|hits| hits.iter().map(|hit| hit.score).sum::<f32>() / hits.len() as f32).collect()
}

/// Scores (`[queries, candidates]`) less half the candidates' [`hubness`]: CSLS over two, but for a query's own term,
/// which orders nothing.
fn without_hubs(mut scores: Vec<f32>, hubs: &[f32]) -> Vec<f32> {
    for row in scores.chunks_exact_mut(hubs.len()) {
        row.iter_mut().zip(hubs).for_each(|(score, hub)| *score -= 0.5 * hub);
    }
    scores
}

/// One gold column for each row.
fn one_each(gold: &[u32], columns: usize) -> Result<Gold> {
    let starts: Vec<usize> = (0..=gold.len()).collect();
    Ok(Gold::from_csr(&starts, gold, columns)?)
}

fn ranks(rows: &Matrix, columns: &Matrix, gold: &Gold) -> Result<metrics::Ranks> {
    Ok(metrics::ranks(&rows.values, &columns.values, rows.width, gold, Ties::default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_loses_to_the_name_that_one_drawing_alone_is_near_to() {
        // Three drawings. The first name is near to all of them; the second to the second drawing only, by a little less.
        let drawings = Matrix { values: vec![1.0, 0.0, 0.0, 0.6, 0.8, 0.0, 0.6, 0.0, 0.8], width: 3 };
        let names = Matrix { values: vec![1.0, 0.0, 0.0, 0.0, 0.7, 0.0], width: 3 };
        let plain = scores(&drawings, &names);
        assert!(plain[2] > plain[3]);
        let hubs = hubness(&drawings, &names);
        assert!((hubs[0] - (1.0 + 0.6 + 0.6) / 3.0).abs() < 1e-6 && (hubs[1] - 0.56 / 3.0).abs() < 1e-6, "{hubs:?}");
        let fair = without_hubs(plain, &hubs);
        assert!(fair[2] < fair[3] && fair[0] > fair[1] && fair[4] > fair[5], "{fair:?}");
    }
}
