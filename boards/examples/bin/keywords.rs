//! Keyword spotting: words in the sound of a microphone, by the streaming front end and a network that reads the last second.

#![no_std]
#![no_main]

use cortex_m::Peripherals;
use cortex_m_rt::entry;
use embedded_hal::spi::SpiDevice;
use examples::microphone::Microphone;
use examples::recorded::RecordedSound;
use static_cell::ConstStaticCell;
use stepshift_board::clock::Clock;
use stepshift_board::console::exit;
use stepshift_runtime::front_end::FeatureStream;
use stepshift_runtime::{Session, argmax, digest, include_front_end, include_model};

include_model!(mod keywords = "../data/keywords.stepshift");
include_front_end!(mod speech = "../data/keywords.front-end");

/// SysTick's clock in QEMU, in Hz.
const CLOCK_HZ: u32 = 25_000_000;

/// Samples a second.
const RATE: usize = 8_000;

/// Rows of features that the network reads: a second.
const ROWS: usize = 49;

/// Rows from one inference to the next: a tenth of a second.
const STRIDE: usize = 5;

/// A keyword is heard where so many inferences in succession say so.
const AGREEING: usize = 3;

/// The network's classes.
const NAMES: [&str; 6] = ["go", "left", "right", "stop", "another word", "silence"];

/// The classes that are keywords: the first ones.
const KEYWORDS: usize = 4;

static RECORDED: &[u8] = include_bytes!("../data/keywords.raw");

/// Samples of the recording for a word.
const PLACE: usize = RATE * 3 / 2;

/// The class of each word of the recording.
const SAID: [usize; 12] = [0, 4, 3, 1, 4, 2, 1, 4, 3, 2, 4, 0];

static ARENA: ConstStaticCell<[u8; keywords::ARENA_BYTES]> = ConstStaticCell::new([0; keywords::ARENA_BYTES]);
static FRAME: ConstStaticCell<[i16; speech::FRAME_LEN]> = ConstStaticCell::new([0; speech::FRAME_LEN]);
static SCRATCH: ConstStaticCell<[i32; speech::SCRATCH_LEN]> = ConstStaticCell::new([0; speech::SCRATCH_LEN]);

#[entry]
fn main() -> ! {
    // On hardware: the chip's SPI.
    let outcome = listen(Microphone::new(RecordedSound::new(RECORDED)));
    if let Err(what) = outcome {
        defmt::error!("{=str}", what);
    }
    exit(outcome.is_ok())
}

/// Listens for as long as the microphone answers, and counts the keywords that are heard.
fn listen(mut microphone: Microphone<impl SpiDevice>) -> Result<(), &'static str> {
    let clock = Clock::start(Peripherals::take().ok_or("the peripherals are taken")?, CLOCK_HZ);
    let front_end = speech::parse().map_err(|_| "the front end is refused")?;
    let mut stream =
        FeatureStream::new(front_end, FRAME.take(), SCRATCH.take()).map_err(|_| "a buffer is too small")?;
    let model = keywords::parse().map_err(|_| "the model is refused")?;
    let mut session = Session::new(model, ARENA.take()).map_err(|_| "the arena is too small")?;
    session.self_test().map_err(|_| "the self-test failed")?;
    let mut window = [[0; speech::FEATURES]; ROWS];
    let mut heard = Heard::default();
    let (mut samples, mut rows) = (0, 0);
    let mut start = clock.now();
    while let Ok(sample) = microphone.sample() {
        samples += 1;
        let mut row = [0; speech::FEATURES];
        if !stream.next_row(&mut &[sample][..], &mut row) {
            continue;
        }
        window.rotate_left(1);
        window[ROWS - 1] = row;
        rows += 1;
        if rows < ROWS || !(rows - ROWS).is_multiple_of(STRIDE) {
            continue;
        }
        session.input_mut().copy_from(window.as_flattened().iter().copied());
        session.run();
        let micros = clock.micros(clock.now().wrapping_sub(start));
        start = clock.now();
        let class = argmax(session.output());
        let name = NAMES.get(class).copied().unwrap_or_default();
        let milliseconds = samples * 1000 / RATE;
        defmt::info!(
            "{=usize} ms: {=str}, digest {=u32:08x}, {=u32} us",
            milliseconds,
            name,
            digest(session.output()),
            micros
        );
        if heard.is_new(class) {
            let is_right = SAID.get(samples / PLACE) == Some(&class);
            defmt::info!("{=usize} ms: {=str}, {=str}", milliseconds, name, if is_right { "right" } else { "wrong" });
            heard.count(is_right);
        }
    }
    let said = SAID.iter().filter(|class| **class < KEYWORDS).count();
    defmt::info!(
        "{=usize} of {=usize} keywords are heard, {=usize} that were not said",
        heard.right,
        said,
        heard.wrong
    );
    Ok(())
}

/// What was heard.
#[derive(Default)]
struct Heard {
    /// The class of the last inference.
    class: usize,
    /// How many in succession had this class.
    agreeing: usize,
    right: usize,
    wrong: usize,
}

impl Heard {
    /// A keyword is heard now, and was not in the inference before.
    fn is_new(&mut self, class: usize) -> bool {
        self.agreeing = if class == self.class { self.agreeing + 1 } else { 1 };
        self.class = class;
        class < KEYWORDS && self.agreeing == AGREEING
    }

    fn count(&mut self, is_right: bool) {
        *(if is_right { &mut self.right } else { &mut self.wrong }) += 1;
    }
}
