//! The report as one page: no script, no font, no picture from elsewhere, and none needed.

use std::fmt::Write;

use crate::report::chart::{self, Size};
use crate::report::glance::{self, Winner};
use crate::report::section::Section;
use crate::report::table::{self, Cell, Table};
use crate::report::{control, crossover, verdict, words};
use crate::results::Results;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(crate) fn text(results: &Results, sections: &[Section]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>Stackless beside stackful</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n",
        chart::STYLE
    );
    head(&mut page, results, sections);
    contents(&mut page, sections);
    at_a_glance(&mut page, sections);
    for section in sections {
        experiment(&mut page, section);
    }
    controls(&mut page, sections);
    page.push_str("</body>\n</html>\n");
    page
}

fn head(page: &mut String, results: &Results, sections: &[Section]) {
    let _ = write!(
        page,
        "<header>\n<h1>Stackless beside stackful</h1>\n<p class=\"lead\">{}</p>\n",
        escape(words::WHAT)
    );
    for warning in words::warnings(results, sections) {
        let _ = writeln!(page, "<p class=\"warning\">{}</p>", prose(&warning));
    }
    page.push_str("<dl class=\"machine\">\n");
    for (name, value) in words::machine(results) {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", prose(&value));
    }
    page.push_str("</dl>\n<details>\n<summary>How it is kept fair</summary>\n<ul>\n");
    for rule in words::RULES {
        let _ = writeln!(page, "<li>{}</li>", escape(rule));
    }
    let _ = write!(
        page,
        "</ul>\n<p>{}</p>\n</details>\n</header>\n",
        prose(words::NOISE)
    );
}

fn contents(page: &mut String, sections: &[Section]) {
    page.push_str("<nav aria-label=\"Contents\">\n<ol>\n");
    for section in sections {
        let experiment = &section.experiment;
        let (name, title) = (escape(experiment.name), escape(experiment.title));
        let _ = writeln!(
            page,
            "<li value=\"{}\"><a href=\"#{name}\">{title}</a></li>",
            experiment.workload
        );
    }
    page.push_str("</ol>\n</nav>\n");
}

fn at_a_glance(page: &mut String, sections: &[Section]) {
    let glances = glance::of(sections);
    if glances.is_empty() {
        return;
    }
    page.push_str("<section id=\"glance\">\n<h2>At a glance</h2>\n");
    page.push_str("<p>The cheapest stackless row beside its stackful partner, at each point. ");
    page.push_str("Within 5&nbsp;% or the noise they tie.</p>\n");
    page.push_str("<div class=\"glance\">\n");
    for winner in Winner::ALL {
        let mut of_winner = glances
            .iter()
            .filter(|glance| glance.winner == winner)
            .peekable();
        if of_winner.peek().is_none() {
            continue;
        }
        let _ = write!(page, "<div>\n<h3>{}</h3>\n<ul>\n", winner.heading());
        for glance in of_winner {
            let (name, title) = (
                escape(glance.section.experiment.name),
                escape(glance.section.experiment.title),
            );
            let _ = writeln!(
                page,
                "<li><a href=\"#{name}\">{title}</a> <small>{}</small></li>",
                prose(&glance.text)
            );
        }
        page.push_str("</ul>\n</div>\n");
    }
    page.push_str("</div>\n</section>\n");
}

fn experiment(page: &mut String, section: &Section) {
    let experiment = &section.experiment;
    let _ = write!(
        page,
        "<section class=\"experiment\" id=\"{}\">\n<h2><span>{}</span> {}</h2>\n<p class=\"question\">{}</p>\n\
         <p>One operation is {}. <small>{}</small></p>\n",
        escape(experiment.name),
        experiment.workload,
        escape(experiment.title),
        prose(experiment.question),
        escape(experiment.operation),
        prose(&rounds(section)),
    );
    let charts = [Size::Wide, Size::Narrow].map(|size| chart::of(section, size));
    if let [Some(wide), Some(narrow)] = charts {
        let _ = write!(page, "<figure>\n{wide}\n{narrow}\n</figure>\n");
    } else {
        page.push_str("<p class=\"warning\">No figure was measured.</p>\n");
    }
    let crossings = crossover::of_models(section);
    list(
        page,
        "crossings",
        &crossings
            .iter()
            .map(|crossing| glance::crossing(section, crossing))
            .collect::<Vec<_>>(),
    );
    expectations(page, section);
    for (index, table) in table::of(section).iter().enumerate() {
        if index == 0 {
            write_table(page, table);
            continue;
        }
        let open = if table.chief { " open" } else { "" };
        let _ = write!(
            page,
            "<details{open}>\n<summary>{}</summary>\n",
            escape(&table.caption)
        );
        write_table(page, table);
        page.push_str("</details>\n");
    }
    remarks(page, section);
    page.push_str("</section>\n");
}

fn rounds(section: &Section) -> String {
    match section.rounds() {
        None => String::new(),
        Some((1, 1)) => "One round: nothing can be said about noise.".into(),
        Some((least, most)) if least == most => {
            format!("{most} rounds; bands show the 5th to the 95th percentile.")
        }
        Some((least, most)) => {
            format!("{least} to {most} rounds; bands show the 5th to the 95th percentile.")
        }
    }
}

fn expectations(page: &mut String, section: &Section) {
    if section.experiment.expectations.is_empty() {
        return;
    }
    page.push_str("<ul class=\"expectations\">\n");
    for expectation in section.experiment.expectations {
        let outcome = verdict::of(&expectation.claim, section);
        let figures = verdict::in_figures(&expectation.claim, &section.experiment);
        let _ = writeln!(
            page,
            "<li class=\"{}\"><span>{}</span> <small>{}</small> <strong>{}</strong></li>",
            outcome.class(),
            escape(expectation.text),
            prose(&figures),
            prose(&outcome.to_string())
        );
    }
    page.push_str("</ul>\n");
}

fn list(page: &mut String, class: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(page, "<ul class=\"{class}\">");
    for item in items {
        let _ = writeln!(page, "<li>{}</li>", prose(item));
    }
    page.push_str("</ul>\n");
}

/// What is missing, and why; what failed stands out.
fn remarks(page: &mut String, section: &Section) {
    let remarks = table::remarks(section);
    if remarks.is_empty() {
        return;
    }
    page.push_str("<ul class=\"remarks\">\n");
    for (failed, text) in remarks {
        let class = if failed { " class=\"failed\"" } else { "" };
        let _ = writeln!(page, "<li{class}>{}</li>", prose(&text));
    }
    page.push_str("</ul>\n");
}

fn controls(page: &mut String, sections: &[Section]) {
    let _ = write!(
        page,
        "<section id=\"control\">\n<h2>A/A: how equal equals are</h2>\n<p>{}</p>\n<p>{}</p>\n",
        prose(&control::in_short(&control::pairs(sections))),
        prose(words::NOISE)
    );
    let beyond = table::of_controls(sections, |pair| pair.holds() == Some(false));
    if !beyond.lines.is_empty() {
        write_table(page, &beyond);
    }
    page.push_str("<details>\n<summary>All pairs</summary>\n");
    write_table(page, &table::of_controls(sections, |_| true));
    page.push_str("</details>\n</section>\n");
}

/// A table in a box of its own, which scrolls where it is wider than the page.
fn write_table(page: &mut String, table: &Table) {
    let caption = escape(&table.caption);
    let _ = write!(
        page,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\n<table>\n\
         <caption>{caption}</caption>\n<thead><tr>"
    );
    for head in &table.head {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escape(head));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for line in &table.lines {
        let again = if line.row.is_some_and(|(_, again)| again) {
            " class=\"again\""
        } else {
            ""
        };
        let model = line.row.map_or(String::new(), |(model, _)| {
            format!(" <small>{model}</small>")
        });
        let _ = write!(
            page,
            "<tr{again}><th scope=\"row\">{}{model}</th>",
            escape(&line.name)
        );
        for cell in &line.cells {
            write_cell(page, cell);
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
}

fn write_cell(page: &mut String, cell: &Cell) {
    let hint = match &*cell.hint {
        "" => String::new(),
        hint => format!(" title=\"{}\"", escape(hint)),
    };
    let _ = write!(page, "<td{hint}>{}", escape(&cell.value));
    if !cell.details.is_empty() {
        let _ = write!(page, "<small>{}</small>", prose(&cell.details.join(" · ")));
    }
    page.push_str("</td>");
}

/// Text whose numbers stay with their signs.
fn prose(text: &str) -> String {
    escape(text)
        .replace(" %", "&nbsp;%")
        .replace(" ×", "&nbsp;×")
        .replace("± ", "±&nbsp;")
        .replace("×÷ ", "×÷&nbsp;")
}

/// Text that is only text in HTML, SVG and their attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter if letter.is_control() && letter != '\n' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(
            escape("<a href=\"x\">&'\u{7}"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39; "
        );
    }

    #[test]
    fn the_page_has_everything_and_needs_nothing() {
        let page = text(&fixture::results(3), &[fixture::section(3)]);
        for part in [
            "<a href=\"#switch\">A switch &amp; its price</a>",
            "It depends",
            "as expected: measured 2.00&nbsp;× (±",
            "no room for &lt;stacks&gt;",
            "2&nbsp;× A &lt;fast&gt; one",
        ] {
            assert!(page.contains(part), "no {part}");
        }
        for stranger in ["http:", "https:", "<script", "@import", "url("] {
            assert!(!page.contains(stranger), "{stranger}");
        }
        assert_eq!(page.matches("<svg").count(), 2);
        assert_eq!(
            page.matches("<section").count(),
            page.matches("</section>").count()
        );
    }

    #[test]
    fn one_round_says_nothing_of_noise() {
        let page = text(&fixture::results(1), &[fixture::section(1)]);
        assert!(
            page.contains("nothing can be said about noise") && !page.contains("class=\"band\"")
        );
    }
}
