//! From a network in integers to a model file.
//!
//! [`fixed_point`] is the network as training left it; [`bounds`] proves that no accumulator can
//! overflow; [`patches`] cuts the first layers into patches where memory is short; `pack` orders weights for a backend's
//! kernels, of which `budget` chooses the fastest that fit and `strips` estimates two; [`plan`] lays the tensors out in the arena; [`tables`] builds curves and reciprocals; [`encode()`] folds,
//! assembles and writes; [`streaming`] makes a model of a window's network that takes a row a run; [`steps`] says what each step of a run must give.

pub(crate) mod affine;
pub mod bounds;
mod budget;
pub mod cells;
pub mod encode;
mod error;
pub mod fixed_point;
pub mod heads;
mod pack;
pub mod patches;
pub mod plan;
pub mod reciprocal;
pub mod steps;
pub mod streaming;
mod strips;
pub mod tables;

pub use affine::{leaky as affine_leaky, quantized_multiplier, scale_parts, softmax_scale};
pub use encode::{Options, Prefer, encode, encode_with};
pub use error::ExportError;
pub use fixed_point::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, Patch};
pub use pack::rooms;
pub use plan::{Over, Room};
pub use reciprocal::{Reciprocal, reciprocal};
pub use tables::Curve;
