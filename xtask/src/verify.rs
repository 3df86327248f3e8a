//! `cargo xtask verify`: the same inputs on a device and on the host, layer by layer.

pub(crate) mod inputs;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use indicatif::ProgressBar;
use stepshift_runtime::{Codes, Model, Session, argmax, digest};
use stepshift_tests::wire::Request;

use crate::boards::Board;
use crate::device::{self, Answers, Device, Emulated, Logs};
use crate::firmware::{self, Host, LogLevel};
use crate::model_file::ModelFile;
use crate::setup::{self, Report, Tool};
use crate::table::grouped;
use crate::{boards, fit};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Verify {
    /// The board
    #[arg(long, default_value = boards::DEFAULT)]
    board: String,
    /// A model file, as `stepshift export` writes it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Inputs: golden vectors of `stepshift eval --vectors`, or codes, one input behind the other
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// At most as many inputs
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Seconds without an answer after which the device is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// The debug probe, where there are several: VID:PID or VID:PID:SERIAL
    #[arg(long, value_name = "ID")]
    probe: Option<String>,
    /// Show the device's log
    #[arg(long)]
    logs: bool,
    /// What the firmware logs
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    log: LogLevel,
}

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Equal {
    /// Inputs, all of whose tensors are equal.
    pub(crate) inputs: usize,
    /// Tensors.
    pub(crate) tensors: usize,
}

impl Verify {
    pub(crate) fn run(&self) -> Result<()> {
        let board = boards::find(&self.board)?;
        let file = ModelFile::read(&self.model)?;
        let inputs = inputs::read(&self.data, &file.model()?, self.limit)?;
        // A real board that QEMU knows is emulated unless a probe is named.
        let equal = if board.machine.is_some() && self.probe.is_none() {
            emulated(board, &file, &inputs, self.log, Duration::from_secs(self.timeout), self.logs)?.0
        } else {
            self.on_hardware(board, &file, &inputs)?
        };
        println!(
            "bit-exact: {} tensors, {} inputs: host = {}",
            grouped(equal.tensors as u64),
            equal.inputs,
            board.name
        );
        Ok(())
    }

    #[cfg(feature = "probe")]
    fn on_hardware(&self, board: &Board, file: &ModelFile, inputs: &[Vec<u8>]) -> Result<Equal> {
        let (mut hardware, elf) = crate::flash::flashed(board, file, self.log, self.probe.as_deref())?;
        let table = device::log_table(&elf)?;
        let mut logs = Logs::new(&table, self.logs);
        compare(&mut hardware, &file.model()?, inputs, &mut logs, Duration::from_secs(self.timeout))
    }

    /// The same command in a program that knows probes.
    #[cfg(not(feature = "probe"))]
    fn on_hardware(&self, _: &Board, _: &ModelFile, _: &[Vec<u8>]) -> Result<Equal> {
        match crate::process::with_probe()? {}
    }
}

/// Compares a board in QEMU with the host; also the lines of its log.
///
/// silence  longest time without an answer
/// shown    the log is printed as it comes
///
/// # Errors
/// As [`compare`], and where the model does not fit the board.
pub(crate) fn emulated(
    board: &Board,
    file: &ModelFile,
    inputs: &[Vec<u8>],
    level: LogLevel,
    silence: Duration,
    shown: bool,
) -> Result<(Equal, Vec<String>)> {
    in_qemu(board, file, level, shown, |device, logs| compare(device, &file.model()?, inputs, logs, silence))
}

/// Does something with a board in QEMU that holds a model; also the lines of its log.
///
/// shown  the log is printed as it comes
///
/// # Errors
/// Where QEMU is missing, the model does not fit the board, or what is done fails.
pub(crate) fn in_qemu<T>(
    board: &Board,
    file: &ModelFile,
    level: LogLevel,
    shown: bool,
    run: impl FnOnce(&mut dyn Device, &mut Logs<'_>) -> Result<T>,
) -> Result<(T, Vec<String>)> {
    // Before firmware is built for nothing.
    setup::ensure(&[Tool::Qemu], Report::Missing)?;
    let elf = firmware::build_device(board, Host::Qemu, level)?;
    fit::check(board, file, &elf)?;
    let table = device::log_table(&std::fs::read(&elf)?)?;
    let mut logs = Logs::new(&table, shown);
    let image = file.slot()?;
    let mut emulated = Emulated::new(|folder: &Path| device::qemu_command(board, &elf, &image, folder));
    let outcome = run(&mut emulated, &mut logs)?;
    Ok((outcome, logs.into_lines()))
}

/// Compares every tensor of every input.
///
/// # Errors
/// Names the first input and layer that differ, and the index of the first code.
pub(crate) fn compare(
    device: &mut dyn Device,
    model: &Model<'_>,
    inputs: &[Vec<u8>],
    logs: &mut Logs<'_>,
    silence: Duration,
) -> Result<Equal> {
    let bar = ProgressBar::new(inputs.len() as u64);
    let progress = |done: usize| bar.set_position(done as u64);
    let answers = device::answers_of(device, model, Request::Infer, inputs, logs, silence, progress);
    bar.finish_and_clear();
    let Answers { steps: digests, classes } = answers?;
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(*model, &mut arena)?;
    for (index, input) in inputs.iter().enumerate() {
        session.reset();
        session.input_mut().into_bytes().copy_from_slice(input);
        let mut first = None;
        session.run_observed(|output| {
            if first.is_none() && digests[index].get(output.step) != Some(&digest(output.codes)) {
                let (name, codes) = (output.name.to_string(), output.codes.iter().collect::<Vec<_>>());
                first = Some((output.step, name, output.codes.element(), codes));
            }
        });
        if let Some((step, name, element, expected)) = first {
            let bytes = device::codes_of(device, model, input, step, logs, silence)?;
            let actual: Vec<i16> = Codes::new(element, &bytes).iter().collect();
            bail!("input {index}, layer {name}: {}", difference(&expected, &actual));
        }
        let class = argmax(session.output());
        ensure!(class == classes[index] as usize, "input {index}: class {} instead of {class}", classes[index]);
    }
    Ok(Equal { inputs: inputs.len(), tensors: inputs.len() * model.step_count() })
}

/// The first code that differs, and how many do.
fn difference(expected: &[i16], actual: &[i16]) -> String {
    let differs = |index: &usize| expected.get(*index) != actual.get(*index);
    let mut places = (0..expected.len().max(actual.len())).filter(differs);
    let Some(first) = places.next() else {
        return "its digest differs once and its codes do not: the device is not deterministic".to_owned();
    };
    let code = |codes: &[i16]| codes.get(first).map_or_else(|| "none".to_owned(), ToString::to_string);
    let (got, wanted, more) = (code(actual), code(expected), places.count());
    format!("index {first} is {got} instead of {wanted}; {} of {} codes differ", more + 1, expected.len())
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use stepshift_runtime::format::FORMAT_VERSION;
    use stepshift_tests::wire::{Hello, REQUEST_BYTES};

    use super::*;
    use crate::device::Poll;

    const SMALL: &[u8] = include_bytes!("../../runtime/testdata/small.stepshift");

    /// Runs on the host what a device would run, with one wrong bit.
    struct Simulated {
        /// Node, index of the code, and the input from which on it is wrong.
        wrong: Option<(usize, usize, usize)>,
        replies: Vec<u8>,
    }

    impl Device for Simulated {
        fn start(&mut self, requests: Vec<u8>) -> Result<()> {
            let model = Model::parse(SMALL)?;
            let mut arena = vec![0; model.arena_bytes()];
            let mut session = Session::new(model, &mut arena)?;
            let input_bytes = session.input_mut().into_bytes().len();
            let (format_version, node_count) = (FORMAT_VERSION.into(), model.node_count() as u32);
            let hello = Hello {
                format_version,
                fault: None,
                model_crc: model.crc(),
                node_count,
                input_bytes: input_bytes as u32,
            };
            self.replies = hello.to_bytes().to_vec();
            let mut rest = &requests[..];
            let mut count = 0;
            while let Some((request, behind)) = rest.split_first_chunk::<REQUEST_BYTES>() {
                let request = Request::from_bytes(*request).context("a request")?;
                if request == Request::End {
                    break;
                }
                let (input, behind) = behind.split_at(input_bytes);
                session.input_mut().into_bytes().copy_from_slice(input);
                session.run_observed(|output| {
                    let mut bytes = output.codes.bytes().to_vec();
                    if let Some((node, index, from)) = self.wrong
                        && node == output.index
                        && (count >= from || matches!(request, Request::Codes { .. }))
                    {
                        bytes[index] ^= 1;
                    }
                    match request {
                        Request::Codes { step } if step as usize == output.index => {
                            self.replies.extend((bytes.len() as u32).to_le_bytes());
                            self.replies.extend(bytes);
                        }
                        Request::Infer => {
                            let digest = digest(Codes::new(output.codes.element(), &bytes));
                            self.replies.extend(digest.to_le_bytes());
                        }
                        _ => {}
                    }
                });
                if request == Request::Infer {
                    self.replies.extend((argmax(session.output()) as u32).to_le_bytes());
                    self.replies.extend([0; 4]);
                }
                count += 1;
                rest = behind;
            }
            Ok(())
        }

        fn poll(&mut self) -> Result<Poll> {
            Ok(Poll { replies: std::mem::take(&mut self.replies), logs: Vec::new(), ended: Some(true) })
        }
    }

    fn verify(wrong: Option<(usize, usize, usize)>) -> Result<Equal> {
        let mut device = Simulated { wrong, replies: Vec::new() };
        let inputs = [1, 2, 3].map(|code| vec![code; 32]);
        compare(&mut device, &Model::parse(SMALL)?, &inputs, &mut Logs::hidden(), Duration::from_secs(5))
    }

    #[test]
    fn an_equal_device_is_equal() {
        assert_eq!(verify(None).unwrap(), Equal { inputs: 3, tensors: 21 });
    }

    #[test]
    fn one_wrong_bit_is_told_with_its_input_layer_and_index() {
        let error = verify(Some((1, 40, 2))).unwrap_err().to_string();
        assert!(error.starts_with("input 2, layer depthwise: index 40 is "), "{error}");
        assert!(error.ends_with("; 1 of 48 codes differ"), "{error}");
    }
}
