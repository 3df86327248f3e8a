//! Buses that answer as a sensor would, from a recording.

mod images;
mod motion;
mod sound;

pub use images::RecordedImages;
pub use motion::{RecordedMotion, Recording};
pub use sound::RecordedSound;

use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};

/// What a bus says where nothing answers: another address, or the end of the recording.
const NOBODY: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
