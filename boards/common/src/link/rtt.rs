//! RTT: buffers in RAM that a debug probe empties and fills while the core runs.

use rtt_target::{ChannelMode, DownChannel, UpChannel, rtt_init, set_defmt_channel};

use super::{Closed, Link};

/// Up channel 1 and down channel 0; logs go to up channel 0.
pub(crate) struct HostLink {
    requests: DownChannel,
    replies: UpChannel,
}

impl HostLink {
    pub(crate) fn open() -> Self {
        let channels = rtt_init! {
            up: {
                // Logs are lost where nobody reads them; they never stop the core.
                0: { size: 1024, mode: ChannelMode::NoBlockTrim, name: "defmt" }
                1: { size: 512, mode: ChannelMode::BlockIfFull, name: "replies" }
            }
            down: {
                0: { size: 512, name: "requests" }
            }
        };
        set_defmt_channel(channels.up.0);
        Self { requests: channels.down.0, replies: channels.up.1 }
    }
}

impl Link for HostLink {
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Closed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = self.requests.read(rest);
            rest = rest.get_mut(len..).ok_or(Closed)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) {
        self.replies.write(bytes);
    }

    fn end(&mut self, _success: bool) {}
}
