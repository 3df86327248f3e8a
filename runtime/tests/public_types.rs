//! Every public type has a `defmt::Format`, derived or in `src/log.rs`: read from the sources.

use std::fs;
use std::path::Path;

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// Names of the public structures and enumerations of a source, and whether the attributes above derive the format.
fn public_types(source: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut attributes = String::new();
    for line in source.lines() {
        if let Some(rest) = ["pub struct ", "pub enum "].iter().find_map(|start| line.strip_prefix(start)) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            found.push((name, attributes.contains("derive(defmt::Format)")));
        }
        if line.starts_with("#[") || line.starts_with("///") { attributes.push_str(line) } else { attributes.clear() }
    }
    found
}

#[test]
fn every_public_type_can_be_logged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let log = fs::read_to_string(folder.join("log.rs")).unwrap();
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let types: Vec<_> = files.iter().flat_map(|source| public_types(source)).collect();
    assert!(types.len() > 60, "{}", types.len());
    let written = |name: &str| {
        let ends = [format!("{name}<"), format!("({name},")];
        log.lines().any(|line| line.starts_with("format!(") && ends.iter().any(|end| line.contains(end)))
    };
    let missing: Vec<_> = types.iter().filter(|(name, derived)| !derived && !written(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
