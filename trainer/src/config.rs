//! The description of a run, in TOML. `docs/config.md` documents every key.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Error, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use stepshift_runtime::format::Shape;

use crate::config_words::in_words;
use crate::data::{Anomalies, DataConfig, DatasetName, Source, WaveformConfig};
use crate::front_end::FrontEndConfig;
use crate::layer_config::LayerConfig;
use crate::network::Network;
use crate::networks::NetworkName;
use crate::optimizer_config::OptimizerConfig;
use crate::quantizer_config::{GradientConfig, Products, QuantizerConfig, RangeMethod, Scheme};

/// Most passes of a phase: numbers of batches stay countable, and random choices of a pass its own.
const MAX_EPOCHS: usize = 1_000_000;

/// log2 of steps that f32 holds with every code of 16 bits: numbers below lose bits or are 0, `2^15 * 2^113` is infinite.
const STEP_EXPONENTS: RangeInclusive<i8> = -126..=112;

/// Of a distillation that names none.
const DEFAULT_TEMPERATURE: f64 = 4.0;

/// A run: data, network, and how both trainings go.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Seeds weights, shuffling and augmentation.
    pub seed: u64,
    /// What is learned from.
    pub dataset: DatasetName,
    /// What is learned.
    #[serde(default)]
    pub task: Task,
    /// Names of classes, or numbers of those without names, that a reconstruction is not to learn and the test is to find.
    #[serde(default)]
    pub anomalies: Vec<String>,
    /// Options of its format.
    #[serde(default)]
    pub data: DataConfig,
    /// From sounds to inputs.
    pub front_end: Option<FrontEndConfig>,
    /// Images in a step.
    pub batch_size: usize,
    /// Training in floating point, with batch norm.
    pub float: FloatConfig,
    /// Training of the quantized network, batch norm folded.
    pub quantized: QuantizedConfig,
    /// Changes of the training images.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// A network that is built in, in place of layers.
    pub network: Option<NetworkName>,
    /// The network, layer by layer.
    #[serde(default)]
    pub layers: Vec<LayerConfig>,
}

/// What a network learns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// To tell classes apart: the greatest output is the class.
    #[default]
    Classification,
    /// To write what it reads: the output is the input, by its squared error.
    Reconstruction,
}

impl Task {
    /// Its name in a config.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Reconstruction => "reconstruction",
        }
    }
}

/// Training in floating point.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FloatConfig {
    /// Passes over the training images.
    pub epochs: usize,
    /// How weights change.
    pub optimizer: OptimizerConfig,
    /// Share of each label that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Share of the past in the moving average of the weights, which is evaluated and quantized; left out, there is none.
    pub average: Option<f64>,
}

impl FloatConfig {
    fn check(&self) -> Result<()> {
        check_epochs("float", self.epochs)?;
        self.optimizer.check("float", self.epochs)?;
        unit("float.label_smoothing", self.label_smoothing)?;
        unit("float.average", self.average.unwrap_or_default())
    }
}

/// Training of the quantized network.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizedConfig {
    /// Passes over the training images.
    pub epochs: usize,
    /// Steps are frozen after so many of them.
    #[serde(default)]
    pub freeze_after: usize,
    /// Share of the past in the moving average of a range, 0 to 1.
    #[serde(default = "default_range_momentum")]
    pub range_momentum: f64,
    /// How weights change.
    pub optimizer: OptimizerConfig,
    /// Share of each label that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Share of the past in the moving average of the weights, which is evaluated and exported; left out, there is none.
    pub average: Option<f64>,
    /// Learns from the float network's outputs as well.
    pub distillation: Option<DistillationConfig>,
    /// Quantizes by some images before it is trained on, or instead of that.
    pub calibration: Option<CalibrationConfig>,
    /// Steps that are powers of two, or TensorFlow Lite's real ones.
    #[serde(default)]
    pub scheme: Scheme,
    /// What becomes of batch norms.
    #[serde(default)]
    pub batch_norm: BatchNormMode,
    /// How factors are rounded in layers whose sums stay exact.
    #[serde(default)]
    pub products: Products,
    /// Of all layers' weights.
    #[serde(default)]
    pub weights: QuantizerConfig,
    /// Of all layers' biases, before they are rounded to the accumulator's step; left out, that is all.
    pub biases: Option<QuantizerConfig>,
    /// Of what all layers write.
    #[serde(default)]
    pub activations: QuantizerConfig,
    /// Of gradients on their way back; left out, they stay as they are.
    #[serde(default)]
    pub gradients: GradientConfig,
    /// What is otherwise for single layers, by name.
    #[serde(default)]
    pub layers: BTreeMap<String, LayerQuantizers>,
}

/// Learning from the float network.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DistillationConfig {
    /// Share of the float network's outputs in the loss, the rest being the labels'.
    #[serde(default = "default_distillation_weight")]
    pub weight: f64,
    /// What both networks' outputs are divided by, where they tell classes apart.
    pub temperature: Option<f64>,
}

impl DistillationConfig {
    /// What both networks' outputs are divided by.
    #[must_use]
    pub fn temperature(&self) -> f64 {
        self.temperature.unwrap_or(DEFAULT_TEMPERATURE)
    }
}

/// Quantization without training.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationConfig {
    /// Training images that are looked at.
    pub images: usize,
    /// Evens out the ranges of channels across layers first.
    #[serde(default = "yes")]
    pub equalize: bool,
    /// Takes back the mean error of each channel last.
    #[serde(default = "yes")]
    pub bias_correction: bool,
    /// Steps in which each layer learns to round its weights up or down; 0 rounds them half up.
    #[serde(default)]
    pub adaround_steps: usize,
}

/// What becomes of batch norms when quantized training begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchNormMode {
    /// Multiplied into weights and biases once; there is no normalization any more.
    #[default]
    Folded,
    /// Folded at every step, with the batch's statistics until steps are frozen.
    Corrected,
    /// A layer of its own, `m * x + b` for each channel, in fixed point.
    Unfolded,
}

/// What is otherwise for one layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LayerQuantizers {
    /// log2 of the step of the layer's output, not chosen from ranges.
    pub activation_exponent: Option<i8>,
    /// log2 of the step of all of the layer's weights, not chosen from them.
    pub weight_exponent: Option<i8>,
    /// Of its weights.
    pub weights: Option<QuantizerConfig>,
    /// Of its biases.
    pub biases: Option<QuantizerConfig>,
    /// Of what it writes.
    pub activations: Option<QuantizerConfig>,
    /// Of gradients on their way back through it.
    #[serde(default)]
    pub gradients: GradientConfig,
}

impl QuantizedConfig {
    fn check(&self) -> Result<()> {
        let (epochs, freeze) = (self.epochs, self.freeze_after);
        check_epochs("quantized", epochs)?;
        match &self.calibration {
            None => {
                ensure!(epochs > 0, "quantized.epochs is 0, it must be at least 1 without quantized.calibration");
                let legal = (1..=epochs).contains(&freeze);
                ensure!(legal, "quantized.freeze_after is {freeze}, it must be 1 to quantized.epochs, {epochs}");
            }
            Some(calibration) => {
                ensure!(calibration.images > 0, "quantized.calibration.images is 0, it must be at least 1");
                ensure!(
                    freeze <= epochs,
                    "quantized.freeze_after is {freeze}, it must be 0 to quantized.epochs, {epochs}"
                );
            }
        }
        self.optimizer.check("quantized", epochs)?;
        unit("quantized.range_momentum", self.range_momentum)?;
        unit("quantized.label_smoothing", self.label_smoothing)?;
        unit("quantized.average", self.average.unwrap_or_default())?;
        if let Some(distillation) = self.distillation {
            let (weight, temperature) = (distillation.weight, distillation.temperature());
            let share = (0.0..=1.0).contains(&weight);
            ensure!(share, "quantized.distillation.weight is {weight}, it must be 0 to 1");
            let warm = temperature > 0.0 && temperature.is_finite();
            ensure!(warm, "quantized.distillation.temperature is {temperature}, it must be positive");
        }
        self.check_quantizers()?;
        self.check_percentiles()
    }

    /// A percentile that no range reads is a mistake of the user's; that of all layers may be for the range of one.
    fn check_percentiles(&self) -> Result<()> {
        let reads = |config: QuantizerConfig| config.range == Some(RangeMethod::Percentile);
        let check = |place: &str, kind: &str, config: QuantizerConfig, is_read: bool| {
            let share = config.percentile.filter(|_| !is_read);
            share.map_or(Ok(()), |share| {
                bail!("{place}.{kind}.percentile is {share}, which the range \"percentile\" alone reads")
            })
        };
        let all = by_kind([Some(self.weights), self.biases, Some(self.activations)], self.gradients);
        for (index, (kind, base)) in all.into_iter().enumerate() {
            let (base, mut is_read) = (base.unwrap_or_default(), base.is_some_and(reads));
            for (name, own) in &self.layers {
                let own =
                    by_kind([own.weights, own.biases, own.activations], own.gradients)[index].1.unwrap_or_default();
                check(&format!("quantized.layers.{name}"), kind, own, reads(own.or(base)))?;
                is_read |= reads(own);
            }
            check("quantized", kind, base, is_read)?;
        }
        Ok(())
    }

    fn check_quantizers(&self) -> Result<()> {
        let check = |place: &str, quantizers: [(&str, Option<QuantizerConfig>); 6]| {
            let mut given = quantizers.into_iter().filter_map(|(kind, config)| Some((kind, config?)));
            given.try_for_each(|(kind, config)| {
                let place = format!("{place}.{kind}");
                let is_learned = config.range.is_some_and(RangeMethod::is_learned);
                let of_gradients = kind.starts_with("gradients.");
                ensure!(!is_learned || !of_gradients, "{place}.range: a gradient's range cannot be learned");
                let is_unsigned = config.unsigned == Some(true);
                let may_be = kind == "activations";
                ensure!(!is_unsigned || may_be, "{place}.unsigned is true, which is for activations alone");
                config.check(&place, self.scheme)
            })
        };
        check("quantized", by_kind([Some(self.weights), self.biases, Some(self.activations)], self.gradients))?;
        for (name, own) in &self.layers {
            let quantizers = by_kind([own.weights, own.biases, own.activations], own.gradients);
            check(&format!("quantized.layers.{name}"), quantizers)?;
            let exponents =
                [("activation_exponent", own.activation_exponent), ("weight_exponent", own.weight_exponent)];
            for (key, exponent) in exponents {
                let (least, greatest) = STEP_EXPONENTS.into_inner();
                ensure!(
                    exponent.is_none_or(|exponent| STEP_EXPONENTS.contains(&exponent)),
                    "quantized.layers.{name}.{key} is {}, it must be {least} to {greatest}: f32, in which networks are \
                     trained, has no other steps with all their codes",
                    exponent.unwrap_or_default()
                );
            }
        }
        Ok(())
    }
}

/// Random changes of the training inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Greatest shift in pixels, in each direction.
    #[serde(default)]
    pub shift: usize,
    /// Mirror half of the images.
    #[serde(default)]
    pub flip: bool,
    /// Least share of the area that is kept of an image and enlarged, above 0 to 1.
    pub crop: Option<f64>,
    /// Side of a square of zeros.
    #[serde(default)]
    pub cutout: usize,
    /// Greatest shift in time, in frames of sound or rows of a sensor.
    #[serde(default)]
    pub time_shift: usize,
    /// Standard deviation of noise on every value, in codes.
    #[serde(default)]
    pub noise: f64,
    /// Parameter of the beta distribution of the share by which two inputs are mixed.
    #[serde(default)]
    pub mixup: f64,
    /// Changes of sounds before the front end.
    pub waveform: Option<WaveformConfig>,
}

impl Augmentation {
    fn check(self) -> Result<()> {
        if let Some(crop) = self.crop {
            ensure!(crop > 0.0 && crop <= 1.0, "augmentation.crop is {crop}, it must be above 0 and at most 1");
        }
        for (key, value) in [("noise", self.noise), ("mixup", self.mixup)] {
            ensure!((0.0..=100.0).contains(&value), "augmentation.{key} is {value}, it must be 0 to 100");
        }
        Ok(())
    }

    /// Refuses changes that may leave nothing of an input.
    ///
    /// # Errors
    /// Names the key, the value and what would be right.
    pub fn check_extents(self, input: Shape) -> Result<()> {
        let (h, w) = (usize::from(input.h), usize::from(input.w));
        let time = if h == 1 { w } else { h };
        let changes =
            [("shift", self.shift, h.min(w)), ("cutout", self.cutout, h.max(w)), ("time_shift", self.time_shift, time)];
        for (key, value, extent) in changes {
            ensure!(
                value == 0 || value < extent,
                "augmentation.{key} is {value}, it must be less than {extent}: inputs are {h} x {w}"
            );
        }
        Ok(())
    }
}

/// Quantizers with the keys that they have under `quantized` and under a layer.
const fn by_kind(
    own: [Option<QuantizerConfig>; 3],
    gradients: GradientConfig,
) -> [(&'static str, Option<QuantizerConfig>); 6] {
    let [weights, biases, activations] = own;
    [
        ("weights", weights),
        ("biases", biases),
        ("activations", activations),
        ("gradients.weights", gradients.weights),
        ("gradients.biases", gradients.biases),
        ("gradients.activations", gradients.activations),
    ]
}

const fn yes() -> bool {
    true
}

const fn default_distillation_weight() -> f64 {
    0.5
}

const fn default_range_momentum() -> f64 {
    0.95
}

/// Reads and checks a config file.
///
/// # Errors
/// Names the file, the key or layer, the value and what would be right.
pub fn load(path: &Path) -> Result<(Config, String)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let config = parse(&text).with_context(|| format!("{} is not a usable config", path.display()))?;
    Ok((config, text))
}

/// Parses and checks the text of a config.
///
/// # Errors
/// Names the key or layer, the value and what would be right.
pub fn parse(text: &str) -> Result<Config> {
    let config: Config = toml::from_str(text).map_err(|error| Error::msg(in_words::<Config>(text, &error)))?;
    ensure!(config.batch_size > 0, "batch_size is 0, it must be at least 1");
    ensure!(config.float.epochs > 0, "float.epochs is 0, it must be at least 1");
    config.float.check()?;
    config.augmentation.check()?;
    config.quantized.check()?;
    config.check_task()?;
    ensure!(config.network.is_none() || config.layers.is_empty(), "network and layers exclude each other");
    let layers = config.layers_for(2);
    for name in config.quantized.layers.keys() {
        let layer_of_norm =
            name.strip_suffix(".norm").filter(|_| config.quantized.batch_norm == BatchNormMode::Unfolded);
        let known = layers.iter().any(|layer| layer.name == *name || Some(layer.name.as_str()) == layer_of_norm);
        ensure!(known, "quantized.layers.{name}: there is no layer of this name");
    }
    Ok(config)
}

fn check_epochs(phase: &str, epochs: usize) -> Result<()> {
    ensure!(epochs <= MAX_EPOCHS, "{phase}.epochs is {epochs}, it may be {MAX_EPOCHS} at most");
    Ok(())
}

fn unit(key: &str, value: f64) -> Result<()> {
    ensure!((0.0..1.0).contains(&value), "{key} is {value}, it must be at least 0 and below 1");
    Ok(())
}

impl Config {
    /// What the data set is loaded by.
    ///
    /// front_end_file  the front end that a run was begun with, where it is not a new one
    #[must_use]
    pub fn source<'a>(&'a self, front_end_file: Option<&'a [u8]>) -> Source<'a> {
        Source {
            name: self.dataset,
            options: &self.data,
            front_end: self.front_end,
            waveform: self.augmentation.waveform,
            front_end_file,
            anomalies: match self.task {
                Task::Classification => None,
                Task::Reconstruction => Some(Anomalies(&self.anomalies)),
            },
        }
    }

    /// Refuses keys that mean nothing to the task.
    fn check_task(&self) -> Result<()> {
        if self.task == Task::Classification {
            ensure!(self.anomalies.is_empty(), "anomalies: they are found by task = \"reconstruction\" alone");
            return Ok(());
        }
        let temperature = self.quantized.distillation.is_some_and(|distillation| distillation.temperature.is_some());
        for (key, is_given) in [
            ("float.label_smoothing", self.float.label_smoothing > 0.0),
            ("quantized.label_smoothing", self.quantized.label_smoothing > 0.0),
            ("quantized.distillation.temperature", temperature),
            ("augmentation.mixup", self.augmentation.mixup > 0.0),
        ] {
            ensure!(!is_given, "{key}: it is for classes, which task = \"reconstruction\" does not tell apart");
        }
        ensure!(
            self.quantized.scheme == Scheme::PowerOfTwo,
            "quantized.scheme is \"affine\": task = \"reconstruction\" counts its error in steps that are powers of two"
        );
        Ok(())
    }

    /// The layers, of a network that is built in for a number of outputs.
    fn layers_for(&self, outputs: usize) -> Vec<LayerConfig> {
        let outputs = u16::try_from(outputs).unwrap_or(u16::MAX);
        self.network.map_or_else(|| self.layers.clone(), |network| network.layers(outputs))
    }

    /// The network over inputs of a shape, with an output for each class or, where it reconstructs, for each value of the input.
    ///
    /// # Errors
    /// Names the layer, the value and what would be right.
    pub fn network(&self, input: Shape, classes: usize) -> Result<Network> {
        let outputs = match self.task {
            Task::Classification => classes,
            Task::Reconstruction => input.len(),
        };
        let network = Network::new(input, &self.layers_for(outputs))?;
        network.check_scheme(self.quantized.scheme)?;
        let found = network.output().len();
        match self.task {
            Task::Classification => {
                ensure!(found == classes, "the last layer has {found} outputs, the data set has {classes} classes");
            }
            Task::Reconstruction => {
                let layer = network.layers.last().map_or("input", |layer| &layer.name);
                let Shape { h, w, c } = network.output();
                ensure!(
                    found == outputs,
                    "layer {layer} has {found} outputs, {h} x {w} x {c}: task = \"reconstruction\" needs {outputs}, as many \
                     as the input has values, {} x {} x {}",
                    input.h,
                    input.w,
                    input.c
                );
            }
        }
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer_config::Schedule;

    const DIGITS: &str = include_str!("../configs/digits.toml");

    fn error(text: &str) -> String {
        let config = match parse(text) {
            Ok(config) => config,
            Err(error) => return format!("{error:#}"),
        };
        format!("{:#}", config.network(Shape { h: 8, w: 8, c: 1 }, 10).unwrap_err())
    }

    #[test]
    fn the_configs_that_ship_are_usable() {
        let mut count = 0;
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).unwrap() {
            let (config, _) = load(&entry.unwrap().path()).unwrap();
            let shape = match config.dataset {
                DatasetName::Digits => Shape { h: 8, w: 8, c: 1 },
                DatasetName::FashionMnist | DatasetName::Idx => Shape { h: 28, w: 28, c: 1 },
                _ => Shape { h: 32, w: 32, c: 3 },
            };
            config.network(shape, 10).unwrap();
            count += 1;
        }
        assert_eq!(count, 12);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let message = error(&DIGITS.replace("batch_size", "batchsize"));
        assert!(message.contains("unknown field `batchsize`"), "{message}");
        let message = error(&DIGITS.replace("out_ch", "channels"));
        assert!(message.contains("channels"), "{message}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        let message = error(&DIGITS.replace("freeze_after = ", "freeze_after = 9"));
        assert!(message.starts_with("quantized.freeze_after is 9"), "{message}");
        let message = error(&DIGITS.replacen("learning_rate = ", "learning_rate = -", 1));
        assert!(message.contains("it must be positive"), "{message}");
        let message = error(&DIGITS.replacen("weight_decay = 1e-3", "weight_decay = inf", 1));
        assert_eq!(message, "float.optimizer.weight_decay is inf, it must be at least 0 and finite");
        for (phase, epochs) in [("float", "epochs = 40"), ("quantized", "epochs = 12")] {
            let message = error(&DIGITS.replacen(epochs, "epochs = 9223372036854775807", 1));
            assert_eq!(message, format!("{phase}.epochs is 9223372036854775807, it may be 1000000 at most"));
        }
        // Such a step is 0 or infinite, and the loss no number, whatever the learning rate.
        for (key, exponent) in [("weight_exponent", -128), ("activation_exponent", -127), ("activation_exponent", 113)]
        {
            let message = error(&format!("{DIGITS}\n[quantized.layers.conv1]\n{key} = {exponent}\n"));
            let expected = format!("quantized.layers.conv1.{key} is {exponent}, it must be -126 to 112: f32");
            assert!(message.starts_with(&expected), "{message}");
        }
        let message = error(&format!("{DIGITS}\n[quantized.layers.nowhere]\nweight_exponent = -4\n"));
        assert_eq!(message, "quantized.layers.nowhere: there is no layer of this name");
    }

    #[test]
    fn values_of_another_type_are_told_what_would_be_right() {
        let granularity = r#"expected "tensor", "channel", "input_channel" or { channels = N }, N from 1 to 65535"#;
        let ranges = "expected one of \"RANGE_MAX\", \"max\", \"3sigma\", \"RANGE_3SIGMA\", \"RANGE_MAX_TENPERCENT\", \
                      \"ten_percent\", \"RANGE_SWEEP\", \"sweep\", \"percentile\", \"mse\", \"kl\", \"tqt\", \"lsq\"";
        let schedule = r#"expected "cosine", "constant" or { steps = { epochs = [..], factor = .. } }"#;
        let cases = [
            ("[quantized.weights]\ngranularity = 'channels'", granularity),
            ("[quantized.weights]\ngranularity = { channel = 3 }", granularity),
            ("[quantized.weights]\nbits = 300", "expected an integer, 2 to 16"),
            ("[quantized.weights]\nbits = 8.0", "expected an integer, 2 to 16"),
            ("[quantized.weights]\nrange = 3", ranges),
            ("[quantized.weights]\nrange = ['max']", ranges),
            ("[quantized.weights]\nrange = {}", ranges),
            ("[quantized.layers.fc.gradients]\nweights = { bits = 4, range = true }", ranges),
            ("[quantized.layers.fc]\nweights = 4", "expected a table"),
            ("[quantized.layers.fc]\nweight_exponent = 200", "expected an integer, -128 to 127"),
            ("[[layers]]\nname = 'more'\nop = 'conv2d'\nout_ch = 70000", "expected an integer, 0 to 65535"),
            ("[[layers]]\nname = 'more'\nop = 'conv2d'\ninputs = 'fc'", "expected an array"),
            ("[[layers]]\nname = 'more'\nop = 'leaky_relu'\nslope = 'steep'", "expected a number"),
        ];
        for (keys, expected) in cases {
            let (message, key) = (error(&format!("{DIGITS}\n{keys}\n")), keys.lines().last().unwrap());
            assert!(message.contains(&format!("| {key}\n")), "the key with its line: {message}");
            assert!(message.trim_end().ends_with(expected), "{expected}: {message}");
        }
        let seed = error(&DIGITS.replace("seed = 1", "seed = -1"));
        assert!(seed.trim_end().ends_with("expected an integer, at least 0"), "{seed}");
        for (key, value, some) in [
            ("dataset = 'digits'", "dataset = 3", "\"digits\", \"fashion-mnist\", "),
            ("seed = 1", "seed = 1\nnetwork = 8", "\"lenet-5\", \"nine-convolutions\", "),
        ] {
            let message = error(&DIGITS.replace('"', "'").replacen(key, value, 1));
            let (key, names) = (value.lines().last().unwrap(), format!("\nexpected one of {some}"));
            assert!(message.contains(&format!("| {key}\n")) && message.contains(&names), "{message}");
        }
        for value in ["'steps'", "{ steps = { epochs = [8] } }"] {
            let key = format!("learning_rate = 0.05, schedule = {value}");
            let message = error(&DIGITS.replace("learning_rate = 0.05", &key));
            assert!(message.contains(&key) && message.trim_end().ends_with(schedule), "{message}");
        }
    }

    #[test]
    fn keys_without_an_effect_are_refused() {
        let own = "weights = { bits = 4, percentile = 99.0 }";
        let percentile = "percentile is 99, which the range \"percentile\" alone reads";
        for (tables, place) in [
            ("[quantized.weights]\npercentile = 99.0".to_owned(), "quantized.weights"),
            (format!("[quantized.layers.fc]\n{own}"), "quantized.layers.fc.weights"),
            (format!("[quantized.gradients]\n{own}"), "quantized.gradients.weights"),
            (format!("[quantized.layers.fc.gradients]\n{own}"), "quantized.layers.fc.gradients.weights"),
        ] {
            assert_eq!(error(&format!("{DIGITS}\n{tables}\n")), format!("{place}.{percentile}"));
        }
        // Of a layer by the range of all, and of all by the range of a layer.
        for (all, own) in [("range = 'percentile'", "percentile = 99.0"), ("percentile = 99.0", "range = 'percentile'")]
        {
            let tables = format!("[quantized.weights]\n{all}\n[quantized.layers.fc.weights]\n{own}\n");
            parse(&format!("{DIGITS}\n{tables}")).unwrap();
        }
        let optimizer =
            |keys: &str| error(&DIGITS.replacen("learning_rate = 0.05", &format!("learning_rate = 0.05, {keys}"), 1));
        assert_eq!(
            optimizer("kind = 'adamw', nesterov = true"),
            "float.optimizer.nesterov: adamw does not read this key"
        );
        assert_eq!(optimizer("second_momentum = 0.9"), "float.optimizer.second_momentum: sgd does not read this key");
        let message = error(&DIGITS.replace("warmup_epochs = 1", "warmup_epochs = 99"));
        assert!(
            message.starts_with("float.optimizer.warmup_epochs is 99, it must be 0 to float.epochs, "),
            "{message}"
        );
        let message = optimizer("schedule = { steps = { epochs = [2, 99], factor = 0.1 } }");
        let expected = "float.optimizer.schedule.steps.epochs is [2.0, 99.0], it must rise and be below float.epochs, ";
        assert!(message.starts_with(expected), "{message}");
    }

    #[test]
    fn changes_that_leave_nothing_of_an_input_are_refused() {
        let check = |change: &str, h, w| {
            let changes: Augmentation = toml::from_str(change).unwrap();
            changes.check_extents(Shape { h, w, c: 1 }).map_err(|error| error.to_string())
        };
        for (change, least) in [("shift = 8", 8), ("cutout = 20", 20), ("time_shift = 8", 8)] {
            let key = change.split(' ').next().unwrap();
            let expected = format!("augmentation.{key} is {least}, it must be less than 8: inputs are 8 x 8");
            assert_eq!(check(change, 8, 8), Err(expected));
        }
        assert_eq!(check("shift = 7\ncutout = 7\ntime_shift = 7", 8, 8), Ok(()));
        assert_eq!(check("time_shift = 30", 1, 40), Ok(()), "time runs along the columns of one row");
    }

    #[test]
    fn the_last_layer_must_have_a_code_for_each_class() {
        let message = format!("{:#}", parse(DIGITS).unwrap().network(Shape { h: 8, w: 8, c: 1 }, 26).unwrap_err());
        assert_eq!(message, "the last layer has 10 outputs, the data set has 26 classes");
    }

    #[test]
    fn a_reconstruction_has_an_output_for_each_value_of_the_input() {
        let text = |network: &str| {
            let head = "seed = 1\ndataset = 'digits'\nbatch_size = 8\ntask = 'reconstruction'\nanomalies = ['3']";
            let training = "optimizer = { learning_rate = 0.01 } }";
            let float = format!("float = {{ epochs = 1, {training}");
            let quantized = format!("quantized = {{ epochs = 1, freeze_after = 1, {training}");
            format!("{head}\n{float}\n{quantized}\n{network}\n")
        };
        let network = |text: &str, input| parse(text)?.network(input, 10);
        let (built_in, input) = (text("network = 'autoencoder'"), Shape { h: 8, w: 8, c: 1 });
        assert_eq!(network(&built_in, input).unwrap().output().len(), 64);
        assert_eq!(parse(&built_in).unwrap().source(None).anomalies.unwrap().0, ["3"]);
        let conv = text("[[layers]]\nname = 'conv'\nop = 'conv2d'\nout_ch = 4\nkernel = 2\nstride = 2");
        assert_eq!(network(&conv, input).unwrap().output(), Shape { h: 4, w: 4, c: 4 }, "in another shape");
        let error = |text: &str, input| format!("{:#}", network(text, input).unwrap_err());
        assert_eq!(
            error(&conv, Shape { h: 8, w: 8, c: 3 }),
            "layer conv has 64 outputs, 4 x 4 x 4: task = \"reconstruction\" needs 192, as many as the input has values, 8 x 8 x 3"
        );
        let large = error(&built_in, Shape { h: 256, w: 256, c: 1 });
        assert!(large.starts_with("layer output has 65535 outputs, 1 x 1 x 65535: "), "{large}");
        for (from, to, key) in [
            ("float = { epochs", "float = { label_smoothing = 0.1, epochs", "float.label_smoothing"),
            ("quantized = { epochs", "quantized = { label_smoothing = 0.1, epochs", "quantized.label_smoothing"),
            ("seed", "augmentation = { mixup = 0.5 }\nseed", "augmentation.mixup"),
            ("freeze", "distillation = { temperature = 2 }, freeze", "quantized.distillation.temperature"),
        ] {
            assert_eq!(
                error(&built_in.replacen(from, to, 1), input),
                format!("{key}: it is for classes, which task = \"reconstruction\" does not tell apart")
            );
        }
        parse(&built_in.replace("freeze", "distillation = { weight = 0.1 }, freeze")).unwrap();
        let affine = error(&built_in.replace("freeze", "scheme = 'affine', freeze"), input);
        assert!(affine.starts_with("quantized.scheme is \"affine\": task = \"reconstruction\""), "{affine}");
        let classes = error(&built_in.replace("task = 'reconstruction'\n", ""), input);
        assert_eq!(classes, "anomalies: they are found by task = \"reconstruction\" alone");
        let unknown = error(&built_in.replace("'reconstruction'", "'regression'"), input);
        assert!(unknown.contains("expected `classification` or `reconstruction`"), "{unknown}");
    }

    fn keys(value: &toml::Value, found: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    found.push(key.clone());
                    keys(value, found);
                }
            }
            toml::Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_guide_names_every_key() {
        let mut config = parse(DIGITS).unwrap();
        let quantizer: QuantizerConfig = toml::from_str(
            "bits = 8\nrange = 'max'\ngranularity = 'channel'\nstochastic = true\npercentile = 99.0\nunsigned = true",
        )
        .unwrap();
        let some = Some(quantizer);
        let gradients = GradientConfig { weights: some, biases: some, activations: some };
        let all = LayerQuantizers {
            activation_exponent: Some(0),
            weight_exponent: Some(0),
            weights: some,
            biases: some,
            activations: some,
            gradients,
        };
        config.quantized.layers.insert("conv1".to_owned(), all);
        config.quantized.average = Some(0.9);
        config.float.average = Some(0.9);
        config.anomalies = vec!["a".to_owned()];
        config.quantized.distillation = Some(DistillationConfig { weight: 0.5, temperature: Some(2.0) });
        config.quantized.calibration = toml::from_str("images = 1").ok();
        config.float.optimizer.schedule = Schedule::Steps { epochs: vec![1.0], factor: 0.1 };
        (config.float.optimizer.nesterov, config.float.optimizer.second_momentum) = (Some(true), Some(0.999));
        let layer: LayerConfig = toml::from_str(
            "name = 'a'\nop = 'concat'\ninputs = []\nout_ch = 1\nmultiplier = 1\ngroups = 1\nkernel = 1\nstride = 1\n\
             dilation = 1\npadding = 1\nunits = 1\nsequence = true\nslope = 1.0\nshared = true\naxis = 1\nstart = [0, 0, 0]\nsize = [1, 1, 1]\nbefore = [0, 0, 0]\n\
             after = [0, 0, 0]\norder = [0, 1, 2]\nbatch_norm = true\nrelu = true\nrelu6 = true",
        )
        .unwrap();
        config.layers.push(layer);
        config.augmentation.crop = Some(0.5);
        config.augmentation.waveform = toml::from_str("shift_ms = 1").ok();
        config.network = Some(NetworkName::ResNet8);
        config.front_end = Some(FrontEndConfig { coefficients: Some(10), ..FrontEndConfig::default() });
        config.data = toml::from_str(
            "size = [1, 1]\ngrayscale = true\nwords = []\nsample_rate = 1\nclip_ms = 1\nwindow = 1\nstride = 1\nlabel = 'a'",
        )
        .unwrap();
        let mut found = Vec::new();
        keys(&toml::Value::try_from(&config).unwrap(), &mut found);
        let guide = concat!(
            include_str!("../../docs/config.md"),
            include_str!("../../docs/data.md"),
            include_str!("../../docs/networks.md")
        );
        found.retain(|key| {
            key != "conv1" && !guide.contains(&format!("`{key}`")) && !guide.contains(&format!("[{key}"))
        });
        assert_eq!(found, Vec::<String>::new(), "docs/config.md does not name these keys");
    }
}
