//! The first layers patch by patch, where whole tensors are too large (Lin et al. 2021, MCUNetV2, section 3). Spec 4.24.
//!
//! [`lower`] puts the first layers between a [`FixedPointOp::PatchInput`] and a [`FixedPointOp::PatchOutput`]; the layers
//! stand in the file once, whatever the number of patches. [`fit`] chooses how many layers and which patches for a budget.

mod fit;
mod lowered;

use stepshift_runtime::format::Shape;
use stepshift_runtime::patches::{MAX_PATCHES, MAX_STAGE_NODES, Stage, StageNode};

use super::ExportError;
use super::fixed_point::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, Patch};

pub use fit::{Fit, candidates, fit};
pub(super) use lowered::{LoweredStage, stage_of};

/// How the first layers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Patching {
    /// Layers that run patch by patch.
    pub layers: usize,
    /// Rows of a patch of what the last of them writes.
    pub rows: u16,
    /// Columns of a patch.
    pub columns: u16,
}

/// The first `layers` layers as a stage of the runtime's, in patches of `rows` times `columns`.
///
/// # Errors
/// [`ExportError::Patching`] where one cannot run on a patch, or another layer reads what lies between.
pub fn stage(network: &FixedPointNetwork, patching: Patching) -> Result<Stage, ExportError> {
    let Patching { layers, rows, columns } = patching;
    let refuse = |what: String| ExportError::Patching { layers, what };
    if layers == 0 || layers > network.layers.len().min(MAX_STAGE_NODES - 2) {
        let greatest = network.layers.len().min(MAX_STAGE_NODES - 2);
        return Err(refuse(format!("a stage has 1 to {greatest} layers")));
    }
    let Shape { h, w, .. } = network.input.shape;
    let mut stage = Stage::new((h, w), (rows, columns));
    for layer in &network.layers[..layers] {
        let node = stage_node(layer).ok_or_else(|| refuse(format!("layer {} cannot", layer.name)))?;
        stage.push(node).ok_or_else(|| refuse(format!("layer {} does not fit its input", layer.name)))?;
    }
    let inner = 1..layers;
    if let Some(later) = network.layers[layers..].iter().find(|layer| layer.inputs.iter().any(|t| inner.contains(t))) {
        return Err(refuse(format!("layer {} reads what lies between them", later.name)));
    }
    match stage.patches() {
        Some(patches) if (1..=MAX_PATCHES).contains(&patches) => {}
        patches => return Err(refuse(format!("there are {} patches, not 1 to {MAX_PATCHES}", patches.unwrap_or(0)))),
    }
    parts_can_be_left(network, &stage, layers).map_err(refuse)?;
    Ok(stage)
}

/// How a layer reads, where it can run on a patch.
fn stage_node(layer: &FixedPointLayer) -> Option<StageNode> {
    let window = match &layer.op {
        FixedPointOp::Conv2d { window, .. }
        | FixedPointOp::DepthwiseConv2d { window, .. }
        | FixedPointOp::MaxPool2d { window }
        | FixedPointOp::AveragePool2d { window }
        | FixedPointOp::AffineAveragePool2d { window } => Some(*window),
        FixedPointOp::Clip
        | FixedPointOp::Rescale
        | FixedPointOp::LeakyRelu { .. }
        | FixedPointOp::Table { .. }
        | FixedPointOp::Binary(_)
        | FixedPointOp::AffineBinary(_) => None,
        _ => return None,
    };
    let input = |index: usize| layer.inputs.get(index).map(|tensor| u8::try_from(*tensor).ok());
    let first = input(0)??;
    Some(StageNode { inputs: [first, input(1).unwrap_or(Some(first))?], window })
}

/// A layer that needs less of an operand than there is must be the last to read it.
fn parts_can_be_left(network: &FixedPointNetwork, stage: &Stage, layers: usize) -> Result<(), String> {
    let last_reader =
        |tensor: u8| network.layers[..layers].iter().rposition(|layer| layer.inputs.contains(&usize::from(tensor)));
    for patch in 0..stage.patches().unwrap_or(0) {
        let regions = stage.regions(patch).ok_or("a patch has no place")?;
        if regions.iter().any(|region| region.is_empty()) {
            return Err("a patch needs nothing of a layer".to_owned());
        }
        for (index, node) in stage.nodes().iter().enumerate() {
            for tensor in node.inputs {
                let there = regions[usize::from(tensor)];
                let part = regions[index + 1].read_through(node.window.as_ref(), there) != there;
                if part && last_reader(tensor) != Some(index) {
                    let name = &network.layers[index].name;
                    return Err(format!("layer {name} reads less of a tensor than a later layer"));
                }
            }
        }
    }
    Ok(())
}

/// The network with a stage in the place of its first layers; each of the stage's tensors has the extent of its largest part.
///
/// # Errors
/// As [`stage`].
pub fn lower(network: &FixedPointNetwork, patching: Patching) -> Result<FixedPointNetwork, ExportError> {
    let stage = stage(network, patching)?;
    let Patching { layers: count, rows, columns } = patching;
    let largest = largest_parts(&stage);
    let part = |tensor: usize| {
        let whole = network.tensor(tensor);
        let (h, w) = largest[tensor];
        FixedPointTensor { shape: Shape { h, w, ..whole.shape }, ..whole }
    };
    let end = |name: String, input: usize, output: FixedPointTensor, op: FixedPointOp| {
        let activation = stepshift_runtime::format::Activation::full(output.element);
        FixedPointLayer { name, inputs: vec![input], output, activation, op }
    };
    let patch = Patch { rows, columns, nodes: count + 2 };
    let first = format!("{}.patch", network.layers[0].name);
    let mut layers = vec![end(first, 0, part(0), FixedPointOp::PatchInput(patch))];
    for (index, layer) in network.layers.iter().enumerate() {
        // Tensors of the stage are behind its first node, all others behind its last one too.
        let place = |tensor: &usize| {
            let outside = index >= count;
            match *tensor {
                0 if outside => 0,
                tensor if outside => tensor + 2,
                tensor => tensor + 1,
            }
        };
        let inputs = layer.inputs.iter().map(place).collect();
        let output = if index < count { part(index + 1) } else { layer.output };
        layers.push(FixedPointLayer { inputs, output, ..layer.clone() });
        if index + 1 == count {
            let name = format!("{}.whole", layer.name);
            layers.push(end(name, count + 1, layer.output, FixedPointOp::PatchOutput));
        }
    }
    Ok(FixedPointNetwork { input: network.input, layers })
}

/// Most rows and columns of each tensor of a stage, over all patches.
fn largest_parts(stage: &Stage) -> Vec<(u16, u16)> {
    let mut largest = vec![(0, 0); stage.nodes().len() + 1];
    for patch in 0..stage.patches().unwrap_or(0) {
        for (largest, region) in largest.iter_mut().zip(stage.regions(patch).unwrap_or_default()) {
            *largest = (largest.0.max(region.h), largest.1.max(region.w));
        }
    }
    largest
}
