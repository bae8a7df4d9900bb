//! The binary tree of hierarchical softmax.

/// A word's way from the root to its leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The inner nodes on the way, the root first. The root of a tree of V words is V − 2.
    pub nodes: Vec<u32>,
    /// The branch taken at each: 0 or 1. A node predicts 1 − branch.
    pub code: Vec<u8>,
}

/// The Huffman tree over words with falling `counts`, as word2vec.c builds it: two queues, one of leaves from the rarest
/// on, one of inner nodes in the order of their making; of two equals the leaf waits.
///
/// # Panics
/// If there are fewer than two counts, or they rise.
pub fn paths(counts: &[u64]) -> Vec<Path> {
    let words = counts.len();
    assert!(words >= 2, "a tree of at least two words");
    assert!(counts.is_sorted_by(|a, b| a >= b), "counts must fall");
    let mut weights = counts.to_vec();
    let mut parents = vec![0; 2 * words - 1];
    let mut branches = vec![0u8; 2 * words - 1];
    // The next leaf and the next inner node that have no parent.
    let (mut leaf, mut inner) = (words, words);
    for node in words..2 * words - 1 {
        let mut lightest = || {
            let inner_waits = inner >= node || (leaf > 0 && weights[leaf - 1] < weights[inner]);
            if inner_waits {
                leaf -= 1;
                leaf
            } else {
                inner += 1;
                inner - 1
            }
        };
        let (first, second) = (lightest(), lightest());
        weights.push(weights[first] + weights[second]);
        (parents[first], parents[second]) = (node, node);
        branches[second] = 1;
    }
    let root = 2 * words - 2;
    let path = |word: usize| {
        let mut path = Path { nodes: Vec::new(), code: Vec::new() };
        let mut at = word;
        while at != root {
            path.code.push(branches[at]);
            at = parents[at];
            path.nodes.push((at - words) as u32);
        }
        path.code.reverse();
        path.nodes.reverse();
        path
    };
    (0..words).map(path).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// No code begins another, rarer words have no shorter ones, and the lengths fill the tree (Kraft).
        #[test]
        fn codes_are_those_of_a_full_tree(mut counts in proptest::collection::vec(1u64..1000, 2..60)) {
            counts.sort_unstable_by(|a, b| b.cmp(a));
            let paths = paths(&counts);
            let filled: f64 = paths.iter().map(|path| 0.5f64.powi(path.code.len() as i32)).sum();
            prop_assert!((filled - 1.0).abs() < 1e-9);
            for (i, a) in paths.iter().enumerate() {
                prop_assert_eq!(a.nodes[0] as usize, counts.len() - 2);
                prop_assert_eq!(a.nodes.len(), a.code.len());
                for (j, b) in paths.iter().enumerate() {
                    prop_assert!(i == j || !b.code.starts_with(&a.code));
                    prop_assert!(counts[i] <= counts[j] || a.code.len() <= b.code.len());
                }
            }
        }
    }

    #[test]
    fn two_words_are_one_branch() {
        let of = |code: u8| Path { nodes: vec![0], code: vec![code] };
        assert_eq!(paths(&[3, 1]), [of(1), of(0)]);
    }
}
