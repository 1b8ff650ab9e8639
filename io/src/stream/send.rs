//! Sends: of one buffer, in part or whole, and of several.
//!
//! A send whose future is dropped may have sent a prefix. It is cancelled, and holds its lane until it has settled, so
//! nothing of it goes out once the next send has begun.

use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Stream;
use crate::buf::{BufResult, IoBuf, vectored};
use crate::driver::{Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::message::Message;
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;

/// How much of a buffer is to be sent.
pub(crate) trait Extent: 'static {
    type Output;
    const ALL: bool;
    fn output(sent: usize) -> Self::Output;
}

/// Whatever the kernel takes at once; the output is how much that was.
pub(crate) struct Part;

/// All of it.
pub(crate) struct Whole;

impl Extent for Part {
    type Output = usize;
    const ALL: bool = false;
    fn output(sent: usize) -> usize {
        sent
    }
}

impl Extent for Whole {
    type Output = ();
    const ALL: bool = true;
    fn output(_: usize) {}
}

/// A send of one buffer.
pub(crate) struct SendBuf<B, E> {
    turn: Turn<Socket<Stream>>,
    buf: B,
    sent: usize,
    extent: PhantomData<E>,
}

impl<B: IoBuf, E: Extent> SendBuf<B, E> {
    pub(crate) fn new(socket: &Rc<Socket<Stream>>, buf: B) -> Self {
        Self::in_turn(Turn::new(socket, Direction::Write), buf)
    }

    /// A send whose place in line is there already.
    pub(crate) fn in_turn(turn: Turn<Socket<Stream>>, buf: B) -> Self {
        Self {
            turn,
            buf,
            sent: 0,
            extent: PhantomData,
        }
    }

    /// What it was made of.
    pub(crate) fn into_parts(self) -> (Turn<Socket<Stream>>, B) {
        (self.turn, self.buf)
    }
}

// SAFETY: OWNED: the request points into the storage of `buf`, which does not move with it (STABLE).
unsafe impl<B: IoBuf, E: Extent> Operation for SendBuf<B, E> {
    type Output = BufResult<E::Output, B>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.buf.as_slice().is_empty() {
            return Prepare::Served((Ok(E::output(0)), self.buf));
        }
        match self.turn.poll(cx) {
            Poll::Ready(()) => Prepare::Submit(self),
            Poll::Pending => Prepare::Wait(self),
        }
    }

    #[inline]
    fn request(&mut self) -> Request {
        let rest = &self.buf.as_slice()[self.sent..];
        Request::Send {
            fd: self.turn.socket().raw(),
            memory: rest.as_ptr(),
            len: transfer_len(rest.len()),
            // One submission for all: the kernel retries short sends by itself (as of 5.19; else they come back short).
            flags: if E::ALL { libc::MSG_WAITALL } else { 0 },
        }
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        match completion.len() {
            Ok(0) if E::ALL => Step::Done((Err(io::ErrorKind::WriteZero.into()), self.buf)),
            Ok(n) => {
                self.sent += n;
                if E::ALL && self.sent < self.buf.as_slice().len() {
                    return Step::Again(self);
                }
                Step::Done((Ok(E::output(self.sent)), self.buf))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) => Step::Done((Err(error), self.buf)),
        }
    }

    fn inherit(self, _: Completion) {}
}

/// A send of several buffers, as far as the kernel takes them at once.
pub(crate) struct SendVectored<B> {
    turn: Turn<Socket<Stream>>,
    bufs: Vec<B>,
    message: Box<Message>,
}

impl<B: IoBuf> SendVectored<B> {
    pub(crate) fn new(socket: &Rc<Socket<Stream>>, bufs: Vec<B>) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Write),
            bufs,
            message: Message::new(),
        }
    }
}

// SAFETY: OWNED: the header lies in a box, its list on the heap, and the list points into the storage of the buffers.
unsafe impl<B: IoBuf> Operation for SendVectored<B> {
    type Output = BufResult<usize, Vec<B>>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.bufs.iter().all(|buf| buf.as_slice().is_empty()) {
            return Prepare::Served((Ok(0), self.bufs));
        }
        match self.turn.poll(cx) {
            Poll::Ready(()) => Prepare::Submit(self),
            Poll::Pending => Prepare::Wait(self),
        }
    }

    fn request(&mut self) -> Request {
        self.message.set_buffers(vectored::sources(&self.bufs));
        Request::SendMsg {
            fd: self.turn.socket().raw(),
            message: self.message.header(),
            flags: 0,
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.len() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done((result, self.bufs)),
        }
    }

    fn inherit(self, _: Completion) {}
}
