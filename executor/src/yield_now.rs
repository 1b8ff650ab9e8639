//! Giving way.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::waker;

/// Lets every other ready task run before the calling one goes on.
///
/// The future is pending once, and the task goes to the end of the ready queue.
///
/// # Cancellation
///
/// Dropping it loses the task's turn at most; the task stays queued.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{block_on, spawn, yield_now};
/// # use std::{cell::Cell, rc::Rc};
/// block_on(async {
///     let ran = Rc::new(Cell::new(false));
///     let seen = Rc::clone(&ran);
///     spawn(async move { seen.set(true) });
///     yield_now().await;
///     assert!(ran.get());
/// });
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        waker::wake_by_ref(cx.waker());
        Poll::Pending
    }
}
