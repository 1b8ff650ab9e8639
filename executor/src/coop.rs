//! The budget that makes a task give way although everything it asks for is ready.
//!
//! Each poll of a task begins with 128 units. A leaf future that finds its result ready spends one; when none is left
//! it pretends not to be ready, and the task runs again behind the others.

use std::task::{Context, Poll};

use crate::{bundle, waker};

/// Ready results that a task may take in one poll.
pub(crate) const BUDGET: u32 = 128;

/// Spends one unit of the running task's budget; with none left, wakes the task for a later turn and is pending.
///
/// For leaf futures, once they know that their result is ready, and before they give it away. One that is pending must not
/// call it: a task that polls hundreds of pending futures would use its budget up and wake itself for ever. Outside of a
/// camshaft runtime it is always ready.
///
/// # Cancellation
///
/// Nothing is kept.
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use std::task::{Poll, ready};
/// use camshaft_executor::{block_on, coop};
///
/// let mut items = 0; // always ready, but taken in several turns
/// block_on(poll_fn(|cx| {
///     while items < 1000 {
///         ready!(coop::poll_proceed(cx));
///         items += 1;
///     }
///     Poll::Ready(())
/// }));
/// assert_eq!(items, 1000);
/// ```
#[inline]
pub fn poll_proceed(cx: &Context<'_>) -> Poll<()> {
    let Some(home) = bundle::current() else {
        return Poll::Ready(());
    };
    match home.budget.get().checked_sub(1) {
        Some(left) => {
            home.budget.set(left);
            Poll::Ready(())
        }
        None => {
            waker::wake_by_ref(cx.waker());
            Poll::Pending
        }
    }
}

/// Makes a call with a budget of its own: what it takes is not charged to the running task.
pub(crate) fn uncharged<R>(call: impl FnOnce() -> R) -> R {
    let Some(home) = bundle::current() else {
        return call();
    };
    let left = home.budget.replace(BUDGET);
    let result = call();
    home.budget.set(left);
    result
}
