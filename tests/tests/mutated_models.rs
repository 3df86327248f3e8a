//! Models that a seeded mutator damaged: refused, or run to the end, without a panic, an overflow or a hang.
//!
//! `cargo xtask test` runs it for a minute with overflow checks in an optimized build. `tests/fuzz` is the same under
//! libFuzzer's coverage.

use std::fs;
use std::hint::black_box;
use std::panic;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use stepshift_runtime::Model;
use stepshift_runtime::format::Op;
use stepshift_runtime::kernels::Backend;
use stepshift_tests::mutate::{Fate, load_and_run, mutated};
use stepshift_tests::{fixtures, random, reference};
use stepshift_trainer::export::{Options, encode_with};

/// How long to go on.
const DURATION: Duration = Duration::from_secs(60);

/// No model within the limits takes nearly as long.
const HANG: Duration = Duration::from_secs(30);

/// Models of every operator, element, width and scheme.
fn corpus() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let mut file = |seed: u64| {
        let network = random::networks().new_tree(&mut runner).unwrap().current();
        random::encoded(&random::every_kind(&network, seed), seed)
    };
    let mut files: Vec<_> = (0..400).map(|seed| file(seed).unwrap()).collect();
    let network = fixtures::small_network();
    let sample = reference::evaluate(&network, &[3; 32]);
    files.push(encode_with(&network, Options { sample: Some(&sample), ..Options::default() }).unwrap());
    files
}

#[test]
#[ignore = "takes a minute: `cargo xtask test` runs it"]
fn a_minute_of_damaged_models() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let overflow = panic::catch_unwind(|| black_box(u8::MAX) + black_box(1));
    panic::set_hook(hook);
    assert!(overflow.is_err(), "overflows go unnoticed: build it with --profile checked");
    let corpus = Arc::new(corpus());
    let end = Instant::now() + DURATION;
    let workers = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let mut threads: Vec<Worker> = (0..workers).map(|first| Worker::start(&corpus, first, workers, end)).collect();
    while threads.iter().any(|worker| !worker.thread.is_finished()) {
        thread::sleep(Duration::from_secs(1));
        threads.iter_mut().for_each(Worker::watch);
    }
    let mut counts = [0_u64; 3];
    for Worker { seed, thread, .. } in threads {
        let found = thread.join();
        let found = found.unwrap_or_else(|_| panic!("seed {} panics", seed.load(Ordering::Relaxed)));
        counts.iter_mut().zip(found).for_each(|(count, found)| *count += found);
    }
    let [refused, too_large, ran] = counts;
    println!("{} damaged models: {refused} refused, {too_large} too large, {ran} ran", refused + too_large + ran);
    assert!(refused > 1000 && ran > 1000, "the mutator does not reach both sides");
}

/// A thread that takes every so manyth seed.
struct Worker {
    /// What it is at.
    seed: Arc<AtomicU64>,
    thread: JoinHandle<[u64; 3]>,
    /// What it was at, and since when.
    last: (u64, Instant),
}

impl Worker {
    fn start(corpus: &Arc<Vec<Vec<u8>>>, first: u64, step: u64, end: Instant) -> Self {
        let (seed, corpus) = (Arc::new(AtomicU64::new(first)), Arc::clone(corpus));
        let at = Arc::clone(&seed);
        let thread = thread::spawn(move || {
            let mut counts = [0; 3];
            while Instant::now() < end {
                let fate = load_and_run(&mutated(&corpus, at.load(Ordering::Relaxed)));
                counts[fate as usize] += 1;
                at.fetch_add(step, Ordering::Relaxed);
            }
            counts
        });
        Self { seed, thread, last: (first, Instant::now()) }
    }

    /// Panics where it is at one seed for too long.
    fn watch(&mut self) {
        let seed = self.seed.load(Ordering::Relaxed);
        if seed != self.last.0 {
            self.last = (seed, Instant::now());
        }
        assert!(self.thread.is_finished() || self.last.1.elapsed() < HANG, "seed {seed} hangs");
    }
}

/// No operator has two nodes, and several patches run, of which the first alone has padding above.
fn has_patches_of_distinct_operators(bytes: &[u8]) -> bool {
    let model = Model::parse(bytes).unwrap();
    let kinds: Vec<_> = model.nodes().map(|node| node.op.kind()).collect();
    let are_distinct = (1..kinds.len()).all(|index| !kinds[..index].contains(&kinds[index]));
    let from_patches = model.nodes().skip_while(|node| !matches!(node.op, Op::PatchInput(_)));
    let mut in_patches = from_patches.take_while(|node| !matches!(node.op, Op::PatchOutput(_)));
    let is_padded = in_patches.any(|node| matches!(node.op, Op::Conv2d(op) if op.window.pad_top > 0));
    let has_two_rows = model.nodes().zip(1..).any(|(node, output)| match node.op {
        Op::PatchOutput(op) => {
            let [patch, whole] = [op.input.into(), output].map(|tensor| model.tensor(tensor).unwrap().shape.h);
            patch < whole
        }
        _ => false,
    });
    are_distinct && is_padded && has_two_rows
}

fn has_computed_exponentials(bytes: &[u8]) -> bool {
    let model = Model::parse(bytes).unwrap();
    model.nodes().any(|node| matches!(node.op, Op::AffineSoftmax(op) if op.scale().is_some()))
}

/// The corpus of `tests/fuzz`, as files; `STEPSHIFT_OVERWRITE=1` writes them anew.
#[test]
fn the_fuzz_corpus_is_of_this_format() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/load_and_run");
    if std::env::var_os("STEPSHIFT_OVERWRITE").is_some() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let encoded = |network| encode_with(&network, Options::default()).unwrap();
        let (quarter, connected) = (encoded(fixtures::quarter_network()), encoded(fixtures::connected_network()));
        let for_dsp = Options { backend: Backend::Dsp, ..Options::default() };
        let tiles = |network| encode_with(&network, for_dsp).unwrap();
        let mut wide = fixtures::tiled_network();
        for weights in wide.layers.iter_mut().filter_map(|layer| layer.op.weights_mut()) {
            weights.bias.fill(1 << 24);
        }
        let (apart, joined) = (tiles(wide), tiles(fixtures::tiled_network()));
        let uneven = tiles(fixtures::uneven_network());
        let corpus = corpus();
        let patched = corpus.iter().find(|bytes| has_patches_of_distinct_operators(bytes)).unwrap();
        let softmax = corpus.iter().find(|bytes| has_computed_exponentials(bytes)).unwrap();
        let chosen = [&quarter, patched, softmax, &connected, &apart, &joined, &uneven];
        for (number, bytes) in corpus.iter().step_by(17).chain(chosen).enumerate() {
            fs::write(folder.join(format!("{number:02}.stepshift")), bytes).unwrap();
        }
    }
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(load_and_run(&fs::read(&path).unwrap()), Fate::Ran, "{}", path.display());
        count += 1;
    }
    assert!(count >= 20, "{count}");
}
