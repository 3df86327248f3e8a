//! Data sets: inputs as codes of the network, with their labels. `docs/data.md` documents every format.
//!
//! Formats, one a file: [`digits`], [`mnist`] (IDX), [`cifar`], [`image_folder`], [`speech_commands`], [`sensors`].
//! [`Images`] holds what was read, or reads it from files again and again; [`loader`] does that in the background, and `waveform`
//! changes sounds on the way.

mod anomalies;
pub mod cifar;
mod data_config;
pub mod digits;
mod error;
mod files;
pub mod idx;
pub mod image_folder;
mod images;
mod limits;
pub mod loader;
pub mod mnist;
mod moments;
pub mod sensors;
pub mod speech_commands;
mod waveform;

pub use anomalies::Anomalies;
pub use data_config::{DataConfig, DatasetName};
pub use error::DataError;
pub use images::{Decode, FileInput, Images};
pub use moments::Moments;
pub use waveform::WaveformConfig;

use std::path::Path;

use crate::front_end::FrontEndConfig;

/// Training and test inputs.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// For training.
    pub train: Images,
    /// Held out.
    pub test: Images,
    /// Number of classes.
    pub classes: usize,
    /// The classes' names, where the data set has names.
    pub class_names: Vec<String>,
    /// Labels of the classes that are anomalies: the test inputs alone have them.
    pub anomalies: Vec<u8>,
    /// log2 of the step of the input codes.
    pub input_exponent: i8,
    /// The file of the front end that makes the inputs of sound.
    pub front_end: Option<Vec<u8>>,
}

/// What a data set is loaded by, as a config says.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The data set, or the format of the files.
    pub name: DatasetName,
    /// Options of the format.
    pub options: &'a DataConfig,
    /// For sounds.
    pub front_end: Option<FrontEndConfig>,
    /// Random changes of training sounds.
    pub waveform: Option<WaveformConfig>,
    /// The front end's file that a run was begun with: its scaling is not chosen anew.
    pub front_end_file: Option<&'a [u8]>,
    /// Classes that are not learned from, where inputs are reconstructed; `None` where classes are told apart.
    pub anomalies: Option<Anomalies<'a>>,
}

impl<'a> Source<'a> {
    /// A format's options and nothing else.
    #[must_use]
    pub const fn new(name: DatasetName, options: &'a DataConfig) -> Self {
        Self { name, options, front_end: None, waveform: None, front_end_file: None, anomalies: None }
    }

    /// True of a class that is not learned from.
    fn is_anomaly(&self, class: &str) -> bool {
        self.anomalies.is_some_and(|anomalies| anomalies.contains(class))
    }

    /// The classes in the order of their names: those of the training inputs, and anomalies that are among the test inputs alone.
    fn classes(&self, train: Vec<String>, test: Vec<String>) -> Result<Vec<String>, DataError> {
        let with = |mut train: Vec<String>, test: Vec<String>| {
            train.extend(test);
            train.sort();
            train.dedup();
            train
        };
        if let Some(anomalies) = self.anomalies {
            anomalies.check(&with(train.clone(), test.clone()))?;
        }
        Ok(with(train, test.into_iter().filter(|class| self.is_anomaly(class)).collect()))
    }

    /// Refuses more classes than a label can count, or less than there must be.
    fn check_class_count(&self, folder: &Path, count: usize) -> Result<(), DataError> {
        let least = if self.anomalies.is_some() { 1 } else { 2 };
        if (least..=256).contains(&count) {
            return Ok(());
        }
        Err(DataError::contents(folder, format!("{count} classes, there must be {least} to 256")))
    }
}

/// Loads a data set; `folder` says where its files are, for those that have files.
///
/// # Errors
/// A [`DataError`] that names the file or the key.
pub fn load(source: Source<'_>, folder: Option<&Path>) -> Result<Dataset, DataError> {
    let Source { name, options, front_end, waveform, .. } = source;
    options.refuse_unused(name)?;
    if front_end.is_some() && name != DatasetName::SpeechCommands {
        return Err(DataError::option("front_end", format!("{} has no sounds", name.text())));
    }
    if waveform.is_some() && name != DatasetName::SpeechCommands {
        return Err(DataError::option("augmentation.waveform", format!("{} has no sounds", name.text())));
    }
    let needed = || folder.ok_or(DataError::NoFolder { dataset: name.text() });
    let data = match name {
        DatasetName::Digits => digits::load(),
        DatasetName::FashionMnist => mnist::load_fashion(folder),
        DatasetName::Idx => mnist::load(needed()?),
        DatasetName::Cifar10 => cifar::load(needed()?, cifar::Variant::Ten),
        DatasetName::Cifar100 => cifar::load(needed()?, cifar::Variant::Hundred),
        DatasetName::ImageFolder => image_folder::load(needed()?, source),
        DatasetName::SpeechCommands => speech_commands::load(needed()?, source),
        DatasetName::SensorCsv => sensors::csv::load(needed()?, source),
        DatasetName::SensorNpy => sensors::npy::load(needed()?, source),
    }?;
    source.anomalies.unwrap_or_default().of(data)
}
