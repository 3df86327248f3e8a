//! `cargo xtask peers`: the same models by other libraries, in one run: instructions, flash and RAM on an emulated
//! Cortex-M4, time on the host.

mod firmware;
mod host;
mod model;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use self::firmware::{Library, Measured};
use self::model::PeerModel;
use crate::process;
use crate::setup::{self, Report, Tool, litert};
use crate::table::{self, grouped};
use crate::workspace::{root, target};

#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// One of the comparisons alone
    #[arg(long)]
    on: Option<Machine>,
    /// The models whose names contain this
    #[arg(long, value_name = "TEXT", default_value = "")]
    model: String,
    /// What rustc optimizes every firmware for: 3 for speed, s for size
    #[arg(long, default_value = "3", value_parser = ["2", "3", "s", "z"])]
    opt_level: String,
}

/// Where models run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Machine {
    /// A Cortex-M4 in QEMU.
    Qemu,
    /// This machine.
    Host,
}

/// What one model takes, a library a column; nothing where it has not the operators.
struct Row {
    model: String,
    columns: Vec<Option<Measured>>,
    expected: Vec<i8>,
}

impl Peers {
    pub(crate) fn run(&self) -> Result<()> {
        setup::ensure(&[Tool::Toolchain, Tool::Qemu, Tool::LiteRt], Report::Missing)?;
        let models = self.models()?;
        if self.on != Some(Machine::Host) {
            self.in_qemu(&models)?;
        }
        if self.on != Some(Machine::Qemu) {
            host::compare(&models)?;
        }
        Ok(())
    }

    /// Has the script write its models, and reads those that are asked for.
    fn models(&self) -> Result<Vec<PeerModel>> {
        let folder = target("peers");
        process::run(python("models.py").arg(&folder))?;
        let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let models = files.iter().map(|path| PeerModel::read(path)).collect::<Result<Vec<_>>>()?;
        let models: Vec<_> = models.into_iter().filter(|model| model.name.contains(&self.model)).collect();
        ensure!(!models.is_empty(), "--model {}: there is no such model", self.model);
        Ok(models)
    }

    fn in_qemu(&self, models: &[PeerModel]) -> Result<()> {
        let mut rows = Vec::new();
        for model in models {
            firmware::build_nothing(model, &self.opt_level)?;
            let columns = Library::ALL.map(|library| library.measure(model, &self.opt_level));
            let columns = columns.into_iter().collect::<Result<_>>()?;
            rows.push(Row { model: model.name.clone(), columns, expected: model.expected.clone() });
        }
        print("instructions of one inference", &rows, |_, measured| grouped(measured.instructions));
        print("flash: code, constants and weights, in bytes", &rows, |_, measured| grouped(measured.flash));
        print("RAM: variables, stack, input and output, in bytes", &rows, |_, measured| grouped(measured.ram));
        print("codes that differ from LiteRT's reference kernels", &rows, |row, measured| {
            differences(&row.expected, &measured.codes)
        });
        Ok(())
    }
}

/// A script of `benches/peers` in the Python that has LiteRT.
fn python(script: &str) -> Command {
    let mut command = Command::new(litert::python());
    command.arg(root().join("benches/peers").join(script));
    command
}

fn print(title: &str, rows: &[Row], cell: impl Fn(&Row, &Measured) -> String) {
    println!("\n{title}");
    let header = std::iter::once("model").chain(Library::ALL.map(Library::name));
    let mut lines = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    for row in rows {
        let cells = row.columns.iter().map(|column| column.as_ref().map_or("-".to_owned(), |found| cell(row, found)));
        lines.push(std::iter::once(row.model.clone()).chain(cells).collect());
    }
    table::print(&lines);
}

/// How many codes differ, and by how much at most.
fn differences(expected: &[i8], found: &[i8]) -> String {
    let distances = expected.iter().zip(found).map(|(expected, found)| expected.abs_diff(*found));
    let (count, most) = (distances.clone().filter(|distance| *distance > 0).count(), distances.max().unwrap_or(0));
    if count == 0 { "0".to_owned() } else { format!("{count} of {}, by {most}", expected.len()) }
}

#[cfg(test)]
mod tests {
    use super::differences;

    #[test]
    fn differences_are_counted_and_the_greatest_is_told() {
        assert_eq!(differences(&[1, -128, 3], &[1, -128, 3]), "0");
        assert_eq!(differences(&[1, -128, 3], &[0, 127, 3]), "2 of 3, by 255");
    }
}
