//! `cargo xtask linked`: firmware holds no operator that its model does not use.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSymbol, SymbolKind};
use stepshift_runtime::Model;
use stepshift_runtime::format::{Links, OperatorKind};

use crate::boards::Board;
use crate::workspace::root;
use crate::{boards, firmware};

/// Operators that must be told in the firmware that links all of them: the others are inlined into their callers.
const LEAST_TOLD: usize = 20;

/// No instruction of an operator that the model does not use, by the functions of the firmware.
///
/// # Errors
/// Names the operators.
pub(crate) fn run() -> Result<()> {
    let board = boards::find(boards::DEFAULT)?;
    let model = root().join("tests/fixtures/fashion-mnist/model.stepshift");
    let used = Links::from(Model::parse(&std::fs::read(&model)?)?.links());
    let all = told(&firmware::build(board, firmware::PANIC_FREE, None)?)?;
    ensure!(all.len() >= LEAST_TOLD, "only {} operators are told in the firmware that links all: {all:?}", all.len());
    let elf = firmware::build(board, firmware::INFER, Some(&model))?;
    let linked = told(&elf)?;
    let unused: Vec<_> = OperatorKind::ALL
        .into_iter()
        .filter(|kind| !kind.is_in(used))
        .map(snake_case)
        .filter(|name| linked.contains(name))
        .collect();
    ensure!(unused.is_empty(), "{}: the model does not use {}, the firmware links them", board.name, unused.join(", "));
    println!(
        "{}: {} of {} operators are told in the firmware that links all; of those that the model does not use, none in its own",
        board.name,
        all.len(),
        OperatorKind::ALL.len()
    );
    without_checks(board, &model)
}

/// Firmware that trusts its model holds no check of models; one that does not holds some.
fn without_checks(board: &Board, model: &Path) -> Result<()> {
    let checks = |elf: &Path| {
        Ok::<_, anyhow::Error>(functions(elf)?.iter().any(|name| name.contains("stepshift_runtime::verify")))
    };
    ensure!(checks(&firmware::build_with_loader(board, model)?)?, "{}: no check of models is told", board.name);
    ensure!(
        !checks(&firmware::build(board, firmware::EMBEDDED, Some(model))?)?,
        "{}: a check of models is linked",
        board.name
    );
    println!("{}: firmware that trusts its model holds no check of models", board.name);
    Ok(())
}

/// Operators of which the runtime has a function in a firmware, a kernel or a check.
fn told(path: &Path) -> Result<BTreeSet<String>> {
    let names: BTreeSet<String> = OperatorKind::ALL.into_iter().map(snake_case).collect();
    let mut told = BTreeSet::new();
    for name in functions(path)? {
        let is_ours = name.contains("stepshift_runtime::verify") || name.contains("stepshift_runtime::kernels");
        let last = name.rsplit("::").next().unwrap_or_default();
        if is_ours && names.contains(last) {
            told.insert(last.to_owned());
        }
    }
    Ok(told)
}

/// Names of all functions of a firmware.
fn functions(path: &Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    functions.map(|symbol| Ok(format!("{:#}", rustc_demangle::demangle(symbol.name()?)))).collect()
}

/// `MaxPool2d` as functions are named: `max_pool2d`.
fn snake_case(kind: OperatorKind) -> String {
    let mut name = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}
