//! Waiting until a socket is ready, without transferring anything.
//!
//! The wait holds the lane of its direction, so that it is not over while a receive that was cancelled still takes what
//! came, and so that it sees what that one stashed.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::driver::{Completion, Request};
use crate::lane::{Direction, Turn};
use crate::op::{Op, Operation, Prepare, Step};
use crate::socket::{Kind, Socket};

/// Waits until a transfer in a direction would not wait.
pub(super) fn ready<K: Kind>(
    socket: &Rc<Socket<K>>,
    direction: Direction,
) -> impl Future<Output = io::Result<()>> + use<K> {
    Op::new(Ready {
        turn: Turn::new(socket, direction),
        direction,
    })
}

struct Ready<K: Kind> {
    turn: Turn<Socket<K>>,
    direction: Direction,
}

// SAFETY: OWNED: the request points to no memory.
unsafe impl<K: Kind> Operation for Ready<K> {
    type Output = io::Result<()>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if self.turn.poll(cx) == Poll::Pending {
            return Prepare::Wait(self);
        }
        if self.direction == Direction::Read && !self.turn.socket().is_stash_empty() {
            return Prepare::Served(Ok(()));
        }
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        Request::Poll {
            fd: self.turn.socket().raw(),
            events: match self.direction {
                Direction::Read => libc::POLLIN | libc::POLLRDHUP,
                Direction::Write => libc::POLLOUT,
            },
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.value() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done(result.map(drop)),
        }
    }

    /// Nothing was taken.
    fn inherit(self, _: Completion) {}
}

/// Gives handles `readable` and `writable`.
macro_rules! readiness {
    ($($type:ident),+) => {$(
        impl $type {
            /// Waits until a receive would not wait: data, the end, or an error is there, in the system or in the stash.
            ///
            /// It is a hint: another receive may take what is there first. It waits for its turn among the receives.
            ///
            /// # Errors
            ///
            /// What `poll` reports; an error of the socket itself is left to the receive.
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Strict: nothing is taken.
            pub fn readable(&self) -> impl Future<Output = std::io::Result<()>> + use<'_> {
                $crate::net::ready::ready(&self.socket, $crate::lane::Direction::Read)
            }

            /// Waits until a send would not wait: there is room, or an error is there. It waits for its turn among the
            /// sends that have one.
            ///
            /// # Errors
            ///
            /// What `poll` reports; an error of the socket itself is left to the send.
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Strict: nothing is sent.
            pub fn writable(&self) -> impl Future<Output = std::io::Result<()>> + use<'_> {
                $crate::net::ready::ready(&self.socket, $crate::lane::Direction::Write)
            }
        }
    )+};
}

pub(super) use readiness;
