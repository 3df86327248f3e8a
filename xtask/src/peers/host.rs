//! The same models by the runtime and by LiteRT on this machine, one thread each, in turns.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use stepshift_runtime::Backend;
use stepshift_trainer::export::Prefer;

use super::model::PeerModel;
use super::{differences, python};
use crate::process;
use crate::table;
use crate::workspace::{cargo, root, target};

/// How often both run; the least time of each is told.
const TURNS: usize = 3;

/// LiteRT's sets of kernels: the columns of `litert.py`.
const KERNELS: [&str; 3] = ["LiteRT reference", "LiteRT built-in", "LiteRT XNNPACK"];

/// A line of a program: nanoseconds, what ran, the codes it gave.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    nanoseconds: Vec<u64>,
    kernels: &'a str,
    codes: Vec<i8>,
}

/// The least nanoseconds of a model, by the runtime and by LiteRT's sets of kernels, and XNNPACK's codes.
#[derive(Debug, Clone)]
struct Times {
    own: u64,
    litert: [u64; 3],
    codes: Vec<i8>,
}

/// Prints microseconds of an inference, and LiteRT's by the runtime's.
///
/// # Errors
/// Where one of the programs fails, or the runtime gives other codes than LiteRT's reference kernels.
pub(super) fn compare(models: &[PeerModel]) -> Result<()> {
    let files =
        models.iter().map(|model| model.export(Backend::Portable, Prefer::Speed)).collect::<Result<Vec<_>>>()?;
    let program = build()?;
    let mut times = vec![Times { own: u64::MAX, litert: [u64::MAX; 3], codes: Vec::new() }; models.len()];
    let mut kernels = String::new();
    for _ in 0..TURNS {
        let own = process::read(Command::new(&program).args(&files))?;
        let tflite = models.iter().map(|model| model.path.with_extension("tflite"));
        let litert = process::read(python("litert.py").args(tflite))?;
        ensure!([&own, &litert].map(|text| text.lines().count()) == [models.len(); 2], "a line for each model");
        for (((model, times), own), litert) in models.iter().zip(&mut times).zip(own.lines()).zip(litert.lines()) {
            let (own, litert) = (read(own)?, read(litert)?);
            ensure!(own.codes == model.expected, "{}: other codes than LiteRT's reference kernels", model.name);
            times.own = times.own.min(own.nanoseconds[0]);
            for (least, time) in times.litert.iter_mut().zip(&litert.nanoseconds) {
                *least = (*least).min(*time);
            }
            times.codes = litert.codes;
            own.kernels.clone_into(&mut kernels);
        }
    }
    print(models, &times, &kernels);
    Ok(())
}

fn build() -> Result<PathBuf> {
    let mut command = cargo();
    command.current_dir(root().join("benches/peers")).env("CARGO_TARGET_DIR", target("peers-host"));
    command.args(["build", "--quiet", "--release", "--locked", "--package", "stepshift-peers-host"]);
    process::run(&mut command)?;
    Ok(target("peers-host/release/stepshift-peers-host"))
}

/// Three columns with tabs between them; numbers with spaces.
fn read(line: &str) -> Result<Line<'_>> {
    let columns: Vec<_> = line.split('\t').collect();
    let [nanoseconds, kernels, codes] = columns[..] else { anyhow::bail!("three columns are expected, not {line:?}") };
    let nanoseconds = nanoseconds.split(' ').map(str::parse).collect::<Result<_, _>>().context("nanoseconds")?;
    let codes = codes.split(' ').map(str::parse).collect::<Result<_, _>>().context("codes")?;
    Ok(Line { nanoseconds, kernels, codes })
}

fn print(models: &[PeerModel], times: &[Times], kernels: &str) {
    println!(
        "\nmicroseconds of one inference on this machine, one thread; in brackets, times those of stepshift ({kernels})"
    );
    let header = ["model", "stepshift"].into_iter().chain(KERNELS).chain(["XNNPACK's codes that differ"]);
    let mut lines = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    let micros = |nanoseconds: u64| format!("{:.1}", nanoseconds as f64 / 1e3);
    for (model, times) in models.iter().zip(times) {
        let mut line = vec![model.name.clone(), micros(times.own)];
        line.extend(times.litert.map(|time| format!("{} ({:.2})", micros(time), time as f64 / times.own as f64)));
        line.push(differences(&model.expected, &times.codes));
        lines.push(line);
    }
    table::print(&lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_times_kernels_and_codes() {
        let expected = Line { nanoseconds: vec![12, 5], kernels: "AVX-512 VNNI", codes: vec![1, -128] };
        assert_eq!(read("12 5\tAVX-512 VNNI\t1 -128").unwrap(), expected);
        assert!(read("12\t1").is_err());
    }
}
