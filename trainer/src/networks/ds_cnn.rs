//! DS-CNN, small (Zhang, Suda, Lai, Chandra 2017, "Hello Edge", table 10), as in `MLPerf` Tiny: for 49 frames of 10 features.

use crate::layer_config::{LayerConfig, OpName};

/// Channels of every layer.
const CHANNELS: u16 = 64;

pub(super) fn ds_cnn(outputs: u16) -> Vec<LayerConfig> {
    let first = LayerConfig::new("conv1", OpName::Conv2d).out_ch(CHANNELS).kernel(10, 4).stride(2, 2);
    let mut list = vec![first.padding([4, 5, 1, 1]).batch_norm().relu()];
    for block in 2..=5 {
        let depthwise = LayerConfig::new(format!("depthwise{block}"), OpName::DepthwiseConv2d).kernel(3, 3);
        list.push(depthwise.same_padding().batch_norm().relu());
        let pointwise = LayerConfig::new(format!("pointwise{block}"), OpName::Conv2d).out_ch(CHANNELS).kernel(1, 1);
        list.push(pointwise.batch_norm().relu());
    }
    list.push(LayerConfig::new("pool", OpName::GlobalAveragePool));
    list.push(LayerConfig::new("fc", OpName::FullyConnected).out_ch(outputs));
    list
}
