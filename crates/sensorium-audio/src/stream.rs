//! Features of a signal that is still coming in.

use crate::Result;
use crate::frames::{Rows, Signal, Workspace, check_finite};
use crate::front_end::{FrontEnd, FrontEndConfig, Pipeline, Precision, Quantity};
use crate::real::Real;

/// A front end that takes samples as they come, any number at a time, and gives each frame as soon as its last sample is
/// there. Frames are those of the whole signal, to the bit, but for what needs the whole clip: decibels are against a
/// reference of 1 without a limit below the loudest, and Whisper's logarithm is without its last step
/// ([`FrontEnd::mel_by_frame`] gives the same of a whole signal). Once its buffers have grown to the largest piece,
/// nothing is allocated any more.
///
/// ```
/// use sensorium_audio::front_end::{FrontEnd, Preset, Quantity};
/// use sensorium_audio::stream::Stream;
///
/// let tone: Vec<f32> = (0..4000).map(|i| (i as f32 * 0.17).sin() / 2.0).collect();
/// let mut stream = Stream::new(Preset::Kaldi.config(), Quantity::Mel)?;
/// let mut frames = Vec::new();
/// for piece in tone.chunks(333) {
///     frames.extend_from_slice(stream.push(piece)?);
/// }
/// frames.extend_from_slice(stream.finish()?);
///
/// let whole = FrontEnd::new(Preset::Kaldi.config())?.mel(&tone)?;
/// assert_eq!(frames, whole.transposed());
/// # Ok::<(), sensorium_audio::Error>(())
/// ```
pub struct Stream {
    front_end: FrontEnd,
    quantity: Quantity,
    /// The samples that may still be needed.
    held: Vec<f32>,
    /// Samples before those held.
    dropped: usize,
    /// The next frame.
    next: usize,
    given: Vec<f32>,
    work: Work,
}

/// Memory in the precision of the front end.
enum Work {
    Single(Memory<f32>),
    Double(Memory<f64>),
}

struct Memory<C> {
    workspace: Workspace<C>,
    /// `[rows, frames]`
    rows: Vec<C>,
}

impl Stream {
    /// A stream at its beginning.
    ///
    /// # Errors
    /// As [`FrontEndConfig::validate`].
    pub fn new(config: FrontEndConfig, quantity: Quantity) -> Result<Self> {
        let front_end = FrontEnd::new(config)?;
        let work = match config.precision {
            Precision::Single => Work::Single(Memory::of(front_end.single())),
            Precision::Double => Work::Double(Memory::of(front_end.double())),
        };
        let (held, given) = (Vec::new(), Vec::new());
        Ok(Self { front_end, quantity, held, dropped: 0, next: 0, given, work })
    }

    /// Numbers of a frame.
    pub fn rows(&self) -> usize {
        self.front_end.config().rows(self.quantity)
    }

    /// Takes the next samples and gives the frames that they complete, `[frames, rows]` row-major.
    ///
    /// # Errors
    /// [`crate::Error::Signal`] if a sample is not finite; none of them is taken then.
    pub fn push(&mut self, samples: &[f32]) -> Result<&[f32]> {
        check_finite(samples)?;
        self.held.extend_from_slice(samples);
        let received = self.dropped + self.held.len();
        let framing = self.front_end.config().framing();
        let end = self.front_end.config().frames(received).min(framing.complete(received));
        self.run(end, received);
        // The last samples are mirrored when the signal ends.
        let mirrored = received.saturating_sub(framing.before.max(0) as usize + 1);
        let needed = framing.begin(self.next).clamp(0, mirrored as isize) as usize;
        // Moving what is left costs as much as it is long, so it waits until most can go.
        if needed - self.dropped > self.held.len() / 2 {
            self.held.drain(..needed - self.dropped);
            self.dropped = needed;
        }
        Ok(&self.given)
    }

    /// The frames that reach beyond the last sample, `[frames, rows]` row-major. After it, the stream is at its beginning.
    ///
    /// # Errors
    /// [`crate::Error::Signal`] if there was no sample, or too few for the padding or for one frame. The stream is at its
    /// beginning even so.
    pub fn finish(&mut self) -> Result<&[f32]> {
        let received = self.dropped + self.held.len();
        let config = self.front_end.config();
        let (checked, end) = (config.check(received), config.frames(received));
        self.given.clear();
        if checked.is_ok() {
            self.run(end, received);
        }
        self.held.clear();
        (self.dropped, self.next) = (0, 0);
        checked?;
        Ok(&self.given)
    }

    /// Gives the frames from `next` up to `end`.
    fn run(&mut self, end: usize, received: usize) {
        self.given.clear();
        if end <= self.next {
            return;
        }
        let signal = Signal::part(&self.held, self.dropped, received);
        let range = self.next..end;
        match &mut self.work {
            Work::Single(memory) => memory.run(self.front_end.single(), signal, range, self.quantity, &mut self.given),
            Work::Double(memory) => memory.run(self.front_end.double(), signal, range, self.quantity, &mut self.given),
        }
        self.next = end;
    }
}

impl<C: Real> Memory<C> {
    fn of(pipeline: &Pipeline<C>) -> Self {
        Self { workspace: pipeline.analysis.workspace(), rows: Vec::new() }
    }

    fn run(
        &mut self,
        pipeline: &Pipeline<C>,
        signal: Signal<f32>,
        range: std::ops::Range<usize>,
        quantity: Quantity,
        given: &mut Vec<f32>,
    ) {
        let (rows, frames) = (pipeline.rows(quantity), range.len());
        self.rows.clear();
        self.rows.resize(rows * frames, C::of(0.0));
        let place = Rows { values: &mut self.rows, frames, begin: range.start };
        pipeline.analysis.run(signal, range, &mut self.workspace, &mut pipeline.taker(quantity, place));
        given.extend((0..frames).flat_map(|frame| {
            let numbers = &self.rows;
            (0..rows).map(move |row| numbers[row * frames + frame].wide() as f32)
        }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Pad;
    use crate::front_end::{Placement, Preset};

    fn noise(length: usize) -> Vec<f32> {
        (0..length).map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    fn configs() -> Vec<FrontEndConfig> {
        let mut configs: Vec<_> = Preset::ALL.map(Preset::config).to_vec();
        configs.push(FrontEndConfig { placement: Placement::Mirrored, ..Preset::Kaldi.config() });
        configs.push(FrontEndConfig { placement: Placement::FromStart, ..Preset::Whisper.config() });
        configs.push(FrontEndConfig { placement: Placement::Centered(Pad::Edge), ..Preset::Whisper.config() });
        configs.push(FrontEndConfig { hop_length: 700, ..Preset::Whisper.config() });
        configs
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_pieces_give_the_frames_of_the_whole(
            pieces in prop::collection::vec(0usize..3000, 1..12),
            which in 0..configs().len(),
            spectrogram in any::<bool>(),
        ) {
            let config = configs()[which];
            let quantity = if spectrogram { Quantity::Spectrogram } else { Quantity::Mel };
            let signal = noise(pieces.iter().sum());
            let front_end = FrontEnd::new(config).unwrap();
            let whole = match quantity {
                Quantity::Spectrogram => front_end.spectrogram(&signal),
                Quantity::Mel => front_end.mel_by_frame(&signal),
            };
            let mut stream = Stream::new(config, quantity).unwrap();
            // The second signal meets used buffers.
            for _ in 0..2 {
                let (mut frames, mut rest) = (Vec::new(), signal.as_slice());
                for piece in &pieces {
                    let (now, later) = rest.split_at(*piece);
                    frames.extend_from_slice(stream.push(now).unwrap());
                    rest = later;
                }
                match (stream.finish(), &whole) {
                    (Ok(last), Ok(whole)) => {
                        frames.extend_from_slice(last);
                        prop_assert!(frames == whole.transposed(), "{config:?}");
                    }
                    (Err(a), Err(b)) => prop_assert_eq!(a.to_string(), b.to_string()),
                    (a, b) => prop_assert!(false, "{:?}, but the whole {:?}", a.map(<[f32]>::len), b.as_ref().map(|b| b.frames)),
                }
            }
        }
    }

    #[test]
    fn a_sample_that_is_no_number_is_refused_and_the_stream_goes_on() {
        let mut stream = Stream::new(Preset::Kaldi.config(), Quantity::Mel).unwrap();
        assert!(stream.push(&noise(300)).unwrap().is_empty());
        assert!(stream.push(&[0.0, f32::NAN]).unwrap_err().to_string().contains("sample 1 is NaN"));
        assert_eq!(stream.push(&noise(100)).unwrap().len(), 23);
    }
}
