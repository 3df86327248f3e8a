//! The instructions of x86-64: one, or a few, for each operation of [`super::vectors`]. A token proves that the processor has them.

#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi32, _mm256_add_epi64, _mm256_and_si256, _mm256_blend_epi32, _mm256_madd_epi16,
    _mm256_max_epi32, _mm256_min_epi32, _mm256_mul_epi32, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_shuffle_epi32,
    _mm256_sllv_epi32, _mm256_srai_epi32, _mm256_srav_epi32, _mm512_add_epi32, _mm512_add_epi64, _mm512_and_si512,
    _mm512_cvtepi32_epi8, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_mask_shuffle_epi32, _mm512_max_epi32,
    _mm512_min_epi32, _mm512_mul_epi32, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_shuffle_epi32,
    _mm512_shuffle_i32x4, _mm512_sllv_epi32, _mm512_srai_epi32, _mm512_srav_epi32, _mm512_unpackhi_epi8,
    _mm512_unpackhi_epi16, _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
};

use bytemuck::must_cast;

use super::vectors::{ByteVectors, ByteWork, Multiply, Registers, Work};

/// A shuffle that has the odd lanes in the even ones too.
const ODD: i32 = 0b11_11_01_01;

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

    #[inline(always)]
    fn shift_right(self, sums: __m256i, shifts: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_srav_epi32(sums, shifts) }
    }

    #[inline(always)]
    fn scale(self, sums: __m256i, [multipliers, left, right, offsets, away]: [__m256i; 5]) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let (a, half) = (_mm256_sllv_epi32(sums, left), _mm256_set1_epi64x(1 << 31));
            let even = _mm256_add_epi64(_mm256_mul_epi32(a, multipliers), half);
            let odd = _mm256_mul_epi32(_mm256_shuffle_epi32(a, ODD), _mm256_shuffle_epi32(multipliers, ODD));
            let odd = _mm256_add_epi64(odd, half);
            let high = _mm256_blend_epi32(_mm256_shuffle_epi32(even, ODD), odd, 0b1010_1010);
            let sign = _mm256_and_si256(_mm256_srai_epi32(sums, 31), away);
            _mm256_srav_epi32(_mm256_add_epi32(_mm256_add_epi32(high, offsets), sign), right)
        }
    }

    #[inline(always)]
    fn bytes(self, sums: __m256i, min: i32, max: i32) -> [u8; 8] {
        // SAFETY: `self` proves AVX2.
        let codes: [i32; 8] = must_cast(unsafe {
            _mm256_max_epi32(_mm256_min_epi32(sums, _mm256_set1_epi32(max)), _mm256_set1_epi32(min))
        });
        let mut bytes = [0; 8];
        for (byte, code) in bytes.iter_mut().zip(codes) {
            *byte = code.to_le_bytes()[0];
        }
        bytes
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

impl ByteVectors<16> for Avx512Vnni {
    #[inline(always)]
    fn interleave(self, rows: [&[[u8; 16]; 4]; 4]) -> [__m512i; 4] {
        let [a, b, c, d] = rows;
        let (a, b, c, d) = (must_cast(*a), must_cast(*b), must_cast(*c), must_cast(*d));
        // SAFETY: `self` proves AVX-512 BW.
        unsafe {
            let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d));
            let (ab_high, cd_high) = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d));
            [
                _mm512_unpacklo_epi16(ab, cd),
                _mm512_unpackhi_epi16(ab, cd),
                _mm512_unpacklo_epi16(ab_high, cd_high),
                _mm512_unpackhi_epi16(ab_high, cd_high),
            ]
        }
    }

    #[inline(always)]
    fn multiply_add_each(self, sums: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 VNNI.
        unsafe { _mm512_dpbusd_epi32(sums, x, w) }
    }

    /// The four parts of 128 bits of each register are those of four registers, as a matrix is transposed.
    #[inline(always)]
    fn in_order(self, [a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
        // SAFETY: `self` proves AVX-512 F.
        unsafe {
            let (ab, cd) = (_mm512_shuffle_i32x4(a, b, 0b01_00_01_00), _mm512_shuffle_i32x4(c, d, 0b01_00_01_00));
            let (ab_high, cd_high) =
                (_mm512_shuffle_i32x4(a, b, 0b11_10_11_10), _mm512_shuffle_i32x4(c, d, 0b11_10_11_10));
            [
                _mm512_shuffle_i32x4(ab, cd, 0b10_00_10_00),
                _mm512_shuffle_i32x4(ab, cd, 0b11_01_11_01),
                _mm512_shuffle_i32x4(ab_high, cd_high, 0b10_00_10_00),
                _mm512_shuffle_i32x4(ab_high, cd_high, 0b11_01_11_01),
            ]
        }
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

    #[inline(always)]
    fn shift_right(self, sums: __m512i, shifts: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_srav_epi32(sums, shifts) }
    }

    #[inline(always)]
    fn scale(self, sums: __m512i, [multipliers, left, right, offsets, away]: [__m512i; 5]) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe {
            let (a, half) = (_mm512_sllv_epi32(sums, left), _mm512_set1_epi64(1 << 31));
            let even = _mm512_add_epi64(_mm512_mul_epi32(a, multipliers), half);
            let odd = _mm512_mul_epi32(_mm512_shuffle_epi32(a, ODD), _mm512_shuffle_epi32(multipliers, ODD));
            let high = _mm512_mask_shuffle_epi32(_mm512_add_epi64(odd, half), 0x5555, even, ODD);
            let sign = _mm512_and_si512(_mm512_srai_epi32(sums, 31), away);
            _mm512_srav_epi32(_mm512_add_epi32(_mm512_add_epi32(high, offsets), sign), right)
        }
    }

    #[inline(always)]
    fn bytes(self, sums: __m512i, min: i32, max: i32) -> [u8; 16] {
        // SAFETY: `self` proves AVX-512 F.
        must_cast(unsafe {
            let codes = _mm512_max_epi32(_mm512_min_epi32(sums, _mm512_set1_epi32(max)), _mm512_set1_epi32(min));
            _mm512_cvtepi32_epi8(codes)
        })
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
