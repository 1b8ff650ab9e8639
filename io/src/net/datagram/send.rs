//! A send of one message.

use std::io;
use std::mem;
use std::rc::Rc;
use std::task::Context;

use socket2::SockAddr;

use super::Datagrams;
use crate::buf::{BufResult, IoBuf};
use crate::driver::{Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::message::Message;
use crate::net::pause;
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;

/// How a send waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Manner {
    /// For room in the socket.
    Free,
    /// For those before it, and then for room in the socket.
    InOrder,
    /// For room in a socket to which this one is not connected: no event tells of that, so it is tried again after a pause.
    Retried,
}

/// A send of one message.
pub(in crate::net) struct Send<B> {
    turn: Turn<Socket<Datagrams>>,
    buf: B,
    manner: Manner,
    /// The message that names the target. `None`: to the peer that the socket is connected to.
    message: Option<Box<Message>>,
    /// The request in flight is the pause, not the send.
    pausing: bool,
}

impl<B: IoBuf> Send<B> {
    pub(in crate::net) fn new(
        socket: &Rc<Socket<Datagrams>>,
        buf: B,
        target: Option<&SockAddr>,
        manner: Manner,
    ) -> Self {
        let message = target.map(|target| {
            let mut message = socket.kind.message(Direction::Write);
            message.set_name(Some(target));
            message
        });
        Self {
            turn: Turn::new(socket, Direction::Write),
            buf,
            manner,
            pausing: false,
            message,
        }
    }
}

// SAFETY: OWNED: the message lies in a box; it, or the request, points into the storage of `buf`, which does not move with
// it (STABLE).
unsafe impl<B: IoBuf> Operation for Send<B> {
    type Output = BufResult<usize, B>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.manner == Manner::InOrder && self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        Prepare::Submit(self)
    }

    #[inline]
    fn request(&mut self) -> Request {
        if self.pausing {
            return Request::Pause {
                span: &pause::SHORT,
            };
        }
        let fd = self.turn.socket().raw();
        let flags = if self.manner == Manner::Retried {
            libc::MSG_DONTWAIT
        } else {
            0
        };
        let bytes = self.buf.as_slice();
        let len = transfer_len(bytes.len());
        match &mut self.message {
            None => Request::Send {
                fd,
                memory: bytes.as_ptr(),
                len,
                flags,
            },
            Some(message) => {
                message.set_buffer(bytes.as_ptr().cast_mut(), len as usize);
                Request::SendMsg {
                    fd,
                    message: message.header(),
                    flags,
                }
            }
        }
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        if mem::take(&mut self.pausing) {
            return Step::Again(self);
        }
        let result = completion.len();
        match result.as_ref().err().and_then(io::Error::raw_os_error) {
            Some(libc::EINTR) => return Step::Again(self),
            Some(libc::EAGAIN) => {
                self.pausing = true;
                return Step::Again(self);
            }
            _ => {}
        }
        let socket = self.turn.socket();
        (self.message.into_iter()).for_each(|it| socket.kind.reuse(Direction::Write, it));
        Step::Done((result, self.buf))
    }

    /// It went out whole or not at all.
    fn inherit(self, _: Completion) {}
}
