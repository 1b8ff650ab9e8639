//! The diagram for Graphviz, and what Graphviz makes of it.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{Diagram, Vertex};
use crate::describe::{is_over, used};
use crate::terminal::{count, fit};

/// Characters of a type that are shown; more make a box too wide to be of use.
const TYPE_WIDTH: usize = 48;

pub(crate) fn dot(diagram: &Diagram<'_>) -> String {
    let one = diagram.function;
    let title = format!("{}, {}", one.name, count(one.layout.size, "byte", "bytes"));
    let mut text = String::from("digraph states {\n");
    let _ = writeln!(
        text,
        "    label=\"{}\\n{}\";",
        quoted(&title),
        quoted(&diagram.note())
    );
    text.push_str("    labelloc=t;\n    fontname=\"sans-serif\";\n    fontsize=11;\n");
    text.push_str("    node [shape=plain, fontname=\"sans-serif\", fontsize=11];\n");
    text.push_str("    edge [fontname=\"sans-serif\", fontsize=9];\n");
    for (index, one) in diagram.states.iter().enumerate() {
        let value = one.state.state.value;
        if value == 2 {
            continue; // every state would have an arrow there
        }
        let label = if is_over(one.state) {
            format!("<{}>", table(&format!("<tr><td>{}</td></tr>", one.name)))
        } else {
            format!("<{}>", table(&inside(one)))
        };
        let _ = writeln!(text, "    s{index} [label={label}];");
    }
    for edge in &diagram.edges {
        let words = edge.words().into_iter();
        let words: Vec<_> = words
            .filter(|(verb, _)| *verb != "keeps")
            .map(|(verb, names)| quoted(&format!("{verb} {names}")))
            .collect();
        let _ = writeln!(
            text,
            "    s{} -> s{} [label=\"{}\"];",
            edge.from,
            edge.to,
            words.join("\\n")
        );
    }
    text.push_str("}\n");
    text
}

/// Has `dot` draw it.
pub(crate) fn svg(diagram: &Diagram<'_>) -> Result<String> {
    let mut child = match Command::new("dot")
        .arg("-Tsvg")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no `dot` on PATH to draw with; install Graphviz, or take --format dot or mermaid"
        ),
        other => other.context("cannot start `dot`")?,
    };
    let text = dot(diagram);
    let mut input = child.stdin.take().context("`dot` has no input")?;
    // It reads all before it writes, so neither waits for the other.
    let written = input.write_all(text.as_bytes());
    drop(input);
    let output = child.wait_with_output().context("cannot read from `dot`")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`dot` has failed: {}", said.trim());
    }
    written.context("cannot write to `dot`")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn table(rows: &str) -> String {
    format!(
        "<table border=\"1\" cellborder=\"0\" cellspacing=\"0\" cellpadding=\"3\">{rows}</table>"
    )
}

fn inside(one: &Vertex<'_>) -> String {
    let place = match &*one.place {
        "" => String::new(),
        place => format!("{}, ", escape(place)),
    };
    let mut rows = format!(
        "<tr><td colspan=\"3\"><b>{}</b></td></tr><tr><td colspan=\"3\">{place}{}</td></tr>",
        one.name,
        used(one.state)
    );
    if !one.rows.is_empty() {
        rows.push_str("<hr/>");
    }
    for row in &one.rows {
        let _ = write!(
            rows,
            "<tr><td align=\"right\">{}</td><td align=\"left\">{}</td><td align=\"left\">{}</td></tr>",
            row.bytes(),
            escape(&row.name),
            escape(&fit(&row.of, TYPE_WIDTH))
        );
    }
    rows
}

/// For a label in HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// For a label in quotes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
