//! A receive until the end of the stream.

use std::io;
use std::rc::Rc;
use std::task::Context;

use crate::buf::{BufResult, IoBufMut};
use crate::driver::{Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;
use crate::stream::Stream;

/// A receive until the end of the stream, into a vector that grows.
pub(crate) struct ReceiveToEnd {
    turn: Turn<Socket<Stream>>,
    buf: Vec<u8>,
    /// The length of the vector when it came; what is behind is given back if the future is dropped.
    mark: usize,
    full: bool,
}

impl ReceiveToEnd {
    /// The least room that each receive has.
    const ROOM: usize = 8 * 1024;

    pub(crate) fn new(socket: &Rc<Socket<Stream>>, buf: Vec<u8>) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Read),
            mark: buf.len(),
            buf,
            full: false,
        }
    }

    fn finish(self, result: io::Result<()>) -> BufResult<usize, Vec<u8>> {
        (result.map(|()| self.buf.len() - self.mark), self.buf)
    }

    fn taken(&self) -> Vec<u8> {
        self.buf[self.mark..].to_vec()
    }
}

// SAFETY: OWNED: the request points into the heap memory of `buf`, which grows only in `prepare`, before a submission.
unsafe impl Operation for ReceiveToEnd {
    type Output = BufResult<usize, Vec<u8>>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        loop {
            let taken = self.turn.socket().read_stash(false, |bytes| {
                self.buf.extend_from_slice(bytes);
                bytes.len()
            });
            match taken {
                None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Prepare::Served(self.finish(Err(error))),
            }
        }
        // Doubling, as the vector does, once a receive has filled what there was.
        if self.full || self.buf.spare_capacity_mut().is_empty() {
            self.buf.reserve(Self::ROOM);
        }
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        let room = self.buf.room();
        Request::Recv {
            fd: self.turn.socket().raw(),
            memory: room.cast::<u8>().as_ptr(),
            len: transfer_len(room.len()),
            flags: 0,
            wait_first: self.turn.socket().wait_first(),
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.turn.socket().note(completion);
        match completion.len() {
            Ok(0) => Step::Done(self.finish(Ok(()))),
            Ok(n) => {
                self.full = n == self.buf.room().len();
                // SAFETY: the kernel wrote `n` bytes to the start of the room.
                unsafe { self.buf.commit(n) };
                Step::Again(self)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) => Step::Done(self.finish(Err(error))),
        }
    }

    fn inherit(mut self, completion: Completion) {
        self.turn.socket().note(completion);
        let outcome = completion.len();
        // SAFETY: the kernel wrote that many bytes to the start of the room.
        unsafe { self.buf.commit(outcome.as_ref().copied().unwrap_or(0)) };
        self.turn.socket().stash_outcome(self.taken(), outcome);
    }

    fn abandon(self) {
        self.turn.socket().give_back(self.taken());
    }
}
