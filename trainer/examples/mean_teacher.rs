//! The mean teacher (Tarvainen, Valpola 2017) in fixed point: few labels, a student with 8-bit weights, activations and gradients, a teacher
//! that is the moving average of its weights. `cargo run --release -p stepshift-trainer --example mean_teacher`

use std::collections::BTreeMap;

use anyhow::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use stepshift_trainer::config::Augmentation;
use stepshift_trainer::data::{Dataset, digits};
use stepshift_trainer::torch::augmentation::{Draws, apply};
use stepshift_trainer::torch::batches::{Stream, to_tensor};
use stepshift_trainer::torch::nics_fix::{
    ActivationFix, Conv2dFix, ConvConfig, FixConfig, FixPath, FixTopModule, LinearFix,
};
use stepshift_trainer::torch::objective::cross_entropy;
use stepshift_trainer::torch::optimizer::Optimizer;
use tch::{Device, Kind, Tensor, nn};

/// Training images whose labels are used.
const LABELED: usize = 100;
const EPOCHS: usize = 40;
const BATCH: usize = 64;
/// Share of the past in the teacher.
const DECAY: f64 = 0.98;
/// Greatest weight of the consistency with the teacher, and the passes over which it rises.
const CONSISTENCY: (f64, f64) = (10.0, 5.0);
/// What a label that is not used is; the loss leaves it out.
const NO_LABEL: i64 = -100;
const OPTIMIZER: &str = "learning_rate = 0.02\nmomentum = 0.9\nweight_decay = 4e-5\n\
                         schedule = { steps = { epochs = [16, 32], factor = 0.1 } }";

/// Three convolutions and a fully connected layer, quantized behind each.
struct Net {
    variables: nn::VarStore,
    convs: Vec<Conv2dFix>,
    outs: Vec<ActivationFix>,
    fc: LinearFix,
    logits: ActivationFix,
}

impl Net {
    fn new(fix: &FixPath) -> Result<Self> {
        let variables = nn::VarStore::new(Device::Cpu);
        let root = variables.root();
        let (mut convs, mut outs) = (Vec::new(), Vec::new());
        for (index, (in_ch, out_ch, stride)) in [(1, 16, 1), (16, 32, 2), (32, 64, 2)].into_iter().enumerate() {
            let (name, out) = (format!("conv{index}"), format!("out{index}"));
            let config = ConvConfig { stride, padding: 1, ..ConvConfig::new(3) };
            convs.push(Conv2dFix::new(&(&root / &name), &fix.sub(&name), in_ch, out_ch, config)?);
            outs.push(ActivationFix::new(&fix.sub(&out)));
        }
        let fc = LinearFix::new(&(&root / "fc"), &fix.sub("fc"), 64, 10)?;
        Ok(Self { convs, outs, fc, logits: ActivationFix::new(&fix.sub("logits")), variables })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (conv, out) in self.convs.iter().zip(&self.outs) {
            x = out.forward(&conv.forward(&x)?.relu())?;
        }
        let pooled = x.mean_dim([2, 3].as_slice(), false, Kind::Float);
        self.logits.forward(&self.fc.forward(&pooled)?)
    }

    /// Moves towards a student; `decay` 0 makes it the same.
    fn follow(&self, student: &Self, decay: f64) {
        let students = student.variables.variables();
        tch::no_grad(|| {
            for (name, mut value) in self.variables.variables() {
                let updated = &value * decay + &students[&name] * (1.0 - decay);
                value.copy_(&updated);
            }
        });
    }

    fn accuracy(&self, data: &Dataset, scale: f64) -> Result<f64> {
        let codes = data.test.range(0..data.test.len())?;
        let logits = tch::no_grad(|| self.forward(&(to_tensor(codes.view()) * scale)))?;
        let classes = Vec::<i64>::try_from(logits.argmax(1, false))?;
        let right =
            classes.iter().zip(data.test.labels()).filter(|(class, label)| **class == i64::from(**label)).count();
        Ok(100.0 * right as f64 / data.test.len() as f64)
    }
}

/// A network all of whose tensors and gradients have 8 bits.
fn fixed(top: &FixTopModule) -> Result<Net> {
    let net = Net::new(&top.root())?;
    let configs: BTreeMap<String, FixConfig> =
        top.get_fix_configs(false, false).into_keys().map(|name| (name, FixConfig::auto(8))).collect();
    top.load_fix_configs(&configs, false)?;
    top.load_fix_configs(&configs, true)?;
    Ok(net)
}

fn main() -> Result<()> {
    tch::manual_seed(1);
    let data = digits::load()?;
    let scale = 2_f64.powi(data.input_exponent.into());
    let (student_top, teacher_top) = (FixTopModule::new(), FixTopModule::new());
    let (student, teacher) = (fixed(&student_top)?, fixed(&teacher_top)?);
    teacher.follow(&student, 0.0);
    let parameters = student.variables.variables().into_iter().map(|(name, tensor)| {
        let decays = name.ends_with("weight");
        (name, tensor, decays)
    });
    let mut parameters: Vec<_> = parameters.collect();
    parameters.sort_by(|a, b| a.0.cmp(&b.0));
    let mut optimizer = Optimizer::new(toml::from_str(OPTIMIZER)?, parameters);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let shifted = Augmentation { shift: 1, ..Augmentation::default() };
    for epoch in 0..EPOCHS {
        let stream = Stream { seed: 1, epoch: epoch as u64 };
        for indices in stream.order(data.train.len()).chunks(BATCH) {
            let images = data.train.read(indices)?;
            let labels: Vec<i64> = indices.iter().map(|index| i64::from(data.train.labels()[*index])).collect();
            let labels = Tensor::from_slice(&labels);
            let (count, h, w, c) = images.dim();
            let mut changed = || {
                let draws = Draws::new(shifted, [count, c, h, w], &mut rng);
                apply(to_tensor(images.view()), labels.shallow_clone(), &draws).codes
            };
            // The teacher sees the same images under other changes.
            let (codes, seen_otherwise) = (changed(), changed());
            let unlabeled: Vec<bool> = indices.iter().map(|index| *index >= LABELED).collect();
            let labels = labels.masked_fill(&Tensor::from_slice(&unlabeled), NO_LABEL);
            let logits = student.forward(&(codes * scale))?;
            let target = tch::no_grad(|| teacher.forward(&(seen_otherwise * scale)))?.softmax(1, Kind::Float);
            let distance = (logits.softmax(1, Kind::Float) - target).square().mean(Kind::Float);
            let rise = ((epoch + 1) as f64 / CONSISTENCY.1).min(1.0);
            let mut loss = distance * (CONSISTENCY.0 * rise);
            if unlabeled.iter().any(|unlabeled| !unlabeled) {
                loss += cross_entropy(&logits, &labels, 0.0);
            }
            optimizer.zero_gradients();
            loss.backward();
            optimizer.step(optimizer.config().rate(epoch as f64, EPOCHS));
            teacher.follow(&student, DECAY);
        }
        let (own, averaged) = (student.accuracy(&data, scale)?, teacher.accuracy(&data, scale)?);
        println!(
            "epoch {:>2}: test accuracy {own:.2} %, of the teacher {averaged:.2} %, with {LABELED} labels",
            epoch + 1
        );
    }
    Ok(())
}
