//! The diagram for Mermaid, which many web pages draw from text.

use std::fmt::Write as _;

use super::Diagram;
use crate::describe::is_over;

pub(crate) fn mermaid(diagram: &Diagram<'_>) -> String {
    let mut text = String::from("stateDiagram-v2\n");
    let _ = writeln!(text, "    %% {}", plain(&diagram.function.name));
    let _ = writeln!(text, "    %% {}", diagram.note());
    for (index, one) in diagram.states.iter().enumerate() {
        if is_over(one.state) {
            continue;
        }
        let place = match &*one.place {
            "" => String::new(),
            place => format!(" at {place}"),
        };
        let _ = writeln!(
            text,
            "    s{index} : {}",
            escape(&format!("{}{place}", one.name))
        );
        for row in &one.rows {
            let row = format!("{} {}: {}", row.bytes(), row.name, row.of);
            let _ = writeln!(text, "    s{index} : {}", escape(&row));
        }
    }
    for (index, one) in diagram.states.iter().enumerate() {
        if one.state.state.value == 0 {
            let _ = writeln!(text, "    [*] --> s{index}");
        }
        for edge in diagram.edges_from(index) {
            let to = match is_over(diagram.states[edge.to].state) {
                true => "[*]".to_owned(),
                false => format!("s{}", edge.to),
            };
            let words: Vec<_> = edge
                .words()
                .into_iter()
                .filter(|(verb, _)| *verb != "keeps")
                .map(|(verb, names)| escape(&format!("{verb} {names}")))
                .collect();
            let label = match words.is_empty() {
                true => String::new(),
                false => format!(" : {}", words.join("<br/>")),
            };
            let _ = writeln!(text, "    s{index} --> {to}{label}");
        }
    }
    text
}

/// Without what Mermaid takes for its own syntax.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            ':' | ';' | '#' | '<' | '>' | '{' | '}' | '"' | '%' | '&' | '[' | ']' => {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// What may stand in a comment.
fn plain(text: &str) -> String {
    text.replace(['{', '}'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_is_escaped() {
        assert_eq!(escape("a: Vec<u8>"), "a#58; Vec#60;u8#62;");
    }
}
