//! The diagram in a terminal.

use super::Diagram;
use crate::describe::{held, is_over, used};
use crate::terminal::{Page, Piece, Weight};

pub(crate) fn text(page: &mut Page, diagram: &Diagram<'_>) {
    crate::describe::head(page, diagram.function);
    page.gap();
    for (index, one) in diagram.states.iter().enumerate() {
        if is_over(one.state) {
            continue; // they are the ends, and hold nothing
        }
        let (mark, used) = ("● ", used(one.state));
        let place = match &*one.place {
            "" => String::new(),
            place => format!(" at {place}"),
        };
        page.line(
            &[
                Piece(Weight::Plain, mark),
                Piece(Weight::Bold, &one.name),
                Piece(Weight::Plain, &place),
            ],
            &[Piece(Weight::Plain, &used)],
        );
        if let Some(source) = &one.source {
            page.line(
                &[Piece(Weight::Plain, "│   "), Piece(Weight::Dim, source)],
                &[],
            );
        }
        held(page, &one.rows, "│");
        let ways: Vec<_> = diagram.edges_from(index).collect();
        for (number, edge) in ways.iter().enumerate() {
            let arrow = match number + 1 == ways.len() {
                true => "└─▶ ",
                false => "├─▶ ",
            };
            let to = &diagram.states[edge.to].name;
            let words: Vec<_> = edge
                .words()
                .into_iter()
                .map(|(verb, names)| format!("{verb} {names}"))
                .collect();
            let words = match words.is_empty() {
                true => String::new(),
                false => format!(": {}", words.join("; ")),
            };
            page.line(
                &[
                    Piece(Weight::Plain, arrow),
                    Piece(Weight::Bold, to),
                    Piece(Weight::Dim, &words),
                ],
                &[],
            );
        }
        page.gap();
    }
    for line in wrap(&diagram.note(), 96) {
        page.line(&[Piece(Weight::Dim, &line)], &[]);
    }
}

/// Words in lines of at most so many characters.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
