//! The English stemmer "Porter2" (snowballstem.org).

/// The stem of a word in lower case.
pub(super) fn stem(word: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() < 3 {
        return word.into();
    }
    if let Some(stem) = exception(word) {
        return stem.into();
    }
    let mut stemmer = Stemmer::new(letters);
    stemmer.drop_apostrophe();
    stemmer.drop_plural();
    if !matches!(
        stemmer.text().as_str(),
        "inning" | "outing" | "canning" | "herring" | "earring" | "proceed" | "exceed" | "succeed"
    ) {
        stemmer.drop_past();
        stemmer.final_y();
        stemmer.replace_double_endings();
        stemmer.replace_endings();
        stemmer.drop_endings();
        stemmer.final_e_or_l();
    }
    stemmer.text().replace('Y', "y")
}

fn exception(word: &str) -> Option<&'static str> {
    Some(match word {
        "skis" => "ski",
        "skies" => "sky",
        "dying" => "die",
        "lying" => "lie",
        "tying" => "tie",
        "idly" => "idl",
        "gently" => "gentl",
        "ugly" => "ugli",
        "early" => "earli",
        "only" => "onli",
        "singly" => "singl",
        "sky" => "sky",
        "news" => "news",
        "howe" => "howe",
        "atlas" => "atlas",
        "cosmos" => "cosmos",
        "bias" => "bias",
        "andes" => "andes",
        _ => return None,
    })
}

fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}

/// A word in the making. A `Y` is a consonant.
struct Stemmer {
    word: Vec<char>,
    /// Where the two regions begin: after the first consonant that follows a vowel, and the same again.
    r1: usize,
    r2: usize,
}

impl Stemmer {
    fn new(mut word: Vec<char>) -> Self {
        if word[0] == '\'' {
            word.remove(0);
        }
        for i in 0..word.len() {
            if word[i] == 'y' && (i == 0 || is_vowel(word[i - 1])) {
                word[i] = 'Y';
            }
        }
        let region = |from: usize| {
            let boundary = (from..word.len().saturating_sub(1)).find(|&i| is_vowel(word[i]) && !is_vowel(word[i + 1]));
            boundary.map_or(word.len(), |i| i + 2)
        };
        let text: String = word.iter().collect();
        let prefix = ["gener", "commun", "arsen"].into_iter().find(|prefix| text.starts_with(prefix));
        let r1 = prefix.map_or_else(|| region(0), str::len);
        Self { r1, r2: region(r1), word }
    }

    fn text(&self) -> String {
        self.word.iter().collect()
    }

    fn ends(&self, ending: &str) -> bool {
        let count = ending.chars().count();
        count <= self.word.len() && self.word[self.word.len() - count..].iter().copied().eq(ending.chars())
    }

    /// The longest of the endings that the word has.
    fn longest<'e>(&self, endings: &[&'e str]) -> Option<&'e str> {
        endings.iter().copied().filter(|ending| self.ends(ending)).max_by_key(|ending| ending.len())
    }

    /// Where an ending begins.
    fn start(&self, ending: &str) -> usize {
        self.word.len() - ending.len()
    }

    fn replace(&mut self, ending: &str, instead: &str) {
        self.word.truncate(self.start(ending));
        self.word.extend(instead.chars());
    }

    fn has_vowel_before(&self, end: usize) -> bool {
        self.word[..end].iter().any(|&c| is_vowel(c))
    }

    /// Whether the word up to `end` ends in a short syllable.
    fn is_short_syllable(&self, end: usize) -> bool {
        match &self.word[..end] {
            [.., a, b, c] => !is_vowel(*a) && is_vowel(*b) && !is_vowel(*c) && !matches!(c, 'w' | 'x' | 'Y'),
            [a, b] => is_vowel(*a) && !is_vowel(*b),
            _ => false,
        }
    }

    fn drop_apostrophe(&mut self) {
        if let Some(ending) = self.longest(&["'", "'s", "'s'"]) {
            self.replace(ending, "");
        }
    }

    fn drop_plural(&mut self) {
        match self.longest(&["sses", "ied", "ies", "us", "ss", "s"]) {
            Some("sses") => self.replace("sses", "ss"),
            Some(ending @ ("ied" | "ies")) => {
                let instead = if self.start(ending) > 1 { "i" } else { "ie" };
                self.replace(ending, instead);
            }
            Some("s") if self.has_vowel_before(self.word.len().saturating_sub(2)) => self.replace("s", ""),
            _ => {}
        }
    }

    fn drop_past(&mut self) {
        match self.longest(&["eed", "eedly", "ed", "edly", "ing", "ingly"]) {
            Some(ending @ ("eed" | "eedly")) if self.start(ending) >= self.r1 => self.replace(ending, "ee"),
            Some("eed" | "eedly") => {}
            Some(ending) if self.has_vowel_before(self.start(ending)) => {
                self.replace(ending, "");
                if self.longest(&["at", "bl", "iz"]).is_some() {
                    self.word.push('e');
                } else if self.longest(&["bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt"]).is_some() {
                    self.word.pop();
                } else if self.word.len() == self.r1 && self.is_short_syllable(self.word.len()) {
                    self.word.push('e');
                }
            }
            _ => {}
        }
    }

    fn final_y(&mut self) {
        if let [.., _, before, last @ ('y' | 'Y')] = self.word.as_mut_slice()
            && !is_vowel(*before)
        {
            *last = 'i';
        }
    }

    fn replace_double_endings(&mut self) {
        const ENDINGS: [(&str, &str); 22] = [
            ("tional", "tion"),
            ("enci", "ence"),
            ("anci", "ance"),
            ("abli", "able"),
            ("entli", "ent"),
            ("izer", "ize"),
            ("ization", "ize"),
            ("ational", "ate"),
            ("ation", "ate"),
            ("ator", "ate"),
            ("alism", "al"),
            ("aliti", "al"),
            ("alli", "al"),
            ("fulness", "ful"),
            ("ousli", "ous"),
            ("ousness", "ous"),
            ("iveness", "ive"),
            ("iviti", "ive"),
            ("biliti", "ble"),
            ("bli", "ble"),
            ("fulli", "ful"),
            ("lessli", "less"),
        ];
        let mut endings: Vec<&str> = ENDINGS.iter().map(|(ending, _)| *ending).collect();
        endings.extend(["ogi", "li"]);
        let Some(ending) = self.longest(&endings).filter(|ending| self.start(ending) >= self.r1) else { return };
        let before = self.start(ending).checked_sub(1).map(|i| self.word[i]);
        match ending {
            "ogi" if before == Some('l') => self.replace("ogi", "og"),
            "li" if before.is_some_and(|c| "cdeghkmnrt".contains(c)) => self.replace("li", ""),
            "ogi" | "li" => {}
            _ => {
                let instead = ENDINGS.iter().find(|(known, _)| *known == ending).map_or("", |(_, instead)| instead);
                self.replace(ending, instead);
            }
        }
    }

    fn replace_endings(&mut self) {
        let endings = ["tional", "ational", "alize", "icate", "iciti", "ical", "ful", "ness", "ative"];
        let Some(ending) = self.longest(&endings).filter(|ending| self.start(ending) >= self.r1) else { return };
        match ending {
            "tional" => self.replace(ending, "tion"),
            "ational" => self.replace(ending, "ate"),
            "alize" => self.replace(ending, "al"),
            "icate" | "iciti" | "ical" => self.replace(ending, "ic"),
            "ative" if self.start(ending) < self.r2 => {}
            _ => self.replace(ending, ""),
        }
    }

    fn drop_endings(&mut self) {
        let endings = [
            "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ism", "ate", "iti",
            "ous", "ive", "ize", "ion",
        ];
        let Some(ending) = self.longest(&endings).filter(|ending| self.start(ending) >= self.r2) else { return };
        let follows = self.start(ending).checked_sub(1).map(|i| self.word[i]);
        if ending != "ion" || matches!(follows, Some('s' | 't')) {
            self.replace(ending, "");
        }
    }

    fn final_e_or_l(&mut self) {
        let end = self.word.len().saturating_sub(1);
        match self.word.last() {
            Some('e') if end >= self.r2 || (end >= self.r1 && !self.is_short_syllable(end)) => self.replace("e", ""),
            Some('l') if end >= self.r2 && end > 0 && self.word[end - 1] == 'l' => self.replace("l", ""),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_get_their_stems() {
        for (word, expected) in [
            ("running", "run"),
            ("horses", "hors"),
            ("flies", "fli"),
            ("ties", "tie"),
            ("hoping", "hope"),
            ("playing", "play"),
            ("happily", "happili"),
            ("generously", "generous"),
            ("nationalization", "nation"),
            ("sky", "sky"),
            ("at", "at"),
            ("'s", "'s"),
            ("man's", "man"),
            ("gas", "gas"),
            ("controlled", "control"),
        ] {
            assert_eq!(stem(word), expected, "{word}");
        }
    }
}
