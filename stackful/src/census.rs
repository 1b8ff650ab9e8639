//! The census: how many stacks there are, and how much of them was used.

use std::fmt;

use crate::arena::{self, guard};
use crate::pool;

/// What there is of stacks, and how much of them was used. See [`census`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Fibers of this thread that have a stack now: those that have run, and are not over.
    pub live: usize,
    /// The most that there were at once.
    pub peak: usize,
    /// Stacks of this thread that wait to be used.
    pub free: usize,
    /// Stacks of the process.
    pub stacks: usize,
    /// Bytes of memory that the stacks of the process hold.
    pub resident: usize,
    /// How deep the deepest stack of the process was used, in bytes, rounded up to pages: the high-water mark. Stacks whose
    /// memory was given back count only if [`trim`](crate::trim) on this thread has done that.
    pub deepest: usize,
    /// How the guards below the stacks are made: those of the newest, if memory was locked in between.
    pub guard: Guard,
}

/// How overflows are caught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// There is no stack yet.
    #[default]
    Unknown,
    /// By marks in the page table (Linux 6.13): any number of stacks.
    Light,
    /// By pages without access: about 32,000 stacks, half of `vm.max_map_count`.
    Protected,
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "none yet",
            Self::Light => "marks in the page table",
            Self::Protected => "pages without access",
        })
    }
}

/// Counts the stacks, and looks how deep they were used.
///
/// It asks the kernel about every page of every stack: 10,000 stacks take about a millisecond.
///
/// # Examples
///
/// ```
/// # use camshaft_stackful as fiber;
/// let before = fiber::census();
/// let mut squares = fiber::Generator::new(|squares| (0..3).for_each(|n| squares.give(n * n)));
/// assert_eq!(squares.next(), Some(0));
/// assert_eq!(fiber::census().live, before.live + 1);
/// drop(squares);
/// assert_eq!(fiber::census().live, before.live);
/// ```
#[must_use]
pub fn census() -> Census {
    let (residency, counts) = (arena::residency(), pool::counts());
    Census {
        live: counts.live,
        peak: counts.peak,
        free: counts.free,
        stacks: residency.stacks,
        resident: residency.bytes,
        deepest: residency.deepest.max(counts.deepest),
        guard: match arena::guard_kind() {
            guard::LIGHT => Guard::Light,
            guard::PROTECTED => Guard::Protected,
            _ => Guard::Unknown,
        },
    }
}
