//! METEOR 1.5 for English: matches of words, stems, synonyms and paraphrases, and how scattered they are (Denkowski and
//! Lavie, 2014).

mod align;
mod data;
mod matches;
mod normalize;
mod paraphrases;
mod statistics;
mod stem;
mod synonyms;

use std::path::Path;

use hashbrown::HashSet;
use rayon::prelude::*;

use self::align::align;
use self::matches::Matches;
use self::normalize::Prefixes;
use self::paraphrases::Paraphrases;
use self::statistics::Statistics;
use self::synonyms::Synonyms;
use super::{Error, Example, Score};

/// METEOR 1.5 with the settings for English, punctuation kept (`-l en -norm`).
///
/// Words of a hypothesis are aligned with those of each reference, equal words counting 1, equal stems 0.6, synonyms
/// 0.8 and paraphrases 0.6, content words three times as much as function words. With `P` and `R` the weighted parts of
/// hypothesis and reference that are matched, `c` the number of pieces in which the matches follow each other and `m`
/// the number of matched words, a caption's score is `P R / (0.85 P + 0.15 R) (1 - 0.6 (c / m)^0.2)`, without the last
/// factor's penalty for a caption that matches in one piece. The best reference counts. For the set, all counts are
/// summed first.
///
/// ```
/// use sensorium_captioning::metrics::{Example, Meteor};
///
/// let example = Example {
///     id: "1".to_string(),
///     references: vec!["two dogs run in the snow".to_string()],
///     hypothesis: "two dogs running in the snow".to_string(),
/// };
/// let meteor = Meteor::new();
/// assert_eq!(meteor.stages(), ["exact", "stem"]);
/// assert!((meteor.score(&[example]).corpus - 0.9).abs() < 1e-9);
/// ```
#[derive(Debug)]
pub struct Meteor {
    function_words: HashSet<String>,
    prefixes: Prefixes,
    meanings: Option<(Synonyms, Paraphrases)>,
}

impl Default for Meteor {
    fn default() -> Self {
        Self::new()
    }
}

impl Meteor {
    /// METEOR without data: words and stems only, and a short list of function words of our own. Its numbers are lower
    /// than the published ones, which need [`Meteor::with_data`].
    pub fn new() -> Self {
        Self { function_words: data::own_function_words(), prefixes: data::own_prefixes(), meanings: None }
    }

    /// METEOR with the data of its distribution, giving the published numbers. The folder holds `paraphrase-en.gz` and,
    /// unpacked from `meteor-1.5.jar`, `function/english.words`, `nonbreaking/english.prefixes`,
    /// `synonym/english.exceptions` and `synonym/english.synsets`. Reads for seconds and keeps some hundred megabytes.
    ///
    /// # Errors
    /// If a file cannot be read or a line in it is not of its form; the message names the file and the line.
    pub fn with_data(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            function_words: data::read_words(&folder.join("function/english.words"))?,
            prefixes: data::read_prefixes(&folder.join("nonbreaking/english.prefixes"))?,
            meanings: Some((
                Synonyms::read(&folder.join("synonym"))?,
                Paraphrases::read(&folder.join("paraphrase-en.gz"))?,
            )),
        })
    }

    /// What counts as a match, by METEOR's names: `exact` and `stem`, with data `synonym` and `paraphrase` as well.
    pub fn stages(&self) -> &'static [&'static str] {
        const STAGES: [&str; matches::KINDS] = ["exact", "stem", "synonym", "paraphrase"];
        if self.meanings.is_some() { &STAGES } else { &STAGES[..2] }
    }

    /// The score of the set and of every image, each in 0..=1.
    pub fn score(&self, examples: &[Example]) -> Score {
        let images: Vec<Statistics> = examples.par_iter().map(|example| self.image(example)).collect();
        let mut corpus = Statistics::default();
        images.iter().for_each(|image| corpus.add(image));
        Score { corpus: corpus.score(), per_image: images.iter().map(Statistics::score).collect() }
    }

    /// What is counted for the best of an image's references.
    fn image(&self, example: &Example) -> Statistics {
        let hypothesis = self.words(&example.hypothesis.replace("|||", "").replace("  ", " "));
        let mut best: Option<Statistics> = None;
        for reference in &example.references {
            let statistics = self.compare(&hypothesis, &self.words(reference));
            if best.as_ref().is_none_or(|best| statistics.score() > best.score()) {
                best = Some(statistics);
            }
        }
        best.unwrap_or_default()
    }

    fn words(&self, caption: &str) -> Vec<String> {
        let line = normalize::normalize(caption, &self.prefixes).to_lowercase();
        line.split_ascii_whitespace().map(String::from).collect()
    }

    fn compare(&self, hypothesis: &[String], reference: &[String]) -> Statistics {
        let mut matches = Matches::new(hypothesis, reference);
        matches.add_equal();
        if hypothesis != reference {
            matches.add_stems();
            if let Some((synonyms, paraphrases)) = &self.meanings {
                matches.add_synonyms(synonyms);
                matches.add_paraphrases(paraphrases);
            }
        }
        let chosen = align(&matches);
        let is_function = |words: &[String]| -> Vec<bool> {
            words.iter().map(|word| self.function_words.contains(word.as_str())).collect()
        };
        Statistics::of(&chosen, &is_function(hypothesis), &is_function(reference))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn score(reference: &str, hypothesis: &str) -> f64 {
        let example = Example { id: String::new(), references: vec![reference.into()], hypothesis: hypothesis.into() };
        Meteor::new().score(&[example]).corpus
    }

    #[test]
    fn a_copy_scores_one_and_a_stranger_zero() {
        assert_eq!(score("a man rides a horse", "a man rides a horse"), 1.0);
        assert_eq!(score("a man rides a horse", "two dogs"), 0.0);
        assert_eq!(score("", "two dogs"), 0.0);
        assert_eq!(score("two dogs", ""), 0.0);
    }

    #[test]
    fn stems_count_less_than_words_and_more_than_nothing() {
        let [equal, stem, other] = ["dog runs fast", "dogs running fast", "cats sleeping fast"]
            .map(|hypothesis| score("dog runs fast", hypothesis));
        assert!(equal > stem && stem > other && other > 0.0);
    }

    #[test]
    fn order_matters() {
        assert!(score("a b c d", "a b c d e") > score("a b c d", "d c b a e"));
    }

    #[test]
    fn no_captions_score_zero() {
        assert_eq!(Meteor::new().score(&[]).corpus, 0.0);
        let example = Example { id: String::new(), references: vec![], hypothesis: "a".into() };
        assert_eq!(Meteor::new().score(&[example]).per_image, [0.0]);
    }

    /// The files that [`Meteor::with_data`] reads, in the order in which it does.
    const FILES: [&str; 5] = [
        "function/english.words",
        "nonbreaking/english.prefixes",
        "synonym/english.exceptions",
        "synonym/english.synsets",
        "paraphrase-en.gz",
    ];
    const TEXTS: [&str; 5] = [
        "the\na\n,\n",
        "# short\nMr\nNo #NUMERIC_ONLY#\n",
        "child\nchildren\n",
        "child\n11\nkid\n11 12\n",
        "0.5\na lot of\nmany\n1e-3\nmany\nlots of\n",
    ];

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    }

    /// The data above, with other bytes in one of the files.
    fn with(changed: usize, bytes: &[u8]) -> Result<Meteor, Error> {
        let folder = tempfile::tempdir().unwrap();
        for (i, (name, text)) in FILES.iter().zip(TEXTS).enumerate() {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = if name.ends_with(".gz") { packed(text.as_bytes()) } else { text.into() };
            std::fs::write(path, if i == changed { bytes } else { &text }).unwrap();
        }
        Meteor::with_data(folder.path())
    }

    #[test]
    fn synonyms_and_paraphrases_count() {
        let meteor = with(0, TEXTS[0].as_bytes()).unwrap();
        assert_eq!(meteor.stages(), ["exact", "stem", "synonym", "paraphrase"]);
        for (reference, hypothesis) in [("the kid", "the children"), ("a lot of dogs", "many dogs")] {
            let example =
                Example { id: String::new(), references: vec![reference.into()], hypothesis: hypothesis.into() };
            assert!(meteor.score(std::slice::from_ref(&example)).corpus > Meteor::new().score(&[example]).corpus);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        let long = format!("0.5\na\n{}\n", "b".repeat(1 << 17));
        for (file, text, said) in [
            (0, "", "line 1 must be a function word"),
            (0, "the\n\na an\n", "line 3 must be one word, but is \"a an\""),
            (1, "Mr\nNo #NUMBERS#\n", "line 2 must be an abbreviation"),
            (2, "child\nchildren\nman\n", "line 4 must have a second line for \"man\""),
            (3, "kid\n1\nchild\n1 x\n", "line 4 must be the numbers of sets, but is \"1 x\""),
            (3, "kid\n99999999999\n", "line 2 must be the numbers of sets"),
            (4, "0.5\na\nb\nx\nc\nd\n", "line 4 must be a probability, but is \"x\""),
            (4, "0.5\na\n", "line 3 must be a phrase, but is empty or missing"),
            (4, "0.5\n \nb\n", "line 2 must be a phrase"),
            (4, &long, "line 3 must be below 64 KiB"),
        ] {
            let bytes = if file == 4 { packed(text.as_bytes()) } else { text.into() };
            let fault = with(file, &bytes).unwrap_err().to_string();
            assert!(fault.contains(FILES[file]) && fault.contains(said), "{fault}");
        }
        for (file, name) in FILES.iter().enumerate() {
            let bytes = b"the\n1\n\xff\n1\n";
            let fault = with(file, bytes).unwrap_err().to_string();
            assert!(fault.contains(name) && fault.contains("line "), "{fault}");
            let folder = tempfile::tempdir().unwrap();
            assert!(Meteor::with_data(folder.path()).unwrap_err().to_string().contains(FILES[0]));
        }
        let mut cut = packed(TEXTS[4].as_bytes());
        cut.truncate(cut.len() - 6);
        let fault = with(4, &cut).unwrap_err().to_string();
        assert!(fault.contains("cannot be unpacked"), "{fault}");
    }

    proptest! {
        #[test]
        fn damaged_data_is_read_or_refused(
            file in 0..FILES.len(),
            cut in 0.0..=1.0,
            flips in vec((any::<Index>(), any::<u8>()), 0..6),
            noise in vec(any::<u8>(), 0..60),
            repack in any::<bool>(),
        ) {
            let mut text = TEXTS[file].as_bytes().to_vec();
            let pack = file == 4;
            if pack && !repack {
                text = packed(&text);
            }
            text.truncate((text.len() as f64 * cut) as usize);
            for (at, byte) in flips.into_iter().filter(|_| !text.is_empty()).collect::<Vec<_>>() {
                let at = at.index(text.len());
                text[at] = byte;
            }
            for bytes in [text, noise] {
                let bytes = if pack && repack { packed(&bytes) } else { bytes };
                if let Err(fault) = with(file, &bytes) {
                    let fault = fault.to_string();
                    prop_assert!(fault.contains(FILES[file]), "{}", fault);
                }
            }
        }

        #[test]
        fn any_captions_have_a_score(hypothesis in any::<String>(), references in vec("[a-c .,'|-]{0,40}|.*", 0..4)) {
            let own = references.clone();
            let score = Meteor::new().score(&[Example { id: String::new(), references, hypothesis }]).corpus;
            prop_assert!((0.0..=1.0).contains(&score), "{} {:?}", score, own);
        }
    }
}
