//! A model in a region of flash of its own: a header of 16 bytes, then the file.

/// Bytes in front of the file; the file is aligned as the region is.
pub const SLOT_HEADER_BYTES: usize = 16;

/// First bytes of a region that holds a model; erased flash has none.
const MAGIC: [u8; 4] = *b"SLOT";

/// The header of a file of `len` bytes.
#[must_use]
pub fn slot_header(len: u32) -> [u8; SLOT_HEADER_BYTES] {
    let mut header = [0xff; SLOT_HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&len.to_le_bytes());
    header
}

/// The file in a region; `None` where there is none, or where it would be longer than the region.
#[must_use]
pub fn slot_file(region: &[u8]) -> Option<&[u8]> {
    let (header, rest) = region.split_first_chunk::<SLOT_HEADER_BYTES>()?;
    let (magic, header) = header.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*header.first_chunk()?);
    (*magic == MAGIC).then_some(rest.get(..len as usize)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn region(len: u32) -> Vec<u8> {
        [&slot_header(len)[..], &[1, 2, 3, 0xff]].concat()
    }

    #[test]
    fn the_file_is_found_behind_its_header() {
        assert_eq!(slot_file(&region(3)), Some(&[1, 2, 3][..]));
    }

    #[test]
    fn erased_flash_and_a_length_past_the_region_hold_no_file() {
        assert_eq!(slot_file(&[0xff; 64]), None);
        assert_eq!(slot_file(&region(5)), None);
        assert_eq!(slot_file(&[]), None);
    }
}
