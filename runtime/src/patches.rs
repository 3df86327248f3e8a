//! Stages that run patch by patch: which part of every tensor a patch needs. Spec 4.24.
//!
//! The first layers of a network have its largest tensors. A stage computes its output a patch at a time, so that of what
//! lies between only the part under one patch is in the arena (Lin et al. 2021, MCUNetV2, section 3.1). Neighbouring
//! patches overlap in what they are computed from; that is computed again.

use crate::format::Window;

/// Most nodes of a stage, its ends included.
pub const MAX_STAGE_NODES: usize = 12;

/// Most patches of a stage.
pub const MAX_PATCHES: u32 = 256;

/// Rows and columns of a tensor from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Region {
    /// First row.
    pub y: u16,
    /// First column.
    pub x: u16,
    /// Rows.
    pub h: u16,
    /// Columns.
    pub w: u16,
}

/// A part of each tensor of a stage, in their order.
pub type Regions = heapless::Vec<Region, { MAX_STAGE_NODES - 1 }>;

/// How a node of a stage reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StageNode {
    /// Tensors of the stage: 0 is the part of the stage's input, `i + 1` what node `i` writes. Twice the same for one.
    pub inputs: [u8; 2],
    /// What slides over the first of them; none for a node that works on each code by itself.
    pub window: Option<Window>,
}

/// The nodes of a stage between its ends, and its patches.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stage {
    nodes: heapless::Vec<StageNode, { MAX_STAGE_NODES - 2 }>,
    /// Rows and columns of each tensor, were it whole.
    sizes: heapless::Vec<(u16, u16), { MAX_STAGE_NODES - 1 }>,
    rows: u16,
    columns: u16,
}

/// Bytes of a [`Region`] in the arena.
const REGION_BYTES: usize = 8;

/// Bytes of a region of each tensor of a stage.
pub(crate) const REGIONS_BYTES: usize = (MAX_STAGE_NODES - 1) * REGION_BYTES;

/// Bytes of where in a stage a session is.
pub(crate) const PROGRESS_BYTES: usize = 12;

/// What a model with stages takes of the arena behind its tensors: a region of each tensor of a stage, and where in it a session is.
pub const STAGE_BYTES: usize = REGIONS_BYTES + PROGRESS_BYTES;

impl Region {
    pub(crate) fn from_bytes(bytes: &[u8; REGION_BYTES]) -> Self {
        let [y, x, h, w] = bytemuck::must_cast::<_, [[u8; 2]; 4]>(*bytes).map(u16::from_le_bytes);
        Self { y, x, h, w }
    }

    pub(crate) fn to_bytes(self) -> [u8; REGION_BYTES] {
        bytemuck::must_cast([self.y, self.x, self.h, self.w].map(u16::to_le_bytes))
    }

    /// What is in both.
    fn and(self, other: Self) -> Self {
        let ((y, h), (x, w)) = (meet((self.y, self.h), (other.y, other.h)), meet((self.x, self.w), (other.x, other.w)));
        Self { y, x, h, w }
    }

    /// The least that holds both.
    fn with(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        let ((y, h), (x, w)) = (join((self.y, self.h), (other.y, other.h)), join((self.x, self.w), (other.x, other.w)));
        Self { y, x, h, w }
    }

    /// True where there is no row or no column.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.h == 0 || self.w == 0
    }

    /// What a node reads to write this, out of what there is of its input.
    #[must_use]
    pub fn read_through(self, window: Option<&Window>, of: Self) -> Self {
        let Some(window) = window else { return self.and(of) };
        let rows = reach((self.y, self.h), window.kernel_h, window.stride_h, window.dilation_h, window.pad_top);
        let columns = reach((self.x, self.w), window.kernel_w, window.stride_w, window.dilation_w, window.pad_left);
        let (y, h) = within(rows, (of.y, of.h));
        let (x, w) = within(columns, (of.x, of.w));
        Self { y, x, h, w }
    }

    /// The window by which a node writes this from what it reads: its padding is what `read_through` cut off.
    #[must_use]
    pub fn window_over(self, window: &Window, input: Self) -> Window {
        let rows = reach((self.y, self.h), window.kernel_h, window.stride_h, window.dilation_h, window.pad_top);
        let columns = reach((self.x, self.w), window.kernel_w, window.stride_w, window.dilation_w, window.pad_left);
        let (pad_top, pad_bottom) = cut_off(rows, (input.y, input.h));
        let (pad_left, pad_right) = cut_off(columns, (input.x, input.w));
        Window { pad_top, pad_bottom, pad_left, pad_right, ..*window }
    }
}

impl Stage {
    /// Steps that so many patches add to one for each node: all nodes but the last run once a patch.
    #[must_use]
    pub(crate) fn further_steps(&self, patches: u32) -> u32 {
        patches.saturating_sub(1).saturating_mul(self.nodes.len() as u32 + 1)
    }

    /// A stage without nodes yet.
    ///
    /// input  rows and columns of the tensor that it reads
    /// patch  rows and columns of a patch
    #[must_use]
    pub fn new(input: (u16, u16), patch: (u16, u16)) -> Self {
        let mut sizes = heapless::Vec::new();
        let _ = sizes.push(input);
        Self { nodes: heapless::Vec::new(), sizes, rows: patch.0, columns: patch.1 }
    }

    /// Adds a node behind the others.
    ///
    /// `None` where it reads what is not there, its window does not fit, its operands are not of one size, or a stage has
    /// no room for it.
    #[must_use]
    pub fn push(&mut self, node: StageNode) -> Option<()> {
        let size = |tensor: u8| self.sizes.get(usize::from(tensor)).copied();
        let [(h, w), second] = [size(node.inputs[0])?, size(node.inputs[1])?];
        if (h, w) != second {
            return None;
        }
        let size = node.window.map_or(Some((h, w)), |window| window.output_size(h, w))?;
        self.nodes.push(node).ok()?;
        self.sizes.push(size).ok()
    }

    /// Rows and columns of a tensor of the stage, were it whole.
    #[must_use]
    pub fn size(&self, tensor: usize) -> Option<(u16, u16)> {
        self.sizes.get(tensor).copied()
    }

    /// The nodes between the ends.
    #[must_use]
    pub fn nodes(&self) -> &[StageNode] {
        &self.nodes
    }

    /// Rows and columns of patches; none where a patch has no code.
    #[must_use]
    pub fn grid(&self) -> Option<(u16, u16)> {
        let (h, w) = self.sizes.last().copied()?;
        let count = |len: u16, of: u16| Some(len.checked_div(of)? + u16::from(len.checked_rem(of)? > 0));
        Some((count(h, self.rows)?, count(w, self.columns)?))
    }

    /// Number of patches; none where a patch has no code.
    #[must_use]
    pub fn patches(&self) -> Option<u32> {
        let (down, across) = self.grid()?;
        Some(u32::from(down) * u32::from(across))
    }

    /// The part of every tensor that a patch needs; that of the last one is the patch.
    #[must_use]
    pub fn regions(&self, patch: u32) -> Option<Regions> {
        let (_, across) = self.grid()?;
        let (row, column) = (patch.checked_div(across.into())?, patch.checked_rem(across.into())?);
        let whole = |(h, w): (u16, u16)| Region { y: 0, x: 0, h, w };
        let start = |index: u32, len: u16| u16::try_from(index * u32::from(len)).ok();
        let place =
            Region { y: start(row, self.rows)?, x: start(column, self.columns)?, h: self.rows, w: self.columns };
        let mut regions = Regions::new();
        regions.resize_default(self.sizes.len()).ok()?;
        *regions.last_mut()? = place.and(whole(*self.sizes.last()?));
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let written = *regions.get(index + 1)?;
            for input in node.inputs.map(usize::from) {
                let needed = written.read_through(node.window.as_ref(), whole(self.size(input)?));
                let region = regions.get_mut(input)?;
                *region = region.with(needed);
            }
        }
        Some(regions)
    }
}

/// First entry and one behind the last that a window of an axis meets for `len` outputs from `start` on, padding included.
fn reach((start, len): (u16, u16), kernel: u8, stride: u8, dilation: u8, pad: u8) -> (i32, i32) {
    let (start, len, stride) = (i32::from(start), i32::from(len), i32::from(stride));
    let first = start * stride - i32::from(pad);
    let span = (i32::from(kernel) - 1) * i32::from(dilation) + 1;
    (first, first + (len - 1) * stride + span)
}

/// What of a reach lies in a range, as start and length.
fn within((first, end): (i32, i32), (start, len): (u16, u16)) -> (u16, u16) {
    let (from, to) = (first.max(start.into()), end.min(i32::from(start) + i32::from(len)));
    let narrow = |value: i32| u16::try_from(value.max(0)).unwrap_or(u16::MAX);
    (narrow(from), narrow(to - from))
}

/// Entries of a reach before and behind a range.
fn cut_off((first, end): (i32, i32), (start, len): (u16, u16)) -> (u8, u8) {
    let narrow = |value: i32| u8::try_from(value.max(0)).unwrap_or(u8::MAX);
    (narrow(i32::from(start) - first), narrow(end - i32::from(start) - i32::from(len)))
}

fn meet((a, a_len): (u16, u16), (b, b_len): (u16, u16)) -> (u16, u16) {
    let (start, end) = (a.max(b), a.saturating_add(a_len).min(b.saturating_add(b_len)));
    (start, end.saturating_sub(start))
}

fn join((a, a_len): (u16, u16), (b, b_len): (u16, u16)) -> (u16, u16) {
    let (start, end) = (a.min(b), a.saturating_add(a_len).max(b.saturating_add(b_len)));
    (start, end - start)
}
