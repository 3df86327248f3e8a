//! Models that are part of a program: checked and sized while it is compiled.

pub use crate::model::Decoded;
use crate::model::{Beginning, Model};
use crc::{CRC_32_ISO_HDLC, Crc, Table};

use crate::format::{
    ALL_LINKS, FORMAT_VERSION, HEADER_BYTES, Header, Kept, Links, MAGIC, NEEDS_BYTES, Name, Needs, Node, Op, Reader,
    TENSOR_RECORD_BYTES, TensorRecord, keep_node, take_node,
};
use crate::kernels::details;

/// Faster than the device's, and never on the device.
pub(crate) const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// Embeds a model file as a module of constants.
///
/// `include_model!(pub mod digits = "digits.stepshift");` makes a module `digits` with
/// - `BYTES`, the file, aligned to 16 bytes,
/// - `ARENA_BYTES`, what an arena for it needs,
/// - `LINKS`, the set of operators, elements and widths that it uses,
/// - `parse()`, a [`Model`](crate::Model) that links these alone: others cost no flash,
/// - `trusted()`, the same without the checks and the decoder, which then take no flash either: the checks that can be made while
///   compiling were, and the nodes are decoded. Its type, `Trusted`, is of no size, and hands out the model. It links a copy of
///   what the nodes refer to, not the file: a program that takes `BYTES` or `parse()` as well has the weights twice.
///
/// The path is relative to the file that the macro is used in. Several models can share one arena of the largest
/// `ARENA_BYTES`, one after the other.
///
/// ```
/// stepshift_runtime::include_model!(mod small = "../testdata/small.stepshift");
///
/// # fn main() -> Result<(), stepshift_runtime::LoadError> {
/// let mut arena = [0; small::ARENA_BYTES];
/// let model = small::parse()?;
/// let session = stepshift_runtime::Session::new(model, &mut arena);
/// assert!(session.is_ok());
/// # Ok(())
/// # }
/// ```
///
/// A file that is no model, of another format version, or damaged, does not compile:
///
/// ```compile_fail
/// stepshift_runtime::include_model!(mod bad = "../Cargo.toml"); // not a stepshift model: the file does not start with "STSH"
/// ```
#[macro_export]
macro_rules! include_model {
    ($visibility:vis mod $name:ident = $path:expr) => {
        #[doc = concat!("The model `", $path, "`.")]
        $visibility mod $name {
            #[repr(C, align(16))]
            struct Aligned<T: ?Sized>(T);

            static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!($path));

            #[allow(long_running_const_eval, reason = "a checksum over the whole file, once a compilation")]
            const NEEDS: $crate::format::Needs = $crate::embed::needs(include_bytes!($path));

            /// The file.
            #[allow(dead_code, reason = "not every program needs it")]
            pub static BYTES: &[u8] = &FILE.0;

            /// Bytes of arena that a run needs.
            #[allow(dead_code, reason = "not every program needs it")]
            pub const ARENA_BYTES: usize = NEEDS.arena();

            /// The operators, elements and widths that the model uses, and what else is known of its nodes.
            pub const LINKS: $crate::format::Links = {
                // Of a file that is refused, nothing else is told.
                let _ = NEEDS;
                $crate::embed::links(include_bytes!($path))
            };

            /// What [`trusted`] gives: the model as a constant, of no size.
            #[allow(dead_code, reason = "not every program needs it")]
            #[derive(Debug, Clone, Copy)]
            pub struct Trusted;

            $crate::hand_out_decoded!(Trusted, LINKS, &FILE.0);

            /// The model without checks on the device: its checksum was right while compiling, and the exporter
            /// parses what it writes. See [`Model::parse_trusted`]($crate::Model::parse_trusted). Its nodes were decoded while
            /// compiling, too; a [`Session`]($crate::Session) of it holds no model, and is compiled for this one.
            #[allow(dead_code, reason = "not every program needs it")]
            #[must_use]
            pub const fn trusted() -> Trusted {
                Trusted
            }

            /// The checked model.
            ///
            /// # Errors
            /// Where the model contradicts itself; the exporter writes none such.
            #[allow(dead_code, reason = "not every program needs it")]
            pub fn parse() -> Result<$crate::Model<'static, { LINKS | $crate::format::ENCODED_LINKS }>, $crate::LoadError> {
                $crate::Model::parse_linked(BYTES)
            }
        }
    };
}

/// Has a type hand out the model of a file whose nodes are decoded while compiling, for [`include_model!`]. Of the file's bytes those
/// are linked that a run reads; the attributes are theirs.
#[doc(hidden)]
#[macro_export]
macro_rules! hand_out_decoded {
    ($(#[$attribute:meta])* $name:ident, $links:expr, $file:expr) => {
        impl $crate::ModelHandle<'static, { $links }> for $name {
            const DECODED: $crate::embed::Decoded<'static> = {
                const PARTS: $crate::embed::Parts = {
                    // Of a file that is refused, nothing else is told.
                    let _ = $links;
                    $crate::embed::parts($file)
                };
                $(#[$attribute])*
                static NAMES: [u8; PARTS.names] = $crate::embed::names($file);
                $(#[$attribute])*
                static KEPT: $crate::embed::KeptBytes<{ PARTS.kept }> = $crate::embed::keep($file);
                static NODES: $crate::embed::DecodedFile<{ PARTS.nodes }, { PARTS.nodes + 1 }> =
                    $crate::embed::decode($file, &KEPT);
                static NAMED: [$crate::format::Name<'static>; PARTS.nodes] = $crate::embed::named($file, &NAMES);
                NODES.all(&NAMED)
            };
        }

        impl ::core::borrow::Borrow<$crate::Model<'static, { $links }>> for $name {
            #[inline]
            fn borrow(&self) -> &$crate::Model<'static, { $links }> {
                const DECODED: $crate::embed::Decoded<'static> =
                    <$name as $crate::ModelHandle<'static, { $links }>>::DECODED;
                $(#[$attribute])*
                static BEHIND: [u8; {
                    let _ = $links;
                    $crate::embed::parts($file).behind
                }] = $crate::embed::behind($file);
                const { &$crate::embed::trusted(const { &$crate::embed::beginning($file) }, &BEHIND, DECODED) }
            }
        }

        impl ::core::ops::Deref for $name {
            type Target = $crate::Model<'static, { $links }>;

            #[inline]
            fn deref(&self) -> &Self::Target {
                ::core::borrow::Borrow::borrow(self)
            }
        }
    };
}

/// What a file needs, for [`include_model!`].
///
/// # Panics
/// While compiling, for a file that is no model, of another format version, or damaged.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn needs(bytes: &[u8]) -> Needs {
    assert!(bytes.len() >= HEADER_BYTES + NEEDS_BYTES, "the file is too short for a stepshift model");
    let mut reader = Reader::new(bytes);
    let Header { magic, version, crc } = Header::read(&mut reader);
    let is_model = u32::from_le_bytes(magic) == u32::from_le_bytes(MAGIC);
    assert!(is_model, "not a stepshift model: the file does not start with \"STSH\"");
    assert!(version == FORMAT_VERSION, "the model is of another format version: export it again");
    let is_whole = crc == CRC.checksum(reader.rest);
    assert!(is_whole, "the model's checksum is wrong: the file is corrupt or cut short");
    Needs::read(&mut reader)
}

/// The nodes and tensors of a file, decoded while compiling, for [`include_model!`]. The nodes' names are apart, for programs that
/// show none.
#[doc(hidden)]
#[derive(Debug)]
pub struct DecodedFile<const NODES: usize, const TENSORS: usize> {
    ops: [Op<'static>; NODES],
    tensors: [TensorRecord; TENSORS],
}

impl<const NODES: usize, const TENSORS: usize> DecodedFile<NODES, TENSORS> {
    /// All of them, and the nodes' names.
    #[must_use]
    pub const fn all<'a>(&'a self, names: &'a [Name<'static>; NODES]) -> Decoded<'a> {
        Decoded { ops: &self.ops, names, tensors: &self.tensors }
    }
}

/// What decoded nodes refer to, aligned as packed weights are, for [`include_model!`].
#[doc(hidden)]
#[derive(Debug)]
#[repr(C, align(4))]
pub struct KeptBytes<const BYTES: usize>([u8; BYTES]);

/// How much there is in a file of what is linked where it is trusted, for [`include_model!`].
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Parts {
    /// Number of nodes.
    pub nodes: usize,
    /// Bytes of their names.
    pub names: usize,
    /// Bytes of what else they refer to.
    pub kept: usize,
    /// Bytes behind them.
    pub behind: usize,
}

/// The parts of a file, for [`include_model!`].
///
/// # Panics
/// While compiling, for a file whose nodes cannot be decoded.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn parts(bytes: &[u8]) -> Parts {
    let (mut names, mut kept) = (Kept::measured(), Kept::measured());
    let behind = keep_nodes(bytes, &mut names, &mut kept).len();
    Parts { nodes: encoded(bytes).node_count(), names: names.len(), kept: kept.len(), behind }
}

/// The names of a file's nodes, for [`include_model!`]. Apart from the rest: a program that tells no name does not link
/// them.
///
/// # Panics
/// While compiling, for a file whose nodes cannot be decoded.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn names<const BYTES: usize>(bytes: &[u8]) -> [u8; BYTES] {
    let mut names = [0; BYTES];
    let _ = keep_nodes(bytes, &mut Kept::copied_to(&mut names), &mut Kept::measured());
    names
}

/// The bytes that the nodes of a file refer to, but for names, for [`include_model!`].
///
/// # Panics
/// While compiling, for a file whose nodes cannot be decoded.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn keep<const BYTES: usize>(bytes: &[u8]) -> KeptBytes<BYTES> {
    let mut kept = KeptBytes([0; BYTES]);
    let _ = keep_nodes(bytes, &mut Kept::measured(), &mut Kept::copied_to(&mut kept.0));
    kept
}

/// Header and needs of a file, for [`include_model!`].
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn beginning(bytes: &[u8]) -> Beginning {
    *encoded(bytes).beginning
}

/// The last bytes of a file, which are behind its nodes, for [`include_model!`].
///
/// # Panics
/// While compiling, for a file that has fewer.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn behind<const BYTES: usize>(bytes: &[u8]) -> [u8; BYTES] {
    *bytes.last_chunk().expect("the model ends before its nodes")
}

/// Goes through the nodes of a file; what is behind them.
#[track_caller]
const fn keep_nodes<'a>(bytes: &'a [u8], names: &mut Kept<'a, '_>, kept: &mut Kept<'a, '_>) -> &'a [u8] {
    let Model { nodes: mut behind, node_count, .. } = encoded(bytes);
    let mut index = 0;
    while index < node_count {
        keep_node(&mut node(&mut behind), names, kept);
        index += 1;
    }
    behind
}

/// What a program links that embeds a file and trusts it, for [`include_model!`].
///
/// # Panics
/// While compiling, for a file whose nodes cannot be decoded.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn links(bytes: &[u8]) -> Links {
    let model = encoded(bytes);
    let (records, _) = model.tensors.as_chunks();
    let (mut behind, mut links) = (model.nodes, model.links() as Links);
    let mut index = 0;
    while index < model.node_count() {
        let Node { op, .. } = node(&mut behind);
        index += 1;
        assert!(index < records.len(), "the model has not one tensor more than nodes");
        let input = match op.sliding() {
            Some((input, _)) => input as usize,
            None => 0,
        };
        assert!(input < index, "a node of the model reads what is not there yet");
        links |= details(&op, &tensor(&records[input]), &tensor(&records[index]));
    }
    links
}

/// The names of a file's nodes, for [`include_model!`].
///
/// names  where they lie from now on
///
/// # Panics
/// While compiling, for a file whose nodes cannot be decoded.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn named<const NODES: usize>(bytes: &[u8], names: &'static [u8]) -> [Name<'static>; NODES] {
    let Model { nodes: mut behind, .. } = encoded(bytes);
    let mut rest = names;
    let mut all = [Name::from_bytes(&[]); NODES];
    let mut index = 0;
    while index < NODES {
        let (name, others) = rest.split_at(node(&mut behind).name.as_bytes().len());
        (all[index], rest) = (Name::from_bytes(name), others);
        index += 1;
    }
    all
}

/// Decodes the nodes of a file, for [`include_model!`].
///
/// kept  what they refer to from now on
///
/// # Panics
/// While compiling, for a file whose nodes cannot be decoded.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn decode<const NODES: usize, const TENSORS: usize, const KEPT: usize>(
    bytes: &'static [u8],
    kept: &'static KeptBytes<KEPT>,
) -> DecodedFile<NODES, TENSORS> {
    let Model { nodes: mut behind, tensors: records, .. } = encoded(bytes);
    let mut tensors = [TensorRecord::EMPTY; TENSORS];
    let (records, _) = records.as_chunks();
    assert!(records.len() == TENSORS && TENSORS == NODES + 1, "the model has not one tensor more than nodes");
    let mut index = 0;
    while index < TENSORS {
        tensors[index] = tensor(&records[index]);
        index += 1;
    }
    let mut ops = [Node::undecoded(&[]).op; NODES];
    let mut kept = Kept::laid(&kept.0);
    let mut index = 0;
    while index < NODES {
        let mut node = node(&mut behind);
        keep_node(&mut node, &mut Kept::measured(), &mut kept);
        ops[index] = node.op;
        index += 1;
    }
    DecodedFile { ops, tensors }
}

/// The model in a file whose nodes are decoded, for [`include_model!`].
///
/// beginning  header and needs
/// behind     what is behind its nodes
#[doc(hidden)]
#[must_use]
pub const fn trusted<const LINKS: Links>(
    beginning: &'static Beginning,
    behind: &'static [u8],
    decoded: Decoded<'static>,
) -> Model<'static, LINKS> {
    Model { beginning, tensors: &[], nodes: behind, decoded, node_count: decoded.ops.len() as u16 }
}

/// The next node of a file.
#[track_caller]
const fn node<'a>(behind: &mut &'a [u8]) -> Node<'a> {
    let mut node = Node::undecoded(behind);
    assert!(take_node::<ALL_LINKS>(behind, &mut node), "a node of the model cannot be decoded");
    node
}

#[track_caller]
const fn tensor(record: &[u8; TENSOR_RECORD_BYTES]) -> TensorRecord {
    let tensor = TensorRecord::from_bytes(record).expect("a tensor of the model cannot be decoded");
    // In words of 32 bits, more saturates to this.
    assert!(tensor.region().end < u32::MAX as usize, "a tensor of the model leaves 32 bits");
    tensor
}

#[track_caller]
const fn encoded(bytes: &[u8]) -> Model<'_> {
    match Model::decode(bytes) {
        Ok(model) => model,
        Err(_) => panic!("the model ends before its nodes"),
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::{
        Decoded, DecodedFile, KeptBytes, Parts, beginning, behind, decode, keep, links, named, names, needs, parts,
        trusted,
    };
    use crate::error::{LoadError, RunError};
    use crate::format::{ALL_LINKS, Case, Detail, ENCODED_LINKS, Links, Name, Op, OperatorKind, PatchInput};
    use crate::kernels::details;
    use crate::model::{DecodedBuffers, Model};

    const SMALL: &[u8] = include_bytes!("../testdata/small.stepshift");

    #[test]
    fn constants_are_those_of_the_parsed_model() {
        let model = Model::parse(SMALL).unwrap();
        let found = needs(SMALL);
        assert_eq!((found.arena_bytes as usize, found.links), (model.arena_bytes(), model.links()));
    }

    #[test]
    fn details_are_told_where_a_node_has_them() {
        let (model, found) = (Model::parse(SMALL).unwrap(), links(SMALL));
        let expected = model.nodes().zip(1..).fold(model.links().into(), |links: Links, (node, output)| {
            let input = node.op.sliding().map_or(0, |(input, _)| input.into());
            let [input, output] = [input, output].map(|tensor| model.tensor(tensor).unwrap());
            links | details(&node.op, &input, &output)
        });
        assert_eq!(found, expected);
        assert!(Detail::Shift.is_in(found) && !Detail::WideTiles.is_in(found) && !Detail::WideColumn.is_in(found));
        // What decodes nodes may meet any.
        assert!(matches!(Model::<{ links(SMALL) }>::parse_trusted(SMALL), Err(LoadError::NotLinked { .. })));
        assert!(Model::<{ links(SMALL) | ENCODED_LINKS | Case::Place.bit() }>::parse_trusted(SMALL).is_ok());
    }

    #[test]
    fn a_trusted_model_is_the_checked_one() {
        let (trusted, checked) = (Model::<ALL_LINKS>::parse_trusted(SMALL).unwrap(), Model::parse(SMALL).unwrap());
        assert_eq!(format!("{trusted:?}"), format!("{checked:?}"));
    }

    #[test]
    fn a_model_whose_nodes_are_decoded_before_is_the_encoded_one() {
        const PARTS: Parts = parts(SMALL);
        static NAMES: [u8; PARTS.names] = names(SMALL);
        static KEPT: KeptBytes<{ PARTS.kept }> = keep(SMALL);
        static BEHIND: [u8; PARTS.behind] = behind(SMALL);
        static NAMED: [Name<'_>; PARTS.nodes] = named(SMALL, &NAMES);
        static DECODED: DecodedFile<{ PARTS.nodes }, { PARTS.nodes + 1 }> = decode(SMALL, &KEPT);
        let checked = Model::parse(SMALL).unwrap();
        let mut buffers = DecodedBuffers::<8, 9>::new();
        let loaded = checked.decoded(&mut buffers).unwrap();
        for model in [trusted::<ALL_LINKS>(const { &beginning(SMALL) }, &BEHIND, DECODED.all(&NAMED)), loaded] {
            assert!(model.nodes().eq(checked.nodes()));
            assert_eq!((model.node_count(), model.step_count()), (checked.node_count(), checked.step_count()));
            assert_eq!(model.certificate(), checked.certificate());
            for tensor in 0..=checked.tensor_count() {
                assert_eq!(model.tensor(tensor), checked.tensor(tensor));
            }
        }
    }

    #[test]
    fn a_node_whose_operator_no_other_has_is_found() {
        let mut buffers = DecodedBuffers::<8, 9>::new();
        let all = Model::parse(SMALL).unwrap().decoded(&mut buffers).unwrap().decoded;
        for (index, op) in all.ops.iter().enumerate() {
            let only = all.only(op.kind()).unwrap();
            assert_eq!((only.index, only.op, only.output), (index, op, &all.tensors[index + 1]));
        }
        assert!(all.are_distinct() && all.only(OperatorKind::Softmax).is_none());
        let mut twice = all.ops.to_vec();
        twice[1] = twice[0];
        let mut stage = all.ops.to_vec();
        stage[1] = Op::PatchInput(PatchInput::default());
        for ops in [&*twice, &stage, &[]] {
            assert!(!Decoded { ops, ..all }.are_distinct());
        }
        assert!(Decoded { ops: &twice, ..all }.only(twice[0].kind()).is_none());
    }

    #[test]
    fn too_little_room_for_nodes_is_told() {
        let model = Model::parse(SMALL).unwrap();
        let needed = model.node_count();
        let error = model.decoded(&mut DecodedBuffers::<1, 9>::new()).unwrap_err();
        assert_eq!(error, RunError::TooManyNodes { needed, provided: 1 });
        let error = model.decoded(&mut DecodedBuffers::<8, 1>::new()).unwrap_err();
        assert_eq!(error, RunError::TooManyNodes { needed, provided: 0 });
    }

    #[test]
    fn a_trusted_model_that_is_none_is_refused() {
        let load = |bytes| Model::<ALL_LINKS>::parse_trusted(bytes).unwrap_err();
        assert_eq!(load(b"ELF"), LoadError::NotAModel);
        let nodes = SMALL.len() - Model::parse(SMALL).unwrap().nodes().rest().len();
        for len in 4..nodes {
            assert_eq!(load(&SMALL[..len]), LoadError::Malformed, "{len} bytes");
        }
        assert!(matches!(Model::<1>::parse_trusted(SMALL), Err(LoadError::NotLinked { .. })));
    }

    #[test]
    #[should_panic(expected = "checksum is wrong")]
    fn a_damaged_file_is_refused() {
        let mut bytes = SMALL.to_vec();
        bytes[60] ^= 1;
        let _ = needs(&bytes);
    }

    #[test]
    fn a_model_of_other_operators_is_not_loaded() {
        let error = Model::<1>::parse_linked(SMALL).unwrap_err();
        assert!(matches!(error, LoadError::NotLinked { missing } if missing & 1 == 0), "{error}");
    }
}
