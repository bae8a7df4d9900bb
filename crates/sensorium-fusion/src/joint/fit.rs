//! From pairs to a space in closed form, and what every way of fitting shares: texts, tags, the scale for arithmetic.

use std::collections::{BTreeMap, HashMap};

use burn::tensor::Device;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sensorium_text::tokenizer::tokenize;
use serde::{Deserialize, Serialize};

use super::arithmetic::{Move, best_scale};
use super::directions;
use super::features::{Matrix, Standard};
use super::pairs::Pairs;
use super::ridge::{Kernel, KernelRidge};
use super::space::{Origin, Space, TowerSettings, Towers};
use super::words::{Semantics, TextMap};
use crate::Result;

/// The most pairs of captions that the scale for arithmetic is chosen on.
const SCALE_PAIRS: usize = 300;
/// A tag is offered for tagging when at least this many training pictures have it.
const MIN_TAG_USES: usize = 2;

/// Pairs with their image features, and which of them to learn from.
#[derive(Clone, Copy)]
pub struct Lesson<'a> {
    /// The data set.
    pub pairs: &'a Pairs,
    /// The features of all its pictures, as the encoder gives them.
    pub features: &'a Matrix,
    /// The pairs to learn from.
    pub train: &'a [usize],
}

impl<'a> Lesson<'a> {
    /// The captions and the tags' text of the training pairs, by training pair; the text is empty where it has no tags.
    pub(super) fn texts(&self) -> (Vec<&'a [String]>, Vec<String>) {
        let pairs: &'a Pairs = self.pairs;
        let captions = self.train.iter().map(|i| pairs.items[*i].captions.as_slice()).collect();
        let tags = self.train.iter().map(|i| self.pairs.items[*i].tags.join(" ")).collect();
        (captions, tags)
    }

    /// The training pairs by group, as places in the training part.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, i) in self.train.iter().enumerate() {
            groups.entry(&self.pairs.items[*i].group).or_default().push(place);
        }
        groups.into_values().collect()
    }

    /// Fits the text map to the captions and, if wanted, the tags of the training pairs.
    ///
    /// # Errors
    /// If no word of them has a GloVe vector.
    pub fn text_map(&self, semantics: Semantics, with_tags: bool) -> Result<TextMap> {
        let (captions, tags) = self.texts();
        let captions = captions.into_iter().flatten().map(String::as_str);
        let tags = tags.iter().map(String::as_str).filter(|text| with_tags && !text.is_empty());
        TextMap::fit(&captions.chain(tags).collect::<Vec<_>>(), semantics)
    }

    /// The tags that enough training pictures have, the most frequent first.
    pub fn tags(&self) -> Vec<String> {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        for tag in self.train.iter().flat_map(|i| &self.pairs.items[*i].tags) {
            *uses.entry(tag).or_default() += 1;
        }
        let mut tags: Vec<(&str, usize)> = uses.into_iter().filter(|(_, uses)| *uses >= MIN_TAG_USES).collect();
        tags.sort_unstable_by(|(a, a_uses), (b, b_uses)| b_uses.cmp(a_uses).then(a.cmp(b)));
        tags.into_iter().map(|(tag, _)| tag.to_string()).collect()
    }
}

/// Settings of the closed-form solver.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RidgeSettings {
    /// How alike two pictures are.
    pub kernel: Kernel,
    /// The penalty λ.
    pub lambda: f64,
    /// How words become semantic features.
    pub semantics: Semantics,
    /// The weight of the tags' text beside the captions' in what a picture should predict.
    pub tag_weight: f32,
    /// Dimensions of the space: the principal directions of the training texts, each scaled by how well pictures foretell
    /// it. All dimensions of the text map, as they are, where absent: thousands. On the bundled emoji 512 lift pictures
    /// to words and lose a little in tags and arithmetic; an index is then a tenth of the size.
    pub dim: Option<usize>,
}

impl RidgeSettings {
    /// Kernels on pictures and on words; constants chosen on validation parts of the bundled emoji's training folds.
    pub fn kernel() -> Self {
        let kernel = Kernel::Gaussian { gamma: 2.0 };
        Self { kernel, lambda: 0.03, semantics: Semantics::Kernel, tag_weight: 0.5, dim: None }
    }

    /// Plain linear ridge regression onto GloVe vectors and words: the baseline.
    pub fn linear() -> Self {
        Self { kernel: Kernel::Linear, lambda: 0.3, semantics: Semantics::Glove, tag_weight: 0.0, dim: None }
    }

    /// Fits a space: pictures to the mean of their captions' vectors plus `tag_weight` times that of their tags' text,
    /// centred over the training pairs.
    ///
    /// # Errors
    /// If no word has a GloVe vector, or as [`KernelRidge::fit`].
    pub fn fit(&self, lesson: Lesson, origin: Origin, device: &Device) -> Result<Space> {
        let text_map = lesson.text_map(self.semantics, self.tag_weight > 0.0)?;
        let (captions, tags) = lesson.texts();
        let mut captions = mean_captions(&text_map, &captions);
        let mut targets = captions.clone();
        if self.tag_weight > 0.0 {
            let tags = text_map.forward(&tags);
            targets.values.iter_mut().zip(&tags.values).for_each(|(target, tag)| *target += self.tag_weight * tag);
        }
        let mean = centre(&mut captions);
        centre(&mut targets);
        let features = lesson.features.select(lesson.train);
        let standard = Standard::of(&features);
        let features = standard.apply(&features);
        let (images, directions) = match self.dim {
            None => (KernelRidge::fit(self.kernel, self.lambda, &features, &targets)?, None),
            Some(dim) => {
                let (images, directions) = self.reduced(dim, &features, &targets, &captions, &lesson.groups())?;
                (images, Some(directions))
            }
        };
        let dim = directions.as_ref().map_or(text_map.width(), |directions| directions.width);
        let towers = Towers::Ridge { images, mean, directions };
        let config = TowerSettings::Ridge { kernel: self.kernel, dim };
        Ok(Space::new(origin, text_map, standard, config, towers, device))
    }

    /// The regression onto principal directions, and these. A direction that pictures foretell badly says little of them
    /// but counts as much in a cosine as any other. So each is divided by the square root of its error's deviation, the
    /// error being that on pictures whose concept was left out.
    fn reduced(
        &self,
        dim: usize,
        features: &Matrix,
        targets: &Matrix,
        captions: &Matrix,
        groups: &[Vec<usize>],
    ) -> Result<(KernelRidge, Matrix)> {
        let mut directions = directions::principal(targets, dim);
        let reduced = directions::project(targets, &directions);
        let (images, foretold) = KernelRidge::fit_leaving_out(self.kernel, self.lambda, features, &reduced, groups)?;
        let said = directions::project(captions, &directions);
        let rows = captions.rows() as f32;
        let mut errors = vec![0.0f32; directions.width];
        for (foretold, said) in foretold.values.chunks_exact(errors.len()).zip(said.values.chunks_exact(errors.len())) {
            let squares = foretold.iter().zip(said).map(|(f, s)| (f - s).powi(2));
            errors.iter_mut().zip(squares).for_each(|(error, square)| *error += square / rows);
        }
        let least = 1e-3 * errors.iter().sum::<f32>() / errors.len() as f32;
        let factors: Vec<f32> = errors.iter().map(|error| (error + least).max(f32::MIN_POSITIVE).powf(-0.25)).collect();
        for row in directions.values.chunks_exact_mut(factors.len()) {
            row.iter_mut().zip(&factors).for_each(|(v, factor)| *v *= factor);
        }
        Ok((images.scaled_outputs(&factors), directions))
    }
}

/// Takes the mean off every row, and gives it.
fn centre(matrix: &mut Matrix) -> Vec<f32> {
    let mean = column_means(matrix);
    for row in matrix.values.chunks_exact_mut(matrix.width) {
        row.iter_mut().zip(&mean).for_each(|(v, mean)| *v -= mean);
    }
    mean
}

fn mean_captions(map: &TextMap, captions: &[&[String]]) -> Matrix {
    let all: Vec<&String> = captions.iter().copied().flatten().collect();
    let all = map.forward(&all);
    let mut means = Matrix { values: vec![0.0; captions.len() * all.width], width: all.width };
    let mut next = 0;
    for (mean, captions) in means.values.chunks_exact_mut(all.width).zip(captions) {
        for _ in *captions {
            mean.iter_mut().zip(all.row(next)).for_each(|(m, v)| *m += v / captions.len() as f32);
            next += 1;
        }
    }
    means
}

fn column_means(matrix: &Matrix) -> Vec<f32> {
    let mut sums = vec![0.0f64; matrix.width];
    for row in matrix.values.chunks_exact(matrix.width) {
        sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
    }
    sums.into_iter().map(|sum| (sum / matrix.rows() as f64) as f32).collect()
}

/// The length of a text offset that best turns pictures into those whose caption differs in one word. The queries are
/// pictures of the pairs `val`, which the space did not learn from: on its training pictures every scale looks good.
/// The gallery is `val` and the training pictures together, but for the query. Half, where no captions differ so.
///
/// # Errors
/// If an embedding is not finite.
pub fn choose_scale(space: &Space, lesson: Lesson, val: &[usize], seed: u64) -> Result<f32> {
    let gallery: Vec<usize> = val.iter().chain(lesson.train).copied().collect();
    let mut pairs = one_word_apart(lesson.pairs, &gallery);
    pairs.retain(|pair| pair.from < val.len());
    pairs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    pairs.truncate(SCALE_PAIRS);
    if pairs.is_empty() {
        return Ok(0.5);
    }
    let pictures = space.embed_features(&lesson.features.select(&gallery));
    let minus = space.embed_texts(&pairs.iter().map(|pair| &pair.minus).collect::<Vec<_>>());
    let plus = space.embed_texts(&pairs.iter().map(|pair| &pair.plus).collect::<Vec<_>>());
    let offset =
        |i: usize| plus.row(i).iter().zip(minus.row(i)).map(|(plus, minus)| plus - minus).collect::<Vec<f32>>();
    let moves: Vec<Move> =
        pairs.iter().enumerate().map(|(i, pair)| Move { from: pair.from, to: pair.to, offset: offset(i) }).collect();
    best_scale(&pictures, &moves)
}

/// Two pairs (by their place in the gallery) whose first captions differ in one word.
struct OneWordApart {
    from: usize,
    to: usize,
    minus: String,
    plus: String,
}

fn one_word_apart(pairs: &Pairs, gallery: &[usize]) -> Vec<OneWordApart> {
    let words: Vec<Vec<String>> = gallery.iter().map(|i| tokenize(&pairs.items[*i].captions[0])).collect();
    let mut frames: HashMap<(usize, Vec<&str>), Vec<usize>> = HashMap::new();
    for (pair, words) in words.iter().enumerate().filter(|(_, words)| words.len() > 1) {
        for gap in 0..words.len() {
            let rest = words.iter().enumerate().filter(|(at, _)| *at != gap).map(|(_, word)| word.as_str()).collect();
            frames.entry((gap, rest)).or_default().push(pair);
        }
    }
    let mut frames: Vec<_> = frames.into_iter().collect();
    frames.sort_unstable();
    let in_frame = |((gap, _), members): ((usize, Vec<&str>), Vec<usize>)| {
        // Next neighbours only, so that one frame with many fillings (flag: ...) is not all there is.
        members
            .windows(2)
            .filter(|pair| words[pair[0]][gap] != words[pair[1]][gap])
            .map(|pair| OneWordApart {
                from: pair[0],
                to: pair[1],
                minus: words[pair[0]][gap].clone(),
                plus: words[pair[1]][gap].clone(),
            })
            .collect::<Vec<_>>()
    };
    frames.into_iter().flat_map(in_frame).collect()
}
