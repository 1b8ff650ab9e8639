//! Words for what a state machine holds: what `sizes` and `states` have in common.

use camshaft_inspect::{Held, Layout, Precision, Role, StateLayout};

use crate::program::{Function, place};
use crate::terminal::{Page, Piece, Weight, count, number};
use camshaft_inspect::names::Names;

/// A row of what is held. What has no name and is of one type makes one row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// None if nobody says.
    pub(crate) size: Option<u64>,
    pub(crate) name: String,
    pub(crate) of: String,
    pub(crate) captured: bool,
}

/// What is held in a state, the largest first. What takes no space is left out, unless it is awaited.
pub(crate) fn rows(state: &StateLayout, names: &Names) -> Vec<Row> {
    let mut rows: Vec<(Row, u64)> = Vec::new();
    for held in &state.holds {
        if held.size == 0 && held.role != Role::Awaited {
            continue;
        }
        let row = Row {
            size: Some(held.size),
            name: name(held),
            of: names.short(&held.type_name),
            captured: held.role == Role::Captured && state.state.value != 0,
        };
        match rows.last_mut() {
            Some((last, times)) if *last == row && row.name == TEMPORARY => *times += 1,
            _ => rows.push((row, 1)),
        }
    }
    let hidden = state.hidden.iter().map(|name| Row {
        size: None,
        name: name.to_string(),
        of: "another of this name, which the compiler does not describe".to_owned(),
        captured: false,
    });
    rows.into_iter()
        .map(|(mut row, times)| {
            if times > 1 {
                row.name = format!("{times} × {}", row.name);
                row.size = row.size.map(|size| size * times);
            }
            row
        })
        .chain(hidden)
        .collect()
}

impl Row {
    pub(crate) fn bytes(&self) -> String {
        self.size.map_or_else(|| "?".to_owned(), number)
    }
}

/// How many bytes are used.
pub(crate) fn used(state: &StateLayout) -> String {
    let least = if state.hidden.is_empty() {
        ""
    } else {
        "at least "
    };
    format!("{least}{} used", number(state.used))
}

const TEMPORARY: &str = "(temporary)";

/// The name of what is held, in the words of the source.
pub(crate) fn name(held: &Held) -> String {
    match &*held.name {
        "__awaitee" => ".await".to_owned(),
        name if name.starts_with("_ref__") => name.replacen("_ref__", "&", 1),
        name => match name.strip_prefix("__") {
            Some(rest) if rest.bytes().all(|byte| byte.is_ascii_digit()) => TEMPORARY.to_owned(),
            _ => name.to_owned(),
        },
    }
}

/// The name of a state.
pub(crate) fn state_name(state: &StateLayout) -> String {
    match state.state.value {
        0 => "unresumed".to_owned(),
        1 => "returned".to_owned(),
        2 => "panicked".to_owned(),
        value => format!("suspended {}", value - 3),
    }
}

/// Where a state waits: a line alone if it is in the file of the function.
pub(crate) fn state_place(state: &StateLayout, layout: &Layout) -> String {
    let Some(site) = state.state.site.as_ref().filter(|_| state.state.value > 2) else {
        return String::new();
    };
    let home = layout.defined.as_ref().map(|site| &site.file);
    let line = if home == Some(&site.file) {
        format!("line {}", site.line)
    } else {
        place(site)
    };
    match state.state.precision {
        Precision::MacroDefinition => {
            format!("{line}, in a macro or passed to one, whose use is not known")
        }
        Precision::MacroUse => format!("{line}, in a macro"),
        Precision::Likely => format!("{line}, most likely"),
        _ => line,
    }
}

/// Whether something is held in this state. In the last states, places only keep their names.
pub(crate) fn is_over(state: &StateLayout) -> bool {
    matches!(state.state.value, 1 | 2)
}

/// The head of a state machine: what it is, how large, where.
pub(crate) fn head(page: &mut Page, one: &Function) {
    let layout = &one.layout;
    let size = count(layout.size, "byte", "bytes");
    page.line(
        &[Piece(Weight::Bold, &one.name)],
        &[Piece(Weight::Bold, &size)],
    );
    let align = format!("align {}", layout.align);
    let place = match one.place() {
        place if place.is_empty() => String::new(),
        place => format!(" at {place}"),
    };
    page.line(
        &[
            Piece(Weight::Plain, "  "),
            Piece(Weight::Dim, one.kind.text()),
            Piece(Weight::Dim, &place),
        ],
        &[Piece(Weight::Dim, &align)],
    );
}

/// A state and what is held in it.
pub(crate) fn state(page: &mut Page, state: &StateLayout, layout: &Layout, names: &Names) {
    let place = match state_place(state, layout) {
        place if place.is_empty() => String::new(),
        place => format!(" at {place}"),
    };
    let used = used(state);
    page.line(
        &[
            Piece(Weight::Plain, "  "),
            Piece(Weight::Plain, &state_name(state)),
            Piece(Weight::Plain, &place),
        ],
        &[Piece(Weight::Plain, &used)],
    );
    held(page, &rows(state, names), "");
}

/// Rows of what is held, in columns.
pub(crate) fn held(page: &mut Page, rows: &[Row], margin: &str) {
    let widest = rows.iter().map(|row| row.name.chars().count()).max();
    let room = widest.unwrap_or(0).clamp(8, 24);
    for row in rows {
        let size = format!("{:>10}  ", row.bytes());
        let name = format!("{:<room$}  ", page.fit(&row.name, room));
        let note = [Piece(Weight::Dim, "captured")];
        page.line(
            &[
                Piece(Weight::Plain, margin),
                Piece(Weight::Plain, &size),
                Piece(Weight::Plain, &name),
                Piece(Weight::Dim, &row.of),
            ],
            if row.captured { &note } else { &[] },
        );
    }
}
