//! Mel filter banks: triangles over frequency, narrow where pitch is heard finely.

use crate::real::Real;
use crate::{Error, Result};

/// How frequency is warped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MelScale {
    /// Linear up to 1 kHz, logarithmic above (Slaney's Auditory Toolbox; librosa's default).
    Slaney,
    /// 2595 · log10(1 + f / 700).
    Htk,
    /// 1127 · ln(1 + f / 700), with triangles that are straight in mels, not in hertz (Kaldi).
    Kaldi,
}

impl MelScale {
    /// Hertz to mels.
    pub fn mels(self, hertz: f64) -> f64 {
        match self {
            Self::Slaney if hertz < 1000.0 => 3.0 * hertz / 200.0,
            Self::Slaney => 15.0 + 27.0 * (hertz / 1000.0).ln() / 6.4f64.ln(),
            Self::Htk => 2595.0 * (1.0 + hertz / 700.0).log10(),
            Self::Kaldi => 1127.0 * (1.0 + hertz / 700.0).ln(),
        }
    }

    /// Mels to hertz.
    pub fn hertz(self, mels: f64) -> f64 {
        match self {
            Self::Slaney if mels < 15.0 => 200.0 * mels / 3.0,
            Self::Slaney => 1000.0 * (6.4f64.ln() * (mels - 15.0) / 27.0).exp(),
            Self::Htk => 700.0 * (10f64.powf(mels / 2595.0) - 1.0),
            Self::Kaldi => 700.0 * ((mels / 1127.0).exp() - 1.0),
        }
    }
}

/// How the triangles are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MelNorm {
    /// Each has about the same area: height 2 / (its width in hertz).
    Slaney,
    /// Each has height 1.
    None,
}

/// A bank of `n_mels` triangles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MelConfig {
    /// Bands.
    pub n_mels: usize,
    /// Where the first triangle begins, in hertz.
    pub f_min: f64,
    /// Where the last one ends, in hertz; at most half the sample rate. `None` is half the sample rate.
    pub f_max: Option<f64>,
    /// The scale on which their tips are evenly spaced.
    pub scale: MelScale,
    /// Their heights.
    pub norm: MelNorm,
}

impl MelConfig {
    /// librosa's: from 0 Hz to half the sample rate on Slaney's scale, of equal area.
    pub fn new(n_mels: usize) -> Self {
        Self { n_mels, f_min: 0.0, f_max: None, scale: MelScale::Slaney, norm: MelNorm::Slaney }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Core`] if there is no band, or the frequencies are out of order or above half the sample rate.
    pub fn validate(&self, sample_rate: f64) -> Result<()> {
        if !(1..=1 << 16).contains(&self.n_mels) {
            return Err(Error::config("n_mels", self.n_mels, "must be 1 to 65536"));
        }
        if !(sample_rate.is_finite() && sample_rate > 0.0) {
            return Err(Error::config("sample_rate", sample_rate, "must be above 0 Hz"));
        }
        let (half, f_max) = (sample_rate / 2.0, self.f_max(sample_rate));
        if !(0.0..half).contains(&self.f_min) {
            return Err(Error::config("f_min", self.f_min, format!("must be 0 to below {half} Hz")));
        }
        if !(f_max > self.f_min && f_max <= half) {
            let rule = format!("must be above f_min, {}, and at most {half} Hz", self.f_min);
            return Err(Error::config("f_max", f_max, rule));
        }
        Ok(())
    }

    pub(crate) fn f_max(&self, sample_rate: f64) -> f64 {
        self.f_max.unwrap_or(sample_rate / 2.0)
    }

    /// The frequencies in hertz at which triangle `i` begins, has its tip and ends: elements `i`, `i + 1` and `i + 2`.
    pub fn corners(&self, sample_rate: f64) -> Vec<f64> {
        let (low, high) = (self.scale.mels(self.f_min), self.scale.mels(self.f_max(sample_rate)));
        let step = (high - low) / (self.n_mels + 1) as f64;
        (0..self.n_mels + 2).map(|i| self.scale.hertz(low + i as f64 * step)).collect()
    }

    /// The bank for spectra of `n_fft / 2 + 1` bins (`librosa.filters.mel`; on Kaldi's scale, Kaldi's).
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn bank(&self, sample_rate: f64, n_fft: usize) -> Result<MelBank> {
        self.validate(sample_rate)?;
        let bins = n_fft / 2 + 1;
        let bands = match self.scale {
            MelScale::Kaldi => self.kaldi_bands(sample_rate, n_fft),
            _ => self.bands(sample_rate, n_fft),
        };
        Ok(MelBank { bins, bands })
    }

    fn bands(&self, sample_rate: f64, n_fft: usize) -> Vec<Band> {
        let corners = self.corners(sample_rate);
        let band = |corners: &[f64]| {
            let [begin, tip, end] = [corners[0], corners[1], corners[2]];
            let area = if self.norm == MelNorm::Slaney { 2.0 / (end - begin) } else { 1.0 };
            let height = |bin: usize| {
                let hertz = bin as f64 * sample_rate / n_fft as f64;
                ((hertz - begin) / (tip - begin)).min((end - hertz) / (end - tip)).max(0.0) * area
            };
            Band::new((0..n_fft / 2 + 1).map(height))
        };
        corners.windows(3).map(band).collect()
    }

    /// Kaldi and torchaudio compute their banks in f32, whatever the precision of the rest; at the rims of narrow triangles
    /// that shows. They have no bin at half the sample rate.
    fn kaldi_bands(&self, sample_rate: f64, n_fft: usize) -> Vec<Band> {
        let (low, high) = (self.scale.mels(self.f_min), self.scale.mels(self.f_max(sample_rate)));
        let step = ((high - low) / (self.n_mels + 1) as f64) as f32;
        let mels = |bin: usize| 1127.0 * (1.0 + (sample_rate / n_fft as f64) as f32 * bin as f32 / 700.0).ln();
        let band = |number: usize| {
            let begin = low as f32 + number as f32 * step;
            let (tip, end) = (low as f32 + (number as f32 + 1.0) * step, low as f32 + (number as f32 + 2.0) * step);
            let area = match self.norm {
                MelNorm::Slaney => 2.0 / (self.scale.hertz(end.into()) - self.scale.hertz(begin.into())),
                MelNorm::None => 1.0,
            };
            let height = |bin| ((mels(bin) - begin) / (tip - begin)).min((end - mels(bin)) / (end - tip)).max(0.0);
            Band::new((0..n_fft / 2).map(|bin| f64::from(height(bin)) * area))
        };
        (0..self.n_mels).map(band).collect()
    }
}

/// One band: the bins from `first` on that count, and how much.
#[derive(Debug, Clone, PartialEq)]
struct Band {
    first: usize,
    weights: Vec<f64>,
}

impl Band {
    fn new(heights: impl Iterator<Item = f64>) -> Self {
        let heights: Vec<f64> = heights.collect();
        let first = heights.iter().position(|h| *h > 0.0).unwrap_or(0);
        let end = heights.iter().rposition(|h| *h > 0.0).map_or(first, |last| last + 1);
        Self { first, weights: heights[first..end].to_vec() }
    }
}

/// The weights of bins in bands. Most are zero, and only the others are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct MelBank {
    bins: usize,
    bands: Vec<Band>,
}

impl MelBank {
    /// Bands.
    pub fn n_mels(&self) -> usize {
        self.bands.len()
    }

    /// Bins of the spectra it is for.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// All weights `[n_mels, bins]`, row-major.
    pub fn dense(&self) -> Vec<f64> {
        let mut dense = vec![0.0; self.n_mels() * self.bins];
        for (row, band) in dense.chunks_exact_mut(self.bins).zip(&self.bands) {
            row[band.first..band.first + band.weights.len()].copy_from_slice(&band.weights);
        }
        dense
    }

    /// The numbers of bands that no bin falls into: with so few bins, there are too many bands.
    pub fn empty_bands(&self) -> Vec<usize> {
        (0..self.n_mels()).filter(|i| self.bands[*i].weights.is_empty()).collect()
    }

    /// For each band its first bin and its weights.
    pub(crate) fn sparse<T: Real>(&self) -> Vec<(usize, Vec<T>)> {
        let weights = |band: &Band| band.weights.iter().map(|w| T::of(*w)).collect();
        self.bands.iter().map(|band| (band.first, weights(band))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_undone() {
        for scale in [MelScale::Slaney, MelScale::Htk, MelScale::Kaldi] {
            for hertz in [0.0, 20.0, 999.0, 1000.0, 1001.0, 7600.0] {
                assert!((scale.hertz(scale.mels(hertz)) - hertz).abs() < 1e-9, "{scale:?} {hertz}");
            }
        }
        assert_eq!(MelScale::Slaney.mels(1000.0), 15.0);
    }

    /// Golden numbers of librosa 0.11.
    #[test]
    fn whispers_bank_is_librosas() {
        let bank = MelConfig::new(80).bank(16000.0, 400).unwrap();
        let dense = bank.dense();
        assert_eq!(dense.iter().filter(|w| **w > 1e-12).count(), 391);
        assert!((dense.iter().sum::<f64>() - 1.999_024_102_9).abs() < 1e-9);
        assert!(bank.empty_bands().is_empty());
        assert!(!MelConfig::new(128).bank(16000.0, 256).unwrap().empty_bands().is_empty());
    }

    #[test]
    fn ranges_are_checked() {
        let fault = |config: MelConfig| config.bank(16000.0, 400).unwrap_err().to_string();
        assert!(fault(MelConfig::new(0)).starts_with("n_mels = 0"));
        assert!(fault(MelConfig { f_max: Some(9000.0), ..MelConfig::new(8) }).contains("at most 8000 Hz"));
        assert!(fault(MelConfig { f_min: 8000.0, ..MelConfig::new(8) }).starts_with("f_min"));
        assert!(fault(MelConfig { f_min: f64::NAN, ..MelConfig::new(8) }).starts_with("f_min"));
        assert!(MelConfig::new(8).bank(0.0, 400).unwrap_err().to_string().starts_with("sample_rate"));
    }
}
