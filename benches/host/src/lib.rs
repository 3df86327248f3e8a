//! The benchmark is in `benches/resnet8.rs`.
