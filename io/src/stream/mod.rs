//! The operations on a connected stream socket, each of them data for an interpreter (see [`crate::driver`]).
//!
//! They are the same for every stream socket; `net` gives them their public names.

mod receive;
mod rights;
mod send;
mod stash;
mod surface;

pub use self::receive::RecvStream;
pub(crate) use self::receive::{Goal, Receive, ReceiveLent, ReceiveToEnd, ReceiveVectored};
pub(crate) use self::rights::{ReceiveRights, SendRights};
pub(crate) use self::send::{Part, SendBuf, SendVectored, Whole, ZeroCopy};
pub(crate) use self::stash::{Stashed, Stream};
pub(crate) use self::surface::{
    implement_read, implement_write, transfers_read, transfers_write, zero_copy,
};

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

use socket2::SockRef;

use crate::lane::{Direction, Turn};
use crate::socket::Socket;

/// Shuts writing down, after the writes that have begun. A system call that never waits.
pub(crate) async fn shutdown(socket: &Rc<Socket<Stream>>) -> io::Result<()> {
    let mut turn = Turn::new(socket, Direction::Write);
    poll_fn(|cx| turn.poll(cx)).await;
    SockRef::from(socket.fd()).shutdown(Shutdown::Write)
}

/// The error for a buffer that a read can't put anything into.
pub(crate) fn no_room() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the buffer has no room to read into; reserve capacity (Vec::with_capacity), or pass a buffer that is \
         overwritten, such as a Box<[u8]> or buf.slice(..)",
    )
}
