//! Holds the board table to probe-rs's own registry of chips.

#![cfg(test)]

use std::collections::BTreeSet;
use std::ops::Range;

use probe_rs::Target;
use probe_rs::config::{MemoryRegion, Registry};

use crate::boards::{BOARDS, Board, Region};

fn targets() -> Vec<(&'static Board, Target)> {
    let registry = Registry::from_builtin_families();
    let chips = BOARDS.iter().filter_map(|board| Some((board, board.chip?)));
    chips.map(|(board, chip)| (board, registry.get_target_by_name(chip).expect(chip))).collect()
}

/// Whether regions that lie side by side, which the registry may list apart, hold all of `region`.
fn covered(region: Region, mut ranges: Vec<Range<u64>>) -> bool {
    ranges.sort_by_key(|range| range.start);
    let mut at = region.start;
    for range in ranges {
        if range.contains(&at) {
            at = range.end;
        }
    }
    at >= region.start + region.bytes
}

fn ram(target: &Target) -> Vec<Range<u64>> {
    let regions = target.memory_map.iter().filter_map(MemoryRegion::as_ram_region);
    regions.map(|region| region.range.clone()).collect()
}

fn flash(target: &Target) -> Vec<Range<u64>> {
    let regions = target.memory_map.iter().filter_map(MemoryRegion::as_nvm_region);
    regions.map(|region| region.range.clone()).collect()
}

#[test]
fn every_chip_has_the_memory_of_the_table() {
    let targets = targets();
    assert!(targets.len() >= 8);
    for (board, target) in &targets {
        let memory = board.memory;
        assert!(covered(memory.flash, flash(target)), "{}: flash, the chip has {:x?}", board.name, flash(target));
        assert!(covered(memory.model, flash(target)), "{}: model, the chip has {:x?}", board.name, flash(target));
        assert!(covered(memory.ram, ram(target)), "{}: RAM, the chip has {:x?}", board.name, ram(target));
    }
}

/// Another model erases no code: code and model share no sector of flash.
#[test]
fn every_model_begins_at_a_sector() {
    for (board, target) in &targets() {
        let start = board.memory.model.start;
        let algorithms = target.flash_algorithms.iter().map(|algorithm| &algorithm.flash_properties);
        let mut boundaries =
            algorithms.filter(|properties| properties.address_range.contains(&start)).map(|properties| {
                let offset = start - properties.address_range.start;
                let sector = properties.sectors.iter().rev().find(|sector| sector.address <= offset).expect("a sector");
                (offset - sector.address).is_multiple_of(sector.size)
            });
        let boundaries: BTreeSet<bool> = boundaries.by_ref().collect();
        assert_eq!(boundaries, BTreeSet::from([true]), "{}: {start:#x} is inside of a sector", board.name);
    }
}

#[test]
fn every_chip_has_the_core_of_the_table() {
    for (board, target) in &targets() {
        let core = format!("{:?}", target.cores[0].core_type);
        let expected = match board.target {
            "thumbv6m-none-eabi" => "Armv6m",
            "thumbv7em-none-eabihf" => "Armv7em",
            _ => "Armv8m",
        };
        assert_eq!(core, expected, "{}", board.name);
    }
}
