//! Sizes of a firmware, from its sections.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use capstone::prelude::*;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

/// The section that holds the model, apart from code.
const MODEL_SECTION: &str = ".stepshift_model";

/// The section that the core starts from.
const VECTOR_TABLE: &str = ".vector_table";

/// Bytes of a firmware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// The vector table, as long as the core has interrupts.
    pub(crate) vector_table: u64,
    /// Instructions.
    pub(crate) code: u64,
    /// Constants of the code.
    pub(crate) constants: u64,
    /// The model file.
    pub(crate) model: u64,
    /// Variables, in RAM.
    pub(crate) variables: u64,
}

impl Sizes {
    /// Everything that flash holds.
    pub(crate) const fn flash(self) -> u64 {
        self.code_and_constants() + self.model
    }

    /// Everything that flash holds but the model.
    pub(crate) const fn code_and_constants(self) -> u64 {
        self.vector_table + self.code + self.constants
    }
}

/// Adds up the sections that flash holds.
pub(crate) fn sizes(path: &Path) -> Result<Sizes> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    let mut sizes = Sizes::default();
    for section in file.sections() {
        let (name, kind) = (section.name()?, section.kind());
        if matches!(kind, SectionKind::Data | SectionKind::UninitializedData) {
            sizes.variables += section.size();
        }
        let part = match kind {
            _ if name == MODEL_SECTION => &mut sizes.model,
            _ if name == VECTOR_TABLE => &mut sizes.vector_table,
            SectionKind::Text => &mut sizes.code,
            // Initial values of variables lie in flash too.
            SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::Data => &mut sizes.constants,
            _ => continue,
        };
        *part += section.size();
    }
    Ok(sizes)
}

/// A disassembler of Thumb instructions, those of the M profile among them.
pub(crate) fn disassembler() -> Result<Capstone> {
    let m_class = [arch::arm::ArchExtraMode::MClass].into_iter();
    Ok(Capstone::new().arm().mode(arch::arm::ArchMode::Thumb).extra_mode(m_class).build()?)
}

/// Stretches of instructions, between the mapping symbols `$t` and `$d` (ELF for the Arm Architecture, 5.5.5).
pub(crate) fn code_ranges<'a>(
    file: &object::File<'a>,
    section: &object::Section<'a, '_>,
) -> Result<Vec<(u64, &'a [u8])>> {
    let (start, end) = (section.address(), section.address() + section.size());
    let mut marks: Vec<(u64, bool)> = file
        .symbols()
        .filter(|symbol| symbol.section_index() == Some(section.index()))
        .filter_map(|symbol| {
            let name = symbol.name().ok()?;
            let is_code = name.starts_with("$t");
            (is_code || name.starts_with("$d")).then_some((symbol.address(), is_code))
        })
        .collect();
    marks.sort_unstable();
    ensure!(start == end || !marks.is_empty(), "there are no mapping symbols that tell code from data");
    let data = section.data()?;
    let ends = marks.iter().skip(1).map(|mark| mark.0).chain([end]);
    let ranges = marks.iter().zip(ends).filter(|((_, is_code), _)| *is_code);
    Ok(ranges.map(|((from, _), to)| (*from, &data[(from - start) as usize..(to - start) as usize])).collect())
}
