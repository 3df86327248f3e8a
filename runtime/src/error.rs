//! The errors, one for each boundary: loading a model, starting a run, testing it on the device.

use thiserror::Error;

/// Why a model file was refused. `node` counts from 0 in the order of execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes do not start with the magic number.
    #[error("not a stepshift model: the file does not start with \"STSH\"")]
    NotAModel,
    /// The file was written in another version of the format.
    #[error("format version {found}, this runtime reads {supported}: export the model again")]
    Version {
        /// Version in the file.
        found: u16,
        /// Version that this crate reads.
        supported: u16,
    },
    /// The checksum over the bytes behind the header does not match.
    #[error("checksum {computed:#010x} instead of {stored:#010x}: the file is corrupt or cut short")]
    Checksum {
        /// CRC in the header.
        stored: u32,
        /// CRC of the bytes.
        computed: u32,
    },
    /// The model uses operators, elements or widths that this program does not link.
    #[error("the model uses operators or widths that this program does not link, bits {missing:#x}")]
    NotLinked {
        /// [`OperatorKind::bit`](crate::format::OperatorKind::bit) of each, and those of elements and widths.
        missing: u64,
    },
    /// The tables of the file cannot be decoded.
    #[error("malformed model: tensor or node table cannot be decoded")]
    Malformed,
    /// A run takes more operations than the file says.
    #[error("a run takes {needed} operations, the file says {stated}")]
    Operations {
        /// Operations of the nodes.
        needed: u64,
        /// [`Needs::operations`](crate::format::Needs::operations).
        stated: u64,
    },
    /// No signature, or not one of the owner's key over these bytes.
    #[error("the signature is missing, or not by the owner's key over this model")]
    Signature,
    /// The self-test's input or digests are not as many as the model's codes or nodes.
    #[error("the self-test does not fit the model")]
    Certificate,
    /// Bytes follow the end of the model.
    #[error("{0} bytes follow the end of the model")]
    TrailingBytes(u32),
    /// A tensor is empty, lies outside the arena or overlaps another one that is live.
    #[error("tensor {tensor}: {reason}")]
    Tensor {
        /// Index of the tensor.
        tensor: u16,
        /// What is wrong.
        reason: TensorFault,
    },
    /// A node's description contradicts the tensors or the arithmetic.
    #[error("node {node}: {reason}")]
    Node {
        /// Index of the node.
        node: u16,
        /// What is wrong.
        reason: NodeFault,
    },
    /// A channel's accumulator could leave 32 bits. Spec 2.2.
    #[error("node {node}, channel {channel}: the accumulator could overflow 32 bits")]
    AccumulatorOverflow {
        /// Index of the node.
        node: u16,
        /// Output channel.
        channel: u16,
    },
}

/// What is wrong with a tensor record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TensorFault {
    /// One extent is zero.
    #[error("an extent is zero")]
    Empty,
    /// It reaches past the arena's end.
    #[error("it does not fit the arena")]
    OutsideArena,
    /// It shares bytes with another tensor that is live at the same time.
    #[error("it overlaps tensor {0}, live at the same time")]
    Overlaps(u16),
    /// The number of tensors is not the number of nodes and one.
    #[error("there must be one tensor more than nodes")]
    Count,
    /// More than [`crate::MAX_LIVE_TENSORS`] tensors are live at once.
    #[error("more than {} tensors are live at once", crate::MAX_LIVE_TENSORS)]
    TooManyLive,
    /// The model's output is not kept to the end: its last use is not the number of nodes.
    #[error("the model's output is not kept to the end of the run")]
    OutputNotKept,
    /// Its element is not among those that the file says it uses.
    #[error("its element is not among those that the file says it uses")]
    Element,
    /// Its mantissa is 0, or its code of 0 is none of its element's.
    #[error("its scale is 0, or its code of 0 is out of range")]
    Scale,
}

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NodeFault {
    /// Its operator, width or scheme is not among those that the file says it uses.
    #[error("its operator, width or scheme is not among those that the file says it uses")]
    Operator,
    /// It reads a tensor that no earlier node writes.
    #[error("it reads a tensor that no earlier node writes")]
    Input,
    /// It reads a tensor past the last use that the tensor's record states.
    #[error("it reads a tensor after its stated last use")]
    UseAfterLastUse,
    /// Its window does not fit its input.
    #[error("the window does not fit the input")]
    Window,
    /// The shape of its output is not what the operator gives.
    #[error("the output's shape is not the operator's")]
    Shape,
    /// Weights, biases or shifts have another length than the shapes ask for.
    #[error("weights, bias or shifts have a wrong length")]
    BlobLength,
    /// The layer has no such order of weights, or its padding is not 0.
    #[error("the weights' packing is not one of the operator's, or its padding is not 0")]
    Packing,
    /// Its scratch is too small, outside the arena, or shares bytes with a live tensor.
    #[error("the scratch is too small, outside the arena, or overlaps a live tensor")]
    Scratch,
    /// A shift or multiplier is out of its range.
    #[error("a shift or multiplier is out of range")]
    Shift,
    /// The exponents of input and output contradict the operator's.
    #[error("the exponents contradict the operator")]
    Exponent,
    /// The groups do not divide the channels.
    #[error("groups do not divide the channels")]
    Groups,
    /// An axis is not 0, 1 or 2, or stands twice in an order.
    #[error("an axis is not one of 0, 1, 2, or is named twice")]
    Axis,
    /// The elements of its tensors are not what the operator takes.
    #[error("the operator does not take tensors of these elements")]
    Element,
    /// Its tensors are of the affine scheme and the operator is not, or the other way round.
    #[error("the operator and its tensors are not of one scheme")]
    Scheme,
    /// It stores into a tensor that no state wrote, or lies elsewhere than its state.
    #[error("what it stores into is not a state's tensor")]
    State,
    /// A stage that runs patch by patch does not end, holds an operator that cannot run so, has patches that its tensors do
    /// not hold or more than [`MAX_PATCHES`](crate::patches::MAX_PATCHES), or is read from outside.
    #[error("the stage cannot run patch by patch")]
    Stage,
    /// An entry of a table is out of its range.
    #[error("an entry of a table is out of range")]
    Table,
    /// The bounds of the output are in the wrong order or no codes of the element.
    #[error("activation_min is above activation_max, or both are not the element's")]
    Activation,
}

/// Why a session could not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RunError {
    /// The arena is smaller than [`crate::Model::arena_bytes`].
    #[error("the arena has {provided} bytes, the model needs {needed}")]
    ArenaTooSmall {
        /// Bytes that the model needs.
        needed: usize,
        /// Bytes that the caller provided.
        provided: usize,
    },
    /// There is no room for all nodes of [`crate::Model::decoded`], or for their tensors: one more.
    #[error("there is room for {provided} nodes, the model has {needed}")]
    TooManyNodes {
        /// Nodes of the model.
        needed: usize,
        /// Nodes that the caller has room for.
        provided: usize,
    },
}

/// Why a self-test failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SelfTestError {
    /// The model has no certificate: it was exported without one.
    #[error("the model has no self-test: export it with one")]
    NoCertificate,
    /// A node wrote other codes than in training: bad flash, a miscompiled kernel, a wrong backend.
    #[error("node {node} does not give the bits of training")]
    Differs {
        /// Index of the first such node.
        node: u16,
    },
}
