//! Splits punctuation from words as METEOR does.

use hashbrown::HashMap;

/// When an abbreviation keeps its full stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    Always,
    BeforeNumber,
}

/// Abbreviations, without their full stop.
pub(super) type Prefixes = HashMap<String, Prefix>;

/// The caption with spaces between its words and marks.
pub(super) fn normalize(caption: &str, prefixes: &Prefixes) -> String {
    let mut text: Vec<char> = format!(" {caption} ").chars().flat_map(spaced).collect();
    text = spaced_dots(&text);
    let is_digit = |c: char| c.is_ascii_digit();
    text = between(&text, |a, b| !is_digit(a) && !is_digit(b), ',', " , ");
    text = between(&text, |a, b| is_digit(a) && !is_digit(b), ',', " , ");
    text = between(&text, |a, b| !is_digit(a) && is_digit(b), ',', " , ");
    let plain: String = text.iter().map(|&c| if matches!(c, '`' | '‘' | '’') { '\'' } else { c }).collect();
    let plain = plain.replace(['“', '”'], " \" ").replace("''", " \" ").replace('–', "-").replace("--", "-");
    text = plain.chars().collect();
    text = between(&text, |a, b| (is_alphanumeric(a) || a == '.') && is_alphanumeric(b), '-', " ");
    text = between(&text, |a, b| !is_letter(a) && !is_letter(b), '\'', " ' ");
    text = between(&text, |a, b| !is_alphanumeric(a) && is_letter(b), '\'', " ' ");
    text = between(&text, |a, b| is_letter(a) && !is_letter(b), '\'', " ' ");
    text = between(&text, |a, b| is_letter(a) && is_letter(b), '\'', " '");
    text = between(&text, |a, b| is_digit(a) && b == 's', '\'', " '");
    let text: String = text.into_iter().collect();
    split_full_stops(&text, prefixes)
}

/// A character, between spaces unless words or numbers have it in them.
fn spaced(c: char) -> impl Iterator<Item = char> {
    let stays = is_alphanumeric(c)
        || matches!(c, ' ' | '\t' | '\n' | '\u{B}' | '\u{C}' | '\r' | '.' | '\'' | '`' | ',' | '-' | '‘' | '’');
    let space = (!stays).then_some(' ');
    space.into_iter().chain([c]).chain(space)
}

/// Puts spaces around two or more dots in a row.
fn spaced_dots(text: &[char]) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len());
    for run in text.chunk_by(|a, b| (*a == '.') == (*b == '.')) {
        let space = (run[0] == '.' && run.len() > 1).then_some(' ');
        out.extend(space.into_iter().chain(run.iter().copied()).chain(space));
    }
    out
}

/// Puts `instead` for every `middle` between two characters that `fit`. A character that was the right one of a pair is
/// not the left one of the next.
fn between(text: &[char], fit: impl Fn(char, char) -> bool, middle: char, instead: &str) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [a, m, b, after @ ..] if *m == middle && fit(*a, *b) => {
                out.push(*a);
                out.extend(instead.chars());
                out.push(*b);
                rest = after;
            }
            [c, after @ ..] => {
                out.push(*c);
                rest = after;
            }
            [] => return out,
        }
    }
}

/// Splits full stops from words that are no abbreviations.
fn split_full_stops(text: &str, prefixes: &Prefixes) -> String {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{C}');
    let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    for (i, word) in words.iter().enumerate() {
        let next_begins = |is: fn(char) -> bool| words.get(i + 1).and_then(|next| next.chars().next()).is_some_and(is);
        let stem = word.strip_suffix('.').filter(|stem| !stem.is_empty() && !stem.chars().all(|c| c == '.'));
        out.push(match stem {
            None => word.to_string(),
            Some(stem) if stem.contains('.') && stem.contains(is_letter) => word.replace('.', ""),
            Some(stem) => {
                let keeps = match prefixes.get(stem) {
                    Some(Prefix::Always) => true,
                    Some(Prefix::BeforeNumber) if next_begins(|c| c.is_ascii_digit()) => true,
                    _ => next_begins(|c| c.is_ascii_lowercase()),
                };
                if keeps { word.to_string() } else { format!("{stem} .") }
            }
        });
    }
    let is_wide_space =
        |c: char| c == ' ' || matches!(c, '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}');
    let line = out.join(" ");
    let words: Vec<&str> = line.split(is_wide_space).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Letters of the Latin and Cyrillic alphabets.
fn is_letter(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{17E}'
        | '\u{400}'..='\u{527}' | '\u{A640}'..='\u{A66E}' | '\u{A67E}'..='\u{A697}' | '\u{1D00}'..='\u{1D7F}')
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_digit() || is_letter(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_split_from_words() {
        let prefixes = Prefixes::from_iter([("Mr".to_string(), Prefix::Always)]);
        for (caption, normal) in [
            ("A man's hat.", "A man 's hat ."),
            ("Mr. Smith, 1,000 U.S. dollars...", "Mr. Smith , 1,000 US dollars ..."),
            ("a black-and-white \"dog\"!", "a black and white \" dog \" !"),
            ("is n't", "is n't"),
            ("", ""),
        ] {
            assert_eq!(normalize(caption, &prefixes), normal.replace("n't", "n 't"));
        }
    }
}
