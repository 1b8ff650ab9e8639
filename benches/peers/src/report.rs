//! The report: a table per workload, the ratios, and whether the goals are reached.
//!
//! The numbers are medians over the rounds. The spread is half the distance between the quartiles of the number that
//! the systems are ranked by: a difference below it, or below what the A/A row shows, says nothing.

use std::fmt::Write;

use crate::goal::{Against, Goal, Number, goals, ranked_by};
use crate::measure::{Sample, spread};
use crate::plan::{Plan, Results};
use crate::systems::{Kind, System};
use crate::workload::Workload;

/// The medians of one workload.
struct Table<'a> {
    workload: Workload,
    rows: Vec<(&'a System, Sample)>,
    results: &'a Results,
}

/// The whole report as text.
pub(crate) fn text(plan: &Plan, results: &Results) -> String {
    let mut text = String::new();
    for &workload in &plan.workloads {
        let table = Table::new(workload, &plan.systems, results);
        let _ = writeln!(text, "\n{}: {}", workload.name(), workload.operation());
        table.write(&mut text);
        write_skipped(&mut text, workload, &plan.systems, results);
        table.write_ratios(&mut text);
        for goal in goals(workload) {
            table.write_goal(&mut text, &goal);
        }
    }
    text
}

fn write_skipped(text: &mut String, workload: Workload, systems: &[System], results: &Results) {
    for system in systems {
        let runs = results.get(&(workload, system.name));
        if let Some(reason) = runs.and_then(|runs| runs.skipped.as_deref()) {
            let word = if reason == "hung" {
                "hung, killed"
            } else {
                "skipped: "
            };
            let reason = if reason == "hung" { "" } else { reason };
            let _ = writeln!(text, "  {:<15}{word}{reason}", system.name);
        }
    }
}

impl<'a> Table<'a> {
    fn new(workload: Workload, systems: &'a [System], results: &'a Results) -> Self {
        let median =
            |system: &System| Sample::median(&results.get(&(workload, system.name))?.samples);
        let rows = systems
            .iter()
            .filter_map(|system| Some((system, median(system)?)))
            .collect();
        Self {
            workload,
            rows,
            results,
        }
    }

    fn write(&self, text: &mut String) {
        let used = |number: &Number| {
            self.rows
                .iter()
                .any(|(_, sample)| number.of(sample).is_some())
        };
        let columns: Vec<Number> = Number::ALL.into_iter().filter(used).collect();
        let _ = write!(text, "  {:<15}", "");
        for column in &columns {
            let _ = write!(text, "{:>11}", column.name());
        }
        let _ = writeln!(text, "{:>9}", "spread");
        for (system, sample) in &self.rows {
            let _ = write!(text, "  {:<15}", system.name);
            for column in &columns {
                let value = column
                    .of(sample)
                    .map_or_else(|| "–".to_owned(), |value| show(*column, value));
                let _ = write!(text, "{value:>11}");
            }
            let spread = self.spread(system).map_or_else(
                || "–".to_owned(),
                |spread| format!("±{:.0} %", spread * 100.0),
            );
            let _ = writeln!(text, "{spread:>9}");
        }
    }

    /// Camshaft against the best peer, each floor, and itself.
    fn write_ratios(&self, text: &mut String) {
        let number = ranked_by(self.workload);
        let Some(ours) = self.value("camshaft", number) else {
            return;
        };
        let mut ratios = Vec::new();
        if let Some((peer, theirs)) = self.best_peer(number) {
            ratios.push(format!("{:.2} of {peer}", ours / theirs));
        }
        for (floor, sample) in self
            .rows
            .iter()
            .filter(|(system, _)| system.kind == Kind::Floor)
        {
            if let Some(theirs) = number.of(sample) {
                ratios.push(format!("{:.2} of the floor {}", ours / theirs, floor.name));
            }
        }
        if let Some(again) = self.value("camshaft-aa", number) {
            ratios.push(format!("A/A {:.2}", again / ours));
        }
        let _ = writeln!(text, "  camshaft {}: {}", number.name(), ratios.join(", "));
    }

    fn write_goal(&self, text: &mut String, goal: &Goal) {
        let what = match goal.against {
            Against::BestPeer => format!("{} × best peer", goal.factor),
            Against::System(name) => format!("{} × {name}", goal.factor),
            Against::Bound(bound) => show(goal.number, bound),
        };
        let bound = match goal.against {
            Against::BestPeer => self
                .best_peer(goal.number)
                .map(|(_, value)| value * goal.factor),
            Against::System(name) => self
                .value(name, goal.number)
                .map(|value| value * goal.factor),
            Against::Bound(bound) => Some(bound),
        };
        let verdict = match (self.value(goal.system, goal.number), bound) {
            (Some(value), Some(bound)) if value <= bound => "reached".to_owned(),
            (Some(value), Some(bound)) => {
                format!(
                    "missed: {} > {}",
                    show(goal.number, value),
                    show(goal.number, bound)
                )
            }
            _ => "not measured".to_owned(),
        };
        let _ = writeln!(
            text,
            "  goal: {} {} ≤ {what}: {verdict}",
            goal.system,
            goal.number.name()
        );
    }

    fn value(&self, system: &str, number: Number) -> Option<f64> {
        number.of(&self.rows.iter().find(|(row, _)| row.name == system)?.1)
    }

    /// The spread over the rounds of the number that the systems are ranked by.
    fn spread(&self, system: &System) -> Option<f64> {
        let runs = self.results.get(&(self.workload, system.name))?;
        let number = ranked_by(self.workload);
        spread(
            runs.samples
                .iter()
                .filter_map(|run| number.of(run))
                .collect(),
        )
    }

    fn best_peer(&self, number: Number) -> Option<(&'a str, f64)> {
        let peers = self
            .rows
            .iter()
            .filter(|(system, _)| system.kind == Kind::Peer);
        let values = peers.filter_map(|(system, sample)| Some((system.name, number.of(sample)?)));
        values.min_by(|left, right| left.1.total_cmp(&right.1))
    }
}

/// A number with its unit.
fn show(number: Number, value: f64) -> String {
    match number {
        Number::Allocs => format!("{value:.3}"),
        Number::Rss => format!("{value:.0} B"),
        _ if value >= 1e6 => format!("{:.2} ms", value / 1e6),
        _ if value >= 1e4 => format!("{:.2} µs", value / 1e3),
        _ => format!("{value:.1} ns"),
    }
}

/// All raw samples as JSON, with what is needed to read them later.
pub(crate) fn json(plan: &Plan, results: &Results, machine: &[(&str, String)]) -> String {
    let mut text = String::from("{\n");
    for (name, value) in machine {
        let _ = writeln!(text, "  \"{name}\": \"{}\",", escape(value));
    }
    let _ = writeln!(
        text,
        "  \"rounds\": {}, \"seed\": {}, \"level\": {},",
        plan.rounds, plan.seed, plan.level
    );
    let rows: Vec<String> = results
        .iter()
        .map(|((workload, system), runs)| {
            let samples: Vec<String> = runs.samples.iter().map(Sample::to_json).collect();
            let skipped = runs.skipped.as_deref().map_or("null".to_owned(), |why| format!("\"{}\"", escape(why)));
            format!(
                "    {{\"workload\":\"{}\",\"system\":\"{system}\",\"skipped\":{skipped},\"samples\":[{}]}}",
                workload.name(),
                samples.join(",")
            )
        })
        .collect();
    let _ = write!(text, "  \"runs\": [\n{}\n  ]\n}}\n", rows.join(",\n"));
    text
}

fn escape(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .flat_map(|letter| match letter {
            '"' | '\\' => vec!['\\', letter],
            _ => vec![letter],
        })
        .collect()
}
