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
use crate::op::{Operation, Prepare, Step};
use crate::pause;
use crate::socket::Socket;

/// What a send waits for when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Room {
    /// For room in the socket; the driver does it, unless the kernel reports a full socket all the same: the ring does not
    /// wait where the descriptor is in non-blocking mode.
    Driver,
    /// For room in the socket and at the peer that it is connected to.
    ///
    /// The ring must not do that for Unix sockets: when it tries again, it takes the bytes for sent that the first try had
    /// copied before it found no room, and sends an empty message (Linux 6.18).
    Connected,
    /// For room at a peer to which the socket is not connected: no event tells of that, so it is tried again after a pause.
    Elsewhere,
}

/// A send of one message.
pub(in crate::net) struct Send<B> {
    turn: Turn<Socket<Datagrams>>,
    buf: B,
    room: Room,
    /// Whether it waits for the sends before it.
    in_order: bool,
    /// The message that names the target. `None`: to the peer that the socket is connected to.
    message: Option<Box<Message>>,
    /// The request in flight is the wait for room, not the send.
    waiting: bool,
}

impl<B: IoBuf> Send<B> {
    pub(in crate::net) fn new(
        socket: &Rc<Socket<Datagrams>>,
        buf: B,
        target: Option<&SockAddr>,
        room: Room,
    ) -> Self {
        let message = target.map(|target| {
            let mut message = socket.kind.message(Direction::Write);
            message.set_name(Some(target));
            message
        });
        Self {
            turn: Turn::new(socket, Direction::Write),
            buf,
            room,
            in_order: false,
            waiting: false,
            message,
        }
    }

    /// Has it wait for the sends before it.
    pub(in crate::net) fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }
}

// SAFETY: OWNED: the message lies in a box; it, or the request, points into the storage of `buf`, which does not move with
// it (STABLE).
unsafe impl<B: IoBuf> Operation for Send<B> {
    type Output = BufResult<usize, B>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.in_order && self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        Prepare::Submit(self)
    }

    #[inline]
    fn request(&mut self) -> Request {
        let fd = self.turn.socket().raw();
        let flags = match self.room {
            Room::Driver | Room::Connected if self.waiting => {
                let events = libc::POLLOUT;
                return Request::Poll { fd, events };
            }
            Room::Elsewhere if self.waiting => {
                return Request::Pause {
                    span: &pause::SHORT,
                };
            }
            Room::Driver => 0,
            Room::Connected | Room::Elsewhere => libc::MSG_DONTWAIT,
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
        if mem::take(&mut self.waiting) {
            return Step::Again(self);
        }
        let result = completion.len();
        match result.as_ref().err().and_then(io::Error::raw_os_error) {
            Some(libc::EINTR) => return Step::Again(self),
            Some(libc::EAGAIN) => {
                self.waiting = true;
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

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket as Raw, Type};

    use super::*;

    #[test]
    fn what_found_no_room_waits_for_it_and_then_goes_out_once() {
        let (near, _far) = Raw::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
        let socket = Socket::<Datagrams>::new(near.into());
        let mut send = Send::new(&socket, &b"ping"[..], None, Room::Driver);
        assert!(matches!(send.request(), Request::Send { .. }));
        let full = Completion::new(-libc::EAGAIN, 0);
        let Step::Again(mut send) = send.complete(full) else {
            panic!("a full socket is no end");
        };
        assert!(matches!(send.request(), Request::Poll { .. }), "a wait");
        let ready = Completion::new(libc::POLLOUT.into(), 0);
        let Step::Again(mut send) = send.complete(ready) else {
            panic!("a wait sends nothing");
        };
        assert!(matches!(send.request(), Request::Send { .. }));
        let sent = send.complete(Completion::new(4, 0));
        assert!(matches!(sent, Step::Done((Ok(4), _))), "it went out");
    }
}
