//! The connections of a listener as a stream.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::listen::{Accept, AcceptMany, Family, Listening};
use crate::flow::{Flow, Flowed, ended_with_driver};
use crate::op::Op;
use crate::socket::Socket;

/// The connections that a listener accepts, one after the other. Made by its `incoming`; it never ends.
#[must_use = "streams do nothing unless they are polled"]
pub struct Incoming<'a, S> {
    listener: &'a Rc<Socket<Listening>>,
    flow: Flow<AcceptMany>,
    /// The accept in flight where there is no flow.
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
            flow: Flow::new(listener),
            accepting: None,
            wrap,
        }
    }
}

impl<S> Stream for Incoming<'_, S> {
    type Item = io::Result<S>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<S>>> {
        let this = self.get_mut();
        loop {
            if let Some(accepting) = &mut this.accepting {
                let accepted = ready!(Pin::new(accepting).poll(cx));
                this.accepting = None;
                if ended_with_driver(&accepted) {
                    continue;
                }
                return Poll::Ready(Some(accepted.map(|(fd, ())| (this.wrap)(fd))));
            }
            match ready!(this.flow.poll(cx)) {
                Flowed::Item(accepted) => {
                    return Poll::Ready(Some(accepted.map(|(fd, _)| (this.wrap)(fd))));
                }
                Flowed::Alone => this.accepting = Some(Op::new(Accept::new(this.listener))),
                Flowed::Over => return Poll::Ready(None),
            }
        }
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
            /// Accepts connections, for ever: a stream of `io::Result`. Where the kernel can, it goes on accepting by
            /// itself (Linux 5.19), and up to 128 connections wait to be taken.
            ///
            /// An [`accept`](Self::accept) beside it has its turn at once if nobody waits for the stream's next connection, and
            /// it gets the first of those that wait to be taken. If somebody does, that connection comes first: go on polling
            /// the stream until it is there, or drop it.
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
