//! Finds what a future waits for, in its bytes.
//!
//! A walk sees a catalog and a memory, and nothing else: it runs no code of the future. A coroutine says by its tag which of its
//! states it is in, and `__awaitee` in that state is what it waits for. Other variables of a state are not looked at: one that was
//! moved out is still listed, with whatever bytes it left. Below a coroutine, types are walked as they are built.
//!
//! Every walk ends: it visits a bounded number of things, to a bounded depth, and follows no pointer twice to the same type.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Catalog, Precision, State};
use crate::containers::{Nature, Note};
use crate::liveness::is_maybe_done;
use crate::load::little;
use crate::memory::Memory;
use crate::quick::Set;
use crate::sites::between;
use crate::stack::fibers::Fibers;
use crate::tree::{Node, Standing};
use crate::types::{Member, Shape, TypeKey};

/// Futures in one tree.
const NODES: u32 = 10_000;
/// Types that are looked at for each of them.
const STEPS: u32 = 20;
/// Types within each other.
pub(crate) const DEPTH: u32 = 1000;
/// Bytes of a single future.
pub(crate) const BYTES: u64 = 1 << 24;

/// Walks through the bytes of futures.
///
/// The stack must have room for the deepest of them, at most 16 MiB: [`with_program`](crate::with_program) sees to that.
pub struct Walker<'a> {
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) memory: &'a dyn Memory,
    /// How far from where it was linked the program is loaded.
    pub(crate) bias: u64,
    pub(crate) seen: Set<(u64, TypeKey)>,
    /// The most futures in one tree.
    most: u32,
    steps: u32,
    pub(crate) depth: u32,
    pub(crate) running: bool,
    /// Whether what is visited is as the running task left it when it was last suspended: its pointers may lead to what is gone.
    pub(crate) stale: bool,
    /// Whether descriptors are those of this process.
    pub(crate) own: bool,
    /// The fibers that may be come to.
    pub(crate) fibers: Option<&'a Fibers>,
    /// The present moment of `CLOCK_MONOTONIC`.
    pub(crate) now: Duration,
}

/// A value in memory.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) key: TypeKey,
    pub(crate) at: u64,
    pub(crate) bytes: &'a [u8],
    pub(crate) way: Way,
}

/// How a value was come to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Way {
    /// Whether shared references lead to what is polled: those that a closure captured do.
    pub(crate) closure: bool,
    /// Whether it is a future for sure, because it is awaited.
    pub(crate) awaited: bool,
}

impl<'a> Walker<'a> {
    /// Creates a walker through the memory of a program that is loaded so far from where it was linked.
    pub fn new(catalog: &'a mut Catalog, memory: &'a dyn Memory, bias: u64) -> Self {
        Self {
            catalog,
            memory,
            bias,
            seen: Set::default(),
            most: NODES,
            steps: 0,
            depth: 0,
            running: false,
            stale: false,
            own: false,
            fibers: None,
            now: Duration::ZERO,
        }
    }

    /// Says whether the futures that follow are being polled: their tags then say where they were resumed from. What lies below
    /// is as it was when they were last suspended, so no pointers are followed there.
    #[must_use]
    pub fn running(mut self, running: bool) -> Self {
        self.running = running;
        self
    }

    /// Says that the memory is that of this process, and what `CLOCK_MONOTONIC` shows: leaves then tell of their descriptors and how
    /// much time is left.
    #[must_use]
    pub fn here(mut self, now: Duration) -> Self {
        (self.own, self.now) = (true, now);
        self
    }

    /// Sets about how many futures a tree may have; the rest is said to be left out. It is 10,000 unless set.
    #[must_use]
    pub fn most(mut self, futures: u32) -> Self {
        self.most = futures;
        self
    }

    /// The tree of the future at an address.
    pub fn walk(&mut self, key: TypeKey, address: u64) -> Node {
        self.seen.clear();
        self.stale = false;
        (self.steps, self.depth) = (self.most.saturating_mul(STEPS), DEPTH);
        let mut found = Vec::new();
        self.follow(
            key,
            address,
            Way {
                awaited: true,
                ..Way::default()
            },
            &mut found,
        );
        if found.len() == 1 {
            return found.remove(0);
        }
        let mut node = match self.note(key) {
            Some(note) => note.node(None),
            None => Node::new(
                Standing::Future(None),
                "a type that is not described".into(),
            ),
        };
        node.children = found;
        node
    }

    /// The tree of a future whose type is not described.
    pub(crate) fn unknown(&mut self, name: &str, at: u64, size: u64, limit: Arc<str>) -> Node {
        (self.steps, self.depth) = (self.most.saturating_mul(STEPS), DEPTH);
        self.untyped(name, at, size, limit)
    }

    pub(crate) fn note(&mut self, key: TypeKey) -> Option<Arc<Note>> {
        self.catalog.note(key)
    }

    /// Follows a pointer to something of a type.
    pub(crate) fn follow(&mut self, key: TypeKey, address: u64, way: Way, out: &mut Vec<Node>) {
        if !self.catalog.is_interesting(key) {
            return;
        }
        let Some(note) = self.note(key) else { return };
        // What has no bytes lies at the same address as others of its type, and leads nowhere.
        if note.of.size > 0 && !self.seen.insert((address, key)) {
            return;
        }
        if note.of.size > BYTES {
            out.push(Node::limit(
                Arc::clone(&note.label),
                "it is too large to be looked at",
            ));
            return;
        }
        let Some(bytes) = self.read(address, note.of.size) else {
            out.push(Node::limit(
                Arc::clone(&note.label),
                "its memory cannot be read",
            ));
            return;
        };
        self.visit(
            Place {
                key,
                at: address,
                bytes: &bytes,
                way,
            },
            out,
        );
    }

    /// Copies what is at an address; nothing if that is more than any future has.
    pub(crate) fn read(&self, address: u64, size: u64) -> Option<Vec<u8>> {
        if size > BYTES {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        (bytes.is_empty() || self.memory.read(address, &mut bytes)).then_some(bytes)
    }

    /// Appends the futures that a value is or holds.
    pub(crate) fn visit(&mut self, place: Place<'_>, out: &mut Vec<Node>) {
        if !self.catalog.is_interesting(place.key) {
            return;
        }
        let Some(note) = self.note(place.key) else {
            return;
        };
        let size = usize::try_from(note.of.size).unwrap_or(usize::MAX);
        if place.bytes.len() < size || self.exhausted() {
            out.push(Node::limit(Arc::clone(&note.label), "no more is looked at"));
            return;
        }
        if let Some(fiber) = self.fiber_at(&note, place) {
            out.push(fiber);
            return;
        }
        self.depth -= 1;
        let stale = self.stale;
        self.stale |= self.running;
        let known = self.known(&note, place);
        self.stale = stale;
        match &note.nature {
            Nature::Coroutine(states) => {
                let node = self.coroutine(&note, states, place);
                out.push(node);
            }
            _ if note.is_hidden() => self.inside(&note, place, out),
            _ if known.is_none() && !note.has_poll() && !place.way.awaited && !note.may_wrap() => {
                self.inside(&note, place, out);
            }
            _ => {
                let certain = known.is_some() || note.has_poll() || place.way.awaited;
                let variant = self.variant(&note, place);
                let mut node = note.node(variant);
                let way = Way {
                    awaited: false,
                    ..place.way
                };
                let first = !std::mem::replace(&mut self.stale, self.running);
                if known.is_none() || self.has_more(&note) {
                    self.inside(&note, Place { way, ..place }, &mut node.children);
                }
                if first {
                    self.mark(&mut node.children);
                }
                self.hold(&note, place, &mut node.children);
                node.leaf = match known {
                    None if node.children.is_empty() => self.leaf(&note, place),
                    known => known,
                }
                .map(Box::new);
                let maybe_done = is_maybe_done(&note.of.name);
                node.sure = maybe_done;
                match &mut node.children[..] {
                    [] if !certain => {}
                    // What is not done is only a way to its future.
                    [child] if maybe_done => {
                        (child.held, child.sure) = (false, true);
                        out.append(&mut node.children);
                    }
                    _ => out.push(node),
                }
            }
        }
        self.depth += 1;
    }

    /// Counts down what a walk may do; true when that is over.
    pub(crate) fn exhausted(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps == 0 || self.depth == 0
    }

    fn coroutine(&mut self, note: &Note, states: &[State], place: Place<'_>) -> Node {
        self.steps = self.steps.saturating_sub(STEPS - 1);
        let mut node = Node::new(Standing::Unknown, Arc::clone(&note.label));
        let Shape::Coroutine(variants) = &note.of.shape else {
            return node;
        };
        let tag = variants
            .tag
            .and_then(|(offset, size)| number(place.bytes, offset, size));
        let Some(state) = tag.and_then(|tag| states.iter().find(|state| state.value == tag)) else {
            let tag = tag.map_or_else(|| "no state".to_owned(), |tag| format!("state {tag}"));
            node.limit = Some(format!("{tag} is none of its {}", states.len()).into());
            return node;
        };
        node.site.clone_from(&state.site);
        node.precision = state.precision;
        node.standing = match state.value {
            0 if self.running && !self.stale => Standing::Started,
            0 => Standing::Unresumed,
            1 => Standing::Returned,
            2 => Standing::Panicked,
            _ if self.running && !self.stale => Standing::Running,
            _ => Standing::Suspended,
        };
        let first = !std::mem::replace(&mut self.stale, self.running);
        if state.value <= 2 {
            node.precision = Precision::Exact;
            return node;
        }
        if state.precision == Precision::MacroDefinition {
            node.limit = between(states).map(Arc::from);
        }
        let Some(awaitee) = self.awaitee(state) else {
            node.limit = Some("what it awaits is not described".into());
            return node;
        };
        if let Some(mut part) = self.part(&awaitee, place) {
            part.way = Way {
                awaited: true,
                closure: false,
            };
            self.visit(part, &mut node.children);
        }
        if node.children.is_empty()
            && let Some(leaf) = self.note(awaitee.of)
        {
            node.children.push(leaf.node(None));
        }
        if first {
            self.mark(&mut node.children);
        }
        self.refine(note, place, &mut node);
        node
    }

    /// Says of what lies below the future of a task that runs that it is not of this moment.
    fn mark(&self, children: &mut [Node]) {
        for child in children.iter_mut().filter(|_| self.running) {
            let limit = child.limit.take();
            child.limit = Some(match limit {
                Some(limit) => format!("as of its last suspension; {limit}").into(),
                None => "as of its last suspension".into(),
            });
        }
    }

    fn awaitee(&mut self, state: &State) -> Option<Member> {
        self.catalog.get(state.of)?.member("__awaitee").cloned()
    }

    /// A member of a value.
    pub(crate) fn part<'b>(&mut self, member: &Member, place: Place<'b>) -> Option<Place<'b>> {
        let size = self.catalog.get(member.of)?.size;
        Some(Place {
            key: member.of,
            at: place.at.wrapping_add(member.offset),
            bytes: slice(place.bytes, member.offset, size)?,
            way: place.way,
        })
    }
}

impl std::fmt::Debug for Walker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walker")
            .field("bias", &self.bias)
            .finish_non_exhaustive()
    }
}

pub(crate) fn slice(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
}

pub(crate) fn number(bytes: &[u8], offset: u64, size: u64) -> Option<u128> {
    slice(bytes, offset, size)
        .filter(|bytes| bytes.len() <= 16)
        .map(little)
}

/// The tag of an enum; one of a single variant has none, and any value means that.
pub(crate) fn tag(place: Option<(u64, u64)>, bytes: &[u8]) -> Option<u128> {
    match place {
        Some((offset, size)) => number(bytes, offset, size),
        None => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Snapshot;

    #[test]
    fn a_size_without_end_is_refused_before_room_is_made() {
        let mut catalog = Catalog::open("/proc/self/exe").expect("a test is a program");
        let memory = Snapshot::new();
        let walker = Walker::new(&mut catalog, &memory, 0);
        assert_eq!(walker.read(0, u64::MAX), None);
        assert_eq!(walker.read(0, BYTES + 1), None);
        assert_eq!(walker.read(0, 0), Some(Vec::new()));
    }
}
