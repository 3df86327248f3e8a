//! The spectrum of a frame: a complex transform of half the length, in place. Spec 2 to 4.
//!
//! Every stage halves, so that nothing overflows: samples enter with 29 bits, of which a stage spends one. What a
//! sample's least bit becomes stays far above the roundings.

use super::SINE_BITS;
use super::file::FrontEndFile;

/// A complex number, real part first.
type Complex = [i32; 2];

/// Windowed samples, two to a complex number, in the order that [`transform`] begins with. Spec 2, 3.1.
///
/// samples   `[frame_len]` i16
/// spectrum  `[N / 2]`
pub(super) fn load(file: &FrontEndFile<'_>, samples: &[i16], spectrum: &mut [Complex]) {
    let (window, _) = file.window.as_chunks::<2>();
    let windowed = |index: usize| {
        let weight = window.get(index).map_or(0, |bytes| i32::from(u16::from_le_bytes(*bytes)));
        samples.get(index).map_or(0, |sample| i32::from(*sample) * weight)
    };
    let bits = u32::from(file.fft_log2.clamp(2, 31)) - 1;
    for index in 0..spectrum.len() {
        #[expect(clippy::cast_possible_truncation, reason = "a spectrum has at most 2048 numbers")]
        let place = ((index as u32).reverse_bits() >> (32 - bits)) as usize;
        if let Some(target) = spectrum.get_mut(place) {
            *target = [windowed(2 * index), windowed(2 * index + 1)];
        }
    }
}

/// The transform of `N / 2` complex numbers, divided by `N / 2`. Spec 3.2.
pub(super) fn transform(file: &FrontEndFile<'_>, spectrum: &mut [Complex]) {
    let mut half = 1;
    while half < spectrum.len() {
        let turn = spectrum.len() / half;
        for index in 0..half {
            let root = root(file, index * turn);
            for block in spectrum.get_mut(index..).unwrap_or_default().chunks_mut(2 * half) {
                let (first, second) = block.split_at_mut_checked(half).unwrap_or_default();
                if let (Some(a), Some(b)) = (first.first_mut(), second.first_mut()) {
                    (*a, *b) = butterfly(*a, *b, root);
                }
            }
        }
        half *= 2;
    }
}

/// `((a + W b) / 2, (a - W b) / 2)`, rounded half up. Spec 3.2.
fn butterfly(a: Complex, b: Complex, root: Complex) -> (Complex, Complex) {
    let [re, im] = product(b, root);
    let narrow = |wide: i64| {
        #[expect(clippy::cast_possible_truncation, reason = "a product with a number of magnitude 1")]
        let rounded = ((wide + (1 << (SINE_BITS - 1))) >> SINE_BITS) as i32;
        rounded
    };
    let (re, im) = (narrow(re), narrow(im));
    let halved = |sum: i32| (sum + 1) >> 1;
    ([halved(a[0] + re), halved(a[1] + im)], [halved(a[0] - re), halved(a[1] - im)])
}

/// `2^15 * W * b` without a rounding, for `W = cos - i sin`.
fn product(b: Complex, [cos, sin]: Complex) -> [i64; 2] {
    let [re, im] = b.map(i64::from);
    let (cos, sin) = (i64::from(cos), i64::from(sin));
    [re * cos + im * sin, im * cos - re * sin]
}

/// Cosine and sine of `2 pi index / N`, `index` up to `N / 2`, from a quarter of a sine. Spec 3.1.
fn root(file: &FrontEndFile<'_>, index: usize) -> Complex {
    let (sines, _) = file.sines.as_chunks::<2>();
    let quarter = file.fft_len() / 4;
    let at = |index: usize| sines.get(index).map_or(0, |bytes| i32::from(u16::from_le_bytes(*bytes)));
    match index.checked_sub(quarter) {
        None => [at(quarter - index), at(index)],
        Some(past) => [-at(past), at(quarter.saturating_sub(past))],
    }
}

/// The energy of a bin, `0` to `N / 2`: that of the transform of the `N` real samples, divided by `N`, in units of
/// `2^8`. Spec 4.
pub(super) fn energy(file: &FrontEndFile<'_>, spectrum: &[Complex], bin: usize) -> u64 {
    let mask = spectrum.len().wrapping_sub(1);
    let number = |index: usize| spectrum.get(index & mask).map_or([0; 2], |number| number.map(i64::from));
    let (a, b) = (number(bin), number(spectrum.len().wrapping_sub(bin)));
    let even = [a[0] + b[0], a[1] - b[1]];
    #[expect(clippy::cast_possible_truncation, reason = "spec 3.3: a sum of two numbers of 30 bits")]
    let odd = [(a[1] + b[1]) as i32, (b[0] - a[0]) as i32];
    let turned = product(odd, root(file, bin));
    let part = |even: i64, turned: i64| ((even << SINE_BITS) + turned + (1 << (SINE_BITS + 1))) >> (SINE_BITS + 2);
    let (re, im) = (part(even[0], turned[0]), part(even[1], turned[1]));
    ((re * re + im * im).cast_unsigned() + (1 << 7)) >> 8
}
