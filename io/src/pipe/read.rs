//! Reads of a pipe.

use std::io;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Context;

use super::{Chunk, Pipe};
use crate::buf::{BufResult, IoBufMut};
use crate::driver::{CURSOR, Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;
use crate::stream::no_room;

/// When a read is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// With the first bytes.
    Some,
    /// When the buffer is full.
    Full,
    /// At the end of the stream.
    End,
}

/// A read of a pipe.
pub(crate) struct Read<B> {
    turn: Turn<Socket<Pipe>>,
    buf: B,
    goal: Goal,
    /// Makes room before each submission.
    grow: fn(&mut B),
    /// Where the room of the buffer began when it came.
    start: usize,
    /// How many bytes were put there since.
    filled: usize,
    /// Whether a try found nothing there: then readiness is asked for.
    waits: bool,
}

impl<B: IoBufMut> Read<B> {
    fn new(pipe: &Rc<Socket<Pipe>>, buf: B, goal: Goal, grow: fn(&mut B)) -> Self {
        Self {
            turn: Turn::new(pipe, Direction::Read),
            start: buf.fill_start(),
            buf,
            goal,
            grow,
            filled: 0,
            waits: false,
        }
    }

    /// Done with the first bytes.
    pub(crate) fn some(pipe: &Rc<Socket<Pipe>>, buf: B) -> Self {
        Self::new(pipe, buf, Goal::Some, |_| ())
    }

    /// Done when the buffer is full.
    pub(crate) fn full(pipe: &Rc<Socket<Pipe>>, buf: B) -> Self {
        Self::new(pipe, buf, Goal::Full, |_| ())
    }

    #[inline]
    fn room(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        self.buf.room_at(self.start + self.filled)
    }

    fn commit(&mut self, n: usize) {
        self.filled += n;
        // SAFETY: everything before the room is initialised, and so are the `n` bytes that the kernel wrote to its start.
        unsafe { self.buf.mark_init(self.start + self.filled) };
    }

    /// Puts what was read so far to the front of the stash.
    fn give_back(&mut self) {
        if self.filled > 0 {
            let bytes = self.buf.as_slice()[self.start..self.start + self.filled].to_vec();
            self.turn.socket().restash(Chunk { bytes, taken: 0 });
        }
    }

    /// Takes from the stash, as much as the goal asks for.
    fn take_stashed(&mut self) {
        while !self.is_done() {
            (self.grow)(&mut self.buf);
            let Some(mut chunk) = self.turn.socket().unstash() else {
                return;
            };
            let at = self.start + self.filled;
            let n = self.buf.fill_at(at, &chunk.bytes[chunk.taken..]);
            self.filled += n;
            chunk.taken += n;
            if chunk.taken < chunk.bytes.len() {
                self.turn.socket().restash(chunk);
            }
        }
    }

    /// Whether it is done before the end of the stream.
    fn is_done(&mut self) -> bool {
        match self.goal {
            Goal::Some => self.filled > 0,
            Goal::Full => self.room().is_empty(),
            Goal::End => false,
        }
    }

    fn finish(self, result: io::Result<()>) -> BufResult<usize, B> {
        (result.map(|()| self.filled), self.buf)
    }
}

impl Read<Vec<u8>> {
    /// The least room that each submission has.
    const ROOM: usize = 8 * 1024;

    /// Done at the end of the stream; the vector grows as needed, by doubling.
    pub(crate) fn to_end(pipe: &Rc<Socket<Pipe>>, buf: Vec<u8>) -> Self {
        Self::new(pipe, buf, Goal::End, |buf| {
            if buf.capacity() - buf.len() < Self::ROOM {
                buf.reserve(Self::ROOM);
            }
        })
    }
}

// SAFETY: OWNED: the request points into the storage of `buf`, which does not move with it (STABLE), and which grows only in
// `prepare`, before a submission.
unsafe impl<B: IoBufMut> Operation for Read<B> {
    type Output = BufResult<usize, B>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.goal != Goal::End && self.filled == 0 && self.room().is_empty() {
            return Prepare::Served((Err(no_room()), self.buf));
        }
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        self.take_stashed();
        if self.is_done() {
            return Prepare::Served(self.finish(Ok(())));
        }
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        let fd = self.turn.socket().raw();
        if self.waits {
            let events = libc::POLLIN;
            return Request::Poll { fd, events };
        }
        let room = self.room();
        Request::Read {
            fd,
            memory: room.cast().as_ptr(),
            len: transfer_len(room.len()),
            offset: CURSOR,
            flags: 0,
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let n = match completion.len() {
            Ok(_) if self.waits => {
                self.waits = false;
                return Step::Again(self);
            }
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Step::Again(self),
            // From kernels before 5.12, which do not wait by themselves for a descriptor in this mode.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.waits = true;
                return Step::Again(self);
            }
            Err(error) => return Step::Done(self.finish(Err(error))),
        };
        self.commit(n);
        if self.is_done() || (n == 0 && self.goal != Goal::Full) {
            return Step::Done(self.finish(Ok(())));
        }
        if n == 0 {
            return Step::Done(self.finish(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        Step::Again(self)
    }

    fn inherit(mut self, completion: Completion) {
        if !self.waits {
            self.commit(completion.len().unwrap_or(0));
        }
        self.give_back();
    }

    fn abandon(mut self) {
        self.give_back();
    }
}
