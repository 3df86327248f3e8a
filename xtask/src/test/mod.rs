//! `cargo xtask test`: every check of this repository, in an order that fails early.

mod results;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use stepshift_runtime::Backend;
use stepshift_trainer::export::Prefer;

use self::results::{Column, Results};
use crate::bench::hardware;
use crate::boards::{self, BOARDS, Board};
use crate::conformance::totals;
use crate::demo::{self, Demo, Evaluation};
use crate::device::{Device, Logs};
use crate::example::Example;
use crate::firmware::LogLevel;
use crate::model_file::ModelFile;
use crate::setup::{self, Report, Tool};
use crate::size::{self, Budget};
use crate::stack::{self, Stack};
use crate::table::grouped;
use crate::verify::inputs;
use crate::workspace::{cargo, root, target};
use crate::{elf, firmware, front_end, inference, linked, no_float, process, tidy, untrained, verify};

/// The Fashion-MNIST run that is kept with the tests.
const FASHION_MNIST: &str = "tests/fixtures/fashion-mnist";

/// Most bytes of code and constants around a model.
const CODE_BUDGET: u64 = 30 << 10;

/// Networks whose model has firmware of its own, what it spares, and bytes of arena if that has a budget: patch by patch in the
/// one, by kernels of every speed in the other.
const OWN_FIRMWARE: [(&str, Prefer, Option<usize>); 8] = [
    ("resnet-8", Prefer::Memory, None),
    ("resnet-8", Prefer::Speed, None),
    ("resnet-8", Prefer::Speed, Some(40 << 10)),
    ("resnet-8", Prefer::Memory, Some(28 << 10)),
    ("ds-cnn", Prefer::Memory, None),
    ("ds-cnn", Prefer::Speed, None),
    ("sensor-cnn", Prefer::Memory, None),
    ("sensor-cnn", Prefer::Speed, None),
];

/// Least accuracy in integers, in percent.
const DIGITS_ACCURACY: f64 = 97.5;
const FASHION_MNIST_ACCURACY: f64 = 92.5;

/// Most points that integers may be below floating point.
const QUANTIZATION_LOSS: f64 = 0.2;

#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// The board whose firmware is run, or all of them
    #[arg(long, default_value = "all", value_parser = boards::names_and_all())]
    device: String,
    /// One step alone, by its number: the one to mend
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=STEPS.len() as i64))]
    step: Option<u8>,
}

/// A name and a check, which may tell what it found out about boards.
type Step = (&'static str, fn(&[&'static Board], &mut Results) -> Result<()>);

/// In order.
const STEPS: &[Step] = &[
    ("formatting", |_, _| formatting()),
    ("house rules", |_, _| tidy::run()),
    ("clippy", |_, _| clippy()),
    ("tests without libtorch", |_, _| default_tests()),
    ("documentation", |_, _| documentation()),
    ("tests with libtorch", |_, _| torch_tests()),
    ("a minute of damaged models", |_, _| damaged_models()),
    ("firmware builds, without a panic in it", panic_free),
    ("no floating point in the firmware", |_, _| float_free()),
    ("no unused operator in the firmware", |_, _| linked::run()),
    ("sizes of every board's firmware", |boards, _| sizes(boards)),
    ("the board table against the registry of chips", |_, _| board_table()),
    ("verification of the emulated boards, with their logs", verification),
    ("applications on recorded sensors", |_, _| Example::all().run()),
    ("random networks on the emulated boards", conformance),
    ("features of sound on the emulated boards", front_ends),
    ("Fashion-MNIST: 10,000 images on the host, 100 on the devices", fashion_mnist),
    ("the demo on digits", |_, _| digits()),
];

impl Test {
    pub(crate) fn run(&self) -> Result<()> {
        let start = Instant::now();
        let chosen = |board: &&Board| self.device == "all" || self.device == board.name;
        let boards: Vec<&Board> = boards::emulators().filter(chosen).collect();
        setup::run()?;
        let asked = |number: &usize| self.step.is_none_or(|step| usize::from(step) == *number);
        let mut passed = 0;
        let mut results = Results::default();
        for (number, (name, step)) in (1..).zip(STEPS).filter(|(number, _)| asked(number)) {
            println!("\n[{number}/{}] {name}", STEPS.len());
            let begun = Instant::now();
            step(&boards, &mut results).with_context(|| format!("step `{name}`"))?;
            println!("took {} s", begun.elapsed().as_secs());
            passed += 1;
        }
        results.print();
        println!("\n{passed} of {} steps ran and passed in {} s", STEPS.len(), start.elapsed().as_secs());
        Ok(())
    }
}

fn boards_cargo() -> Command {
    let mut command = cargo();
    command.current_dir(root().join("boards")).env("CARGO_TARGET_DIR", target("boards-host"));
    command
}

fn formatting() -> Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    // Only formatted here: other people's crates are built by `cargo xtask peers`.
    process::run(cargo().current_dir(root().join("benches/peers")).args(["fmt", "--all", "--check"]))?;
    process::run(boards_cargo().args(["fmt", "--all", "--check"]))
}

/// The firmware is checked for the host: the lints are the same, and clippy is there.
fn clippy() -> Result<()> {
    let deny = ["--", "-D", "warnings"];
    process::run(
        cargo().args(["clippy", "--quiet", "--release", "--workspace", "--all-targets", "--all-features"]).args(deny),
    )?;
    // Each feature of the runtime by itself: none needs another.
    for feature in ["", "defmt", "micromath", "signed", "std"] {
        let words =
            ["clippy", "--quiet", "--package", "stepshift-runtime", "--no-default-features", "--features", feature];
        process::run(cargo().args(words).args(deny))?;
    }
    process::run(boards_cargo().args(["clippy", "--quiet", "--release", "--workspace", "--all-features"]).args(deny))
}

fn default_tests() -> Result<()> {
    process::run(cargo().args(["test", "--quiet"]))?;
    process::run(cargo().args(["test", "--quiet", "--package", "stepshift-runtime", "--all-features"]))
}

fn documentation() -> Result<()> {
    let words = ["doc", "--quiet", "--release", "--workspace", "--no-deps", "--all-features"];
    process::run(cargo().args(words).env("RUSTDOCFLAGS", "-D warnings"))
}

/// The trainer's tests, and of those of whole networks the ones that `default_tests` leaves out. One thread for each of
/// libtorch's operators: tests run beside each other.
fn torch_tests() -> Result<()> {
    let command = || {
        let mut command = cargo();
        command.args([
            "test",
            "--quiet",
            "--release",
            "--package",
            "stepshift-trainer",
            "--package",
            "stepshift-tests",
        ]);
        command.args(["--features", "stepshift-tests/torch"]).env("OMP_NUM_THREADS", "1");
        command
    };
    let mut tests = command();
    tests.args(["--lib", "--test", "torch"]);
    for entry in fs::read_dir(root().join("trainer/tests"))? {
        let path = entry?.path();
        let name = path.file_stem().with_context(|| path.display().to_string())?;
        tests.arg("--test").arg(name);
    }
    if setup::ensure_optional(Tool::Chromium, Report::Missing) {
        tests.env("STEPSHIFT_BROWSER", "required");
    }
    process::run(&mut tests)?;
    process::run(command().arg("--doc"))
}

/// In an optimized build with overflow checks.
fn damaged_models() -> Result<()> {
    let words = ["test", "--quiet", "--profile", "checked", "--package", "stepshift-tests", "--test", "mutated_models"];
    process::run(cargo().args(words).args(["--", "--include-ignored", "--nocapture"]))
}

/// The firmware without a panic handler links, and does not with a panic in it.
fn panic_free(boards: &[&'static Board], results: &mut Results) -> Result<()> {
    for board in boards {
        let elf = firmware::build(board, firmware::PANIC_FREE, None)?;
        let stack = runtime_stack(board, &elf)?;
        results.put(board, Column::Stack, grouped(stack));
        let mut command = firmware::command(board, firmware::PANIC_FREE, None)?;
        let output = command.args(["--features", "deliberate-panic"]).output()?;
        let messages = String::from_utf8_lossy(&output.stderr);
        ensure!(
            !output.status.success() && messages.contains("stepshift_a_panic_is_reachable"),
            "{}: a deliberate panic was not caught:\n{messages}",
            board.name
        );
        println!("{}: no panic can be reached, a deliberate one is caught; {stack} bytes of stack", board.name);
    }
    firmware::build_runtime(boards::RISC_V)?;
    println!("{}: the runtime builds", boards::RISC_V);
    Ok(())
}

/// Bytes of stack of the firmware that links every operator; refused beyond the runtime's constant.
fn runtime_stack(board: &Board, elf: &Path) -> Result<u64> {
    let bound = board.backend.stack_bytes() as u64;
    let Stack { bytes, chain } = stack::deepest(elf, firmware::ENTRY)?;
    let frames = chain.iter().map(|(function, frame)| format!("{frame} {function}")).collect::<Vec<_>>().join(", ");
    let name = board.name;
    ensure!(bytes <= bound, "{name}: the runtime takes {bytes} bytes of stack, its STACK_BYTES are {bound}: {frames}");
    Ok(bytes)
}

/// The inference path holds no floating point, and a deliberate one is found; on the board whose core has an FPU.
fn float_free() -> Result<()> {
    let board = boards::find(boards::DEFAULT)?;
    let model = root().join(FASHION_MNIST).join("model.stepshift");
    let programs =
        [(firmware::PANIC_FREE, None), (firmware::INFER, Some(model.as_path())), (firmware::FRONT_END, None)];
    for (program, model) in programs {
        let seen = no_float::check(&firmware::build(board, program, model)?)?;
        println!("{program}: {} instructions, none of them in floating point", seen.instructions);
    }
    let mut command = firmware::command(board, firmware::PANIC_FREE, None)?;
    process::run(command.args(["--quiet", "--features", "deliberate-float"]))?;
    let elf = target("boards").join(board.target).join("release").join(firmware::PANIC_FREE);
    ensure!(no_float::check(&elf).is_err(), "{}: deliberate floating point was not found", board.name);
    Ok(())
}

/// The firmware of every board builds and is within its budget; of boards without other programs where all are meant.
fn sizes(boards: &[&Board]) -> Result<()> {
    let file = ModelFile::read(&root().join(FASHION_MNIST).join("model.stepshift"))?;
    let all = boards.len() == boards::emulators().count();
    let boards = if all { BOARDS.iter().collect() } else { boards.to_vec() };
    size::table(&boards, &file, Some(&Budget::read()?))
}

/// With the part that talks to debug probes, which other steps build without.
fn board_table() -> Result<()> {
    process::run(cargo().args(["test", "--quiet", "--package", "xtask", "--features", "probe"]))
}

/// What a user of `cargo xtask verify` sees: equal tensors, and a line in the log for every inference and every layer.
fn verification(boards: &[&'static Board], results: &mut Results) -> Result<()> {
    let file = ModelFile::read(&root().join("runtime/testdata/small.stepshift"))?;
    let model = file.model()?;
    let inputs = inputs::read(&root().join("runtime/testdata/small.inputs"), &model, None)?;
    // Boards that have no other program.
    let others = BOARDS.iter().filter(|board| board.machine.is_some() && !board.is_emulator());
    for board in boards.iter().copied().chain(others) {
        let (equal, lines) = verify::emulated(board, &file, &inputs, LogLevel::Trace, Duration::from_secs(60), false)?;
        let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
        // One more inference: that of the model's certificate.
        let runs = equal.inputs + usize::from(model.certificate().is_some());
        let (inferences, layers) = (count("inference: class "), count("layer "));
        let expected = (runs, runs * model.node_count());
        ensure!((inferences, layers) == expected, "{}: {inferences} and {layers} lines, not {expected:?}", board.name);
        println!("{}: {} tensors equal, {} lines logged", board.name, equal.tensors, lines.len());
        results.put(board, Column::Verified, grouped(equal.tensors as u64));
        if board.chip.is_some() {
            layer_ticks(board, &file)?;
        }
    }
    Ok(())
}

/// The firmware of a real board counts ticks for `cargo xtask bench`: in QEMU, by SysTick in the cycle counter's place.
fn layer_ticks(board: &Board, file: &ModelFile) -> Result<()> {
    let model = file.model()?;
    let silence = Duration::from_secs(60);
    let count = |device: &mut dyn Device, logs: &mut Logs<'_>| hardware::cycles(device, &model, logs, silence);
    let (ticks, _) = verify::in_qemu(board, file, LogLevel::Trace, false, count)?;
    ensure!(ticks.iter().all(|ticks| *ticks > 0), "{}: a layer takes no time: {ticks:?}", board.name);
    println!("{}: its layers take {ticks:?} ticks", board.name);
    Ok(())
}

/// The same random networks on every board, the suite of kernels packed for each one's own, and firmware of one model.
fn conformance(boards: &[&'static Board], results: &mut Results) -> Result<()> {
    let tests = [
        ("random_networks_are_equal_on_the_emulated_boards", Column::Networks),
        ("the_suite_of_kernels_is_equal_on_the_emulated_boards", Column::Kernels),
    ];
    for (test, column) in tests {
        let text = on_boards(boards, test)?;
        for board in boards {
            let equal =
                equal_models(&text, board.name).with_context(|| format!("{test} told nothing of {}", board.name))?;
            results.put(board, column, equal.to_string());
        }
    }
    own_firmware(boards)
}

/// Firmware that links what one model uses, and no more, gives its bits: a board of each backend.
fn own_firmware(boards: &[&'static Board]) -> Result<()> {
    for backend in Backend::ALL {
        let Some(board) = boards.iter().find(|board| board.backend == backend) else { continue };
        // The emulated Cortex-M0 has the RAM of a micro:bit.
        let fits = |network: &str| backend != Backend::V6m || network == "sensor-cnn";
        for (network, prefer, ram) in OWN_FIRMWARE.into_iter().filter(|(network, ..)| fits(network)) {
            let model = untrained::model(network, board, prefer, ram)?;
            let ran = inference::run(board, &model, None)?;
            ensure!(ran.self_test, "{}: {network} tested nothing", board.name);
            let place = ram.map_or_else(String::new, |bytes| format!(" in {bytes} bytes"));
            println!("{}: {network} {prefer:?}{place} gives its bits, {} instructions", board.name, ran.instructions);
            // Kernels cut to the model. The portable ones are tried by the tests of the runtime, and those of the Cortex-M4 have
            // the most to leave out.
            let trusts = backend == Backend::Dsp || backend != Backend::Portable && prefer == Prefer::Memory;
            if trusts {
                let ran = inference::run_trusted(board, &model)?;
                ensure!(ran.self_test, "{}: {network} tested nothing where it is trusted", board.name);
                println!("{}: {network} {prefer:?} gives its bits where it is trusted", board.name);
            }
        }
    }
    Ok(())
}

/// What a test that runs firmware on every board prints.
fn on_boards(boards: &[&Board], test: &str) -> Result<String> {
    let name = |board: &&Board| format!("{}:{}", board.name, board.backend.name());
    let names = boards.iter().map(name).collect::<Vec<_>>().join(" ");
    let words = ["test", "--quiet", "--package", "stepshift-tests", "--test", "firmware_equals_reference"];
    let mut command = cargo();
    command.args(words).args(["--", "--ignored", "--exact", test, "--nocapture"]);
    process::watch(command.env("STEPSHIFT_BOARDS", names))
}

/// Reads N of `BOARD: N models equal, ...`.
fn equal_models(text: &str, board: &str) -> Option<usize> {
    let counts = text.lines().find_map(|line| totals(line.strip_prefix(board)?.strip_prefix(": ")?));
    counts.map(|(equal, _)| equal)
}

/// The front end on every board against the host.
fn front_ends(boards: &[&'static Board], results: &mut Results) -> Result<()> {
    for board in boards {
        results.put(board, Column::Sound, front_end::compare(board)?.to_string());
    }
    Ok(())
}

/// The run that is kept: every test image on the host, 100 on each device that holds it, code within its budget.
fn fashion_mnist(boards: &[&'static Board], results: &mut Results) -> Result<()> {
    let folder = root().join(FASHION_MNIST);
    let (model, vectors) = (folder.join("model.stepshift"), target("fashion-mnist.vectors"));
    let lost = accuracy(&folder, &vectors, FASHION_MNIST_ACCURACY)?;
    ensure!(lost <= QUANTIZATION_LOSS, "{lost:.2} points are lost to quantization");
    let needed = fs::metadata(&vectors)?.len();
    for board in boards.iter().filter(|board| board.buffer_bytes >= needed) {
        on_device(board, &model, &vectors, results)?;
    }
    Ok(())
}

/// Every tensor of every test image, and the accuracy; the points that it is below that of floating point.
fn accuracy(folder: &Path, vectors: &Path, least: f64) -> Result<f64> {
    let Evaluation { float_accuracy, integer_accuracy, images, tensors, .. } =
        demo::evaluate(&target("release/stepshift"), folder, vectors)?;
    println!(
        "{tensors} tensors of {images} images are equal; {integer_accuracy:.2} % right, {float_accuracy:.2} % in float"
    );
    ensure!(integer_accuracy >= least, "{integer_accuracy:.2} % is below {least} %");
    Ok(float_accuracy - integer_accuracy)
}

/// Refuses too few images and too much code.
fn on_device(board: &'static Board, model: &Path, vectors: &Path, results: &mut Results) -> Result<()> {
    let result = inference::run(board, model, Some(vectors))?;
    let (tensors, images) = result.equal.context("nothing was compared")?;
    ensure!(result.self_test, "{}: the self-test did not run", board.name);
    ensure!(images >= 100, "{}: only {images} images were compared", board.name);
    let elf::Sizes { code, constants, .. } = result.sizes;
    ensure!(code + constants < CODE_BUDGET, "{}: {} bytes of code, budget {CODE_BUDGET}", board.name, code + constants);
    let [images, equal, instructions] = [images, tensors, result.instructions].map(grouped);
    println!("{}: {equal} tensors of {images} images equal, {instructions} instructions an image", board.name);
    results.put(board, Column::Code, grouped(code + constants));
    results.put(board, Column::Tensors, equal);
    results.put(board, Column::Instructions, instructions);
    Ok(())
}

fn digits() -> Result<()> {
    let demo = Demo::on_digits();
    demo.run()?;
    // A test image is 0.28 points: what quantization loses is told by the larger set.
    accuracy(&demo.folder(), &target("digits.vectors"), DIGITS_ACCURACY)?;
    Ok(())
}
