//! Where each tensor lies in the arena.
//!
//! A tensor is live from the layer that writes it to the last one that reads it. Tensors that are live at one time share
//! no byte, with two exceptions: an operator that reads each code before it writes it may write over its operand, and one
//! that slides a window down its input may write rows over those that it has passed. `relations` says which, and
//! `search` finds the least arena.

mod relations;
mod search;

use std::ops::Range;

use super::fixed_point::FixedPointNetwork;
use relations::Relations;
use search::Budget;

/// What the search may take before it settles for the best layout that it found. Fifty tensors reach the decisions' end first, a
/// thousand that of the work, after seconds.
const SEARCH_BUDGET: Budget = Budget { decisions: 50_000, work: 4_000_000_000 };

/// The arena's layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of arena.
    pub arena_bytes: usize,
    /// It was proven that no layout has fewer bytes.
    pub optimal: bool,
    /// Tensor by tensor, input first.
    pub tensors: Vec<Placement>,
    /// Scratch of each layer.
    pub scratch: Vec<Range<usize>>,
    /// The operand that each layer writes over.
    pub in_place: Vec<Option<usize>>,
}

/// What a layer's kernel has of the arena, and does with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes apart from the tensors.
    pub scratch_bytes: usize,
    /// What a window may write over.
    pub over: Over,
}

/// What of its input a layer that slides a window may write over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Over {
    /// Rows that the window has passed, which takes it row by row.
    #[default]
    PassedRows,
    /// All of it, place by place.
    Everything,
    /// Nothing.
    Nothing,
}

/// Where one tensor lies and how long it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// First byte in the arena.
    pub offset: usize,
    /// Last layer that reads it; the number of layers for the network's output.
    pub last_use: usize,
}

/// Bytes that no layout can do without: the most that are live during one layer, less what may share its place.
#[must_use]
pub fn least_bytes(network: &FixedPointNetwork, rooms: &[Room]) -> usize {
    least_bytes_of_layers(network, rooms).into_iter().max().unwrap_or(0)
}

/// As many, of each layer.
pub(super) fn least_bytes_of_layers(network: &FixedPointNetwork, rooms: &[Room]) -> Vec<usize> {
    search::least_bytes_of_layers(&Relations::new(network, rooms))
}

/// Lays out the arena: the least one, proven by search, wherever the search ends within its budget.
///
/// rooms  what each layer needs
#[must_use]
pub fn plan(network: &FixedPointNetwork, rooms: &[Room]) -> Plan {
    let relations = Relations::new(network, rooms);
    let found = search::least(&relations, SEARCH_BUDGET);
    let place = |(offset, last_use): (&usize, &usize)| Placement { offset: *offset, last_use: *last_use };
    let tensors = found.offsets.iter().zip(&relations.last_use).take(network.layers.len() + 1).map(place).collect();
    let written_over = |layer: usize| {
        let lies_there = |operand: &usize| found.offsets[*operand] == found.offsets[layer + 1];
        relations.overwritable[layer].iter().copied().find(lies_there)
    };
    let in_place = (0..network.layers.len()).map(written_over).collect();
    let mut places = found.offsets[network.layers.len() + 1..].iter();
    let mut place = |bytes: usize| if bytes == 0 { 0..0 } else { places.next().map_or(0..0, |at| *at..at + bytes) };
    let scratch = rooms.iter().map(|room| place(room.scratch_bytes)).collect();
    Plan { arena_bytes: found.bytes, optimal: found.optimal, tensors, scratch, in_place }
}
