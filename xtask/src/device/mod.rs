//! A board that runs the firmware `device`: what it is sent, and what comes back.

mod conversation;
mod emulated;
#[cfg(feature = "probe")]
pub(crate) mod hardware;
mod logs;
#[cfg(test)]
pub(crate) mod script;

use anyhow::Result;

pub(crate) use conversation::{Answers, answers_of, codes_of};
pub(crate) use emulated::{Emulated, command as qemu_command};
pub(crate) use logs::{Logs, table as log_table};

/// Bytes in both directions.
pub(crate) trait Device {
    /// Starts the firmware anew and sends it requests, as it takes them.
    fn start(&mut self, requests: Vec<u8>) -> Result<()>;

    /// What came since the last call.
    fn poll(&mut self) -> Result<Poll>;
}

/// What came from a device.
#[derive(Debug, Default)]
pub(crate) struct Poll {
    /// Answers to requests.
    pub(crate) replies: Vec<u8>,
    /// Logs, as defmt encodes them.
    pub(crate) logs: Vec<u8>,
    /// The firmware runs no more; whether it said that all is well.
    pub(crate) ended: Option<bool>,
}
