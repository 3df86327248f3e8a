//! Tables that the exporter builds: reciprocals, slopes, curves, exponentials.

use stepshift_runtime::format::{Element, SOFTMAX_ENTRIES};

use super::fixed_point::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor};
use super::reciprocal::{FRACTION_BITS, whole_multiplier};
use super::{ExportError, Prefer, affine};

/// A curve that the runtime has as a table. Spec 4.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `clamp(x / 6 + 1/2, 0, 1)`.
    HardSigmoid,
    /// `x * hard_sigmoid(x)`.
    HardSwish,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`, Hendrycks and Gimpel 2016, section 2.
    Gelu,
}

impl Curve {
    /// The curve at `x`.
    #[must_use]
    pub fn at(self, x: f64) -> f64 {
        match self {
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::HardSwish => x * Self::HardSigmoid.at(x),
            Self::Gelu => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                x / 2.0 * (1.0 + inner.tanh())
            }
        }
    }

    /// What each code of an 8-bit input gives, or every 128th of a 16-bit one: `code(curve(x))`. Spec 1.2, 4.11.
    #[must_use]
    pub fn codes(self, input: FixedPointTensor, output: FixedPointTensor) -> Vec<i16> {
        codes_of(|x| self.at(x), input, output)
    }
}

/// What each code of an 8-bit input gives by a function, or every 128th of a 16-bit one. Spec 1.2, 4.11.
#[must_use]
pub fn codes_of(function: impl Fn(f64) -> f64, input: FixedPointTensor, output: FixedPointTensor) -> Vec<i16> {
    let (every, count) = if input.element == Element::I16 { (128, 513) } else { (1, 256) };
    let place = |entry| i32::from(input.element.min()) + every * entry;
    (0..count).map(|entry| code_of(function(input.value(place(entry))), output)).collect()
}

/// The code of a real in a tensor. Spec 1.2.
#[must_use]
pub fn code_of(value: f64, tensor: FixedPointTensor) -> i16 {
    let scaled = value / tensor.step();
    let floor = scaled.floor();
    let rounded = if scaled - floor >= 0.5 { floor + 1.0 } else { floor };
    let code = rounded + f64::from(tensor.zero);
    code.clamp(tensor.element.min().into(), tensor.element.max().into()) as i16
}

/// The bytes of a layer's table; empty for operators without.
///
/// # Errors
/// [`ExportError::Scale`] for a softmax of the affine scheme over a scale that is too small.
///
/// prefer  whether exponentials of the affine scheme are a table of 1 KiB, or computed
pub(super) fn table(
    network: &FixedPointNetwork,
    layer: &FixedPointLayer,
    prefer: Prefer,
) -> Result<Vec<u8>, ExportError> {
    Ok(match &layer.op {
        FixedPointOp::AveragePool2d { window } => {
            (1..=window.taps()).flat_map(|count| whole_multiplier(count).to_le_bytes()).collect()
        }
        FixedPointOp::LeakyRelu { slopes, .. } => slopes.iter().flat_map(|slope| slope.to_le_bytes()).collect(),
        FixedPointOp::Table { codes } => {
            let bytes = layer.output.element.bytes();
            codes.iter().flat_map(|code| code.to_le_bytes().into_iter().take(bytes)).collect()
        }
        FixedPointOp::Softmax => {
            let exponent = network.tensor(layer.inputs[0]).exponent;
            exponentials(exponent).iter().flat_map(|entry| entry.to_le_bytes()).collect()
        }
        FixedPointOp::AffineSoftmax => {
            let scale = network.tensor(layer.inputs[0]).step();
            let entries = match prefer {
                Prefer::Memory => {
                    let parts = affine::softmax_scale(scale);
                    parts.map(|(multiplier, left_shift)| vec![multiplier.cast_unsigned(), left_shift.into()])
                }
                Prefer::Speed | Prefer::SpeedWithin(_) => affine::exponentials(scale),
            };
            let entries = entries.ok_or_else(|| affine::scale_error(layer, scale))?;
            entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
        }
        _ => Vec::new(),
    })
}

/// `floor(2^15 * exp(-d * 2^exponent) + 1/2)` for each distance `d`. Spec 4.12.
#[must_use]
pub fn exponentials(exponent: i8) -> Vec<u16> {
    let step = 2_f64.powi(exponent.into());
    (0..SOFTMAX_ENTRIES).map(|distance| (32_768.0 * (-(distance as f64) * step).exp() + 0.5).floor() as u16).collect()
}

/// Right shift of an average pool, whose multipliers are not reduced. Spec 4.5.
pub(super) fn fraction_bits(network: &FixedPointNetwork, layer: &FixedPointLayer) -> Result<i8, ExportError> {
    let input = network.tensor(layer.inputs[0]).exponent;
    let shift = FRACTION_BITS - (i32::from(input) - i32::from(layer.output.exponent));
    let legal = i8::try_from(shift).ok().filter(|shift| (0..=30).contains(shift));
    legal.ok_or_else(|| ExportError::Reciprocal {
        layer: layer.name.clone(),
        area: 1,
        input,
        output: layer.output.exponent,
    })
}

#[cfg(test)]
mod tests {
    use stepshift_runtime::format::Shape;

    use super::*;

    fn tensor(element: Element, exponent: i8) -> FixedPointTensor {
        FixedPointTensor { element, ..FixedPointTensor::i8(Shape { h: 1, w: 1, c: 1 }, exponent) }
    }

    #[test]
    fn tables_are_the_curves_at_their_codes() {
        let i8 = |exponent| tensor(Element::I8, exponent);
        // (code at exponent -4, result at exponent -7): half of 128, values by hand from the definitions.
        assert_eq!(Curve::Sigmoid.codes(i8(-4), i8(-7))[128], 64);
        assert_eq!(Curve::Tanh.codes(i8(-4), i8(-7))[128 + 16], 97); // tanh(1) = 0.76159
        assert_eq!(Curve::HardSigmoid.codes(i8(-4), i8(-7))[128 - 48], 0); // at -3
        assert_eq!(Curve::HardSwish.codes(i8(-4), i8(-4))[128 + 48], 48); // at 3
        assert_eq!(Curve::Gelu.codes(i8(-4), i8(-4))[128 - 16], -3); // GELU(-1) = -0.1588
        assert_eq!(Curve::Gelu.codes(i8(-4), i8(-4))[255], 127);
    }

    #[test]
    fn tables_have_an_entry_for_every_code_or_every_128th() {
        let (i8, u8, i16) = (tensor(Element::I8, -4), tensor(Element::U8, -4), tensor(Element::I16, -12));
        assert_eq!(Curve::Tanh.codes(i8, i8).len(), 256);
        assert_eq!(Curve::Tanh.codes(u8, u8).len(), 256);
        assert_eq!(Curve::HardSwish.codes(u8, u8)[16], 11); // 1 * (1/6 + 1/2) = 0.667
        let long = Curve::Tanh.codes(i16, tensor(Element::I16, -15));
        assert_eq!((long.len(), long[256], long[256 + 32]), (513, 0, 24956)); // tanh(1) * 2^15
    }

    #[test]
    fn a_code_of_a_tie_is_the_upper_one() {
        let code = |value| code_of(value, tensor(Element::I8, 0));
        assert_eq!((code(2.5), code(-2.5), code(1e9), code(-1e9)), (3, -2, 127, -128));
    }

    #[test]
    fn exponentials_begin_at_one_and_fall() {
        for exponent in -8..=2 {
            let table = exponentials(exponent);
            assert_eq!(table[0], 1 << 15);
            assert!(table.is_sorted_by(|a, b| a >= b));
        }
    }
}
