//! A line of futures, of any thread, that pass one after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A lock, whatever happened to who held it before.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line. The first in it may go on; the others wait.
pub(super) struct Line {
    waiting: Mutex<Vec<(u64, Waker)>>,
    tickets: AtomicU64,
}

impl Line {
    pub(super) const fn new() -> Self {
        Self {
            waiting: Mutex::new(Vec::new()),
            tickets: AtomicU64::new(0),
        }
    }

    /// A place, which begins to count with its first poll.
    pub(super) fn place(&self) -> Place<'_> {
        Place {
            line: self,
            ticket: self.tickets.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Wakes the first, if there is one.
    pub(super) fn wake_first(&self) {
        let first = lock(&self.waiting).first().map(|(_, waker)| waker.clone());
        first.into_iter().for_each(Waker::wake);
    }
}

/// A place in a line. Dropping it lets the next one pass.
pub(super) struct Place<'a> {
    line: &'a Line,
    ticket: u64,
}

impl Place<'_> {
    /// Waits to be the first. Leaves the waker in any case, for [`Line::wake_first`].
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut waiting = lock(&self.line.waiting);
        let known = waiting
            .iter()
            .position(|(ticket, _)| *ticket == self.ticket);
        let (at, old) = match known {
            Some(at) => (at, Some(std::mem::replace(&mut waiting[at].1, waker))),
            None => {
                waiting.push((self.ticket, waker));
                (waiting.len() - 1, None)
            }
        };
        drop(waiting);
        drop(old);
        if at == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.line.waiting);
        let known = waiting
            .iter()
            .position(|(ticket, _)| *ticket == self.ticket);
        let left = known.map(|at| waiting.remove(at));
        drop(waiting);
        drop(left);
        if known == Some(0) {
            self.line.wake_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_pass_in_the_order_of_their_first_poll() {
        let line = Line::new();
        let cx = Context::from_waker(Waker::noop());
        let (a, b, c) = (line.place(), line.place(), line.place());
        assert!(b.poll(&cx).is_ready());
        assert!(a.poll(&cx).is_pending() && c.poll(&cx).is_pending());
        assert!(b.poll(&cx).is_ready());
        drop(a);
        assert!(c.poll(&cx).is_pending());
        drop(b);
        assert!(c.poll(&cx).is_ready());
    }
}
