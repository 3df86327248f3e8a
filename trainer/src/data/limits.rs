//! How much memory a data set may ask for, however small its files are.

/// Most values of an input: those of 1024 x 1024 pixels in color. Hundreds of inputs are evaluated at once, in f32.
const MAX_INPUT_VALUES: usize = 3 << 20;

/// Most values that are made of a file which has fewer: 4 GB while they are f32.
const MAX_MADE_VALUES: usize = 1 << 30;

/// Refuses inputs `[H, W, C]` that are too large to train on.
///
/// # Errors
/// Says how large they are, and how large they may be.
pub(super) fn check_input([h, w, c]: [usize; 3]) -> Result<(), String> {
    let (count, most) = (product(&[h, w, c]), u16::MAX.into());
    let inputs = format!("inputs of {h} x {w} x {c} values");
    if h.max(w).max(c) > most {
        return Err(format!("{inputs}: they may have {most} rows, columns and channels at most"));
    }
    if count > MAX_INPUT_VALUES {
        let megabytes = count * size_of::<f32>() / 1_000_000;
        let each = format!("{megabytes} MB each while training");
        return Err(format!("{inputs}, {each}: they may have {MAX_INPUT_VALUES} values at most"));
    }
    Ok(())
}

/// Refuses to make many values of a small file; their extents are multiplied.
///
/// # Errors
/// Says how many there would be, and how many there may be.
pub(super) fn check_made(extents: &[usize]) -> Result<(), String> {
    let count = product(extents);
    if count > MAX_MADE_VALUES {
        return Err(format!("{count} values, there may be {MAX_MADE_VALUES} at most"));
    }
    Ok(())
}

/// Values of so many in each dimension, at most all that can be counted.
pub(super) fn product(extents: &[usize]) -> usize {
    extents.iter().fold(1, |product, extent| product.saturating_mul(*extent))
}
