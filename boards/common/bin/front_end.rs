//! Features of a sound that host and firmware make alike: a digest of every row, and what a row costs.
//!
//! Every line of the output is a word and its values; `xtask` reads them.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use static_cell::ConstStaticCell;
use stepshift_board::console::{exit, line};
use stepshift_board::counter::Counter;
use stepshift_runtime::crc32;
use stepshift_runtime::front_end::FeatureStream;
use stepshift_tests::sound;

stepshift_runtime::include_front_end!(mod speech = "../../../runtime/testdata/speech.front-end");

/// Rows of a bit more than a second.
const ROWS: u32 = 60;

static FRAME: ConstStaticCell<[i16; speech::FRAME_LEN]> = ConstStaticCell::new([0; speech::FRAME_LEN]);
static SCRATCH: ConstStaticCell<[i32; speech::SCRATCH_LEN]> = ConstStaticCell::new([0; speech::SCRATCH_LEN]);

#[entry]
fn main() -> ! {
    let outcome = run();
    if let Err(reason) = outcome {
        line(&["error".into(), reason.into()]);
    }
    exit(outcome.is_ok())
}

fn run() -> Result<(), &'static str> {
    let systick = cortex_m::Peripherals::take().ok_or("the peripherals are taken")?.SYST;
    let counter = Counter::new(systick).map_err(|_| "the clock does not count instructions")?;
    let front_end = speech::parse().map_err(|_| "the front end is refused")?;
    let stream = FeatureStream::new(front_end, FRAME.take(), SCRATCH.take());
    let mut stream = stream.map_err(|_| "the memory is too small")?;
    let (mut row, mut rows, mut most) = ([0; speech::FEATURES], 0, 0);
    for sample in sound::samples() {
        let start = counter.now();
        if stream.next_row(&mut &[sample][..], &mut row) {
            most = most.max(counter.since(start));
            line(&["row".into(), crc32(&row.map(i8::cast_unsigned)).into()]);
            rows += 1;
        }
        if rows == ROWS {
            break;
        }
    }
    line(&["instructions".into(), most.into()]);
    Ok(())
}
