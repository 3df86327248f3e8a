//! A model of `benches/peers/models.py`: the numbers of its layers, as a network of the affine scheme.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use stepshift_runtime::format::{Activation, AffineBinaryKind, Shape, WeightBits, Window};
use stepshift_runtime::{Backend, Model, Session};
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, Options, Prefer,
    encode_with, scale_parts,
};

use crate::bench;

/// A model, and what every library is to make of the benchmarks' input.
#[derive(Debug)]
pub(super) struct PeerModel {
    /// What the table calls it.
    pub(super) name: String,
    /// Its files, without their endings.
    pub(super) path: PathBuf,
    network: FixedPointNetwork,
    /// Codes of LiteRT's reference kernels.
    pub(super) expected: Vec<i8>,
}

#[derive(Deserialize)]
struct File {
    name: String,
    input: Tensor,
    layers: Vec<Layer>,
    expected: Vec<i8>,
}

#[derive(Deserialize)]
struct Tensor {
    shape: [u16; 3],
    scale: f32,
    zero: i16,
}

#[derive(Deserialize)]
struct Layer {
    op: String,
    inputs: Vec<usize>,
    min: i16,
    max: i16,
    output: Tensor,
    #[serde(default)]
    kernel: [u8; 2],
    #[serde(default)]
    stride: [u8; 2],
    /// Rows above, columns left, rows below, columns right.
    #[serde(default)]
    pad: [u8; 4],
    #[serde(default)]
    weights: Vec<i16>,
    #[serde(default)]
    scales: Vec<f32>,
    #[serde(default)]
    bias: Vec<i64>,
}

impl PeerModel {
    /// Reads the file `path` with the ending `.json`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub(super) fn read(json: &Path) -> Result<Self> {
        let text = fs::read_to_string(json).with_context(|| format!("cannot read {}", json.display()))?;
        let file: File = serde_json::from_str(&text).with_context(|| json.display().to_string())?;
        let layers = file.layers.iter().enumerate().map(|(number, layer)| layer.fixed_point(number));
        let layers = layers.collect::<Result<_>>().with_context(|| json.display().to_string())?;
        let network = FixedPointNetwork { input: file.input.fixed_point()?, layers };
        Ok(Self { name: file.name, path: json.with_extension(""), network, expected: file.expected })
    }

    /// Writes the model file for a backend beside the others; its path. The host has to give the expected codes with it.
    ///
    /// # Errors
    /// Where the exporter refuses the network, or a code differs.
    pub(super) fn export(&self, backend: Backend, prefer: Prefer) -> Result<PathBuf> {
        let bytes = encode_with(&self.network, Options { backend, prefer, ..Options::default() })?;
        let found = run(&bytes)?;
        let differing = self.expected.iter().zip(&found).filter(|(expected, found)| expected != found).count();
        if differing > 0 || found.len() != self.expected.len() {
            bail!("{}: {differing} codes differ from those of LiteRT's reference kernels", self.name);
        }
        let path = self.path.with_extension(format!("{}-{prefer:?}.stepshift", backend.name()).to_lowercase());
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// The output for the benchmarks' input.
fn run(bytes: &[u8]) -> Result<Vec<i8>> {
    let model = Model::parse(bytes)?;
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena)?;
    bench::fill(session.input_mut().into_bytes());
    session.run();
    Ok(session.output().bytes().iter().map(|byte| byte.cast_signed()).collect())
}

impl Tensor {
    fn fixed_point(&self) -> Result<FixedPointTensor> {
        let [h, w, c] = self.shape;
        let (mantissa, exponent) = parts(self.scale)?;
        Ok(FixedPointTensor { mantissa, zero: self.zero, ..FixedPointTensor::i8(Shape { h, w, c }, exponent) })
    }
}

fn parts(scale: f32) -> Result<(u32, i8)> {
    scale_parts(scale).with_context(|| format!("{scale} is no scale"))
}

impl Layer {
    fn fixed_point(&self, number: usize) -> Result<FixedPointLayer> {
        let op = match self.op.as_str() {
            "conv2d" => FixedPointOp::Conv2d { window: self.window(), groups: 1, weights: self.weights()? },
            "depthwise_conv2d" => FixedPointOp::DepthwiseConv2d { window: self.window(), weights: self.weights()? },
            "fully_connected" => FixedPointOp::FullyConnected { weights: self.weights()? },
            "average_pool2d" => FixedPointOp::AffineAveragePool2d { window: self.window() },
            "add" => FixedPointOp::AffineBinary(AffineBinaryKind::Add),
            "softmax" => FixedPointOp::AffineSoftmax,
            other => bail!("unknown operator {other}"),
        };
        let activation = Activation { min: self.min, max: self.max };
        let (inputs, output) = (self.inputs.clone(), self.output.fixed_point()?);
        Ok(FixedPointLayer { name: format!("{} {number}", self.op), inputs, output, activation, op })
    }

    fn weights(&self) -> Result<FixedPointWeights> {
        let scales: Vec<_> = self.scales.iter().map(|scale| parts(*scale)).collect::<Result<_>>()?;
        let (mantissas, exponents) = scales.into_iter().cycle().take(self.bias.len()).unzip();
        let (codes, bias) = (self.weights.clone(), self.bias.clone());
        Ok(FixedPointWeights { bits: WeightBits::Eight, codes, exponents, mantissas, bias })
    }

    fn window(&self) -> Window {
        let ([kernel_h, kernel_w], [stride_h, stride_w]) = (self.kernel, self.stride);
        let [pad_top, pad_left, pad_bottom, pad_right] = self.pad;
        let place = Window { pad_top, pad_left, pad_bottom, pad_right, ..Window::new(kernel_h, kernel_w) };
        Window { stride_h, stride_w, ..place }
    }
}
