//! Shapes of control flow with the ways that each allows.
//!
//! `s` is the start, `e` the end, numbers are awaits as they stand in the text: `01` leads from the first to the second.

mod branches;
mod loops;
mod others;

use super::*;

/// The transitions of a function from its second line on.
fn flow_of(text: &str) -> Option<Flow> {
    let source = format!("// the first line\nasync fn f() {{\n{text}\n}}");
    let lines = source.lines().zip(1..);
    let awaits: Vec<_> = lines
        .flat_map(|(line, number)| std::iter::repeat_n(number, line.matches(".await").count()))
        .collect();
    flow(&source, 2, &awaits)
}

fn ways(text: &str) -> Option<String> {
    let name = |node| match node {
        Node::Start => "s".to_owned(),
        Node::End => "e".to_owned(),
        Node::Await(number) => number.to_string(),
    };
    let said = flow_of(text)?.edges.into_iter();
    let said: Vec<_> = said
        .map(|(from, to)| format!("{}{}", name(from), name(to)))
        .collect();
    Some(said.join(" "))
}

/// Each text allows exactly these ways.
fn allow(table: &[(&str, &str)]) {
    let sorted = |text: &str| {
        let mut list: Vec<_> = text.split(' ').map(str::to_owned).collect();
        list.sort();
        list.join(" ")
    };
    let wrong: Vec<_> = table
        .iter()
        .map(|(text, wanted)| {
            (
                text,
                sorted(&ways(text).unwrap_or_default()),
                sorted(wanted),
            )
        })
        .filter(|(_, said, wanted)| said != wanted)
        .map(|(text, said, wanted)| format!("{text}\n    said:   {said}\n    wanted: {wanted}"))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
