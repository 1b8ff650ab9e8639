//! TCP, with the names of std and tokio.
//!
//! Sockets belong to no runtime: they can be made on one and used on the next. An operation runs on the ring of the
//! runtime that polls it.

mod addr;
mod tcp;

pub use std::net::SocketAddr;

pub use self::addr::{ToSocketAddrs, lookup_host};
pub use self::tcp::{
    IntoStdError, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpListener, TcpStream,
    WriteHalf,
};
