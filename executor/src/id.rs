//! Names for tasks that are unique in the process.
//!
//! An id doubles as the generation of the slot that its task lives in: whoever holds a slot and an id can tell whether
//! the slot still belongs to that task. Executors take ids from a process-wide counter in blocks, so that a spawn costs
//! an increment of a plain field.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The id of a task: unique among all tasks of the process, of every executor, for its whole life.
///
/// Ids grow in spawn order on one executor; between executors their order means nothing.
///
/// # Examples
///
/// ```
/// let (outer, inner) = camshaft_executor::block_on(async {
///     let task = camshaft_executor::spawn(async { camshaft_executor::id() });
///     (task.id(), task.await.unwrap())
/// });
/// assert_eq!(outer, inner);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

impl Id {
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub(crate) const fn raw(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many ids an executor takes at a time.
pub(crate) const BLOCK: u64 = 1024;

/// Takes a block of [`BLOCK`] ids and returns the first. Zero is never handed out: a zeroed slot belongs to nobody.
pub(crate) fn take_block() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(BLOCK, Ordering::Relaxed)
}
