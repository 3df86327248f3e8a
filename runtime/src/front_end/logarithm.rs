//! The logarithm to base 2, by a table of 33 entries and straight lines between them. Spec 6.

use super::LOGARITHM_BITS;

/// Bits of the mantissa that choose an entry.
const INDEX_BITS: u32 = 5;

/// `log2(1 + i / 32)`, rounded to units of `2^-16`.
const TABLE: [u32; (1 << INDEX_BITS) + 1] = table();

/// `log2(max(x, 1))` in units of `2^-16`, at most 0.0002 from the real one.
pub(super) fn log2(x: u64) -> i32 {
    let x = x.max(1);
    let whole = 63 - x.leading_zeros();
    // The mantissa with its leading 1 shifted out: its first bit is 1/2.
    let fraction = x << 1 << (63 - whole);
    let index = (fraction >> (64 - INDEX_BITS)) as usize;
    let rest = (fraction >> (64 - INDEX_BITS - 16)) & 0xffff;
    let entry = |index: usize| u64::from(TABLE.get(index).copied().unwrap_or(0));
    let (low, high) = (entry(index), entry(index + 1));
    let between = low + ((high.saturating_sub(low) * rest + (1 << 15)) >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "less than 64 * 2^16")]
    let value = ((u64::from(whole) << LOGARITHM_BITS) + between) as i32;
    value
}

/// Digit by digit: squaring a number between 1 and 2 doubles its logarithm.
const fn table() -> [u32; (1 << INDEX_BITS) + 1] {
    let mut table = [0; (1 << INDEX_BITS) + 1];
    let mut i = 0;
    while i < 1 << INDEX_BITS {
        let mut y = (1_u128 << 60) + ((i as u128) << (60 - INDEX_BITS));
        let (mut digits, mut count) = (0_u32, 0);
        while count <= LOGARITHM_BITS {
            y = (y * y) >> 60;
            let carry = y >> 61;
            y >>= carry;
            digits = digits << 1 | carry as u32;
            count += 1;
        }
        table[i] = (digits + 1) >> 1;
        i += 1;
    }
    table[1 << INDEX_BITS] = 1 << LOGARITHM_BITS;
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: f64 = 65_536.0;

    #[test]
    fn every_entry_of_the_logarithm_is_the_nearest() {
        for (i, entry) in TABLE.iter().enumerate() {
            let exact = (1.0 + i as f64 / 32.0).log2() * UNIT;
            assert!((f64::from(*entry) - exact).abs() <= 0.5, "entry {i} is {entry}, exactly {exact}");
        }
    }

    #[test]
    fn the_logarithm_is_near_the_real_one_everywhere() {
        let mut greatest = 0_f64;
        let mut x = 1_u64;
        while x < u64::MAX / 3 {
            for x in [x, x + 1, x + x / 2, x + x / 97] {
                greatest = greatest.max((f64::from(log2(x)) - (x as f64).log2() * UNIT).abs());
            }
            x += x / 41 + 1;
        }
        assert!(greatest > 1.0 && greatest < 0.0002 * UNIT, "{greatest}");
        assert_eq!([log2(0), log2(1), log2(1 << 40)], [0, 0, 40 << 16]);
        assert_eq!(log2(u64::MAX), 64 << 16);
    }
}
