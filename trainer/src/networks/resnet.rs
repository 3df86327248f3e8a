//! Residual networks for small images: 16, 32 and 64 channels (He, Zhang, Ren, Sun 2016, section 4.2). Where the channels change, a
//! pointwise convolution is the shortcut.

use crate::layer_config::{LayerConfig, OpName};

/// `blocks` of two convolutions for each width.
pub(super) fn resnet(blocks: usize, outputs: u16) -> Vec<LayerConfig> {
    let mut list = vec![convolution("conv", 16, 3, 1).relu()];
    for (stage, out_ch) in (1..).zip([16, 32, 64]) {
        for block in 1..=blocks {
            let stride = if stage > 1 && block == 1 { 2 } else { 1 };
            residual(&format!("block{stage}_{block}"), out_ch, stride, &mut list);
        }
    }
    list.push(LayerConfig::new("pool", OpName::GlobalAveragePool));
    list.push(LayerConfig::new("fc", OpName::FullyConnected).out_ch(outputs));
    list
}

fn convolution(name: &str, out_ch: u16, kernel: u8, stride: u8) -> LayerConfig {
    let layer = LayerConfig::new(name, OpName::Conv2d).out_ch(out_ch).kernel(kernel, kernel).stride(stride, stride);
    layer.same_padding().batch_norm()
}

fn residual(name: &str, out_ch: u16, stride: u8, list: &mut Vec<LayerConfig>) {
    let input = list.last().map(|layer| layer.name.clone()).unwrap_or_default();
    let [first, second, shortcut] = ["conv1", "conv2", "shortcut"].map(|part| format!("{name}_{part}"));
    list.push(convolution(&first, out_ch, 3, stride).reads([input.clone()]).relu());
    list.push(convolution(&second, out_ch, 3, 1));
    let mut operand = input.clone();
    if stride != 1 {
        list.push(convolution(&shortcut, out_ch, 1, stride).reads([input]));
        operand = shortcut;
    }
    list.push(LayerConfig::new(name, OpName::Add).reads([second, operand]).relu());
}
