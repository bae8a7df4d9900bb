//! Exact ranks of gold items, both ways at once, and the recalls made of them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Gold;
use super::product::{BlockProduct, BlockShape};
use crate::{Error, Result};

/// What becomes of items that score the same as the gold item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// The item with the lower number stands first, as in a stable descending sort.
    #[default]
    LowestIndexFirst,
    /// The gold item stands first: its rank is the number of items that score strictly higher.
    Optimistic,
    /// The gold item stands last.
    Pessimistic,
}

/// The rank of each query's best gold item, counted from 0; `None` for a query without gold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// Images as queries, texts as the gallery: one entry a row.
    pub i2t: Vec<Option<u32>>,
    /// Texts as queries, images as the gallery: one entry a column.
    pub t2i: Vec<Option<u32>>,
}

/// Recall at three depths and the two common averages of the rank, over the queries that have gold.
///
/// As in VSE++'s evaluation: `r@k` is the percentage of ranks below `k`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// Percentage of queries whose best gold item comes first.
    pub r1: f64,
    /// Percentage of queries with a gold item among the first five.
    pub r5: f64,
    /// Percentage of queries with a gold item among the first ten.
    pub r10: f64,
    /// `floor(median) + 1` of the ranks; the median of an even count is the mean of the middle two.
    pub median_rank: f64,
    /// Mean of the ranks, counted from 1.
    pub mean_rank: f64,
}

/// Recalls in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Texts found by images.
    pub i2t: Recall,
    /// Images found by texts.
    pub t2i: Recall,
}

/// Ranks the gold items of both directions by inner product, without ever holding all scores.
///
/// # Shapes
/// - `images`: `[gold.rows(), dim]`, row-major
/// - `texts`: `[gold.columns(), dim]`, row-major
///
/// # Errors
/// An embedding that is not finite, named by its row.
///
/// # Panics
/// If a length does not fit `gold` and `dim`.
///
/// ```
/// use sensorium_core::metrics::{Gold, Ties, ranks};
/// let images = [1.0, 0.0, 0.0, 1.0];
/// let texts = [0.6, 0.8, 0.0, 1.0]; // the first text resembles the second image more
/// let ranks = ranks(&images, &texts, 2, &Gold::paired(2), Ties::default())?;
/// assert_eq!(ranks.i2t, [Some(0), Some(0)]);
/// assert_eq!(ranks.t2i, [Some(1), Some(0)]);
/// assert_eq!(ranks.retrieval()?.t2i.r1, 50.0);
/// # Ok::<(), sensorium_core::Error>(())
/// ```
pub fn ranks(images: &[f32], texts: &[f32], dim: usize, gold: &Gold, ties: Ties) -> Result<Ranks> {
    assert_eq!(images.len(), gold.rows() * dim, "images must be [gold.rows(), dim]");
    assert_eq!(texts.len(), gold.columns() * dim, "texts must be [gold.columns(), dim]");
    check_finite("image embedding", images, dim)?;
    check_finite("text embedding", texts, dim)?;
    let shape = BlockShape::new(gold.rows(), gold.columns(), dim);
    count_ranks(&Products { images, texts, shape }, shape, gold, ties)
}

/// Ranks the gold items of both directions in a score matrix.
///
/// # Shapes
/// - `scores`: `[gold.rows(), gold.columns()]`, row-major, larger is better
///
/// # Errors
/// A score that is NaN, named by its row and column. Infinite scores are ranked as they compare.
///
/// # Panics
/// If `scores` has another length.
pub fn ranks_from_scores(scores: &[f32], gold: &Gold, ties: Ties) -> Result<Ranks> {
    assert_eq!(scores.len(), gold.rows() * gold.columns(), "scores must be [gold.rows(), gold.columns()]");
    check_scores(scores, gold.columns())?;
    let shape = BlockShape::new(gold.rows(), gold.columns(), 0);
    count_ranks(&Matrix { scores, columns: gold.columns() }, shape, gold, ties)
}

/// The mean of each measure over consecutive folds of `fold` images, each with the texts that are gold for them as its
/// gallery: COCO's "1k" protocol is five folds of 1,000. Images behind the last whole fold are left out.
///
/// # Shapes
/// As for [`ranks`].
///
/// # Errors
/// As for [`ranks`], and a `fold` of 0 or larger than the number of images.
///
/// # Panics
/// As for [`ranks`].
pub fn folded(images: &[f32], texts: &[f32], dim: usize, gold: &Gold, fold: usize, ties: Ties) -> Result<Retrieval> {
    if fold == 0 || fold > gold.rows() {
        return Err(Error::config("fold", fold, format!("must be 1 to the number of images, {}", gold.rows())));
    }
    let folds = gold.rows() / fold;
    let mut all = Vec::with_capacity(folds);
    for first in (0..folds).map(|i| i * fold) {
        let lists: Vec<&[u32]> = (first..first + fold).map(|row| gold.of(row)).collect();
        let mut columns = lists.concat();
        columns.sort_unstable();
        columns.dedup();
        let renumbered: Vec<Vec<u32>> = lists
            .iter()
            .map(|list| list.iter().map(|column| columns.binary_search(column).expect("listed above") as u32).collect())
            .collect();
        let inner = Gold::from_lists(&renumbered, columns.len())?;
        let texts = gather(texts, dim, &columns);
        all.push(ranks(&images[first * dim..(first + fold) * dim], &texts, dim, &inner, ties)?.retrieval()?);
    }
    let mean = |side: fn(&Retrieval) -> Recall| {
        let over = |measure: fn(&Recall) -> f64| all.iter().map(|one| measure(&side(one))).sum::<f64>() / folds as f64;
        Recall {
            r1: over(|r| r.r1),
            r5: over(|r| r.r5),
            r10: over(|r| r.r10),
            median_rank: over(|r| r.median_rank),
            mean_rank: over(|r| r.mean_rank),
        }
    };
    Ok(Retrieval { i2t: mean(|both| both.i2t), t2i: mean(|both| both.t2i) })
}

/// Percentage of the queries with gold whose rank is below `k`. A `k` beyond the gallery gives 100, and no query at all
/// NaN.
pub fn recall_at(ranks: &[Option<u32>], k: usize) -> f64 {
    let (mut within, mut count) = (0_usize, 0_usize);
    for &rank in ranks.iter().flatten() {
        count += 1;
        within += usize::from((rank as usize) < k);
    }
    100.0 * within as f64 / count as f64
}

impl Ranks {
    /// Recalls in both directions.
    ///
    /// # Errors
    /// No pair at all: a recall of nothing has no value.
    pub fn retrieval(&self) -> Result<Retrieval> {
        Ok(Retrieval { i2t: Recall::of(&self.i2t)?, t2i: Recall::of(&self.t2i)? })
    }
}

impl Recall {
    /// Sums up one direction's ranks.
    ///
    /// # Errors
    /// No query with gold.
    pub fn of(ranks: &[Option<u32>]) -> Result<Self> {
        let mut sorted: Vec<u32> = ranks.iter().flatten().copied().collect();
        if sorted.is_empty() {
            return Err(Error::config("queries", 0, "recall needs at least one query that has a gold item"));
        }
        sorted.sort_unstable();
        let middle = sorted.len() / 2;
        let median = (f64::from(sorted[(sorted.len() - 1) / 2]) + f64::from(sorted[middle])) / 2.0;
        let sum: f64 = sorted.iter().map(|&rank| f64::from(rank)).sum();
        Ok(Self {
            r1: recall_at(ranks, 1),
            r5: recall_at(ranks, 5),
            r10: recall_at(ranks, 10),
            median_rank: median.floor() + 1.0,
            mean_rank: sum / sorted.len() as f64 + 1.0,
        })
    }
}

impl Retrieval {
    /// R@1 + R@5 + R@10 of both directions: 0 to 600.
    pub fn rsum(&self) -> f64 {
        [self.i2t, self.t2i].iter().map(|side| side.r1 + side.r5 + side.r10).sum()
    }
}

/// The rows of `values` numbered by `rows`, one behind the other.
fn gather(values: &[f32], dim: usize, rows: &[u32]) -> Vec<f32> {
    rows.iter().flat_map(|&row| &values[row as usize * dim..(row as usize + 1) * dim]).copied().collect()
}

fn check_finite(what: &str, values: &[f32], dim: usize) -> Result<()> {
    match values.par_iter().position_any(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::config(
            format!("{what} {}", at / dim),
            values[at],
            "every number must be finite: look for a division by a zero norm, or training that diverged",
        )),
    }
}

pub(super) fn check_scores(scores: &[f32], columns: usize) -> Result<()> {
    match scores.par_iter().position_any(|score| score.is_nan()) {
        None => Ok(()),
        Some(at) => Err(Error::config(
            format!("score of row {}, column {}", at / columns, at % columns),
            scores[at],
            "a score must be a number",
        )),
    }
}

/// Where scores come from, block by block.
trait Scores: Sync {
    /// What a thread keeps from block to block.
    type Scratch: Send;

    fn scratch(&self) -> Self::Scratch;

    /// The score of every gold pair, in the order of [`Gold::pairs`], with the very bits that [`block`](Self::block)
    /// gives it.
    fn of_pairs(&self, gold: &Gold) -> Vec<f32>;

    /// The scores of one block and the distance between its rows.
    fn block<'a>(&'a self, scratch: &'a mut Self::Scratch, rows: Span, columns: Span) -> (&'a [f32], usize);
}

type Span = std::ops::Range<usize>;

/// Inner products of embeddings.
struct Products<'a> {
    images: &'a [f32],
    texts: &'a [f32],
    shape: BlockShape,
}

impl Scores for Products<'_> {
    type Scratch = BlockProduct;

    fn scratch(&self) -> BlockProduct {
        BlockProduct::new(self.shape)
    }

    /// Takes the gold texts of a block of images together and reads each pair out of their product: the same block
    /// shape, so the same arithmetic as the count that follows.
    fn of_pairs(&self, gold: &Gold) -> Vec<f32> {
        let BlockShape { rows, columns, dim } = self.shape;
        let first_rows: Vec<usize> = (0..gold.rows()).step_by(rows).collect();
        let of_block = |product: &mut BlockProduct, first: &usize| {
            let span = *first..(first + rows).min(gold.rows());
            let pairs: Vec<(usize, u32)> = span
                .clone()
                .flat_map(|row| gold.of(row).iter().map(move |&column| (row - span.start, column)))
                .collect();
            let mut wanted: Vec<u32> = pairs.iter().map(|&(_, column)| column).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let images = &self.images[first * dim..(first + rows).min(gold.rows()) * dim];
            let mut scores = vec![0.0; pairs.len()];
            for wanted in wanted.chunks(columns) {
                let block = product.of(images, &gather(self.texts, dim, wanted));
                for (score, (row, column)) in scores.iter_mut().zip(&pairs) {
                    if let Ok(place) = wanted.binary_search(column) {
                        *score = block[row * columns + place];
                    }
                }
            }
            scores
        };
        first_rows.par_iter().map_init(|| self.scratch(), of_block).collect::<Vec<_>>().concat()
    }

    fn block<'a>(&'a self, product: &'a mut BlockProduct, rows: Span, columns: Span) -> (&'a [f32], usize) {
        let dim = self.shape.dim;
        let images = &self.images[rows.start * dim..rows.end * dim];
        let texts = &self.texts[columns.start * dim..columns.end * dim];
        (product.of(images, texts), self.shape.columns)
    }
}

/// A score matrix that stands in memory.
struct Matrix<'a> {
    scores: &'a [f32],
    columns: usize,
}

impl Scores for Matrix<'_> {
    type Scratch = ();

    fn scratch(&self) {}

    fn of_pairs(&self, gold: &Gold) -> Vec<f32> {
        gold.pairs().map(|(row, column)| self.scores[row * self.columns + column as usize]).collect()
    }

    fn block<'a>(&'a self, (): &'a mut (), rows: Span, columns: Span) -> (&'a [f32], usize) {
        (&self.scores[rows.start * self.columns + columns.start..], self.columns)
    }
}

/// The item a query hopes to find: its best gold item.
#[derive(Clone, Copy)]
struct Target {
    score: f32,
    index: u32,
}

impl Target {
    /// The best of a query's gold items: the highest score, and of equals the lowest number, which under every tie rule
    /// has the best rank.
    fn best(candidates: impl Iterator<Item = Self>) -> Option<Self> {
        candidates.reduce(|best, other| if other.score > best.score { other } else { best })
    }

    /// The lowest score that stands before the target, for items numbered as in `span`. Where the target itself lies
    /// inside `span`, the equals before it are left to [`equals_before`](Self::equals_before).
    fn bar(&self, span: &Span, ties: Ties) -> f32 {
        let equals_win = match ties {
            Ties::Optimistic => false,
            Ties::Pessimistic => true,
            Ties::LowestIndexFirst => span.end <= self.index as usize,
        };
        match equals_win {
            true => self.score,
            false if self.score == f32::INFINITY => f32::NAN, // nothing stands before it
            false => self.score.next_up(),
        }
    }

    /// How many of the items before the target in `span` score the same, where [`bar`](Self::bar) left them out.
    fn equals_before(&self, span: &Span, ties: Ties, score_of: impl Fn(usize) -> f32) -> u32 {
        let index = self.index as usize;
        match ties {
            Ties::LowestIndexFirst if span.contains(&index) => {
                (span.start..index).filter(|&item| score_of(item) == self.score).count() as u32
            }
            _ => 0,
        }
    }
}

/// No score reaches a bar that is not a number: for queries without gold.
fn bars(targets: &[Option<Target>], span: &Span, ties: Ties) -> Vec<f32> {
    targets.iter().map(|target| target.map_or(f32::NAN, |target| target.bar(span, ties))).collect()
}

/// Counts, block by block and for both directions at once, the items that stand before each query's target.
fn count_ranks<S: Scores>(scores: &S, shape: BlockShape, gold: &Gold, ties: Ties) -> Result<Ranks> {
    let (row_targets, column_targets) = targets(scores, gold)?;
    let mut column_counts = vec![0_u32; gold.columns()];
    let row_counts = column_counts
        .par_chunks_mut(shape.columns)
        .enumerate()
        .fold(
            || (scores.scratch(), vec![0_u32; gold.rows()]),
            |(mut scratch, mut row_counts), (block, column_counts)| {
                let columns = block * shape.columns..block * shape.columns + column_counts.len();
                let mut first = 0;
                for row_counts in row_counts.chunks_mut(shape.rows) {
                    let rows = first..first + row_counts.len();
                    let (scores, stride) = scores.block(&mut scratch, rows.clone(), columns.clone());
                    count_block(
                        &BlockView { scores, stride, rows: rows.clone(), columns: columns.clone() },
                        (&row_targets[rows.clone()], &column_targets[columns.clone()]),
                        (row_counts, column_counts),
                        ties,
                    );
                    first = rows.end;
                }
                (scratch, row_counts)
            },
        )
        .map(|(_, row_counts)| row_counts)
        .reduce(
            || vec![0; gold.rows()],
            |mut sum, part| {
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                sum
            },
        );
    let itself = u32::from(ties == Ties::Pessimistic); // the target reached its own bar
    let ranks = |targets: &[Option<Target>], counts: &[u32]| {
        targets.iter().zip(counts).map(|(target, count)| target.map(|_| count - itself)).collect()
    };
    Ok(Ranks { i2t: ranks(&row_targets, &row_counts), t2i: ranks(&column_targets, &column_counts) })
}

/// The target of every row and of every column.
fn targets<S: Scores>(scores: &S, gold: &Gold) -> Result<(Vec<Option<Target>>, Vec<Option<Target>>)> {
    let pair_scores = scores.of_pairs(gold);
    if let Some(((row, column), score)) = gold.pairs().zip(&pair_scores).find(|(_, score)| score.is_nan()) {
        let rule = "the score of a gold pair must be a number: the embeddings' product overflows, scale them down";
        return Err(Error::config(format!("score of row {row}, column {column}"), score, rule));
    }
    let of_rows = (0..gold.rows())
        .map(|row| {
            let scores = &pair_scores[gold.span(row)];
            Target::best(gold.of(row).iter().zip(scores).map(|(&index, &score)| Target { score, index }))
        })
        .collect();
    let mut of_columns: Vec<Option<Target>> = vec![None; gold.columns()];
    for ((row, column), &score) in gold.pairs().zip(&pair_scores) {
        let best = &mut of_columns[column as usize];
        *best = Target::best(best.iter().copied().chain([Target { score, index: row as u32 }]));
    }
    Ok((of_rows, of_columns))
}

/// One block of scores and the place it has among all.
struct BlockView<'a> {
    scores: &'a [f32],
    stride: usize,
    rows: Span,
    columns: Span,
}

/// Adds to each row's and each column's count the items of this block that stand before its target.
fn count_block(
    block: &BlockView,
    (row_targets, column_targets): (&[Option<Target>], &[Option<Target>]),
    (row_counts, column_counts): (&mut [u32], &mut [u32]),
    ties: Ties,
) {
    let BlockView { scores, stride, rows, columns } = block;
    let row_bars = bars(row_targets, columns, ties);
    let column_bars = bars(column_targets, rows, ties);
    count_at_or_above(scores, *stride, &row_bars, &column_bars, row_counts, column_counts);

    let score = |row: usize, column: usize| scores[(row - rows.start) * stride + column - columns.start];
    for ((row, count), target) in rows.clone().zip(row_counts).zip(row_targets) {
        *count += target.map_or(0, |target| target.equals_before(columns, ties, |column| score(row, column)));
    }
    for ((column, count), target) in columns.clone().zip(column_counts).zip(column_targets) {
        *count += target.map_or(0, |target| target.equals_before(rows, ties, |row| score(row, column)));
    }
}

/// Adds to every row and every column how many of its scores reach its bar. Four rows at a time share the loads and
/// stores of the column counts; the compiler turns the inner loop into vector compares.
fn count_at_or_above(
    scores: &[f32],
    stride: usize,
    row_bars: &[f32],
    column_bars: &[f32],
    row_counts: &mut [u32],
    column_counts: &mut [u32],
) {
    const TOGETHER: usize = 4;
    let width = column_bars.len();
    let row = |row: usize| &scores[row * stride..row * stride + width];
    let whole = row_bars.len() / TOGETHER * TOGETHER;
    for first in (0..whole).step_by(TOGETHER) {
        let (a, b, c, d) = (row(first), row(first + 1), row(first + 2), row(first + 3));
        let [bar_a, bar_b, bar_c, bar_d] = [0, 1, 2, 3].map(|i| row_bars[first + i]);
        let mut reached = [0_u32; TOGETHER];
        for (i, (count, &bar)) in column_counts.iter_mut().zip(column_bars).enumerate() {
            reached[0] += u32::from(a[i] >= bar_a);
            reached[1] += u32::from(b[i] >= bar_b);
            reached[2] += u32::from(c[i] >= bar_c);
            reached[3] += u32::from(d[i] >= bar_d);
            *count += u32::from(a[i] >= bar) + u32::from(b[i] >= bar) + u32::from(c[i] >= bar) + u32::from(d[i] >= bar);
        }
        row_counts[first..first + TOGETHER].iter_mut().zip(reached).for_each(|(count, reached)| *count += reached);
    }
    for first in whole..row_bars.len() {
        for ((&score, count), &bar) in row(first).iter().zip(&mut *column_counts).zip(column_bars) {
            row_counts[first] += u32::from(score >= row_bars[first]);
            *count += u32::from(score >= bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const ALL: [Ties; 3] = [Ties::LowestIndexFirst, Ties::Optimistic, Ties::Pessimistic];

    /// The definition, literally: every gold item's rank in its row, the best one kept.
    fn naive(scores: &[f32], gold: &Gold, ties: Ties) -> Vec<Option<u32>> {
        (0..gold.rows())
            .map(|i| {
                let row = &scores[i * gold.columns()..(i + 1) * gold.columns()];
                let rank = |j: usize| {
                    let higher = row.iter().filter(|&&s| s > row[j]).count();
                    higher
                        + match ties {
                            Ties::Optimistic => 0,
                            Ties::Pessimistic => row.iter().filter(|&&s| s == row[j]).count() - 1,
                            Ties::LowestIndexFirst => row[..j].iter().filter(|&&s| s == row[j]).count(),
                        }
                };
                gold.of(i).iter().map(|&j| rank(j as usize) as u32).min()
            })
            .collect()
    }

    fn transposed(scores: &[f32], columns: usize) -> Vec<f32> {
        (0..columns).flat_map(|j| scores.iter().skip(j).step_by(columns)).copied().collect()
    }

    fn naive_both(scores: &[f32], gold: &Gold, ties: Ties) -> Ranks {
        let turned = transposed(scores, gold.columns());
        Ranks { i2t: naive(scores, gold, ties), t2i: naive(&turned, &gold.inverse(), ties) }
    }

    /// Vectors of small integers: their products are exact in any order, and ties are many.
    fn integers(count: usize, seed: u64, most: i32) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| rng.random_range(-most..=most) as f32).collect()
    }

    fn products(images: &[f32], texts: &[f32], dim: usize) -> Vec<f32> {
        images
            .chunks(dim)
            .flat_map(|image| texts.chunks(dim).map(|text| image.iter().zip(text).map(|(a, b)| a * b).sum::<f32>()))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn ranks_equal_the_definition(
            (rows, columns) in (1_usize..40, 1_usize..60), dim in 1_usize..9, seed in 0_u64..1000, each in 0_usize..4,
        ) {
            let (images, texts) = (integers(rows * dim, seed, 2), integers(columns * dim, seed + 1, 2));
            let mut rng = ChaCha8Rng::seed_from_u64(seed + 2);
            let lists: Vec<Vec<u32>> =
                (0..rows).map(|_| (0..each).map(|_| rng.random_range(0..columns as u32)).collect()).collect();
            let gold = Gold::from_lists(&lists, columns).unwrap();
            let scores = products(&images, &texts, dim);
            for ties in ALL {
                let expected = naive_both(&scores, &gold, ties);
                prop_assert_eq!(&ranks(&images, &texts, dim, &gold, ties).unwrap(), &expected);
                prop_assert_eq!(&ranks_from_scores(&scores, &gold, ties).unwrap(), &expected);
            }
        }
    }

    /// More than one block each way, with targets in every block and ties across their borders.
    #[test]
    fn blocks_and_their_borders_count_each_item_once() {
        let (rows, columns, dim) = (800, 1700, 6);
        let (images, texts) = (integers(rows * dim, 3, 1), integers(columns * dim, 4, 1));
        let lists: Vec<Vec<u32>> = (0..rows as u32).map(|i| vec![i * 2, (i * 37) % columns as u32]).collect();
        let gold = Gold::from_lists(&lists, columns).unwrap();
        let scores = products(&images, &texts, dim);
        for ties in ALL {
            assert_eq!(ranks(&images, &texts, dim, &gold, ties).unwrap(), naive_both(&scores, &gold, ties));
        }
    }

    /// Copies of the gold text stand everywhere in the gallery: each is an exact tie, however the sums round.
    #[test]
    fn copies_of_the_gold_item_are_exact_ties() {
        let (rows, columns, dim) = (30, 2000, 257);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let images: Vec<f32> = (0..rows * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
        let text: Vec<f32> = (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect();
        let texts = text.repeat(columns);
        let lists: Vec<Vec<u32>> = (0..rows as u32).map(|i| vec![i * 66]).collect();
        let gold = Gold::from_lists(&lists, columns).unwrap();
        let of = |ties| ranks(&images, &texts, dim, &gold, ties).unwrap().i2t;
        assert!(of(Ties::Optimistic).iter().all(|&rank| rank == Some(0)));
        assert!(of(Ties::Pessimistic).iter().all(|&rank| rank == Some(columns as u32 - 1)));
        let lowest: Vec<_> = (0..rows as u32).map(|i| Some(i * 66)).collect();
        assert_eq!(of(Ties::LowestIndexFirst), lowest);
    }

    #[test]
    fn infinite_scores_rank_and_tie() {
        let scores = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY];
        for (gold_column, expected) in [(1, [1, 0, 1]), (2, [2, 2, 2])] {
            let gold = Gold::from_lists(&[vec![gold_column], vec![]], 3).unwrap();
            for (ties, expected) in ALL.into_iter().zip(expected) {
                assert_eq!(ranks_from_scores(&scores, &gold, ties).unwrap().i2t, [Some(expected), None]);
            }
        }
        let gold = Gold::from_lists(&[vec![], vec![2]], 3).unwrap();
        for (ties, expected) in ALL.into_iter().zip([2, 1, 2]) {
            let ranks = ranks_from_scores(&scores, &gold, ties).unwrap();
            assert_eq!((ranks.i2t[1], ranks.t2i[2]), (Some(expected), Some(u32::from(expected == 2))), "{ties:?}");
        }
    }

    #[test]
    fn recalls_of_known_ranks() {
        let ranks = [Some(0), Some(4), None, Some(5), Some(20)];
        let recall = Recall::of(&ranks).unwrap();
        assert_eq!((recall.r1, recall.r5, recall.r10), (25.0, 50.0, 75.0));
        assert_eq!((recall.median_rank, recall.mean_rank), (5.0, 8.25));
        assert_eq!(recall_at(&ranks, 0), 0.0);
        assert_eq!(recall_at(&ranks, 1000), 100.0);
        assert!(recall_at(&[None], 1).is_nan());
        let both = Retrieval { i2t: recall, t2i: recall };
        assert_eq!(both.rsum(), 300.0);
    }

    #[test]
    fn folds_average_their_own_galleries() {
        let (rows, dim) = (25, 7);
        let (images, texts) = (integers(rows * dim, 8, 3), integers(rows * 5 * dim, 9, 3));
        let gold = Gold::grouped(rows, 5);
        let got = folded(&images, &texts, dim, &gold, 10, Ties::Optimistic).unwrap();
        let part = |first: usize| {
            let (images, texts) = (&images[first * dim..][..10 * dim], &texts[first * 5 * dim..][..50 * dim]);
            ranks(images, texts, dim, &Gold::grouped(10, 5), Ties::Optimistic).unwrap().retrieval().unwrap()
        };
        let (one, two) = (part(0), part(10));
        assert_eq!(got.i2t.r5, (one.i2t.r5 + two.i2t.r5) / 2.0);
        assert_eq!(got.t2i.median_rank, (one.t2i.median_rank + two.t2i.median_rank) / 2.0);
        assert!((got.rsum() - (one.rsum() + two.rsum()) / 2.0).abs() < 1e-9);
        assert!(folded(&images, &texts, dim, &gold, 0, Ties::Optimistic).is_err());
        assert!(folded(&images, &texts, dim, &gold, 26, Ties::Optimistic).is_err());
    }

    #[test]
    fn what_has_no_rank_is_refused_by_name() {
        let gold = Gold::paired(2);
        let error = ranks(&[1.0, f32::NAN], &[1.0, 2.0], 1, &gold, Ties::default()).unwrap_err().to_string();
        assert!(error.contains("image embedding 1 = NaN"), "{error}");
        let scores = [1.0, 2.0, f32::NAN, 4.0];
        let error = ranks_from_scores(&scores, &gold, Ties::default()).unwrap_err().to_string();
        assert!(error.contains("row 1, column 0"), "{error}");
        let huge = [f32::MAX, f32::MAX];
        let error = ranks(&huge, &[f32::MAX, -f32::MAX], 2, &Gold::paired(1), Ties::default());
        assert!(error.unwrap_err().to_string().contains("overflows"));
    }

    #[test]
    fn empty_sets_have_ranks_but_no_recall() {
        let none = ranks(&[], &[], 4, &Gold::paired(0), Ties::default()).unwrap();
        assert_eq!(none, Ranks { i2t: vec![], t2i: vec![] });
        assert!(none.retrieval().unwrap_err().to_string().contains("at least one query"));
        let distractors = Gold::from_lists(&[vec![], vec![]], 3).unwrap();
        let ranks = ranks(&[1.0; 2], &[1.0; 3], 1, &distractors, Ties::default()).unwrap();
        assert_eq!((ranks.i2t, ranks.t2i), (vec![None; 2], vec![None; 3]));
    }
}
