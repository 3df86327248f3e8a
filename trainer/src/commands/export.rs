//! `stepshift export`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use stepshift_runtime::arithmetic::Requantizer;
use stepshift_runtime::format::{Element, OperatorKind, WeightBits};
use stepshift_runtime::{Backend, Model};
use stepshift_trainer::atomic_file;
use stepshift_trainer::config::{self, Task};
use stepshift_trainer::export::bounds::{ExactIn, channel_bounds, exact_in};
use stepshift_trainer::export::heads::Head;
use stepshift_trainer::export::patches::{Fit, Patching, fit};
use stepshift_trainer::export::streaming::streaming;
use stepshift_trainer::export::{FixedPointNetwork, Options, Prefer, encode_with};
use stepshift_trainer::torch::evaluation::sample;
use stepshift_trainer::torch::quantized_network::QuantizedNetwork;

use super::RunFolder;
use super::layer_table::Table;

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    #[command(flatten)]
    run: RunFolder,
    /// Where to write the model; where left out model.stepshift in the run's folder, with --stream stream.stepshift
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Whose kernels are to run the model; every other backend runs it too, in plain Rust
    #[arg(long, default_value = "portable", value_parser = backend())]
    backend: Backend,
    /// What the file spares: flash and RAM, or time, for which weights take 16 bits and the arena more
    #[arg(long, default_value = "memory", value_parser = prefer())]
    prefer: Prefer,
    /// RAM for the arena, in bytes, or with K or M for 1,024 or 1,048,576 of them: if whole layers do not fit, the first ones
    /// run patch by patch, in the way that computes least again; with --prefer speed, layers take what is left of it
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    ram: Option<usize>,
    /// What follows the network's logits: probabilities, or the class
    #[arg(long, value_enum)]
    head: Option<HeadName>,
    /// A model that takes one row of the input a run and keeps what it needs of those before: for networks that were trained
    /// on windows of a sequence. It has no self-test
    #[arg(long, conflicts_with = "ram")]
    stream: bool,
    /// Leave out the self-test: one image with a digest of every layer, which firmware can replay
    #[arg(long)]
    no_self_test: bool,
}

impl Export {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let (state, data, network) = self.run.load()?;
        ensure!(
            self.head.is_none() || config::parse(&state.config)?.task == Task::Classification,
            "--head: it is for classes, which task = \"reconstruction\" does not tell apart"
        );
        let default = if self.stream { self.run.stream() } else { self.run.model() };
        let path = self.model.clone().unwrap_or(default);
        let sample = if self.no_self_test || self.stream { None } else { Some(sample(&network, &data.test)?) };
        let window = network.to_fixed_point()?;
        let fixed = if self.stream { streaming(&window, &network.network().cells)? } else { window };
        let fixed = self.head.map_or(Ok(fixed.clone()), |head| Head::from(head).append(&fixed))?;
        let fit = self.ram.map(|budget| fit(&fixed, self.backend, budget)).transpose();
        let fit = fit.with_context(|| format!("{} was not written", path.display()))?;
        let patching = fit.and_then(|fit| fit.patching);
        let prefer = self.ram.map_or(self.prefer, |budget| self.prefer.within(budget));
        let options = Options { backend: self.backend, prefer, patching, sample: sample.as_deref() };
        let bytes = write(&fixed, options, &path)?;
        print(&fixed)?;
        let model = Model::parse(&bytes)?;
        if let (Some(fit), Some(budget)) = (fit, self.ram) {
            println!("{}", fitted(&fixed, fit, model.arena_bytes(), budget));
        }
        let macs: u64 = fixed.layers.iter().map(|layer| layer.macs(fixed.operand(layer))).sum();
        println!("flash {} bytes, arena {} bytes, {macs} MACs: {}", bytes.len(), model.arena_bytes(), path.display());
        println!("firmware links {}", links(&model));
        Ok(ExitCode::SUCCESS)
    }
}

/// The heads' names on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum HeadName {
    Softmax,
    Argmax,
}

impl From<HeadName> for Head {
    fn from(name: HeadName) -> Self {
        match name {
            HeadName::Softmax => Self::Softmax,
            HeadName::Argmax => Self::Argmax,
        }
    }
}

/// The operators, elements and widths that a model uses.
fn links(model: &Model<'_>) -> String {
    let used = model.links().into();
    let operators = OperatorKind::ALL.into_iter().filter(|kind| kind.is_in(used)).map(|kind| format!("{kind:?}"));
    let elements = Element::ALL.into_iter().filter(|element| element.is_in(used));
    let widths = WeightBits::ALL.into_iter().filter(|width| width.is_in(used));
    let elements = elements.map(|element| format!("{element:?}").to_lowercase());
    let widths = widths.map(|width| format!("weights of {} bits", width.bits()));
    operators.chain(elements).chain(widths).collect::<Vec<_>>().join(", ")
}

/// Reads a backend's name; clap suggests the nearest for others.
fn backend() -> impl TypedValueParser<Value = Backend> {
    let named = |name: String| Backend::ALL.into_iter().find(|backend| backend.name() == name).unwrap_or_default();
    PossibleValuesParser::new(Backend::ALL.map(Backend::name)).map(named)
}

/// Reads what to spare.
fn prefer() -> impl TypedValueParser<Value = Prefer> {
    let named = |name: String| if name == "speed" { Prefer::Speed } else { Prefer::Memory };
    PossibleValuesParser::new(["memory", "speed"]).map(named)
}

/// Encodes a network and writes it atomically.
pub(super) fn write_model(
    network: &QuantizedNetwork,
    options: Options<'_>,
    path: &Path,
) -> Result<(FixedPointNetwork, Vec<u8>)> {
    let fixed = network.to_fixed_point()?;
    let bytes = write(&fixed, options, path)?;
    Ok((fixed, bytes))
}

fn write(fixed: &FixedPointNetwork, options: Options<'_>, path: &Path) -> Result<Vec<u8>> {
    let bytes = encode_with(fixed, options).with_context(|| format!("{} was not written", path.display()))?;
    atomic_file::write(path, &bytes)?;
    Ok(bytes)
}

/// What was chosen for a budget, and what it costs.
fn fitted(network: &FixedPointNetwork, fit: Fit, arena_bytes: usize, budget: usize) -> String {
    let Some(Patching { layers, rows, columns }) = fit.patching else {
        return format!("RAM {arena_bytes} of {budget} bytes, with whole layers");
    };
    let shape = network.tensor(layers).shape;
    let (down, across) = (shape.h.div_ceil(rows), shape.w.div_ceil(columns));
    let (first, last) = (&network.layers[0].name, &network.layers[layers - 1].name);
    let more = 100.0 * fit.recomputed_macs as f64 / fit.macs.max(1) as f64;
    format!(
        "RAM {arena_bytes} of {budget} bytes: {first} to {last} in {down} x {across} patches of {rows}x{columns}, \
         which compute {} of {} MACs again ({more:.1} %)",
        fit.recomputed_macs, fit.macs
    )
}

/// Reads 65536, 64K or 1M.
fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let count = digits.parse::<usize>().ok().and_then(|count| count.checked_mul(unit));
    count.ok_or_else(|| "a number of bytes, like 65536, 64K or 1M".to_owned())
}

/// A line a layer: exponent, shifts, how near the worst channel comes to overflow, and in which floating point its sums are exact.
fn print(network: &FixedPointNetwork) -> Result<()> {
    let header =
        ["layer", "output", "exponent", "right shift", "worst accumulator", "channel", "exact in", "weights", "MACs"];
    let mut table = Table::new(header);
    for layer in &network.layers {
        let bounds = channel_bounds(network, layer)?;
        let shifts = bounds.iter().map(|channel| match channel.requantizer {
            Requantizer::Shift(right_shift) => right_shift,
            Requantizer::Multiply { shift, .. } => -shift,
        });
        let (least, greatest) = (shifts.clone().min(), shifts.max());
        let shifts = least.zip(greatest).map(|(least, greatest)| format!("{least} to {greatest}"));
        let worst = bounds.iter().max_by_key(|channel| channel.bound);
        let share = worst.map(|channel| format!("{:.3} % of 2^31", 100.0 * channel.bound as f64 / 2_f64.powi(31)));
        let weights = layer.op.weights().map_or(0, |weights| weights.codes.len());
        let shape = layer.output.shape;
        table.row([
            layer.name.clone(),
            format!("{}x{}x{}", shape.h, shape.w, shape.c),
            layer.output.log2_step().to_string(),
            shifts.unwrap_or_default(),
            share.unwrap_or_default(),
            worst.map(|worst| worst.channel.to_string()).unwrap_or_default(),
            exact_in(network, layer, &bounds).map(ExactIn::name).unwrap_or_default().to_owned(),
            weights.to_string(),
            layer.macs(network.operand(layer)).to_string(),
        ]);
    }
    table.print();
    Ok(())
}
