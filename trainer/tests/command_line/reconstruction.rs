//! Networks that write what they read, and find what they were not trained on.

use super::*;

/// Six digits to learn, and four to find.
const DIGITS: &str = r#"
seed = 3
dataset = "digits"
task = "reconstruction"
anomalies = ["0", "4", "6", "9"]
batch_size = 32

[float]
epochs = 12
optimizer = { kind = "adamw", learning_rate = 0.005 }

[quantized]
epochs = 3
freeze_after = 2
distillation = { weight = 0.25 }
optimizer = { kind = "adamw", learning_rate = 0.001 }

[[layers]]
name = "hidden"
op = "fully_connected"
out_ch = 32
relu = true

[[layers]]
name = "code"
op = "fully_connected"
out_ch = 6

[[layers]]
name = "wide"
op = "fully_connected"
out_ch = 32
relu = true

[[layers]]
name = "output"
op = "fully_connected"
out_ch = 64
"#;

static RUN: OnceLock<Files> = OnceLock::new();

fn eval(run: &Path, extra: &[&str]) -> serde_json::Value {
    let output = stepshift().arg("eval").arg(run).arg("--json").args(extra).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn digits_that_were_not_learned_are_found_by_their_error_in_integers() {
    let place = Place::new();
    let run = place.kept_run(&RUN, DIGITS, "run");
    let result = eval(&run, &[]);
    assert_eq!((result["bit_exact"].as_bool(), result["tensors"].as_u64()), (Some(true), Some(359 * 4)), "{result}");
    let number = |key: &str| result[key].as_f64().unwrap();
    assert!(number("float_auc") > 0.8 && number("integer_auc") > 0.8, "{result}");
    assert!((number("float_auc") - number("integer_auc")).abs() < 0.03, "{result}");
    assert_eq!(number("normal_images") + number("anomalous_images"), 359.0);
    assert!(number("threshold") > 0.0 && number("anomalies_found") > 5.0, "{result}");
    assert!(result.get("integer_accuracy").is_none() && result.get("float_accuracy").is_none(), "{result}");
    let output = stepshift().arg("eval").arg(&run).output().unwrap();
    let (text, threshold) = (stdout(&output), format!("threshold    {} squared steps of 2^-", result["threshold"]));
    assert!(text.contains("integer AUC  0.") && text.contains(&threshold), "{text}");
}

#[test]
fn a_reconstructions_score_is_called_what_it_is_everywhere() {
    let place = Place::new();
    let run = place.kept_run(&RUN, DIGITS, "run");
    let text = |name: &str| String::from_utf8(bytes(&run, name)).unwrap();
    assert!(text("metrics.csv").starts_with("phase,epoch,loss,test_auc\nfloat,1,0."), "{}", text("metrics.csv"));
    let report = text("report.html");
    assert!(report.contains("Test AUC behind a pass") && report.contains("<th>float AUC</th><td>0."));
    assert!(!report.contains("accuracy") && !text("observations.json").contains("accuracy"));
    let about: serde_json::Value = serde_json::from_str(&text("run.json")).unwrap();
    assert_eq!((about["task"].as_str(), about["anomalies"][3].as_str()), (Some("reconstruction"), Some("9")));
    let short = DIGITS.replace("epochs = 12", "epochs = 1").replace("epochs = 3", "epochs = 1");
    let config = place.config(&short.replace("freeze_after = 2", "freeze_after = 1"));
    let output =
        stepshift().arg("train").arg(&config).arg("--json").arg("--out").arg(place.path("json")).output().unwrap();
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["test_auc"].is_f64() && lines[2]["float_auc"] == lines[0]["test_auc"], "{lines:?}");
    let output = stepshift().arg("train").arg(&config).arg("--out").arg(place.path("text")).output().unwrap();
    assert!(stdout(&output).contains("  test AUC 0."), "{}", stdout(&output));
}

#[cfg(unix)]
#[test]
fn a_stopped_reconstruction_goes_on_to_the_same_bits() {
    let place = Place::new();
    let whole = place.kept_run(&RUN, DIGITS, "whole");
    let stopped = place.path("stopped");
    stop_early(stepshift().arg("train").arg(place.config(DIGITS)).arg("--out").arg(&stopped));
    let output = stepshift().args(["train", "--resume", "--out"]).arg(&stopped).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same_run(&whole, &stopped);
}

/// Windows of two channels that move together, and in the test alone of two that do not; both channels have a constant share.
fn write_signals(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for (part, classes) in [("train", &["normal"][..]), ("test", &["normal", "broken"])] {
        let mut text = "x,y,label\n".to_owned();
        for class in classes {
            for row in 0..1600 {
                let phase = f64::from(row % 16) / 16.0 * std::f64::consts::TAU;
                let size = 0.5 + f64::from(row / 16 % 7) / 7.0;
                let lag = if *class == "broken" { 2.0 } else { 0.3 };
                let (x, y) = (3.0 + size * phase.sin(), -2.0 + size * (phase - lag).sin());
                text += &format!("{x},{y},{class}\n");
            }
        }
        fs::write(folder.join(format!("{part}.csv")), text).unwrap();
    }
}

/// The output has rows and channels: the loss, the float score and the integer one must hold the same values against each other.
#[test]
fn convolutions_write_channels_where_they_read_them() {
    let place = Place::new();
    let data = place.path("signals");
    write_signals(&data);
    let head = DIGITS.split("[[layers]]").next().unwrap();
    let layers = "
        [[layers]]\nname = 'down'\nop = 'conv1d'\nout_ch = 3\nkernel = 4\nstride = 4
        [[layers]]\nname = 'up'\nop = 'transpose_conv2d'\nout_ch = 2\nkernel = [1, 4]\nstride = [1, 4]\n";
    let of_signals = |anomalies: &str| {
        let text = format!("{head}{layers}").replace("\"digits\"", "\"sensor-csv\"\ndata = { window = 16 }");
        text.replace(r#"["0", "4", "6", "9"]"#, anomalies)
            .replace("batch_size = 32", "batch_size = 8")
            .replace("0.005", "0.02")
            .replace("epochs = 12", "epochs = 150")
    };
    let train = |text: &str, out: &Path| {
        let mut command = stepshift();
        command.arg("train").arg(place.config(text)).arg("--out").arg(out).arg("--data").arg(&data);
        command
    };
    let out = place.path("run");
    let output = train(&of_signals(r#"["broken"]"#), &out).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let result = eval(&out, &["--data", data.to_str().unwrap()]);
    assert_eq!((result["bit_exact"].as_bool(), result["anomalous_images"].as_u64()), (Some(true), Some(100)));
    assert!(result["float_auc"].as_f64().unwrap() > 0.95 && result["integer_auc"].as_f64().unwrap() > 0.95, "{result}");
    // Without anomalies, the score is how much of the variance is reconstructed.
    let test = fs::read_to_string(data.join("test.csv")).unwrap();
    let normal =
        test.lines().filter(|line| !line.ends_with("broken")).fold(String::new(), |text, line| text + line + "\n");
    fs::write(data.join("test.csv"), normal).unwrap();
    let out = place.path("variance");
    let output = train(&of_signals("[]"), &out).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let result = eval(&out, &["--data", data.to_str().unwrap()]);
    let percent = |key: &str| result[key].as_f64().unwrap();
    let (float, integer) = (percent("float_explained_variance"), percent("integer_explained_variance"));
    assert!(float > 90.0 && (float - integer).abs() < 3.0 && result["bit_exact"].as_bool() == Some(true), "{result}");
    assert!(result["anomalies_found"].is_null() && result["threshold"].is_u64(), "{result}");
}

#[test]
fn what_does_not_fit_a_reconstruction_is_named() {
    let place = Place::new();
    let run = place.kept_run(&RUN, DIGITS, "run");
    let train = |text: &str, extra: &[&Path]| {
        refusal(stepshift().arg("train").arg(place.config(text)).arg("--out").arg(place.path("other")).args(extra))
    };
    let head = refusal(stepshift().arg("export").arg(&run).args(["--head", "argmax"]));
    assert!(head.contains("--head: it is for classes"), "{head}");
    let unknown = train(&DIGITS.replace("\"9\"", "\"nine\""), &[]);
    assert!(unknown.contains("anomalies: \"nine\" is no class of the data set, there are [\"0\", \"1\","), "{unknown}");
    let narrow = train(&DIGITS.replace("out_ch = 64", "out_ch = 63"), &[]);
    assert!(narrow.contains("layer output has 63 outputs, 1 x 1 x 63: task"), "{narrow}");
    let others = train(&DIGITS.replace("\"6\", ", ""), &["--float".as_ref(), &run]);
    assert!(
        others.contains("the float network was trained with the anomalies [\"0\", \"4\", \"6\", \"9\"]"),
        "{others}"
    );
    assert!(!place.path("other").exists());
}

/// A network that was broken on the way, by weights of a rate far too high, is told by the size of the inputs and not by classes.
#[test]
fn a_reconstruction_that_diverges_says_so() {
    let place = Place::new();
    let text = DIGITS.replace("kind = \"adamw\", learning_rate = 0.005", "learning_rate = 300.0");
    let message = refusal(stepshift().arg("train").arg(place.config(&text)).arg("--out").arg(place.path("run")));
    assert!(message.contains("Float epoch 1") && message.contains("lower the learning rate"), "{message}");
}
