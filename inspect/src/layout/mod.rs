//! What a coroutine holds in each state, and what of its size is wasted.
//!
//! The size of a coroutine is that of its fullest state, and more: what was captured keeps its place in every state, and an
//! argument that lives across an await may be stored twice, where it was captured and where the body moved it.

mod show;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::{Catalog, State};
use crate::json::Json;
use crate::sites::variables;
use crate::types::{Shape, Site, Type, TypeKey};

/// What a coroutine holds in each state.
///
/// It displays as a table of its states.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Layout {
    /// The type.
    pub key: TypeKey,
    /// Its name with its modules.
    pub name: Arc<str>,
    /// Its size in bytes: what `size_of_val` says.
    pub size: u64,
    /// Its alignment in bytes.
    pub align: u64,
    /// Where its function, block or closure begins.
    pub defined: Option<Site>,
    /// Where that ends.
    pub ends: Option<Site>,
    /// Where the number is that says which state it is in: offset and bytes.
    pub tag: Option<(u64, u64)>,
    /// What it captured: arguments, or variables from around it.
    pub captured: Vec<Held>,
    /// Its states, in the order of their tags: `Unresumed`, `Returned`, `Panicked`, then one for each await.
    pub states: Vec<StateLayout>,
    /// What is stored twice.
    pub doubled: Vec<Doubled>,
}

/// What a coroutine holds in one state.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StateLayout {
    /// The state itself, with the line of its await.
    pub state: State,
    /// What it holds, the largest first.
    pub holds: Vec<Held>,
    /// The names of variables that are held as well, but of which nothing else is known: the compiler describes only one of each
    /// name, such as of those that two uses of `pin!` make.
    pub hidden: Vec<Arc<str>>,
    /// Bytes that something is in, the tag included; more if something is hidden.
    pub used: u64,
    /// Bytes of the coroutine that nothing is in while it is in this state.
    pub unused: u64,
}

/// A variable in a state.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Held {
    /// Its name; `__awaitee` is what is awaited, and numbers with two underscores are temporary values.
    pub name: Arc<str>,
    /// Its type.
    pub of: TypeKey,
    /// The name of that.
    pub type_name: Arc<str>,
    /// Where it begins.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Why it is held.
    pub role: Role,
}

/// Why something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It was captured, and keeps its place; it may have been moved out.
    Captured,
    /// A variable or a temporary value, needed after the await or borrowed across it.
    Local,
    /// What is awaited.
    Awaited,
}

/// A variable that is stored twice.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Doubled {
    /// Its name.
    pub name: Arc<str>,
    /// The name of its type.
    pub type_name: Arc<str>,
    /// Its size in bytes.
    pub size: u64,
    /// Where it was captured.
    pub captured_at: u64,
    /// Where the body keeps it.
    pub kept_at: u64,
    /// Whether it is the same variable for sure. Otherwise the body has others of its name, and what is kept may be one of those.
    pub certain: bool,
}

impl Layout {
    /// Bytes that a better layout could do without: what is stored twice for sure, and what not even the fullest state uses.
    #[must_use]
    pub fn waste(&self) -> u64 {
        let certain = self.doubled.iter().filter(|doubled| doubled.certain);
        let doubled: u64 = certain.map(|doubled| doubled.size).sum();
        let padding = self.padding();
        doubled.saturating_add(padding).min(self.size)
    }

    /// Whether some state holds what the compiler does not describe, so that padding is not known.
    #[must_use]
    pub fn has_hidden(&self) -> bool {
        self.states.iter().any(|state| !state.hidden.is_empty())
    }

    /// Bytes that no state uses: what alignment costs. None are claimed if something is hidden, which may be in them.
    #[must_use]
    pub fn padding(&self) -> u64 {
        if self.has_hidden() {
            return 0;
        }
        let all = self.states.iter().flat_map(|state| &state.holds);
        let used = covered(all.chain(&self.captured), self.tag);
        self.size.saturating_sub(used)
    }

    /// The state that uses the most bytes.
    #[must_use]
    pub fn fullest(&self) -> Option<&StateLayout> {
        self.states.iter().max_by_key(|state| state.used)
    }

    /// The layout as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        Json::of(self)
    }
}

pub(crate) fn layout(catalog: &mut Catalog, key: TypeKey) -> Option<Layout> {
    let coroutine = catalog.get(key)?;
    let Shape::Coroutine(variants) = &coroutine.shape else {
        return None;
    };
    let states = catalog.states(key)?;
    let first = states.iter().find(|state| state.value == 0)?;
    let unresumed = catalog.get(first.of)?;
    let (captured, _) = held(catalog, &unresumed, &BTreeSet::new());
    let places: BTreeSet<_> = captured
        .iter()
        .map(|one| (Arc::clone(&one.name), one.offset))
        .collect();
    let mut layouts = Vec::new();
    for state in &*states {
        let of = catalog.get(state.of)?;
        let (holds, hidden) = held(catalog, &of, &places);
        let used = covered(&holds, variants.tag).min(coroutine.size);
        layouts.push(StateLayout {
            state: state.clone(),
            used,
            unused: coroutine.size - used,
            holds,
            hidden,
        });
    }
    let end = states.iter().find(|state| state.value == 1);
    let ends = end.and_then(|end| end.site.clone());
    let mut doubled = doubled(&captured, &layouts);
    if !doubled.is_empty() {
        let rebound = rebound(catalog, key, first.site.as_ref(), ends.as_ref());
        for one in &mut doubled {
            one.certain = rebound.contains(&one.name);
        }
    }
    Some(Layout {
        key,
        name: Arc::clone(&coroutine.name),
        size: coroutine.size,
        align: coroutine.align,
        defined: first.site.clone(),
        ends,
        tag: variants.tag,
        doubled,
        captured,
        states: layouts,
    })
}

/// What is in a state, the largest first, and what more of the same names. `captured` are the names and places of what was
/// captured.
fn held(
    catalog: &mut Catalog,
    state: &Type,
    captured: &BTreeSet<(Arc<str>, u64)>,
) -> (Vec<Held>, Vec<Arc<str>>) {
    // All that was captured is listed in every state. Of entries with one name, the compiler gives all the place of the first.
    let mut seen: BTreeSet<_> = BTreeSet::new();
    let mut again: BTreeSet<_> = captured.iter().map(|(name, _)| Arc::clone(name)).collect();
    let mut hidden = Vec::new();
    let mut list = Vec::new();
    for member in state.members() {
        let place = (Arc::clone(&member.name), member.offset);
        let role = match &*member.name {
            "__awaitee" => Role::Awaited,
            _ if captured.is_empty() && state.short_name() == "Unresumed" => Role::Captured,
            _ if captured.contains(&place) => Role::Captured,
            _ => Role::Local,
        };
        if !seen.insert(place) {
            if !again.remove(&member.name) {
                hidden.push(Arc::clone(&member.name));
            }
            continue;
        }
        let Some(of) = catalog.get(member.of) else {
            continue;
        };
        list.push(Held {
            name: Arc::clone(&member.name),
            of: member.of,
            type_name: Arc::clone(&of.name),
            offset: member.offset,
            size: of.size,
            role,
        });
    }
    list.sort_by_key(|held| (std::cmp::Reverse(held.size), held.offset));
    (list, hidden)
}

/// How many bytes something is in. Places may overlap: what was captured keeps its name after its place is used again.
fn covered<'a>(held: impl IntoIterator<Item = &'a Held>, tag: Option<(u64, u64)>) -> u64 {
    let mut places: Vec<_> = held
        .into_iter()
        .map(|held| (held.offset, held.offset.saturating_add(held.size)))
        .chain(tag.map(|(offset, size)| (offset, offset + size)))
        .collect();
    places.sort_unstable();
    let (mut bytes, mut at) = (0, 0);
    for (start, end) in places {
        bytes += end.saturating_sub(start.max(at));
        at = at.max(end);
    }
    bytes
}

fn doubled(captured: &[Held], states: &[StateLayout]) -> Vec<Doubled> {
    let mut list: Vec<Doubled> = Vec::new();
    for one in captured.iter().filter(|one| one.size > 0) {
        let copy = states
            .iter()
            .flat_map(|state| &state.holds)
            .find(|held| held.name == one.name && held.of == one.of && held.offset != one.offset);
        if let Some(copy) = copy {
            list.push(Doubled {
                name: Arc::clone(&one.name),
                type_name: Arc::clone(&one.type_name),
                size: one.size,
                captured_at: one.offset,
                kept_at: copy.offset,
                certain: false,
            });
        }
    }
    list.sort_by_key(|doubled| std::cmp::Reverse(doubled.size));
    list
}

/// The arguments of a function that its body has no other variables of the name of. The compiler begins the body of an `async fn`
/// by moving each argument into a variable that is called the same, and stands on the same line.
fn rebound(
    catalog: &mut Catalog,
    key: TypeKey,
    head: Option<&Site>,
    end: Option<&Site>,
) -> BTreeSet<Arc<str>> {
    let Some(of) = catalog.get(key) else {
        return BTreeSet::new();
    };
    // On a single line nothing can be told apart.
    if !of.short_name().starts_with("{async_fn_env#") || head == end {
        return BTreeSet::new();
    }
    let variables = variables(catalog, key);
    let twice = |name: &Arc<str>| {
        let mut same = variables.iter().filter(|variable| variable.name == *name);
        let (one, two) = (same.next(), same.next());
        same.next().is_none() && one.zip(two).is_some_and(|(one, two)| one.site == two.site)
    };
    let names = variables.iter().map(|variable| &variable.name);
    names.filter(|name| twice(name)).cloned().collect()
}
