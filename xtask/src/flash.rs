//! `cargo xtask flash`: firmware and model onto a real board.

#[cfg(any(feature = "probe", test))]
mod session;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSegment};

use crate::boards::Board;
use crate::firmware::{Host, LogLevel};
use crate::fit::Fit;
use crate::model_file::ModelFile;
use crate::table::{self, grouped};
use crate::{boards, firmware, fit};

#[cfg(feature = "probe")]
pub(crate) use session::{Probe, Stage, write};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Flash {
    /// The board
    #[arg(long)]
    board: String,
    /// A model file, as `stepshift export` writes it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The debug probe, where there are several: VID:PID or VID:PID:SERIAL
    #[arg(long, value_name = "ID")]
    probe: Option<String>,
    /// Write the model's region of flash alone; the firmware on the chip must be this one
    #[arg(long)]
    model_only: bool,
    /// What the firmware logs
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    log: LogLevel,
    /// Check and tell what would be written, without a probe
    #[arg(long)]
    dry_run: bool,
}

/// Bytes that lie side by side in flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where they begin.
    pub(crate) address: u64,
    /// What they are.
    pub(crate) bytes: Vec<u8>,
}

/// What is written, and what the firmware is.
pub(crate) struct Plan {
    /// The firmware's segments.
    pub(crate) code: Vec<Segment>,
    /// The model in its region.
    pub(crate) model: Segment,
}

impl Flash {
    pub(crate) fn run(&self) -> Result<()> {
        let board = boards::find(&self.board)?;
        ensure!(
            board.chip.is_some(),
            "{} is emulated: `cargo xtask run` or `cargo xtask verify` run firmware on it",
            board.name
        );
        let file = ModelFile::read(&self.model)?;
        let elf = firmware::build_device(board, Host::Probe, self.log)?;
        let fit = fit::check(board, &file, &elf)?;
        print(board, &fit);
        let plan = Plan::new(board, &elf, &file)?;
        if self.dry_run {
            for segment in plan.segments(self.model_only) {
                println!("would write {:>9} bytes to {:#010x}", grouped(segment.bytes.len() as u64), segment.address);
            }
            return Ok(());
        }
        self.with_probe(board, &plan, &elf)
    }

    #[cfg(feature = "probe")]
    fn with_probe(&self, board: &Board, plan: &Plan, elf: &Path) -> Result<()> {
        use crate::device::{Device, Logs, hardware::Hardware};

        let mut hardware = Hardware::open(board, self.probe.as_deref())?;
        write(board.name, &mut hardware, plan, self.model_only)?;
        println!("{} runs; Ctrl-C ends its log", board.name);
        let bytes = std::fs::read(elf)?;
        let table = crate::device::log_table(&bytes)?;
        let mut logs = Logs::new(&table, true);
        hardware.start(Vec::new())?;
        while !crate::process::interrupted() {
            logs.received(&hardware.poll()?.logs);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(())
    }

    /// The same command in a program that knows probes.
    #[cfg(not(feature = "probe"))]
    fn with_probe(&self, _board: &Board, _plan: &Plan, _elf: &Path) -> Result<()> {
        match crate::process::with_probe()? {}
    }
}

/// A real board that holds firmware and model; also the firmware's ELF file.
///
/// # Errors
/// Where they do not fit, without a probe, or where writing fails.
#[cfg(feature = "probe")]
pub(crate) fn flashed(
    board: &Board,
    file: &ModelFile,
    level: LogLevel,
    probe: Option<&str>,
) -> Result<(crate::device::hardware::Hardware, Vec<u8>)> {
    let elf = firmware::build_device(board, Host::Probe, level)?;
    fit::check(board, file, &elf)?;
    let mut hardware = crate::device::hardware::Hardware::open(board, probe)?;
    write(board.name, &mut hardware, &Plan::new(board, &elf, file)?, false)?;
    Ok((hardware, std::fs::read(&elf)?))
}

impl Plan {
    /// What a board is to hold.
    ///
    /// # Errors
    /// Where the firmware cannot be read.
    pub(crate) fn new(board: &Board, elf: &Path, file: &ModelFile) -> Result<Self> {
        let model = Segment { address: board.memory.model.start, bytes: file.slot()? };
        Ok(Self { code: segments(elf)?, model })
    }

    /// The model, and the firmware where it is written too.
    fn segments(&self, model_only: bool) -> Vec<Segment> {
        let code = if model_only { &[] } else { &self.code[..] };
        [std::slice::from_ref(&self.model), code].concat()
    }
}

/// What an ELF file puts into flash, by the addresses it is loaded to.
fn segments(path: &Path) -> Result<Vec<Segment>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    let mut segments = Vec::new();
    for segment in file.segments() {
        let data = segment.data().with_context(|| path.display().to_string())?;
        if !data.is_empty() {
            let address = physical(&file, &segment);
            segments.push(Segment { address, bytes: data.to_vec() });
        }
    }
    ensure!(!segments.is_empty(), "{} has nothing for flash", path.display());
    Ok(segments)
}

/// The address that a segment is loaded to: initial values of variables lie in flash.
fn physical(file: &object::File<'_>, segment: &object::Segment<'_, '_>) -> u64 {
    use object::read::elf::ProgramHeader;

    let object::File::Elf32(elf) = file else { return segment.address() };
    let headers = elf.elf_program_headers().iter();
    let endian = elf.endian();
    let same = |header: &&object::elf::ProgramHeader32<_>| u64::from(header.p_vaddr(endian)) == segment.address();
    headers
        .filter(same)
        .find(|header| header.p_filesz(endian) > 0)
        .map_or(segment.address(), |header| header.p_paddr(endian).into())
}

fn print(board: &Board, fit: &Fit) {
    let memory = board.memory;
    let row = |what: &str, used: u64, of: u64| [what.to_owned(), grouped(used), grouped(of)];
    let header = [board.name, "bytes", "of"].map(str::to_owned);
    table::print(&[
        header,
        row("code", fit.code, memory.flash.bytes),
        row("model", fit.model, memory.model.bytes),
        row("arena", fit.arena, fit.free_ram),
    ]);
}
