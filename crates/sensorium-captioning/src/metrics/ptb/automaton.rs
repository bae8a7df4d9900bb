//! Finds the longest piece of text that one of many patterns matches.

use super::pattern::{Pattern, Set};
use hashbrown::HashMap;

/// All patterns as one machine whose states follow each other.
#[derive(Debug, Default)]
pub(super) struct Machine {
    states: Vec<State>,
}

#[derive(Debug)]
enum State {
    One(Set, usize),
    Fork(Vec<usize>),
    /// The pattern of this number ends here.
    End(usize),
}

impl Machine {
    /// The state at index 0 begins all patterns.
    pub(super) fn new(patterns: &[Pattern]) -> Self {
        let mut machine = Self { states: vec![State::Fork(Vec::new())] };
        let mut starts = Vec::new();
        for (number, pattern) in patterns.iter().enumerate() {
            let end = machine.add(State::End(number));
            starts.push(machine.before(pattern, end));
        }
        machine.states[0] = State::Fork(starts);
        machine
    }

    fn add(&mut self, state: State) -> usize {
        self.states.push(state);
        self.states.len() - 1
    }

    /// Adds a pattern that goes on at `next` and returns where it begins.
    fn before(&mut self, pattern: &Pattern, next: usize) -> usize {
        match pattern {
            Pattern::One(set) => self.add(State::One(set.clone(), next)),
            Pattern::All(parts) => parts.iter().rev().fold(next, |next, part| self.before(part, next)),
            Pattern::Any(alternatives) => {
                let starts = alternatives.iter().map(|alternative| self.before(alternative, next)).collect();
                self.add(State::Fork(starts))
            }
            Pattern::Times(part, least, most) => {
                let mut start = match most {
                    Some(most) => (*least..*most).fold(next, |after, _| {
                        let inside = self.before(part, after);
                        self.add(State::Fork(vec![inside, next]))
                    }),
                    None => {
                        let again = self.add(State::Fork(Vec::new()));
                        let inside = self.before(part, again);
                        self.states[again] = State::Fork(vec![inside, next]);
                        again
                    }
                };
                for _ in 0..*least {
                    start = self.before(part, start);
                }
                start
            }
        }
    }

    /// Puts a state and those reached from it without a character into `set`.
    fn reach(&self, state: usize, seen: &mut [bool], set: &mut Vec<usize>) {
        if std::mem::replace(&mut seen[state], true) {
            return;
        }
        match &self.states[state] {
            State::Fork(ways) => ways.iter().for_each(|&way| self.reach(way, seen, set)),
            State::One(..) | State::End(_) => set.push(state),
        }
    }

    fn closure(&self, states: impl Iterator<Item = usize>) -> Vec<usize> {
        let (mut seen, mut set) = (vec![false; self.states.len()], Vec::new());
        states.for_each(|state| self.reach(state, &mut seen, &mut set));
        set.sort_unstable();
        set
    }
}

/// A [`Machine`] with what has been found out about it: sets of its states and how they follow each other.
#[derive(Debug)]
pub(super) struct Matcher<'a> {
    machine: &'a Machine,
    numbers: HashMap<Vec<usize>, usize>,
    sets: Vec<Vec<usize>>,
    /// The first pattern that ends at a set.
    ends: Vec<Option<usize>>,
    steps: HashMap<(usize, char), usize>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(machine: &'a Machine) -> Self {
        let (numbers, sets, ends, steps) = Default::default();
        let mut matcher = Self { machine, numbers, sets, ends, steps };
        matcher.number(machine.closure(std::iter::once(0)));
        matcher
    }

    /// The longest match at the beginning of `text`: the pattern's number, the first of several, and the length.
    pub(super) fn longest(&mut self, text: &[char]) -> Option<(usize, usize)> {
        let (mut set, mut found) = (0, None);
        for (i, &c) in text.iter().enumerate() {
            set = self.step(set, c);
            if self.sets[set].is_empty() {
                break;
            }
            found = self.ends[set].map(|pattern| (pattern, i + 1)).or(found);
        }
        found
    }

    fn step(&mut self, set: usize, c: char) -> usize {
        if let Some(&next) = self.steps.get(&(set, c)) {
            return next;
        }
        let states = &self.machine.states;
        let follow = |&state: &usize| match &states[state] {
            State::One(characters, next) if characters.contains(c) => Some(*next),
            _ => None,
        };
        let next = self.machine.closure(self.sets[set].iter().filter_map(follow));
        let next = self.number(next);
        self.steps.insert((set, c), next);
        next
    }

    fn number(&mut self, set: Vec<usize>) -> usize {
        if let Some(&number) = self.numbers.get(&set) {
            return number;
        }
        let end = |&state: &usize| match self.machine.states[state] {
            State::End(pattern) => Some(pattern),
            _ => None,
        };
        self.ends.push(set.iter().filter_map(end).min());
        self.numbers.insert(set.clone(), self.sets.len());
        self.sets.push(set);
        self.sets.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(patterns: &[&str], text: &str) -> Option<(usize, usize)> {
        let patterns: Vec<Pattern> = patterns.iter().map(|pattern| Pattern::parse(pattern, &[("ab", "a|b")])).collect();
        let text: Vec<char> = text.chars().collect();
        Matcher::new(&Machine::new(&patterns)).longest(&text)
    }

    #[test]
    fn the_longest_match_wins_and_of_equals_the_first() {
        assert_eq!(longest(&["a", "aa", "a{2}"], "aaa"), Some((1, 2)));
        assert_eq!(longest(&["b"], "aaa"), None);
    }

    #[test]
    fn patterns_mean_what_they_say() {
        assert_eq!(longest(&["{ab}+c?"], "abbacc"), Some((0, 5)));
        assert_eq!(longest(&["a{1,2}"], "aaaa"), Some((0, 2)));
        assert_eq!(longest(&["a{2,}"], "aaaa"), Some((0, 4)));
        assert_eq!(longest(&["[^a-c\\]]*"], "xyz]"), Some((0, 3)));
        assert_eq!(longest(&["~don(e|t)"], "DoNT"), Some((0, 4)));
        assert_eq!(longest(&["\\l+\\d"], "ab1"), Some((0, 3)));
        assert_eq!(longest(&["(a|b)*-"], "abab-x"), Some((0, 5)));
    }
}
