//! The two directions of a stream as two values.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use socket2::SockRef;

use super::TcpStream;
use crate::lane::Direction;
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
    socket: Rc<Socket>,
}

/// The writing half of a [`TcpStream`] that two halves own together. Dropping it shuts writing down.
pub struct OwnedWriteHalf {
    socket: Rc<Socket>,
    /// Whether its drop leaves writing open.
    forgotten: bool,
}

pub(super) fn borrowed(stream: &TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf { stream }, WriteHalf { stream })
}

pub(super) fn owned(socket: &Rc<Socket>) -> (OwnedReadHalf, OwnedWriteHalf) {
    let read = OwnedReadHalf {
        socket: socket.clone(),
    };
    let write = OwnedWriteHalf {
        socket: socket.clone(),
        forgotten: false,
    };
    (read, write)
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
        &self.socket
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
        Ok(TcpStream::of(self.socket.clone()))
    }

    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// What `getpeername` reports.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl OwnedWriteHalf {
    fn socket(&self) -> &Rc<Socket> {
        &self.socket
    }

    /// Drops the half and leaves the connection open for writing, for as long as the other half lives.
    pub fn forget(mut self) {
        self.forgotten = true;
    }

    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// What `getpeername` reports.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl Drop for OwnedReadHalf {
    fn drop(&mut self) {
        self.socket.settle(&[Direction::Read]);
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        self.socket.settle(&[Direction::Write]);
        if !self.forgotten {
            // The peer may have reset the connection; then there is nothing to shut down.
            let _ = SockRef::from(self.socket.fd()).shutdown(Shutdown::Write);
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
