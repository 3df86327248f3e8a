//! Bounds a firmware's stack: the frames of its functions along the deepest chain of calls, from its instructions.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use capstone::prelude::*;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::elf;

/// Jumps, by condition (Armv7-M ARM, A7.3).
const BRANCHES: [&str; 15] =
    ["b", "beq", "bne", "bhs", "blo", "bmi", "bpl", "bvs", "bvc", "bhi", "bls", "bge", "blt", "bgt", "ble"];

/// The panic handler's symbol.
const PANIC_HANDLER: &str = "rust_begin_unwind";

/// The deepest chain of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stack {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Functions from the first on, each with its frame.
    pub(crate) chain: Vec<(String, u64)>,
}

/// What one function does to the stack.
#[derive(Debug, Default)]
struct Function {
    name: String,
    end: u64,
    frame: u64,
    /// Addresses that it calls or jumps to.
    calls: Vec<u64>,
}

/// The deepest chain of calls that begins at function `entry`.
///
/// # Errors
/// Where a function calls itself, calls what is not known before it runs, or moves the stack by what is not a number.
pub(crate) fn deepest(path: &Path, entry: &str) -> Result<Stack> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let functions = functions(&bytes).with_context(|| path.display().to_string())?;
    let first = functions.iter().find(|(_, function)| function.name == entry);
    let (start, _) = first.with_context(|| format!("{} has no function {entry}", path.display()))?;
    let mut known = BTreeMap::new();
    let chain = chain(&functions, *start, &mut Vec::new(), &mut known)?;
    let named = |address: &u64| (functions[address].name.clone(), functions[address].frame);
    Ok(Stack { bytes: depth(&functions, &chain), chain: chain.iter().map(named).collect() })
}

fn depth(functions: &BTreeMap<u64, Function>, chain: &[u64]) -> u64 {
    chain.iter().map(|address| functions[address].frame).sum()
}

/// Every function by its address.
fn functions(bytes: &[u8]) -> Result<BTreeMap<u64, Function>> {
    let file = object::File::parse(bytes)?;
    let disassembler = elf::disassembler()?;
    let mut functions = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let address = symbol.address() & !1;
        let section = symbol.section_index().context("a function lies in no section")?;
        let section = file.section_by_index(section)?;
        let data = section.data_range(address, symbol.size())?.context("a function is outside of its section")?;
        let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
        let mut function = Function { end: address + symbol.size(), name, ..Function::default() };
        for (from, code) in elf::code_ranges(&file, &section)? {
            let (start, end) = (from.max(address), (from + code.len() as u64).min(function.end));
            if start < end {
                let code = (start - address) as usize..(end - address) as usize;
                read(&disassembler, address, data, code, &mut function).with_context(|| function.name.clone())?;
            }
        }
        functions.insert(address, function);
    }
    Ok(functions)
}

/// Adds up what a stretch of a function's instructions takes from the stack: more than it uses at once, where it has several prologues.
fn read(disassembler: &Capstone, address: u64, data: &[u8], code: Range<usize>, function: &mut Function) -> Result<()> {
    let mut at = code.start;
    // Numbers in registers: what large frames are subtracted by.
    let mut registers: BTreeMap<String, u64> = BTreeMap::new();
    while at + 2 <= code.end {
        let here = address + at as u64;
        let instructions = disassembler.disasm_count(&data[at..code.end], here, 1)?;
        // A last halfword may pad the stretch.
        let Some(instruction) = instructions.iter().next() else { break };
        at += instruction.bytes().len();
        let name = instruction.mnemonic().context("the disassembler gives no mnemonics")?;
        let name = name.trim_end_matches(".w");
        let operands = instruction.op_str().unwrap_or_default();
        let parts: Vec<&str> = operands.split(", ").collect();
        match (name, parts.as_slice()) {
            ("push", _) | ("stmdb", ["sp!", ..]) => function.frame += 4 * registers_in(operands),
            ("vpush", [first, ..]) => {
                function.frame += registers_in(operands) * if first.contains('d') { 8 } else { 4 };
            }
            ("sub" | "subw", ["sp", size] | ["sp", "sp", size]) => {
                let size = number(size).or_else(|| registers.get(*size).copied());
                function.frame += size.with_context(|| format!("{here:#x}: {name} {operands}"))?;
            }
            // A negative number from the literal pool, on Armv6-M.
            ("add", ["sp", register]) if number(register).is_none() => {
                let size = registers.get(*register).map(|size| u64::from((*size as u32).wrapping_neg()));
                function.frame += size.with_context(|| format!("{here:#x}: {name} {operands}"))?;
            }
            (_, [.., offset]) if operands.contains("[sp, #-") && offset.ends_with("]!") => {
                function.frame += number(offset.trim_start_matches("#-").trim_end_matches("]!")).unwrap_or(16);
            }
            ("mov" | "movs" | "movw", [register, value]) if number(value).is_some() => {
                registers.insert((*register).to_owned(), number(value).unwrap_or_default());
            }
            ("ldr", [register, "[pc", offset]) => {
                let offset = number(offset.trim_end_matches(']')).unwrap_or_default();
                let literal = ((here + 4) & !3) + offset;
                let word =
                    literal.checked_sub(address).and_then(|start| data.get(start as usize..)?.first_chunk::<4>());
                if let Some(word) = word {
                    registers.insert((*register).to_owned(), u32::from_le_bytes(*word).into());
                }
            }
            ("bl", [target]) => function.calls.extend(number(target)),
            ("blx" | "bx", [register]) if *register != "lr" => {
                bail!("{here:#x}: {name} {operands}: what it calls is not known before it runs");
            }
            (branch, [target]) if BRANCHES.contains(&branch) => {
                // A jump out of the function is a call that does not return to it.
                function.calls.extend(number(target).filter(|target| !(address..function.end).contains(target)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The deepest chain from a function on; `known` holds those of the functions that were looked at.
fn chain(
    functions: &BTreeMap<u64, Function>,
    address: u64,
    above: &mut Vec<u64>,
    known: &mut BTreeMap<u64, Vec<u64>>,
) -> Result<Vec<u64>> {
    if let Some(chain) = known.get(&address) {
        return Ok(chain.clone());
    }
    let function = &functions[&address];
    ensure!(!above.contains(&address), "{} calls itself", function.name);
    above.push(address);
    let mut deepest = Vec::new();
    // A panic ends the program: what its handler logs is not counted, which may lead back to where the panic was.
    let calls = if function.name.ends_with(PANIC_HANDLER) { &[][..] } else { &function.calls };
    for target in calls {
        let (callee, found) = functions
            .range(..=target)
            .next_back()
            .with_context(|| format!("{}: a call to {target:#x}, where no function is", function.name))?;
        ensure!(*target < found.end, "{}: a call to {target:#x}, behind {}", function.name, found.name);
        // A jump into one's own middle, past a symbol of the same place.
        if *callee != address {
            let below = chain(functions, *callee, above, known)?;
            if depth(functions, &below) >= depth(functions, &deepest) {
                deepest = below;
            }
        }
    }
    above.pop();
    deepest.insert(0, address);
    known.insert(address, deepest.clone());
    Ok(deepest)
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

    fn frame(code: &[u8]) -> Result<Function> {
        let disassembler = elf::disassembler()?;
        let mut function = Function { end: 0x400 + code.len() as u64, ..Function::default() };
        read(&disassembler, 0x400, code, 0..code.len(), &mut function)?;
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
    fn a_call_through_a_register_is_refused() {
        let error = frame(&[0x98, 0x47]).unwrap_err(); // blx r3
        assert!(error.to_string().contains("not known before it runs"), "{error}");
    }
}
