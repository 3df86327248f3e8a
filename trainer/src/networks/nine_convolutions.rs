//! Nine convolutions for CIFAR-10, and the mean teacher's network of the same shape (Tarvainen, Valpola 2017, table 5).

use crate::layer_config::{LayerConfig, OpName};

/// Slope of the mean teacher's leaky ReLU.
const SLOPE: f64 = 0.1;

/// Output channels, kernel, and whether a row and a column are lost at each side.
const CONVOLUTIONS: [(u16, u8, bool); 9] = [
    (128, 3, false),
    (128, 3, false),
    (128, 3, false),
    (256, 3, false),
    (256, 3, false),
    (256, 3, false),
    (512, 3, true),
    (256, 1, false),
    (128, 1, false),
];

pub(super) fn seed(outputs: u16) -> Vec<LayerConfig> {
    layers(outputs, |name, layer, list| {
        list.push(LayerConfig { name, ..layer.relu() });
    })
}

pub(super) fn mean_teacher(outputs: u16) -> Vec<LayerConfig> {
    layers(outputs, |name, layer, list| {
        list.push(LayerConfig { name: format!("{name}_sum"), ..layer });
        list.push(LayerConfig::new(name, OpName::LeakyRelu).negative_slope(SLOPE));
    })
}

/// The layers, with what `activated` makes of a convolution and its name.
fn layers(outputs: u16, activated: impl Fn(String, LayerConfig, &mut Vec<LayerConfig>)) -> Vec<LayerConfig> {
    let mut list = Vec::new();
    for (index, (out_ch, kernel, valid)) in CONVOLUTIONS.into_iter().enumerate() {
        let layer = LayerConfig::new("", OpName::Conv2d).out_ch(out_ch).kernel(kernel, kernel).batch_norm();
        let layer = if valid { layer } else { layer.same_padding() };
        activated(format!("conv{}", index + 1), layer, &mut list);
        if [2, 5].contains(&index) {
            let name = format!("pool{}", index / 3 + 1);
            list.push(LayerConfig::new(name, OpName::MaxPool2d).kernel(2, 2).stride(2, 2));
        }
    }
    list.push(LayerConfig::new("pool", OpName::GlobalAveragePool));
    list.push(LayerConfig::new("fc", OpName::FullyConnected).out_ch(outputs));
    list
}
