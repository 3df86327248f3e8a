//! Bytes to a checked model. Nothing is copied: tensors and nodes are decoded where they lie, in every run; or nodes once, before.

use core::borrow::Borrow;

use crate::error::{LoadError, RunError};
use crate::format::{
    ALL_LINKS, CODES_ALIGNMENT, Case, Certificate, FORMAT_VERSION, HEADER_BYTES, Header, Links, MAGIC, NEEDS_BYTES,
    Name, Needs, Node, Op, OperatorKind, PATCH_OPERATORS, Reader, TENSOR_RECORD_BYTES, TensorRecord, decodes, missing,
    take_node,
};
use crate::{digest, stage, verify};

/// A model that was checked once and can be run any number of times.
///
/// A handle of a few words over the caller's bytes; copying it copies no weights. `LINKS` is the set of operators and widths
/// that the program links: all of them, or those of one model, from [`include_model!`](crate::include_model).
#[derive(Debug, Clone, Copy)]
pub struct Model<'a, const LINKS: Links = ALL_LINKS> {
    /// Header and needs, of fixed width.
    pub(crate) beginning: &'a Beginning,
    /// Tensors that are not decoded.
    pub(crate) tensors: &'a [u8],
    /// From the first node on that is not decoded.
    pub(crate) nodes: &'a [u8],
    pub(crate) decoded: Decoded<'a>,
    pub(crate) node_count: u16,
}

/// Header and needs as they lie in a file.
pub(crate) type Beginning = [u8; HEADER_BYTES + NEEDS_BYTES];

/// What was decoded before a run: all nodes and tensors, or none.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Decoded<'a> {
    /// Of the nodes; their names are apart, for programs that show none.
    pub(crate) ops: &'a [Op<'a>],
    pub(crate) names: &'a [Name<'a>],
    pub(crate) tensors: &'a [TensorRecord],
}

/// Room for what [`Model::decoded`] decodes: `NODES` nodes, and one tensor more.
#[derive(Debug, Default)]
pub struct DecodedBuffers<'a, const NODES: usize, const TENSORS: usize> {
    ops: heapless::Vec<Op<'a>, NODES>,
    names: heapless::Vec<Name<'a>, NODES>,
    tensors: heapless::Vec<TensorRecord, TENSORS>,
}

impl<const NODES: usize, const TENSORS: usize> DecodedBuffers<'_, NODES, TENSORS> {
    /// Empty ones.
    #[must_use]
    pub const fn new() -> Self {
        Self { ops: heapless::Vec::new(), names: heapless::Vec::new(), tensors: heapless::Vec::new() }
    }
}

/// What a [`Session`](crate::Session) takes its model from: a [`Model`], a reference to one, or the type of
/// [`include_model!`](crate::include_model)'s `trusted()`. Not to be implemented for others.
pub trait ModelHandle<'m, const LINKS: Links>: Borrow<Model<'m, LINKS>> + Copy {
    /// Nodes and tensors of the model that is handed out, where the compiler knows them; none where they are told later.
    #[doc(hidden)]
    const DECODED: Decoded<'static> = Decoded { ops: &[], names: &[], tensors: &[] };
}

impl<'m, const LINKS: Links> ModelHandle<'m, LINKS> for Model<'m, LINKS> {}

impl<'m, const LINKS: Links> ModelHandle<'m, LINKS> for &Model<'m, LINKS> {}

/// The only node of its kind.
pub(crate) struct Only<'a> {
    pub(crate) index: usize,
    pub(crate) op: &'a Op<'a>,
    /// What it writes.
    pub(crate) output: &'a TensorRecord,
}

impl<'a> Decoded<'a> {
    /// The only node of a kind; `None` where there are several or none.
    pub(crate) const fn only(&self, kind: OperatorKind) -> Option<Only<'a>> {
        let (mut found, mut index) = (None, 0);
        while index < self.ops.len() {
            let op = &self.ops[index];
            if op.kind() as u8 == kind as u8 {
                if found.is_some() {
                    return None;
                }
                found = Some(Only { index, op, output: &self.tensors[index + 1] });
            }
            index += 1;
        }
        found
    }

    /// Whether there are nodes, no two of one kind, and no stage, whose nodes are cut to a patch in a run.
    pub(crate) const fn are_distinct(&self) -> bool {
        let mut index = 0;
        while index < self.ops.len() {
            let kind = self.ops[index].kind();
            if kind.is_in(PATCH_OPERATORS) || self.only(kind).is_none() {
                return false;
            }
            index += 1;
        }
        index != 0
    }
}

impl<'a> Model<'a> {
    /// Reads a model file and checks everything that running it relies on: checksum, shapes,
    /// lengths, shifts, accumulator bounds, and that no two live tensors share a byte.
    ///
    /// # Errors
    /// A [`LoadError`] that names the tensor or node and what is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LoadError> {
        Self::parse_linked(bytes)
    }
}

impl<'a, const LINKS: Links> Model<'a, LINKS> {
    /// As [`Model::parse`], in a program that links `LINKS` alone: other operators and widths cost it no flash.
    ///
    /// # Errors
    /// As [`Model::parse`], and [`LoadError::NotLinked`] for a model that uses other operators.
    pub fn parse_linked(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let (header, body) = read_header::<LINKS>(bytes)?;
        let computed = digest::crc32(body);
        if computed != header.crc {
            return Err(LoadError::Checksum { stored: header.crc, computed });
        }
        let model = Self::decode(bytes)?;
        verify::verify(&model)?;
        Ok(model)
    }

    /// As [`Self::parse_linked`] without a check, for a file that was parsed before, where nothing changes it since: on the host, by
    /// the build of the firmware that embeds it, or by the exporter, which parses what it writes. The checks then take no flash and
    /// no time of the device.
    ///
    /// Of bytes that [`Model::parse`] refuses, a run may give anything and take any time; it reaches no memory but the arena
    /// all the same, and does not panic where overflows are not checked. [`Session::self_test`](crate::Session::self_test) still
    /// finds codes that have changed.
    ///
    /// # Errors
    /// [`LoadError::NotAModel`], [`LoadError::Version`], [`LoadError::NotLinked`], and [`LoadError::Malformed`] for a
    /// file that ends before its nodes.
    pub fn parse_trusted(bytes: &'a [u8]) -> Result<Self, LoadError> {
        read_header::<LINKS>(bytes)?;
        Self::decode(bytes)
    }

    /// The steps of a run, and the bytes behind the last node; `None` where there are fewer nodes than announced.
    #[inline(never)]
    fn walk(&self) -> Option<(u32, &'a [u8])> {
        let mut steps = u32::from(self.node_count);
        let mut position = Position::START;
        let mut place = self.undecoded();
        loop {
            let at = position;
            let Some(op) = self.read(&mut position, &mut place) else { break };
            if let Op::PatchInput(op) = op
                && OperatorKind::PatchInput.is_in(LINKS)
                && let Some(stage) = stage::stage(self, op, at)
            {
                steps = steps.saturating_add(stage.further_steps(stage.patches().unwrap_or(0)));
            }
        }
        (position.index == self.node_count).then_some((steps, self.behind(position)))
    }

    /// Splits the file into its tables, before any check of their contents.
    pub(crate) const fn decode(file: &'a [u8]) -> Result<Self, LoadError> {
        let Some((beginning, tables)) = file.split_first_chunk() else { return Err(LoadError::Malformed) };
        let (_, needs) = read_beginning(beginning);
        let mut reader = Reader::new(tables);
        let tensor_count = reader.u32() as usize;
        let tensors = reader.slice(tensor_count.saturating_mul(TENSOR_RECORD_BYTES));
        let node_count = reader.u16();
        if reader.failed {
            return Err(LoadError::Malformed);
        }
        let missing = missing(needs.links, LINKS);
        if missing != 0 {
            return Err(LoadError::NotLinked { missing });
        }
        Ok(Self {
            beginning,
            tensors,
            nodes: reader.rest,
            decoded: Decoded { ops: &[], names: &[], tensors: &[] },
            node_count,
        })
    }

    pub(crate) const fn needs(&self) -> Needs {
        let (_, needs) = read_beginning(self.beginning);
        needs
    }

    /// The same model, whose nodes and tensors are decoded now, into `buffers`, and not in every run: some 550 instructions a node on a
    /// Cortex-M4, a quarter of a small fully connected layer. [`include_model!`](crate::include_model) does so while compiling, for
    /// its `trusted()`.
    ///
    /// # Errors
    /// [`RunError::TooManyNodes`] where the buffers have no room for all nodes, or for their tensors.
    pub fn decoded<'n, const NODES: usize, const TENSORS: usize>(
        &self,
        buffers: &'n mut DecodedBuffers<'a, NODES, TENSORS>,
    ) -> Result<Model<'n, LINKS>, RunError> {
        let DecodedBuffers { ops, names, tensors } = buffers;
        ops.clear();
        names.clear();
        tensors.clear();
        tensors.extend((0..TENSORS).map_while(|index| self.tensor(index)));
        let mut encoded = self.nodes();
        for Node { name, op } in encoded.by_ref().take(NODES) {
            ops.extend([op]);
            names.extend([name]);
        }
        if encoded.remaining() != 0 || tensors.len() < self.tensor_count() {
            return Err(RunError::TooManyNodes {
                needed: self.node_count(),
                provided: NODES.min(TENSORS.saturating_sub(1)),
            });
        }
        Ok(Model { tensors: &[], nodes: encoded.rest(), decoded: Decoded { ops, names, tensors }, ..*self })
    }

    /// Bytes of the arena that tensors and scratch lie in.
    pub(crate) const fn tensor_bytes(&self) -> usize {
        self.needs().arena_bytes as usize
    }

    /// Bytes of arena that a run needs.
    #[must_use]
    pub const fn arena_bytes(&self) -> usize {
        self.needs().arena()
    }

    /// The bits of every operator, element, width of weights and scheme that the file says it uses.
    #[must_use]
    pub const fn links(&self) -> u64 {
        self.needs().links
    }

    /// Products, comparisons and moves of codes in one run, at most; [`Model::parse`] refuses a file that needs more than it
    /// says. Times the slowest operation of a core it bounds a run's time.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.needs().operations
    }

    /// Checksum of the file's contents: tells one model from another.
    #[must_use]
    pub const fn crc(&self) -> u32 {
        let (header, _) = read_beginning(self.beginning);
        header.crc
    }

    /// Number of nodes.
    #[must_use]
    pub const fn node_count(&self) -> usize {
        self.node_count as usize
    }

    /// Number of steps of a run: nodes, and each node of a stage that runs patch by patch once a patch; its end once.
    #[must_use]
    pub fn step_count(&self) -> usize {
        self.walk().map_or(0, |(steps, _)| steps as usize)
    }

    /// What one input must give, where the exporter put it into the file; [`Session::self_test`](crate::Session::self_test)
    /// replays it.
    #[must_use]
    pub fn certificate(&self) -> Option<Certificate<'a>> {
        let (_, rest) = self.walk()?;
        let mut reader = Reader::new(rest);
        Certificate::read(&mut reader).filter(|_| !reader.failed)
    }

    /// Number of tensors: one more than nodes.
    #[must_use]
    pub const fn tensor_count(&self) -> usize {
        self.decoded.tensors.len() + self.tensors.len() / TENSOR_RECORD_BYTES
    }

    /// The nodes in the file's order, decoded one by one.
    #[must_use]
    pub const fn nodes(&self) -> Nodes<'a, LINKS> {
        self.nodes_from(Position::START)
    }

    /// The nodes from one on.
    pub(crate) const fn nodes_from(&self, position: Position) -> Nodes<'a, LINKS> {
        Nodes { model: *self, position }
    }

    /// Bytes that no node was read from yet.
    pub(crate) fn behind(&self, position: Position) -> &'a [u8] {
        self.nodes.get(position.decoded as usize..).unwrap_or_default()
    }

    /// As [`Node::undecoded`].
    #[inline]
    pub(crate) const fn undecoded(&self) -> Node<'a> {
        Node::undecoded(self.nodes)
    }

    /// The operator of the node at a position, which moves behind it: where it was decoded before, or in `place`. `None` where there is
    /// none, or none that this program links.
    #[inline]
    pub(crate) fn read<'n>(&self, at: &mut Position, place: &'n mut Node<'a>) -> Option<&'n Op<'a>>
    where
        'a: 'n,
    {
        if at.index >= self.node_count {
            return None;
        }
        let op = if let Some(op) = self.decoded.ops.get(usize::from(at.index)) {
            op
        } else if decodes(LINKS) && self.decode_node(at, place) {
            &place.op
        } else {
            return None;
        };
        at.index += 1;
        Some(op)
    }

    /// The operator of a node that was [read](Self::read) in a place.
    #[inline]
    pub(crate) fn op<'n>(&self, index: usize, place: &'n Node<'a>) -> &'n Op<'a>
    where
        'a: 'n,
    {
        self.decoded.ops.get(index).unwrap_or(&place.op)
    }

    /// Its name.
    #[inline]
    pub(crate) fn name(&self, index: usize, place: &Node<'a>) -> Name<'a> {
        self.decoded.names.get(index).copied().unwrap_or(place.name)
    }

    /// As [`Self::read`], in `place` always, for the caller to change; false where there is none.
    #[inline]
    pub(crate) fn read_own(&self, at: &mut Position, place: &mut Node<'a>) -> bool {
        if let Some(op) = self.decoded.ops.get(usize::from(at.index)) {
            place.op = *op;
        }
        self.read(at, place).is_some()
    }

    fn decode_node(&self, at: &mut Position, place: &mut Node<'a>) -> bool {
        let mut rest = self.behind(*at);
        let taken = take_node::<LINKS>(&mut rest, place);
        // A file has less than 4 GiB: a microcontroller has no place for more.
        at.decoded = (self.nodes.len() - rest.len()) as u32;
        taken
    }

    /// Tensor `index`: 0 is the input, `i + 1` the output of node `i`.
    #[must_use]
    pub fn tensor(&self, index: usize) -> Option<TensorRecord> {
        let mut place = TensorRecord::EMPTY;
        self.record(index, &mut place).copied()
    }

    /// Tensor `index`, where it was decoded before, or in `place`.
    #[inline]
    pub(crate) fn record<'t>(&self, index: usize, place: &'t mut TensorRecord) -> Option<&'t TensorRecord>
    where
        'a: 't,
    {
        if let Some(record) = self.decoded.tensors.get(index) {
            return Some(record);
        }
        if !decodes(LINKS) {
            return None;
        }
        *place = self.decode_tensor(index)?;
        Some(place)
    }

    #[inline(never)]
    fn decode_tensor(&self, index: usize) -> Option<TensorRecord> {
        let start = index.checked_mul(TENSOR_RECORD_BYTES)?;
        TensorRecord::from_bytes(self.tensors.get(start..)?.first_chunk()?)
    }

    /// The model's input.
    #[must_use]
    pub fn input(&self) -> TensorRecord {
        self.tensor(0).unwrap_or(TensorRecord::EMPTY)
    }

    /// The model's output.
    #[must_use]
    pub fn output(&self) -> TensorRecord {
        self.tensor(self.node_count()).unwrap_or(TensorRecord::EMPTY)
    }
}

/// A place in the order of a model's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Bytes of nodes that were decoded on the way.
    pub(crate) decoded: u32,
    /// Of the next node.
    pub(crate) index: u16,
}

impl Position {
    /// Before the first node.
    pub(crate) const START: Self = Self { decoded: 0, index: 0 };
}

/// Iterator over the nodes of a model.
#[derive(Debug, Clone)]
pub struct Nodes<'a, const LINKS: Links = ALL_LINKS> {
    model: Model<'a, LINKS>,
    position: Position,
}

impl<'a, const LINKS: Links> Nodes<'a, LINKS> {
    /// Bytes that no node was read from yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.model.behind(self.position)
    }

    /// Nodes that were announced and not read yet.
    pub(crate) const fn remaining(&self) -> u16 {
        self.model.node_count - self.position.index
    }
}

impl<'a, const LINKS: Links> Iterator for Nodes<'a, LINKS> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let (index, mut place) = (self.position.index, self.model.undecoded());
        let op = *self.model.read(&mut self.position, &mut place)?;
        Some(Node { name: self.model.name(index.into(), &place), op })
    }
}

#[inline]
const fn read_beginning(bytes: &Beginning) -> (Header, Needs) {
    let mut reader = Reader::new(bytes);
    (Header::read(&mut reader), Needs::read(&mut reader))
}

/// Reads the header and refuses what this crate cannot read; the bytes behind it.
fn read_header<const LINKS: Links>(bytes: &[u8]) -> Result<(Header, &[u8]), LoadError> {
    if !Case::Place.is_in(LINKS) && !bytes.as_ptr().addr().is_multiple_of(CODES_ALIGNMENT) {
        return Err(LoadError::NotLinked { missing: Case::Place.bit() as u64 });
    }
    if bytes.get(..MAGIC.len()) != Some(&MAGIC[..]) {
        return Err(LoadError::NotAModel);
    }
    let mut reader = Reader::new(bytes);
    let header = Header::read(&mut reader);
    if reader.failed {
        return Err(LoadError::Malformed);
    }
    if header.version != FORMAT_VERSION {
        return Err(LoadError::Version { found: header.version, supported: FORMAT_VERSION });
    }
    Ok((header, reader.rest))
}
