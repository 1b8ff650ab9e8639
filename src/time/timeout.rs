//! A limit on the time that a future takes.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use camshaft_executor::coop;
use pin_project_lite::pin_project;

use super::sleep::deadline_after;
use super::{Instant, Sleep, sleep_until};

/// Gives a future `duration` from now to get ready. `Duration::MAX` is no limit.
///
/// # Errors
///
/// The output is [`Elapsed`] if it was not ready in time. The future is asked first, so one that is ready at the deadline wins.
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// That of the future, which is dropped with the timeout and not when the time is up: [`Timeout::into_inner`] gets it back.
///
/// # Examples
///
/// ```
/// use camshaft::time::{Duration, timeout};
///
/// let result = camshaft::block_on(timeout(Duration::from_millis(1), std::future::pending::<()>()));
/// assert!(result.is_err());
/// ```
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    timeout_at(deadline_after(duration), future)
}

/// Gives a future until `deadline` to get ready.
///
/// # Errors
///
/// As [`timeout`].
///
/// # Panics
///
/// As [`timeout`].
///
/// # Cancellation
///
/// As [`timeout`].
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: sleep_until(deadline),
        refused: false,
    }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
        // The time was up, but the task had no budget left to hear it.
        refused: bool,
    }
}

impl<F> Timeout<F> {
    /// The future.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Takes the future out, without the limit.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        ready!(this.sleep.poll_uncharged(cx));
        // A future that uses the budget up at every poll leaves nothing for its limit, so it is refused once at most.
        if !*this.refused && coop::poll_proceed(cx).is_pending() {
            *this.refused = true;
            return Poll::Pending;
        }
        Poll::Ready(Err(Elapsed(())))
    }
}

/// The time was up before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}
