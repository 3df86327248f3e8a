//! Folds the rounding constants, assembles the nodes and writes the message.

use stepshift_runtime::arithmetic::{MAX_SHIFT, Requantizer};
use stepshift_runtime::format::{
    AffineBinary, AffineBinaryKind, AffineMean, AffineSoftmax, Argmax, AveragePool2d, Binary, BinaryKind,
    CODES_ALIGNMENT, Certificate, Clip, Concat, Conv2d, DepthwiseConv2d, Epilogue, FORMAT_VERSION, FullyConnected,
    HEADER_BYTES, Header, LeakyRelu, MAGIC, MaxPool2d, Mean, ModelFile, Multiply, Needs, Node, Op, Packing, Pad,
    PatchInput, PatchOutput, Rescale, Reshape, Scratch, Slice, Softmax, State, Store, Stream, Table, TensorRecord,
    Transpose, TransposeConv2d, UpsampleBilinear, UpsampleNearest, WeightBits, Weights,
};
use stepshift_runtime::patches::STAGE_BYTES;
use stepshift_runtime::{Backend, Model, crc32};

use super::bounds::channel_bounds;
use super::fixed_point::{FixedPointLayer, FixedPointNetwork, FixedPointOp};
use super::heads::Head;
use super::pack::{Packed, packed};
use super::patches::{self, Patching};
use super::plan::{Plan, plan};
use super::steps::{arena_bytes_of, steps};
use super::{ExportError, affine, reciprocal, tables};

/// Greatest distance between the exponents of an addition's operands. Spec 4.6.
const MAX_ALIGN_SHIFT: i32 = 22;

/// Constants of one layer as the bytes of the file.
#[derive(Default)]
struct Blobs {
    /// Width and order of the weights.
    bits: WeightBits,
    packing: Packing,
    scratch: Scratch,
    padding: u8,
    /// Weights, or the inputs of a concatenation.
    codes: Vec<u8>,
    bias: Vec<u8>,
    multipliers: Vec<u8>,
    /// Right shifts, or those of multipliers.
    shifts: Vec<u8>,
    /// Reciprocals, slopes, a curve or exponentials.
    table: Vec<u8>,
}

/// What a model file spares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Flash and RAM: weights in their own width, no table that can be computed, and the least arena.
    #[default]
    Memory,
    /// Time: weights in the width that the backend multiplies, tables, and no window that writes over its input row by row.
    Speed,
    /// Time, in so many bytes of arena: layers that would take more spare as much of it as they must. Where memory first takes
    /// more, so does this.
    SpeedWithin(usize),
}

impl Prefer {
    /// The same where there are so many bytes of arena.
    #[must_use]
    pub const fn within(self, arena_bytes: usize) -> Self {
        match self {
            Self::Memory => Self::Memory,
            Self::Speed | Self::SpeedWithin(_) => Self::SpeedWithin(arena_bytes),
        }
    }

    /// With what a reader keeps of the network's stages of patches taken off the budget.
    fn beside_stages(self, network: &FixedPointNetwork) -> Self {
        match self {
            Self::SpeedWithin(bytes) if patches::stage_of(network).is_some() => {
                Self::SpeedWithin(bytes.saturating_sub(STAGE_BYTES))
            }
            _ => self,
        }
    }
}

/// What a model file is made for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Whose kernels are to run it; every other backend runs it too, in plain Rust.
    pub backend: Backend,
    /// What it spares.
    pub prefer: Prefer,
    /// The first layers, patch by patch.
    pub patching: Option<Patching>,
    /// Codes of every tensor for one input, input first, as training has them: the file's certificate is made of it.
    pub sample: Option<&'a [Vec<i16>]>,
}

/// Writes a model file for every backend, without a certificate, and has the runtime check it.
///
/// # Errors
/// An [`ExportError`] that names the layer, and the channel where it is one channel's fault.
pub fn encode(network: &FixedPointNetwork) -> Result<Vec<u8>, ExportError> {
    encode_with(network, Options::default())
}

/// Writes a model file and has the runtime check it.
///
/// # Errors
/// As [`encode`], and [`ExportError::Patching`] for layers that cannot run patch by patch.
pub fn encode_with(network: &FixedPointNetwork, options: Options<'_>) -> Result<Vec<u8>, ExportError> {
    network.check()?;
    let whole = network;
    let lowered = options.patching.map(|patching| patches::lower(whole, patching)).transpose()?;
    let network = lowered.as_ref().unwrap_or(whole);
    let packed = packed(network, options.backend, options.prefer.beside_stages(network));
    let rooms: Vec<_> = packed.iter().map(|packed| packed.room).collect();
    let plan = plan(network, &rooms);
    let tensors = tensor_records(network, &plan)?;
    let mut blobs = (0..network.layers.len())
        .map(|index| blobs(network, &packed[index], &plan, options.prefer, index))
        .collect::<Result<Vec<_>, _>>()?;
    let unaligned = message(network, &plan, &tensors, &blobs, None)?;
    align(&unaligned, &mut blobs);
    let bytes = message(network, &plan, &tensors, &blobs, None)?;
    let model = Model::parse(&bytes)?;
    let Some(sample) = options.sample else { return Ok(bytes) };
    let sample = &with_head(whole, model, sample);
    let steps = steps(model, |tensor| whole.tensor(tensor).shape);
    let digests: Vec<u8> = steps.iter().flat_map(|step| step.digest(sample).to_le_bytes()).collect();
    let input = arena_bytes_of(network.input.element, &sample[0]);
    let certificate = Certificate { input: &input, digests: &digests };
    let bytes = message(network, &plan, &tensors, &blobs, Some(certificate))?;
    Model::parse(&bytes)?;
    Ok(bytes)
}

/// The sample's tensors, with that of a head that it lacks because no training made it.
fn with_head(network: &FixedPointNetwork, model: Model<'_>, sample: &[Vec<i16>]) -> Vec<Vec<i16>> {
    let mut tensors = sample.to_vec();
    if let (Some(head), true) = (Head::of(model), sample.len() == network.layers.len())
        && let (Some(input), Some(logits)) = (model.tensor(model.node_count() - 1), sample.last())
    {
        tensors.push(head.codes(&input, logits));
    }
    tensors
}

/// What a run takes, at most: each layer once, but those of a stage once a patch.
fn operations(network: &FixedPointNetwork, nodes: &[Node<'_>]) -> u64 {
    let whole = |tensor: usize| network.tensor(tensor).shape;
    let stage = patches::stage_of(network);
    let mut sum = 0_u64;
    for (index, node) in nodes.iter().enumerate() {
        if stage.as_ref().is_none_or(|stage| !stage.layers.contains(&index)) {
            sum = sum.saturating_add(node.op.operations(|input| whole(input.into()), whole(index + 1)));
        }
    }
    for patch in stage.iter().flat_map(patches::LoweredStage::patches) {
        for index in patch.layers() {
            let shape = |tensor: usize| patch.shape(tensor, whole(tensor));
            let output = shape(patch.written(index));
            sum = sum.saturating_add(nodes[index].op.operations(|input| shape(input.into()), output));
        }
    }
    sum
}

/// Pads the codes of packed weights, by where they lie in a file without padding.
fn align(bytes: &[u8], blobs: &mut [Blobs]) {
    let Ok(model) = Model::parse(bytes) else { return };
    let mut moved = 0;
    for (node, blobs) in model.nodes().zip(blobs) {
        let Some(weights) = node.op.weights().filter(|weights| weights.packing != Packing::Plain) else { continue };
        let offset = weights.codes.as_ptr() as usize - bytes.as_ptr() as usize + moved;
        let padding = offset.next_multiple_of(CODES_ALIGNMENT) - offset;
        blobs.padding = u8::try_from(padding).unwrap_or(0);
        moved += padding;
    }
}

/// The whole file.
fn message(
    network: &FixedPointNetwork,
    plan: &Plan,
    tensors: &[TensorRecord],
    blobs: &[Blobs],
    certificate: Option<Certificate<'_>>,
) -> Result<Vec<u8>, ExportError> {
    let nodes = network
        .layers
        .iter()
        .zip(blobs)
        .enumerate()
        .map(|(index, (layer, blobs))| {
            Ok(Node { name: layer.name.as_str().into(), op: op(network, plan, index, layer, blobs)? })
        })
        .collect::<Result<Vec<_>, ExportError>>()?;
    let arena_bytes = limited("bytes of arena", plan.arena_bytes)?;
    let elements = tensors.iter().fold(0, |set, tensor| set | tensor.element.bit() as u64);
    let record = |tensor: u16| tensors.get(usize::from(tensor)).copied().unwrap_or(TensorRecord::EMPTY);
    let links = nodes
        .iter()
        .zip(tensors.iter().skip(1))
        .fold(elements, |set, (node, output): (&Node<'_>, _)| set | node.op.links(record, output));
    let header = Header { magic: MAGIC, version: FORMAT_VERSION, crc: 0 };
    let needs = Needs { arena_bytes, links, operations: operations(network, &nodes) };
    Ok(assemble(&ModelFile { header, needs, tensors, nodes: &nodes, certificate }))
}

/// Serializes the message and puts the checksum of its body into its header.
#[must_use]
pub fn assemble(file: &ModelFile<'_>) -> Vec<u8> {
    let mut bytes = serialize(file);
    let header = Header { crc: crc32(&bytes[HEADER_BYTES..]), ..file.header };
    bytes[..HEADER_BYTES].copy_from_slice(&serialize(&header));
    bytes
}

/// Postcard into a growing vector fails for sequences of unknown length alone; there are none here.
fn serialize(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("every length is known")
}

fn tensor_records(network: &FixedPointNetwork, plan: &Plan) -> Result<Vec<TensorRecord>, ExportError> {
    let record = |(index, placement): (usize, &super::plan::Placement)| {
        let tensor = network.tensor(index);
        Ok(TensorRecord {
            offset: limited("bytes of arena", placement.offset)?,
            shape: tensor.shape,
            element: tensor.element,
            exponent: tensor.exponent,
            mantissa: tensor.mantissa,
            zero: tensor.zero,
            last_use: limited("layers", placement.last_use)?,
        })
    };
    plan.tensors.iter().enumerate().map(record).collect()
}

/// Codes, biases with what is folded into them (spec 3.2, 3.4), shifts, and tables.
fn blobs(
    network: &FixedPointNetwork,
    packed: &Packed,
    plan: &Plan,
    prefer: Prefer,
    index: usize,
) -> Result<Blobs, ExportError> {
    let layer = &network.layers[index];
    let scratch = &plan.scratch[index];
    let scratch =
        Scratch { offset: limited("bytes of arena", scratch.start)?, bytes: limited("bytes of arena", scratch.len())? };
    let table = tables::table(network, layer, prefer)?;
    let mut blobs = Blobs { bits: packed.bits, packing: packed.packing(), scratch, table, ..Blobs::default() };
    if let FixedPointOp::Concat { .. } = layer.op {
        for input in &layer.inputs {
            blobs.codes.extend(limited::<u16>("layers", *input)?.to_le_bytes());
            blobs.shifts.push(shift(layer, network.tensor(*input).exponent.into())?.cast_unsigned());
        }
    }
    let Some(weights) = layer.op.weights() else { return Ok(blobs) };
    blobs.codes = in_width(&packed.codes(weights), packed.bits);
    let channels = channel_bounds(network, layer)?;
    let input = network.tensor(layer.inputs[0]);
    blobs.bias =
        channels.iter().flat_map(|channel| packed.bias(input.element, weights, channel).to_le_bytes()).collect();
    // One entry serves all channels where they agree.
    let alike = channels.windows(2).all(|pair| pair[0].requantizer == pair[1].requantizer);
    for channel in channels.iter().take(if alike { 1 } else { channels.len() }) {
        match channel.requantizer {
            Requantizer::Shift(right_shift) => blobs.shifts.push(right_shift.cast_unsigned()),
            Requantizer::Multiply { multiplier, shift, .. } => {
                blobs.multipliers.extend(multiplier.to_le_bytes());
                blobs.shifts.push(shift.cast_unsigned());
            }
        }
    }
    Ok(blobs)
}

/// Codes in their width, the first in the lowest bits.
fn in_width(codes: &[i16], bits: WeightBits) -> Vec<u8> {
    let width = bits.bits() as usize;
    if width >= 8 {
        return codes.iter().flat_map(|code| code.to_le_bytes().into_iter().take(width / 8)).collect();
    }
    let mask = (1_u8 << width) - 1;
    let byte = |codes: &[i16]| {
        let parts = codes.iter().enumerate();
        parts.fold(0, |byte, (index, code)| byte | (code.to_le_bytes()[0] & mask) << (index * width))
    };
    codes.chunks(8 / width).map(byte).collect()
}

/// A layer's constants as the file has them.
fn weights<'a>(network: &FixedPointNetwork, layer: &FixedPointLayer, blobs: &'a Blobs) -> Weights<'a> {
    let epilogue = if blobs.multipliers.is_empty() {
        Epilogue::Shift(&blobs.shifts)
    } else {
        Epilogue::Multiply(Multiply {
            multipliers: &blobs.multipliers,
            shifts: &blobs.shifts,
            output_zero: layer.output.zero,
            input_zero: network.tensor(layer.inputs[0]).zero,
        })
    };
    let Blobs { bits, packing, scratch, padding, codes, bias, .. } = blobs;
    Weights { bits: *bits, packing: *packing, scratch: *scratch, padding: *padding, codes, bias, epilogue }
}

fn op<'a>(
    network: &FixedPointNetwork,
    plan: &Plan,
    index: usize,
    layer: &'a FixedPointLayer,
    blobs: &'a Blobs,
) -> Result<Op<'a>, ExportError> {
    let Some(first) = layer.inputs.first().copied() else { return Ok(Op::State(State {})) };
    let input = limited("layers", first)?;
    let activation = layer.activation;
    let weights = weights(network, layer, blobs);
    let input_exponent = i32::from(network.tensor(first).exponent);
    Ok(match &layer.op {
        FixedPointOp::Conv2d { window, groups, .. } => {
            Op::Conv2d(Conv2d { input, window: *window, groups: *groups, weights, activation })
        }
        FixedPointOp::DepthwiseConv2d { window, .. } => {
            Op::DepthwiseConv2d(DepthwiseConv2d { input, window: *window, weights, activation })
        }
        FixedPointOp::TransposeConv2d { window, .. } => {
            Op::TransposeConv2d(TransposeConv2d { input, window: *window, weights, activation })
        }
        FixedPointOp::FullyConnected { .. } => Op::FullyConnected(FullyConnected { input, weights, activation }),
        FixedPointOp::MaxPool2d { window } => Op::MaxPool2d(MaxPool2d { input, window: *window, activation }),
        FixedPointOp::AveragePool2d { window } => {
            let right_shift = tables::fraction_bits(network, layer)?;
            let multipliers = &blobs.table;
            Op::AveragePool2d(AveragePool2d { input, window: *window, multipliers, right_shift, activation })
        }
        FixedPointOp::AffineAveragePool2d { window } => {
            Op::AveragePool2d(AveragePool2d { input, window: *window, multipliers: &[], right_shift: 0, activation })
        }
        FixedPointOp::Mean { axes } => Op::Mean(mean(network, layer, input, *axes)?),
        FixedPointOp::AffineMean { axes } => Op::AffineMean(affine_mean(network, layer, input, *axes)?),
        FixedPointOp::Binary(kind) => Op::Binary(binary(network, plan, index, layer, *kind)?),
        FixedPointOp::AffineBinary(kind) => Op::AffineBinary(affine_binary(network, plan, index, layer, *kind)?),
        FixedPointOp::Clip => Op::Clip(Clip { input, activation }),
        FixedPointOp::Rescale => Op::Rescale(Rescale { input, right_shift: shift(layer, input_exponent)?, activation }),
        FixedPointOp::LeakyRelu { slope_bits, .. } => {
            let right_shift = shift(layer, input_exponent - i32::from(*slope_bits))?;
            Op::LeakyRelu(LeakyRelu { input, slopes: &blobs.table, slope_bits: *slope_bits, right_shift, activation })
        }
        FixedPointOp::Table { .. } => Op::Table(Table { input, codes: &blobs.table }),
        FixedPointOp::Softmax => Op::Softmax(Softmax { input, exponentials: &blobs.table }),
        FixedPointOp::AffineSoftmax => Op::AffineSoftmax(AffineSoftmax { input, exponentials: &blobs.table }),
        FixedPointOp::Concat { axis } => {
            Op::Concat(Concat { inputs: &blobs.codes, right_shifts: &blobs.shifts, axis: *axis, activation })
        }
        FixedPointOp::Slice { start } => Op::Slice(Slice { input, start: *start }),
        FixedPointOp::Pad { before, value } => Op::Pad(Pad { input, before: *before, value: *value }),
        FixedPointOp::Reshape => Op::Reshape(Reshape { input }),
        FixedPointOp::Transpose { order } => Op::Transpose(Transpose { input, order: *order }),
        FixedPointOp::UpsampleNearest => Op::UpsampleNearest(UpsampleNearest { input }),
        FixedPointOp::UpsampleBilinear => {
            let right_shift = shift(layer, input_exponent - 4)?;
            Op::UpsampleBilinear(UpsampleBilinear { input, right_shift, activation })
        }
        FixedPointOp::Argmax => Op::Argmax(Argmax { input }),
        FixedPointOp::State => Op::State(State {}),
        FixedPointOp::Store => Op::Store(Store { input, state: limited("layers", layer.inputs[1])? }),
        FixedPointOp::Stream => Op::Stream(Stream { input }),
        FixedPointOp::PatchInput(patch) => Op::PatchInput(PatchInput {
            input,
            rows: patch.rows,
            columns: patch.columns,
            nodes: limited("layers", patch.nodes)?,
        }),
        FixedPointOp::PatchOutput => Op::PatchOutput(PatchOutput { input }),
    })
}

/// The right shift from an accumulator's exponent to the output's. Spec 3.1.
fn shift(layer: &FixedPointLayer, accumulator_exponent: i32) -> Result<i8, ExportError> {
    let right_shift = i32::from(layer.output.exponent) - accumulator_exponent;
    let legal = i8::try_from(right_shift).ok().filter(|shift| (-MAX_SHIFT..=MAX_SHIFT).contains(shift));
    legal.ok_or_else(|| ExportError::Shift { layer: layer.name.clone(), channel: 0, right_shift })
}

fn mean(network: &FixedPointNetwork, layer: &FixedPointLayer, input: u16, axes: u8) -> Result<Mean, ExportError> {
    let operand = network.tensor(layer.inputs[0]);
    let area = operand.shape.along(axes).len();
    let found = reciprocal(area, operand.exponent, layer.output.exponent).ok_or_else(|| ExportError::Reciprocal {
        layer: layer.name.clone(),
        area,
        input: operand.exponent,
        output: layer.output.exponent,
    })?;
    let (multiplier, right_shift) = (found.multiplier, found.right_shift);
    Ok(Mean { input, axes, multiplier, right_shift, activation: layer.activation })
}

fn affine_mean(
    network: &FixedPointNetwork,
    layer: &FixedPointLayer,
    input: u16,
    axes: u8,
) -> Result<AffineMean, ExportError> {
    let operand = network.tensor(layer.inputs[0]);
    let output = affine::mean(layer, operand, operand.shape.along(axes).len())?;
    Ok(AffineMean { input, axes, input_zero: operand.zero, output, activation: layer.activation })
}

/// Both operands; the one that the plan lets the result overwrite comes first.
fn operands(plan: &Plan, index: usize, layer: &FixedPointLayer) -> (usize, usize) {
    let swap = plan.in_place[index] == Some(layer.inputs[1]);
    if swap { (layer.inputs[1], layer.inputs[0]) } else { (layer.inputs[0], layer.inputs[1]) }
}

fn affine_binary(
    network: &FixedPointNetwork,
    plan: &Plan,
    index: usize,
    layer: &FixedPointLayer,
    kind: AffineBinaryKind,
) -> Result<AffineBinary, ExportError> {
    let product = kind == AffineBinaryKind::Mul;
    let [first, second, output] = if product { affine::product(network, layer)? } else { affine::sum(network, layer)? };
    let (a, b) = operands(plan, index, layer);
    let (first, second) = if a == layer.inputs[0] { (first, second) } else { (second, first) };
    Ok(AffineBinary {
        kind,
        input_a: limited("layers", a)?,
        input_b: limited("layers", b)?,
        a: first,
        b: second,
        output,
        activation: layer.activation,
    })
}

fn binary(
    network: &FixedPointNetwork,
    plan: &Plan,
    index: usize,
    layer: &FixedPointLayer,
    kind: BinaryKind,
) -> Result<Binary, ExportError> {
    let (a, b) = operands(plan, index, layer);
    let (e_a, e_b) = (network.tensor(a).exponent, network.tensor(b).exponent);
    let product = kind == BinaryKind::Mul;
    let common = if product { i32::from(e_a) + i32::from(e_b) } else { i32::from(e_a.min(e_b)) };
    let align = |exponent: i8| {
        let shift = if product { 0 } else { i32::from(exponent) - common };
        let in_range = u8::try_from(shift).ok().filter(|_| shift <= MAX_ALIGN_SHIFT);
        in_range.ok_or_else(|| ExportError::Alignment { layer: layer.name.clone(), a: e_a, b: e_b })
    };
    Ok(Binary {
        kind,
        a: limited("layers", a)?,
        b: limited("layers", b)?,
        a_shift: align(e_a)?,
        b_shift: align(e_b)?,
        right_shift: shift(layer, common)?,
        activation: layer.activation,
    })
}

/// `count` in the width that the format has for it.
fn limited<T: TryFrom<usize>>(what: &'static str, count: usize) -> Result<T, ExportError> {
    let limit = (1_usize << (8 * size_of::<T>())) - 1;
    T::try_from(count).map_err(|_| ExportError::TooLarge { what, count, limit })
}
