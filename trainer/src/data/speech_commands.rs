//! A folder of WAV files for each word, as in Speech Commands (Warden 2018): `WORD/*.wav`, `testing_list.txt`,
//! `validation_list.txt`, `_background_noise_`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hound::{SampleFormat, WavReader, WavSpec};
use ndarray::ArrayViewMut3;
use stepshift_runtime::crc32;
use stepshift_runtime::format::Shape;
use stepshift_runtime::front_end::FrontEnd;

use super::images::FileInput;
use super::waveform::{Changes, WaveformConfig};
use super::{DataConfig, DataError, Dataset, Decode, Images, Source, files, limits};
use crate::front_end::{Scaling, Tables};

/// The folder whose files are silence.
const BACKGROUND: &str = "_background_noise_";

/// Classes beside the words that a config names.
const UNKNOWN: &str = "_unknown_";
const SILENCE: &str = "_silence_";

/// Where no list says which files are held out: one speaker in so many.
const HELD_OUT: u32 = 10;

/// Bytes before the samples of a WAV file, at least.
const WAV_HEADER_BYTES: u64 = 44;

/// Training sounds that the features' scaling is chosen from, at most.
const SCALING_SOUNDS: usize = 2000;

/// log2 of the step of the input codes: three standard deviations are 2 to 4.
const INPUT_EXPONENT: i8 = -5;

/// How sounds are cut.
#[derive(Debug, Clone, Copy)]
struct Clips {
    sample_rate: u32,
    /// Samples of a clip.
    len: usize,
}

/// Finds the files, and chooses the scaling of the features. An input is `[frames, features, 1]`; sounds are computed
/// whenever they are read.
///
/// # Errors
/// Names the folder, file or key.
pub fn load(folder: &Path, source: Source<'_>) -> Result<Dataset, DataError> {
    let options = source.options;
    let clips = Clips::new(options)?;
    let tables = Tables::new(&source.front_end.unwrap_or_default(), clips.sample_rate).map_err(DataError::FrontEnd)?;
    let words = words(folder)?;
    let class_names = class_names(folder, &words, options)?;
    source.check_class_count(folder, class_names.len())?;
    let inputs = inputs(folder, &words, &class_names, options, clips)?;
    let lists = Lists::read(folder)?;
    let (mut train, mut test) = (Vec::new(), Vec::new());
    let is_anomaly = |label: usize| source.is_anomaly(&class_names[label]);
    for input in inputs {
        match lists.part(folder, &input) {
            Part::Train if !is_anomaly(input.label.into()) => train.push(input),
            Part::Test => test.push(input),
            Part::Train | Part::Validation => {}
        }
    }
    for (part, inputs) in [("training", &train), ("test", &test)] {
        let is_missing = |label: &usize| !inputs.iter().any(|input| usize::from(input.label) == *label);
        let needed = |label: &usize| part == "test" || !is_anomaly(*label);
        if let Some(label) = (0..class_names.len()).filter(needed).find(is_missing) {
            let what = format!("class {} has no {part} sounds; {}", class_names[label], lists.rule());
            return Err(DataError::contents(folder, what));
        }
    }
    let file = match source.front_end_file {
        Some(file) => file.to_vec(),
        None => tables.encode(&scaling(&tables, &train, clips)?),
    };
    let changes = source.waveform.map(|config| changes(folder, config, &lists, clips)).transpose()?;
    let decoder = |changes| Arc::new(Decoder { file: file.clone(), clips, changes });
    let (plain, changed) = (decoder(None), decoder(changes));
    let shape = plain.shape()?;
    Ok(Dataset {
        train: Images::in_files(train, shape, changed),
        test: Images::in_files(test, shape, plain),
        classes: class_names.len(),
        class_names,
        anomalies: Vec::new(),
        input_exponent: INPUT_EXPONENT,
        front_end: Some(file),
    })
}

/// The changes of training sounds, with the background that is not held out.
fn changes(folder: &Path, config: WaveformConfig, lists: &Lists, clips: Clips) -> Result<Changes, DataError> {
    config.check(clips.milliseconds())?;
    let mut background = Vec::new();
    if config.background > 0.0 {
        if folder.join(BACKGROUND).is_dir() {
            background = self::background(folder, 0, clips)?;
        }
        background.retain(|input| lists.part(folder, input) == Part::Train);
        if background.is_empty() {
            let what = format!(
                "{} has no sound of {} ms or longer for training",
                folder.join(BACKGROUND).display(),
                clips.milliseconds()
            );
            return Err(DataError::option("augmentation.waveform.background", what));
        }
    }
    let shift = (u64::from(clips.sample_rate) * u64::from(config.shift_ms) / 1000) as usize;
    Ok(Changes { shift, config, background })
}

impl Clips {
    const fn milliseconds(self) -> u32 {
        (self.len as u64 * 1000 / self.sample_rate as u64) as u32
    }

    fn new(options: &DataConfig) -> Result<Self, DataError> {
        let (sample_rate, clip_ms) = (options.sample_rate.unwrap_or(16_000), options.clip_ms.unwrap_or(1000));
        if !(1000..=192_000).contains(&sample_rate) {
            return Err(DataError::option("data.sample_rate", format!("is {sample_rate}, it must be 1000 to 192000")));
        }
        if !(1..=60_000).contains(&clip_ms) {
            return Err(DataError::option("data.clip_ms", format!("is {clip_ms}, it must be 1 to 60000")));
        }
        Ok(Self { sample_rate, len: (u64::from(sample_rate) * u64::from(clip_ms) / 1000) as usize })
    }

    /// Samples from one clip of background noise to the next.
    const fn background_hop(self) -> usize {
        if self.len < 4 { 1 } else { self.len / 4 }
    }

    /// Samples of a clip; what is missing at the end is silence.
    fn read(self, path: &Path, part: u32) -> Result<Vec<i16>, DataError> {
        let refusal = |error| DataError::contents(path, format!("not a readable WAV file: {error}"));
        let mut reader = self.open(path)?;
        let start = part * u32::try_from(self.background_hop()).unwrap_or(u32::MAX);
        reader.seek(start).map_err(|source| DataError::read(path, source))?;
        let samples = reader.samples::<i16>().take(self.len).collect::<Result<Vec<_>, _>>();
        let mut samples = samples.map_err(refusal)?;
        samples.resize(self.len, 0);
        Ok(samples)
    }

    /// Reads the header, which must be of 16-bit samples of one channel at the rate, as many as the file has room for.
    fn open(self, path: &Path) -> Result<WavReader<BufReader<File>>, DataError> {
        let refusal = |error| DataError::contents(path, format!("not a readable WAV file: {error}"));
        let file = File::open(path).map_err(|source| DataError::read(path, source))?;
        let file_bytes = file.metadata().map_err(|source| DataError::read(path, source))?.len();
        let reader = WavReader::new(BufReader::new(file)).map_err(refusal)?;
        let WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
        let right = channels == 1 && bits_per_sample == 16 && sample_format == SampleFormat::Int;
        if !right || sample_rate != self.sample_rate {
            let kind = if sample_format == SampleFormat::Int { "integer" } else { "float" };
            let what = format!(
                "{channels} channels of {bits_per_sample}-bit {kind} samples at {sample_rate} Hz, they must be one \
                 channel of 16-bit integers at {} Hz",
                self.sample_rate
            );
            return Err(DataError::contents(path, what));
        }
        let samples = reader.duration();
        if samples == 0 {
            return Err(DataError::contents(path, "there are no samples"));
        }
        if file_bytes < WAV_HEADER_BYTES + 2 * u64::from(samples) {
            return Err(DataError::contents(path, format!("the file ends before the last of its {samples} samples")));
        }
        Ok(reader)
    }
}

/// Folders of words, in the order of their names.
fn words(folder: &Path) -> Result<Vec<String>, DataError> {
    let names = files::folders(folder)?.iter().map(|path| files::name(path)).collect::<Vec<_>>();
    Ok(names.into_iter().filter(|name| name != BACKGROUND).collect())
}

fn class_names(folder: &Path, words: &[String], options: &DataConfig) -> Result<Vec<String>, DataError> {
    let Some(chosen) = &options.words else { return Ok(words.to_vec()) };
    if chosen.is_empty() {
        return Err(DataError::option("data.words", "no word is named"));
    }
    if let Some(missing) = chosen.iter().find(|word| !words.contains(word)) {
        return Err(DataError::option("data.words", format!("there is no folder {}", folder.join(missing).display())));
    }
    if chosen.iter().collect::<BTreeSet<_>>().len() < chosen.len() {
        return Err(DataError::option("data.words", "a word is named twice"));
    }
    let mut names = chosen.clone();
    if words.len() > chosen.len() {
        names.push(UNKNOWN.to_owned());
    }
    if folder.join(BACKGROUND).is_dir() {
        names.push(SILENCE.to_owned());
    }
    Ok(names)
}

/// Every input, with its class. Of other words and of silence there are no more than of a word on average.
fn inputs(
    folder: &Path,
    words: &[String],
    class_names: &[String],
    options: &DataConfig,
    clips: Clips,
) -> Result<Vec<FileInput>, DataError> {
    let label_of = |name: &str| class_names.iter().position(|class| class == name).map(|label| label as u8);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for word in words {
        let paths = files::with_extension(&folder.join(word), &["wav"])?;
        if paths.is_empty() {
            return Err(DataError::contents(&folder.join(word), "no file ends in .wav"));
        }
        for path in paths {
            clips.open(&path)?;
            match label_of(word) {
                Some(label) => known.push(FileInput { path, part: 0, label }),
                None => unknown.push(FileInput { path, part: 0, label: label_of(UNKNOWN).unwrap_or(0) }),
            }
        }
    }
    let share = options.words.as_ref().map_or(0, |chosen| known.len() / chosen.len().max(1));
    let mut inputs = known;
    inputs.extend(chosen(unknown, share));
    if let Some(label) = label_of(SILENCE) {
        inputs.extend(chosen(background(folder, label, clips)?, share));
    }
    Ok(inputs)
}

/// Clips of the background's files, overlapping by three quarters.
fn background(folder: &Path, label: u8, clips: Clips) -> Result<Vec<FileInput>, DataError> {
    let mut inputs = Vec::new();
    for path in files::with_extension(&folder.join(BACKGROUND), &["wav"])? {
        let len = clips.open(&path)?.duration() as usize;
        let parts = len.checked_sub(clips.len).map_or(0, |rest| rest / clips.background_hop() + 1);
        inputs.extend((0..parts as u32).map(|part| FileInput { path: path.clone(), part, label }));
    }
    Ok(inputs)
}

/// Some of the inputs, always the same ones: those whose names have the least checksums.
fn chosen(mut inputs: Vec<FileInput>, count: usize) -> Vec<FileInput> {
    inputs.sort_by_key(|input| (checksum(&input.path, input.part), input.part));
    inputs.truncate(count);
    inputs
}

fn checksum(path: &Path, part: u32) -> u32 {
    let folder = path.parent().map(files::name).unwrap_or_default();
    crc32(format!("{folder}/{} {part}", files::name(path)).as_bytes())
}

/// What a sound is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Test,
    /// Left out of both, so that results are those of the data set's authors.
    Validation,
}

/// Which sounds are held out: by the data set's lists, or by speaker where there are none.
struct Lists {
    testing: BTreeSet<PathBuf>,
    validation: BTreeSet<PathBuf>,
}

impl Lists {
    fn read(folder: &Path) -> Result<Self, DataError> {
        let list = |name: &str| {
            let path = folder.join(name);
            if !path.exists() {
                return Ok(BTreeSet::new());
            }
            let text = String::from_utf8(files::bytes(&path)?);
            let text = text.map_err(|_| DataError::contents(&path, "not a text of UTF-8"))?;
            Ok(text.lines().map(|line| PathBuf::from(line.trim())).collect())
        };
        Ok(Self { testing: list("testing_list.txt")?, validation: list("validation_list.txt")? })
    }

    /// What holds sounds out.
    fn rule(&self) -> String {
        match self.testing.is_empty() {
            true => format!("one speaker in {HELD_OUT} is held out"),
            false => "testing_list.txt says which are held out".to_owned(),
        }
    }

    fn part(&self, folder: &Path, input: &FileInput) -> Part {
        let path = input.path.strip_prefix(folder).unwrap_or(&input.path);
        let background = path.starts_with(BACKGROUND);
        if self.testing.is_empty() || background {
            // All sounds of a speaker, who is the first part of a file's name, are on one side.
            let name = files::name(path);
            let speaker = name.split("_nohash_").next().unwrap_or_default();
            let key = if background { format!("{name} {}", input.part / 8) } else { speaker.to_owned() };
            return if crc32(key.as_bytes()).is_multiple_of(HELD_OUT) { Part::Test } else { Part::Train };
        }
        let validation = self.validation.contains(path);
        let part = if validation { Part::Validation } else { Part::Train };
        if self.testing.contains(path) { Part::Test } else { part }
    }
}

/// The scaling that some of the training sounds ask for, always the same ones.
fn scaling(tables: &Tables, train: &[FileInput], clips: Clips) -> Result<Scaling, DataError> {
    let every = train.len().div_ceil(SCALING_SOUNDS).max(1);
    let sounds = train.iter().step_by(every).map(|input| clips.read(&input.path, input.part));
    let sounds = sounds.collect::<Result<Vec<_>, _>>()?;
    Ok(Scaling::fit(tables, sounds.iter().map(Vec::as_slice)))
}

#[derive(Debug)]
struct Decoder {
    /// The front end.
    file: Vec<u8>,
    clips: Clips,
    /// Of training sounds.
    changes: Option<Changes>,
}

impl Decoder {
    fn front_end(&self) -> Result<FrontEnd<'_>, DataError> {
        FrontEnd::parse(&self.file).map_err(|error| DataError::FrontEnd(error.into()))
    }

    fn shape(&self) -> Result<Shape, DataError> {
        let front_end = self.front_end()?;
        let rows = front_end.row_count(self.clips.len);
        let h = u16::try_from(rows).ok().filter(|rows| *rows > 0).ok_or_else(|| {
            let what = format!("a clip of {} samples has {rows} frames, there must be 1 to 65535", self.clips.len);
            DataError::option("data.clip_ms", what)
        })?;
        let features = front_end.feature_count();
        limits::check_input([rows, features, 1]).map_err(|what| DataError::option("data.clip_ms", what))?;
        Ok(Shape { h, w: features as u16, c: 1 })
    }
}

impl Decode for Decoder {
    fn decode(
        &self,
        path: &Path,
        part: u32,
        seed: Option<u64>,
        mut codes: ArrayViewMut3<'_, i8>,
    ) -> Result<(), DataError> {
        let front_end = self.front_end()?;
        let mut samples = self.clips.read(path, part)?;
        if let (Some(changes), Some(seed)) = (&self.changes, seed) {
            changes.apply(&mut samples, seed, |path, part| self.clips.read(path, part))?;
        }
        let (mut scratch, mut row) = (vec![0; front_end.scratch_len()], vec![0; front_end.feature_count()]);
        for (index, mut target) in codes.outer_iter_mut().enumerate() {
            let start = index * front_end.hop_len();
            front_end.features(&samples[start..start + front_end.frame_len()], &mut scratch, &mut row);
            target.iter_mut().zip(&row).for_each(|(target, code)| *target = *code);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Anomalies, DatasetName, load};
    use super::*;
    use crate::front_end::FrontEndConfig;

    fn wav(path: &Path, spec: WavSpec, samples: impl IntoIterator<Item = i16>) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        samples.into_iter().for_each(|sample| writer.write_sample(sample).unwrap());
        writer.finalize().unwrap();
    }

    const SPEC: WavSpec =
        WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: SampleFormat::Int };

    fn tone(hertz: f64, len: usize) -> impl Iterator<Item = i16> {
        (0..len).map(move |n| (9000.0 * (hertz * n as f64 / 2546.48).sin()) as i16)
    }

    /// Three words of eight speakers, and four seconds of noise.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (word, hertz) in [("no", 300.0), ("up", 900.0), ("yes", 2000.0)] {
            for speaker in 0..40 {
                let name = format!("{word}/a{speaker:02}_nohash_0.wav");
                let len = if speaker == 0 { 9000 } else { 16_000 };
                wav(&folder.path().join(name), SPEC, tone(hertz + f64::from(speaker), len));
            }
        }
        wav(&folder.path().join(BACKGROUND).join("hum.wav"), SPEC, tone(50.0, 16_000 * 30));
        folder
    }

    fn try_load(folder: &Path, options: &DataConfig) -> Result<Dataset, String> {
        try_load_changed(folder, options, None)
    }

    fn try_load_changed(
        folder: &Path,
        options: &DataConfig,
        waveform: Option<WaveformConfig>,
    ) -> Result<Dataset, String> {
        let front_end = Some(FrontEndConfig { coefficients: Some(10), ..FrontEndConfig::default() });
        let name = DatasetName::SpeechCommands;
        let source = Source { front_end, waveform, ..Source::new(name, options) };
        let data = load(source, Some(folder));
        data.map_err(|error| error.to_string().replace(&*folder.to_string_lossy(), "DIR"))
    }

    #[test]
    fn every_word_is_a_class_and_a_speaker_is_on_one_side() {
        let folder = folder();
        let data = try_load(folder.path(), &DataConfig::default()).unwrap();
        assert_eq!(data.class_names, ["no", "up", "yes"]);
        assert_eq!(data.train.len() + data.test.len(), 120);
        assert!(!data.test.is_empty() && data.test.len() < 40 && data.test.len().is_multiple_of(3));
        assert_eq!(data.train.shape(), Shape { h: 49, w: 10, c: 1 });
        let first = data.train.range(0..2).unwrap();
        assert!(first.iter().any(|code| *code != first[[0, 0, 0, 0]]));
        // A run that goes on keeps the scaling that it was begun with.
        let file = data.front_end.unwrap();
        let options = DataConfig::default();
        let source = Source { front_end_file: Some(&file), ..Source::new(DatasetName::SpeechCommands, &options) };
        assert_eq!(load(source, Some(folder.path())).unwrap().front_end.unwrap(), file);
    }

    #[test]
    fn anomalies_do_not_choose_the_scaling_and_may_be_in_the_test_alone() {
        let (folder, options, names) = (folder(), DataConfig::default(), ["yes".to_owned()]);
        let source =
            Source { anomalies: Some(Anomalies(&names)), ..Source::new(DatasetName::SpeechCommands, &options) };
        let load = || load(source, Some(folder.path())).unwrap();
        let data = load();
        assert_eq!((data.class_names.len(), data.anomalies.as_slice()), (3, &[2][..]));
        assert!(data.train.labels().iter().all(|label| *label < 2) && data.test.labels().contains(&2));
        for speaker in 0..40 {
            wav(&folder.path().join(format!("yes/a{speaker:02}_nohash_0.wav")), SPEC, tone(5000.0, 16_000));
        }
        assert_eq!(load().front_end, data.front_end);
        let list = (0..40).map(|speaker| format!("yes/a{speaker:02}_nohash_0.wav\n"));
        let others = ["no", "up"].map(|word| format!("{word}/a03_nohash_0.wav\n"));
        fs::write(folder.path().join("testing_list.txt"), list.chain(others).collect::<String>()).unwrap();
        let held_out = load();
        assert_eq!((held_out.train.len(), held_out.test.len()), (78, 42));
    }

    #[test]
    fn training_sounds_change_by_the_seed_before_the_front_end_and_test_sounds_do_not() {
        let folder = folder();
        // Ten milliseconds are half a frame's hop: no change of features could do that.
        let waveform = WaveformConfig { shift_ms: 10, noise: 0.0, background: 0.1, background_share: 1.0 };
        let plain = try_load(folder.path(), &DataConfig::default()).unwrap();
        let data = try_load_changed(folder.path(), &DataConfig::default(), Some(waveform)).unwrap();
        assert_eq!(data.front_end, plain.front_end, "the scaling is that of sounds as they are");
        let order = [5, 0, 17, 3];
        assert_eq!(data.train.read(&order).unwrap(), plain.train.read(&order).unwrap());
        let first = data.train.varied(1).read(&order).unwrap();
        assert_ne!(first, plain.train.read(&order).unwrap());
        assert_ne!(first, data.train.varied(2).read(&order).unwrap());
        // The same by another order, one by one.
        for (place, index) in order.into_iter().enumerate().rev() {
            let alone = data.train.varied(1).read(&[index]).unwrap();
            assert_eq!(alone.index_axis(ndarray::Axis(0), 0), first.index_axis(ndarray::Axis(0), place));
        }
        assert_eq!(data.test.varied(1).read(&[0, 1]).unwrap(), plain.test.read(&[0, 1]).unwrap());
    }

    #[test]
    fn lists_say_what_is_held_out() {
        let folder = folder();
        fs::write(
            folder.path().join("testing_list.txt"),
            "no/a00_nohash_0.wav\nup/a01_nohash_0.wav\nyes/a02_nohash_0.wav\n",
        )
        .unwrap();
        fs::write(folder.path().join("validation_list.txt"), "no/a05_nohash_0.wav\n").unwrap();
        let data = try_load(folder.path(), &DataConfig::default()).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (116, 3));
    }

    #[test]
    fn other_words_and_silence_are_classes_beside_chosen_words() {
        let folder = folder();
        let options = DataConfig { words: Some(vec!["yes".to_owned(), "no".to_owned()]), ..DataConfig::default() };
        let data = try_load(folder.path(), &options).unwrap();
        assert_eq!(data.class_names, ["yes", "no", "_unknown_", "_silence_"]);
        let count = |label| data.train.labels().iter().chain(data.test.labels()).filter(|own| **own == label).count();
        assert_eq!([0, 1, 2, 3].map(count), [40; 4]);
        data.train.range(0..data.train.len()).unwrap();
    }

    #[test]
    fn foreign_sounds_words_and_options_are_named() {
        let place = folder();
        let stereo = WavSpec { channels: 2, sample_rate: 8000, ..SPEC };
        wav(&place.path().join("up/stereo.wav"), stereo, [1, 2]);
        assert_eq!(
            try_load(place.path(), &DataConfig::default()).unwrap_err(),
            "DIR/up/stereo.wav: 2 channels of 16-bit integer samples at 8000 Hz, they must be one channel of 16-bit \
             integers at 16000 Hz"
        );
        let place = folder();
        fs::write(place.path().join("up/text.wav"), "RIFF no more").unwrap();
        let error = try_load(place.path(), &DataConfig::default()).unwrap_err();
        assert!(error.starts_with("DIR/up/text.wav: not a readable WAV file"), "{error}");
        let words = |list: &[&str]| DataConfig {
            words: Some(list.iter().map(|word| (*word).to_owned()).collect()),
            ..DataConfig::default()
        };
        let place = folder();
        assert_eq!(try_load(place.path(), &words(&["left"])).unwrap_err(), "data.words: there is no folder DIR/left");
        assert_eq!(try_load(place.path(), &words(&["up", "up"])).unwrap_err(), "data.words: a word is named twice");
        let clip = DataConfig { clip_ms: Some(10), ..DataConfig::default() };
        assert_eq!(
            try_load(place.path(), &clip).unwrap_err(),
            "data.clip_ms: a clip of 160 samples has 0 frames, there must be 1 to 65535"
        );
        assert_eq!(try_load(place.path(), &words(&[])).unwrap_err(), "data.words: no word is named");
        fs::write(place.path().join("testing_list.txt"), "no\\a00_nohash_0.wav\n").unwrap();
        assert_eq!(
            try_load(place.path(), &DataConfig::default()).unwrap_err(),
            "DIR: class no has no test sounds; testing_list.txt says which are held out"
        );
        let place = folder();
        let path = place.path().join("up/cut.wav");
        wav(&path, SPEC, [7; 1000]);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 2]).unwrap();
        assert_eq!(
            try_load(place.path(), &DataConfig::default()).unwrap_err(),
            "DIR/up/cut.wav: the file ends before the last of its 1000 samples"
        );
        wav(&path, SPEC, []);
        assert_eq!(try_load(place.path(), &DataConfig::default()).unwrap_err(), "DIR/up/cut.wav: there are no samples");
        let place = folder();
        fs::create_dir(place.path().join("void")).unwrap();
        assert_eq!(try_load(place.path(), &DataConfig::default()).unwrap_err(), "DIR/void: no file ends in .wav");
        let place = folder();
        fs::remove_dir_all(place.path().join(BACKGROUND)).unwrap();
        let waveform = WaveformConfig { shift_ms: 0, noise: 0.0, background: 0.1, background_share: 0.5 };
        let error = try_load_changed(place.path(), &DataConfig::default(), Some(waveform)).unwrap_err();
        let expected =
            "augmentation.waveform.background: DIR/_background_noise_ has no sound of 1000 ms or longer for training";
        assert_eq!(error, expected);
        let window = DataConfig { window: Some(3), ..DataConfig::default() };
        assert_eq!(try_load(place.path(), &window).unwrap_err(), "data.window: speech-commands does not read this key");
    }
}
