//! Switches the vector unit on, before the first instruction that a compiler may have put there: cortex-m-rt calls
//! `__pre_init` when it has a stack and nothing else.

use core::arch::global_asm;

use stepshift_runtime::Backend;

/// The bits of CPACR that give full access to coprocessors 10 and 11: floating point and vectors.
const FULL_ACCESS: u32 = 0xf << 20;

global_asm!(
    ".section .text.__pre_init, \"ax\"
    .global __pre_init
    .type __pre_init, %function
    .thumb_func
    __pre_init:
    .if {vectors}
    ldr r0, =0xe000ed88
    ldr r1, [r0]
    ldr r2, ={full_access}
    orrs r1, r2
    str r1, [r0]
    dsb
    isb
    .endif
    bx lr
    .size __pre_init, . - __pre_init",
    vectors = const (Backend::NATIVE as u32 == Backend::Mve as u32) as u32,
    full_access = const FULL_ACCESS,
);
