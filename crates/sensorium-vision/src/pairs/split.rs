//! Splits by group: variants of one concept never stand on two sides.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Pair, Split};
use crate::{Error, Result};

/// The shares of pairs that [`parts`] gives to validation and to test.
const HELD_OUT: f64 = 0.1;

/// Deals the groups of `groups` (one entry an item) into `count` folds of about equal size and gives each item's fold.
///
/// The deal depends on the groups and the seed alone: the shuffled groups go, one after another, to the fold that is
/// smallest so far.
///
/// # Panics
/// If `count` is zero.
pub fn folds(groups: &[&str], count: usize, seed: u64) -> Vec<usize> {
    assert!(count > 0, "at least one fold");
    let mut sizes = vec![0usize; count];
    let mut fold_of: HashMap<&str, usize> = HashMap::new();
    for (group, size) in shuffled_groups(groups, seed) {
        let smallest = (0..count).min_by_key(|fold| sizes[*fold]).expect("at least one fold");
        sizes[smallest] += size;
        fold_of.insert(group, smallest);
    }
    groups.iter().map(|group| fold_of[group]).collect()
}

/// The split of each pair: the data set's own where every pair has one, else one by group: a tenth of the pairs for
/// validation, a tenth for test, fixed by `seed`. A data set's own split may leave validation out; who needs it asks
/// [`ensure_part`].
///
/// # Errors
/// If only some pairs name a split, or training or test comes out empty.
pub fn parts<P>(source: &str, pairs: &[Pair<P>], seed: u64) -> Result<Vec<Split>> {
    let given: Vec<Option<Split>> = pairs.iter().map(|pair| pair.split).collect();
    let splits = match given.iter().filter(|split| split.is_some()).count() {
        0 => by_group(pairs, seed),
        all if all == pairs.len() => given.into_iter().flatten().collect(),
        some => {
            let rule = format!("{some} of {} pairs name a split; name it for all of them or for none", pairs.len());
            return Err(Error::pairs(source, rule));
        }
    };
    ensure_part(source, &splits, Split::Train)?;
    ensure_part(source, &splits, Split::Test)?;
    Ok(splits)
}

/// Checks that a pair is left for `part`.
///
/// # Errors
/// If none is.
pub fn ensure_part(source: &str, splits: &[Split], part: Split) -> Result<()> {
    if splits.contains(&part) {
        return Ok(());
    }
    let pairs = splits.len();
    let rule = format!("no pair is left for {part:?}; {pairs} pairs are too few, or their split leaves it out");
    Err(Error::pairs(source, rule))
}

fn by_group<P>(pairs: &[Pair<P>], seed: u64) -> Vec<Split> {
    let groups: Vec<&str> = pairs.iter().map(|pair| pair.group.as_str()).collect();
    let share = ((pairs.len() as f64 * HELD_OUT).round() as usize).max(1);
    let (mut val, mut test) = (0, 0);
    let mut split_of: HashMap<&str, Split> = HashMap::new();
    for (group, size) in shuffled_groups(&groups, seed) {
        let split = if test < share {
            test += size;
            Split::Test
        } else if val < share {
            val += size;
            Split::Val
        } else {
            Split::Train
        };
        split_of.insert(group, split);
    }
    groups.iter().map(|group| split_of[group]).collect()
}

/// The groups with their sizes, in an order that the seed alone decides.
fn shuffled_groups<'a>(groups: &[&'a str], seed: u64) -> Vec<(&'a str, usize)> {
    let mut sizes: HashMap<&str, usize> = HashMap::new();
    for group in groups {
        *sizes.entry(group).or_default() += 1;
    }
    let mut ordered: Vec<(&str, usize)> = sizes.into_iter().collect();
    ordered.sort_unstable();
    ordered.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    ordered
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn pairs(groups: &[String]) -> Vec<Pair> {
        let pair = |(i, group): (usize, &String)| Pair {
            id: i.to_string(),
            picture: PathBuf::new(),
            captions: vec!["x".to_string()],
            tokens: Vec::new(),
            tags: Vec::new(),
            group: group.clone(),
            split: None,
        };
        groups.iter().enumerate().map(pair).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_group_stands_on_two_sides(groups in proptest::collection::vec("[a-z]{1,2}", 40..200), seed in 0u64..1000) {
            let pairs = pairs(&groups);
            let names: Vec<&str> = groups.iter().map(String::as_str).collect();
            let fold = folds(&names, 5, seed);
            let split = by_group(&pairs, seed);
            for i in 0..groups.len() {
                for j in 0..i {
                    if groups[i] == groups[j] {
                        prop_assert_eq!(fold[i], fold[j]);
                        prop_assert_eq!(split[i], split[j]);
                    }
                }
            }
            prop_assert_eq!(&fold, &folds(&names, 5, seed), "the same seed deals the same folds");
        }
    }

    #[test]
    fn folds_are_even_and_the_seed_matters() {
        let names: Vec<String> = (0..1000).map(|i| format!("g{}", i / 3)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let fold = folds(&names, 5, 0);
        for part in 0..5 {
            let size = fold.iter().filter(|f| **f == part).count();
            assert!((195..=205).contains(&size), "fold {part} has {size}");
        }
        assert_ne!(fold, folds(&names, 5, 1));
    }

    #[test]
    fn a_split_for_some_pairs_only_is_refused() {
        let mut some = pairs(&["a".to_string(), "b".to_string(), "c".to_string()]);
        assert_eq!(parts("x", &some, 0).unwrap().len(), 3);
        some[0].split = Some(Split::Train);
        assert!(parts("x", &some, 0).unwrap_err().to_string().contains("1 of 3 pairs name a split"));
        assert!(parts("x", &some[..1], 0).unwrap_err().to_string().contains("no pair is left for Test"));
        some[1].split = Some(Split::Test);
        some[2].split = Some(Split::Test);
        let splits = parts("x", &some, 0).unwrap();
        let fault = ensure_part("x", &splits, Split::Val).unwrap_err().to_string();
        assert!(fault.contains("no pair is left for Val; 3 pairs are too few"), "{fault}");
    }
}
