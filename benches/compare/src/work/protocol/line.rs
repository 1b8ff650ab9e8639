//! What client and server talk through: a place for one number in each direction.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

/// Both ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Rc<Ends>);

#[derive(Debug, Default)]
struct Ends {
    to_server: Cell<Option<u64>>,
    to_client: Cell<Option<u64>>,
}

impl Line {
    /// What the client has sent. There is one waiter, which is polled by whoever sends, so nobody is woken.
    #[inline]
    pub(super) fn poll_receive(&self) -> Poll<u64> {
        match self.0.to_server.take() {
            Some(number) => Poll::Ready(number),
            None => Poll::Pending,
        }
    }

    /// As [`poll_receive`](Self::poll_receive), as a future.
    #[inline]
    pub(super) fn receive(&self) -> impl Future<Output = u64> {
        poll_fn(|_| self.poll_receive())
    }

    /// Sends to the client.
    #[inline]
    pub(super) fn answer(&self, number: u64) {
        self.0.to_client.set(Some(number));
    }

    /// Sends to the server.
    #[inline]
    pub(super) fn say(&self, number: u64) {
        self.0.to_server.set(Some(number));
    }

    /// What the server has sent.
    #[inline]
    pub(super) fn hear(&self) -> Option<u64> {
        self.0.to_client.take()
    }
}
