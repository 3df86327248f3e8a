//! nics_fix_pt's examples in Rust: convolution, batch norm, ReLU, with an activation quantizer behind each of them; 8-bit data, 16-bit
//! gradients; scales by each batch in training, fixed in evaluation. `cargo run --release -p stepshift-trainer --example nics_fix`

use std::collections::BTreeMap;

use anyhow::Result;
use stepshift_trainer::config::Augmentation;
use stepshift_trainer::data::{Images, digits};
use stepshift_trainer::optimizer_config::OptimizerConfig;
use stepshift_trainer::torch::batches::{Batches, Stream, to_tensor};
use stepshift_trainer::torch::nics_fix::{
    ActivationFix, BatchNormFix, Conv2dFix, ConvConfig, FixConfig, FixMethod, FixPath, FixTopModule, LinearFix,
    Selector,
};
use stepshift_trainer::torch::optimizer::Optimizer;
use tch::{Device, Kind, Tensor, nn};

const EPOCHS: usize = 6;
const BATCH: usize = 64;
const RATE: f64 = 2e-3;

/// A convolution, a batch norm and a ReLU, quantized behind each.
struct Block {
    conv: Conv2dFix,
    norm: BatchNormFix,
    fixes: [ActivationFix; 3],
}

impl Block {
    fn new(vs: &nn::Path<'_>, fix: &FixPath, in_ch: i64, out_ch: i64, stride: i64) -> Result<Self> {
        let config = ConvConfig { stride, padding: 1, ..ConvConfig::new(3) };
        Ok(Self {
            conv: Conv2dFix::new(&(vs / "conv"), &fix.sub("conv"), in_ch, out_ch, config)?,
            norm: BatchNormFix::new(&(vs / "bn"), &fix.sub("bn"), out_ch)?,
            fixes: ["fix1", "fix2", "fix3"].map(|name| ActivationFix::new(&fix.sub(name))),
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let [behind_conv, behind_norm, behind_relu] = &self.fixes;
        let x = behind_conv.forward(&self.conv.forward(x)?)?;
        let x = behind_norm.forward(&self.norm.forward(&x, train)?)?;
        behind_relu.forward(&x.relu())
    }
}

struct Net {
    blocks: Vec<Block>,
    fc: LinearFix,
    out: ActivationFix,
}

impl Net {
    fn new(vs: &nn::Path<'_>, fix: &FixPath) -> Result<Self> {
        let plan = [(1, 16, 1), (16, 32, 2), (32, 32, 1)];
        let block = |(index, (in_ch, out_ch, stride)): (usize, (i64, i64, i64))| {
            let name = format!("block{index}");
            Block::new(&(vs / &name), &fix.sub(&name), in_ch, out_ch, stride)
        };
        Ok(Self {
            blocks: plan.into_iter().enumerate().map(block).collect::<Result<_>>()?,
            fc: LinearFix::new(&(vs / "fc"), &fix.sub("fc"), 32, 10)?,
            out: ActivationFix::new(&fix.sub("out")),
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for block in &self.blocks {
            x = block.forward(&x, train)?;
        }
        let pooled = x.mean_dim([2, 3].as_slice(), false, Kind::Float);
        self.out.forward(&self.fc.forward(&pooled)?)
    }

    fn accuracy(&self, images: &Images, scale: f64) -> Result<f64> {
        let codes = images.range(0..images.len())?;
        let logits = tch::no_grad(|| self.forward(&(to_tensor(codes.view()) * scale), false))?;
        let classes = Vec::<i64>::try_from(logits.argmax(1, false))?;
        let right = classes.iter().zip(images.labels()).filter(|(class, label)| **class == i64::from(**label)).count();
        Ok(100.0 * right as f64 / images.len() as f64)
    }
}

fn main() -> Result<()> {
    tch::manual_seed(1);
    let data = digits::load()?;
    let scale = 2_f64.powi(data.input_exponent.into());
    let (variables, top) = (nn::VarStore::new(Device::Cpu), FixTopModule::new());
    let net = Net::new(&variables.root(), &top.root())?;
    // Data in 8 bits, gradients in 16, all by the range of the values at hand.
    let all = |bits| -> BTreeMap<String, FixConfig> {
        top.get_fix_configs(false, false).into_keys().map(|name| (name, FixConfig::auto(bits))).collect()
    };
    top.load_fix_configs(&all(8), false)?;
    top.load_fix_configs(&all(16), true)?;

    let named = variables.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad());
    let mut parameters: Vec<_> = named.map(|(name, tensor)| (name, tensor, false)).collect();
    parameters.sort_by(|a, b| a.0.cmp(&b.0));
    let mut optimizer = Optimizer::new(OptimizerConfig::adam_w(RATE), parameters);
    for epoch in 0..EPOCHS {
        let stream = Stream { seed: 1, epoch: epoch as u64 };
        let mut batches = Batches::new(&data.train, stream, BATCH, 0, Augmentation::default(), Device::Cpu);
        while let Some(batch) = batches.next_batch()? {
            let logits = net.forward(&(batch.codes * scale), true)?;
            let loss = logits.cross_entropy_for_logits(&batch.targets.labels);
            optimizer.zero_gradients();
            loss.backward();
            optimizer.step(RATE);
        }
        top.set_fix_method(FixMethod::Fixed, Selector::default(), false)?;
        println!("epoch {}: test accuracy {:.2} % with fixed scales", epoch + 1, net.accuracy(&data.test, scale)?);
        top.set_fix_method(FixMethod::Auto, Selector::default(), false)?;
    }
    print!("{}", top.print_fix_configs(false));
    println!("{} quantized parameters", top.fix_state_dict()?.len());
    Ok(())
}
