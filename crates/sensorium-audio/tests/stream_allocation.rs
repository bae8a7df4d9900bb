//! A running stream allocates nothing. A test program of its own, since it counts every allocation of the process.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use sensorium_audio::front_end::{Preset, Quantity};
use sensorium_audio::stream::Stream;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the trait's contract is that of `System`.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the trait's contract is that of `System`.
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    // SAFETY: the trait's contract is that of `System`.
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_running_stream_allocates_nothing() {
    let sound: Vec<f32> = (0..200_000).map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0).collect();
    for preset in Preset::ALL {
        for quantity in [Quantity::Mel, Quantity::Spectrogram] {
            let mut stream = Stream::new(preset.config(), quantity).unwrap();
            let mut frames = 0;
            // The largest piece comes early; after it the buffers have all the room they need.
            for piece in sound[..100_000].chunks(4000) {
                frames += stream.push(piece).unwrap().len();
            }
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for piece in sound[100_000..].chunks(777) {
                frames += stream.push(piece).unwrap().len();
            }
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert_eq!(allocations, 0, "{} {quantity:?}", preset.name());
            assert!(frames > 0);
        }
    }
}
