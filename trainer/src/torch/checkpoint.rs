//! Checkpoints: one safetensors file with every tensor of the training, its state as JSON in the metadata.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Deserializer, Serialize};
use tch::{Kind, Tensor};

use crate::atomic_file;
use crate::score::Score;

/// Version of what [`State`] and the tensors' names mean. Version 2 has the settings of more quantizers; one of version 1 is read as well.
pub const CHECKPOINT_VERSION: u32 = 2;

/// The oldest version that is read.
const OLDEST_VERSION: u32 = 1;

/// Key in the file's metadata of a checksum, a space, and the state. One key, since the order of several is random.
const METADATA_KEY: &str = "stepshift";

/// Which of both trainings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// In floating point, with batch norm.
    Float,
    /// Quantized, batch norm folded.
    Quantized,
    /// Both are over.
    Finished,
}

impl Phase {
    /// Its name.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Quantized => "quantized",
            Self::Finished => "finished",
        }
    }
}

/// Where a training stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// [`CHECKPOINT_VERSION`].
    pub version: u32,
    /// Text of the config.
    pub config: String,
    /// Current phase.
    pub phase: Phase,
    /// Passes finished in this phase.
    pub epoch: usize,
    /// Batches finished in this pass.
    pub batch: usize,
    /// Sums over the batches of this pass.
    pub sums: Sums,
    /// One record for each finished pass.
    pub history: Vec<EpochRecord>,
    /// Of the float network, once its training is over.
    #[serde(default, alias = "float_accuracy", deserialize_with = "score_or_accuracy")]
    pub float_score: Option<Score>,
}

/// Sums over the batches of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Of losses, by image.
    pub loss: f64,
    /// Of images.
    pub images: usize,
}

/// What came of one pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Its phase.
    pub phase: Phase,
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// On the test inputs, by the training forward.
    #[serde(flatten)]
    pub score: Score,
}

/// A score, or the number that former programs wrote, who had no other than accuracy.
fn score_or_accuracy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Score>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Score(Score),
        Accuracy(f64),
    }
    let score = |written| match written {
        Written::Score(score) => score,
        Written::Accuracy(percent) => Score::Accuracy(percent),
    };
    Ok(Option::<Written>::deserialize(deserializer)?.map(score))
}

/// Writes a checkpoint atomically.
///
/// # Errors
/// Where the file cannot be written; an older one stays.
pub fn save(path: &Path, state: &State, tensors: &[(String, Tensor)]) -> Result<()> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors.iter().map(to_bytes).collect::<Result<_>>()?;
    let views = bytes
        .iter()
        .map(|(name, shape, data)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect::<Result<Vec<_>>>()?;
    let json = serde_json::to_string(state)?;
    let checksum = checksum(&json, bytes.iter().map(|(name, _, data)| (name.as_str(), data.as_slice())).collect());
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), format!("{checksum} {json}"))]);
    let file = safetensors::serialize(views, Some(metadata))?;
    atomic_file::write(path, &file)
}

/// Reads a checkpoint.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn load(path: &Path) -> Result<(State, HashMap<String, Tensor>)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} is not a usable checkpoint", path.display()))
}

fn parse(bytes: &[u8]) -> Result<(State, HashMap<String, Tensor>)> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let entry = metadata.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    let (expected, json) =
        entry.and_then(|entry| entry.split_once(' ')).context("it has no training state of stepshift")?;
    let version: serde_json::Value = serde_json::from_str(json).context("its training state is not readable")?;
    let version = version.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    ensure!(
        (u64::from(OLDEST_VERSION)..=u64::from(CHECKPOINT_VERSION)).contains(&version),
        "it is of version {version}, this program reads versions {OLDEST_VERSION} to {CHECKPOINT_VERSION}"
    );
    let file = SafeTensors::deserialize(bytes)?;
    let views = file.iter().collect::<Vec<_>>();
    let actual = checksum(json, views.iter().map(|(name, view)| (*name, view.data())).collect());
    ensure!(actual == expected, "its checksum is wrong: the file is damaged");
    let state = serde_json::from_str(json)?;
    let tensors =
        file.iter().map(|(name, view)| Ok((name.to_owned(), to_tensor(name, &view)?))).collect::<Result<_>>()?;
    Ok((state, tensors))
}

/// CRC-32 of the state, and of every tensor's name and data in the order of the names.
fn checksum(json: &str, mut tensors: Vec<(&str, &[u8])>) -> String {
    tensors.sort_unstable();
    let mut crc = flate2::Crc::new();
    crc.update(json.as_bytes());
    for (name, data) in tensors {
        crc.update(name.as_bytes());
        crc.update(data);
    }
    format!("{:08x}", crc.sum())
}

fn to_bytes((name, tensor): &(String, Tensor)) -> Result<(String, Vec<usize>, Vec<u8>)> {
    let values = Vec::<f32>::try_from(tensor.to_kind(Kind::Float).flatten(0, -1))?;
    let shape = tensor.size().into_iter().map(|extent| extent as usize).collect();
    Ok((name.clone(), shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
}

fn to_tensor(name: &str, view: &TensorView<'_>) -> Result<Tensor> {
    if view.dtype() != Dtype::F32 {
        bail!("tensor {name} is of type {:?} instead of F32", view.dtype());
    }
    let values: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let shape: Vec<i64> = view.shape().iter().map(|extent| *extent as i64).collect();
    Ok(Tensor::from_slice(&values).view(shape.as_slice()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_of_former_programs_are_read() {
        let state = |accuracy: serde_json::Value| -> State {
            let pass = json!({ "phase": "float", "epoch": 1, "loss": 0.5, "test_accuracy": 91.25 });
            let sums = json!({ "loss": 0.0, "images": 0 });
            let text = json!({
                "version": 2, "config": "", "phase": "quantized", "epoch": 1, "batch": 0, "sums": sums, "history": [pass],
                "float_accuracy": accuracy
            });
            serde_json::from_value(text).unwrap()
        };
        let quantized = state(json!(91.25));
        assert_eq!(quantized.float_score, Some(Score::Accuracy(91.25)));
        assert_eq!(quantized.history[0].score, Score::Accuracy(91.25));
        assert_eq!(state(json!(null)).float_score, None);
        let written = serde_json::to_string(&quantized).unwrap();
        assert_eq!(serde_json::from_str::<State>(&written).unwrap(), quantized);
    }
}
