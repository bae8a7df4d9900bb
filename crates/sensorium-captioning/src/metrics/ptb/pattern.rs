//! The patterns in which the rules are written: a small language of regular expressions.
//!
//! Every character stands for itself but these: `( | )` groups, `* + ? {2} {2,4}` repeat, `[a-z]` and `[^a-z]` are
//! sets, `{name}` is another pattern, `\l` and its like are a [`Class`], and a backslash before another character means
//! that character. A pattern that begins with `~` takes ASCII letters in either case.

use super::characters::Class;
use std::iter::Peekable;
use std::str::Chars;

/// One character's worth of a pattern.
#[derive(Debug, Clone)]
pub(super) struct Set {
    negated: bool,
    members: Vec<Member>,
}

#[derive(Debug, Clone)]
enum Member {
    Range(char, char),
    Class(Class),
}

impl Set {
    pub(super) fn contains(&self, c: char) -> bool {
        let holds = |member: &Member| match member {
            Member::Range(first, last) => (*first..=*last).contains(&c),
            Member::Class(class) => class.contains(c),
        };
        self.members.iter().any(holds) != self.negated
    }
}

/// A pattern, taken apart.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    One(Set),
    All(Vec<Pattern>),
    Any(Vec<Pattern>),
    /// At least and, if given, at most so many times.
    Times(Box<Pattern>, usize, Option<usize>),
}

impl Pattern {
    /// Takes a pattern apart. `names` gives the patterns that `{name}` means.
    pub(super) fn parse(text: &str, names: &[(&str, &str)]) -> Self {
        let (either_case, text) = text.strip_prefix('~').map_or((false, text), |rest| (true, rest));
        Parser { rest: text.chars().peekable(), names, either_case }.alternatives()
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    names: &'a [(&'a str, &'a str)],
    either_case: bool,
}

impl Parser<'_> {
    fn alternatives(&mut self) -> Pattern {
        let mut alternatives = vec![self.sequence()];
        while self.rest.next_if_eq(&'|').is_some() {
            alternatives.push(self.sequence());
        }
        Pattern::Any(alternatives)
    }

    fn sequence(&mut self) -> Pattern {
        let mut parts = Vec::new();
        while let Some(c) = self.rest.next_if(|c| !matches!(c, '|' | ')')) {
            let one = self.single(c);
            parts.push(self.repeated(one));
        }
        Pattern::All(parts)
    }

    fn single(&mut self, c: char) -> Pattern {
        match c {
            '(' => {
                let inside = self.alternatives();
                self.rest.next();
                inside
            }
            '[' => Pattern::One(self.set()),
            '{' => {
                let name: String = self.rest.by_ref().take_while(|&c| c != '}').collect();
                let (_, text) = self.names.iter().find(|(known, _)| *known == name).expect("a pattern of that name");
                Pattern::parse(text, self.names)
            }
            '\\' => {
                let member = self.escaped();
                Pattern::One(Set { negated: false, members: vec![member] })
            }
            c => Pattern::One(Set { negated: false, members: self.cases(c, c) }),
        }
    }

    fn repeated(&mut self, one: Pattern) -> Pattern {
        let bounded = self.rest.clone().nth(1).is_some_and(|c| c.is_ascii_digit());
        let (least, most) = match self.rest.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') if bounded => {
                let bounds: String = self.rest.clone().skip(1).take_while(|&c| c != '}').collect();
                self.rest.nth(bounds.len() + 1);
                let (least, most) = bounds.split_once(',').unwrap_or((&bounds, &bounds));
                let most = most.parse().ok();
                return Pattern::Times(Box::new(one), least.parse().expect("a number"), most);
            }
            _ => return one,
        };
        self.rest.next();
        Pattern::Times(Box::new(one), least, most)
    }

    fn set(&mut self) -> Set {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut members = Vec::new();
        while let Some(c) = self.rest.next_if(|&c| c != ']') {
            if c == '\\' {
                members.push(self.escaped());
            } else if self.rest.peek() == Some(&'-') && self.rest.clone().nth(1) != Some(']') {
                self.rest.next();
                let last = self.rest.next().expect("the end of a range");
                members.extend(self.cases(c, last));
            } else {
                members.extend(self.cases(c, c));
            }
        }
        self.rest.next();
        Set { negated, members }
    }

    fn escaped(&mut self) -> Member {
        let c = self.rest.next().expect("a character after a backslash");
        Class::named(c).map_or(Member::Range(c, c), Member::Class)
    }

    fn cases(&self, first: char, last: char) -> Vec<Member> {
        let mut members = vec![Member::Range(first, last)];
        if self.either_case {
            members.push(Member::Range(first.to_ascii_lowercase(), last.to_ascii_lowercase()));
            members.push(Member::Range(first.to_ascii_uppercase(), last.to_ascii_uppercase()));
        }
        members
    }
}
