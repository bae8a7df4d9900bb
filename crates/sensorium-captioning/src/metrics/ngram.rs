//! Words and the runs of one to four of them that BLEU and CIDEr count.

use hashbrown::HashMap;

/// The longest run of words counted.
pub(super) const ORDERS: usize = 4;

/// The words of a caption: what stands between white space, the separators U+001C to U+001F included.
pub(super) fn words(caption: &str) -> Vec<&str> {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    caption.split(is_space).filter(|word| !word.is_empty()).collect()
}

/// All runs of one to [`ORDERS`] tokens, the short ones first.
pub(super) fn runs<T>(tokens: &[T]) -> impl Iterator<Item = &[T]> {
    (1..=ORDERS).flat_map(move |order| tokens.windows(order))
}

/// How often every run occurs.
pub(super) fn counts<'a, 'b>(words: &'a [&'b str]) -> HashMap<&'a [&'b str], usize> {
    let mut counts = HashMap::new();
    for run in runs(words) {
        *counts.entry(run).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_any_white_space() {
        assert_eq!(words(" a  b\u{a0}c\u{1c}d\t"), ["a", "b", "c", "d"]);
        assert!(words(" ").is_empty());
    }

    #[test]
    fn every_run_is_counted() {
        let words = words("a b a b a");
        let counts = counts(&words);
        assert_eq!(counts[&["a"][..]], 3);
        assert_eq!(counts[&["a", "b"][..]], 2);
        assert_eq!(counts[&["a", "b", "a"][..]], 2);
        assert_eq!(counts.values().sum::<usize>(), 5 + 4 + 3 + 2);
    }
}
