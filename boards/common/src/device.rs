//! The firmware of every board: loads the model that lies in its own region of flash, tests itself, then runs what the
//! host sends and answers with every layer's digest, or its ticks.

use cortex_m::Peripherals;
use stepshift_runtime::format::FORMAT_VERSION;
use stepshift_runtime::{Codes, LoadError, Model, RunError, SelfTestError, Session, argmax, digest};
use stepshift_tests::slot_file;
use stepshift_tests::wire::{Fault, Hello, REQUEST_BYTES, Request};

use crate::clock::Clock;
use crate::link::{Closed, HostLink, Link};
use crate::region;

/// Runs for ever; in QEMU until the host has no more requests.
///
/// clock_hz  of the core: turns cycles into time
pub fn run(board: &str, clock_hz: u32) -> ! {
    let mut link = HostLink::open();
    defmt::info!("stepshift on {=str}, model format {=u16}", board, FORMAT_VERSION);
    // Nothing took them before.
    let Some(core) = Peripherals::take() else { stop(&mut link) };
    let clock = Clock::start(core, clock_hz);
    match start(&clock) {
        Ok(mut session) => loop {
            let outcome = serve(&mut session, &clock, &mut link);
            link.end(outcome.is_ok());
        },
        Err(fault) => {
            link.write(&hello(Some(fault)).to_bytes());
            stop(&mut link)
        }
    }
}

fn stop(link: &mut impl Link) -> ! {
    link.end(false);
    loop {
        cortex_m::asm::wfi();
    }
}

/// The flashed model in the RAM that is left, tested.
fn start(clock: &Clock) -> Result<Session<'static, 'static>, Fault> {
    let Some(file) = slot_file(region::model()) else {
        defmt::error!("there is no model in its region of flash: cargo xtask flash --model-only");
        return Err(Fault::NoModel);
    };
    let model = Model::parse(file).map_err(|error| {
        defmt::error!("the model is refused: {}", error);
        match error {
            LoadError::Version { found, supported } => {
                Fault::Version { found: found.into(), supported: supported.into() }
            }
            _ => Fault::Refused,
        }
    })?;
    let mut session = Session::new(model, region::arena()).map_err(|error| {
        defmt::error!("{}", error);
        let RunError::ArenaTooSmall { needed, provided } = error else { return Fault::Refused };
        Fault::Arena { needed: needed as u32, provided: provided as u32 }
    })?;
    defmt::info!("model {=u32:#010x}, {=usize} nodes, {=usize} bytes", model.crc(), model.node_count(), file.len());
    match session.self_test() {
        Ok(()) => defmt::info!("self-test passed"),
        Err(SelfTestError::Differs { node }) => {
            defmt::error!("self-test: node {=u16} does not give the bits of training", node);
            return Err(Fault::SelfTest { node: node.into() });
        }
        Err(_) => defmt::warn!("the model has no self-test"),
    }
    // What is in the certificate is an input like others: a first time and class without a host.
    if let Some(certificate) = model.certificate() {
        let input = session.input_mut().into_bytes();
        input.iter_mut().zip(certificate.input).for_each(|(target, byte)| *target = *byte);
        infer(&mut session, clock, |_, _, _| {});
    }
    Ok(session)
}

const fn hello(fault: Option<Fault>) -> Hello {
    Hello { format_version: FORMAT_VERSION as u32, fault, model_crc: 0, node_count: 0, input_bytes: 0 }
}

/// Answers requests until the host has no more.
fn serve(session: &mut Session<'_, '_>, clock: &Clock, link: &mut impl Link) -> Result<(), Closed> {
    let model = session.model();
    let hello = Hello {
        model_crc: model.crc(),
        node_count: model.node_count() as u32,
        input_bytes: session.input_mut().into_bytes().len() as u32,
        ..hello(None)
    };
    link.write(&hello.to_bytes());
    loop {
        let mut bytes = [0; REQUEST_BYTES];
        link.read(&mut bytes)?;
        let request = Request::from_bytes(bytes).ok_or(Closed)?;
        if request == Request::End {
            return Ok(());
        }
        session.reset();
        link.read(session.input_mut().into_bytes())?;
        if let Request::Codes { step } = request {
            infer(session, clock, |index, codes, _| {
                if index == step as usize {
                    link.write(&(codes.bytes().len() as u32).to_le_bytes());
                    link.write(codes.bytes());
                }
            });
            continue;
        }
        let (class, ticks) = infer(session, clock, |_, codes, ticks| {
            let word = if request == Request::Ticks { ticks } else { digest(codes) };
            link.write(&word.to_le_bytes());
        });
        link.write(&class.to_le_bytes());
        link.write(&ticks.to_le_bytes());
    }
}

/// One inference, step by step, logged; class and ticks. What `each` does is not timed.
fn infer(session: &mut Session<'_, '_>, clock: &Clock, mut each: impl FnMut(usize, Codes<'_>, u32)) -> (u32, u32) {
    let mut total = 0_u32;
    loop {
        let start = clock.now();
        let Some(output) = session.step() else { break };
        let ticks = clock.now().wrapping_sub(start);
        total = total.wrapping_add(ticks);
        defmt::trace!("layer {=str}: {=u32} us", output.name.as_str(), clock.micros(ticks));
        each(output.step, output.codes, ticks);
    }
    let class = argmax(session.output()) as u32;
    defmt::info!("inference: class {=u32}, {=u32} us", class, clock.micros(total));
    (class, total)
}
