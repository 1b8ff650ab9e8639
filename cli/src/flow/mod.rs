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
//! It says what the text allows, not what values will let happen. What a macro does with what it is given is known of the usual ones;
//! others are named. If the awaits of the text are not those of the program (the
//! file has changed, a macro hides them, the syntax is beyond this), there is no answer instead of a guess.

mod walk;

use std::collections::BTreeSet;

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

/// The transitions of a function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) edges: Vec<Edge>,
    /// Macros that are taken as if they did what is in them once, one after the other, although nobody says so.
    pub(crate) macros: Vec<String>,
}

/// The transitions of a function that begins on a line, and whose awaits stand on these lines, in their order.
pub(crate) fn flow(source: &str, begins: u64, awaits: &[u64]) -> Option<Flow> {
    let tokens = tokens(source);
    let start = body(&tokens, begins)?;
    let own = Walk::own(&tokens, start);
    let points = points(&tokens, &own, awaits)?;
    let flow = Walk::run_body(&tokens, start, points)?;
    let reached = |number| flow.edges.iter().any(|edge| edge.1 == Node::Await(number));
    (0..awaits.len()).all(reached).then_some(flow)
}

/// The transitions if nothing but the order of the awaits is known.
pub(crate) fn in_order(awaits: usize) -> Flow {
    let nodes = (0..awaits).map(Node::Await);
    let ends = nodes.clone().chain([Node::End]);
    Flow {
        edges: [Node::Start].into_iter().chain(nodes).zip(ends).collect(),
        macros: Vec::new(),
    }
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
            Token::Or if depth == 0 && !function => bars += 2,
            _ if bars == 2 && depth == 0 && !function => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Which token is which await: the word itself, or the macro that hides it. Only those of the body's own count.
fn points(tokens: &Tokens<'_>, own: &BTreeSet<usize>, awaits: &[u64]) -> Option<Vec<usize>> {
    let mut places: Vec<Option<usize>> = vec![None; awaits.len()];
    let mut lines: Vec<_> = awaits.to_vec();
    lines.sort_unstable();
    lines.dedup();
    for line in lines {
        let numbers = (0..awaits.len()).filter(|number| awaits[*number] == line);
        let numbers: Vec<_> = numbers.collect();
        let on_line = |wanted: fn(&Tokens<'_>, usize) -> bool| -> Vec<usize> {
            let here = own.iter().copied();
            here.filter(|at| tokens[*at].1 == line && wanted(tokens, *at))
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
mod tests;
