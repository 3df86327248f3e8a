//! Proves by disassembly that firmware holds no floating-point arithmetic.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::elf;

/// Beginnings of the names of soft-float routines: those of the Arm run-time ABI, and of compiler-rt.
const ROUTINES: [&str; 8] =
    ["__aeabi_f", "__aeabi_d", "__aeabi_i2", "__aeabi_ui2", "__aeabi_l2", "__aeabi_ul2", "__float", "__fix"];

/// What a disassembly saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Instructions, none of them of the floating-point unit.
    pub(crate) instructions: usize,
}

/// Disassembles every instruction of an Armv7E-M program.
///
/// # Errors
/// Names the first floating-point instruction or routine, and its address.
pub(crate) fn check(path: &Path) -> Result<Seen> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    for symbol in file.symbols() {
        let name = symbol.name().unwrap_or_default();
        let integer_only = name.starts_with("__aeabi_idiv") || name.starts_with("__aeabi_uidiv");
        ensure!(
            integer_only || !ROUTINES.iter().any(|routine| name.starts_with(routine)),
            "{} links the floating-point routine {name}",
            path.display()
        );
    }
    let mut instructions = 0;
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        for (address, code) in elf::code_ranges(&file, &section)? {
            instructions += check_range(address, code)
                .with_context(|| format!("{}, section {}", path.display(), section.name().unwrap_or_default()))?;
        }
    }
    ensure!(instructions > 1000, "{}: only {instructions} instructions were seen", path.display());
    Ok(Seen { instructions })
}

fn check_range(address: u64, code: &[u8]) -> Result<usize> {
    let disassembler = elf::disassembler()?;
    let instructions = disassembler.disasm_all(code, address)?;
    let mut decoded = 0;
    for instruction in instructions.iter() {
        decoded += instruction.bytes().len();
        let name = instruction.mnemonic().context("the disassembler gives no mnemonics")?;
        // On Armv7E-M, all of the mnemonics in v belong to the floating-point unit.
        if name.starts_with('v') {
            let operands = instruction.op_str().unwrap_or_default();
            bail!("floating point at {:#x}: {name} {operands}", instruction.address());
        }
    }
    // A last halfword may pad the stretch.
    ensure!(code.len() - decoded < 4, "no instruction is known at {:#x}", address + decoded as u64);
    Ok(instructions.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `vmul.f32 s0, s0, s2` is found, between other instructions: assembled by hand from the Armv7-M ARM, A7.7.
    #[test]
    fn a_multiplication_in_floating_point_is_found() {
        let nop = [0x00, 0xbf];
        let multiply = [0x20, 0xee, 0x01, 0x0a];
        assert_eq!(check_range(0x400, &[nop, nop].concat()).unwrap(), 2);
        let code = [&nop[..], &multiply, &nop].concat();
        let error = check_range(0x400, &code).unwrap_err();
        assert_eq!(error.to_string(), "floating point at 0x402: vmul.f32 s0, s0, s2");
    }
}
