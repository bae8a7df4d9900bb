//! Power and amplitude in decibels, as librosa 0.11 defines them.

use crate::real::Real;

/// What 0 dB is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reference {
    /// This power.
    Value(f64),
    /// The largest power there is.
    Max,
}

/// How power becomes decibels: `10 · log10(max(amin, power)) − 10 · log10(max(amin, reference))`, and nothing further
/// below the largest value than `top_db`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decibel {
    /// The least power that is told from none.
    pub amin: f64,
    /// What 0 dB is.
    pub reference: Reference,
    /// The range, in decibels below the loudest; `None` for no limit.
    pub top_db: Option<f64>,
}

impl Default for Decibel {
    /// amin 1e-10, reference 1, 80 dB.
    fn default() -> Self {
        Self { amin: 1e-10, reference: Reference::Value(1.0), top_db: Some(80.0) }
    }
}

impl Decibel {
    /// Power to decibels (`librosa.power_to_db`).
    ///
    /// ```
    /// use sensorium_audio::decibel::Decibel;
    ///
    /// assert_eq!(Decibel::default().of_power(&[1.0, 100.0, 0.0]), [0.0, 20.0, -60.0]);
    /// ```
    pub fn of_power<T: Real>(&self, power: &[T]) -> Vec<T> {
        let mut decibels: Vec<T> = power.iter().map(|x| T::of(10.0 * x.wide().max(self.amin).log10())).collect();
        self.finish(&mut decibels);
        decibels
    }

    /// Amplitude to decibels (`librosa.amplitude_to_db`); `amin` and the reference are those of power, the squares of the
    /// amplitude's.
    pub fn of_amplitude<T: Real>(&self, amplitude: &[T]) -> Vec<T> {
        self.of_power(&amplitude.iter().map(|x| *x * *x).collect::<Vec<T>>())
    }

    /// The reference and the range, for numbers that are `10 · log10(max(amin, power))`.
    pub(crate) fn finish<T: Real>(&self, decibels: &mut [T]) {
        let largest = decibels.iter().fold(T::of(f64::NEG_INFINITY), |a, b| if *b > a { *b } else { a });
        let shift = match self.reference {
            Reference::Value(power) => T::of(10.0 * power.max(self.amin).log10()),
            Reference::Max => largest,
        };
        let floor = self.top_db.map_or(T::of(f64::NEG_INFINITY), |range| largest - shift - T::of(range));
        for x in decibels {
            let level = *x - shift;
            *x = if level < floor { floor } else { level };
        }
    }
}

/// Decibels to power, for a reference of 1 (`librosa.db_to_power`).
pub fn power_of<T: Real>(decibels: &[T]) -> Vec<T> {
    decibels.iter().map(|x| T::of(10f64.powf(x.wide() / 10.0))).collect()
}
