//! Receives.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream as _;

use super::other::{OtherRead, Receives};
use crate::driver::BufGuard;
use crate::op::Op;
use crate::socket::Socket;
use crate::stream::{ReceiveLent, RecvStream, Stream};

/// After so many small receives in a row, more of them are expected, and asked for all at once.
const OFTEN: u8 = 2;
/// The most bytes of a small receive. Bulk data is received one buffer after the other, as it is used.
const SMALL: usize = 4096;

/// Receives, one after the other.
///
/// # Cancellation
///
/// Strict: dropping it cancels the receive that is in flight; what that one brought is what the next read of the stream gets.
pub struct PolledRead {
    kind: Read,
}

enum Read {
    Socket(SocketRead),
    Other(Box<dyn Receives>),
}

struct SocketRead {
    socket: Rc<Socket<Stream>>,
    once: Option<Op<ReceiveLent>>,
    many: Option<Box<RecvStream<'static>>>,
    /// How many receives in a row brought little.
    small: u8,
}

impl PolledRead {
    pub(crate) fn of_socket(socket: &Rc<Socket<Stream>>) -> Self {
        Self {
            kind: Read::Socket(SocketRead {
                socket: socket.clone(),
                once: None,
                many: None,
                small: 0,
            }),
        }
    }

    /// Reads something else: `receive` begins a receive each time the one before is over, and `unread` puts back what was
    /// received but not used.
    ///
    /// The futures lie one after the other in the same box.
    pub fn new<F>(
        receive: impl FnMut() -> F + 'static,
        unread: impl FnOnce(&[u8]) + 'static,
    ) -> Self
    where
        F: Future<Output = io::Result<BufGuard>> + 'static,
    {
        Self {
            kind: Read::Other(Box::new(OtherRead::new(receive, unread))),
        }
    }

    /// Goes on with the receive that is in flight, or begins one. An empty guard means the end of the stream.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: a receive that is pending stays in flight, and the next poll gets what it brings.
    #[inline]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BufGuard>> {
        match &mut self.kind {
            Read::Socket(socket) => socket.poll_recv(cx),
            Read::Other(other) => other.poll_recv(cx),
        }
    }

    /// Ends reading by polls, and puts bytes that were received but not used in front of all others: the next read of the
    /// stream gets them.
    pub fn unread(self, bytes: &[u8]) {
        match self.kind {
            Read::Socket(SocketRead {
                socket, once, many, ..
            }) => {
                drop(once);
                drop(many);
                socket.give_back(bytes.to_vec());
            }
            Read::Other(other) => other.unread(bytes),
        }
    }
}

impl SocketRead {
    #[inline]
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BufGuard>> {
        let received = match &mut self.many {
            Some(many) => ready!(Pin::new(&mut **many).poll_next(cx)),
            None => {
                let once =
                    (self.once).get_or_insert_with(|| Op::new(ReceiveLent::new(&self.socket)));
                let received = ready!(Pin::new(once).poll(cx));
                self.once = None;
                Some(received)
            }
        };
        let received = received.unwrap_or_else(|| Ok(Vec::new().into()));
        self.choose(received.as_ref().map_or(0, |guard| guard.len()));
        Poll::Ready(received)
    }

    /// Decides how to receive what comes after so many bytes.
    #[inline]
    fn choose(&mut self, len: usize) {
        if len > SMALL {
            (self.small, self.many) = (0, None);
        } else if self.many.is_none() {
            self.small += 1;
            if self.small == OFTEN {
                self.small = 0;
                self.many = Some(Box::new(RecvStream::new(&self.socket)));
            }
        }
    }
}

impl fmt::Debug for PolledRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolledRead").finish_non_exhaustive()
    }
}
