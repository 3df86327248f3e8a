//! The inner loops as instructions.

#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::marker::PhantomData;
use core::ptr;

use super::instructions::{Columns, Runs, StripRows};
use super::lanes::{Inputs, LanesEnd, LanesFilters, Taps};
use super::tile::Filters;
use crate::format::{AFFINE_LINK, Activation, Element, Epilogue, Links, Mean, VECTOR, WeightBits};
use crate::kernels::dsp::ScaledSum;

/// What a loop over a tile is told, in the order in which it loads it.
#[derive(Debug)]
#[repr(C)]
struct Constants {
    weights: *const u8,
    /// Bytes from the inputs of one pixel to those of the next.
    column_step: usize,
    /// Vectors of a channel behind the first one.
    more_vectors: usize,
    bias: *const u8,
    shifts: *const u8,
    multipliers: *const u8,
    /// Also the bytes from one pixel of the output to the next.
    channels: usize,
    /// Bytes from the shifts of four channels to the next four: 4, or 0.
    shift_step: usize,
    min: i32,
    max: i32,
    zero: i32,
}

/// A loop over one, two or three pixels: constants, inputs of the first one, output.
type Run = unsafe extern "C" fn(*const Constants, *const u8, *mut u8);

/// The loops over a tile of some filters.
#[derive(Debug)]
pub(super) struct Loop<'a> {
    constants: Constants,
    /// Over one pixel, two, three.
    runs: &'static [Run; 3],
    filters: PhantomData<Filters<'a>>,
}

impl<'a> Loop<'a> {
    /// Those that the program links.
    #[inline]
    pub(super) fn new<const LINKS: Links>(filters: &Filters<'a>) -> Option<Self> {
        let runs = match (filters.bits, filters.end.epilogue) {
            (WeightBits::Eight, Epilogue::Shift(_)) if WeightBits::Eight.is_in(LINKS) => &BITS8_SHIFT,
            (WeightBits::Four, Epilogue::Shift(_)) if WeightBits::Four.is_in(LINKS) => &BITS4_SHIFT,
            (_, Epilogue::Shift(_)) => return None,
            _ if LINKS & AFFINE_LINK == 0 => return None,
            (WeightBits::Eight, _) if WeightBits::Eight.is_in(LINKS) => &BITS8_MULTIPLY,
            (WeightBits::Four, _) if WeightBits::Four.is_in(LINKS) => &BITS4_MULTIPLY,
            _ => return None,
        };
        let vector_len = if filters.bits == WeightBits::Four { 2 * VECTOR } else { VECTOR };
        let (shifts, multipliers, zero) = match filters.end.epilogue {
            Epilogue::Shift(shifts) => (shifts.as_ptr(), ptr::null(), 0),
            Epilogue::Multiply(end) => (end.shifts.as_ptr(), end.multipliers.as_ptr(), end.output_zero),
        };
        let constants = Constants {
            weights: filters.weights.as_ptr(),
            column_step: filters.column_step,
            more_vectors: (filters.channel_len / vector_len).checked_sub(1)?,
            bias: filters.bias.as_ptr(),
            shifts,
            multipliers,
            channels: filters.channels,
            shift_step: if filters.end.each { 4 } else { 0 },
            min: filters.end.activation.min.into(),
            max: filters.end.activation.max.into(),
            zero: zero.into(),
        };
        Some(Self { constants, runs, filters: PhantomData })
    }

    /// Runs the loop, of filters that [are consistent](Filters::are_consistent), over as many inputs as the pixels have; there is room
    /// for the codes of every pixel.
    #[inline]
    pub(super) fn run<const LINKS: Links, const PIXELS: usize>(&self, inputs: &[u8], output: &mut [u8]) {
        let Some(run) = PIXELS.checked_sub(1).and_then(|index| self.runs.get(index)) else { return };
        // SAFETY: the caller has seen that each pixel has as many inputs as a channel weights, and the output room for every
        // pixel; that the filters are consistent: every pair has its weights, every channel its bias and its end, or there are
        // four entries that serve all. The filters are borrowed for as long as the constants point at them.
        unsafe { run(&raw const self.constants, inputs.as_ptr(), output.as_mut_ptr()) }
    }
}

/// 16 weights of each channel times 16 inputs of each pixel, 8 bits; `$first` says whether sums begin or go on.
///
/// 12 instructions for 96 products: 5 load, 6 multiply, 1 branches. A Cortex-M55 takes two cycles for each vector
/// instruction and runs a load beside a multiplication of other registers: the six multiplications bound the loop.
macro_rules! bits8_pixels3 {
    ($first:literal) => {
        concat!(
            "vldrb.u8 q0, [r3], #16\n",
            "vldrb.u8 q2, [r1], #16\n",
            $first,
            " r0, q0, q2\n",
            "vldrb.u8 q1, [r3], #16\n",
            $first,
            " r6, q1, q2\n",
            "vldrb.u8 q3, [r5], #16\n",
            $first,
            " r2, q0, q3\n",
            "vldrb.u8 q2, [r7], #16\n",
            $first,
            " r8, q1, q3\n",
            $first,
            " r4, q0, q2\n",
            $first,
            " r10, q1, q2\n",
        )
    };
}

/// Two pixels: 9 instructions for 64 products.
macro_rules! bits8_pixels2 {
    ($first:literal) => {
        concat!(
            "vldrb.u8 q0, [r3], #16\n",
            "vldrb.u8 q2, [r1], #16\n",
            $first,
            " r0, q0, q2\n",
            "vldrb.u8 q1, [r3], #16\n",
            $first,
            " r6, q1, q2\n",
            "vldrb.u8 q3, [r5], #16\n",
            $first,
            " r2, q0, q3\n",
            $first,
            " r8, q1, q3\n",
        )
    };
}

/// One pixel: 6 instructions for 32 products; the three loads bound the loop.
macro_rules! bits8_pixels1 {
    ($first:literal) => {
        concat!(
            "vldrb.u8 q2, [r1], #16\n",
            "vldrb.u8 q0, [r3], #16\n",
            $first,
            " r0, q0, q2\n",
            "vldrb.u8 q1, [r3], #16\n",
            $first,
            " r6, q1, q2\n",
        )
    };
}

/// 32 weights of each channel, 4 bits: the high halves of a vector's bytes first. 27 instructions for 192 products, against
/// 24 of 8 bits: 8 load, 6 unpack, 12 multiply, 1 branches; the multiplications bound the loop.
macro_rules! bits4_pixels3 {
    ($first:literal) => {
        concat!(
            "vldrb.u8 q0, [r3], #16\n",
            "vldrb.u8 q1, [r3], #16\n",
            "vshr.s8 q2, q0, #4\n",
            "vldrb.u8 q4, [r1, #16]\n",
            "vshr.s8 q3, q1, #4\n",
            $first,
            " r0, q2, q4\n",
            $first,
            " r6, q3, q4\n",
            "vldrb.u8 q4, [r5, #16]\n",
            "vshl.i8 q0, q0, #4\n",
            $first,
            " r2, q2, q4\n",
            $first,
            " r8, q3, q4\n",
            "vldrb.u8 q4, [r7, #16]\n",
            "vshl.i8 q1, q1, #4\n",
            $first,
            " r4, q2, q4\n",
            $first,
            " r10, q3, q4\n",
            "vshr.s8 q0, q0, #4
            vldrb.u8 q4, [r1], #32
            vshr.s8 q1, q1, #4
            vmladava.s8 r0, q0, q4
            vmladava.s8 r6, q1, q4
            vldrb.u8 q2, [r5], #32
            vmladava.s8 r2, q0, q2
            vmladava.s8 r8, q1, q2
            vldrb.u8 q3, [r7], #32
            vmladava.s8 r4, q0, q3
            vmladava.s8 r10, q1, q3
            "
        )
    };
}

macro_rules! bits4_pixels2 {
    ($first:literal) => {
        concat!(
            "vldrb.u8 q0, [r3], #16\n",
            "vldrb.u8 q1, [r3], #16\n",
            "vshr.s8 q2, q0, #4\n",
            "vldrb.u8 q4, [r1, #16]\n",
            "vshr.s8 q3, q1, #4\n",
            $first,
            " r0, q2, q4\n",
            $first,
            " r6, q3, q4\n",
            "vldrb.u8 q4, [r5, #16]\n",
            "vshl.i8 q0, q0, #4\n",
            $first,
            " r2, q2, q4\n",
            $first,
            " r8, q3, q4\n",
            "vshl.i8 q1, q1, #4
            vldrb.u8 q4, [r1], #32
            vshr.s8 q0, q0, #4
            vshr.s8 q1, q1, #4
            vmladava.s8 r0, q0, q4
            vmladava.s8 r6, q1, q4
            vldrb.u8 q2, [r5], #32
            vmladava.s8 r2, q0, q2
            vmladava.s8 r8, q1, q2
            "
        )
    };
}

macro_rules! bits4_pixels1 {
    ($first:literal) => {
        concat!(
            "vldrb.u8 q0, [r3], #16\n",
            "vldrb.u8 q1, [r3], #16\n",
            "vldrb.u8 q4, [r1, #16]\n",
            "vshr.s8 q2, q0, #4\n",
            $first,
            " r0, q2, q4\n",
            "vshr.s8 q3, q1, #4\n",
            $first,
            " r6, q3, q4\n",
            "vldrb.u8 q4, [r1], #32
            vshl.i8 q0, q0, #4
            vshr.s8 q0, q0, #4
            vmladava.s8 r0, q0, q4
            vshl.i8 q1, q1, #4
            vshr.s8 q1, q1, #4
            vmladava.s8 r6, q1, q4
            "
        )
    };
}

/// The accumulators of a pair, 32 channels from one pixel to the next.
macro_rules! keep {
    (3) => {
        "strd r0, r6, [r11], #8
        strd r2, r8, [r11, #120]
        strd r4, r10, [r11, #248]
        "
    };
    (2) => {
        "strd r0, r6, [r11], #8
        strd r2, r8, [r11, #120]
        "
    };
    (1) => {
        "strd r0, r6, [r11], #8
        "
    };
}

/// Shifts of four channels into q1: negative ones shift right. Their biases into q4.
macro_rules! shifts {
    () => {
        "vldrb.s32 q1, [r5]
        add r5, r5, r6
        vneg.s32 q1, q1
        vldrb.u8 q4, [r9], #16
        "
    };
}

/// Sums of four channels of a pixel to codes.
macro_rules! shift {
    ($load:literal, $target:literal, $bias:literal) => {
        concat!(
            "vldrw.u32 q0, ",
            $load,
            "
            vadd.i32 q0, q0, q4
            vqshl.s32 q0, q0, q1
            vmin.s32 q0, q0, q2
            vmax.s32 q0, q0, q3
            vstrb.32 q0, [",
            $target,
            "], #4
            "
        )
    };
}

/// Multipliers of four channels into q4, left shifts into q5, right shifts, negative, into q6.
macro_rules! multipliers {
    () => {
        "vldrb.s32 q1, [r5]
        add r5, r5, r6
        vldrb.u8 q4, [r7]
        add r7, r7, r6, lsl #2
        vmov.i32 q0, #0
        vmax.s32 q5, q1, q0
        vmin.s32 q6, q1, q0
        "
    };
}

/// As [`shift`], by multiplication: to the nearest, then a right shift that rounds half away from zero.
macro_rules! multiply {
    ($load:literal, $target:literal, $bias:literal) => {
        concat!(
            "vldrw.u32 q0, ",
            $load,
            "
            vldrb.u8 q1, ",
            $bias,
            "
            vadd.i32 q0, q0, q1
            vshl.s32 q0, q0, q5
            vqrdmulh.s32 q0, q0, q4
            vand q1, q0, q6
            vshr.s32 q1, q1, #31
            vqadd.s32 q0, q0, q1
            vrshl.s32 q0, q0, q6
            vqadd.s32 q0, q0, q7
            vmin.s32 q0, q0, q2
            vmax.s32 q0, q0, q3
            vstrb.32 q0, [",
            $target,
            "], #4
            "
        )
    };
}

macro_rules! ends {
    (3, $constants:ident, $end:ident) => {
        concat!(
            $constants!(),
            $end!("[r0], #16", "r1", "[r9]"),
            $end!("[r0, #112]", "r2", "[r9]"),
            $end!("[r0, #240]", "r4", "[r9], #16")
        )
    };
    (2, $constants:ident, $end:ident) => {
        concat!($constants!(), $end!("[r0], #16", "r1", "[r9]"), $end!("[r0, #112]", "r2", "[r9], #16"))
    };
    (1, $constants:ident, $end:ident) => {
        concat!($constants!(), $end!("[r0], #16", "r1", "[r9], #16"))
    };
}

/// One function over a tile.
///
/// r0, r2, r4 sums of the first channel, r6, r8, r10 of the second one; r1, r5, r7 columns, r3 weights, r9 biases,
/// r11 where sums are kept, r12 pairs. On the stack: columns, vectors behind the first one, channels left, output, shifts, multipliers, the other
/// constants; from 40 on the sums of up to 32 channels, 128 bytes a pixel, which then become codes, four channels at a time.
macro_rules! tile {
    ($name:ident, $pixels:tt, vector: $vector:ident, constants: $constants:ident, end: $end:ident) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(constants: *const Constants, inputs: *const u8, output: *mut u8) {
            naked_asm!(
                ".cpu cortex-m55
                push {{r4-r11, lr}}
                vpush {{d8-d15}}
                sub sp, sp, #428
                ldm r0!, {{r3, r5, r7, r9, r10, r12}}
                mov r4, r1
                add r6, r1, r5, lsl #1
                add r5, r1, r5
                ldr lr, [r0]
                stm sp, {{r4, r5, r6, r7}}
                strd lr, r2, [sp, #16]
                strd r10, r12, [sp, #24]
                str r0, [sp, #32]
                1:
                ldr r12, [sp, #16]
                cmp r12, #32
                it hi
                movhi r12, #32
                add r12, r12, #1
                lsr r12, r12, #1
                add r11, sp, #40
                2:
                ldm sp, {{r1, r5, r7, lr}}",
                $vector!("vmladav.s8"),
                "wls lr, lr, 4f
                3:",
                $vector!("vmladava.s8"),
                "le lr, 3b
                4:",
                keep!($pixels),
                "subs r12, r12, #1
                bne 2b
                ldr r10, [sp, #32]
                ldrd r8, r1, [sp, #16]
                subs r12, r8, #32
                ite hi
                movhi r8, #32
                movls r12, #0
                add r2, r1, r8
                strd r12, r2, [sp, #16]
                ldrd r4, r6, [r10]
                add r2, r1, r4
                add r4, r2, r4
                ldrd r5, r7, [sp, #24]
                ldrd r0, r11, [r10, #8]
                vdup.32 q3, r0
                vdup.32 q2, r11
                ldr r0, [r10, #16]
                vdup.32 q7, r0
                add r0, sp, #40
                dlstp.32 lr, r8
                5:",
                ends!($pixels, $constants, $end),
                "letp lr, 5b
                strd r5, r7, [sp, #24]
                cmp r12, #0
                bne 1b
                add sp, sp, #428
                vpop {{d8-d15}}
                pop {{r4-r11, pc}}",
            )
        }
    };
}

tile!(tile3_bits8_shift, 3, vector: bits8_pixels3, constants: shifts, end: shift);
tile!(tile2_bits8_shift, 2, vector: bits8_pixels2, constants: shifts, end: shift);
tile!(tile1_bits8_shift, 1, vector: bits8_pixels1, constants: shifts, end: shift);
tile!(tile3_bits4_shift, 3, vector: bits4_pixels3, constants: shifts, end: shift);
tile!(tile2_bits4_shift, 2, vector: bits4_pixels2, constants: shifts, end: shift);
tile!(tile1_bits4_shift, 1, vector: bits4_pixels1, constants: shifts, end: shift);
tile!(tile3_bits8_multiply, 3, vector: bits8_pixels3, constants: multipliers, end: multiply);
tile!(tile2_bits8_multiply, 2, vector: bits8_pixels2, constants: multipliers, end: multiply);
tile!(tile1_bits8_multiply, 1, vector: bits8_pixels1, constants: multipliers, end: multiply);
tile!(tile3_bits4_multiply, 3, vector: bits4_pixels3, constants: multipliers, end: multiply);
tile!(tile2_bits4_multiply, 2, vector: bits4_pixels2, constants: multipliers, end: multiply);
tile!(tile1_bits4_multiply, 1, vector: bits4_pixels1, constants: multipliers, end: multiply);

/// The loops over one, two and three pixels.
static BITS8_SHIFT: [Run; 3] = [tile1_bits8_shift, tile2_bits8_shift, tile3_bits8_shift];
static BITS4_SHIFT: [Run; 3] = [tile1_bits4_shift, tile2_bits4_shift, tile3_bits4_shift];
static BITS8_MULTIPLY: [Run; 3] = [tile1_bits8_multiply, tile2_bits8_multiply, tile3_bits8_multiply];
static BITS4_MULTIPLY: [Run; 3] = [tile1_bits4_multiply, tile2_bits4_multiply, tile3_bits4_multiply];

/// Runs the loop over rows, of bytes that [`Runs::copy`] has counted.
#[inline]
pub(super) fn copy<const PIXELS: usize>(runs: &Runs, len: usize, source: &[u8], target: &mut [u8]) {
    let run = match (PIXELS, runs.unsigned) {
        (3, false) => copy3_signed,
        (3, true) => copy3_unsigned,
        (2, false) => copy2_signed,
        (2, true) => copy2_unsigned,
        (1, false) => copy1_signed,
        (1, true) => copy1_unsigned,
        _ => return,
    };
    // SAFETY: all rows of all pixels lie in the source and, at their distances there, in the target.
    unsafe { run(source.as_ptr(), target.as_mut_ptr(), runs, len) }
}

/// Up to 16 bytes of a row.
macro_rules! move_signed {
    ($source:literal, $target:literal) => {
        concat!("vldrb.u8 q0, [", $source, "], #16\nvstrb.8 q0, [", $target, "], #16\n")
    };
}

/// Of codes without a sign: 128 is subtracted.
macro_rules! move_unsigned {
    ($source:literal, $target:literal) => {
        concat!("vldrb.u8 q0, [", $source, "], #16\nveor q0, q0, q1\nvstrb.8 q0, [", $target, "], #16\n")
    };
}

/// Where the rows of the other pixels begin.
macro_rules! pixels {
    (3) => {
        "add r11, r2, r6
        add r12, r3, r8
        add r9, r11, r6
        add r10, r12, r8
        "
    };
    (2) => {
        "add r11, r2, r6
        add r12, r3, r8
        "
    };
    (1) => {
        ""
    };
}

macro_rules! moves {
    (3, $move:ident) => {
        concat!($move!("r2", "r3"), $move!("r11", "r12"), $move!("r9", "r10"))
    };
    (2, $move:ident) => {
        concat!($move!("r2", "r3"), $move!("r11", "r12"))
    };
    (1, $move:ident) => {
        $move!("r2", "r3")
    };
}

/// One function over rows: r0 source, r1 target, r4 rows, r5 and r7 steps from row to row, r6 and r8 from pixel to pixel.
/// Of 7 instructions for 48 bytes 3 load and 3 store: the one port to memory bounds the loop.
macro_rules! copy {
    ($name:ident, $pixels:tt, $move:ident) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(source: *const u8, target: *mut u8, runs: *const Runs, len: usize) {
            naked_asm!(
                ".cpu cortex-m55
                push {{r4-r11, lr}}
                str r3, [sp, #-4]!
                ldm r2, {{r4, r5, r6, r7, r8}}
                vmov.i8 q1, #0x80
                1:
                ldr lr, [sp]
                mov r2, r0
                mov r3, r1",
                pixels!($pixels),
                "dlstp.8 lr, lr
                2:",
                moves!($pixels, $move),
                "letp lr, 2b
                add r0, r0, r5
                add r1, r1, r7
                subs r4, r4, #1
                bne 1b
                add sp, sp, #4
                pop {{r4-r11, pc}}",
            )
        }
    };
}

copy!(copy3_signed, 3, move_signed);
copy!(copy2_signed, 2, move_signed);
copy!(copy3_unsigned, 3, move_unsigned);
copy!(copy2_unsigned, 2, move_unsigned);
copy!(copy1_signed, 1, move_signed);
copy!(copy1_unsigned, 1, move_unsigned);

/// Fills bytes with one value.
#[inline]
pub(super) fn fill(target: &mut [u8], value: u8) {
    if !target.is_empty() {
        // SAFETY: as many bytes as the target has.
        unsafe { fill_bytes(target.as_mut_ptr(), target.len(), value.into()) }
    }
}

#[unsafe(naked)]
unsafe extern "C" fn fill_bytes(target: *mut u8, len: usize, value: u32) {
    naked_asm!(
        ".cpu cortex-m55
        push {{r7, lr}}
        vdup.8 q0, r2
        dlstp.8 lr, r1
        1:
        vstrb.8 q0, [r0], #16
        letp lr, 1b
        pop {{r7, pc}}",
    )
}

/// Writes the negative of each of the first `len` codes, of which there are some.
#[inline]
pub(super) fn negate(codes: &[u8], target: &mut [u32], len: usize) {
    if len <= codes.len().min(target.len()) {
        // SAFETY: both have as many elements.
        unsafe { negate_codes(codes.as_ptr(), target.as_mut_ptr(), len) }
    }
}

#[unsafe(naked)]
unsafe extern "C" fn negate_codes(codes: *const u8, target: *mut u32, len: usize) {
    naked_asm!(
        ".cpu cortex-m55
        push {{r7, lr}}
        dlstp.32 lr, r2
        1:
        vldrb.s32 q0, [r0], #4
        vneg.s32 q0, q0
        vstrw.32 q0, [r1], #16
        letp lr, 1b
        pop {{r7, pc}}",
    )
}

/// The loop over lanes: what it is told, in the order in which it loads it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct LanesLoop {
    /// Moves from pixel to pixel.
    input: *const u8,
    weights: *const u8,
    bias: *const u32,
    /// Left shifts, multipliers and left shifts, or where accumulators go.
    ends: *mut u32,
    channels: usize,
    /// Moves from pixel to pixel.
    output: *mut u8,
    min: i32,
    max: i32,
    places: *const u32,
    taps: usize,
    /// Pixels that are left.
    pixels: usize,
    pixel_step: usize,
    /// Added to products.
    zero: i32,
    run: unsafe extern "C" fn(*mut Self),
}

impl LanesLoop {
    /// Of these filters and taps, where the program links the loop.
    #[inline]
    pub(super) fn new<const LINKS: Links>(filters: &LanesFilters<'_>, taps: &Taps<'_>) -> Option<Self> {
        let (activation, zero) = match filters.end {
            LanesEnd::Shift(activation) => (activation, 0),
            LanesEnd::Multiply(activation, zero) => (activation, zero),
            LanesEnd::Accumulators => (Activation { min: 0, max: 0 }, 0),
        };
        let element = if taps.unsigned { Element::U8 } else { Element::I8 };
        let is_affine = !matches!(filters.end, LanesEnd::Shift(_));
        if !element.is_in(LINKS) || is_affine && LINKS & AFFINE_LINK == 0 {
            return None;
        }
        let whole = filters.channels.is_multiple_of(VECTOR);
        Some(Self {
            input: ptr::null(),
            weights: ptr::null(),
            bias: ptr::null(),
            ends: ptr::null_mut(),
            channels: filters.channels,
            output: ptr::null_mut(),
            min: activation.min.into(),
            max: activation.max.into(),
            places: ptr::null(),
            taps: taps.places().len(),
            pixels: 0,
            pixel_step: filters.pixel_step,
            zero: zero.into(),
            run: match (element, filters.end) {
                (Element::I8, LanesEnd::Shift(_)) if whole => lanes16_signed_codes,
                (Element::I8, LanesEnd::Shift(_)) => lanes_signed_codes,
                (Element::I8, LanesEnd::Multiply(..)) if whole => lanes16_signed_products,
                (Element::I8, LanesEnd::Multiply(..)) => lanes_signed_products,
                (Element::I8, LanesEnd::Accumulators) => lanes_signed_accumulators,
                (_, LanesEnd::Shift(_)) if whole => lanes16_unsigned_codes,
                (_, LanesEnd::Shift(_)) => lanes_unsigned_codes,
                (_, LanesEnd::Multiply(..)) if whole => lanes16_unsigned_products,
                (_, LanesEnd::Multiply(..)) => lanes_unsigned_products,
                (_, LanesEnd::Accumulators) => lanes_unsigned_accumulators,
            },
        })
    }

    /// Runs the loop, over operands that [are consistent](LanesFilters::are_consistent) and taps that
    /// [are inside](Taps::are_inside), of the filters and the taps that it was made of.
    #[inline]
    pub(super) fn run(
        &mut self,
        filters: &LanesFilters<'_>,
        (taps, inputs): (&Taps<'_>, &Inputs<'_>),
        ends: &mut [u32],
        (base, pixels): (usize, usize),
        output: &mut [u8],
    ) {
        self.input = inputs.codes.as_ptr().wrapping_add(base);
        (self.weights, self.bias) = (filters.weights.as_ptr(), filters.bias.as_ptr());
        (self.ends, self.output) = (ends.as_mut_ptr(), output.as_mut_ptr());
        (self.places, self.pixels) = (taps.places().as_ptr(), pixels);
        // SAFETY: every tap of every pixel lies in the input at its place, or in the zeros, which `padding` made a distance from the
        // input, with as many codes as there are channels; the tables and the weights have whole vectors.
        unsafe { (self.run)(self) }
    }
}

/// The place of a tap that is padding: from the input to the zeros.
#[inline]
pub(super) fn padding(input: &[u8], zeros: &[u8]) -> u32 {
    (zeros.as_ptr() as usize).wrapping_sub(input.as_ptr() as usize) as u32
}

macro_rules! subtract_nothing {
    () => {
        ""
    };
}

/// Subtracts 128 from codes without a sign.
macro_rules! subtract_128 {
    () => {
        "vmov.i8 q2, #0x80
        veor q0, q0, q2
        veor q1, q1, q2
        "
    };
}

/// Values of 32 bits in q4 to q7, as the loop over lanes has them, to codes in the order of the channels: both bounds, r9 and r10,
/// have 16 bits. `$store` writes q4 at r8.
macro_rules! narrow {
    ($store:ident) => {
        concat!(
            "vqmovnb.s32 q4, q4
            vqmovnb.s32 q5, q5
            vqmovnt.s32 q4, q6
            vqmovnt.s32 q5, q7
            vdup.16 q0, r9
            vdup.16 q1, r10
            vmax.s16 q4, q4, q0
            vmax.s16 q5, q5, q0
            vmin.s16 q4, q4, q1
            vmin.s16 q5, q5, q1
            vsli.16 q4, q5, #8
            ",
            $store!()
        )
    };
}

/// A store of up to 16 codes at r8.
macro_rules! store_some {
    () => {
        "vpst\nvstrbt.8 q4, [r8], #16\n"
    };
}

macro_rules! store_16 {
    () => {
        "vstrb.8 q4, [r8], #16\n"
    };
}

/// Shifts, then codes.
macro_rules! lanes_codes {
    ($store:ident) => {
        concat!(
            "vld40.32 {{q0, q1, q2, q3}}, [r6]
            vld41.32 {{q0, q1, q2, q3}}, [r6]
            vld42.32 {{q0, q1, q2, q3}}, [r6]
            vld43.32 {{q0, q1, q2, q3}}, [r6]!
            vqshl.s32 q4, q4, q0
            vqshl.s32 q5, q5, q1
            vqshl.s32 q6, q6, q2
            vqshl.s32 q7, q7, q3
            ",
            narrow!($store)
        )
    };
}

/// Multiplies to the nearest, then shifts right, by at least one, to the nearest, half away from zero: half up of what is one less
/// below zero. Then the zero point, and codes.
macro_rules! lanes_products {
    ($store:ident) => {
        concat!(
            "vld40.32 {{q0, q1, q2, q3}}, [r6]
            vld41.32 {{q0, q1, q2, q3}}, [r6]
            vld42.32 {{q0, q1, q2, q3}}, [r6]
            vld43.32 {{q0, q1, q2, q3}}, [r6]!
            vqrdmulh.s32 q4, q4, q0
            vqrdmulh.s32 q5, q5, q1
            vqrdmulh.s32 q6, q6, q2
            vqrdmulh.s32 q7, q7, q3
            vshr.s32 q0, q4, #31
            vqadd.s32 q4, q4, q0
            vshr.s32 q1, q5, #31
            vqadd.s32 q5, q5, q1
            vshr.s32 q2, q6, #31
            vqadd.s32 q6, q6, q2
            vshr.s32 q3, q7, #31
            vqadd.s32 q7, q7, q3
            vld40.32 {{q0, q1, q2, q3}}, [r6]
            vld41.32 {{q0, q1, q2, q3}}, [r6]
            vld42.32 {{q0, q1, q2, q3}}, [r6]
            vld43.32 {{q0, q1, q2, q3}}, [r6]!
            ldr r4, [sp]
            ldr r4, [r4, #48]
            vrshl.s32 q4, q4, q0
            vrshl.s32 q5, q5, q1
            vrshl.s32 q6, q6, q2
            vrshl.s32 q7, q7, q3
            vqadd.s32 q4, q4, r4
            vqadd.s32 q5, q5, r4
            vqadd.s32 q6, q6, r4
            vqadd.s32 q7, q7, r4
            ",
            narrow!($store)
        )
    };
}

/// Accumulators as they are.
macro_rules! lanes_accumulators {
    ($store:ident) => {
        "vst40.32 {{q4, q5, q6, q7}}, [r6]
        vst41.32 {{q4, q5, q6, q7}}, [r6]
        vst42.32 {{q4, q5, q6, q7}}, [r6]
        vst43.32 {{q4, q5, q6, q7}}, [r6]!
        "
    };
}

/// Sums of 16 bits, q3 of the even channels and q0 of the odd ones, to the accumulators.
macro_rules! widen {
    () => {
        "vmovlb.s16 q1, q3
        vadd.i32 q4, q4, q1
        vmovlt.s16 q3, q3
        vadd.i32 q6, q6, q3
        vmovlb.s16 q1, q0
        vadd.i32 q5, q5, q1
        vmovlt.s16 q0, q0
        vadd.i32 q7, q7, q0
        "
    };
}

/// Inputs of up to 16 channels of two taps, and of one.
macro_rules! load_some {
    (2) => {
        "vpstt\nvldrbt.u8 q0, [r4]\nvldrbt.u8 q1, [r5]\n"
    };
    (1) => {
        "vpst\nvldrbt.u8 q0, [r4]\n"
    };
}

macro_rules! load_16 {
    (2) => {
        "vldrb.u8 q0, [r4]\nvldrb.u8 q1, [r5]\n"
    };
    (1) => {
        "vldrb.u8 q0, [r4]\n"
    };
}

/// One function over the taps of the windows of some pixels, 16 channels at a time; with `load_16` the channels are whole vectors.
///
/// q4 to q7 accumulators of the channels `4 i`, `4 i + 1`, `4 i + 2`, `4 i + 3`; r1 inputs, r2 weights, r3 biases, r6 ends, r7 channels, r8 output, r9 and r10 bounds, r11 places of the taps, r12 taps, the carry an odd one; on the stack
/// the arguments. Two products fit 16 bits, since weights are at least -127; their sums are widened.
///
/// 23 instructions for 32 products (24 where a predicate is needed): 6 load, 4 multiply, 10 add or widen, 3 find the taps. A Cortex-M55 overlaps loads
/// with the others: the 14 instructions between the vector registers bound the loop.
macro_rules! lanes {
    ($name:ident, $load:ident, $subtract:ident, $end:ident, $store:ident) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *mut LanesLoop) {
            naked_asm!(
                ".cpu cortex-m55
                push {{r4-r11, lr}}
                vpush {{d8-d15}}
                sub sp, sp, #4
                str r0, [sp]
                0:
                ldm r0, {{r1, r2, r3, r6, r7, r8, r9, r10, r11, r12}}
                1:
                vctp.8 r7
                vld40.32 {{q4, q5, q6, q7}}, [r3]
                vld41.32 {{q4, q5, q6, q7}}, [r3]
                vld42.32 {{q4, q5, q6, q7}}, [r3]
                vld43.32 {{q4, q5, q6, q7}}, [r3]!
                mov r0, r11
                lsrs lr, r12, #1
                wls lr, lr, 3f
                2:
                ldrd r4, r5, [r0], #8
                add r4, r4, r1
                add r5, r5, r1",
                $load!(2),
                $subtract!(),
                "vldrb.u8 q2, [r2], #16
                vmullb.s8 q3, q0, q2
                vmullt.s8 q0, q0, q2
                vldrb.u8 q2, [r2]
                vmullb.s8 q2, q1, q2
                vadd.i16 q3, q3, q2
                vldrb.u8 q2, [r2], #16
                vmullt.s8 q1, q1, q2
                vadd.i16 q0, q0, q1",
                widen!(),
                "le lr, 2b
                3:
                bcc 4f
                ldr r4, [r0]
                add r4, r4, r1",
                $load!(1),
                $subtract!(),
                "vldrb.u8 q2, [r2], #32
                vmullb.s8 q3, q0, q2
                vmullt.s8 q0, q0, q2",
                widen!(),
                "4:",
                $end!($store),
                "add r1, r1, #16
                subs r7, r7, #16
                bhi 1b
                ldr r0, [sp]
                ldr r1, [r0]
                ldrd r2, r3, [r0, #40]
                add r1, r1, r3
                str r1, [r0]
                ldrd r4, r5, [r0, #16]
                add r5, r5, r4
                str r5, [r0, #20]
                subs r2, r2, #1
                str r2, [r0, #40]
                bne 0b
                add sp, sp, #4
                vpop {{d8-d15}}
                pop {{r4-r11, pc}}",
            )
        }
    };
}

lanes!(lanes16_signed_codes, load_16, subtract_nothing, lanes_codes, store_16);
lanes!(lanes16_unsigned_codes, load_16, subtract_128, lanes_codes, store_16);
lanes!(lanes_signed_codes, load_some, subtract_nothing, lanes_codes, store_some);
lanes!(lanes_unsigned_codes, load_some, subtract_128, lanes_codes, store_some);
lanes!(lanes16_signed_products, load_16, subtract_nothing, lanes_products, store_16);
lanes!(lanes16_unsigned_products, load_16, subtract_128, lanes_products, store_16);
lanes!(lanes_signed_products, load_some, subtract_nothing, lanes_products, store_some);
lanes!(lanes_unsigned_products, load_some, subtract_128, lanes_products, store_some);
lanes!(lanes_signed_accumulators, load_some, subtract_nothing, lanes_accumulators, store_some);
lanes!(lanes_unsigned_accumulators, load_some, subtract_128, lanes_accumulators, store_some);

/// Operands of an addition, in the order in which the loop loads them.
#[repr(C)]
struct SumArguments {
    a: *const u8,
    b: *const u8,
    output: *mut u8,
    len: usize,
    a_shift: u32,
    b_shift: u32,
    left_shift: i32,
    min: i32,
    max: i32,
}

/// Adds codes of one byte, of which as many lie in `output` as in `b`; `a` is the output's own codes where there is none.
///
/// shifts  left shifts of both operands, then that of their sum, negative to the right
#[inline]
pub(super) fn add(
    unsigned: bool,
    a: Option<&[u8]>,
    b: Option<&[u8]>,
    output: &mut [u8],
    (a_shift, b_shift, left_shift): (u8, u8, i32),
    activation: Activation,
) {
    let len = output.len();
    let target = output.as_mut_ptr();
    let first = a.map_or(target.cast_const(), <[u8]>::as_ptr);
    let arguments = SumArguments {
        a: first,
        b: b.map_or(first, <[u8]>::as_ptr),
        output: target,
        len,
        a_shift: a_shift.into(),
        b_shift: b_shift.into(),
        left_shift,
        min: activation.min.into(),
        max: activation.max.into(),
    };
    if len == 0 || a.is_some_and(|a| a.len() < len) || b.is_some_and(|b| b.len() < len) {
        return;
    }
    let run = if unsigned { add_unsigned } else { add_signed };
    // SAFETY: both operands have as many codes as the output, or are the output, whose codes are read before they are written.
    unsafe { run(&raw const arguments) }
}

/// One function over two tensors, eight codes at a time, in 16 bits: 10 instructions, of which 3 read or write memory, which
/// bounds the loop.
macro_rules! add {
    ($name:ident, $load:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const SumArguments) {
            naked_asm!(
                ".cpu cortex-m55
                push {{r4-r9, r11, lr}}
                ldm r0, {{r1, r2, r3, r4, r5, r6, r7, r8, r9}}
                vdup.16 q2, r8
                vdup.16 q3, r9
                dlstp.16 lr, r4
                1:",
                concat!($load, " q0, [r1], #8\n", $load, " q1, [r2], #8"),
                "vshl.s16 q0, r5
                vshl.s16 q1, r6
                vadd.i16 q0, q0, q1
                vqrshl.s16 q0, r7
                vmax.s16 q0, q0, q2
                vmin.s16 q0, q0, q3
                vstrb.16 q0, [r3], #8
                letp lr, 1b
                pop {{r4-r9, r11, pc}}",
            )
        }
    };
}

add!(add_signed, "vldrb.s16");
add!(add_unsigned, "vldrb.u16");

/// Operands of a mean, in the order in which the loop loads them.
#[repr(C)]
struct MeanArguments {
    source: *const u8,
    pixels: usize,
    multiplier: i32,
    left_shift: i32,
    channels: usize,
    output: *mut u8,
    min: i32,
    max: i32,
}

/// The means of all channels: their sums times a multiplier, shifted right, rounded; no product leaves 32 bits.
#[inline]
pub(super) fn mean(unsigned: bool, source: &[u8], pixels: usize, op: &Mean, output: &mut [u8]) {
    let channels = output.len();
    let arguments = MeanArguments {
        source: source.as_ptr(),
        pixels,
        multiplier: op.multiplier,
        left_shift: -i32::from(op.right_shift),
        channels,
        output: output.as_mut_ptr(),
        min: op.activation.min.into(),
        max: op.activation.max.into(),
    };
    if pixels > 0 && channels > 0 && pixels.saturating_mul(channels) <= source.len() {
        let run = if unsigned { mean_unsigned } else { mean_signed };
        // SAFETY: as many codes of each pixel as of the output lie in the source.
        unsafe { run(&raw const arguments) }
    }
}

/// Adds the codes of r4 pixels, r5 bytes from one to the next from r0 on, to sums as the loop over lanes has them, in q4 to q7:
/// of up to 128 pixels in 16 bits, q0 of the even channels and q1 of the odd ones.
///
/// 8 instructions for 16 codes: 1 loads, 4 add or widen, 2 find the codes, 1 branches. The four bound the loop.
macro_rules! sum_pixels {
    ($even:literal, $odd:literal) => {
        concat!(
            "2:
            mov r11, #128
            cmp r4, r11
            it lo
            movlo r11, r4
            vmov.i32 q0, #0
            vmov.i32 q1, #0
            dls lr, r11
            3:
            vpst
            vldrbt.u8 q2, [r0]
            add r0, r0, r5
            ",
            $even,
            " q3, q2
            vadd.i16 q0, q0, q3
            ",
            $odd,
            " q2, q2
            vadd.i16 q1, q1, q2
            le lr, 3b
            vmovlb.s16 q2, q0
            vadd.i32 q4, q4, q2
            vmovlt.s16 q2, q0
            vadd.i32 q6, q6, q2
            vmovlb.s16 q2, q1
            vadd.i32 q5, q5, q2
            vmovlt.s16 q2, q1
            vadd.i32 q7, q7, q2
            subs r4, r4, r11
            bne 2b
            "
        )
    };
}

/// One function over pixels, 16 channels at a time.
macro_rules! mean {
    ($name:ident, $even:literal, $odd:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const MeanArguments) {
            naked_asm!(
                ".cpu cortex-m55
                push {{r4-r11, lr}}
                vpush {{d8-d15}}
                ldm r0, {{r1, r2, r3, r6, r7, r8, r9, r10}}
                mov r5, r7
                1:
                vctp.8 r7
                vmov.i32 q4, #0
                vmov.i32 q5, #0
                vmov.i32 q6, #0
                vmov.i32 q7, #0
                mov r0, r1
                mov r4, r2",
                sum_pixels!($even, $odd),
                "vmul.i32 q4, q4, r3
                vmul.i32 q5, q5, r3
                vmul.i32 q6, q6, r3
                vmul.i32 q7, q7, r3
                vrshl.s32 q4, r6
                vrshl.s32 q5, r6
                vrshl.s32 q6, r6
                vrshl.s32 q7, r6",
                narrow!(store_some),
                "add r1, r1, #16
                subs r7, r7, #16
                bhi 1b
                vpop {{d8-d15}}
                pop {{r4-r11, pc}}",
            )
        }
    };
}

mean!(mean_signed, "vmovlb.s8", "vmovlt.s8");
mean!(mean_unsigned, "vmovlb.u8", "vmovlt.u8");

/// Adds the codes of some channels, at most 16, of pixels `pitch` bytes apart to their sums. Nothing where there are fewer codes.
#[inline]
pub(super) fn sum_pixels(
    unsigned: bool,
    source: &[u8],
    (pitch, pixels): (usize, usize),
    channels: usize,
    sums: &mut [i32; VECTOR],
) {
    let Some(last) = pixels.checked_sub(1) else { return };
    if (1..=VECTOR).contains(&channels) && last.saturating_mul(pitch).saturating_add(channels) <= source.len() {
        let run = if unsigned { sum_unsigned } else { sum_signed };
        // SAFETY: as many codes of each pixel as there are channels lie in the source; there are 16 sums.
        unsafe { run(source.as_ptr(), pitch, pixels, channels, sums) }
    }
}

/// One function over pixels.
macro_rules! sum {
    ($name:ident, $even:literal, $odd:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            source: *const u8,
            pitch: usize,
            pixels: usize,
            channels: usize,
            sums: *mut [i32; VECTOR],
        ) {
            naked_asm!(
                ".cpu cortex-m55
                push {{r4, r5, r6, r11, r12, lr}}
                vpush {{d8-d15}}
                ldr r6, [sp, #88]
                mov r4, r2
                mov r5, r1
                vctp.8 r3
                vld40.32 {{q4, q5, q6, q7}}, [r6]
                vld41.32 {{q4, q5, q6, q7}}, [r6]
                vld42.32 {{q4, q5, q6, q7}}, [r6]
                vld43.32 {{q4, q5, q6, q7}}, [r6]",
                sum_pixels!($even, $odd),
                "vst40.32 {{q4, q5, q6, q7}}, [r6]
                vst41.32 {{q4, q5, q6, q7}}, [r6]
                vst42.32 {{q4, q5, q6, q7}}, [r6]
                vst43.32 {{q4, q5, q6, q7}}, [r6]
                vpop {{d8-d15}}
                pop {{r4, r5, r6, r11, r12, pc}}",
            )
        }
    };
}

sum!(sum_signed, "vmovlb.s8", "vmovlt.s8");
sum!(sum_unsigned, "vmovlb.u8", "vmovlt.u8");

/// Operands of an addition in the affine scheme, in the order in which the loop loads them.
#[repr(C)]
struct ScaledSumArguments {
    narrow: *const u8,
    wide: *const u8,
    output: *mut u8,
    len: usize,
    narrow_zero: i32,
    wide_zero: i32,
    multiplier: i32,
    left_shift: i32,
    output_multiplier: i32,
    output_left_shift: i32,
    output_zero: i32,
    min: i32,
    max: i32,
}

/// Adds codes of one byte in the affine scheme, of which as many lie in `output` as in `b`; `a` is the output's own codes where
/// there is none. Nothing where there are fewer.
#[inline]
pub(super) fn add_scaled(sum: &ScaledSum, activation: Activation, a: Option<&[u8]>, b: &[u8], output: &mut [u8]) {
    let len = output.len();
    if len == 0 || b.len() < len || a.is_some_and(|a| a.len() < len) {
        return;
    }
    let target = output.as_mut_ptr();
    let (a, b) = (a.map_or(target.cast_const(), <[u8]>::as_ptr), b.as_ptr());
    let (wide, narrow) = if sum.first_is_wide { (a, b) } else { (b, a) };
    let arguments = ScaledSumArguments {
        narrow,
        wide,
        output: target,
        len,
        narrow_zero: sum.narrow_zero.into(),
        wide_zero: sum.wide_zero.into(),
        multiplier: sum.multiplier,
        left_shift: -i32::from(sum.right_shift),
        output_multiplier: sum.output_multiplier,
        output_left_shift: -i32::from(sum.output_right_shift),
        output_zero: sum.output_zero.into(),
        min: activation.min.into(),
        max: activation.max.into(),
    };
    let run = if sum.signed { add_scaled_signed } else { add_scaled_unsigned };
    // SAFETY: both operands have as many codes as the output, or are the output, whose codes are read before they are written.
    unsafe { run(&raw const arguments) }
}

/// One function over two tensors, four codes at a time: the narrower operand is multiplied and shifted right, the wider one halved,
/// their sum multiplied and shifted right by at least one. Shifts round half away from zero: half up of what is one less below
/// zero, but where there is no shift (q3 is 0).
///
/// 21 instructions, of which 3 read or write memory: the 17 between the vector registers bound the loop.
macro_rules! add_scaled {
    ($name:ident, $load:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const ScaledSumArguments) {
            naked_asm!(
                ".cpu cortex-m55
                push {{r4-r11, lr}}
                vpush {{d8-d11}}
                ldrd r1, r2, [r0, #44]
                vdup.32 q4, r1
                vdup.32 q5, r2
                ldm r0, {{r1-r11}}
                vdup.32 q3, r8
                vshr.s32 q3, q3, #31
                dlstp.32 lr, r4
                1:",
                concat!($load, " q0, [r1], #4\n", $load, " q1, [r2], #4"),
                "vsub.i32 q0, q0, r5
                vshl.i32 q0, q0, #20
                vqrdmulh.s32 q0, q0, r7
                vand q2, q0, q3
                vshr.s32 q2, q2, #31
                vadd.i32 q0, q0, q2
                vrshl.s32 q0, r8
                vsub.i32 q1, q1, r6
                vshl.i32 q1, q1, #19
                vadd.i32 q0, q0, q1
                vqrdmulh.s32 q0, q0, r9
                vshr.s32 q2, q0, #31
                vqadd.s32 q0, q0, q2
                vrshl.s32 q0, r10
                vqadd.s32 q0, q0, r11
                vmax.s32 q0, q0, q4
                vmin.s32 q0, q0, q5
                vstrb.32 q0, [r3], #4
                letp lr, 1b
                vpop {{d8-d11}}
                pop {{r4-r11, pc}}",
            )
        }
    };
}

add_scaled!(add_scaled_signed, "vldrb.s32");
add_scaled!(add_scaled_unsigned, "vldrb.u32");

/// What the loop that fills strips is told, in the order in which it loads it.
#[repr(C)]
struct ColumnsArguments {
    pitch: usize,
    count: usize,
    step: usize,
    channels: usize,
    flip: u32,
}

/// Fills strips from codes that [`super::instructions::load_columns`] has counted.
#[inline]
pub(super) fn load_columns(columns: &Columns, source: &[u8], target: &mut [u8]) {
    let Columns { pitch, count, step, channels, unsigned } = *columns;
    let arguments = ColumnsArguments { pitch, count, step, channels, flip: if unsigned { 0x80 } else { 0 } };
    // SAFETY: as many codes of each pixel as there are channels lie in the source, and of each strip one in the target.
    unsafe { fill_strips(source.as_ptr(), target.as_mut_ptr(), &raw const arguments) }
}

/// r0 source, r1 first strip, r3 distance of pixels, r5 ninth strip, r6 channels, r8 those behind the first eight; q2 distances of
/// strips, q3 what turns the sign. 14 instructions for 16 codes, of which 2 store: a Cortex-M55 takes a cycle for each of their lanes, which
/// bounds the loop.
#[unsafe(naked)]
unsafe extern "C" fn fill_strips(source: *const u8, target: *mut u8, arguments: *const ColumnsArguments) {
    naked_asm!(
        ".cpu cortex-m55
        push {{r4-r8, lr}}
        ldm r2, {{r3, r4, r5, r6, r7}}
        adr.w r8, 3f
        vldrh.u16 q2, [r8]
        vmul.i16 q2, q2, r5
        vdup.16 q3, r7
        add r5, r1, r5, lsl #3
        subs r8, r6, #8
        it lt
        movlt r8, #0
        dls lr, r4
        1:
        vctp.16 r6
        vpsttt
        vldrbt.u16 q0, [r0]
        veort q0, q0, q3
        vstrbt.16 q0, [r1, q2]
        vctp.16 r8
        vpsttt
        vldrbt.u16 q1, [r0, #8]
        veort q1, q1, q3
        vstrbt.16 q1, [r5, q2]
        add r0, r0, r3
        adds r1, #4
        adds r5, #4
        le lr, 1b
        pop {{r4-r8, pc}}
        .p2align 2
        3:
        .hword 0, 2, 1, 3, 4, 6, 5, 7",
    )
}

/// Turns the weights of each column down by a row.
#[inline]
pub(super) fn turn(weights: &mut [u8; VECTOR * VECTOR]) {
    // SAFETY: 16 vectors.
    unsafe { turn_weights(weights.as_mut_ptr()) }
}

/// By two rows.
#[inline]
pub(super) fn turn_by_two(weights: &mut [u8; VECTOR * VECTOR]) {
    // SAFETY: 16 vectors.
    unsafe { turn_weights_by_two(weights.as_mut_ptr()) }
}

#[unsafe(naked)]
unsafe extern "C" fn turn_weights(weights: *mut u8) {
    naked_asm!(
        ".cpu cortex-m55
        push {{r7, lr}}
        mov r1, #16
        dls lr, r1
        1:
        vldrw.u32 q0, [r0]
        vshl.i32 q1, q0, #8
        vsri.32 q1, q0, #24
        vstrw.32 q1, [r0], #16
        le lr, 1b
        pop {{r7, pc}}",
    )
}

#[unsafe(naked)]
unsafe extern "C" fn turn_weights_by_two(weights: *mut u8) {
    naked_asm!(
        ".cpu cortex-m55
        push {{r7, lr}}
        mov r1, #16
        dls lr, r1
        1:
        vldrw.u32 q0, [r0]
        vrev32.16 q0, q0
        vstrw.32 q0, [r0], #16
        le lr, 1b
        pop {{r7, pc}}",
    )
}

/// What the loops over strips are told.
#[repr(C)]
struct StripArguments {
    strips: *const u8,
    weights: *const u8,
    bias: *const u32,
    ends: *const u32,
    output: *mut u8,
    channels: usize,
    step: usize,
    pixel_step: usize,
    pixels: usize,
    pitch: usize,
    zero: i32,
    min: i32,
    max: i32,
    /// 0 for one row.
    below: usize,
}

/// Runs the loop over rows that [`super::instructions::run_strips`] has checked.
#[inline]
pub(super) fn run_strips<const LINKS: Links>(rows: StripRows<'_>) {
    let (activation, zero, [one_row, two_rows]): (_, _, [unsafe extern "C" fn(*const StripArguments); 2]) =
        match rows.end {
            LanesEnd::Shift(activation) => (activation, 0, [strip_codes, square_codes]),
            LanesEnd::Multiply(activation, zero) if LINKS & AFFINE_LINK != 0 => {
                (activation, zero, [strip_products, square_products])
            }
            _ => return,
        };
    let arguments = StripArguments {
        strips: rows.strips.as_ptr(),
        weights: rows.weights.as_ptr(),
        bias: rows.bias.as_ptr(),
        ends: rows.ends.as_ptr(),
        output: rows.output.as_mut_ptr(),
        channels: rows.channels,
        step: rows.step,
        pixel_step: rows.pixel_step,
        pixels: rows.pixels,
        pitch: rows.pitch,
        zero: zero.into(),
        min: activation.min.into(),
        max: activation.max.into(),
        below: rows.below.unwrap_or(0),
    };
    let run = if rows.below.is_some() { two_rows } else { one_row };
    // SAFETY: each of 16 strips holds the windows of all pixels, of which there are three or more; there are the weights, biases
    // and ends of 16 channels, and the output has room for the channels of every pixel of its rows.
    unsafe { run(&raw const arguments) }
}

/// One channel of three pixels: 10 instructions for 27 products of a window of 3x3.
macro_rules! strip {
    ($a:literal, $b:literal, $c:literal) => {
        concat!(
            "vldrb.u8 q0, [r7], #16\n",
            concat!("vldrb.u8 q1, [r1]\n add r1, r1, r9\n vmladav.s8 ", $a, ", q0, q1\n"),
            concat!("vldrb.u8 q2, [r3]\n add r3, r3, r9\n vmladav.s8 ", $b, ", q0, q2\n"),
            concat!("vldrb.u8 q1, [r5]\n add r5, r5, r9\n vmladav.s8 ", $c, ", q0, q1\n"),
        )
    };
}

/// One instruction on each of the sums of four channels.
macro_rules! each {
    ($instruction:literal, $operand:literal, [$($sum:literal),*]) => {
        concat!($($instruction, " ", $sum, ", ", $sum, ", ", $operand, "\n",)*)
    };
}

/// Sums of four channels, shifted; the register of the ends.
macro_rules! shift_sums {
    ($ends:literal, $zero:literal, $sums:tt) => {
        concat!("vldrw.u32 q1, [", $ends, "], #16\n", each!("vqshl.s32", "q1", $sums))
    };
}

/// Multiplied, and shifted right as in the loop over lanes; the zero point, by way of a register that is free.
macro_rules! multiply_sums {
    ($ends:literal, $zero:literal, [$($sum:literal),*]) => {
        concat!(
            concat!("vldrw.u32 q1, [", $ends, "]\n vldrw.u32 q2, [", $ends, ", #64]\n"),
            concat!("add ", $ends, ", ", $ends, ", #16\n"),
            concat!("ldr ", $zero, ", [sp]\n ldr ", $zero, ", [", $zero, ", #40]\n"),
            each!("vqrdmulh.s32", "q1", [$($sum),*]),
            $("vshr.s32 q0, ", $sum, ", #31\n vqadd.s32 ", $sum, ", ", $sum, ", q0\n",)*
            each!("vrshl.s32", "q2", [$($sum),*]),
            each!("vqadd.s32", $zero, [$($sum),*]),
        )
    };
}

/// One function over the pixels of a row, three at a time, and over channels, four at a time; two pixels or one that are left
/// are taken with those before them, once more.
///
/// r0, r2, r4, r6, r8, r10 products of two channels, then of the other two; r1, r3, r5 strips, r7 weights, r9 from one strip to
/// the next, r11 ends, r12 biases, lr channels; q3 to q5 sums of the three pixels, q6 and q7 bounds. On the stack: what it was told, the strip
/// and the output of the tile, pixels that are left, the output of the four channels, its distance.
///
/// 74 instructions for 12 codes of a window of 3x3, of which 16 load vectors for 12 that multiply: the loads bound the loop.
macro_rules! strips {
    ($name:ident, $end:ident) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const StripArguments) {
            naked_asm!(
                ".cpu cortex-m55
                push {{r4-r11, lr}}
                vpush {{d8-d15}}
                sub sp, sp, #28
                ldrd r1, r2, [r0, #44]
                vdup.32 q6, r1
                vdup.32 q7, r2
                ldr r1, [r0]
                ldr r2, [r0, #16]
                ldrd r3, r4, [r0, #32]
                strd r0, r1, [sp]
                strd r2, r3, [sp, #8]
                str r4, [sp, #20]
                1:
                ldrd r8, r1, [sp]
                ldrd r9, r2, [r8, #24]
                add r3, r1, r2
                add r5, r3, r2
                ldrd r7, r12, [r8, #4]
                ldr r11, [r8, #12]
                ldr lr, [r8, #20]
                ldr r0, [sp, #8]
                str r0, [sp, #16]
                2:",
                strip!("r0", "r2", "r4"),
                strip!("r6", "r8", "r10"),
                "vmov q3[2], q3[0], r0, r6
                vmov q4[2], q4[0], r2, r8
                vmov q5[2], q5[0], r4, r10",
                strip!("r0", "r2", "r4"),
                strip!("r6", "r8", "r10"),
                "vmov q3[3], q3[1], r0, r6
                vmov q4[3], q4[1], r2, r8
                vmov q5[3], q5[1], r4, r10
                vldrw.u32 q0, [r12], #16",
                each!("vadd.i32", "q0", ["q3", "q4", "q5"]),
                $end!("r11", "r8", ["q3", "q4", "q5"]),
                each!("vmax.s32", "q6", ["q3", "q4", "q5"]),
                each!("vmin.s32", "q7", ["q3", "q4", "q5"]),
                "ldrd r0, r2, [sp, #16]
                add r4, r0, r2
                add r6, r4, r2
                add r8, r0, #4
                str r8, [sp, #16]
                vctp.32 lr
                vpsttt
                vstrbt.32 q3, [r0]
                vstrbt.32 q4, [r4]
                vstrbt.32 q5, [r6]
                subs lr, lr, #4
                bhi 2b
                ldrd r2, r0, [sp, #8]
                subs r0, r0, #3
                beq 3f
                mov r1, #3
                cmp r0, #3
                itt lo
                movlo r1, r0
                movlo r0, #3
                ldr r3, [sp, #20]
                mla r2, r1, r3, r2
                strd r2, r0, [sp, #8]
                ldrd r8, r2, [sp]
                ldr r3, [r8, #28]
                mla r2, r1, r3, r2
                str r2, [sp, #4]
                b 1b
                3:
                add sp, sp, #28
                vpop {{d8-d15}}
                pop {{r4-r11, pc}}",
            )
        }
    };
}

strips!(strip_codes, shift_sums);
strips!(strip_products, multiply_sums);

/// One channel of two pixels, one beside the other, and of the two below: 10 instructions for 36 products of windows of 3x3.
macro_rules! square {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "vldrb.u8 q0, [r5], #16\n",
            "vldrb.u8 q2, [r1]\n",
            "vshl.i32 q1, q0, #8\n",
            concat!("vmladav.s8 ", $a, ", q0, q2\n"),
            "vsri.32 q1, q0, #24\n",
            concat!("vmladav.s8 ", $c, ", q1, q2\n"),
            "vldrb.u8 q2, [r1, #4]\n",
            "add r1, r1, r3\n",
            concat!("vmladav.s8 ", $b, ", q0, q2\n"),
            concat!("vmladav.s8 ", $d, ", q1, q2\n"),
        )
    };
}

/// One function over the pixels of two rows, two by two, and over channels, four at a time; a column that is left is taken with the one
/// before it, once more. The windows of both rows lie in the same 16 bytes of a strip: those of the row below meet the weights turned by one.
///
/// r0, r2, r4, r6, r8, r10, r12, lr products of two channels, then of the other two; r1 strip, r3 from one strip to the next, r5 weights,
/// r7 biases, r9 ends, r11 channels; q3 to q6 sums of the four pixels, q7 lower bound. On the stack: what it was told, the strip and
/// the output of the tile, pixels that are left, the output of the four channels, the distances of pixels and rows, the upper bound.
///
/// 82 instructions for 16 codes of windows of 3x3, of which 12 load vectors for 16 that multiply: the products bound the loop.
macro_rules! squares {
    ($name:ident, $end:ident) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const StripArguments) {
            naked_asm!(
                ".cpu cortex-m55
                push {{r4-r11, lr}}
                vpush {{d8-d15}}
                sub sp, sp, #52
                ldrd r1, r2, [r0, #44]
                vdup.32 q7, r1
                vdup.32 q0, r2
                vstrw.32 q0, [sp, #32]
                ldr r1, [r0]
                ldr r2, [r0, #16]
                ldrd r3, r4, [r0, #32]
                ldr r5, [r0, #52]
                strd r0, r1, [sp]
                strd r2, r3, [sp, #8]
                strd r4, r5, [sp, #20]
                1:
                ldrd r0, r1, [sp]
                ldrd r5, r7, [r0, #4]
                ldr r9, [r0, #12]
                ldrd r11, r3, [r0, #20]
                ldr r0, [sp, #8]
                str r0, [sp, #16]
                2:",
                square!("r0", "r2", "r4", "r6"),
                square!("r8", "r10", "r12", "lr"),
                "vmov q3[2], q3[0], r0, r8
                vmov q4[2], q4[0], r2, r10
                vmov q5[2], q5[0], r4, r12
                vmov q6[2], q6[0], r6, lr",
                square!("r0", "r2", "r4", "r6"),
                square!("r8", "r10", "r12", "lr"),
                "vmov q3[3], q3[1], r0, r8
                vmov q4[3], q4[1], r2, r10
                vmov q5[3], q5[1], r4, r12
                vmov q6[3], q6[1], r6, lr
                vldrw.u32 q0, [r7], #16",
                each!("vadd.i32", "q0", ["q3", "q4", "q5", "q6"]),
                $end!("r9", "r0", ["q3", "q4", "q5", "q6"]),
                "vldrw.u32 q1, [sp, #32]",
                each!("vmax.s32", "q7", ["q3", "q4", "q5", "q6"]),
                each!("vmin.s32", "q1", ["q3", "q4", "q5", "q6"]),
                "ldrd r0, r2, [sp, #16]
                ldr r4, [sp, #24]
                add r6, r0, r2
                add r2, r0, r4
                add r4, r6, r4
                add r12, r0, #4
                str r12, [sp, #16]
                vctp.32 r11
                vpstttt
                vstrbt.32 q3, [r0]
                vstrbt.32 q4, [r6]
                vstrbt.32 q5, [r2]
                vstrbt.32 q6, [r4]
                subs r11, r11, #4
                bhi.w 2b
                ldrd r2, r0, [sp, #8]
                subs r0, r0, #2
                beq.w 3f
                mov r1, #2
                cmp r0, #2
                itt lo
                movlo r1, r0
                movlo r0, #2
                ldr r3, [sp, #20]
                mla r2, r1, r3, r2
                strd r2, r0, [sp, #8]
                ldr r2, [sp, #4]
                add r2, r2, r1, lsl #2
                str r2, [sp, #4]
                b.w 1b
                3:
                add sp, sp, #52
                vpop {{d8-d15}}
                pop {{r4-r11, pc}}",
            )
        }
    };
}

squares!(square_codes, shift_sums);
squares!(square_products, multiply_sums);
