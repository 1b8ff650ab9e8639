//! The two directions of a stream as two values.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::SocketAddr as UnixAddr;
use std::rc::Rc;

use socket2::SockRef;

use super::name::{local_addr, peer_addr};
use super::{TcpStream, UnixStream};
use crate::lane::Direction;
use crate::socket::Socket;
use crate::stream::{Stream, transfers_read, transfers_write, zero_copy};

/// The reading half of a borrowed stream.
pub struct ReadHalf<'a, S = TcpStream> {
    socket: &'a Rc<Socket<Stream>>,
    stream: PhantomData<&'a S>,
}

/// The writing half of a borrowed stream.
pub struct WriteHalf<'a, S = TcpStream> {
    socket: &'a Rc<Socket<Stream>>,
    stream: PhantomData<&'a S>,
}

/// The reading half of a stream that two halves own together.
pub struct OwnedReadHalf<S = TcpStream> {
    socket: Rc<Socket<Stream>>,
    stream: PhantomData<S>,
}

/// The writing half of a stream that two halves own together. Dropping it shuts writing down.
pub struct OwnedWriteHalf<S = TcpStream> {
    socket: Rc<Socket<Stream>>,
    /// Whether its drop leaves writing open.
    forgotten: bool,
    stream: PhantomData<S>,
}

pub(super) fn borrowed<S>(socket: &Rc<Socket<Stream>>) -> (ReadHalf<'_, S>, WriteHalf<'_, S>) {
    let stream = PhantomData;
    (ReadHalf { socket, stream }, WriteHalf { socket, stream })
}

pub(super) fn owned<S>(socket: &Rc<Socket<Stream>>) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let read = OwnedReadHalf {
        socket: socket.clone(),
        stream: PhantomData,
    };
    let write = OwnedWriteHalf {
        socket: socket.clone(),
        forgotten: false,
        stream: PhantomData,
    };
    (read, write)
}

impl<S> ReadHalf<'_, S> {
    fn socket(&self) -> &Rc<Socket<Stream>> {
        self.socket
    }
}

impl<S> WriteHalf<'_, S> {
    fn socket(&self) -> &Rc<Socket<Stream>> {
        self.socket
    }
}

impl<S> OwnedReadHalf<S> {
    fn socket(&self) -> &Rc<Socket<Stream>> {
        &self.socket
    }
}

impl<S> OwnedWriteHalf<S> {
    fn socket(&self) -> &Rc<Socket<Stream>> {
        &self.socket
    }

    /// Drops the half and leaves the connection open for writing, for as long as the other half lives.
    pub fn forget(mut self) {
        self.forgotten = true;
    }
}

/// What the halves of one type of stream know of it.
macro_rules! halves {
    ($stream:ident, $address:ty) => {
        impl OwnedReadHalf<$stream> {
            /// Makes a stream of the two halves again.
            ///
            /// # Errors
            ///
            /// If they are halves of different streams; both come back.
            pub fn reunite(
                self,
                write: OwnedWriteHalf<$stream>,
            ) -> Result<$stream, ReuniteError<$stream>> {
                if !Rc::ptr_eq(self.socket(), write.socket()) {
                    return Err(ReuniteError { read: self, write });
                }
                write.forget();
                Ok($stream::of(self.socket.clone()))
            }
        }

        halves!(@addresses OwnedReadHalf<$stream>, $address);
        halves!(@addresses OwnedWriteHalf<$stream>, $address);
        halves!(@addresses ReadHalf<'_, $stream>, $address);
        halves!(@addresses WriteHalf<'_, $stream>, $address);
    };
    (@addresses $half:ty, $address:ty) => {
        impl $half {
            /// The address of this side.
            ///
            /// # Errors
            ///
            /// What `getsockname` reports.
            pub fn local_addr(&self) -> io::Result<$address> {
                local_addr(self.socket.fd())
            }

            /// The address of the other side.
            ///
            /// # Errors
            ///
            /// What `getpeername` reports.
            pub fn peer_addr(&self) -> io::Result<$address> {
                peer_addr(self.socket.fd())
            }
        }
    };
}

halves!(TcpStream, SocketAddr);
halves!(UnixStream, UnixAddr);

impl<S> Drop for OwnedReadHalf<S> {
    fn drop(&mut self) {
        self.socket.settle_lane(Direction::Read);
    }
}

impl<S> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        self.socket.settle_lane(Direction::Write);
        if !self.forgotten {
            // The peer may have reset the connection; then there is nothing to shut down.
            let _ = SockRef::from(self.socket.fd()).shutdown(Shutdown::Write);
        }
    }
}

transfers_read!(ReadHalf<'_, S> where S, OwnedReadHalf<S> where S);
zero_copy!(WriteHalf<'_, TcpStream>, OwnedWriteHalf<TcpStream>);
transfers_write!(WriteHalf<'_, S> where S, OwnedWriteHalf<S> where S);

macro_rules! debug {
    ($($half:ident $(<$life:lifetime>)?),+) => {$(
        impl<S> fmt::Debug for $half<$($life,)? S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($half))
                    .field("fd", &self.socket().raw())
                    .finish()
            }
        }
    )+};
}

debug!(ReadHalf<'_>, WriteHalf<'_>, OwnedReadHalf, OwnedWriteHalf);

/// Two halves that do not belong together.
#[derive(Debug)]
pub struct ReuniteError<S = TcpStream> {
    /// The reading half.
    pub read: OwnedReadHalf<S>,
    /// The writing half.
    pub write: OwnedWriteHalf<S>,
}

impl<S> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to different streams")
    }
}

impl<S: fmt::Debug> std::error::Error for ReuniteError<S> {}
