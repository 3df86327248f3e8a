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
    pub(super) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    #[inline]
    pub(crate) fn array<const LEN: usize>(&mut self) -> [u8; LEN] {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                *bytes
            }
            None => self.fail([0; LEN]),
        }
    }

    pub(super) fn fail<T>(&mut self, value: T) -> T {
        self.failed = true;
        value
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    #[inline(never)]
    pub(crate) fn varint(&mut self) -> u32 {
        let first = self.byte();
        if first & 0x80 == 0 { first.into() } else { self.long_varint(first) }
    }

    #[cold]
    fn long_varint(&mut self, first: u8) -> u32 {
        let mut value = u32::from(first & 0x7f);
        for index in 1..VARINT_BYTES {
            let byte = self.byte();
            if index == VARINT_BYTES - 1 && byte > 0xf {
                break;
            }
            value |= u32::from(byte & 0x7f) << ((7 * index) & 31);
            if byte & 0x80 == 0 {
                return value;
            }
        }
        self.fail(0)
    }

    /// A signed number: its sign in the lowest bit.
    pub(super) fn zigzag(&mut self) -> i32 {
        let value = self.varint();
        (value >> 1).cast_signed() ^ (value & 1).wrapping_neg().cast_signed()
    }

    /// A number that fits a narrower type.
    pub(super) fn narrow<T: TryFrom<V> + Default, V>(&mut self, value: V) -> T {
        T::try_from(value).unwrap_or_else(|_| self.fail(T::default()))
    }

    /// A length, and as many bytes.
    #[inline(never)]
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let len = self.varint() as usize;
        self.slice(len)
    }

    /// So many bytes.
    pub(crate) fn slice(&mut self, len: usize) -> &'a [u8] {
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                bytes
            }
            None => self.fail(&[]),
        }
    }
}
