//! The connections of a listener as a stream.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::listen::{Accept, Family, Listening};
use crate::op::Op;
use crate::socket::Socket;

/// The connections that a listener accepts, one after the other. Made by its `incoming`; it never ends.
#[must_use = "streams do nothing unless they are polled"]
pub struct Incoming<'a, S> {
    listener: &'a Rc<Socket<Listening>>,
    accepting: Option<Op<Accept<Any>>>,
    wrap: fn(OwnedFd) -> S,
}

/// The family of connections of which nobody asks where they come from.
struct Any;

impl Family for Any {
    type Stream = OwnedFd;
    type Address = ();

    fn stream(fd: OwnedFd) -> OwnedFd {
        fd
    }
}

impl<'a, S> Incoming<'a, S> {
    pub(super) fn new(listener: &'a Rc<Socket<Listening>>, wrap: fn(OwnedFd) -> S) -> Self {
        Self {
            listener,
            accepting: None,
            wrap,
        }
    }
}

impl<S> Stream for Incoming<'_, S> {
    type Item = io::Result<S>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<S>>> {
        let this = self.get_mut();
        let listener = this.listener;
        let accepting = this
            .accepting
            .get_or_insert_with(|| Op::new(Accept::new(listener)));
        let accepted = ready!(Pin::new(accepting).poll(cx));
        this.accepting = None;
        Poll::Ready(Some(accepted.map(|(fd, ())| (this.wrap)(fd))))
    }
}

impl<S> fmt::Debug for Incoming<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// Gives a listener its `incoming`.
macro_rules! incoming {
    ($listener:ident, $stream:ident) => {
        impl $listener {
            /// Accepts connections one after the other, for ever: a stream of `io::Result`.
            ///
            /// # Errors
            ///
            /// Its items are errors where [`accept`](Self::accept) would return one, and it goes on after them.
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Strict: what the stream had accepted when it was dropped is what the next accept returns.
            pub fn incoming(&self) -> $crate::net::Incoming<'_, $stream> {
                $crate::net::Incoming::new(&self.socket, $stream::new)
            }
        }
    };
}

pub(super) use incoming;
