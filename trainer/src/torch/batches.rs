//! Batches: inputs in a shuffled order, changed at random, as tensors.
//!
//! Every random choice follows from the seed, the epoch and the batch, so that a resumed run makes the same ones. Choices
//! are drawn on the host, the same ones for every device; [`super::augmentation`] applies them on the device.

use anyhow::{Context, Result};
use ndarray::ArrayView4;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::augmentation::{Draws, apply};
use crate::config::Augmentation;
use crate::data::Images;
use crate::data::loader::{Loader, worker_count};

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

    /// For what is random where inputs are read.
    fn seed_of_readings(self) -> u64 {
        self.rng(u64::from(u32::MAX) - 1).random()
    }

    /// The order of the inputs in this pass.
    #[must_use]
    pub fn order(self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        order.shuffle(&mut self.rng(u64::from(u32::MAX)));
        order
    }
}

/// A batch as a step reads it.
#[derive(Debug)]
pub struct Batch {
    /// `[N, C, H, W]` f32 codes.
    pub codes: Tensor,
    /// The same without noise and cutout: what a network that reconstructs is to write.
    pub clean: Tensor,
    /// The classes.
    pub targets: Targets,
}

/// Classes, or mixtures of two for each input.
#[derive(Debug)]
pub struct Targets {
    /// `[N]` i64.
    pub labels: Tensor,
    /// `[N]` i64 of the inputs that were mixed in, and the share of the first.
    pub mixed: Option<(Tensor, f64)>,
}

impl Targets {
    /// The mean of a loss over both classes of every input.
    pub fn loss(&self, loss: impl Fn(&Tensor) -> Tensor) -> Tensor {
        match &self.mixed {
            None => loss(&self.labels),
            Some((others, share)) => loss(&self.labels) * *share + loss(others) * (1.0 - share),
        }
    }
}

/// The batches of a pass, read ahead in the background.
#[derive(Debug)]
pub struct Batches {
    loader: Loader,
    stream: Stream,
    next: usize,
    changes: Augmentation,
    device: Device,
}

impl Batches {
    /// The batches of a pass from number `first` on.
    #[must_use]
    pub fn new(
        images: &Images,
        stream: Stream,
        batch_size: usize,
        first: usize,
        changes: Augmentation,
        device: Device,
    ) -> Self {
        let order = stream.order(images.len()).into_iter().skip(first * batch_size).collect();
        let loader = Loader::new(&images.varied(stream.seed_of_readings()), order, batch_size, worker_count());
        Self { loader, stream, next: first, changes, device }
    }

    /// The next batch; `None` behind the last.
    ///
    /// # Errors
    /// Names a file that cannot be read.
    pub fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(read) = self.loader.next() else { return Ok(None) };
        let read = read.context("a training input cannot be read")?;
        let (count, h, w, c) = read.codes.dim();
        let draws = Draws::new(self.changes, [count, c, h, w], &mut self.stream.rng(self.next as u64));
        self.next += 1;
        let codes = to_device(read.codes.view(), self.device);
        let labels: Vec<i64> = read.labels.iter().map(|label| i64::from(*label)).collect();
        let labels = Tensor::from_slice(&labels).to_device(self.device);
        Ok(Some(apply(codes, labels, &draws)))
    }
}

/// Codes `[N, H, W, C]` as a tensor `[N, C, H, W]` of f32; bytes travel, floats are made on the device.
fn to_device(codes: ArrayView4<'_, i8>, device: Device) -> Tensor {
    let flat: Vec<i8> = codes.iter().copied().collect();
    let codes = Tensor::from_slice(&flat).to_device(device).view(extents(codes.dim()));
    codes.permute([0, 3, 1, 2]).to_kind(Kind::Float).contiguous()
}

/// Codes `[N, H, W, C]` as a tensor `[N, C, H, W]` of f32.
pub fn to_tensor<C: Copy + Into<f32>>(codes: ArrayView4<'_, C>) -> Tensor {
    let flat: Vec<f32> = codes.iter().map(|code| (*code).into()).collect();
    Tensor::from_slice(&flat).view(extents(codes.dim())).permute([0, 3, 1, 2]).contiguous()
}

fn extents((n, h, w, c): (usize, usize, usize, usize)) -> [i64; 4] {
    [n, h, w, c].map(|extent| extent as i64)
}
