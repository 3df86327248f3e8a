//! One page for a run: no script, no other file, plots as SVG.

use std::fmt::Write;

use anyhow::Result;

use super::plot::{self, Curve};
use super::{LayerObservation, Observation};

/// What stands above the plots: names and values.
pub type Facts = Vec<(String, String)>;

/// Curves in one plot, at most: more cannot be told apart.
const CURVES_PER_PLOT: usize = 7;

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin-top: 1rem; } td, th { padding: .15rem 1rem .15rem 0; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(30rem, 1fr)); gap: 1rem; }
.small { grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
figure { margin: 0; } figcaption { color: #555; font-size: .85rem; } svg { width: 100%; height: auto; display: block; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: .8rem; }
@media (max-width: 40rem) { .plots { grid-template-columns: 1fr; } }
";

/// The page.
///
/// title   what the run is called
/// facts   dataset, seed, versions, score
/// passes  what was observed
/// config  the config's text
///
/// # Errors
/// Where a plot cannot be drawn.
pub fn page(title: &str, facts: &Facts, passes: &[Observation], config: &str) -> Result<String> {
    let mut html = String::new();
    let title = escaped(title);
    write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )?;
    html += "<table>\n";
    for (name, value) in facts {
        writeln!(html, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value))?;
    }
    html += "</table>\n";
    if !passes.is_empty() {
        html += &training(passes)?;
        html += &exponents(passes)?;
        html += &histograms(passes)?;
    }
    writeln!(html, "<h2>Config</h2>\n<pre>{}</pre>\n</body>\n</html>", escaped(config))?;
    Ok(html)
}

/// Loss, score and rate over all passes, a curve for each phase.
fn training(passes: &[Observation]) -> Result<String> {
    let of = |value: fn(&Observation) -> f64| -> Vec<Curve> {
        let curve = |phase: &str| Curve {
            name: phase.to_owned(),
            points: numbered(passes)
                .filter(|(_, pass)| pass.phase == phase)
                .map(|(x, pass)| (x, value(pass)))
                .collect(),
        };
        let curves = ["float", "quantized"].map(curve);
        curves.into_iter().filter(|curve| !curve.points.is_empty()).collect()
    };
    let mut html = "<h2>Training</h2>\n<div class=\"plots\">\n".to_owned();
    html += &figure("Mean training loss of a pass", &plot::curves("pass", "loss", &of(|pass| pass.loss), false)?);
    if let Some(Observation { score, .. }) = passes.first() {
        let plot = plot::curves("pass", score.unit(), &of(|pass| pass.score.value()), false)?;
        html += &figure(&format!("Test {} behind a pass, by the training forward", score.name()), &plot);
    }
    let rate = plot::curves("pass", "rate", &of(|pass| pass.learning_rate), false)?;
    html += &figure("Learning rate at the end of a pass", &rate);
    Ok(html + "</div>\n")
}

/// Exponents of the layers' outputs over the passes.
fn exponents(passes: &[Observation]) -> Result<String> {
    let last = passes.last().map_or(&[][..], |pass| &pass.layers);
    let curve = |layer: &LayerObservation| {
        let exponent = |pass: &Observation| {
            pass.layers.iter().find(|own| own.name == layer.name).and_then(|own| own.exponent).map(f64::from)
        };
        let points = numbered(passes).filter_map(|(x, pass)| Some((x, exponent(pass)?))).collect();
        Curve { name: layer.name.clone(), points }
    };
    let curves: Vec<Curve> = last.iter().map(curve).filter(|curve| !curve.points.is_empty()).collect();
    if curves.is_empty() {
        return Ok(String::new());
    }
    let mut html = "<h2>Exponents over time</h2>\n<div class=\"plots\">\n".to_owned();
    for group in curves.chunks(CURVES_PER_PLOT) {
        let svg = plot::curves("pass", "log2 of the step", group, true)?;
        html += &figure("Exponents of the layers' outputs; equal ones lie side by side", &svg);
    }
    html +=
        "</div>\n<table>\n<tr><th>layer</th><th class=\"number\">output</th><th class=\"number\">weights</th></tr>\n";
    for layer in last {
        let weights = layer.weight_exponents.map_or(String::new(), |(least, greatest)| {
            if least == greatest { least.to_string() } else { format!("{least} to {greatest}") }
        });
        let output = layer.exponent.map_or(String::new(), |exponent| exponent.to_string());
        writeln!(
            html,
            "<tr><td>{}</td><td class=\"number\">{output}</td><td class=\"number\">{weights}</td></tr>",
            escaped(&layer.name)
        )?;
    }
    Ok(html + "</table>\n")
}

/// Weights and activations behind the last pass.
fn histograms(passes: &[Observation]) -> Result<String> {
    let last = passes.last().map_or(&[][..], |pass| &pass.layers);
    let mut html = String::new();
    let weights = last.iter().map(|layer| (&layer.name, &layer.weights)).collect::<Vec<_>>();
    let activations = last.iter().map(|layer| (&layer.name, &layer.activations)).collect();
    for (kind, layers) in [("Weights", weights), ("Activations", activations)] {
        writeln!(html, "<h2>{kind}</h2>\n<div class=\"plots small\">")?;
        for (name, histogram) in layers {
            if let Some(histogram) = histogram {
                let caption = format!("{} values", histogram.count());
                html += &figure(&caption, &plot::histogram(name, histogram)?);
            }
        }
        html += "</div>\n";
    }
    Ok(html)
}

/// Passes with their numbers from 1, over both phases.
fn numbered(passes: &[Observation]) -> impl Iterator<Item = (f64, &Observation)> {
    passes.iter().enumerate().map(|(index, pass)| ((index + 1) as f64, pass))
}

fn figure(caption: &str, svg: &str) -> String {
    format!("<figure>{svg}<figcaption>{}</figcaption></figure>\n", escaped(caption))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::observation::tests::observations;
    use super::*;
    use crate::score::Score;

    #[test]
    fn the_page_stands_alone_and_escapes_what_users_write() {
        let facts = vec![("dataset".to_owned(), "<digits>".to_owned())];
        let html = page("run & more", &facts, &observations(), "seed = 1 # <none>").unwrap();
        assert!(html.contains("<title>run &amp; more</title>") && html.contains("&lt;digits&gt;"));
        assert!(html.contains("# &lt;none&gt;"));
        for outside in ["<script", "<link", "<img", "src=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("Test accuracy behind a pass"));
        // Three of training, one of exponents, one of weights, two of activations.
        assert_eq!(html.matches("<svg").count(), 7);
        let aucs: Vec<_> =
            observations().into_iter().map(|pass| Observation { score: Score::Auc(0.75), ..pass }).collect();
        let html = page("anomalies", &facts, &aucs, "").unwrap();
        assert!(html.contains("Test AUC behind a pass") && !html.contains("accuracy"));
        assert!(page("empty", &facts, &[], "").unwrap().contains("</html>"));
    }
}
