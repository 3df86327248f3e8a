//! Whether a model fits a board, before anything is flashed.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSymbol};
use stepshift_runtime::Model;
use stepshift_runtime::format::{Op, TensorRecord};
use stepshift_tests::SLOT_HEADER_BYTES;

use crate::boards::Board;
use crate::elf;
use crate::model_file::ModelFile;
use crate::table::grouped;

/// What a model and a firmware take of a board, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fit {
    /// Code and constants.
    pub(crate) code: u64,
    /// The model with its header.
    pub(crate) model: u64,
    /// The model's arena.
    pub(crate) arena: u64,
    /// RAM that is left for an arena.
    pub(crate) free_ram: u64,
    /// RAM that is kept for the stack.
    pub(crate) stack: u64,
}

/// Adds up what a model and the firmware `device` take, and holds it to the board.
///
/// # Errors
/// Tells everything that does not fit: by how much, which layer has the most weights, in which layer the arena peaks.
pub(crate) fn check(board: &Board, file: &ModelFile, firmware: &Path) -> Result<Fit> {
    let ram = Ram::of(firmware)?;
    let model = file.model()?;
    let fit = Fit {
        code: elf::sizes(firmware)?.flash(),
        model: file.len() + SLOT_HEADER_BYTES as u64,
        arena: model.arena_bytes() as u64,
        free_ram: ram.free(),
        stack: ram.stack,
    };
    let complaints = fit.complaints(board, &model);
    if !complaints.is_empty() {
        bail!("{} does not fit {}: {}", file.name(), board.name, complaints.join("; "));
    }
    Ok(fit)
}

impl Fit {
    fn complaints(&self, board: &Board, model: &Model<'_>) -> Vec<String> {
        let memory = board.memory;
        let mut complaints = Vec::new();
        // The linker refuses too much code itself; this is for a table that says less than the linker script.
        if self.code > memory.flash.bytes {
            complaints.push(excess("the code takes", self.code, "of flash", memory.flash.bytes));
        }
        if self.model > memory.model.bytes {
            let excess = excess("the model takes", self.model, "of flash", memory.model.bytes);
            let (name, bytes) = largest(model);
            complaints.push(format!("{excess}; layer {name} has the most weights, {} bytes", grouped(bytes)));
        }
        if self.arena > self.free_ram {
            let excess = excess("the arena takes", self.arena, "of RAM", self.free_ram);
            complaints.push(format!("{excess} beside variables and stack; it peaks in layer {}", peak(model)));
        }
        complaints
    }
}

fn excess(what: &str, needed: u64, of: &str, provided: u64) -> String {
    let (needed, provided, missing) = (grouped(needed), grouped(provided), grouped(needed - provided));
    format!("{what} {needed} bytes {of}, {missing} more than the {provided} that there are")
}

/// The layer with the most weights.
fn largest(model: &Model<'_>) -> (String, u64) {
    let weights = |op: Op<'_>| op.weights().map_or(0, |weights| weights.codes.len() as u64);
    let nodes = model.nodes().map(|node| (node.name.to_string(), weights(node.op)));
    nodes.max_by_key(|(_, bytes)| *bytes).unwrap_or_default()
}

/// The layer that has the most bytes of the arena in use while it runs.
fn peak(model: &Model<'_>) -> String {
    let tensors: Vec<TensorRecord> = (0..model.tensor_count()).filter_map(|index| model.tensor(index)).collect();
    // Tensor `i + 1` is what node `i` writes.
    let live = |node: usize| {
        let tensors = tensors.iter().enumerate();
        let live = tensors.filter(|(index, tensor)| *index <= node + 1 && usize::from(tensor.last_use) >= node);
        union(live.map(|(_, tensor)| tensor.region()).collect())
    };
    let peaks = model.nodes().enumerate().map(|(node, record)| (live(node), record.name.to_string()));
    let (bytes, name) = peaks.max_by_key(|(bytes, _)| *bytes).unwrap_or_default();
    format!("{name}, where {} bytes are in use", grouped(bytes))
}

/// Bytes that at least one of the ranges holds: a layer may write over its input.
fn union(mut ranges: Vec<Range<usize>>) -> u64 {
    ranges.sort_by_key(|range| range.start);
    let (mut bytes, mut end) = (0, 0);
    for range in ranges {
        let start = range.start.max(end);
        bytes += range.end.saturating_sub(start);
        end = end.max(range.end);
    }
    bytes as u64
}

/// RAM of a firmware, from what its linker script defines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ram {
    /// Behind the last variable.
    start: u64,
    /// Where the stack begins, downwards.
    end: u64,
    stack: u64,
}

impl Ram {
    /// Reads a firmware.
    ///
    /// # Errors
    /// Where the linker script did not define what it must.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
        let symbol = |name: &str| {
            let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
            symbol.map(|symbol| symbol.address()).with_context(|| format!("{} has no {name}", path.display()))
        };
        Ok(Self { start: symbol("__sheap")?, end: symbol("_stack_start")?, stack: symbol("_stack_bytes")? })
    }

    /// Bytes that `layout.x` keeps for the stack, above the arena.
    pub(crate) const fn kept_for_stack(self) -> u64 {
        self.stack
    }

    const fn free(self) -> u64 {
        self.end.saturating_sub(self.stack).saturating_sub(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards;
    use crate::workspace::root;

    #[test]
    fn everything_that_does_not_fit_is_told_with_its_layer() {
        let file = ModelFile::read(&root().join("runtime/testdata/small.stepshift")).unwrap();
        let model = file.model().unwrap();
        let board = boards::find("qemu-m0").unwrap();
        let fit = Fit { code: 190_000, model: 200_000, arena: 12_992, free_ram: 11_000, stack: 4096 };
        let complaints = fit.complaints(board, &model);
        let [code, flash, ram] = &complaints[..] else { panic!("{complaints:?}") };
        assert_eq!(code, "the code takes 190,000 bytes of flash, 1,584 more than the 188,416 that there are");
        assert!(flash.contains("126,272 more than the 73,728 that there are; layer "), "{flash}");
        assert!(ram.starts_with("the arena takes 12,992 bytes of RAM, 1,992 more than the 11,000"), "{ram}");
        assert!(ram.contains("it peaks in layer ") && ram.ends_with("bytes are in use"), "{ram}");
    }

    #[test]
    fn bytes_that_two_tensors_share_count_once() {
        assert_eq!(union(vec![10..20, 0..5, 12..14, 18..30]), 25);
    }

    #[test]
    fn what_fits_is_not_told() {
        let file = ModelFile::read(&root().join("runtime/testdata/small.stepshift")).unwrap();
        let board = boards::find("nrf52840-dk").unwrap();
        let fit = Fit { code: 110_000, model: file.len(), arena: 12_992, free_ram: 250_000, stack: 4096 };
        assert!(fit.complaints(board, &file.model().unwrap()).is_empty());
    }
}
