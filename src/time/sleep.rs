//! Waiting for a moment.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use camshaft_executor::coop;
use camshaft_timer::Key;

use super::clock::to_nanos;
use super::{Instant, Timers};

/// Waits until `duration` from now. `Duration::MAX` waits for ever.
///
/// Creating it is free and allowed anywhere; the timer is armed when it is first polled. No system call, no allocation in
/// steady state.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// Strict: dropping it disarms the timer.
///
/// # Examples
///
/// ```
/// use camshaft::time::{Duration, sleep};
///
/// camshaft::block_on(sleep(Duration::from_millis(1)));
/// ```
#[inline]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(deadline_after(duration))
}

/// Waits until a moment. One that has passed is ready at the first poll.
///
/// # Panics
///
/// As [`sleep`].
///
/// # Cancellation
///
/// As [`sleep`].
#[inline]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        armed: None,
        elapsed: false,
    }
}

/// The moment `duration` from now, or one that is never reached if the clock does not reach so far.
#[inline]
pub(crate) fn deadline_after(duration: Duration) -> Instant {
    Instant::now()
        .checked_add(duration)
        .unwrap_or_else(Instant::never)
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Sleep {
    deadline: Instant,
    armed: Option<(Rc<Timers>, Key)>,
    elapsed: bool,
}

impl Sleep {
    /// The moment that it waits for.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it has fired: the moment has come and it was told so.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.elapsed || self.is_fired()
    }

    /// Waits for another moment from now on, whether it has fired or not. Much cheaper than a new one if the moment is
    /// later. A task that waits for it need not poll it again.
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.get_mut().set_deadline(deadline);
    }

    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.elapsed = false;
        if let Some((timers, key)) = &self.armed
            && !timers.reset(*key, to_nanos(deadline.into_std()))
        {
            self.armed = None;
        }
    }

    fn is_fired(&self) -> bool {
        self.armed
            .as_ref()
            .is_some_and(|(timers, key)| timers.is_fired(*key))
    }

    #[inline]
    fn arm(&mut self, cx: &Context<'_>) -> Poll<()> {
        let timers = Timers::expect_current();
        let deadline = to_nanos(self.deadline.into_std());
        // A deadline that passed since the loop last looked at the clock fires when it looks again.
        if deadline <= timers.recent() {
            return Poll::Ready(());
        }
        let key = timers.insert(deadline, cx.waker().clone());
        self.armed = Some((timers, key));
        Poll::Pending
    }

    /// Whether the moment has come, without a charge to the task's budget. If not, remembers whom to wake.
    #[inline]
    pub(super) fn poll_uncharged(&mut self, cx: &Context<'_>) -> Poll<()> {
        match &self.armed {
            _ if self.elapsed => Poll::Ready(()),
            None => self.arm(cx),
            Some((timers, key)) => timers.poll(*key, cx),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.elapsed {
            return Poll::Ready(());
        }
        ready!(this.poll_uncharged(cx));
        // Charged only when it is ready: pending polls of many sleeps must not use the budget up.
        ready!(coop::poll_proceed(cx));
        this.elapsed = true;
        this.armed = None;
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        if let Some((timers, key)) = self.armed.take() {
            timers.cancel(key);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("elapsed", &self.is_elapsed())
            .finish_non_exhaustive()
    }
}
