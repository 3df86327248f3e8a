//! `cargo xtask bench`: instructions of every layer of a list or a model in QEMU, cycles of a model on a real board.

mod comparison;
mod cost;
pub(crate) mod hardware;
mod layers;
mod trusted;
mod whole_model;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use stepshift_runtime::{Backend, Codes, Model, Session, digest};
use stepshift_trainer::export::{FixedPointNetwork, Options, Prefer, encode_with};

use self::cost::Cost;
use self::layers::{Entry, Scheme};
use crate::boards::{self, Board};
use crate::table::{self, grouped};
use crate::{firmware, qemu};

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// The board: QEMU's count instructions, real ones cycles
    #[arg(long, default_value = boards::DEFAULT)]
    board: String,
    /// A list of layers: resnet8, ds-cnn, or a file like those in `benches/`
    #[arg(long, default_value = "resnet8", value_name = "NAME|FILE")]
    layers: String,
    /// A model file, instead of a list
    #[arg(long, value_name = "FILE", conflicts_with_all = ["layers", "backend", "scheme"])]
    model: Option<PathBuf>,
    /// Whose order the weights are in; the board's own where left out
    #[arg(long, value_parser = Backend::ALL.map(Backend::name))]
    backend: Option<String>,
    /// What the models spare
    #[arg(long, default_value = "memory")]
    prefer: Spare,
    /// How layers end
    #[arg(long, default_value = "power-of-two")]
    scheme: Scheme,
    /// In firmware that is built for each model and trusts it, in QEMU: what finds and checks a layer's operands is gone
    #[arg(long)]
    trusted: bool,
    /// Where to write the table, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A table that --json wrote before, to compare with
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// The debug probe of a real board, where there are several: VID:PID or VID:PID:SERIAL
    #[arg(long, value_name = "ID")]
    probe: Option<String>,
    /// Seconds without an answer after which a real board is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

/// As `stepshift export --prefer` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Spare {
    /// Flash and RAM.
    Memory,
    /// Time.
    Speed,
}

impl From<Spare> for Prefer {
    fn from(spare: Spare) -> Self {
        match spare {
            Spare::Memory => Self::Memory,
            Spare::Speed => Self::Speed,
        }
    }
}

/// A line of the table.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    layer: String,
    count: u64,
    macs: u64,
    #[serde(flatten)]
    cost: Cost,
    scratch_bytes: u64,
    /// Input, output and scratch of a layer by itself, as they share an arena.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arena_bytes: Option<u64>,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        // Before what takes long.
        let before = self.compare.as_deref().map(comparison::read).transpose()?;
        let board = boards::find(&self.board)?;
        let rows = match &self.model {
            Some(path) if board.is_emulator() => whole_model::in_qemu(board, path, self.trusted)?,
            Some(_) if self.trusted => {
                bail!("--trusted counts in QEMU, on the boards called qemu-, not on {}", board.name)
            }
            Some(path) => self.on_hardware(board, path)?,
            None => self.list(board)?,
        };
        print(&rows);
        if let Some(before) = before {
            println!();
            comparison::print(&before, &rows)?;
        }
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&rows)?;
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    #[cfg(feature = "probe")]
    fn on_hardware(&self, board: &Board, path: &std::path::Path) -> Result<Vec<Row>> {
        use crate::device::{self, Logs};

        let file = crate::model_file::ModelFile::read(path)?;
        ensure_probe(board)?;
        let (mut hardware, elf) = crate::flash::flashed(board, &file, firmware::LogLevel::Info, self.probe.as_deref())?;
        let table = device::log_table(&elf)?;
        let (model, silence) = (file.model()?, std::time::Duration::from_secs(self.timeout));
        let cycles = hardware::cycles(&mut hardware, &model, &mut Logs::new(&table, false), silence)?;
        whole_model::rows(&model, cycles.into_iter().map(Cost::Cycles))
    }

    /// The same command in a program that knows probes.
    #[cfg(not(feature = "probe"))]
    fn on_hardware(&self, board: &Board, _: &std::path::Path) -> Result<Vec<Row>> {
        ensure_probe(board)?;
        match crate::process::with_probe()? {}
    }

    fn list(&self, board: &'static Board) -> Result<Vec<Row>> {
        ensure!(
            board.is_emulator(),
            "lists of layers are measured in QEMU, on the boards called qemu-; --model FILE measures one on {}",
            board.name
        );
        let entries = layers::read(&self.layers)?;
        let board = emulated(board);
        let backend = match &self.backend {
            Some(name) => Backend::ALL.into_iter().find(|backend| backend.name() == name),
            None => Some(board.backend),
        };
        let backend = backend.context("the board's backend is unknown")?;
        let mut rows = Vec::new();
        let mut files = Vec::new();
        for entry in &entries {
            let network = entry.network(self.scheme)?;
            let options = Options { backend, prefer: self.prefer.into(), ..Options::default() };
            let bytes = encode_with(&network, options)?;
            rows.push(row(entry, &network, &Model::parse(&bytes)?));
            files.push(if self.trusted {
                encode_with(&network, Options { sample: Some(&codes(&bytes)?), ..options })?
            } else {
                bytes
            });
        }
        if self.trusted {
            trusted::count(&board, &files, &mut rows)?
        } else {
            count(&board, &files, &mut rows)?
        }
        if let Some(row) = rows.iter().find(|row| row.cost.count() == 0) {
            bail!("{}: layer {} was not counted", board.name, row.layer);
        }
        Ok(rows)
    }
}

/// A layer that is not counted yet.
fn row(entry: &Entry, network: &FixedPointNetwork, model: &Model<'_>) -> Row {
    let scratch_bytes = model.nodes().map(|node| u64::from(node.op.scratch().bytes)).max().unwrap_or(0);
    let (layer, macs) = (entry.name.clone(), entry.macs(network));
    let arena_bytes = Some(model.arena_bytes() as u64);
    Row { layer, count: entry.count, macs, cost: Cost::Instructions(0), scratch_bytes, arena_bytes }
}

/// Counts the instructions of models of one layer, all in one firmware.
fn count(board: &Board, files: &[Vec<u8>], rows: &mut [Row]) -> Result<()> {
    let elf = firmware::build(board, firmware::BENCH, None)?;
    let folder = tempfile::tempdir()?;
    let mut list = String::new();
    for (number, bytes) in files.iter().enumerate() {
        let path = folder.path().join(format!("{number}.stepshift"));
        fs::write(&path, bytes)?;
        list += &format!("{}\n", path.display());
    }
    fs::write(folder.path().join("list"), list)?;
    let outcome = qemu::run(board, &elf, Some(&folder.path().join("list")))?;
    if !outcome.success {
        bail!("{}: the firmware printed\n{}", board.name, outcome.text);
    }
    qemu::expect_backend(board, &outcome)?;
    for line in outcome.text.lines().filter_map(|line| line.strip_prefix("node ")) {
        let [number, node, instructions, found] = numbers(line).with_context(|| line.to_owned())?;
        let (row, bytes) = (&mut rows[number as usize], &files[number as usize]);
        let expected = digests(bytes)?;
        let layer = &row.layer;
        ensure!(
            u64::from(expected[node as usize]) == found,
            "{}: layer {layer} has other bits than on the host",
            board.name
        );
        // The last node is the layer; one before it makes its second operand.
        row.cost = Cost::Instructions(instructions);
    }
    Ok(())
}

/// A board that counts nothing has no probe either.
fn ensure_probe(board: &Board) -> Result<()> {
    ensure!(
        board.chip.is_some(),
        "{} has no program that counts instructions: take the board called qemu- with a {}",
        board.name,
        board.core
    );
    Ok(())
}

/// A microcontroller of 16 KiB holds no layer of these lists: its code runs on a larger machine.
fn emulated(board: &'static Board) -> Board {
    match board.target {
        "thumbv6m-none-eabi" => Board { name: "qemu-m3", machine: Some("mps2-an385"), buffer_bytes: 1 << 20, ..*board },
        _ => Board { ..*board },
    }
}

fn numbers(line: &str) -> Option<[u64; 4]> {
    let numbers: Vec<u64> = line.split(' ').map_while(|word| word.parse().ok()).collect();
    numbers.try_into().ok()
}

/// The input of the benchmarks' firmware: the high bytes of a linear congruence.
pub(crate) fn fill(bytes: &mut [u8]) {
    let mut state = 1_u32;
    for byte in bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
}

/// What every node writes on the host, on the firmware's input.
fn digests(bytes: &[u8]) -> Result<Vec<u32>> {
    let mut digests = Vec::new();
    on_host(bytes, |codes| digests.push(digest(codes)))?;
    Ok(digests.split_off(1))
}

/// The codes of every tensor there, input first.
fn codes(bytes: &[u8]) -> Result<Vec<Vec<i16>>> {
    let mut all = Vec::new();
    on_host(bytes, |codes| all.push(codes.iter().collect()))?;
    Ok(all)
}

fn on_host(bytes: &[u8], mut tell: impl FnMut(Codes<'_>)) -> Result<()> {
    let model = Model::parse(bytes)?;
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena)?;
    let input = session.input_mut();
    let element = input.element();
    let bytes = input.into_bytes();
    fill(bytes);
    tell(Codes::new(element, bytes));
    session.run_observed(|output| tell(output.codes));
    Ok(())
}

fn print(rows: &[Row]) {
    let total: u64 = rows.iter().map(|row| row.count * row.cost.count()).sum();
    let unit = rows.first().map_or("", |row| row.cost.unit());
    let header = ["layer", "times", "MACs", unit, "per MAC", "share", "scratch", "arena"];
    let mut lines = vec![header.map(str::to_owned)];
    let per_mac = |count: u64, macs: u64| match macs {
        0 => String::new(),
        _ => format!("{:.3}", count as f64 / macs as f64),
    };
    for row in rows {
        let count = row.cost.count();
        let share = 100.0 * (row.count * count) as f64 / total as f64;
        lines.push([
            row.layer.clone(),
            row.count.to_string(),
            grouped(row.macs),
            grouped(count),
            per_mac(count, row.macs),
            format!("{share:.1} %"),
            grouped(row.scratch_bytes),
            row.arena_bytes.map(grouped).unwrap_or_default(),
        ]);
    }
    let macs = rows.iter().map(|row| row.count * row.macs).sum();
    let times = rows.iter().map(|row| row.count).sum::<u64>().to_string();
    let [name, empty] = ["total", ""].map(str::to_owned);
    lines.push([name, times, grouped(macs), grouped(total), per_mac(total, macs), empty.clone(), empty.clone(), empty]);
    table::print(&lines);
}
