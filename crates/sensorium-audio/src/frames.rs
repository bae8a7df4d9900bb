//! Cutting a signal into frames, and the frames' way through the Fourier transform, a vector of frames at a time.

use bytemuck::{Pod, Zeroable};
use pulp::{Arch, Simd, WithSimd};

use crate::fft::{RealTransform, Scratch};
use crate::real::Real;
use crate::{Error, Result};

/// What stands before the first sample and after the last, where frames reach beyond them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pad {
    /// Zeros (`constant` in librosa).
    #[default]
    Zeros,
    /// The signal mirrored about its outermost samples, which are not repeated (`reflect`).
    Reflect,
    /// The signal mirrored, its outermost samples repeated (`symmetric`; Kaldi's frames without `snip_edges`).
    Symmetric,
    /// The outermost sample again and again (`edge`).
    Edge,
}

/// Where frames begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framing {
    /// Samples of a frame.
    pub(crate) length: usize,
    /// Samples from the start of a frame to that of the next.
    pub(crate) hop: usize,
    /// Samples of the first frame that lie before the signal; if negative, samples left out at its start.
    pub(crate) before: isize,
    pub(crate) pad: Pad,
}

impl Framing {
    /// Frames of which the `t`-th has its middle at sample `t · hop`, or which begin there where not `center`ed.
    pub(crate) fn new(length: usize, hop: usize, center: bool, pad: Pad) -> Self {
        Self { length, hop, before: if center { (length / 2) as isize } else { 0 }, pad }
    }

    /// Frames in a signal, with as much padding after it as before it.
    pub(crate) fn count(&self, samples: usize) -> usize {
        let padded = samples + 2 * self.before.max(0) as usize;
        if padded < self.length { 0 } else { 1 + (padded - self.length) / self.hop }
    }

    /// Whether a signal is long enough for its frames' padding.
    pub(crate) fn check(&self, samples: usize) -> Result<()> {
        let least = match self.pad {
            Pad::Reflect => self.before + 1,
            Pad::Symmetric => self.before,
            _ => 1,
        };
        if (samples as isize) < least.max(1) {
            let pad = self.pad;
            return Err(Error::signal(format!("{samples} samples; padding by {pad:?} needs at least {least}")));
        }
        if self.count(samples) == 0 {
            let length = self.length;
            return Err(Error::signal(format!(
                "{samples} samples, less than one frame of {length}; pad it with zeros"
            )));
        }
        Ok(())
    }

    /// Where a frame begins.
    pub(crate) fn begin(&self, frame: usize) -> isize {
        (frame * self.hop) as isize - self.before
    }

    /// How many frames are complete once so many samples are known, and what they mirror before the signal is, too.
    pub(crate) fn complete(&self, samples: usize) -> usize {
        let beyond = samples as isize + self.before - self.length as isize;
        let mirrors = matches!(self.pad, Pad::Reflect | Pad::Symmetric) && samples as isize <= self.before;
        if beyond < 0 || mirrors { 0 } else { 1 + beyond as usize / self.hop }
    }

    /// The place in the signal of what stands at `index`, if it is a sample.
    pub(crate) fn place(&self, index: isize, samples: usize) -> Option<usize> {
        let last = samples as isize - 1;
        let place = match self.pad {
            _ if (0..=last).contains(&index) => index,
            Pad::Zeros => return None,
            Pad::Edge => index.clamp(0, last),
            Pad::Reflect if index < 0 => -index,
            Pad::Reflect => 2 * last - index,
            Pad::Symmetric if index < 0 => -1 - index,
            Pad::Symmetric => 2 * last + 1 - index,
        };
        // A signal checked to be long enough mirrors into itself; beyond, nothing is heard.
        (0..=last).contains(&place).then_some(place as usize)
    }
}

/// That every number is finite.
pub(crate) fn check_finite<T: Real>(samples: &[T]) -> Result<()> {
    // Without an early way out within a block, the compiler uses vectors.
    let all = |block: &[T]| block.iter().fold(true, |all, x| all & x.finite());
    if samples.chunks(4096).all(all) {
        return Ok(());
    }
    let at = samples.iter().position(|x| !x.finite()).unwrap_or(0);
    Err(Error::signal(format!("sample {at} is {}, must be a finite number", samples[at].wide())))
}

/// A cache line: every vector type fits and is aligned in it.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// What is done to a frame before its transform, in this order.
#[derive(Debug, Clone)]
pub(crate) struct Preparation<T> {
    /// Multiply.
    pub(crate) scale: T,
    /// Subtract the frame's mean.
    pub(crate) remove_dc: bool,
    /// Subtract so much of the sample before from each; the first has itself before it.
    pub(crate) preemphasis: T,
    /// Multiply by these; zeros come after its end up to the transform's length.
    pub(crate) window: Vec<T>,
    /// Measure the frame's energy before pre-emphasis and window, not after.
    pub(crate) raw_energy: bool,
    /// Whether anything but the window is asked for.
    pub(crate) plain: bool,
}

impl<T: Real> Preparation<T> {
    pub(crate) fn window(window: Vec<T>) -> Self {
        Self { scale: T::of(1.0), remove_dc: false, preemphasis: T::of(0.0), window, raw_energy: false, plain: true }
    }
}

/// From samples to spectra.
pub(crate) struct Analysis<T> {
    pub(crate) framing: Framing,
    n_fft: usize,
    preparation: Preparation<T>,
    transform: RealTransform<T>,
    arch: Arch,
}

/// Memory of an [`Analysis`], for one thread.
#[derive(Debug)]
pub(crate) struct Workspace<T> {
    /// The group's samples: row `j` holds sample `j` of each hop.
    columns: Vec<T>,
    lines: Vec<Line>,
    scratch: Scratch<T>,
}

/// Frames transformed together: `count` of them from `first` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

/// The spectra of a group: vectors of bins, and what there is beside them.
pub(crate) struct Spectra<'a, T: Real, S: Simd> {
    pub(crate) re: &'a mut [T::Vector<S>],
    pub(crate) im: &'a mut [T::Vector<S>],
    /// The sum of the squares of each frame's samples.
    pub(crate) energy: T::Vector<S>,
}

/// What takes the spectra of each group.
pub(crate) trait Sink<T: Real> {
    fn take<S: Simd>(&mut self, simd: S, spectra: Spectra<T, S>, group: Group);
}

impl<T: Real> Analysis<T> {
    pub(crate) fn new(framing: Framing, n_fft: usize, preparation: Preparation<T>) -> Self {
        let transform = RealTransform::new(n_fft);
        Self { framing, n_fft, preparation, transform, arch: Arch::new() }
    }

    /// Frames in a group on this machine.
    pub(crate) fn lanes(&self) -> usize {
        struct Count<T>(std::marker::PhantomData<T>);
        impl<T: Real> WithSimd for Count<T> {
            type Output = usize;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _simd: S) -> usize {
                size_of::<T::Vector<S>>() / size_of::<T>()
            }
        }
        self.arch.dispatch(Count::<T>(std::marker::PhantomData))
    }

    /// Hops that a frame reaches beyond its first.
    fn reach(&self) -> usize {
        (self.framing.length - 1) / self.framing.hop
    }

    pub(crate) fn workspace(&self) -> Workspace<T> {
        let width = self.framing.hop.min(self.framing.length);
        let vectors = self.n_fft.max(self.framing.length) + 2 * self.transform.room();
        Workspace {
            columns: vec![T::of(0.0); width * (self.lanes() + self.reach())],
            lines: vec![Line([0; 64]); vectors],
            scratch: self.transform.scratch(),
        }
    }

    /// Transforms frames `range` of a signal of which `samples` begins at sample `origin` and ends at sample `total`, if it
    /// does end there.
    pub(crate) fn run<I: Real>(
        &self,
        signal: Signal<I>,
        range: std::ops::Range<usize>,
        workspace: &mut Workspace<T>,
        sink: &mut impl Sink<T>,
    ) {
        let lanes = self.lanes();
        for first in range.clone().step_by(lanes) {
            let group = Group { first, count: lanes.min(range.end - first) };
            self.fill(signal, group, &mut workspace.columns);
            self.arch.dispatch(Run { analysis: self, workspace, sink, group });
        }
    }

    /// Turns the group's samples so that those of neighbouring frames lie side by side.
    fn fill<I: Real>(&self, signal: Signal<I>, group: Group, columns: &mut [T]) {
        let Framing { hop, before, length, .. } = self.framing;
        let (width, stride) = (hop.min(length), self.lanes() + self.reach());
        let scale = self.preparation.scale;
        let needed = group.count + self.reach();
        let begin = |column: usize| ((group.first + column) * hop) as isize - before;
        if needed < stride {
            columns.fill(T::of(0.0));
        }
        let mut column = 0;
        while column < needed {
            // Four at a time where all their samples are at hand, since stores are what this costs; the last four may
            // take some again.
            let first = column.min(needed.saturating_sub(4));
            let four = [0, 1, 2, 3].map(|more| signal.inside(begin(first + more), width));
            if let [Some(a), Some(b), Some(c), Some(d)] = four
                && first + 4 <= needed
            {
                let samples = a.iter().zip(b).zip(c.iter().zip(d));
                for (row, ((a, b), (c, d))) in columns.chunks_exact_mut(stride).zip(samples) {
                    let four = [a, b, c, d].map(|sample| T::of(sample.wide()) * scale);
                    row[first..first + 4].copy_from_slice(&four);
                }
                column = first + 4;
                continue;
            }
            for (j, row) in columns.chunks_exact_mut(stride).enumerate() {
                row[column] = T::of(signal.at(&self.framing, begin(column) + j as isize).wide()) * scale;
            }
            column += 1;
        }
    }

    /// The samples of the group's frames, prepared, into `frames`; gives their energy.
    #[inline(always)]
    fn prepare<S: Simd>(&self, simd: S, columns: &[T], frames: &mut [T::Vector<S>]) -> T::Vector<S> {
        let Framing { hop, length, .. } = self.framing;
        let Preparation { remove_dc, preemphasis, window, raw_energy, plain, .. } = &self.preparation;
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let stride = lanes + self.reach();
        let zero = T::splat(simd, T::of(0.0));
        for begin in (0..length).step_by(hop) {
            let end = (begin + hop).min(length);
            for i in begin..end {
                let at = (i - begin) * stride + begin / hop;
                let sample: T::Vector<S> = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&columns[at..at + lanes]));
                frames[i] = if *plain { T::times(simd, sample, T::splat(simd, window[i])) } else { sample };
            }
        }
        for frame in &mut frames[length..] {
            *frame = zero;
        }
        if *plain {
            return zero;
        }
        let frames = &mut frames[..length];
        if *remove_dc {
            let mut sum = zero;
            for sample in frames.iter() {
                sum = T::plus(simd, sum, *sample);
            }
            let mean = T::times(simd, sum, T::splat(simd, T::of(1.0 / length as f64)));
            for sample in frames.iter_mut() {
                *sample = T::minus(simd, *sample, mean);
            }
        }
        let mut energy = zero;
        if *raw_energy {
            energy = energy_of::<T, S>(simd, frames);
        }
        let part = T::splat(simd, *preemphasis);
        for i in (1..length).rev() {
            frames[i] = T::minus_times(simd, frames[i - 1], part, frames[i]);
        }
        frames[0] = T::minus_times(simd, frames[0], part, frames[0]);
        for i in 0..length {
            frames[i] = T::times(simd, frames[i], T::splat(simd, window[i]));
        }
        if *raw_energy { energy } else { energy_of::<T, S>(simd, frames) }
    }
}

#[inline(always)]
fn energy_of<T: Real, S: Simd>(simd: S, frames: &[T::Vector<S>]) -> T::Vector<S> {
    let mut energy = T::splat(simd, T::of(0.0));
    for sample in frames {
        energy = T::times_plus(simd, *sample, *sample, energy);
    }
    energy
}

/// A stretch of a signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signal<'a, I> {
    samples: &'a [I],
    /// The number of its first sample in the whole signal.
    origin: usize,
    /// The length of the whole signal, as far as is known.
    total: usize,
}

impl<'a, I: Real> Signal<'a, I> {
    pub(crate) fn whole(samples: &'a [I]) -> Self {
        Self { samples, origin: 0, total: samples.len() }
    }

    /// Samples from number `origin` on, of a signal of `total`.
    pub(crate) fn part(samples: &'a [I], origin: usize, total: usize) -> Self {
        Self { samples, origin, total }
    }

    /// The `width` samples from `begin` on, if all of them are at hand.
    fn inside(&self, begin: isize, width: usize) -> Option<&'a [I]> {
        let begin = usize::try_from(begin).ok()?.checked_sub(self.origin)?;
        self.samples.get(begin..begin + width)
    }

    fn at(&self, framing: &Framing, index: isize) -> I {
        let place = framing.place(index, self.total).and_then(|place| place.checked_sub(self.origin));
        place.and_then(|place| self.samples.get(place)).copied().unwrap_or_default()
    }
}

struct Run<'a, T: Real, K> {
    analysis: &'a Analysis<T>,
    workspace: &'a mut Workspace<T>,
    sink: &'a mut K,
    group: Group,
}

impl<T: Real, K: Sink<T>> WithSimd for Run<'_, T, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { analysis, workspace, sink, group } = self;
        let vectors: &mut [T::Vector<S>] = bytemuck::cast_slice_mut(&mut workspace.lines);
        let (frames, rest) = vectors.split_at_mut(analysis.n_fft.max(analysis.framing.length));
        let (re, rest) = rest.split_at_mut(analysis.transform.room());
        let im = &mut rest[..analysis.transform.room()];
        let energy = analysis.prepare(simd, &workspace.columns, frames);
        analysis.transform.forward(simd, &frames[..analysis.n_fft], [&mut *re, &mut *im], &mut workspace.scratch);
        sink.take(simd, Spectra { re, im, energy }, group);
    }
}

/// A matrix `[rows, frames]` that groups are written into, beginning at frame `begin`.
pub(crate) struct Rows<'a, T> {
    pub(crate) values: &'a mut [T],
    pub(crate) frames: usize,
    pub(crate) begin: usize,
}

impl<T: Real> Rows<'_, T> {
    #[inline(always)]
    pub(crate) fn put<S: Simd>(&mut self, row: usize, vector: T::Vector<S>, group: Group) {
        let at = row * self.frames + group.first - self.begin;
        let lanes: &[T] = bytemuck::cast_slice(std::slice::from_ref(&vector));
        if group.count == lanes.len() {
            self.values[at..at + lanes.len()].copy_from_slice(lanes);
        } else {
            self.values[at..at + group.count].copy_from_slice(&lanes[..group.count]);
        }
    }
}
