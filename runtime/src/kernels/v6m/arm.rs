//! The inner loops as Thumb instructions of Armv6-M.

#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::instructions::{Dots, Rows};
use super::taps::Taps;
use super::tile::{CHANNELS, Target, Tile};
use crate::format::Element;

/// What both kinds of ends are told.
#[repr(C)]
struct End {
    shifts: *const u8,
    shift_step: usize,
    output: *mut u8,
    pitch: usize,
    limits: [i32; 2],
    fours: usize,
    accumulators: usize,
}

impl End {
    fn new(target: &mut Target<'_>, fours: usize, pitch: usize) -> Self {
        match target {
            Target::Codes { bytes, shifts, shift_step, limits } => Self {
                shifts: shifts.as_ptr(),
                shift_step: *shift_step,
                output: bytes.as_mut_ptr(),
                pitch,
                limits: *limits,
                fours,
                accumulators: 0,
            },
            Target::Accumulators(accumulators) => Self {
                shifts: core::ptr::null(),
                shift_step: 0,
                output: accumulators.as_mut_ptr().cast(),
                pitch,
                limits: [0; 2],
                fours,
                accumulators: 1,
            },
        }
    }
}

/// What the loop over a tile is told.
#[repr(C)]
struct TileArguments {
    weights: *const u8,
    columns: *const u32,
    columns_end: *const u32,
    biases: *const i32,
    corrections: [i32; 2],
    end: End,
}

/// Runs the loop over a tile that [`Tile::is_consistent`].
#[inline]
pub(super) fn multiply(mut tile: Tile<'_>) {
    let columns = tile.columns.as_ptr_range();
    let fours = tile.fours();
    let arguments = TileArguments {
        weights: tile.weights.as_ptr(),
        columns: columns.start,
        columns_end: columns.end,
        biases: tile.biases.as_ptr(),
        corrections: tile.corrections,
        end: End::new(&mut tile.target, fours, tile.pitch),
    };
    // SAFETY: the tile is consistent: every four has its weights for all words of the columns, four biases, four shifts or
    // the ones that serve all, and room for what it writes.
    unsafe { tile2(&raw const arguments) }
}

/// What the loops over a depthwise window are told.
#[repr(C)]
struct TapArguments {
    input: *const u8,
    weights: *const u8,
    /// Where the first row of inputs ends.
    row_end: *const u8,
    /// Where the last row of weights ends, and a next one would begin.
    weights_end: *const u8,
    input_step: usize,
    weight_step: usize,
    /// From the end of a row to the start of the next one.
    input_jump: usize,
    weight_jump: usize,
    input_row: usize,
    biases: *const i32,
    end: End,
}

/// Runs the loops over a depthwise window whose [`Taps::is_consistent`].
#[inline]
pub(super) fn multiply_taps(mut taps: Taps<'_>) {
    let fours = taps.fours();
    let [columns, rows] = taps.counts;
    let (input, weights) = (taps.input.as_ptr(), taps.weights.as_ptr());
    let ([input_step, input_row], [weight_step, weight_row]) = (taps.input_steps, taps.weight_steps);
    let arguments = TapArguments {
        input,
        weights,
        row_end: input.wrapping_add(columns * input_step),
        weights_end: weights.wrapping_add(rows * weight_row),
        input_step,
        weight_step,
        input_jump: input_row.wrapping_sub(columns * input_step),
        weight_jump: weight_row.wrapping_sub(columns * weight_step),
        input_row,
        biases: taps.biases.as_ptr(),
        end: End::new(&mut taps.target, fours, 0),
    };
    let run = if taps.element == Element::I8 { taps_i8 } else { taps_u8 };
    // SAFETY: the entries are consistent: the last entry's channels lie inside inputs and weights, every four has four biases,
    // four shifts or the ones that serve all, and room for what it writes. Rows and columns are at least one, and the steps
    // by which the loops find their ends are not 0.
    unsafe { run(&raw const arguments) }
}

/// Runs the loop over bytes that have four weights each.
#[inline]
pub(super) fn dots(input: &[u8], weights: &[u8], flip: u8) -> Dots {
    let mut dots = Dots::default();
    // SAFETY: there is at least one byte, and there are four weights for each.
    unsafe { dots4(input.as_ptr(), weights.as_ptr(), input.len(), flip.into(), &raw mut dots) }
    dots
}

/// Runs the loop over rows that [`super::instructions::spread`] has checked.
#[inline]
pub(super) fn spread(rows: Rows<'_>, half: usize, words: &mut [u32]) {
    let target = words.as_mut_ptr().cast::<u16>().wrapping_add(half);
    // SAFETY: all rows lie in the bytes, and there is a word for each of their bytes, of which `half` is one of two halves.
    unsafe { spread2(rows.bytes.as_ptr(), target, rows.len, rows.count, rows.step) }
}

/// Runs the loop over words, an even number of them and at least two.
#[inline]
pub(super) fn flip_and_sum(words: &mut [u32], flip: u32) -> u32 {
    // SAFETY: the words are there, and an even number.
    unsafe { flip2(words.as_mut_ptr(), words.len(), flip) }
}

const _: () = assert!(CHANNELS == 4, "the loops are written for four channels");

/// Both pixels of a channel: the product's word is added to one accumulator, its upper half to another.
macro_rules! product {
    ($x:literal, $weight:literal, $low:literal, $high:literal) => {
        concat!(
            "ldrb r2, [r1, #",
            $weight,
            "]\n",
            "muls r2, ",
            $x,
            ", r2\n",
            "add ",
            $low,
            ", r2\n",
            "lsrs r2, r2, #16\n",
            "add ",
            $high,
            ", r2\n"
        )
    };
}

/// Two words of the columns times four channels: 41 instructions for 16 products.
macro_rules! products {
    ($a:literal, $b:literal, $c:literal, $d:literal, $e:literal, $f:literal, $g:literal, $h:literal) => {
        concat!(
            "ldm r0!, {{r3, r4}}\n",
            product!("r3", $a, "r8", "r9"),
            product!("r3", $b, "r10", "r11"),
            product!("r3", $c, "r12", "lr"),
            product!("r3", $d, "r6", "r7"),
            product!("r4", $e, "r8", "r9"),
            product!("r4", $f, "r10", "r11"),
            product!("r4", $g, "r12", "lr"),
            product!("r4", $h, "r6", "r7")
        )
    };
}

/// First values: `r2` and `r3` are the pixels' corrections, `r0` where the biases are.
macro_rules! begin {
    ($low:literal, $high:literal) => {
        concat!(
            "ldm r0!, {{r4}}
            adds r7, r4, r3
            adds r4, r4, r2
            lsls r5, r7, #16
            adds r6, r5, r4
            mov ",
            $high,
            ", r7\n",
            "mov ",
            $low,
            ", r6\n"
        )
    };
}

/// The pixels of a channel apart, into r6 and r7.
macro_rules! apart {
    ($low:literal, $high:literal) => {
        concat!("mov r7, ", $high, "\n", "mov r6, ", $low, "\n", "lsls r1, r7, #16\n", "subs r6, r6, r1\n")
    };
}

/// A value inside the limits: least in r3, greatest in r4.
macro_rules! limit {
    ($value:literal) => {
        concat!(
            "cmp ",
            $value,
            ", r4\n",
            "ble 31f\n",
            "mov ",
            $value,
            ", r4\n",
            "31: cmp ",
            $value,
            ", r3\n",
            "bge 32f\n",
            "mov ",
            $value,
            ", r3\n",
            "32:\n"
        )
    };
}

/// Both codes of a channel: r2 the shifts, r5 and r0 where the pixels go.
macro_rules! codes2 {
    ($channel:literal) => {
        concat!(
            "ldrb r1, [r2, #",
            $channel,
            "]\n",
            "asrs r6, r1
            asrs r7, r1\n",
            limit!("r6"),
            "strb r6, [r5, #",
            $channel,
            "]\n",
            limit!("r7"),
            "strb r7, [r0, #",
            $channel,
            "]\n"
        )
    };
}

/// One code of a channel: r0 the shifts, r1 where it goes.
macro_rules! code1 {
    ($channel:literal, $accumulator:literal) => {
        concat!(
            "mov r6, ",
            $accumulator,
            "\n",
            "ldrb r2, [r0, #",
            $channel,
            "]\n",
            "asrs r6, r2\n",
            limit!("r6"),
            "strb r6, [r1, #",
            $channel,
            "]\n"
        )
    };
}

macro_rules! accumulators2 {
    ($first:literal, $second:literal) => {
        concat!("str r6, [r5, #", $first, "]\n", "str r7, [r5, #", $second, "]\n")
    };
}

macro_rules! save {
    () => {
        "push {{r4-r7, lr}}
        mov r4, r8
        mov r5, r9
        mov r6, r10
        mov r7, r11
        push {{r4-r7}}
        "
    };
}

macro_rules! restore {
    () => {
        "pop {{r4-r7}}
        mov r8, r4
        mov r9, r5
        mov r10, r6
        mov r11, r7
        pop {{r4-r7, pc}}
        "
    };
}

/// r0 columns, r1 weights, r2 weight and product, r3 and r4 words of the columns, r5 their end; accumulators of the four
/// channels in r8 and r9, r10 and r11, r12 and lr, r6 and r7: words, then upper halves. On the stack: weights 0, columns 4, their end 8,
/// biases 12, corrections 16 and 20, shifts 24, their step 28, output 32, pitch 36, limits 40 and 44, fours 48, kind of
/// end 52; where a four enters the loop 56, what it skips there 60. The loop holds four pairs of words and is entered
/// behind those that are too many.
///
/// What bounds it: of the 41 instructions of two words, for 16 products, 9 load, 8 multiply, 8 shift and 16 add; a turn of
/// four pairs ends in 4 more. A Cortex-M0 takes a cycle more for each load, two more for the LDM, so 51 for the 16; one
/// with the 32-cycle multiplier gains most, since each MULS serves two products. A four ends in 15 instructions a code.
#[unsafe(naked)]
unsafe extern "C" fn tile2(arguments: *const TileArguments) {
    naked_asm!(
        save!(),
        "sub sp, #64
        mov r1, sp
        ldm r0!, {{r2-r7}}
        stm r1!, {{r2-r7}}
        ldm r0!, {{r2-r7}}
        stm r1!, {{r2-r7}}
        ldm r0!, {{r2, r3}}
        stm r1!, {{r2, r3}}
        ldr r2, [sp, #4]
        ldr r3, [sp, #8]
        subs r3, r3, r2
        lsrs r3, r3, #3
        rsbs r3, r3, #0
        movs r2, #3
        ands r3, r2
        lsls r2, r3, #3
        str r2, [sp, #60]
        movs r2, #82
        muls r3, r2, r3
        adr r2, 2f
        adds r3, r3, r2
        adds r3, #1
        str r3, [sp, #56]
        ldr r1, [sp]
        1:
        ldr r0, [sp, #12]
        ldr r2, [sp, #16]
        ldr r3, [sp, #20]",
        begin!("r8", "r9"),
        begin!("r10", "r11"),
        begin!("r12", "lr"),
        begin!("r6", "r7"),
        "str r0, [sp, #12]
        ldr r0, [sp, #60]
        subs r1, r1, r0
        ldr r0, [sp, #4]
        ldr r5, [sp, #8]
        ldr r2, [sp, #56]
        bx r2
        .p2align 2
        2:",
        products!(0, 1, 2, 3, 4, 5, 6, 7),
        products!(8, 9, 10, 11, 12, 13, 14, 15),
        products!(16, 17, 18, 19, 20, 21, 22, 23),
        products!(24, 25, 26, 27, 28, 29, 30, 31),
        "adds r1, #32
        cmp r0, r5
        beq 3f
        b 2b
        3:
        str r1, [sp]
        ldr r5, [sp, #32]
        ldr r2, [sp, #24]
        ldr r0, [sp, #52]
        cmp r0, #0
        bne 5f
        ldr r0, [sp, #36]
        adds r0, r0, r5
        ldr r3, [sp, #40]
        ldr r4, [sp, #44]",
        apart!("r6", "r7"),
        codes2!(3),
        apart!("r8", "r9"),
        codes2!(0),
        apart!("r10", "r11"),
        codes2!(1),
        apart!("r12", "lr"),
        codes2!(2),
        "adds r5, #4
        4:
        str r5, [sp, #32]
        ldr r1, [sp, #28]
        adds r2, r2, r1
        str r2, [sp, #24]
        ldr r0, [sp, #48]
        ldr r1, [sp]
        subs r0, #1
        str r0, [sp, #48]
        beq 6f
        b 1b
        5:",
        apart!("r6", "r7"),
        accumulators2!(24, 28),
        apart!("r8", "r9"),
        accumulators2!(0, 4),
        apart!("r10", "r11"),
        accumulators2!(8, 12),
        apart!("r12", "lr"),
        accumulators2!(16, 20),
        "adds r5, #32
        b 4b
        6:
        add sp, #64",
        restore!(),
    )
}

/// An input times a channel's weight, r4 to r7 being the channels.
macro_rules! tap {
    ($load:literal, $channel:literal, $accumulator:literal) => {
        concat!(
            $load,
            " r2, [r0, ",
            $channel,
            "]\n",
            "ldrsb r3, [r1, ",
            $channel,
            "]\n",
            "muls r2, r3, r2\n",
            "add ",
            $accumulator,
            ", r2\n"
        )
    };
}

/// r0 inputs, r1 weights, r2 and r3 factors, r4 to r7 the numbers 0 to 3, accumulators in r8 to r11, r12 the inputs' step, lr
/// the row's end. On the stack: inputs 0, weights 4, row's end 8, weights' end 12, steps 16 and 20, jumps 24 and 28, from row
/// to row 32, biases 36, shifts 40, their step 44, output 48, pitch 52, limits 56 and 60, fours 64, kind of end 68.
///
/// What bounds it: of the 21 instructions of an entry, for four products, 9 load, 4 multiply, 7 add or compare and one
/// branches. A Cortex-M0 takes a cycle more for each load and two more for the branch: 32.
macro_rules! taps {
    ($name:ident, $load:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const TapArguments) {
            naked_asm!(
                save!(),
                "sub sp, #72
                mov r1, sp
                ldm r0!, {{r2-r7}}
                stm r1!, {{r2-r7}}
                ldm r0!, {{r2-r7}}
                stm r1!, {{r2-r7}}
                ldm r0!, {{r2-r7}}
                stm r1!, {{r2-r7}}
                ldr r2, [sp, #16]
                mov r12, r2
                1:
                ldr r2, [sp, #36]
                ldm r2!, {{r4-r7}}
                str r2, [sp, #36]
                mov r8, r4
                mov r9, r5
                mov r10, r6
                mov r11, r7
                movs r4, #0
                movs r5, #1
                movs r6, #2
                movs r7, #3
                ldr r2, [sp, #8]
                mov lr, r2
                ldr r0, [sp]
                ldr r1, [sp, #4]
                2:",
                tap!($load, "r4", "r8"),
                tap!($load, "r5", "r9"),
                tap!($load, "r6", "r10"),
                tap!($load, "r7", "r11"),
                "ldr r3, [sp, #20]
                adds r1, r1, r3
                add r0, r12
                cmp r0, lr
                bne 2b
                ldr r2, [sp, #24]
                adds r0, r0, r2
                ldr r3, [sp, #28]
                adds r1, r1, r3
                ldr r2, [sp, #32]
                add lr, r2
                ldr r3, [sp, #12]
                cmp r1, r3
                bne 2b
                ldr r0, [sp, #40]
                ldr r1, [sp, #48]
                ldr r2, [sp, #68]
                cmp r2, #0
                bne 5f
                ldr r3, [sp, #56]
                ldr r4, [sp, #60]",
                code1!(0, "r8"),
                code1!(1, "r9"),
                code1!(2, "r10"),
                code1!(3, "r11"),
                "adds r1, #4
                4:
                str r1, [sp, #48]
                ldr r2, [sp, #44]
                adds r0, r0, r2
                str r0, [sp, #40]
                mov r0, sp
                ldm r0!, {{r2-r5}}
                adds r2, #4
                adds r3, #4
                adds r4, #4
                adds r5, #4
                subs r0, #16
                stm r0!, {{r2-r5}}
                ldr r2, [sp, #64]
                subs r2, #1
                str r2, [sp, #64]
                beq 6f
                b 1b
                5:
                mov r4, r8
                mov r5, r9
                mov r6, r10
                mov r7, r11
                stm r1!, {{r4-r7}}
                b 4b
                6:
                add sp, #72",
                restore!(),
            )
        }
    };
}

taps!(taps_i8, "ldrsb");
taps!(taps_u8, "ldrb");

/// An input times four channels.
macro_rules! dot {
    ($x:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "ldrb r3, [r0, #",
            $x,
            "]\n",
            "eors r3, r4
            adds r6, r6, r3\n",
            "ldrb r2, [r1, #",
            $a,
            "]\n",
            "muls r2, r3, r2
            add r12, r2\n",
            "ldrb r2, [r1, #",
            $b,
            "]\n",
            "muls r2, r3, r2
            add lr, r2\n",
            "ldrb r2, [r1, #",
            $c,
            "]\n",
            "muls r2, r3, r2
            add r8, r2\n",
            "ldrb r2, [r1, #",
            $d,
            "]\n",
            "muls r2, r3, r2
            adds r7, r7, r2\n"
        )
    };
}

/// r0 inputs, r1 weights, r2 product, r3 input, r4 what flips it, r5 the inputs' end, r6 their sum; accumulators in r12, lr, r8,
/// r7. The loop holds eight inputs and is entered behind those that are too many.
///
/// What bounds it: of the 15 instructions of an input, for four products, 5 load, 4 multiply, 6 add or flip.
#[unsafe(naked)]
unsafe extern "C" fn dots4(input: *const u8, weights: *const u8, count: usize, flip: usize, dots: *mut Dots) {
    naked_asm!(
        "push {{r4-r7, lr}}
        mov r4, r8
        push {{r4}}
        mov r4, r3
        adds r5, r0, r2
        movs r6, #0
        movs r7, #0
        mov r8, r6
        mov r12, r6
        mov lr, r6
        rsbs r2, r2, #0
        movs r3, #7
        ands r2, r3
        subs r0, r0, r2
        lsls r3, r2, #2
        subs r1, r1, r3
        movs r3, #30
        muls r2, r3, r2
        adr r3, 2f
        adds r2, r2, r3
        adds r2, #1
        bx r2
        .p2align 2
        2:",
        dot!(0, 0, 1, 2, 3),
        dot!(1, 4, 5, 6, 7),
        dot!(2, 8, 9, 10, 11),
        dot!(3, 12, 13, 14, 15),
        dot!(4, 16, 17, 18, 19),
        dot!(5, 20, 21, 22, 23),
        dot!(6, 24, 25, 26, 27),
        dot!(7, 28, 29, 30, 31),
        "adds r0, #8
        adds r1, #32
        cmp r0, r5
        bne 2b
        ldr r0, [sp, #24]
        mov r1, r12
        mov r2, lr
        mov r3, r8
        stm r0!, {{r1, r2, r3}}
        str r7, [r0]
        str r6, [r0, #4]
        pop {{r4}}
        mov r8, r4
        pop {{r4-r7, pc}}",
    )
}

macro_rules! spread4 {
    ($a:literal, $a4:literal, $b:literal, $b4:literal, $c:literal, $c4:literal, $d:literal, $d4:literal) => {
        concat!(spread4!($a, $a4), spread4!($b, $b4), spread4!($c, $c4), spread4!($d, $d4))
    };
    ($from:literal, $to:literal) => {
        concat!("ldrb r7, [r6, #", $from, "]\n", "strh r7, [r1, #", $to, "]\n")
    };
}

/// r0 row, r1 target, r2 bytes of a row, r3 rows, r4 where a row enters the loop, r5 what it skips there, r6 source, r7 byte, r12 from
/// row to row, lr the row's end. The loop holds 16 bytes: 36 instructions.
#[unsafe(naked)]
unsafe extern "C" fn spread2(source: *const u8, target: *mut u16, len: usize, rows: usize, step: usize) {
    naked_asm!(
        "push {{r4-r7, lr}}
        ldr r4, [sp, #20]
        mov r12, r4
        rsbs r5, r2, #0
        movs r4, #15
        ands r5, r4
        lsls r4, r5, #2
        adr r6, 2f
        adds r4, r4, r6
        adds r4, #1
        1:
        subs r6, r0, r5
        lsls r7, r5, #2
        subs r1, r1, r7
        adds r7, r0, r2
        mov lr, r7
        bx r4
        .p2align 2
        2:",
        spread4!(0, 0, 1, 4, 2, 8, 3, 12),
        spread4!(4, 16, 5, 20, 6, 24, 7, 28),
        spread4!(8, 32, 9, 36, 10, 40, 11, 44),
        spread4!(12, 48, 13, 52, 14, 56, 15, 60),
        "adds r6, #16
        adds r1, #64
        cmp r6, lr
        bne 2b
        add r0, r12
        subs r3, #1
        bne 1b
        pop {{r4-r7, pc}}",
    )
}

/// r0 words, r1 their end, r2 what flips them, r3 the sum. The loop holds four words: 13 instructions.
#[unsafe(naked)]
unsafe extern "C" fn flip2(words: *mut u32, count: usize, flip: u32) -> u32 {
    naked_asm!(
        "push {{r4-r7, lr}}
        movs r3, #0
        lsls r7, r1, #30
        lsls r1, r1, #2
        adds r1, r1, r0
        cmp r7, #0
        bpl 1f
        ldm r0!, {{r4, r5}}
        eors r4, r2
        eors r5, r2
        adds r3, r3, r4
        adds r3, r3, r5
        subs r0, #8
        stm r0!, {{r4, r5}}
        cmp r0, r1
        beq 2f
        1:
        ldm r0!, {{r4-r7}}
        eors r4, r2
        eors r5, r2
        eors r6, r2
        eors r7, r2
        adds r3, r3, r4
        adds r3, r3, r5
        adds r3, r3, r6
        adds r3, r3, r7
        subs r0, #16
        stm r0!, {{r4-r7}}
        cmp r0, r1
        bne 1b
        2:
        mov r0, r3
        pop {{r4-r7, pc}}",
    )
}
