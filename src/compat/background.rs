//! Writes that a task finishes, because their adapter is gone or is not polled.
//!
//! ```text
//!   Away (in the adapter) ──┐
//!                           ├── Shared: the finished write on its way back, and whom to wake
//!   Finish (a task) ────────┘
//! ```
//!
//! Invariant **BOUNDED**: a write whose adapter is gone is given up after [`PATIENCE`]. A peer who does not read cannot keep
//! the descriptor and the buffer for longer.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use camshaft_executor::{Handle, spawn};
use camshaft_io::buf::BufResult;
use camshaft_io::poll::PolledWrite;

use crate::time::{Duration, Sleep, sleep};

/// How long a write goes on whose adapter is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A finished write: what it is done with, its result and its buffer.
type Finished = (PolledWrite, BufResult<(), Vec<u8>>);

#[derive(Default)]
struct Shared {
    finished: Cell<Option<Finished>>,
    /// Whether the task is gone.
    is_over: Cell<bool>,
    /// Whether the adapter is gone.
    is_alone: Cell<bool>,
    /// Who waits for the end.
    owner: Cell<Option<Waker>>,
    /// The task, which is to know when its adapter goes.
    task: Cell<Option<Waker>>,
}

/// Finishes a write that nobody waits for any more, as far as there is a runtime to do it.
pub(super) fn finish(mut polled: PolledWrite) {
    let is_over = |polled: &mut PolledWrite| {
        let mut nobody = Context::from_waker(Waker::noop());
        polled.is_idle() || polled.poll_end(&mut nobody).is_ready()
    };
    if Handle::try_current().is_some() && !is_over(&mut polled) {
        drop(Away::new(polled));
    }
}

/// A write that a task finishes.
pub(super) struct Away {
    shared: Rc<Shared>,
}

impl Away {
    /// Spawns the task.
    pub(super) fn new(polled: PolledWrite) -> Self {
        let shared = Rc::<Shared>::default();
        drop(spawn(Finish {
            polled: Some(polled),
            shared: shared.clone(),
            patience: None,
        }));
        Self { shared }
    }

    /// Waits for the end of the write. `None`: its task was dropped.
    pub(super) fn poll_back(&mut self, cx: &Context<'_>) -> Poll<Option<Finished>> {
        let finished = self.shared.finished.take();
        if finished.is_some() || self.shared.is_over.get() {
            return Poll::Ready(finished);
        }
        drop(self.shared.owner.replace(Some(cx.waker().clone())));
        Poll::Pending
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.shared.is_alone.set(true);
        let task = self.shared.task.take();
        task.into_iter().for_each(Waker::wake);
    }
}

/// The task.
struct Finish {
    /// `None` when it is finished.
    polled: Option<PolledWrite>,
    shared: Rc<Shared>,
    /// Begins when the adapter is gone.
    patience: Option<Sleep>,
}

impl Future for Finish {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(polled) = &mut this.polled else {
            return Poll::Ready(());
        };
        if let Poll::Ready(written) = polled.poll_end(cx) {
            let finished = this.polled.take().map(|polled| (polled, written));
            this.shared.finished.set(finished);
            return Poll::Ready(());
        }
        if this.shared.is_alone.get() {
            let patience = this.patience.get_or_insert_with(|| sleep(PATIENCE));
            return Pin::new(patience).poll(cx);
        }
        drop(this.shared.task.replace(Some(cx.waker().clone())));
        Poll::Pending
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.shared.is_over.set(true);
        let owner = self.shared.owner.take();
        owner.into_iter().for_each(Waker::wake);
    }
}
