//! The atomics of the remote path, so that `loom` can stand in for them.
//!
//! Only [`crate::remote`] imports from here: it is the one module whose orderings are subtle enough to be model-checked,
//! and it is written so that nothing else of the crate is needed to run it.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence};
