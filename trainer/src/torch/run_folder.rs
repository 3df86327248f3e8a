//! The folder of a run: what was asked for, and what became of it. Every file is written whole or not at all.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use stepshift_runtime::format::FORMAT_VERSION;

use super::checkpoint::{CHECKPOINT_VERSION, EpochRecord, State};
use super::training::CHECKPOINT_FILE;
use crate::atomic_file;
use crate::config::Config;
use crate::data::Dataset;
use crate::report::observation::{self, Observation};
use crate::report::{html, tensorboard::EventFile};

/// Files of a run's folder.
pub const FRONT_END_FILE: &str = "front-end.stepshift";
const CONFIG_FILE: &str = "config.toml";
const RUN_FILE: &str = "run.json";
const LABELS_FILE: &str = "labels.txt";
const METRICS_FILE: &str = "metrics.csv";
const LAYERS_FILE: &str = "layers.csv";
const OBSERVATIONS_FILE: &str = "observations.json";
const REPORT_FILE: &str = "report.html";
const LOCK_FILE: &str = "lock";

/// The libtorch that this program was built for.
const LIBTORCH_VERSION: &str = env!("STEPSHIFT_LIBTORCH_VERSION");

/// What a run was begun with.
#[derive(Debug, Serialize)]
struct Run<'a> {
    seed: u64,
    dataset: &'static str,
    training_inputs: usize,
    test_inputs: usize,
    classes: usize,
    task: &'static str,
    anomalies: &'a [String],
    program: &'a str,
    libtorch: &'a str,
    model_format: u16,
    checkpoint_format: u32,
}

/// A run's folder, with what was observed so far.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    observations: Vec<Observation>,
    events: Option<EventFile>,
    _lock: File,
}

impl RunFolder {
    /// Makes the folder and writes what a new run is begun with.
    ///
    /// # Errors
    /// Where the folder holds a run already; names the file that cannot be written.
    pub fn begin(path: &Path, config: &Config, text: &str, data: &Dataset) -> Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let lock = lock(path)?;
        let taken = path.join(CHECKPOINT_FILE);
        ensure!(!taken.exists(), "{} exists: go on with --resume, or choose another --out", taken.display());
        forget_data(path)?;
        atomic_file::write(&path.join(CONFIG_FILE), text.as_bytes())?;
        let run = Run {
            seed: config.seed,
            dataset: config.dataset.text(),
            training_inputs: data.train.len(),
            test_inputs: data.test.len(),
            classes: data.classes,
            task: config.task.text(),
            anomalies: &config.anomalies,
            program: env!("CARGO_PKG_VERSION"),
            libtorch: LIBTORCH_VERSION,
            model_format: FORMAT_VERSION,
            checkpoint_format: CHECKPOINT_VERSION,
        };
        atomic_file::write(&path.join(RUN_FILE), serde_json::to_string_pretty(&run)?.as_bytes())?;
        if !data.class_names.is_empty() {
            atomic_file::write(&path.join(LABELS_FILE), (data.class_names.join("\n") + "\n").as_bytes())?;
        }
        if let Some(front_end) = &data.front_end {
            atomic_file::write(&path.join(FRONT_END_FILE), front_end)?;
        }
        Ok(Self { path: path.into(), observations: Vec::new(), events: None, _lock: lock })
    }

    /// The folder of a run that goes on; what was observed behind its checkpoint is forgotten.
    ///
    /// # Errors
    /// Names the file that is damaged, the config where it is not that of the checkpoint any more, or the data set where it has
    /// not as many inputs, and the folder where a training is under way in it.
    pub fn resume(path: &Path, state: &State, data: &Dataset) -> Result<Self> {
        let lock = lock(path)?;
        let config = path.join(CONFIG_FILE);
        let same = std::fs::read_to_string(&config).map_or(true, |text| text == state.config);
        ensure!(
            same,
            "{} was changed: a run goes on by the config that it was begun with; train the changed one into another folder",
            config.display()
        );
        check_counts(&path.join(RUN_FILE), data)?;
        let mut observations = observation::read(&path.join(OBSERVATIONS_FILE))?;
        observations.truncate(state.history.len());
        Ok(Self { path: path.into(), observations, events: None, _lock: lock })
    }

    /// A path in the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Keeps what was observed of a finished pass, and writes metrics, events and the report anew.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn record(&mut self, pass: Observation, config: &Config, state: &State, data: &Dataset) -> Result<()> {
        if self.events.is_none() {
            self.events = Some(EventFile::create(&self.path)?);
        }
        if let Some(events) = &mut self.events {
            events.write(self.observations.len(), &pass)?;
        }
        self.observations.push(pass);
        observation::write(&self.file(OBSERVATIONS_FILE), &self.observations)?;
        atomic_file::write(&self.file(LAYERS_FILE), &observation::layers_csv(&self.observations)?)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let page = html::page(&name, &facts(config, state, data), &self.observations, &state.config)?;
        atomic_file::write(&self.file(REPORT_FILE), page.as_bytes())
    }

    /// Writes the metrics of every finished pass.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn write_metrics(&self, state: &State) -> Result<()> {
        atomic_file::write(&self.file(METRICS_FILE), &metrics_csv(&state.history)?)
    }
}

/// A line for each pass, the score under its name.
fn metrics_csv(history: &[EpochRecord]) -> Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    if let Some(first) = history.first() {
        csv.write_record(["phase", "epoch", "loss", &format!("test_{}", first.score.key())])?;
    }
    for EpochRecord { phase, epoch, loss, score } in history {
        csv.serialize((phase, epoch, loss, score.value()))?;
    }
    Ok(csv.into_inner()?)
}

/// Keeps other trainings out of a folder as long as the file is open. The lock is the system's: a killed training leaves none.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK_FILE);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    // Where a file system has no locks, a training goes on without one.
    let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    ensure!(!taken, "{}: another training is under way in this folder", folder.display());
    Ok(file)
}

/// Removes what a run that ended before its first checkpoint has left of its data, which another run would be read by.
fn forget_data(folder: &Path) -> Result<()> {
    for path in [LABELS_FILE, FRONT_END_FILE].map(|name| folder.join(name)) {
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Refuses data of other sizes than a run was begun with: it would not go on to the same bits.
fn check_counts(run: &Path, data: &Dataset) -> Result<()> {
    let Ok(bytes) = std::fs::read(run) else { return Ok(()) };
    let about: serde_json::Value = serde_json::from_slice(&bytes).with_context(|| run.display().to_string())?;
    for (key, count) in [("training_inputs", data.train.len()), ("test_inputs", data.test.len())] {
        let begun = about[key].as_u64().with_context(|| format!("{}: {key} is missing", run.display()))?;
        ensure!(count as u64 == begun, "{}: {key} were {begun}, the data set has {count} now", run.display());
    }
    Ok(())
}

fn facts(config: &Config, state: &State, data: &Dataset) -> html::Facts {
    let mut facts = vec![
        ("data set".to_owned(), config.dataset.text().to_owned()),
        ("task".to_owned(), config.task.text().to_owned()),
        ("inputs".to_owned(), format!("{} for training, {} for tests", data.train.len(), data.test.len())),
        ("seed".to_owned(), config.seed.to_string()),
        ("program".to_owned(), format!("stepshift {}, libtorch {}", env!("CARGO_PKG_VERSION"), LIBTORCH_VERSION)),
    ];
    if !config.anomalies.is_empty() {
        facts.push(("anomalies".to_owned(), config.anomalies.join(", ")));
    }
    if let Some(score) = state.float_score {
        facts.push((format!("float {}", score.name()), score.to_string()));
    }
    if let Some(EpochRecord { score, .. }) = state.history.last() {
        facts.push((format!("{} behind the last pass", score.name()), score.to_string()));
    }
    facts
}

/// The front end that a run was begun with; none where its data are no sounds.
///
/// # Errors
/// Where the file is there and cannot be read.
pub fn front_end(path: &Path) -> Result<Option<Vec<u8>>> {
    let path = path.join(FRONT_END_FILE);
    if !path.exists() {
        return Ok(None);
    }
    std::fs::read(&path).map(Some).with_context(|| format!("cannot read {}", path.display()))
}
