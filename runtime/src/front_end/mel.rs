//! Energies of mel channels: triangles over the spectrum. Spec 5.

use super::FILTER_BITS;
use super::fft::energy;
use super::file::FrontEndFile;

/// Visits the energy of every channel, in order.
///
/// spectrum  `[N / 2]`, transformed
///
/// Between two edges one triangle falls and the next one rises: a bin is computed once and shared by both.
pub(super) fn energies(file: &FrontEndFile<'_>, spectrum: &[[i32; 2]], mut visit: impl FnMut(usize, u64)) {
    let (edges, _) = file.edges.as_chunks::<2>();
    let (rises, _) = file.rises.as_chunks::<2>();
    let edges = edges.iter().map(|bytes| usize::from(u16::from_le_bytes(*bytes)));
    let mut rises = rises.iter().map(|bytes| u64::from(u16::from_le_bytes(*bytes)));
    let mut risen = 0;
    for (segment, (start, end)) in edges.clone().zip(edges.skip(1)).enumerate() {
        let (mut rising, mut falling) = (0, risen);
        for (bin, rise) in (start..end).zip(&mut rises) {
            let energy = energy(file, spectrum, bin);
            rising += rise * energy;
            falling += (1_u64 << FILTER_BITS).saturating_sub(rise) * energy;
        }
        if let Some(channel) = segment.checked_sub(1) {
            visit(channel, falling);
        }
        risen = rising;
    }
}
