//! What a config says about data. `docs/data.md` documents every key.

use serde::{Deserialize, Serialize};

use super::DataError;
use crate::exact_array::exact_array;

/// The data sets and formats that the trainer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetName {
    /// UCI handwritten digits, embedded.
    Digits,
    /// Fashion-MNIST, from IDX files.
    FashionMnist,
    /// Any four IDX files named as MNIST's.
    Idx,
    /// CIFAR-10, binary or pickled.
    #[serde(rename = "cifar-10")]
    Cifar10,
    /// CIFAR-100 with its fine labels, binary or pickled.
    #[serde(rename = "cifar-100")]
    Cifar100,
    /// A folder of PNG and JPEG files for each class.
    ImageFolder,
    /// A folder of WAV files for each word, as in Speech Commands.
    SpeechCommands,
    /// Windows of rows of CSV files.
    SensorCsv,
    /// Windows in NPY files.
    SensorNpy,
}

/// Options of a format; each format refuses those that it does not have.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Rows and columns that images are resized to.
    #[serde(default, deserialize_with = "exact_array")]
    pub size: Option<[u16; 2]>,
    /// Images with one channel instead of red, green and blue.
    pub grayscale: Option<bool>,
    /// Words that are classes; other words are one class more, and silence another. Every word where left out.
    pub words: Option<Vec<String>>,
    /// Samples a second of all sounds.
    pub sample_rate: Option<u32>,
    /// Milliseconds that sounds are cut or filled up to.
    pub clip_ms: Option<u32>,
    /// Rows of a window.
    pub window: Option<u16>,
    /// Rows from the beginning of a window to the next, the window's where left out.
    pub stride: Option<u16>,
    /// Name of the column with the classes' names.
    pub label: Option<String>,
}

impl DatasetName {
    /// Its name in a config.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::FashionMnist => "fashion-mnist",
            Self::Idx => "idx",
            Self::Cifar10 => "cifar-10",
            Self::Cifar100 => "cifar-100",
            Self::ImageFolder => "image-folder",
            Self::SpeechCommands => "speech-commands",
            Self::SensorCsv => "sensor-csv",
            Self::SensorNpy => "sensor-npy",
        }
    }
}

impl DataConfig {
    /// A key that the format does not read is a mistake of the user's.
    pub(super) fn refuse_unused(&self, name: DatasetName) -> Result<(), DataError> {
        use DatasetName::{ImageFolder, SensorCsv, SpeechCommands};
        let keys = [
            ("data.size", self.size.is_some(), ImageFolder),
            ("data.grayscale", self.grayscale.is_some(), ImageFolder),
            ("data.words", self.words.is_some(), SpeechCommands),
            ("data.sample_rate", self.sample_rate.is_some(), SpeechCommands),
            ("data.clip_ms", self.clip_ms.is_some(), SpeechCommands),
            ("data.window", self.window.is_some(), SensorCsv),
            ("data.stride", self.stride.is_some(), SensorCsv),
            ("data.label", self.label.is_some(), SensorCsv),
        ];
        for (key, present, reader) in keys {
            if present && reader != name {
                return Err(DataError::option(key, format!("{} does not read this key", name.text())));
            }
        }
        Ok(())
    }
}
