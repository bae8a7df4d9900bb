//! What is a token: the rules, the longest match winning and of equally long ones the first.

use super::abbreviations as known;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// What it matches, in the language of [`Pattern`](super::pattern::Pattern).
    pub(super) pattern: &'static str,
    /// How much of the match belongs to the token.
    pub(super) extent: Extent,
    /// What becomes of it.
    pub(super) make: Make,
}

/// How much of a match belongs to the token; the rest is only what had to follow.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// The first so many characters.
    First(usize),
    /// All but the last so many characters.
    But(usize),
    /// A word before `n't`.
    BeforeNot,
    /// A word before `'s` and its like.
    BeforeApostrophe,
    /// Up to the first full stop.
    FullStop,
    /// Up to white space; the full stop before it ends the sentence as well and is read again.
    Sentence,
}

/// What becomes of a token's text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Make {
    /// Nothing.
    Nothing,
    /// The end of a line.
    Line,
    /// The text, with `-LRB-` and `-RRB-` for parentheses and no-break spaces for spaces.
    Text,
    /// The text without soft hyphens and with `&` for `&amp;`.
    Word,
    /// The text with plain apostrophes.
    Apostrophe,
    /// Quotation marks in plain characters, each on its own.
    Quotes,
    /// A fixed text.
    Fixed(&'static str),
}

const fn rule(pattern: &'static str, extent: Extent, make: Make) -> Rule {
    Rule { pattern, extent, make }
}

const fn text(pattern: &'static str) -> Rule {
    rule(pattern, Extent::Whole, Make::Text)
}

const fn word(pattern: &'static str) -> Rule {
    rule(pattern, Extent::Whole, Make::Word)
}

const fn fixed(pattern: &'static str, token: &'static str) -> Rule {
    rule(pattern, Extent::Whole, Make::Fixed(token))
}

/// Patterns that others use by name.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("any", r"[\s\n]|[^\s\n]"),
    ("gap", "[ \u{A0}]"),
    ("hyphen gap", "[- \u{A0}]"),
    ("point", "[.,:\u{66B}\u{66C}]"),
    ("white", r"[\s\n]"),
    ("quote", "['\u{92}’]|&apos;"),
    ("tick", "['\u{92}’`\u{91}‘‛]|&apos;"),
    ("accented", "&[aeiouAEIOU](acute|grave|uml);"),
    ("letter", r"\l|{accented}"),
    ("inner", r"\l|\d|\m|{accented}"),
    ("dash", "[-\u{58A}\u{2010}\u{2011}]"),
    ("hyphen", "_|{dash}"),
    // A word, and words joined by single full stops and the like.
    ("word", r"({letter}|\m)({inner})*"),
    ("words", r"{word}([.!?]{word})*"),
    ("elided", "[dDoOlL]({tick})[A-Za-z0-9][A-Za-z0-9]+"),
    ("part", r"({letter}|\d)+|{elided}"),
    ("joined", r"({part})(({hyphen})({part}))+"),
    ("dotted", r"[A-Za-z0-9][A-Za-z0-9.,]*({dash}([A-Za-z0-9]+|{two initials}))+"),
    ("digits first", r"\d+({letter})({letter}|\d)*"),
    ("initials", r"[A-Za-z](\.[A-Za-z])*\."),
    ("two initials", r"[A-Za-z](\.[A-Za-z])+\."),
    ("tag", r#"<([A-Za-z][A-Za-z0-9_:.-]*({attribute})*\s*/?|/[A-Za-z][A-Za-z0-9_:.-]*\s*|[!?][A-Za-z-][^>\n]*)>"#),
    ("attribute", r#"\s+[A-Za-z][A-Za-z0-9_:.-]*(\s*=\s*("[^"\n]*"|'[^'\n]*'))?"#),
    // Abbreviations that a sentence can end with: before white space and a capital, the full stop counts twice.
    ("ends", "{times}|{states}|{capital states}|{streets}|{firms}|{others}|{degrees}"),
    ("times", known::TIMES),
    ("states", known::STATES),
    ("capital states", known::CAPITAL_STATES),
    ("streets", known::STREETS),
    ("firms", known::FIRMS),
    ("others", known::OTHERS),
    ("degrees", r"~(ph|ed)\.d"),
    // Those which it cannot end with.
    ("inside", "{titles}|{things}"),
    ("titles", known::TITLES),
    ("things", known::THINGS),
    ("numbered", known::NUMBERED),
    ("beginning", "{beginners}|M[rRsS]\\."),
    ("beginners", known::BEGINNING),
    // Marks that make faces.
    ("eyes", "[<>]?[:;=][-o*']?"),
    ("eye", "[x^=~<>'-]"),
    // Places in nets.
    ("address", r#"[^\s\n"<>|(){}]+{last}"#),
    ("path", r#"/[^\s\n"<>|()]+{last}"#),
    ("last", r#"[^\s\n"<>|.!?(){},-]"#),
    ("domain", r#"([^\s\n"'`<>|.!?(){}$,-_]+\.)+({common})"#),
    ("common", "~com|net|org|edu"),
    ("www", r#"www\.([^\s\n"<>|.!?(){},]+\.)+[A-Za-z]{2,4}"#),
    (
        "files",
        "~bat|bmp|c|cgi|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|\
         xml|zip",
    ),
    ("mail", r#"[A-Za-z0-9][^\s\n"<>|(){}]*@([^\s\n"<>|(){}.]+\.)*[^\s\n"<>|(){}.]+"#),
];

/// The rules.
pub(super) const RULES: &[Rule] = &[
    rule(r"\n", Extent::Whole, Make::Line),
    rule(r"\s", Extent::Whole, Make::Nothing),
    rule(r"~&nbsp;", Extent::Whole, Make::Nothing),
    text("{tag}"),
    fixed("\u{AD}", "-"),
    // Characters written out.
    fixed("~&amp;", "&"),
    fixed("~&lt;", "<"),
    fixed("~&gt;", ">"),
    fixed("~&(mdash|ndash|md);", "--"),
    text("&#[0-9]+;"),
    // Contractions.
    rule("~cannot|gonna|gotta|lemme|gimme|wanna", Extent::First(3), Make::Word),
    rule("~'t(is|was)", Extent::First(2), Make::Word),
    rule("~[A-Za-z]*[a-mo-z]n({tick})t", Extent::BeforeNot, Make::Word),
    rule("~({words}|{accented}|[A-Za-z0-9]+)({quote})([sdm]|ll|re|ve)", Extent::BeforeApostrophe, Make::Word),
    rule("~n({tick})t", Extent::Whole, Make::Apostrophe),
    rule("~({quote})([sdm]|ll|re|ve)[^A-Za-z]", Extent::But(1), Make::Apostrophe),
    rule("[yY]({quote})[A-Za-z]", Extent::But(1), Make::Text),
    // Words with an apostrophe of their own.
    text("~({quote})(n({quote})?|em|till?|cause)"),
    text("~({quote})[2-9]0s"),
    rule(r"({quote})\d\d{white}", Extent::But(1), Make::Text),
    text("~[ldj]({quote})"),
    text("~(dunkin|somethin|ol)({quote})"),
    text("~(c({tick})(mon|est)|e({tick})er|o({tick})o|ev({tick})ry|li({tick})l|nat({tick})l|nor({tick})easter)"),
    text("~s({quote})mores"),
    text(r"~cont({quote})d\."),
    word(r"[dlnoA-HJ-XZ]({tick})\l\l+|{elided}"),
    word(r"\l+[aeiouyAEIOUY]({tick})[aeiouA-Z]\l*"),
    // Names in nets.
    text("~https?://{address}"),
    text("({www}|{domain})({path})?"),
    text(r"(<|&lt;)?{mail}(>|&gt;)?"),
    text("@[A-Za-z_][A-Za-z_0-9]*"),
    text(r"#({letter}|\m)+"),
    // Words and files.
    word("{words}"),
    // Abbreviations.
    rule(r"({ends})\.{white}({white}|\u|{tag})", Extent::Sentence, Make::Word),
    rule(r"({ends})\.({any}){2}", Extent::But(2), Make::Word),
    word(r"({ends}|{inside})\."),
    rule(r"({numbered})\.{white}?\d", Extent::FullStop, Make::Word),
    rule(r"[A-Za-z]\.{white}+(({beginning}){white}|{tag})", Extent::First(1), Make::Word),
    rule(r"([Nn][Oo][Nn]-)?{initials}{white}+(({beginning}){white}|{tag})", Extent::Sentence, Make::Word),
    word("{initials}"),
    rule(r"([\l\d]+\.)+({files})({white}|[.,!?])", Extent::But(1), Make::Word),
    // Words, with hyphens, slashes, ampersands.
    word("{digits first}|{joined}|{dotted}"),
    rule(r"({words}|{digits first}|{joined}|{dotted}|({numbered})|\d+)\.[,;:]", Extent::But(1), Make::Word),
    text(r"[A-Za-z0-9]+(-[A-Za-z]+){0,2}(\\?/[A-Za-z0-9]+(-[A-Za-z]+){0,2}){1,2}"),
    word("[A-Z]+(([+&]|&amp;)[A-Z]+)+"),
    text("[Cc]\\+\\+|[CcFf]#"),
    text("[A-Z]+\\$"),
    text("~(anti|pro)-"),
    // Numbers.
    word(r"[+-]?(\d+|{point}\d+)({point}\d+)*"),
    text(r"(\d{1,4}{hyphen gap})?\d{1,4}(\\?/|⁄)\d{1,4}"),
    text(r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}"),
    text(r"(\(\d{2,3}\){gap}?|\+{0,2}(\d{2,4}{hyphen gap})?\d{2,4}{hyphen gap})\d{3,4}{hyphen gap}?\d{3,5}"),
    text(r"(\+{0,2}\d{2,4}\.)?\d{2,4}\.\d{3,4}\.\d{3,5}"),
    // Fractions, money.
    fixed("¼", "1/4"),
    fixed("½", "1/2"),
    fixed("¾", "3/4"),
    fixed("⅓", "1/3"),
    fixed("⅔", "2/3"),
    fixed("¢", "cents"),
    fixed("£", "#"),
    fixed("[\u{80}\u{A4}\u{20A0}€]", "$"),
    text("[²³¹\u{2070}\u{2074}-\u{2079}\u{2080}-\u{2089}]+"),
    // Faces.
    rule(r"{eyes}[DPdpO\\{@|()\[\]][^A-Za-z0-9]", Extent::But(1), Make::Text),
    text(r"{eye}_{eye}|\({eye}[_.]?{eye}\)|\([x^=~<>']-[x^=~<>'`]\)"),
    // Quotation marks.
    rule("(\"|&quot;)[A-Za-z0-9$]", Extent::But(1), Make::Fixed("``")),
    fixed("\"|&quot;|''|[\u{94}”»]", "''"),
    fixed("``|[\u{93}“«]", "``"),
    rule(r"'[A-Za-z][^\s\n]", Extent::But(2), Make::Fixed("`")),
    rule("~({quote})([sdm]|ll|re|ve)", Extent::Whole, Make::Apostrophe),
    rule("[`‘’“”‛‹›«»‚„\u{91}-\u{94}]{2}", Extent::Whole, Make::Quotes),
    fixed("[`\u{91}‘‛‹]", "`"),
    fixed("['\u{92}’›]|&apos;", "'"),
    text("[‚„]+|&[Qq][Uu][Oo][Tt];|&[Aa][Pp][Oo][Ss];"),
    // Brackets.
    text("[()]"),
    fixed("\\[", "-LSB-"),
    fixed("\\]", "-RSB-"),
    fixed("\\{", "-LCB-"),
    fixed("\\}", "-RCB-"),
    text(r"<<?|>>?|\\\*"),
    // Dashes, dots and other marks.
    fixed("-{2,4}|[\u{96}\u{97}\u{2013}-\u{2015}]", "--"),
    text("-{5,}|-"),
    fixed(r"\.{3,5}|(\.{gap}){2,4}\.|…", "..."),
    text("\\.|[!?]+|\\*+|@+|#+|_+"),
    text(r"\y"),
];
