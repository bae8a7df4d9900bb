//! Which words share a meaning, by WordNet.

use std::path::Path;

use hashbrown::HashMap;

use super::data::{bad_line, read_text, shown};
use crate::metrics::Error;

/// Endings and what they become in a word's base form, tried in this order.
const ENDINGS: [(&str, &str); 20] = [
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
];

/// The sets of synonyms that words are in.
#[derive(Debug)]
pub(super) struct Synonyms {
    /// The base forms of irregular forms.
    bases: HashMap<String, Vec<String>>,
    sets: HashMap<String, Vec<u32>>,
}

impl Synonyms {
    /// Reads `english.exceptions` and `english.synsets`, in which lines come in pairs: a base form and its irregular
    /// forms, a word and the numbers of its sets.
    ///
    /// # Errors
    /// If a file cannot be read, ends within a pair or has a set that is no number; the message names the line.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let mut bases: HashMap<String, Vec<String>> = HashMap::new();
        for_each_pair(&folder.join("english.exceptions"), |base, forms| {
            for form in forms.split_ascii_whitespace() {
                bases.entry_ref(form).or_default().push(base.into());
            }
            Ok(())
        })?;
        let mut sets = HashMap::new();
        for_each_pair(&folder.join("english.synsets"), |word, numbers| {
            let numbers = numbers.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>();
            sets.insert(word.to_string(), numbers.map_err(|_| "must be the numbers of sets")?);
            Ok(())
        })?;
        Ok(Self { bases, sets })
    }

    /// The sets of a word and of its base form.
    pub(super) fn sets(&self, word: &str) -> Vec<u32> {
        let of = |word: &str| self.sets.get(word).into_iter().flatten().copied();
        let mut sets: Vec<u32> = of(word).collect();
        match self.bases.get(word) {
            Some(bases) => sets.extend(bases.iter().flat_map(|base| of(base))),
            None => sets.extend(self.base(word).iter().flat_map(|base| of(base))),
        }
        sets
    }

    /// The first base form that is a word.
    fn base(&self, word: &str) -> Option<String> {
        if word.ends_with("ss") || word.chars().count() <= 2 {
            return Some(word.into());
        }
        let base = |&(ending, instead): &(&str, &str)| Some(word.strip_suffix(ending)?.to_string() + instead);
        let base = ENDINGS.iter().filter_map(base).find(|base| self.sets.contains_key(base))?;
        Some(if word.ends_with("ful") { base + "ful" } else { base })
    }
}

/// Gives the lines of a file two by two. What `take` says is wrong is wrong with the second.
fn for_each_pair(path: &Path, mut take: impl FnMut(&str, &str) -> Result<(), &'static str>) -> Result<(), Error> {
    let text = read_text(path)?;
    let mut lines = (1..).zip(text.lines());
    while let Some((number, first)) = lines.next() {
        let Some((number, second)) = lines.next() else {
            let reason = format!("must have a second line for {}, but the file ends", shown(first));
            return Err(bad_line(path, number + 1, reason));
        };
        take(first, second).map_err(|rule| bad_line(path, number, format_args!("{rule}, but is {}", shown(second))))?;
    }
    Ok(())
}
