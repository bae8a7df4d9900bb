//! A whole captioner: an image encoder, a decoder and its words.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use image::RgbImage;
use rand_chacha::ChaCha8Rng;
use sensorium_core::Error as CoreError;
use sensorium_core::files::write_atomic;
use sensorium_core::weights::{self, Allow, load_into, tensors_of, write_safetensors};
use sensorium_vision::pool::adaptive_avg_pool2d;
use sensorium_vision::transforms::Preprocess;
use sensorium_vision::{Encoder, EncoderConfig, FoldedEncoder};
use serde::{Deserialize, Serialize};

use crate::attend::{AttentionDecoder, AttentionDecoderConfig, CpuDecoder, Focus};
use crate::decode::{BeamSearch, Found, Limits, Sampling, Sentence};
use crate::practice::{Practice, mixed};
use crate::show_and_tell::{Reading, ShowAndTell, ShowAndTellConfig};
use crate::{Result, WordMap};

const ABOUT: &str = "captioner.json";
const WORDS: &str = "words.json";
const ENCODER: &str = "encoder.safetensors";
const DECODER: &str = "decoder.safetensors";
const FORMAT: &str = "captioner";

/// What a [`Captioner`] is made of; `captioner.json` of a saved one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptionerConfig {
    /// The image encoder.
    pub encoder: EncoderConfig,
    /// The encoder's layers whose maps the decoder sees, their channels one after the other.
    pub layers: Vec<String>,
    /// What a picture goes through before the encoder.
    pub preprocess: Preprocess,
    /// The decoder.
    pub decoder: DecoderConfig,
}

impl CaptionerConfig {
    /// Checks the ranges.
    fn validate(&self) -> Result<()> {
        if self.layers.is_empty() {
            return Err(CoreError::config("layers", "[]", "must name at least one layer of the encoder").into());
        }
        self.encoder.validate()?;
        self.preprocess.validate()?;
        self.decoder.validate()
    }

    /// The names of the layers.
    pub(crate) fn layers(&self) -> Vec<&str> {
        self.layers.iter().map(String::as_str).collect()
    }
}

/// The decoder of a [`Captioner`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderConfig {
    /// Show, Attend and Tell over a map of `grid` × `grid` positions.
    Attend {
        /// Positions along a side; the encoder's map is averaged, or spread, to them.
        grid: usize,
        /// The decoder's sizes.
        sizes: AttentionDecoderConfig,
    },
    /// Show and Tell over the map's mean.
    ShowAndTell(ShowAndTellConfig),
}

impl DecoderConfig {
    /// Words, the special ones among them.
    pub fn vocab(&self) -> usize {
        match self {
            Self::Attend { sizes, .. } => sizes.vocab,
            Self::ShowAndTell(sizes) => sizes.vocab,
        }
    }

    /// Channels of the encoder's maps.
    pub fn features(&self) -> usize {
        match self {
            Self::Attend { sizes, .. } => sizes.features,
            Self::ShowAndTell(sizes) => sizes.features,
        }
    }

    fn validate(&self) -> Result<()> {
        match self {
            Self::Attend { grid: grid @ (0 | 65..), .. } => {
                Err(CoreError::config("grid", grid, "must be 1 to 64; the tutorial takes 14").into())
            }
            Self::Attend { sizes, .. } => sizes.validate(),
            Self::ShowAndTell(sizes) => sizes.validate(),
        }
    }

    /// Positions along a side of what the decoder sees.
    pub fn grid(&self) -> usize {
        match self {
            Self::Attend { grid, .. } => *grid,
            Self::ShowAndTell(_) => 1,
        }
    }

    pub(crate) fn init(&self, device: &Device) -> Decoder {
        match self {
            Self::Attend { sizes, .. } => Decoder::Attend(sizes.init(device)),
            Self::ShowAndTell(sizes) => Decoder::ShowAndTell(sizes.init(device)),
        }
    }
}

/// A decoder with its weights.
#[derive(Module, Debug)]
pub enum Decoder {
    /// Show, Attend and Tell.
    Attend(AttentionDecoder),
    /// Show and Tell.
    ShowAndTell(ShowAndTell),
}

/// What a decoder sees of an encoder's maps, each `[batch, channels, height, width]`: the rows of a grid one after the
/// other, at each position the channels of all maps, `[batch, grid², channels of all]`.
pub(crate) fn view(maps: Vec<Tensor<4>>, grid: usize) -> Tensor<3> {
    let maps = maps.into_iter().map(|map| adaptive_avg_pool2d(map, [grid, grid])).collect();
    Tensor::cat(maps, 1).flatten::<3>(2, 3).swap_dims(1, 2)
}

/// A [`Decoder`] for searching.
#[derive(Debug)]
pub enum Searcher {
    /// Show, Attend and Tell on a CPU, in kernels of this crate's own.
    Cpu(CpuDecoder),
    /// Show, Attend and Tell in a backend's.
    Attend(AttentionDecoder),
    /// Show and Tell.
    ShowAndTell(ShowAndTell),
}

impl Searcher {
    /// Searches for a sentence for each of `view` `[pictures, positions, features]`, which [`Captioner::view`] makes; Show
    /// and Tell sees one position.
    pub fn search(&self, view: Tensor<3>, search: &BeamSearch, limits: &Limits) -> Vec<Found> {
        let pictures = view.dims()[0];
        match self {
            Self::Cpu(decoder) => search.search(decoder, decoder.start(view), pictures, limits),
            Self::Attend(decoder) => search.search(decoder, decoder.start(view), pictures, limits),
            Self::ShowAndTell(model) => search.search(model, model.start(view.squeeze_dim(1)), pictures, limits),
        }
    }

    /// Draws a sentence for each of `view` `[pictures, positions, features]`, as [`search`](Self::search) takes it.
    pub fn sample(&self, view: Tensor<3>, sampling: &Sampling, limits: &Limits) -> Vec<Sentence> {
        let pictures = view.dims()[0];
        match self {
            Self::Cpu(decoder) => sampling.draw(decoder, decoder.start(view), pictures, limits),
            Self::Attend(decoder) => sampling.draw(decoder, decoder.start(view), pictures, limits),
            Self::ShowAndTell(model) => sampling.draw(model, model.start(view.squeeze_dim(1)), pictures, limits),
        }
    }
}

impl Decoder {
    /// The decoder for searching, as its weights are now.
    pub fn searcher(&self) -> Searcher {
        match self {
            Self::Attend(decoder) => decoder.on_cpu().map_or_else(|| Searcher::Attend(decoder.clone()), Searcher::Cpu),
            Self::ShowAndTell(model) => Searcher::ShowAndTell(model.clone()),
        }
    }

    /// Reads captions as in training and foretells each next word; see [`AttentionDecoder::practise`] and
    /// [`ShowAndTell::practise`].
    pub(crate) fn practise(
        &self,
        view: Tensor<3>,
        read: &[Vec<u32>],
        captions: &[Vec<u32>],
        rng: &mut ChaCha8Rng,
    ) -> Practice {
        match self {
            Self::Attend(decoder) => Practice::from(decoder.practise(view, read, captions, rng)),
            Self::ShowAndTell(model) => model.practise(view.squeeze_dim(1), read, captions, Reading::FromStart),
        }
    }

    /// Reads captions and foretells each next word; see [`AttentionDecoder::forward`] and [`ShowAndTell::forward`].
    pub(crate) fn foretell(&self, view: Tensor<3>, captions: &[Vec<u32>]) -> Practice {
        match self {
            Self::Attend(decoder) => Practice::from(decoder.forward(view, captions)),
            Self::ShowAndTell(model) => model.practise(view.squeeze_dim(1), captions, captions, Reading::FromStart),
        }
    }

    /// Soft or hard attention; `None` of a decoder that has none.
    pub(crate) fn focus(&self) -> Option<Focus> {
        match self {
            Self::Attend(decoder) => Some(decoder.focus()),
            Self::ShowAndTell(_) => None,
        }
    }

    /// The decoder that drops nothing in training.
    pub(crate) fn without_dropout(self) -> Self {
        match self {
            Self::Attend(decoder) => Self::Attend(decoder.without_dropout()),
            Self::ShowAndTell(model) => Self::ShowAndTell(model),
        }
    }

    /// Chooses what to read in place of captions: each word with a probability of `own_words` the decoder's own, drawn
    /// from what it foretells after what was read so far; the caption's otherwise. Scheduled sampling (Bengio et al.
    /// 2015).
    pub(crate) fn mixed(
        &self,
        view: Tensor<3>,
        captions: &[Vec<u32>],
        own_words: f64,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Vec<u32>> {
        match self {
            Self::Attend(decoder) => mixed(decoder, decoder.start(view), captions, own_words, rng),
            Self::ShowAndTell(model) => mixed(model, model.start(view.squeeze_dim(1)), captions, own_words, rng),
        }
    }

    pub(crate) fn load(self, tensors: weights::TensorMap) -> Result<Self> {
        Ok(match self {
            Self::Attend(decoder) => Self::Attend(load_into(decoder, &tensors, Allow::NOTHING)?),
            Self::ShowAndTell(model) => Self::ShowAndTell(model.load(tensors)?),
        })
    }

    /// The decoder's tensors, in the names of its kind's files.
    pub(crate) fn tensors(&self) -> weights::TensorMap {
        match self {
            Self::Attend(decoder) => tensors_of(decoder),
            Self::ShowAndTell(model) => model.tensors(),
        }
    }
}

/// Tells in words what pictures show.
///
/// ```no_run
/// use sensorium_captioning::{BeamSearch, Captioner};
/// use sensorium_vision::io::{self, Decoding};
///
/// let device = sensorium_core::device::parse("flex")?;
/// let captioner = Captioner::load("run", &device)?;
/// let picture = io::read("dog.jpg", &Decoding::default())?;
/// for found in captioner.search(&[picture], &BeamSearch::new(5), &captioner.limits()) {
///     println!("{}", captioner.words().sentence(&found.best().words));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Captioner {
    config: CaptionerConfig,
    encoder: Encoder,
    folded: FoldedEncoder,
    decoder: Decoder,
    searcher: Searcher,
    words: WordMap,
}

impl Captioner {
    /// Puts a captioner together from parts with these tensors, under torchvision's and the tutorial's names.
    ///
    /// # Errors
    /// If a setting is out of range, tensors are missing, left over or of another shape, or the parts do not fit each
    /// other: the words the decoder, the decoder the encoder's map.
    pub fn new(
        config: CaptionerConfig,
        encoder: weights::TensorMap,
        decoder: weights::TensorMap,
        words: WordMap,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        if words.len() != config.decoder.vocab() {
            let rule = format!(
                "must be {}, the decoder's number of words (the rows of its embedding): give the word map that it was \
                 trained with",
                config.decoder.vocab()
            );
            return Err(CoreError::config("words in the word map", words.len(), rule).into());
        }
        let encoder = config.encoder.init(device).load(encoder)?;
        let folded = encoder.fold();
        let decoder = config.decoder.init(device).load(decoder)?;
        let maps = folded.features(Tensor::zeros([1, 3, 64, 64], device), &config.layers())?;
        let channels: usize = maps.iter().map(|map| map.dims()[1]).sum();
        if channels != config.decoder.features() {
            let rule = format!("must be {channels}, the channels of the encoder's {}", config.layers.join(" and "));
            return Err(CoreError::config("decoder.features", config.decoder.features(), rule).into());
        }
        Ok(Self { config, encoder, folded, searcher: decoder.searcher(), decoder, words })
    }

    /// Reads a captioner from the folder it was saved in.
    ///
    /// # Errors
    /// If a file is missing or damaged, or they do not fit each other.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let folder = folder.as_ref();
        let about = folder.join(ABOUT);
        let text = std::fs::read(&about).map_err(CoreError::io(&about, "read"))?;
        let config = serde_json::from_slice(&text).map_err(|e| CoreError::format(&about, FORMAT, e.to_string()))?;
        let words = WordMap::read(folder.join(WORDS))?;
        Self::new(config, weights::read(folder.join(ENCODER))?, weights::read(folder.join(DECODER))?, words, device)
    }

    /// Writes the captioner into a folder: `captioner.json`, `words.json`, `encoder.safetensors` and
    /// `decoder.safetensors`.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(CoreError::io(folder, "create"))?;
        write_safetensors(folder.join(ENCODER), &self.encoder.tensors())?;
        write_safetensors(folder.join(DECODER), &self.decoder.tensors())?;
        self.words.write(folder.join(WORDS))?;
        let about = serde_json::to_vec_pretty(&self.config).expect("plain numbers and names");
        Ok(write_atomic(folder.join(ABOUT), &about)?)
    }

    /// What it is made of, its encoder, its decoder and its words.
    pub(crate) fn into_parts(self) -> (CaptionerConfig, Encoder, Decoder, WordMap) {
        (self.config, self.encoder, self.decoder, self.words)
    }

    /// What it is made of.
    pub fn config(&self) -> &CaptionerConfig {
        &self.config
    }

    /// Its words.
    pub fn words(&self) -> &WordMap {
        &self.words
    }

    /// Its decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Its decoder for searching.
    pub fn searcher(&self) -> &Searcher {
        &self.searcher
    }

    /// The tutorial's limits with this captioner's words.
    pub fn limits(&self) -> Limits {
        Limits::tutorial(self.words.start(), self.words.end())
    }

    /// What the decoder sees of pictures that were made a network's input: `[batch, 3, height, width]` to
    /// `[batch, positions, features]`.
    pub fn view(&self, input: Tensor<4>) -> Tensor<3> {
        let maps = self.folded.features(input, &self.config.layers()).expect("the layers were found when it was made");
        view(maps, self.config.decoder.grid())
    }

    /// What the decoder sees of pictures, `[pictures, positions, features]`.
    ///
    /// # Panics
    /// If there is no picture.
    pub fn look(&self, pictures: &[RgbImage]) -> Tensor<3> {
        let device = self.encoder.devices().swap_remove(0);
        self.view(self.config.preprocess.batch(pictures, &device))
    }

    /// Searches for a sentence for each picture.
    ///
    /// # Panics
    /// If there is no picture, or `search` has settings out of range.
    pub fn search(&self, pictures: &[RgbImage], search: &BeamSearch, limits: &Limits) -> Vec<Found> {
        self.searcher.search(self.look(pictures), search, limits)
    }

    /// Draws a sentence for each picture.
    ///
    /// # Panics
    /// If there is no picture, or `sampling` has settings out of range.
    pub fn sample(&self, pictures: &[RgbImage], sampling: &Sampling, limits: &Limits) -> Vec<Sentence> {
        self.searcher.sample(self.look(pictures), sampling, limits)
    }
}

#[cfg(test)]
mod tests {
    use sensorium_core::device;
    use sensorium_vision::resnet::ResNetConfig;
    use sensorium_vision::transforms::Normalise;

    use super::*;

    fn words() -> WordMap {
        WordMap::build([["a", "red", "ball"].as_slice()].into_iter(), 0)
    }

    fn config(decoder: DecoderConfig) -> CaptionerConfig {
        CaptionerConfig {
            encoder: EncoderConfig::ResNet(ResNetConfig { classes: 0, ..ResNetConfig::tiny() }),
            layers: vec!["layer4".to_string()],
            preprocess: Preprocess::stretched(48, 48, Normalise::IMAGENET),
            decoder,
        }
    }

    fn decoders() -> [DecoderConfig; 2] {
        let sizes = AttentionDecoderConfig::new(7, 128).with_attention(5).with_embedding(6).with_hidden(9);
        let told = ShowAndTellConfig::new(7, 128).with_embedding(6).with_hidden(5);
        [DecoderConfig::Attend { grid: 3, sizes }, DecoderConfig::ShowAndTell(told)]
    }

    fn captioner(config: CaptionerConfig, device: &Device) -> Result<Captioner> {
        let encoder = config.encoder.init(device).tensors();
        let decoder = config.decoder.init(device).tensors();
        Captioner::new(config, encoder, decoder, words(), device)
    }

    #[test]
    fn a_folder_gives_back_what_was_saved() {
        let device = device::parse("flex").unwrap();
        let pictures =
            [RgbImage::from_fn(60, 40, |x, y| image::Rgb([4 * x as u8, 5 * y as u8, 90])), RgbImage::new(9, 9)];
        for decoder in decoders() {
            let folder = tempfile::tempdir().unwrap();
            let made = captioner(config(decoder), &device).unwrap();
            made.save(folder.path()).unwrap();
            let read = Captioner::load(folder.path(), &device).unwrap();
            assert_eq!(read.config(), made.config());
            let found = |captioner: &Captioner| captioner.search(&pictures, &BeamSearch::new(3), &captioner.limits());
            assert_eq!(found(&read), found(&made));
            let drawn = |captioner: &Captioner| captioner.sample(&pictures, &Sampling::new(1), &captioner.limits());
            assert_eq!(drawn(&read), drawn(&made));
        }
    }

    #[test]
    fn layers_stand_beside_each_other() {
        let device = device::parse("flex").unwrap();
        let picture = RgbImage::from_fn(60, 40, |x, y| image::Rgb([4 * x as u8, 5 * y as u8, 90]));
        device.seed(5);
        let encoder = config(decoders()[0].clone()).encoder.init(&device).tensors();
        let look = |layers: &[&str], features: usize| {
            let sizes = AttentionDecoderConfig::new(7, features).with_hidden(4).with_embedding(3).with_attention(2);
            let config = CaptionerConfig {
                layers: layers.iter().map(|layer| layer.to_string()).collect(),
                ..config(DecoderConfig::Attend { grid: 3, sizes })
            };
            let decoder = config.decoder.init(&device).tensors();
            let captioner = Captioner::new(config, encoder.clone(), decoder, words(), &device).unwrap();
            captioner.look(std::slice::from_ref(&picture))
        };
        let both = look(&["layer4", "layer3"], 192);
        let apart = Tensor::cat(vec![look(&["layer4"], 128), look(&["layer3"], 64)], 2);
        both.into_data().assert_eq(&apart.into_data(), true);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let device = device::parse("flex").unwrap();
        let [DecoderConfig::Attend { sizes, .. }, _] = decoders() else { panic!("attention is the first") };
        let fault =
            |grid, sizes| captioner(config(DecoderConfig::Attend { grid, sizes }), &device).unwrap_err().to_string();
        let with = |change: fn(&mut AttentionDecoderConfig)| {
            let mut sizes = sizes.clone();
            change(&mut sizes);
            sizes
        };
        for (fault, part) in [
            (fault(0, sizes.clone()), "grid = 0"),
            (fault(3, with(|sizes| sizes.vocab = 9)), "words in the word map = 7: must be 9"),
            (fault(3, with(|sizes| sizes.features = 64)), "decoder.features = 64: must be 128"),
        ] {
            assert!(fault.contains(part), "{fault}");
        }
        let fault = |layers: &[&str]| {
            let layers = layers.iter().map(|layer| layer.to_string()).collect();
            let config = CaptionerConfig { layers, ..config(decoders()[0].clone()) };
            captioner(config, &device).unwrap_err().to_string()
        };
        assert!(fault(&["layer9"]).contains("layer9"));
        assert!(fault(&[]).contains("layers = []: must name at least one layer"), "{}", fault(&[]));
        assert!(fault(&["layer3", "layer4"]).contains("must be 192, the channels of the encoder's layer3 and layer4"));
    }
}
