//! Tasks of the runtime itself: they run as any other, and neither they nor their polls are told among the program's.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::bundle::Home;
use crate::join::JoinHandle;
use crate::raw::{Job, NAMELESS};
use crate::{Executor, Park};

/// A task of the runtime itself.
pub(crate) struct Background<F> {
    future: F,
    counted: Counted,
}

/// One of the tasks that are not the program's, until it is dropped.
struct Counted(Home);

impl Counted {
    fn new(home: Home) -> Self {
        add(&home.background, 1);
        Self(home)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        add(&self.0.background, -1);
    }
}

fn add(count: &Cell<u64>, by: i64) {
    count.set(count.get().saturating_add_signed(by));
}

impl<F: Future> Future for Background<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        add(&self.counted.0.background_turns, 1);
        // SAFETY: structural pinning of `future`: it is never moved out of a pinned `Background`, which has no `Drop`.
        unsafe { self.map_unchecked_mut(|task| &mut task.future) }.poll(cx)
    }
}

impl<F: Future> Job for Background<F> {
    const IS_BACKGROUND: bool = true;

    unsafe fn name(_: *const Self) -> *const str {
        NAMELESS
    }
}

impl<P: Park> Executor<P> {
    /// Spawns a task that serves the runtime and not the program: it is not among the [tasks](Self::tasks), and the
    /// [`stats`](Self::stats) count neither it nor its polls, though they count its wakes. Nothing else differs: it lives until
    /// it is done or the executor is dropped, and keeps nobody from ending.
    ///
    /// # Panics
    ///
    /// As [`spawn`](Self::spawn).
    pub fn spawn_background<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let home = self.home();
        let counted = Counted::new(home);
        JoinHandle::spawn(home, Background { future, counted })
    }
}
