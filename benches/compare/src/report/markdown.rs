//! The report as Markdown: all tables, for a terminal or a document.

use std::fmt::Write;

use crate::report::glance::{self, Winner};
use crate::report::section::Section;
use crate::report::table::{self, Cell, Table};
use crate::report::{control, crossover, verdict, words};
use crate::results::Results;

/// The whole report.
pub(crate) fn text(results: &Results, sections: &[Section]) -> String {
    let mut text = format!("# Stackless beside stackful\n\n{}\n\n", words::WHAT);
    for (name, value) in words::machine(results) {
        let _ = writeln!(text, "- {name}: {value}");
    }
    for warning in words::warnings(results, sections) {
        let _ = writeln!(text, "\n**{warning}**");
    }
    at_a_glance(&mut text, sections);
    for section in sections {
        experiment(&mut text, section);
    }
    let _ = write!(
        text,
        "\n## A/A\n\n{}\n\n{}\n\n",
        words::NOISE,
        control::in_short(&control::pairs(sections))
    );
    write_table(&mut text, &table::of_controls(sections, |_| true));
    text.push_str("\n## Rules\n\n");
    for rule in words::RULES {
        let _ = writeln!(text, "- {rule}");
    }
    text
}

fn at_a_glance(text: &mut String, sections: &[Section]) {
    let glances = glance::of(sections);
    if glances.is_empty() {
        return;
    }
    text.push_str("\n## At a glance\n");
    for winner in Winner::ALL {
        let mut of_winner = glances
            .iter()
            .filter(|glance| glance.winner == winner)
            .peekable();
        if of_winner.peek().is_some() {
            let _ = writeln!(text, "\n{}:\n", winner.heading());
        }
        for glance in of_winner {
            let _ = writeln!(
                text,
                "- {}: {}",
                glance.section.experiment.title, glance.text
            );
        }
    }
}

fn experiment(text: &mut String, section: &Section) {
    let experiment = &section.experiment;
    let _ = write!(
        text,
        "\n## {}. {} (`{}`)\n\n{}\n\nOne operation is {}.\n",
        experiment.workload,
        experiment.title,
        experiment.name,
        experiment.question,
        experiment.operation
    );
    for table in table::of(section) {
        let _ = write!(text, "\n{}:\n\n", table.caption);
        write_table(text, &table);
    }
    let remarks = table::remarks(section).into_iter().map(|(_, text)| text);
    list(text, &remarks.collect::<Vec<_>>());
    let crossings = crossover::of_models(section);
    list(
        text,
        &crossings
            .iter()
            .map(|crossing| glance::crossing(section, crossing))
            .collect::<Vec<_>>(),
    );
    if experiment.expectations.is_empty() {
        return;
    }
    text.push_str("\n| expected | in figures | outcome |\n|---|---|---|\n");
    for expectation in experiment.expectations {
        let figures = verdict::in_figures(&expectation.claim, experiment);
        let outcome = verdict::of(&expectation.claim, section);
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            cell(expectation.text),
            cell(&figures),
            cell(&outcome.to_string())
        );
    }
}

fn list(text: &mut String, items: &[String]) {
    if !items.is_empty() {
        text.push('\n');
    }
    for item in items {
        let _ = writeln!(text, "- {}", inline(item));
    }
}

fn write_table(text: &mut String, table: &Table) {
    let head: Vec<String> = table.head.iter().map(|head| cell(head)).collect();
    let _ = writeln!(text, "| {} |", head.join(" | "));
    let _ = writeln!(text, "|---|{}", "--:|".repeat(table.head.len() - 1));
    for line in &table.lines {
        let cells: Vec<String> = line.cells.iter().map(shown).collect();
        let _ = writeln!(text, "| {} | {} |", cell(&line.name), cells.join(" | "));
    }
}

fn shown(shown: &Cell) -> String {
    match &shown.details[..] {
        [] => cell(&shown.value),
        details => cell(&format!("{} ({})", shown.value, details.join(", "))),
    }
}

/// Text that is not markup, on one line.
fn inline(text: &str) -> String {
    text.replace('<', "&lt;").replace('\n', " ")
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    inline(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn everything_is_told() {
        let text = text(&fixture::results(3), &[fixture::section(3)]);
        for part in [
            "- kernel: Linux 6.18",
            "It depends:\n\n- A switch & its price: time per operation: stackful",
            "## 1. A switch & its price (`switch`)",
            "One operation is a switch.",
            "| task | 10.0 ns (±1 %, 5.00 ×) |",
            "- threads at 1 k, 10 k live tasks: skipped: no room for &lt;stacks>",
            "- task is cheaper up to about 100 live tasks, fiber beyond",
            "| They cross. | task is cheaper first, fiber last; they cross between 100 live tasks and 1 k live tasks \
             | as expected: they cross at about 100 |",
            "All 4 A/A pairs differ by less",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }

    #[test]
    fn a_cell_does_not_end_its_row() {
        assert_eq!(cell("a|b\nc<d"), "a\\|b c&lt;d");
    }
}
