//! What learns in a phase of a training: a network, its optimizer, the average of its weights, its teacher.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use tch::{Device, Kind, Tensor};

use super::checkpoint::Phase;
use super::diagnosis::{Guess, first_broken_layer, is_lost};
use super::ema::Average;
use super::float_network::{FloatNetwork, restore};
use super::objective::Goal;
use super::operators::flattened;
use super::optimizer::Optimizer;
use super::ptq;
use super::quantized_network::{Mode, QuantizedNetwork};
use crate::config::{CalibrationConfig, Config};
use crate::network::Network;

/// Before the names of a teacher's tensors in a checkpoint.
const TEACHER: &str = "teacher.";

/// The network of a phase.
#[derive(Debug)]
pub enum Model {
    /// In floating point, with batch norm.
    Float(FloatNetwork),
    /// Quantized.
    Quantized(QuantizedNetwork),
}

/// A network and all that changes it.
#[derive(Debug)]
pub struct Learner {
    model: Model,
    optimizer: Optimizer,
    average: Option<Average>,
    /// The float network whose outputs the quantized one learns.
    teacher: Option<FloatNetwork>,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Passes of the phase, with the part of the current one.
    pub epoch: f64,
    /// Passes of the phase in all.
    pub epochs: usize,
    /// Whether the quantized network's steps may change.
    pub mode: Mode,
    /// For random rounding.
    pub seed: i64,
    /// The losses of guesses, where the host waits for the loss and stops if it is lost.
    pub checked: Option<Guess>,
}

impl Learner {
    /// The float phase from its first weights, which are the same on every device.
    #[must_use]
    pub fn float(config: &Config, network: &Network, device: Device) -> Self {
        let float = FloatNetwork::new(network, config.seed).to_device(device);
        let optimizer = Optimizer::new(config.float.optimizer.clone(), float.parameters());
        let average = config.float.average.map(|decay| Average::new(decay, float.parameters()));
        Self { model: Model::Float(float), optimizer, average, teacher: None }
    }

    /// The quantized phase from a float network.
    ///
    /// # Errors
    /// Names the layer that cannot be quantized as the config asks.
    pub fn quantized(config: &Config, float: FloatNetwork, input_exponent: i8) -> Result<Self> {
        let quantized = QuantizedNetwork::fold(&float, input_exponent, &config.quantized)?;
        let optimizer = Optimizer::new(config.quantized.optimizer.clone(), quantized.parameters());
        let average = config.quantized.average.map(|decay| Average::new(decay, quantized.parameters()));
        let teacher = config.quantized.distillation.is_some().then_some(float);
        Ok(Self { model: Model::Quantized(quantized), optimizer, average, teacher })
    }

    /// What a checkpoint holds of a phase.
    ///
    /// # Errors
    /// Names the tensor that is missing or has another shape.
    pub fn restored(
        config: &Config,
        network: &Network,
        input_exponent: i8,
        phase: Phase,
        tensors: &HashMap<String, Tensor>,
        device: Device,
    ) -> Result<Self> {
        let float = Self::float(config, network, device);
        let learner = match (phase, float.model) {
            (Phase::Quantized | Phase::Finished, Model::Float(float)) => {
                Self::quantized(config, float, input_exponent)?
            }
            (_, model) => Self { model, ..float },
        };
        learner.restore(tensors)?;
        Ok(learner)
    }

    /// Copies tensors into everything that [`Self::state`] names.
    ///
    /// # Errors
    /// Names the tensor that is missing or has another shape.
    pub fn restore(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        restore(&self.state(), |name| tensors.get(name).map(|tensor| tensor.to_kind(Kind::Float)))
    }

    /// The network.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Everything that a checkpoint holds, with names.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut tensors = match &self.model {
            Model::Float(network) => network.state(),
            Model::Quantized(network) => network.state(),
        };
        tensors.extend(self.optimizer.state());
        tensors.extend(self.average.iter().flat_map(Average::state));
        let teacher = self.teacher.iter().flat_map(FloatNetwork::state);
        tensors.extend(teacher.map(|(name, tensor)| (format!("{TEACHER}{name}"), tensor)));
        tensors
    }

    /// One step of the optimizer; the loss, a scalar that is still on the device. The host waits for nothing but where `place`
    /// says that the step is checked.
    ///
    /// x     `[N, C, H, W]`, input codes times their step
    /// goal  what the outputs of `x` are held to
    ///
    /// # Errors
    /// Where a checked step finds that the training diverged, with the layer's name, before anything is changed.
    pub fn step(&mut self, config: &Config, x: &Tensor, goal: &Goal<'_>, place: Place) -> Result<Tensor> {
        tch::manual_seed(place.seed);
        let (outputs, smoothing) = match &mut self.model {
            Model::Float(network) => (network.forward(x, true), config.float.label_smoothing),
            Model::Quantized(network) => (network.train_forward(x, place.mode)?, config.quantized.label_smoothing),
        };
        let mut loss = goal.loss(&outputs, smoothing);
        if let (Some(teacher), Some(distillation)) = (&self.teacher, config.quantized.distillation) {
            let taught = tch::no_grad(|| teacher.forward(x, false));
            loss = goal.distilled(&loss, &outputs, &taught, distillation);
        }
        if let Some(guess) = place.checked {
            let value = loss.double_value(&[]);
            if is_lost(value, guess) {
                bail!("the loss became {value}: {}", self.diagnosis(x)?);
            }
        }
        // What calibration and the first forward pass have chosen is known now.
        if place.epoch == 0.0 {
            self.average.iter_mut().for_each(Average::begin);
        }
        self.optimizer.zero_gradients();
        loss.backward();
        self.optimizer.step(self.learning_rate(place));
        self.average.iter_mut().for_each(Average::update);
        Ok(loss.detach())
    }

    /// The optimizer's rate at a step.
    #[must_use]
    pub fn learning_rate(&self, place: Place) -> f64 {
        self.optimizer.config().rate(place.epoch, place.epochs)
    }

    /// The layer that a diverged training broke in.
    ///
    /// x  `[N, C, H, W]`, input codes times their step
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn diagnosis(&self, x: &Tensor) -> Result<String> {
        if let Some(parameter) = self.optimizer.broken_gradient() {
            return Ok(format!("the gradient of {parameter} is not finite"));
        }
        Ok(match &self.model {
            Model::Float(network) => {
                let tensors = tch::no_grad(|| network.tensors(x));
                first_broken_layer(network.network(), &tensors)
            }
            Model::Quantized(network) => first_broken_layer(network.network(), &network.real_forward(x)?),
        })
    }

    /// Exchanges weights and their average.
    pub fn use_average(&mut self) {
        self.average.iter_mut().for_each(Average::exchange);
    }

    /// Quantizes without training, by some inputs.
    ///
    /// # Errors
    /// Where the network is not quantized yet.
    pub fn calibrate(&mut self, config: &CalibrationConfig, batches: &[Tensor]) -> Result<ptq::Report> {
        match &mut self.model {
            Model::Quantized(network) => ptq::quantize(network, batches, config, |_| ()),
            Model::Float(_) => bail!("the network is not quantized yet"),
        }
    }

    /// Fixes every step of a quantized network, which is given back.
    ///
    /// # Errors
    /// Where the network is not quantized yet.
    pub fn freeze(&mut self) -> Result<&QuantizedNetwork> {
        match &mut self.model {
            Model::Quantized(network) => {
                network.freeze();
                Ok(network)
            }
            Model::Float(_) => bail!("the network is not quantized yet"),
        }
    }

    /// Outputs without learning, `[N, H * W * C]`.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn outputs(&self, x: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| match &self.model {
            Model::Float(network) => Ok(network.forward(x, false)),
            Model::Quantized(network) => {
                network.fast_forward(x)?.pop().map(|output| flattened(&output)).context("there are no layers")
            }
        })
    }

    /// The network alone.
    #[must_use]
    pub fn into_model(self) -> Model {
        self.model
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use stepshift_runtime::format::Shape;

    use super::*;
    use crate::config;
    use crate::torch::augmentation::{Draws, apply};
    use crate::torch::batches::to_tensor;
    use crate::torch::shim::count_waits;
    use crate::torch::test_numbers::{fill_weights, uniform};

    const DIGITS: &str = include_str!("../../configs/digits.toml");

    /// The digits' config with other keys and tables of `[quantized]`.
    fn digits(keys: &str, tables: &str) -> Config {
        let text = DIGITS.replacen("average = 0.98\ndistillation = { temperature = 2 }\n", "", 1);
        assert!(text.len() < DIGITS.len());
        let text = text.replacen("[quantized]\n", &format!("[quantized]\n{keys}\n"), 1);
        config::parse(&text.replacen("[[layers]]", &format!("{tables}\n[[layers]]"), 1)).unwrap()
    }

    fn float(config: &Config) -> Learner {
        let network = config.network(Shape { h: 8, w: 8, c: 1 }, 10).unwrap();
        let learner = Learner::float(config, &network, Device::Cpu);
        if let Model::Float(float) = learner.model() {
            fill_weights(float, 7);
        }
        learner
    }

    fn quantized(config: &Config) -> Learner {
        match float(config).into_model() {
            Model::Float(network) => Learner::quantized(config, network, -4).unwrap(),
            Model::Quantized(_) => unreachable!("it begins in floating point"),
        }
    }

    /// One step on random inputs that are changed at random, as a training makes it.
    fn step(learner: &mut Learner, config: &Config, mode: Mode, checked: bool) -> Result<Tensor> {
        step_at(0.5, learner, config, mode, checked)
    }

    fn step_at(epoch: f64, learner: &mut Learner, config: &Config, mode: Mode, checked: bool) -> Result<Tensor> {
        let codes = Array4::from_shape_fn((16, 8, 8, 1), |(n, h, w, _)| ((n * 7 + h * 3 + w * 5) % 17) as i8);
        let changes = toml::from_str("shift = 1\nflip = true\ncrop = 0.5\ncutout = 2\nnoise = 1.0\nmixup = 0.5");
        let draws = Draws::new(changes.unwrap(), [16, 1, 8, 8], &mut ChaCha8Rng::seed_from_u64(1));
        let labels = Tensor::from_slice(&[0_i64, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5]);
        let batch = apply(to_tensor(codes.view()), labels, &draws);
        let checked = checked.then_some(Guess::of_classes(10));
        let place = Place { epoch, epochs: 2, mode, seed: 3, checked };
        learner.step(config, &(&batch.codes * 0.0625), &Goal::of(config.task, &batch, 0.0625), place)
    }

    #[test]
    fn the_host_waits_for_no_step_that_is_not_checked() {
        let all = |method: &str| {
            format!(
                "[quantized.weights]\nrange = '{method}'\n[quantized.activations]\nrange = '{method}'\n\
                 [quantized.gradients]\nweights = {{ range = '{method}' }}\n\
                 activations = {{ range = '{method}', stochastic = true }}"
            )
        };
        let mut configs: Vec<Config> = ["max", "3sigma", "ten_percent", "sweep", "percentile", "mse", "kl"]
            .map(|method| digits("average = 0.9", &all(method)))
            .into();
        let learned = "[quantized.weights]\nrange = 'tqt'\n[quantized.activations]\nrange = 'tqt'";
        configs.push(digits("batch_norm = 'corrected'\ndistillation = {}\nproducts = 'bf16'", learned));
        configs.push(digits("batch_norm = 'unfolded'", "[quantized.biases]\nbits = 10"));
        configs.push(digits("scheme = 'affine'", "[quantized.weights]\nrange = 'lsq'"));
        let mut adam = digits("", "");
        adam.quantized.optimizer.kind = crate::optimizer_config::OptimizerKind::AdamW;
        configs.push(adam);
        configs.push(config::parse(include_str!("../../configs/digits-anomalies.toml")).unwrap());
        for config in &configs {
            for mut learner in [float(config), quantized(config)] {
                for mode in [Mode::Learning, Mode::Frozen] {
                    let (loss, waits) = count_waits(|| step(&mut learner, config, mode, false).unwrap());
                    assert!(loss.double_value(&[]).is_finite());
                    assert_eq!(waits, 0, "{:?}", config.quantized);
                }
                let (_, waits) = count_waits(|| step(&mut learner, config, Mode::Frozen, true).unwrap());
                assert_eq!(waits, 1, "the one value that is looked at");
            }
        }
    }

    /// Before the first step nothing is known of learned thresholds, and calibration changes weights.
    #[test]
    fn averages_begin_at_what_is_known_behind_the_first_forward_pass() {
        let learned = "[quantized.weights]\nrange = 'tqt'\n[quantized.activations]\nrange = 'tqt'";
        let config = digits("average = 0.9\ncalibration = { images = 64 }", learned);
        for is_calibrated in [false, true] {
            let mut learner = quantized(&config);
            if is_calibrated {
                let batches = [uniform(3, &[64, 1, 8, 8])];
                let _ = learner.calibrate(&config.quantized.calibration.unwrap(), &batches).unwrap();
            }
            let loss = step_at(0.0, &mut learner, &config, Mode::Learning, false).unwrap();
            assert!(loss.double_value(&[]).is_finite());
            let state: HashMap<String, Tensor> = learner.state().into_iter().collect();
            let Model::Quantized(network) = learner.model() else { unreachable!("it is quantized") };
            for (name, value, _) in network.parameters() {
                let difference = (&state[&format!("average.{name}")] - value).abs().max().double_value(&[]);
                assert!(difference < 0.1, "{name}: {difference}");
            }
        }
    }

    /// An operator whose output lay otherwise would have the next one copy it.
    #[test]
    fn the_channels_of_a_pixel_stay_side_by_side_from_layer_to_layer() {
        let learned = "[quantized.weights]\nrange = 'tqt'\n[quantized.activations]\nrange = 'tqt'";
        for (keys, tables) in [
            ("", ""),
            ("batch_norm = 'corrected'", "[quantized.activations]\nstochastic = true"),
            ("batch_norm = 'unfolded'", learned),
            ("scheme = 'affine'", ""),
        ] {
            let config = digits(keys, tables);
            let x = uniform(1, &[4, 1, 8, 8]);
            let Model::Float(float) = float(&config).into_model() else { unreachable!("it begins in floating point") };
            let Model::Quantized(mut network) = quantized(&config).into_model() else {
                unreachable!("it is quantized")
            };
            let passes = [
                float.tensors(&x),
                network.train_tensors(&x, Mode::Learning).unwrap(),
                network.train_tensors(&x, Mode::Frozen).unwrap(),
                network.fast_forward(&x).unwrap(),
            ];
            for (index, tensor) in passes.iter().flat_map(|tensors| tensors.iter().enumerate()) {
                assert!(tensor.permute([0, 2, 3, 1]).is_contiguous(), "{keys}, tensor {index}: {:?}", tensor.stride());
            }
        }
    }

    /// Rounding factors as the reduced products do changes no sum of a layer whose bound allows them; others it changes.
    #[test]
    fn reduced_products_keep_the_sums_of_layers_that_have_them() {
        use crate::quantizer_config::Products;
        use crate::torch::operators::weighted_sum;
        let wide = "[quantized.layers.conv2]\nweights = { bits = 12 }\nactivations = { bits = 12 }";
        let config = digits("products = 'bf16'", wide);
        let mut learner = quantized(&config);
        let _ = step(&mut learner, &config, Mode::Learning, false).unwrap();
        let Model::Quantized(network) = learner.model() else { unreachable!("it is quantized") };
        let x = uniform(2, &[8, 1, 8, 8]) * 16.0;
        let tensors = network.fast_forward(&(x.floor() * 0.0625)).unwrap();
        let mut found = Vec::new();
        for (index, layer) in network.network().layers.iter().enumerate() {
            let Some(weight) = network.quantized_weight(index).unwrap() else { continue };
            let x = &tensors[layer.inputs[0]];
            let (bf16, tf32) = (|t: &Tensor| t.to_kind(Kind::BFloat16).to_kind(Kind::Double), round_to_tf32);
            let sum = |round: &dyn Fn(&Tensor) -> Tensor| weighted_sum(&layer.op, &round(x), &round(&weight), None);
            let exact = sum(&|t| t.to_kind(Kind::Double));
            let changed = |reduced: Tensor| reduced.ne_tensor(&exact).any().int64_value(&[]) == 1;
            let products = network.products(index);
            assert!(products < Products::Tf32 || !changed(sum(&tf32)), "{}: {products:?}", layer.name);
            assert!(products < Products::Bf16 || !changed(sum(&bf16)), "{}: {products:?}", layer.name);
            assert!(products == Products::Bf16 || changed(sum(&bf16)), "{}: {products:?}", layer.name);
            found.push((layer.name.as_str(), products));
        }
        let (full, least) = (Products::Bf16, Products::Tf32);
        let expected = [
            ("conv1", full),
            ("conv2", Products::F32),
            ("depthwise", least),
            ("pointwise", full),
            ("conv3", full),
            ("fc", full),
        ];
        assert_eq!(found, expected);
    }

    /// To 11 significant bits, f64.
    fn round_to_tf32(x: &Tensor) -> Tensor {
        let (mantissa, exponent) = x.to_kind(Kind::Double).frexp();
        ((mantissa * 2048.0).round() / 2048.0).ldexp(&exponent)
    }
}
