//! A receive into a lent buffer.

use std::io;
use std::rc::Rc;
use std::task::Context;

use crate::buf::IoBufMut;
use crate::driver::{self, BufGuard, BufRing, Completion, PRIVATE_LEN, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::op::{Operation, Prepare, Step};
use crate::socket::{Socket, Stashed};

/// A receive into a buffer that the kernel picks from the driver's ring when data is there.
pub(crate) struct ReceiveLent {
    turn: Turn<Socket>,
    /// The ring that the request names, kept so that what the kernel lends can be taken even after the driver's end.
    ring: Option<Rc<BufRing>>,
    /// Stands in when the ring is exhausted, or where there is none.
    private: Option<Vec<u8>>,
}

impl ReceiveLent {
    pub(crate) fn new(socket: &Rc<Socket>) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Read),
            ring: None,
            private: None,
        }
    }

    /// What a completion brought. A lent buffer that came with an error goes straight back.
    fn take(&mut self, completion: Completion) -> io::Result<BufGuard> {
        let outcome = completion.len();
        let n = outcome.as_ref().copied().unwrap_or(0);
        let guard = match (self.private.take(), self.ring.take()) {
            (Some(mut bytes), _) => {
                // SAFETY: the kernel wrote `n` bytes to the start of the room.
                unsafe { bytes.commit(n) };
                Some(BufGuard::private(bytes))
            }
            (None, ring) => ring.and_then(|ring| ring.lend(completion.flags, n)),
        };
        outcome.map(|_| guard.unwrap_or_else(|| BufGuard::private(Vec::new())))
    }
}

// SAFETY: OWNED: the request names the ring's group, whose memory the driver keeps, or points into the heap memory of
// `private`.
unsafe impl Operation for ReceiveLent {
    type Output = io::Result<BufGuard>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        match self.turn.socket().unstash() {
            Some(Stashed::Lent(guard)) => return Prepare::Served(Ok(guard)),
            Some(Stashed::Bytes { mut bytes, taken }) => {
                bytes.drain(..taken);
                return Prepare::Served(Ok(BufGuard::private(bytes)));
            }
            Some(Stashed::Failed(error)) => return Prepare::Served(Err(error)),
            None => {}
        }
        if self.private.is_none() {
            self.ring = driver::expect_current().lent();
            if self.ring.is_none() {
                self.private = Some(Vec::with_capacity(PRIVATE_LEN));
            }
        }
        Prepare::Submit(self)
    }

    #[inline]
    fn request(&mut self) -> Request {
        let fd = self.turn.socket().raw();
        let wait_first = self.turn.socket().wait_first();
        match &mut self.private {
            None => Request::RecvLent {
                fd,
                group: BufRing::GROUP,
                wait_first,
            },
            Some(bytes) => {
                let room = bytes.room();
                Request::Recv {
                    fd,
                    memory: room.cast::<u8>().as_ptr(),
                    len: transfer_len(room.len()),
                    flags: 0,
                    wait_first,
                }
            }
        }
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.turn.socket().note(completion);
        let exhausted = self.private.is_none();
        match self.take(completion) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            // All buffers are out: guards are being kept. A private one does not wait for them.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) && exhausted => {
                self.private = Some(Vec::with_capacity(PRIVATE_LEN));
                Step::Again(self)
            }
            result => Step::Done(result),
        }
    }

    fn inherit(mut self, completion: Completion) {
        self.turn.socket().note(completion);
        let outcome = self.take(completion);
        let outcome = outcome.map(|guard| {
            if !guard.is_empty() {
                self.turn.socket().stash(Stashed::Lent(guard));
            }
            0
        });
        self.turn.socket().stash_outcome(Vec::new(), outcome);
    }
}
