//! Bias correction by measured means (Nagel et al. 2019, section 4.2, appendix D).

use anyhow::Result;
use tch::{Kind, Tensor};

use super::super::quantized_network::QuantizedNetwork;

/// Layer by layer, takes back the mean error of each output channel that quantization of it and of all before it brings.
pub(super) fn correct(network: &mut QuantizedNetwork, batches: &[Tensor]) -> Result<()> {
    let float: Vec<Vec<Tensor>> = batches.iter().map(|x| network.real_sums(x)).collect::<Result<_>>()?;
    for layer in 0..network.network().layers.len() {
        let Some((_, bias)) = network.real_constants(layer) else { continue };
        let mut error = bias.zeros_like();
        for (x, float) in batches.iter().zip(&float) {
            let quantized = network.quantized_sum(x, layer)?;
            error += mean(&quantized) - mean(&float[layer]);
        }
        network.set_real_bias(layer, &(bias - error / batches.len() as f64));
    }
    Ok(())
}

/// Of each channel of `[N, C, H, W]`.
fn mean(sums: &Tensor) -> Tensor {
    sums.mean_dim([0, 2, 3].as_slice(), false, Kind::Float)
}
