//! MobileNets for images of 96 x 96: V1 of a quarter of the width, and a small one of V2's blocks.

use crate::layer_config::{LayerConfig, OpName};

/// Output channels and strides of V1's pairs (Howard et al. 2017, table 1), at the full width.
const V1: [(u16, u8); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

/// Expansion, output channels, blocks and stride of V2's stages (Sandler et al. 2018, table 2): channels times 0.35 in
/// eights, and half of the blocks.
const V2: [(u16, u16, usize, u8); 7] =
    [(1, 8, 1, 1), (6, 8, 1, 2), (6, 16, 2, 2), (6, 24, 2, 2), (6, 32, 2, 1), (6, 56, 2, 2), (6, 112, 1, 1)];

pub(super) fn v1_quarter(outputs: u16) -> Vec<LayerConfig> {
    let mut list = vec![convolution("conv", 8, 3, 2).relu()];
    for (index, (channels, stride)) in (1..).zip(V1) {
        list.push(depthwise(&format!("depthwise{index}"), stride).relu());
        list.push(convolution(&format!("pointwise{index}"), channels / 4, 1, 1).relu());
    }
    finished(outputs, list)
}

pub(super) fn v2_small(outputs: u16) -> Vec<LayerConfig> {
    let mut list = vec![convolution("conv", 16, 3, 2).relu6()];
    let mut in_ch = 16;
    for (stage, (expansion, out_ch, blocks, first_stride)) in (1..).zip(V2) {
        for block in 1..=blocks {
            let stride = if block == 1 { first_stride } else { 1 };
            inverted_residual(&format!("block{stage}_{block}"), [in_ch, expansion, out_ch], stride, &mut list);
            in_ch = out_ch;
        }
    }
    list.push(convolution("last", 448, 1, 1).relu6());
    finished(outputs, list)
}

fn convolution(name: &str, out_ch: u16, kernel: u8, stride: u8) -> LayerConfig {
    let layer = LayerConfig::new(name, OpName::Conv2d).out_ch(out_ch).kernel(kernel, kernel).stride(stride, stride);
    layer.same_padding().batch_norm()
}

fn depthwise(name: &str, stride: u8) -> LayerConfig {
    let layer = LayerConfig::new(name, OpName::DepthwiseConv2d).kernel(3, 3).stride(stride, stride);
    layer.same_padding().batch_norm()
}

/// Widened, filtered, narrowed; added to its input where both are of one shape.
fn inverted_residual(name: &str, [in_ch, expansion, out_ch]: [u16; 3], stride: u8, list: &mut Vec<LayerConfig>) {
    let input = list.last().map(|layer| layer.name.clone()).unwrap_or_default();
    if expansion > 1 {
        list.push(convolution(&format!("{name}_expand"), in_ch * expansion, 1, 1).relu6());
    }
    list.push(depthwise(&format!("{name}_depthwise"), stride).relu6());
    if stride == 1 && in_ch == out_ch {
        let projection = format!("{name}_project");
        list.push(convolution(&projection, out_ch, 1, 1));
        list.push(LayerConfig::new(name, OpName::Add).reads([projection, input]));
    } else {
        list.push(convolution(name, out_ch, 1, 1));
    }
}

fn finished(outputs: u16, mut list: Vec<LayerConfig>) -> Vec<LayerConfig> {
    list.push(LayerConfig::new("pool", OpName::GlobalAveragePool));
    list.push(LayerConfig::new("fc", OpName::FullyConnected).out_ch(outputs));
    list
}
