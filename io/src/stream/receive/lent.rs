//! A receive into a lent buffer.

use std::io;
use std::rc::Rc;
use std::task::Context;

use crate::buf::IoBufMut;
use crate::driver::{self, BufGuard, BufRing, Completion, PRIVATE_LEN, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;
use crate::stream::{Stashed, Stream};

/// A receive into a buffer that the kernel picks from the driver's ring when data is there.
pub(crate) struct ReceiveLent {
    turn: Turn<Socket<Stream>>,
    /// The ring that the request names, kept so that what the kernel lends can be taken even after the driver's end.
    ring: Option<Rc<BufRing>>,
    /// Stands in when the ring is exhausted, or where there is none.
    private: Option<Vec<u8>>,
    /// The ring was empty once.
    missed: bool,
}

impl ReceiveLent {
    pub(crate) fn new(socket: &Rc<Socket<Stream>>) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Read),
            ring: None,
            private: None,
            missed: false,
        }
    }

    /// What a completion of the request in flight brought. An end of the stream is an empty guard.
    fn take(&mut self, completion: Completion) -> io::Result<BufGuard> {
        let n = completion.len()?;
        if let Some(mut bytes) = self.private.take() {
            // SAFETY: the kernel wrote `n` bytes to the start of the room.
            unsafe { bytes.commit(n) };
            return Ok(BufGuard::private(bytes));
        }
        // SAFETY: the request in flight named this ring, so the driver booked its completion there, and it is delivered once.
        let guard = (self.ring.take()).and_then(|ring| unsafe { ring.lend(completion) });
        match guard {
            Some(guard) => Ok(guard),
            None if n == 0 => Ok(BufGuard::private(Vec::new())),
            None => Err(lost()),
        }
    }

    /// The ring was empty. One more try if there are buffers in it now; else a private one, which waits for no guard.
    fn make_do(&mut self) {
        let again = self.ring.as_ref().is_some_and(|ring| ring.miss()) && !self.missed;
        self.missed = true;
        if !again {
            self.private = Some(Vec::with_capacity(PRIVATE_LEN));
        }
    }
}

/// The error for a completion that names no buffer of the ring.
pub(super) fn lost() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the kernel received into a buffer that it did not have; the bytes are lost",
    )
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
        if let Some(stashed) = self.turn.socket().unstash() {
            return Prepare::Served(stashed.into_guard());
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
        let exhausted = self.private.is_none() && completion.is_error(libc::ENOBUFS);
        if exhausted {
            self.make_do();
            return Step::Again(self);
        }
        match self.take(completion) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
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
