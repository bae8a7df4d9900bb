//! The classes of characters that the rules speak of.

/// A class of characters, by the letter that names it in a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `\l`: letters, the soft hyphen counting as one.
    Letter,
    /// `\u`: upper-case letters.
    Upper,
    /// `\m`: combining marks and modifiers, which continue a word.
    Mark,
    /// `\d`: decimal digits of any script.
    Digit,
    /// `\s`: spaces.
    Space,
    /// `\n`: ends of lines.
    Newline,
    /// `\y`: symbols that are tokens of their own.
    Symbol,
}

impl Class {
    /// The class that a letter after a backslash names.
    pub(super) fn named(name: char) -> Option<Self> {
        Some(match name {
            'l' => Self::Letter,
            'u' => Self::Upper,
            'm' => Self::Mark,
            'd' => Self::Digit,
            's' => Self::Space,
            'n' => Self::Newline,
            'y' => Self::Symbol,
            _ => return None,
        })
    }

    /// Whether a character is of this class. Characters beyond U+FFFF are of none.
    pub(super) fn contains(self, c: char) -> bool {
        if c as u32 > 0xFFFF {
            return false;
        }
        match self {
            Self::Letter => c == '\u{AD}' || (c.is_alphabetic() && !is_mark(c) && !is_unknown(c)),
            Self::Upper => c.is_uppercase() && !is_unknown(c),
            Self::Mark => is_mark(c),
            Self::Digit => is_digit(c),
            Self::Space => matches!(c, ' ' | '\t' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{3000}'),
            Self::Newline => {
                matches!(c, '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}')
            }
            Self::Symbol => is_symbol(c),
        }
    }
}

fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{2C2}'..='\u{2C5}' | '\u{2D2}'..='\u{2DF}' | '\u{2E5}'..='\u{2EB}' | '\u{2ED}' | '\u{2EF}'..='\u{36F}'
        | '\u{375}' | '\u{378}'..='\u{379}' | '\u{384}'..='\u{385}' | '\u{3F6}' | '\u{483}'..='\u{487}'
        | '\u{55A}'..='\u{55F}' | '\u{591}'..='\u{5BD}' | '\u{5BF}' | '\u{5C1}'..='\u{5C2}' | '\u{5C4}'..='\u{5C5}'
        | '\u{5C7}' | '\u{615}'..='\u{61A}' | '\u{64B}'..='\u{65E}' | '\u{670}' | '\u{6D6}'..='\u{6E4}'
        | '\u{6E7}'..='\u{6ED}' | '\u{6FD}'..='\u{6FE}' | '\u{70F}' | '\u{711}' | '\u{730}'..='\u{74C}'
        | '\u{7A6}'..='\u{7B0}' | '\u{7EB}'..='\u{7F3}' | '\u{900}'..='\u{903}' | '\u{93C}' | '\u{93E}'..='\u{94E}'
        | '\u{951}'..='\u{955}' | '\u{962}'..='\u{963}' | '\u{981}'..='\u{983}' | '\u{9BC}' | '\u{9BE}'..='\u{9CD}'
        | '\u{9D7}' | '\u{9E2}'..='\u{9E3}' | '\u{A01}'..='\u{A4F}' if !c.is_alphabetic() || !is_base_letter(c))
}

/// Letters in the span of the scripts of India that are no vowel signs.
fn is_base_letter(c: char) -> bool {
    matches!(c, '\u{904}'..='\u{939}' | '\u{93D}' | '\u{A05}'..='\u{A39}')
}

/// Letters that are dropped: those which Unicode 6.0 did not have, in the scripts a caption may hold.
fn is_unknown(c: char) -> bool {
    matches!(c, '\u{37F}' | '\u{528}'..='\u{52F}' | '\u{560}' | '\u{588}' | '\u{5EF}' | '\u{860}'..='\u{86A}'
        | '\u{870}'..='\u{8C9}' | '\u{1C80}'..='\u{1CBF}' | '\u{2160}'..='\u{2182}' | '\u{2185}'..='\u{2188}'
        | '\u{24B6}'..='\u{24E9}' | '\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3038}'..='\u{303A}' | '\u{345}'
        | '\u{31BB}'..='\u{31BF}' | '\u{4DB6}'..='\u{4DBF}' | '\u{9FCD}'..='\u{9FFF}' | '\u{A7AB}'..='\u{A7CA}')
}

fn is_digit(c: char) -> bool {
    matches!(c, '0'..='9' | '\u{660}'..='\u{669}' | '\u{6F0}'..='\u{6F9}' | '\u{7C0}'..='\u{7C9}'
        | '\u{966}'..='\u{96F}' | '\u{9E6}'..='\u{9EF}' | '\u{A66}'..='\u{A6F}' | '\u{AE6}'..='\u{AEF}'
        | '\u{B66}'..='\u{B6F}' | '\u{BE6}'..='\u{BEF}' | '\u{C66}'..='\u{C6F}' | '\u{CE6}'..='\u{CEF}'
        | '\u{D66}'..='\u{D6F}' | '\u{E50}'..='\u{E59}' | '\u{ED0}'..='\u{ED9}' | '\u{F20}'..='\u{F29}'
        | '\u{1040}'..='\u{1049}' | '\u{17E0}'..='\u{17E9}' | '\u{1810}'..='\u{1819}' | '\u{FF10}'..='\u{FF19}')
}

fn is_symbol(c: char) -> bool {
    matches!(c, '%' | '&' | ';' | '=' | '\\' | '^' | '|' | '~' | '+' | '/' | '$' | '#' | ',' | ':' | '@' | '_'
        | '\u{A1}' | '\u{A5}'..='\u{A9}' | '\u{AC}' | '\u{AE}'..='\u{B1}' | '\u{B4}' | '\u{B6}'..='\u{B8}' | '\u{BF}'
        | '\u{D7}' | '\u{F7}' | '\u{37E}' | '\u{387}' | '\u{589}' | '\u{5BE}' | '\u{5C0}' | '\u{5C3}' | '\u{5C6}'
        | '\u{5F3}'..='\u{5F4}' | '\u{600}'..='\u{603}' | '\u{606}'..='\u{60C}' | '\u{614}' | '\u{61B}'
        | '\u{61E}'..='\u{61F}' | '\u{66A}' | '\u{66D}' | '\u{6D4}' | '\u{700}'..='\u{70D}' | '\u{7F6}'..='\u{7F8}'
        | '\u{964}'..='\u{965}' | '\u{E3F}' | '\u{E4F}' | '\u{1FBD}' | '\u{2016}'..='\u{2017}'
        | '\u{2020}'..='\u{2023}' | '\u{2030}'..='\u{2038}' | '\u{203B}' | '\u{203E}'..='\u{2042}' | '\u{2044}'
        | '\u{207A}'..='\u{207E}' | '\u{208A}'..='\u{208E}' | '\u{20A4}' | '\u{2100}'..='\u{2101}'
        | '\u{2103}'..='\u{2106}' | '\u{2108}'..='\u{2109}' | '\u{2114}' | '\u{2116}'..='\u{2118}'
        | '\u{211E}'..='\u{2123}' | '\u{2125}' | '\u{2127}' | '\u{2129}' | '\u{212E}' | '\u{213A}'..='\u{213B}'
        | '\u{2140}'..='\u{2144}' | '\u{214A}'..='\u{214D}' | '\u{214F}' | '\u{2155}'..='\u{215E}'
        | '\u{2190}'..='\u{2BFF}' | '\u{3001}'..='\u{3002}' | '\u{3012}' | '\u{30FB}' | '\u{FF01}'..='\u{FF0F}'
        | '\u{FF1A}'..='\u{FF20}' | '\u{FF3B}'..='\u{FF40}' | '\u{FF5B}'..='\u{FF65}' | '\u{FFE0}'..='\u{FFE1}'
        | '\u{FFE5}'..='\u{FFE6}')
}
