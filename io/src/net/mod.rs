//! TCP, UDP and Unix sockets, with the names of std and tokio.
//!
//! Sockets belong to no runtime: they can be made on one and used on the next. An operation runs on the driver of the
//! runtime that polls it.
//!
//! ```text
//!   tcp, udp, unix      the public types: how they are made, their options, their docs
//!     │
//!   stream              transfers of a connected stream, the same for TCP and Unix (crate::stream)
//!   datagram            transfers of whole messages, the same for UDP and Unix
//!   listen, connect     the same for every family
//! ```

mod addr;
mod connect;
mod datagram;
mod handle;
mod incoming;
mod listen;
mod name;
mod options;
mod ready;
mod split;
mod tcp;
mod udp;
pub mod unix;

pub use std::net::SocketAddr;

pub use self::addr::{ToSocketAddrs, lookup_host};
pub use crate::stream::RecvStream;

pub use self::handle::IntoStdError;
pub use self::incoming::Incoming;
pub use self::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use self::tcp::{TcpListener, TcpSocket, TcpStream};
pub use self::udp::{Segments, UdpSocket};
pub use self::unix::{
    UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream,
};
