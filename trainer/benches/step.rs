//! The time of a training step, in floating point and quantized, of the nine convolutions of nics_fix_pt's example:
//!
//! ```sh
//! cargo bench --package stepshift-trainer --bench step -- --device cuda
//! ```
//!
//! Every network makes one step in turn, so that whatever else the machine does slows all of them alike. Quantized steps are those in
//! which ranges are observed, the slower ones.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use stepshift_runtime::format::Shape;
use stepshift_trainer::config::{self, Config};
use stepshift_trainer::quantizer_config::GradientConfig;
use stepshift_trainer::torch::batches::Targets;
use stepshift_trainer::torch::device::DeviceName;
use stepshift_trainer::torch::learner::{Learner, Model, Place};
use stepshift_trainer::torch::objective::Goal;
use stepshift_trainer::torch::quantized_network::Mode;
use tch::{Cuda, Device, Kind, Tensor};

const FOLDED: &str = include_str!("../configs/cifar10-nine-convolutions.toml");
const UNFOLDED: &str = include_str!("../configs/cifar10-nics-fix.toml");
const INPUT: Shape = Shape { h: 32, w: 32, c: 3 };
const INPUT_EXPONENT: i8 = -7;
const CLASSES: i64 = 10;
/// Steps of each network before time is taken.
const WARM_UP: usize = 2;

#[derive(Parser)]
struct Options {
    /// cpu, cuda, or cuda:1 for the second of several GPUs
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Images in a step; 8 on a CPU, 256 on a GPU
    #[arg(long)]
    batch: Option<i64>,
    /// Steps of each network; 10 on a CPU, 50 on a GPU
    #[arg(long)]
    steps: Option<usize>,
    /// What cargo calls every benchmark with
    #[arg(long, hide = true)]
    bench: bool,
}

/// A network that trains, and how long its steps took.
struct Candidate {
    name: &'static str,
    config: Config,
    learner: Learner,
    times: Vec<Duration>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let device = options.device.open()?;
    let (batch, steps) = if device == Device::Cpu { (8, 10) } else { (256, 50) };
    let (batch, steps) = (options.batch.unwrap_or(batch), options.steps.unwrap_or(steps));
    let mut candidates = candidates(device)?;
    let x =
        Tensor::randint_low(-128, 128, [batch, 3, 32, 32], (Kind::Float, device)) * 2_f64.powi(INPUT_EXPONENT.into());
    let targets = Targets { labels: Tensor::randint(CLASSES, [batch], (Kind::Int64, device)), mixed: None };
    for round in 0..WARM_UP + steps {
        for candidate in &mut candidates {
            let time = candidate.step(&x, &targets, round as i64, device)?;
            candidate.times.push(time);
        }
    }
    println!(
        "nine convolutions, {device:?}, {} threads, batches of {batch}, median of {steps} steps",
        tch::get_num_threads()
    );
    let float = candidates[0].median();
    for candidate in &candidates {
        let time = candidate.median();
        println!(
            "{:<42} {:8.2} ms {:6.3} of float",
            candidate.name,
            1e3 * time.as_secs_f64(),
            time.as_secs_f64() / float.as_secs_f64()
        );
    }
    Ok(())
}

fn candidates(device: Device) -> Result<Vec<Candidate>> {
    let (folded, unfolded) = (config::parse(FOLDED)?, config::parse(UNFOLDED)?);
    let mut plain = folded.clone();
    plain.quantized.gradients = GradientConfig::default();
    let quantized = |name, config| Candidate::quantized(name, config, device);
    Ok(vec![
        Candidate::new("float", folded.clone(), float(&folded, device)?),
        quantized("W8A8", plain)?,
        quantized("W8A8, gradients of 16 bits", folded)?,
        quantized("the same, batch norms in fixed point", unfolded)?,
    ])
}

fn float(config: &Config, device: Device) -> Result<Learner> {
    Ok(Learner::float(config, &config.network(INPUT, CLASSES as usize)?, device))
}

impl Candidate {
    fn new(name: &'static str, config: Config, learner: Learner) -> Self {
        Self { name, config, learner, times: Vec::new() }
    }

    fn quantized(name: &'static str, config: Config, device: Device) -> Result<Self> {
        let learner = match float(&config, device)?.into_model() {
            Model::Float(network) => Learner::quantized(&config, network, INPUT_EXPONENT)?,
            Model::Quantized(_) => unreachable!("it begins in floating point"),
        };
        Ok(Self::new(name, config, learner))
    }

    fn step(&mut self, x: &Tensor, targets: &Targets, seed: i64, device: Device) -> Result<Duration> {
        let place = Place { epoch: 0.0, epochs: 1, mode: Mode::Learning, seed, checked: None };
        wait_for(device);
        let start = Instant::now();
        let _ = self.learner.step(&self.config, x, &Goal::Classes(targets), place).context(self.name)?;
        wait_for(device);
        Ok(start.elapsed())
    }

    /// Of the steps behind the warm-up.
    fn median(&self) -> Duration {
        let mut times = self.times[WARM_UP..].to_vec();
        times.sort_unstable();
        times[times.len() / 2]
    }
}

/// Until a GPU has done what it was given.
fn wait_for(device: Device) {
    if let Device::Cuda(number) = device {
        Cuda::synchronize(number as i64);
    }
}
