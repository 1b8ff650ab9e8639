//! Ticks at a fixed period.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{Instant, Sleep, sleep_until};

/// Ticks now, and then every `period`.
///
/// # Panics
///
/// If the period is zero.
///
/// # Examples
///
/// ```
/// use camshaft::time::{Duration, interval};
///
/// camshaft::block_on(async {
///     let mut beat = interval(Duration::from_millis(1));
///     for _ in 0..3 {
///         beat.tick().await;
///     }
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, and then every `period`.
///
/// # Panics
///
/// If the period is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "the period of an interval must not be zero"
    );
    Interval {
        sleep: sleep_until(start),
        period,
        missed: MissedTickBehavior::default(),
    }
}

/// What an [`Interval`] does after ticks for which nobody asked in time.
///
/// ```text
///            due │  1  2  3  4  5  6  7      (the task is late at 2, and asks again at 4.5)
///          Burst │  1  ······2 3 4 5  6  7   catches up at once, then goes on as planned
///          Delay │  1  ······2  3  4  5      one period after the late tick
///           Skip │  1  ······2 ·5  6  7      at the next multiple of the period
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Ticks at once until it has caught up.
    #[default]
    Burst,
    /// Ticks one period after the late tick.
    Delay,
    /// Leaves the missed ticks out.
    Skip,
}

impl MissedTickBehavior {
    /// When the tick after the one that was due at `due` and was taken at `now` is due.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Option<Instant> {
        match self {
            Self::Burst => due.checked_add(period),
            Self::Delay => now.checked_add(period),
            Self::Skip => {
                let late = now.saturating_duration_since(due).as_nanos() % period.as_nanos();
                // Less than a period, and more than u64::MAX nanoseconds only if the period is.
                let rest = period - Duration::from_nanos(u64::try_from(late).unwrap_or(0));
                now.checked_add(rest)
            }
        }
    }
}

/// Ticks at a fixed period; made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick and returns the moment at which it was due.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: no tick is lost.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick; see [`tick`](Self::tick).
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let now = Instant::now();
        // A few milliseconds late is not a missed tick: the planned rhythm is kept.
        let next = if now.saturating_duration_since(due) <= Duration::from_millis(5) {
            due.checked_add(self.period)
        } else {
            self.missed.next(due, now, self.period)
        };
        self.sleep.set_deadline(next.unwrap_or_else(Instant::never));
        Poll::Ready(due)
    }

    /// Ticks one period from now.
    pub fn reset(&mut self) {
        self.sleep
            .set_deadline(super::sleep::deadline_after(self.period));
    }

    /// Ticks now.
    pub fn reset_immediately(&mut self) {
        self.sleep.set_deadline(Instant::now());
    }

    /// Ticks after `duration`, and then every period.
    pub fn reset_after(&mut self, duration: Duration) {
        self.sleep
            .set_deadline(super::sleep::deadline_after(duration));
    }

    /// Ticks at `deadline`, and then every period.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.sleep.set_deadline(deadline);
    }

    /// What is done after missed ticks.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Sets what is done after missed ticks. [`Burst`](MissedTickBehavior::Burst) if not set.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// The period.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }
}
