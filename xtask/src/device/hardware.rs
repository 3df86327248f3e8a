//! A real board behind a debug probe: flash, and RTT once the firmware runs.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use probe_rs::flashing::{DownloadOptions, FlashProgress, ProgressEvent, ProgressOperation};
use probe_rs::probe::list::Lister;
use probe_rs::probe::{DebugProbeInfo, DebugProbeSelector};
use probe_rs::rtt::{Rtt, ScanRegion, try_attach_to_rtt};
use probe_rs::{MemoryInterface, Permissions, Session};

use super::{Device, Poll};
use crate::boards::Board;
use crate::flash::{Probe, Segment, Stage};

/// Longest time until the firmware has set up its buffers.
const START: Duration = Duration::from_secs(5);

/// Channels of `stepshift_board::link::rtt`.
const LOGS: usize = 0;
const REPLIES: usize = 1;
const REQUESTS: usize = 0;

/// A chip that a probe is attached to.
pub(crate) struct Hardware {
    session: Session,
    rtt: Option<Rtt>,
    /// Requests that the device did not take yet.
    requests: Vec<u8>,
}

impl Hardware {
    /// Attaches to a board.
    ///
    /// selector  VID:PID or VID:PID:SERIAL; may be left out where there is one probe
    ///
    /// # Errors
    /// Lists the probes that were found, and says what to do.
    pub(crate) fn open(board: &Board, selector: Option<&str>) -> Result<Self> {
        let chip = board.chip.with_context(|| format!("{} is no real board", board.name))?;
        let probes = Lister::new().list_all();
        let probe =
            choose(&probes, selector)?.open().context("the probe cannot be opened: is another program using it?")?;
        let session = probe
            .attach(chip, Permissions::default())
            .with_context(|| format!("no {chip} answers behind the probe: is {} connected and powered?", board.name))?;
        Ok(Self { session, rtt: None, requests: Vec::new() })
    }
}

/// The probe that is meant.
fn choose<'p>(probes: &'p [DebugProbeInfo], selector: Option<&str>) -> Result<&'p DebugProbeInfo> {
    let found = || probes.iter().map(|probe| format!("\n  {}", line(probe))).collect::<String>();
    if let Some(text) = selector {
        let selector: DebugProbeSelector =
            text.parse().with_context(|| format!("--probe {text}: not VID:PID:SERIAL"))?;
        let matching = probes.iter().find(|probe| {
            probe.vendor_id == selector.vendor_id
                && probe.product_id == selector.product_id
                && (selector.serial_number.is_none() || probe.serial_number == selector.serial_number)
        });
        return matching.with_context(|| match probes {
            [] => no_probe(),
            _ => format!("there is no probe {text}; these were found:{}", found()),
        });
    }
    match probes {
        [] => bail!(no_probe()),
        [probe] => Ok(probe),
        _ => bail!("there are several probes: choose one with --probe{}", found()),
    }
}

fn line(probe: &DebugProbeInfo) -> String {
    let serial = probe.serial_number.as_deref().map_or_else(String::new, |serial| format!(":{serial}"));
    format!("{:04x}:{:04x}{serial}  {}", probe.vendor_id, probe.product_id, probe.identifier)
}

fn no_probe() -> String {
    "no debug probe was found. Connect the board's debug USB port with a cable that carries data, not only power; on Linux \
     allow the access by udev rules (https://probe.rs/docs/getting-started/probe-setup); a Pico needs a probe of its own. \
     `--dry-run` checks everything without one"
        .to_owned()
}

impl Probe for Hardware {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<()> {
        Ok(self.session.core(0)?.read(address, bytes)?)
    }

    fn program(&mut self, segments: &[Segment], progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<()> {
        let mut loader = self.session.target().flash_loader();
        for segment in segments {
            loader.add_data(segment.address, &segment.bytes)?;
        }
        // Erased and programmed: bytes done, and of how many.
        let mut counts = [(0, 0); 2];
        let mut options = DownloadOptions::default();
        options.progress = FlashProgress::new(|event| {
            let index = |operation| match operation {
                ProgressOperation::Erase => Some((0, Stage::Erase)),
                ProgressOperation::Program => Some((1, Stage::Program)),
                _ => None,
            };
            match event {
                ProgressEvent::AddProgressBar { operation, total } => {
                    if let Some((index, _)) = index(operation) {
                        counts[index].1 += total.unwrap_or(0);
                    }
                }
                ProgressEvent::Progress { operation, size, .. } => {
                    if let Some((index, stage)) = index(operation) {
                        counts[index].0 += size;
                        progress(stage, counts[index].0, counts[index].1);
                    }
                }
                _ => {}
            }
        });
        Ok(loader.commit(&mut self.session, options)?)
    }
}

impl Device for Hardware {
    fn start(&mut self, requests: Vec<u8>) -> Result<()> {
        self.requests = requests;
        let region = ScanRegion::Ram;
        let mut core = self.session.core(0)?;
        // Buffers of the run before must not be taken for those of this one.
        Rtt::clear_control_block(&mut core, &region).ok();
        core.reset()?;
        let rtt = try_attach_to_rtt(&mut core, START, &region);
        self.rtt = Some(rtt.context("the firmware does not start: no RTT buffers in RAM; is it flashed?")?);
        Ok(())
    }

    fn poll(&mut self) -> Result<Poll> {
        let rtt = self.rtt.as_mut().context("the device was not started")?;
        let mut core = self.session.core(0)?;
        let lost = "the probe or the board went away; connect it again and run the same command";
        if let Some(channel) = rtt.down_channel(REQUESTS) {
            let sent = channel.write(&mut core, &self.requests).context(lost)?;
            self.requests.drain(..sent);
        }
        let mut receive = |channel: usize| -> Result<Vec<u8>> {
            let mut bytes = vec![0; 1024];
            let len = match rtt.up_channel(channel) {
                Some(channel) => channel.read(&mut core, &mut bytes).context(lost)?,
                None => 0,
            };
            bytes.truncate(len);
            Ok(bytes)
        };
        Ok(Poll { replies: receive(REPLIES)?, logs: receive(LOGS)?, ended: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_probe_it_is_said_what_to_do() {
        for selector in [None, Some("2e8a:000c"), Some("2e8a:000c:E66")] {
            let error = choose(&[], selector).unwrap_err().to_string();
            assert!(error.starts_with("no debug probe was found. Connect"), "{error}");
        }
    }

    #[test]
    fn what_names_no_probe_is_refused() {
        let error = choose(&[], Some("nucleo")).unwrap_err().to_string();
        assert_eq!(error, "--probe nucleo: not VID:PID:SERIAL");
    }
}
