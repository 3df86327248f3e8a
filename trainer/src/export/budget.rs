//! The fastest kernels that fit into a budget of arena.

use stepshift_runtime::Backend;

use super::fixed_point::FixedPointNetwork;
use super::pack::{Kernel, Packed, layers, memory_first, rooms_of};
use super::patches::stage_of;
use super::plan::{least_bytes_of_layers, plan};

/// Every layer in the least time for which it has room, where that is known of each by itself; then, until the layout fits too,
/// the layer during which most is live in less of it. Memory first where nothing else fits.
///
/// bytes  of arena, without what a reader keeps of a stage of patches
pub(super) fn fastest_within(network: &FixedPointNetwork, backend: Backend, bytes: usize) -> Vec<Packed> {
    let ways = ways(network, backend);
    let mut packed: Vec<Packed> = ways.iter().map(|ways| ways[0]).collect();
    let mut chosen = vec![0; ways.len()];
    let mut spare = |packed: &mut Vec<Packed>, layer: usize| {
        let next = ways[layer].get(chosen[layer] + 1)?;
        chosen[layer] += 1;
        packed[layer] = *next;
        Some(())
    };
    for layer in 0..ways.len() {
        while least_bytes_of_layers(network, &rooms_of(&packed))[layer] > bytes && spare(&mut packed, layer).is_some() {
        }
    }
    while plan(network, &rooms_of(&packed)).arena_bytes > bytes {
        let live = least_bytes_of_layers(network, &rooms_of(&packed));
        let mut fullest: Vec<usize> = (0..ways.len()).collect();
        fullest.sort_by_key(|layer| std::cmp::Reverse(live[*layer]));
        if !fullest.into_iter().any(|layer| spare(&mut packed, layer).is_some()) {
            break;
        }
    }
    packed
}

/// How each layer may run, the fastest way first and that which spares memory last. Layers of a stage of patches spare memory.
fn ways(network: &FixedPointNetwork, backend: Backend) -> Vec<Vec<Packed>> {
    let [fastest, fast] = [Kernel::Fastest, Kernel::Fast].map(|kernel| layers(network, backend, kernel));
    let stage = stage_of(network).map(|stage| stage.layers).unwrap_or_default();
    let smallest = memory_first(network, backend);
    let ways = smallest.into_iter().enumerate().map(|(layer, smallest)| {
        let mut ways = vec![fastest[layer].in_less_time(), fast[layer].in_less_time(), fast[layer], smallest];
        if stage.contains(&layer) {
            ways.drain(..3);
        }
        ways.dedup();
        ways
    });
    ways.collect()
}
