//! Spawning onto the current executor, with a name or without.
//!
//! A name travels with its future, so tasks without one do not pay for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::join::JoinHandle;
use crate::raw::{Job, NAMELESS};
use crate::{Id, blocking, bundle};

/// Spawns a task onto the executor that the thread is running. It need not be `Send`.
///
/// The task starts at its turn, behind those that are ready now. Dropping the handle detaches it: it runs on, and is
/// dropped with its runtime. In a steady state a spawn allocates nothing; a future of more than about 2 KiB is boxed.
/// While its runtime is shutting down, the future is dropped and the handle resolves to cancelled.
///
/// # Panics
///
/// Panics outside of a camshaft runtime.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{block_on, spawn};
/// let answer = block_on(async { spawn(async { 42 }).await.unwrap() });
/// assert_eq!(answer, 42);
/// ```
#[inline]
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    JoinHandle::spawn(home("spawn"), Plain(future))
}

/// Runs a closure that may block on a thread of a pool.
///
/// The pool is shared by the whole process and has at most 512 threads; closures beyond that wait. Nothing bounds how many
/// wait, as in tokio: where the outside world decides how often this is called, limit it first, with a semaphore or by
/// awaiting the handles. [`block_on`](crate::block_on)
/// is allowed there. A panic ends in the handle. Aborting cancels a closure that has not started and does nothing to
/// one that has. Dropping the runtime waits for those that have started and drops the others.
///
/// If the system grants not even one thread (`RLIMIT_NPROC`, the limit of a container), the closure runs at once on this one,
/// and all tasks wait for it.
///
/// # Panics
///
/// Panics outside of a camshaft runtime.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{block_on, spawn_blocking};
/// let text = block_on(async { spawn_blocking(|| std::fs::read_to_string("/proc/self/comm")).await.unwrap() });
/// assert!(text.is_ok());
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    blocking::spawn(home("spawn_blocking"), work)
}

/// Returns the id of the task that is running.
///
/// # Panics
///
/// Panics outside of a task; the root future of `block_on` is none.
#[must_use]
#[track_caller]
pub fn id() -> Id {
    try_id().expect("camshaft: id was called outside of a camshaft task; call it from a future that was spawned")
}

/// Returns the id of the task that is running, if there is one. The root future of `block_on` is none.
#[must_use]
pub fn try_id() -> Option<Id> {
    bundle::current()?.running_id()
}

/// Returns the name of the task that is running, if it has one. While its future or its output is dropped it has none any more.
#[must_use]
pub fn try_name() -> Option<String> {
    let name = bundle::current()?.running_name();
    // SAFETY: the name lives while the task has its turn, which is now.
    unsafe { name.as_ref() }.map(str::to_owned)
}

/// Spawns tasks with settings of their own.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{Builder, block_on, try_name};
/// block_on(async {
///     let task = Builder::new().name("collector").spawn(async { try_name() });
///     assert_eq!(task.await.unwrap().as_deref(), Some("collector"));
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing unless `spawn` is called"]
pub struct Builder {
    name: Option<Box<str>>,
}

impl Builder {
    /// Creates a builder of tasks without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the task.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into_boxed_str());
        self
    }

    /// Spawns the task onto the executor that the thread is running, as [`spawn`] does.
    ///
    /// # Panics
    ///
    /// Panics outside of a camshaft runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let home = home("Builder::spawn");
        match self.name {
            Some(name) => JoinHandle::spawn(home, Named { name, future }),
            None => JoinHandle::spawn(home, Plain(future)),
        }
    }
}

#[inline]
#[track_caller]
fn home(what: &str) -> bundle::Home {
    match bundle::current() {
        Some(home) => home,
        None => panic_outside(what),
    }
}

#[cold]
#[track_caller]
fn panic_outside(what: &str) -> ! {
    panic!(
        "camshaft: {what} was called outside of a camshaft runtime; call it inside of block_on, or use a runtime's handle"
    );
}

/// A task without a name.
#[repr(transparent)]
pub(crate) struct Plain<F>(pub(crate) F);

impl<F: Future> Future for Plain<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: structural pinning: the only field is never moved out of a pinned `Plain`, which has no `Drop`.
        unsafe { self.map_unchecked_mut(|plain| &mut plain.0) }.poll(cx)
    }
}

impl<F: Future> Job for Plain<F> {
    unsafe fn name(_: *const Self) -> *const str {
        NAMELESS
    }
}

/// A task with its name.
pub(crate) struct Named<F> {
    name: Box<str>,
    future: F,
}

impl<F: Future> Future for Named<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: structural pinning of `future`: it is never moved out of a pinned `Named`, which has no `Drop`.
        unsafe { self.map_unchecked_mut(|named| &mut named.future) }.poll(cx)
    }
}

impl<F: Future> Job for Named<F> {
    unsafe fn name(this: *const Self) -> *const str {
        // SAFETY: the caller's job is alive, and a poll does not touch the name.
        let name = unsafe { &(*this).name };
        &raw const **name
    }
}

/// A task too large for a slot.
impl<J: Job> Job for Pin<Box<J>> {
    #[cfg(feature = "inspect")]
    const IS_BACKGROUND: bool = J::IS_BACKGROUND;

    #[cfg(feature = "inspect")]
    const FUTURE: crate::look::Placed = crate::look::Placed::in_box::<J>();

    unsafe fn name(this: *const Self) -> *const str {
        // SAFETY: the caller's job is alive; a pinned box is a pointer, which a poll does not change.
        let inner = unsafe { this.cast::<*const J>().read() };
        // SAFETY: the box holds a live job.
        unsafe { J::name(inner) }
    }
}
