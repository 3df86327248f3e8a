//! Checksums: of a model file, and of a layer's output in golden vectors.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

use crate::codes::Codes;

/// Computed bit by bit: a table would cost a KiB of flash.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// CRC-32 (ISO HDLC, as in zlib) of bytes.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// CRC-32 of a tensor's codes, as they lie in the arena.
#[must_use]
pub fn digest(codes: Codes<'_>) -> u32 {
    crc32(codes.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value that the catalogue of CRC algorithms gives for "123456789".
    #[test]
    fn crc_is_the_catalogued_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(digest(Codes::from_i8(&[-1, 0, 1])), crc32(&[0xff, 0, 1]));
    }
}
