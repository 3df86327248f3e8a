//! What is kept of a file whose nodes are decoded while a program is compiled: the bytes that they refer to.

use super::CODES_ALIGNMENT;

/// Slices that are laid one behind the other, in the order of the nodes.
pub(crate) struct Kept<'a, 't> {
    /// All of them; what is not there yet is not referred to.
    laid: &'a [u8],
    /// Where they are copied to, if they are.
    target: Option<&'t mut [u8]>,
    /// Behind the last one.
    end: usize,
}

impl<'a, 't> Kept<'a, 't> {
    /// Only to measure them.
    pub(crate) const fn measured() -> Self {
        Self { laid: &[], target: None, end: 0 }
    }

    /// To copy them.
    pub(crate) const fn copied_to(target: &'t mut [u8]) -> Self {
        Self { laid: &[], target: Some(target), end: 0 }
    }

    /// To refer to them where they were copied to.
    pub(crate) const fn laid(laid: &'a [u8]) -> Self {
        Self { laid, target: None, end: 0 }
    }

    /// Bytes so far.
    pub(crate) const fn len(&self) -> usize {
        self.end
    }

    /// Has the next slice begin where a core need not split its loads.
    pub(super) const fn align(&mut self) {
        self.end = self.end.next_multiple_of(CODES_ALIGNMENT);
    }

    /// The next slice.
    pub(super) const fn bytes(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.end;
        self.end += bytes.len();
        if let Some(target) = &mut self.target {
            target.split_at_mut(start).1.split_at_mut(bytes.len()).0.copy_from_slice(bytes);
        }
        match self.laid.split_at_checked(start) {
            Some((_, rest)) if rest.len() >= bytes.len() => rest.split_at(bytes.len()).0,
            _ => bytes,
        }
    }
}
