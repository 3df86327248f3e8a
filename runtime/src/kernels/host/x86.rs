//! The instructions of x86-64: one for each operation of [`Vectors`]. A token proves that the processor has them.

#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi32, _mm256_madd_epi16, _mm256_set1_epi32, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32,
    _mm512_set1_epi32,
};

use bytemuck::must_cast;

use super::vectors::{ByteWork, Multiply, Registers, Work};

/// Proof that the processor has AVX2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

/// Proof that the processor has AVX-512 F, BW, VL and VNNI, and AVX2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512Vnni(());

impl Avx2 {
    /// The proof, where it can be given.
    pub(super) fn detect() -> Option<Self> {
        std::is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Does a piece of work that is compiled for AVX2.
    pub(super) fn run(self, work: impl Work) {
        #[target_feature(enable = "avx2")]
        fn inside(vectors: Avx2, work: impl Work) {
            work.run::<_, 8>(vectors);
        }
        // SAFETY: `self` was made by `detect` alone, which has found AVX2.
        unsafe { inside(self, work) }
    }
}

impl Registers<8> for Avx2 {
    type Sums = __m256i;

    #[inline(always)]
    fn load(self, lanes: &[i32; 8]) -> __m256i {
        must_cast(*lanes)
    }

    #[inline(always)]
    fn store(self, sums: __m256i) -> [i32; 8] {
        must_cast(sums)
    }
}

impl Multiply<8, 2, i16, i16> for Avx2 {
    #[inline(always)]
    fn multiply_add(self, sums: __m256i, x: [i16; 2], w: &[[i16; 2]; 8]) -> __m256i {
        let w: __m256i = must_cast(*w);
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_set1_epi32(must_cast(x)), w)) }
    }
}

impl Avx512Vnni {
    /// The proof, where it can be given.
    pub(super) fn detect() -> Option<Self> {
        let found = std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("avx512vnni");
        found.then_some(Self(()))
    }

    /// Does a piece of work that is compiled for AVX-512 VNNI.
    pub(super) fn run(self, work: impl Work) {
        #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
        fn inside(vectors: Avx512Vnni, work: impl Work) {
            work.run::<_, 16>(vectors);
        }
        // SAFETY: `self` was made by `detect` alone, which has found every one of these features.
        unsafe { inside(self, work) }
    }

    /// As [`Self::run`], of work on bytes.
    pub(super) fn run_bytes(self, work: impl ByteWork) {
        #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
        fn inside(vectors: Avx512Vnni, work: impl ByteWork) {
            work.run::<_, 16>(vectors);
        }
        // SAFETY: as above.
        unsafe { inside(self, work) }
    }
}

impl Registers<16> for Avx512Vnni {
    type Sums = __m512i;

    #[inline(always)]
    fn load(self, lanes: &[i32; 16]) -> __m512i {
        must_cast(*lanes)
    }

    #[inline(always)]
    fn store(self, sums: __m512i) -> [i32; 16] {
        must_cast(sums)
    }
}

impl Multiply<16, 2, i16, i16> for Avx512Vnni {
    #[inline(always)]
    fn multiply_add(self, sums: __m512i, x: [i16; 2], w: &[[i16; 2]; 16]) -> __m512i {
        let w: __m512i = must_cast(*w);
        // SAFETY: `self` proves AVX-512 VNNI.
        unsafe { _mm512_dpwssd_epi32(sums, _mm512_set1_epi32(must_cast(x)), w) }
    }
}

impl Multiply<16, 4, u8, i8> for Avx512Vnni {
    #[inline(always)]
    fn multiply_add(self, sums: __m512i, x: [u8; 4], w: &[[i8; 4]; 16]) -> __m512i {
        let w: __m512i = must_cast(*w);
        // SAFETY: `self` proves AVX-512 VNNI.
        unsafe { _mm512_dpbusd_epi32(sums, _mm512_set1_epi32(must_cast(x)), w) }
    }
}
