//! The report of a run, opened in a real browser without a window.
//!
//! Without chromium the test says so and passes; `STEPSHIFT_BROWSER=required`, which `cargo xtask test` sets where it could install one,
//! makes that a failure.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stepshift_trainer::report::{Histogram, LayerObservation, Observation, html};
use stepshift_trainer::score::Score;

/// Runs in the page, and writes what it measures into the title.
const PROBE: &str = r#"<script>
window.addEventListener("load", () => {
  const boxes = [...document.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect());
  const overlaps = boxes.filter((a, i) => boxes.some((b, j) => j > i && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)).length;
  const outside = [...document.querySelectorAll("svg text")].filter(text => {
    const own = text.getBoundingClientRect(), svg = text.closest("svg").getBoundingClientRect();
    return own.left < svg.left - 2 || own.right > svg.right + 2 || own.top < svg.top - 2 || own.bottom > svg.bottom + 2;
  }).length;
  document.title = JSON.stringify({
    plots: boxes.length, small: boxes.filter(box => box.width < 150 || box.height < 60).length, overlaps, outside,
    wide: document.documentElement.scrollWidth > window.innerWidth ? 1 : 0,
    texts: document.querySelectorAll("svg text").length,
  });
});
</script>"#;

fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.exists())
}

fn chromium(program: &Path, profile: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]);
    command.args(["--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars"]);
    command.arg(format!("--user-data-dir={}", profile.display())).stderr(Stdio::null());
    command
}

/// Eight passes of a network of twelve layers.
fn passes() -> Vec<Observation> {
    let layer = |pass: usize, index: usize| {
        let values: Vec<f32> =
            (0..400).map(|i| ((i * (index + 3)) as f32 * 0.61).sin() * (1.0 + pass as f32)).collect();
        LayerObservation {
            name: format!("block{index}_depthwise"),
            exponent: (pass >= 4).then_some(-6 + (pass * index % 3) as i32),
            weight_exponents: (pass >= 4).then_some((-10, -8)),
            weights: Histogram::of(&values),
            activations: Histogram::of(&values.iter().map(|x| x.max(0.0)).collect::<Vec<_>>()),
        }
    };
    let pass = |pass: usize| Observation {
        phase: if pass < 4 { "float" } else { "quantized" }.to_owned(),
        epoch: pass % 4 + 1,
        loss: 2.0 / (pass + 1) as f64,
        score: Score::Accuracy(95.0 - 30.0 / (pass + 1) as f64),
        learning_rate: 0.1,
        layers: (0..12).map(|index| layer(pass, index)).collect(),
    };
    (0..8).map(pass).collect()
}

#[test]
fn the_report_opens_in_a_browser_and_shows_every_plot() {
    let Some(program) = browser() else {
        let required = std::env::var_os("STEPSHIFT_BROWSER").is_some_and(|value| value == "required");
        assert!(!required, "there is no chromium on the path");
        eprintln!("skipped: there is no chromium on the path");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let facts = vec![("data set".to_owned(), "digits".to_owned()), ("seed".to_owned(), "1".to_owned())];
    let page = html::page("a run", &facts, &passes(), "seed = 1\n").unwrap();
    let path = folder.path().join("report.html");
    fs::write(&path, page.replace("</body>", &format!("{PROBE}</body>"))).unwrap();
    let url = format!("file://{}", path.display());
    for (width, height) in [(1280, 2400), (420, 4000)] {
        let size = format!("--window-size={width},{height}");
        let output = chromium(&program, &folder.path().join(format!("dom{width}")))
            .args([&size, "--dump-dom", &url])
            .output()
            .unwrap();
        let dom = String::from_utf8_lossy(&output.stdout);
        let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default();
        let found: serde_json::Value = serde_json::from_str(title).unwrap_or_else(|_| panic!("{title}\n{dom:.500}"));
        let number = |key: &str| found[key].as_u64().unwrap();
        // Three of training, two of exponents (twelve layers), twelve of weights and of activations.
        assert_eq!(number("plots"), 29, "{found}");
        let flaws = ["small", "overlaps", "outside", "wide"].map(number);
        assert_eq!(flaws, [0; 4], "{width} pixels wide: {found}");
        assert!(number("texts") > 200, "{found}");
    }
    let picture = std::env::var_os("STEPSHIFT_SCREENSHOT").map_or(folder.path().join("report.png"), PathBuf::from);
    let status = chromium(&program, &folder.path().join("picture"))
        .arg("--window-size=1280,2400")
        .arg(format!("--screenshot={}", picture.display()))
        .arg(&url)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let image = image::open(&picture).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (1280, 2400));
    let colors: HashSet<[u8; 3]> = image.pixels().map(|pixel| pixel.0).collect();
    // The curves' colors are in the picture: blue and vermilion.
    assert!(colors.contains(&[0, 114, 178]) && colors.contains(&[213, 94, 0]), "{} colors", colors.len());
    let drawn = image.pixels().filter(|pixel| pixel.0 != [255; 3]).count();
    assert!(drawn > 100_000, "only {drawn} pixels are drawn");
}
