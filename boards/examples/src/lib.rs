//! What the example applications are made of: drivers of sensors against embedded-hal's traits, and recordings that take the
//! sensors' place in QEMU. On hardware a bus of the chip's own HAL drops in for the recording; nothing else changes.
//!
//! - [`image_sensor`]: 8 x 8 pixels over I2C, for image classification.
//! - [`motion_sensor`]: acceleration and rotation over I2C with a pin for new samples, async, for gestures.
//! - [`microphone`]: sound through an ADC over SPI, for keyword spotting.
//! - [`recorded`]: buses that answer as these sensors, from files.

#![no_std]

pub mod image_sensor;
pub mod microphone;
pub mod motion_sensor;
pub mod recorded;
