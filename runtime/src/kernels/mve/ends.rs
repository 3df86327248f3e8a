//! What the loops over channels of a depthwise convolution end in, as tables that they load.

use super::lanes::LanesEnd;
use crate::format::{AFFINE_LINK, Activation, Epilogue, Links, Multiply, VECTOR};

/// The end that the loops have for a layer: none for a multiplication that no right shift follows.
pub(super) fn of_layer<const LINKS: Links>(epilogue: &Epilogue<'_>, activation: Activation) -> Option<LanesEnd> {
    match epilogue {
        Epilogue::Shift(_) => Some(LanesEnd::Shift(activation)),
        Epilogue::Multiply(end) => {
            let fits = LINKS & AFFINE_LINK != 0 && end.shifts.iter().all(|shift| shift.cast_signed() < 0);
            fits.then_some(LanesEnd::Multiply(activation, end.output_zero))
        }
    }
}

/// What the accumulators of channels from `first` on are shifted left by.
pub(super) fn write_shifts(shifts: &[u8], first: usize, ends: &mut [u32]) {
    let step = usize::from(shifts.len() > 1);
    for (lane, end) in ends.iter_mut().enumerate() {
        let shift = shifts.get((first + lane) * step).map_or(0, |shift| i32::from(shift.cast_signed()));
        *end = shift.wrapping_neg().cast_unsigned();
    }
}

/// Of each 16 channels from `first` on the multipliers, then the shifts.
pub(super) fn write_multipliers(end: &Multiply<'_>, first: usize, ends: &mut [u32]) {
    let (all, _) = end.multipliers.as_chunks::<4>();
    let step = usize::from(all.len() > 1);
    for (vector, ends) in ends.as_chunks_mut::<{ 2 * VECTOR }>().0.iter_mut().enumerate() {
        let (multipliers, shifts) = ends.split_at_mut(VECTOR);
        for (lane, (multiplier, shift)) in multipliers.iter_mut().zip(shifts).enumerate() {
            let entry = (first + vector * VECTOR + lane) * step;
            *multiplier = all.get(entry).map_or(0, |bytes| u32::from_le_bytes(*bytes));
            *shift = end.shifts.get(entry).map_or(0, |shift| i32::from(shift.cast_signed()).cast_unsigned());
        }
    }
}
