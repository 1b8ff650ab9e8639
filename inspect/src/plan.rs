//! How to tell from a few bytes of a future where it stands: a plan, made once for its type and followed very often.
//!
//! A coroutine that awaits another one that lies inside of it has two tags: that of the outer one says where the inner one
//! is. So the states of a future are the leaves of a small tree of tags, and each leaf is a path of awaits:
//!
//! ```text
//!   tag of serve ─┬─ 0 not started
//!                 ├─ 3 src/main.rs:12 ── tag of read ─┬─ 0 not started
//!                 │                                   └─ 3 src/io.rs:40     serve src/main.rs:12 -> read src/io.rs:40
//!                 └─ 4 src/main.rs:13                                       serve src/main.rs:13 -> Sleep
//! ```
//!
//! What lies behind a pointer is not looked at, and where several coroutines lie beside each other, as in a join, the path
//! ends. Of what this runtime awaits within itself only the first and the last are named, as in a dump.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bare;
use crate::catalog::{Catalog, State};
use crate::containers::{Nature, Note};
use crate::draw::is_ours;
use crate::program::{type_of, unknown};
use crate::types::{Shape, Site, TypeKey};
use crate::with_program;

/// The most states of a type that are told apart.
const STATES: usize = 4000;
/// The most tags of a type that are looked at.
const STEPS: usize = 4000;
/// The most coroutines within each other.
const DEPTH: usize = 40;
/// The largest tag of an enum that its variants are told by, counted from the smallest.
const VALUES: u128 = 1000;

/// How the state of futures of one type is told from their bytes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The tags to be looked at, the first one first. Without any, no state can be told.
    pub steps: Vec<PlanStep>,
    /// The states that there are.
    pub states: Vec<Arc<PlanState>>,
    /// The name of the type, as people write it.
    pub name: Arc<str>,
    /// Why no state can be told.
    pub limit: Option<Arc<str>>,
    /// Whether another attempt may tell more: this time the program's file could not be read.
    pub is_for_now: bool,
}

/// A tag, and what its values mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanStep {
    /// Where it is, in bytes from the beginning of the future.
    pub offset: u64,
    /// Its size in bytes.
    pub width: u64,
    /// The value that the first of `next` stands for.
    pub base: u64,
    /// What the values mean, one after the other.
    pub next: Vec<PlanNext>,
    /// What all other values mean.
    pub otherwise: PlanNext,
}

/// What a value of a tag means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanNext {
    /// Another tag is to be looked at, by its place in [`Plan::steps`], which is a later one.
    Step(u16),
    /// A state, by its place in [`Plan::states`].
    State(u16),
    /// Nothing that is known.
    Unknown,
}

/// Where a future stands: a path of awaits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PlanState {
    /// The path: `app::serve src/main.rs:12 -> app::read src/io.rs:40 -> Sleep`.
    pub path: Arc<str>,
    /// The line of the innermost await that is known.
    pub site: Option<Site>,
}

/// Makes a plan for a type of this program, named by the address of a vtable that was made by a cast at run time.
///
/// The first call reads the debug information; each takes a thread, and the time to read the types. If the type is not
/// described, the plan is empty and says why.
#[must_use]
pub fn plan_of(vtable: usize, size: usize, type_name: &str) -> Plan {
    let empty = |limit: String| Plan {
        name: bare::future(type_name).into(),
        limit: Some(limit.into()),
        ..Plan::default()
    };
    let plan = with_program(|catalog| match type_of(catalog, vtable, size) {
        Some(key) => Planner::plan(catalog, key).ok_or_else(|| "it has no states".to_owned()),
        None => Err(unknown(catalog, type_name).brief()),
    });
    match plan {
        Ok(Ok(plan)) => plan,
        Ok(Err(limit)) => empty(limit),
        Err(missing) => Plan {
            is_for_now: true,
            ..empty(missing.brief())
        },
    }
}

/// What a function makes a future of by a closure.
fn is_poll_fn(note: &Note) -> bool {
    note.of.name.starts_with("core::future::poll_fn::PollFn<")
}

struct Planner<'a> {
    catalog: &'a mut Catalog,
    plan: Plan,
    known: HashMap<PlanState, u16>,
    inline: HashMap<TypeKey, bool>,
}

/// The awaits on the way to a coroutine.
#[derive(Clone, Default)]
struct Path {
    text: String,
    site: Option<Site>,
    depth: usize,
    /// Whether the last that was named is a function of this runtime.
    own: bool,
}

impl Path {
    fn then(&self, text: &str, site: Option<&Site>) -> Self {
        let arrow = if self.text.is_empty() { "" } else { " -> " };
        Self {
            text: format!("{}{arrow}{text}", self.text),
            site: site.or(self.site.as_ref()).cloned(),
            depth: self.depth + 1,
            own: false,
        }
    }

    /// With a function of this runtime, whose lines are of no interest; one that it calls itself is left out.
    fn then_own(&self, name: &str) -> Self {
        let path = if self.own {
            self.clone()
        } else {
            self.then(&own_name(name), None)
        };
        Self {
            depth: self.depth + 1,
            own: true,
            ..path
        }
    }
}

/// The name of a function with its type: `TcpStream::connect`.
fn own_name(name: &str) -> String {
    let path = name.split('<').next().unwrap_or(name);
    let parts = crate::names::segments(path);
    parts[parts.len().saturating_sub(2)..].join("::")
}

impl<'a> Planner<'a> {
    fn plan(catalog: &'a mut Catalog, key: TypeKey) -> Option<Plan> {
        let mut planner = Self {
            catalog,
            plan: Plan::default(),
            known: HashMap::new(),
            inline: HashMap::new(),
        };
        let first = planner.visit(key, 0, &Path::default());
        planner.plan.name = planner.outermost(key)?;
        matches!(first, PlanNext::Step(0)).then_some(planner.plan)
    }

    /// The name of a type, or of what it is only a wrapper of.
    fn outermost(&mut self, key: TypeKey) -> Option<Arc<str>> {
        let note = self.catalog.note(key)?;
        let inner = note.is_hidden().then(|| self.only(&note)).flatten();
        match inner {
            Some((inner, _)) => self.outermost(inner),
            None => Some(Arc::clone(&note.label)),
        }
    }

    /// Plans what is of a type, at an offset from the beginning of the future.
    fn visit(&mut self, key: TypeKey, offset: u64, path: &Path) -> PlanNext {
        let Some(note) = self.catalog.note(key) else {
            return PlanNext::Unknown;
        };
        if !self.holds(key) || path.depth >= DEPTH || self.plan.steps.len() >= STEPS {
            return self.leaf(&note, path);
        }
        match &note.nature {
            Nature::Coroutine(states) => self.coroutine(&note, states, offset, path),
            Nature::Enum => self.enumeration(&note, offset, path),
            _ => match self.only(&note) {
                Some((inner, at)) => {
                    let glue = path.own && (is_ours(&note.of.name) || is_poll_fn(&note));
                    let path = if note.is_hidden() || path.text.is_empty() || glue {
                        path.clone()
                    } else {
                        path.then(note.of.short_name(), None)
                    };
                    self.visit(inner, offset + at, &path)
                }
                None => self.leaf(&note, path),
            },
        }
    }

    fn coroutine(&mut self, note: &Note, states: &[State], offset: u64, path: &Path) -> PlanNext {
        let Shape::Coroutine(variants) = &note.of.shape else {
            return PlanNext::Unknown;
        };
        let Some((tag, width)) = variants.tag else {
            return PlanNext::Unknown;
        };
        let values: Vec<_> = states
            .iter()
            .map(|state| (Some(state.value), state))
            .collect();
        let own = !path.text.is_empty() && is_ours(&note.label);
        self.tag(offset + tag, width, &values, |planner, state| {
            let site = state.site.as_ref();
            let word = match state.value {
                0 => "not started",
                1 => "returned",
                2 => "panicked",
                _ => "",
            };
            if own && !word.is_empty() {
                return planner.state(&path.then_own(&note.label));
            }
            if !word.is_empty() {
                let path = path.then(&format!("{} ({word})", note.label), site);
                return planner.state(&path);
            }
            let line = match site {
                Some(site) => format!("{} {site}{}", note.label, state.precision),
                None => format!("{} at a line that is not known", note.label),
            };
            let path = if own {
                path.then_own(&note.label)
            } else {
                path.then(&line, site)
            };
            let awaitee = planner.catalog.get(state.of);
            let awaitee = awaitee.and_then(|of| of.member("__awaitee").cloned());
            match awaitee {
                Some(member) => planner.visit(member.of, offset + member.offset, &path),
                None => planner.state(&path),
            }
        })
    }

    fn enumeration(&mut self, note: &Note, offset: u64, path: &Path) -> PlanNext {
        let Shape::Enum(variants) = &note.of.shape else {
            return PlanNext::Unknown;
        };
        let Some((tag, width)) = variants.tag else {
            return match &variants.list[..] {
                [only] => self.visit(only.of, offset, path),
                _ => PlanNext::Unknown,
            };
        };
        let list = variants.list.iter();
        let values: Vec<_> = list.map(|variant| (variant.value, variant.of)).collect();
        self.tag(offset + tag, width, &values, |planner, of| {
            planner.visit(*of, offset, path)
        })
    }

    /// Adds a step for a tag whose values lead elsewhere; no value stands for all others.
    fn tag<T>(
        &mut self,
        offset: u64,
        width: u64,
        values: &[(Option<u128>, T)],
        mut next: impl FnMut(&mut Self, &T) -> PlanNext,
    ) -> PlanNext {
        let known = values.iter().filter_map(|(value, _)| *value);
        let base = known.clone().min().unwrap_or(0);
        let last = known.max().unwrap_or(0);
        let place = self.plan.steps.len();
        let (Ok(number), Ok(first)) = (u16::try_from(place), u64::try_from(base)) else {
            return PlanNext::Unknown;
        };
        if last - base > VALUES || !matches!(width, 1 | 2 | 4 | 8) {
            return PlanNext::Unknown;
        }
        self.plan.steps.push(PlanStep {
            offset,
            width,
            base: first,
            next: Vec::new(),
            otherwise: PlanNext::Unknown,
        });
        let count = usize::try_from(last - base).unwrap_or(0) + 1;
        let mut meaning = vec![None; count];
        let mut otherwise = PlanNext::Unknown;
        for (value, target) in values {
            let to = next(self, target);
            match value.map(|value| usize::try_from(value - base)) {
                Some(Ok(value)) => meaning[value] = Some(to),
                _ => otherwise = to,
            }
        }
        let step = &mut self.plan.steps[place];
        step.next = meaning
            .into_iter()
            .map(|to| to.unwrap_or(otherwise))
            .collect();
        step.otherwise = otherwise;
        PlanNext::Step(number)
    }

    /// The end of a path: something of a type that has no tags that say more.
    fn leaf(&mut self, note: &Note, path: &Path) -> PlanNext {
        let name = if note.is_hidden() || note.nature.is_pointer() {
            &*note.label
        } else {
            note.of.short_name()
        };
        let path = match note.nature {
            Nature::Coroutine(_) => path.then(&format!("{} (no more is told)", note.label), None),
            _ => path.then(name, None),
        };
        self.state(&path)
    }

    fn state(&mut self, path: &Path) -> PlanNext {
        let state = PlanState {
            path: path.text.as_str().into(),
            site: path.site.clone(),
        };
        if let Some(known) = self.known.get(&state) {
            return PlanNext::State(*known);
        }
        let number = match u16::try_from(self.plan.states.len()) {
            Ok(number) if usize::from(number) < STATES => number,
            _ => return PlanNext::Unknown,
        };
        self.plan.states.push(Arc::new(state.clone()));
        self.known.insert(state, number);
        PlanNext::State(number)
    }

    /// The only member of a struct in which a coroutine lies: its type, and where it is.
    fn only(&mut self, note: &Note) -> Option<(TypeKey, u64)> {
        if !matches!(note.nature, Nature::Members) {
            return None;
        }
        let members = note.of.members().iter();
        let mut holding = members.filter(|member| self.holds(member.of));
        let first = holding.next()?;
        holding.next().is_none().then_some((first.of, first.offset))
    }

    /// Whether a coroutine lies in what is of a type, and not behind a pointer.
    fn holds(&mut self, key: TypeKey) -> bool {
        if let Some(known) = self.inline.get(&key) {
            return *known;
        }
        self.inline.insert(key, false); // nothing lies in itself, whatever the description says
        let holds = match self.catalog.note(key) {
            Some(note) => match note.nature {
                Nature::Coroutine(_) => true,
                // Somebody else may write to it at any time.
                _ if note.of.name.starts_with("core::cell::UnsafeCell<") => false,
                Nature::Members | Nature::Enum => {
                    note.leads_to().into_iter().any(|key| self.holds(key))
                }
                _ => false,
            },
            None => false,
        };
        self.inline.insert(key, holds);
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn what_the_runtime_awaits_within_itself_is_left_out() {
        let path = Path::default().then("app::serve src/main.rs:3", None);
        let path = path.then_own("camshaft::net::tcp::TcpStream::connect<(&str, u16)>");
        let path = path.then_own("camshaft::net::addr::first");
        let path = path.then("Op", None);
        assert_eq!(
            path.text,
            "app::serve src/main.rs:3 -> TcpStream::connect -> Op"
        );
        assert_eq!(path.depth, 4);
    }
}
