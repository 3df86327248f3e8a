//! Where the windows of a layer's pixels lie in its image.

use std::vec::Vec;

use super::image::Frame;
use crate::format::{Shape, Window};

/// Rows and columns from the first tap of a window to the first `columns` of each of its rows.
pub(super) fn taps(window: &Window, columns: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
    let Window { kernel_h, dilation_h, dilation_w, .. } = *window;
    let (dilation_h, dilation_w) = (usize::from(dilation_h), usize::from(dilation_w));
    (0..usize::from(kernel_h)).flat_map(move |ky| (0..columns).map(move |kx| (ky * dilation_h, kx * dilation_w)))
}

/// Kept from run to run, until one has an input or an output of another size, as patches of a layer have.
#[derive(Debug)]
pub(super) struct Layout {
    /// Rows and columns from a window's first code to each part of it.
    parts: Vec<(usize, usize)>,
    /// Pixels of a tile.
    tile: usize,
    run: Option<(Shape, Window, (usize, usize))>,
    frame: Frame,
    pixels: usize,
    places: Vec<usize>,
    starts: Vec<usize>,
}

impl Layout {
    /// Of windows whose parts begin at these rows and columns; to be placed by [`Self::take`].
    pub(super) fn new(parts: Vec<(usize, usize)>, tile: usize) -> Self {
        let frame = Frame::plain(Shape::default());
        Self { parts, tile, run: None, frame, pixels: 0, places: Vec::new(), starts: Vec::new() }
    }

    /// Of one window that covers a whole tensor.
    pub(super) fn whole(shape: Shape) -> Self {
        let (places, starts) = (std::vec![0], std::vec![0]);
        Self { parts: Vec::new(), tile: 1, run: None, frame: Frame::plain(shape), pixels: 1, places, starts }
    }

    /// Where the windows of an output of `size`, rows and columns, lie from now on. As [`Frame::new`].
    pub(super) fn take(&mut self, shape: Shape, window: &Window, size: (usize, usize), zero: i16) -> Option<&Frame> {
        let run = Some((shape, *window, size));
        if self.run != run {
            let frame = Frame::new(shape, window, size, zero)?;
            let (stride_h, stride_w) = (usize::from(window.stride_h), usize::from(window.stride_w));
            let pixels = (0..size.0).flat_map(|y| (0..size.1).map(move |x| (y * stride_h, x * stride_w)));
            self.places = pixels.map(|(y, x)| frame.place(y, x)).collect();
            // The last one stands again until there are whole tiles.
            let last = self.places.last().copied().unwrap_or(0);
            self.pixels = self.places.len();
            self.places.resize(self.pixels.next_multiple_of(self.tile), last);
            self.starts = self.parts.iter().map(|(y, x)| frame.place(*y, *x)).collect();
            (self.frame, self.run) = (frame, run);
        }
        Some(&self.frame)
    }

    /// What the image of the layer's input is.
    pub(super) const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Number of pixels.
    pub(super) const fn pixels(&self) -> usize {
        self.pixels
    }

    /// Where the pixels' windows begin, row by row, in tiles of one pixel or of as many as they are for.
    pub(super) fn tiles<const P: usize>(&self) -> &[[usize; P]] {
        self.places.as_chunks().0.get(..self.pixels.div_ceil(P)).unwrap_or_default()
    }

    /// Where the parts of a window begin, counted from its first code.
    #[inline(always)]
    pub(super) fn starts(&self) -> &[usize] {
        &self.starts
    }
}
