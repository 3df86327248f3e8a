//! What the affine scheme has as several layers, as TensorFlow Lite does: operators that need one scale of all that they read get
//! requantizes before them, and bilinear upsampling becomes repeated pixels and their averages. Spec 4.6, 4.13, 4.18.

use std::ops::Range;

use stepshift_runtime::format::{BinaryKind, Shape, Window};

use super::build::Real;
use super::keeps_step;
use crate::network::{Layer, LayerActivation, LayerOp, Network};
use crate::quantizer_config::Scheme;

/// Requantizes that stand before a layer, all to one scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alignment {
    /// The requantizes; the quantizer of the first is that of all.
    pub(super) layers: Range<usize>,
    /// The layer that reads them.
    pub(super) reader: String,
}

/// A network of layers that the scheme has, with what they learn.
pub(super) struct Lowered {
    pub(super) network: Network,
    pub(super) constants: Vec<Option<Real>>,
    pub(super) alignments: Vec<Alignment>,
}

impl Lowered {
    /// A network in steps that are powers of two has every operator.
    pub(super) const fn of_powers_of_two(network: Network, constants: Vec<Option<Real>>) -> Self {
        Self { network, constants, alignments: Vec::new() }
    }

    /// The network as the affine scheme has it.
    pub(super) fn of_affine(source: Network, constants: Vec<Option<Real>>) -> Self {
        let network = Network { input: source.input, layers: Vec::new(), cells: Vec::new() };
        let mut lowered = Self { network, constants: Vec::new(), alignments: Vec::new() };
        // Number of each tensor of the source in the new network.
        let mut tensors = vec![0];
        for (layer, constants) in source.layers.into_iter().zip(constants) {
            let inputs = layer.inputs.iter().map(|input| tensors[*input]).collect();
            let layer = Layer { inputs, ..layer };
            match layer.op {
                LayerOp::Concat { .. } | LayerOp::Binary(BinaryKind::Minimum | BinaryKind::Maximum) => {
                    lowered.align(layer);
                }
                LayerOp::UpsampleBilinear => lowered.upsample(layer),
                _ => lowered.push(layer, constants),
            }
            tensors.push(lowered.network.layers.len());
        }
        lowered
    }

    fn push(&mut self, layer: Layer, constants: Option<Real>) {
        self.network.layers.push(layer);
        self.constants.push(constants);
    }

    /// Inputs of one quantizer are side by side as they are.
    fn align(&mut self, layer: Layer) {
        let origin = |tensor: &usize| origin(&self.network, Scheme::Affine, &self.alignments, *tensor);
        let first_origin = origin(&layer.inputs[0]);
        if layer.inputs.iter().all(|input| origin(input) == first_origin) {
            return self.push(layer, None);
        }
        let mut read = layer.inputs.clone();
        read.sort_unstable();
        read.dedup();
        let first = self.network.layers.len();
        for (number, tensor) in read.iter().enumerate() {
            let (name, output) = (format!("{}.requantize{number}", layer.name), self.network.shape(*tensor));
            let activation = LayerActivation::None;
            self.push(Layer { name, inputs: vec![*tensor], op: LayerOp::Rescale, activation, output }, None);
        }
        let requantized = |tensor: &usize| first + 1 + read.partition_point(|before| before < tensor);
        let inputs = layer.inputs.iter().map(requantized).collect();
        self.alignments.push(Alignment { layers: first..first + read.len(), reader: layer.name.clone() });
        self.push(Layer { inputs, ..layer }, None);
    }

    /// Each pixel sixteen times, and of these the means of 4 x 4 around the new pixels: 9, 3, 3 and 1 of the near and the far.
    fn upsample(&mut self, layer: Layer) {
        let mut input = layer.inputs[0];
        for times in [2, 4] {
            let Shape { h, w, c } = self.network.shape(input);
            let (name, output) = (format!("{}.times{times}", layer.name), Shape { h: 2 * h, w: 2 * w, c });
            let (op, activation) = (LayerOp::UpsampleNearest, LayerActivation::None);
            self.push(Layer { name, inputs: vec![input], op, activation, output }, None);
            input = self.network.layers.len();
        }
        let around = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(4, 4) };
        let op = LayerOp::AveragePool2d { window: Window { stride_h: 2, stride_w: 2, ..around } };
        self.push(Layer { inputs: vec![input], op, ..layer }, None);
    }
}

/// The tensor whose quantizer a tensor has: its own, or that of one that it comes from.
pub(super) fn origin(network: &Network, scheme: Scheme, alignments: &[Alignment], tensor: usize) -> usize {
    let Some(layer) = tensor.checked_sub(1) else { return 0 };
    if keeps_step(&network.layers[layer].op, scheme) {
        return origin(network, scheme, alignments, network.layers[layer].inputs[0]);
    }
    let alignment = alignments.iter().find(|alignment| alignment.layers.contains(&layer));
    alignment.map_or(tensor, |alignment| alignment.layers.start + 1)
}
