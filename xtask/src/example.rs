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
    #[arg(default_value = "all", value_parser = ["images", "gestures", "keywords", "all"])]
    name: String,
    /// Take what it logs for what is expected
    #[arg(long)]
    overwrite: bool,
}

/// The applications: programs of `boards/examples`.
const NAMES: [&str; 3] = ["images", "gestures", "keywords"];

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
            let lines: String = lines.iter().map(|line| without_timing(line) + "\n").collect();
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

/// A line without the numbers that depend on how fast the kernels are.
fn without_timing(line: &str) -> String {
    let part = |part: &str| match part.split_once(' ') {
        Some((number, unit @ ("us" | "samples meanwhile"))) if number.parse().is_ok_and(|number: u32| number > 0) => {
            format!("_ {unit}")
        }
        _ => part.to_owned(),
    };
    line.split(", ").map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use stepshift_runtime::front_end::FrontEnd;
    use stepshift_runtime::{Model, Session, argmax, digest};

    use super::*;

    #[test]
    fn timing_is_left_out_and_nothing_else() {
        assert_eq!(without_timing("info  image 3: class 7, 1205 us"), "info  image 3: class 7, _ us");
        assert_eq!(without_timing("info  row, 12 us, 3 samples meanwhile"), "info  row, _ us, _ samples meanwhile");
        assert_eq!(without_timing("info  row, 12 us, 0 samples meanwhile"), "info  row, _ us, 0 samples meanwhile");
        assert_eq!(without_timing("info  49 of 50 images are right"), "info  49 of 50 images are right");
    }

    fn data(name: &str) -> Vec<u8> {
        fs::read(root().join("boards/examples/data").join(name)).unwrap()
    }

    /// What is expected of the device, which runs layer by layer beside another task, by uninterrupted runs on the host.
    #[test]
    fn the_expected_log_of_the_gestures_is_what_the_host_computes() {
        const NAMES: [&str; 7] = ["abduction", "elevation", "inward", "outward", "pendulum", "row", "trapezius"];
        let file = data("gestures.stepshift");
        let model = Model::parse(&file).unwrap();
        let mut arena = vec![0; model.arena_bytes()];
        let mut session = Session::new(model, &mut arena).unwrap();
        let samples = data("gestures.raw");
        let samples: Vec<i16> = samples.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        let codes: Vec<i16> = samples.iter().map(|sample| ((i32::from(*sample) + 128) >> 8).min(127) as i16).collect();
        let window = session.input_mut().into_bytes().len();
        let (windows, axes) = (codes.windows(window).step_by(window / 2), 6);
        let expected = fs::read_to_string(expected("gestures")).unwrap();
        let mut lines = expected.lines();
        for (index, window) in windows.enumerate() {
            session.input_mut().copy_from(window.iter().copied());
            session.run();
            let (name, digest) = (NAMES[argmax(session.output())], digest(session.output()));
            let sample = window.len() / axes + index * window.len() / 2 / axes;
            let line = format!("info  sample {sample}: {name}, digest {digest:08x}, _ us, ");
            assert_eq!(lines.next().map(|expected| &expected[..line.len()]), Some(&*line));
        }
        assert_eq!(lines.next(), Some("info  0 samples lost"));
    }

    /// The front end and the network on the host, over the whole recording instead of sample by sample.
    #[test]
    fn the_expected_log_of_the_keywords_is_what_the_host_computes() {
        const NAMES: [&str; 6] = ["go", "left", "right", "stop", "another word", "silence"];
        let (file, tables, sound) = (data("keywords.stepshift"), data("keywords.front-end"), data("keywords.raw"));
        let (model, front_end) = (Model::parse(&file).unwrap(), FrontEnd::parse(&tables).unwrap());
        let samples: Vec<i16> = sound.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        let (mut scratch, mut features) = (vec![0; front_end.scratch_len()], vec![0; front_end.feature_count()]);
        let mut rows = Vec::new();
        for frame in samples.windows(front_end.frame_len()).step_by(front_end.hop_len()) {
            front_end.features(frame, &mut scratch, &mut features);
            rows.extend_from_slice(&features);
        }
        let mut arena = vec![0; model.arena_bytes()];
        let mut session = Session::new(model, &mut arena).unwrap();
        let len = session.input_mut().into_bytes().len();
        let expected = fs::read_to_string(expected("keywords")).unwrap();
        let mut lines = expected.lines().filter(|line| line.contains("digest"));
        for (index, window) in rows.windows(len).step_by(5 * features.len()).enumerate() {
            session.input_mut().copy_from(window.iter().copied());
            session.run();
            let heard = front_end.frame_len() + (len / features.len() - 1 + 5 * index) * front_end.hop_len();
            let (name, digest) = (NAMES[argmax(session.output())], digest(session.output()));
            let line = format!("info  {} ms: {name}, digest {digest:08x}, _ us", heard / 8);
            assert_eq!(lines.next(), Some(&*line));
        }
        assert_eq!(lines.next(), None);
    }
}
