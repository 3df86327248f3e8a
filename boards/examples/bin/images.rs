//! Image classification: digits that a sensor of 8 x 8 pixels sees, one after another.

#![no_std]
#![no_main]

use cortex_m::Peripherals;
use cortex_m_rt::entry;
use embedded_hal::i2c::I2c;
use examples::image_sensor::{ImageSensor, PIXELS};
use examples::recorded::RecordedImages;
use static_cell::ConstStaticCell;
use stepshift_board::clock::Clock;
use stepshift_board::console::exit;
use stepshift_runtime::{STACK_BYTES, Session, argmax, include_model};

include_model!(mod digits = "../data/digits.stepshift");

/// SysTick's clock in QEMU, in Hz.
const CLOCK_HZ: u32 = 25_000_000;

/// The digit, then its pixels, row by row, of 0 to 16.
static RECORDED: &[u8] = include_bytes!("../data/digits.raw");

const IMAGES: usize = RECORDED.len() / (1 + PIXELS);

/// RAM of the board, as its `memory.x` has it.
const RAM_BYTES: usize = 4 * 1024 * 1024;

/// Variables beside the arena, and the stack around the runtime's, with the recorded images.
const OTHER_BYTES: usize = 16 * 1024 + IMAGES * PIXELS;

const _: () =
    assert!(digits::ARENA_BYTES + STACK_BYTES + OTHER_BYTES <= RAM_BYTES, "arena and stack do not fit the RAM");

static ARENA: ConstStaticCell<[u8; digits::ARENA_BYTES]> = ConstStaticCell::new([0; digits::ARENA_BYTES]);

#[entry]
fn main() -> ! {
    let mut images = [[0; PIXELS]; IMAGES];
    let mut labels = [0; IMAGES];
    for ((image, label), record) in images.iter_mut().zip(&mut labels).zip(RECORDED.chunks_exact(1 + PIXELS)) {
        if let Some((digit, pixels)) = record.split_first() {
            *label = *digit;
            image.copy_from_slice(pixels);
        }
    }
    // On hardware: the chip's I2C.
    let sensor = ImageSensor::new(RecordedImages::new(&images));
    let outcome = classify(sensor, &labels);
    if let Err(what) = outcome {
        defmt::error!("{=str}", what);
    }
    exit(outcome.is_ok())
}

/// Classifies as many images as there are labels, and counts those that are right.
fn classify(mut sensor: ImageSensor<impl I2c>, labels: &[u8]) -> Result<(), &'static str> {
    let clock = Clock::start(Peripherals::take().ok_or("the peripherals are taken")?, CLOCK_HZ);
    let model = digits::parse().map_err(|_| "the model is refused")?;
    let mut session = Session::new(model, ARENA.take()).map_err(|_| "the arena is too small")?;
    session.self_test().map_err(|_| "the self-test failed")?;
    let mut right = 0_u32;
    for (index, label) in labels.iter().enumerate() {
        let pixels = sensor.read().map_err(|_| "the sensor does not answer")?;
        // The network's codes: 0 to 16 of full scale, rounded half up.
        let codes = pixels.map(|pixel| ((pixel + 128) >> 8) as u8);
        session.input_mut().into_bytes().copy_from_slice(&codes);
        let start = clock.now();
        session.run();
        let micros = clock.micros(clock.now().wrapping_sub(start));
        let class = argmax(session.output());
        defmt::info!("image {=usize}: class {=usize}, {=u32} us", index, class, micros);
        right += u32::from(class == usize::from(*label));
    }
    defmt::info!("{=u32} of {=usize} images are right", right, labels.len());
    Ok(())
}
