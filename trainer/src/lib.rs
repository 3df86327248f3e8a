//! stub
pub mod network;
pub mod export { pub mod fixed_point; }
