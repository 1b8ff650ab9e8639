//! What a leaf waits for, where that can be read from it.
//!
//! Futures that are known are known by name, as are their fields. Each has a line in a table, with what reads it. One that is not
//! built as it is known to be is told by its type alone. Anything else of this runtime that leads to a descriptor is said to
//! wait on it.

mod operations;
#[allow(unsafe_code, reason = "asks about descriptors by number")]
mod sockets;
mod sync;
pub(crate) mod versions;
mod view;

use std::os::fd::RawFd;
use std::time::Duration;

use self::view::View;
use crate::containers::{Nature, Note};
use crate::leaf::{Cause, Leaf};
use crate::load::little;
use crate::types::{Scalar, Shape, TypeKey};
use crate::walk::{Place, Walker, number, slice};

/// How many types are looked at for a descriptor.
const LOOKS: u32 = 200;

/// What lies deeper is not a leaf's own.
const DEPTH: u32 = 12;

/// How the names of what belongs to the driver begin.
const DRIVER: &str = "camshaft_io::driver::";

/// How the names of fibers begin.
pub(crate) const FIBER: &str = "camshaft_stackful::fiber::Fiber<";

/// Reads what a future of a known type waits for.
type Read = fn(&mut Walker<'_>, &View<'_>) -> Option<Leaf>;

/// The types that are known, by their names without what they are generic over.
const KNOWN: &[(&str, Read)] = &[
    ("camshaft::time::sleep::Sleep", timer),
    ("camshaft_executor::join::JoinHandle", join),
    (JOIN_SET, join_set),
    ("camshaft_io::op::Op", operations::operation),
    ("camshaft_io::signal::Signal", signal),
];

/// It holds what it waits for.
const JOIN_SET: &str = "camshaft_executor::join_set::JoinSet";

/// Streams of operations that the kernel repeats, unless they have one in flight of a single completion.
const FLOWS: &[(&str, &str)] = &[
    ("camshaft_io::net::incoming::Incoming", "accept"),
    ("camshaft_io::stream::receive::many::RecvStream", "recv"),
];

/// What the name of a job on another thread has before the name of the closure that waits for it.
const JOB: &str = "PollFn<camshaft_io::offload::offload::{async_fn#0}::{closure_env#";

impl Walker<'_> {
    /// What a future waits for that is known to wait for nothing else.
    pub(crate) fn known(&mut self, note: &Note, place: Place<'_>) -> Option<Leaf> {
        let path = note.of.name.split('<').next()?;
        match KNOWN.iter().find(|(name, _)| *name == path) {
            Some((_, read)) => read(self, &View::of(place)),
            None => self.shared(note, path, place),
        }
    }

    /// Whether more is to be told of something than what it waits for: what that is lies in it.
    pub(crate) fn has_more(&self, note: &Note) -> bool {
        note.of.name.starts_with(JOIN_SET)
    }

    /// What a leaf waits for; nothing if it is not known.
    pub(crate) fn leaf(&mut self, note: &Note, place: Place<'_>) -> Option<Leaf> {
        let name = &*note.of.name;
        if name.starts_with(FIBER) {
            return Some(Leaf {
                note: Some(
                    "a fiber, whose calls are on a stack of its own and are not shown".into(),
                ),
                ..Leaf::new(Cause::Fiber)
            });
        }
        if let Some((_, job)) = name.split_once(JOB) {
            return Some(operations::offloaded(function_of(job)?));
        }
        if !name.starts_with("camshaft_io::") {
            return None;
        }
        let path = name.split('<').next()?;
        if let Some((_, op)) = FLOWS.iter().find(|(stream, _)| *stream == path) {
            return operations::flow(self, &View::of(place), op);
        }
        let mut left = LOOKS;
        let mut leaf = Leaf {
            fd: Some(self.descriptor(place, DEPTH, &mut left)?),
            ..Leaf::new(Cause::Operation)
        };
        if self.own {
            sockets::describe(&mut leaf);
        }
        Some(leaf)
    }

    /// The first descriptor that a value owns or shares. An operation in flight refers to the driver, whose descriptors are not
    /// what it is about.
    fn descriptor(&mut self, place: Place<'_>, depth: u32, left: &mut u32) -> Option<RawFd> {
        let depth = depth.checked_sub(1)?;
        *left = left.checked_sub(1)?;
        let note = self.note(place.key)?;
        let place = Place {
            bytes: slice(place.bytes, 0, note.of.size)?,
            ..place
        };
        if note.of.name.starts_with(DRIVER) {
            return None;
        }
        if &*note.of.name == "std::os::fd::owned::OwnedFd" {
            return RawFd::try_from(number(place.bytes, 0, 4)?).ok();
        }
        match (&note.nature, &note.of.shape) {
            (Nature::Enum, Shape::Enum(variants)) => {
                let tag = crate::walk::tag(variants.tag, place.bytes)?;
                let key = variants.of_value(tag)?.of;
                self.descriptor(Place { key, ..place }, depth, left)
            }
            _ if self.stale && note.nature.is_pointer() => None,
            (Nature::Owned(to) | Nature::Shared(to), _) => {
                let at = u64::try_from(number(place.bytes, 0, 8)?).ok()?;
                self.descriptor_at(*to, at, depth, left)
            }
            (Nature::Counted { pointer, inner }, _) => {
                let at = u64::try_from(number(place.bytes, *pointer, 8)?).ok()?;
                self.descriptor_at(*inner, at, depth, left)
            }
            (Nature::Members, _) => note.of.members().iter().find_map(|member| {
                let part = self.part(member, place)?;
                // `fd` of a request that is in flight.
                let of = self.catalog.get(member.of)?;
                if &*member.name == "fd" && matches!(of.shape, Shape::Scalar(Scalar::Signed)) {
                    let number = u32::try_from(little(part.bytes)).ok()?;
                    return RawFd::try_from(number).ok();
                }
                self.descriptor(part, depth, left)
            }),
            _ => None,
        }
    }

    fn descriptor_at(
        &mut self,
        key: TypeKey,
        at: u64,
        depth: u32,
        left: &mut u32,
    ) -> Option<RawFd> {
        let size = self.catalog.get(key)?.size;
        let bytes = self.read(at, size.min(1 << 16))?;
        let place = Place {
            key,
            at,
            bytes: &bytes,
            way: crate::walk::Way::default(),
        };
        self.descriptor(place, depth, left)
    }
}

/// A sleep has its deadline.
fn timer(walker: &mut Walker<'_>, sleep: &View<'_>) -> Option<Leaf> {
    let deadline = walker.get(sleep, "deadline")?;
    let seconds = walker.count(&deadline, "tv_sec")?;
    let nanos = walker.count(&deadline, "tv_nsec")?;
    let deadline = Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos))?;
    Some(Leaf::timer(deadline, walker.now))
}

/// A join handle has the number of its task. One of a closure, or of a task from afar, shares what it waits for.
fn join(walker: &mut Walker<'_>, handle: &View<'_>) -> Option<Leaf> {
    let task = Some(walker.count(handle, "id")?);
    let shared = walker.get(handle, "repr");
    let shared = shared.and_then(|repr| walker.which(&repr));
    let shared = shared.filter(|(name, _)| &**name == "Shared");
    let place = shared.and_then(|(_, shared)| {
        let progress = walker.get(&shared, "__0.*.control.*.progress.place")?;
        Some(walker.which(&progress)?.0)
    });
    let blocking = |note: &'static str| Leaf {
        op: Some("a blocking closure".into()),
        note: Some(note.into()),
        ..Leaf::new(Cause::Blocking)
    };
    Some(match place.as_deref() {
        Some("Waiting") => blocking("in the queue"),
        Some("Started") => blocking("running"),
        _ => Leaf {
            task,
            ..Leaf::new(Cause::Task)
        },
    })
}

/// A set waits for the first of its tasks that ends.
fn join_set(walker: &mut Walker<'_>, set: &View<'_>) -> Option<Leaf> {
    let members = walker.count(set, "members.len")?;
    let tasks = members.checked_sub(walker.count(set, "vacant.len")?)?;
    Some(Leaf {
        tasks: Some(tasks),
        ..Leaf::new(Cause::Task)
    })
}

/// A listener has the number of its signal.
fn signal(walker: &mut Walker<'_>, listener: &View<'_>) -> Option<Leaf> {
    let number = walker.count(listener, "kind")?;
    Some(Leaf {
        signal: Some(i32::try_from(number).ok()?),
        ..Leaf::new(Cause::Signal)
    })
}

/// The function of this runtime whose closure it is: `canonicalize` of `0}<…, camshaft_io::fs::path::canonicalize::{async_fn…`.
fn function_of(job: &str) -> Option<&str> {
    let (_, job) = job.rsplit_once("camshaft_io::")?;
    let (path, _) = job.split_once("::{")?;
    path.rsplit("::").next()
}
