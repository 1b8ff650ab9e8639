//! A receive into several buffers.

use std::io;
use std::rc::Rc;
use std::task::Context;

use crate::buf::{BufResult, IoBufMut, vectored};
use crate::driver::{Completion, Request};
use crate::lane::{Direction, Turn};
use crate::message::Message;
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;
use crate::stream::{Stream, no_room};

/// A receive into several buffers.
pub(crate) struct ReceiveVectored<B> {
    turn: Turn<Socket<Stream>>,
    bufs: Vec<B>,
    message: Box<Message>,
}

impl<B: IoBufMut> ReceiveVectored<B> {
    pub(crate) fn new(socket: &Rc<Socket<Stream>>, bufs: Vec<B>) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Read),
            bufs,
            message: Message::new(),
        }
    }
}

// SAFETY: OWNED: the header lies in a box, its list on the heap, and the list points into the storage of the buffers.
unsafe impl<B: IoBufMut> Operation for ReceiveVectored<B> {
    type Output = BufResult<usize, Vec<B>>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if vectored::total_room(&mut self.bufs) == 0 {
            return Prepare::Served((Err(no_room()), self.bufs));
        }
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        let bufs = &mut self.bufs;
        let served = self
            .turn
            .socket()
            .read_stash(false, |bytes| vectored::fill_from(bufs, bytes));
        if let Some(result) = served {
            return Prepare::Served((result.map(|taken| taken.len), self.bufs));
        }
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        self.message.set_buffers(vectored::rooms(&mut self.bufs));
        Request::RecvMsg {
            fd: self.turn.socket().raw(),
            message: self.message.header(),
            flags: 0,
            wait_first: self.turn.socket().wait_first(),
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.turn.socket().note(completion);
        match completion.len() {
            Ok(n) => {
                // SAFETY: the kernel fills the rooms in order, and wrote `n` bytes.
                unsafe { vectored::commit(&mut self.bufs, n) };
                Step::Done((Ok(n), self.bufs))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            Err(error) => Step::Done((Err(error), self.bufs)),
        }
    }

    fn inherit(mut self, completion: Completion) {
        self.turn.socket().note(completion);
        let outcome = completion.len();
        let n = outcome.as_ref().copied().unwrap_or(0);
        let starts: Vec<usize> = self.bufs.iter().map(IoBufMut::fill_start).collect();
        // SAFETY: as in `complete`.
        unsafe { vectored::commit(&mut self.bufs, n) };
        let mut bytes = Vec::with_capacity(n);
        for (buf, start) in self.bufs.iter().zip(starts) {
            let new = &buf.as_slice()[start..];
            bytes.extend_from_slice(&new[..new.len().min(n - bytes.len())]);
        }
        self.turn.socket().stash_outcome(bytes, outcome);
    }
}
