//! The tables of the report, before they are Markdown or HTML.

use crate::experiment::Model;
use crate::measure::Metric;
use crate::report::control::{self, Pair};
use crate::report::numbers::{self, number, times};
use crate::report::section::{Figure, Ratio, Row, Section};

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    /// What it shows.
    pub(crate) caption: String,
    /// The head of each column; the first is that of the names.
    pub(crate) head: Vec<String>,
    /// The lines below.
    pub(crate) lines: Vec<Line>,
    /// Whether it is worth its room at once.
    pub(crate) chief: bool,
}

/// A row with its name.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its name.
    pub(crate) name: String,
    /// The kind of subject, and whether it is the control's second run.
    pub(crate) row: Option<(Model, bool)>,
    /// The cells after the name.
    pub(crate) cells: Vec<Cell>,
}

/// A value, and in smaller letters what qualifies it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    /// The value.
    pub(crate) value: String,
    /// What qualifies it.
    pub(crate) details: Vec<String>,
    /// What it says when it is pointed at.
    pub(crate) hint: String,
}

impl Cell {
    fn plain(value: String) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }
}

/// The tables of an experiment: one with everything if it has one point, else one for each kind of figure.
pub(crate) fn of(section: &Section) -> Vec<Table> {
    let metrics = section.metrics();
    match section.points[..] {
        _ if metrics.is_empty() => Vec::new(),
        [at] => vec![at_one_point(section, &metrics, at)],
        _ => metrics
            .iter()
            .map(|&metric| over_points(section, metric))
            .collect(),
    }
}

fn at_one_point(section: &Section, metrics: &[Metric], at: u64) -> Table {
    let first = metrics[0];
    let reference = section.reference();
    let several = section.rounds().is_some_and(|(_, most)| most > 1);
    let mut head = vec![String::new(), first.label().to_owned()];
    if several {
        head.extend(["p5 – p95".to_owned(), "noise".to_owned()]);
    }
    head.extend(reference.map(|row| format!("ratio to {}", row.name)));
    head.extend(metrics[1..].iter().map(|metric| metric.label().to_owned()));
    let cells = |row: &Row| {
        let figure = row.at(first, at);
        let mut cells = vec![median(row, first, at)];
        if several {
            cells.push(figure.map_or(String::new(), |figure| range(figure, first)));
            cells.push(figure.map_or(String::new(), |figure| noise(figure.noise)));
        }
        cells.extend(
            reference
                .map(|reference| ratio(section, row, reference, first, at).unwrap_or_default()),
        );
        cells.extend(metrics[1..].iter().map(|&metric| median(row, metric, at)));
        cells.into_iter().map(Cell::plain).collect()
    };
    let rows = section.rows.iter().filter(|row| row.has(first));
    let lines = rows.map(|row| line(row, cells(row)));
    Table {
        chief: true,
        caption: format!(
            "{} at {} {}",
            capital(first.label()),
            number(at),
            section.experiment.axis.label
        ),
        head,
        lines: lines.collect(),
    }
}

fn over_points(section: &Section, metric: Metric) -> Table {
    let chief = metric == section.experiment.metric;
    let mut head = vec![section.experiment.axis.label.to_owned()];
    head.extend(section.points.iter().map(|&at| number(at)));
    let reference = section.reference();
    let cell = |row: &Row, at: u64| {
        let Some(figure) = row.at(metric, at) else {
            return if chief {
                absent(row, at)
            } else {
                Cell::default()
            };
        };
        let mut details = Vec::new();
        if chief {
            details.extend(figure.noise.map(short));
            details
                .extend(reference.and_then(|reference| ratio(section, row, reference, metric, at)));
        }
        Cell {
            value: median(row, metric, at),
            details,
            hint: hint(figure, metric),
        }
    };
    let rows = section.rows.iter().filter(|row| row.has(metric));
    let lines = rows.map(|row| {
        line(
            row,
            section.points.iter().map(|&at| cell(row, at)).collect(),
        )
    });
    let qualified = match reference {
        Some(reference) if chief => format!(" (± noise, ratio to {})", reference.name),
        _ => String::new(),
    };
    Table {
        chief: chief || metric == Metric::Cpu,
        caption: format!("{}{qualified}", capital(metric.label())),
        head,
        lines: lines.collect(),
    }
}

fn line(row: &Row, cells: Vec<Cell>) -> Line {
    Line {
        name: row.name.clone(),
        row: Some((row.model, row.again)),
        cells,
    }
}

fn median(row: &Row, metric: Metric, at: u64) -> String {
    row.at(metric, at).map_or(String::new(), |figure| {
        metric.unit().show(figure.summary.median).to_string()
    })
}

fn ratio(section: &Section, row: &Row, reference: &Row, metric: Metric, at: u64) -> Option<String> {
    (row.name != reference.name).then(|| {
        section
            .ratio(row, reference, metric, at)
            .map(|ratio| times(ratio.value))
    })?
}

/// Noise without what a reader of many needs not.
fn short(share: f64) -> String {
    match share {
        share if share >= 1.0 => format!("×÷{:.0}", share + 1.0),
        share => format!("±{:.0} %", share * 100.0),
    }
}

/// From the 5th to the 95th percentile.
fn range(figure: &Figure, metric: Metric) -> String {
    let (summary, unit) = (figure.summary, metric.unit());
    format!("{} – {}", unit.show(summary.p5), unit.show(summary.p95))
}

/// The same for a reader who points at a median; one round has no range.
fn hint(figure: &Figure, metric: Metric) -> String {
    match figure.summary.rounds {
        1 => String::new(),
        rounds => format!("{} in {rounds} rounds", range(figure, metric)),
    }
}

fn noise(noise: Option<f64>) -> String {
    noise.map_or_else(|| "?".to_owned(), numbers::noise)
}

fn absent(row: &Row, at: u64) -> Cell {
    let remark = row
        .remarks
        .iter()
        .find(|remark| remark.points.contains(&at));
    Cell::plain(
        remark
            .map_or(
                "",
                |remark| if remark.failed { "failed" } else { "skipped" },
            )
            .to_owned(),
    )
}

/// Why figures are missing, a sentence a reason, and whether something went wrong.
pub(crate) fn remarks(section: &Section) -> Vec<(bool, String)> {
    let mut remarks = Vec::new();
    for row in &section.rows {
        for remark in row.remarks.iter().filter(|_| !row.again) {
            let points: Vec<String> = remark.points.iter().map(|&at| number(at)).collect();
            let place = if points.len() == section.points.len() {
                String::new()
            } else {
                format!(
                    " at {} {}",
                    points.join(", "),
                    section.experiment.axis.label
                )
            };
            let word = if remark.failed { "failed" } else { "skipped" };
            let text = format!("{}{place}: {word}: {}", row.name, remark.why);
            remarks.push((remark.failed, text));
        }
    }
    remarks
}

/// The A/A pairs that are wanted.
pub(crate) fn of_controls(sections: &[Section], wanted: fn(&Pair) -> bool) -> Table {
    let lines = sections.iter().flat_map(|section| {
        control::pairs_of(section)
            .into_iter()
            .filter(wanted)
            .map(|pair| Line {
                name: format!(
                    "{}, {} {}",
                    section.experiment.title,
                    number(pair.at),
                    section.experiment.axis.label
                ),
                row: None,
                cells: vec![
                    Cell::plain(section.experiment.control.to_owned()),
                    Cell::plain(signed(pair.ratio)),
                    Cell::plain(noise(pair.ratio.noise)),
                    Cell::plain(match pair.holds() {
                        Some(true) => "within".into(),
                        Some(false) => "beyond".into(),
                        None => "unknown".into(),
                    }),
                ],
            })
    });
    Table {
        chief: true,
        caption: "The same subject twice".into(),
        head: [
            "experiment",
            "subject",
            "difference",
            "noise of a ratio",
            "",
        ]
        .map(str::to_owned)
        .to_vec(),
        lines: lines.collect(),
    }
}

fn signed(ratio: Ratio) -> String {
    format!("{:+.1} %", (ratio.value - 1.0) * 100.0).replace('-', "−")
}

/// With a capital letter at the beginning.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_table_for_each_figure() {
        let section = fixture::section(3);
        let tables = of(&section);
        assert_eq!(tables.len(), 2);
        assert_eq!(
            tables[0].caption,
            "Time per operation (± noise, ratio to loop)"
        );
        assert_eq!(tables[0].head, ["live tasks", "1", "100", "1 k", "10 k"]);
        let task = &tables[0].lines[1];
        assert_eq!((&*task.name, &*task.cells[0].value), ("task", "10.0 ns"));
        assert_eq!(task.cells[0].details[1], "5.00 ×");
        assert_eq!(tables[0].lines[4].cells[2].value, "skipped");
        let cell = &tables[1].lines[1].cells[0];
        assert_eq!(
            (&*cell.value, &*cell.hint),
            ("9.02 ns", "9.00 ns – 9.03 ns in 3 rounds")
        );
    }

    #[test]
    fn one_point_has_one_table() {
        let mut results = fixture::results(1);
        for series in results.experiments.get_mut("switch").unwrap() {
            series.points.retain(|at, _| *at == 1000);
        }
        let section = Section::new(
            fixture::EXPERIMENT,
            &results.experiments["switch"],
            results.scale,
        );
        let [table] = &of(&section)[..] else {
            panic!("one")
        };
        assert_eq!(table.head.len(), 4);
        assert!(table.lines.iter().all(|line| line.cells.len() == 3));
        // Threads have no figure at all here, so that only their reason is listed.
        assert_eq!(table.lines.len(), 5);
    }

    #[test]
    fn reasons_name_their_points() {
        assert_eq!(
            remarks(&fixture::section(3)),
            [(
                false,
                "threads at 1 k, 10 k live tasks: skipped: no room for <stacks>".into()
            )]
        );
    }

    #[test]
    fn a_line_for_each_pair() {
        let table = of_controls(&[fixture::section(3)], |_| true);
        assert_eq!(table.lines.len(), 4);
        assert_eq!(table.lines[0].cells[1].value, "+0.2 %");
        assert_eq!(table.lines[0].cells[3].value, "within");
    }
}
