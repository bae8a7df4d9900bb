//! Sound: files, resampling, spectrograms, mel bands and cepstra exact to librosa, Kaldi and Whisper, whole or as a stream,
//! and encoders that tell voices and speech.
//!
//! - [`io`]: files to samples and back.
//! - [`stft`]: the short-time Fourier transform and its inverse, in f32 and f64.
//! - [`front_end`]: spectrogram, mel bands and MFCC, with the settings of other programs by name.
//! - [`stream`]: the same of sound that is still coming in.
//! - [`tensor`]: the same as tensor operations, with gradients, on every backend.
//! - [`inversion`], [`griffin_lim`]: from cepstra, mel bands and magnitudes back to sound.
//! - [`spec_augment`]: features disturbed, to train with.
//! - [`resample`]: other sample rates.
//! - [`window`], [`mel`], [`decibel`], [`mfcc`]: what they are made of.
//! - [`voice_encoder`], [`silero_vad`]: voices as vectors, and where speech is, with their weights.
//! - [`sound_net`], [`speech2face`]: encoders to be trained or loaded.
#![cfg_attr(feature = "classify", doc = "- [`classify`]: sounds told apart, learned from folders of recordings.")]
#![cfg_attr(feature = "draw", doc = "- [`draw`]: pictures of spectrograms.")]

#[cfg(feature = "classify")]
pub mod classify;
pub mod decibel;
#[cfg(feature = "draw")]
pub mod draw;
mod error;
mod fft;
mod frames;
pub mod front_end;
pub mod griffin_lim;
pub mod inversion;
pub mod io;
pub mod mel;
pub mod mfcc;
pub mod real;
pub mod resample;
pub mod silero_vad;
pub mod sound_net;
pub mod spec_augment;
pub mod speech2face;
pub mod stft;
pub mod stream;
pub mod tensor;
pub mod voice_encoder;
pub mod window;

pub use error::{Error, Result};
pub use frames::Pad;
