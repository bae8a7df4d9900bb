//! The short-time Fourier transform and its inverse, as librosa 0.11 defines them.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::fft::RealTransform;
use crate::frames::{Analysis, Framing, Group, Pad, Preparation, Signal, Sink, Spectra, check_finite};
use crate::real::Real;
use crate::window::{Symmetry, Window};
use crate::{Error, Result};

/// A clip's frames are worked on by several threads in blocks of this many.
pub(crate) const BLOCK: usize = 512;

/// How a signal is cut and windowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StftConfig {
    /// Samples that are transformed at a time; there are `n_fft / 2 + 1` bins. Any number; those with no prime factor
    /// above 31 are fast.
    pub n_fft: usize,
    /// Samples from a frame to the next.
    pub hop_length: usize,
    /// Samples of the window, at most `n_fft`; it lies in the middle of the frame.
    pub win_length: usize,
    /// The window's shape.
    pub window: Window,
    /// Whether the window's period ends with it or after it.
    pub symmetry: Symmetry,
    /// Whether frame `t` has its middle at sample `t · hop_length`, the signal being padded by half a frame on both sides,
    /// or begins there.
    pub center: bool,
    /// What the signal is padded with.
    pub pad: Pad,
}

impl StftConfig {
    /// librosa's defaults: a periodic Hann window of the frame's length, centred frames, zeros around.
    pub fn new(n_fft: usize, hop_length: usize) -> Self {
        let (window, symmetry) = (Window::Hann, Symmetry::Periodic);
        Self { n_fft, hop_length, win_length: n_fft, window, symmetry, center: true, pad: Pad::Zeros }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Core`] if a length is 0 or absurd, or the window is longer than the frame.
    pub fn validate(&self) -> Result<()> {
        const MOST: usize = 1 << 20;
        for (field, value) in [("n_fft", self.n_fft), ("hop_length", self.hop_length), ("win_length", self.win_length)]
        {
            if !(1..=MOST).contains(&value) {
                return Err(Error::config(field, value, format!("must be 1 to {MOST}")));
            }
        }
        if self.win_length > self.n_fft {
            return Err(Error::config("win_length", self.win_length, format!("must be at most n_fft, {}", self.n_fft)));
        }
        self.window.validate()
    }

    /// Bins of a frame: frequency `k` is `k · sample_rate / n_fft`.
    pub fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    pub(crate) fn framing(&self) -> Framing {
        Framing::new(self.n_fft, self.hop_length, self.center, self.pad)
    }

    /// The window, with zeros on both sides up to the frame's length.
    pub(crate) fn samples(&self) -> Vec<f64> {
        let left = (self.n_fft - self.win_length) / 2;
        let mut samples = vec![0.0; self.n_fft];
        samples[left..left + self.win_length].copy_from_slice(&self.window.samples(self.win_length, self.symmetry));
        samples
    }
}

/// Complex numbers over frequency and time.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum<T> {
    /// The real parts `[bins, frames]`, row-major.
    pub re: Vec<T>,
    /// The imaginary parts `[bins, frames]`, row-major.
    pub im: Vec<T>,
    /// Rows.
    pub bins: usize,
    /// Columns.
    pub frames: usize,
}

impl<T: Real> Spectrum<T> {
    /// The squares of the absolute values, `[bins, frames]`.
    pub fn power(&self) -> Vec<T> {
        self.re.iter().zip(&self.im).map(|(re, im)| *re * *re + *im * *im).collect()
    }

    /// The absolute values, `[bins, frames]`.
    pub fn magnitude(&self) -> Vec<T> {
        let mut magnitude = self.power();
        magnitude.iter_mut().for_each(|x| *x = T::of(x.wide().sqrt()));
        magnitude
    }
}

/// A planned transform. Numbers are computed in `T`: f32 or f64.
///
/// ```
/// use sensorium_audio::stft::{Stft, StftConfig};
///
/// let tone: Vec<f64> = (0..4000).map(|i| (i as f64 * 0.05).sin()).collect();
/// let stft = Stft::new(StftConfig::new(512, 128))?;
/// let spectrum = stft.forward(&tone)?;
/// assert_eq!((spectrum.bins, spectrum.frames), (257, 32));
///
/// let back = stft.inverse(&spectrum, Some(tone.len()))?;
/// assert!(back.iter().zip(&tone).all(|(a, b)| (a - b).abs() < 1e-12));
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
pub struct Stft<T> {
    config: StftConfig,
    analysis: Analysis<T>,
    synthesis: RealTransform<T>,
    window: Vec<T>,
    arch: Arch,
}

impl<T: Real> Stft<T> {
    /// Plans the transform.
    ///
    /// # Errors
    /// As [`StftConfig::validate`].
    pub fn new(config: StftConfig) -> Result<Self> {
        config.validate()?;
        let window: Vec<T> = config.samples().into_iter().map(T::of).collect();
        let analysis = Analysis::new(config.framing(), config.n_fft, Preparation::window(window.clone()));
        Ok(Self { config, analysis, synthesis: RealTransform::new(config.n_fft), window, arch: Arch::new() })
    }

    /// The settings.
    pub fn config(&self) -> &StftConfig {
        &self.config
    }

    /// Frames of a signal of so many samples.
    pub fn frames(&self, samples: usize) -> usize {
        self.analysis.framing.count(samples)
    }

    /// The spectra of a signal's frames.
    ///
    /// # Errors
    /// [`Error::Signal`] if it is empty, too short for its padding or for one frame, or holds a number that is not finite.
    pub fn forward(&self, samples: &[T]) -> Result<Spectrum<T>> {
        self.analysis.framing.check(samples.len())?;
        check_finite(samples)?;
        let (bins, frames) = (self.config.bins(), self.frames(samples.len()));
        let zeros = || vec![T::of(0.0); bins * frames];
        let mut spectrum = Spectrum { re: zeros(), im: zeros(), bins, frames };
        // As many blocks at a time as there are threads, through memory that is used again: a large result is touched once.
        let threads = rayon::current_num_threads().min(frames.div_ceil(BLOCK));
        let mut blocks: Vec<Grouped<T>> =
            (0..threads).map(|_| Grouped::new(bins, BLOCK.min(frames), self.lanes())).collect();
        for first in (0..frames).step_by(threads * BLOCK) {
            blocks.par_iter_mut().enumerate().for_each(|(number, block)| {
                let begin = (first + number * BLOCK).min(frames);
                block.frames = BLOCK.min(frames - begin);
                self.analyse(samples, begin..begin + block.frames, &mut block.values);
            });
            for (number, block) in blocks.iter().enumerate() {
                block.copy_to(&mut spectrum, (first + number * BLOCK).min(frames));
            }
        }
        Ok(spectrum)
    }

    /// [`forward`](Self::forward) of several signals, such as the channels of one, at once.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), of the first signal at fault.
    pub fn forward_batch(&self, signals: &[&[T]]) -> Result<Vec<Spectrum<T>>> {
        signals.par_iter().map(|samples| self.forward(samples)).collect()
    }

    pub(crate) fn lanes(&self) -> usize {
        self.analysis.lanes()
    }

    /// The spectra of the first `frames` frames.
    pub(crate) fn grouped(&self, samples: &[T], frames: usize) -> Grouped<T> {
        let mut grouped = Grouped::new(self.config.bins(), frames, self.analysis.lanes());
        let block = grouped.block();
        let blocks = grouped.values.par_chunks_mut(block);
        blocks.enumerate().for_each(|(number, values)| {
            let begin = number * BLOCK;
            self.analyse(samples, begin..(begin + BLOCK).min(frames), values);
        });
        grouped
    }

    /// The spectra of the frames `range`, in the order of [`Grouped`].
    fn analyse(&self, samples: &[T], range: std::ops::Range<usize>, values: &mut [T]) {
        let mut sink = Groups { values, begin: range.start, bins: self.config.bins() };
        self.analysis.run(Signal::whole(samples), range, &mut self.analysis.workspace(), &mut sink);
    }

    /// The signal whose spectra these are, by overlap and add: frames are transformed back, windowed, added up, and
    /// divided by the sum of the squared windows (librosa's `istft`). With `length`, the signal is cut off or filled up
    /// with zeros to that many samples; without, it is as long as whole hops go.
    ///
    /// # Errors
    /// [`Error::Signal`] if `spectrum` has other bins than `n_fft` has, no frame, or a number that is not finite.
    pub fn inverse(&self, spectrum: &Spectrum<T>, length: Option<usize>) -> Result<Vec<T>> {
        let bins = self.config.bins();
        let numbers = bins.checked_mul(spectrum.frames);
        if spectrum.bins != bins || numbers != Some(spectrum.re.len()) || numbers != Some(spectrum.im.len()) {
            let (rows, frames) = (spectrum.bins, spectrum.frames);
            return Err(Error::signal(format!(
                "a spectrum of {rows} bins and {frames} frames, must be of {bins} bins"
            )));
        }
        if spectrum.frames == 0 {
            return Err(Error::signal("a spectrum without frames"));
        }
        check_finite(&spectrum.re)?;
        check_finite(&spectrum.im)?;
        let grouped = Grouped::of(spectrum, self.analysis.lanes());
        let length = length.unwrap_or_else(|| self.whole_hops(spectrum.frames));
        Ok(self.overlap_add(&grouped, &self.weights(spectrum.frames), length))
    }

    /// Samples before the middle of the first frame.
    fn left(&self) -> usize {
        if self.config.center { self.config.n_fft / 2 } else { 0 }
    }

    /// Samples that so many frames cover, without the padding.
    pub(crate) fn whole_hops(&self, frames: usize) -> usize {
        let StftConfig { n_fft, hop_length, .. } = self.config;
        (n_fft + hop_length * (frames - 1)).saturating_sub(2 * self.left())
    }

    /// What the overlapping frames' sum is to be multiplied by at each sample: one over the sum of the squared windows.
    pub(crate) fn weights(&self, frames: usize) -> Vec<T> {
        let StftConfig { n_fft, hop_length: hop, .. } = self.config;
        let squares: Vec<f64> = self.window.iter().map(|w| w.wide() * w.wide()).collect();
        let covering = |at: usize| (at + 1).saturating_sub(n_fft).div_ceil(hop)..(at / hop + 1).min(frames);
        let sum = |at: usize| covering(at).map(|frame| squares[at - frame * hop]).sum::<f64>();
        // Away from the ends it repeats with every hop.
        let steady = (n_fft - 1).next_multiple_of(hop);
        let repeated: Vec<f64> =
            if steady + hop <= hop * frames { (steady..steady + hop).map(sum).collect() } else { vec![] };
        let tiny = if size_of::<T>() == 4 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        let weight = |at: usize| {
            let inside = at >= steady && at < hop * frames && !repeated.is_empty();
            let sum = if inside { repeated[at % hop] } else { sum(at) };
            T::of(if sum > tiny { 1.0 / sum } else { 1.0 })
        };
        (0..n_fft + hop * (frames - 1)).map(weight).collect()
    }

    pub(crate) fn overlap_add(&self, spectra: &Grouped<T>, weights: &[T], length: usize) -> Vec<T> {
        let left = self.left();
        let mut sum = vec![T::of(0.0); weights.len()];
        self.arch.dispatch(Synthesis { stft: self, spectra, sum: &mut sum });
        let samples = sum.iter().zip(weights).skip(left).map(|(x, weight)| *x * *weight);
        samples.chain(std::iter::repeat(T::of(0.0))).take(length).collect()
    }
}

/// Spectra in the order in which they are computed: a group of frames after the other, in it bin after bin, of each bin the
/// real and the imaginary parts of the group's frames. Rows of bins would lie too far apart in memory to be written by
/// sixteen frames at a time.
pub(crate) struct Grouped<T> {
    /// `[groups, bins, 2, lanes]`
    pub(crate) values: Vec<T>,
    bins: usize,
    frames: usize,
    lanes: usize,
}

impl<T: Real> Grouped<T> {
    fn new(bins: usize, frames: usize, lanes: usize) -> Self {
        Self { values: vec![T::of(0.0); frames.div_ceil(lanes) * bins * 2 * lanes], bins, frames, lanes }
    }

    /// Numbers of [`BLOCK`] frames.
    fn block(&self) -> usize {
        BLOCK / self.lanes * self.bins * 2 * self.lanes
    }

    pub(crate) fn of(spectrum: &Spectrum<T>, lanes: usize) -> Self {
        let mut grouped = Self::new(spectrum.bins, spectrum.frames, lanes);
        let values = &mut grouped.values;
        each_run([spectrum.bins, spectrum.frames, spectrum.frames], lanes, |place, row, count| {
            values[place..place + count].copy_from_slice(&spectrum.re[row..row + count]);
            values[place + lanes..place + lanes + count].copy_from_slice(&spectrum.im[row..row + count]);
        });
        grouped
    }

    /// Copies the frames to where they are in `spectrum` from frame `begin` on.
    fn copy_to(&self, spectrum: &mut Spectrum<T>, begin: usize) {
        let Self { bins, frames, lanes, .. } = *self;
        let Spectrum { re, im, frames: stride, .. } = spectrum;
        each_run([bins, frames, *stride], lanes, |place, row, count| {
            let to = begin + row..begin + row + count;
            re[to.clone()].copy_from_slice(&self.values[place..place + count]);
            im[to].copy_from_slice(&self.values[place + lanes..place + lanes + count]);
        });
    }
}

/// Calls `each` with every run of numbers that is together in both orders: where its real parts are in [`Grouped`], where
/// it is in a matrix of rows of `stride` numbers, and how long it is. A few rows are gone through at a time, so that they stay at hand.
fn each_run([bins, frames, stride]: [usize; 3], lanes: usize, mut each: impl FnMut(usize, usize, usize)) {
    const ROWS: usize = 32;
    for first in (0..bins).step_by(ROWS) {
        for group in 0..frames.div_ceil(lanes) {
            let count = lanes.min(frames - group * lanes);
            for bin in first..(first + ROWS).min(bins) {
                each((group * bins + bin) * 2 * lanes, bin * stride + group * lanes, count);
            }
        }
    }
}

/// Takes spectra into a [`Grouped`], of which `values` begins at frame `begin`.
struct Groups<'a, T> {
    values: &'a mut [T],
    begin: usize,
    bins: usize,
}

impl<T: Real> Sink<T> for Groups<'_, T> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, _simd: S, spectra: Spectra<T, S>, group: Group) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let bins = self.bins;
        let place = (group.first - self.begin) / lanes * bins * 2 * lanes;
        let pairs = self.values[place..place + bins * 2 * lanes].chunks_exact_mut(2 * lanes);
        for (bin, pair) in pairs.enumerate() {
            let (re, im) = pair.split_at_mut(lanes);
            re.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&spectra.re[bin])));
            im.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&spectra.im[bin])));
        }
    }
}

struct Synthesis<'a, T> {
    stft: &'a Stft<T>,
    spectra: &'a Grouped<T>,
    sum: &'a mut [T],
}

impl<T: Real> WithSimd for Synthesis<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { stft, spectra: &Grouped { ref values, bins, frames, lanes }, sum } = self;
        let StftConfig { n_fft, hop_length: hop, .. } = stft.config;
        let zero = T::splat(simd, T::of(0.0));
        let buffer = || vec![zero; n_fft.max(bins) + 1];
        let (mut bins_re, mut bins_im, mut re, mut im, mut out) = (buffer(), buffer(), buffer(), buffer(), buffer());
        let mut scratch = stft.synthesis.scratch();
        let (width, reach) = (hop.min(n_fft), (n_fft - 1) / hop);
        let stride = lanes + reach;
        // Row `j` holds sample `j` of each hop, as when frames are cut.
        let mut turned = vec![T::of(0.0); width * stride];
        let scale = T::of(1.0 / n_fft as f64);
        for (group, pairs) in values.chunks_exact(bins * 2 * lanes).enumerate() {
            let count = lanes.min(frames - group * lanes);
            for (bin, pair) in pairs.chunks_exact(2 * lanes).enumerate() {
                bins_re[bin] = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&pair[..lanes]));
                bins_im[bin] = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&pair[lanes..]));
            }
            stft.synthesis.inverse(simd, [&bins_re, &bins_im], [&mut re, &mut im], &mut out, &mut scratch);
            turned.fill(T::of(0.0));
            for begin in (0..n_fft).step_by(hop) {
                let end = (begin + hop).min(n_fft);
                for (j, (sample, weight)) in out[begin..end].iter().zip(&stft.window[begin..end]).enumerate() {
                    let at = j * stride + begin / hop;
                    let place: &mut [u8] = bytemuck::cast_slice_mut(&mut turned[at..at + lanes]);
                    let before: T::Vector<S> = bytemuck::pod_read_unaligned(place);
                    let factor = T::splat(simd, *weight * scale);
                    place.copy_from_slice(bytemuck::bytes_of(&T::times_plus(simd, *sample, factor, before)));
                }
            }
            for column in 0..count + reach {
                let start = (group * lanes + column) * hop;
                let end = (start + width).min(sum.len());
                for (sum, row) in sum[start.min(end)..end].iter_mut().zip(turned.chunks_exact(stride)) {
                    *sum = *sum + row[column];
                }
            }
        }
    }
}

/// The frequencies of the bins in hertz.
pub fn frequencies(sample_rate: f64, n_fft: usize) -> Vec<f64> {
    (0..=n_fft / 2).map(|k| k as f64 * sample_rate / n_fft as f64).collect()
}
