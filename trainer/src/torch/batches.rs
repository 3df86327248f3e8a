//! Batches: images in a shuffled order, shifted and mirrored, as tensors.
//!
//! Every random choice follows from the seed, the epoch and the batch, so that a resumed run makes the same ones.

use ndarray::{Array4, ArrayView3, ArrayView4, Axis, s};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::config::Augmentation;
use crate::data::Images;

/// Which random numbers: one stream for each pass, and one for each batch of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The run's seed.
    pub seed: u64,
    /// Passes made before this one, in both phases.
    pub epoch: u64,
}

impl Stream {
    fn rng(self, batch: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream((self.epoch << 32) | batch);
        rng
    }

    /// The order of the images in this pass.
    #[must_use]
    pub fn order(self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        order.shuffle(&mut self.rng(u64::from(u32::MAX)));
        order
    }

    /// Images and labels of a batch, changed at random.
    ///
    /// Returns `[N, C, H, W]` f32 codes and `[N]` i64 labels.
    pub fn batch(self, images: &Images, indices: &[usize], batch: usize, changes: Augmentation) -> (Tensor, Tensor) {
        let mut rng = self.rng(batch as u64);
        let (_, h, w, c) = images.codes.dim();
        let mut codes = Array4::zeros((indices.len(), h, w, c));
        for (mut target, index) in codes.axis_iter_mut(Axis(0)).zip(indices) {
            target.assign(&changed(images.image(*index), changes, &mut rng));
        }
        let labels: Vec<i64> = indices.iter().map(|index| i64::from(images.labels[*index])).collect();
        (to_tensor(codes.view()), Tensor::from_slice(&labels))
    }
}

/// An image shifted by whole pixels, zeros moving in, and mirrored half of the time.
fn changed(image: ArrayView3<'_, i8>, changes: Augmentation, rng: &mut ChaCha8Rng) -> ndarray::Array3<i8> {
    let (h, w, c) = image.dim();
    let mut shift = || if changes.shift == 0 { 0 } else { rng.random_range(0..=2 * changes.shift) };
    let (dy, dx) = (shift(), shift());
    let margin = changes.shift;
    let mut padded = ndarray::Array3::zeros((h + 2 * margin, w + 2 * margin, c));
    padded.slice_mut(s![margin..margin + h, margin..margin + w, ..]).assign(&image);
    let mut view = padded.slice_move(s![dy..dy + h, dx..dx + w, ..]);
    if changes.flip && rng.random_bool(0.5) {
        view.invert_axis(Axis(1));
    }
    view
}

/// Codes `[N, H, W, C]` as a tensor `[N, C, H, W]` of f32.
pub fn to_tensor<C: Copy + Into<f32>>(codes: ArrayView4<'_, C>) -> Tensor {
    let (n, h, w, c) = codes.dim();
    let flat: Vec<f32> = codes.iter().map(|code| (*code).into()).collect();
    let extents = [n, h, w, c].map(|extent| extent as i64);
    Tensor::from_slice(&flat).view(extents).permute([0, 3, 1, 2]).contiguous()
}
