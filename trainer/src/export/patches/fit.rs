//! The plan for a budget of RAM: whole layers where they fit, else the patches that compute least again.

use stepshift_runtime::Backend;
use stepshift_runtime::patches::{MAX_STAGE_NODES, STAGE_BYTES, Stage};

use super::{ExportError, FixedPointNetwork, FixedPointOp, Patching, lower, stage};
use crate::export::pack::rooms;
use crate::export::plan::{least_bytes, plan};

/// What was chosen for a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// The patches, if whole layers do not fit.
    pub patching: Option<Patching>,
    /// Bytes of arena.
    pub arena_bytes: usize,
    /// Multiply-accumulates of one inference on whole layers.
    pub macs: u64,
    /// Those that overlapping patches compute again.
    pub recomputed_macs: u64,
}

/// Every way to run the first layers patch by patch that is considered: each number of layers that can, and each number of
/// equal patches down and across, up to 16.
#[must_use]
pub fn candidates(network: &FixedPointNetwork) -> Vec<Patching> {
    let mut found = Vec::new();
    for layers in 1..=network.layers.len().min(MAX_STAGE_NODES - 2) {
        let whole = network.tensor(layers).shape;
        for rows in lengths(whole.h) {
            for columns in lengths(whole.w) {
                let patching = Patching { layers, rows, columns };
                // One patch is the whole, copied twice.
                let several = rows < whole.h || columns < whole.w;
                if several && stage(network, patching).is_ok() {
                    found.push(patching);
                }
            }
        }
    }
    found
}

/// Lengths of 1 to 16 equal parts.
fn lengths(len: u16) -> Vec<u16> {
    let mut lengths: Vec<u16> = (1..=16).map(|parts| len.div_ceil(parts)).collect();
    lengths.dedup();
    lengths
}

/// Whole layers where their arena fits; else, of the patches that fit, those that compute least again, and of these the
/// least arena.
///
/// backend  whose kernels are to run it
/// budget   bytes of arena
///
/// # Errors
/// [`ExportError::Budget`] with the least arena of all plans, where none fits.
pub fn fit(network: &FixedPointNetwork, backend: Backend, budget: usize) -> Result<Fit, ExportError> {
    let macs: u64 = network.layers.iter().map(|layer| layer.macs(network.operand(layer))).sum();
    let whole = planned_bytes(network, backend);
    if whole <= budget {
        return Ok(Fit { patching: None, arena_bytes: whole, macs, recomputed_macs: 0 });
    }
    let mut choices: Vec<Choice> =
        candidates(network).iter().filter_map(|way| Choice::new(network, backend, *way)).collect();
    choices.sort_by_key(|choice| (choice.recomputed_macs, choice.bound));
    let mut fitting: Option<Fit> = None;
    for choice in choices.iter().filter(|choice| choice.bound <= budget) {
        if fitting.is_some_and(|fit| fit.recomputed_macs < choice.recomputed_macs) {
            break;
        }
        let arena_bytes = choice.arena_bytes(backend);
        if arena_bytes <= budget && fitting.is_none_or(|fit| arena_bytes < fit.arena_bytes) {
            let (patching, recomputed_macs) = (Some(choice.patching), choice.recomputed_macs);
            fitting = Some(Fit { patching, arena_bytes, macs, recomputed_macs });
        }
    }
    fitting.ok_or_else(|| too_small(backend, budget, whole, choices))
}

fn planned_bytes(network: &FixedPointNetwork, backend: Backend) -> usize {
    plan(network, &rooms(network, backend)).arena_bytes
}

/// The least arena of all plans.
fn too_small(backend: Backend, budget: usize, whole: usize, mut choices: Vec<Choice>) -> ExportError {
    choices.sort_by_key(|choice| choice.bound);
    let (mut least, mut how) = (whole, "with whole layers".to_owned());
    for choice in choices {
        if choice.bound >= least {
            break;
        }
        let bytes = choice.arena_bytes(backend);
        if bytes < least {
            let Patching { layers, rows, columns } = choice.patching;
            (least, how) = (bytes, format!("with the first {layers} layers in patches of {rows}x{columns}"));
        }
    }
    ExportError::Budget { budget, least, how }
}

/// A candidate that was lowered.
struct Choice {
    patching: Patching,
    lowered: FixedPointNetwork,
    /// No plan of it has fewer bytes.
    bound: usize,
    recomputed_macs: u64,
}

impl Choice {
    fn new(network: &FixedPointNetwork, backend: Backend, patching: Patching) -> Option<Self> {
        let lowered = lower(network, patching).ok()?;
        let recomputed_macs = recomputed_macs(network, &stage(network, patching).ok()?);
        let bound = least_bytes(&lowered, &rooms(&lowered, backend)) + STAGE_BYTES;
        Some(Self { patching, bound, lowered, recomputed_macs })
    }

    fn arena_bytes(&self, backend: Backend) -> usize {
        planned_bytes(&self.lowered, backend) + STAGE_BYTES
    }
}

/// Multiply-accumulates of all patches, less those of whole layers.
fn recomputed_macs(network: &FixedPointNetwork, stage: &Stage) -> u64 {
    let mut again = 0;
    for patch in 0..stage.patches().unwrap_or(0) {
        let regions = stage.regions(patch).unwrap_or_default();
        for (layer, region) in network.layers.iter().zip(regions.iter().skip(1)) {
            again += macs_a_pixel(&layer.op) * u64::from(region.h) * u64::from(region.w);
        }
    }
    let whole = network.layers[..stage.nodes().len()]
        .iter()
        .map(|layer| macs_a_pixel(&layer.op) * u64::from(layer.output.shape.h) * u64::from(layer.output.shape.w));
    again - whole.sum::<u64>()
}

fn macs_a_pixel(op: &FixedPointOp) -> u64 {
    op.weights().map_or(0, |weights| weights.codes.len() as u64)
}
