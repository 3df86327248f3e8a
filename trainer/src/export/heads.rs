//! What may follow a network that was trained to give logits: probabilities or the class, in integers.
//!
//! Training stays with the logits: its loss has the softmax in floating point.

use stepshift_runtime::Model;
use stepshift_runtime::format::{Activation, AffineSoftmax, Element, Op, Softmax, TensorRecord};

use super::ExportError;
use super::affine;
use super::fixed_point::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor};
use super::tables::exponentials;

/// A last layer that is not trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Probabilities over the channels, u8 at exponent -8. Spec 4.12, in the affine scheme 4.26.
    Softmax,
    /// Index of the greatest channel. Spec 4.19.
    Argmax,
}

impl Head {
    /// The head that a model ends in.
    #[must_use]
    pub fn of(model: Model<'_>) -> Option<Self> {
        match model.nodes().last()?.op {
            Op::Softmax(_) | Op::AffineSoftmax(_) => Some(Self::Softmax),
            Op::Argmax(_) => Some(Self::Argmax),
            _ => None,
        }
    }

    /// The network with the head behind its last layer.
    ///
    /// # Errors
    /// [`ExportError::Inconsistent`] for a softmax over codes of 16 bits, or in the affine scheme over more than 511 channels,
    /// and for a network whose layer has the head's name.
    pub fn append(self, network: &FixedPointNetwork) -> Result<FixedPointNetwork, ExportError> {
        let (last, name) = (network.layers.len(), self.name());
        let input = network.tensor(last);
        let refuse = |what: &str| ExportError::Inconsistent { layer: name.to_owned(), what: what.to_owned() };
        if network.layers.iter().any(|layer| layer.name == name) {
            return Err(refuse("the name is taken by a layer"));
        }
        if self == Self::Softmax && input.element == Element::I16 {
            return Err(refuse("it takes 8 bits, the layer before it has 16"));
        }
        if self == Self::Softmax && !input.is_power_of_two() && input.shape.c > AffineSoftmax::MAX_CHANNELS {
            let (most, c) = (AffineSoftmax::MAX_CHANNELS, input.shape.c);
            return Err(refuse(&format!("it takes {most} channels in the affine scheme, the layer before it has {c}")));
        }
        let output = self.output(input);
        let (activation, op) = (Activation::full(output.element), self.op(input));
        let layer = FixedPointLayer { name: name.to_owned(), inputs: vec![last], output, activation, op };
        let layers = network.layers.iter().cloned().chain([layer]).collect();
        Ok(FixedPointNetwork { input: network.input, layers })
    }

    /// What the head makes of the codes of the last layer, `[H, W, C]`.
    #[must_use]
    pub fn codes(self, input: &TensorRecord, codes: &[i16]) -> Vec<i16> {
        let pixels = codes.chunks(usize::from(input.shape.c).max(1));
        match self {
            Self::Softmax if input.is_power_of_two() => {
                pixels.flat_map(|logits| softmax(input.exponent, logits)).collect()
            }
            Self::Softmax => {
                let scale = f64::from(input.mantissa) * 2_f64.powi(input.exponent.into());
                pixels.flat_map(|logits| affine::softmax(scale, logits)).collect()
            }
            Self::Argmax => pixels.map(argmax).collect(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Argmax => "argmax",
        }
    }

    const fn op(self, input: FixedPointTensor) -> FixedPointOp {
        match self {
            Self::Softmax if input.is_power_of_two() => FixedPointOp::Softmax,
            Self::Softmax => FixedPointOp::AffineSoftmax,
            Self::Argmax => FixedPointOp::Argmax,
        }
    }

    fn output(self, input: FixedPointTensor) -> FixedPointTensor {
        let exponent = -(Softmax::output_bits(Element::U8) as i8);
        match self {
            Self::Softmax => FixedPointTensor { element: Element::U8, ..FixedPointTensor::i8(input.shape, exponent) },
            Self::Argmax => {
                let mut shape = input.shape;
                let element = if shape.c > 256 { Element::I16 } else { Element::U8 };
                shape.c = 1;
                FixedPointTensor { element, ..FixedPointTensor::i8(shape, 0) }
            }
        }
    }
}

/// Spec 4.12, of one pixel.
fn softmax(exponent: i8, logits: &[i16]) -> impl Iterator<Item = i16> {
    let table = exponentials(exponent);
    let greatest = logits.iter().max().copied().unwrap_or(0);
    let parts: Vec<u64> = logits.iter().map(|code| u64::from(table[(greatest - code) as usize])).collect();
    let sum: u64 = parts.iter().sum();
    let bits = Softmax::output_bits(Element::U8) + 1;
    parts.into_iter().map(move |part| (((part << bits) + sum) / (2 * sum)).min(255) as i16)
}

/// The first of the greatest.
fn argmax(logits: &[i16]) -> i16 {
    let greatest = logits.iter().max();
    logits.iter().position(|code| Some(code) == greatest).unwrap_or(0) as i16
}
