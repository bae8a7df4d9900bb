//! The Fourier transform of many frames at once, one frame a vector lane.
//!
//! A transform of one frame shuffles numbers within vectors; one of sixteen frames side by side has no shuffles at all,
//! and all that comes after it (power, mel bands, logarithm) is as simple. The complex transform is a mixed-radix
//! decimation in time (Cooley and Tukey 1965), in place: the input is read in digit-reversed order, so the buffers stay in
//! the first-level cache. A real frame of even length is transformed as a complex one of half the length.

use std::f64::consts::TAU;
use std::sync::Arc;

use pulp::Simd;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex};

use crate::real::Real;

/// Prime factors up to this go through butterflies; a length with a larger one is transformed by [`realfft`].
const LARGEST_PRIME: usize = 31;

/// The factors of `length` in the order of the stages, or `None` if one is too large.
fn radices(length: usize) -> Option<Vec<usize>> {
    let (mut rest, mut factors) = (length, Vec::new());
    for radix in [5, 4, 3, 2].into_iter().chain((7..=LARGEST_PRIME).step_by(2)) {
        while rest.is_multiple_of(radix) {
            factors.push(radix);
            rest /= radix;
        }
    }
    (rest == 1).then_some(factors)
}

/// One stage: sub-transforms of `width` elements each become, `radix` at a time, one of `radix * width`.
struct Stage<T> {
    radix: usize,
    width: usize,
    /// For each element of a sub-transform, the `radix - 1` factors e^(−2πi·p·q/(radix·width)) as (re, im).
    twiddles: Vec<[T; 2]>,
    /// e^(−2πi·k/radix) for k < radix: what a stage of an unusual radix multiplies by.
    roots: Vec<[T; 2]>,
}

fn root<T: Real>(numerator: usize, denominator: usize) -> [T; 2] {
    let angle = -TAU * ((numerator % denominator) as f64 / denominator as f64);
    [T::of(angle.cos()), T::of(angle.sin())]
}

/// A complex transform.
pub(crate) struct ComplexPlan<T> {
    stages: Vec<Stage<T>>,
    /// The element of the input that belongs at each place.
    order: Vec<u32>,
}

impl<T: Real> ComplexPlan<T> {
    fn new(length: usize) -> Self {
        let radices = radices(length).expect("a length for lanes");
        let mut width = 1;
        let (mut stages, mut order) = (Vec::new(), vec![0]);
        for radix in radices {
            let twiddle = |q: usize| (1..radix).map(move |p| root(p * q, radix * width));
            let twiddles = (0..width).flat_map(twiddle).collect();
            let roots = (0..radix).map(|k| root(k, radix)).collect();
            stages.push(Stage { radix, width, twiddles, roots });
            // Part p of the longer transform takes every radix-th element, from p on.
            order = (0..radix).flat_map(|p| order.iter().map(move |j| radix as u32 * j + p as u32)).collect();
            width *= radix;
        }
        Self { stages, order }
    }

    /// Transforms what was read in digit-reversed order.
    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, re: &mut [T::Vector<S>], im: &mut [T::Vector<S>]) {
        for stage in &self.stages {
            match stage.radix {
                2 => stage.run::<S, 2, TWO>(simd, re, im),
                3 => stage.run::<S, 3, THREE>(simd, re, im),
                4 => stage.run::<S, 4, FOUR>(simd, re, im),
                5 => stage.run::<S, 5, FIVE>(simd, re, im),
                _ => stage.run_any(simd, re, im),
            }
        }
    }
}

const TWO: u8 = 2;
const THREE: u8 = 3;
const FOUR: u8 = 4;
const FIVE: u8 = 5;

impl<T: Real> Stage<T> {
    /// A stage of radix `R`.
    #[inline(always)]
    fn run<S: Simd, const R: usize, const KIND: u8>(&self, simd: S, re: &mut [T::Vector<S>], im: &mut [T::Vector<S>]) {
        let width = self.width;
        for (re, im) in re.chunks_exact_mut(R * width).zip(im.chunks_exact_mut(R * width)) {
            for q in 0..width {
                let mut x = [[re[q], im[q]]; R];
                for p in 1..R {
                    x[p] = [re[p * width + q], im[p * width + q]];
                }
                if width > 1 {
                    for (x, factor) in x[1..].iter_mut().zip(&self.twiddles[q * (R - 1)..]) {
                        *x = turn::<T, S>(simd, *x, *factor);
                    }
                }
                let y = butterfly::<T, S, R, KIND>(simd, x);
                for p in 0..R {
                    re[p * width + q] = y[p][0];
                    im[p * width + q] = y[p][1];
                }
            }
        }
    }

    /// A stage of any radix, by the definition.
    #[inline(always)]
    fn run_any<S: Simd>(&self, simd: S, re: &mut [T::Vector<S>], im: &mut [T::Vector<S>]) {
        let (radix, width) = (self.radix, self.width);
        let zero = T::splat(simd, T::of(0.0));
        for (re, im) in re.chunks_exact_mut(radix * width).zip(im.chunks_exact_mut(radix * width)) {
            for q in 0..width {
                let mut x = [[zero; 2]; LARGEST_PRIME];
                x[0] = [re[q], im[q]];
                for p in 1..radix {
                    let factor = self.twiddles[q * (radix - 1) + p - 1];
                    x[p] = turn::<T, S>(simd, [re[p * width + q], im[p * width + q]], factor);
                }
                for s in 0..radix {
                    let mut sum = x[0];
                    for (p, x) in x[..radix].iter().enumerate().skip(1) {
                        let product = turn::<T, S>(simd, *x, self.roots[p * s % radix]);
                        sum = add::<T, S>(simd, sum, product);
                    }
                    re[s * width + q] = sum[0];
                    im[s * width + q] = sum[1];
                }
            }
        }
    }
}

type Complex<T, S> = [<T as crate::real::sealed::Lanes>::Vector<S>; 2];

#[inline(always)]
fn add<T: Real, S: Simd>(simd: S, a: Complex<T, S>, b: Complex<T, S>) -> Complex<T, S> {
    [T::plus(simd, a[0], b[0]), T::plus(simd, a[1], b[1])]
}

#[inline(always)]
fn sub<T: Real, S: Simd>(simd: S, a: Complex<T, S>, b: Complex<T, S>) -> Complex<T, S> {
    [T::minus(simd, a[0], b[0]), T::minus(simd, a[1], b[1])]
}

/// `a` times a factor that all lanes share.
#[inline(always)]
fn turn<T: Real, S: Simd>(simd: S, a: Complex<T, S>, factor: [T; 2]) -> Complex<T, S> {
    let [c, s] = [T::splat(simd, factor[0]), T::splat(simd, factor[1])];
    let re = T::minus_times(simd, a[1], s, T::times(simd, a[0], c));
    let im = T::times_plus(simd, a[1], c, T::times(simd, a[0], s));
    [re, im]
}

/// `a` scaled and added to `b`.
#[inline(always)]
fn scaled<T: Real, S: Simd>(simd: S, a: Complex<T, S>, factor: f64, b: Complex<T, S>) -> Complex<T, S> {
    let factor = T::splat(simd, T::of(factor));
    [T::times_plus(simd, a[0], factor, b[0]), T::times_plus(simd, a[1], factor, b[1])]
}

/// `a − i·b` and `a + i·b`.
#[inline(always)]
fn quarter_turns<T: Real, S: Simd>(simd: S, a: Complex<T, S>, b: Complex<T, S>) -> [Complex<T, S>; 2] {
    [[T::plus(simd, a[0], b[1]), T::minus(simd, a[1], b[0])], [T::minus(simd, a[0], b[1]), T::plus(simd, a[1], b[0])]]
}

/// The transform of `R` numbers.
#[inline(always)]
fn butterfly<T: Real, S: Simd, const R: usize, const KIND: u8>(simd: S, x: [Complex<T, S>; R]) -> [Complex<T, S>; R] {
    let mut y = x;
    match KIND {
        TWO => {
            y[0] = add::<T, S>(simd, x[0], x[1]);
            y[1] = sub::<T, S>(simd, x[0], x[1]);
        }
        THREE => {
            let (sum, difference) = (add::<T, S>(simd, x[1], x[2]), sub::<T, S>(simd, x[1], x[2]));
            y[0] = add::<T, S>(simd, x[0], sum);
            let middle = scaled::<T, S>(simd, sum, -0.5, x[0]);
            let sine = T::splat(simd, T::of(0.75f64.sqrt()));
            let side = [T::times(simd, difference[0], sine), T::times(simd, difference[1], sine)];
            [y[1], y[2]] = quarter_turns::<T, S>(simd, middle, side);
        }
        FOUR => {
            let (a, b) = (add::<T, S>(simd, x[0], x[2]), sub::<T, S>(simd, x[0], x[2]));
            let (c, d) = (add::<T, S>(simd, x[1], x[3]), sub::<T, S>(simd, x[1], x[3]));
            y[0] = add::<T, S>(simd, a, c);
            y[2] = sub::<T, S>(simd, a, c);
            [y[1], y[3]] = quarter_turns::<T, S>(simd, b, d);
        }
        _ => {
            const COS: [f64; 2] = [0.309_016_994_374_947_45, -0.809_016_994_374_947_4];
            const SIN: [f64; 2] = [0.951_056_516_295_153_5, 0.587_785_252_292_473_1];
            let (a, b) = (add::<T, S>(simd, x[1], x[4]), add::<T, S>(simd, x[2], x[3]));
            let (c, d) = (sub::<T, S>(simd, x[1], x[4]), sub::<T, S>(simd, x[2], x[3]));
            y[0] = add::<T, S>(simd, x[0], add::<T, S>(simd, a, b));
            let near = scaled::<T, S>(simd, b, COS[1], scaled::<T, S>(simd, a, COS[0], x[0]));
            let far = scaled::<T, S>(simd, b, COS[0], scaled::<T, S>(simd, a, COS[1], x[0]));
            let sines = [T::splat(simd, T::of(SIN[0])), T::splat(simd, T::of(SIN[1]))];
            let mut sides = [c, c];
            for part in 0..2 {
                sides[0][part] = T::times_plus(simd, c[part], sines[0], T::times(simd, d[part], sines[1]));
                sides[1][part] = T::minus_times(simd, d[part], sines[0], T::times(simd, c[part], sines[1]));
            }
            [y[1], y[4]] = quarter_turns::<T, S>(simd, near, sides[0]);
            [y[2], y[3]] = quarter_turns::<T, S>(simd, far, sides[1]);
        }
    }
    y
}

/// A transform of real frames to their `length / 2 + 1` bins, and back.
pub(crate) struct RealPlan<T> {
    length: usize,
    complex: ComplexPlan<T>,
    /// e^(−2πi·k/length) for k up to a quarter of the length, where the length is even.
    unpack: Vec<[T; 2]>,
}

impl<T: Real> RealPlan<T> {
    /// A plan for a length of small factors.
    fn new(length: usize) -> Self {
        let even = length.is_multiple_of(2);
        let complex = ComplexPlan::new(if even { length / 2 } else { length });
        let unpack = if even { (0..=length / 4).map(|k| root(k, length)).collect() } else { Vec::new() };
        Self { length, complex, unpack }
    }

    /// Vectors that each of the two buffers has.
    fn room(&self) -> usize {
        self.complex.order.len() + 1
    }

    /// The samples of the frames, `frames[i]` being sample `i` of each, to bins in `re` and `im`.
    #[inline(always)]
    fn forward<S: Simd>(&self, simd: S, frames: &[T::Vector<S>], re: &mut [T::Vector<S>], im: &mut [T::Vector<S>]) {
        let order = &self.complex.order;
        let points = order.len();
        if self.unpack.is_empty() {
            let zero = T::splat(simd, T::of(0.0));
            for place in 0..points {
                re[place] = frames[order[place] as usize];
                im[place] = zero;
            }
            self.complex.run(simd, &mut re[..points], &mut im[..points]);
            return;
        }
        for place in 0..points {
            let at = 2 * order[place] as usize;
            re[place] = frames[at];
            im[place] = frames[at + 1];
        }
        self.complex.run(simd, &mut re[..points], &mut im[..points]);
        self.split(simd, re, im);
    }

    /// From the transform of pairs of samples to that of the samples.
    #[inline(always)]
    fn split<S: Simd>(&self, simd: S, re: &mut [T::Vector<S>], im: &mut [T::Vector<S>]) {
        let points = self.length / 2;
        let (first_re, first_im) = (re[0], im[0]);
        let zero = T::splat(simd, T::of(0.0));
        [re[0], im[0]] = [T::plus(simd, first_re, first_im), zero];
        [re[points], im[points]] = [T::minus(simd, first_re, first_im), zero];
        let half = T::splat(simd, T::of(0.5));
        for k in 1..=points / 2 {
            let (a, b) = ([re[k], im[k]], [re[points - k], im[points - k]]);
            let even =
                [T::times(simd, T::plus(simd, a[0], b[0]), half), T::times(simd, T::minus(simd, a[1], b[1]), half)];
            // (a − conj b) / 2i
            let odd =
                [T::times(simd, T::plus(simd, a[1], b[1]), half), T::times(simd, T::minus(simd, b[0], a[0]), half)];
            let odd = turn::<T, S>(simd, odd, self.unpack[k]);
            [re[k], im[k]] = add::<T, S>(simd, even, odd);
            [re[points - k], im[points - k]] = [T::minus(simd, even[0], odd[0]), T::minus(simd, odd[1], even[1])];
        }
    }

    /// Bins to samples, times the length; the buffers hold bins in order on entry, and other numbers after.
    ///
    /// As in every inverse of a real transform, the imaginary part of the first bin counts for nothing, nor does that of
    /// the last one where the length is even.
    #[inline(always)]
    fn inverse<S: Simd>(
        &self,
        simd: S,
        bins: [&[T::Vector<S>]; 2],
        [re, im]: [&mut [T::Vector<S>]; 2],
        frames: &mut [T::Vector<S>],
    ) {
        let order = &self.complex.order;
        let points = order.len();
        // Swapping the parts of input and output turns a transform into its inverse.
        for place in 0..points {
            let k = order[place] as usize;
            let [a, b] = if self.unpack.is_empty() { self.mirrored(simd, bins, k) } else { self.joined(simd, bins, k) };
            re[place] = b;
            im[place] = a;
        }
        self.complex.run(simd, &mut re[..points], &mut im[..points]);
        if self.unpack.is_empty() {
            frames[..points].copy_from_slice(&im[..points]);
            return;
        }
        for k in 0..points {
            frames[2 * k] = im[k];
            frames[2 * k + 1] = re[k];
        }
    }

    /// Bin `k` of all `length`, those above the middle mirrored.
    #[inline(always)]
    fn mirrored<S: Simd>(&self, simd: S, [re, im]: [&[T::Vector<S>]; 2], k: usize) -> Complex<T, S> {
        match k {
            0 => [re[0], T::splat(simd, T::of(0.0))],
            k if k <= self.length / 2 => [re[k], im[k]],
            k => [re[self.length - k], T::negated(simd, im[self.length - k])],
        }
    }

    /// Bin `k` of the transform of pairs of samples: what [`split`](Self::split) undoes, times 2.
    #[inline(always)]
    fn joined<S: Simd>(&self, simd: S, [re, im]: [&[T::Vector<S>]; 2], k: usize) -> Complex<T, S> {
        let points = self.length / 2;
        if k == 0 {
            return [T::plus(simd, re[0], re[points]), T::minus(simd, re[0], re[points])];
        }
        // Past the middle, the factor is that of the bin across, with the real part's sign changed.
        let (factor, other) = (self.unpack[k.min(points - k)], points - k);
        let factor = if k <= other { [factor[0], -factor[1]] } else { [-factor[0], -factor[1]] };
        let (a, b) = ([re[k], im[k]], [re[other], im[other]]);
        let even = [T::plus(simd, a[0], b[0]), T::minus(simd, a[1], b[1])];
        let odd = turn::<T, S>(simd, [T::minus(simd, a[0], b[0]), T::plus(simd, a[1], b[1])], factor);
        // even + i·odd
        [T::minus(simd, even[0], odd[1]), T::plus(simd, even[1], odd[0])]
    }
}

/// The transform of real frames of any length: on lanes where the length has small factors, else one frame at a time.
pub(crate) enum RealTransform<T> {
    /// All frames at once.
    Lanes(RealPlan<T>),
    /// By `realfft`.
    Single {
        /// To bins.
        forward: Arc<dyn RealToComplex<T>>,
        /// And back.
        inverse: Arc<dyn ComplexToReal<T>>,
    },
}

/// Memory of a [`RealTransform`] beside its vectors; none on lanes.
#[derive(Debug, Default)]
pub(crate) struct Scratch<T> {
    samples: Vec<T>,
    bins: Vec<num_complex::Complex<T>>,
    more: Vec<num_complex::Complex<T>>,
}

impl<T: Real> RealTransform<T> {
    pub(crate) fn new(length: usize) -> Self {
        if radices(length).is_some() {
            return Self::Lanes(RealPlan::new(length));
        }
        let mut planner = RealFftPlanner::new();
        Self::Single { forward: planner.plan_fft_forward(length), inverse: planner.plan_fft_inverse(length) }
    }

    /// Vectors that each of the buffers for bins must have.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Lanes(plan) => plan.room(),
            Self::Single { forward, .. } => forward.complex_len(),
        }
    }

    pub(crate) fn scratch(&self) -> Scratch<T> {
        match self {
            Self::Lanes(_) => Scratch::default(),
            Self::Single { forward, inverse } => {
                let more = forward.get_scratch_len().max(inverse.get_scratch_len());
                let more = vec![num_complex::Complex::default(); more];
                Scratch { samples: forward.make_input_vec(), bins: forward.make_output_vec(), more }
            }
        }
    }

    /// As [`RealPlan::forward`].
    #[inline(always)]
    pub(crate) fn forward<S: Simd>(
        &self,
        simd: S,
        frames: &[T::Vector<S>],
        [re, im]: [&mut [T::Vector<S>]; 2],
        scratch: &mut Scratch<T>,
    ) {
        let forward = match self {
            Self::Lanes(plan) => return plan.forward(simd, frames, re, im),
            Self::Single { forward, .. } => forward,
        };
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let frames: &[T] = bytemuck::cast_slice(frames);
        let [re, im]: [&mut [T]; 2] = [bytemuck::cast_slice_mut(re), bytemuck::cast_slice_mut(im)];
        for lane in 0..lanes {
            for (i, sample) in scratch.samples.iter_mut().enumerate() {
                *sample = frames[i * lanes + lane];
            }
            let done = forward.process_with_scratch(&mut scratch.samples, &mut scratch.bins, &mut scratch.more);
            done.expect("buffers of its own sizes");
            for (k, bin) in scratch.bins.iter().enumerate() {
                (re[k * lanes + lane], im[k * lanes + lane]) = (bin.re, bin.im);
            }
        }
    }

    /// As [`RealPlan::inverse`]; `work` is what it needs beside, of [`room`](Self::room) each.
    #[inline(always)]
    pub(crate) fn inverse<S: Simd>(
        &self,
        simd: S,
        [re, im]: [&[T::Vector<S>]; 2],
        work: [&mut [T::Vector<S>]; 2],
        frames: &mut [T::Vector<S>],
        scratch: &mut Scratch<T>,
    ) {
        let inverse = match self {
            Self::Lanes(plan) => return plan.inverse(simd, [re, im], work, frames),
            Self::Single { inverse, .. } => inverse,
        };
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let frames: &mut [T] = bytemuck::cast_slice_mut(frames);
        let [re, im]: [&[T]; 2] = [bytemuck::cast_slice(re), bytemuck::cast_slice(im)];
        let even = inverse.len().is_multiple_of(2);
        let last = scratch.bins.len() - 1;
        for lane in 0..lanes {
            for (k, bin) in scratch.bins.iter_mut().enumerate() {
                let real = k == 0 || even && k == last;
                bin.re = re[k * lanes + lane];
                bin.im = if real { T::of(0.0) } else { im[k * lanes + lane] };
            }
            let done = inverse.process_with_scratch(&mut scratch.bins, &mut scratch.samples, &mut scratch.more);
            done.expect("buffers of its own sizes");
            for (i, sample) in scratch.samples.iter().enumerate() {
                frames[i * lanes + lane] = *sample;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct RoundTrip<'a, T> {
        transform: &'a RealTransform<T>,
        samples: &'a [T],
    }

    /// The bins of lane 0, and the samples that come back in the last lane.
    impl<T: Real> WithSimd for RoundTrip<'_, T> {
        type Output = (Vec<[T; 2]>, Vec<T>);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let Self { transform, samples } = self;
            let zero = T::splat(simd, T::of(0.0));
            let frames: Vec<_> = samples.iter().map(|x| T::splat(simd, *x)).collect();
            let mut scratch = transform.scratch();
            let (mut re, mut im) = (vec![zero; transform.room()], vec![zero; transform.room()]);
            transform.forward(simd, &frames, [&mut re, &mut im], &mut scratch);
            let bins = samples.len() / 2 + 1;
            let first = |v: &T::Vector<S>| bytemuck::cast_slice::<_, T>(std::slice::from_ref(v))[0];
            let last = |v: &T::Vector<S>| *bytemuck::cast_slice::<_, T>(std::slice::from_ref(v)).last().unwrap();
            let spectrum = (0..bins).map(|k| [first(&re[k]), first(&im[k])]).collect();
            let (a, b) = (re[..bins].to_vec(), im[..bins].to_vec());
            let mut back = vec![zero; samples.len()];
            transform.inverse(simd, [&a, &b], [&mut re, &mut im], &mut back, &mut scratch);
            (spectrum, back.iter().map(last).collect())
        }
    }

    fn check<T: Real>(length: usize, tolerance: f64) {
        let samples: Vec<T> = (0..length).map(|i| T::of(((i * 7919 + 13) % 101) as f64 / 50.5 - 1.0)).collect();
        let transform = RealTransform::<T>::new(length);
        let (bins, back) = Arch::new().dispatch(RoundTrip { transform: &transform, samples: &samples });
        let transform = RealFftPlanner::<f64>::new().plan_fft_forward(length);
        let mut input: Vec<f64> = samples.iter().map(|x| x.wide()).collect();
        let mut want = transform.make_output_vec();
        transform.process(&mut input, &mut want).unwrap();
        let scale = want.iter().map(|z| z.norm()).fold(1.0, f64::max);
        for (k, (got, want)) in bins.iter().zip(&want).enumerate() {
            let off = (got[0].wide() - want.re).abs().max((got[1].wide() - want.im).abs());
            assert!(off <= tolerance * scale, "length {length}, bin {k}: {got:?}, must be {want}");
        }
        for (i, (got, want)) in back.iter().zip(&samples).enumerate() {
            let off = (got.wide() / length as f64 - want.wide()).abs();
            assert!(off <= 4.0 * tolerance, "length {length}, sample {i}: off by {off}");
        }
    }

    #[test]
    fn every_length_agrees_with_rustfft() {
        for length in (1..130).chain([400, 441, 512, 1000, 1024, 2018, 2048]) {
            check::<f64>(length, 2e-15);
            check::<f32>(length, 5e-7);
        }
    }

    #[test]
    fn only_large_primes_are_left_to_single_frames() {
        let on_lanes = |length| matches!(RealTransform::<f32>::new(length), RealTransform::Lanes(_));
        assert!(on_lanes(400) && on_lanes(31 * 4) && on_lanes(1));
        assert!(!on_lanes(37) && !on_lanes(2 * 1009));
    }
}
