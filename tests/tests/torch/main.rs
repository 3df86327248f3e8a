//! What the trainer computes against what the runtime does. Needs libtorch.

mod built_in_networks;
mod exact_forward_equals_runtime;
mod recurrent;
