//! LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, section II.B): every map of C3 reads all of S2, ReLU instead of tanh, and no
//! Gaussian outputs.

use crate::layer_config::{LayerConfig, OpName};

pub(super) fn lenet_5(outputs: u16) -> Vec<LayerConfig> {
    let pool = |name| LayerConfig::new(name, OpName::AveragePool2d).kernel(2, 2).stride(2, 2);
    vec![
        LayerConfig::new("c1", OpName::Conv2d).out_ch(6).kernel(5, 5).same_padding().relu(),
        pool("s2"),
        LayerConfig::new("c3", OpName::Conv2d).out_ch(16).kernel(5, 5).relu(),
        pool("s4"),
        LayerConfig::new("c5", OpName::FullyConnected).out_ch(120).relu(),
        LayerConfig::new("f6", OpName::FullyConnected).out_ch(84).relu(),
        LayerConfig::new("output", OpName::FullyConnected).out_ch(outputs),
    ]
}
