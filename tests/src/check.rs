use core::fmt;

use stepshift_runtime::format::Links;
use stepshift_runtime::{Model, NodeOutput, RunError, Session, Vectors, argmax, digest};

/// The first thing that differs from the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The vectors were made for another model, or for inputs of another length.
    OtherModel,
    /// The arena is too small.
    Run(RunError),
    /// A node wrote other codes than expected.
    Node {
        /// Index of the image.
        image: usize,
        /// Number of the step.
        step: usize,
        /// Index of the node.
        node: usize,
        /// Digest in the vectors.
        expected: u32,
        /// Digest of what the node wrote.
        actual: u32,
    },
    /// The greatest output is another one.
    Class {
        /// Index of the image.
        image: usize,
        /// Class in the vectors.
        expected: u16,
        /// Class of this run.
        actual: usize,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherModel => write!(f, "the vectors were made for another model"),
            Self::Run(error) => write!(f, "{error}"),
            Self::Node { image, step, node, expected, actual } => {
                write!(f, "image {image}, node {node}, step {step}: digest {actual:#010x} instead of {expected:#010x}")
            }
            Self::Class { image, expected, actual } => {
                write!(f, "image {image}: class {actual} instead of {expected}")
            }
        }
    }
}

impl core::error::Error for Failure {}

/// Runs every image of the vectors and compares every node's output by its digest.
///
/// `observer` sees every node's output with the image's index, before it is compared, so that a
/// caller can count, or keep the codes of the node that fails.
///
/// # Errors
/// The first [`Failure`].
pub fn check<const LINKS: Links>(
    model: Model<'_, LINKS>,
    vectors: &Vectors<'_>,
    arena: &mut [u8],
    mut observer: impl FnMut(usize, NodeOutput<'_>),
) -> Result<(), Failure> {
    if vectors.model_crc() != model.crc() || vectors.step_count() != model.step_count() {
        return Err(Failure::OtherModel);
    }
    let mut session = Session::new(model, arena).map_err(Failure::Run)?;
    for image in 0..vectors.image_count() {
        check_image(&mut session, vectors, image, &mut observer)?;
    }
    Ok(())
}

fn check_image<const LINKS: Links>(
    session: &mut Session<'_, '_, LINKS>,
    vectors: &Vectors<'_>,
    image: usize,
    observer: &mut impl FnMut(usize, NodeOutput<'_>),
) -> Result<(), Failure> {
    let codes = vectors.input(image);
    session.reset();
    let input = session.input_mut().into_bytes();
    if input.len() != codes.len() {
        return Err(Failure::OtherModel);
    }
    input.copy_from_slice(codes);
    let mut first = Ok(());
    session.run_observed(|output| {
        observer(image, output);
        let actual = digest(output.codes);
        let (step, node) = (output.step, output.index);
        if let Some(expected) = vectors.digest(image, step).filter(|expected| *expected != actual)
            && first.is_ok()
        {
            first = Err(Failure::Node { image, step, node, expected, actual });
        }
    });
    first?;
    let actual = argmax(session.output());
    match vectors.class(image) {
        Some(expected) if usize::from(expected) != actual => Err(Failure::Class { image, expected, actual }),
        _ => Ok(()),
    }
}
