//! stub
pub mod export;
pub mod network;
