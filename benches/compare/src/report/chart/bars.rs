//! Bars, or dots on a logarithmic axis, where an experiment has one point. A bar that doesn't begin at zero would lie.

use super::axes::rounded;
use super::scale::Scale;
use super::{Drawing, Size, shortened, title, width_of};
use crate::report::section::{Figure, Row, Section};

/// Draws them.
pub(super) fn draw(section: &Section, rows: &[&Row], at: u64, size: Size) -> Drawing {
    let mut drawing = Drawing::new(size);
    let metric = section.experiment.metric;
    let unit = metric.unit();
    let figures: Vec<(&Row, &Figure)> = rows
        .iter()
        .filter_map(|row| Some((*row, row.at(metric, at)?)))
        .collect();
    let widest = rows
        .iter()
        .map(|row| width_of(&row.name))
        .fold(0.0, f64::max);
    // On a phone a name stands above its bar.
    let (left, leading) = match size {
        Size::Wide => (widest.min(260.0) + 14.0, 26.0),
        Size::Narrow => (2.0, 40.0),
    };
    let (right, top) = (drawing.width - 74.0, 30.0);
    let bottom = top + figures.len() as f64 * leading + 6.0;
    drawing.height = bottom + 24.0;

    let values = figures
        .iter()
        .flat_map(|(_, figure)| [figure.summary.p5, figure.summary.median, figure.summary.p95]);
    let along = Scale::of_costs(values, unit, (left, right));
    let kind = if along.is_log() { ", logarithmic" } else { "" };
    drawing.text((0.0, 14.0), "what", &format!("{}{kind}", metric.label()));
    let mut free = f64::NEG_INFINITY;
    for tick in along.ticks(unit) {
        let (x, label) = (along.at(tick), rounded(&unit.show(tick).to_string()));
        drawing.line((x, top), (x, bottom), "grid");
        let (from, to) = (x - width_of(&label) / 2.0, x + width_of(&label) / 2.0);
        if from > free && from >= 0.0 {
            drawing.text((x, bottom + 16.0), "tick middle", &label);
            free = to + 6.0;
        }
    }
    for (index, (row, figure)) in figures.iter().enumerate() {
        let middle =
            top + (index as f64 + 0.5) * leading + if size == Size::Narrow { 8.0 } else { 2.0 };
        bar(
            &mut drawing,
            section,
            row,
            figure,
            at,
            &along,
            (left, middle),
        );
    }
    drawing
}

fn bar(
    drawing: &mut Drawing,
    section: &Section,
    row: &Row,
    figure: &Figure,
    at: u64,
    along: &Scale,
    (left, y): (f64, f64),
) {
    let summary = figure.summary;
    let x = along.at(summary.median);
    drawing.open_series(row);
    if along.is_log() {
        drawing.line((left, y), (x, y), "stem");
    } else {
        let (width, top) = ((x - left).max(0.5), y - 6.0);
        drawing.body.push_str(&format!("<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"12\"/>"));
    }
    if summary.rounds > 1 {
        drawing.line(
            (along.at(summary.p5), y),
            (along.at(summary.p95), y),
            "whisker",
        );
    }
    if along.is_log() {
        drawing.marker(row, (x, y));
    }
    drawing.hover((x, y), &title(section, row, at, figure));
    drawing.close();
    match drawing.size {
        Size::Wide => drawing.text((left - 8.0, y + 4.0), "name end", &shortened(&row.name, 40)),
        Size::Narrow => drawing.text((left, y - 11.0), "name", &shortened(&row.name, 52)),
    }
    let end = x.max(along.at(summary.p95)) + 8.0;
    let value = section
        .experiment
        .metric
        .unit()
        .show(summary.median)
        .to_string();
    drawing.text((end, y + 4.0), "value", &value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        let section = fixture::section(1);
        let rows: Vec<&Row> = section
            .rows
            .iter()
            .filter(|row| row.name != "threads" && row.name != "loop")
            .collect();
        let body = draw(&section, &rows, 10_000, Size::Narrow).body;
        let widths: Vec<f64> = body
            .split(" width=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next()?.parse().ok())
            .collect();
        // 10, 12 and 10.02 times 10000^0.15, and 20.1.
        let expected = [1.0, 1.2, 20.1 / 10.0 / 10_000_f64.powf(0.15), 1.002];
        for (width, expected) in widths.iter().zip(expected) {
            assert!((width / widths[0] - expected).abs() < 0.01, "{widths:?}");
        }
        assert_eq!(widths.len(), 4);
    }

    #[test]
    fn far_apart_values_are_dots() {
        let section = fixture::section(3);
        let rows: Vec<&Row> = section.rows.iter().collect();
        let body = draw(&section, &rows, 1, Size::Wide).body;
        assert!(body.contains("class=\"stem\"") && !body.contains("<rect"));
    }
}
