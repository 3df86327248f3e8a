//! What a device and its host say to one another: words of 32 bits, little-endian, over any stream of bytes.
//!
//! The device begins with a [`Hello`]. Then each [`Request`] of the host is followed by the codes of an input, and
//! answered: [`Request::Infer`] by a digest for every step, a run of one node, then the class and the ticks of the inference;
//! [`Request::Ticks`] in the same way, with the ticks of every step in the digests' place; [`Request::Codes`] by a number of
//! bytes and the codes that one step wrote. [`Request::End`] has no answer.

/// First word of every [`Hello`]: `STEP`.
const MAGIC: u32 = u32::from_le_bytes(*b"STEP");

/// Version of what this module describes.
const PROTOCOL: u32 = 2;

/// Bytes of a [`Hello`].
pub const HELLO_BYTES: usize = 36;

/// Bytes of a [`Request`].
pub const REQUEST_BYTES: usize = 8;

/// Words behind those of the steps: the class and the ticks of the inference.
pub const RESULT_WORDS: usize = 2;

/// What a device is and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Version of the model format that the firmware reads.
    pub format_version: u32,
    /// Why there is no session; the words behind it are 0 then.
    pub fault: Option<Fault>,
    /// [`stepshift_runtime::Model::crc`].
    pub model_crc: u32,
    /// Nodes of the model.
    pub node_count: u32,
    /// Bytes of an input.
    pub input_bytes: u32,
}

/// Why a device has no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The model's region of flash holds none.
    NoModel,
    /// The model is of another version of the format.
    Version {
        /// Version of the model.
        found: u32,
        /// Version that the firmware reads.
        supported: u32,
    },
    /// The loader refuses the model; the log says why.
    Refused,
    /// The arena is too small.
    Arena {
        /// Bytes that the model needs.
        needed: u32,
        /// Bytes that the board has.
        provided: u32,
    },
    /// The self-test gave other bits than training.
    SelfTest {
        /// The first node that did.
        node: u32,
    },
}

/// Why bytes are no [`Hello`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloError {
    /// They do not begin with its magic number.
    NotADevice,
    /// The firmware speaks another version of this protocol.
    Protocol {
        /// Version that the firmware speaks.
        found: u32,
        /// Version of this crate.
        supported: u32,
    },
}

/// What a host asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Run the input that follows: a digest of every step.
    Infer,
    /// Run the input that follows: the codes of one step.
    Codes {
        /// Its index.
        step: u32,
    },
    /// Run the input that follows: the ticks of every step, cycles where the core counts them.
    Ticks,
    /// No more requests.
    End,
}

impl Hello {
    /// As it is sent.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HELLO_BYTES] {
        let [kind, a, b] = self.fault.map_or([0; 3], Fault::words);
        let words =
            [MAGIC, PROTOCOL, self.format_version, kind, a, b, self.model_crc, self.node_count, self.input_bytes];
        let mut bytes = [0; HELLO_BYTES];
        for (target, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *target = word.to_le_bytes();
        }
        bytes
    }

    /// As it was received.
    ///
    /// # Errors
    /// [`HelloError`] for another protocol.
    pub fn from_bytes(bytes: &[u8; HELLO_BYTES]) -> Result<Self, HelloError> {
        let mut words = [0; HELLO_BYTES / 4];
        for (target, word) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *target = u32::from_le_bytes(*word);
        }
        let [magic, found, format_version, kind, a, b, model_crc, node_count, input_bytes] = words;
        if magic != MAGIC {
            return Err(HelloError::NotADevice);
        }
        if found != PROTOCOL {
            return Err(HelloError::Protocol { found, supported: PROTOCOL });
        }
        Ok(Self { format_version, fault: Fault::from_words([kind, a, b]), model_crc, node_count, input_bytes })
    }
}

impl Fault {
    const fn words(self) -> [u32; 3] {
        match self {
            Self::NoModel => [1, 0, 0],
            Self::Version { found, supported } => [2, found, supported],
            Self::Refused => [3, 0, 0],
            Self::Arena { needed, provided } => [4, needed, provided],
            Self::SelfTest { node } => [5, node, 0],
        }
    }

    const fn from_words(words: [u32; 3]) -> Option<Self> {
        match words {
            [0, ..] => None,
            [1, ..] => Some(Self::NoModel),
            [2, found, supported] => Some(Self::Version { found, supported }),
            [4, needed, provided] => Some(Self::Arena { needed, provided }),
            [5, node, _] => Some(Self::SelfTest { node }),
            _ => Some(Self::Refused),
        }
    }
}

impl Request {
    /// As it is sent.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; REQUEST_BYTES] {
        let (kind, step) = match self {
            Self::Infer => (1, 0),
            Self::Codes { step } => (2, step),
            Self::End => (3_u32, 0_u32),
            Self::Ticks => (4, 0),
        };
        ((step as u64) << 32 | kind as u64).to_le_bytes()
    }

    /// As it was received; `None` for what is no request.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; REQUEST_BYTES]) -> Option<Self> {
        let word = u64::from_le_bytes(bytes);
        match word as u32 {
            1 => Some(Self::Infer),
            2 => Some(Self::Codes { step: (word >> 32) as u32 }),
            3 => Some(Self::End),
            4 => Some(Self::Ticks),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() {
        let faults = [
            None,
            Some(Fault::NoModel),
            Some(Fault::Version { found: 2, supported: 3 }),
            Some(Fault::Refused),
            Some(Fault::Arena { needed: 5000, provided: 4000 }),
            Some(Fault::SelfTest { node: 7 }),
        ];
        for fault in faults {
            let hello = Hello { format_version: 3, fault, model_crc: 0xdead_beef, node_count: 12, input_bytes: 784 };
            assert_eq!(Hello::from_bytes(&hello.to_bytes()), Ok(hello));
        }
        for request in [Request::Infer, Request::Codes { step: 9 }, Request::Ticks, Request::End] {
            assert_eq!(Request::from_bytes(request.to_bytes()), Some(request));
        }
    }

    #[test]
    fn another_protocol_is_refused() {
        let hello = Hello { format_version: 3, fault: None, model_crc: 1, node_count: 1, input_bytes: 1 };
        let mut bytes = hello.to_bytes();
        bytes[4] = 9;
        assert_eq!(Hello::from_bytes(&bytes), Err(HelloError::Protocol { found: 9, supported: PROTOCOL }));
        assert_eq!(Hello::from_bytes(&[0; HELLO_BYTES]), Err(HelloError::NotADevice));
    }
}
