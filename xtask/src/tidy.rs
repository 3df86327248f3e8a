//! `cargo xtask tidy`: house rules that no compiler checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::root;

/// Folders that hold no sources.
const SKIPPED: [&str; 3] = ["target", ".git", "runs"];

/// Words that are never left in a text; in two parts each, so that this file passes.
const FORBIDDEN: [(&str, &str); 5] = [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("/ro", "ot/"), ("/ho", "me/")];

/// A text file of the repository.
struct Source {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

/// Checks every rule and tells every breach.
pub(crate) fn run() -> Result<()> {
    let sources = sources()?;
    let mut breaches = forbidden_words(&sources);
    breaches.extend(undeclared_unsafe(&sources)?);
    breaches.extend(missing_tests(&sources)?);
    breaches.extend(dead_links(&sources));
    for breach in &breaches {
        eprintln!("{breach}");
    }
    ensure!(breaches.is_empty(), "{} breaches of the house rules", breaches.len());
    println!("tidy: {} files", sources.len());
    Ok(())
}

fn sources() -> Result<Vec<Source>> {
    let mut files = Vec::new();
    collect(root(), &mut files)?;
    let mut sources = Vec::new();
    for file in files {
        // Binary files have no words.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let path = file.strip_prefix(root()).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        sources.push(Source { path, text });
    }
    Ok(sources)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if SKIPPED.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() { collect(&entry.path(), files)? } else { files.push(entry.path()) }
    }
    Ok(())
}

fn forbidden_words(sources: &[Source]) -> Vec<String> {
    let words = FORBIDDEN.map(|(start, end)| format!("{start}{end}"));
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| !source.path.ends_with(".lock")) {
        for (number, line) in source.text.lines().enumerate() {
            let found = words.iter().find(|word| line.contains(word.as_str()));
            breaches.extend(found.map(|word| format!("{}:{}: {word}", source.path, number + 1)));
        }
    }
    breaches
}

/// `unsafe` stands in the files that ARCHITECTURE.md names, and in all of them.
fn undeclared_unsafe(sources: &[Source]) -> Result<Vec<String>> {
    let architecture = text_of(sources, "ARCHITECTURE.md")?;
    let line = architecture.lines().find_map(|line| line.strip_prefix("- `unsafe` is in these files alone: "));
    let line = line.context("ARCHITECTURE.md does not say where `unsafe` is")?;
    let declared: BTreeSet<&str> = line.split('`').skip(1).step_by(2).collect();
    let used: BTreeSet<&str> = sources
        .iter()
        .filter(|source| source.path.ends_with(".rs") && source.text.lines().any(has_unsafe))
        .map(|source| source.path.as_str())
        .collect();
    let undeclared =
        used.difference(&declared).map(|path| format!("{path}: `unsafe`, and ARCHITECTURE.md does not name it"));
    let unused = declared.difference(&used).map(|path| format!("ARCHITECTURE.md: {path} has no `unsafe`"));
    Ok(undeclared.chain(unused).collect())
}

/// The keyword, or the attribute `#[unsafe(..)]`; not comments, and not the names of lints.
fn has_unsafe(line: &str) -> bool {
    let code = line.trim_start();
    let keyword = concat!("un", "safe");
    let mut places = code.match_indices(keyword);
    !code.starts_with("//")
        && places.any(|(at, _)| {
            let before = code[..at].chars().next_back();
            let after = code[at + keyword.len()..].chars().next();
            !before.is_some_and(|c| c == '_' || c == '`' || c.is_alphanumeric()) && matches!(after, Some(' ' | '('))
        })
}

/// Every test that the spec names exists.
fn missing_tests(sources: &[Source]) -> Result<Vec<String>> {
    let specs = sources.iter().filter(|source| source.path.starts_with("spec/"));
    let lines = specs.flat_map(|spec| spec.text.lines().filter(|line| line.starts_with("*Tests*:")));
    let names: BTreeSet<&str> = lines.flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    ensure!(names.len() > 10, "the texts in spec name only {} tests", names.len());
    let exists = |name: &str| {
        let definition = format!("fn {name}(");
        sources.iter().any(|source| source.path.ends_with(".rs") && source.text.contains(&definition))
    };
    Ok(names.iter().filter(|name| !exists(name)).map(|name| format!("spec: no test {name}")).collect())
}

/// Every relative link of a Markdown file leads to a file.
fn dead_links(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        let folder = root().join(&source.path).parent().map(Path::to_path_buf).unwrap_or_default();
        for link in source.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !link.contains("://") && !folder.join(path).exists() {
                breaches.push(format!("{}: the link to {link} leads nowhere", source.path));
            }
        }
    }
    breaches
}

fn text_of<'a>(sources: &'a [Source], path: &str) -> Result<&'a str> {
    match sources.iter().find(|source| source.path == path) {
        Some(source) => Ok(&source.text),
        None => bail!("{path} is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn forbidden_words_are_told_with_their_place() {
        let sources = [source("a.rs", &format!("fn a() {{}}\n// {}{}\n", "TO", "DO"))];
        assert_eq!(forbidden_words(&sources), ["a.rs:2: TO".to_owned() + "DO"]);
    }

    #[test]
    fn undeclared_and_unused_are_both_breaches() {
        let map = "- `unsafe` is in these files alone: `b.rs`, `c.rs`\n";
        let code = format!("{} {{ f() }}\n", concat!("un", "safe"));
        let sources = [source("ARCHITECTURE.md", map), source("a.rs", &code), source("b.rs", &code)];
        let breaches = undeclared_unsafe(&sources).unwrap();
        assert_eq!(breaches.len(), 2);
        assert!(breaches[0].starts_with("a.rs") && breaches[1].contains("c.rs"), "{breaches:?}");
    }

    #[test]
    fn a_test_that_the_spec_names_must_exist() {
        let names: Vec<String> = (0..12).map(|i| format!("`test{i}`")).collect();
        let spec = format!("*Tests*: {}\n", names.join(", "));
        let code: String = (0..11).map(|i| format!("fn test{i}() {{}}\n")).collect();
        let sources = [source("spec/arithmetic.md", &spec), source("a.rs", &code)];
        assert_eq!(missing_tests(&sources).unwrap(), ["spec: no test test11"]);
    }
}
