//! Front ends that are part of a program: checked and sized while it is compiled.

use super::file::{FRONT_END_MAGIC, FRONT_END_VERSION, FrontEndNeeds, NEEDS_BYTES};
use crate::embed::CRC;
use crate::format::HEADER_BYTES;

/// Embeds a front end's file as a module of constants.
///
/// `include_front_end!(mod speech = "front-end.stepshift");` makes a module `speech` with
/// - `BYTES`, the file,
/// - `FRAME_LEN`, samples in a frame; `SCRATCH_LEN`, words of scratch memory; `FEATURES`, features of a row,
/// - `parse()`, the checked [`FrontEnd`](crate::front_end::FrontEnd).
///
/// A file that is none, of another version, or damaged, does not compile:
///
/// ```compile_fail
/// stepshift_runtime::include_front_end!(mod bad = "../Cargo.toml");
/// ```
#[macro_export]
macro_rules! include_front_end {
    ($visibility:vis mod $name:ident = $path:expr) => {
        #[doc = concat!("The front end `", $path, "`.")]
        #[allow(dead_code, reason = "not every program needs all of it")]
        $visibility mod $name {
            /// The file.
            pub static BYTES: &[u8] = include_bytes!($path);

            const NEEDS: $crate::front_end::FrontEndNeeds = $crate::front_end::needs(include_bytes!($path));

            /// Samples in a frame.
            pub const FRAME_LEN: usize = NEEDS.frame_len as usize;

            /// Words of scratch memory that a frame needs.
            pub const SCRATCH_LEN: usize = NEEDS.scratch_len as usize;

            /// Features of a frame.
            pub const FEATURES: usize = NEEDS.feature_count as usize;

            /// The checked front end.
            ///
            /// # Errors
            /// Where the file contradicts itself; the trainer writes none such.
            pub fn parse() -> Result<$crate::front_end::FrontEnd<'static>, $crate::front_end::FrontEndError> {
                $crate::front_end::FrontEnd::parse(BYTES)
            }
        }
    };
}

/// What a file needs, for [`include_front_end!`].
///
/// # Panics
/// While compiling, for a file that is no front end, of another version, or damaged.
#[doc(hidden)]
#[must_use]
pub const fn needs(bytes: &[u8]) -> FrontEndNeeds {
    assert!(bytes.len() >= HEADER_BYTES + NEEDS_BYTES, "the file is too short for a stepshift front end");
    let (header, body) = bytes.split_at(HEADER_BYTES);
    let magic = u32::from_le_bytes(FRONT_END_MAGIC);
    assert!(half(header, 0) as u32 | (half(header, 2) as u32) << 16 == magic, "not a stepshift front end");
    assert!(half(header, 4) == FRONT_END_VERSION, "the front end is of another version: write it again");
    let crc = half(header, 6) as u32 | (half(header, 8) as u32) << 16;
    assert!(crc == CRC.checksum(body), "the front end's checksum is wrong: the file is corrupt or cut short");
    FrontEndNeeds { frame_len: half(body, 0), scratch_len: half(body, 2), feature_count: half(body, 4) }
}

const fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
