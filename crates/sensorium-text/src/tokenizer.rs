//! Text to words.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// The words of a text, in order, lower case.
///
/// 1. The text is brought to Unicode's compatibility form (NFKC: `ﬁ` becomes `fi`, `①` becomes `1`) and to lower case;
///    typographic apostrophes become `'`; variation selectors, soft hyphens and direction marks go.
/// 2. It is cut at Unicode's word boundaries (UAX 29), so that Chinese and Japanese ideographs come one by one and an
///    emoji with its skin tone, or one joined of several, stays whole.
/// 3. A word is letters, digits and their marks, with apostrophes between letters (`don't`) and with points or commas
///    between digits (`3.14`, `1,000`). Any other ASCII punctuation cuts it: `t-shirt`, `snake_case` and `a:b` are two
///    words each.
/// 4. Emoji, arrows, geometric and other pictographs, currency and mathematical signs and the ASCII symbols
///    `# $ % & * + < = > @ ^ | ~` are each a word. Other punctuation is dropped.
///
/// ```
/// use sensorium_text::tokenizer::tokenize;
///
/// assert_eq!(tokenize("The man’s T-shirt costs $3.50!"), ["the", "man's", "t", "shirt", "costs", "$", "3.50"]);
/// assert_eq!(tokenize("I ❤️ 猫"), ["i", "❤", "猫"]);
/// ```
pub fn tokenize(text: &str) -> Vec<String> {
    let text = normalise(text);
    let mut words = Vec::new();
    for piece in text.split_word_bounds() {
        if piece.chars().any(char::is_alphanumeric) {
            // A mark that stood on punctuation now leads its part: it goes.
            let parts = cut_at_punctuation(piece).map(|part| part.trim_start_matches(|c: char| !c.is_alphanumeric()));
            words.extend(parts.filter(|part| !part.is_empty()).map(String::from));
        } else if piece.starts_with(is_symbol) {
            words.push(piece.to_string());
        }
    }
    words
}

fn normalise(text: &str) -> String {
    let plain: String = text.nfkc().filter(|c| !is_invisible(*c)).map(straight_apostrophe).collect();
    // Lower case can split a letter from its mark ('İ'): the second pass joins what has a joined form.
    plain.to_lowercase().nfkc().collect()
}

/// Characters that change how a text looks and not what it says. The zero-width joiner stays: it makes emoji and,
/// in some scripts, words.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

fn straight_apostrophe(c: char) -> char {
    if matches!(c, '\u{2018}' | '\u{2019}' | '\u{2BC}' | '\u{FF07}') { '\'' } else { c }
}

/// The parts of what Unicode takes for one word.
fn cut_at_punctuation(piece: &str) -> impl Iterator<Item = &str> {
    let mut before = None;
    piece.split(move |c: char| {
        let after_digit = before.replace(c).is_some_and(|b: char| b.is_numeric());
        match c {
            '\'' => false,
            // Within a word Unicode has these between letters or between digits.
            '.' | ',' => !after_digit,
            // What NFKC makes of `½`: a fraction's slash.
            '\u{2044}' => true,
            _ => c.is_ascii_punctuation(),
        }
    })
}

fn is_symbol(c: char) -> bool {
    matches!(c,
        '#' | '$' | '%' | '&' | '*' | '+' | '<' | '=' | '>' | '@' | '^' | '|' | '~'
        | '¢'..='¥' | '©' | '®' | '°' | '±' | '×' | '÷'
        | '\u{20A0}'..='\u{20CF}' // currency
        | '\u{2100}'..='\u{214F}' // letter-like
        | '\u{2190}'..='\u{2BFF}' // arrows, mathematics, technical, shapes, dingbats
        | '\u{3012}' | '\u{3020}' | '\u{303D}' // postal mark, postal face, part alternation mark
        | '\u{1F000}'..='\u{1FBFF}' // pictographs
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_of_many_kinds() {
        for (text, words) in [
            ("", &[][..]),
            (" \t\n", &[]),
            ("...?!—“”", &[]),
            ("Hello, World!", &["hello", "world"]),
            ("rock 'n' roll o'clock 'twas dogs'", &["rock", "n", "roll", "o'clock", "twas", "dogs"]),
            ("It’s Jane‘s ʼem", &["it's", "jane's", "em"]),
            ("t-shirt well–known a/b a:b x_y", &["t", "shirt", "well", "known", "a", "b", "a", "b", "x", "y"]),
            ("U.S. e.g. v1.2", &["u", "s", "e", "g", "v1.2"]),
            ("3.14 1,000,000 10:30 5,", &["3.14", "1,000,000", "10", "30", "5"]),
            ("café CAFE\u{301} naïve Ünï", &["café", "café", "naïve", "ünï"]),
            ("ﬁne ① Ａ½", &["fine", "1", "a1", "2"]),
            ("İstanbul ΣΑΣ straße", &["i\u{307}stanbul", "σας", "straße"]),
            ("Привет, мир! नमस्ते दुनिया", &["привет", "мир", "नमस्ते", "दुनिया"]),
            ("猫が好き", &["猫", "が", "好", "き"]),
            ("rock & roll $5 50% C++ #1", &["rock", "&", "roll", "$", "5", "50", "%", "c", "+", "+", "#", "1"]),
            ("€20 2×3=6 → 25°", &["€", "20", "2", "×", "3", "=", "6", "→", "25", "°"]),
            ("I ❤️ ❤ you😀😀", &["i", "❤", "❤", "you", "😀", "😀"]),
            ("👍🏽 👨‍👩‍👧 🇫🇷🇩🇪 ❤️‍🔥", &["👍🏽", "👨‍👩‍👧", "🇫🇷", "🇩🇪", "❤‍🔥"]),
            ("keycap: #️⃣ 1️⃣", &["keycap", "#\u{20e3}", "1\u{20e3}"]),
            ("Ü.🏽a ͺ 1½", &["ü", "a", "\u{345}", "11", "2"]),
            ("soft\u{AD}hyphen \u{FEFF}mark\u{200F}s", &["softhyphen", "marks"]),
        ] {
            assert_eq!(tokenize(text), words, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn words_are_lower_case_without_space_and_never_empty(text in any::<String>()) {
            for word in tokenize(&text) {
                prop_assert!(!word.is_empty() && !word.contains(char::is_whitespace), "{word:?}");
                prop_assert!(!word.contains(|c: char| c.is_ascii_uppercase()), "{word:?}");
            }
        }

        #[test]
        fn the_words_of_words_are_the_same(text in "[a-zA-Z0-9'’.,:;_\\-&$#!?éÜ猫😀❤👍🏽 \u{FE0F}]{0,40}") {
            let words = tokenize(&text);
            prop_assert_eq!(tokenize(&words.join(" ")), words);
        }
    }
}
