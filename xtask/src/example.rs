//! `cargo xtask example`: an application on recorded sensors, in QEMU, held to what it is expected to log.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::device::{self, Logs};
use crate::setup::{self, Report, Tool};
use crate::workspace::root;
use crate::{boards, firmware, qemu};

#[derive(Debug, clap::Args)]
pub(crate) struct Example {
    /// The application, or all of them
    #[arg(default_value = "all", value_parser = ["images", "all"])]
    name: String,
    /// Take what it logs for what is expected
    #[arg(long)]
    overwrite: bool,
}

/// The applications: programs of `boards/examples`.
const NAMES: [&str; 1] = ["images"];

impl Example {
    /// All of them.
    pub(crate) fn all() -> Self {
        Self { name: "all".to_owned(), overwrite: false }
    }

    pub(crate) fn run(&self) -> Result<()> {
        setup::ensure(&[Tool::Qemu], Report::Missing)?;
        for name in NAMES.into_iter().filter(|name| [name, "all"].contains(&&*self.name)) {
            let lines = log(name)?;
            let last = lines.last().with_context(|| format!("{name} logs nothing"))?;
            println!("{name}: {last}");
            let path = expected(name);
            let lines: String = lines.iter().map(|line| without_time(line) + "\n").collect();
            if self.overwrite {
                fs::write(&path, lines)?;
                continue;
            }
            let expected = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let different = lines.lines().zip(expected.lines()).find(|(line, expected)| line != expected);
            if let Some((line, expected)) = different {
                anyhow::bail!("{name} logs `{line}` instead of `{expected}`; --overwrite takes it");
            }
            ensure!(lines == expected, "{name} logs another number of lines than {}", path.display());
        }
        Ok(())
    }
}

/// Beside the program.
fn expected(name: &str) -> PathBuf {
    root().join("boards/examples/bin").join(name).with_extension("log")
}

/// Builds an application, runs it, and shows its log.
fn log(name: &str) -> Result<Vec<String>> {
    let board = boards::find(boards::DEFAULT)?;
    let elf = firmware::build_example(board, name)?;
    let outcome = qemu::run(board, &elf, None)?;
    let table = device::log_table(&fs::read(&elf)?)?;
    let mut logs = Logs::new(&table, true);
    logs.received(&outcome.output);
    ensure!(outcome.success, "{name} failed{}", logs.last());
    Ok(logs.into_lines())
}

/// A line with what depends on the kernels left out.
fn without_time(line: &str) -> String {
    match line.strip_suffix(" us").and_then(|line| line.rsplit_once(' ')) {
        Some((line, time)) if time.parse::<u32>().is_ok() => format!("{line} _ us"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_left_out_and_nothing_else() {
        assert_eq!(without_time("info  image 3: class 7, 1205 us"), "info  image 3: class 7, _ us");
        assert_eq!(without_time("info  49 of 50 images are right"), "info  49 of 50 images are right");
    }
}
