//! Layers in Rust: a method for each key of a config.

use crate::layer_config::{LayerConfig, OpName, Pair, Sides};

impl LayerConfig {
    /// A layer that reads the one before.
    #[must_use]
    pub fn new(name: impl Into<String>, op: OpName) -> Self {
        Self { name: name.into(), op, ..Self::default() }
    }

    /// Reads other layers than the one before.
    #[must_use]
    pub fn reads<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { inputs: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    /// Output channels.
    #[must_use]
    pub fn out_ch(self, out_ch: u16) -> Self {
        Self { out_ch: Some(out_ch), ..self }
    }

    /// Rows and columns of the window.
    #[must_use]
    pub fn kernel(self, h: u8, w: u8) -> Self {
        Self { kernel: Some(Pair::Each([h, w])), ..self }
    }

    /// Rows and columns from one output to the next.
    #[must_use]
    pub fn stride(self, h: u8, w: u8) -> Self {
        Self { stride: Some(Pair::Each([h, w])), ..self }
    }

    /// Zeros at top, bottom, left, right.
    #[must_use]
    pub fn padding(self, sides: [u8; 4]) -> Self {
        Self { padding: Some(Sides::Each(sides)), ..self }
    }

    /// As many zeros as keep rows and columns at a stride of 1; those of an even kernel are fewer at top and left.
    #[must_use]
    pub fn same_padding(self) -> Self {
        let [h, w] = match self.kernel {
            Some(Pair::Each(kernel)) => kernel,
            Some(Pair::Both(both)) => [both, both],
            None => [1, 1],
        };
        let (h, w) = (h.saturating_sub(1), w.saturating_sub(1));
        self.padding([h / 2, h - h / 2, w / 2, w - w / 2])
    }

    /// Units of a recurrent layer.
    #[must_use]
    pub fn units(self, units: u16) -> Self {
        Self { units: Some(units), ..self }
    }

    /// Slope of a leaky ReLU.
    #[must_use]
    pub fn negative_slope(self, slope: f64) -> Self {
        Self { slope: Some(slope), ..self }
    }

    /// Normalizes while training in float.
    #[must_use]
    pub fn batch_norm(self) -> Self {
        Self { batch_norm: Some(true), ..self }
    }

    /// ReLU at the end.
    #[must_use]
    pub fn relu(self) -> Self {
        Self { relu: Some(true), ..self }
    }

    /// ReLU6 at the end.
    #[must_use]
    pub fn relu6(self) -> Self {
        Self { relu6: Some(true), ..self }
    }
}
