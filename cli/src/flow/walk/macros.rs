//! What is known of macros: whether what they are given is evaluated once, and whether they end the function.

use crate::flow::Tokens;
use crate::tokens::Token;

/// What a macro does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Macro {
    /// It evaluates what it is given, one after the other, or one of its arms.
    Evaluates,
    /// As that, and then it panics.
    Panics,
    /// As that, and then it returns.
    Returns,
    /// As that, and then it may return.
    MayReturn,
    Unknown,
}

/// Those of the standard library, and those by which others await or return.
pub(super) fn kind(name: &str) -> Macro {
    match name {
        "assert" | "assert_eq" | "assert_matches" | "assert_ne" | "dbg" | "debug_assert"
        | "debug_assert_eq" | "debug_assert_ne" | "eprint" | "eprintln" | "format"
        | "format_args" | "matches" | "print" | "println" | "vec" | "write" | "writeln" => {
            Macro::Evaluates
        }
        "join" | "pin" | "select" | "select_biased" | "try_join" => Macro::Evaluates,
        "anyhow" | "eyre" => Macro::Evaluates,
        "panic" | "todo" | "unimplemented" | "unreachable" => Macro::Panics,
        "bail" => Macro::Returns,
        "ensure" => Macro::MayReturn,
        _ => Macro::Unknown,
    }
}

/// Whether it matters what becomes of these tokens: they wait, or leave.
pub(super) fn matters(tokens: &Tokens<'_>) -> bool {
    tokens.iter().any(|(token, _)| {
        matches!(
            token,
            Token::Word("await" | "return" | "break" | "continue") | Token::Sign('?')
        )
    })
}
