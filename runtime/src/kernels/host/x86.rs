//! The instructions of x86-64: one, or a few, for each operation of [`super::vectors`]. A token proves that the processor has them.

#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi32, _mm256_add_epi64, _mm256_and_si256, _mm256_blend_epi32, _mm256_madd_epi16,
    _mm256_max_epi8, _mm256_max_epu8, _mm256_min_epi8, _mm256_min_epu8, _mm256_mul_epi32, _mm256_packs_epi16,
    _mm256_packs_epi32, _mm256_packus_epi16, _mm256_permutevar8x32_epi32, _mm256_set1_epi8, _mm256_set1_epi32,
    _mm256_setr_epi32, _mm256_shuffle_epi32, _mm256_srai_epi32, _mm256_srav_epi32, _mm512_add_epi32, _mm512_add_epi64,
    _mm512_and_si512, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_mask_shuffle_epi32, _mm512_max_epi8,
    _mm512_max_epu8, _mm512_min_epi8, _mm512_min_epu8, _mm512_mul_epi32, _mm512_packs_epi16, _mm512_packs_epi32,
    _mm512_packus_epi16, _mm512_permutexvar_epi32, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_setr_epi32,
    _mm512_shuffle_epi32, _mm512_shuffle_i32x4, _mm512_srai_epi32, _mm512_srav_epi32, _mm512_unpackhi_epi8,
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
    fn double(self, sums: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_add_epi32(sums, sums) }
    }

    #[inline(always)]
    fn multiply_high(self, sums: __m256i, multipliers: __m256i, [even, odd]: [__m256i; 2]) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let even = _mm256_add_epi64(_mm256_mul_epi32(sums, multipliers), even);
            let products = _mm256_mul_epi32(_mm256_shuffle_epi32(sums, ODD), _mm256_shuffle_epi32(multipliers, ODD));
            let odd = _mm256_add_epi64(products, odd);
            _mm256_blend_epi32(_mm256_shuffle_epi32(even, ODD), odd, 0b1010_1010)
        }
    }

    #[inline(always)]
    fn add_below_zero(self, codes: __m256i, sums: __m256i, addends: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_add_epi32(codes, _mm256_and_si256(_mm256_srai_epi32(sums, 31), addends)) }
    }

    #[inline(always)]
    fn bytes(self, [a, b, c, d]: [__m256i; 4], (min, max): (i32, i32)) -> [[u8; 8]; 4] {
        // SAFETY: `self` proves AVX2.
        must_cast(unsafe {
            let (ab, cd) = (_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
            let (least, greatest) = (_mm256_set1_epi8(min as i8), _mm256_set1_epi8(max as i8));
            let codes = if min < 0 {
                _mm256_max_epi8(_mm256_min_epi8(_mm256_packs_epi16(ab, cd), greatest), least)
            } else {
                _mm256_max_epu8(_mm256_min_epu8(_mm256_packus_epi16(ab, cd), greatest), least)
            };
            // Each half has four codes of every register.
            _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
        })
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
    fn double(self, sums: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_add_epi32(sums, sums) }
    }

    #[inline(always)]
    fn multiply_high(self, sums: __m512i, multipliers: __m512i, [even, odd]: [__m512i; 2]) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe {
            let even = _mm512_add_epi64(_mm512_mul_epi32(sums, multipliers), even);
            let products = _mm512_mul_epi32(_mm512_shuffle_epi32(sums, ODD), _mm512_shuffle_epi32(multipliers, ODD));
            _mm512_mask_shuffle_epi32(_mm512_add_epi64(products, odd), 0x5555, even, ODD)
        }
    }

    #[inline(always)]
    fn add_below_zero(self, codes: __m512i, sums: __m512i, addends: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_add_epi32(codes, _mm512_and_si512(_mm512_srai_epi32(sums, 31), addends)) }
    }

    #[inline(always)]
    fn bytes(self, [a, b, c, d]: [__m512i; 4], (min, max): (i32, i32)) -> [[u8; 16]; 4] {
        // SAFETY: `self` proves AVX-512 F and BW.
        must_cast(unsafe {
            let (ab, cd) = (_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
            let (least, greatest) = (_mm512_set1_epi8(min as i8), _mm512_set1_epi8(max as i8));
            let codes = if min < 0 {
                _mm512_max_epi8(_mm512_min_epi8(_mm512_packs_epi16(ab, cd), greatest), least)
            } else {
                _mm512_max_epu8(_mm512_min_epu8(_mm512_packus_epi16(ab, cd), greatest), least)
            };
            // Each quarter has four codes of every register.
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_permutexvar_epi32(order, codes)
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
