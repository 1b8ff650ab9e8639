//! Writes.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;

use super::other::{OtherWrite, Sends};
use crate::buf::BufResult;
use crate::driver;
use crate::lane::{Direction, Turn};
use crate::op::Op;
use crate::socket::Socket;
use crate::stream::{SendBuf, Stream, Whole};

/// Writes, one after the other, and the end of writing.
///
/// # Cancellation
///
/// Weak: dropping it cancels the write that is in flight, of which a prefix may have been sent.
pub struct PolledWrite {
    kind: Write,
}

enum Write {
    Socket(SocketWrite),
    Other(Box<dyn Sends>),
}

struct SocketWrite {
    socket: Rc<Socket<Stream>>,
    /// The place in line, from the first try to begin a write until it is begun.
    turn: Option<Turn<Socket<Stream>>>,
    send: Send,
}

enum Send {
    Idle,
    UnderWay(Op<SendBuf<Vec<u8>, Whole>>),
    Over(BufResult<(), Vec<u8>>),
}

impl PolledWrite {
    pub(crate) fn of_socket(socket: &Rc<Socket<Stream>>) -> Self {
        Self {
            kind: Write::Socket(SocketWrite {
                socket: socket.clone(),
                turn: None,
                send: Send::Idle,
            }),
        }
    }

    /// Writes to something else: `write` begins a write of all bytes each time the one before is over, and `shutdown` the
    /// end of writing.
    ///
    /// The futures lie one after the other in the same box.
    pub fn new<W, S>(
        write: impl FnMut(Vec<u8>) -> W + 'static,
        shutdown: impl FnMut() -> S + 'static,
    ) -> Self
    where
        W: Future<Output = BufResult<(), Vec<u8>>> + 'static,
        S: Future<Output = io::Result<()>> + 'static,
    {
        Self {
            kind: Write::Other(Box::new(OtherWrite::new(write, shutdown))),
        }
    }

    /// Whether no write is under way.
    #[inline]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        match &self.kind {
            Write::Socket(socket) => matches!(socket.send, Send::Idle),
            Write::Other(other) => other.is_idle(),
        }
    }

    /// Whether the write that is under way goes on only as long as it is polled. Where the kernel takes care of short
    /// writes, it goes on by itself.
    #[inline]
    #[must_use]
    pub fn needs_polls(&self) -> bool {
        match &self.kind {
            Write::Socket(socket) => {
                matches!(socket.send, Send::UnderWay(_))
                    && driver::current().is_none_or(|driver| !driver.sends_whole())
            }
            Write::Other(other) => !other.is_idle(),
        }
    }

    /// Begins to write all bytes of a vector, and takes it. While it is pending the vector stays where it is.
    ///
    /// The waker is called when it is worth trying again, not when the write is over.
    ///
    /// # Panics
    ///
    /// If a write is under way, and if polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: as long as it is pending nothing is begun, and whoever polls no more has the vector still. A place in line that
    /// was taken is given up when this is dropped.
    #[inline]
    pub fn poll_begin(&mut self, buf: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<()> {
        assert!(
            self.is_idle(),
            "a write is begun when the one before is over"
        );
        match &mut self.kind {
            Write::Socket(socket) => socket.poll_begin(buf, cx),
            Write::Other(other) => {
                other.begin(mem::take(buf));
                Poll::Ready(())
            }
        }
    }

    /// Waits until the write is over, and gives its vector back; an empty one if none was under way.
    ///
    /// # Errors
    ///
    /// `BrokenPipe`, `ConnectionReset` and what else the system reports; how much was written is not known then.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: a write that is pending stays under way, and the next poll waits on.
    #[inline]
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<(), Vec<u8>>> {
        match &mut self.kind {
            Write::Socket(socket) => socket.poll_end(cx),
            Write::Other(other) => other.poll_end(cx),
        }
    }

    /// Says that no more will be written. To be called when no write is under way.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Write::Socket(socket) => socket.poll_shutdown(cx),
            Write::Other(other) => other.poll_shutdown(cx),
        }
    }
}

impl SocketWrite {
    #[inline]
    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<Turn<Socket<Stream>>> {
        let mut turn = self
            .turn
            .take()
            .unwrap_or_else(|| Turn::new(&self.socket, Direction::Write));
        if turn.poll(cx).is_pending() {
            self.turn = Some(turn);
            return Poll::Pending;
        }
        Poll::Ready(turn)
    }

    #[inline]
    fn poll_begin(&mut self, buf: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<()> {
        let turn = ready!(self.poll_turn(cx));
        let mut op = Op::new(SendBuf::in_turn(turn, mem::take(buf)));
        // Nobody is woken by its end unless somebody comes to wait for that.
        let nobody = Context::from_waker(Waker::noop());
        for mut cx in [nobody, Context::from_waker(cx.waker())] {
            if let Poll::Ready(sent) = Pin::new(&mut op).poll(&mut cx) {
                self.send = Send::Over(sent);
                return Poll::Ready(());
            }
            if op.is_in_flight() {
                self.send = Send::UnderWay(op);
                return Poll::Ready(());
            }
        }
        // The driver has no room, and wakes the task when it has. Nothing is begun until then.
        if let Some((turn, unsent)) = op.retract().map(SendBuf::into_parts) {
            self.turn = Some(turn);
            *buf = unsent;
        }
        Poll::Pending
    }

    #[inline]
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<(), Vec<u8>>> {
        if let Send::UnderWay(op) = &mut self.send {
            let sent = ready!(Pin::new(op).poll(cx));
            self.send = Send::Idle;
            return Poll::Ready(sent);
        }
        match mem::replace(&mut self.send, Send::Idle) {
            Send::Over(sent) => Poll::Ready(sent),
            Send::Idle | Send::UnderWay(_) => Poll::Ready((Ok(()), Vec::new())),
        }
    }

    fn poll_shutdown(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let turn = ready!(self.poll_turn(cx));
        let result = SockRef::from(self.socket.fd()).shutdown(Shutdown::Write);
        drop(turn);
        Poll::Ready(result)
    }
}

impl fmt::Debug for PolledWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolledWrite")
            .field("is_idle", &self.is_idle())
            .finish_non_exhaustive()
    }
}
