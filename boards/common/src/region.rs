//! Memory that the linker script names: the model's region of flash, and the RAM that is left for an arena.

use core::ptr;
use core::slice;

use cortex_m::singleton;

// SAFETY: `layout.x` and cortex-m-rt's `link.x` define them; only their addresses are taken.
unsafe extern "C" {
    static _model_region_start: u8;
    static _model_region_end: u8;
    static _stack_start: u8;
    /// Its address is the number of bytes.
    static _stack_bytes: u8;
    static __sheap: u8;
}

/// The region of flash that a model is flashed to by itself.
#[must_use]
pub fn model() -> &'static [u8] {
    let (start, end) = (&raw const _model_region_start, &raw const _model_region_end);
    // SAFETY: the region is memory that no section lies in, so that nothing writes to it while the program runs.
    unsafe { slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// The RAM between the static variables and the stack; empty when it was taken before.
#[must_use]
pub fn arena() -> &'static mut [u8] {
    if singleton!(: () = ()).is_none() {
        return &mut [];
    }
    let (start, stack) = ((&raw const __sheap).addr(), (&raw const _stack_start).addr());
    let end = stack.saturating_sub((&raw const _stack_bytes).addr());
    let len = end.saturating_sub(start);
    // SAFETY: no static variable lies there and the stack does not grow so far; `singleton!` gives it away once. Every
    // pattern of bits is a byte, and a volatile write makes each of them initialized.
    unsafe {
        let start = ptr::with_exposed_provenance_mut::<u8>(start);
        for offset in 0..len {
            start.add(offset).write_volatile(0);
        }
        slice::from_raw_parts_mut(start, len)
    }
}
