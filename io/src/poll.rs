//! Streams that are polled: what adapters to the traits of other runtimes are made of.
//!
//! Those traits lend a buffer for the time of one poll, and the kernel needs memory for longer. So what is here owns its
//! memory and stays in flight between the polls:
//!
//! ```text
//!   PolledRead    one receive into a lent buffer at a time; its bytes are handed out as a BufGuard
//!   PolledWrite   one write of an owned vector at a time; begun by one poll, awaited by another, or by nobody
//! ```
//!
//! A stream says by [`PollRead`] and [`PollWrite`] how it is polled. Nothing is allocated for each transfer.
//!
//! Invariant **UNDER-WAY**: a write that was begun has been handed to the driver. Whether the driver finishes it by itself is
//! told by [`PolledWrite::needs_polls`].

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream as _;
use socket2::SockRef;

use crate::buf::BufResult;
use crate::driver::{self, BufGuard};
use crate::lane::{Direction, Turn};
use crate::op::Op;
use crate::socket::Socket;
use crate::stream::{ReceiveLent, RecvStream, SendBuf, Stream, Whole};

/// After so many small receives in a row, more of them are expected, and asked for all at once.
const OFTEN: u8 = 2;
/// The most bytes of a small receive. Bulk data is received one buffer after the other, as it is used.
const SMALL: usize = 4096;

/// A stream that can be read by polls.
pub trait PollRead {
    /// What reads it. It may outlive the stream, and keeps the descriptor open.
    fn polled_read(&self) -> PolledRead;
}

/// A stream that can be written by polls.
pub trait PollWrite {
    /// What writes to it. It may outlive the stream, and keeps the descriptor open.
    fn polled_write(&self) -> PolledWrite;
}

impl<T: PollRead + ?Sized> PollRead for &T {
    fn polled_read(&self) -> PolledRead {
        (**self).polled_read()
    }
}

impl<T: PollWrite + ?Sized> PollWrite for &T {
    fn polled_write(&self) -> PolledWrite {
        (**self).polled_write()
    }
}

impl<T: PollRead + ?Sized> PollRead for Rc<T> {
    fn polled_read(&self) -> PolledRead {
        (**self).polled_read()
    }
}

impl<T: PollWrite + ?Sized> PollWrite for Rc<T> {
    fn polled_write(&self) -> PolledWrite {
        (**self).polled_write()
    }
}

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
            kind: Read::Other(Box::new(OtherRead {
                begin: receive,
                receive: Place::new(),
                unread,
            })),
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
            kind: Write::Other(Box::new(OtherWrite {
                begin: write,
                write: Place::new(),
                close: shutdown,
                shutdown: Place::new(),
            })),
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

/// [`PolledRead`] of what is no socket.
trait Receives {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BufGuard>>;
    fn unread(self: Box<Self>, bytes: &[u8]);
}

/// [`PolledWrite`] to what is no socket.
trait Sends {
    fn is_idle(&self) -> bool;
    fn begin(&mut self, buf: Vec<u8>);
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<(), Vec<u8>>>;
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Where one future after the other lies.
struct Place<F>(Pin<Box<Option<F>>>);

impl<F: Future> Place<F> {
    fn new() -> Self {
        Self(Box::pin(None))
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn put(&mut self, future: F) {
        self.0.set(Some(future));
    }

    /// Polls the future that is there; a ready one goes. `None`: there is none.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let Some(future) = self.0.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let output = ready!(future.poll(cx));
        self.0.set(None);
        Poll::Ready(Some(output))
    }
}

/// Begins a future where none is, and polls it.
fn poll_repeated<F: Future>(
    begin: &mut impl FnMut() -> F,
    place: &mut Place<F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    if place.is_empty() {
        place.put(begin());
    }
    place
        .poll(cx)
        .map(|output| output.expect("it was just begun"))
}

struct OtherRead<B, F, U> {
    begin: B,
    receive: Place<F>,
    unread: U,
}

impl<B, F, U> Receives for OtherRead<B, F, U>
where
    B: FnMut() -> F,
    F: Future<Output = io::Result<BufGuard>>,
    U: FnOnce(&[u8]),
{
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BufGuard>> {
        poll_repeated(&mut self.begin, &mut self.receive, cx)
    }

    fn unread(self: Box<Self>, bytes: &[u8]) {
        drop(self.receive);
        (self.unread)(bytes);
    }
}

struct OtherWrite<B, F, C, G> {
    begin: B,
    write: Place<F>,
    close: C,
    shutdown: Place<G>,
}

impl<B, F, C, G> Sends for OtherWrite<B, F, C, G>
where
    B: FnMut(Vec<u8>) -> F,
    F: Future<Output = BufResult<(), Vec<u8>>>,
    C: FnMut() -> G,
    G: Future<Output = io::Result<()>>,
{
    fn is_idle(&self) -> bool {
        self.write.is_empty()
    }

    fn begin(&mut self, buf: Vec<u8>) {
        self.write.put((self.begin)(buf));
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<(), Vec<u8>>> {
        let written = self.write.poll(cx);
        written.map(|written| written.unwrap_or((Ok(()), Vec::new())))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_repeated(&mut self.close, &mut self.shutdown, cx)
    }
}
