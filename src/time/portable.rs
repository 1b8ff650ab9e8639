//! A sleep that may go from thread to thread.
//!
//! Timers belong to the thread of their runtime. So this holds no part of the wheel, only the number of the wheel that it is
//! armed in and its key there, which are plain data; each use looks whether the current wheel is that one.
//!
//! ```text
//!   used where it is armed       asks the wheel
//!   polled in another runtime    is armed there, and a task that is sent home disarms the old timer
//!   dropped or reset elsewhere   a task that is sent home disarms it
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use camshaft_executor::{Handle, coop};
use camshaft_timer::Key;

use super::clock::to_nanos;
use super::{Instant, Timers};

/// A sleep that is `Send` and `Sync`.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub(crate) struct PortableSleep {
    deadline: Instant,
    armed: Option<Armed>,
    elapsed: bool,
}

const fn assert_portable<T: Send + Sync>() {}
const _: () = assert_portable::<PortableSleep>();

/// A timer in a wheel of some thread.
struct Armed {
    wheel: u64,
    key: Key,
    home: Handle,
}

impl PortableSleep {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            armed: None,
            elapsed: false,
        }
    }

    /// Waits for another moment from now on. It has to be polled again.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.elapsed = false;
        let Some(armed) = self.armed.take() else {
            return;
        };
        match armed.wheel() {
            Some(timers) => {
                if timers.reset(armed.key, to_nanos(deadline.into_std())) {
                    self.armed = Some(armed);
                }
            }
            None => armed.disarm_at_home(),
        }
    }

    fn poll_armed(&mut self, cx: &Context<'_>) -> Poll<()> {
        if let Some(armed) = &self.armed
            && let Some(timers) = armed.wheel()
        {
            return timers.poll(armed.key, cx);
        }
        if let Some(armed) = self.armed.take() {
            armed.disarm_at_home();
        }
        let timers = Timers::expect_current();
        let deadline = to_nanos(self.deadline.into_std());
        if deadline <= timers.recent() {
            return Poll::Ready(());
        }
        self.armed = Some(Armed {
            wheel: timers.number(),
            key: timers.insert(deadline, cx.waker().clone()),
            home: Handle::current(),
        });
        Poll::Pending
    }
}

impl Armed {
    /// The wheel, if it is that of this thread now.
    fn wheel(&self) -> Option<std::rc::Rc<Timers>> {
        Timers::current().filter(|timers| timers.number() == self.wheel)
    }

    /// Has a task on its own thread disarm it. If that runtime is gone, so is the timer.
    #[cold]
    fn disarm_at_home(self) {
        let Self { wheel, key, home } = self;
        drop(home.spawn(async move {
            let timers = Timers::current().filter(|timers| timers.number() == wheel);
            timers.inspect(|timers| timers.cancel(key));
        }));
    }
}

impl Future for PortableSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if !this.elapsed {
            ready!(this.poll_armed(cx));
            ready!(coop::poll_proceed(cx));
            this.elapsed = true;
            this.armed = None;
        }
        Poll::Ready(())
    }
}

impl Drop for PortableSleep {
    fn drop(&mut self) {
        let Some(armed) = self.armed.take() else {
            return;
        };
        match armed.wheel() {
            Some(timers) => timers.cancel(armed.key),
            None => armed.disarm_at_home(),
        }
    }
}

impl fmt::Debug for PortableSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortableSleep")
            .field("deadline", &self.deadline)
            .field("elapsed", &self.elapsed)
            .finish_non_exhaustive()
    }
}
