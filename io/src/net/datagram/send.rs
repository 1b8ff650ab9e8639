//! A send of one message.

use std::io;
use std::rc::Rc;
use std::task::Context;

use socket2::SockAddr;

use super::Datagrams;
use crate::buf::{BufResult, IoBuf};
use crate::driver::{Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::message::Message;
use crate::op::{Operation, Prepare, Step};
use crate::socket::Socket;

/// Whether a send waits for those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Order {
    Free,
    Kept,
}

/// A send of one message.
pub(in crate::net) struct Send<B> {
    turn: Turn<Socket<Datagrams>>,
    buf: B,
    order: Order,
    /// The message that names the target. `None`: to the peer that the socket is connected to.
    message: Option<Box<Message>>,
}

impl<B: IoBuf> Send<B> {
    pub(in crate::net) fn new(
        socket: &Rc<Socket<Datagrams>>,
        buf: B,
        target: Option<&SockAddr>,
        order: Order,
    ) -> Self {
        let message = target.map(|target| {
            let mut message = Message::new();
            message.set_name(Some(target));
            message
        });
        Self {
            turn: Turn::new(socket, Direction::Write),
            buf,
            order,
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
        if self.order == Order::Kept && self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        Prepare::Submit(self)
    }

    #[inline]
    fn request(&mut self) -> Request {
        let fd = self.turn.socket().raw();
        let bytes = self.buf.as_slice();
        let len = transfer_len(bytes.len());
        match &mut self.message {
            None => Request::Send {
                fd,
                memory: bytes.as_ptr(),
                len,
                flags: 0,
            },
            Some(message) => {
                message.set_buffer(bytes.as_ptr().cast_mut(), len as usize);
                Request::SendMsg {
                    fd,
                    message: message.header(),
                    flags: 0,
                }
            }
        }
    }

    #[inline]
    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.len() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done((result, self.buf)),
        }
    }

    /// It went out whole or not at all.
    fn inherit(self, _: Completion) {}
}
