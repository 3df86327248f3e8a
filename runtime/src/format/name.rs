//! Names of layers.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A layer's name in the trainer. The loader has checked that it is text.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "&'a str", into = "&'a str")]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// The bytes of a name, as they lie in a file: finding a node must not cost a look at all of its name.
    pub(crate) const fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes of the name.
    pub(crate) const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// True where the bytes are UTF-8.
    pub(crate) fn is_text(&self) -> bool {
        core::str::from_utf8(self.0).is_ok()
    }

    /// The name; empty where it is no text.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        core::str::from_utf8(self.0).unwrap_or_default()
    }
}

impl<'a> From<&'a str> for Name<'a> {
    fn from(name: &'a str) -> Self {
        Self(name.as_bytes())
    }
}

impl<'a> From<Name<'a>> for &'a str {
    fn from(name: Name<'a>) -> Self {
        name.as_str()
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
