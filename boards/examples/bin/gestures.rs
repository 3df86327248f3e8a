//! Gestures: exercises that a motion sensor at the wrist feels, async. One task samples, another classifies: behind each
//! layer it lets the first one run, so that no sample is lost.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicUsize, Ordering};

use cortex_m::Peripherals;
use cortex_m_rt::entry;
use embassy_executor::{Executor, Spawner};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use examples::motion_sensor::{AXES, MotionSensor, code};
use examples::recorded::{RecordedMotion, Recording};
use static_cell::{ConstStaticCell, StaticCell};
use stepshift_board::clock::Clock;
use stepshift_board::console::exit;
use stepshift_runtime::format::Links;
use stepshift_runtime::{Session, argmax, digest, include_model};

include_model!(mod gestures = "../data/gestures.stepshift");

/// SysTick's clock in QEMU, in Hz.
const CLOCK_HZ: u32 = 25_000_000;

/// Samples of a window: two seconds.
const WINDOW: usize = 50;

/// Samples from one classification to the next.
const STRIDE: usize = 25;

/// The recording, of one exercise after another, by two people whom the network has not seen.
static RECORDED: &[u8] = include_bytes!("../data/gestures.raw");

/// Samples of each exercise.
const EXERCISE: usize = 100;

/// Microseconds from sample to sample. An instruction takes QEMU a nanosecond: so many of them lie between samples that a core of
/// 5 million instructions a second gets at the recording's pace of 25 samples a second.
const PERIOD: u32 = 200;

/// The exercises, in the order of their classes.
const NAMES: [&str; 7] = ["abduction", "elevation", "inward", "outward", "pendulum", "row", "trapezius"];

static ARENA: ConstStaticCell<[u8; gestures::ARENA_BYTES]> = ConstStaticCell::new([0; gestures::ARENA_BYTES]);
static EXECUTOR: StaticCell<Executor> = StaticCell::new();
static CLOCK: StaticCell<Clock> = StaticCell::new();

/// Samples on their way, as codes; `None` behind the last.
static SAMPLES: Channel<CriticalSectionRawMutex, Option<[i8; AXES]>, 16> = Channel::new();

/// Samples that were read.
static READ: AtomicUsize = AtomicUsize::new(0);

/// Samples that were over before they were read.
static LOST: AtomicUsize = AtomicUsize::new(0);

#[entry]
fn main() -> ! {
    let Some(core) = Peripherals::take() else { exit(false) };
    let clock = &*CLOCK.init(Clock::start(core, CLOCK_HZ));
    EXECUTOR.init(Executor::new()).run(|spawner| start(spawner, clock))
}

fn start(spawner: Spawner, clock: &'static Clock) {
    match (sample(clock), classify(clock)) {
        (Ok(sample), Ok(classify)) => {
            spawner.spawn(sample);
            spawner.spawn(classify);
        }
        _ => exit(false),
    }
}

/// Reads the sensor for as long as it answers.
#[embassy_executor::task]
async fn sample(clock: &'static Clock) {
    let recording = Recording::new(RECORDED, PERIOD, || clock.micros(clock.now()));
    // On hardware: the chip's I2C and a pin with an interrupt.
    let (bus, ready) = (RecordedMotion::new(&recording), RecordedMotion::new(&recording));
    if let Ok(mut sensor) = MotionSensor::start(bus, ready).await {
        while let Ok(axes) = sensor.sample().await {
            READ.fetch_add(1, Ordering::Relaxed);
            SAMPLES.send(Some(axes.map(code))).await;
        }
    }
    LOST.store(recording.lost(), Ordering::Relaxed);
    SAMPLES.send(None).await;
}

/// Classifies the newest window, over and over.
#[embassy_executor::task]
async fn classify(clock: &'static Clock) {
    let outcome = windows(clock).await;
    if let Err(what) = outcome {
        defmt::error!("{=str}", what);
    }
    exit(outcome.is_ok())
}

async fn windows(clock: &Clock) -> Result<(), &'static str> {
    let model = gestures::parse().map_err(|_| "the model is refused")?;
    let mut session = Session::new(model, ARENA.take()).map_err(|_| "the arena is too small")?;
    session.self_test().map_err(|_| "the self-test failed")?;
    let mut window = [[0; AXES]; WINDOW];
    let (mut count, mut right, mut judged) = (0, 0_u32, 0_u32);
    while let Some(codes) = SAMPLES.receive().await {
        window.rotate_left(1);
        window[WINDOW - 1] = codes;
        count += 1;
        if count < WINDOW || count % STRIDE != 0 {
            continue;
        }
        session.input_mut().copy_from(window.as_flattened().iter().copied());
        let (ticks, read) = run(&mut session, clock).await;
        let class = argmax(session.output());
        let name = NAMES.get(class).copied().unwrap_or_default();
        let digest = digest(session.output());
        let micros = clock.micros(ticks);
        defmt::info!(
            "sample {=usize}: {=str}, digest {=u32:08x}, {=u32} us, {=usize} samples meanwhile",
            count,
            name,
            digest,
            micros,
            read
        );
        // A window across two exercises has no right class.
        if (count - WINDOW) / EXERCISE == (count - 1) / EXERCISE {
            judged += 1;
            right += u32::from(class == (count - 1) / EXERCISE % NAMES.len());
        }
    }
    defmt::info!("{=usize} samples lost", LOST.load(Ordering::Relaxed));
    defmt::info!("{=u32} of {=u32} windows are right", right, judged);
    Ok(())
}

/// One inference; ticks of its layers, and samples that the other task read between them.
async fn run<const LINKS: Links>(session: &mut Session<'_, '_, LINKS>, clock: &Clock) -> (u32, usize) {
    let before = READ.load(Ordering::Relaxed);
    let mut ticks = 0_u32;
    loop {
        let start = clock.now();
        if session.step().is_none() {
            return (ticks, READ.load(Ordering::Relaxed) - before);
        }
        ticks = ticks.wrapping_add(clock.now().wrapping_sub(start));
        yield_now().await;
    }
}
