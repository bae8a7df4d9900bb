//! What kernels over `pulp`'s vectors share. They are written once and compiled for AVX-512, AVX2, NEON and plain scalars;
//! the best one is chosen at run time.

use pulp::Simd;

/// The first numbers, as `V` registers.
///
/// # Panics
/// If there are fewer than `V` registers hold.
#[inline(always)]
pub fn registers<S: Simd, const V: usize>(numbers: &[f32]) -> &[S::f32s; V] {
    S::as_simd_f32s(&numbers[..V * S::F32_LANES]).0.first_chunk().expect("V registers of numbers")
}

/// Puts `V` registers down at the beginning of `out`.
///
/// # Panics
/// If it is shorter than `V` registers.
#[inline(always)]
pub fn store<S: Simd, const V: usize>(out: &mut [f32], numbers: &[S::f32s; V]) {
    S::as_mut_simd_f32s(&mut out[..V * S::F32_LANES]).0.copy_from_slice(numbers);
}
