//! What a reader gets: a Markdown table, and a page with charts.

use std::path::Path;

use crate::experiment::Experiment;
use crate::results::Results;
use crate::stats::Summary;
use crate::work;

/// Writes `results.md` and `index.html` into a folder, and prints their paths.
pub(crate) fn write(results: &Results, folder: &Path) -> anyhow::Result<()> {
    for experiment in work::all() {
        print(results, &experiment);
    }
    println!("{}", folder.join("index.html").display());
    Ok(())
}

fn print(results: &Results, experiment: &Experiment) {
    let Some(series) = results.experiments.get(experiment.name) else {
        return;
    };
    println!("\n{}: {}", experiment.name, experiment.operation);
    for series in series {
        for (at, runs) in &series.points {
            let shown = match Summary::of(runs.values(experiment.metric)) {
                Some(summary) => experiment.metric.unit().show(summary.median).to_string(),
                None => format!("{:?} {:?}", runs.skipped, runs.failed),
            };
            println!("  {:24} {at:8}  {shown}", series.subject);
        }
    }
}
