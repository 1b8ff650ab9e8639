//! Curves over the axis of an experiment.

use super::axes::{self, Frame};
use super::scale::{self, Scale};
use super::{Drawing, Size, dash, title, width_of};
use crate::report::crossover::{self, Crossing};
use crate::report::numbers::about;
use crate::report::section::{Row, Section};

/// The distance between two names.
const LEADING: f64 = 17.0;

/// Draws them.
pub(super) fn draw(section: &Section, rows: &[&Row], size: Size) -> Drawing {
    let mut drawing = Drawing::new(size);
    let (metric, unit) = (section.experiment.metric, section.experiment.metric.unit());
    let letters = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0)
        .min(34);
    let names = rows.len() as f64 * LEADING;
    let (names_width, height) = match size {
        Size::Wide => (letters as f64 * 6.6 + 54.0, names.max(300.0)),
        Size::Narrow => (8.0, 240.0),
    };
    let frame = Frame {
        left: 66.0,
        right: drawing.width - names_width,
        top: 30.0,
        bottom: 30.0 + height,
    };
    drawing.height = frame.bottom + 44.0;

    let figures = rows
        .iter()
        .flat_map(|row| section.points.iter().filter_map(|&at| row.at(metric, at)));
    let values =
        figures.flat_map(|figure| [figure.summary.p5, figure.summary.median, figure.summary.p95]);
    let across = Scale::of_costs(values, unit, (frame.bottom, frame.top));
    let along = Scale::of_points(&section.points, (frame.left + 10.0, frame.right - 10.0));
    axes::across(&mut drawing, frame, metric, &across);
    axes::points(&mut drawing, frame, section, &along);

    for row in rows {
        band(&mut drawing, section, row, &along, &across);
    }
    let crossings = crossover::of_models(section);
    for row in rows {
        curve(&mut drawing, section, row, &along, &across);
    }
    mark(&mut drawing, frame, &crossings, &along, &across);
    match size {
        Size::Wide => name_beside(&mut drawing, frame, section, rows, &across),
        Size::Narrow => name_below(&mut drawing, rows),
    }
    drawing
}

/// From the 5th to the 95th percentile of the rounds.
fn band(drawing: &mut Drawing, section: &Section, row: &Row, along: &Scale, across: &Scale) {
    let figures = section
        .points
        .iter()
        .filter_map(|&at| Some((at, row.at(section.experiment.metric, at)?.summary)));
    let figures: Vec<_> = figures.collect();
    if row.again || figures.len() < 2 || figures.iter().all(|(_, summary)| summary.rounds < 2) {
        return;
    }
    let upper = figures
        .iter()
        .map(|(at, summary)| (along.at(*at as f64), across.at(summary.p95)));
    let lower = figures
        .iter()
        .rev()
        .map(|(at, summary)| (along.at(*at as f64), across.at(summary.p5)));
    let outline: Vec<_> = upper.chain(lower).collect();
    drawing
        .body
        .push_str(&format!("<g class=\"{}\">", super::class(row)));
    drawing.path(&outline, "band", "");
    drawing.close();
}

fn curve(drawing: &mut Drawing, section: &Section, row: &Row, along: &Scale, across: &Scale) {
    let metric = section.experiment.metric;
    let figures: Vec<_> = section
        .points
        .iter()
        .filter_map(|&at| Some((at, row.at(metric, at)?)))
        .collect();
    let place = |at: u64, value: f64| (along.at(at as f64), across.at(value));
    let medians: Vec<_> = figures
        .iter()
        .map(|(at, figure)| place(*at, figure.summary.median))
        .collect();
    drawing.open_series(row);
    drawing.path(&medians, "line", dash(row));
    for ((at, figure), median) in figures.iter().zip(medians) {
        if figures.len() == 1 && figure.summary.rounds > 1 {
            drawing.line(
                place(*at, figure.summary.p5),
                place(*at, figure.summary.p95),
                "whisker",
            );
        }
        drawing.marker(row, median);
        drawing.hover(median, &title(section, row, *at, figure));
    }
    drawing.close();
}

/// A ring and a number where stackless and stackful cross.
fn mark(
    drawing: &mut Drawing,
    frame: Frame,
    crossings: &[Crossing],
    along: &Scale,
    across: &Scale,
) {
    let mut taken = f64::NEG_INFINITY;
    for crossing in crossings {
        let (x, y) = (along.at(crossing.at), across.at(crossing.value));
        let said = format!("≈ {}", about(crossing.at));
        let tells = format!(
            "{} is cheaper before {said}, {} after",
            crossing.before, crossing.after
        );
        drawing.body.push_str(&format!(
            "<g class=\"crossing\"><circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6.5\"/>"
        ));
        drawing.line((x, y + 6.5), (x, frame.bottom), "drop");
        let left = x - width_of(&said) / 2.0;
        if left > taken {
            drawing.text((x, frame.bottom - 5.0), "cross middle", &said);
            taken = x + width_of(&said) / 2.0;
        }
        drawing.hover((x, y), &tells);
        drawing.close();
    }
}

/// The names at the right, each as near to the end of its curve as the others let it.
fn name_beside(
    drawing: &mut Drawing,
    frame: Frame,
    section: &Section,
    rows: &[&Row],
    across: &Scale,
) {
    let last = |row: &Row| {
        let points = section.points.iter().rev();
        let mut figures = points.filter_map(|&at| row.at(section.experiment.metric, at));
        figures
            .next()
            .map_or(frame.bottom, |figure| across.at(figure.summary.median))
    };
    let mut named: Vec<(f64, &Row)> = rows.iter().map(|row| (last(row), *row)).collect();
    named.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut places: Vec<f64> = named.iter().map(|(y, _)| *y + 4.0).collect();
    scale::spread(&mut places, LEADING, frame.top + 4.0, frame.bottom);
    for ((_, row), y) in named.iter().zip(places) {
        drawing.key(row, (frame.right + 6.0, y), 34);
    }
}

/// The names below, in as many columns as have room.
pub(super) fn name_below(drawing: &mut Drawing, rows: &[&Row]) {
    let widest = rows
        .iter()
        .map(|row| width_of(&row.name) + 48.0)
        .fold(0.0, f64::max);
    let columns = if widest * 2.0 <= drawing.width { 2 } else { 1 };
    let (top, step) = (drawing.height + 12.0, drawing.width / columns as f64);
    for (index, row) in rows.iter().enumerate() {
        let (column, line) = (index % columns, index / columns);
        drawing.key(row, (column as f64 * step, top + line as f64 * LEADING), 46);
    }
    drawing.height = top + rows.len().div_ceil(columns) as f64 * LEADING;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn crossings_are_marked_and_labelled() {
        let section = fixture::section(3);
        let rows: Vec<&Row> = section.rows.iter().collect();
        let drawing = draw(&section, &rows, Size::Wide);
        assert_eq!(drawing.body.matches("class=\"crossing\"").count(), 1);
        assert!(drawing.body.contains(">≈ 100</text>"));
    }

    #[test]
    fn bands_need_rounds() {
        let bands = |rounds| {
            let section = fixture::section(rounds);
            let rows: Vec<&Row> = section.rows.iter().collect();
            draw(&section, &rows, Size::Narrow)
                .body
                .matches("class=\"band\"")
                .count()
        };
        assert_eq!(bands(1), 0);
        assert_eq!(bands(3), 5);
    }
}
