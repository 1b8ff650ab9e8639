//! What can follow what: the transitions between the states of a function, read from its source.
//!
//! Debug information has states and lines, but not the ways between them. The source has: awaits stand in loops, branches and
//! arms, and functions end early. So the tokens of the body are walked once, with the set of states that may have been the last:
//!
//! ```text
//!   read(x).await?;          {start} ─▶ 0        then {0}, and {0} may return
//!   loop {
//!       if y { a().await }   {0, 2} ─▶ 1         then {0, 1, 2}
//!       b().await;           {0, 1, 2} ─▶ 2      then {2}, and round again
//!   }
//! ```
//!
//! It says what the text allows, not what values will let happen. If the awaits of the text are not those of the program (the
//! file has changed, a macro hides them, the syntax is beyond this), there is no answer instead of a guess.

mod walk;

use crate::flow::walk::Walk;
use crate::tokens::{Token, tokens};

/// Where a transition begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// Before the first poll.
    Start,
    /// Suspended at the await with this number.
    Await(usize),
    /// Returned.
    End,
}

/// From where to where.
pub(crate) type Edge = (Node, Node);

/// The transitions of a function that begins on a line, and whose awaits stand on these lines, in their order.
pub(crate) fn flow(source: &str, begins: u64, awaits: &[u64]) -> Option<Vec<Edge>> {
    let tokens = tokens(source);
    let start = body(&tokens, begins)?;
    let points = points(&tokens, start, awaits)?;
    let edges = Walk::run_body(&tokens, start, points)?;
    let reached = |number| edges.iter().any(|edge| edge.1 == Node::Await(number));
    let all = (0..awaits.len()).all(reached);
    all.then(|| edges.into_iter().collect())
}

/// The transitions if nothing but the order of the awaits is known.
pub(crate) fn in_order(awaits: usize) -> Vec<Edge> {
    let nodes = (0..awaits).map(Node::Await);
    let ends = nodes.clone().chain([Node::End]);
    [Node::Start].into_iter().chain(nodes).zip(ends).collect()
}

type Tokens<'a> = [(Token<'a>, u64)];

/// Where the body of the function, block or closure begins whose first token is on a line.
fn body(tokens: &Tokens<'_>, begins: u64) -> Option<usize> {
    let on_line: Vec<_> = (0..tokens.len())
        .filter(|at| tokens[*at] == (Token::Word("async"), begins))
        .collect();
    let [start] = on_line[..] else {
        return None; // which of them, nobody says
    };
    let mut depth = 0usize;
    let mut bars = 0;
    let mut at = start + 1;
    let is = |at: usize, token| tokens.get(at).map(|one| one.0) == Some(token);
    let function = (at..at + 3).any(|at| is(at, Token::Word("fn")));
    while let Some((token, _)) = tokens.get(at) {
        match token {
            Token::Sign('{') if depth == 0 && bars != 1 => return Some(at),
            Token::Sign(';') if depth == 0 => return None,
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth = depth.checked_sub(1)?,
            Token::Sign('|') if depth == 0 && !function => bars += 1,
            _ if bars == 2 && depth == 0 && !function => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Which token is which await: the word itself, or the macro that hides it.
fn points(tokens: &Tokens<'_>, start: usize, awaits: &[u64]) -> Option<Vec<usize>> {
    let mut places: Vec<Option<usize>> = vec![None; awaits.len()];
    let mut lines: Vec<_> = awaits.to_vec();
    lines.sort_unstable();
    lines.dedup();
    for line in lines {
        let numbers = (0..awaits.len()).filter(|number| awaits[*number] == line);
        let numbers: Vec<_> = numbers.collect();
        let on_line = |wanted: fn(&Tokens<'_>, usize) -> bool| -> Vec<usize> {
            (start..tokens.len())
                .filter(|at| tokens[*at].1 == line && wanted(tokens, *at))
                .collect()
        };
        let words = on_line(|tokens, at| {
            tokens[at].0 == Token::Word("await") && at > 0 && tokens[at - 1].0 == Token::Sign('.')
        });
        let found = if words.is_empty() {
            on_line(is_macro)
        } else {
            words
        };
        if found.len() != numbers.len() {
            return None;
        }
        for (number, at) in numbers.into_iter().zip(found) {
            places[number] = Some(at);
        }
    }
    places.into_iter().collect()
}

/// Whether this is the name of a macro that is used.
fn is_macro(tokens: &Tokens<'_>, at: usize) -> bool {
    let sign = |ahead: usize| tokens.get(at + ahead).map(|one| one.0);
    matches!(tokens[at].0, Token::Word(_))
        && sign(1) == Some(Token::Sign('!'))
        && matches!(sign(2), Some(Token::Sign('(' | '[' | '{')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transitions of a function from its second line on; awaits are numbered as they stand.
    fn ways(text: &str) -> Option<String> {
        let source = format!("// the first line\nasync fn f() {{\n{text}\n}}");
        let lines = source.lines().zip(1..);
        let awaits: Vec<_> = lines
            .flat_map(|(line, number)| std::iter::repeat_n(number, line.matches(".await").count()))
            .collect();
        let name = |node| match node {
            Node::Start => "s".to_owned(),
            Node::End => "e".to_owned(),
            Node::Await(number) => number.to_string(),
        };
        let edges = flow(&source, 2, &awaits)?;
        let said: Vec<_> = edges
            .into_iter()
            .map(|(from, to)| format!("{}{}", name(from), name(to)))
            .collect();
        Some(said.join(" "))
    }

    #[test]
    fn the_ways_of_a_text() {
        for (text, wanted) in [
            ("", "se"),
            ("a().await; b().await", "s0 01 1e"),
            ("a().await?;\n b().await", "s0 01 0e 1e"),
            ("loop { a().await; b().await?; }", "s0 01 10 1e"),
            ("loop { if a().await { break } }\n b().await", "s0 00 01 1e"),
            ("while x { a().await }", "s0 se 00 0e"),
            ("while a().await { b().await }", "s0 01 0e 10"),
            ("for x in y.await { z(x).await; }", "s0 01 0e 11 1e"),
            (
                "if x { a().await } else if y { b().await } else { c().await }\n d().await",
                "s0 s1 s2 03 13 23 3e",
            ),
            ("if x { return }\n a().await", "s0 se 0e"),
            (
                "let Some(x) = a().await else { return };\n b(x).await",
                "s0 01 0e 1e",
            ),
            (
                "match a().await { 0 => b().await, 1 | 2 => { c().await } _ => {} }\n d().await",
                "s0 01 02 03 13 23 3e",
            ),
            (
                "let f = async move { x().wait }; let g = async |x| y; a().await",
                "s0 0e",
            ),
            (
                "'o: loop { loop { a().await; if x { continue 'o } break 'o; } }",
                "s0 00 0e",
            ),
            (
                "select! { x = y => a().await, z = w => { b().await } }\n c().await",
                "s0 s1 02 12 2e",
            ),
            ("println!(\"{}\", a().await); panic!()", "s0"),
            ("let x: fn(&'static str) -> u8 = y; a(x).await", "s0 0e"),
        ] {
            let sorted = |text: &str| {
                let mut list: Vec<_> = text.split(' ').map(str::to_owned).collect();
                list.sort();
                list
            };
            let said = ways(text).unwrap_or_default();
            assert_eq!(sorted(&said), sorted(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_has_no_answer() {
        assert_eq!(flow("async fn f() { a().await }", 1, &[2]), None);
        assert_eq!(flow("async fn f() { a().await }", 2, &[1]), None);
        assert_eq!(
            flow("async fn f() { async { b }; a().await }", 1, &[1]),
            None
        );
        assert_eq!(ways("'a: { a().await; break 'a; }"), None);
        assert_eq!(ways(&"(".repeat(300)), None);
        for text in [
            "",
            "async",
            "async fn f(",
            "async fn f() {",
            "async |",
            "async || x.await",
        ] {
            let _ = flow(text, 1, &[1]);
        }
    }

    #[test]
    fn closures_need_no_block() {
        let wanted = vec![(Node::Start, Node::Await(0)), (Node::Await(0), Node::End)];
        assert_eq!(
            flow("f(async |x| x.await + 1, y)", 1, &[1]),
            Some(wanted.clone())
        );
        assert_eq!(
            flow("f(async move {\nx.await + 1 }, y)", 1, &[2]),
            Some(wanted)
        );
    }
}
