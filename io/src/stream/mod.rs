//! The operations on a connected stream socket, each of them data for an interpreter (see [`crate::driver`]).
//!
//! They are the same for every stream socket; `net` gives them their public names.

mod receive;
mod send;
mod surface;

pub(crate) use self::receive::{Goal, Receive, ReceiveLent, ReceiveToEnd, ReceiveVectored};
pub(crate) use self::send::{Part, SendBuf, SendVectored, Whole};
pub(crate) use self::surface::{implement_read, implement_write, transfers_read, transfers_write};

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

use socket2::SockRef;

use crate::lane::{Direction, Turn};
use crate::socket::Socket;

/// Shuts writing down, after the writes that have begun. A system call that never waits.
pub(crate) async fn shutdown(socket: &Rc<Socket>) -> io::Result<()> {
    let mut turn = Turn::new(socket, Direction::Write);
    poll_fn(|cx| turn.poll(cx)).await;
    SockRef::from(socket.fd()).shutdown(Shutdown::Write)
}

/// A message header and the buffer list that it points to, at one address for the life of the operation.
struct Message {
    header: libc::msghdr,
    vectors: Vec<libc::iovec>,
}

impl Message {
    fn new() -> Box<Self> {
        // SAFETY: an all-zero `msghdr` is valid: no name, no buffers, no control data.
        let header = unsafe { std::mem::zeroed() };
        Box::new(Self {
            header,
            vectors: Vec::new(),
        })
    }

    /// Points the header at a list of buffers, which it keeps.
    fn point_to(&mut self, vectors: Vec<libc::iovec>) -> *mut libc::msghdr {
        self.vectors = vectors;
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = self.vectors.len() as _;
        &raw mut self.header
    }
}

/// The error for a buffer that a read can't put anything into.
pub(crate) fn no_room() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the buffer has no room to read into; reserve capacity (Vec::with_capacity), or pass a buffer that is \
         overwritten, such as a Box<[u8]> or buf.slice(..)",
    )
}
