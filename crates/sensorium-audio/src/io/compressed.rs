//! FLAC, Ogg Vorbis and MP3, by symphonia.

use std::io::Cursor;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use super::Audio;
use crate::{Error, Result};

/// Decodes the first track. A damaged packet is an error: sound with a hole in it would be taken for whole.
pub(super) fn decode(bytes: Vec<u8>) -> Result<Audio, String> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), MediaSourceStreamOptions::default());
    let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let probe = symphonia::default::get_probe();
    let mut reader = probe.probe(&Hint::new(), source, format, metadata).map_err(said)?;
    let track = reader.default_track(TrackType::Audio).ok_or("it has no track of sound")?;
    let id = track.id;
    let parameters = track.codec_params.as_ref().and_then(|codec| codec.audio()).ok_or("its track has no codec")?;
    let codecs = symphonia::default::get_codecs();
    let mut decoder = codecs.make_audio_decoder(parameters, &AudioDecoderOptions::default()).map_err(said)?;
    let (mut channels, mut rate): (Vec<Vec<f32>>, u32) = (Vec::new(), 0);
    let mut planes: Vec<Vec<f32>> = Vec::new();
    while let Some(packet) = reader.next_packet().map_err(said)? {
        if packet.track_id != id {
            continue;
        }
        let decoded = decoder.decode(&packet).map_err(said)?;
        decoded.copy_to_vecs_planar(&mut planes);
        let now = decoded.spec().rate();
        if channels.is_empty() {
            (channels, rate) = (vec![Vec::new(); planes.len()], now);
        }
        if (planes.len(), now) != (channels.len(), rate) {
            let (was, is) = (channels.len(), planes.len());
            return Err(format!("it changes from {was} channels at {rate} Hz to {is} at {now} Hz on the way"));
        }
        for (channel, plane) in channels.iter_mut().zip(&planes) {
            channel.extend_from_slice(plane);
        }
    }
    Audio::new(channels, rate).map_err(|fault| match fault {
        Error::Signal { reason } => reason,
        other => other.to_string(),
    })
}

fn said(fault: Fault) -> String {
    match fault {
        Fault::IoError(fault) if fault.kind() == std::io::ErrorKind::UnexpectedEof => "it is cut off".to_string(),
        other => other.to_string(),
    }
}
