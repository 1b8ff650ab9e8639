//! Where a coroutine waits, in lines of source.
//!
//! The compiler notes a line at each state: that of the await. If a macro awaits, it is a line of the macro, which tells nothing
//! of who used it. The body of the function knows better: it has a variable `__awaitee` for each await, and its line is where the
//! macro is used. Which state belongs to which variable is told by the type, and among awaits of one type by their order; then
//! the line is said to be likely. If there is no such variable, the line of the macro is given, and said to be one. So it is for
//! macros of the same crate, of whose uses the compiler notes nothing unless it is told `-C collapse-macro-debuginfo=yes`.

use std::sync::Arc;

use gimli::constants as dw;

use crate::catalog::{Catalog, Precision, State};
use crate::image::{Image, Slice};
use crate::load::Open;
use crate::types::{Shape, Site, TypeKey, Variants};

/// Blocks within each other; each variable begins one. Awaits that are deeper have the line of the macro.
const BLOCKS: u32 = 1000;

/// A variable in the body of a function; `__awaitee` is an await.
pub(crate) struct Variable {
    pub(crate) name: Arc<str>,
    of: TypeKey,
    pub(crate) site: Site,
}

pub(crate) fn states(catalog: &mut Catalog, key: TypeKey) -> Option<Vec<State>> {
    let coroutine = catalog.get(key)?;
    let Shape::Coroutine(variants) = &coroutine.shape else {
        return None;
    };
    let lines = Lines::of(variants);
    let mut states = Vec::new();
    for variant in &variants.list {
        let of = catalog.get(variant.of)?;
        let precision = match of.short_name().starts_with("Suspend") {
            true => precision(lines.as_ref(), variant.site.as_ref()),
            false => Precision::Exact,
        };
        states.push(State {
            value: variant.value?,
            name: of.short_name().into(),
            of: variant.of,
            site: variant.site.clone(),
            precision,
        });
    }
    if states
        .iter()
        .any(|state| state.precision == Precision::MacroDefinition)
    {
        recover(catalog, key, lines.as_ref(), &mut states);
    }
    Some(states)
}

/// The lines from the head of a function to its end.
struct Lines {
    file: Arc<str>,
    first: u64,
    last: u64,
}

impl Lines {
    fn of(variants: &Variants) -> Option<Self> {
        let head = variants.of_value(0)?.site.as_ref()?;
        let end = variants.of_value(1)?.site.as_ref()?;
        // A function that a macro wrote may begin and end anywhere.
        (head.file == end.file && head.line <= end.line).then(|| Self {
            file: Arc::clone(&head.file),
            first: head.line,
            last: end.line,
        })
    }
}

/// Between which lines a function is, from where it begins and where it ends.
pub(crate) fn between(states: &[State]) -> Option<String> {
    let line = |value| {
        let state = states.iter().find(|state| state.value == value)?;
        state.site.as_ref()
    };
    let (first, last) = (line(0)?, line(1)?);
    (first.file == last.file).then(|| format!("used between {first} and line {}", last.line))
}

/// How exact the line of an await is that the compiler names.
fn precision(lines: Option<&Lines>, site: Option<&Site>) -> Precision {
    let (Some(lines), Some(site)) = (lines, site) else {
        return Precision::Likely;
    };
    if site.file != lines.file || site.line < lines.first {
        Precision::MacroDefinition
    } else if site.line <= lines.last {
        Precision::Exact
    } else if lines.first == lines.last {
        // An attribute that rewrites a function, as that of async-trait, leaves it a line of its head alone for both. What follows
        // there is the function, or a macro that may be used before it is written, by its path.
        Precision::Likely
    } else {
        Precision::MacroDefinition
    }
}

/// The variables of the body of a coroutine; none if no body is described.
pub(crate) fn variables(catalog: &mut Catalog, key: TypeKey) -> Vec<Variable> {
    let bodies = catalog.bodies(key).into_iter();
    // The copies of a function that was inlined refer to the one that says everything.
    bodies
        .map(|body| variables_of(catalog, body))
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn recover(catalog: &mut Catalog, key: TypeKey, lines: Option<&Lines>, states: &mut [State]) {
    let mut awaits = variables(catalog, key);
    awaits.retain(|variable| &*variable.name == "__awaitee");
    assign(catalog, &awaits, lines, states);
}

/// Gives states the lines of the awaits of the same type, if there are as many of one as of the other.
fn assign(catalog: &mut Catalog, awaits: &[Variable], lines: Option<&Lines>, states: &mut [State]) {
    let kinds: Vec<_> = awaits
        .iter()
        .map(|one| type_name(catalog, one.of))
        .collect();
    let waiting: Vec<_> = states
        .iter()
        .map(|state| {
            let awaitee = catalog.get(state.of)?.member("__awaitee")?.of;
            type_name(catalog, awaitee)
        })
        .collect();
    for index in 0..states.len() {
        let Some(kind) = &waiting[index] else {
            continue;
        };
        if states[index].precision != Precision::MacroDefinition {
            continue;
        }
        let same = |list: &[Option<Arc<str>>]| -> Vec<usize> {
            let is = |index: &usize| list[*index].as_ref() == Some(kind);
            (0..list.len()).filter(is).collect()
        };
        let (candidates, peers) = (same(&kinds), same(&waiting));
        if candidates.len() != peers.len() {
            continue;
        }
        let place = peers.iter().position(|peer| *peer == index);
        let site = place.and_then(|place| Some(&awaits[*candidates.get(place)?].site));
        // Of a macro of the same crate the body does not know more.
        let used = match precision(lines, site) {
            // Nothing says that states are numbered in the order of the awaits.
            Precision::Exact if peers.len() == 1 => Precision::MacroUse,
            Precision::Exact | Precision::Likely => Precision::Likely,
            _ => continue,
        };
        states[index].site = site.cloned();
        states[index].precision = used;
    }
}

fn type_name(catalog: &mut Catalog, key: TypeKey) -> Option<Arc<str>> {
    Some(Arc::clone(&catalog.get(key)?.name))
}

/// The variables of a body, in the order of the source.
fn variables_of(catalog: &mut Catalog, body: TypeKey) -> Vec<Variable> {
    let mut found = Vec::new();
    let Some((image, open)) = catalog.open_in_image(body.unit) else {
        return found;
    };
    let abbreviations = Arc::clone(&open.unit.abbreviations);
    let header = open.unit.header;
    let at = gimli::UnitOffset(body.offset as usize);
    if let Ok(mut tree) = header.entries_tree(&abbreviations, Some(at))
        && let Ok(root) = tree.root()
    {
        collect(image, open, root, BLOCKS, &mut found);
    }
    found
}

fn collect(
    image: &Image,
    open: &mut Open,
    node: gimli::EntriesTreeNode<'_, '_, Slice>,
    depth: u32,
    found: &mut Vec<Variable>,
) {
    let mut children = node.children();
    while let Ok(Some(child)) = children.next() {
        let entry = child.entry();
        match entry.tag() {
            dw::DW_TAG_variable => {
                let of = entry
                    .attr_value(dw::DW_AT_type)
                    .and_then(|value| open.key(image, value));
                if let (Some(name), Some(of), Some(site)) =
                    (open.named(entry), of, open.site(entry))
                {
                    found.push(Variable { name, of, site });
                }
            }
            // Blocks of this function; what was inlined into it belongs to others.
            dw::DW_TAG_lexical_block if depth > 0 => {
                collect(image, open, child, depth - 1, found);
            }
            _ => {}
        }
    }
}
