//! The numbers that transforms compute with: f32 and f64, one at a time or a vector of them.

use std::fmt::Debug;

use bytemuck::Pod;
use pulp::Simd;
use realfft::FftNum;

/// f32 or f64. Transforms are written once over this trait; it cannot be implemented elsewhere.
pub trait Real: FftNum + Pod + PartialOrd + Default + sealed::Lanes {
    /// The nearest number of this type.
    fn of(value: f64) -> Self;

    /// The number as f64, exactly.
    fn wide(self) -> f64;

    /// Whether it is neither infinite nor NaN.
    fn finite(self) -> bool;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        self.into()
    }

    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }

    fn finite(self) -> bool {
        self.is_finite()
    }
}

pub(crate) mod sealed {
    use super::*;

    /// Vectors of a number type, over any of `pulp`'s instruction sets.
    pub trait Lanes: Pod {
        /// A vector.
        type Vector<S: Simd>: Copy + Debug + Pod + Send + Sync;
        #[doc(hidden)]
        fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
        #[doc(hidden)]
        fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
        #[doc(hidden)]
        fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
        #[doc(hidden)]
        fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
        /// `a * b + c`
        #[doc(hidden)]
        fn times_plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
        /// `c - a * b`
        #[doc(hidden)]
        fn minus_times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>)
        -> Self::Vector<S>;
        #[doc(hidden)]
        fn over<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
        #[doc(hidden)]
        fn negated<S: Simd>(simd: S, a: Self::Vector<S>) -> Self::Vector<S>;
        #[doc(hidden)]
        fn larger<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
        #[doc(hidden)]
        fn square_root<S: Simd>(simd: S, a: Self::Vector<S>) -> Self::Vector<S>;
        /// The natural logarithm of positive normal numbers, within 1 unit in the last place.
        #[doc(hidden)]
        fn ln<S: Simd>(simd: S, a: Self::Vector<S>) -> Self::Vector<S>;
    }

    impl Lanes for f32 {
        type Vector<S: Simd> = S::f32s;

        #[inline(always)]
        fn splat<S: Simd>(simd: S, value: Self) -> S::f32s {
            simd.splat_f32s(value)
        }

        #[inline(always)]
        fn plus<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
            simd.add_f32s(a, b)
        }

        #[inline(always)]
        fn minus<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
            simd.sub_f32s(a, b)
        }

        #[inline(always)]
        fn times<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
            simd.mul_f32s(a, b)
        }

        #[inline(always)]
        fn times_plus<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
            simd.mul_add_e_f32s(a, b, c)
        }

        #[inline(always)]
        fn minus_times<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
            simd.negate_mul_add_e_f32s(a, b, c)
        }

        #[inline(always)]
        fn over<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
            simd.div_f32s(a, b)
        }

        #[inline(always)]
        fn negated<S: Simd>(simd: S, a: S::f32s) -> S::f32s {
            simd.neg_f32s(a)
        }

        #[inline(always)]
        fn larger<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
            simd.max_f32s(a, b)
        }

        #[inline(always)]
        fn square_root<S: Simd>(simd: S, a: S::f32s) -> S::f32s {
            simd.sqrt_f32s(a)
        }

        /// The reduction to `[√½, √2)` and the polynomial are those of FreeBSD's `logf`.
        #[inline(always)]
        fn ln<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
            const ROOT_HALF: u32 = 0x3f35_04f3;
            const ONE: u32 = 0x3f80_0000;
            // As bits, an integer below 2^23 added to these is the number 2^23 plus that integer.
            const MAGIC: u32 = 0x4b00_0000;
            let bits = simd.add_u32s(simd.transmute_u32s_f32s(x), simd.splat_u32s(ONE - ROOT_HALF));
            let exponent = simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(23));
            let k = simd.sub_f32s(
                simd.transmute_f32s_u32s(simd.or_u32s(exponent, simd.splat_u32s(MAGIC))),
                simd.splat_f32s(8_388_608.0 + 127.0),
            );
            let mantissa = simd.add_u32s(simd.and_u32s(bits, simd.splat_u32s(0x007f_ffff)), simd.splat_u32s(ROOT_HALF));
            let f = simd.sub_f32s(simd.transmute_f32s_u32s(mantissa), simd.splat_f32s(1.0));
            let s = simd.div_f32s(f, simd.add_f32s(f, simd.splat_f32s(2.0)));
            let z = simd.mul_f32s(s, s);
            let mut r = simd.splat_f32s(0.242_790_79);
            for coefficient in [0.284_987_87, 0.400_009_72, 0.666_666_6] {
                r = simd.mul_add_e_f32s(r, z, simd.splat_f32s(coefficient));
            }
            let half = simd.mul_f32s(simd.mul_f32s(f, f), simd.splat_f32s(0.5));
            let low = simd.mul_f32s(k, simd.splat_f32s(9.058_001e-6));
            let sum = simd.mul_add_e_f32s(s, simd.mul_add_e_f32s(r, z, half), low);
            let near = simd.sub_f32s(f, simd.sub_f32s(half, sum));
            simd.mul_add_e_f32s(k, simd.splat_f32s(0.693_138_1), near)
        }
    }

    impl Lanes for f64 {
        type Vector<S: Simd> = S::f64s;

        #[inline(always)]
        fn splat<S: Simd>(simd: S, value: Self) -> S::f64s {
            simd.splat_f64s(value)
        }

        #[inline(always)]
        fn plus<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
            simd.add_f64s(a, b)
        }

        #[inline(always)]
        fn minus<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
            simd.sub_f64s(a, b)
        }

        #[inline(always)]
        fn times<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
            simd.mul_f64s(a, b)
        }

        #[inline(always)]
        fn times_plus<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
            simd.mul_add_e_f64s(a, b, c)
        }

        #[inline(always)]
        fn minus_times<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
            simd.negate_mul_add_e_f64s(a, b, c)
        }

        #[inline(always)]
        fn over<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
            simd.div_f64s(a, b)
        }

        #[inline(always)]
        fn negated<S: Simd>(simd: S, a: S::f64s) -> S::f64s {
            simd.neg_f64s(a)
        }

        #[inline(always)]
        fn larger<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
            simd.max_f64s(a, b)
        }

        #[inline(always)]
        fn square_root<S: Simd>(simd: S, a: S::f64s) -> S::f64s {
            simd.sqrt_f64s(a)
        }

        /// As for f32, with the polynomial of FreeBSD's `log`.
        #[inline(always)]
        fn ln<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
            const ROOT_HALF: u64 = 0x3fe6_a09e_0000_0000;
            const ONE: u64 = 0x3ff0_0000_0000_0000;
            const MAGIC: u64 = 0x4330_0000_0000_0000;
            let bits = simd.add_u64s(simd.transmute_u64s_f64s(x), simd.splat_u64s(ONE - ROOT_HALF));
            let exponent = exponents::<S>(bits);
            let k = simd.sub_f64s(
                simd.transmute_f64s_u64s(simd.or_u64s(exponent, simd.splat_u64s(MAGIC))),
                simd.splat_f64s(4_503_599_627_370_496.0 + 1023.0),
            );
            let mantissa =
                simd.add_u64s(simd.and_u64s(bits, simd.splat_u64s(0x000f_ffff_ffff_ffff)), simd.splat_u64s(ROOT_HALF));
            let f = simd.sub_f64s(simd.transmute_f64s_u64s(mantissa), simd.splat_f64s(1.0));
            let s = simd.div_f64s(f, simd.add_f64s(f, simd.splat_f64s(2.0)));
            let z = simd.mul_f64s(s, s);
            let mut r = simd.splat_f64s(1.479_819_860_511_658_6e-1);
            for coefficient in [
                1.531_383_769_920_937_3e-1,
                1.818_357_216_161_805e-1,
                2.222_219_843_214_978_4e-1,
                2.857_142_874_366_239e-1,
                3.999_999_999_940_942e-1,
                6.666_666_666_666_735e-1,
            ] {
                r = simd.mul_add_e_f64s(r, z, simd.splat_f64s(coefficient));
            }
            let half = simd.mul_f64s(simd.mul_f64s(f, f), simd.splat_f64s(0.5));
            let low = simd.mul_f64s(k, simd.splat_f64s(1.908_214_929_270_587_7e-10));
            let sum = simd.mul_add_e_f64s(s, simd.mul_add_e_f64s(r, z, half), low);
            let near = simd.sub_f64s(f, simd.sub_f64s(half, sum));
            simd.mul_add_e_f64s(k, simd.splat_f64s(6.931_471_803_691_238e-1), near)
        }
    }

    /// The bits above the mantissa, in a plain loop since `pulp` has no shift of 64-bit lanes.
    #[inline(always)]
    fn exponents<S: Simd>(bits: S::u64s) -> S::u64s {
        let mut lanes = bits;
        for lane in bytemuck::cast_slice_mut::<S::u64s, u64>(std::slice::from_mut(&mut lanes)) {
            *lane >>= 52;
        }
        lanes
    }
}
