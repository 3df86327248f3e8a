//! The fastest kernels that fit into a budget of arena.

use stepshift_runtime::Backend;

use super::fixed_point::FixedPointNetwork;
use super::pack::{Kernel, Packed, layers, memory_first, rooms_of};
use super::plan::{least_bytes_of_layers, plan};

/// Every layer in the least time for which it has room by itself; then, until the layout has room too, the layer during which most
/// is live in a way that takes less. Memory first where nothing else fits.
///
/// bytes  for tensors and scratch
pub(super) fn fastest_within(network: &FixedPointNetwork, backend: Backend, bytes: usize) -> Vec<Packed> {
    let ways = ways(network, backend);
    // What is live during a layer is a matter of its own way alone.
    let live = ways.each_ref().map(|packed| least_bytes_of_layers(network, &rooms_of(packed)));
    let fitting = |layer: usize| live.iter().position(|live| live[layer] <= bytes).unwrap_or(ways.len() - 1);
    let mut chosen: Vec<usize> = (0..network.layers.len()).map(fitting).collect();
    loop {
        let packed: Vec<Packed> = chosen.iter().enumerate().map(|(layer, way)| ways[*way][layer]).collect();
        if plan(network, &rooms_of(&packed)).arena_bytes <= bytes {
            return packed;
        }
        let now = |layer: usize| live[chosen[layer]][layer];
        let next = |layer: usize| {
            let way = (chosen[layer] + 1..ways.len()).find(|way| live[*way][layer] < now(layer))?;
            Some((layer, way))
        };
        let Some((layer, way)) = (0..chosen.len()).filter_map(next).max_by_key(|(layer, _)| now(*layer)) else {
            let [.., smallest] = ways;
            return smallest;
        };
        chosen[layer] = way;
    }
}

/// All layers in one way, the fastest first and memory first last.
fn ways(network: &FixedPointNetwork, backend: Backend) -> [Vec<Packed>; 5] {
    let [fastest, fast] = [Kernel::Fastest, Kernel::Fast].map(|kernel| layers(network, backend, kernel));
    let in_less_time = |packed: &[Packed]| packed.iter().map(|packed| packed.in_less_time()).collect();
    let smallest = memory_first(network, backend);
    let in_least_room = fast.iter().zip(&smallest).map(|(fast, smallest)| fast.in_room_of(*smallest));
    [in_less_time(&fastest), in_less_time(&fast), fast.clone(), in_least_room.collect(), smallest]
}
