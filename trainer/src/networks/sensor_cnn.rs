//! Convolutions along time, for windows of sensors: inputs are `[1, rows of the window, channels]`.

use crate::layer_config::{LayerConfig, OpName};

/// Output channels of the convolutions; each one but the last is followed by a pool of two.
const CHANNELS: [u16; 3] = [16, 32, 64];

pub(super) fn sensor_cnn(outputs: u16) -> Vec<LayerConfig> {
    let mut list = Vec::new();
    for (index, out_ch) in (1..).zip(CHANNELS) {
        let convolution = LayerConfig::new(format!("conv{index}"), OpName::Conv1d).out_ch(out_ch).kernel(1, 5);
        list.push(convolution.same_padding().batch_norm().relu());
        if index < CHANNELS.len() {
            list.push(LayerConfig::new(format!("pool{index}"), OpName::MaxPool2d).kernel(1, 2).stride(1, 2));
        }
    }
    list.push(LayerConfig::new("pool", OpName::GlobalAveragePool));
    list.push(LayerConfig::new("fc", OpName::FullyConnected).out_ch(outputs));
    list
}
