//! Two files of the host, which it fills and reads while the firmware runs. Logs go to the console.

#[cfg(target_os = "none")]
use defmt_semihosting as _;

use super::{Closed, Link};
use crate::console;
use crate::semihosting::{self, File};

/// The files `requests` and `replies` in the folder that QEMU runs in.
pub(crate) struct HostLink {
    requests: Option<File>,
    replies: Option<File>,
}

impl HostLink {
    pub(crate) fn open() -> Self {
        Self { requests: semihosting::open_to_read("requests").ok(), replies: semihosting::create("replies").ok() }
    }
}

impl Link for HostLink {
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Closed> {
        self.requests.as_mut().ok_or(Closed)?.read_exact(bytes).map_err(|_| Closed)
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(replies) = &mut self.replies {
            let _ = replies.write(bytes);
        }
    }

    fn end(&mut self, success: bool) {
        console::exit(success)
    }
}
