//! A whole captioner: an image encoder, a decoder and its words.

use std::path::Path;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use image::RgbImage;
use rand_chacha::ChaCha8Rng;
use sensorium_core::Error as CoreError;
use sensorium_core::files::write_atomic;
use sensorium_core::weights::{self, Allow, TensorMap, load_into, tensors_of, write_safetensors};
use sensorium_vision::pool::adaptive_avg_pool2d;
use sensorium_vision::transforms::Preprocess;
use sensorium_vision::{Encoder, EncoderConfig, FoldedEncoder};
use serde::{Deserialize, Serialize};

use crate::attend::{AttentionDecoder, AttentionDecoderConfig, CpuDecoder, Focus};
use crate::decode::{BeamSearch, Found, Limits, Sampling, Sentence};
use crate::practice::{Practice, mixed};
use crate::show_and_tell::{Reading, ShowAndTell, ShowAndTellConfig};
use crate::{Result, WordMap, components};

const ABOUT: &str = "captioner.json";
const WORDS: &str = "words.json";
const ENCODER: &str = "encoder.safetensors";
const COMPONENTS: &str = "components.safetensors";
const DECODER: &str = "decoder.safetensors";
const FORMAT: &str = "captioner";

/// What a [`Captioner`] is made of; `captioner.json` of a saved one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptionerConfig {
    /// The image encoder.
    pub encoder: EncoderConfig,
    /// The encoder's layers whose maps the decoder sees, their channels one after the other.
    pub layers: Vec<String>,
    /// As many principal components of these channels as the decoder sees in their place, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<usize>,
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

    /// Channels of the encoder's maps, or their components.
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

/// The positions of an encoder's maps, each `[batch, channels, height, width]`: the rows of a grid one after the
/// other, at each position the channels of all maps, `[batch, grid², channels of all]`.
pub(crate) fn view(maps: Vec<Tensor<4>>, grid: usize) -> Tensor<3> {
    let maps = maps.into_iter().map(|map| adaptive_avg_pool2d(map, [grid, grid])).collect();
    Tensor::cat(maps, 1).flatten::<3>(2, 3).swap_dims(1, 2)
}

/// What a decoder sees of a map `[batch, positions, channels]`: the map itself, or its components.
pub(crate) fn seen(map: Tensor<3>, components: Option<&Linear>) -> Tensor<3> {
    match components {
        Some(components) => components.forward(map),
        None => map,
    }
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

    pub(crate) fn load(self, tensors: TensorMap) -> Result<Self> {
        Ok(match self {
            Self::Attend(decoder) => Self::Attend(load_into(decoder, &tensors, Allow::NOTHING)?),
            Self::ShowAndTell(model) => Self::ShowAndTell(model.load(tensors)?),
        })
    }

    /// The decoder's tensors, in the names of its kind's files.
    pub(crate) fn tensors(&self) -> TensorMap {
        match self {
            Self::Attend(decoder) => tensors_of(decoder),
            Self::ShowAndTell(model) => model.tensors(),
        }
    }
}

/// The tensors of a captioner's parts.
#[derive(Debug, Clone)]
pub struct CaptionerTensors {
    /// The encoder's, under torchvision's names.
    pub encoder: TensorMap,
    /// Where the decoder sees components, the layer that makes them of the encoder's channels: `weight`
    /// `[components, channels]` and `bias`.
    pub components: Option<TensorMap>,
    /// The decoder's, under the tutorial's names.
    pub decoder: TensorMap,
}

/// The parts of a [`Captioner`].
pub(crate) struct CaptionerParts {
    pub(crate) config: CaptionerConfig,
    pub(crate) encoder: Encoder,
    pub(crate) components: Option<Linear>,
    pub(crate) decoder: Decoder,
    pub(crate) words: WordMap,
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
    components: Option<Linear>,
    decoder: Decoder,
    searcher: Searcher,
    words: WordMap,
}

impl Captioner {
    /// Puts a captioner together from its parts' tensors.
    ///
    /// # Errors
    /// If a setting is out of range, tensors are missing, left over or of another shape, or the parts do not fit each
    /// other: the words the decoder, the decoder the encoder's map.
    pub fn new(config: CaptionerConfig, tensors: CaptionerTensors, words: WordMap, device: &Device) -> Result<Self> {
        config.validate()?;
        if words.len() != config.decoder.vocab() {
            let rule = format!(
                "must be {}, the decoder's number of words (the rows of its embedding): give the word map that it was \
                 trained with",
                config.decoder.vocab()
            );
            return Err(CoreError::config("words in the word map", words.len(), rule).into());
        }
        let encoder = config.encoder.init(device).load(tensors.encoder)?;
        let folded = encoder.fold();
        let maps = folded.features(Tensor::zeros([1, 3, 64, 64], device), &config.layers())?;
        let channels: usize = maps.iter().map(|map| map.dims()[1]).sum();
        let of_layers = format!("the channels of the encoder's {}", config.layers.join(" and "));
        if config.components.is_none() && tensors.components.is_some() {
            let rule = "must be named in the configuration, or have no tensors";
            return Err(CoreError::config("components", "none", rule).into());
        }
        let (features, what) = match config.components {
            Some(count) if !(1..=channels).contains(&count) => {
                return Err(
                    CoreError::config("components", count, format!("must be 1 to {channels}, {of_layers}")).into()
                );
            }
            Some(count) => (count, format!("the components of {of_layers}")),
            None => (channels, of_layers),
        };
        if features != config.decoder.features() {
            let rule = format!("must be {features}, {what}");
            return Err(CoreError::config("decoder.features", config.decoder.features(), rule).into());
        }
        let components = config.components.map(|count| {
            let layer = components::layer(channels, count, device);
            load_into(layer, &tensors.components.unwrap_or_else(|| TensorMap::new(COMPONENTS)), Allow::NOTHING)
        });
        let decoder = config.decoder.init(device).load(tensors.decoder)?;
        let searcher = decoder.searcher();
        Ok(Self { config, encoder, folded, components: components.transpose()?, searcher, decoder, words })
    }

    /// Reads a captioner from the folder it was saved in.
    ///
    /// # Errors
    /// If a file is missing or damaged, or they do not fit each other.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let folder = folder.as_ref();
        let about = folder.join(ABOUT);
        let text = std::fs::read(&about).map_err(CoreError::io(&about, "read"))?;
        let config: CaptionerConfig =
            serde_json::from_slice(&text).map_err(|e| CoreError::format(&about, FORMAT, e.to_string()))?;
        let words = WordMap::read(folder.join(WORDS))?;
        let tensors = CaptionerTensors {
            encoder: weights::read(folder.join(ENCODER))?,
            components: config.components.map(|_| weights::read(folder.join(COMPONENTS))).transpose()?,
            decoder: weights::read(folder.join(DECODER))?,
        };
        Self::new(config, tensors, words, device)
    }

    /// Writes the captioner into a folder: `captioner.json`, `words.json`, `encoder.safetensors`,
    /// `decoder.safetensors`, and if it has them `components.safetensors`.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(CoreError::io(folder, "create"))?;
        write_safetensors(folder.join(ENCODER), &self.encoder.tensors())?;
        if let Some(components) = &self.components {
            write_safetensors(folder.join(COMPONENTS), &tensors_of(components))?;
        }
        write_safetensors(folder.join(DECODER), &self.decoder.tensors())?;
        self.words.write(folder.join(WORDS))?;
        let about = serde_json::to_vec_pretty(&self.config).expect("plain numbers and names");
        Ok(write_atomic(folder.join(ABOUT), &about)?)
    }

    /// What it is made of, its encoder, components, decoder and words.
    pub(crate) fn into_parts(self) -> CaptionerParts {
        let Self { config, encoder, components, decoder, words, .. } = self;
        CaptionerParts { config, encoder, components, decoder, words }
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

    /// What the encoder sees of pictures that were made a network's input, at the positions that the decoder chooses
    /// among: `[batch, 3, height, width]` to `[batch, positions, channels]`.
    pub fn map(&self, input: Tensor<4>) -> Tensor<3> {
        let maps = self.folded.features(input, &self.config.layers()).expect("the layers were found when it was made");
        view(maps, self.config.decoder.grid())
    }

    /// What the decoder sees of pictures that were made a network's input: `[batch, 3, height, width]` to
    /// `[batch, positions, features]`.
    pub fn view(&self, input: Tensor<4>) -> Tensor<3> {
        self.seen(self.map(input))
    }

    /// What the decoder sees of a [`map`](Self::map) `[batch, positions, channels]`: the map itself, or its components,
    /// `[batch, positions, features]`.
    pub fn seen(&self, map: Tensor<3>) -> Tensor<3> {
        seen(map, self.components.as_ref())
    }

    /// Pictures as the encoder reads them, `[pictures, 3, height, width]`.
    ///
    /// # Panics
    /// If there is no picture.
    pub fn input(&self, pictures: &[RgbImage]) -> Tensor<4> {
        let device = self.encoder.devices().swap_remove(0);
        self.config.preprocess.batch(pictures, &device)
    }

    /// What the decoder sees of pictures, `[pictures, positions, features]`.
    ///
    /// # Panics
    /// If there is no picture.
    pub fn look(&self, pictures: &[RgbImage]) -> Tensor<3> {
        self.view(self.input(pictures))
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
            components: None,
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
        let components = config.components.map(|count| tensors_of(&components::layer(128, count, device)));
        let decoder = config.decoder.init(device).tensors();
        Captioner::new(config, CaptionerTensors { encoder, components, decoder }, words(), device)
    }

    #[test]
    fn a_folder_gives_back_what_was_saved() {
        let device = device::parse("flex").unwrap();
        let pictures =
            [RgbImage::from_fn(60, 40, |x, y| image::Rgb([4 * x as u8, 5 * y as u8, 90])), RgbImage::new(9, 9)];
        let [attends, told] = decoders();
        let of_components = CaptionerConfig {
            components: Some(5),
            ..config(DecoderConfig::Attend {
                grid: 3,
                sizes: AttentionDecoderConfig::new(7, 5).with_attention(5).with_embedding(6).with_hidden(9),
            })
        };
        for config in [config(attends), config(told), of_components] {
            let folder = tempfile::tempdir().unwrap();
            let made = captioner(config, &device).unwrap();
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
            let tensors = CaptionerTensors { encoder: encoder.clone(), components: None, decoder };
            let captioner = Captioner::new(config, tensors, words(), &device).unwrap();
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
        let of = |components| {
            let config = CaptionerConfig { components: Some(components), ..config(decoders()[0].clone()) };
            captioner(config, &device).unwrap_err().to_string()
        };
        assert!(
            of(0).starts_with("components = 0: must be 1 to 128, the channels of the encoder's layer4"),
            "{}",
            of(0)
        );
        assert!(of(129).starts_with("components = 129"), "{}", of(129));
        let unnamed = {
            let config = config(decoders()[0].clone());
            let encoder = config.encoder.init(&device).tensors();
            let components = Some(tensors_of(&components::layer(128, 5, &device)));
            let decoder = config.decoder.init(&device).tensors();
            Captioner::new(config, CaptionerTensors { encoder, components, decoder }, words(), &device)
        };
        assert!(unnamed.unwrap_err().to_string().starts_with("components = none: must be named"));
        assert!(of(5).starts_with("decoder.features = 128: must be 5, the components of"), "{}", of(5));
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
