//! The two directions of a stream as two values.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use socket2::SockRef;

use super::TcpStream;
use super::stream::Handle;
use crate::socket::Socket;
use crate::stream::{transfers_read, transfers_write};

/// The reading half of a borrowed [`TcpStream`].
#[derive(Debug)]
pub struct ReadHalf<'a> {
    stream: &'a TcpStream,
}

/// The writing half of a borrowed [`TcpStream`].
#[derive(Debug)]
pub struct WriteHalf<'a> {
    stream: &'a TcpStream,
}

/// The reading half of a [`TcpStream`] that two halves own together.
pub struct OwnedReadHalf {
    handle: Handle,
}

/// The writing half of a [`TcpStream`] that two halves own together. Dropping it shuts writing down.
pub struct OwnedWriteHalf {
    /// `None` only after [`forget`](Self::forget) or in `drop`.
    handle: Option<Handle>,
}

pub(super) fn borrowed(stream: &TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf { stream }, WriteHalf { stream })
}

pub(super) fn owned(handle: Handle) -> (OwnedReadHalf, OwnedWriteHalf) {
    let write = OwnedWriteHalf {
        handle: Some(handle.share()),
    };
    (OwnedReadHalf { handle }, write)
}

impl ReadHalf<'_> {
    fn socket(&self) -> &Rc<Socket> {
        self.stream.socket()
    }
}

impl WriteHalf<'_> {
    fn socket(&self) -> &Rc<Socket> {
        self.stream.socket()
    }
}

impl OwnedReadHalf {
    fn socket(&self) -> &Rc<Socket> {
        self.handle.socket()
    }

    /// Makes a stream of the two halves again.
    ///
    /// # Errors
    ///
    /// If they are halves of different streams; both come back.
    pub fn reunite(self, write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Rc::ptr_eq(self.socket(), write.socket()) {
            return Err(ReuniteError { read: self, write });
        }
        write.forget();
        Ok(TcpStream::from_handle(self.handle))
    }

    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// What `getpeername` reports.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        peer_addr(self.socket())
    }
}

impl OwnedWriteHalf {
    fn socket(&self) -> &Rc<Socket> {
        self.handle
            .as_ref()
            .expect("the handle is there until the half goes")
            .socket()
    }

    /// Drops the half and leaves the connection open for writing, for as long as the other half lives.
    pub fn forget(mut self) {
        self.handle = None;
    }

    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// What `getpeername` reports.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        peer_addr(self.socket())
    }
}

fn peer_addr(socket: &Socket) -> io::Result<SocketAddr> {
    let address = SockRef::from(socket.fd()).peer_addr()?;
    address
        .as_socket()
        .ok_or_else(super::listener::not_an_address)
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.socket().settle_now();
            // The peer may have reset the connection; then there is nothing to shut down.
            let _ = SockRef::from(handle.socket().fd()).shutdown(std::net::Shutdown::Write);
        }
    }
}

transfers_read!(ReadHalf<'_>, OwnedReadHalf);
transfers_write!(WriteHalf<'_>, OwnedWriteHalf);

impl fmt::Debug for OwnedReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReadHalf")
            .field("fd", &self.socket().raw())
            .finish()
    }
}

impl fmt::Debug for OwnedWriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteHalf")
            .field("fd", &self.socket().raw())
            .finish()
    }
}

/// Two halves that do not belong together.
#[derive(Debug)]
pub struct ReuniteError {
    /// The reading half.
    pub read: OwnedReadHalf,
    /// The writing half.
    pub write: OwnedWriteHalf,
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to different streams")
    }
}

impl std::error::Error for ReuniteError {}
