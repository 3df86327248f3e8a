//! Sounds that host and firmware make alike, in integers: a rising tone and noise, loud, faint and silent by turns.

/// Samples at 16 kHz without an end.
pub fn samples() -> impl Iterator<Item = i16> {
    let (mut phase, mut noise) = (0_u32, 0x2545_f491_u32);
    (0_u32..).map(move |index| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        phase = phase.wrapping_add(index % 16_000 * 25_000);
        // A triangle wave, and noise a quarter as loud.
        let triangle = ((phase >> 16) as i32 - 32_768).abs() * 2 - 32_768;
        let mixed = (triangle * 3 + (noise >> 16) as i32 - 32_768) / 4;
        let loudness = [0, 14, 0, 8, 3, 31][(index / 3000 % 6) as usize];
        (mixed.clamp(-32_768, 32_767) >> loudness) as i16
    })
}
