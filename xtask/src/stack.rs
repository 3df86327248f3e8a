//! Bounds a firmware's stack: the frames of its functions along the deepest chain of calls, from its instructions.

mod function;
mod inside;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::elf;
use function::Function;

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

/// The deepest chain of calls that begins at function `entry`.
///
/// # Errors
/// Where a function calls itself, calls through a pointer that it did not make, or moves the stack by what is not a number.
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
        let mut function = Function::new(name, address + symbol.size());
        for (from, code) in elf::code_ranges(&file, &section)? {
            let (start, end) = (from.max(address), (from + code.len() as u64).min(function.end));
            if start < end {
                let code = (start - address) as usize..(end - address) as usize;
                function.read(&disassembler, address, data, code).with_context(|| function.name.clone())?;
            }
        }
        functions.insert(address, function);
    }
    let starts = functions.keys().copied().collect();
    functions.values_mut().for_each(|function: &mut Function| function.resolve(&starts));
    Ok(functions)
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
    if let Some(place) = &function.unknown {
        bail!("{}: {place}: what it calls is not known before it runs", function.name);
    }
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
