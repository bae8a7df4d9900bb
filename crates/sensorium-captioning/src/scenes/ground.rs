//! The textures behind the objects.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Ground, SIDE};

/// Red, green and blue, 0 to 255.
pub(super) type Tone = [f32; 3];

/// A texture over a whole picture, row by row.
pub(super) fn paint(ground: Ground, rng: &mut ChaCha8Rng) -> Vec<Tone> {
    let [dark, light] = tones(ground, rng);
    let angle: f32 = rng.random_range(0.0..std::f32::consts::PI);
    let (sin, cos) = angle.sin_cos();
    let period: f32 = rng.random_range(16.0..26.0);
    let phase: f32 = rng.random_range(0.0..100.0);
    let grains: Vec<f32> = (0..(SIDE / 4).pow(2)).map(|_| rng.random_range(0..4) as f32 / 3.0).collect();
    let share = |x: f32, y: f32| match ground {
        Ground::Striped => soft_edge(wave(x * cos + y * sin + phase, period)),
        Ground::Checked => soft_edge(wave(x + phase, period * 1.4) * wave(y + phase, period * 1.4) * 4.0),
        Ground::Dotted => {
            let off = |v: f32| (v + phase).rem_euclid(period) - period / 2.0;
            (3.8 - off(x).hypot(off(y))).clamp(0.0, 1.0)
        }
        Ground::Wooden => {
            let bent = y + 7.0 * ((x + phase) / 37.0).sin() + 2.0 * ((x - 3.0 * phase) / 11.0).sin();
            0.5 + 0.35 * (bent / period * std::f32::consts::TAU).sin() + 0.15 * (bent * 1.7 + phase).sin()
        }
        Ground::Grainy => grains[(y as u32 / 4 * (SIDE / 4) + x as u32 / 4) as usize],
        Ground::Shaded => ((x - 112.0) * cos + (y - 112.0) * sin) / 317.0 + 0.5,
    };
    let pixel = |at: u32| {
        let share = share((at % SIDE) as f32, (at / SIDE) as f32);
        std::array::from_fn(|c| dark[c] + share * (light[c] - dark[c]))
    };
    (0..SIDE * SIDE).map(pixel).collect()
}

/// Two tones of one hue: a brown for wood, else nearly grey.
fn tones(ground: Ground, rng: &mut ChaCha8Rng) -> [Tone; 2] {
    let (hue, saturation, value) = match ground {
        Ground::Wooden => (rng.random_range(22.0..32.0), 0.42, rng.random_range(0.42..0.5)),
        _ => (rng.random_range(0.0..360.0), rng.random_range(0.04..0.16), rng.random_range(0.42..0.54)),
    };
    [0.0, 0.16].map(|more| tone(hue, saturation, value + more))
}

/// The colour of a hue in degrees, a saturation and a value, 0 to 1.
fn tone(hue: f32, saturation: f32, value: f32) -> Tone {
    [5.0, 3.0, 1.0].map(|offset: f32| {
        let k = (offset + hue / 60.0) % 6.0;
        255.0 * value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    })
}

/// A triangle wave of pixels: as far from 0 as the nearest edge is away, above 0 in one half of the period.
fn wave(at: f32, period: f32) -> f32 {
    let within = at.rem_euclid(period);
    let half = period / 2.0;
    if within < half { within.min(half - within) } else { -(within - half).min(period - within) }
}

/// The share of light where the edge is so many pixels away.
fn soft_edge(away: f32) -> f32 {
    (away + 0.5).clamp(0.0, 1.0)
}
