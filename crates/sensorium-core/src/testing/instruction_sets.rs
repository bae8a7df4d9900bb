//! Kernels on every instruction set they are compiled for.

use pulp::{Arch, Simd, WithSimd};

/// A check of a kernel. A trait, as no closure can be generic over `S`.
pub trait KernelCheck {
    /// Runs the kernel on `simd` and compares its result with the truth; `what` names the instruction set in faults.
    fn check<S: Simd>(simd: S, what: &str);
}

/// Runs a check on scalars, on AVX2 where the processor has it, and on what is chosen at run time.
pub fn on_every_instruction_set<K: KernelCheck>() {
    K::check(pulp::Scalar, "scalar");
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        K::check(avx2, "AVX2");
    }
    struct Best<K>(std::marker::PhantomData<K>);
    impl<K: KernelCheck> WithSimd for Best<K> {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            K::check(simd, "the best");
        }
    }
    Arch::new().dispatch(Best::<K>(std::marker::PhantomData));
}
