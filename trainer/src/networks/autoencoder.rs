//! The fully connected autoencoder of `MLPerf` Tiny (Banbury et al. 2021, section 4.1) for features of machine sounds: 640 values of
//! 5 frames, four layers of 128, a code of 8, four layers of 128, and as many outputs as inputs.

use crate::layer_config::{LayerConfig, OpName};

/// Outputs of the layers between input and output.
const WIDTHS: [u16; 9] = [128, 128, 128, 128, 8, 128, 128, 128, 128];

pub(super) fn autoencoder(outputs: u16) -> Vec<LayerConfig> {
    let layer = |(index, width)| LayerConfig::new(format!("fc{index}"), OpName::FullyConnected).out_ch(width).relu();
    let mut list: Vec<_> = (1..).zip(WIDTHS).map(layer).collect();
    list.push(LayerConfig::new("output", OpName::FullyConnected).out_ch(outputs));
    list
}
