//! A receive of one message.

use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::Context;

use socket2::SockAddr;

use super::{Datagrams, Stashed};
use crate::buf::{BufResult, IoBufMut};
use crate::driver::{Completion, Request, transfer_len};
use crate::lane::{Direction, Turn};
use crate::message::Message;
use crate::net::name::Name;
use crate::op::{Operation, Prepare, Step};
use crate::socket::{Socket, lasting_error};
use crate::stream::no_room;

/// What came with a message.
#[derive(Clone)]
pub(in crate::net) struct Arrival {
    /// Who sent it, if he has an address.
    sender: Option<SockAddr>,
    /// The length of each of the datagrams that were joined to it.
    pub(in crate::net) segment: Option<usize>,
}

/// What a receive says of a message.
pub(in crate::net) trait Shape: 'static {
    type Output;
    fn of(len: usize, arrival: Arrival) -> io::Result<Self::Output>;
}

/// Its length.
pub(in crate::net) struct Length;

/// Its length and its sender.
pub(in crate::net) struct WithSender<A>(PhantomData<A>);

impl Shape for Length {
    type Output = usize;

    fn of(len: usize, _: Arrival) -> io::Result<usize> {
        Ok(len)
    }
}

impl<A: Name> Shape for WithSender<A> {
    type Output = (usize, A);

    fn of(len: usize, arrival: Arrival) -> io::Result<(usize, A)> {
        Ok((len, arrival.sender()?))
    }
}

impl Arrival {
    pub(in crate::net) fn sender<A: Name>(&self) -> io::Result<A> {
        A::from_system(self.sender.clone())
    }

    /// Reads what the kernel has written to a message.
    fn of(message: &Message) -> Self {
        let segment = message
            .controls()
            .find(|it| (it.level, it.kind) == (libc::SOL_UDP, libc::UDP_GRO))
            .and_then(|it| it.data.first_chunk())
            .and_then(|size| usize::try_from(i32::from_ne_bytes(*size)).ok());
        Self {
            sender: message.name(),
            segment,
        }
    }
}

/// A receive of one message.
pub(in crate::net) struct Receive<B, S> {
    turn: Turn<Socket<Datagrams>>,
    buf: B,
    peek: bool,
    message: Option<Box<Message>>,
    shape: PhantomData<S>,
}

impl<B: IoBufMut, S: Shape> Receive<B, S> {
    pub(in crate::net) fn new(socket: &Rc<Socket<Datagrams>>, buf: B, peek: bool) -> Self {
        Self {
            turn: Turn::new(socket, Direction::Read),
            buf,
            peek,
            message: None,
            shape: PhantomData,
        }
    }

    /// Takes the first message in the stash, as much of it as there is room for.
    fn take_stashed(&mut self) -> Option<io::Result<S::Output>> {
        let socket = self.turn.socket();
        let (bytes, arrival) = match socket.unstash()? {
            Stashed::Datagram { bytes, arrival } => (bytes, arrival),
            Stashed::Failed(error) => return Some(Err(error)),
        };
        let len = self.buf.fill_from(&bytes);
        if self.peek {
            let arrival = arrival.clone();
            socket.restash(Stashed::Datagram { bytes, arrival });
        }
        Some(S::of(len, arrival))
    }

    /// Takes what the kernel has written to the message, and gives it back to the socket.
    fn arrival(&mut self) -> Arrival {
        let socket = self.turn.socket();
        let message = self.message.take().unwrap_or_else(Message::new);
        let arrival = Arrival::of(&message);
        socket.kind.reuse(Direction::Read, message);
        arrival
    }
}

// SAFETY: OWNED: the message lies in a box and points into the storage of `buf`, which does not move with it (STABLE).
unsafe impl<B: IoBufMut, S: Shape> Operation for Receive<B, S> {
    type Output = BufResult<S::Output, B>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.buf.room().is_empty() {
            return Prepare::Served((Err(no_room()), self.buf));
        }
        if self.turn.poll(cx).is_pending() {
            return Prepare::Wait(self);
        }
        if !self.turn.socket().is_stash_empty()
            && let Some(result) = self.take_stashed()
        {
            return Prepare::Served((result, self.buf));
        }
        Prepare::Submit(self)
    }

    #[inline]
    fn request(&mut self) -> Request {
        let socket = self.turn.socket();
        let message = self
            .message
            .get_or_insert_with(|| socket.kind.message(Direction::Read));
        let room = self.buf.room();
        message.set_buffer(room.cast().as_ptr(), transfer_len(room.len()) as usize);
        message.ask_name();
        if socket.kind.joined.get() {
            message.ask_control(size_of::<i32>());
        } else {
            message.clear_control();
        }
        Request::RecvMsg {
            fd: socket.raw(),
            message: message.header(),
            flags: if self.peek { libc::MSG_PEEK } else { 0 },
            // The kernel does not say of such sockets whether more is there.
            wait_first: false,
        }
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        let n = match completion.len() {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Step::Again(self),
            Err(error) => return Step::Done((Err(error), self.buf)),
        };
        // SAFETY: the kernel wrote `n` bytes to the start of the room, and reports no more than the length that it was given.
        unsafe { self.buf.commit(n) };
        let arrival = self.arrival();
        Step::Done((S::of(n, arrival), self.buf))
    }

    fn inherit(mut self, completion: Completion) {
        let start = self.buf.fill_start();
        let stashed = match completion.len() {
            // It is still in the socket.
            Ok(_) if self.peek => None,
            Ok(n) => {
                // SAFETY: as in `complete`.
                unsafe { self.buf.commit(n) };
                Some(Stashed::Datagram {
                    bytes: self.buf.as_slice()[start..start + n].to_vec(),
                    arrival: self.arrival(),
                })
            }
            outcome => lasting_error(outcome).map(Stashed::Failed),
        };
        let socket = self.turn.socket();
        stashed.into_iter().for_each(|it| socket.stash(it));
    }
}
