//! Which codes a width has. Spec 1.3.

use stepshift_runtime::format::{Element, WeightBits};

/// Least and greatest code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRange {
    /// Least code.
    pub lo: i32,
    /// Greatest code.
    pub hi: i32,
}

impl CodeRange {
    /// Weights: as far down as up.
    #[must_use]
    pub const fn narrow(bits: u8) -> Self {
        let hi = (1 << (bits - 1)) - 1;
        Self { lo: -hi, hi }
    }

    /// Activations.
    #[must_use]
    pub const fn signed(bits: u8) -> Self {
        Self { lo: -(1 << (bits - 1)), hi: (1 << (bits - 1)) - 1 }
    }

    /// Activations behind a ReLU.
    #[must_use]
    pub const fn unsigned(bits: u8) -> Self {
        Self { lo: 0, hi: (1 << bits) - 1 }
    }

    /// The smallest element that holds these codes; `None` for unsigned codes of 16 bits.
    #[must_use]
    pub fn element(self) -> Option<Element> {
        let holds = |element: &Element| i32::from(element.min()) <= self.lo && self.hi <= i32::from(element.max());
        Element::ALL.into_iter().find(holds)
    }
}

/// The width in which weights of a number of bits are stored: the next that the runtime has.
#[must_use]
pub fn stored(bits: u8) -> WeightBits {
    let holds = |width: &WeightBits| width.bits() >= u32::from(bits);
    WeightBits::ALL.into_iter().find(holds).unwrap_or(WeightBits::Sixteen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defect 1 of nics_fix: its clamp lets the code `2^(b-1)` through.
    #[test]
    fn no_width_has_the_code_behind_its_greatest() {
        for bits in 2..=16 {
            let half = 1 << (bits - 1);
            assert_eq!(CodeRange::narrow(bits), CodeRange { lo: 1 - half, hi: half - 1 });
            assert_eq!(CodeRange::signed(bits), CodeRange { lo: -half, hi: half - 1 });
            assert_eq!(CodeRange::unsigned(bits), CodeRange { lo: 0, hi: 2 * half - 1 });
        }
    }

    #[test]
    fn codes_lie_in_the_smallest_element_that_holds_them() {
        let element = |codes: CodeRange| codes.element();
        assert_eq!(element(CodeRange::signed(8)), Some(Element::I8));
        assert_eq!(element(CodeRange::signed(9)), Some(Element::I16));
        assert_eq!(element(CodeRange::unsigned(7)), Some(Element::I8));
        assert_eq!(element(CodeRange::unsigned(8)), Some(Element::U8));
        assert_eq!(element(CodeRange::unsigned(15)), Some(Element::I16));
        assert_eq!(element(CodeRange::unsigned(16)), None);
        assert_eq!([2, 3, 4, 5, 8, 9, 16].map(|bits| stored(bits).bits()), [2, 4, 4, 8, 8, 16, 16]);
    }
}
