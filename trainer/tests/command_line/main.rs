//! The binary `stepshift`, as a user meets it.

mod reconstruction;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use stepshift_trainer::torch::checkpoint;
use tempfile::TempDir;

/// Two layers that train in a fraction of a second.
const SMALL: &str = r#"
seed = 5
dataset = "digits"
batch_size = 64
augmentation = { shift = 1 }

[float]
epochs = 3
optimizer = { learning_rate = 0.05 }

[quantized]
epochs = 2
freeze_after = 1
optimizer = { learning_rate = 0.005 }

[[layers]]
name = "conv1"
op = "conv2d"
out_ch = 8
kernel = 3
stride = 2
padding = 1
batch_norm = true
relu = true

[[layers]]
name = "fc"
op = "fully_connected"
out_ch = 10
"#;

/// The files that a training leaves, by name.
type Files = Vec<(String, Vec<u8>)>;

/// Trained once for all tests that only need a run.
static SMALL_RUN: OnceLock<Files> = OnceLock::new();
static LONGER_RUN: OnceLock<Files> = OnceLock::new();

/// A folder for one test.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, text: &str) -> PathBuf {
        let path = self.path("config.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Trains a config into a folder, which must work.
    fn train(&self, text: &str, name: &str) -> PathBuf {
        let out = self.path(name);
        let output = stepshift().arg("train").arg(self.config(text)).arg("--out").arg(&out).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        out
    }

    /// A copy of a run of `SMALL`.
    fn small_run(&self) -> PathBuf {
        self.kept_run(&SMALL_RUN, SMALL, "run")
    }

    /// A copy of the run that `kept` holds, which is trained where it does not yet.
    fn kept_run(&self, kept: &OnceLock<Files>, text: &str, name: &str) -> PathBuf {
        let files = kept.get_or_init(|| {
            let place = Self::new();
            let run = place.train(text, "run");
            let names = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.map(|name| (name.clone(), bytes(&run, &name))).collect()
        });
        let out = self.path(name);
        fs::create_dir(&out).unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(out.join(name), bytes).unwrap());
        out
    }
}

/// With one thread for each program: tests run beside each other, and waiting threads of libtorch take whole cores.
fn stepshift() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepshift"));
    command.env("OMP_NUM_THREADS", "1");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_output_without_a_panic() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let model = place.small_run().join("model.stepshift");
    let output = stepshift().arg("inspect").arg(model).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(141), String::new()));
}

/// What the command says where it must fail: one error, no panic.
fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let errors: Vec<&str> = message.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{message}");
    assert!(!message.contains("panicked"), "{message}");
    message
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

fn assert_same_run(a: &Path, b: &Path) {
    for name in ["checkpoint.safetensors", "model.stepshift", "metrics.csv", "config.toml"] {
        assert!(bytes(a, name) == bytes(b, name), "{name} differs between {} and {}", a.display(), b.display());
    }
}

#[test]
fn one_seed_gives_one_run_bit_for_bit() {
    let place = Place::new();
    let first = place.small_run();
    assert_same_run(&first, &place.train(SMALL, "second"));
    let other = place.train(&SMALL.replace("seed = 5", "seed = 6"), "other");
    assert_ne!(bytes(&first, "model.stepshift"), bytes(&other, "model.stepshift"));
}

/// Starts a training and presses Ctrl-C behind the first epoch line that it prints.
#[cfg(unix)]
fn stop_early(command: &mut Command) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// Long enough to be stopped in both phases.
fn longer() -> String {
    SMALL
        .replace("epochs = 2", "epochs = 4")
        .replace("epochs = 3", "epochs = 2")
        .replace("batch_size = 64", "batch_size = 8")
}

#[cfg(unix)]
#[test]
fn a_stopped_run_goes_on_to_the_same_bits() {
    let place = Place::new();
    let whole = place.kept_run(&LONGER_RUN, &longer(), "whole");
    let stopped = place.path("stopped");
    stop_early(stepshift().arg("train").arg(place.config(&longer())).arg("--out").arg(&stopped));
    assert!(!stopped.join("model.stepshift").exists());
    // In the second pass, in the first quantized one, and behind the pass that freezes steps.
    for _ in 0..2 {
        stop_early(stepshift().args(["train", "--resume", "--out"]).arg(&stopped));
    }
    let output = stepshift().args(["train", "--resume", "--out"]).arg(&stopped).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same_run(&whole, &stopped);
}

/// A run goes on by the config that it was begun with; a changed one is not passed over in silence.
#[test]
fn a_config_that_was_changed_since_is_not_resumed() {
    let place = Place::new();
    let run = place.small_run();
    fs::write(run.join("config.toml"), SMALL.replace("epochs = 2", "epochs = 3")).unwrap();
    let message = refusal(stepshift().args(["train", "--resume", "--out"]).arg(&run));
    assert!(message.contains("run/config.toml was changed"), "{message}");
}

#[test]
fn a_finished_run_resumes_to_itself() {
    let place = Place::new();
    let run = place.small_run();
    let before = bytes(&run, "checkpoint.safetensors");
    assert!(stepshift().args(["train", "--resume", "--out"]).arg(&run).output().unwrap().status.success());
    assert_eq!(bytes(&run, "checkpoint.safetensors"), before);
}

/// The kernel refuses to let a file grow, as on a full disk; the checkpoint from before survives and is usable.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_the_last_checkpoint() {
    let place = Place::new();
    let whole = place.kept_run(&LONGER_RUN, &longer(), "whole");
    let run = place.path("run");
    stop_early(stepshift().arg("train").arg(place.config(&longer())).arg("--out").arg(&run));
    let before = bytes(&run, "checkpoint.safetensors");
    // Blocks of 1,024 bytes; the signal is ignored, so that the write itself fails.
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec '{}' train --resume --out '{}'",
        env!("CARGO_BIN_EXE_stepshift"),
        run.display()
    );
    let message = refusal(Command::new("bash").arg("-c").arg(script));
    assert!(message.contains("cannot write") && message.contains(".safetensors"), "{message}");
    assert_eq!(bytes(&run, "checkpoint.safetensors"), before);
    let names = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let leftovers: Vec<String> = names.filter(|name| name.starts_with('.')).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
    let output = stepshift().args(["train", "--resume", "--out"]).arg(&run).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same_run(&whole, &run);
}

#[test]
fn export_refuses_an_overflow_by_layer_and_channel() {
    let place = Place::new();
    let config = place.config(&format!("{SMALL}\n[quantized.layers.conv1]\nweight_exponent = -30\n"));
    let message = refusal(stepshift().arg("train").arg(config).arg("--out").arg(place.path("run")));
    assert!(message.contains("layer conv1, channel 0: the accumulator could reach"), "{message}");
    // Exponents are chosen from ranges here: the user's way out is the widths.
    let wide = with_quantized("", "[quantized.weights]\nbits = 16\n[quantized.activations]\nbits = 16");
    let message = refusal(stepshift().arg("train").arg(place.config(&wide)).arg("--out").arg(place.path("wide")));
    assert!(message.contains("layer fc, channel") && message.ends_with("or fewer bits of either\n"), "{message}");
}

#[test]
fn mistakes_in_configs_are_named() {
    let place = Place::new();
    let train =
        |text: &str| refusal(stepshift().arg("train").arg(place.config(text)).arg("--out").arg(place.path("run")));
    let message = train(&SMALL.replace("seed", "sead"));
    assert!(message.contains("config.toml") && message.contains("unknown field `sead`"), "{message}");
    let message = train(&SMALL.replace("\"digits\"", "\"cifar\""));
    assert!(message.contains("cifar") && message.contains("digits"), "{message}");
    let message = train(&SMALL.replace("out_ch = 10", "out_ch = 11"));
    assert!(message.contains("11 outputs") && message.contains("10 classes"), "{message}");
    let message = refusal(stepshift().args(["train", "missing.toml", "--out"]).arg(place.path("run")));
    assert!(message.contains("missing.toml"), "{message}");
    // Quantizers that a layer cannot have, before the float network is trained.
    let tables = |text: &str| train(&with_quantized("", text));
    let message = tables("[quantized.weights]\ngranularity = { channels = 3 }");
    let expected = "config.toml: quantized.layers.conv1: granularity { channels = 3 } does not divide 8 channels";
    assert!(message.contains(expected), "{message}");
    let message = tables("[quantized.activations]\ngranularity = 'channel'");
    assert!(message.contains("conv1: granularity \"channel\": activations have one step a tensor"), "{message}");
    let message = tables("[quantized.weights]\nunsigned = true");
    assert!(message.contains("quantized.weights.unsigned is true, which is for activations alone"), "{message}");
    let message = train(&SMALL.replace("kernel = 3", "kernel = [3, 3, 3]"));
    assert!(message.contains("expected 0 to 255, or [rows, columns] of such"), "{message}");
    let message = train(&SMALL.replace("relu = true", "clip = [0, 1, 2]"));
    assert!(message.contains("invalid length 3, expected an array of length 2"), "{message}");
    assert!(!place.path("run").exists(), "a refused config leaves nothing behind");
}

#[test]
fn a_folder_with_a_run_is_not_overwritten() {
    let place = Place::new();
    let run = place.small_run();
    let message = refusal(stepshift().arg("train").arg(place.config(SMALL)).arg("--out").arg(&run));
    assert!(message.contains("--resume"), "{message}");
}

#[test]
fn data_that_cannot_be_read_are_named() {
    let place = Place::new();
    let config = place.config(&SMALL.replace("\"digits\"", "\"fashion-mnist\""));
    let message = refusal(
        stepshift().arg("train").arg(config).arg("--out").arg(place.path("run")).arg("--data").arg(place.folder.path()),
    );
    assert!(message.contains("train-images-idx3-ubyte"), "{message}");
    assert_eq!(message.matches("No such file").count(), 1, "{message}");
}

/// A second training in one folder would write over what the first one writes; one that was killed leaves the folder free.
#[cfg(unix)]
#[test]
fn two_trainings_in_one_folder_are_refused() {
    let place = Place::new();
    let (run, config) = (place.path("run"), place.config(&longer().replace("epochs = 2", "epochs = 500")));
    let train = || {
        let mut command = stepshift();
        command.arg("train").arg(&config).arg("--out").arg(&run);
        command
    };
    let mut first = train().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    let refused = |command: &mut Command| {
        let message = refusal(command);
        assert!(message.contains("run: another training is under way in this folder"), "{message}");
    };
    // The checkpoint of the first pass is written before the second one's line.
    assert_eq!(lines.by_ref().take(2).map(Result::unwrap).count(), 2);
    let mut resume = stepshift();
    resume.args(["train", "--resume", "--out"]).arg(&run);
    refused(&mut resume);
    refused(&mut train());
    first.kill().unwrap();
    first.wait().unwrap();
    stop_early(&mut resume);
}

/// What a training that was ended between its phases leaves: a quantized network that has seen no batch.
#[test]
fn export_refuses_exponents_that_are_not_chosen() {
    let place = Place::new();
    let run = place.small_run();
    let path = run.join("checkpoint.safetensors");
    let (mut state, tensors) = checkpoint::load(&path).unwrap();
    (state.phase, state.epoch, state.batch) = (checkpoint::Phase::Quantized, 0, 0);
    checkpoint::save(&path, &state, &tensors.into_iter().collect::<Vec<_>>()).unwrap();
    let chosen = "run/checkpoint.safetensors: its exponents are not chosen yet, quantized training does that: \
                  finish it by `stepshift train --resume --out` with this folder";
    for message in [
        refusal(stepshift().arg("export").arg(&run)),
        refusal(stepshift().arg("eval").arg(&run)),
        refusal(stepshift().arg("diff").arg(run.join("model.stepshift")).arg(&run)),
    ] {
        assert!(message.contains(chosen), "{message}");
    }
    fs::copy(run.join("float.safetensors"), &path).unwrap();
    let message = refusal(stepshift().arg("export").arg(&run));
    assert!(message.contains(chosen), "{message}");
}

#[test]
fn damaged_checkpoints_are_refused() {
    let place = Place::new();
    let run = place.small_run();
    let path = run.join("checkpoint.safetensors");
    let good = fs::read(&path).unwrap();
    let export = |damaged: &[u8]| {
        fs::write(&path, damaged).unwrap();
        refusal(stepshift().arg("export").arg(&run).arg("--model").arg(place.path("model")))
    };
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        bytes
    };
    assert!(export(&flipped(good.len() - 5)).contains("checksum"), "a flipped bit in a tensor");
    let damaged =
        [good[..good.len() - 1].to_vec(), good[..100].to_vec(), Vec::new(), b"text".to_vec(), flipped(3), flipped(40)];
    for bytes in damaged {
        let message = export(&bytes);
        assert!(message.contains("checkpoint.safetensors"), "{message}");
    }
    assert!(!place.path("model").exists());
    fs::remove_file(&path).unwrap();
    let message = refusal(stepshift().arg("export").arg(&run));
    assert!(message.contains("checkpoint.safetensors"), "{message}");
}

#[test]
fn damaged_models_are_refused() {
    let place = Place::new();
    let run = place.small_run();
    let model = run.join("model.stepshift");
    let good = fs::read(&model).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bytes in [&good[..good.len() - 1], &flipped, b"", b"no model at all"] {
        fs::write(&model, bytes).unwrap();
        for message in [refusal(stepshift().arg("inspect").arg(&model)), refusal(stepshift().arg("eval").arg(&run))] {
            assert!(message.contains("model.stepshift"), "{message}");
        }
    }
}

/// `eval` compares with the checkpoint: a model of another training is found by its first differing code.
#[test]
fn a_model_of_another_run_is_found_out() {
    let place = Place::new();
    let run = place.small_run();
    let other = place.train(&SMALL.replace("seed = 5", "seed = 6"), "other");
    let message = refusal(stepshift().arg("eval").arg(&run).arg("--model").arg(other.join("model.stepshift")));
    assert!(message.contains("layer conv1, index") && message.contains("the exact forward's"), "{message}");
    let output = stepshift().arg("eval").arg(&run).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("718 tensors, 359 images"), "{text}");
}

#[test]
fn signing_needs_a_key_and_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let small = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/testdata/small.stepshift");
    let (key, out) = (folder.path().join("key.pem"), folder.path().join("small.signed"));
    // RFC 8410, section 10.3: the private key of the example.
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    std::fs::write(&key, pem).unwrap();
    let sign = |model: &str, key: &std::path::Path| {
        stepshift().args(["sign", model]).arg("--key").arg(key).arg("--out").arg(&out).output().unwrap()
    };
    let output = sign(small, &key);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The public key of the same example.
    let public: [u8; 32] = *b"\x19\xbf\x44\x09\x69\x84\xcd\xfe\x85\x41\xba\xc1\x67\xdc\x3b\x96\xc8\x50\x86\xaa\x30\xb6\xb6\xcb\x0c\x5c\x38\xad\x70\x31\x66\xe1";
    let signed = std::fs::read(&out).unwrap();
    let model = stepshift_runtime::verify_signature(&signed, &public).unwrap();
    assert_eq!(model, std::fs::read(small).unwrap());
    let error = |output: std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let message = error(sign(small, small.as_ref()));
    assert!(message.starts_with("error: cannot read") && message.contains("small.stepshift"), "{message}");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let message = error(sign(small, readme.as_ref()));
    assert!(message.contains("README.md is no Ed25519 key in PKCS#8 PEM"), "{message}");
    let message = error(sign(readme, &key));
    assert!(message.contains("README.md: not a stepshift model"), "{message}");
}

/// `SMALL` with keys in its table `[quantized]`, and tables behind it.
fn with_quantized(keys: &str, tables: &str) -> String {
    let text = SMALL.replace("[quantized]\n", &format!("[quantized]\n{keys}\n"));
    text.replacen("[[layers]]", &format!("{tables}\n[[layers]]"), 1)
}

fn evaluates_bit_exactly(run: &Path) {
    let output = stepshift().arg("eval").arg(run).arg("--json").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("\"bit_exact\":true"), "{text}{}", stderr(&output));
    // The certificate is that of the exact forward.
    let bytes = bytes(run, "model.stepshift");
    let model = stepshift_runtime::Model::parse(&bytes).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    stepshift_runtime::Session::new(model, &mut arena).unwrap().self_test().unwrap();
}

#[test]
fn every_quantizer_of_a_config_ends_in_a_model_with_the_bits_of_training() {
    let place = Place::new();
    let mixed = "[quantized.weights]\nbits = 4\nrange = 'mse'\n[quantized.activations]\nbits = 6\nunsigned = true\n\
                 [quantized.layers.conv1.weights]\nbits = 16\ngranularity = { channels = 4 }\n\
                 [quantized.layers.fc.activations]\nbits = 12\nunsigned = false\n\
                 [quantized.gradients]\nweights = { bits = 8 }\nbiases = { bits = 8 }\n\
                 activations = { bits = 8, stochastic = true, range = '3sigma' }\n[quantized.biases]\nbits = 10";
    evaluates_bit_exactly(&place.train(&with_quantized("batch_norm = 'corrected'", mixed), "mixed"));
    let learned = "[quantized.weights]\nrange = 'tqt'\n[quantized.activations]\nrange = 'tqt'";
    evaluates_bit_exactly(&place.train(&with_quantized("batch_norm = 'unfolded'", learned), "learned"));
    let affine = with_quantized("scheme = 'affine'", "[quantized.weights]\nrange = 'lsq'");
    // Operators that end in a table.
    let tables = "[[layers]]\nname = 'leaky'\nop = 'leaky_relu'\nslope = 0.1\n\n\
                  [[layers]]\nname = 'again'\nop = 'requantize'\n\n[[layers]]\nname = \"fc\"";
    let affine = affine.replace("relu = true", "").replace("[[layers]]\nname = \"fc\"", tables);
    let run = place.train(&affine, "affine");
    evaluates_bit_exactly(&run);
    // Real steps are told by their log2 as well: of 8 bits, of values that are not far from 1.
    let table = String::from_utf8(bytes(&run, "layers.csv")).unwrap();
    let exponents = table.lines().filter(|line| line.starts_with("quantized")).flat_map(|line| line.split(',').skip(3));
    let exponents: Vec<i32> = exponents.filter_map(|exponent| exponent.parse().ok()).collect();
    assert!(exponents.len() > 8 && exponents.iter().all(|exponent| (-14..=0).contains(exponent)), "{table}");
}

/// Branches of scales of their own come together, as TensorFlow Lite has it.
#[test]
fn affine_branches_of_several_scales_end_in_a_model_with_the_bits_of_training() {
    let place = Place::new();
    let layer = |name: &str, op: &str, keys: &str| format!("[[layers]]\nname = '{name}'\nop = '{op}'\n{keys}\n\n");
    let branches = [
        layer("conv2", "conv2d", "inputs = ['input']\nout_ch = 8\nkernel = 3\nstride = 2\npadding = 1"),
        layer("least", "minimum", "inputs = ['conv1', 'conv2']"),
        layer("greatest", "maximum", "inputs = ['conv2', 'conv1']\nrelu = true"),
        layer("again", "maximum", "inputs = ['greatest', 'greatest']"),
        layer("twice", "upsample_bilinear", "inputs = ['again']"),
        layer("pool", "max_pool2d", "kernel = 2\nstride = 2"),
        layer("all", "concat", "inputs = ['least', 'pool', 'conv1', 'least']"),
    ];
    let branches = format!("{}[[layers]]\nname = \"fc\"", branches.concat());
    let with = |keys: &str, tables: &str| with_quantized(keys, tables).replace("[[layers]]\nname = \"fc\"", &branches);
    let own = "[quantized.layers.all.activations]\nrange = 'mse'\n[quantized.weights]\nrange = 'lsq'";
    let run = place.train(&with("scheme = 'affine'", own), "affine");
    evaluates_bit_exactly(&run);
    let bytes = bytes(&run, "model.stepshift");
    let model = stepshift_runtime::Model::parse(&bytes).unwrap();
    let names: Vec<String> = model.nodes().map(|node| node.name.to_string()).collect();
    for name in ["least.requantize0", "least.requantize1", "greatest.requantize1", "all.requantize2", "twice.times4"] {
        assert!(names.iter().any(|own| own == name), "{name} of {names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("again.r") || name == "all.requantize3"), "{names:?}");
    evaluates_bit_exactly(&place.train(&with("", ""), "powers of two"));
}

/// Slopes learn, in both schemes, and the model has them as the exact forward does.
#[test]
fn learned_slopes_end_in_a_model_with_the_bits_of_training() {
    let place = Place::new();
    let with_prelu = |keys: &str, shared: &str| {
        let prelu = format!("[[layers]]\nname = 'prelu'\nop = 'prelu'\n{shared}\n\n[[layers]]\nname = \"fc\"");
        with_quantized(keys, "").replace("relu = true", "").replace("[[layers]]\nname = \"fc\"", &prelu)
    };
    let cases = [
        ("batch_norm = 'corrected'", "", 8),
        ("batch_norm = 'unfolded'\naverage = 0.5\ndistillation = {}", "", 8),
        ("scheme = 'affine'", "shared = true", 1),
    ];
    for (number, (keys, shared, count)) in cases.into_iter().enumerate() {
        let run = place.train(&with_prelu(keys, shared), &number.to_string());
        evaluates_bit_exactly(&run);
        let (_, tensors) = checkpoint::load(&run.join("checkpoint.safetensors")).unwrap();
        let slopes = Vec::<f32>::try_from(&tensors["prelu.slope"]).unwrap();
        assert_eq!(slopes.len(), count);
        assert!(slopes.iter().all(|slope| *slope != 0.25), "they learned: {slopes:?}");
    }
    let text = with_prelu("scheme = 'affine'", "");
    let output =
        stepshift().arg("train").arg(place.config(&text)).arg("--out").arg(place.path("out")).output().unwrap();
    let expected = "layer prelu: a prelu of the affine scheme has one slope: set shared = true, or \
                    quantized.scheme = \"power_of_two\"\n";
    assert!(stderr(&output).ends_with(expected), "{}", stderr(&output));
}

#[test]
fn clips_of_any_bounds_end_in_a_model_with_the_bits_of_training() {
    let place = Place::new();
    let clip = "[[layers]]\nname = 'clip'\nop = 'clip'\nclip = [0.05, 0.7]\n\n[[layers]]\nname = \"fc\"";
    for (number, keys) in ["", "scheme = 'affine'", "batch_norm = 'unfolded'"].into_iter().enumerate() {
        let text = with_quantized(keys, "").replace("relu = true", "clip = [-0.4, 0.9]");
        let run = place.train(&text.replace("[[layers]]\nname = \"fc\"", clip), &number.to_string());
        evaluates_bit_exactly(&run);
    }
}

#[test]
fn a_network_is_quantized_without_training() {
    let place = Place::new();
    let calibration = "[quantized.calibration]\nimages = 256\nadaround_steps = 30";
    let text = with_quantized("", calibration).replace("epochs = 2\nfreeze_after = 1", "epochs = 0");
    let run = place.path("calibrated");
    let output =
        stepshift().arg("train").arg(place.config(&text)).arg("--json").arg("--out").arg(&run).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    evaluates_bit_exactly(&run);
    let report: serde_json::Value = serde_json::from_str(stdout(&output).lines().nth(3).unwrap()).unwrap();
    let count = |list: &str| report["calibration"][list].as_array().unwrap().len();
    assert_eq!((count("equalized") + count("left"), count("learned") + count("nearest")), (0, 2), "{report}");
    assert_eq!(
        fs::read_to_string(run.join("metrics.csv")).unwrap().lines().count(),
        4,
        "three passes in floating point"
    );
}

#[test]
fn averages_and_a_teacher_are_part_of_a_run() {
    let place = Place::new();
    let keys = "average = 0.9\nlabel_smoothing = 0.1\ndistillation = { weight = 0.5, temperature = 2.0 }";
    let text = with_quantized(keys, "").replace("learning_rate = 0.005", "kind = 'adamw', learning_rate = 0.001");
    let first = place.train(&text, "first");
    assert_same_run(&first, &place.train(&text, "second"));
    evaluates_bit_exactly(&first);
    // What is reported of the last pass are the weights that were exported, the average.
    let (_, tensors) = checkpoint::load(&first.join("checkpoint.safetensors")).unwrap();
    let observed: serde_json::Value = serde_json::from_slice(&bytes(&first, "observations.json")).unwrap();
    let last = observed.as_array().unwrap().last().unwrap();
    let histogram = &last["layers"][0]["weights"];
    let ends = [tensors["conv1.weight"].min(), tensors["conv1.weight"].max()].map(|end| end.double_value(&[]) as f32);
    assert_eq!([&histogram["min"], &histogram["max"]].map(|end| end.as_f64().unwrap() as f32), ends);
}

/// The float network of a run, quantized as that run did it, gives its model.
#[test]
fn another_run_quantizes_the_float_network_of_a_run() {
    let place = Place::new();
    let run = place.small_run();
    let train = |text: &str, out: &Path| {
        let mut command = stepshift();
        command.arg("train").arg(place.config(text)).arg("--out").arg(out).arg("--float").arg(&run);
        command
    };
    let again = place.path("again");
    let output = train(SMALL, &again).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for name in ["model.stepshift", "float.safetensors", "metrics.csv"] {
        assert!(bytes(&run, name) == bytes(&again, name), "{name}");
    }
    let narrow = place.path("narrow");
    let output = train(&with_quantized("", "[quantized.weights]\nbits = 4"), &narrow).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    evaluates_bit_exactly(&narrow);
    let message = refusal(&mut train(&SMALL.replace("out_ch = 8", "out_ch = 9"), &place.path("other")));
    assert!(message.contains("float.safetensors") && message.contains("tensor conv1.weight has shape"), "{message}");
    assert!(!place.path("other").exists(), "a refused network leaves nothing behind");
}

#[test]
fn devices_that_are_not_there_are_named() {
    let place = Place::new();
    let train = |device: &str| {
        let config = place.config(SMALL);
        stepshift().arg("train").arg(config).arg("--out").arg(place.path("run")).args(["--device", device]).output()
    };
    let output = train("gpu").unwrap();
    assert!(!output.status.success() && stderr(&output).contains("cpu, cuda, or cuda:1"), "{}", stderr(&output));
    let output = train("cuda:99").unwrap();
    assert!(!output.status.success() && stderr(&output).starts_with("error: "), "{}", stderr(&output));
    assert!(stderr(&output).contains("--device cpu") || stderr(&output).contains("cuda:99: there are"));
    assert!(!place.path("run").exists());
}

#[test]
fn a_training_that_diverges_names_the_layer_and_keeps_its_checkpoint() {
    let place = Place::new();
    let out = place.path("run");
    let text = SMALL.replace("learning_rate = 0.005", "learning_rate = 1e9");
    let message = refusal(stepshift().arg("train").arg(place.config(&text)).arg("--out").arg(&out));
    assert!(message.contains("Quantized epoch 1, batch") && message.contains("checkpoint is kept"), "{message}");
    assert!(
        message.contains("layer fc") || message.contains("layer conv1") || message.contains("gradient of"),
        "{message}"
    );
    assert!(out.join("checkpoint.safetensors").exists());
    let log = fs::read_to_string(out.join("metrics.csv")).unwrap();
    assert_eq!(log.lines().count(), 4, "{log}");
    let text = SMALL.replace("learning_rate = 0.05", "learning_rate = 1e30");
    let message = refusal(stepshift().arg("train").arg(place.config(&text)).arg("--out").arg(place.path("first")));
    assert!(message.contains("Float epoch 1, batch") && message.contains("there is no checkpoint yet"), "{message}");
}

/// A config with tensors that no address space has room for, between weights of the same shapes.
fn enormous(text: &str) -> String {
    let layer = |name: &str, op: &str, keys: &str| format!("[[layers]]\nname = '{name}'\nop = '{op}'\n{keys}\n\n");
    let pad = layer("pad", "pad", "after = [60000, 60000, 60000]");
    let slice = layer("slice", "slice", "size = [4, 4, 8]");
    text.replace("[[layers]]\nname = \"fc\"", &format!("{pad}{slice}[[layers]]\nname = \"fc\""))
}

#[cfg(unix)]
#[test]
fn a_training_without_enough_memory_ends_with_an_error_and_keeps_its_checkpoint() {
    let place = Place::new();
    let train = |text: &str, name: &str| {
        refusal(stepshift().arg("train").arg(place.config(text)).arg("--out").arg(place.path(name)))
    };
    let asked = "out of memory: libtorch asked for ";
    let message = train(&enormous(SMALL), "first");
    let expected = "error: Float epoch 1, batch 1: lower batch_size, 64, and train into another folder; there is no \
                    checkpoint yet: ";
    assert!(message.starts_with(&format!("{expected}{asked}")) && message.ends_with(" bytes\n"), "{message}");
    // Weights that no address space has room for.
    let wide = enormous(SMALL).replace("[[layers]]\nname = 'slice'\nop = 'slice'\nsize = [4, 4, 8]\n", "");
    let message = train(&wide, "wide");
    assert!(message.contains("layer fc has the most weights, 2.1") && message.contains(asked), "{message}");
    assert!(!place.path("wide").exists());
    // A run that goes on with less memory than it was begun with.
    let run = place.path("run");
    stop_early(stepshift().arg("train").arg(place.config(&longer())).arg("--out").arg(&run));
    let path = run.join("checkpoint.safetensors");
    let (mut state, tensors) = checkpoint::load(&path).unwrap();
    state.config = enormous(&state.config);
    fs::write(run.join("config.toml"), &state.config).unwrap();
    checkpoint::save(&path, &state, &tensors.into_iter().collect::<Vec<_>>()).unwrap();
    let before = bytes(&run, "checkpoint.safetensors");
    let message = refusal(stepshift().args(["train", "--resume", "--out"]).arg(&run));
    assert!(message.starts_with("error: Float epoch ") && message.contains(": lower batch_size, 8, "), "{message}");
    assert!(
        message.contains(
            "the last good checkpoint is kept; where there is more memory, go on by `stepshift train --resume"
        )
    );
    assert!(message.contains(asked) && bytes(&run, "checkpoint.safetensors") == before, "{message}");
}

/// A network that batches normalized bears a rate that it does not bear frozen.
#[test]
fn a_training_that_loses_what_it_had_learned_ends_and_keeps_its_checkpoint() {
    let place = Place::new();
    let out = place.path("run");
    let keys = "batch_norm = 'corrected'\nepochs = 3\nfreeze_after = 2\n\
                optimizer = { learning_rate = 0.1, schedule = 'constant' }";
    let text = SMALL.replace("epochs = 2\nfreeze_after = 1\noptimizer = { learning_rate = 0.005 }", keys);
    let conv = |name: &str| {
        let keys = "op = 'conv2d'\nout_ch = 16\nkernel = 3\npadding = 1\nbatch_norm = true\nrelu = true";
        format!("[[layers]]\nname = '{name}'\n{keys}\n\n")
    };
    let fc = "[[layers]]\nname = \"fc\"";
    let text = text.replace(fc, &format!("{}{}{fc}", conv("conv2"), conv("conv3")));
    let message = refusal(stepshift().arg("train").arg(place.config(&text)).arg("--out").arg(&out));
    assert!(message.contains("Quantized epoch 3: the mean loss climbed to"), "{message}");
    assert!(message.contains("in epoch 2; layer ") && message.contains("or freeze later"), "{message}");
    let (state, _) = checkpoint::load(&out.join("checkpoint.safetensors")).unwrap();
    assert_eq!((state.epoch, state.history.len()), (2, 5));
    assert!(!out.join("model.stepshift").exists());
}

#[test]
fn diff_shows_noise_and_the_first_difference_of_each_layer() {
    let place = Place::new();
    let run = place.small_run();
    let own = run.join("model.stepshift");
    let output = stepshift().arg("diff").arg(&own).arg(&run).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("2 layers are equal over 100 images"), "{text}");
    assert!(text.contains(" dB") && text.contains('%'), "{text}");
    let other = place.train(&SMALL.replace("seed = 5", "seed = 6"), "other");
    let checkpoint = other.join("checkpoint.safetensors");
    let output = stepshift().arg("diff").arg(&own).arg(checkpoint).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("image 0 index") && text.contains("2 of 2 layers differ"), "{text}");
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn quiet_prints_nothing_and_json_prints_a_line_for_every_pass() {
    let place = Place::new();
    let config = place.config(SMALL);
    let quiet =
        stepshift().arg("train").arg(&config).arg("--quiet").arg("--out").arg(place.path("a")).output().unwrap();
    assert!(quiet.status.success(), "{}", stderr(&quiet));
    assert_eq!((stdout(&quiet), stderr(&quiet)), (String::new(), String::new()));
    let json = stepshift().arg("train").arg(&config).arg("--json").arg("--out").arg(place.path("b")).output().unwrap();
    assert!(json.status.success(), "{}", stderr(&json));
    let lines: Vec<serde_json::Value> = stdout(&json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert_eq!((lines[3]["phase"].as_str(), lines[3]["epoch"].as_u64()), (Some("quantized"), Some(1)));
    assert!(lines[0]["test_accuracy"].as_f64().unwrap() > 10.0);
    assert!(lines[5]["model"].as_str().unwrap().ends_with("model.stepshift"));
    assert_eq!(stderr(&json), "");
}

#[test]
fn a_run_leaves_a_folder_that_tells_what_it_was() {
    let place = Place::new();
    let run = place.small_run();
    let text = |name: &str| String::from_utf8(bytes(&run, name)).unwrap();
    let about: serde_json::Value = serde_json::from_str(&text("run.json")).unwrap();
    assert_eq!((about["seed"].as_u64(), about["dataset"].as_str()), (Some(5), Some("digits")));
    assert_eq!(about["libtorch"].as_str().unwrap().split('.').count(), 3, "{about}");
    assert_eq!(text("labels.txt"), "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    // The front end of a run that ended before its first checkpoint is none of the next one's.
    let again = place.path("again");
    fs::create_dir(&again).unwrap();
    fs::write(again.join("front-end.stepshift"), "that of sounds").unwrap();
    assert!(!place.train(SMALL, "again").join("front-end.stepshift").exists());
    // Five passes of two layers: exponents from the first quantized pass on.
    let lines: Vec<String> = text("layers.csv").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 11);
    assert!(lines[1].ends_with(",,,") && !lines[9].ends_with(','), "{lines:?}");
    let report = text("report.html");
    assert!(report.contains("digits") && report.matches("<svg").count() == 8, "{}", report.matches("<svg").count());
    let events = fs::read_dir(&run)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("events.out.tfevents."));
    assert_eq!(events.count(), 1);
}

/// Sounds of two words, 40 speakers each: low and high tones.
fn write_sounds(folder: &Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for (word, hertz) in [("low", 300.0), ("high", 1500.0)] {
        fs::create_dir_all(folder.join(word)).unwrap();
        for speaker in 0..40 {
            let path = folder.join(word).join(format!("s{speaker:02}_nohash_0.wav"));
            let mut writer = hound::WavWriter::create(path, spec).unwrap();
            for n in 0..3200 {
                let angle = f64::from(n) * (hertz + 5.0 * f64::from(speaker)) / 16_000.0 * std::f64::consts::TAU;
                writer.write_sample((8000.0 * angle.sin()) as i16).unwrap();
            }
            writer.finalize().unwrap();
        }
    }
}

#[test]
fn words_are_learned_from_sounds_and_evaluated_behind_the_front_end_of_the_run() {
    let place = Place::new();
    write_sounds(&place.path("sounds"));
    let text = SMALL.replace("dataset = \"digits\"", "dataset = \"speech-commands\"").replace(
        "augmentation = { shift = 1 }",
        "augmentation = { time_shift = 1, noise = 2.0, mixup = 0.2 }\ndata = { clip_ms = 200 }\n\
         front_end = { coefficients = 10 }",
    );
    let text = text.replace("out_ch = 10", "out_ch = 2").replace("batch_size = 64", "batch_size = 8");
    let (config, out, data) = (place.config(&text), place.path("run"), place.path("sounds"));
    let output = stepshift()
        .arg("train")
        .arg(config)
        .args(["--out".as_ref(), out.as_os_str()])
        .arg("--data")
        .arg(&data)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stepshift_runtime::front_end::FrontEnd::parse(&bytes(&out, "front-end.stepshift")).unwrap();
    let output = stepshift().arg("eval").arg(&out).arg("--data").arg(&data).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let result: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(result["bit_exact"].as_bool(), Some(true));
    assert!(result["integer_accuracy"].as_f64().unwrap() > 90.0, "{result}");
    // Fewer sounds than the run was begun with would not go on to the same bits.
    fs::remove_file(data.join("low/s00_nohash_0.wav")).unwrap();
    let message = refusal(stepshift().args(["train", "--resume", "--out"]).arg(&out).arg("--data").arg(&data));
    assert!(message.contains("run.json: t") && message.contains("_inputs were"), "{message}");
}

#[test]
fn options_that_do_not_fit_the_data_are_named() {
    let place = Place::new();
    let train = |text: &str, extra: &[&str]| {
        refusal(stepshift().arg("train").arg(place.config(text)).arg("--out").arg(place.path("run")).args(extra))
    };
    assert!(
        train(&format!("{SMALL}\n[data]\nwindow = 3\n"), &[]).contains("data.window: digits does not read this key")
    );
    let cifar = SMALL.replace("\"digits\"", "\"cifar-10\"");
    assert!(train(&cifar, &[]).contains("cifar-10 is read from files: name their folder with --data"));
    assert!(train(&cifar, &["--data", "/nowhere"]).contains("neither data_batch_1.bin nor data_batch_1 is there"));
    let both = SMALL.replace("batch_size", "network = \"lenet-5\"\nbatch_size");
    assert!(train(&both, &[]).contains("network and layers exclude each other"));
    let crop = SMALL.replace("shift = 1", "crop = 1.5");
    assert!(train(&crop, &[]).contains("augmentation.crop is 1.5, it must be above 0 and at most 1"));
}
