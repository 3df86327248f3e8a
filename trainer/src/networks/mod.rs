//! Networks that come with the trainer, one family a file, and [`LayerConfig`]'s methods to build others with.
//!
//! ```
//! use stepshift_runtime::format::Shape;
//! use stepshift_trainer::layer_config::{LayerConfig, OpName};
//! use stepshift_trainer::network::Network;
//!
//! # fn main() -> anyhow::Result<()> {
//! let layers = [
//!     LayerConfig::new("conv1", OpName::Conv2d).out_ch(8).kernel(3, 3).same_padding().batch_norm().relu(),
//!     LayerConfig::new("conv2", OpName::Conv2d).out_ch(8).kernel(3, 3).same_padding().batch_norm(),
//!     LayerConfig::new("sum", OpName::Add).reads(["conv1", "conv2"]).relu(),
//!     LayerConfig::new("pool", OpName::GlobalAveragePool),
//!     LayerConfig::new("fc", OpName::FullyConnected).out_ch(10),
//! ];
//! let network = Network::new(Shape { h: 28, w: 28, c: 1 }, &layers)?;
//! assert_eq!(network.output(), Shape { h: 1, w: 1, c: 10 });
//! # Ok(())
//! # }
//! ```
//!
//! `docs/networks.md` lists them, with their sizes.

mod autoencoder;
mod ds_cnn;
mod gru_keyword;
mod layer_builder;
mod lenet;
mod mobilenet;
mod nine_convolutions;
mod resnet;
mod sensor_cnn;

use serde::{Deserialize, Serialize};
use stepshift_runtime::format::Shape;

use crate::layer_config::LayerConfig;

/// The networks that a config may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkName {
    /// LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, section II.B), with ReLU.
    #[serde(rename = "lenet-5")]
    LeNet5,
    /// Nine convolutions for CIFAR-10: 3 of 128 channels, 3 of 256, then 512, 256 and 128.
    NineConvolutions,
    /// The convolutional network of mean teacher (Tarvainen, Valpola 2017, table 5), with leaky ReLU.
    MeanTeacher,
    /// ResNet-8 of `MLPerf` Tiny (Banbury et al. 2021): a block of each width.
    #[serde(rename = "resnet-8")]
    ResNet8,
    /// ResNet-20 for CIFAR-10 (He, Zhang, Ren, Sun 2016, section 4.2): three blocks of each width.
    #[serde(rename = "resnet-20")]
    ResNet20,
    /// DS-CNN, small (Zhang, Suda, Lai, Chandra 2017, table 10), for 49 frames of 10 features.
    DsCnn,
    /// A gated recurrent unit over 49 frames of 10 features (Zhang, Suda, Lai, Chandra 2017, section 3.4).
    GruKeyword,
    /// MobileNetV1 of a quarter of the width (Howard et al. 2017, table 1), for images of 96 x 96.
    #[serde(rename = "mobilenet-v1-0.25")]
    MobileNetV1Quarter,
    /// Inverted residuals as of MobileNetV2 (Sandler et al. 2018, table 2), of 0.35 of the width and half of the depth.
    #[serde(rename = "mobilenet-v2-small")]
    MobileNetV2Small,
    /// The fully connected autoencoder of `MLPerf` Tiny: 128, 128, 128, 128, 8 and back.
    Autoencoder,
    /// Convolutions along time for sensors, of inputs with one row.
    SensorCnn,
}

impl NetworkName {
    /// Every network.
    pub const ALL: [Self; 11] = [
        Self::LeNet5,
        Self::NineConvolutions,
        Self::MeanTeacher,
        Self::ResNet8,
        Self::ResNet20,
        Self::DsCnn,
        Self::GruKeyword,
        Self::MobileNetV1Quarter,
        Self::MobileNetV2Small,
        Self::Autoencoder,
        Self::SensorCnn,
    ];

    /// The inputs that the network is made for; others of its kind fit as well.
    #[must_use]
    pub const fn usual_input(self) -> Shape {
        match self {
            Self::LeNet5 => Shape { h: 28, w: 28, c: 1 },
            Self::NineConvolutions | Self::MeanTeacher | Self::ResNet8 | Self::ResNet20 => Shape { h: 32, w: 32, c: 3 },
            Self::DsCnn | Self::GruKeyword => Shape { h: 49, w: 10, c: 1 },
            Self::MobileNetV1Quarter | Self::MobileNetV2Small => Shape { h: 96, w: 96, c: 3 },
            Self::Autoencoder => Shape { h: 1, w: 1, c: 640 },
            Self::SensorCnn => Shape { h: 1, w: 128, c: 6 },
        }
    }

    /// The layers, for a number of outputs.
    #[must_use]
    pub fn layers(self, outputs: u16) -> Vec<LayerConfig> {
        match self {
            Self::LeNet5 => lenet::lenet_5(outputs),
            Self::NineConvolutions => nine_convolutions::seed(outputs),
            Self::MeanTeacher => nine_convolutions::mean_teacher(outputs),
            Self::ResNet8 => resnet::resnet(1, outputs),
            Self::ResNet20 => resnet::resnet(3, outputs),
            Self::DsCnn => ds_cnn::ds_cnn(outputs),
            Self::GruKeyword => gru_keyword::gru_keyword(outputs),
            Self::MobileNetV1Quarter => mobilenet::v1_quarter(outputs),
            Self::MobileNetV2Small => mobilenet::v2_small(outputs),
            Self::Autoencoder => autoencoder::autoencoder(outputs),
            Self::SensorCnn => sensor_cnn::sensor_cnn(outputs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{LayerOp, Network};

    fn weights(network: &Network) -> usize {
        let layer = |layer: &crate::network::Layer| {
            let input = network.shape(layer.inputs[0]);
            let taps = |window: &stepshift_runtime::format::Window| {
                usize::from(window.kernel_h) * usize::from(window.kernel_w)
            };
            let out_ch = usize::from(layer.output.c);
            match &layer.op {
                LayerOp::Conv2d { window, groups, .. } => taps(window) * usize::from(input.c / groups) * out_ch,
                LayerOp::DepthwiseConv2d { window, .. } => taps(window) * out_ch,
                LayerOp::FullyConnected { .. } => input.len() * out_ch,
                _ => 0,
            }
        };
        network.layers.iter().map(layer).sum()
    }

    /// Weights without biases and norms, counted by hand from the papers' tables.
    #[test]
    fn built_in_networks_have_the_sizes_of_their_papers() {
        let cases = [
            (NetworkName::LeNet5, 10, 61_470),
            (NetworkName::NineConvolutions, 10, 3_117_696),
            (NetworkName::MeanTeacher, 10, 3_117_696),
            (NetworkName::ResNet8, 10, 77_360),
            (NetworkName::ResNet20, 10, 270_896),
            (NetworkName::DsCnn, 12, 22_016),
            (NetworkName::GruKeyword, 12, 14_976),
            (NetworkName::MobileNetV1Quarter, 2, 208_112),
            (NetworkName::MobileNetV2Small, 2, 213_536),
            (NetworkName::SensorCnn, 10, 13_920),
            (NetworkName::Autoencoder, 640, 264_192),
        ];
        for (name, outputs, expected) in cases {
            let network = Network::new(name.usual_input(), &name.layers(outputs)).unwrap();
            assert_eq!(network.output().len(), usize::from(outputs), "{name:?}");
            assert_eq!(weights(&network), expected, "{name:?}");
        }
    }

    #[test]
    fn every_built_in_network_fits_its_usual_input() {
        for name in NetworkName::ALL {
            let network = Network::new(name.usual_input(), &name.layers(7)).unwrap();
            assert_eq!(network.output().len(), 7, "{name:?}");
        }
    }
}
