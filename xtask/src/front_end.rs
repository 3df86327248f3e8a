//! `cargo xtask front-end`.

use anyhow::{Context, Result, ensure};
use stepshift_runtime::crc32;
use stepshift_runtime::front_end::FeatureStream;
use stepshift_tests::sound;

use crate::boards::{self, Board};
use crate::table::grouped;
use crate::{firmware, qemu};

stepshift_runtime::include_front_end!(mod speech = "../../runtime/testdata/speech.front-end");

#[derive(Debug, clap::Args)]
pub(crate) struct FrontEnd {
    /// The board
    #[arg(long, default_value = boards::DEFAULT, value_parser = boards::names())]
    board: String,
}

impl FrontEnd {
    pub(crate) fn run(&self) -> Result<()> {
        compare(boards::find(&self.board)?).map(drop)
    }
}

/// Every row of features on a board against the host's; prints what the dearest row costs. How many
/// rows there are.
///
/// # Errors
/// Names the first row that differs.
pub(crate) fn compare(board: &Board) -> Result<usize> {
    let elf = firmware::build(board, firmware::FRONT_END, None)?;
    let outcome = qemu::run(board, &elf, None)?;
    let told = || format!("{}: the firmware printed\n{}", board.name, outcome.text);
    ensure!(outcome.success, told());
    let numbers = |word: &str| {
        let lines = outcome.text.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse::<u32>().ok());
        lines.collect::<Vec<_>>()
    };
    let (rows, instructions) = (numbers("row "), numbers("instructions "));
    let instructions = *instructions.first().with_context(told)?;
    ensure!(rows.len() > 10, told());
    for (index, (device, host)) in rows.iter().zip(host_rows(rows.len())?).enumerate() {
        ensure!(*device == host, "{}: row {index} of the features differs from the host's", board.name);
    }
    println!(
        "{}: {} rows of features equal the host's; {} instructions a row at most",
        board.name,
        rows.len(),
        grouped(instructions.into())
    );
    Ok(rows.len())
}

/// Digests of the first rows.
fn host_rows(count: usize) -> Result<Vec<u32>> {
    let (mut frame, mut scratch) = ([0; speech::FRAME_LEN], [0; speech::SCRATCH_LEN]);
    let mut stream = FeatureStream::new(speech::parse()?, &mut frame, &mut scratch)?;
    let rows = sound::samples().filter_map(|sample| {
        let mut row = [0; speech::FEATURES];
        stream.next_row(&mut &[sample][..], &mut row).then(|| crc32(&row.map(i8::cast_unsigned)))
    });
    Ok(rows.take(count).collect())
}
