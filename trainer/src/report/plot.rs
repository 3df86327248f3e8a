//! Plots as SVG.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::Histogram;

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
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let x = range(points().map(|(x, _)| *x)).ok_or_else(|| anyhow!("no points"))?;
    let y = range(points().map(|(_, y)| *y)).ok_or_else(|| anyhow!("no points"))?;
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
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|x| number(*x))
            .y_label_formatter(&|y| if steps && y.fract() != 0.0 { String::new() } else { number(*y) })
            .draw()?;
        for (curve, color) in curves.iter().zip(COLORS.iter().cycle()) {
            let line = if steps { stairs(&curve.points) } else { curve.points.clone() };
            chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
            if !steps {
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
            .build_cartesian_2d(x, 0.0..most * 1.05)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_y_axis()
            .axis_style(BLACK.mix(0.5))
            .label_style((FONT, 11))
            .x_labels(5)
            .x_label_formatter(&|x| number(*x))
            .draw()?;
        let mut start = histogram.min;
        let bars = histogram.counts.iter().enumerate().map(|(bin, count)| {
            let end = histogram.limit(bin);
            let bar = Rectangle::new([(start, 0.0), (end.max(start + 1e-9), *count as f64)], COLORS[0].filled());
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
        let name: String = curve.name.chars().take(18).collect();
        area.draw(&Text::new(name, (26, y - 6), (FONT, 13)))?;
    }
    Ok(())
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

/// A number with four digits at most.
fn number(value: f64) -> String {
    let rounded = format!("{value:.3}");
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
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
        // One value, and one point, have a range as well.
        histogram("constant", &Histogram::of(&[0.0; 3]).unwrap()).unwrap();
        let point = Curve { name: String::new(), points: vec![(1.0, 5.0)] };
        curves("", "", &[point], true).unwrap();
        assert!(curves("", "", &[], true).is_err());
    }

    #[test]
    fn stairs_keep_each_value_up_to_the_next_point() {
        assert_eq!(stairs(&[(1.0, 5.0), (2.0, 7.0)]), [(1.0, 5.0), (2.0, 5.0), (2.0, 7.0)]);
    }
}
