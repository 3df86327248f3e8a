//! Checks models that are read while it runs: a list of pairs of a model and its golden vectors.
//!
//! Command line: the path of the list, one path a line, model and vectors in turn. A node that differs is named, and
//! its codes are written beside the vectors, to a path that ends in `.codes`.

#![no_std]
#![no_main]

use core::fmt::Write as _;

use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;
use static_cell::ConstStaticCell;
use stepshift_board::Aligned;
use stepshift_board::console::exit;
use stepshift_board::semihosting::{self, FileError};
use stepshift_runtime::{Backend, Codes, Model, Vectors, squared_error};
use stepshift_tests::{Failure, check, errors};

include!(concat!(env!("OUT_DIR"), "/buffers.rs"));

static LIST: ConstStaticCell<[u8; BUFFER_BYTES / 4]> = ConstStaticCell::new([0; BUFFER_BYTES / 4]);
static MODEL: ConstStaticCell<Aligned<BUFFER_BYTES>> = ConstStaticCell::new(Aligned([0; BUFFER_BYTES]));
static VECTORS: ConstStaticCell<[u8; BUFFER_BYTES]> = ConstStaticCell::new([0; BUFFER_BYTES]);
static ARENA: ConstStaticCell<[u8; BUFFER_BYTES]> = ConstStaticCell::new([0; BUFFER_BYTES]);

/// Why a pair failed.
enum Reason {
    File(FileError),
    Model,
    Vectors,
    Check(Failure),
    SquaredError { expected: u64, actual: u64 },
}

#[entry]
fn main() -> ! {
    exit(run())
}

fn run() -> bool {
    hprintln!("backend {}", Backend::NATIVE.name());
    let mut line = [0; 128];
    let Some(path) = semihosting::arguments(&mut line).next() else {
        hprintln!("error: the command line names no list");
        return false;
    };
    let Ok(list) = semihosting::read(path, LIST.take()) else {
        hprintln!("error: {} cannot be read", path);
        return false;
    };
    let (model, vectors, arena) = (MODEL.take(), VECTORS.take(), ARENA.take());
    let mut paths = core::str::from_utf8(list).unwrap_or_default().lines();
    let (mut passed, mut failed) = (0, 0);
    while let (Some(model_path), Some(vectors_path)) = (paths.next(), paths.next()) {
        // From one alignment to the next: a model runs wherever it lies.
        let model = model.0.get_mut((passed + failed) % 4..).unwrap_or_default();
        match check_pair(model_path, vectors_path, model, vectors, arena) {
            Ok(()) => passed += 1,
            Err(reason) => {
                failed += 1;
                report(model_path, &reason);
            }
        }
    }
    hprintln!("{} models equal, {} differ", passed, failed);
    failed == 0 && passed > 0
}

fn check_pair(
    model_path: &str,
    vectors_path: &str,
    model: &mut [u8],
    vectors: &mut [u8],
    arena: &mut [u8],
) -> Result<(), Reason> {
    let bytes = semihosting::read(model_path, model).map_err(Reason::File)?;
    let model = Model::parse(bytes).map_err(|_| Reason::Model)?;
    let bytes = semihosting::read(vectors_path, vectors).map_err(Reason::File)?;
    let vectors = Vectors::parse(bytes).map_err(|_| Reason::Vectors)?;
    let outcome = check(model, &vectors, arena, |_, _| {});
    if let Err(Failure::Node { image, step, .. }) = outcome {
        // Once more, to keep the codes of the step that differs.
        let _ = check(model, &vectors, arena, |at, output| {
            if at == image && output.step == step {
                save(vectors_path, output.codes);
            }
        });
    }
    outcome.map_err(Reason::Check)?;
    check_errors(model, &vectors)
}

/// Compares squared errors between two inputs with those by wide integers, of exponents near each other and as far apart as counts.
fn check_errors(model: Model<'_>, vectors: &Vectors<'_>) -> Result<(), Reason> {
    let element = model.input().element;
    let [x, y] = [0, 1].map(|image| Codes::new(element, vectors.input(image)));
    for exponent in [0, 1, 5, 15, 31, 32, 33, 34, 127] {
        for (x_exponent, y_exponent) in [(exponent, 0), (0, exponent), (-128, exponent)] {
            let expected = errors::squared_error(x, x_exponent, y, y_exponent);
            let actual = squared_error(x, x_exponent, y, y_exponent);
            if expected != actual {
                return Err(Reason::SquaredError { expected, actual });
            }
        }
    }
    Ok(())
}

/// Writes codes as decimal numbers, one a line.
fn save(vectors_path: &str, codes: Codes<'_>) {
    let mut path = heapless::String::<300>::new();
    let _ = write!(path, "{vectors_path}.codes");
    let Ok(mut file) = semihosting::create(&path) else { return };
    for code in codes.iter() {
        let mut line = heapless::String::<8>::new();
        let _ = writeln!(line, "{code}");
        let _ = file.write(line.as_bytes());
    }
}

fn report(model_path: &str, reason: &Reason) {
    match reason {
        Reason::File(error) => hprintln!("differs {}: a file {}", model_path, error.text()),
        Reason::Model => hprintln!("differs {}: the model is refused", model_path),
        Reason::Vectors => hprintln!("differs {}: the vectors are refused", model_path),
        Reason::Check(failure) => hprintln!("differs {}: {}", model_path, failure),
        Reason::SquaredError { expected, actual } => {
            hprintln!("differs {}: squared error {} instead of {}", model_path, actual, expected);
        }
    }
}
