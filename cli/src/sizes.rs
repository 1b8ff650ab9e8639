//! `camshaft sizes`: how large the state machines of a program are, and why.

use anyhow::Result;
use serde_json::{Value, json};

use crate::describe::{self, head, is_over, state_name};
use crate::program::{Function, Program};
use crate::terminal::{Page, Piece, Weight, count, number};

/// Everything of each, in words.
pub(crate) fn details(page: &mut Page, program: &Program, limit: usize) {
    for one in program.functions.iter().take(limit) {
        head(page, one);
        waste(page, one);
        for state in one.layout.states.iter().filter(|state| !is_over(state)) {
            describe::state(page, state, &one.layout, &program.names);
        }
        over(page, one);
        page.gap();
    }
    total(page, &program.functions, limit);
}

/// A line for each.
pub(crate) fn table(page: &mut Page, program: &Program, limit: usize) {
    let title = format!(
        "{:>10}{:>10}{:>9}{:>8}  name",
        "size", "waste", "padding", "states"
    );
    page.line(&[Piece(Weight::Dim, &title)], &[]);
    for one in program.functions.iter().take(limit) {
        let layout = &one.layout;
        let size = format!("{:>10}", number(layout.size));
        let waste = format!("{:>10}", number(layout.waste()));
        let padding = match layout.has_hidden() {
            true => "?".to_owned(),
            false => number(layout.padding()),
        };
        let rest = format!("{padding:>9}{:>8}  ", layout.states.len());
        let wasteful = layout.waste() * 4 >= layout.size.max(64);
        page.line(
            &[
                Piece(Weight::Bold, &size),
                Piece(
                    if wasteful {
                        Weight::Warn
                    } else {
                        Weight::Plain
                    },
                    &waste,
                ),
                Piece(Weight::Plain, &rest),
                Piece(Weight::Plain, &one.name),
            ],
            &[],
        );
    }
    page.gap();
    total(page, &program.functions, limit);
}

/// Those that are larger than they may be. Tells whether there are none.
pub(crate) fn budget(page: &mut Page, program: &Program, max: u64, limit: usize) -> bool {
    let over: Vec<_> = over_budget(program, max).collect();
    let all = program.functions.len();
    let most = count(max, "byte", "bytes");
    if over.is_empty() {
        let largest = program.functions.iter().max_by_key(|one| one.layout.size);
        let largest = largest.map_or_else(String::new, |one| {
            format!(
                "; the largest is {} with {}",
                one.name,
                number(one.layout.size)
            )
        });
        let text = format!("none of {} is larger than {most}{largest}", machines(all));
        page.line(&[Piece(Weight::Plain, &text)], &[]);
        return true;
    }
    let be = if over.len() == 1 { "is" } else { "are" };
    let text = format!(
        "{} of {} {be} larger than {most}:",
        over.len(),
        machines(all)
    );
    page.line(&[Piece(Weight::Warn, &text)], &[]);
    for one in over.iter().take(limit) {
        let size = format!("{:>10}  ", number(one.layout.size));
        let place = one.place();
        page.line(
            &[Piece(Weight::Bold, &size), Piece(Weight::Plain, &one.name)],
            &[Piece(Weight::Dim, &place)],
        );
    }
    false
}

pub(crate) fn over_budget(program: &Program, max: u64) -> impl Iterator<Item = &Function> {
    let over = move |one: &&Function| one.layout.size > max;
    program.functions.iter().filter(over)
}

/// The same for programs.
pub(crate) fn to_json(program: &Program, limit: usize) -> Result<Value> {
    let list: Result<Vec<_>> = program.functions.iter().take(limit).map(function).collect();
    Ok(json!({
        "program": program.path.display().to_string(),
        "selected": program.functions.len(),
        "functions": list?,
    }))
}

/// A state machine with its raw name as `type` and the one for people as `name`.
pub(crate) fn function(one: &Function) -> Result<Value> {
    let mut value: Value = serde_json::from_str(&one.layout.to_json())?;
    value["type"] = value["name"].take();
    value["name"] = json!(one.name);
    value["kind"] = json!(one.kind.text());
    value["own"] = json!(one.own);
    for (state, layout) in value["states"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .zip(&one.layout.states)
    {
        state["name"] = json!(state_name(layout));
        if is_over(layout) {
            state["holds"] = json!([]); // places keep their names when nothing is in them any more
        }
    }
    Ok(value)
}

fn waste(page: &mut Page, one: &Function) {
    let layout = &one.layout;
    if layout.waste() == 0 && !layout.has_hidden() {
        return;
    }
    let certain = layout.doubled.iter().filter(|doubled| doubled.certain);
    let twice: u64 = certain.map(|doubled| doubled.size).sum();
    let parts = [(twice, "stored twice"), (layout.padding(), "padding")];
    let parts: Vec<_> = parts.iter().filter(|(bytes, _)| *bytes > 0).collect();
    let parts: Vec<_> = parts
        .iter()
        .map(|(bytes, what)| match parts.len() {
            1 => format!("all {what}"),
            _ => format!("{} {what}", number(*bytes)),
        })
        .collect();
    let parts = match (parts.is_empty(), layout.has_hidden()) {
        (_, false) => format!(": {}", parts.join(", ")),
        (true, true) => ", and padding, which is not known".to_owned(),
        (false, true) => format!(": {}, and padding, which is not known", parts.join(", ")),
    };
    let text = format!("  wastes {}{parts}", number(layout.waste()));
    page.line(&[Piece(Weight::Warn, &text)], &[]);
}

/// What is to be said at the end of one.
fn over(page: &mut Page, one: &Function) {
    let layout = &one.layout;
    page.line(
        &[Piece(Weight::Dim, "  returned, panicked")],
        &[Piece(Weight::Dim, "nothing held")],
    );
    for twice in &layout.doubled {
        let verb = match twice.certain {
            true => "is",
            false => "(or another of its name) is perhaps",
        };
        let text = format!(
            "  {} {verb} stored twice: {} at {}, where it was captured, and at {}",
            twice.name,
            count(twice.size, "byte", "bytes"),
            number(twice.captured_at),
            number(twice.kept_at),
        );
        page.line(&[Piece(Weight::Warn, &text)], &[]);
    }
}

fn total(page: &mut Page, functions: &[Function], limit: usize) {
    let all = functions.len();
    let waste = functions.iter().map(|one| one.layout.waste()).sum();
    let shown = match limit < all {
        true => format!("{limit} of {} shown", machines(all)),
        false => machines(all),
    };
    let largest = functions.iter().map(|one| one.layout.size).max();
    let text = format!(
        "{shown}; the largest has {}; wasted in all: {}",
        count(largest.unwrap_or(0), "byte", "bytes"),
        number(waste),
    );
    page.line(&[Piece(Weight::Dim, &text)], &[]);
}

pub(crate) fn machines(number: usize) -> String {
    count(number as u64, "state machine", "state machines")
}
