//! Chooses among all matches those that cover most words in the fewest pieces.

use super::matches::{Match, Matches};

/// How many alignments are followed at a time.
const BEAM: usize = 40;
/// What a matched word counts in halves: equal words 1, others 1/2.
const HALVES: [usize; super::matches::KINDS] = [2, 1, 1, 1];

/// The matches chosen, in the order of the reference; no word is in two of them.
pub(super) fn align(matches: &Matches<'_>) -> Vec<Match> {
    let mut ahead = vec![Path::new(matches)];
    for at in 0..=matches.reference.len() {
        let mut paths = std::mem::take(&mut ahead);
        paths.sort_by_key(Path::rank);
        let first = paths.first().cloned();
        for path in paths.into_iter().take(BEAM) {
            path.advance(at, matches, &mut ahead);
        }
        if ahead.is_empty() {
            ahead.extend(first);
        }
    }
    ahead.sort_by_key(Path::rank);
    ahead.swap_remove(0).chosen.into_iter().flatten().cloned().collect()
}

/// An alignment up to some word of the reference.
#[derive(Clone)]
struct Path<'a> {
    /// By the first word in the reference.
    chosen: Vec<Option<&'a Match>>,
    hypothesis_used: Vec<bool>,
    reference_used: Vec<bool>,
    /// The first word of the reference not looked at.
    next: usize,
    /// Where in the hypothesis the last match ends, if it ends at `next` in the reference.
    end: Option<usize>,
    hypothesis_count: usize,
    reference_count: usize,
    chunks: usize,
    distance: usize,
}

impl<'a> Path<'a> {
    /// The path that has nothing but the matches that no other contends with.
    fn new(matches: &'a Matches<'_>) -> Self {
        let mut path = Self {
            chosen: vec![None; matches.reference.len()],
            hypothesis_used: vec![false; matches.hypothesis.len()],
            reference_used: vec![false; matches.reference.len()],
            next: 0,
            end: None,
            hypothesis_count: 0,
            reference_count: 0,
            chunks: 0,
            distance: 0,
        };
        for starting in &matches.starting {
            if let [only] = starting.as_slice() {
                let is_alone = only.reference.clone().all(|i| matches.reference_cover[i] == 1)
                    && only.hypothesis.clone().all(|i| matches.hypothesis_cover[i] == 1);
                if is_alone {
                    path.choose(only);
                }
            }
        }
        path
    }

    /// Better paths come first: more words, fewer pieces, less far apart.
    fn rank(&self) -> (std::cmp::Reverse<usize>, usize, usize) {
        (std::cmp::Reverse(self.hypothesis_count + self.reference_count), self.chunks, self.distance)
    }

    fn choose(&mut self, found: &'a Match) {
        self.chosen[found.reference.start] = Some(found);
        found.hypothesis.clone().for_each(|i| self.hypothesis_used[i] = true);
        found.reference.clone().for_each(|i| self.reference_used[i] = true);
    }

    fn is_used(&self, found: &Match) -> bool {
        found.hypothesis.clone().any(|i| self.hypothesis_used[i])
            || found.reference.clone().any(|i| self.reference_used[i])
    }

    /// Counts a match that begins at the word looked at. A single word by stem or meaning counts a half, and a half is
    /// rounded down.
    fn count(&mut self, found: &Match) {
        let halves = HALVES[found.kind];
        self.hypothesis_count += found.hypothesis.len() * halves / 2;
        self.reference_count += found.reference.len() * halves / 2;
        if self.end.is_some_and(|end| end != found.hypothesis.start) {
            self.chunks += 1;
        }
        self.next = found.reference.end;
        self.end = Some(found.hypothesis.end);
    }

    fn close_chunk(&mut self) {
        if self.end.take().is_some() {
            self.chunks += 1;
        }
    }

    /// Puts what may follow at word `at` of the reference into `ahead`.
    fn advance(mut self, at: usize, matches: &'a Matches<'_>, ahead: &mut Vec<Self>) {
        if at == matches.reference.len() {
            self.close_chunk();
            ahead.push(self);
        } else if self.reference_used[at] {
            if at < self.next {
                ahead.push(self);
            } else if let Some(found) = self.chosen[self.next] {
                self.count(found);
                self.distance += found.reference.start.abs_diff(found.hypothesis.start);
                ahead.push(self);
            }
        } else {
            for found in &matches.starting[at] {
                if !self.is_used(found) {
                    let mut path = self.clone();
                    path.choose(found);
                    path.count(found);
                    // The distance counts for the paths that come after, not for this one.
                    self.distance += found.reference.start.abs_diff(found.hypothesis.start);
                    ahead.push(path);
                }
            }
            self.close_chunk();
            self.next += 1;
            ahead.push(self);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(hypothesis: &str, reference: &str) -> Vec<(usize, usize)> {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(String::from).collect() };
        let (hypothesis, reference) = (words(hypothesis), words(reference));
        let mut matches = Matches::new(&hypothesis, &reference);
        matches.add_equal();
        matches.add_stems();
        align(&matches).iter().map(|found| (found.hypothesis.start, found.reference.start)).collect()
    }

    #[test]
    fn most_words_in_fewest_pieces_are_chosen() {
        assert_eq!(aligned("a cat saw a dog", "a dog"), [(3, 0), (4, 1)]);
        assert_eq!(aligned("x", "y"), []);
        assert_eq!(aligned("dogs a", "a dog"), [(1, 0), (0, 1)]);
    }

    #[test]
    fn no_word_is_used_twice() {
        assert_eq!(aligned("a a a", "a b a").len(), 2);
    }
}
