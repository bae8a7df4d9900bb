//! Sound: files, resampling, spectrograms, mel bands and cepstra exact to librosa, Kaldi and Whisper, whole or as a stream,
//! and encoders that tell voices and speech.
//!
//! - [`io`]: files to samples and back.
//! - [`stft`]: the short-time Fourier transform and its inverse, in f32 and f64.
//! - [`front_end`]: spectrogram, mel bands and MFCC, with the settings of other programs by name.
//! - [`window`], [`mel`], [`decibel`], [`mfcc`]: what they are made of.

pub mod decibel;
mod error;
mod fft;
mod frames;
pub mod front_end;
pub mod griffin_lim;
pub mod io;
pub mod mel;
pub mod mfcc;
pub mod real;
pub mod resample;
pub mod stft;
pub mod stream;
pub mod window;

pub use error::{Error, Result};
pub use frames::Pad;
