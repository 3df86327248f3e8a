//! Plots as SVG.

use std::ops::Range;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::Histogram;
use super::axis::Axis;

/// A curve: its name, and its points.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What the legend says.
    pub name: String,
    /// `x` and `y`.
    pub points: Vec<(f64, f64)>,
}

/// Colors that differ for color-blind readers as well (Okabe, Ito 2008), without yellow.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
];

/// Width and height of a plot of curves, and of one of a histogram.
const CURVES_SIZE: (u32, u32) = (640, 320);
const HISTOGRAM_SIZE: (u32, u32) = (260, 130);

const FONT: &str = "sans-serif";

/// Curves over one axis, with a legend where there are several.
///
/// steps  of whole numbers, each kept up to the next point
///
/// # Errors
/// Where there is nothing to draw.
pub fn curves(x_label: &str, y_label: &str, curves: &[Curve], steps: bool) -> Result<String> {
    let drawn = if steps { side_by_side(curves) } else { curves.to_vec() };
    let x = range(xs(curves)).context("no points")?;
    let y = range(ys(curves).chain(ys(&drawn))).context("no points")?;
    let (x, y) = (Axis::whole(x, 8), if steps { Axis::whole(y, 8) } else { Axis::new(y, 6) });
    draw(CURVES_SIZE, |area| {
        let right = if curves.len() > 1 { 150 } else { 16 };
        let (left, legend) = area.split_horizontally(CURVES_SIZE.0 - right);
        let mut chart =
            ChartBuilder::on(&left).margin(10).x_label_area_size(36).y_label_area_size(56).build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .axis_style(BLACK.mix(0.5))
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 13))
            .x_desc(x_label)
            .y_desc(y_label)
            .x_label_formatter(&|x| number(*x))
            .y_label_formatter(&|y| number(*y))
            .draw()?;
        for (curve, color) in drawn.iter().zip(COLORS.iter().cycle()) {
            let line = if steps { stairs(&curve.points) } else { curve.points.clone() };
            chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
            if !steps || curve.points.len() == 1 {
                chart.draw_series(curve.points.iter().map(|point| Circle::new(*point, 2, color.filled())))?;
            }
        }
        if curves.len() > 1 {
            draw_legend(&legend, curves)?;
        }
        Ok(())
    })
}

/// Bars of a histogram.
///
/// # Errors
/// None in practice.
pub fn histogram(title: &str, histogram: &Histogram) -> Result<String> {
    let most = histogram.counts.iter().max().copied().unwrap_or(1).max(1) as f64;
    let x = range([histogram.min, histogram.max].into_iter()).ok_or_else(|| anyhow!("no values"))?;
    draw(HISTOGRAM_SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .caption(title, (FONT, 12))
            .x_label_area_size(20)
            .build_cartesian_2d(x.clone(), 0.0..most * 1.05)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_y_axis()
            .axis_style(BLACK.mix(0.5))
            .label_style((FONT, 11))
            .x_labels(5)
            .x_label_formatter(&|x| number(*x))
            .draw()?;
        // A constant has a bar as well.
        let least_width = 0.01 * (x.end - x.start);
        let mut start = histogram.min;
        let bars = histogram.counts.iter().enumerate().map(|(bin, count)| {
            let end = histogram.limit(bin);
            let bar = Rectangle::new([(start, 0.0), (end.max(start + least_width), *count as f64)], COLORS[0].filled());
            start = end;
            bar
        });
        chart.draw_series(bars.collect::<Vec<_>>())?;
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(size: (u32, u32), fill: impl FnOnce(&Area<'_>) -> Result<(), Failure>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        fill(&area).and_then(|()| Ok(area.present()?)).map_err(|error| anyhow!("a plot cannot be drawn: {error}"))?;
    }
    // Scales with the page.
    let fixed = format!("width=\"{}\" height=\"{}\" ", size.0, size.1);
    Ok(svg.replacen(&fixed, "", 1))
}

type Failure = Box<dyn std::error::Error>;

fn draw_legend(area: &Area<'_>, curves: &[Curve]) -> Result<(), Failure> {
    for (index, (curve, color)) in curves.iter().zip(COLORS.iter().cycle()).enumerate() {
        let y = 18 + 18 * index as i32;
        area.draw(&Rectangle::new([(4, y - 2), (20, y + 1)], color.filled()))?;
        area.draw(&Text::new(shortened(&curve.name), (26, y - 6), (FONT, 13)))?;
    }
    Ok(())
}

fn xs(curves: &[Curve]) -> impl Iterator<Item = f64> {
    curves.iter().flat_map(|curve| &curve.points).map(|(x, _)| *x)
}

fn ys(curves: &[Curve]) -> impl Iterator<Item = f64> {
    curves.iter().flat_map(|curve| &curve.points).map(|(_, y)| *y)
}

/// Curves of whole numbers a little apart from each other, so that none is hidden by one of the same values.
fn side_by_side(curves: &[Curve]) -> Vec<Curve> {
    let height = range(ys(curves)).map_or(0.0, |range| range.end - range.start);
    let distance = (height * 0.012).min(0.1);
    let moved = |(index, curve): (usize, &Curve)| {
        let up = (curves.len() as f64 / 2.0 - 0.5 - index as f64) * distance;
        Curve { name: curve.name.clone(), points: curve.points.iter().map(|(x, y)| (*x, y + up)).collect() }
    };
    curves.iter().enumerate().map(moved).collect()
}

/// A name of 18 characters at most: names of layers differ at their ends.
fn shortened(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= 18 {
        return name.to_owned();
    }
    let (start, end) = (&characters[..5], &characters[characters.len() - 12..]);
    start.iter().chain(&['…']).chain(end).collect()
}

/// Each value up to the next point, for what changes by jumps.
fn stairs(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let corners = points.windows(2).flat_map(|pair| [pair[0], (pair[1].0, pair[0].1)]);
    corners.chain(points.last().copied()).collect()
}

/// From the least to the greatest, with some room; none for no numbers.
fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let finite = values.filter(|value| value.is_finite());
    let (min, max) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), x| (min.min(x), max.max(x)));
    if min > max {
        return None;
    }
    let room = if max > min { (max - min) * 0.03 } else { (max.abs() * 0.1).max(1e-3) };
    Some(min - room..max + room)
}

/// A number with three decimals, or as many as three digits take.
fn number(value: f64) -> String {
    // What is left of 0 where steps of an axis were added up.
    if value.abs() < 1e-9 {
        return "0".to_owned();
    }
    let decimals = (2.0 - value.abs().log10().floor()).max(3.0) as usize;
    let rounded = format!("{value:.decimals$}");
    rounded.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_and_histograms_are_drawn() {
        let curve = |name: &str| Curve { name: name.to_owned(), points: vec![(1.0, 2.0), (2.0, 1.0), (3.0, 1.5)] };
        let svg = curves("epoch", "loss", &[curve("a"), curve("b")], false).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert_eq!((svg.matches("<polyline").count() >= 2, svg.matches("<circle").count()), (true, 6));
        assert!(svg.contains("epoch") && svg.contains("loss"));
        let bars = histogram("conv1", &Histogram::of(&[0.0, 1.0, 1.0, 2.0]).unwrap()).unwrap();
        assert!(bars.matches("<rect").count() >= 48);
        // One value, and one point, are seen as well.
        let bars = histogram("constant", &Histogram::of(&[0.0; 3]).unwrap()).unwrap();
        let widths =
            bars.split("<rect ").filter_map(|bar| bar.split("width=\"").nth(1)?.split('"').next()?.parse().ok());
        assert!(widths.filter(|width: &u32| *width > 0).count() > 0, "{bars}");
        let point = Curve { name: String::new(), points: vec![(1.0, 5.0)] };
        assert_eq!(curves("", "", &[point], true).unwrap().matches("<circle").count(), 1);
        assert!(curves("", "", &[], true).is_err());
    }

    #[test]
    fn small_numbers_keep_their_digits() {
        let numbers = [0.0, 1e-17, 2e-4, -1.5e-3, 0.25, 0.1 + 0.2, 2.301, -12.0, 65_536.0, 5e-8];
        let expected = ["0", "0", "0.0002", "-0.0015", "0.25", "0.3", "2.301", "-12", "65536", "0.00000005"];
        assert_eq!(numbers.map(number), expected);
    }

    /// What stands at the axes and in the legend.
    fn texts(svg: &str) -> Vec<&str> {
        let ends = svg.match_indices("</text>").map(|(end, _)| &svg[..end]);
        ends.filter_map(|before| before.rsplit('>').next()).map(str::trim).collect()
    }

    #[test]
    fn passes_and_exponents_are_labeled_at_whole_numbers() {
        let curve = |y: f64| Curve { name: "a".to_owned(), points: vec![(7.0, y), (10.0, y)] };
        let svg = curves("pass", "log2", &[-5.0, -4.0, -4.0, -4.0, -4.0].map(curve), true).unwrap();
        let labels = texts(&svg);
        for label in ["7", "8", "9", "10", "-5", "-4"] {
            assert!(labels.contains(&label), "{label}: {labels:?}");
        }
        for least in -12_i16..0 {
            let spread: Vec<Curve> = (least..=0).map(|y| curve(y.into())).collect();
            let svg = curves("pass", "log2", &spread, true).unwrap();
            let labels = texts(&svg);
            assert!(!labels.iter().any(|label| label.contains('.')) && !labels.contains(&""), "{least}: {labels:?}");
            assert!(labels.contains(&"0"), "{least}: {labels:?}");
        }
    }

    #[test]
    fn curves_of_the_same_values_are_all_seen() {
        let curve = |name: &str| Curve { name: name.to_owned(), points: vec![(1.0, -4.0), (2.0, -4.0)] };
        let svg = curves("pass", "log2", &["a", "b", "c"].map(curve), true).unwrap();
        let lines: Vec<&str> =
            svg.split("<polyline").skip(1).filter(|line| line.contains("stroke-width=\"2\"")).collect();
        assert_eq!(lines.len(), 3, "{svg}");
        let places = lines.iter().map(|line| line.split("points=").nth(1));
        assert_eq!(places.collect::<std::collections::HashSet<_>>().len(), 3, "{svg}");
    }

    #[test]
    fn long_names_are_shortened_where_they_are_alike() {
        assert_eq!(shortened("block3_depthwise"), "block3_depthwise");
        assert_eq!(shortened("stage2_block1_depthwise_conv2"), "stage…thwise_conv2");
    }

    #[test]
    fn stairs_keep_each_value_up_to_the_next_point() {
        assert_eq!(stairs(&[(1.0, 5.0), (2.0, 7.0)]), [(1.0, 5.0), (2.0, 5.0), (2.0, 7.0)]);
    }
}
