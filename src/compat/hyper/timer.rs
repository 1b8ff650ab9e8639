//! Timers of hyper.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::time::{self, PortableSleep, deadline_after};

/// Hyper's timer, on the clock of the runtime; also on one that is paused.
///
/// Its sleeps are `Send` and `Sync`, as hyper wants them: they may be moved, polled and dropped on other threads. One that is
/// polled in another runtime than before waits there from then on.
///
/// # Panics
///
/// Its sleeps panic if they are polled outside of a camshaft runtime. Making, moving and dropping them is allowed anywhere.
///
/// # Cancellation
///
/// Strict: a sleep that is dropped is disarmed, on another thread by a task that is sent to its own.
///
/// # Examples
///
/// A client that says nothing for five seconds is sent away:
///
/// ```no_run
/// use camshaft::compat::{HyperIo, HyperTimer};
/// use camshaft::time::Duration;
/// use hyper::server::conn::http1;
///
/// let mut server = http1::Builder::new();
/// server.timer(HyperTimer).header_read_timeout(Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HyperTimer;

impl HyperTimer {
    /// The timer, which is that of the runtime it is used in.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(HyperSleep(PortableSleep::new(deadline_after(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let deadline = time::Instant::from_std(deadline);
        Box::pin(HyperSleep(PortableSleep::new(deadline)))
    }

    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<HyperSleep>() {
            Some(sleep) => sleep.get_mut().0.reset(time::Instant::from_std(deadline)),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

#[derive(Debug)]
struct HyperSleep(PortableSleep);

impl Future for HyperSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Sleep for HyperSleep {}
