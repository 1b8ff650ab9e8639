//! A receive into memory.

use std::io;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Context;

use crate::buf::{BufResult, IoBufMut};
use crate::driver::{Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;
use crate::stream::{Stream, no_room};

/// When a receive into memory is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// With the first bytes.
    Some,
    /// When the buffer is full.
    Full,
    /// With the first bytes, which stay in the socket.
    Peek,
}

/// A receive into memory.
pub(crate) struct Receive<B> {
    turn: Turn<Socket<Stream>>,
    buf: B,
    goal: Goal,
    /// Where the room of the buffer began when it came.
    start: usize,
    /// How many bytes were put there since.
    filled: usize,
}

impl<B: IoBufMut> Receive<B> {
    pub(crate) fn new(socket: &Rc<Socket<Stream>>, buf: B, goal: Goal) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Read),
            start: buf.fill_start(),
            buf,
            goal,
            filled: 0,
        }
    }

    /// The memory that is not filled yet.
    #[inline]
    fn room(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        self.buf.room_at(self.start + self.filled)
    }

    /// The kernel wrote `n` bytes into the room.
    #[inline]
    fn commit(&mut self, n: usize) {
        self.filled += n;
        // SAFETY: everything before the room is initialised, and so are the `n` bytes that the kernel wrote; it never
        // reports more than the length that it was given.
        unsafe { self.buf.mark_init(self.start + self.filled) };
    }

    /// What was received so far.
    fn received(&self) -> Vec<u8> {
        self.buf.as_slice()[self.start..self.start + self.filled].to_vec()
    }

    /// Takes from the stash; tells whether the goal is reached.
    fn take_stashed(&mut self) -> io::Result<bool> {
        loop {
            let at = self.start + self.filled;
            let buf = &mut self.buf;
            let copied = self
                .turn
                .socket()
                .read_stash(self.goal == Goal::Peek, |bytes| buf.fill_at(at, bytes));
            match copied {
                None => return Ok(false),
                Some(Err(error)) => return Err(error),
                Some(Ok(taken)) => self.filled += taken.len,
            }
            if self.goal != Goal::Full || self.room().is_empty() {
                return Ok(true);
            }
        }
    }

    fn finish(self, result: io::Result<()>) -> BufResult<usize, B> {
        (result.map(|()| self.filled), self.buf)
    }
}

// SAFETY: OWNED: the request points into the storage of `buf`, which does not move with it (STABLE).
unsafe impl<B: IoBufMut> Operation for Receive<B> {
    type Output = BufResult<usize, B>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.filled == 0 && self.room().is_empty() {
            return Prepare::Served((Err(no_room()), self.buf));
        }
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        if !self.turn.socket().is_stash_empty() {
            match self.take_stashed() {
                Ok(true) => return Prepare::Served(self.finish(Ok(()))),
                Ok(false) => {}
                Err(error) => return Prepare::Served(self.finish(Err(error))),
            }
        }
        Prepare::Submit(self)
    }

    #[inline]
    fn request(&mut self) -> Request {
        let room = self.room();
        Request::Recv {
            fd: self.turn.socket().raw(),
            memory: room.cast::<u8>().as_ptr(),
            len: transfer_len(room.len()),
            flags: if self.goal == Goal::Peek {
                libc::MSG_PEEK
            } else {
                0
            },
            wait_first: self.turn.socket().wait_first(),
        }
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.turn.socket().note(completion);
        let n = match completion.len() {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Step::Again(self),
            Err(error) => return Step::Done(self.finish(Err(error))),
        };
        self.commit(n);
        if self.goal != Goal::Full || self.room().is_empty() {
            return Step::Done(self.finish(Ok(())));
        }
        if n == 0 {
            return Step::Done(self.finish(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        Step::Again(self)
    }

    fn inherit(mut self, completion: Completion) {
        self.turn.socket().note(completion);
        let mut outcome = completion.len();
        if self.goal == Goal::Peek {
            // The bytes are still in the socket; an error is not.
            outcome = outcome.map(|_| 0);
        }
        self.commit(outcome.as_ref().copied().unwrap_or(0));
        let socket = self.turn.socket();
        socket.stash_outcome(self.received(), outcome);
    }

    fn abandon(self) {
        if self.filled > 0 && self.goal == Goal::Full {
            self.turn.socket().give_back(self.received());
        }
    }
}
