//! What one function does to the stack, and what it calls, from its instructions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Context, Result};
use capstone::prelude::*;

use super::inside::Inside;

/// Jumps, by condition (Armv7-M ARM, A7.3).
const BRANCHES: [&str; 15] =
    ["b", "beq", "bne", "bhs", "blo", "bmi", "bpl", "bvs", "bvc", "bhi", "bls", "bge", "blt", "bgt", "ble"];

/// What one function does to the stack.
#[derive(Debug, Default)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) end: u64,
    pub(super) frame: u64,
    /// Addresses that it calls or jumps to.
    pub(super) calls: Vec<u64>,
    /// Numbers that it makes in registers: addresses of functions among them.
    numbers: Vec<u64>,
    /// Where it first calls what a register holds, until that is resolved.
    pub(super) unknown: Option<String>,
}

impl Function {
    /// One that ends before an address, with no instruction read.
    pub(super) fn new(name: String, end: u64) -> Self {
        Self { name, end, ..Self::default() }
    }

    /// Adds up what a stretch of a function's instructions takes from the stack: more than it uses at once, where it has several prologues.
    pub(super) fn read(
        &mut self,
        disassembler: &Capstone,
        address: u64,
        data: &[u8],
        code: Range<usize>,
    ) -> Result<()> {
        let mut at = code.start;
        // Numbers in registers: what large frames are subtracted by.
        let mut registers: BTreeMap<String, u64> = BTreeMap::new();
        let mut inside = Inside::default();
        while at + 2 <= code.end {
            let here = address + at as u64;
            let instructions = disassembler.disasm_count(&data[at..code.end], here, 1)?;
            // Armv8.1-M has some that the disassembler does not know; none of them calls or moves the stack.
            let Some(instruction) = instructions.iter().next() else {
                at += width(data[at + 1]);
                continue;
            };
            at += instruction.bytes().len();
            let name = instruction.mnemonic().context("the disassembler gives no mnemonics")?;
            let name = name.trim_end_matches(".w");
            let operands = instruction.op_str().unwrap_or_default();
            let parts: Vec<&str> = operands.split(", ").collect();
            inside.note(name, &parts);
            match (name, parts.as_slice()) {
                ("push", _) | ("stmdb", ["sp!", ..]) => self.frame += 4 * registers_in(operands),
                ("vpush", [first, ..]) => {
                    self.frame += registers_in(operands) * if first.contains('d') { 8 } else { 4 };
                }
                ("sub" | "subw", ["sp", size] | ["sp", "sp", size]) => {
                    let size = number(size).or_else(|| registers.get(*size).copied());
                    self.frame += size.with_context(|| format!("{here:#x}: {name} {operands}"))?;
                }
                // A negative number from the literal pool, on Armv6-M.
                ("add", ["sp", register]) if number(register).is_none() => {
                    let size = registers.get(*register).map(|size| u64::from((*size as u32).wrapping_neg()));
                    self.frame += size.with_context(|| format!("{here:#x}: {name} {operands}"))?;
                }
                (_, [.., offset]) if operands.contains("[sp, #-") && offset.ends_with("]!") => {
                    self.frame += number(offset.trim_start_matches("#-").trim_end_matches("]!")).unwrap_or(16);
                }
                ("mov" | "movs" | "movw", [register, value]) if number(value).is_some() => {
                    registers.insert((*register).to_owned(), number(value).unwrap_or_default());
                }
                ("movt", [register, high]) => {
                    let low = registers.get(*register).copied().unwrap_or_default();
                    let value = low & 0xffff | number(high).unwrap_or_default() << 16;
                    registers.insert((*register).to_owned(), value);
                    self.numbers.push(value);
                }
                ("ldr", [register, "[pc", offset]) => {
                    let offset = number(offset.trim_end_matches(']')).unwrap_or_default();
                    let literal = ((here + 4) & !3) + offset;
                    let word =
                        literal.checked_sub(address).and_then(|start| data.get(start as usize..)?.first_chunk::<4>());
                    if let Some(word) = word {
                        let value = u32::from_le_bytes(*word).into();
                        registers.insert((*register).to_owned(), value);
                        self.numbers.push(value);
                    }
                }
                ("bl", [target]) => self.calls.extend(number(target)),
                ("bx", [register]) if inside.contains(register) => {}
                ("blx" | "bx", [register]) if *register != "lr" => {
                    self.unknown.get_or_insert(format!("{here:#x}: {name} {operands}"));
                }
                (branch, [target]) if BRANCHES.contains(&branch) => {
                    // A jump out of the function is a call that does not return to it.
                    self.calls.extend(number(target).filter(|target| !(address..self.end).contains(target)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes all functions whose addresses it makes for what it calls through registers: a pointer to a function never comes from memory
    /// or a caller in code that this is true of, and where none is made it stays unknown.
    ///
    /// starts  of all functions
    pub(super) fn resolve(&mut self, starts: &BTreeSet<u64>) {
        if self.unknown.is_none() {
            return;
        }
        // An odd address: Thumb code.
        let made = self.numbers.iter().filter(|number| *number & 1 == 1).map(|number| number & !1);
        let made: Vec<u64> = made.filter(|address| starts.contains(address)).collect();
        if !made.is_empty() {
            self.unknown = None;
            self.calls.extend(made);
        }
    }
}

/// Bytes of the instruction whose first halfword ends in this byte (Armv7-M ARM, A5.1).
const fn width(high: u8) -> usize {
    if high >> 3 >= 0b11101 { 4 } else { 2 }
}

/// Registers of a list.
fn registers_in(operands: &str) -> u64 {
    let list = operands.split('{').nth(1).unwrap_or_default();
    list.split(',').count() as u64
}

/// An immediate, in capstone's words.
fn number(operand: &str) -> Option<u64> {
    let digits = operand.strip_prefix('#').unwrap_or(operand);
    match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf;

    fn frame(code: &[u8]) -> Result<Function> {
        let disassembler = elf::disassembler()?;
        let mut function = Function::new(String::new(), 0x400 + code.len() as u64);
        function.read(&disassembler, 0x400, code, 0..code.len())?;
        Ok(function)
    }

    /// Assembled by hand from the Armv7-M ARM, A7.7.
    #[test]
    fn what_a_prologue_takes_is_added_up() {
        // push {r4, r5, r7, lr}; sub sp, #24; bl +0x100
        let function = frame(&[0xb0, 0xb5, 0x86, 0xb0, 0x00, 0xf0, 0x7e, 0xf8]).unwrap();
        assert_eq!((function.frame, function.calls), (16 + 24, vec![0x404 + 4 + 0xfc]));
        // sub.w sp, sp, #0x410
        assert_eq!(frame(&[0xad, 0xf5, 0x82, 0x6d]).unwrap().frame, 0x410);
    }

    #[test]
    fn a_call_through_a_register_goes_to_the_function_whose_address_is_made() {
        // movw r2, #0x819; movt r2, #0; blx r2
        let mut function = frame(&[0x40, 0xf6, 0x19, 0x02, 0xc0, 0xf2, 0x00, 0x02, 0x90, 0x47]).unwrap();
        function.resolve(&BTreeSet::from([0x818, 0x900]));
        assert_eq!((function.unknown, function.calls), (None, vec![0x818]));
    }

    #[test]
    fn a_call_through_a_register_from_elsewhere_stays_unknown() {
        // ldr r3, [r0]; blx r3
        let mut function = frame(&[0x03, 0x68, 0x98, 0x47]).unwrap();
        function.resolve(&BTreeSet::from([0x400]));
        assert_eq!(function.unknown.unwrap(), "0x402: blx r3");
    }

    #[test]
    fn a_jump_to_an_address_from_the_program_counter_is_no_call() {
        // adr.w r9, #16; add r8, r9; orr r8, r8, #1; bx r8
        let code = [0x0f, 0xf2, 0x10, 0x09, 0xc8, 0x44, 0x48, 0xf0, 0x01, 0x08, 0x40, 0x47];
        assert_eq!(frame(&code).unwrap().unknown, None);
    }

    /// `csel` of Armv8.1-M, which the disassembler takes for nothing or for another one.
    #[test]
    fn what_stands_behind_an_unknown_instruction_is_seen() {
        // csel r2, r3, r1, eq; push {r4, lr}
        assert_eq!(frame(&[0x53, 0xea, 0x01, 0x82, 0x10, 0xb5]).unwrap().frame, 8);
    }
}
