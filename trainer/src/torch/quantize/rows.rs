//! A tensor as rows, one for each step.

use tch::Tensor;

use super::settings::Settings;
use crate::quantizer_config::Granularity;

/// The values that share a step side by side.
///
/// x       any shape
/// output  `[G, N]`, G the number of ranges
///
/// # Panics
/// Where channels share a step in numbers that do not divide them, which [`groups`] tells before.
pub fn rows(x: &Tensor, settings: &Settings) -> Tensor {
    if settings.granularity == Granularity::Tensor || x.dim() == 0 {
        return row(x);
    }
    let axis = settings.axis();
    let channels_first = if axis == 0 { x.shallow_clone() } else { x.transpose(0, axis) };
    let channels = channels_first.size()[0];
    let groups = groups(channels, settings.granularity).expect("the channels were checked");
    channels_first.reshape([groups, -1])
}

/// All values in one row, `[1, N]`, in the order in which they lie, so that none is moved.
pub fn row(x: &Tensor) -> Tensor {
    let lies_otherwise = x.dim() == 4 && !x.is_contiguous();
    if lies_otherwise { x.permute([0, 2, 3, 1]).reshape([1, -1]) } else { x.reshape([1, -1]) }
}

/// The least and the greatest value of each row.
///
/// rows    `[G, N]`
/// output  two of `[G]`
pub fn extremes(rows: &Tensor) -> (Tensor, Tensor) {
    if rows.size()[0] == 1 {
        // One pass for both.
        let (least, greatest) = rows.aminmax(None, false);
        return (least.view([1]), greatest.view([1]));
    }
    (rows.amin([1].as_slice(), false), rows.amax([1].as_slice(), false))
}

/// How many ranges a tensor of so many channels has; `None` where its channels cannot be shared like that.
#[must_use]
pub const fn groups(channels: i64, granularity: Granularity) -> Option<i64> {
    match granularity {
        Granularity::Tensor => Some(1),
        Granularity::Channel | Granularity::InputChannel => Some(channels),
        Granularity::Channels(count) => {
            let count = count as i64;
            if count > 0 && channels % count == 0 { Some(channels / count) } else { None }
        }
    }
}

/// One value for each range to one for each channel; one for all stays one.
pub fn by_channel(values: &Tensor, settings: &Settings) -> Tensor {
    match settings.granularity {
        Granularity::Channels(count) => values.repeat_interleave_self_int(i64::from(count), 0, None),
        _ => values.shallow_clone(),
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_row_of_channels_that_lie_last_is_no_copy() {
        let x = Tensor::arange(24, (Kind::Float, Device::Cpu)).view([2, 3, 2, 2]);
        for x in [x.shallow_clone(), x.view([2, 2, 2, 3]).permute([0, 3, 1, 2])] {
            let row = row(&x);
            assert_eq!((row.size(), row.data_ptr()), (vec![1, 24], x.data_ptr()));
        }
    }
}
