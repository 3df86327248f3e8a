//! The arena's plan against exhaustive search, and its proof of being the least for larger networks.

use std::ops::Range;

use stepshift_runtime::Model;
use stepshift_runtime::format::{Activation, BinaryKind, Element, Shape, WeightBits, Window};
use stepshift_trainer::export::plan::plan;
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, Room, encode,
};

/// A generator good enough for shapes (Marsaglia 2003, xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A network of branches that join: pools, convolutions, additions, clips and concatenations of columns.
fn network(layers: usize, seed: u64) -> FixedPointNetwork {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let tensor = |w: u16| FixedPointTensor::i8(Shape { h: 8, w, c: 1 }, 0);
    let mut network = FixedPointNetwork { input: tensor(1 + random.below(9) as u16), layers: Vec::new() };
    let mut unread = vec![0];
    for index in 0..layers {
        let left = layers - index;
        // One reader less than tensors that nothing read yet: then they must be joined.
        let join = unread.len() >= left.max(2) || unread.len() > 1 && random.below(3) == 0;
        let first = unread[random.below(unread.len())];
        let second = *unread.iter().find(|tensor| **tensor != first).unwrap_or(&first);
        let width = |tensor: usize| network.tensor(tensor).shape.w;
        let (inputs, op, w) = if join && width(first) == width(second) {
            (vec![first, second], FixedPointOp::Binary(BinaryKind::Add), width(first))
        } else if join {
            (vec![first, second], FixedPointOp::Concat { axis: 1 }, width(first) + width(second))
        } else {
            match random.below(5) {
                0 => (vec![first], FixedPointOp::Clip, width(first)),
                1 => {
                    let window = Window { pad_top: 1, pad_bottom: 1, ..Window::new(3, 1) };
                    let ones = FixedPointWeights {
                        bits: WeightBits::Eight,
                        codes: vec![1; 3],
                        exponents: vec![0],
                        mantissas: Vec::new(),
                        bias: vec![0],
                    };
                    (vec![first], FixedPointOp::DepthwiseConv2d { window, weights: ones }, width(first))
                }
                2 => {
                    let after = 1 + random.below(20) as u16;
                    (vec![first], FixedPointOp::Pad { before: [0; 3], value: 0 }, width(first) + after)
                }
                _ => {
                    let w = 1 + random.below(width(first).into()) as u16;
                    (vec![first], FixedPointOp::Slice { start: [0; 3] }, w)
                }
            }
        };
        // Another reader of the same tensor is what makes branches.
        let branches = random.below(4) == 0 && unread.len() + 1 < left;
        unread.retain(|tensor| !inputs.contains(tensor) || branches && *tensor == first);
        unread.push(index + 1);
        let (name, output, activation) = (format!("layer{index}"), tensor(w), Activation::full(Element::I8));
        network.layers.push(FixedPointLayer { name, inputs, output, activation, op });
    }
    network
}

/// The least arena by trying every order of the tensors, each at the lowest place, and every choice of operands to write
/// over: nothing of the planner's.
fn exhaustive(network: &FixedPointNetwork) -> usize {
    let count = network.layers.len() + 1;
    let mut last: Vec<usize> = (0..count).map(|tensor| tensor.saturating_sub(1)).collect();
    for (index, layer) in network.layers.iter().enumerate() {
        layer.inputs.iter().for_each(|input| last[*input] = index);
    }
    last[count - 1] = count - 1;
    let mut least = usize::MAX;
    let mut merged: Vec<usize> = (0..count).collect();
    choose(network, &last, 1, &mut merged, &mut least);
    least
}

/// `merged[t]` is the tensor in whose place `t` lies.
fn choose(network: &FixedPointNetwork, last: &[usize], tensor: usize, merged: &mut Vec<usize>, least: &mut usize) {
    if tensor == last.len() {
        let mut places: Vec<usize> = (0..last.len()).filter(|t| merged[*t] == *t).collect();
        permute(network, last, merged, &mut places, 0, &mut vec![None; last.len()], least);
        return;
    }
    choose(network, last, tensor + 1, merged, least);
    let layer = &network.layers[tensor - 1];
    let may = matches!(layer.op, FixedPointOp::Clip | FixedPointOp::Binary(_));
    for input in layer.inputs.iter().filter(|input| may && last[**input] == tensor - 1) {
        if network.tensor(*input).bytes() == layer.output.bytes()
            && (layer.inputs.len() == 1 || layer.inputs[0] != layer.inputs[1])
        {
            merged[tensor] = merged[*input];
            choose(network, last, tensor + 1, merged, least);
            merged[tensor] = tensor;
        }
    }
}

fn permute(
    network: &FixedPointNetwork,
    last: &[usize],
    merged: &[usize],
    order: &mut Vec<usize>,
    done: usize,
    offsets: &mut Vec<Option<usize>>,
    least: &mut usize,
) {
    let bytes = |tensor: usize| network.tensor(tensor).bytes();
    if done == order.len() {
        let peak = order.iter().map(|tensor| offsets[*tensor].unwrap() + bytes(*tensor)).max().unwrap();
        *least = (*least).min(peak);
        return;
    }
    for next in done..order.len() {
        order.swap(done, next);
        let tensor = order[done];
        // Every end of another one, or the bottom, or just so far below a window's input: the lowest that is free.
        let below = |other: &usize| window_distance(network, last, merged, tensor, *other);
        let mut candidates = vec![0];
        for other in &order[..done] {
            let place = offsets[*other].unwrap();
            candidates.push(place + bytes(*other));
            candidates.extend(window_distance(network, last, merged, *other, tensor).map(|distance| place + distance));
            candidates.extend(below(other).and_then(|distance| place.checked_sub(distance)));
        }
        candidates.sort_unstable();
        candidates.dedup();
        let free = |offset: &usize| {
            order[..done]
                .iter()
                .all(|other| apart(network, last, merged, (tensor, *offset), (*other, offsets[*other].unwrap())))
        };
        for offset in candidates.into_iter().filter(free).collect::<Vec<_>>() {
            if offset + bytes(tensor) < *least {
                offsets[tensor] = Some(offset);
                permute(network, last, merged, order, done + 1, offsets, least);
                offsets[tensor] = None;
            }
        }
        order.swap(done, next);
    }
}

/// Layers during which what lies in a place is live.
fn life(last: &[usize], merged: &[usize], place: usize) -> Range<usize> {
    let end = (0..last.len()).filter(|tensor| merged[*tensor] == place).map(|tensor| last[tensor]).max().unwrap();
    place.saturating_sub(1)..end + 1
}

fn apart(
    network: &FixedPointNetwork,
    last: &[usize],
    merged: &[usize],
    (a, a_offset): (usize, usize),
    (b, b_offset): (usize, usize),
) -> bool {
    let (a_life, b_life) = (life(last, merged, a), life(last, merged, b));
    let meet = a_life.start < b_life.end && b_life.start < a_life.end;
    let above = |lower: usize, low: usize, upper: usize, high: usize| {
        let distance = window_distance(network, last, merged, lower, upper).unwrap_or(network.tensor(lower).bytes());
        low + distance <= high
    };
    !meet || above(a, a_offset, b, b_offset) || above(b, b_offset, a, a_offset)
}

/// Bytes from a 3x1 convolution's output up to its input: two rows, so that a row is written when it was passed.
fn window_distance(
    network: &FixedPointNetwork,
    last: &[usize],
    merged: &[usize],
    output: usize,
    input: usize,
) -> Option<usize> {
    let layer = output.checked_sub(1)?;
    let FixedPointLayer { op, inputs, output: tensor, .. } = &network.layers[layer];
    let slides = matches!(op, FixedPointOp::DepthwiseConv2d { .. });
    let read = slides && merged[inputs[0]] == input && last[inputs[0]] == layer;
    read.then(|| 2 * usize::from(tensor.shape.w))
}

#[test]
fn small_networks_have_the_arena_of_an_exhaustive_search() {
    let mut shared = 0;
    for seed in 0..300 {
        let network = network(2 + seed as usize % 5, seed);
        let plan = plan(&network, &[Room::default(); 64][..network.layers.len()]);
        let least = exhaustive(&network);
        assert_eq!((plan.arena_bytes, plan.optimal), (least, true), "seed {seed}: {network:?}");
        let bytes = encode(&network).unwrap();
        assert_eq!(Model::parse(&bytes).unwrap().arena_bytes(), least);
        let all: usize = (0..=network.layers.len()).map(|tensor| network.tensor(tensor).bytes()).sum();
        shared += usize::from(least < all);
    }
    assert!(shared > 200, "{shared}");
}

#[test]
fn networks_of_forty_layers_are_proven_optimal() {
    for seed in 0..200 {
        let network = network(40, seed);
        let plan = plan(&network, &[Room::default(); 64][..network.layers.len()]);
        assert!(plan.optimal, "seed {seed}: {} bytes", plan.arena_bytes);
        assert!(encode(&network).is_ok());
    }
}
