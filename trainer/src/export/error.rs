use stepshift_runtime::LoadError;
use thiserror::Error;

/// Why a network cannot become a model. Each names the layer, the value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExportError {
    /// A channel's accumulator could leave 32 bits. Spec 2.2.
    #[error(
        "layer {layer}, channel {channel}: the accumulator could reach {bound}, more than 2^31 - 1 = 2147483647; \
         choose a greater weight or input exponent, or fewer bits of either"
    )]
    AccumulatorOverflow {
        /// Name of the layer.
        layer: String,
        /// Output channel.
        channel: usize,
        /// `sum|w| * max|x| + |bias|`, rounding constant included.
        bound: i128,
    },
    /// The accumulator would have to be shifted too far. Spec 3.1.
    #[error(
        "layer {layer}, channel {channel}: right shift {right_shift} is outside -30 to 30; \
         bring the exponents of input, weights and output closer together"
    )]
    Shift {
        /// Name of the layer.
        layer: String,
        /// Output channel.
        channel: usize,
        /// `e_out - (e_in + e_weight)`.
        right_shift: i32,
    },
    /// A factor of the affine scheme has no multiplier. Spec 3.4.
    #[error(
        "layer {layer}: the factor {factor} from the accumulator's scale to the output's has no multiplier; \
         choose a greater output scale"
    )]
    Scale {
        /// Name of the layer.
        layer: String,
        /// Scale of the accumulator by that of the output.
        factor: String,
    },
    /// Operands of an addition are too far apart. Spec 4.6.
    #[error("layer {layer}: operands with exponents {a} and {b} are more than 22 apart")]
    Alignment {
        /// Name of the layer.
        layer: String,
        /// Exponent of the first operand.
        a: i8,
        /// Exponent of the second operand.
        b: i8,
    },
    /// An average has no reciprocal within 32 bits. Spec 4.5.
    #[error(
        "layer {layer}: an average over {area} values from exponent {input} to {output} has no reciprocal; \
         the output's exponent may be at most 7 above and 23 below the input's"
    )]
    Reciprocal {
        /// Name of the layer.
        layer: String,
        /// Values averaged.
        area: usize,
        /// Exponent of the input.
        input: i8,
        /// Exponent of the output.
        output: i8,
    },
    /// A layer's constants or inputs contradict its shapes.
    #[error("layer {layer}: {what}")]
    Inconsistent {
        /// Name of the layer.
        layer: String,
        /// What does not fit.
        what: String,
    },
    /// Something is larger than the file format can say.
    #[error("the network has {count} {what}, the format holds at most {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        count: usize,
        /// The format's limit.
        limit: usize,
    },
    /// The first layers cannot run patch by patch.
    #[error("the first {layers} layers cannot run patch by patch: {what}")]
    Patching {
        /// Layers that were to.
        layers: usize,
        /// What forbids it.
        what: String,
    },
    /// No plan has an arena of the budget.
    #[error("no plan fits {budget} bytes of RAM: the least arena has {least} bytes, {how}")]
    Budget {
        /// Bytes that there are.
        budget: usize,
        /// Bytes that would do.
        least: usize,
        /// How the least arena comes about.
        how: String,
    },
    /// The runtime refused the finished file.
    #[error("the runtime refuses the exported model: {0}")]
    Refused(#[from] LoadError),
}
