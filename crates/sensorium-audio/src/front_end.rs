//! Spectrograms, mel bands and cepstra of whole clips, with the settings that other programs use by name.

use std::any::Any;
use std::ops::Range;
use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::decibel::Decibel;
use crate::frames::{Analysis, Framing, Group, Pad, Preparation, Rows, Signal, Sink, Spectra, check_finite};
use crate::mel::MelConfig;
use crate::mfcc::{MfccConfig, product};
use crate::real::Real;
use crate::stft::{BLOCK, StftConfig};
use crate::window::{Symmetry, Window};
use crate::{Error, Result};

/// Where frames lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Frames of `n_fft` samples, frame `t` centred on sample `t · hop_length`, the signal padded on both sides.
    Centered(Pad),
    /// Frames of `n_fft` samples, the first of which begins with the signal.
    FromStart,
    /// Frames of `win_length` samples, as many as fit, each followed by zeros up to `n_fft` (Kaldi's `snip_edges`).
    Snipped,
    /// Frames of `win_length` samples, one for every hop, the signal mirrored at its ends (Kaldi without `snip_edges`).
    Mirrored,
}

/// How much of a frame's sound is in a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exponent {
    /// The absolute value.
    Magnitude,
    /// Its square.
    Power,
}

/// What mel bands become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Compression {
    /// What they are.
    None,
    /// Their natural logarithm, of at least `floor`.
    Ln {
        /// Above 0.
        floor: f64,
    },
    /// Decibels; they need the whole clip.
    Decibel(Decibel),
    /// Whisper's: log10 of at least 1e-10, no less than the clip's largest − 8, plus 4, over 4; it needs the whole clip.
    Whisper,
}

/// The frame's logarithmic energy as a band of its own (Kaldi's `use_energy`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Energy {
    /// Measured before pre-emphasis and window.
    pub raw: bool,
    /// The least energy; 0 for none.
    pub floor: f64,
    /// After the mel bands, as HTK has it, not before them.
    pub last: bool,
}

/// What numbers are computed in where the samples are f32. Samples in f64 are always computed in f64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// f32: twice as fast. Bins far quieter than the loudest are noise.
    Single,
    /// f64.
    Double,
}

/// All settings of a [`FrontEnd`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrontEndConfig {
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples that are transformed at a time.
    pub n_fft: usize,
    /// Samples of the window, at most `n_fft`.
    pub win_length: usize,
    /// Samples from a frame to the next.
    pub hop_length: usize,
    /// The window's shape.
    pub window: Window,
    /// Whether the window's period ends with it or after it.
    pub symmetry: Symmetry,
    /// Where frames lie.
    pub placement: Placement,
    /// Leave the last frame out (Whisper).
    pub drop_last: bool,
    /// What samples are multiplied by: Kaldi's are 16-bit integers.
    pub scale: f64,
    /// Subtract each frame's mean.
    pub remove_dc: bool,
    /// Subtract so much of the sample before from each sample of a frame.
    pub preemphasis: f64,
    /// Magnitudes or powers.
    pub exponent: Exponent,
    /// The mel bands.
    pub mel: MelConfig,
    /// What becomes of them.
    pub compression: Compression,
    /// A band with the frame's energy.
    pub energy: Option<Energy>,
    /// The cepstra.
    pub mfcc: MfccConfig,
    /// The numbers.
    pub precision: Precision,
}

/// Settings by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// `librosa-0.11`: frames of 2048, hop 512, 128 bands on Slaney's scale, decibels, 20 cepstra, 22,050 Hz.
    Librosa,
    /// `torchaudio`: the defaults of `MelSpectrogram` and `MFCC` (2.x): frames of 400, hop 200, 128 bands on HTK's scale,
    /// 40 cepstra, 16 kHz.
    Torchaudio,
    /// `kaldi`: `fbank` and `mfcc`: frames of 25 ms every 10 ms, 23 bands, 13 cepstra, 16 kHz, no dither.
    Kaldi,
    /// `whisper`: frames of 400, hop 160, 80 bands, Whisper's logarithm, 16 kHz.
    Whisper,
    /// `resemblyzer`: frames of 400, hop 160, 40 bands of power, 16 kHz.
    Resemblyzer,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Librosa, Self::Torchaudio, Self::Kaldi, Self::Whisper, Self::Resemblyzer];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Librosa => "librosa-0.11",
            Self::Torchaudio => "torchaudio",
            Self::Kaldi => "kaldi",
            Self::Whisper => "whisper",
            Self::Resemblyzer => "resemblyzer",
        }
    }

    /// The preset of a name.
    ///
    /// # Errors
    /// [`Error::Core`] if there is none; the message lists them.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::config("preset", name, format!("must be one of {names}"))
        })
    }

    /// Its settings.
    pub fn config(self) -> FrontEndConfig {
        let librosa = FrontEndConfig {
            sample_rate: 22_050,
            n_fft: 2048,
            win_length: 2048,
            hop_length: 512,
            window: Window::Hann,
            symmetry: Symmetry::Periodic,
            placement: Placement::Centered(Pad::Zeros),
            drop_last: false,
            scale: 1.0,
            remove_dc: false,
            preemphasis: 0.0,
            exponent: Exponent::Power,
            mel: MelConfig::new(128),
            compression: Compression::Decibel(Decibel::default()),
            energy: None,
            mfcc: MfccConfig::new(20),
            precision: Precision::Double,
        };
        let short = FrontEndConfig { sample_rate: 16_000, n_fft: 400, win_length: 400, hop_length: 160, ..librosa };
        let htk = |n_mels| MelConfig {
            scale: crate::mel::MelScale::Htk,
            norm: crate::mel::MelNorm::None,
            ..MelConfig::new(n_mels)
        };
        match self {
            Self::Librosa => librosa,
            Self::Torchaudio => FrontEndConfig {
                hop_length: 200,
                placement: Placement::Centered(Pad::Reflect),
                mel: htk(128),
                mfcc: MfccConfig::new(40),
                ..short
            },
            Self::Kaldi => FrontEndConfig {
                n_fft: 512,
                window: Window::Povey,
                symmetry: Symmetry::Symmetric,
                placement: Placement::Snipped,
                scale: 32_768.0,
                remove_dc: true,
                preemphasis: 0.97,
                mel: MelConfig { f_min: 20.0, scale: crate::mel::MelScale::Kaldi, ..htk(23) },
                compression: Compression::Ln { floor: f64::from(f32::EPSILON) },
                mfcc: MfccConfig { lifter: 22.0, lifter_from: 0, ..MfccConfig::new(13) },
                ..short
            },
            Self::Whisper => FrontEndConfig {
                placement: Placement::Centered(Pad::Reflect),
                drop_last: true,
                mel: MelConfig::new(80),
                compression: Compression::Whisper,
                precision: Precision::Single,
                ..short
            },
            Self::Resemblyzer => FrontEndConfig { mel: MelConfig::new(40), compression: Compression::None, ..short },
        }
    }
}

impl FrontEndConfig {
    /// The same at another sample rate. Lengths in samples stay what they are.
    pub fn with_sample_rate(self, sample_rate: u32) -> Self {
        Self { sample_rate, ..self }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Core`] naming the field at fault.
    pub fn validate(&self) -> Result<()> {
        let Self { n_fft, win_length, hop_length, window, symmetry, .. } = *self;
        let stft = StftConfig { win_length, window, symmetry, ..StftConfig::new(n_fft, hop_length) };
        stft.validate()?;
        self.mel.validate(self.sample_rate.into())?;
        self.mfcc.validate(self.mel.n_mels)?;
        if !(self.scale.is_finite() && self.scale != 0.0) {
            return Err(Error::config("scale", self.scale, "must be a number other than 0"));
        }
        if !(0.0..=1.0).contains(&self.preemphasis) {
            return Err(Error::config("preemphasis", self.preemphasis, "must be 0 to 1"));
        }
        let floor = match self.compression {
            Compression::Ln { floor } => floor,
            Compression::Decibel(decibel) => decibel.amin,
            _ => 1.0,
        };
        if !(floor >= f64::from(f32::MIN_POSITIVE) && floor.is_finite()) {
            return Err(Error::config("floor", floor, format!("must be at least {}", f32::MIN_POSITIVE)));
        }
        Ok(())
    }

    pub(crate) fn framing(&self) -> Framing {
        let Self { n_fft, win_length, hop_length: hop, .. } = *self;
        match self.placement {
            Placement::Centered(pad) => Framing::new(n_fft, hop, true, pad),
            Placement::FromStart => Framing::new(n_fft, hop, false, Pad::Zeros),
            Placement::Snipped => Framing::new(win_length, hop, false, Pad::Zeros),
            Placement::Mirrored => {
                let before = (win_length / 2) as isize - (hop / 2) as isize;
                Framing { length: win_length, hop, before, pad: Pad::Symmetric }
            }
        }
    }

    /// Frames of a signal of so many samples.
    pub fn frames(&self, samples: usize) -> usize {
        let frames = match self.placement {
            Placement::Mirrored => (samples + self.hop_length / 2) / self.hop_length,
            _ => self.framing().count(samples),
        };
        frames.saturating_sub(usize::from(self.drop_last))
    }

    /// Whether a signal of so many samples has a frame.
    pub(crate) fn check(&self, samples: usize) -> Result<()> {
        self.framing().check(samples)?;
        match self.frames(samples) {
            0 => Err(Error::signal(format!("{samples} samples are less than one frame"))),
            _ => Ok(()),
        }
    }

    /// Bins of a frame's spectrum.
    pub fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// Rows that [`FrontEnd::mel`] gives: the bands, and the energy if it is asked for.
    pub fn mel_rows(&self) -> usize {
        self.mel.n_mels + usize::from(self.energy.is_some())
    }

    pub(crate) fn rows(&self, quantity: Quantity) -> usize {
        match quantity {
            Quantity::Spectrogram => self.bins(),
            Quantity::Mel => self.mel_rows(),
        }
    }

    pub(crate) fn window_samples(&self) -> Vec<f64> {
        let Self { n_fft, win_length, hop_length, window, symmetry, .. } = *self;
        match self.placement {
            Placement::Snipped | Placement::Mirrored => window.samples(win_length, symmetry),
            _ => StftConfig { win_length, window, symmetry, ..StftConfig::new(n_fft, hop_length) }.samples(),
        }
    }
}

/// Numbers over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Features<T> {
    /// `[rows, frames]`, row-major: the numbers of one bin, band or coefficient stand side by side.
    pub values: Vec<T>,
    /// Bins, bands or coefficients.
    pub rows: usize,
    /// Frames.
    pub frames: usize,
}

impl<T: Real> Features<T> {
    /// The numbers of one frame.
    ///
    /// # Panics
    /// If there is no such frame.
    pub fn frame(&self, frame: usize) -> Vec<T> {
        assert!(frame < self.frames, "frame {frame} of {}", self.frames);
        (0..self.rows).map(|row| self.values[row * self.frames + frame]).collect()
    }

    /// `[frames, rows]`, row-major.
    pub fn transposed(&self) -> Vec<T> {
        (0..self.frames)
            .flat_map(|frame| (0..self.rows).map(move |row| self.values[row * self.frames + frame]))
            .collect()
    }
}

/// Matrices of `rows` rows, each with its number of columns, as one of `columns`.
fn side_by_side<T: Real>(parts: &[(&[T], usize)], rows: usize, columns: usize) -> Vec<T> {
    let mut whole = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for (values, width) in parts {
            whole.extend_from_slice(&values[row * width..(row + 1) * width]);
        }
    }
    whole
}

/// What a [`crate::stream::Stream`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Magnitudes or powers of all bins.
    Spectrogram,
    /// Mel bands.
    Mel,
}

/// A planned front end: from samples to a spectrogram, mel bands or cepstra.
///
/// ```
/// use sensorium_audio::front_end::{FrontEnd, Preset};
///
/// let tone: Vec<f32> = (0..16000).map(|i| (i as f32 * 0.17).sin() / 2.0).collect();
/// let whisper = FrontEnd::new(Preset::Whisper.config())?;
/// let log_mel = whisper.mel(&tone)?;
/// assert_eq!((log_mel.rows, log_mel.frames), (80, 100));
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
pub struct FrontEnd {
    config: FrontEndConfig,
    single: OnceLock<Pipeline<f32>>,
    double: OnceLock<Pipeline<f64>>,
}

impl FrontEnd {
    /// Plans the front end.
    ///
    /// # Errors
    /// As [`FrontEndConfig::validate`].
    pub fn new(config: FrontEndConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config, single: OnceLock::new(), double: OnceLock::new() })
    }

    /// The settings.
    pub fn config(&self) -> &FrontEndConfig {
        &self.config
    }

    /// The magnitudes or powers of all bins, `[bins, frames]`.
    ///
    /// # Errors
    /// [`Error::Signal`] if there is no sample, too few for the padding or for one frame, or one is not finite.
    pub fn spectrogram<T: Real>(&self, samples: &[T]) -> Result<Features<T>> {
        match self.wide::<T>() {
            true => Ok(converted(self.double().run(samples, Quantity::Spectrogram)?)),
            false => Ok(converted(self.single().run(samples, Quantity::Spectrogram)?)),
        }
    }

    /// The mel bands, compressed, `[mel_rows, frames]`.
    ///
    /// # Errors
    /// As [`spectrogram`](Self::spectrogram).
    pub fn mel<T: Real>(&self, samples: &[T]) -> Result<Features<T>> {
        match self.wide::<T>() {
            true => Ok(converted(self.double().mel(samples)?)),
            false => Ok(converted(self.single().mel(samples)?)),
        }
    }

    /// [`mel`](Self::mel) without what needs the whole clip: decibels are against a reference of 1 and without a limit below
    /// the loudest, and Whisper's logarithm is without its last step.
    ///
    /// # Errors
    /// As [`spectrogram`](Self::spectrogram).
    pub fn mel_by_frame<T: Real>(&self, samples: &[T]) -> Result<Features<T>> {
        match self.wide::<T>() {
            true => Ok(converted(self.double().run(samples, Quantity::Mel)?)),
            false => Ok(converted(self.single().run(samples, Quantity::Mel)?)),
        }
    }

    /// The cepstra, `[n_mfcc, frames]`.
    ///
    /// # Errors
    /// As [`spectrogram`](Self::spectrogram).
    pub fn mfcc<T: Real>(&self, samples: &[T]) -> Result<Features<T>> {
        match self.wide::<T>() {
            true => Ok(converted(self.double().mfcc(samples)?)),
            false => Ok(converted(self.single().mfcc(samples)?)),
        }
    }

    /// [`mel`](Self::mel) of several clips at once.
    ///
    /// # Errors
    /// As [`mel`](Self::mel), of the first clip at fault.
    pub fn mel_batch<T: Real>(&self, clips: &[&[T]]) -> Result<Vec<Features<T>>> {
        clips.par_iter().map(|clip| self.mel(clip)).collect()
    }

    fn wide<T>(&self) -> bool {
        size_of::<T>() == 8 || self.config.precision == Precision::Double
    }

    pub(crate) fn single(&self) -> &Pipeline<f32> {
        self.single.get_or_init(|| Pipeline::new(self.config))
    }

    pub(crate) fn double(&self) -> &Pipeline<f64> {
        self.double.get_or_init(|| Pipeline::new(self.config))
    }
}

/// The same numbers in another type; those that have it already are not copied.
fn converted<C: Real, T: Real>(features: Features<C>) -> Features<T> {
    let Features { values, rows, frames } = features;
    let mut values = Some(values);
    let same = (&mut values as &mut dyn Any).downcast_mut::<Option<Vec<T>>>().and_then(Option::take);
    let convert = || values.into_iter().flatten().map(|x| T::of(x.wide())).collect();
    Features { values: same.unwrap_or_else(convert), rows, frames }
}

/// The work in one number type.
pub(crate) struct Pipeline<C> {
    config: FrontEndConfig,
    pub(crate) analysis: Analysis<C>,
    bands: Vec<(usize, Vec<C>)>,
    cepstra: Vec<C>,
}

impl<C: Real> Pipeline<C> {
    fn new(config: FrontEndConfig) -> Self {
        let window = config.window_samples().into_iter().map(C::of).collect();
        let preparation = Preparation {
            scale: C::of(config.scale),
            remove_dc: config.remove_dc,
            preemphasis: C::of(config.preemphasis),
            raw_energy: config.energy.is_some_and(|energy| energy.raw),
            plain: !config.remove_dc && config.preemphasis == 0.0 && config.energy.is_none(),
            window,
        };
        let bank = config.mel.bank(config.sample_rate.into(), config.n_fft).expect("checked settings");
        Self {
            config,
            analysis: Analysis::new(config.framing(), config.n_fft, preparation),
            bands: bank.sparse(),
            cepstra: config.mfcc.matrix(config.mel.n_mels).into_iter().map(C::of).collect(),
        }
    }

    pub(crate) fn rows(&self, quantity: Quantity) -> usize {
        self.config.rows(quantity)
    }

    /// What `take` gives for the frames, before anything that needs the whole clip.
    fn run<T: Real>(&self, samples: &[T], quantity: Quantity) -> Result<Features<C>> {
        self.config.check(samples.len())?;
        check_finite(samples)?;
        let frames = self.config.frames(samples.len());
        let rows = self.rows(quantity);
        let block = |first: usize| self.block(Signal::whole(samples), first..(first + BLOCK).min(frames), quantity);
        if frames <= BLOCK || rayon::current_num_threads() == 1 {
            let values = self.block(Signal::whole(samples), 0..frames, quantity);
            return Ok(Features { values, rows, frames });
        }
        let firsts: Vec<usize> = (0..frames).step_by(BLOCK).collect();
        let blocks: Vec<Vec<C>> = firsts.into_par_iter().map(block).collect();
        let parts: Vec<(&[C], usize)> = blocks.iter().map(|block| (block.as_slice(), block.len() / rows)).collect();
        Ok(Features { values: side_by_side(&parts, rows, frames), rows, frames })
    }

    fn block<T: Real>(&self, signal: Signal<T>, range: Range<usize>, quantity: Quantity) -> Vec<C> {
        let mut values = vec![C::of(0.0); self.rows(quantity) * range.len()];
        let mut taker = self.taker(quantity, Rows { values: &mut values, frames: range.len(), begin: range.start });
        let mut workspace = self.analysis.workspace();
        self.analysis.run(signal, range, &mut workspace, &mut taker);
        values
    }

    pub(crate) fn taker<'a>(&'a self, quantity: Quantity, rows: Rows<'a, C>) -> Taker<'a, C> {
        Taker { pipeline: self, quantity, rows }
    }

    fn mel<T: Real>(&self, samples: &[T]) -> Result<Features<C>> {
        let mut features = self.run(samples, Quantity::Mel)?;
        match self.config.compression {
            Compression::Decibel(decibel) => decibel.finish(&mut features.values),
            Compression::Whisper => Arch::new().dispatch(WhisperRange(&mut features.values)),
            Compression::None | Compression::Ln { .. } => {}
        }
        Ok(features)
    }

    fn mfcc<T: Real>(&self, samples: &[T]) -> Result<Features<C>> {
        let mel = self.mel(samples)?;
        let (rows, n_mels, frames) = (self.config.mfcc.n_mfcc, self.config.mel.n_mels, mel.frames);
        let at = |row: usize| row * frames;
        let (bands, energy) = match self.config.energy {
            None => (0..n_mels, None),
            Some(Energy { last: true, .. }) => (0..n_mels, Some(n_mels)),
            Some(_) => (1..n_mels + 1, Some(0)),
        };
        let mut values = product(&self.cepstra, &mel.values[at(bands.start)..at(bands.end)], [rows, n_mels, frames]);
        if let Some(row) = energy {
            values[..frames].copy_from_slice(&mel.values[at(row)..at(row + 1)]);
        }
        Ok(Features { values, rows, frames })
    }
}

/// Whisper's last step.
struct WhisperRange<'a, C>(&'a mut [C]);

impl<C: Real> WithSimd for WhisperRange<'_, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = size_of::<C::Vector<S>>() / size_of::<C>();
        let begin = self.0.len() / lanes * lanes;
        let mut largest = C::splat(simd, C::of(f64::NEG_INFINITY));
        for block in self.0[..begin].chunks_exact(lanes) {
            largest = C::larger(simd, largest, bytemuck::pod_read_unaligned(bytemuck::cast_slice(block)));
        }
        let mut top = C::of(f64::NEG_INFINITY);
        let lane_tops: &[C] = bytemuck::cast_slice(std::slice::from_ref(&largest));
        for x in lane_tops.iter().chain(&self.0[begin..]) {
            top = if *x > top { *x } else { top };
        }
        let floor = top - C::of(8.0);
        for x in self.0.iter_mut() {
            let level = if *x < floor { floor } else { *x };
            *x = (level + C::of(4.0)) * C::of(0.25);
        }
    }
}

/// Takes features from spectra.
pub(crate) struct Taker<'a, C> {
    pipeline: &'a Pipeline<C>,
    quantity: Quantity,
    rows: Rows<'a, C>,
}

impl<C: Real> Sink<C> for Taker<'_, C> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, spectra: Spectra<C, S>, group: Group) {
        let Pipeline { config, bands, .. } = self.pipeline;
        let Spectra { re, im, energy } = spectra;
        for k in 0..config.n_fft / 2 + 1 {
            re[k] = C::times_plus(simd, re[k], re[k], C::times(simd, im[k], im[k]));
        }
        if config.exponent == Exponent::Magnitude {
            for bin in re[..config.n_fft / 2 + 1].iter_mut() {
                *bin = C::square_root(simd, *bin);
            }
        }
        if self.quantity == Quantity::Spectrogram {
            for (k, bin) in re[..config.n_fft / 2 + 1].iter().enumerate() {
                self.rows.put::<S>(k, *bin, group);
            }
            return;
        }
        let (floor, factor) = match config.compression {
            Compression::None => (0.0, 0.0),
            Compression::Ln { floor } => (floor, 1.0),
            Compression::Decibel(decibel) => (decibel.amin, 10.0 / std::f64::consts::LN_10),
            Compression::Whisper => (1e-10, 1.0 / std::f64::consts::LN_10),
        };
        let (floor, scale) = (C::splat(simd, C::of(floor)), C::splat(simd, C::of(factor)));
        let first = usize::from(config.energy.is_some_and(|energy| !energy.last));
        for (band, (begin, weights)) in bands.iter().enumerate() {
            let mut sum = C::splat(simd, C::of(0.0));
            let bins = &re[*begin..*begin + weights.len()];
            for k in 0..weights.len() {
                sum = C::times_plus(simd, bins[k], C::splat(simd, weights[k]), sum);
            }
            if factor != 0.0 {
                sum = C::times(simd, C::ln(simd, C::larger(simd, sum, floor)), scale);
            }
            self.rows.put::<S>(first + band, sum, group);
        }
        if let Some(Energy { floor, last, .. }) = config.energy {
            let row = if last { bands.len() } else { 0 };
            let least = C::splat(simd, C::of(floor.max(f64::from(f32::EPSILON))));
            self.rows.put::<S>(row, C::ln(simd, C::larger(simd, energy, least)), group);
        }
    }
}
