//! Patches for a budget of RAM: what is promised, what fits, and that nothing considered needs less.

use stepshift_runtime::format::{Activation, BinaryKind, Element, Shape, WeightBits, Window};
use stepshift_runtime::patches::STAGE_BYTES;
use stepshift_runtime::{Backend, Model};
use stepshift_trainer::export::patches::{Fit, Patching, candidates, fit, lower};
use stepshift_trainer::export::plan::plan;
use stepshift_trainer::export::{
    ExportError, FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, Options,
    encode, encode_with, rooms,
};

fn weights(len: usize, out_ch: u16) -> FixedPointWeights {
    let out_ch = usize::from(out_ch);
    FixedPointWeights {
        bits: WeightBits::Eight,
        codes: (0..len * out_ch).map(|index| (index % 5) as i16 - 2).collect(),
        exponents: vec![-7; out_ch],
        mantissas: Vec::new(),
        bias: vec![3; out_ch],
    }
}

/// Convolution, two inverted residual blocks (Sandler et al. 2018, MobileNetV2), the second with a shortcut, and a
/// classifier: the kind of network that patches are for. `scale` is rows and columns of its input by 8.
fn mobile_network(scale: u16, width: u16) -> FixedPointNetwork {
    let mut network = FixedPointNetwork {
        input: FixedPointTensor::i8(Shape { h: 8 * scale, w: 8 * scale, c: 1 }, -4),
        layers: Vec::new(),
    };
    let same = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(3, 3) };
    let half = Window { stride_h: 2, stride_w: 2, ..same };
    let mut add = |name: &str, inputs: Vec<usize>, op: FixedPointOp, c: u16| {
        let Shape { h, w, .. } = network.tensor(inputs[0]).shape;
        let (h, w) = match &op {
            FixedPointOp::Conv2d { window, .. } | FixedPointOp::DepthwiseConv2d { window, .. } => {
                window.output_size(h, w).unwrap()
            }
            FixedPointOp::FullyConnected { .. } => (1, 1),
            _ => (h, w),
        };
        let output = FixedPointTensor::i8(Shape { h, w, c }, -4);
        let activation = Activation::full(Element::I8);
        network.layers.push(FixedPointLayer { name: name.to_owned(), inputs, output, activation, op });
    };
    let conv = |window: Window, from: u16, to: u16| FixedPointOp::Conv2d {
        window,
        groups: 1,
        weights: weights(window.taps() * usize::from(from), to),
    };
    let depthwise =
        |window: Window, c: u16| FixedPointOp::DepthwiseConv2d { window, weights: weights(window.taps(), c) };
    let pixel = Window::new(1, 1);
    add("first", vec![0], conv(half, 1, width), width);
    add("expand1", vec![1], conv(pixel, width, 4 * width), 4 * width);
    add("depthwise1", vec![2], depthwise(half, 4 * width), 4 * width);
    add("project1", vec![3], conv(pixel, 4 * width, width), width);
    add("expand2", vec![4], conv(pixel, width, 4 * width), 4 * width);
    add("depthwise2", vec![5], depthwise(same, 4 * width), 4 * width);
    add("project2", vec![6], conv(pixel, 4 * width, width), width);
    add("sum", vec![4, 7], FixedPointOp::Binary(BinaryKind::Add), width);
    add("last", vec![8], conv(half, width, width), width);
    let len = usize::from(scale) * usize::from(scale) * usize::from(width);
    add("classes", vec![9], FixedPointOp::FullyConnected { weights: weights(len, 10) }, 10);
    network
}

fn arena_bytes(network: &FixedPointNetwork) -> usize {
    plan(network, &rooms(network, Backend::Portable)).arena_bytes
}

fn encoded(network: &FixedPointNetwork, patching: Option<Patching>) -> Vec<u8> {
    encode_with(network, Options { patching, ..Options::default() }).unwrap()
}

#[test]
fn whole_layers_are_kept_where_they_fit() {
    let network = mobile_network(2, 3);
    let whole = arena_bytes(&network);
    let found = fit(&network, Backend::Portable, whole).unwrap();
    assert_eq!((found.patching, found.arena_bytes, found.recomputed_macs), (None, whole, 0));
}

#[test]
fn the_peak_is_as_promised_and_within_the_budget() {
    let network = mobile_network(4, 4);
    let whole = arena_bytes(&network);
    let Err(ExportError::Budget { least, .. }) = fit(&network, Backend::Portable, 0) else {
        panic!("no RAM is enough")
    };
    let mut last = 0;
    for budget in [whole - 1, (whole + least) / 2, least] {
        let Fit { patching, arena_bytes, macs, recomputed_macs } = fit(&network, Backend::Portable, budget).unwrap();
        let bytes = encoded(&network, patching);
        let model = Model::parse(&bytes).unwrap();
        assert!(patching.is_some() && arena_bytes <= budget, "{patching:?}: {arena_bytes} of {budget}");
        assert_eq!(model.arena_bytes(), arena_bytes);
        // Less memory never takes less work.
        assert!(recomputed_macs >= last && recomputed_macs < macs, "{recomputed_macs} of {macs}");
        last = recomputed_macs;
    }
    assert!(last > 0 && least < whole * 3 / 4, "{least} of {whole}");
}

/// Every candidate planned in full, without the bounds that save the choice most plans.
#[test]
fn the_least_budget_and_the_least_work_are_those_of_an_exhaustive_search() {
    for (scale, width) in [(2, 4), (2, 7), (3, 5)] {
        let network = mobile_network(scale, width);
        let whole = arena_bytes(&network);
        let all: Vec<(usize, u64)> = candidates(&network)
            .iter()
            .map(|patching| {
                let lowered = lower(&network, *patching).unwrap();
                (arena_bytes(&lowered) + STAGE_BYTES, macs_of(&network, *patching))
            })
            .collect();
        let least = all.iter().map(|(bytes, _)| *bytes).min().unwrap().min(whole);
        assert!(least < whole, "{least} of {whole}");
        let error = fit(&network, Backend::Portable, least - 1).unwrap_err();
        assert!(matches!(error, ExportError::Budget { least: found, .. } if found == least), "{error}");
        for budget in [least, (least + whole) / 2, whole - 1] {
            let found = fit(&network, Backend::Portable, budget).unwrap();
            let fitting = all.iter().filter(|(bytes, _)| *bytes <= budget);
            let best = fitting.map(|(bytes, macs)| (*macs, *bytes)).min().unwrap();
            assert_eq!((found.macs + found.recomputed_macs, found.arena_bytes), best, "budget {budget}");
        }
    }
}

/// Products of all patches and layers, counted pixel by pixel of a run's steps.
fn macs_of(network: &FixedPointNetwork, patching: Patching) -> u64 {
    let bytes = encoded(network, Some(patching));
    let model = Model::parse(&bytes).unwrap();
    let steps = stepshift_trainer::export::steps::steps(model, |tensor| network.tensor(tensor).shape);
    let nodes: Vec<_> = model.nodes().collect();
    let products = steps.iter().map(|step| {
        let weights = nodes[step.node].op.weights().map_or(0, |weights| weights.codes.len());
        weights as u64 * u64::from(step.shape.h) * u64::from(step.shape.w)
    });
    products.sum()
}

#[test]
fn a_file_does_not_grow_with_its_patches() {
    let network = mobile_network(4, 4);
    let whole = encode(&network).unwrap().len();
    let sizes = [(4, 4), (2, 2), (1, 1)]
        .map(|(rows, columns)| encoded(&network, Some(Patching { layers: 8, rows, columns })).len());
    assert!(sizes.iter().all(|size| *size < whole + 120), "{sizes:?}, {whole} of whole layers");
}

#[test]
fn layers_that_cannot_run_on_a_patch_are_named() {
    let network = mobile_network(2, 2);
    let refused = |layers, rows| lower(&network, Patching { layers, rows, columns: 2 }).unwrap_err().to_string();
    assert_eq!(refused(0, 1), "the first 0 layers cannot run patch by patch: a stage has 1 to 10 layers");
    assert_eq!(refused(10, 1), "the first 10 layers cannot run patch by patch: layer classes cannot");
    assert_eq!(refused(5, 1), "the first 5 layers cannot run patch by patch: layer sum reads what lies between them");
    assert_eq!(refused(4, 0), "the first 4 layers cannot run patch by patch: there are 0 patches, not 1 to 256");
}
