//! What a reader gets: Markdown tables, a page with charts, and a summary in the terminal.
//!
//! ```text
//! Results ── section: figures with their noise, ratios
//!              ├─ verdict, crossover, glance, control: what they say
//!              └─ table, chart ── markdown, page, files: how it is shown
//! ```
//!
//! Everything but this module is pure: the same results give the same report.

mod chart;
mod control;
mod crossover;
#[cfg(test)]
mod fixture;
mod glance;
mod markdown;
mod numbers;
mod page;
mod section;
mod table;
mod verdict;
mod words;

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::experiment::Experiment;
use crate::results::Results;
use glance::Winner;
use section::Section;
use verdict::Verdict;

/// The sections of these experiments that there are results of.
fn sections(results: &Results, experiments: &[Experiment]) -> Vec<Section> {
    let section = |experiment: &Experiment| {
        let series = results.experiments.get(experiment.name)?;
        Some(Section::new(*experiment, series, results.scale))
    };
    experiments.iter().filter_map(section).collect()
}

/// Writes `results.md` and `index.html` into a folder, and says in short what is in them.
pub(crate) fn write(
    results: &Results,
    experiments: &[Experiment],
    folder: &Path,
) -> anyhow::Result<()> {
    let sections = sections(results, experiments);
    save(
        &folder.join("results.md"),
        &markdown::text(results, &sections),
    )?;
    save(&folder.join("index.html"), &page::text(results, &sections))?;
    print!("{}", summary(results, &sections));
    Ok(())
}

/// Writes the chart of each experiment into a folder, as an SVG file by its name.
pub(crate) fn write_charts(
    results: &Results,
    experiments: &[Experiment],
    folder: &Path,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for section in sections(results, experiments) {
        if let Some(svg) = chart::file(&section) {
            save(
                &folder.join(format!("{}.svg", section.experiment.name)),
                &svg,
            )?;
        }
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// What a terminal shows at the end.
fn summary(results: &Results, sections: &[Section]) -> String {
    let mut lines = Vec::new();
    let glances = glance::of(sections);
    for winner in Winner::ALL {
        let of_winner = glances.iter().filter(|glance| glance.winner == winner);
        let named = of_winner
            .map(|glance| format!("  {:20} {}", glance.section.experiment.name, glance.text));
        let named: Vec<String> = named.collect();
        if !named.is_empty() {
            lines.push(format!("{}:", winner.heading()));
            lines.extend(named);
        }
    }
    if sections.iter().any(|section| section.decides) {
        lines.extend(expectations(sections));
    }
    for section in sections {
        let failed = table::remarks(section)
            .into_iter()
            .filter(|(failed, _)| *failed);
        lines.extend(failed.map(|(_, text)| format!("  {:20} {text}", section.experiment.name)));
    }
    let warnings = words::warnings(results, sections);
    lines.extend(
        warnings
            .into_iter()
            .map(|warning| format!("warning: {warning}")),
    );
    lines.push(String::new());
    lines.join("\n")
}

/// How many expectations hold, and which do not.
fn expectations(sections: &[Section]) -> Vec<String> {
    let (mut hold, mut open) = (0, 0);
    let mut refuted = Vec::new();
    for section in sections {
        for expectation in section.experiment.expectations {
            let text = expectation.text.trim_end_matches('.');
            match verdict::of(&expectation.claim, section) {
                Verdict::AsExpected(_) => hold += 1,
                Verdict::NotAsExpected(measured) => refuted.push(format!(
                    "  {:20} {text}: {measured}",
                    section.experiment.name
                )),
                Verdict::Undecided(_) | Verdict::NotMeasured(_) => open += 1,
            }
        }
    }
    let colon = if refuted.is_empty() { "." } else { ":" };
    let counts = format!(
        "Expectations: {hold} hold, {open} are open, {} do not hold{colon}",
        refuted.len()
    );
    [counts].into_iter().chain(refuted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_the_findings() {
        let summary = summary(&fixture::results(3), &[fixture::section(3)]);
        assert!(summary.starts_with("It depends:\n  switch "), "{summary}");
        let line =
            "Expectations: 2 hold, 1 are open, 1 do not hold:\n  switch               It is never";
        assert!(summary.contains(line), "{summary}");
    }

    #[test]
    fn a_smoke_run_finds_nothing_out() {
        let mut results = fixture::results(1);
        results.scale = crate::experiment::Scale::Smoke;
        let sections = sections(&results, &[fixture::EXPERIMENT]);
        let texts = [
            summary(&results, &sections),
            markdown::text(&results, &sections),
            page::text(&results, &sections),
        ];
        for text in texts {
            assert!(
                !text.contains("At a glance")
                    && !text.contains("wins")
                    && !text.contains("not as expected"),
                "{text}"
            );
        }
    }

    #[test]
    fn an_experiment_without_results_has_no_section() {
        let results = fixture::results(1);
        assert_eq!(sections(&results, &[fixture::EXPERIMENT]).len(), 1);
        assert!(sections(&results, &[]).is_empty());
    }
}
