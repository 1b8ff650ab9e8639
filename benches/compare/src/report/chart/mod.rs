//! Charts as SVG: curves over the axis of an experiment, or bars where that has one point.
//!
//! Each is drawn twice, wide for a screen and narrow for a phone, because text in a drawing that is scaled down can't be
//! read. Nothing in them depends on a script. A kind of subject has its colour and its marker, and the rows of a kind
//! differ by their dashes, so that no row is told by its colour alone.

mod axes;
mod bars;
mod lines;
mod scale;

use std::fmt::Write;

use crate::experiment::Model;
use crate::report::numbers::{noise, number};
use crate::report::page::escape;
use crate::report::section::{Figure, Row, Section};

/// The colours and lines of charts, for the page and for files of their own.
pub(crate) const STYLE: &str = include_str!("chart.css");

/// Where a chart is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Size {
    /// On a screen, and in a file of its own: rows are named beside their lines.
    Wide,
    /// On a phone: rows are named below.
    Narrow,
}

impl Size {
    fn width(self) -> f64 {
        match self {
            Self::Wide => 880.0,
            Self::Narrow => 356.0,
        }
    }
}

/// The chart of an experiment; `None` if there are no figures.
pub(crate) fn of(section: &Section, size: Size) -> Option<String> {
    let with_figures = section
        .rows
        .iter()
        .filter(|row| row.has(section.experiment.metric));
    let rows: Vec<&Row> = with_figures.collect();
    let drawing = match (rows.is_empty(), &section.points[..]) {
        (true, _) => return None,
        (false, [point]) => bars::draw(section, &rows, *point, size),
        (false, _) => lines::draw(section, &rows, size),
    };
    Some(drawing.finish(section))
}

/// The same as a file of its own.
pub(crate) fn file(section: &Section) -> Option<String> {
    let svg = of(section, Size::Wide)?;
    let (head, rest) = svg.split_once('>')?;
    Some(format!(
        "{head} xmlns=\"http://www.w3.org/2000/svg\"><style>{STYLE}svg{{background:var(--paper);font-family:system-ui,sans-serif}}</style>{rest}\n"
    ))
}

/// An SVG that grows.
#[derive(Debug)]
struct Drawing {
    width: f64,
    height: f64,
    size: Size,
    body: String,
}

impl Drawing {
    fn new(size: Size) -> Self {
        Self {
            width: size.width(),
            height: 0.0,
            size,
            body: String::new(),
        }
    }

    fn finish(self, section: &Section) -> String {
        let (width, height) = (self.width, self.height);
        let class = if self.size == Size::Wide {
            "wide"
        } else {
            "narrow"
        };
        let experiment = &section.experiment;
        let label = format!("{}: {}", experiment.title, experiment.metric.label());
        format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" \
             aria-label=\"{}\">{}</svg>",
            escape(&label),
            self.body
        )
    }

    fn text(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        let _ = write!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>",
            escape(text)
        );
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = write!(
            self.body,
            "<path class=\"{class}\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>"
        );
    }

    fn path(&mut self, points: &[(f64, f64)], class: &str, dash: &str) {
        let places: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        let dash = if dash.is_empty() {
            String::new()
        } else {
            format!(" stroke-dasharray=\"{dash}\"")
        };
        let _ = write!(
            self.body,
            "<path class=\"{class}\"{dash} d=\"M{}\"/>",
            places.join("L")
        );
    }

    fn marker(&mut self, row: &Row, at: (f64, f64)) {
        let (path, open) = marker(row.model, at);
        let class = if open || row.again {
            "mark open"
        } else {
            "mark"
        };
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    /// A place that tells its figure when it is pointed at.
    fn hover(&mut self, (x, y): (f64, f64), title: &str) {
        let _ = write!(
            self.body,
            "<circle class=\"hit\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\"><title>{}</title></circle>",
            escape(title)
        );
    }

    /// A sample of a row's line, and its name.
    fn key(&mut self, row: &Row, (x, y): (f64, f64), most: usize) {
        let middle = y - 4.0;
        let _ = write!(self.body, "<g class=\"{}\">", class(row));
        self.path(&[(x, middle), (x + 30.0, middle)], "line", dash(row));
        self.marker(row, (x + 15.0, middle));
        let _ = write!(self.body, "</g>");
        self.text((x + 36.0, y), "name", &shortened(&row.name, most));
    }

    fn open_series(&mut self, row: &Row) {
        let _ = write!(
            self.body,
            "<g class=\"series {}\" data-row=\"{}\">",
            class(row),
            escape(&row.name)
        );
    }

    fn close(&mut self) {
        self.body.push_str("</g>");
    }
}

/// Of which style a row is.
pub(crate) fn class(row: &Row) -> String {
    let model = model_class(row.model);
    if row.again {
        format!("{model} again")
    } else {
        model.to_owned()
    }
}

/// The style of a kind of subjects.
fn model_class(model: Model) -> &'static str {
    match model {
        Model::Task => "task",
        Model::Fiber => "fiber",
        Model::Native => "native",
        Model::Machine => "machine",
        Model::Thread => "thread",
        Model::Process => "process",
        Model::Epoll => "epoll",
        Model::Ring => "ring",
        Model::Floor => "floor",
        Model::Historic => "historic",
        Model::Peer => "peer",
        Model::Language => "language",
    }
}

/// The dashes of a row: solid for the first of its kind.
fn dash(row: &Row) -> &'static str {
    const DASHES: [&str; 6] = ["", "7 3", "2 3", "9 3 2 3", "1 5", "4 2 1 2 1 2"];
    if row.again {
        "1 3"
    } else {
        DASHES[row.nth % DASHES.len()]
    }
}

/// The marker of a kind, and whether it is hollow.
fn marker(model: Model, (x, y): (f64, f64)) -> (String, bool) {
    let polygon = |corners: &[(f64, f64)]| {
        let places: Vec<String> = corners
            .iter()
            .map(|(dx, dy)| format!("{:.1} {:.1}", x + dx, y + dy))
            .collect();
        format!("M{}Z", places.join("L"))
    };
    let strokes = |ends: &[(f64, f64)]| {
        let lines = ends
            .iter()
            .map(|(dx, dy)| format!("M{:.1} {:.1}L{:.1} {:.1}", x - dx, y - dy, x + dx, y + dy));
        lines.collect::<String>()
    };
    let circle = || {
        format!(
            "M{:.1} {y:.1}a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0Z",
            x - 3.4
        )
    };
    let square = [(-3.1, -3.1), (3.1, -3.1), (3.1, 3.1), (-3.1, 3.1)];
    let diamond = [(0.0, -4.4), (4.4, 0.0), (0.0, 4.4), (-4.4, 0.0)];
    match model {
        Model::Task => (circle(), false),
        Model::Machine => (circle(), true),
        Model::Fiber => (polygon(&square), false),
        Model::Native => (polygon(&square), true),
        Model::Thread => (polygon(&[(0.0, -4.2), (4.0, 3.0), (-4.0, 3.0)]), false),
        Model::Process => (polygon(&[(0.0, 4.2), (4.0, -3.0), (-4.0, -3.0)]), false),
        Model::Epoll => (polygon(&diamond), false),
        Model::Ring => (polygon(&diamond), true),
        Model::Floor => (strokes(&[(4.0, 0.0), (0.0, 4.0)]), true),
        Model::Historic => (strokes(&[(3.0, 3.0), (3.0, -3.0)]), true),
        Model::Peer => (polygon(&[(4.2, 0.0), (-3.0, 4.0), (-3.0, -4.0)]), true),
        Model::Language => (strokes(&[(4.0, 0.0), (2.0, 3.5), (2.0, -3.5)]), true),
    }
}

/// What a figure says when it is pointed at.
fn title(section: &Section, row: &Row, at: u64, figure: &Figure) -> String {
    let (axis, unit) = (
        section.experiment.axis.label,
        section.experiment.metric.unit(),
    );
    let summary = figure.summary;
    let mut title = format!(
        "{}, {} {axis}: {}",
        row.name,
        number(at),
        unit.show(summary.median)
    );
    if summary.rounds > 1 {
        let (low, high) = (unit.show(summary.p5), unit.show(summary.p95));
        let _ = write!(title, " (p5 {low}, p95 {high}, {} rounds", summary.rounds);
        if let Some(share) = figure.noise {
            let _ = write!(title, ", {}", noise(share));
        }
        title.push(')');
    }
    title
}

/// A name that is not longer than so many letters.
fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let kept: String = name.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// The width of a text in a chart, about.
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * 6.6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn every_row_with_figures_is_a_series() {
        let section = fixture::section(3);
        for size in [Size::Wide, Size::Narrow] {
            let svg = of(&section, size).unwrap();
            assert_eq!(svg.matches("class=\"series ").count(), 6);
            assert!(svg.contains(
                "<title>threads, 100 live tasks: 4.01 µs (p5 4.00 µs, p95 4.02 µs, 3 rounds, ± "
            ));
            assert!(svg.contains("A switch &amp; its price") && !svg.contains("NaN"));
        }
    }

    #[test]
    fn one_point_is_a_chart_of_bars() {
        let mut results = fixture::results(3);
        for series in results.experiments.get_mut("switch").unwrap() {
            series.points.retain(|at, _| *at == 100);
        }
        let section = Section::new(
            fixture::EXPERIMENT,
            &results.experiments["switch"],
            results.scale,
        );
        let svg = of(&section, Size::Narrow).unwrap();
        assert_eq!(svg.matches("class=\"series ").count(), 6);
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn without_figures_there_is_no_chart() {
        assert!(
            of(
                &Section::new(fixture::EXPERIMENT, &[], crate::experiment::Scale::Quick),
                Size::Wide
            )
            .is_none()
        );
    }

    #[test]
    fn a_file_stands_alone() {
        let svg = file(&fixture::section(3)).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("xmlns=") && svg.contains("<style>"));
    }

    #[test]
    fn long_names_end_in_dots() {
        assert_eq!(shortened("compare_exchange", 9), "compare_…");
        assert_eq!(shortened("task", 9), "task");
    }
}
