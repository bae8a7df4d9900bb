//! Words as the Penn Treebank splits them, and what of them the COCO evaluation counts.
//!
//! The rules follow what the tokenizer of the COCO evaluation code (CoreNLP 3.4.1, `-preserveLines`) was seen to do.

mod abbreviations;
mod automaton;
mod characters;
mod pattern;
mod rules;

use super::Example;
use automaton::{Machine, Matcher};
use characters::Class;
use pattern::Pattern;
use rules::{Extent, Make, NAMES, RULES, Rule};
use std::sync::LazyLock;

static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let patterns: Vec<Pattern> = RULES.iter().map(|rule| Pattern::parse(rule.pattern, NAMES)).collect();
    Machine::new(&patterns)
});

/// Tokens that the COCO evaluation does not count.
const PUNCTUATION: [&str; 17] =
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"];

/// The tokens of one line. See [`tokenize_all`].
pub fn tokenize(line: &str, lower: bool) -> Vec<String> {
    tokenize_all(&[line], lower).pop().unwrap_or_default()
}

/// The tokens of every line, in lower case if `lower`.
///
/// Lines are read as one text: whether the full stop of an abbreviation at the end of a line also ends a sentence, and
/// so becomes a token of its own, depends on the next line. What ends a line within a line counts as a space.
/// Parentheses become `-LRB-` and `-RRB-`, quotation marks ` `` ` and `''`, and characters which the tokenizer does not
/// know, such as emoji, vanish. A token may hold a no-break space, as in `1 1/2`, but no other white space.
pub fn tokenize_all<S: AsRef<str>>(lines: &[S], lower: bool) -> Vec<Vec<String>> {
    let text: Vec<char> = lines
        .iter()
        .enumerate()
        .flat_map(|(i, line)| {
            let end = (i > 0).then_some('\n');
            end.into_iter().chain(line.as_ref().chars().map(|c| if Class::Newline.contains(c) { ' ' } else { c }))
        })
        .collect();
    let mut tokenized = vec![Vec::new()];
    let mut matcher = Matcher::new(&MACHINE);
    let mut start = 0;
    while start < text.len() {
        let rest = &text[start..];
        let Some((number, length)) = matcher.longest(rest) else {
            start += 1;
            continue;
        };
        let Rule { extent, make, .. } = RULES[number];
        let (token, consumed) = extent.of(&rest[..length]);
        match make.token(&rest[..token]) {
            None if matches!(make, Make::Line) => tokenized.push(Vec::new()),
            None => {}
            Some(token) => {
                let token = if lower { token.to_lowercase() } else { token };
                tokenized.last_mut().expect("a line").push(token);
            }
        }
        start += consumed;
    }
    tokenized.truncate(lines.len());
    tokenized
}

/// The captions as the COCO evaluation counts them: tokens in lower case without punctuation, separated by spaces.
pub fn coco_tokens_all<S: AsRef<str>>(lines: &[S]) -> Vec<String> {
    let counted = |token: &String| !PUNCTUATION.contains(&token.as_str());
    let line = |tokens: Vec<String>| tokens.into_iter().filter(counted).collect::<Vec<_>>().join(" ");
    tokenize_all(lines, true).into_iter().map(line).collect()
}

/// The examples with their captions tokenized by [`coco_tokens_all`]: all references in order as one text, then all
/// hypotheses, as the COCO evaluation does it.
pub fn tokenized(examples: &[Example]) -> Vec<Example> {
    let references: Vec<&String> = examples.iter().flat_map(|example| &example.references).collect();
    let hypotheses: Vec<&String> = examples.iter().map(|example| &example.hypothesis).collect();
    let mut references = coco_tokens_all(&references).into_iter();
    let hypotheses = coco_tokens_all(&hypotheses);
    let example = |(example, hypothesis): (&Example, String)| Example {
        id: example.id.clone(),
        references: references.by_ref().take(example.references.len()).collect(),
        hypothesis,
    };
    examples.iter().zip(hypotheses).map(example).collect()
}

impl Extent {
    /// How many characters of a match are the token, and how many are done with.
    fn of(self, matched: &[char]) -> (usize, usize) {
        let length = matched.len();
        let apostrophe = || matched.iter().rposition(|c| "'\u{92}’`\u{91}‘‛&".contains(*c)).unwrap_or(length);
        let whole = match self {
            Self::Whole => length,
            Self::First(count) => count,
            Self::But(count) => length - count,
            Self::BeforeNot => apostrophe() - 1,
            Self::BeforeApostrophe => apostrophe(),
            Self::FullStop => matched.iter().position(|&c| c == '.').map_or(length, |i| i + 1),
            Self::Sentence => {
                let is_white = |c: &char| Class::Space.contains(*c) || Class::Newline.contains(*c);
                let white = matched.iter().position(is_white).unwrap_or(length);
                return (white, white - 1);
            }
        };
        (whole, whole)
    }
}

impl Make {
    fn token(self, text: &[char]) -> Option<String> {
        Some(match self {
            Self::Nothing | Self::Line => return None,
            Self::Fixed(token) => token.into(),
            Self::Word => {
                let word: String = text.iter().filter(|&&c| c != '\u{AD}').collect();
                if word.contains("&amp;") { word.replace("&amp;", "&") } else { word }
            }
            Self::Apostrophe => {
                let word: String = text.iter().collect();
                word.replace("&apos;", "'").replace(['’', '\u{92}'], "'").replace(['‘', '‛', '\u{91}'], "`")
            }
            Self::Quotes => text.iter().map(|&c| plain_quote(c)).collect(),
            Self::Text => {
                let mut token = String::new();
                for &c in text {
                    match c {
                        '(' => token.push_str("-LRB-"),
                        ')' => token.push_str("-RRB-"),
                        c if Class::Space.contains(c) => token.push('\u{A0}'),
                        c => token.push(c),
                    }
                }
                token
            }
        })
    }
}

fn plain_quote(c: char) -> String {
    match c {
        '‘' | '‛' | '‹' | '\u{91}' => "`".into(),
        '’' | '›' | '\u{92}' => "'".into(),
        '“' | '«' | '\u{93}' => "``".into(),
        '”' | '»' | '\u{94}' => "''".into(),
        c => c.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_gives_as_many_lines_and_no_white_tokens() {
        let lines = ["", " ", "\n", "a\nb", "\u{0}\u{1F600}\u{FFFF}", "((((", "'''''", ".....", "<a b", "&amp", "a."];
        let tokens = tokenize_all(&lines, true);
        assert_eq!(tokens.len(), lines.len());
        assert!(tokens.iter().flatten().all(|token| !token.is_empty() && !token.contains(' ')));
        assert!(tokenize_all::<&str>(&[], true).is_empty());
    }

    #[test]
    fn an_abbreviation_may_end_a_sentence() {
        assert_eq!(tokenize("made by Acme Inc. The end", false), ["made", "by", "Acme", "Inc.", ".", "The", "end"]);
        assert_eq!(tokenize("by Acme Inc. in town", false), ["by", "Acme", "Inc.", "in", "town"]);
        assert_eq!(tokenize_all(&["by Acme Inc.", "The end"], false)[0], ["by", "Acme", "Inc.", "."]);
        assert_eq!(tokenize_all(&["by Acme Inc.", "the end"], false)[0], ["by", "Acme", "Inc."]);
    }

    #[test]
    fn examples_keep_their_references() {
        let references = vec!["A man's hat.".to_string(), "(A) hat!".into()];
        let example = Example { id: "1".into(), references, hypothesis: "a \"hat\"".into() };
        let [tokenized] = tokenized(&[example]).try_into().unwrap();
        assert_eq!(tokenized.references, ["a man 's hat", "-lrb- a -rrb- hat"]);
        assert_eq!(tokenized.hypothesis, "a hat");
    }
}
