//! Words as they come: numbered, counted.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Numbers words by first occurrence and counts them. The text of all words is one string, so that a million words are
/// one allocation.
#[derive(Default)]
pub(super) struct WordCounter {
    hasher: DefaultHashBuilder,
    table: HashTable<Known>,
    text: String,
    /// Of each number; 0 for words that were dropped.
    counts: Vec<u64>,
}

/// A word: where it lies in the text, and its number.
#[derive(Debug, Clone, Copy)]
struct Known {
    start: usize,
    length: u32,
    number: u32,
}

impl Known {
    fn of(self, text: &str) -> &str {
        &text[self.start..][..self.length as usize]
    }
}

impl WordCounter {
    /// How many words are known.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The number of a word, if it is known.
    pub(super) fn number(&self, word: &str) -> Option<u32> {
        let found = self.table.find(self.hasher.hash_one(word), |known| known.of(&self.text) == word);
        found.map(|known| known.number)
    }

    /// A number for a word that has none, with the count 0.
    pub(super) fn add(&mut self, word: &str) -> u32 {
        let number = u32::try_from(self.counts.len()).ok().filter(|number| *number < u32::MAX - 1);
        let number = number.expect("fewer than 2^32 - 2 different words");
        let known = Known { start: self.text.len(), length: word.len() as u32, number };
        self.text.push_str(word);
        let Self { hasher, table, text, .. } = self;
        table.insert_unique(hasher.hash_one(word), known, |known| hasher.hash_one(known.of(text)));
        self.counts.push(0);
        number
    }

    /// Of all numbers given, also those of words that were dropped: 0.
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    pub(super) fn counts_mut(&mut self) -> &mut [u64] {
        &mut self.counts
    }

    /// Forgets the words that occurred at most `most` times.
    pub(super) fn drop_up_to(&mut self, most: u64) {
        let Self { hasher, table, text, counts } = self;
        let mut kept = String::new();
        table.retain(|known| {
            let word = known.of(text);
            let keep = counts[known.number as usize] > most;
            if keep {
                known.start = kept.len();
                kept.push_str(word);
            } else {
                counts[known.number as usize] = 0;
            }
            keep
        });
        *text = kept;
        table.shrink_to_fit(|known| hasher.hash_one(known.of(text)));
    }

    /// The known words by number.
    pub(super) fn words(&self) -> impl Iterator<Item = (u32, &str)> {
        let mut known: Vec<Known> = self.table.iter().copied().collect();
        known.sort_unstable_by_key(|known| known.number);
        known.into_iter().map(|known| (known.number, known.of(&self.text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_numbers_when_others_are_dropped() {
        let mut counter = WordCounter::default();
        for word in ["a", "rare", "東京", "a", "東京", ""] {
            let number = counter.number(word).unwrap_or_else(|| counter.add(word));
            counter.counts_mut()[number as usize] += 1;
        }
        assert_eq!(counter.words().map(|(_, word)| word).collect::<Vec<_>>(), ["a", "rare", "東京", ""]);
        counter.drop_up_to(1);
        assert_eq!(counter.words().collect::<Vec<_>>(), [(0, "a"), (2, "東京")]);
        assert_eq!((counter.number("rare"), counter.number("東京"), counter.len()), (None, Some(2), 2));
        assert_eq!(counter.counts(), [2, 0, 2, 0]);
        assert_eq!(counter.add("rare"), 4);
    }
}
