//! The executor of camshaft: a single-threaded ready queue of tasks whose wakers carry no count.
//!
//! It is usable alone, with the thread parker that it ships, and knows nothing of I/O or time: another crate implements
//! [`Park`] and brings those in.
//!
//! 1. [`Executor::new`] takes a [`Park`] and owns tasks; [`block_on`] is the short way.
//! 2. [`spawn`] puts a future, `Send` or not, into a slot and returns a [`JoinHandle`].
//! 3. Whoever holds a waker, on any thread, makes the task ready; it is polled in its turn, first come, first served.
//!
//! ```text
//!   who holds a task                        where it is
//!   executor   Executor, bundle, slots      bundle ─ chunk (64 KiB) ─ slot [ header | future ]
//!   waker      waker                        an address, forever valid
//!   handle     join, shared, join_set       the address and the task's id
//!   elsewhere  remote, mailbox, handle      inbox link in the chunk; messages behind a lock
//! ```
//!
//! # Examples
//!
//! ```
//! use camshaft_executor::{block_on, spawn, yield_now};
//!
//! block_on(async {
//!     let task = spawn(async {
//!         yield_now().await;
//!         "hello"
//!     });
//!     assert_eq!(task.await.unwrap(), "hello");
//! });
//! ```
#![deny(unsafe_code)]

#[cfg(feature = "inspect")]
#[allow(unsafe_code, reason = "projects pins")]
mod background;
pub mod blocking;
#[allow(
    unsafe_code,
    reason = "reads names through raw pointers and projects pins"
)]
mod builder;
#[allow(unsafe_code, reason = "hands out the home thread's half of a bundle")]
mod bundle;
#[allow(unsafe_code, reason = "lays memory out by hand")]
mod chunk;
pub mod coop;
mod error;
#[allow(unsafe_code, reason = "calls into tasks whose types it does not know")]
mod executor;
#[allow(
    unsafe_code,
    reason = "registers a fork handler and leaks what it resets"
)]
mod fork;
mod handle;
#[allow(unsafe_code, reason = "holds the join waker in plain memory")]
mod header;
mod id;
#[allow(unsafe_code, reason = "takes results out of slots")]
mod join;
mod join_set;
#[cfg(feature = "inspect")]
#[allow(
    unsafe_code,
    reason = "reads headers of slots, and the address of a vtable"
)]
pub mod look;
#[allow(unsafe_code, reason = "sends the addresses of slots")]
mod mailbox;
mod park;
#[cfg(feature = "inspect")]
#[allow(unsafe_code, reason = "passes functions by address, and reads slots")]
pub mod pulse;
#[allow(unsafe_code, reason = "erases the types of tasks")]
mod raw;
#[cfg(feature = "inspect")]
#[allow(
    unsafe_code,
    reason = "reads states of futures by address, and the clock of the processor"
)]
pub mod record;
#[allow(unsafe_code, reason = "links nodes by address")]
mod remote;
#[allow(unsafe_code, reason = "reads and writes a ring by address")]
mod ring;
#[allow(unsafe_code, reason = "projects pins")]
mod shared;
#[allow(unsafe_code, reason = "maps memory")]
mod slots;
mod sync;
#[allow(unsafe_code, reason = "projects pins")]
mod task_local;
#[allow(unsafe_code, reason = "makes wakers of addresses")]
mod waker;
mod yield_now;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use crate::builder::{Builder, id, spawn, spawn_blocking, try_id, try_name};
pub use crate::error::JoinError;
pub use crate::executor::{Executor, Stats};
pub use crate::handle::Handle;
pub use crate::id::Id;
pub use crate::join::{AbortHandle, JoinHandle};
pub use crate::join_set::JoinSet;
pub use crate::park::{Idle, Park, ThreadPark, Unpark};
pub use crate::task_local::{AccessError, LocalKey, TaskLocalFuture};
pub use crate::yield_now::{YieldNow, yield_now};

/// Runs `future`, and the tasks that it spawns, on an executor made for this call.
///
/// The executor parks the thread, and is dropped, with the tasks still on it, at the end.
///
/// # Panics
///
/// Panics when the thread is already running a camshaft runtime, and when the future does.
///
/// # Examples
///
/// ```
/// assert_eq!(camshaft_executor::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    Executor::new(ThreadPark::new()).block_on(future)
}

/// Locks a mutex of ours. No user code runs under one, so poison means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls user code whose panic has nowhere to go: it is printed by the hook, and ends here.
fn quietly(call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        // The payload may panic when it is dropped, and so may the payload of that.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(second);
        }
    }
}
