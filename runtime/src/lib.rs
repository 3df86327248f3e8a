//! stub
#![no_std]
pub mod format;
