//! A table beside an older one of the same layers.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Row;
use crate::table::{self, grouped};

/// Reads a table that `--json` wrote.
///
/// # Errors
/// Names the file and what is wrong with it.
pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no table of `cargo xtask bench --json`", path.display()))
}

/// Prints what the layers of both take, and by how much it changed.
///
/// # Errors
/// Where one has instructions and the other cycles.
pub(super) fn print(old: &[Row], new: &[Row]) -> Result<()> {
    let unit = |rows: &[Row]| rows.first().map(|row| row.cost.unit());
    if let (Some(before), Some(now)) = (unit(old), unit(new)) {
        ensure!(before == now, "the table to compare with has {before}, this one {now}");
    }
    table::print(&lines(old, new));
    Ok(())
}

fn lines(old: &[Row], new: &[Row]) -> Vec<[String; 4]> {
    let mut lines = vec![["layer", "before", "now", "change"].map(str::to_owned)];
    for row in new {
        let before = old.iter().find(|before| before.layer == row.layer).map(|before| before.cost.count());
        lines.push(line(&row.layer, before, Some(row.cost.count())));
    }
    for row in old.iter().filter(|row| new.iter().all(|new| new.layer != row.layer)) {
        lines.push(line(&row.layer, Some(row.cost.count()), None));
    }
    let total = |rows: &[Row]| rows.iter().map(|row| row.count * row.cost.count()).sum();
    lines.push(line("total", Some(total(old)), Some(total(new))));
    lines
}

fn line(name: &str, before: Option<u64>, now: Option<u64>) -> [String; 4] {
    let change = before.zip(now).filter(|(before, _)| *before > 0).map_or_else(String::new, |(before, now)| {
        format!("{:+.1} %", 100.0 * (now as f64 - before as f64) / before as f64)
    });
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), grouped);
    [name.to_owned(), number(before), number(now), change]
}

#[cfg(test)]
mod tests {
    use super::super::Cost;
    use super::*;

    fn row(layer: &str, count: u64, instructions: u64) -> Row {
        let cost = Cost::Instructions(instructions);
        Row { layer: layer.to_owned(), count, macs: 1, cost, scratch_bytes: 0, arena_bytes: None }
    }

    #[test]
    fn layers_are_matched_by_their_names() {
        let old = [row("conv", 2, 1000), row("gone", 1, 5)];
        let new = [row("new", 1, 7), row("conv", 2, 900)];
        let expected = [
            ["layer", "before", "now", "change"],
            ["new", "-", "7", ""],
            ["conv", "1,000", "900", "-10.0 %"],
            ["gone", "5", "-", ""],
            ["total", "2,005", "1,807", "-9.9 %"],
        ];
        assert_eq!(lines(&old, &new), expected.map(|line| line.map(str::to_owned)));
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), serde_json::to_string(&[row("conv", 2, 1000)]).unwrap()).unwrap();
        assert_eq!(read(file.path()).unwrap()[0].cost, Cost::Instructions(1000));
        std::fs::write(file.path(), "{}").unwrap();
        assert!(read(file.path()).unwrap_err().to_string().contains("is no table of"));
    }

    #[test]
    fn instructions_and_cycles_are_not_compared() {
        let cycles = Row { cost: Cost::Cycles(7), ..row("conv", 1, 0) };
        let error = print(&[row("conv", 1, 7)], &[cycles]).unwrap_err().to_string();
        assert_eq!(error, "the table to compare with has instructions, this one cycles");
    }

    #[test]
    fn the_unit_is_a_key_of_the_file() {
        let text = serde_json::to_string(&row("conv", 2, 1000)).unwrap();
        assert!(text.contains("\"instructions\":1000"), "{text}");
    }
}
