//! Cycles of every layer on a board behind a debug probe, by the cycle counter of its core.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use stepshift_runtime::{Model, Session};
use stepshift_tests::wire::Request;

use crate::device::{self, Device, Logs};

/// Inferences, of which the last is told: caches and the flash's buffers are filled then.
const RUNS: usize = 3;

/// Cycles of every node on the input of the model's certificate, zeros where it has none. On a core without a cycle counter
/// (Armv6-M) they are those of SysTick, which counts the same clock.
///
/// # Errors
/// As [`device::answers_of`]; also where a node takes no time, as the clock stands still then.
pub(crate) fn cycles(
    device: &mut dyn Device,
    model: &Model<'_>,
    logs: &mut Logs<'_>,
    silence: Duration,
) -> Result<Vec<u64>> {
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(*model, &mut arena)?;
    let mut input = session.input_mut().into_bytes().to_vec();
    if let Some(certificate) = model.certificate() {
        input.iter_mut().zip(certificate.input).for_each(|(target, byte)| *target = *byte);
    }
    // A node of a stage that runs patch by patch has a step a patch.
    let mut node_of = Vec::new();
    session.run_observed(|output| node_of.push(output.index));
    let inputs = vec![input; RUNS];
    let answers = device::answers_of(device, model, Request::Ticks, &inputs, logs, silence, |_| {})?;
    let last = answers.steps.last().context("an answer to each input")?;
    let mut cycles = vec![0; model.node_count()];
    for (node, ticks) in node_of.into_iter().zip(last) {
        cycles[node] += u64::from(*ticks);
    }
    ensure!(last.iter().any(|ticks| *ticks > 0), "the device's clock stands still: every layer takes 0 cycles");
    Ok(cycles)
}

#[cfg(test)]
mod tests {
    use stepshift_runtime::format::FORMAT_VERSION;
    use stepshift_tests::wire::{Hello, REQUEST_BYTES};

    use super::*;
    use crate::device::script::Script;

    const SMALL: &[u8] = include_bytes!("../../../runtime/testdata/small.stepshift");

    /// Of a device that answers each input with ticks of seven layers, class and sum.
    fn measured(answers: Vec<[u32; 9]>) -> (Result<Vec<u64>>, Vec<u8>) {
        let model = Model::parse(SMALL).unwrap();
        let format_version = FORMAT_VERSION.into();
        let hello = Hello { format_version, fault: None, model_crc: model.crc(), node_count: 7, input_bytes: 32 };
        let words = answers.into_iter().flatten().flat_map(u32::to_le_bytes);
        let replies = hello.to_bytes().into_iter().chain(words).collect();
        let mut device = Script::new(replies, Some(true));
        (cycles(&mut device, &model, &mut Logs::hidden(), Duration::from_secs(5)), device.requests)
    }

    #[test]
    fn the_last_of_three_inferences_is_told() {
        let cold = [900, 800, 90, 80, 70, 60, 50, 3, 2050];
        let warm = [700, 600, 50, 40, 30, 20, 10, 3, 1450];
        let (cycles, requests) = measured(vec![cold, warm, warm]);
        assert_eq!(cycles.unwrap(), [700, 600, 50, 40, 30, 20, 10]);
        assert_eq!(requests.len(), 3 * (REQUEST_BYTES + 32) + REQUEST_BYTES);
        assert!(requests.starts_with(&Request::Ticks.to_bytes()));
    }

    #[test]
    fn a_clock_that_stands_still_is_told() {
        let error = measured(vec![[0; 9]; 3]).0.unwrap_err().to_string();
        assert!(error.contains("stands still"), "{error}");
    }

    #[test]
    fn a_device_that_ends_in_between_is_told_with_the_inference() {
        let error = format!("{:#}", measured(vec![[1; 9]; 2]).0.unwrap_err());
        assert!(error.starts_with("input 2 of 3: the device ended before it answered"), "{error}");
    }
}
