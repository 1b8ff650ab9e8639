//! Names of futures of which no more is known than what `type_name` says.

use crate::leaves::FIBER;
use crate::names;

/// What the executor's wrappers of futures begin with.
const WRAPPED: [&str; 2] = [
    "camshaft_executor::builder::Plain<",
    "camshaft_executor::builder::Named<",
];
/// What large ones are put into.
const BOXED: &str = "core::pin::Pin<alloc::boxed::Box<";

/// The name of a task's future, without what the executor puts around it.
pub(crate) fn unwrapped(name: &str) -> &str {
    let boxed = name.strip_prefix(BOXED);
    let boxed = boxed.and_then(|name| name.strip_suffix(">>"));
    let wrapped = boxed.unwrap_or(name);
    let mut around = WRAPPED.into_iter();
    let inner = around.find_map(|around| wrapped.strip_prefix(around)?.strip_suffix('>'));
    inner.unwrap_or(name)
}

/// A future for people: of a fiber, what it runs.
pub(crate) fn future(name: &str) -> String {
    let name = unwrapped(name);
    match name.strip_prefix(FIBER) {
        Some(runs) => format!("a fiber of {}", readable(first(runs))),
        None => readable(name),
    }
}

/// An `async fn` is a closure in a function, and called by that. What is in it is told from it.
fn readable(name: &str) -> String {
    const CLOSURE: &str = "::{{closure}}";
    let mut text = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once(CLOSURE) {
        text.push_str(before);
        rest = after;
        while let Some(after) = rest.strip_prefix(CLOSURE) {
            text.push_str("::{closure}");
            rest = after;
        }
    }
    text.push_str(rest);
    names::label(&text)
}

/// The first of the types that something is generic over; what follows the angle bracket is given.
fn first(list: &str) -> &str {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, letter) in list.char_indices() {
        match letter {
            ',' | '>' if depth == 0 && before != '-' => return &list[..at],
            '<' | '(' | '[' | '{' => depth += 1,
            '>' if before == '-' => {} // an arrow
            '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = letter;
    }
    list
}

#[cfg(test)]
mod tests {
    use super::future;

    #[test]
    fn names_that_are_not_described_are_readable() {
        for (name, expected) in [
            (
                "camshaft_executor::builder::Plain<app::serve::{{closure}}>",
                "app::serve",
            ),
            (
                "core::pin::Pin<alloc::boxed::Box<camshaft_executor::builder::Named<app::Job>>>",
                "app::Job",
            ),
            ("app::main::{{closure}}", "app::main"),
            // What is in a function is not the function.
            (
                "camshaft_executor::builder::Plain<app::run::{{closure}}::{{closure}}>",
                "app::run::{closure}",
            ),
            (
                "camshaft_executor::builder::Plain<app::Job<app::run::{{closure}}, u8>>",
                "app::Job<run, u8>",
            ),
            (
                "camshaft_stackful::fiber::Fiber<app::run::{{closure}}::{{closure}}, u32>",
                "a fiber of app::run::{closure}",
            ),
            (
                "camshaft_executor::builder::Plain<camshaft_stackful::fiber::Fiber<fn(u8) -> alloc::vec::Vec<u8>, ()>>",
                "a fiber of fn(u8) -> Vec<u8>",
            ),
            // The program's own box stays.
            (
                "camshaft_executor::builder::Plain<core::pin::Pin<alloc::boxed::Box<app::Job>>>",
                "core::pin::Pin<Box<Job>>",
            ),
            ("app::Job<u8>", "app::Job<u8>"),
            (
                "camshaft_executor::builder::Plain<cut",
                "camshaft_executor::builder::Plain<cut",
            ),
        ] {
            assert_eq!(future(name), expected);
        }
    }
}
