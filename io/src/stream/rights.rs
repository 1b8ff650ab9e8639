//! Transfers of bytes that descriptors travel with.
//!
//! Descriptors belong to the first byte that they were sent with: who receives that byte receives them. They are closed
//! if nobody asks for them, or if the future that received them is dropped and nobody asks later.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::slice;
use std::task::Context;

use super::{Stashed, Stream, no_room};
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::driver::{Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::message::{Message, RIGHTS_MAX};
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;

/// Sends bytes with descriptors.
pub(crate) struct SendRights<B> {
    turn: Turn<Socket<Stream>>,
    buf: B,
    /// Copies of the caller's, so that he may close his while the kernel still looks.
    fds: io::Result<Vec<OwnedFd>>,
    message: Box<Message>,
}

impl<B: IoBuf> SendRights<B> {
    pub(crate) fn new(
        socket: &Rc<Socket<Stream>>,
        buf: B,
        fds: impl IntoIterator<Item: AsFd>,
    ) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Write),
            fds: duplicate(fds).and_then(|fds| match buf.as_slice() {
                [] => Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "descriptors travel with bytes: send at least one",
                )),
                _ => Ok(fds),
            }),
            buf,
            message: Message::new(),
        }
    }
}

/// Copies descriptors, no more of them than a message carries.
fn duplicate(fds: impl IntoIterator<Item: AsFd>) -> io::Result<Vec<OwnedFd>> {
    let mut copies = Vec::new();
    for fd in fds {
        if copies.len() == RIGHTS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "one message carries at most {RIGHTS_MAX} descriptors; send the others with another byte"
                ),
            ));
        }
        copies.push(fd.as_fd().try_clone_to_owned()?);
    }
    Ok(copies)
}

// SAFETY: OWNED: the message lies in a box, with its control data on the heap, and points into the storage of the buffer.
unsafe impl<B: IoBuf> Operation for SendRights<B> {
    type Output = BufResult<usize, B>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if let Err(error) = self.fds {
            return Prepare::Served((Err(error), self.buf));
        }
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        let bytes = self.buf.as_slice();
        self.message.set_buffer(
            bytes.as_ptr().cast_mut(),
            transfer_len(bytes.len()) as usize,
        );
        self.message.clear_control();
        let fds = self.fds.as_deref().unwrap_or_default();
        let numbers: Vec<u8> = fds
            .iter()
            .flat_map(|fd| fd.as_raw_fd().to_ne_bytes())
            .collect();
        if !fds.is_empty() {
            self.message
                .put_control(libc::SOL_SOCKET, libc::SCM_RIGHTS, &numbers);
        }
        Request::SendMsg {
            fd: self.turn.socket().raw(),
            message: self.message.header(),
            flags: 0,
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.len() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done((result, self.buf)),
        }
    }

    fn inherit(self, _: Completion) {}
}

/// Receives bytes and the descriptors that came with them.
pub(crate) struct ReceiveRights<B> {
    turn: Turn<Socket<Stream>>,
    buf: B,
    message: Box<Message>,
}

impl<B: IoBufMut> ReceiveRights<B> {
    pub(crate) fn new(socket: &Rc<Socket<Stream>>, buf: B) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Read),
            buf,
            message: Message::new(),
        }
    }

    /// The `n` bytes that the kernel wrote into the room, for somebody else: the buffer does not count them.
    fn copy_received(&mut self, n: usize) -> Vec<u8> {
        let bytes = self.buf.room().cast::<u8>().as_ptr();
        // SAFETY: the kernel wrote `n` bytes to the start of the room, and reports no more than the length that it was given.
        let bytes = unsafe { slice::from_raw_parts(bytes, n) };
        bytes.to_vec()
    }

    /// The descriptors that came. If some were left away, the others are of no use and closed.
    fn rights(&mut self) -> io::Result<Vec<OwnedFd>> {
        let rights = self.message.take_rights();
        if self.message.is_control_cut() {
            return Err(io::Error::other(
                "descriptors were sent, but this process has no number left for them, or may not have them; all of this \
                 message are closed, its bytes come with the next read; raise the limit of open files (RLIMIT_NOFILE)",
            ));
        }
        Ok(rights)
    }
}

// SAFETY: OWNED: as for `SendRights`.
unsafe impl<B: IoBufMut> Operation for ReceiveRights<B> {
    type Output = BufResult<(usize, Vec<OwnedFd>), B>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.buf.room().is_empty() {
            return Prepare::Served((Err(no_room()), self.buf));
        }
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        let buf = &mut self.buf;
        let served = self
            .turn
            .socket()
            .read_stash(false, |bytes| buf.fill_from(bytes));
        if let Some(taken) = served {
            return Prepare::Served((taken.map(|it| (it.len, it.fds)), self.buf));
        }
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        let room = self.buf.room();
        self.message
            .set_buffer(room.cast().as_ptr(), transfer_len(room.len()) as usize);
        self.message.ask_rights();
        Request::RecvMsg {
            fd: self.turn.socket().raw(),
            message: self.message.header(),
            flags: libc::MSG_CMSG_CLOEXEC,
            wait_first: self.turn.socket().wait_first(),
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.turn.socket().note(completion);
        let n = match completion.len() {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Step::Again(self),
            Err(error) => return Step::Done((Err(error), self.buf)),
        };
        match self.rights() {
            Ok(fds) => {
                // SAFETY: as in `copy_received`.
                unsafe { self.buf.commit(n) };
                Step::Done((Ok((n, fds)), self.buf))
            }
            Err(error) => {
                let bytes = self.copy_received(n);
                self.turn.socket().give_back(bytes);
                Step::Done((Err(error), self.buf))
            }
        }
    }

    fn inherit(mut self, completion: Completion) {
        self.turn.socket().note(completion);
        let outcome = completion.len();
        let n = outcome.as_ref().copied().unwrap_or(0);
        let bytes = self.copy_received(n);
        // Only a message that was received has written control data.
        let rights = if n == 0 {
            Ok(Vec::new())
        } else {
            self.rights()
        };
        let socket = self.turn.socket();
        match rights {
            Ok(fds) if fds.is_empty() => socket.stash_outcome(bytes, outcome),
            Ok(fds) => socket.stash(Stashed::Rights { bytes, fds }),
            Err(error) => {
                socket.stash(Stashed::Failed(error));
                socket.stash_outcome(bytes, outcome);
            }
        }
    }
}
