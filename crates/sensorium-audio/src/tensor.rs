//! The Fourier transform, mel bands and cepstra as tensor operations: for any frame length, on every backend, and with
//! gradients, for losses and models that begin at the waveform.
//!
//! A frame's transform is a product with a matrix of windowed cosines and sines. That is more work than a fast transform: on
//! a processor, [`crate::front_end`] and [`crate::stft`] are many times faster where no gradient is needed. The numbers agree.

use std::f64::consts::TAU;

use burn::tensor::{DType, Int, Tensor, TensorCreationOptions, TensorData, assert_shape};

use crate::Result;
use crate::decibel::{Decibel, Reference};
use crate::frames::Framing;
use crate::front_end::{Compression, Energy, Exponent, FrontEndConfig};
use crate::stft::StftConfig;

/// Complex numbers over frequency and time.
#[derive(Debug, Clone)]
pub struct TensorSpectrum {
    /// The real parts, `[batch, bins, frames]`.
    pub re: Tensor<3>,
    /// The imaginary parts, `[batch, bins, frames]`.
    pub im: Tensor<3>,
}

/// The short-time Fourier transform of tensors.
///
/// ```
/// use burn::tensor::{Device, Tensor, TensorData};
/// use sensorium_audio::stft::StftConfig;
/// use sensorium_audio::tensor::TensorStft;
///
/// let device = Device::flex().autodiff();
/// let tone: Vec<f32> = (0..4000).map(|i| (i as f32 * 0.05).sin()).collect();
/// let tone = Tensor::<2>::from_data(TensorData::new(tone, [1, 4000]), &device).require_grad();
///
/// let stft = TensorStft::new(StftConfig::new(400, 160), &device)?;
/// let spectrum = stft.forward(tone.clone())?;
/// assert_eq!(spectrum.re.dims(), [1, 201, 26]);
/// let gradients = spectrum.re.square().mean().backward();
/// assert_eq!(tone.grad(&gradients).unwrap().dims(), [1, 4000]);
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TensorStft {
    config: StftConfig,
    transform: Transform,
}

impl TensorStft {
    /// Prepares the transform for tensors on a device, `&device`, or of a type on it, `(&device, DType::F64)`.
    ///
    /// # Errors
    /// As [`StftConfig::validate`].
    pub fn new(config: StftConfig, options: impl Into<TensorCreationOptions>) -> Result<Self> {
        config.validate()?;
        let basis = basis(&config.samples(), config.n_fft);
        Ok(Self { config, transform: Transform::new(config.framing(), basis, config.bins(), &options.into()) })
    }

    /// The settings.
    pub fn config(&self) -> &StftConfig {
        &self.config
    }

    /// The spectra of signals' frames.
    ///
    /// # Shapes
    /// - signals: `[batch, samples]`
    /// - output: see [`TensorSpectrum`]
    ///
    /// # Errors
    /// [`Error::Signal`](crate::Error::Signal) if there are too few samples for the padding or for one frame.
    pub fn forward(&self, signals: Tensor<2>) -> Result<TensorSpectrum> {
        let samples = signals.dims()[1];
        self.transform.framing.check(samples)?;
        let frames = self.transform.frames(signals, self.transform.framing.count(samples));
        let [re, im] = self.transform.spectra(frames);
        Ok(TensorSpectrum { re: re.swap_dims(1, 2), im: im.swap_dims(1, 2) })
    }
}

/// [`crate::front_end::FrontEnd`] as tensor operations, with the same settings.
///
/// Numbers are computed in the tensors' type, whatever [`FrontEndConfig::precision`] says.
///
/// ```
/// use burn::tensor::{Device, Tensor, TensorData};
/// use sensorium_audio::front_end::Preset;
/// use sensorium_audio::tensor::TensorFrontEnd;
///
/// let device = Device::flex();
/// let tone: Vec<f32> = (0..16000).map(|i| (i as f32 * 0.17).sin() / 2.0).collect();
/// let tone = Tensor::<2>::from_data(TensorData::new(tone, [1, 16000]), &device);
/// let whisper = TensorFrontEnd::new(Preset::Whisper.config(), &device)?;
/// assert_eq!(whisper.mel(tone)?.dims(), [1, 80, 100]);
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TensorFrontEnd {
    config: FrontEndConfig,
    transform: Transform,
    /// `[bins, n_mels]`
    bank: Tensor<2>,
    /// `[n_mels, n_mfcc]`
    cepstra: Tensor<2>,
}

impl TensorFrontEnd {
    /// Prepares the front end for tensors on a device, `&device`, or of a type on it, `(&device, DType::F64)`.
    ///
    /// # Errors
    /// As [`FrontEndConfig::validate`].
    pub fn new(config: FrontEndConfig, options: impl Into<TensorCreationOptions>) -> Result<Self> {
        config.validate()?;
        let options = options.into();
        let FrontEndConfig { n_fft, sample_rate, mel, mfcc, scale, preemphasis, remove_dc, .. } = config;
        let (bins, n_mels) = (config.bins(), mel.n_mels);
        let mut basis = basis(&config.window_samples(), n_fft);
        // What is done to a frame before its transform is linear and so becomes a part of the matrix: last things first.
        emphasize(&mut basis, 2 * bins, preemphasis);
        if remove_dc {
            remove_means(&mut basis, 2 * bins);
        }
        basis.iter_mut().for_each(|x| *x *= scale);
        let bank = mel.bank(sample_rate.into(), n_fft)?.dense();
        Ok(Self {
            config,
            transform: Transform::new(config.framing(), basis, bins, &options),
            bank: matrix(bank, [n_mels, bins], &options).transpose(),
            cepstra: matrix(mfcc.matrix(n_mels), [mfcc.n_mfcc, n_mels], &options).transpose(),
        })
    }

    /// The settings.
    pub fn config(&self) -> &FrontEndConfig {
        &self.config
    }

    /// The magnitudes or powers of all bins.
    ///
    /// # Shapes
    /// - signals: `[batch, samples]`
    /// - output: `[batch, bins, frames]`
    ///
    /// # Errors
    /// [`Error::Signal`](crate::Error::Signal) if there are too few samples for the padding or for one frame.
    pub fn spectrogram(&self, signals: Tensor<2>) -> Result<Tensor<3>> {
        let frames = self.frames(signals)?;
        Ok(self.loudness(self.power(frames)).swap_dims(1, 2))
    }

    /// The mel bands, compressed; decibels and Whisper's logarithm go by the loudest of each signal of the batch.
    ///
    /// # Shapes
    /// - signals: `[batch, samples]`
    /// - output: `[batch, mel_rows, frames]`
    ///
    /// # Errors
    /// As [`spectrogram`](Self::spectrogram).
    pub fn mel(&self, signals: Tensor<2>) -> Result<Tensor<3>> {
        let Bands { mel, energy } = self.bands(signals)?;
        let rows = match (energy, self.config.energy) {
            (Some(energy), Some(Energy { last: true, .. })) => Tensor::cat(vec![mel, energy], 2),
            (Some(energy), _) => Tensor::cat(vec![energy, mel], 2),
            (None, _) => mel,
        };
        Ok(rows.swap_dims(1, 2))
    }

    /// The cepstra.
    ///
    /// # Shapes
    /// - signals: `[batch, samples]`
    /// - output: `[batch, n_mfcc, frames]`
    ///
    /// # Errors
    /// As [`spectrogram`](Self::spectrogram).
    pub fn mfcc(&self, signals: Tensor<2>) -> Result<Tensor<3>> {
        let Bands { mel, energy } = self.bands(signals)?;
        let cepstra = mel.matmul(self.cepstra.clone().unsqueeze());
        let cepstra = match energy {
            Some(energy) => Tensor::cat(vec![energy, cepstra.slice_dim(2, 1..)], 2),
            None => cepstra,
        };
        Ok(cepstra.swap_dims(1, 2))
    }

    /// `[batch, frames, length]`
    fn frames(&self, signals: Tensor<2>) -> Result<Tensor<3>> {
        let samples = signals.dims()[1];
        self.config.check(samples)?;
        Ok(self.transform.frames(signals, self.config.frames(samples)))
    }

    /// The powers `[batch, frames, bins]` of frames.
    fn power(&self, frames: Tensor<3>) -> Tensor<3> {
        let [re, im] = self.transform.spectra(frames);
        re.square() + im.square()
    }

    fn loudness(&self, power: Tensor<3>) -> Tensor<3> {
        match self.config.exponent {
            Exponent::Power => power,
            // At zero, the square root's slope is no number.
            Exponent::Magnitude => power.clamp_min(f64::from(f32::MIN_POSITIVE)).sqrt(),
        }
    }

    fn bands(&self, signals: Tensor<2>) -> Result<Bands> {
        let frames = self.frames(signals)?;
        let power = self.power(frames.clone());
        let energy = self.config.energy.map(|energy| self.energy(energy, frames, power.clone()));
        let mel = self.loudness(power).matmul(self.bank.clone().unsqueeze());
        Ok(Bands { mel: self.compressed(mel), energy })
    }

    /// The logarithm of frames' energy, `[batch, frames, 1]`.
    fn energy(&self, energy: Energy, frames: Tensor<3>, power: Tensor<3>) -> Tensor<3> {
        let FrontEndConfig { n_fft, scale, remove_dc, .. } = self.config;
        let sum = if energy.raw {
            let frames = frames * scale;
            let mean = frames.clone().mean_dim(2);
            let frames = if remove_dc { frames - mean } else { frames };
            frames.square().sum_dim(2)
        } else {
            // By Parseval's theorem; only one half of the spectrum is at hand.
            let alone = power.clone().slice_dim(2, ..1);
            let alone = if n_fft.is_multiple_of(2) { alone + power.clone().slice_dim(2, n_fft / 2..) } else { alone };
            (power.sum_dim(2) * 2.0 - alone) / n_fft as f64
        };
        sum.clamp_min(energy.floor.max(f64::from(f32::EPSILON))).log()
    }

    /// What becomes of bands `[batch, frames, n_mels]`.
    fn compressed(&self, mel: Tensor<3>) -> Tensor<3> {
        let ten = std::f64::consts::LN_10;
        match self.config.compression {
            Compression::None => mel,
            Compression::Ln { floor } => mel.clamp_min(floor).log(),
            Compression::Decibel(Decibel { amin, reference, top_db }) => {
                let level = mel.clamp_min(amin).log() * (10.0 / ten);
                let level = match reference {
                    Reference::Value(power) => level - 10.0 * power.max(amin).log10(),
                    Reference::Max => level.clone() - loudest(level),
                };
                top_db.map_or(level.clone(), |range| within(level, range))
            }
            Compression::Whisper => (within(mel.clamp_min(1e-10).log() / ten, 8.0) + 4.0) * 0.25,
        }
    }
}

/// Mel bands, compressed, and what there is beside them.
struct Bands {
    /// `[batch, frames, n_mels]`
    mel: Tensor<3>,
    /// `[batch, frames, 1]`
    energy: Option<Tensor<3>>,
}

/// The largest number of each signal, `[batch, 1, 1]`.
fn loudest(level: Tensor<3>) -> Tensor<3> {
    level.max_dim(2).max_dim(1)
}

/// Raised to no less than `range` below each signal's largest.
fn within(level: Tensor<3>, range: f64) -> Tensor<3> {
    let floor = (loudest(level.clone()) - range).expand(level.dims());
    level.max_pair(floor)
}

/// From samples to spectra: frames, and the matrix they are multiplied by.
#[derive(Debug, Clone)]
struct Transform {
    framing: Framing,
    bins: usize,
    /// `[length, 2 · bins]`: the real parts, then the imaginary ones.
    basis: Tensor<2>,
}

impl Transform {
    fn new(framing: Framing, basis: Vec<f64>, bins: usize, options: &TensorCreationOptions) -> Self {
        Self { framing, bins, basis: matrix(basis, [framing.length, 2 * bins], options) }
    }

    /// Signals `[batch, samples]` cut into `count` frames, `[batch, frames, length]`.
    ///
    /// Frames are put together from the signal's hops, shifted against each other, so that the way back for gradients takes
    /// as few steps: one for every hop of a frame, however long the signal is.
    fn frames(&self, signals: Tensor<2>, count: usize) -> Tensor<3> {
        let Framing { length, hop, .. } = self.framing;
        let shifts = length.div_ceil(hop);
        let hops = count + shifts - 1;
        let batch = signals.dims()[0];
        let hops = self.padded(signals, hops * hop).reshape([batch, hops, hop]);
        let shifted = |shift: usize| {
            let width = hop.min(length - shift * hop);
            hops.clone().slice_dim(1, shift..shift + count).slice_dim(2, ..width)
        };
        Tensor::cat((0..shifts).map(shifted).collect(), 2)
    }

    /// `samples` samples from where the first frame begins, whatever lies beyond the signals being made up.
    fn padded(&self, signals: Tensor<2>, samples: usize) -> Tensor<2> {
        let before = self.framing.before;
        let inside = signals.dims()[1] as isize;
        let (begin, end) = (-before, samples as isize - before);
        let middle = begin.max(0)..end.min(inside);
        let parts = [
            self.beyond(&signals, begin..0.min(end)),
            (!middle.is_empty()).then(|| signals.clone().slice_dim(1, middle)),
            self.beyond(&signals, inside.max(begin)..end),
        ];
        Tensor::cat(parts.into_iter().flatten().collect(), 1)
    }

    /// What stands at places outside of the signals, if there are any.
    fn beyond(&self, signals: &Tensor<2>, places: std::ops::Range<isize>) -> Option<Tensor<2>> {
        if places.is_empty() {
            return None;
        }
        let [batch, samples] = signals.dims();
        let (device, dtype, width) = (signals.device(), signals.dtype(), places.len());
        let sources: Vec<Option<usize>> = places.map(|place| self.framing.place(place, samples)).collect();
        if sources.iter().all(Option::is_none) {
            return Some(Tensor::zeros([batch, width], (&device, dtype)));
        }
        let indices: Vec<i64> = sources.iter().map(|source| source.unwrap_or(0) as i64).collect();
        let known: Vec<f64> = sources.iter().map(|source| f64::from(u8::from(source.is_some()))).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [width]), &device);
        let known = matrix(known, [1, width], &(&device, dtype).into());
        Some(signals.clone().select(1, indices) * known)
    }

    /// The real and the imaginary parts, `[batch, frames, bins]`, of frames `[batch, frames, length]`.
    fn spectra(&self, frames: Tensor<3>) -> [Tensor<3>; 2] {
        assert_shape!(frames, [_, _, self.framing.length]);
        let both = frames.matmul(self.basis.clone().unsqueeze());
        [both.clone().slice_dim(2, ..self.bins), both.slice_dim(2, self.bins..)]
    }
}

/// The windowed cosines and negative sines, `[window.len(), 2 · bins]`, row-major.
fn basis(window: &[f64], n_fft: usize) -> Vec<f64> {
    let bins = n_fft / 2 + 1;
    let turn: Vec<(f64, f64)> = (0..n_fft).map(|i| (TAU * i as f64 / n_fft as f64).sin_cos()).collect();
    let mut basis = Vec::with_capacity(window.len() * 2 * bins);
    for (i, weight) in window.iter().enumerate() {
        let at = |k: usize| turn[i * k % n_fft];
        basis.extend((0..bins).map(|k| weight * at(k).1));
        basis.extend((0..bins).map(|k| -weight * at(k).0));
    }
    basis
}

/// Puts pre-emphasis before a matrix that frames are multiplied by.
fn emphasize(basis: &mut [f64], columns: usize, part: f64) {
    basis[..columns].iter_mut().for_each(|x| *x *= 1.0 - part);
    for row in 1..basis.len() / columns {
        let (before, after) = basis.split_at_mut(row * columns);
        // Row 0 counts for itself once more, as the sample before it, which has been done above.
        for (before, x) in before[(row - 1) * columns..].iter_mut().zip(after) {
            *before -= part * *x;
        }
    }
}

/// Puts the removal of a frame's mean before a matrix that frames are multiplied by.
fn remove_means(basis: &mut [f64], columns: usize) {
    let rows = basis.len() / columns;
    for column in 0..columns {
        let mean = basis[column..].iter().step_by(columns).sum::<f64>() / rows as f64;
        basis[column..].iter_mut().step_by(columns).for_each(|x| *x -= mean);
    }
}

fn matrix(values: Vec<f64>, shape: [usize; 2], options: &TensorCreationOptions) -> Tensor<2> {
    let data = TensorData::new(values, shape);
    let data = if options.dtype == Some(DType::F64) { data } else { data.convert_dtype(DType::F32) };
    Tensor::from_data(data, options.clone())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use sensorium_core::device;

    use super::*;
    use crate::Pad;
    use crate::front_end::{FrontEnd, Placement, Preset};
    use crate::stft::Stft;

    fn noise(samples: usize) -> Vec<f64> {
        let mut state = 7u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        (0..samples).map(|i| 0.3 * (i as f64 * 0.13).sin() + 0.2 * draw()).collect()
    }

    fn tensor(values: &[f64], batch: usize, options: &TensorCreationOptions) -> Tensor<2> {
        matrix(values.to_vec(), [batch, values.len() / batch], options)
    }

    fn numbers(tensor: Tensor<3>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    fn double() -> TensorCreationOptions {
        (&Device::flex(), DType::F64).into()
    }

    fn close(got: &[f64], want: &[f64], tolerance: f64, what: &str) {
        assert_eq!(got.len(), want.len(), "{what}: count");
        let largest = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let off = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off <= tolerance * largest, "{what}: off by {off} of {largest}");
    }

    #[test]
    fn spectra_are_those_of_the_fast_transform() {
        let samples = noise(1000);
        for (n_fft, hop, win) in [(400, 160, 400), (37, 10, 30), (64, 100, 64), (25, 7, 25)] {
            for (center, pad) in [(true, Pad::Zeros), (true, Pad::Reflect), (true, Pad::Edge), (false, Pad::Zeros)] {
                let config = StftConfig { win_length: win, center, pad, ..StftConfig::new(n_fft, hop) };
                let want = Stft::<f64>::new(config).unwrap().forward(&samples).unwrap();
                let stft = TensorStft::new(config, double()).unwrap();
                let got = stft.forward(tensor(&samples, 1, &double())).unwrap();
                assert_eq!(got.re.dims(), [1, want.bins, want.frames]);
                close(&numbers(got.re), &want.re, 1e-12, &format!("{config:?}, real"));
                close(&numbers(got.im), &want.im, 1e-12, &format!("{config:?}, imaginary"));
            }
        }
    }

    /// Settings that no preset has.
    fn configs() -> Vec<(String, FrontEndConfig)> {
        let mut configs: Vec<_> = Preset::ALL.map(|preset| (preset.name().to_string(), preset.config())).into();
        let kaldi = Preset::Kaldi.config();
        for (raw, last) in [(true, false), (false, true)] {
            let energy = Some(Energy { raw, floor: 0.0, last });
            configs.push((format!("kaldi, energy, raw {raw}"), FrontEndConfig { energy, ..kaldi }));
        }
        configs.push(("kaldi, mirrored".into(), FrontEndConfig { placement: Placement::Mirrored, ..kaldi }));
        let wide = FrontEndConfig { placement: Placement::Mirrored, hop_length: 700, ..kaldi };
        configs.push(("kaldi, far apart".into(), wide));
        let whisper = Preset::Whisper.config();
        configs.push(("magnitudes".into(), FrontEndConfig { exponent: Exponent::Magnitude, ..whisper }));
        let decibel = Decibel { reference: Reference::Max, ..Decibel::default() };
        let compression = Compression::Decibel(decibel);
        configs.push(("against the loudest".into(), FrontEndConfig { compression, n_fft: 405, ..whisper }));
        configs
    }

    #[test]
    fn features_are_those_of_the_front_end() {
        let samples = noise(2 * 6000);
        for (name, config) in configs() {
            let fast = FrontEnd::new(config).unwrap();
            let slow = TensorFrontEnd::new(config, double()).unwrap();
            let both = tensor(&samples, 2, &double());
            let of = |take: fn(&FrontEnd, &[f64]) -> Vec<f64>| {
                samples.chunks_exact(6000).flat_map(|signal| take(&fast, signal)).collect::<Vec<_>>()
            };
            let want = of(|fast, signal| fast.spectrogram(signal).unwrap().values);
            close(&numbers(slow.spectrogram(both.clone()).unwrap()), &want, 1e-11, &format!("{name}: spectrogram"));
            let want = of(|fast, signal| fast.mel(signal).unwrap().values);
            close(&numbers(slow.mel(both.clone()).unwrap()), &want, 1e-11, &format!("{name}: mel"));
            let want = of(|fast, signal| fast.mfcc(signal).unwrap().values);
            close(&numbers(slow.mfcc(both).unwrap()), &want, 1e-11, &format!("{name}: mfcc"));
        }
    }

    #[test]
    fn every_backend_gives_the_numbers() {
        let samples = noise(4000);
        let single: Vec<f32> = samples.iter().map(|x| *x as f32).collect();
        for (name, config) in configs() {
            // Of a batch of one; in f32, as all backends have it.
            let fast = FrontEnd::new(config).unwrap();
            let want: Vec<f64> = fast.mfcc(&single).unwrap().values.iter().map(|x| f64::from(*x)).collect();
            for (backend, device) in device::built() {
                let slow = TensorFrontEnd::new(config, &device).unwrap();
                let got = slow.mfcc(tensor(&samples, 1, &(&device).into())).unwrap();
                close(&numbers(got), &want, 1e-4, &format!("{name} on {backend}"));
            }
        }
    }

    /// Along a random direction, against the difference quotient of fourth order.
    #[test]
    fn gradients_are_slopes() {
        let options: TensorCreationOptions = (&Device::flex().autodiff(), DType::F64).into();
        let (samples, direction) = (noise(2600), noise(5200).split_off(2600));
        for (name, config) in configs() {
            let front_end = TensorFrontEnd::new(config, options.clone()).unwrap();
            let takes: [(&str, fn(&TensorFrontEnd, Tensor<2>) -> Result<Tensor<3>>); 3] = [
                ("spectrogram", TensorFrontEnd::spectrogram),
                ("mel", TensorFrontEnd::mel),
                ("mfcc", TensorFrontEnd::mfcc),
            ];
            for (quantity, take) in takes {
                let loss = |signals: Tensor<2>| {
                    let features = take(&front_end, signals).unwrap();
                    let [_, rows, frames] = features.dims();
                    let weights = matrix(noise(rows * frames), [rows, frames], &options).unsqueeze::<3>();
                    (features * weights).sum()
                };
                let at = tensor(&samples, 1, &options).require_grad();
                let gradient = at.grad(&loss(at.clone()).backward()).unwrap();
                let slope: f64 = (gradient * tensor(&direction, 1, &double())).sum().into_data().iter::<f64>().sum();
                let along = |step: f64| {
                    let moved: Vec<f64> = samples.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
                    loss(tensor(&moved, 1, &options)).into_data().iter::<f64>().sum::<f64>()
                };
                let step = 1e-5;
                let quotient =
                    (8.0 * (along(step) - along(-step)) - (along(2.0 * step) - along(-2.0 * step))) / (12.0 * step);
                let off = (slope - quotient).abs() / quotient.abs();
                assert!(off < 1e-6, "{name}, {quantity}: {slope} against {quotient}");
            }
        }
    }

    #[test]
    fn short_signals_are_refused() {
        let device = Device::flex();
        let signals = || Tensor::<2>::zeros([1, 100], &device);
        let whisper = TensorFrontEnd::new(Preset::Whisper.config(), &device).unwrap();
        assert!(whisper.mel(signals()).unwrap_err().to_string().contains("needs at least 201"));
        let config = StftConfig { center: false, ..StftConfig::new(128, 32) };
        let stft = TensorStft::new(config, &device).unwrap();
        assert!(stft.forward(signals()).unwrap_err().to_string().contains("less than one frame of 128"));
    }
}
