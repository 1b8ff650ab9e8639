//! The seam: how an executor sleeps, and how other threads end its sleep.
//!
//! The executor knows nothing of I/O or time. When no task is ready it calls [`Park::park`]; whoever implements that waits
//! for whatever it knows of and wakes tasks through their wakers. This crate ships [`ThreadPark`], which waits for nothing
//! but other threads.
//!
//! ```text
//!   while tasks are ready:   ≤ 64 polls → tick → ≤ 64 polls → tick …
//!   otherwise:               park(idle):   may spin while !idle.has_remote()
//!                                          if idle.announce() { block until an event, an unpark, or idle.limit() }
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;
use std::time::Duration;

use crate::bundle::Home;

/// What an executor does between polls. Called on its home thread only.
///
/// Wakes made inside of [`tick`](Self::tick) and [`park`](Self::park) are ordinary waker calls. A panic of either leaves
/// `block_on` and the executor can be used again.
pub trait Park {
    /// Looks for events without blocking. Called after at most 64 polls while more tasks are ready.
    fn tick(&self);

    /// Waits until something happened; may return early for no reason. Called when no task is ready.
    ///
    /// It must not block unless [`Idle::announce`] said so, and then not after an [`Unpark::unpark`], nor for longer than
    /// [`Idle::limit`].
    fn park(&self, idle: &Idle<'_>);

    /// Returns what ends a park from any thread. Asked for once, when the executor is made.
    fn unparker(&self) -> Arc<dyn Unpark>;
}

/// Ends a park from any thread.
pub trait Unpark: Send + Sync {
    /// Makes the present park return, or the next one, if none is going on. May be called at any time, even after
    /// the executor is gone.
    fn unpark(&self);
}

/// What an executor without ready tasks tells its [`Park`].
pub struct Idle<'a> {
    home: Home,
    limit: Option<Duration>,
    scope: PhantomData<&'a ()>,
}

impl Idle<'_> {
    pub(crate) fn new(home: Home) -> Self {
        Self {
            home,
            limit: home.slots.quiet_limit(),
            scope: PhantomData,
        }
    }

    /// Whether another thread has woken a task or sent a request: two loads, for use while spinning.
    #[inline]
    #[must_use]
    pub fn has_remote(&self) -> bool {
        self.home.bundle().shared.remote.pending()
    }

    /// Declares that the executor is about to block. False means that something has come in and it must not.
    ///
    /// Other threads call [`Unpark::unpark`] only after this said true. The executor takes the declaration back when
    /// the park returns.
    #[inline]
    #[must_use]
    pub fn announce(&self) -> bool {
        self.home.bundle().shared.remote.announce()
    }

    /// How long the executor wants to sleep at most, so that it can give memory back after a spike.
    #[inline]
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// How many closures of this executor's [`spawn_blocking`](crate::spawn_blocking) wait or run at the moment.
    ///
    /// A closure counts until the task that waits for it has been woken, so a clock that only advances while this is zero
    /// and [`has_remote`](Self::has_remote) is false, asked in this order, never overtakes one.
    #[must_use]
    pub fn blocking_in_flight(&self) -> usize {
        self.home
            .group
            .borrow()
            .as_ref()
            .map_or(0, |group| group.in_flight.load(Ordering::Acquire))
    }
}

#[cfg(feature = "inspect")]
impl Idle<'_> {
    /// A number that changes whenever a task of the program has had a turn, or its root future. Those of the
    /// [background](crate::Executor::spawn_background) do not count.
    #[must_use]
    pub fn turns(&self) -> u64 {
        let turns = self.home.ring.popped() as u64;
        turns.wrapping_sub(self.home.background_turns.get())
    }
}

impl fmt::Debug for Idle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle")
            .field("has_remote", &self.has_remote())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Parks the thread. Enough for tasks that wait for each other and for other threads.
///
/// # Examples
///
/// ```
/// use camshaft_executor::{Executor, ThreadPark};
///
/// let executor = Executor::new(ThreadPark::new());
/// assert_eq!(executor.block_on(async { 6 * 7 }), 42);
/// ```
#[derive(Debug)]
pub struct ThreadPark {
    thread: Thread,
    /// A park of another thread than the one that is unparked would sleep for ever.
    not_send: PhantomData<*const ()>,
}

impl ThreadPark {
    /// Creates a parker for the calling thread.
    #[must_use]
    pub fn new() -> Self {
        Self {
            thread: std::thread::current(),
            not_send: PhantomData,
        }
    }
}

impl Default for ThreadPark {
    fn default() -> Self {
        Self::new()
    }
}

impl Park for ThreadPark {
    #[inline]
    fn tick(&self) {}

    fn park(&self, idle: &Idle<'_>) {
        if !idle.announce() {
            return;
        }
        match idle.limit() {
            Some(limit) => std::thread::park_timeout(limit),
            None => std::thread::park(),
        }
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(ThreadUnpark(self.thread.clone()))
    }
}

struct ThreadUnpark(Thread);

impl Unpark for ThreadUnpark {
    fn unpark(&self) {
        self.0.unpark();
    }
}
