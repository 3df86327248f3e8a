//! Sends inputs to a device and takes its answers apart.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use stepshift_runtime::Model;
use stepshift_runtime::format::FORMAT_VERSION;
use stepshift_tests::wire::{Fault, HELLO_BYTES, Hello, HelloError, RESULT_WORDS, Request};

use super::{Device, Logs, Poll};
use crate::process;

/// Between two looks at what came.
const PAUSE: Duration = Duration::from_millis(2);

/// A device's answers to inputs.
#[derive(Debug)]
pub(crate) struct Answers {
    /// `[input][step]`, digests or ticks
    pub(crate) steps: Vec<Vec<u32>>,
    /// `[input]`
    pub(crate) classes: Vec<u32>,
}

/// Runs inputs on a device: a digest of every step's codes for each, or its ticks.
///
/// request   [`Request::Infer`] or [`Request::Ticks`]
/// silence   longest time in which nothing comes
/// progress  told the number of inputs that are answered
///
/// # Errors
/// Where the device has no session and why, where it holds another model, where it ends or hangs.
pub(crate) fn answers_of(
    device: &mut dyn Device,
    model: &Model<'_>,
    request: Request,
    inputs: &[Vec<u8>],
    logs: &mut Logs<'_>,
    silence: Duration,
    mut progress: impl FnMut(usize),
) -> Result<Answers> {
    let mut requests = Vec::new();
    for input in inputs {
        requests.extend_from_slice(&request.to_bytes());
        requests.extend_from_slice(input);
    }
    requests.extend_from_slice(&Request::End.to_bytes());
    device.start(requests)?;
    let words = model.step_count() + RESULT_WORDS;
    let mut incoming = Incoming { device, logs, bytes: Vec::new(), silence };
    incoming.hello(model)?;
    let mut answers = Answers { steps: Vec::new(), classes: Vec::new() };
    for index in 0..inputs.len() {
        let place = || format!("input {index} of {}", inputs.len());
        let bytes = incoming.take(4 * words).with_context(place)?;
        let mut steps: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let results = steps.split_off(model.step_count());
        answers.classes.extend(results.first());
        answers.steps.push(steps);
        progress(index + 1);
    }
    incoming.drain();
    Ok(answers)
}

/// Runs one input on a device: the codes that a step writes, as their bytes.
///
/// # Errors
/// As [`answers_of`].
pub(crate) fn codes_of(
    device: &mut dyn Device,
    model: &Model<'_>,
    input: &[u8],
    step: usize,
    logs: &mut Logs<'_>,
    silence: Duration,
) -> Result<Vec<u8>> {
    let request = Request::Codes { step: u32::try_from(step)? }.to_bytes();
    device.start([&request[..], input, &Request::End.to_bytes()].concat())?;
    let mut incoming = Incoming { device, logs, bytes: Vec::new(), silence };
    incoming.hello(model)?;
    let len = incoming.take(4)?;
    let len = u32::from_le_bytes(*len.first_chunk().context("four bytes are a word")?);
    incoming.take(len as usize)
}

/// Replies in the order of their bytes.
struct Incoming<'d, 'l, 't> {
    device: &'d mut dyn Device,
    logs: &'l mut Logs<'t>,
    bytes: Vec<u8>,
    silence: Duration,
}

impl Incoming<'_, '_, '_> {
    /// The next bytes, as soon as they are there.
    fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut last = Instant::now();
        while self.bytes.len() < len {
            ensure!(!process::interrupted(), "stopped");
            let Poll { replies, logs, ended } = self.device.poll()?;
            self.logs.received(&logs);
            if !replies.is_empty() {
                last = Instant::now();
                self.bytes.extend(replies);
            } else if let Some(success) = ended {
                let how = if success { "ended" } else { "stopped with an error" };
                bail!("the device {how} before it answered{}", self.logs.last());
            } else if last.elapsed() > self.silence {
                let seconds = self.silence.as_secs_f32();
                bail!("the device hangs: nothing came for {seconds} s; --timeout waits longer{}", self.logs.last());
            } else {
                thread::sleep(PAUSE);
            }
        }
        Ok(self.bytes.drain(..len).collect())
    }

    /// Logs that come behind the last answer.
    fn drain(&mut self) {
        if let Ok(Poll { logs, .. }) = self.device.poll() {
            self.logs.received(&logs);
        }
    }

    /// What the device says of itself, held to the model.
    fn hello(&mut self, model: &Model<'_>) -> Result<()> {
        let bytes = self.take(HELLO_BYTES)?;
        let hello = bytes.first_chunk().map(Hello::from_bytes).context("as many bytes as asked for")?;
        let hello = hello.map_err(|error| match error {
            HelloError::NotADevice => anyhow::anyhow!("what answers is not the firmware `device`: flash it first"),
            HelloError::Protocol { found, supported } => anyhow::anyhow!(
                "the firmware speaks protocol {found}, this program {supported}: flash the firmware of this version"
            ),
        })?;
        match hello.fault {
            None => {}
            Some(fault) => bail!("{}{}", explain(fault), self.logs.last()),
        }
        ensure!(
            hello.format_version == u32::from(FORMAT_VERSION),
            "the firmware reads model format {}, this program writes {FORMAT_VERSION}: flash the firmware of this version",
            hello.format_version
        );
        ensure!(
            hello.model_crc == model.crc(),
            "the device holds the model of checksum {:#010x}, the file has {:#010x}: flash it first",
            hello.model_crc,
            model.crc()
        );
        Ok(())
    }
}

fn explain(fault: Fault) -> String {
    match fault {
        Fault::NoModel => "the device holds no model: cargo xtask flash --model-only".to_owned(),
        Fault::Version { found, supported } => format!(
            "the device holds a model of format {found}, its firmware reads {supported}: flash firmware and model of one \
             version"
        ),
        Fault::Refused => "the firmware refuses the model".to_owned(),
        Fault::Arena { needed, provided } => {
            format!("the model needs an arena of {needed} bytes, the board has {provided}")
        }
        Fault::SelfTest { node } => format!("self-test: node {node} does not give the bits of training"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::script::Script;

    const SMALL: &[u8] = include_bytes!("../../../runtime/testdata/small.stepshift");

    fn error_of(replies: &[u8], ended: Option<bool>) -> String {
        let mut device = Script::new(replies.to_vec(), ended);
        let (model, silence) = (Model::parse(SMALL).unwrap(), Duration::from_millis(20));
        let outcome =
            answers_of(&mut device, &model, Request::Infer, &[vec![0; 32]], &mut Logs::hidden(), silence, |_| {});
        format!("{:#}", outcome.unwrap_err())
    }

    fn hello(change: impl FnOnce(&mut Hello)) -> [u8; HELLO_BYTES] {
        let model_crc = Model::parse(SMALL).unwrap().crc();
        let format_version = FORMAT_VERSION.into();
        let mut hello = Hello { format_version, fault: None, model_crc, node_count: 7, input_bytes: 32 };
        change(&mut hello);
        hello.to_bytes()
    }

    #[test]
    fn a_device_that_hangs_is_given_up() {
        assert!(error_of(&[], None).contains("the device hangs: nothing came for 0.02 s"));
        let error = error_of(&hello(|_| {}), None);
        assert!(error.starts_with("input 0 of 1: the device hangs"), "{error}");
    }

    #[test]
    fn a_device_that_ends_early_is_told() {
        assert!(error_of(&hello(|_| {}), Some(false)).contains("stopped with an error before it answered"));
    }

    #[test]
    fn another_model_and_another_version_are_told() {
        let error = error_of(&hello(|hello| hello.model_crc = 7), None);
        assert!(error.contains("the device holds the model of checksum 0x00000007"), "{error}");
        let error = error_of(&hello(|hello| hello.format_version = 2), None);
        assert!(error.contains("the firmware reads model format 2"), "{error}");
        let error = error_of(&hello(|hello| hello.fault = Some(Fault::Version { found: 9, supported: 3 })), None);
        assert!(error.contains("a model of format 9, its firmware reads 3"), "{error}");
        assert!(error_of(&[7; HELLO_BYTES], None).contains("not the firmware `device`"));
    }

    #[test]
    fn a_device_without_a_session_says_why() {
        let error = error_of(&hello(|hello| hello.fault = Some(Fault::NoModel)), None);
        assert!(error.contains("--model-only"), "{error}");
        let error = error_of(&hello(|hello| hello.fault = Some(Fault::Arena { needed: 9, provided: 8 })), None);
        assert!(error.contains("an arena of 9 bytes, the board has 8"), "{error}");
    }
}
