//! Numbers and bytes as postcard writes them.

/// Bytes that were not read yet. Past their end, and of what is no value, it reads zeros and remembers that it failed: a
/// test behind the last field is smaller than one behind each.
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) failed: bool,
}

/// Longest encoding of 32 bits, seven in a byte.
const VARINT_BYTES: u32 = 5;

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, failed: false }
    }

    #[inline]
    pub(super) const fn u8(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    #[inline]
    pub(super) const fn i8(&mut self) -> i8 {
        self.u8().cast_signed()
    }

    #[inline]
    pub(crate) const fn array<const LEN: usize>(&mut self) -> [u8; LEN] {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                *bytes
            }
            None => self.fail([0; LEN]),
        }
    }

    pub(super) const fn fail<T: Copy>(&mut self, value: T) -> T {
        self.failed = true;
        value
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    #[inline(never)]
    pub(crate) const fn u32(&mut self) -> u32 {
        let first = self.u8();
        if first & 0x80 == 0 { first as u32 } else { self.long_varint(first) }
    }

    #[cold]
    const fn long_varint(&mut self, first: u8) -> u32 {
        let mut value = (first & 0x7f) as u32;
        let mut index = 1;
        while index < VARINT_BYTES {
            let byte = self.u8();
            if index == VARINT_BYTES - 1 && byte > 0xf {
                break;
            }
            value |= ((byte & 0x7f) as u32) << ((7 * index) & 31);
            if byte & 0x80 == 0 {
                return value;
            }
            index += 1;
        }
        self.fail(0)
    }

    /// A signed number: its sign in the lowest bit.
    pub(super) const fn i32(&mut self) -> i32 {
        let value = self.u32();
        (value >> 1).cast_signed() ^ (value & 1).wrapping_neg().cast_signed()
    }

    pub(crate) const fn u16(&mut self) -> u16 {
        let value = self.u32();
        if value > u16::MAX as u32 { self.fail(0) } else { value as u16 }
    }

    pub(super) const fn i16(&mut self) -> i16 {
        let value = self.i32();
        if value as i16 as i32 == value { value as i16 } else { self.fail(0) }
    }

    /// A length, and as many bytes.
    #[inline(never)]
    pub(crate) const fn bytes(&mut self) -> &'a [u8] {
        let len = self.u32() as usize;
        self.slice(len)
    }

    /// So many bytes.
    pub(crate) const fn slice(&mut self, len: usize) -> &'a [u8] {
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                bytes
            }
            None => self.fail(&[]),
        }
    }
}
