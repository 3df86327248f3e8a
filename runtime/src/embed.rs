//! Models that are part of a program: checked and sized while it is compiled.

use crc::{CRC_32_ISO_HDLC, Crc, Table};

use crate::Model;
use crate::format::{FORMAT_VERSION, HEADER_BYTES, MAGIC, NEEDS_BYTES, Needs, TENSOR_RECORD_BYTES};

/// Faster than the device's, and never on the device.
pub(crate) const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// Embeds a model file as a module of constants.
///
/// `include_model!(pub mod digits = "digits.stepshift");` makes a module `digits` with
/// - `BYTES`, the file, aligned to 16 bytes,
/// - `ARENA_BYTES`, what an arena for it needs,
/// - `LINKS`, the set of operators, elements and widths that it uses,
/// - `parse()`, a [`Model`](crate::Model) that links these alone: others cost no flash,
/// - `trusted()`, the same without the checks, which then take no flash either: those that can be made while compiling were,
///   and so is the model.
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
            pub const ARENA_BYTES: usize = NEEDS.arena_bytes as usize;

            /// The operators, elements and widths that the model uses.
            pub const LINKS: u64 = NEEDS.links;

            /// The model without checks on the device: its checksum was right while compiling, and the exporter
            /// parses what it writes. See [`Model::parse_trusted`]($crate::Model::parse_trusted).
            #[allow(dead_code, reason = "not every program needs it")]
            #[must_use]
            pub const fn trusted() -> $crate::Model<'static, LINKS> {
                const { $crate::embed::trusted(&FILE.0) }
            }

            /// The checked model.
            ///
            /// # Errors
            /// Where the model contradicts itself; the exporter writes none such.
            #[allow(dead_code, reason = "not every program needs it")]
            pub fn parse() -> Result<$crate::Model<'static, LINKS>, $crate::LoadError> {
                $crate::Model::parse_linked(BYTES)
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
    let (header, body) = bytes.split_at(HEADER_BYTES);
    let magic = u32::from_le_bytes(MAGIC);
    assert!(word(header, 0) == magic, "not a stepshift model: the file does not start with \"STSH\"");
    let version = u16::from_le_bytes([header[4], header[5]]);
    assert!(version == FORMAT_VERSION, "the model is of another format version: export it again");
    assert!(word(header, 6) == CRC.checksum(body), "the model's checksum is wrong: the file is corrupt or cut short");
    needs_of(body)
}

/// The model in a file, for [`include_model!`].
///
/// # Panics
/// While compiling, for a file that ends before its nodes.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub const fn trusted<const LINKS: u64>(bytes: &'static [u8]) -> Model<'static, LINKS> {
    let (header, body) = bytes.split_at(HEADER_BYTES);
    let (needs, body) = (needs_of(body), body.split_at(NEEDS_BYTES).1);
    let (tensor_count, body) = varint(body);
    let (tensors, body) = body.split_at(tensor_count * TENSOR_RECORD_BYTES);
    let (node_count, nodes) = varint(body);
    assert!(node_count <= u16::MAX as usize, "the model has too many nodes");
    Model { crc: word(header, 6), needs, tensors, nodes, node_count: node_count as u16 }
}

const fn needs_of(body: &[u8]) -> Needs {
    Needs { arena_bytes: word(body, 0), links: long(body, 4), operations: long(body, 12) }
}

/// A number as postcard writes it, and what is behind it.
const fn varint(bytes: &[u8]) -> (usize, &[u8]) {
    let (mut value, mut at) = (0, 0);
    while bytes[at] & 0x80 != 0 {
        value |= ((bytes[at] & 0x7f) as usize) << (7 * at);
        at += 1;
    }
    (value | (bytes[at] as usize) << (7 * at), bytes.split_at(at + 1).1)
}

const fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

const fn long(bytes: &[u8], at: usize) -> u64 {
    word(bytes, at) as u64 | (word(bytes, at + 4) as u64) << 32
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::needs;
    use crate::format::ALL_LINKS;
    use crate::{LoadError, Model};

    const SMALL: &[u8] = include_bytes!("../testdata/small.stepshift");

    #[test]
    fn constants_are_those_of_the_parsed_model() {
        let model = Model::parse(SMALL).unwrap();
        let found = needs(SMALL);
        assert_eq!((found.arena_bytes as usize, found.links), (model.arena_bytes(), model.links()));
    }

    #[test]
    fn a_trusted_model_is_the_checked_one() {
        let (trusted, checked) = (Model::<ALL_LINKS>::parse_trusted(SMALL).unwrap(), Model::parse(SMALL).unwrap());
        assert_eq!(format!("{trusted:?}"), format!("{checked:?}"));
        assert_eq!(format!("{:?}", super::trusted::<ALL_LINKS>(SMALL)), format!("{checked:?}"));
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
