//! A device of the tests: it says what it is told to say, then hangs or ends.

use anyhow::Result;

use super::{Device, Poll};

/// What it says, and what it was asked.
pub(crate) struct Script {
    replies: Vec<u8>,
    ended: Option<bool>,
    /// As they were sent.
    pub(crate) requests: Vec<u8>,
}

impl Script {
    /// ended  behind the replies, whether without failure; `None` for a device that hangs
    pub(crate) fn new(replies: Vec<u8>, ended: Option<bool>) -> Self {
        Self { replies, ended, requests: Vec::new() }
    }
}

impl Device for Script {
    fn start(&mut self, requests: Vec<u8>) -> Result<()> {
        self.requests = requests;
        Ok(())
    }

    fn poll(&mut self) -> Result<Poll> {
        Ok(Poll { replies: std::mem::take(&mut self.replies), logs: Vec::new(), ended: self.ended })
    }
}
