//! Two tasks that take turns and do nothing else.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Whose turn it is, and who waits for it.
#[derive(Default)]
pub(crate) struct Turn {
    number: Cell<u64>,
    waiting: Cell<Option<Waker>>,
}

/// One of them: `side` is 0 or 1.
pub(crate) async fn alternate(turn: Rc<Turn>, side: u64, rounds: u64) {
    for _ in 0..rounds {
        poll_fn(|cx| {
            if turn.number.get() % 2 == side {
                return Poll::Ready(());
            }
            turn.waiting.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        turn.number.set(turn.number.get() + 1);
        if let Some(waker) = turn.waiting.take() {
            waker.wake();
        }
    }
}
