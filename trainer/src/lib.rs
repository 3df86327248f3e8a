//! Trains small networks with power-of-two steps and exports them to the stepshift runtime.
//!
//! - [`config`] and [`network`]: a run and its network, as the user describes them in TOML.
//! - [`networks`]: those that are built in.
//! - [`front_end`]: tables and scaling of features of sound.
//! - [`data`]: images and labels, as input codes.
//! - [`score`], [`reconstruction`] and [`roc`]: how well a network does on the test inputs.
//! - `report` (feature `report`): curves, histograms and exponents of a run.
//! - [`torch`] (feature `torch`): float and quantized training on libtorch, the exact forward.
//! - [`export`]: a network in integers to a model file.

pub mod atomic_file;
pub mod broken_pipe;
pub mod config;
mod config_words;
pub mod data;
mod exact_array;
pub mod export;
pub mod front_end;
pub mod layer_config;
pub mod network;
pub mod networks;
pub mod optimizer_config;
pub mod quantizer_config;
pub mod reconstruction;
pub mod recurrent;
#[cfg(feature = "report")]
pub mod report;
pub mod roc;
pub mod score;
#[cfg(feature = "torch")]
pub mod torch;
