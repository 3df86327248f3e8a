//! The source for embedded-nn: constants, a buffer for each tensor that lives at a time, a call for every layer.

use serde_json::Value;

use crate::{input, layers, len, output, shape_of};

/// Static buffers and the functions around the calls.
pub(crate) fn source(model: &Value) -> String {
    let slots = slots(model);
    let (mut statics, mut buffers, mut calls) = (String::new(), String::new(), String::new());
    for (number, bytes) in slots.lens.iter().enumerate() {
        statics +=
            &format!("static SLOT{number}: ConstStaticCell<[i8; {bytes}]> = ConstStaticCell::new([0; {bytes}]);\n");
        buffers += &format!("let slot{number} = SLOT{number}.take();\n");
    }
    for (number, layer) in layers(model).iter().enumerate() {
        statics += &constants(number, layer);
        let target = format!("&mut slot{}[..{}]", slots.of[number], len(&layer["output"]));
        calls += &format!("{}?;\n", call(model, number, layer, &slots, &target));
    }
    let (last, bytes) = (slots.of[slots.of.len() - 1], len(output(model)));
    format!(
        "{statics}\
         static INPUT: ConstStaticCell<[i8; INPUT_LEN]> = ConstStaticCell::new([0; INPUT_LEN]);\n\
         type Codes = &'static mut [i8; INPUT_LEN];\n\
         fn prepare(input: Input) -> Codes {{\n\
         let codes = INPUT.take();\n\
         codes.iter_mut().zip(input).for_each(|(target, code)| *target = code);\n\
         codes\n}}\n\
         #[inline(never)]\nfn infer(input: Codes) -> Option<&'static [i8]> {{ run(input).ok() }}\n\
         fn run(input: &[i8; INPUT_LEN]) -> Result<&'static [i8]> {{\n{buffers}{calls}Ok(&slot{last}[..{bytes}])\n}}\n\
         fn code(output: &Option<&'static [i8]>, index: usize) -> i8 {{\n\
         output.and_then(|codes| codes.get(index).copied()).unwrap_or_default()\n}}\n"
    )
}

/// Buffers that layers share where their outputs do not live at a time.
struct Slots {
    /// The buffer of each layer's output.
    of: Vec<usize>,
    /// The codes of each buffer.
    lens: Vec<u64>,
}

/// The first buffer that holds nothing which is still read.
fn slots(model: &Value) -> Slots {
    let layers = layers(model);
    let reads = |layer: &Value, tensor: usize| inputs(layer).contains(&tensor);
    let (mut of, mut lens) = (Vec::<usize>::new(), Vec::<u64>::new());
    for (number, layer) in layers.iter().enumerate() {
        let is_live = |slot: usize| {
            (0..number).any(|older| of[older] == slot && layers[number..].iter().any(|later| reads(later, older + 1)))
        };
        let slot = (0..lens.len()).find(|slot| !is_live(*slot)).unwrap_or(lens.len());
        lens.resize(lens.len().max(slot + 1), 0);
        lens[slot] = lens[slot].max(len(&layer["output"]));
        of.push(slot);
    }
    Slots { of, lens }
}

fn inputs(layer: &Value) -> Vec<usize> {
    let indices = layer["inputs"].as_array().expect("a layer has inputs");
    indices.iter().map(|index| index.as_u64().expect("an index") as usize).collect()
}

/// Weights and biases of a layer, and of one with a scale a channel its multipliers and shifts.
fn constants(number: usize, layer: &Value) -> String {
    let weights = [("WEIGHTS", "weights", "i8"), ("BIAS", "bias", "i32")];
    let channels = [("MULTIPLIERS", "multipliers", "i32"), ("SHIFTS", "shifts", "i32")];
    let found = match layer["op"].as_str() {
        Some("conv2d" | "depthwise_conv2d") => [&weights[..], &channels].concat(),
        Some("fully_connected") => weights.to_vec(),
        _ => Vec::new(),
    };
    let text = |(name, key, kind)| {
        let len = layer[key].as_array().expect("a layer with weights has these numbers").len();
        format!("static {name}{number}: [{kind}; {len}] = {};\n", layer[key])
    };
    found.into_iter().map(text).collect()
}

/// The call of a layer's kernel.
fn call(model: &Value, number: usize, layer: &Value, slots: &Slots, target: &str) -> String {
    let tensor = |index: usize| if index == 0 { input(model) } else { &layers(model)[index - 1]["output"] };
    let codes = |index: usize| match index {
        0 => "&input[..]".to_owned(),
        _ => format!("&slot{}[..{}]", slots.of[index - 1], len(tensor(index))),
    };
    let sources = inputs(layer);
    let (first, last) = (sources[0], sources[sources.len() - 1]);
    let dims = |tensor: &Value| {
        let [h, w, c] = shape_of(tensor);
        format!("Dims::new(1, {h}, {w}, {c})")
    };
    let offset = |index: usize| -tensor(index)["zero"].as_i64().expect("a zero point");
    let out = &layer["output"];
    let ends = format!("activation: Activation::new({}, {})", layer["min"], layer["max"]);
    let pair = |key: &str| format!("Tile::new({}, {})", layer[key][1], layer[key][0]);
    let padding = || {
        let [top, left, bottom, right] = [0, 1, 2, 3].map(|side| &layer["pad"][side]);
        format!("padding: Padding2D::new({top}, {bottom}, {left}, {right})")
    };
    let (from, shape, into) = (codes(first), dims(tensor(first)), dims(out));
    let [in_h, in_w, in_c] = shape_of(tensor(first));
    let offsets = format!("input_offset: {}, output_offset: {}", offset(first), out["zero"]);
    let window = || format!("stride: {}, {}, dilation: Tile::new(1, 1)", pair("stride"), padding());
    let kernel = |n: u64, c: u64| format!("Dims::new({n}, {}, {}, {c})", layer["kernel"][0], layer["kernel"][1]);
    let per_channel = format!("PerChannelQuantParams::new(&MULTIPLIERS{number}, &SHIFTS{number})");
    let operands =
        |filter: &str| format!("&{shape}, {from}, &{filter}, &WEIGHTS{number}, Some(&BIAS{number}), &{into}, {target}");
    let out_ch = shape_of(out)[2];
    match layer["op"].as_str().expect("an operator") {
        "conv2d" => format!(
            "embedded_nn::convolve_per_channel_s8(&ConvParams {{ {offsets}, {}, {ends} }}, &{per_channel}, {})",
            window(),
            operands(&kernel(out_ch, in_c))
        ),
        "depthwise_conv2d" => format!(
            "embedded_nn::depthwise_conv_per_channel_s8(&DwConvParams {{ {offsets}, ch_mult: 1, {}, {ends} }}, \
             &{per_channel}, {})",
            window(),
            operands(&kernel(1, out_ch))
        ),
        "fully_connected" => format!(
            "embedded_nn::fully_connected_s8(&FcParams {{ {offsets}, filter_offset: 0, {ends} }}, \
             &PerTensorQuantParams::new({}, {}), {})",
            layer["multipliers"][0],
            layer["shifts"][0],
            operands(&format!("Dims::new({}, 1, 1, {out_ch})", in_h * in_w * in_c))
        ),
        "average_pool2d" => format!(
            "embedded_nn::avg_pool_s8(&PoolParams {{ stride: {}, {}, {ends} }}, &{}, &{shape}, {from}, &{into}, {target})",
            pair("stride"),
            padding(),
            pair("kernel")
        ),
        "add" => {
            let part = |name: &str, index: usize| {
                format!("{name}_mult: {}, {name}_shift: {}", layer["multipliers"][index], layer["shifts"][index])
            };
            format!(
                "embedded_nn::elementwise_add_s8({from}, {}, {target}, &ElementwiseAddParams {{ input1_offset: {}, {}, \
                 input2_offset: {}, {}, left_shift: {}, output_offset: {}, {}, {ends} }})",
                codes(last),
                offset(first),
                part("input1", 0),
                offset(last),
                part("input2", 1),
                layer["left_shift"],
                out["zero"],
                part("output", 2)
            )
        }
        "softmax" => format!(
            "embedded_nn::softmax_s8({from}, 1, {out_ch}, {}, {}, {}, {target})",
            layer["multipliers"][0], layer["shifts"][0], layer["least_difference"]
        ),
        other => panic!("embedded-nn: no kernel for {other}"),
    }
}
