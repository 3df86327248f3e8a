//! A recurrent network for keywords, as the GRU of Zhang, Suda, Lai, Chandra 2017, "Hello Edge", section 3.4: for 49 frames of
//! 10 features, one frame a step.

use crate::layer_config::{LayerConfig, OpName};

/// Units of the recurrent layer.
const UNITS: u16 = 64;

pub(super) fn gru_keyword(outputs: u16) -> Vec<LayerConfig> {
    vec![
        LayerConfig::new("gru", OpName::Gru).units(UNITS),
        LayerConfig::new("fc", OpName::FullyConnected).out_ch(outputs),
    ]
}
