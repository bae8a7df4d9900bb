//! Which columns are right answers for which rows.

use crate::{Error, Result};

/// The right answers of every row, as sorted lists of column numbers in compressed rows.
///
/// Rows are images and columns are texts (or tags) throughout this module; any two sets will do. A row without gold
/// and a column that is nobody's gold are distractors: they stand in the galleries, and are not counted as queries.
///
/// ```
/// use sensorium_core::metrics::Gold;
/// let captions = Gold::grouped(2, 5); // five captions an image: 0..5 and 5..10
/// assert_eq!(captions.of(1), [5, 6, 7, 8, 9]);
/// assert_eq!(captions.inverse().of(7), [1]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gold {
    starts: Vec<usize>,
    items: Vec<u32>,
    columns: usize,
}

impl Gold {
    /// Row `i` and column `i` belong together.
    ///
    /// # Panics
    /// If `count` exceeds `u32::MAX`, as [`grouped`](Self::grouped).
    pub fn paired(count: usize) -> Self {
        Self::grouped(count, 1)
    }

    /// Columns `each * i .. each * (i + 1)` belong to row `i`: the layout of captions in the COCO and Flickr files.
    ///
    /// # Panics
    /// If `rows * each` exceeds `u32::MAX`.
    pub fn grouped(rows: usize, each: usize) -> Self {
        let columns = u32::try_from(rows * each).expect("the number of columns fits in u32");
        Self { starts: (0..=rows).map(|row| row * each).collect(), items: (0..columns).collect(), columns: rows * each }
    }

    /// One list of columns a row; a list may be empty and may repeat a column.
    ///
    /// # Errors
    /// A column number at or beyond `columns`.
    pub fn from_lists(lists: &[Vec<u32>], columns: usize) -> Result<Self> {
        let mut gold = Self { starts: vec![0], items: Vec::new(), columns };
        for (row, list) in lists.iter().enumerate() {
            gold.push_row(row, list)?;
        }
        Ok(gold)
    }

    /// Compressed rows: row `i` has `items[starts[i]..starts[i + 1]]`.
    ///
    /// # Errors
    /// `starts` that does not rise from 0 to `items.len()`, or a column number at or beyond `columns`.
    pub fn from_csr(starts: &[usize], items: &[u32], columns: usize) -> Result<Self> {
        let rises = starts.windows(2).all(|pair| pair[0] <= pair[1]);
        if !rises || starts.first() != Some(&0) || starts.last() != Some(&items.len()) {
            return Err(Error::config(
                "gold starts",
                format_args!("{} entries", starts.len()),
                format!("row starts must rise from 0 to the number of items, {}", items.len()),
            ));
        }
        let mut gold = Self { starts: vec![0], items: Vec::new(), columns };
        for (row, bounds) in starts.windows(2).enumerate() {
            gold.push_row(row, &items[bounds[0]..bounds[1]])?;
        }
        Ok(gold)
    }

    fn push_row(&mut self, row: usize, list: &[u32]) -> Result<()> {
        if let Some(wrong) = list.iter().find(|&&item| item as usize >= self.columns) {
            return Err(Error::config(
                format!("gold of row {row}"),
                wrong,
                format!("a column number must be below the number of columns, {}", self.columns),
            ));
        }
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        self.items.extend(list);
        self.starts.push(self.items.len());
        Ok(())
    }

    /// The number of rows, with or without gold.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of columns, anyone's gold or not.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The sorted gold columns of `row`.
    ///
    /// # Panics
    /// If `row` is not below [`rows`](Self::rows).
    pub fn of(&self, row: usize) -> &[u32] {
        &self.items[self.span(row)]
    }

    /// Where the gold of `row` stands among all pairs, counted row by row.
    pub(super) fn span(&self, row: usize) -> std::ops::Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }

    /// Every (row, column) pair, row by row.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        (0..self.rows()).flat_map(|row| self.of(row).iter().map(move |&column| (row, column)))
    }

    /// The other direction: which rows each column is gold for.
    ///
    /// # Panics
    /// If there are more than `u32::MAX` rows.
    pub fn inverse(&self) -> Self {
        let rows = u32::try_from(self.rows()).expect("the number of rows fits in u32");
        let mut lists = vec![Vec::new(); self.columns];
        for row in 0..rows {
            for &column in self.of(row as usize) {
                lists[column as usize].push(row);
            }
        }
        let mut starts = vec![0];
        starts.extend(lists.iter().scan(0, |end, list| {
            *end += list.len();
            Some(*end)
        }));
        Self { starts, items: lists.concat(), columns: self.rows() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_deduplicated_and_inverted() {
        let gold = Gold::from_lists(&[vec![3, 1, 3], vec![], vec![1]], 4).unwrap();
        assert_eq!((gold.rows(), gold.columns()), (3, 4));
        assert_eq!(gold.of(0), [1, 3]);
        assert!(gold.of(1).is_empty());
        assert_eq!(gold.pairs().collect::<Vec<_>>(), [(0, 1), (0, 3), (2, 1)]);
        let inverse = gold.inverse();
        assert_eq!((inverse.rows(), inverse.columns()), (4, 3));
        assert_eq!(inverse.of(1), [0, 2]);
        assert_eq!(inverse.inverse(), gold);
        assert_eq!(Gold::from_csr(&[0, 2, 2, 3], &[3, 1, 1], 4).unwrap(), gold);
    }

    #[test]
    fn wrong_lists_say_what_is_wrong() {
        let error = Gold::from_lists(&[vec![0], vec![9]], 4).unwrap_err().to_string();
        assert!(error.contains("gold of row 1 = 9") && error.contains("below"), "{error}");
        for starts in [vec![], vec![0], vec![1, 3], vec![0, 2, 1, 3], vec![0, 2]] {
            let error = Gold::from_csr(&starts, &[0, 1, 2], 4).unwrap_err().to_string();
            assert!(error.contains("gold starts"), "{error}");
        }
    }
}
