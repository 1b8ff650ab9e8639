//! Sockets of whole messages: UDP, Unix datagrams, Unix seqpacket.
//!
//! They share their operations; the type parameter is how the address of the other side is shown. A receive takes the
//! reading lane and looks into the stash first, where a dropped receive has left its message, with the sender and all.
//!
//! Sends of datagrams take no lane: each goes out whole or not at all, so many tasks can send at once. Those of a connection
//! that keeps the order (seqpacket) take theirs.

mod receive;
mod send;

use std::cell::Cell;
use std::io;

pub(super) use self::receive::{Arrival, Length, Receive, Shape, WithSender};
pub(super) use self::send::{Room, Send};
use crate::lane::Direction;
use crate::message::Message;
use crate::socket::Kind;

/// The kind of a socket of whole messages.
#[derive(Default)]
pub(super) struct Datagrams {
    /// The messages of the last receive and the last send, which the next one uses again.
    spare: [Cell<Option<Box<Message>>>; 2],
    /// Whether datagrams of one sender may arrive joined (`UDP_GRO`), and their length has to be asked for.
    pub(super) joined: Cell<bool>,
    /// Whether datagrams can be sent joined (`UDP_SEGMENT`); `None`: not known yet.
    pub(super) splits: Cell<Option<bool>>,
}

impl Kind for Datagrams {
    type Stashed = Stashed;
    const STASHED: &'static str = "a received datagram is stashed; receive it first";
}

/// What a cancelled receive brought.
pub(super) enum Stashed {
    Datagram {
        bytes: Vec<u8>,
        arrival: Arrival,
    },
    /// The error that it consumed from the socket.
    Failed(io::Error),
}

impl Datagrams {
    /// A message to receive or to send with.
    fn message(&self, direction: Direction) -> Box<Message> {
        let spare = self.spare[direction as usize].take();
        spare.unwrap_or_else(Message::new)
    }

    /// Keeps a message for the next operation.
    fn reuse(&self, direction: Direction, message: Box<Message>) {
        self.spare[direction as usize].set(Some(message));
    }
}
