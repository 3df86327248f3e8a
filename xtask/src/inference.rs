//! A model on a board: its firmware, run once, and what that printed.

use std::path::Path;

use anyhow::{Context, Result, bail};
use stepshift_runtime::{Model, Vectors};

use crate::boards::Board;
use crate::{elf, firmware, qemu};

/// What one run of the firmware `infer` or `trusting` told.
#[derive(Debug, Default)]
pub(crate) struct Inference {
    /// Name and instructions of every node.
    pub(crate) nodes: Vec<(String, u64)>,
    /// Instructions of one inference.
    pub(crate) instructions: u64,
    /// Tensors and images that equal the vectors.
    pub(crate) equal: Option<(u64, u64)>,
    /// The model's self-test passed on the device.
    pub(crate) self_test: bool,
    /// Sizes of the firmware.
    pub(crate) sizes: elf::Sizes,
}

/// Builds the firmware around a model and runs it in QEMU.
///
/// # Errors
/// Names the file that cannot be used, or the image and layer that differ from the vectors.
pub(crate) fn run(board: &Board, model: &Path, vectors: Option<&Path>) -> Result<Inference> {
    run_program(board, firmware::INFER, model, vectors)
}

/// As [`run`], of the firmware that trusts the model.
///
/// # Errors
/// Names the file that cannot be used, or the layer whose bits are not those of the model's certificate.
pub(crate) fn run_trusted(board: &Board, model: &Path) -> Result<Inference> {
    run_program(board, firmware::TRUSTING, model, None)
}

fn run_program(board: &Board, program: &str, model: &Path, vectors: Option<&Path>) -> Result<Inference> {
    let names = check_files(model, vectors)?;
    let elf = firmware::build(board, program, Some(model))?;
    let outcome = qemu::run(board, &elf, vectors)?;
    let mut result = parse(&outcome.text);
    if !outcome.success {
        bail!("{}: {}", board.name, explain(&outcome.text, &names));
    }
    result.sizes = elf::sizes(&elf)?;
    Ok(result)
}

/// Refuses files here, where the message can name them; the names of the nodes.
fn check_files(model: &Path, vectors: Option<&Path>) -> Result<Vec<String>> {
    let bytes = std::fs::read(model).with_context(|| format!("cannot read {}", model.display()))?;
    let parsed = Model::parse(&bytes).with_context(|| model.display().to_string())?;
    if let Some(path) = vectors {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let vectors = Vectors::parse(&bytes).with_context(|| path.display().to_string())?;
        if vectors.model_crc() != parsed.crc() {
            bail!(
                "{} was made for the model of checksum {:#010x}, {} has {:#010x}",
                path.display(),
                vectors.model_crc(),
                model.display(),
                parsed.crc()
            );
        }
    }
    Ok(parsed.nodes().map(|node| node.name.to_string()).collect())
}

fn parse(text: &str) -> Inference {
    let mut result = Inference::default();
    for line in text.lines() {
        // A layer's name may have spaces.
        if let Some((name, count)) = line.strip_prefix("node ").and_then(|line| line.rsplit_once(' ')) {
            result.nodes.push((name.to_owned(), count.parse().unwrap_or(0)));
        }
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["self-test", "passed"] => result.self_test = true,
            ["equal", tensors, images] => result.equal = tensors.parse().ok().zip(images.parse().ok()),
            _ => {}
        }
    }
    result.instructions = result.nodes.iter().map(|(_, count)| count).sum();
    result
}

/// The firmware's error, with image and layer where it told them.
fn explain(text: &str, names: &[String]) -> String {
    let Some(error) = text.lines().find_map(|line| line.strip_prefix("error ")) else {
        return format!("the firmware failed; it printed:\n{text}");
    };
    let place = text.lines().find_map(|line| {
        let (image, node) = line.strip_prefix("differs ")?.split_once(' ')?;
        let name = names.get(node.parse::<usize>().ok()?)?;
        Some(format!("image {image}, layer {name}: {error}"))
    });
    place.unwrap_or_else(|| error.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_firmware_are_read() {
        let result = parse("node conv 1 1200\nnode fc 80\nclass 0 7\nequal 200 100\n");
        assert_eq!(result.nodes, [("conv 1".to_owned(), 1200), ("fc".to_owned(), 80)]);
        assert_eq!((result.instructions, result.equal), (1280, Some((200, 100))));
    }

    #[test]
    fn a_difference_is_told_with_the_name_of_the_layer() {
        let names = ["conv1".to_owned(), "fc".to_owned()];
        let text = "differs 3 1\nerror a layer differs from the vectors\n";
        assert_eq!(explain(text, &names), "image 3, layer fc: a layer differs from the vectors");
    }
}
