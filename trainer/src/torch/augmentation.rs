//! Random changes of training inputs: drawn on the host, applied on the device.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, StandardNormal};
use tch::{Kind, Tensor};

use super::batches::{Batch, Targets};
use crate::config::Augmentation;

/// The choices for one batch; those that the config does not ask for are empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draws {
    /// Greatest shift, and rows and columns of each input, from 0 to twice that.
    shift: (i64, Vec<i64>, Vec<i64>),
    /// 1 for inputs that are mirrored.
    flip: Vec<i64>,
    /// Top, left, height and width of the part that is kept, from 0 to 1.
    crop: Vec<[f32; 4]>,
    /// Side of the square, and its first row and column in each input.
    cutout: (i64, Vec<i64>, Vec<i64>),
    /// Greatest shift in time, and that of each input, from 0 to twice that.
    time_shift: (i64, Vec<i64>),
    /// Codes to add, `[N, C, H, W]`.
    noise: Vec<f32>,
    /// The input that each one is mixed with, and the share of the first.
    mixup: Option<(Vec<i64>, f64)>,
    /// `[N, C, H, W]`.
    extents: [i64; 4],
}

impl Draws {
    /// Draws for a batch.
    ///
    /// extents  `[N, C, H, W]`
    #[must_use]
    pub fn new(changes: Augmentation, extents: [usize; 4], rng: &mut ChaCha8Rng) -> Self {
        let [count, _, h, w] = extents;
        let mut draws = Self { extents: extents.map(|extent| extent as i64), ..Self::default() };
        (draws.shift.0, draws.cutout.0) = (changes.shift as i64, changes.cutout as i64);
        draws.time_shift.0 = changes.time_shift as i64;
        for _ in 0..count {
            if changes.shift > 0 {
                let mut shift = || rng.random_range(0..=2 * changes.shift) as i64;
                draws.shift.1.push(shift());
                draws.shift.2.push(shift());
            }
            if changes.flip {
                draws.flip.push(rng.random_bool(0.5).into());
            }
            if let Some(least) = changes.crop {
                draws.crop.push(crop(least, rng));
            }
            if changes.cutout > 0 {
                // The centre is inside: a square at the border is cut.
                let first =
                    |extent: usize, rng: &mut ChaCha8Rng| rng.random_range(0..extent as i64) - draws.cutout.0 / 2;
                let (top, left) = (first(h, rng), first(w, rng));
                draws.cutout.1.push(top);
                draws.cutout.2.push(left);
            }
            if changes.time_shift > 0 {
                draws.time_shift.1.push(rng.random_range(0..=2 * draws.time_shift.0));
            }
        }
        if changes.noise > 0.0 {
            let normal = |_| changes.noise as f32 * rng.sample::<f32, _>(StandardNormal);
            draws.noise = (0..extents.iter().product()).map(normal).collect();
        }
        if changes.mixup > 0.0
            && let Ok(beta) = Beta::new(changes.mixup, changes.mixup)
        {
            let mut others: Vec<i64> = (0..count as i64).collect();
            others.rotate_left(count.min(1));
            draws.mixup = Some((others, beta.sample(rng)));
        }
        draws
    }
}

/// A part of at least a share of the area, of the input's proportions.
fn crop(least: f64, rng: &mut ChaCha8Rng) -> [f32; 4] {
    let side = rng.random_range(least..=1.0).sqrt();
    let (top, left) = (rng.random_range(0.0..=1.0 - side), rng.random_range(0.0..=1.0 - side));
    [top, left, side, side].map(|real| real as f32)
}

/// The changed batch, on the device of `codes`. What is not a whole code afterwards is rounded.
///
/// codes   `[N, C, H, W]` f32
/// labels  `[N]` i64
#[must_use]
pub fn apply(codes: Tensor, labels: Tensor, draws: &Draws) -> Batch {
    let device = codes.device();
    let index = |values: &[i64]| Tensor::from_slice(values).to_device(device);
    let mut x = codes;
    let (margin, rows, columns) = &draws.shift;
    if *margin > 0 {
        let padded = x.constant_pad_nd([*margin, *margin, *margin, *margin]);
        x = moved(&moved(&padded, &index(rows), 2, draws.extents[2]), &index(columns), 3, draws.extents[3]);
    }
    if !draws.flip.is_empty() {
        let flags = index(&draws.flip).to_kind(Kind::Bool).view([-1, 1, 1, 1]);
        x = x.flip([3]).where_self(&flags, &x);
    }
    if !draws.crop.is_empty() {
        x = cropped(&x, &draws.crop);
    }
    let (margin, places) = &draws.time_shift;
    if *margin > 0 {
        // Rows are time; an input of one row has its time along the columns.
        let axis = if draws.extents[2] == 1 { 3 } else { 2 };
        let sides = if axis == 2 { [0, 0, *margin, *margin] } else { [*margin, *margin, 0, 0] };
        x = moved(&x.constant_pad_nd(sides), &index(places), axis, draws.extents[axis as usize]);
    }
    let rounded = |x: &Tensor| (x + 0.5).floor().clamp(-128.0, 127.0);
    let clean = if draws.crop.is_empty() { x.shallow_clone() } else { rounded(&x) };
    if !draws.noise.is_empty() {
        x = &x + Tensor::from_slice(&draws.noise).to_device(device).view(draws.extents);
    }
    let mut mixed = None;
    if let Some((others, share)) = &draws.mixup {
        let others = index(others);
        x = &x * *share + x.index_select(0, &others) * (1.0 - share);
        mixed = Some((labels.index_select(0, &others), *share));
    }
    if !(draws.crop.is_empty() && draws.noise.is_empty() && draws.mixup.is_none()) {
        x = rounded(&x);
    }
    let (side, tops, lefts) = &draws.cutout;
    if *side > 0 {
        x = &x
            * kept(&index(tops), draws.extents[2], *side)
                .view([-1, 1, draws.extents[2], 1])
                .logical_or(&kept(&index(lefts), draws.extents[3], *side).view([-1, 1, 1, draws.extents[3]]));
    }
    Batch { codes: x, clean, targets: Targets { labels, mixed } }
}

/// `len` entries of an axis, from a place of its own in each input.
fn moved(x: &Tensor, places: &Tensor, axis: i64, len: i64) -> Tensor {
    let mut extents = x.size();
    extents[axis as usize] = len;
    let mut shape = [1; 4];
    shape[axis as usize] = len;
    let index = places.view([-1, 1, 1, 1]) + Tensor::arange(len, (Kind::Int64, x.device())).view(shape);
    x.gather(axis, &index.expand(extents.as_slice(), false), false)
}

/// Entries of an axis that are outside of the square, `[N, len]`.
fn kept(places: &Tensor, len: i64, side: i64) -> Tensor {
    let axis = Tensor::arange(len, (Kind::Int64, places.device())) - places.view([-1, 1]);
    axis.lt(0).logical_or(&axis.ge(side))
}

/// A part of each input, enlarged to the whole by bilinear interpolation.
fn cropped(x: &Tensor, parts: &[[f32; 4]]) -> Tensor {
    // In coordinates of the input from -1 to 1: x' = width * x + centre.
    let rows = parts.iter().flat_map(|[top, left, h, w]| [*w, 0.0, 2.0 * left + w - 1.0, 0.0, *h, 2.0 * top + h - 1.0]);
    let maps = Tensor::from_slice(&rows.collect::<Vec<f32>>()).to_device(x.device()).view([-1, 2, 3]);
    let grid = Tensor::affine_grid_generator(&maps, x.size(), false);
    // Bilinear, and the border's values past the border.
    x.grid_sampler(&grid, 0, 1, false)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use tch::Device;

    use super::*;

    fn ramp(extents: [i64; 4]) -> Tensor {
        let count: i64 = extents.iter().product();
        (Tensor::arange(count, (Kind::Float, Device::Cpu)).remainder(251.0) - 125.0).view(extents)
    }

    fn batch(changes: Augmentation, x: &Tensor, seed: u64) -> Batch {
        let extents = [0, 1, 2, 3].map(|axis| x.size()[axis] as usize);
        let draws = Draws::new(changes, extents, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(draws, Draws::new(changes, extents, &mut ChaCha8Rng::seed_from_u64(seed)));
        apply(x.shallow_clone(), Tensor::arange(x.size()[0], (Kind::Int64, Device::Cpu)), &draws)
    }

    fn values(x: &Tensor) -> Vec<f32> {
        Vec::try_from(x.contiguous().flatten(0, -1)).unwrap()
    }

    #[test]
    fn nothing_changes_where_nothing_is_asked_for() {
        let x = ramp([3, 2, 4, 5]);
        assert_eq!(values(&batch(Augmentation::default(), &x, 1).codes), values(&x));
    }

    /// Every value of a shifted and mirrored input is where it is to be, by loops on the host.
    #[test]
    fn shifts_and_mirrors_move_every_value() {
        let (n, c, h, w) = (16_i64, 2_i64, 4_i64, 5_i64);
        let x = ramp([n, c, h, w]);
        let changes = Augmentation { shift: 2, flip: true, ..Augmentation::default() };
        let draws = Draws::new(changes, [16, 2, 4, 5], &mut ChaCha8Rng::seed_from_u64(4));
        let got = apply(x.shallow_clone(), Tensor::zeros([n], (Kind::Int64, Device::Cpu)), &draws).codes;
        for image in 0..n {
            let at = |channel: i64, row: i64, column: i64| {
                let inside = (0..h).contains(&row) && (0..w).contains(&column);
                if inside { x.double_value(&[image, channel, row, column]) } else { 0.0 }
            };
            let (dy, dx) = (draws.shift.1[image as usize] - 2, draws.shift.2[image as usize] - 2);
            for channel in 0..c {
                for row in 0..h {
                    for column in 0..w {
                        let from = if draws.flip[image as usize] == 1 { w - 1 - column } else { column };
                        let expected = at(channel, row + dy, from + dx);
                        assert_eq!(got.double_value(&[image, channel, row, column]), expected);
                    }
                }
            }
        }
        assert!(draws.flip.contains(&0) && draws.flip.contains(&1));
    }

    #[test]
    fn a_cutout_is_a_square_of_zeros() {
        let x = Tensor::ones([64, 3, 8, 8], (Kind::Float, Device::Cpu));
        let got = batch(Augmentation { cutout: 3, ..Augmentation::default() }, &x, 2).codes;
        let zeros =
            Vec::<f32>::try_from((got.ones_like() - &got).sum_dim_intlist([1, 2, 3].as_slice(), false, Kind::Float))
                .unwrap();
        // 3 x 3 in three channels, cut at borders to no less than 2 x 2.
        assert!(zeros.iter().all(|count| [12.0, 18.0, 27.0].contains(count)), "{zeros:?}");
        assert!(zeros.contains(&27.0) && zeros.contains(&18.0));
    }

    #[test]
    fn a_crop_of_everything_changes_nothing_and_a_part_stays_in_range() {
        let x = ramp([8, 3, 9, 7]);
        let whole = batch(Augmentation { crop: Some(1.0), ..Augmentation::default() }, &x, 3).codes;
        assert_eq!(values(&whole), values(&x));
        // A plane that rises by 4 a column rises by less when a part is enlarged, and never leaves its range.
        let plane =
            Tensor::arange(16, (Kind::Float, Device::Cpu)).view([1, 1, 1, 16]).expand([8, 1, 16, 16], false) * 4.0;
        let part = batch(Augmentation { crop: Some(0.3), ..Augmentation::default() }, &plane, 3).codes;
        assert!(part.min().double_value(&[]) >= 0.0 && part.max().double_value(&[]) <= 60.0);
        let rise =
            part.get(0).get(0).get(5).get(12).double_value(&[]) - part.get(0).get(0).get(5).get(4).double_value(&[]);
        assert!(rise > 12.0 && rise < 32.0, "{rise}");
        assert_eq!(values(&part.floor()), values(&part));
    }

    #[test]
    fn time_moves_along_rows_or_in_one_row_along_columns() {
        let changes = Augmentation { time_shift: 2, ..Augmentation::default() };
        for extents in [[20, 1, 6, 3], [20, 3, 1, 6]] {
            let axis = if extents[2] == 1 { 3 } else { 2 };
            let time = Tensor::arange(6, (Kind::Float, Device::Cpu)) + 10.0;
            let x = time.view(if axis == 2 { [1, 1, 6, 1] } else { [1, 1, 1, 6] }).expand(extents, true).contiguous();
            let got = batch(changes, &x, 5).codes.select(1, 0).select(if axis == 2 { 2 } else { 1 }, 0);
            let mut starts = std::collections::BTreeSet::new();
            for image in 0..20 {
                let row = values(&got.get(image));
                let shift =
                    row.iter().position(|value| *value > 0.0).map_or(0, |first| row[first] as i64 - 10 - first as i64);
                let expected: Vec<f32> = (0..6)
                    .map(|t| t + shift)
                    .map(|t| if (0..6).contains(&t) { t as f32 + 10.0 } else { 0.0 })
                    .collect();
                assert_eq!(row, expected);
                starts.insert(shift);
            }
            assert_eq!(starts.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
        }
    }

    #[test]
    fn noise_has_its_deviation_and_leaves_codes() {
        let x = Tensor::zeros([50, 1, 40, 10], (Kind::Float, Device::Cpu));
        let got = batch(Augmentation { noise: 6.0, ..Augmentation::default() }, &x, 6).codes;
        let deviation = got.std(true).double_value(&[]);
        assert!((deviation - 6.0).abs() < 0.2, "{deviation}");
        assert!(got.mean(Kind::Float).double_value(&[]).abs() < 0.2);
        assert_eq!(values(&got.floor()), values(&got));
    }

    /// Noise and a cutout are to be taken back; what moves or enlarges an input is not.
    #[test]
    fn a_reconstruction_is_held_to_inputs_without_noise_and_cutout() {
        let x = ramp([16, 2, 8, 8]);
        let moves = Augmentation { shift: 2, flip: true, crop: Some(0.5), ..Augmentation::default() };
        let draws = Draws::new(moves, [16, 2, 8, 8], &mut ChaCha8Rng::seed_from_u64(8));
        let extents = [16, 2, 8, 8];
        let noisy = Draws { noise: vec![3.0; 2048], cutout: (3, vec![2; 16], vec![1; 16]), extents, ..draws.clone() };
        let apply = |draws| apply(x.shallow_clone(), Tensor::zeros([16], (Kind::Int64, Device::Cpu)), draws);
        let (moved, changed) = (apply(&draws), apply(&noisy));
        assert_eq!(values(&moved.clean), values(&moved.codes));
        assert_ne!(values(&moved.clean), values(&x));
        assert_eq!(values(&changed.clean), values(&moved.codes));
        let added = (&changed.codes - &changed.clean).clamp(-128.0, 3.0);
        assert!(added.max().double_value(&[]) == 3.0 && added.min().double_value(&[]) < -4.0);
        assert_eq!(values(&x), values(&ramp([16, 2, 8, 8])), "the inputs themselves stay");
    }

    #[test]
    fn mixup_mixes_inputs_and_their_losses_by_one_share() {
        let x = ramp([6, 1, 2, 2]) * 0.5;
        let changes = Augmentation { mixup: 1.0, ..Augmentation::default() };
        let Batch { codes, targets, .. } = batch(changes, &x, 7);
        let (others, share) = targets.mixed.as_ref().unwrap();
        assert_eq!(Vec::<i64>::try_from(others).unwrap(), [1, 2, 3, 4, 5, 0]);
        assert!((0.0..=1.0).contains(share));
        let exact = &x * *share + x.roll([-1], [0]) * (1.0 - share);
        assert!((codes - exact).abs().max().double_value(&[]) <= 0.5001);
        let loss = targets.loss(|labels| labels.to_kind(Kind::Float).square().sum(Kind::Float));
        assert!((loss.double_value(&[]) - 55.0).abs() < 1e-3);
    }
}
