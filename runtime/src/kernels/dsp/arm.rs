//! The inner loops as instructions.
//!
//! Beside each stands what it has of each class, as QEMU counts it, and what bounds it. By the cores' manuals, not measured: a
//! Cortex-M4 takes a cycle for each multiplication, widening or addition, two for an LDR and for one more behind it a cycle less,
//! one and a cycle a word for LDM and STM, and up to three more for a branch that is taken. A Cortex-M7 starts two instructions
//! in a cycle, but one multiplication at most: where half of a loop multiplies, that bounds it. A Cortex-M33 takes what an M4 does.

#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::marker::PhantomData;
use core::ptr;

use super::CONV_COLUMNS;
use super::affine_binary::ScaledSum;
use super::instructions::{First, PaddedRun, Row, RunQuads, Strips, Sum, TwoRows, Windows};
use super::scale::Scale;
use super::strips::{COLUMN_WORDS, QUAD_TAP_BYTES, QUAD_WORDS};
use super::taps::Taps;
use super::tile::{End, Filters, Tile};
use super::winograd_loops::{Products, Run, TileOutput};
use crate::arithmetic::rounding;
use crate::codes::Codes;
use crate::format::{
    AFFINE_LINK, Case, Detail, Element, Links, OperatorKind, PLACES, Packing, WeightBits, Winograd, has_odd_ends,
    has_slow_ends,
};

/// The assembler is told of the DSP extension where the target is silent on it: Armv8-M's need not have it.
#[cfg(stepshift_armv8m)]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(stepshift_armv8m))]
macro_rules! cpu {
    () => {
        ""
    };
}

/// What a loop over a tile is told, in the order in which it loads it.
#[derive(Debug)]
#[repr(C)]
struct Arguments {
    weights: *const u8,
    bias: *const u8,
    bias_end: *const u8,
    columns: *const u32,
    columns_end: *const u32,
    shifts: *const u8,
    shift_step: usize,
    output: *mut u8,
    /// Bytes from one pixel to the next; of a loop over codes where they lie, the last quad of them, padded with zeros.
    pitch: usize,
    end: EndOfLoop,
    multipliers: usize,
    zero: i32,
}

impl Arguments {
    /// Without columns and output.
    #[inline(always)]
    fn new<const LINKS: Links>(filters: &Filters<'_>, (shifts, multiplications): (&Ends, &Ends), pitch: usize) -> Self {
        Self {
            weights: filters.weights.as_ptr(),
            bias: filters.bias.as_ptr(),
            bias_end: filters.bias.as_ptr().wrapping_add(8 * filters.pairs()),
            columns: ptr::null(),
            columns_end: ptr::null(),
            shifts: filters.scale.shifts.as_ptr(),
            shift_step: filters.scale.step,
            output: ptr::null_mut(),
            pitch,
            end: end_of::<LINKS>(shifts, multiplications, &filters.scale, filters.end),
            multipliers: multipliers_of(&filters.scale),
            zero: filters.scale.zero,
        }
    }
}

/// Where a loop goes with its accumulators: no function of its own, it uses the loop's registers and stack.
type EndOfLoop = unsafe extern "C" fn();

/// A loop's ends: saturated to 8 bits with a sign, 7 without, 8 without, and accumulators as they are.
type Ends = [EndOfLoop; 4];

/// The end of a layer by shifts, or by multipliers. Their tables are apart, so that a program without the affine scheme links none of its ends.
#[inline(always)]
fn end_of<const LINKS: Links>(shifts: &Ends, multipliers: &Ends, scale: &Scale<'_>, end: End) -> EndOfLoop {
    let [signed8, unsigned7, unsigned8, accumulators] =
        if multiplies::<LINKS>(scale.multiplies()) { multipliers } else { shifts };
    *match end {
        End::Accumulators if has_slow_ends(LINKS) => accumulators,
        End::Signed8 if Element::I8.is_in(LINKS) && Detail::Signed8.is_in(LINKS) => signed8,
        End::Unsigned8 if Element::U8.is_in(LINKS) && Detail::Unsigned8.is_in(LINKS) => unsigned8,
        // Where there is one end, it is the layer's.
        _ if Detail::Unsigned7.is_in(LINKS) => unsigned7,
        _ if Detail::Signed8.is_in(LINKS) => signed8,
        _ => unsigned8,
    }
}

/// Whether a layer ends in multipliers, where the program links both.
#[inline(always)]
const fn multiplies<const LINKS: Links>(multiplies: bool) -> bool {
    LINKS & AFFINE_LINK != 0 && (multiplies || !Detail::Shift.is_in(LINKS))
}

/// What the ends by multipliers add four times the address of a shift to, for its multiplier.
#[inline]
fn multipliers_of(scale: &Scale<'_>) -> usize {
    scale.multipliers.as_ptr().expose_provenance().wrapping_sub(scale.shifts.as_ptr().addr().wrapping_mul(4))
}

/// Whether one pixel may meet weights of 16 bits.
const fn links_wide_column(links: Links) -> bool {
    Detail::WideColumn.is_in(links) || Detail::WideTiles.is_in(links) && Case::Remainder.is_in(links)
}

/// Whether fully connected layers make a column.
const fn has_columns(links: Links) -> bool {
    OperatorKind::FullyConnected.is_in(links) && Detail::Column.is_in(links)
}

/// Whether weights of 8 bits are joined: known while compiling of loops that the program uses for one of both.
#[inline(always)]
const fn are_joined<const LINKS: Links, const PIXELS: usize>(joined: bool) -> bool {
    let has_tiles = PIXELS == CONV_COLUMNS || Case::Remainder.is_in(LINKS);
    let any_joined = has_tiles && Packing::Joined.is_in(LINKS);
    let all_joined = !(has_tiles && Packing::Pairs.is_in(LINKS)) && (PIXELS == CONV_COLUMNS || !has_columns(LINKS));
    any_joined && (all_joined || joined)
}

/// A loop over tiles, and what it is told.
#[derive(Debug)]
pub(super) struct TileLoop<'a> {
    bits: WeightBits,
    joined: bool,
    arguments: Arguments,
    filters: PhantomData<Filters<'a>>,
}

impl<'a> TileLoop<'a> {
    /// That of filters that [`super::instructions::Multiplier::new`] has checked.
    #[inline]
    pub(super) fn new<const LINKS: Links>(filters: Filters<'a>, pixels: usize, pitch: usize) -> Self {
        let ends =
            if pixels == CONV_COLUMNS { (&SHIFT_ENDS4, &MULTIPLY_ENDS4) } else { (&SHIFT_ENDS1, &MULTIPLY_ENDS1) };
        let arguments = Arguments::new::<LINKS>(&filters, ends, pitch);
        Self { bits: filters.bits, joined: filters.joined, arguments, filters: PhantomData }
    }

    /// Runs the loop over a tile that [`super::instructions::Multiplier::run`] has checked.
    #[inline]
    pub(super) fn run<const LINKS: Links, const PIXELS: usize>(&mut self, tile: Tile<'_>) {
        let columns = tile.columns.as_ptr_range();
        self.arguments.columns = columns.start;
        self.arguments.columns_end = columns.end;
        self.arguments.output = tile.output.as_mut_ptr();
        let arguments = &raw const self.arguments;
        // SAFETY: the filters are consistent: every pair has its weights for all steps of the columns, 8 bytes of biases and two
        // entries of its scale or the one; and the tile has room for what they write.
        unsafe {
            match (PIXELS, self.bits) {
                (CONV_COLUMNS, WeightBits::Eight) if WeightBits::Eight.is_in(LINKS) => {
                    if are_joined::<LINKS, PIXELS>(self.joined) {
                        tile4_joined(arguments)
                    } else {
                        tile4_bits8(arguments)
                    }
                }
                (CONV_COLUMNS, WeightBits::Four) if WeightBits::Four.is_in(LINKS) => tile4_bits4(arguments),
                (CONV_COLUMNS, WeightBits::Sixteen) if Detail::WideTiles.is_in(LINKS) => tile4_bits16(arguments),
                (1, WeightBits::Eight) if WeightBits::Eight.is_in(LINKS) => {
                    if are_joined::<LINKS, PIXELS>(self.joined) {
                        tile1_joined(arguments)
                    } else {
                        tile1_bits8(arguments)
                    }
                }
                (1, WeightBits::Four) if WeightBits::Four.is_in(LINKS) => tile1_bits4(arguments),
                (1, WeightBits::Sixteen) if links_wide_column(LINKS) => tile1_bits16(arguments),
                _ => {}
            }
        }
    }
}

/// Runs the loop over codes where they lie, which [`super::instructions::dot`] has checked.
#[inline]
pub(super) fn dot<const LINKS: Links>(filters: &Filters<'_>, codes: Codes<'_>, output: &mut [u8]) {
    let is_single = has_odd_ends(LINKS) && filters.single;
    let bytes = codes.bytes();
    let last = bytes.last_chunk().map_or(0, |last| u32::from_le_bytes(*last));
    // The last quad, of one code to four, begins where those that are whole end.
    let whole = bytes.len().wrapping_sub(1) & !3;
    let last = (last >> (8 * (bytes.len().wrapping_neg() % 4))) as usize;
    let arguments = Arguments {
        columns: bytes.as_ptr().cast(),
        columns_end: bytes.as_ptr().wrapping_add(whole).cast(),
        output: output.as_mut_ptr(),
        ..Arguments::new::<LINKS>(filters, (&SHIFT_ENDS1, &MULTIPLY_ENDS1), last)
    };
    let arguments = &raw const arguments;
    // SAFETY: there are at least four codes before the last ones; the filters are consistent: every pair has its weights for all codes,
    // 8 bytes of biases and two entries of its scale or the one; and the output has room for what they write.
    unsafe {
        match (codes.element(), filters.bits) {
            (Element::I8, WeightBits::Eight)
                if is_single && WeightBits::Eight.is_in(LINKS) && Element::I8.is_in(LINKS) =>
            {
                dot_i8_single(arguments);
            }
            (Element::U8, WeightBits::Eight)
                if is_single && WeightBits::Eight.is_in(LINKS) && Element::U8.is_in(LINKS) =>
            {
                dot_u8_single(arguments);
            }
            (Element::I8, WeightBits::Eight) if WeightBits::Eight.is_in(LINKS) && Element::I8.is_in(LINKS) => {
                dot_i8_bits8(arguments);
            }
            (Element::U8, WeightBits::Eight) if WeightBits::Eight.is_in(LINKS) && Element::U8.is_in(LINKS) => {
                dot_u8_bits8(arguments);
            }
            (Element::I8, WeightBits::Four) if WeightBits::Four.is_in(LINKS) && Element::I8.is_in(LINKS) => {
                dot_i8_bits4(arguments);
            }
            (Element::U8, WeightBits::Four) if WeightBits::Four.is_in(LINKS) && Element::U8.is_in(LINKS) => {
                dot_u8_bits4(arguments);
            }
            _ => {}
        }
    }
}

/// Runs the loop over a run that [`super::instructions::widen_run`] has checked.
#[inline]
pub(super) fn widen_run<const LINKS: Links>(run: &PaddedRun<'_>, quads: RunQuads, stride: usize, target: &mut [u32]) {
    let RunQuads { before, inside, behind } = quads;
    let (source, target, stride) = (run.codes.bytes().as_ptr(), target.as_mut_ptr(), 4 * stride);
    let zeros = run.zeros();
    // SAFETY: the source has all codes inside, and the target two words a quad.
    unsafe {
        match run.codes.element() {
            Element::I8 if Element::I8.is_in(LINKS) => run_i8(source, target, before, inside, behind, zeros, stride),
            Element::U8 if Element::U8.is_in(LINKS) => run_u8(source, target, before, inside, behind, zeros, stride),
            Element::I16 if Element::I16.is_in(LINKS) => run_i16(source, target, before, inside, behind, zeros, stride),
            _ => {}
        }
    }
}

/// The next step's weights of 8 bits into lr and r12.
macro_rules! weights8 {
    () => {
        "ldr r12, [r0], #4
        sxtb16 lr, r12
        sxtb16 r12, r12, ror #8
        "
    };
}

/// The first channel's into lr, into r12 those of both, joined.
macro_rules! joined_weights {
    () => {
        "ldr r12, [r0], #4
        sxtb16 lr, r12
        "
    };
}

/// Those of 4 bits, times 16: the low halves of a word.
macro_rules! weights4_low {
    () => {
        "ldr r12, [r0]
        lsl r12, r12, #4
        and r12, r12, #0xf0f0f0f0
        sxtb16 lr, r12
        sxtb16 r12, r12, ror #8
        "
    };
}

/// The high halves of the same word.
macro_rules! weights4_high {
    () => {
        "ldr r12, [r0], #4
        and r12, r12, #0xf0f0f0f0
        sxtb16 lr, r12
        sxtb16 r12, r12, ror #8
        "
    };
}

/// Two words, which are aligned: of weights of 16 bits the first channel's into r12.
macro_rules! two_words {
    () => {
        "ldm r0!, {{r12, lr}}
        "
    };
}

/// The products of one step with four pixels; the register of each channel's weights.
macro_rules! products4 {
    ($first:literal, $second:literal) => {
        concat!(
            "ldm r1!, {{r10, r11}}\n",
            concat!("smlad r2, ", $first, ", r10, r2\n smlad r3, ", $first, ", r11, r3\n"),
            concat!("smlad r6, ", $second, ", r10, r6\n smlad r7, ", $second, ", r11, r7\n"),
            "ldm r1!, {{r10, r11}}\n",
            concat!("smlad r4, ", $first, ", r10, r4\n smlad r5, ", $first, ", r11, r5\n"),
            concat!("smlad r8, ", $second, ", r10, r8\n smlad r9, ", $second, ", r11, r9\n"),
        )
    };
}

/// The inputs of both steps of a quad, of one pixel.
macro_rules! columns1 {
    () => {
        "ldm r1!, {{r10, r11}}
        "
    };
}

/// Those of one pixel from four codes in r11, with a sign or without.
macro_rules! codes1 {
    ($extend:literal) => {
        concat!($extend, " r10, r11\n", $extend, " r11, r11, ror #8\n")
    };
}

/// The products of one step with one pixel; the registers of its inputs and of each channel's weights.
macro_rules! products1 {
    ($column:literal, $first:literal, $second:literal) => {
        concat!(
            concat!("smlad r2, ", $first, ", ", $column, ", r2\n"),
            concat!("smlad r6, ", $second, ", ", $column, ", r6\n")
        )
    };
}

/// A word's weights into r3 and the word's register, then their products.
macro_rules! bytes1 {
    ($word:literal, $column:literal) => {
        concat!(
            concat!("sxtb16 r3, ", $word, "\n sxtb16 ", $word, ", ", $word, ", ror #8\n"),
            products1!($column, "r3", $word)
        )
    };
}

/// As [`bytes1`], of joined weights: the word is the second channel's.
macro_rules! joined1 {
    ($word:literal, $column:literal) => {
        concat!(concat!("sxtb16 r3, ", $word, "\n"), products1!($column, "r3", $word))
    };
}

/// The products of a quad with one pixel, by weights of 8 bits.
macro_rules! quad1_bits8 {
    () => {
        concat!(two_words!(), bytes1!("r12", "r10"), bytes1!("lr", "r11"))
    };
}

/// Those of the first channel alone.
macro_rules! quad1_single {
    () => {
        concat!(
            two_words!(),
            "sxtb16 r12, r12
            sxtb16 lr, lr
            smlad r2, r12, r10, r2
            smlad r2, lr, r11, r2
            "
        )
    };
}

/// By weights of 4 bits.
macro_rules! quad1_bits4 {
    () => {
        concat!(
            "ldr r12, [r0], #4
            lsl lr, r12, #4
            and lr, lr, #0xf0f0f0f0
            and r12, r12, #0xf0f0f0f0
            ",
            bytes1!("lr", "r10"),
            bytes1!("r12", "r11")
        )
    };
}

/// As [`products4`], of the first step: every pixel's accumulators begin as those of the first one are.
macro_rules! first_products4 {
    ($first:literal, $second:literal) => {
        concat!(
            "ldrd r10, r11, [r1], #8
            ldrd r8, r9, [r1], #8
            ",
            concat!("smlad r3, ", $first, ", r11, r2\n smlad r4, ", $first, ", r8, r2\n"),
            concat!("smlad r5, ", $first, ", r9, r2\n smlad r2, ", $first, ", r10, r2\n"),
            concat!("smlad r7, ", $second, ", r11, r6\n smlad r8, ", $second, ", r8, r6\n"),
            concat!("smlad r9, ", $second, ", r9, r6\n smlad r6, ", $second, ", r10, r6\n"),
        )
    };
}

/// They begin so without a step of their own: less flash where weights take more.
macro_rules! copies4 {
    () => {
        "mov r3, r2
        mov r4, r2
        mov r5, r2
        mov r7, r6
        mov r8, r6
        mov r9, r6
        "
    };
}

/// Joined weights come times 256, with the first channel's.
macro_rules! join_start {
    () => {
        "add r6, r2, r6, lsl #8
        "
    };
}

/// And are parted behind the loop.
macro_rules! part4 {
    () => {
        "sub r6, r6, r2
        sub r7, r7, r3
        sub r8, r8, r4
        sub r9, r9, r5
        asr r6, r6, #8
        asr r7, r7, #8
        asr r8, r8, #8
        asr r9, r9, #8
        "
    };
}

macro_rules! part1 {
    () => {
        "sub r6, r6, r2
        asr r6, r6, #8
        "
    };
}

/// 4-bit weights come times 16.
macro_rules! scale_start {
    () => {
        "lsl r2, r2, #4
        lsl r6, r6, #4
        "
    };
}

/// And leave the loop as they are.
macro_rules! unscale4 {
    () => {
        "asr r2, r2, #4
        asr r3, r3, #4
        asr r4, r4, #4
        asr r5, r5, #4
        asr r6, r6, #4
        asr r7, r7, #4
        asr r8, r8, #4
        asr r9, r9, #4
        "
    };
}

macro_rules! unscale1 {
    () => {
        "asr r2, r2, #4
        asr r6, r6, #4
        "
    };
}

/// One end of a loop, which goes on where the word at `$back` of the stack says.
macro_rules! end_of_loop {
    ($name:ident, $back:literal, $body:expr) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(cpu!(), $body, concat!("ldr pc, [sp, #", $back, "]"))
        }
    };
}

/// The next pair's shifts into r12 and lr, the output into r10, its pitch into r11.
macro_rules! shifts {
    () => {
        "ldrd r10, r11, [sp, #16]
        ldrsb r12, [r10]
        ldrsb lr, [r10, r11]
        add r10, r10, r11, lsl #1
        str r10, [sp, #16]
        ldrd r10, r11, [sp, #24]
        "
    };
}

/// Both codes of a pixel into the first one's register.
macro_rules! shift_pixel {
    ($sat:literal, $bits:literal, $a:literal, $b:literal) => {
        concat!(
            concat!("asr ", $a, ", ", $a, ", r12\n asr ", $b, ", ", $b, ", lr\n"),
            concat!($sat, " ", $a, ", #", $bits, ", ", $a, "\n", $sat, " ", $b, ", #", $bits, ", ", $b, "\n"),
            concat!("bfi ", $a, ", ", $b, ", #8, #8\n")
        )
    };
}

macro_rules! shift1 {
    ($sat:literal, $bits:literal) => {
        concat!(
            shifts!(),
            shift_pixel!($sat, $bits, "r2", "r6"),
            "strh r2, [r10], #2
            str r10, [sp, #24]
            "
        )
    };
}

macro_rules! shift4 {
    ($sat:literal, $bits:literal) => {
        concat!(
            shifts!(),
            shift_pixel!($sat, $bits, "r2", "r6"),
            shift_pixel!($sat, $bits, "r3", "r7"),
            shift_pixel!($sat, $bits, "r4", "r8"),
            shift_pixel!($sat, $bits, "r5", "r9"),
            "strh r3, [r10, r11]
            strh r4, [r10, r11, lsl #1]
            add r1, r10, r11
            strh r5, [r1, r11, lsl #1]
            strh r2, [r10], #2
            str r10, [sp, #24]
            "
        )
    };
}

/// Times a Q31 multiplier of at least `2^30`, which comes doubled and so as a number with a sign that is `2^32` less: `SMMLAR`
/// adds what lacks, and rounds half up. Then the right shift, by at least one, rounds half away from zero: the carry is the
/// last bit that left. Zero point, saturate.
macro_rules! product {
    ($acc:literal, $multiplier:literal, $shift:literal, $zero:literal, $sat:literal, $bits:literal) => {
        concat!(
            concat!("smmlar ", $acc, ", ", $acc, ", ", $multiplier, ", ", $acc, "\n"),
            concat!("add ", $acc, ", ", $acc, ", ", $acc, ", asr #31\n"),
            concat!("asrs ", $acc, ", ", $acc, ", ", $shift, "\n"),
            concat!("adc ", $acc, ", ", $acc, ", ", $zero, "\n"),
            concat!($sat, " ", $acc, ", #", $bits, ", ", $acc, "\n"),
        )
    };
}

/// The first channel's multiplier into r12, its shift into lr, the zero point into r1, the output into r10, its pitch into r11.
macro_rules! first_multiplier {
    () => {
        "ldr r10, [sp, #16]
        ldr r12, [sp, #44]
        ldrsb lr, [r10]
        ldr r12, [r12, r10, lsl #2]
        ldr r1, [sp, #48]
        ldrd r10, r11, [sp, #24]
        rsb lr, lr, #0
        lsl r12, r12, #1
        "
    };
}

/// Those of the second one; the output goes on to it. r2 and r3 are free.
macro_rules! second_multiplier {
    () => {
        "ldrd r2, r3, [sp, #16]
        ldr r12, [sp, #44]
        add r2, r2, r3
        ldrsb lr, [r2]
        ldr r12, [r12, r2, lsl #2]
        add r2, r2, r3
        str r2, [sp, #16]
        rsb lr, lr, #0
        lsl r12, r12, #1
        add r10, r10, #1
        "
    };
}

/// Four pixels of a channel; `$free` is free.
macro_rules! multiply_pixels {
    ($sat:literal, $bits:literal, [$a:literal, $b:literal, $c:literal, $d:literal], $free:literal) => {
        concat!(
            product!($a, "r12", "lr", "r1", $sat, $bits),
            concat!("strb ", $a, ", [r10]\n"),
            product!($b, "r12", "lr", "r1", $sat, $bits),
            concat!("strb ", $b, ", [r10, r11]\n"),
            product!($c, "r12", "lr", "r1", $sat, $bits),
            concat!("strb ", $c, ", [r10, r11, lsl #1]\n add ", $free, ", r10, r11\n"),
            product!($d, "r12", "lr", "r1", $sat, $bits),
            concat!("strb ", $d, ", [", $free, ", r11, lsl #1]\n"),
        )
    };
}

macro_rules! multiply4 {
    ($sat:literal, $bits:literal) => {
        concat!(
            first_multiplier!(),
            multiply_pixels!($sat, $bits, ["r2", "r3", "r4", "r5"], "r2"),
            second_multiplier!(),
            multiply_pixels!($sat, $bits, ["r6", "r7", "r8", "r9"], "r2"),
            "add r10, r10, #1
            str r10, [sp, #24]
            "
        )
    };
}

macro_rules! multiply1 {
    ($sat:literal, $bits:literal) => {
        concat!(
            first_multiplier!(),
            product!("r2", "r12", "lr", "r1", $sat, $bits),
            "strb r2, [r10]\n",
            second_multiplier!(),
            product!("r6", "r12", "lr", "r1", $sat, $bits),
            "strb r6, [r10], #1
            str r10, [sp, #24]
            "
        )
    };
}

/// 33 instructions for 8 codes by shifts, 71 by multipliers.
const SHIFT_ENDS4: Ends = [shift4_signed8, shift4_unsigned7, shift4_unsigned8, accumulators4];
const MULTIPLY_ENDS4: Ends = [multiply4_signed8, multiply4_unsigned7, multiply4_unsigned8, accumulators4];

const SHIFT_ENDS1: Ends = [shift1_signed8, shift1_unsigned7, shift1_unsigned8, accumulators1];
const MULTIPLY_ENDS1: Ends = [multiply1_signed8, multiply1_unsigned7, multiply1_unsigned8, accumulators1];

end_of_loop!(shift4_signed8, 40, shift4!("ssat", 8));
end_of_loop!(shift4_unsigned7, 40, shift4!("usat", 7));
end_of_loop!(shift4_unsigned8, 40, shift4!("usat", 8));
end_of_loop!(shift1_signed8, 40, shift1!("ssat", 8));
end_of_loop!(shift1_unsigned7, 40, shift1!("usat", 7));
end_of_loop!(shift1_unsigned8, 40, shift1!("usat", 8));
end_of_loop!(multiply4_signed8, 40, multiply4!("ssat", 8));
end_of_loop!(multiply4_unsigned7, 40, multiply4!("usat", 7));
end_of_loop!(multiply4_unsigned8, 40, multiply4!("usat", 8));
end_of_loop!(multiply1_signed8, 40, multiply1!("ssat", 8));
end_of_loop!(multiply1_unsigned7, 40, multiply1!("usat", 7));
end_of_loop!(multiply1_unsigned8, 40, multiply1!("usat", 8));
end_of_loop!(
    accumulators4,
    40,
    "ldr r10, [sp, #24]
    stm r10!, {{r2-r9}}
    str r10, [sp, #24]"
);
end_of_loop!(
    accumulators1,
    40,
    "ldr r10, [sp, #24]
    str r2, [r10], #4
    str r6, [r10], #4
    str r10, [sp, #24]"
);

/// One function over a tile.
///
/// r0 weights, r1 columns, r2 to r5 accumulators of the first channel, r6 to r9 of the second one, r10 and r11 inputs,
/// r12 and lr weights. On the stack: biases, their end, columns, theirs, shifts, their step, output, pitch, where a pair enters
/// the loop, where it ends, where the end goes on, multipliers, zero point. The loop holds `1 << quads_log2` quads and is entered
/// behind those that are too many; of four pixels with weights of 8 or 4 bits, behind the step that a pair starts with.
///
/// What bounds it: of the 12 instructions of a step with four pixels and joined weights 8 multiply, 3 load and 1 widens; with those
/// that are not joined it is one more that widens, with weights of 16 bits none. Of the 10 of a quad with one pixel 4 multiply, 2 load
/// and 4 widen, joined 2; with weights of 16 bits, of 6, 2 load. A Cortex-M4 takes a cycle more for each LDR, and two more for an
/// LDM of two registers; it has no branch from quad to quad.
macro_rules! tile {
    ($name:ident, quads_log2: $quads_log2:literal, quad: $quad:expr, quad_bytes: $quad_bytes:literal,
     column_log2: $log2:literal, start: $start:expr, start_bytes: $start_bytes:literal, check: $check:expr,
     leave: $leave:expr) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const Arguments) {
            naked_asm!(
                cpu!(),
                "push {{r4-r11, lr}}
                ldm r0, {{r1-r12}}
                sub sp, #52
                stm sp, {{r2-r9}}
                strd r11, r12, [sp, #44]
                sub r11, r5, r4",
                concat!("lsr r11, r11, #", $log2),
                "rsb r11, r11, #0",
                concat!("ubfx r11, r11, #0, #", $quads_log2),
                concat!("mov r3, #", $quad_bytes),
                "adr.w lr, 2f
                mla r11, r11, r3, lr",
                concat!("add r11, r11, #", $start_bytes, " + 1"),
                "adr.w lr, 3f
                orr lr, lr, #1
                strd r11, r10, [sp, #32]
                str lr, [sp, #40]
                mov r0, r1
                mov r10, r2
                1:
                ldr r2, [r10], #4
                ldr r6, [r10], #4
                str r10, [sp]
                ldr r1, [sp, #8]",
                $start,
                "ldr pc, [sp, #32]
                .p2align 2
                2:",
                concat!(".rept 1 << ", $quads_log2),
                $quad,
                ".endr",
                $check,
                "bne.w 2b",
                $leave,
                "ldr pc, [sp, #36]
                .p2align 2
                3:
                ldrd r10, r11, [sp]
                cmp r10, r11
                bne.w 1b
                add sp, #52
                pop {{r4-r11, pc}}",
            )
        }
    };
}

/// Whether a loop with four pixels, which uses every register, is at the end of its columns.
macro_rules! column_end4 {
    () => {
        "ldr r10, [sp, #12]
        cmp r1, r10
        "
    };
}

/// With one pixel r9 is free for that end.
macro_rules! keep_column_end {
    () => {
        "ldr r9, [sp, #12]
        "
    };
}

macro_rules! column_end1 {
    () => {
        "cmp r1, r9
        "
    };
}

tile!(
    tile4_joined,
    quads_log2: 2,
    quad: concat!(joined_weights!(), products4!("lr", "r12"), joined_weights!(), products4!("lr", "r12")),
    quad_bytes: 96,
    column_log2: 5,
    start: concat!(join_start!(), joined_weights!(), first_products4!("lr", "r12")),
    start_bytes: 48,
    check: column_end4!(),
    leave: part4!()
);

tile!(
    tile4_bits8,
    quads_log2: 2,
    quad: concat!(weights8!(), products4!("lr", "r12"), weights8!(), products4!("lr", "r12")),
    quad_bytes: 104,
    column_log2: 5,
    start: concat!(weights8!(), first_products4!("lr", "r12")),
    start_bytes: 52,
    check: column_end4!(),
    leave: ""
);

tile!(
    tile4_bits4,
    quads_log2: 2,
    quad: concat!(weights4_low!(), products4!("lr", "r12"), weights4_high!(), products4!("lr", "r12")),
    quad_bytes: 116,
    column_log2: 5,
    start: concat!(scale_start!(), weights4_low!(), first_products4!("lr", "r12")),
    start_bytes: 60,
    check: column_end4!(),
    leave: unscale4!()
);

tile!(
    tile4_bits16,
    quads_log2: 2,
    quad: concat!(two_words!(), products4!("r12", "lr"), two_words!(), products4!("r12", "lr")),
    quad_bytes: 88,
    column_log2: 5,
    start: copies4!(),
    start_bytes: 0,
    check: column_end4!(),
    leave: ""
);

tile!(
    tile1_joined,
    quads_log2: 2,
    quad: concat!(columns1!(), two_words!(), joined1!("r12", "r10"), joined1!("lr", "r11")),
    quad_bytes: 32,
    column_log2: 3,
    start: concat!(join_start!(), keep_column_end!()),
    start_bytes: 0,
    check: column_end1!(),
    leave: part1!()
);

tile!(
    tile1_bits8,
    quads_log2: 2,
    quad: concat!(columns1!(), quad1_bits8!()),
    quad_bytes: 40,
    column_log2: 3,
    start: keep_column_end!(),
    start_bytes: 0,
    check: column_end1!(),
    leave: ""
);

tile!(
    tile1_bits4,
    quads_log2: 2,
    quad: concat!(columns1!(), quad1_bits4!()),
    quad_bytes: 52,
    column_log2: 3,
    start: concat!(scale_start!(), keep_column_end!()),
    start_bytes: 0,
    check: column_end1!(),
    leave: unscale1!()
);

tile!(
    tile1_bits16,
    quads_log2: 2,
    quad: concat!(
        columns1!(),
        "ldm r0!, {{r3, r4, r12, lr}}
        ",
        products1!("r10", "r3", "r4"),
        products1!("r11", "r12", "lr")
    ),
    quad_bytes: 24,
    column_log2: 3,
    start: keep_column_end!(),
    start_bytes: 0,
    check: column_end1!(),
    leave: ""
);

/// A loop over codes where they lie: its columns are the codes but for the last one to four, which are in the place of the pitch.
///
/// What bounds it: of the 12 instructions of a quad 4 multiply, 2 load, 6 widen; with weights of 4 bits, of 15, 9 widen; of the 8 of a
/// single channel 2 multiply, 2 load, 4 widen.
macro_rules! dot {
    ($name:ident, $extend:literal, quad: $quad:expr, quad_bytes: $quad_bytes:literal, start: $start:expr, leave: $leave:expr) => {
        tile!(
            $name,
            quads_log2: 2,
            quad: concat!("ldr r11, [r1], #4\n", codes1!($extend), $quad),
            quad_bytes: $quad_bytes,
            column_log2: 2,
            start: concat!($start, keep_column_end!()),
            start_bytes: 0,
            check: column_end1!(),
            leave: concat!("ldr r11, [sp, #28]\n", codes1!($extend), $quad, $leave)
        );
    };
}

dot!(dot_i8_bits8, "sxtb16", quad: quad1_bits8!(), quad_bytes: 48, start: "", leave: "");
dot!(dot_u8_bits8, "uxtb16", quad: quad1_bits8!(), quad_bytes: 48, start: "", leave: "");
dot!(dot_i8_single, "sxtb16", quad: quad1_single!(), quad_bytes: 32, start: "", leave: "");
dot!(dot_u8_single, "uxtb16", quad: quad1_single!(), quad_bytes: 32, start: "", leave: "");
dot!(dot_i8_bits4, "sxtb16", quad: quad1_bits4!(), quad_bytes: 60, start: scale_start!(), leave: unscale1!());
dot!(dot_u8_bits4, "uxtb16", quad: quad1_bits4!(), quad_bytes: 60, start: scale_start!(), leave: unscale1!());

/// A quad of bytes with a sign, or without, as two words into r12 and lr; the source goes on.
macro_rules! quad_of_bytes {
    ($extend:literal) => {
        concat!("ldr lr, [r0], #4\n", $extend, " r12, lr\n", $extend, " lr, lr, ror #8\n")
    };
}

/// A quad of two bytes each; r5 is free.
macro_rules! quad_of_halves {
    () => {
        "ldr r5, [r0], #4
        ldr lr, [r0], #4
        pkhbt r12, r5, lr, lsl #16
        pkhtb lr, lr, r5, asr #16
        "
    };
}

/// One function over a run: r0 source, r1 target, r2 quads before, r3 inside, r4 behind; r6 zeros, r7 bytes from word to word.
///
/// What bounds it: of the 8 instructions of a quad of bytes 1 loads, 2 widen, 2 store, 1 branches; of two bytes each, of 9, 2 load. Two
/// less where one word is behind the other; 5 for a quad of padding, of which 2 store.
macro_rules! run {
    ($name:ident, $quad:expr) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            source: *const u8,
            target: *mut u32,
            before: usize,
            inside: usize,
            behind: usize,
            zeros: u32,
            stride: usize,
        ) {
            naked_asm!(
                cpu!(),
                "push {{r4-r7, lr}}
                ldrd r4, r6, [sp, #20]
                ldr r7, [sp, #28]
                cbz r2, 3f
                2:
                str r6, [r1]
                str r6, [r1, r7]
                add r1, r1, r7, lsl #1
                subs r2, #1
                bne 2b
                3:
                cbz r3, 5f
                cmp r7, #4
                beq 6f
                4:",
                $quad,
                "str r12, [r1]
                str lr, [r1, r7]
                add r1, r1, r7, lsl #1
                subs r3, #1
                bne 4b
                5:
                movs r2, r4
                mov r4, r3
                bne 2b
                pop {{r4-r7, pc}}
                6:",
                $quad,
                "stm r1!, {{r12, lr}}
                subs r3, #1
                bne 6b
                b 5b",
            )
        }
    };
}

run!(run_i8, quad_of_bytes!("sxtb16"));
run!(run_u8, quad_of_bytes!("uxtb16"));
run!(run_i16, quad_of_halves!());

/// Runs the loop over windows that [`super::instructions::widen_windows`] has checked.
#[inline]
pub(super) fn widen_windows<const LINKS: Links>(windows: Windows<'_>, last: usize, target: &mut [u32]) {
    let Windows { element, bytes, starts, step, rows, quads } = windows;
    let (source, target, skip) = (bytes.as_ptr(), target.as_mut_ptr(), step.wrapping_sub(4 * quads));
    // SAFETY: all rows of windows up to the last start lie in the source, and the target has a word for each two of their codes.
    unsafe {
        match element {
            Element::I8 if Element::I8.is_in(LINKS) => {
                widen_windows_i8(starts.as_ptr(), target, quads, rows, source, skip, last);
            }
            Element::U8 if Element::U8.is_in(LINKS) => {
                widen_windows_u8(starts.as_ptr(), target, quads, rows, source, skip, last);
            }
            Element::I16 if Element::I16.is_in(LINKS) => {
                for (pixel, start) in starts.iter().enumerate() {
                    for row in 0..rows {
                        let source = source.wrapping_add(last.min(*start) + row * step);
                        let target = target.wrapping_add(pixel + row * 2 * CONV_COLUMNS * quads);
                        run_i16(source, target, 0, quads, 0, 0, 4 * CONV_COLUMNS);
                    }
                }
            }
            _ => {}
        }
    }
}

/// One function over the rows of four windows: r0, r2, r3, r12 where each goes on, r1 target, r4 to r11 codes, lr quads. On the
/// stack: quads of a row, rows; then, as it was told, the source, from the end of a row to the next one, and the last start.
///
/// What bounds it: of the 16 instructions of 16 codes 4 load, 8 widen, 2 store four words each, 1 branches.
macro_rules! widen_windows {
    ($name:ident, $extend:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            starts: *const usize,
            target: *mut u32,
            quads: usize,
            rows: usize,
            source: *const u8,
            skip: usize,
            last: usize,
        ) {
            naked_asm!(
                cpu!(),
                "push {{r2-r11, lr}}
                ldm r0, {{r0, r2, r3, r12}}
                ldr r4, [sp, #52]
                cmp r0, r4
                it hi
                movhi r0, r4
                cmp r2, r4
                it hi
                movhi r2, r4
                cmp r3, r4
                it hi
                movhi r3, r4
                cmp r12, r4
                it hi
                movhi r12, r4
                ldr lr, [sp, #44]
                add r0, r0, lr
                add r2, r2, lr
                add r3, r3, lr
                add r12, r12, lr
                1:
                ldr lr, [sp]
                2:
                ldr r4, [r0], #4
                ldr r5, [r2], #4
                ldr r6, [r3], #4
                ldr r7, [r12], #4",
                concat!($extend, " r8, r4\n", $extend, " r9, r5\n", $extend, " r10, r6\n", $extend, " r11, r7"),
                concat!($extend, " r4, r4, ror #8\n", $extend, " r5, r5, ror #8"),
                concat!($extend, " r6, r6, ror #8\n", $extend, " r7, r7, ror #8"),
                "stm r1!, {{r8-r11}}
                stm r1!, {{r4-r7}}
                subs lr, #1
                bne 2b
                ldr r4, [sp, #48]
                add r0, r0, r4
                add r2, r2, r4
                add r3, r3, r4
                add r12, r12, r4
                ldr r4, [sp, #4]
                subs r4, #1
                str r4, [sp, #4]
                bne 1b
                pop {{r2-r11, pc}}",
            )
        }
    };
}

widen_windows!(widen_windows_i8, "sxtb16");
widen_windows!(widen_windows_u8, "uxtb16");

/// What the depthwise loop is told, in the order in which it loads it.
#[repr(C)]
struct DepthwiseArguments {
    input: *const u8,
    weights: *const u8,
    bias: *const u8,
    shifts: *const u8,
    shift_step: usize,
    output: *mut u8,
    quads: usize,
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
    weights_row_skip: usize,
    weights_quad_step: usize,
    end: EndOfLoop,
    multipliers: usize,
    zero: i32,
    /// Channels of the last four that were computed before.
    step_back: usize,
}

/// Runs the loop over one pixel that [`Taps::is_consistent`](super::taps::Taps::is_consistent).
#[inline]
pub(super) fn depthwise<const LINKS: Links>(taps: Taps<'_>) {
    let arguments = DepthwiseArguments {
        input: taps.input.as_ptr(),
        weights: taps.weights.as_ptr(),
        bias: taps.bias.as_ptr(),
        shifts: taps.scale.shifts.as_ptr(),
        shift_step: taps.scale.step,
        quads: taps.channels() / 4,
        output: taps.output.as_mut_ptr(),
        rows: taps.rows,
        columns: taps.columns,
        row_step: taps.row_step,
        column_step: taps.column_step,
        weights_row_skip: 8 * (taps.kernel_w - taps.columns),
        weights_quad_step: 8 * taps.kernel_w * taps.kernel_h,
        end: end_of::<LINKS>(&SHIFT_ENDS_OF_QUAD, &MULTIPLY_ENDS_OF_QUAD, &taps.scale, taps.end),
        multipliers: multipliers_of(&taps.scale),
        zero: taps.scale.zero,
        step_back: if Detail::LastQuad.is_in(LINKS) { taps.channels().wrapping_neg() % 4 } else { 0 },
    };
    let arguments = &raw const arguments;
    // SAFETY: the taps are consistent: every channel has its bias, its entry of the scale or the one, its weights, room for what is written
    // of it, and all its inputs; and there are four at least.
    unsafe {
        match taps.signed {
            true if Element::I8.is_in(LINKS) => depthwise_i8(arguments),
            false if Element::U8.is_in(LINKS) => depthwise_u8(arguments),
            _ => {}
        }
    }
}

/// One tap of four channels; the input is at `$address`.
macro_rules! tap {
    ($extend:literal, $address:literal) => {
        concat!(
            "ldr r8, ",
            $address,
            "\n",
            "ldr r10, [r1], #4\n ldr r11, [r1], #4\n",
            $extend,
            " r9, r8\n",
            $extend,
            " r8, r8, ror #8\n",
            "smlabb r4, r9, r10, r4
            smlatt r6, r9, r10, r6
            smlabb r5, r8, r11, r5
            smlatt r7, r8, r11, r7
            "
        )
    };
}

/// Stores four channels.
macro_rules! store_quad {
    () => {
        "ldr r10, [sp, #20]
        strb r5, [r10, #1]
        strb r6, [r10, #2]
        strb r7, [r10, #3]
        strb r4, [r10], #4
        str r10, [sp, #20]
        "
    };
}

/// Shifts, saturates and stores four channels.
macro_rules! shift_quad {
    ($sat:literal, $bits:literal) => {
        concat!(
            "ldr r10, [sp, #12]
            ldr r11, [sp, #16]
            ldrb r8, [r10]
            ldrb r9, [r10, r11]
            asr r4, r4, r8
            asr r5, r5, r9
            add r10, r10, r11, lsl #1
            ldrb r8, [r10]
            ldrb r9, [r10, r11]
            asr r6, r6, r8
            asr r7, r7, r9
            add r10, r10, r11, lsl #1
            str r10, [sp, #12]
            ",
            concat!($sat, " r4, #", $bits, ", r4\n", $sat, " r5, #", $bits, ", r5\n"),
            concat!($sat, " r6, #", $bits, ", r6\n", $sat, " r7, #", $bits, ", r7\n"),
            store_quad!()
        )
    };
}

/// Multiplies, shifts and saturates the next channel.
macro_rules! multiply_channel {
    ($acc:literal, $sat:literal, $bits:literal) => {
        concat!(
            "ldrsb lr, [r10]
            ldr r12, [r9, r10, lsl #2]
            rsb lr, lr, #0
            lsl r12, r12, #1
            add r10, r10, r11
            ",
            product!($acc, "r12", "lr", "r8", $sat, $bits)
        )
    };
}

macro_rules! multiply_quad {
    ($sat:literal, $bits:literal) => {
        concat!(
            "ldr r10, [sp, #12]
            ldr r11, [sp, #16]
            ldrd r9, r8, [sp, #60]
            ",
            multiply_channel!("r4", $sat, $bits),
            multiply_channel!("r5", $sat, $bits),
            multiply_channel!("r6", $sat, $bits),
            multiply_channel!("r7", $sat, $bits),
            "str r10, [sp, #12]
            ",
            store_quad!()
        )
    };
}

const SHIFT_ENDS_OF_QUAD: Ends = [shift_quad_signed8, shift_quad_unsigned7, shift_quad_unsigned8, accumulators_of_quad];
const MULTIPLY_ENDS_OF_QUAD: Ends =
    [multiply_quad_signed8, multiply_quad_unsigned7, multiply_quad_unsigned8, accumulators_of_quad];

end_of_loop!(shift_quad_signed8, 56, shift_quad!("ssat", 8));
end_of_loop!(shift_quad_unsigned7, 56, shift_quad!("usat", 7));
end_of_loop!(shift_quad_unsigned8, 56, shift_quad!("usat", 8));
end_of_loop!(multiply_quad_signed8, 56, multiply_quad!("ssat", 8));
end_of_loop!(multiply_quad_unsigned7, 56, multiply_quad!("usat", 7));
end_of_loop!(multiply_quad_unsigned8, 56, multiply_quad!("usat", 8));
end_of_loop!(
    accumulators_of_quad,
    56,
    "ldr r10, [sp, #20]
    stm r10!, {{r4-r7}}
    str r10, [sp, #20]"
);

/// One function over the quads of channels of a pixel.
///
/// r0 input, r1 weights, r2 step from column to column, r3 rows, r4 to r7 accumulators, r8 and r9 inputs, r10 and r11 weights,
/// r12 row of the input, lr columns. On the stack: what it was told, and before the last three where the end goes on.
///
/// What bounds it: of the 9 instructions of a tap with four channels 4 multiply, 3 load and 2 widen.
macro_rules! depthwise {
    ($name:ident, $extend:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const DepthwiseArguments) {
            naked_asm!(
                cpu!(),
                "push {{r4-r11, lr}}
                sub sp, #76
                ldm r0!, {{r1-r7}}
                stm sp, {{r1-r7}}
                ldm r0, {{r1-r10}}
                add lr, sp, #28
                stm lr, {{r1-r7}}
                strd r8, r9, [sp, #60]
                str r10, [sp, #68]
                adr.w lr, 6f
                orr lr, lr, #1
                str lr, [sp, #56]
                1:
                ldr r9, [sp, #8]
                ldr r4, [r9], #4
                ldr r5, [r9], #4
                ldr r6, [r9], #4
                ldr r7, [r9], #4
                str r9, [sp, #8]
                ldr r12, [sp]
                add r9, r12, #4
                str r9, [sp]
                ldr r1, [sp, #4]
                ldr r9, [sp, #48]
                add r9, r9, r1
                str r9, [sp, #4]
                ldr r2, [sp, #40]
                ldr r3, [sp, #28]
                2:
                ldr lr, [sp, #32]
                cmp lr, #3
                bne 3f",
                tap!($extend, "[r12]"),
                tap!($extend, "[r12, r2]"),
                tap!($extend, "[r12, r2, lsl #1]"),
                "b 5f
                3:
                mov r0, r12
                4:",
                tap!($extend, "[r0]"),
                "add r0, r0, r2
                subs lr, #1
                bne 4b
                5:
                ldr r8, [sp, #44]
                ldr r9, [sp, #36]
                add r1, r1, r8
                add r12, r12, r9
                subs r3, #1
                bne.w 2b
                ldr pc, [sp, #52]
                .p2align 2
                6:
                ldr r10, [sp, #24]
                subs r10, #1
                str r10, [sp, #24]
                bne.w 1b
                ldr r9, [sp, #68]
                cmp r9, #0
                beq 7f
                str r10, [sp, #68]
                mov r10, #1
                str r10, [sp, #24]
                ldrd r10, r11, [sp, #8]
                ldr r8, [sp, #16]
                sub r10, r10, r9, lsl #2
                mls r11, r9, r8, r11
                strd r10, r11, [sp, #8]
                ldr r10, [sp]
                ldr r11, [sp, #20]
                sub r10, r10, r9
                sub r11, r11, r9
                str r10, [sp]
                str r11, [sp, #20]
                b.w 1b
                7:
                add sp, #76
                pop {{r4-r11, pc}}",
            )
        }
    };
}

depthwise!(depthwise_i8, "sxtb16");
depthwise!(depthwise_u8, "uxtb16");

/// What the pairing of rows is told, in the order in which it loads it.
#[repr(C)]
struct PairArguments {
    first: *const u8,
    second: *const u8,
    first_pitch: usize,
    second_pitch: usize,
    count: usize,
    above: *mut u32,
    below: *mut u32,
}

impl PairArguments {
    /// Of codes that begin at `codes`.
    #[inline]
    fn new(rows: &TwoRows<'_>, codes: *const u8, above: *mut u32, below: *mut u32) -> Self {
        let place = |row: Row<'_>| match row {
            Row::At(start) => (codes.wrapping_add(start), rows.pitch),
            Row::Padding(pixel) => (pixel.as_ptr(), 0),
        };
        let ((first, first_pitch), (second, second_pitch)) = (place(rows.first), place(rows.second));
        Self { first, second, first_pitch, second_pitch, count: rows.count, above, below }
    }
}

/// Pairs rows that [`super::instructions::pair_rows`] has checked.
#[inline]
pub(super) fn pair_rows<const LINKS: Links>(rows: &TwoRows<'_>, codes: &[u8], above: &mut [u32], below: &mut [u32]) {
    let arguments = PairArguments::new(rows, codes.as_ptr(), above.as_mut_ptr(), below.as_mut_ptr());
    let arguments = &raw const arguments;
    // SAFETY: every pixel has four bytes in its row, or all pixels of padding have the same four, and seven words from its
    // column's first on in both targets.
    unsafe {
        match rows.signed {
            true if Element::I8.is_in(LINKS) => pair_i8(arguments),
            false if Element::U8.is_in(LINKS) => pair_u8(arguments),
            _ => {}
        }
    }
}

/// One function over the pixels of two rows: r0 and r1 rows, r2 and r3 their pitches, r4 pixels, r5 and r6 targets; r7 to r12
/// codes.
///
/// What bounds it: of the 20 instructions of the 8 codes of a column 2 load, 6 pair or widen, 8 store, 1 branches.
macro_rules! pair {
    ($name:ident, $extend:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const PairArguments) {
            naked_asm!(
                cpu!(),
                "push {{r4-r11, lr}}
                ldm r0, {{r0-r6}}
                1:
                ldr r7, [r0]
                add r0, r0, r2
                ldr r8, [r1]
                add r1, r1, r3",
                "pkhbt r9, r7, r8, lsl #16
                pkhtb r7, r8, r7, asr #16",
                concat!($extend, " r11, r9\n", $extend, " r12, r9, ror #8"),
                concat!($extend, " r9, r7\n", $extend, " r7, r7, ror #8"),
                "str r11, [r5], #32
                str r12, [r5, #-24]
                str r9, [r5, #-16]
                str r7, [r5, #-8]
                str r11, [r6], #32
                str r12, [r6, #-24]
                str r9, [r6, #-16]
                str r7, [r6, #-8]
                subs r4, #1
                bne 1b
                pop {{r4-r11, pc}}",
            )
        }
    };
}

pair!(pair_i8, "sxtb16");
pair!(pair_u8, "uxtb16");

/// Pairs the taps of four channels.
#[inline]
pub(super) fn pair_taps(taps: &[u8; QUAD_TAP_BYTES], records: &mut [u32; QUAD_WORDS]) {
    // SAFETY: it reads and writes what both hold.
    unsafe { taps_to_records(taps.as_ptr(), records.as_mut_ptr()) }
}

/// A column of the kernel of two channels: the taps of its three rows, then both records.
macro_rules! column_of_taps {
    ([$top:literal, $middle:literal, $bottom:literal], [$first:literal, $second:literal]) => {
        concat!(
            concat!("ldr r2, [r0, #", $top, "]\n ldr r3, [r0, #", $middle, "]\n ldr r4, [r0, #", $bottom, "]\n"),
            "pkhbt r5, r2, r3, lsl #16
            pkhbt r6, r3, r4, lsl #16
            pkhtb r2, r3, r2, asr #16
            pkhtb r3, r4, r3, asr #16
            ",
            concat!("strd r5, r6, [r1, #", $first, "]\n strd r2, r3, [r1, #", $second, "]\n"),
        )
    };
}

/// r0 taps, r1 records, r2 to r6 taps, r12 columns. 22 instructions for a column of four channels.
#[unsafe(naked)]
unsafe extern "C" fn taps_to_records(taps: *const u8, records: *mut u32) {
    naked_asm!(
        cpu!(),
        "push {{r4-r6, lr}}
        mov r12, #3
        1:",
        column_of_taps!(["0", "24", "48"], ["0", "72"]),
        column_of_taps!(["4", "28", "52"], ["36", "108"]),
        "add r0, #8
        add r1, #8
        subs r12, #1
        bne 1b
        pop {{r4-r6, pc}}",
    )
}

/// What the loop over two rows is told, in the order in which it loads it.
#[repr(C)]
struct StripArguments {
    records: *const u32,
    records_end: *const u32,
    columns: *const u32,
    columns_end: *const u32,
    output: *mut u8,
    row_pitch: usize,
    /// From the end of one channel to the start of the next one, back: in the columns, in the output.
    columns_back: usize,
    output_back: usize,
    zero: i32,
}

/// What the loop over strips is told; its parts are those of the loops that it calls.
#[repr(C)]
struct StripsArguments {
    pair: PairArguments,
    strip: StripArguments,
    rows_advance: usize,
    output_advance: usize,
    count: usize,
}

/// Runs the loop over strips that [`super::instructions::run_strips`] has checked.
#[inline]
pub(super) fn run_strips<const LINKS: Links>(strips: Strips<'_>) {
    let records = strips.records.as_slice().as_ptr_range();
    let (this, next) = (strips.this.as_mut_ptr(), strips.next.as_mut_ptr());
    let output = strips.output.as_mut_ptr();
    let codes = match strips.input {
        First::InPlace => output.cast_const(),
        First::Apart(codes) => codes.as_ptr(),
    };
    let (above, below) = (this.wrapping_add(strips.left + 1), next.wrapping_add(strips.left));
    let mut arguments = StripsArguments {
        pair: PairArguments::new(&strips.rows, codes, above, below),
        strip: StripArguments {
            records: records.start,
            records_end: records.end,
            columns: this,
            columns_end: this.wrapping_add(COLUMN_WORDS * strips.width),
            output: output.wrapping_add(strips.start),
            row_pitch: strips.row_pitch,
            columns_back: 4 * COLUMN_WORDS * strips.width - 8,
            output_back: strips.channels * strips.width - 1,
            zero: strips.zero,
        },
        rows_advance: strips.rows_advance,
        output_advance: 2 * strips.row_pitch,
        count: strips.count,
    };
    let arguments = &raw mut arguments;
    let affine = multiplies::<LINKS>(strips.multiplies);
    // SAFETY: of every strip there are both rows, four bytes a pixel, and room for two rows of the output, which may lie over the
    // input: pointers to it come from that of the output. Both buffers hold the columns of all pixels and two more, and there
    // are the records of four channels.
    unsafe {
        match (strips.rows.signed, strips.end) {
            (true, end) if Element::I8.is_in(LINKS) => match end {
                End::Signed8 if affine && Detail::Signed8.is_in(LINKS) => strips_i8_multiply_signed8(arguments),
                End::Unsigned7 if affine && Detail::Unsigned7.is_in(LINKS) => strips_i8_multiply_unsigned7(arguments),
                End::Unsigned8 if affine && Detail::Unsigned8.is_in(LINKS) => strips_i8_multiply_unsigned8(arguments),
                End::Signed8 if Detail::Signed8.is_in(LINKS) => strips_i8_signed8(arguments),
                End::Unsigned7 if Detail::Unsigned7.is_in(LINKS) => strips_i8_unsigned7(arguments),
                End::Unsigned8 if Detail::Unsigned8.is_in(LINKS) => strips_i8_unsigned8(arguments),
                _ => {}
            },
            (false, end) if Element::U8.is_in(LINKS) => match end {
                End::Signed8 if affine && Detail::Signed8.is_in(LINKS) => strips_u8_multiply_signed8(arguments),
                End::Unsigned7 if affine && Detail::Unsigned7.is_in(LINKS) => strips_u8_multiply_unsigned7(arguments),
                End::Unsigned8 if affine && Detail::Unsigned8.is_in(LINKS) => strips_u8_multiply_unsigned8(arguments),
                End::Signed8 if Detail::Signed8.is_in(LINKS) => strips_u8_signed8(arguments),
                End::Unsigned7 if Detail::Unsigned7.is_in(LINKS) => strips_u8_unsigned7(arguments),
                End::Unsigned8 if Detail::Unsigned8.is_in(LINKS) => strips_u8_unsigned8(arguments),
                _ => {}
            },
            _ => {}
        }
    }
}

/// One function over strips: pairs two rows, runs the loop over them, and lets the buffers change places.
macro_rules! strips {
    ($name:ident, $pair:ident, $strip:ident) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *mut StripsArguments) {
            naked_asm!(
                cpu!(),
                "push {{r4, lr}}
                mov r4, r0
                1:
                mov r0, r4
                bl {pair}
                add r0, r4, #28
                bl {strip}
                ldr r0, [r4, #64]
                ldrd r1, r2, [r4]
                add r1, r1, r0
                add r2, r2, r0
                strd r1, r2, [r4]
                ldrd r1, r2, [r4, #20]
                sub r0, r2, r1
                add r0, r0, #4
                add r2, r2, #4
                sub r1, r1, #4
                strd r2, r1, [r4, #20]
                ldrd r1, r2, [r4, #36]
                add r1, r1, r0
                add r2, r2, r0
                strd r1, r2, [r4, #36]
                ldr r1, [r4, #44]
                ldr r2, [r4, #68]
                add r1, r1, r2
                str r1, [r4, #44]
                ldr r1, [r4, #72]
                subs r1, #1
                str r1, [r4, #72]
                bne 1b
                pop {{r4, pc}}",
                pair = sym $pair,
                strip = sym $strip,
            )
        }
    };
}

strips!(strips_i8_signed8, pair_i8, strip_signed8);
strips!(strips_i8_unsigned7, pair_i8, strip_unsigned7);
strips!(strips_i8_unsigned8, pair_i8, strip_unsigned8);
strips!(strips_u8_signed8, pair_u8, strip_signed8);
strips!(strips_u8_unsigned7, pair_u8, strip_unsigned7);
strips!(strips_u8_unsigned8, pair_u8, strip_unsigned8);
strips!(strips_i8_multiply_signed8, pair_i8, strip_multiply_signed8);
strips!(strips_i8_multiply_unsigned7, pair_i8, strip_multiply_unsigned7);
strips!(strips_i8_multiply_unsigned8, pair_i8, strip_multiply_unsigned8);
strips!(strips_u8_multiply_signed8, pair_u8, strip_multiply_signed8);
strips!(strips_u8_multiply_unsigned7, pair_u8, strip_multiply_unsigned7);
strips!(strips_u8_multiply_unsigned8, pair_u8, strip_multiply_unsigned8);

/// One function over two rows of four channels.
///
/// r0 to r5 taps, r6 and r7 accumulators of the two rows, r8 and r9 pairs of inputs, r10 column, r11 output, r12 bytes from
/// one pixel of the output to the next in its upper bits and the shift in its lowest byte, lr from the first row to the second.
/// On the stack: bias, multiplier, zero point, end of the columns, where a row enters the loop, both ways back, records, their
/// end. The loop holds four columns and is entered behind those that are too many.
///
/// What bounds it: of the 23 instructions of two outputs 12 multiply for 18 products, 3 load two words each, 2 store.
macro_rules! strip {
    ($name:ident, $end:expr, $pixel_bytes:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const StripArguments) {
            naked_asm!(
                cpu!(),
                "push {{r4-r11, lr}}
                sub sp, #36
                ldm r0, {{r1-r9}}
                strd r9, r4, [sp, #8]
                strd r7, r8, [sp, #20]
                str r2, [sp, #32]
                mov r8, r1
                mov r10, r3
                mov r11, r5
                mov lr, r6
                sub r4, r4, r3
                rsb r4, r4, #0
                ubfx r4, r4, #5, #2",
                concat!("mov r5, #", $pixel_bytes),
                "adr.w r9, 2f
                mla r9, r4, r5, r9
                orr r9, r9, #1
                str r9, [sp, #16]
                1:
                ldm r8!, {{r0-r7, r12}}
                strd r6, r7, [sp]
                str r8, [sp, #28]
                ldr pc, [sp, #16]
                .p2align 2
                2:
                .rept 4
                ldr.w r6, [sp]
                ldrd r8, r9, [r10], #32
                smlatb r7, r8, r0, r6
                smlad r6, r8, r0, r6
                smlabt r6, r9, r1, r6
                smlad r7, r9, r1, r7
                ldrd r8, r9, [r10]
                smlad r6, r8, r2, r6
                smlabt r6, r9, r3, r6
                smlatb r7, r8, r2, r7
                smlad r7, r9, r3, r7
                ldrd r8, r9, [r10, #32]
                smlad r6, r8, r4, r6
                smlabt r6, r9, r5, r6
                smlatb r7, r8, r4, r7
                smlad r7, r9, r5, r7",
                $end,
                "strb.w r7, [r11, lr]
                strb.w r6, [r11]
                add.w r11, r11, r12, lsr #8
                .endr
                ldr r8, [sp, #12]
                cmp r10, r8
                bne.w 2b
                add r8, #8
                str r8, [sp, #12]
                ldrd r8, r9, [sp, #20]
                sub r10, r10, r8
                sub r11, r11, r9
                ldrd r8, r9, [sp, #28]
                cmp r8, r9
                bne.w 1b
                add sp, #36
                pop {{r4-r11, pc}}",
            )
        }
    };
}

/// Shifts and saturates both rows.
macro_rules! shift_rows {
    ($sat:literal, $bits:literal) => {
        concat!(
            "asr.w r6, r6, r12\n asr.w r7, r7, r12\n",
            concat!($sat, " r6, #", $bits, ", r6\n", $sat, " r7, #", $bits, ", r7\n")
        )
    };
}

/// Multiplies, shifts and saturates them.
macro_rules! multiply_rows {
    ($sat:literal, $bits:literal) => {
        concat!(
            "ldrd r8, r9, [sp, #4]\n",
            product!("r6", "r8", "r12", "r9", $sat, $bits),
            product!("r7", "r8", "r12", "r9", $sat, $bits)
        )
    };
}

strip!(strip_signed8, shift_rows!("ssat", 8), 92);
strip!(strip_unsigned7, shift_rows!("usat", 7), 92);
strip!(strip_unsigned8, shift_rows!("usat", 8), 92);
strip!(strip_multiply_signed8, multiply_rows!("ssat", 8), 120);
strip!(strip_multiply_unsigned7, multiply_rows!("usat", 7), 120);
strip!(strip_multiply_unsigned8, multiply_rows!("usat", 8), 120);

/// What the addition is told, in the order in which it loads it.
#[repr(C)]
struct SumArguments {
    a: *const u8,
    b: *const u8,
    output: *mut u8,
    quads: usize,
    factors: u32,
    rounding: i32,
    right_shift: usize,
}

/// Runs the addition over quads that [`super::instructions::add`] has checked. The output may be `a`.
#[inline]
pub(super) fn add<const LINKS: Links>(sum: &Sum, a: &First<'_>, b: &[u8], output: &mut [u8], quads: usize) {
    let arguments = SumArguments {
        a: a.as_ptr(output),
        b: b.as_ptr(),
        output: output.as_mut_ptr(),
        quads,
        factors: sum.factors,
        rounding: sum.rounding,
        right_shift: sum.right_shift,
    };
    let arguments = &raw const arguments;
    // SAFETY: `a`, `b` and the output have four bytes for each quad; `a` is read before the output is written.
    unsafe {
        match (sum.signed, sum.end) {
            (true, End::Signed8) if Element::I8.is_in(LINKS) && Detail::Signed8.is_in(LINKS) => add_signed8(arguments),
            (true, End::Unsigned7) if Element::I8.is_in(LINKS) && Detail::Unsigned7.is_in(LINKS) => {
                add_unsigned7(arguments)
            }
            (false, _) if Element::U8.is_in(LINKS) && Detail::Unsigned8.is_in(LINKS) => add_unsigned8(arguments),
            _ => {}
        }
    }
}

/// Two of four sums: the lower and upper halves of r8 and r9, times the halves of r4.
macro_rules! two_sums {
    ($low:literal, $high:literal) => {
        concat!(
            "smlabb ",
            $low,
            ", r8, r4, r5\n",
            "smlatb ",
            $high,
            ", r8, r4, r5\n",
            "smlabt ",
            $low,
            ", r9, r4, ",
            $low,
            "\n",
            "smlatt ",
            $high,
            ", r9, r4, ",
            $high,
            "\n",
            "asr ",
            $low,
            ", ",
            $low,
            ", r6\n",
            "asr ",
            $high,
            ", ",
            $high,
            ", r6\n"
        )
    };
}

/// One function over quads of two tensors: r0 and r1 operands, r2 output, r3 quads, r4 factors, r5 rounding constant, r6 right
/// shift; r7 and r10 codes, r8 and r9 two of each, r11 and r12 sums.
///
/// What bounds it: of the 29 instructions of 4 sums 8 multiply, 2 load, 4 store, 4 widen, 8 shift or saturate, 1 branches.
macro_rules! add {
    ($name:ident, $extend:literal, $sat:literal, $bits:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const SumArguments) {
            naked_asm!(
                cpu!(),
                "push {{r4-r11, lr}}
                ldm r0, {{r0-r6}}
                1:
                ldr r7, [r0], #4
                ldr r10, [r1], #4",
                concat!($extend, " r8, r7\n", $extend, " r9, r10"),
                two_sums!("r11", "r12"),
                concat!($sat, " r11, #", $bits, ", r11\n", $sat, " r12, #", $bits, ", r12"),
                "strb r11, [r2]
                strb r12, [r2, #2]",
                concat!($extend, " r8, r7, ror #8\n", $extend, " r9, r10, ror #8"),
                two_sums!("r11", "r12"),
                concat!($sat, " r11, #", $bits, ", r11\n", $sat, " r12, #", $bits, ", r12"),
                "strb r11, [r2, #1]
                strb r12, [r2, #3]
                add r2, r2, #4
                subs r3, #1
                bne 1b
                pop {{r4-r11, pc}}",
            )
        }
    };
}

add!(add_signed8, "sxtb16", "ssat", 8);
add!(add_unsigned7, "sxtb16", "usat", 7);
add!(add_unsigned8, "uxtb16", "usat", 8);

/// What the addition in the affine scheme is told, in the order in which it loads it.
#[repr(C)]
struct ScaledSumArguments {
    narrow_zeros: u32,
    multiplier: i32,
    /// All bits where the right shift is one: half away from zero takes 1 from what is below it.
    below_zero: i32,
    rounding: i32,
    right_shift: u32,
    wide_zeros: u32,
    output_multiplier: i32,
    output_right_shift: u32,
    output_zero: i32,
}

/// Runs the addition over quads that [`super::instructions::add_scaled`] has checked. The output may be `a`.
#[inline]
pub(super) fn add_scaled<const LINKS: Links>(
    sum: &ScaledSum,
    a: &First<'_>,
    b: &[u8],
    output: &mut [u8],
    quads: usize,
) {
    let a = a.as_ptr(output);
    let (wide, narrow) = if sum.first_is_wide { (a, b.as_ptr()) } else { (b.as_ptr(), a) };
    let twice = |zero: i16| u32::from(zero.cast_unsigned()) * 0x1_0001;
    let arguments = ScaledSumArguments {
        narrow_zeros: twice(sum.narrow_zero),
        multiplier: sum.multiplier << 1,
        below_zero: if sum.right_shift > 0 { -1 } else { 0 },
        rounding: rounding(sum.right_shift.cast_signed()),
        right_shift: sum.right_shift.into(),
        wide_zeros: twice(sum.wide_zero),
        output_multiplier: sum.output_multiplier << 1,
        output_right_shift: sum.output_right_shift.into(),
        output_zero: sum.output_zero.into(),
    };
    let (arguments, output) = (&raw const arguments, output.as_mut_ptr());
    // SAFETY: both operands and the output have four bytes for each quad, and each is read before the output is written there.
    unsafe {
        match (sum.signed, sum.end) {
            (true, End::Signed8) if Element::I8.is_in(LINKS) && Detail::Signed8.is_in(LINKS) => {
                add_scaled_signed8(arguments, narrow, wide, output, quads);
            }
            (true, End::Unsigned7) if Element::I8.is_in(LINKS) && Detail::Unsigned7.is_in(LINKS) => {
                add_scaled_unsigned7(arguments, narrow, wide, output, quads);
            }
            (false, _) if Element::U8.is_in(LINKS) && Detail::Unsigned8.is_in(LINKS) => {
                add_scaled_unsigned8(arguments, narrow, wide, output, quads)
            }
            _ => {}
        }
    }
}

/// The narrower operand, brought to the step of the sum.
macro_rules! narrow {
    ($code:literal) => {
        concat!(
            concat!("lsl ", $code, ", ", $code, ", #20\n smmlar ", $code, ", ", $code, ", r5, ", $code, "\n"),
            concat!("and lr, r6, ", $code, ", asr #31\n add ", $code, ", ", $code, ", r7\n"),
            concat!("add ", $code, ", ", $code, ", lr\n asr ", $code, ", ", $code, ", r8\n"),
        )
    };
}

/// One function over quads of two tensors: r0 what it is told, r1 narrow operand, r2 wide one, r3 output, on the stack quads; r4
/// to r8 numbers of the step, r9 to r12 sums, lr codes.
///
/// What bounds it: of the 74 instructions of 4 sums 8 multiply, 7 load 12 words, 5 store, 1 branches; most of the others round.
macro_rules! add_scaled {
    ($name:ident, $extend:literal, $sat:literal, $bits:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            arguments: *const ScaledSumArguments,
            narrow: *const u8,
            wide: *const u8,
            output: *mut u8,
            quads: usize,
        ) {
            naked_asm!(
                cpu!(),
                "push {{r4-r11, lr}}
                1:
                ldr lr, [r1], #4
                ldm r0, {{r4-r8}}",
                concat!($extend, " r9, lr\n", $extend, " r10, lr, ror #8"),
                "ssub16 r9, r9, r4
                ssub16 r10, r10, r4
                asr r11, r9, #16
                asr r12, r10, #16",
                narrow!("r9"),
                narrow!("r10"),
                narrow!("r11"),
                narrow!("r12"),
                "ldr lr, [r2], #4
                ldr r4, [r0, #20]",
                concat!($extend, " r5, lr\n", $extend, " r6, lr, ror #8"),
                "ssub16 r5, r5, r4
                ssub16 r6, r6, r4
                add r9, r9, r5, lsl #19
                add r10, r10, r6, lsl #19
                asr r5, r5, #16
                asr r6, r6, #16
                add r11, r11, r5, lsl #19
                add r12, r12, r6, lsl #19
                ldrd r4, r5, [r0, #24]
                ldr r6, [r0, #32]",
                product!("r9", "r4", "r5", "r6", $sat, $bits),
                product!("r10", "r4", "r5", "r6", $sat, $bits),
                product!("r11", "r4", "r5", "r6", $sat, $bits),
                product!("r12", "r4", "r5", "r6", $sat, $bits),
                "strb r10, [r3, #1]
                strb r11, [r3, #2]
                strb r12, [r3, #3]
                strb r9, [r3], #4
                ldr lr, [sp, #36]
                subs lr, #1
                str lr, [sp, #36]
                bne 1b
                pop {{r4-r11, pc}}",
            )
        }
    };
}

add_scaled!(add_scaled_signed8, "sxtb16", "ssat", 8);
add_scaled!(add_scaled_unsigned7, "sxtb16", "usat", 7);
add_scaled!(add_scaled_unsigned8, "uxtb16", "usat", 8);

/// Runs the sum over pixels that [`super::instructions::sum_pixels`] has checked.
#[inline]
pub(super) fn sum_pixels<const LINKS: Links>(signed: bool, input: &[u8], pitch: usize, pixels: usize) -> [u32; 2] {
    let input = input.as_ptr();
    // SAFETY: every pixel's four bytes lie in the input.
    let sums = unsafe {
        if signed || !Element::U8.is_in(LINKS) { sum_i8(input, pitch, pixels) } else { sum_u8(input, pitch, pixels) }
    };
    [sums as u32, (sums >> 32) as u32]
}

/// One function over the four channels of pixels: r0 input, r1 pitch, r2 pixels; r3 codes, r4 and r12 sums of 16 bits.
///
/// What bounds it: of the 6 instructions of 4 codes 1 loads, 2 widen and add, 1 branches.
macro_rules! sum {
    ($name:ident, $extend_and_add:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(input: *const u8, pitch: usize, pixels: usize) -> u64 {
            naked_asm!(
                cpu!(),
                "push {{r4, lr}}
                mov r4, #0
                mov r12, #0
                1:
                ldr r3, [r0]
                add r0, r0, r1",
                concat!($extend_and_add, " r4, r4, r3\n", $extend_and_add, " r12, r12, r3, ror #8"),
                "subs r2, #1
                bne 1b
                mov r0, r4
                mov r1, r12
                pop {{r4, pc}}",
            )
        }
    };
}

sum!(sum_i8, "sxtab16");
sum!(sum_u8, "uxtab16");

/// What the transform of tiles is told, in the order in which it loads it.
#[repr(C)]
struct TransformArguments {
    rows: [*const u8; 4],
    /// Where the first inside column goes, and behind the last one.
    columns: *mut u32,
    columns_end: *mut u32,
    channels: usize,
    quads: usize,
    strip: *const u32,
    tiles: *mut u32,
    place_bytes: usize,
    count: usize,
}

/// Transforms tiles that [`super::winograd_loops::transform`] has checked.
#[inline]
pub(super) fn transform<const LINKS: Links>(run: Run<'_>) {
    let strip = run.columns.as_mut_ptr();
    let columns = strip.wrapping_add(2 * run.left);
    let arguments = TransformArguments {
        rows: run.rows.map(<[u8]>::as_ptr),
        columns,
        columns_end: columns.wrapping_add(2 * run.inside),
        channels: run.channels,
        quads: run.channels / 4,
        strip,
        tiles: run.tiles.as_mut_ptr(),
        place_bytes: 2 * Winograd::TILES * run.channels,
        count: run.count,
    };
    let arguments = &raw const arguments;
    // SAFETY: every row has the codes of all inside columns, a strip has room for them, and the tiles for all places and steps.
    unsafe {
        match run.signed {
            true if Element::I8.is_in(LINKS) => transform_i8(arguments),
            false if Element::U8.is_in(LINKS) => transform_u8(arguments),
            _ => {}
        }
    }
}

/// One function over the quads of channels of tiles side by side: each column of the strip, then each row of each tile.
///
/// Columns: r0 to r3 rows, r4 offset of the column, r5 target, r6 to r9 codes, r10 to r12 and lr two of each row.
/// On the stack: offset of the quad, then the arguments. Tiles: r0 strip, r1 target, r2 bytes of a place, r3 tiles, r4 to r11 codes,
/// r12 place.
///
/// What bounds it: of the 29 instructions of a column of four channels 9 load or store, of the 24 of a row of a tile as many; none
/// multiplies.
macro_rules! transform {
    ($name:ident, $extend:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const TransformArguments) {
            naked_asm!(
                cpu!(),
                "push {{r4-r11, lr}}
                ldm r0, {{r1-r12}}
                sub sp, #60
                add lr, sp, #12
                stm lr, {{r1-r12}}
                mov r4, #0
                1:
                str r4, [sp]
                ldrd r0, r1, [sp, #12]
                ldrd r2, r3, [sp, #20]
                ldr r5, [sp, #28]
                2:
                ldr r6, [r0, r4]
                ldr r7, [r1, r4]
                ldr r8, [r2, r4]
                ldr r9, [r3, r4]",
                concat!($extend, " r10, r6\n", $extend, " r11, r7\n", $extend, " r12, r8\n", $extend, " lr, r9"),
                concat!($extend, " r6, r6, ror #8\n", $extend, " r7, r7, ror #8"),
                concat!($extend, " r8, r8, ror #8\n", $extend, " r9, r9, ror #8"),
                "ssub16 r10, r10, r12
                ssub16 r6, r6, r8
                strd r10, r6, [r5], #8
                ssub16 lr, r11, lr
                ssub16 r9, r7, r9
                strd lr, r9, [r5, #232]
                sadd16 r10, r11, r12
                sadd16 r6, r7, r8
                strd r10, r6, [r5, #72]
                ssub16 r12, r12, r11
                ssub16 r8, r8, r7
                strd r12, r8, [r5, #152]
                ldrd r6, r7, [sp, #32]
                add r4, r4, r7
                cmp r5, r6
                bne 2b
                ldr r0, [sp, #44]
                ldrd r1, r2, [sp, #48]
                mov lr, #4
                3:
                ldr r3, [sp, #56]
                strd r0, r1, [sp, #4]
                4:
                ldm r0, {{r4-r11}}
                add r0, r0, #16
                ssub16 r4, r4, r8
                ssub16 r5, r5, r9
                str r5, [r1, #16]
                str r4, [r1], #4
                add r12, r1, r2
                sadd16 r4, r6, r8
                sadd16 r5, r7, r9
                str r4, [r12, #-4]
                str r5, [r12, #12]
                add r12, r12, r2
                ssub16 r8, r8, r6
                ssub16 r9, r9, r7
                str r8, [r12, #-4]
                str r9, [r12, #12]
                add r12, r12, r2
                ssub16 r10, r6, r10
                ssub16 r11, r7, r11
                str r10, [r12, #-4]
                str r11, [r12, #12]
                subs r3, #1
                bne 4b
                ldrd r0, r1, [sp, #4]
                add r0, r0, #80
                add r1, r1, r2, lsl #2
                subs lr, #1
                bne 3b
                ldr r4, [sp]
                ldr r1, [sp, #48]
                ldr r0, [sp, #40]
                add r4, r4, #4
                add r1, r1, #32
                str r1, [sp, #48]
                subs r0, #1
                str r0, [sp, #40]
                bne 1b
                add sp, #60
                pop {{r4-r11, pc}}",
            )
        }
    };
}

transform!(transform_i8, "sxtb16");
transform!(transform_u8, "uxtb16");

/// What the loop over the products of tiles is told, in the order in which it loads it.
#[repr(C)]
struct ProductArguments {
    weights: *const u8,
    tiles: *const u32,
    tiles_end: *const u32,
    place_bytes: usize,
    products: *mut u32,
    bias: *const u8,
    shifts: *const u8,
    shift_step: usize,
    places: *const TileOutput,
    places_end: *const TileOutput,
    channels: usize,
    output: *mut u8,
    channel_step: usize,
    end: EndOfLoop,
    multipliers: usize,
    zero: i32,
}

/// Runs the loop over products that [`super::winograd_loops::multiply`] has checked.
#[inline]
pub(super) fn multiply_tiles<const LINKS: Links>(products: Products<'_>) {
    let tiles = products.tiles.as_ptr_range();
    let places = products.places.as_ptr_range();
    let arguments = ProductArguments {
        weights: products.weights.as_ptr(),
        tiles: tiles.start,
        tiles_end: tiles.end,
        place_bytes: 4 * products.tiles.len() / PLACES,
        products: products.products.as_mut_ptr(),
        bias: products.bias.as_ptr(),
        shifts: products.scale.shifts.as_ptr(),
        shift_step: products.scale.step,
        places: places.start,
        places_end: places.end,
        channels: products.channels(),
        output: products.output.as_mut_ptr(),
        channel_step: products.channel_step,
        end: end_of::<LINKS>(&SHIFT_ENDS_OF_TILE, &MULTIPLY_ENDS_OF_TILE, &products.scale, products.end),
        // The shift's address has gone on by then.
        multipliers: multipliers_of(&products.scale).wrapping_sub(4 * products.scale.step),
        zero: products.scale.zero,
    };
    // SAFETY: every pair has aligned weights for all places and steps, every channel a bias and its entry of the scale or the one, every tile room
    // for the codes or sums of four pixels, and the products of a pair have theirs.
    unsafe { tile_products(&raw const arguments) }
}

/// The products of one step of a place.
macro_rules! tile_step {
    () => {
        concat!(two_words!(), products4!("r12", "lr"))
    };
}

/// One row of a tile's products: its first place, its last; two sums are left there.
macro_rules! row_of_products {
    ($first:literal, $last:literal, [$a:literal, $b:literal, $c:literal, $d:literal], $bias:literal) => {
        concat!(
            concat!("ldr.w ", $first, ", [r0, #", $a, "]\n ldr.w r10, [r0, #", $b, "]\n"),
            concat!("ldr.w r11, [r0, #", $c, "]\n ldr.w ", $last, ", [r0, #", $d, "]\n"),
            $bias,
            concat!("add ", $first, ", r10, ", $first, ", lsl #1\n add ", $first, ", ", $first, ", r11\n"),
            concat!("sub r10, r10, r11\n sub ", $last, ", r10, ", $last, ", lsl #1\n"),
        )
    };
}

/// Two pixels, one below the other, from what four rows have left: in the first and the last of them.
macro_rules! column_of_products {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            concat!("add ", $a, ", ", $b, ", ", $a, ", lsl #1\n add ", $a, ", ", $a, ", ", $c, "\n"),
            concat!("sub ", $b, ", ", $b, ", ", $c, "\n sub ", $d, ", ", $b, ", ", $d, ", lsl #1\n"),
        )
    };
}

/// Writes four pixels.
macro_rules! store_tile {
    ($store:literal) => {
        concat!(
            concat!($store, " r9, [r5, r6]\n", $store, " r8, [r5]\n"),
            concat!($store, " r3, [r4, r6]\n", $store, " r2, [r4]\n")
        )
    };
}

/// Shifts, saturates and writes four pixels.
macro_rules! shift_tile {
    ($sat:literal, $bits:literal) => {
        concat!(
            "asr r2, r2, r12
            asr r3, r3, r12
            asr r8, r8, r12
            asr r9, r9, r12
            ",
            concat!($sat, " r2, #", $bits, ", r2\n", $sat, " r3, #", $bits, ", r3\n"),
            concat!($sat, " r8, #", $bits, ", r8\n", $sat, " r9, #", $bits, ", r9\n"),
            store_tile!("strb")
        )
    };
}

/// Takes the transform's factor of 4 from four pixels.
macro_rules! quarters {
    () => {
        "asr r2, r2, #2
        asr r3, r3, #2
        asr r8, r8, #2
        asr r9, r9, #2
        "
    };
}

/// Multiplies, shifts, saturates and writes four pixels; the shift comes with that factor's.
macro_rules! multiply_tile {
    ($sat:literal, $bits:literal) => {
        concat!(
            "ldr r10, [sp, #20]
            ldrd r11, r7, [sp, #76]
            rsb lr, r12, #2
            ldr r11, [r11, r10, lsl #2]
            lsl r11, r11, #1
            ",
            quarters!(),
            product!("r2", "r11", "lr", "r7", $sat, $bits),
            product!("r3", "r11", "lr", "r7", $sat, $bits),
            product!("r8", "r11", "lr", "r7", $sat, $bits),
            product!("r9", "r11", "lr", "r7", $sat, $bits),
            "ldr lr, [sp, #84]
            ",
            store_tile!("strb")
        )
    };
}

const SHIFT_ENDS_OF_TILE: Ends = [shift_tile_signed8, shift_tile_unsigned7, shift_tile_unsigned8, accumulators_of_tile];
const MULTIPLY_ENDS_OF_TILE: Ends =
    [multiply_tile_signed8, multiply_tile_unsigned7, multiply_tile_unsigned8, accumulators_of_tile];

end_of_loop!(shift_tile_signed8, 72, shift_tile!("ssat", 8));
end_of_loop!(shift_tile_unsigned7, 72, shift_tile!("usat", 7));
end_of_loop!(shift_tile_unsigned8, 72, shift_tile!("usat", 8));
end_of_loop!(multiply_tile_signed8, 72, multiply_tile!("ssat", 8));
end_of_loop!(multiply_tile_unsigned7, 72, multiply_tile!("usat", 7));
end_of_loop!(multiply_tile_unsigned8, 72, multiply_tile!("usat", 8));
end_of_loop!(accumulators_of_tile, 72, concat!(quarters!(), store_tile!("str")));

/// The function over pairs of channels of four tiles: the products of all places, then each channel of each tile transformed back.
///
/// Products: as in `tile!`, of weights of 16 bits; the loop holds 16 steps behind the first and is entered behind those that are
/// too many. Back: r0 products, r1 where tiles end, r2 to r9 sums, r10 and r11 products, r12 shift, lr bias. On the stack:
/// tiles, their end, bytes of a place, products, biases, shifts, their step, where tiles end, the end of that, channels,
/// output, its step, then where a place enters the loop, where it goes on, how a tile ends, the end of the place, the
/// cursor in the products, weights, where a tile's end goes on, multipliers, zero point, the channel's bias.
///
/// What bounds it: 11 instructions for 16 products, of which 3 load two words each; and 61 for each channel of a tile, of
/// which 24 load or store.
#[unsafe(naked)]
unsafe extern "C" fn tile_products(arguments: *const ProductArguments) {
    naked_asm!(
        cpu!(),
        "push {{r4-r11, lr}}
        sub sp, #88
        ldm r0!, {{r1-r12}}
        stm sp, {{r2-r12}}
        ldm r0, {{r2-r5}}
        strd r4, r5, [sp, #76]
        str r2, [sp, #44]
        str r3, [sp, #56]
        adr.w r5, 8f
        orr r5, r5, #1
        str r5, [sp, #72]
        ldr r4, [sp, #8]
        lsr r4, r4, #4
        sub r4, r4, #1
        adr.w r6, 5f
        cmp r4, #16
        it hi
        adrhi.w r6, 4f
        orr r6, r6, #1
        rsb r4, r4, #0
        and r4, r4, #15
        mov r3, #44
        adr.w r5, 3f
        mla r5, r4, r3, r5
        orr r5, r5, #1
        strd r5, r6, [sp, #48]
        mov r0, r1
        1:
        ldr r1, [sp]
        ldrd r11, r10, [sp, #8]
        str r10, [sp, #64]
        add r11, r11, r1
        str r11, [sp, #60]
        2:",
        two_words!(),
        "ldm r1!, {{r10, r11}}
        smuad r2, r12, r10
        smuad r3, r12, r11
        smuad r6, lr, r10
        smuad r7, lr, r11
        ldm r1!, {{r10, r11}}
        smuad r4, r12, r10
        smuad r5, r12, r11
        smuad r8, lr, r10
        smuad r9, lr, r11
        ldr pc, [sp, #48]
        .p2align 2
        3:
        .rept 16",
        tile_step!(),
        ".endr
        ldr pc, [sp, #52]
        .p2align 2
        4:
        ldr r10, [sp, #60]
        cmp r1, r10
        bne.w 3b
        ldr r11, [sp, #8]
        add r10, r10, r11
        str r10, [sp, #60]
        .p2align 2
        5:
        ldr r10, [sp, #64]
        stm r10!, {{r2-r9}}
        str r10, [sp, #64]
        ldr r10, [sp, #4]
        cmp r1, r10
        bne.w 2b
        str r0, [sp, #68]
        ldr r0, [sp, #12]
        6:
        str r0, [sp, #64]
        ldrd r10, r11, [sp, #16]
        ldr lr, [r10], #4
        ldrsb r12, [r11]
        lsl lr, lr, #2
        ldr r9, [sp, #24]
        add r11, r11, r9
        add r12, r12, #2
        strd r10, r11, [sp, #16]
        str lr, [sp, #84]
        ldr r1, [sp, #28]
        7:",
        row_of_products!("r2", "r3", ["0", "32", "64", "96"], ""),
        row_of_products!("r4", "r5", ["128", "160", "192", "224"], "add r10, r10, lr\n"),
        row_of_products!("r6", "r7", ["256", "288", "320", "352"], ""),
        row_of_products!("r8", "r9", ["384", "416", "448", "480"], ""),
        column_of_products!("r2", "r4", "r6", "r8"),
        column_of_products!("r3", "r5", "r7", "r9"),
        "ldm r1!, {{r4, r5, r6}}
        ldr r7, [sp, #40]
        add r0, r0, #4
        add r4, r4, r7
        add r5, r5, r4
        ldr pc, [sp, #56]
        .p2align 2
        8:
        ldr r7, [sp, #32]
        cmp r1, r7
        bne.w 7b
        ldr r1, [sp, #36]
        subs r1, #1
        beq 9f
        str r1, [sp, #36]
        ldrd r2, r3, [sp, #40]
        add r2, r2, r3
        str r2, [sp, #40]
        ldr r0, [sp, #64]
        ldr r2, [sp, #12]
        add r0, r0, #16
        add r2, r2, #16
        cmp r0, r2
        beq.w 6b
        ldr r0, [sp, #68]
        b.w 1b
        9:
        add sp, #88
        pop {{r4-r11, pc}}",
    )
}
