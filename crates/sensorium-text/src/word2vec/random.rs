//! The random numbers of the trainer: one 64-bit state, so that a checkpoint is small and every lane has its own.

/// `SplitMix64` (Steele, Lea and Flood 2014).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A generator of its own for each `stream` of a seed.
    pub(super) fn stream(seed: u64, stream: u64) -> Self {
        let mut mixed = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self(mixed.bits())
    }

    /// 64 random bits.
    #[inline(always)]
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    #[inline(always)]
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (((self.bits() >> 32) * bound as u64) >> 32) as usize
    }

    /// A number in −0.5 to 0.5.
    pub(super) fn centred(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32 - 0.5
    }
}
