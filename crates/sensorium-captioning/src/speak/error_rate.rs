//! The unit error rate: what the word error rate is for words.

/// Errors over a number of references.
///
/// ```
/// use sensorium_captioning::speak::UnitErrors;
///
/// // One unit is another, one is too much.
/// let errors = UnitErrors::between(&[4, 7, 1, 9], &[4, 8, 1, 9, 2]);
/// assert_eq!((errors.edits, errors.length), (2, 4));
/// assert_eq!(errors.rate(), 0.5);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitErrors {
    /// Units to exchange, to leave out or to put in: the fewest that make one sequence the other.
    pub edits: usize,
    /// Units of the references.
    pub length: usize,
}

impl UnitErrors {
    /// The errors of units against those of a reference.
    pub fn between(reference: &[u32], units: &[u32]) -> Self {
        // Row by row of the table of edits between beginnings.
        let mut row: Vec<usize> = (0..=units.len()).collect();
        for (done, wanted) in reference.iter().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], done + 1);
            for (at, unit) in units.iter().enumerate() {
                let exchanged = diagonal + usize::from(wanted != unit);
                diagonal = row[at + 1];
                row[at + 1] = exchanged.min(row[at] + 1).min(diagonal + 1);
            }
        }
        Self { edits: row[units.len()], length: reference.len() }
    }

    /// The errors against the reference that is nearest, by the rate; the first of several.
    ///
    /// # Panics
    /// If there is no reference.
    pub fn nearest(references: &[Vec<u32>], units: &[u32]) -> Self {
        let all = references.iter().map(|reference| Self::between(reference, units));
        all.min_by(|a, b| a.rate().total_cmp(&b.rate())).expect("at least one reference")
    }

    /// Edits per unit of the references; more than 1 if much was put in. Infinite where references are empty and edits
    /// are not, 0 where both are.
    pub fn rate(&self) -> f64 {
        match (self.edits, self.length) {
            (0, _) => 0.0,
            (edits, length) => edits as f64 / length as f64,
        }
    }
}

impl std::iter::Sum for UnitErrors {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self { edits: sum.edits + one.edits, length: sum.length + one.length })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edits_are_those_counted_by_hand() {
        for (reference, units, edits) in [
            (vec![], vec![], 0),
            (vec![1, 2, 3], vec![], 3),
            (vec![], vec![1, 2], 2),
            (vec![1, 2, 3], vec![1, 2, 3], 0),
            (vec![1, 2, 3], vec![1, 3], 1),
            (vec![1, 2, 3, 4], vec![2, 3, 4, 5], 2),
            (vec![11, 9, 20, 20, 5, 14], vec![19, 9, 20, 20, 9, 14, 7], 3), // kitten, sitting
        ] {
            assert_eq!(UnitErrors::between(&reference, &units).edits, edits, "{reference:?} {units:?}");
        }
    }

    #[test]
    fn rates_are_over_all_references() {
        let all: UnitErrors =
            [UnitErrors { edits: 1, length: 2 }, UnitErrors { edits: 0, length: 8 }].into_iter().sum();
        assert_eq!(all.rate(), 0.1);
        assert_eq!(UnitErrors::between(&[], &[1]).rate(), f64::INFINITY);
        let nearest = UnitErrors::nearest(&[vec![1, 2], vec![1, 2, 3, 4]], &[1, 2, 3]);
        assert_eq!(nearest, UnitErrors { edits: 1, length: 4 });
    }

    proptest! {
        #[test]
        fn edits_are_a_distance(
            a in proptest::collection::vec(0u32..4, 0..12),
            b in proptest::collection::vec(0u32..4, 0..12),
            c in proptest::collection::vec(0u32..4, 0..12),
        ) {
            let edits = |a: &[u32], b: &[u32]| UnitErrors::between(a, b).edits;
            prop_assert_eq!(edits(&a, &b), edits(&b, &a));
            prop_assert!(edits(&a, &c) <= edits(&a, &b) + edits(&b, &c));
            prop_assert!(edits(&a, &b) >= a.len().abs_diff(b.len()) && edits(&a, &b) <= a.len().max(b.len()));
        }
    }
}
