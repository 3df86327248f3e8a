//! Writing through a debug probe: in order, checked, with words for what goes wrong.

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Plan, Segment};

/// What a probe does while it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Erase,
    Program,
}

/// A chip behind a debug probe.
pub(crate) trait Probe {
    /// Reads memory.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<()>;

    /// Erases the sectors of the segments and programs them; tells each stage's bytes as they are done, and of how many.
    fn program(&mut self, segments: &[Segment], progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<()>;
}

/// Writes a plan, or its model alone, and reads back what was written.
///
/// # Errors
/// Where the firmware on the chip is another one and only the model was to be written; where the probe fails, with how to
/// recover; where flash does not hold what was written.
pub(crate) fn write(board: &str, probe: &mut dyn Probe, plan: &Plan, model_only: bool) -> Result<()> {
    if model_only && !holds(probe, &plan.code).context("the firmware on the chip cannot be read")? {
        bail!("the firmware on {board} is not the one of this version: flash without --model-only");
    }
    let segments = plan.segments(model_only);
    program(probe, &segments).with_context(|| recovery(board, model_only))?;
    let held = holds(probe, &segments).with_context(|| recovery(board, model_only))?;
    ensure!(
        held,
        "{board}: flash does not hold what was written; write again, and if it stays so the chip is worn or protected"
    );
    Ok(())
}

/// What state the chip is in after a write that failed.
fn recovery(board: &str, model_only: bool) -> String {
    let state = if model_only {
        "its firmware is untouched and starts, but its model is not whole and will be refused"
    } else {
        "its flash is not whole and it does not start as it is"
    };
    format!(
        "writing to {board} failed: {state}. Nothing is broken: connect probe and board again and run the same command; \
         if the probe cannot attach, hold the board's reset button while it starts"
    )
}

fn program(probe: &mut dyn Probe, segments: &[Segment]) -> Result<()> {
    let bar = ProgressBar::new(0);
    let style = "{msg:<8} {bar:30} {bytes}/{total_bytes}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let outcome = probe.program(segments, &mut |stage, done, total| {
        bar.set_message(match stage {
            Stage::Erase => "erase",
            Stage::Program => "program",
        });
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    outcome
}

/// Whether flash holds the segments.
fn holds(probe: &mut dyn Probe, segments: &[Segment]) -> Result<bool> {
    for segment in segments {
        let mut bytes = vec![0; segment.bytes.len()];
        probe.read(segment.address, &mut bytes)?;
        if bytes != segment.bytes {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Flash in a map, behind a probe that may go away or write badly.
    #[derive(Default)]
    struct Fake {
        flash: BTreeMap<u64, u8>,
        /// The probe goes away after as many bytes.
        vanishes_after: Option<usize>,
        /// Address of a byte that does not take what is written.
        worn: Option<u64>,
        erased: Vec<u64>,
    }

    impl Probe for Fake {
        fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<()> {
            for (offset, byte) in bytes.iter_mut().enumerate() {
                *byte = self.flash.get(&(address + offset as u64)).copied().unwrap_or(0xff);
            }
            Ok(())
        }

        fn program(&mut self, segments: &[Segment], progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<()> {
            self.erased.extend(segments.iter().map(|segment| segment.address));
            progress(Stage::Erase, 1, 1);
            let bytes = segments.iter().flat_map(|segment| (segment.address..).zip(&segment.bytes));
            for (done, (address, byte)) in bytes.enumerate() {
                if self.vanishes_after == Some(done) {
                    bail!("the USB device was disconnected");
                }
                self.flash.insert(address, if self.worn == Some(address) { !byte } else { *byte });
                progress(Stage::Program, done as u64, 100);
            }
            Ok(())
        }
    }

    fn plan(model: &[u8]) -> Plan {
        let code = vec![Segment { address: 0, bytes: vec![1, 2, 3] }, Segment { address: 64, bytes: vec![4] }];
        Plan { code, model: Segment { address: 0x4_0000, bytes: model.to_vec() } }
    }

    #[test]
    fn everything_is_written() {
        let mut probe = Fake::default();
        write("board", &mut probe, &plan(&[7, 8]), false).unwrap();
        let written: Vec<_> = probe.flash.into_iter().collect();
        assert_eq!(written, [(0, 1), (1, 2), (2, 3), (64, 4), (0x4_0000, 7), (0x4_0001, 8)]);
    }

    #[test]
    fn another_model_alone_leaves_the_code_where_it_is() {
        let mut probe = Fake::default();
        write("board", &mut probe, &plan(&[7, 8]), false).unwrap();
        probe.erased.clear();
        write("board", &mut probe, &plan(&[9, 9, 9]), true).unwrap();
        assert_eq!(probe.erased, [0x4_0000]);
        assert_eq!(probe.flash[&0x4_0002], 9);
    }

    #[test]
    fn a_model_alone_is_not_written_beside_another_firmware() {
        let mut probe = Fake::default();
        let error = write("board", &mut probe, &plan(&[7]), true).unwrap_err().to_string();
        assert!(error.contains("flash without --model-only"), "{error}");
        assert!(probe.flash.is_empty());
    }

    #[test]
    fn a_probe_that_goes_away_is_told_with_how_to_recover() {
        let mut probe = Fake { vanishes_after: Some(2), ..Fake::default() };
        let error = format!("{:#}", write("board", &mut probe, &plan(&[7, 8]), false).unwrap_err());
        assert!(error.contains("it does not start as it is") && error.contains("run the same command"), "{error}");
        assert!(error.ends_with("the USB device was disconnected"), "{error}");
        probe.vanishes_after = None;
        write("board", &mut probe, &plan(&[7, 8]), false).unwrap();
        probe.vanishes_after = Some(1);
        let error = format!("{:#}", write("board", &mut probe, &plan(&[9, 9]), true).unwrap_err());
        assert!(error.contains("its firmware is untouched"), "{error}");
    }

    #[test]
    fn flash_that_does_not_hold_what_was_written_is_told() {
        let mut probe = Fake { worn: Some(64), ..Fake::default() };
        let error = write("board", &mut probe, &plan(&[7]), false).unwrap_err().to_string();
        assert!(error.contains("flash does not hold what was written"), "{error}");
    }
}
