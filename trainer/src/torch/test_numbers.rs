//! Numbers for tests, each from a seed of its own: libtorch's generator is that of all tests that run side by side.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::float_network::FloatNetwork;

/// From 0 to below 1.
pub(crate) fn uniform(seed: u64, shape: &[i64]) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_: i64| rng.random()).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// Of mean 0 and deviation 1: twelve uniform numbers less 6.
pub(crate) fn normal(seed: u64, shape: &[i64]) -> Tensor {
    let twelve = uniform(seed, &[&[12], shape].concat());
    twelve.sum_dim_intlist([0].as_slice(), false, Kind::Float) - 6.0
}

/// Fills a network's weights anew: normal, their variance 2 by the inputs of a sum (He et al. 2015).
pub(crate) fn fill_weights(network: &FloatNetwork, seed: u64) {
    for (index, layer) in network.layers().iter().enumerate() {
        let Some(layer) = layer else { continue };
        let shape = layer.weight.size();
        let deviation = (2.0 / shape[1..].iter().product::<i64>() as f64).sqrt();
        tch::no_grad(|| layer.weight.shallow_clone().copy_(&(normal(seed + index as u64, &shape) * deviation)));
    }
}
