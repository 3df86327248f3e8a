//! `train.csv` and `test.csv`: a row for each moment, a column for each channel, and one with the class's name.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::super::{DataError, Dataset, Source, files, limits};
use super::{Windows, covering_exponent, images};

/// The column with the class's name where a config does not say otherwise.
const LABEL: &str = "label";

/// A column of this name tells recordings apart, and is no channel.
const RECORDING: &str = "recording";

/// Cuts both files into windows of `data.window` rows, one each `data.stride` rows. A window has one class and lies in one recording.
/// Classes are in the order of their names; the exponent of the input covers the training samples that are no anomalies.
///
/// # Errors
/// Names the file, line and column, or the key.
pub fn load(folder: &Path, source: Source<'_>) -> Result<Dataset, DataError> {
    let options = source.options;
    let Some(window) = options.window.filter(|window| *window > 0) else {
        return Err(DataError::option("data.window", "is missing or 0, it must be the rows of a window"));
    };
    let stride = options.stride.unwrap_or(window);
    if stride == 0 {
        return Err(DataError::option("data.stride", "is 0, it must be at least 1"));
    }
    let label = options.label.as_deref().unwrap_or(LABEL);
    let (train, test) = (Table::read(&folder.join("train.csv"), label)?, Table::read(&folder.join("test.csv"), label)?);
    if train.channels != test.channels {
        let what = format!("its channels are {:?}, those of train.csv are {:?}", test.channels, train.channels);
        return Err(DataError::contents(&folder.join("test.csv"), what));
    }
    let classes = source.classes(train.classes(), test.classes())?;
    source.check_class_count(folder, classes.len())?;
    let learned = train.rows.iter().filter(|row| !source.is_anomaly(&row.class));
    let exponent = covering_exponent(learned.flat_map(|row| &row.values));
    let cut = |table: &Table, name: &str| {
        let windows = table.windows(&folder.join(name), window.into(), stride.into(), &classes)?;
        Ok(images(windows, window.into(), table.channels.len(), exponent))
    };
    Ok(Dataset {
        train: cut(&train, "train.csv")?,
        test: cut(&test, "test.csv")?,
        classes: classes.len(),
        class_names: classes,
        anomalies: Vec::new(),
        input_exponent: exponent,
        front_end: None,
    })
}

struct Table {
    channels: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    class: String,
    recording: String,
    values: Vec<f32>,
}

impl Table {
    fn read(path: &Path, label: &str) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| DataError::read(path, source))?;
        let mut reader = csv::Reader::from_reader(file);
        let refuse = |error: csv::Error| DataError::contents(path, format!("not a readable CSV file: {error}"));
        let names: Vec<String> = reader.headers().map_err(refuse)?.iter().map(|name| name.trim().to_owned()).collect();
        let Some(label_index) = names.iter().position(|name| name == label) else {
            return Err(DataError::contents(path, format!("no column is named {label}; there are {names:?}")));
        };
        if let Some(index) = (0..names.len()).find(|index| names[..*index].contains(&names[*index])) {
            return Err(DataError::contents(path, format!("two columns are named {}", names[index])));
        }
        let recording = names.iter().position(|name| name == RECORDING);
        let is_channel = |index: &usize| *index != label_index && Some(*index) != recording;
        let channels: Vec<usize> = (0..names.len()).filter(is_channel).collect();
        if channels.is_empty() {
            return Err(DataError::contents(path, "there is no column of samples"));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(refuse)?;
            let line = record.position().map_or(0, csv::Position::line);
            let value = |index: &usize| {
                let text = record[*index].trim();
                let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
                value.ok_or_else(|| {
                    let what = format!("line {line}, column {}: {text:?} is not a finite number", names[*index]);
                    DataError::contents(path, what)
                })
            };
            let class = record[label_index].trim().to_owned();
            if class.is_empty() {
                return Err(DataError::contents(path, format!("line {line}, column {label}: the class has no name")));
            }
            rows.push(Row {
                class,
                recording: recording.map_or(String::new(), |index| record[index].trim().to_owned()),
                values: channels.iter().map(value).collect::<Result<_, _>>()?,
            });
        }
        if rows.is_empty() {
            return Err(DataError::contents(path, "there are no rows below the names"));
        }
        Ok(Self { channels: channels.into_iter().map(|index| names[index].clone()).collect(), rows })
    }

    /// In the order of their names.
    fn classes(&self) -> Vec<String> {
        let classes: BTreeSet<&String> = self.rows.iter().map(|row| &row.class).collect();
        classes.into_iter().cloned().collect()
    }

    fn windows(&self, path: &Path, len: usize, stride: usize, classes: &[String]) -> Result<Windows, DataError> {
        let runs = || self.rows.chunk_by(|a, b| (&a.class, &a.recording) == (&b.class, &b.recording));
        let count = runs().map(|run| run.windows(len).step_by(stride).len()).sum();
        let channels = self.channels.len();
        limits::check_input([1, len, channels]).map_err(|what| DataError::option("data.window", what))?;
        limits::check_made(&[count, len, channels]).map_err(|what| {
            let windows = format!("{count} windows of {len} rows x {channels} channels of {}", files::name(path));
            DataError::option("data.stride", format!("is {stride}, which makes {windows}: {what}"))
        })?;
        let mut windows = Windows { values: Vec::new(), labels: Vec::new() };
        for run in runs() {
            let class = &run[0].class;
            let Some(label) = classes.iter().position(|known| known == class) else {
                return Err(DataError::contents(path, format!("class {class:?} is not one of train.csv")));
            };
            for window in run.windows(len).step_by(stride) {
                windows.values.extend(window.iter().flat_map(|row| &row.values));
                windows.labels.push(label as u8);
            }
        }
        if windows.labels.is_empty() {
            return Err(DataError::contents(path, format!("no {len} rows of one class follow one another")));
        }
        Ok(windows)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::{self, Anomalies, DataConfig, DatasetName};

    const ROWS: &str = "x, y ,label\n1,-2,rest\n2,0.5,rest\n3,1,rest\n4,1,walk\n5,1,walk\n6,1,walk\n7,1,walk\n";

    fn try_load(train: &str, test: &str, options: &DataConfig) -> Result<Dataset, String> {
        try_load_with(Source::new(DatasetName::SensorCsv, options), train, test)
    }

    fn try_load_with(source: Source<'_>, train: &str, test: &str) -> Result<Dataset, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("train.csv"), train).unwrap();
        fs::write(folder.path().join("test.csv"), test).unwrap();
        data::load(source, Some(folder.path()))
            .map_err(|error| error.to_string().replace(&*folder.path().to_string_lossy(), "DIR"))
    }

    fn options(window: u16, stride: Option<u16>) -> DataConfig {
        DataConfig { window: Some(window), stride, ..DataConfig::default() }
    }

    #[test]
    fn rows_of_a_csv_file_are_cut_into_windows_of_one_class() {
        let data = try_load(ROWS, ROWS, &options(2, Some(1))).unwrap();
        assert_eq!(data.class_names, ["rest", "walk"]);
        assert_eq!(data.train.labels(), [0, 0, 1, 1, 1]);
        assert_eq!((data.train.shape().w, data.train.shape().c, data.input_exponent), (2, 2, -4));
        let first: Vec<i8> = data.train.range(0..2).unwrap().into_iter().collect();
        assert_eq!(first, [16, -32, 32, 8, 32, 8, 48, 16]);
        assert_eq!(try_load(ROWS, ROWS, &options(3, None)).unwrap().test.labels(), [0, 1]);
        let recorded = ROWS.replace("x,", "recording,").replace("\n6,", "\n5,");
        let data = try_load(&recorded, &recorded, &options(2, None)).unwrap();
        assert_eq!((data.train.labels(), data.train.shape().c), (&[1][..], 1));
    }

    #[test]
    fn mistakes_in_a_csv_file_are_named_by_line_and_column() {
        let error = |train: &str, test: &str, options: &DataConfig| try_load(train, test, options).unwrap_err();
        let two = options(2, None);
        assert_eq!(
            error(ROWS, ROWS, &DataConfig::default()),
            "data.window: is missing or 0, it must be the rows of a window"
        );
        assert_eq!(error(ROWS, ROWS, &options(2, Some(0))), "data.stride: is 0, it must be at least 1");
        assert_eq!(
            error(&ROWS.replace("4,1", "4,one"), ROWS, &two),
            "DIR/train.csv: line 5, column y: \"one\" is not a finite number"
        );
        assert_eq!(
            error(ROWS, &ROWS.replace("4,1", "NaN,1"), &two),
            "DIR/test.csv: line 5, column x: \"NaN\" is not a finite number"
        );
        assert_eq!(
            error(&ROWS.replace("label", "class"), ROWS, &two),
            "DIR/train.csv: no column is named label; there are [\"x\", \"y\", \"class\"]"
        );
        assert_eq!(
            error(ROWS, &ROWS.replace("walk", "run"), &two),
            "DIR/test.csv: class \"run\" is not one of train.csv"
        );
        assert_eq!(error(ROWS, ROWS, &options(5, None)), "DIR/train.csv: no 5 rows of one class follow one another");
        assert!(
            error(&ROWS.replace("4,1,", "4,1,1,"), ROWS, &two).starts_with("DIR/train.csv: not a readable CSV file")
        );
        assert_eq!(
            error(ROWS, &ROWS.replace("x, y", "y, x"), &two),
            "DIR/test.csv: its channels are [\"y\", \"x\"], those of train.csv are [\"x\", \"y\"]"
        );
        assert_eq!(error(&ROWS.replace("y ,", "x ,"), ROWS, &two), "DIR/train.csv: two columns are named x");
        assert_eq!(
            error(&ROWS.replace("4,1,walk", "4,1, "), ROWS, &two),
            "DIR/train.csv: line 5, column label: the class has no name"
        );
        let long = format!("x,label\n{}", "1,a\n".repeat(100_000) + &"1,b\n".repeat(100));
        assert_eq!(
            error(&long, &long, &options(40_000, Some(1))),
            "data.stride: is 1, which makes 60001 windows of 40000 rows x 1 channels of train.csv: 2400040000 values, there \
             may be 1073741824 at most"
        );
        let names: String = (0..1000).map(|index| format!("x{index},")).collect();
        let wide = format!("{names}label\n{}a\n{}b\n", "1,".repeat(1000), "1,".repeat(1000));
        assert_eq!(
            error(&wide, &wide, &options(4000, None)),
            "data.window: inputs of 1 x 4000 x 1000 values, 16 MB each while training: they may have 3145728 values at most"
        );
        assert_eq!(error("x,label\n", ROWS, &two), "DIR/train.csv: there are no rows below the names");
        assert_eq!(error("label\na\nb\n", ROWS, &two), "DIR/train.csv: there is no column of samples");
    }

    #[test]
    fn anomalies_do_not_choose_the_exponent_and_may_be_in_the_test_alone() {
        let (names, options) = (["jump".to_owned()], options(2, None));
        let source = Source { anomalies: Some(Anomalies(&names)), ..Source::new(DatasetName::SensorCsv, &options) };
        let jumps = "100,0,jump\n-100,0,jump\n";
        // Rows on both sides of an anomaly do not follow one another.
        let interrupted = ROWS.replace("1,-2,rest\n", &format!("1,-2,rest\n{jumps}"));
        let data = try_load_with(source, &interrupted, &format!("{ROWS}{jumps}")).unwrap();
        assert_eq!(
            (data.class_names.as_slice(), data.anomalies),
            (&["jump", "rest", "walk"].map(str::to_owned)[..], vec![0])
        );
        assert_eq!((data.train.labels(), data.test.labels()), (&[1, 2, 2][..], &[1, 2, 2, 0][..]));
        assert_eq!(data.input_exponent, -4, "7 is covered, 100 is not");
        let first: Vec<i8> = data.train.range(0..1).unwrap().into_iter().collect();
        assert_eq!(first, [32, 8, 48, 16]);
        let data = try_load_with(source, ROWS, &format!("{ROWS}{jumps}")).unwrap();
        assert_eq!((data.classes, data.train.labels(), data.test.labels().last()), (3, &[1, 2, 2][..], Some(&0)));
        assert_eq!(
            try_load_with(source, ROWS, ROWS).unwrap_err(),
            "anomalies: \"jump\" is no class of the data set, there are [\"rest\", \"walk\"]"
        );
    }
}
