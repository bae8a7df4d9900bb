//! From a picture to speech without text, after Hsu et al. (2020), "Text-Free Image-to-Speech Synthesis Using Learned
//! Segmental Units".
//!
//! A captioner whose words are units of sound tells about a picture, and the units become sound. Unlike there, units are
//! clusters of log-mel frames, not of a network that was trained on pictures and speech; a unit lasts as long as it does
//! on average; and Griffin-Lim finds the phases, no network.
//!
//! - [`Speaker`]: a picture in, a sound out.
//! - [`SpeakSettings::fit`]: training on pictures with sounds; [`pairs`] reads them.
//! - [`Units`]: sound to units and back.
//! - [`Speaker::evaluate`]: the unit error rate beside its baselines; [`UnitErrors`].
//! - [`portrait`]: what was said, drawn.

mod error_rate;
mod evaluate;
mod fit;
mod k_means;
pub mod pairs;
mod portrait;
mod units;

use std::path::Path;

use burn::tensor::{Device, Tensor};
pub use error_rate::UnitErrors;
pub use evaluate::{Evaluation, Score};
pub use fit::{Fitted, SpeakSettings};
use image::RgbImage;
pub use portrait::portrait;
use sensorium_core::Error as CoreError;
pub use units::{HOP_LENGTH, N_FFT, N_MELS, Run, SAMPLE_RATE, Units};

use crate::decode::Sentence;
use crate::{BeamSearch, Captioner, Limits, Result};

/// A captioner whose words are units of sound.
///
/// ```no_run
/// use sensorium_audio::io::{Audio, SampleFormat, write_wav};
/// use sensorium_captioning::BeamSearch;
/// use sensorium_captioning::speak::{SAMPLE_RATE, Speaker};
/// use sensorium_vision::io::{self, Decoding};
///
/// let device = sensorium_core::device::parse("flex")?;
/// let speaker = Speaker::load("run", &device)?;
/// let picture = io::read("dog.jpg", &Decoding::default())?;
/// for spoken in speaker.speak(&[picture], &BeamSearch::new(5))? {
///     let audio = Audio::from_mono(spoken.sound, SAMPLE_RATE)?;
///     write_wav("dog.wav", &audio, SampleFormat::I16)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Speaker {
    captioner: Captioner,
    units: Units,
    /// The unit of each of the captioner's words; `None` for those that are none.
    unit_of: Vec<Option<u32>>,
}

/// What was said about a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoken {
    /// What the search found: words of the captioner, and where it looked for each.
    pub sentence: Sentence,
    /// The units, none that of the one before.
    pub units: Vec<u32>,
    /// Samples at [`SAMPLE_RATE`].
    pub sound: Vec<f32>,
}

/// The word of a unit.
fn name(unit: u32) -> String {
    format!("u{unit}")
}

impl Speaker {
    /// A captioner with the units that are its words.
    ///
    /// # Errors
    /// If the captioner has a word that is no unit, but for the special ones, or none that is one.
    pub fn new(captioner: Captioner, units: Units) -> Result<Self> {
        let words = captioner.words();
        let special = [words.pad(), words.unk(), words.start(), words.end()];
        let unit = |id: u32| -> Result<Option<u32>> {
            let word = words.word(id);
            let unit = word.strip_prefix('u').and_then(|number| number.parse().ok());
            match unit.filter(|unit| (*unit as usize) < units.len()) {
                _ if special.contains(&id) => Ok(None),
                Some(unit) => Ok(Some(unit)),
                None => {
                    let rule = format!("must be one of {} units, u0 to u{}", units.len(), units.len() - 1);
                    Err(CoreError::config("word of the speaker", word, rule).into())
                }
            }
        };
        let unit_of: Vec<Option<u32>> = (0..words.len() as u32).map(unit).collect::<Result<_>>()?;
        if unit_of.iter().all(Option::is_none) {
            return Err(CoreError::config("words of the speaker", words.len(), "must have units among them").into());
        }
        Ok(Self { captioner, units, unit_of })
    }

    /// Reads a speaker from the folder it was saved in.
    ///
    /// # Errors
    /// If a file is missing or damaged, or they do not fit each other.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let units = Units::load(&folder)?;
        Self::new(Captioner::load(folder, device)?, units)
    }

    /// Writes the speaker into a folder: the captioner's files and those of the units.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.units.save(&folder)?;
        self.captioner.save(folder)
    }

    /// The captioner.
    pub fn captioner(&self) -> &Captioner {
        &self.captioner
    }

    /// The units.
    pub fn units(&self) -> &Units {
        &self.units
    }

    /// Says what pictures show.
    ///
    /// # Errors
    /// If what is said would last longer than a minute.
    ///
    /// # Panics
    /// If there is no picture, or `search` has settings out of range.
    pub fn speak(&self, pictures: &[RgbImage], search: &BeamSearch) -> Result<Vec<Spoken>> {
        self.speak_of(self.captioner.look(pictures), search)
    }

    /// Says what pictures show, of what the captioner sees of them.
    fn speak_of(&self, view: Tensor<3>, search: &BeamSearch) -> Result<Vec<Spoken>> {
        let found = self.captioner.searcher().search(view, search, &self.limits());
        found.into_iter().map(|found| self.say(found.best().clone())).collect()
    }

    /// Only units: at least two, since one frame makes no sound, and no more than the sounds had that they are from.
    fn limits(&self) -> Limits {
        let words = self.captioner.words();
        Limits {
            max_steps: self.units.longest() + 1,
            min_words: 2,
            suppressed: vec![words.pad(), words.unk(), words.start()],
            ..self.captioner.limits()
        }
    }

    fn say(&self, sentence: Sentence) -> Result<Spoken> {
        let mut units: Vec<u32> = sentence.words.iter().filter_map(|word| self.unit_of[*word as usize]).collect();
        let mut runs = self.units.timed(&units);
        if let [run] = runs.as_mut_slice() {
            run.frames = run.frames.max(2);
        }
        units.dedup();
        let sound = self.units.decode(&runs)?;
        Ok(Spoken { sentence, units, sound })
    }
}
