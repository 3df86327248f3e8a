//! The surface of the PyTorch package nics_fix_pt, for networks built in Rust. `docs/from-nics-fix.md` maps its names to these.
//!
//! A [`FixPath`] registers what is quantized: the modules here ask it for their weights, biases and outputs, and so does a module of
//! one's own. The [`FixTopModule`] reads and changes the configs of all of them.
//!
//! ```no_run
//! use stepshift_trainer::torch::nics_fix::{ActivationFix, Conv2dFix, ConvConfig, FixTopModule};
//! use tch::{Kind, Tensor, nn};
//!
//! let variables = nn::VarStore::new(tch::Device::Cpu);
//! let top = FixTopModule::new();
//! let (root, fix) = (variables.root(), top.root());
//! let conv = Conv2dFix::new(&(&root / "conv"), &fix.sub("conv"), 3, 8, ConvConfig::new(3))?;
//! let out = ActivationFix::new(&fix.sub("out"));
//! let x = Tensor::randn([1, 3, 8, 8], (Kind::Float, tch::Device::Cpu));
//! let y = out.forward(&conv.forward(&x)?.relu())?;
//! assert_eq!(y.size(), [1, 8, 6, 6]);
//! assert_eq!(top.get_fix_configs(false, false).len(), 3); // conv.weight, conv.bias, out.activation
//! # Ok::<(), anyhow::Error>(())
//! ```

mod batch_norm;
mod config;
mod conv;
mod conv_bn;
mod fix;
mod top;

pub use batch_norm::BatchNormFix;
pub use config::{FixConfig, FixGroup, FixMethod};
pub use conv::{ActivationFix, Conv2dFix, ConvConfig, LinearFix};
pub use conv_bn::ConvBnFix;
pub use fix::{Fix, TensorKind};
pub use top::{FixPath, FixTopModule, FixedTensor, Selector};

#[cfg(test)]
mod tests;
